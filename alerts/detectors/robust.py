"""How unusual a value is beside the last of its own series, with numbers that a few wild readings cannot move.

Mean and mean absolute deviation fade exponentially over about `memory_readings`. A reading pulls the mean by no more than
three deviations, and the deviation by no more, so that a fault is not learned at once; one that lasts becomes the new
ordinary after about as many readings. Axes: m readings of one round, V watched series. Source: exponentially weighted
moments; Huber, Ann. Math. Statist. 35 (1964) 73-101, doi 10.1214/aoms/1177703732; reference/detection.md §5.
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

SIGMAS = 1.2533  # standard deviations in a mean absolute deviation, of a normal distribution: the root of pi / 2
_PULL = 3.0  # deviations


class RobustZRule(LevelledRule):
    """A value unlike those before it: limits are standard deviations from what its series usually says."""

    type: Literal["robust-z"]
    shown: ClassVar[Shown | None] = Shown(
        "Distance from the usual, in standard deviations", "偏离常态（标准差倍数）", "σ", 1
    )
    least: float = Field(gt=0)  # a standard deviation is taken to be no less, in the metric's unit
    memory_readings: int = Field(default=96, ge=4, le=100_000)
    learn_readings: int = Field(default=48, ge=2, le=10_000)  # before anything is said
    side: Literal["both", "high", "low"] = "both"


def robust_z_detector(rule: RobustZRule, concerned: Indexes, world: World) -> RobustZDetector:
    """How unusual the last value of each series is."""
    return RobustZDetector(rule, concerned, world)


class RobustZDetector(RoundsDetector):
    """The fading mean and mean absolute deviation of each series."""

    def __init__(self, rule: RobustZRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._rule = rule
        self._mean, self._deviation = np.zeros(len(concerned)), np.zeros(len(concerned))
        self._count = np.zeros(len(concerned), np.int32)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"mean": self._mean, "deviation": self._deviation, "count": self._count}

    def _step(self, now: Round) -> Floats:
        at, rule = now.at, self._rule
        count, mean, deviation = self._count[at], self._mean[at], self._deviation[at]
        away = now.value - np.where(count == 0, now.value, mean)
        scale = np.maximum(SIGMAS * deviation, rule.least)
        sided = {"both": np.abs(away), "high": np.maximum(away, 0.0), "low": np.maximum(-away, 0.0)}[rule.side]
        signal = np.where(count >= rule.learn_readings, sided / scale, np.nan)
        # The first readings count as one another's equals; from then on the past fades.
        weight = 1.0 / np.minimum(count + 1, rule.memory_readings)
        pulled = np.where(count < rule.learn_readings, away, np.clip(away, -_PULL * scale, _PULL * scale))
        self._mean[at] = np.where(count == 0, now.value, mean + weight * pulled)
        self._deviation[at] = deviation + weight * (np.abs(pulled) - deviation)
        self._count[at] = np.minimum(count, 2**30) + 1
        return signal
