"""A value that does not move: a stuck sensor.

The signal is how long the value has stayed within `tolerance` of where it came to rest, in minutes. A pause between readings
counts where the value is the same on both sides; but at least `readings` of them must agree. Axes: m readings of one round,
V watched series. Source: IOOS QARTOD, flat line test; reference/alarms.md §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.detector import UNSET_MS
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times


class FlatlineRule(LevelledRule):
    """A value that stays where it is: limits are minutes."""

    type: Literal["flatline"]
    shown: ClassVar[Shown | None] = Shown("The value has not moved for", "数值未变化时长", "min", 0)
    tolerance: float = Field(default=0.0, ge=0)  # in the metric's unit
    readings: int = Field(default=5, ge=2, le=10_000)  # that must agree
    still_at: float | None = None  # a value at which standing still is ordinary: no rain


def flatline_detector(rule: FlatlineRule, concerned: Indexes, world: World) -> FlatlineDetector:
    """How long each series has stood still."""
    return FlatlineDetector(rule, concerned, world)


class FlatlineDetector(RoundsDetector):
    """Where each series came to rest, and when."""

    def __init__(self, rule: FlatlineRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._tolerance, self._readings, self._still_at = rule.tolerance, rule.readings, rule.still_at
        self._rest = np.full(len(concerned), np.nan)
        self._since_ms: Times = np.full(len(concerned), UNSET_MS, np.int64)
        self._count = np.zeros(len(concerned), np.int32)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"rest": self._rest, "since_ms": self._since_ms, "count": self._count}

    def _step(self, now: Round) -> Floats:
        at = now.at
        stays = np.abs(now.value - self._rest[at]) <= self._tolerance
        if self._still_at is not None:
            stays &= np.abs(now.value - self._still_at) > self._tolerance
        moved = at[~stays]
        self._rest[moved], self._since_ms[moved] = now.value[~stays], now.time_ms[~stays]
        self._count[at] = np.where(stays, np.minimum(self._count[at], 2**30) + 1, 1)
        minutes = (now.time_ms - self._since_ms[at]) / 60_000
        return np.where(self._count[at] >= self._readings, minutes, 0.0)
