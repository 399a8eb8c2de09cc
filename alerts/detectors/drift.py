"""A slow shift that no single reading shows: Page's cumulative sum, two-sided.

The first `learn_readings` say what is ordinary: their mean and standard deviation. From then on what a reading is away from
the mean, in deviations and less an allowance, adds up, upwards and downwards apart, never below 0. One reading adds at most
`_MOST` so that a spike is no drift, and the sums stop at `_STOP` so that an end is noticed soon. The signal is the
larger sum. Axes: m readings of one round, V watched series.

Source: E. S. Page, Biometrika 41 (1954) 100-115, doi 10.1093/biomet/41.1-2.100; allowance 0.5 and limit 5 deviations:
D. C. Montgomery, Introduction to Statistical Quality Control, ch. 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes

_MOST = 3.0  # deviations that one reading counts for
_STOP = 10.0  # deviations: where a sum stops growing


class DriftRule(LevelledRule):
    """A mean that has shifted: limits are the cumulative sum in standard deviations, 5 by the book."""

    type: Literal["drift"]
    shown: ClassVar[Shown | None] = Shown("Cumulative shift from the learned mean", "相对学习均值的累积偏移", "σ", 1)
    least: float = Field(gt=0)  # a standard deviation is taken to be no less, in the metric's unit
    allowance: float = Field(default=0.5, gt=0)  # deviations that a reading may be away: half of the shift looked for
    learn_readings: int = Field(default=100, ge=10, le=100_000)


def drift_detector(rule: DriftRule, concerned: Indexes, world: World) -> DriftDetector:
    """The cumulative sum of each series."""
    return DriftDetector(rule, concerned, world)


class DriftDetector(RoundsDetector):
    """What each series learned, and its two sums."""

    def __init__(self, rule: DriftRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._rule = rule
        self._count = np.zeros(len(concerned), np.int32)
        self._mean, self._squares, self._up, self._down = (np.zeros(len(concerned)) for _ in range(4))

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {
            "count": self._count,
            "mean": self._mean,
            "squares": self._squares,
            "up": self._up,
            "down": self._down,
        }

    def _step(self, now: Round) -> Floats:
        at, rule = now.at, self._rule
        count, mean, squares = self._count[at], self._mean[at], self._squares[at]
        learns = count < rule.learn_readings
        away = now.value - mean
        deviation = np.maximum(np.sqrt(squares / max(rule.learn_readings - 1, 1)), rule.least)
        z = np.clip(away / deviation, -_MOST, _MOST)
        self._up[at] = np.where(learns, 0.0, np.clip(self._up[at] + z - rule.allowance, 0.0, _STOP))
        self._down[at] = np.where(learns, 0.0, np.clip(self._down[at] - z - rule.allowance, 0.0, _STOP))
        learned = np.where(learns, mean + away / (count + 1), mean)
        self._squares[at] = np.where(learns, squares + away * (now.value - learned), squares)
        self._mean[at], self._count[at] = learned, np.where(learns, count + 1, count)
        return np.where(learns, np.nan, np.maximum(self._up[at], self._down[at]))
