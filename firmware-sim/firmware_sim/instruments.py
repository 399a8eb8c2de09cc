"""What instruments make of what there is: the ways in which a sensor or a register shows something else.

Pure but for the generator that is handed in. Values in the metric's unit, times in epoch milliseconds.
Source of the list: reference/devices.md §2 (registers), §3 (level sensors), §4 (scanners).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from firmware_sim.district import HOUR_MS


class Ailment(StrEnum):
    """What is wrong with an instrument. `amount` means something else for each."""

    SILENT = "silent"  # says nothing
    STUCK = "stuck"  # shows what it showed last
    OFFSET = "offset"  # shows so much more
    DRIFT = "drift"  # shows so much more with each hour
    WARM_UP = "warm-up"  # shows so much more, and less of that as it warms
    NOISE = "noise"  # a standard deviation of so much
    ECHO = "echo"  # a share of its readings are this: a root, a ladder, foam in the beam
    REGISTER = "register"  # counts on from here: reset, replaced; with a modulus it begins at zero again


@dataclass(slots=True)
class Case:
    """One ailment of one instrument."""

    how: Ailment
    amount: float
    begins_ms: int
    until_ms: int | None
    share: float = 1.0
    over_ms: int = 600_000
    modulus: float | None = None
    first: float | None = None  # what there was when it began

    def shown(self, value: float, now_ms: int, rng: np.random.Generator) -> float | None:
        """What the instrument makes of a value; None when it says nothing."""
        if now_ms < self.begins_ms or (self.until_ms is not None and now_ms >= self.until_ms):
            return value
        if self.share < 1 and rng.random() >= self.share:
            return value
        if self.first is None:
            self.first = value
        since_ms = now_ms - self.begins_ms
        match self.how:
            case Ailment.SILENT:
                return None
            case Ailment.STUCK:
                return self.first
            case Ailment.OFFSET:
                return value + self.amount
            case Ailment.DRIFT:
                return value + self.amount * since_ms / HOUR_MS
            case Ailment.WARM_UP:
                return value + self.amount * math.exp(-since_ms / self.over_ms)
            case Ailment.NOISE:
                return value + float(rng.normal(0.0, self.amount))
            case Ailment.ECHO:
                return self.amount
            case Ailment.REGISTER:
                counted = value - self.first + self.amount
                return counted if self.modulus is None else counted % self.modulus


class Instruments:
    """All instruments of the district that are not well."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._cases: dict[tuple[str, str], list[Case]] = {}

    def add(self, device: str, metric: str, case: Case) -> None:
        """One more thing is wrong with it, on top of what was."""
        self._cases.setdefault((device, metric), []).append(case)

    def shown(self, device: str, metric: str, value: float, now_ms: int) -> float | None:
        """What the instrument shows for a value; None when it says nothing."""
        shown: float | None = value
        for case in self._cases.get((device, metric), ()):
            if shown is not None:
                shown = case.shown(shown, now_ms, self._rng)
        return shown
