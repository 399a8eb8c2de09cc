"""A manhole against the next one downstream: does it stand where its neighbour says that it should?

Both rise with the same rain and the same mornings. How they hang together is learned as a line, level on the neighbour's
level (fading mean, variance and covariance; the slope between 0 and `slope_max`), and how well it holds as a fading mean
absolute deviation. The signal is the distance from the line in standard deviations: above it, something between the two
holds the water back; below it, a sensor is wrong or water is lost. Of a reading no more than three deviations are learned,
so that a blockage is not learned at once. Where the neighbour has not been heard for `age_max_s` there is no signal.

Source: reference/alarms.md §4 (neighbour consistency); exponentially weighted moments, Huber's clipping as in `robust`. Axes:
N readings, m readings of one round, V watched series.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.beside import BesideDetector
from alerts.detectors.detector import Rows
from alerts.detectors.robust import SIGMAS
from alerts.detectors.rounds import Round
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes
from telemetry.errors import BadConfiguration

_PULL = 3.0  # deviations


class PairRule(LevelledRule):
    """A level unlike what the next manhole downstream says: limits are standard deviations."""

    type: Literal["pair"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown(
        "Distance from what the manhole downstream says", "与下游井推算水位之差（标准差倍数）", "σ", 1
    )
    least: float = Field(default=0.02, gt=0)  # a standard deviation is taken to be no less, in the metric's unit
    side: Literal["high", "low", "both"] = "high"
    slope_max: float = Field(default=3.0, gt=0)  # of the level on the neighbour's
    memory_readings: int = Field(default=2016, ge=16, le=1_000_000)  # a week at one in five minutes
    learn_readings: int = Field(default=288, ge=8)  # before anything is said
    age_max_s: float = Field(default=900.0, gt=0)  # an older reading of the neighbour says nothing


def pair_detector(rule: PairRule, concerned: Indexes, world: World) -> PairDetector:
    """How far each manhole is from what the next one says."""
    others = world.downstream(concerned)
    for series, other in zip(concerned.tolist(), others.tolist(), strict=True):
        if other < 0:
            raise BadConfiguration(
                f"rule '{rule.id}' compares device '{world.registry.names[series][0]}' with the next one downstream, and "
                f"none there measures '{rule.metric}': declare 'downstream' in its place's 'drain', or leave it out with "
                "'devices'"
            )
    return PairDetector(rule, concerned, others, world)


class PairDetector(BesideDetector):
    """How each manhole and its neighbour hang together."""

    good_only = True

    def __init__(self, rule: PairRule, concerned: Indexes, others: Indexes, world: World) -> None:
        super().__init__(concerned, others, world, rule.age_max_s)
        self._rule, self._others = rule, others
        v = len(self.watched)
        self._count = np.zeros(v, np.int64)
        self._own, self._other = np.zeros(v), np.zeros(v)  # means
        self._variance, self._covariance, self._deviation = np.zeros(v), np.zeros(v), np.zeros(v)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {
            "count": self._count,
            "own": self._own,
            "other": self._other,
            "variance": self._variance,
            "covariance": self._covariance,
            "deviation": self._deviation,
        }
        return {**super().columns, **own}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        return self._said(self._lookup.push(rows), self._others[position], rows, chosen)

    def _step(self, now: Round) -> Floats:
        assert now.beside is not None
        known = ~np.isnan(now.beside)
        found = np.full(len(now.at), np.nan)
        found[known] = self._compare(now.at[known], now.value[known], now.beside[known])
        return found

    def _compare(self, at: Indexes, own: Floats, other: Floats) -> Floats:
        rule, count = self._rule, self._count[at]
        away_other = np.where(count == 0, 0.0, other - self._other[at])
        variance = self._variance[at]
        # Beside a neighbour that hardly moves no slope can be known, and none is assumed.
        slope = self._covariance[at] / np.maximum(variance, rule.least**2)
        slope = np.clip(slope, 0.0, rule.slope_max)
        said = np.where(count == 0, own, self._own[at] + slope * away_other)
        away = own - said
        scale = np.maximum(SIGMAS * self._deviation[at], rule.least)
        sided = {"both": np.abs(away), "high": np.maximum(away, 0.0), "low": np.maximum(-away, 0.0)}[rule.side]
        learning = count < rule.learn_readings
        pulled = np.where(learning, away, np.clip(away, -_PULL * scale, _PULL * scale))
        taken = said + pulled
        weight = 1.0 / np.minimum(count + 1, rule.memory_readings)
        away_own = np.where(count == 0, 0.0, taken - self._own[at])
        self._own[at] = np.where(count == 0, own, self._own[at] + weight * away_own)
        self._other[at] = np.where(count == 0, other, self._other[at] + weight * away_other)
        self._variance[at] = (1 - weight) * (variance + weight * away_other**2)
        self._covariance[at] = (1 - weight) * (self._covariance[at] + weight * away_other * away_own)
        self._deviation[at] += weight * (np.abs(pulled) - self._deviation[at])
        self._count[at] = count + 1
        return np.where(learning, np.nan, sided / scale)
