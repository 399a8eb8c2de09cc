"""A level sensor that stands at its upper end: water over it, or a fault? It depends on how it came there.

Pinned is a reading at `top` or closer to it than the blind zone. If the water was seen to rise before (at least three
readings below the top within the rise's time, the last of them above 0.6 of the top and a tenth of it above the lowest of
that time, which is known to the eighth of it), it is an overflow; a sensor that jumped there, or that was never seen
anywhere else, is at fault. What has risen and only dips, not below 0.6 of the top, is still what it was: waves reach the
sensor's end and leave it. A rule looks for one of the two; the signal is the minutes that it has lasted, 0 for the other.

Source: reference/alarms.md §4.2, D5. Axes: V watched series, K series in a round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Rows, Signals, Watch
from alerts.detectors.rings import shift_in
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.segments import rounds

_REMEMBERED = 8  # readings before it was pinned
_PARTS = 8  # of the time in which a rise counts: of each the lowest reading is remembered, however many there were
_SEEN_MIN = 3
_HIGH = 0.6  # of the top: how far a rise must have been seen
_RISE = 0.1  # of the top: how much of a rise it must have been


class SaturationRule(LevelledRule):
    """Minutes for which a sensor has stood at its upper end, after a rise (overflow) or without one (fault)."""

    shown: ClassVar[Shown | None] = Shown("Minutes at the sensor's upper end", "持续满量程（分钟）", "min", 1)

    type: Literal["saturation"]
    mode: Literal["overflow", "fault"]
    top: float = Field(default=1.0, gt=0)  # the highest that can be read
    relative_to: Literal["depth"] | None = None  # the top is a fraction of the drain's depth
    blind_zone: float = Field(default=0.0, ge=0)  # below the top, in the same measure
    rise_s: float = Field(default=3600.0, gt=0)  # how long before it was pinned a rise counts


def saturation_detector(rule: SaturationRule, concerned: Indexes, world: World) -> SaturationDetector:
    """Minutes at the upper end."""
    scale = world.scales(rule, concerned)[concerned]
    return SaturationDetector(rule, concerned, world.series_count, rule.top * scale, rule.blind_zone * scale)


class SaturationDetector:
    """How each sensor came to its upper end, and since when.

    Args:
        top, blind_zone: (V,), in the metric's unit.
    """

    def __init__(
        self, rule: SaturationRule, watched: Indexes, series_count: int, top: Floats, blind_zone: Floats
    ) -> None:
        self._watch = Watch(watched, series_count)
        self._is_overflow = rule.mode == "overflow"
        self._rise_ms = round(rule.rise_s * 1000)
        self._part_ms = max(1, math.ceil(self._rise_ms / _PARTS))
        self._top, self._pinned_from = top, top - blind_zone
        v = len(watched)
        self._columns: dict[str, NDArray[Any]] = {
            "time_ms": np.full((v, _REMEMBERED), UNSET_MS, np.int64),
            "value": np.zeros((v, _REMEMBERED)),
            "part": np.full((v, _PARTS + 1), -1, np.int64),  # since 1970; its place is its remainder
            "lowest": np.zeros((v, _PARTS + 1)),
            "since_ms": np.full(v, UNSET_MS, np.int64),  # it was pinned; UNSET_MS while it is not
            "rose": np.zeros(v, np.bool_),  # and has not fallen below what counts as high since
        }

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return self._columns

    def push(self, rows: Rows) -> Signals:
        chosen, position = self._watch.of(rows)
        if not len(chosen):
            return NO_SIGNALS
        signal = np.empty(len(chosen))
        for now in rounds(position):
            signal[now] = self._judge(position[now], rows.time_ms[chosen[now]], rows.value[chosen[now]])
        return Signals(chosen, signal)

    def _judge(self, at: Indexes, time_ms: Times, value: Floats) -> Floats:
        own = self._columns
        pinned = value >= self._pinned_from[at]
        begins = pinned & (own["since_ms"][at] == UNSET_MS)
        own["rose"][at] &= value >= _HIGH * self._top[at]
        own["rose"][at] |= begins & self._has_risen(at, time_ms)
        since_ms = np.where(pinned, np.where(begins, time_ms, own["since_ms"][at]), UNSET_MS)
        own["since_ms"][at] = since_ms
        free = at[~pinned]
        shift_in(own["time_ms"], free, time_ms[~pinned])
        shift_in(own["value"], free, value[~pinned])
        self._sink(free, time_ms[~pinned] // self._part_ms, value[~pinned])
        counts = pinned & (own["rose"][at] == self._is_overflow)
        return np.where(counts, time_ms - np.where(pinned, since_ms, time_ms), 0) / 60_000.0

    def _has_risen(self, at: Indexes, time_ms: Times) -> Masks:
        own, top = self._columns, self._top[at]
        seen = own["time_ms"][at] >= (time_ms - self._rise_ms)[:, None]
        last = own["value"][at, -1]
        recent = own["part"][at] >= ((time_ms - self._rise_ms) // self._part_ms)[:, None]
        lowest = np.where(recent, own["lowest"][at], np.inf).min(axis=1)
        found: Masks = (seen.sum(axis=1) >= _SEEN_MIN) & (last >= _HIGH * top) & (last - lowest >= _RISE * top)
        return found

    def _sink(self, at: Indexes, part: NDArray[np.int64], value: Floats) -> None:
        """Keep the lowest reading of the part of time that runs."""
        own, place = self._columns, part % (_PARTS + 1)
        before = np.where(own["part"][at, place] == part, own["lowest"][at, place], np.inf)
        own["part"][at, place], own["lowest"][at, place] = part, np.minimum(before, value)
