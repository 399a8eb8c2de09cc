"""A distance sensor with a UART: it sends frames or lines ten times a second, or is asked (URM).

Source: DFRobot wiki, SEN0754 (`FF hi lo sum`, FFFE and FFFD), SEN0149 (URM); what it does wrong: reference/devices.md §3.6.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Speech: TypeAlias = Literal["auto", "urm", "text"]
InBlind: TypeAlias = Literal["sticks", "far"]

_SAID_MAX_M = 65.0  # two bytes of millimetres, the last of which say what is wrong
_NOTHING_THERE, _DISTURBED = 0xFFFD, 0xFFFE
_URM_HEAD, _URM_READ, _URM_NOTHING = b"\x55\xaa", 0x02, 0xFFFF
_TEXT_FAR = 9999


@dataclass(slots=True)
class DistanceSensor:
    """Implements `Device` when it speaks URM, else `Talker`. It measures `distance` [m]."""

    speaks: Speech
    quantities: Quantities
    address: int = 0x11  # of URM
    every_s: float = 0.1
    blind_m: float = 0.25
    range_m: float = 9.0
    in_blind: InBlind = "sticks"  # or, nearer than it can measure, it shows its range: a full drain looks empty
    is_deaf: bool = False  # no echo: foam, nothing there
    disturbed_share: float = 0.0  # another one of its sort speaks in the same air
    rung_m: float | None = None  # something in its way, which answers in `rung_share` of the measurements
    rung_share: float = 0.05
    seed: int = 1

    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        wanted = _URM_HEAD + bytes([self.address, 0, _URM_READ])
        if self.speaks != "urm" or _summed(wanted) not in burst:
            return None
        distance_m = self._distance_m(now_ms)
        shown = _URM_NOTHING if distance_m is None else round(distance_m * 100)
        answer = _summed(_URM_HEAD + bytes([self.address, 2, _URM_READ]) + shown.to_bytes(2, "big"))
        return Answer(answer, len(answer) - 1, 0.05)

    def speak(self, now_ms: int) -> Answer | None:
        distance_m = self._distance_m(now_ms)
        if self.speaks == "text":
            shown = _TEXT_FAR if distance_m is None else min(round(distance_m * 1000), _TEXT_FAR)
            return Answer(f"R{shown:04}\r".encode(), None, 0.0)
        if self.disturbed_share and self._rng.random() < self.disturbed_share:
            shown = _DISTURBED
        else:
            shown = _NOTHING_THERE if distance_m is None else round(distance_m * 1000)
        frame = _summed(b"\xff" + shown.to_bytes(2, "big"))
        return Answer(frame, len(frame) - 1, 0.0)

    def _distance_m(self, now_ms: int) -> float | None:
        """What it believes to measure; None when it hears nothing."""
        if self.is_deaf:
            return None
        if self.rung_m is not None and self._rng.random() < self.rung_share:
            return self.rung_m
        distance_m = self.quantities(now_ms).get("distance", 0.0)
        if distance_m <= self.blind_m:
            return self.blind_m if self.in_blind == "sticks" else min(self.range_m, _SAID_MAX_M)
        return min(distance_m, self.range_m, _SAID_MAX_M)


def _summed(data: bytes) -> bytes:
    return data + bytes([sum(data) % 256])
