"""Readings that jump out and back: a spike, or a sensor that was lifted out for a while; judged when they are back.

A jump out at some reading and a jump back at the newest, at most `back_readings` later, count by the smaller of the two if
they point opposite ways and the value is back to within half of that. The signal is the largest such jump in units of the
series' own noise: the median of the differences before, as a standard deviation, and no less than `least`. It comes when the
value is back, so it is never the first to know: it is a question of quality.

Axes: N windows of n readings. Source: IOOS QARTOD, spike test; median absolute difference after Hampel; reference/alarms.md
§4 (`|x[n-1] - (x[n-2] + x[n]) / 2|` or MAD-Z).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Rows, Signals, Watch
from alerts.detectors.windows import Windows
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes
from telemetry.segments import group

SIGMAS = 1.4826  # standard deviations in a median absolute deviation, of a normal distribution
_CHUNK = 65_536  # windows at once, so that memory stays small


class SpikeRule(LevelledRule):
    """A reading that jumps out and back: limits are multiples of the series' own noise."""

    type: Literal["spike"]
    shown: ClassVar[Shown | None] = Shown(
        "A jump out and back, in multiples of the noise", "突跳幅度（噪声倍数）", "", 1
    )
    least: float = Field(gt=0)  # noise is taken to be no less, in the metric's unit: what the sensor can tell apart
    back_readings: int = Field(default=1, ge=1, le=12)  # after how many it is back at the latest
    window_readings: int = Field(default=24, ge=6, le=60)

    @model_validator(mode="after")
    def _knows_the_noise(self) -> Self:
        if self.window_readings < self.back_readings + 5:
            raise ValueError(
                "'window_readings' must be at least 'back_readings' + 5: the noise is measured before the jump"
            )
        return self


def spike_detector(rule: SpikeRule, concerned: Indexes, world: World) -> SpikeDetector:
    """How far the last reading but one jumped out, of each series."""
    return SpikeDetector(rule, concerned, world.series_count)


class SpikeDetector:
    """The last n readings of each series."""

    def __init__(self, rule: SpikeRule, watched: Indexes, series_count: int) -> None:
        self._watch = Watch(watched, series_count)
        self._windows = Windows(len(watched), rule.window_readings)
        self._least, self._back = rule.least, rule.back_readings

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"time_ms": self._windows.time_ms, "value": self._windows.value}

    def push(self, rows: Rows) -> Signals:
        chosen, position = self._watch.of(rows)
        if not len(chosen):
            return NO_SIGNALS
        groups = group(position)
        chosen = chosen[groups.order]
        times, values = self._windows.push(groups, rows.time_ms[chosen], rows.value[chosen])
        whole = np.flatnonzero(times[:, 0] != UNSET_MS)
        parts = [values[whole[start : start + _CHUNK]] for start in range(0, len(whole), _CHUNK)]
        found = np.concatenate([jumps(part, self._least, self._back) for part in parts]) if parts else np.empty(0)
        order = np.argsort(chosen[whole], kind="stable")
        return Signals(chosen[whole][order], found[order])


def jumps(value: Floats, least: float, back_readings: int) -> Floats:
    """How far each window jumped out and is back at its last reading, in multiples of the noise. (N,)

    Args:
        value: (N, n), oldest first, n at least back_readings + 5.
        least: The noise is no less.
    """
    steps = np.diff(value, axis=1)  # (N, n - 1)
    back = steps[:, -1]
    largest = np.zeros(len(value))
    for readings in range(1, back_readings + 1):
        out = steps[:, -1 - readings]
        jump = np.where(out * back < 0, np.minimum(np.abs(out), np.abs(back)), 0.0)
        is_back = np.abs(value[:, -1] - value[:, -2 - readings]) <= 0.5 * jump
        largest = np.where(is_back, np.maximum(largest, jump), largest)
    jumped = np.flatnonzero(largest)  # nothing is no multiple of any noise
    before = np.sort(np.abs(steps[jumped, : -1 - back_readings]), axis=1)
    middle = before.shape[1] // 2
    # Differences of readings are wider than the readings by the root of two.
    noise = SIGMAS / np.sqrt(2) * (before[:, middle] + before[:, -1 - middle]) / 2
    largest[jumped] /= np.maximum(noise, least)
    return largest
