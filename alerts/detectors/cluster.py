"""Do more people at a lane have fever than chance allows? A cluster, unless it is the scanner that has moved.

Positives are readings of `positive_at` or more, one a passage. Those of the last 30 minutes (to the minute) are held against
a binomial distribution with the share of positives of the last seven days, whole hours that ended before; a prior of one in
200 among 200 people keeps a week without positives from making one of them a wonder. The signal is -log10 of the chance of
so many or more: 3 is the 99.9 % bound. Fewer than three are none.

A scanner that has jumped makes positives too. A cluster leaves the people who have no fever where they were, so the crowd is
looked at from below: where the 35th of 100 of the last 15 people lies more than 0.3 degC above that of the same hour of the
last seven days - as long as that is unknown, of all hours before; in the first hour, of the people before them - there is no
signal. What has moved is not learned; after a week nothing older is known, and a move that lasted is the usual.

Source: reference/alarms.md §4.1, F7. Axes: V watched series, K lanes in a round, n possible counts of positives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.crowd import HOUR_MS, Met, SameHour
from alerts.detectors.detector import Passages
from alerts.detectors.rings import quantile, shift_in
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times

_MINUTE_MS = 60_000
_MINUTES = 30
_HOURS = 168
_HOURS_KEPT = 176  # no hour is overwritten while it counts
_PRIOR_PEOPLE = 200
_PRIOR_SHARE = 0.005
_CROWD = 120
_NOW = 15  # of them
_BEFORE_MIN = 20
_LOW = 0.35
_DAYS_MIN = 3
_MET = 16  # people with a fever, of whom one who is measured again is known


class FeverClusterRule(LevelledRule):
    """More positives than chance allows: limits are -log10 of that chance."""

    shown: ClassVar[Shown | None] = Shown("Cluster of fever, -log10 of chance", "发热聚集（-log10 概率）", "", 1)

    type: Literal["fever-cluster"]
    looks_beside: ClassVar[bool] = True
    positive_at: float = 37.3  # in the metric's unit
    positives_min: int = Field(default=3, ge=2)
    shift_c: float = Field(default=0.3, gt=0)  # the crowd has moved by more: it is the scanner
    measure_c: tuple[float, float] = (34.0, 42.0)  # outside it there is no result


def fever_cluster_detector(rule: FeverClusterRule, concerned: Indexes, world: World) -> FeverClusterDetector:
    """How little chance allows the positives of each lane."""
    return FeverClusterDetector(rule, concerned, world.series_count)


class FeverClusterDetector(RoundsDetector):
    """Positives by minute and by hour, and the last people of each lane."""

    def __init__(self, rule: FeverClusterRule, concerned: Indexes, series_count: int) -> None:
        super().__init__(concerned, series_count)
        self._rule = rule
        v = len(concerned)
        self._same_hour = SameHour(v)
        self._minute = np.full((v, _MINUTES), -1, np.int64)  # since 1970; its place is its remainder
        self._minute_count = np.zeros((v, _MINUTES, 2), np.int64)  # people, positives
        self._hour = np.full((v, _HOURS_KEPT), -1, np.int64)
        self._hour_count = np.zeros((v, _HOURS_KEPT, 2), np.int64)
        self._met = Met(v, _MET)
        self._people: Floats = np.full((v, _CROWD), np.inf)
        self._count = np.zeros(v, np.int64)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {
            "minute": self._minute,
            "minute_count": self._minute_count,
            "week_hour": self._hour,
            "week_count": self._hour_count,
            "people": self._people,
            "count": self._count,
        }
        return {**self._same_hour.columns, **self._met.columns, **own}

    def _step(self, now: Round) -> Floats:
        low, high = self._rule.measure_c
        measured = (now.value >= low) & (now.value <= high)
        found = np.full(len(now.at), np.nan)
        passage = np.zeros(len(now.at), np.uint64) if now.passage is None else now.passage
        found[measured] = self._meet(now.at[measured], now.time_ms[measured], now.value[measured], passage[measured])
        return found

    def _meet(self, at: Indexes, time_ms: Times, value: Floats, passage: Passages) -> Floats:
        is_positive = value >= self._rule.positive_at
        minute, hour = time_ms // _MINUTE_MS, time_ms // HOUR_MS
        # One person with a fever who is measured three times is no cluster.
        is_new = ~(is_positive & self._met.again(at, passage))
        self._met.meet(at[is_new & is_positive], passage[is_new & is_positive])
        _count(self._minute, self._minute_count, at[is_new], minute[is_new], is_positive[is_new])
        _count(self._hour, self._hour_count, at[is_new], hour[is_new], is_positive[is_new])
        in_window = (self._minute[at] > (minute - _MINUTES)[:, None]) & (self._minute[at] >= 0)
        people, positives = np.where(in_window[:, :, None], self._minute_count[at], 0).sum(axis=1).T
        # Whole hours that ended before the window began.
        last = (minute - _MINUTES + 1) // 60
        in_week = (self._hour[at] < last[:, None]) & (self._hour[at] >= (hour - _HOURS)[:, None])
        people_before, positives_before = np.where(in_week[:, :, None], self._hour_count[at], 0).sum(axis=1).T
        share = (positives_before + _PRIOR_SHARE * _PRIOR_PEOPLE) / (people_before + _PRIOR_PEOPLE)
        signal = np.where(positives >= self._rule.positives_min, rarity(people, positives, share), 0.0)
        return np.where(self._has_moved(at, time_ms, value, is_new), np.nan, signal)

    def _has_moved(self, at: Indexes, time_ms: Times, value: Floats, is_new: Masks) -> Masks:
        """Whether the crowd, seen from below, lies higher than it did; learns whoever is new."""
        shift_in(self._people, at[is_new], value[is_new])
        self._count[at[is_new]] += 1
        people, count = self._people[at], np.minimum(self._count[at], _CROWD)
        now = quantile(np.sort(people[:, -_NOW:], axis=1), np.minimum(count, _NOW), _LOW)
        before_count = np.maximum(count - _NOW, 0)
        before = quantile(np.sort(people[:, :-_NOW], axis=1), before_count, _LOW)
        before = np.where(before_count >= _BEFORE_MIN, before, np.nan)
        usual = self._same_hour.usual(at, time_ms, _DAYS_MIN)
        usual = np.where(np.isnan(usual), self._same_hour.of_week(at, time_ms), usual)
        reference = np.where(np.isnan(usual), before, usual)
        is_sure = count >= _NOW
        moved: Masks = is_sure & (np.round(now - reference, 6) > self._rule.shift_c)  # False where it is NaN
        self._same_hour.say(at, time_ms, np.where(is_sure & ~moved, now, np.nan))
        return moved


def _count(
    place_of: NDArray[np.int64], count: NDArray[np.int64], at: Indexes, when: NDArray[np.int64], is_positive: Masks
) -> None:
    """Count one person each in rings of minutes or hours."""
    place = when % place_of.shape[1]
    is_new = place_of[at, place] != when
    place_of[at, place] = when
    before = np.where(is_new[:, None], 0, count[at, place])
    count[at, place] = before + np.stack([np.ones(len(at), np.int64), is_positive.astype(np.int64)], axis=1)


def rarity(people: Indexes, positives: Indexes, share: Floats) -> Floats:
    """-log10 of the chance of so many positives or more, (K,).

    Args:
        people, positives: (K,) how many there were, positives no more than people.
        share: (K,) of positives, above 0 and below 1.
    """
    if not len(people):
        return np.empty(0)
    most = int(people.max())
    log_factorial = np.append(0.0, np.cumsum(np.log(np.arange(1, most + 1))))
    k = np.arange(most + 1)  # (n,)
    n = people[:, None]
    left = np.maximum(n - k, 0)
    log_chance = log_factorial[n] - log_factorial[k] - log_factorial[left]
    log_chance = log_chance + k * np.log(share)[:, None] + left * np.log1p(-share)[:, None]
    log_chance = np.where((k >= positives[:, None]) & (k <= n), log_chance, -np.inf)
    highest = log_chance.max(axis=1)
    tail = highest + np.log(np.exp(log_chance - highest[:, None]).sum(axis=1))
    rare: Floats = -np.minimum(tail, 0.0) / np.log(10)
    return rare
