"""A drain that stands higher than it ever does at this hour of the week, although it has not rained: a blockage.

What is usual is learned in dry weather: the highest reading of each of the last eight hours of the same place in the week;
of these the second highest is the limit of the usual (with three at least), so that one odd hour does not raise it. The
signal is the level over the usual one. Of what is learned nothing counts for more than 1.25 times the usual: a blockage that
stays for weeks raises it slowly, a busier building is followed.

While it rains, or has rained more than `rain_max_mm` in six hours, nothing can be told of a level that is high: each limit
sees the signal just below itself, which begins no alarm and, within the dead band, ends none. While nobody knows the rain
there is no signal; and what may have fallen in an hour or more in which the gauge was not heard counts as too much, until six
hours have passed.

Source: reference/alarms.md §4.2, D4. Axes: V watched series (levels and rain gauges), K series in a round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Rows, Signals, Watch
from alerts.detectors.lookup import Lookup
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.errors import BadConfiguration
from telemetry.segments import rounds

_HOUR_MS = 3_600_000
_PART_MS = 600_000  # rain is added up in parts of ten minutes
_PARTS = 36  # six hours
_WEEK_H = 168
_WEEKS = 8
_WEEKS_MIN = 3
_LEARNED_MAX = 1.25
_HELD_MS = 600_000  # a rain rate counts for so long at most
_RAIN_REMEMBERED = 16


class BlockageRule(LevelledRule):
    """How many times its usual height a drain stands at in dry weather. Let it last: `raise_after_s` of four hours."""

    shown: ClassVar[Shown | None] = Shown("Times the usual level in dry weather", "旱天水位与常态之比", "", 2)

    type: Literal["blockage"]
    looks_beside: ClassVar[bool] = True
    rain_metric: str = "rain_rate"  # of a gauge of the same site, in mm/h
    rain_max_mm: float = Field(default=1.0, ge=0)  # in six hours
    usual_min: float = Field(default=0.05, gt=0)  # a usual level below this counts as this
    deadband: float = Field(default=0.1, ge=0)
    raise_after_s: float = Field(default=14_400.0, ge=0)


def blockage_detector(rule: BlockageRule, concerned: Indexes, world: World) -> BlockageDetector:
    """Levels over usual ones."""
    gauges = world.at_site(concerned, rule.rain_metric)
    for series, gauge in zip(concerned.tolist(), gauges.tolist(), strict=True):
        if gauge < 0:
            raise BadConfiguration(
                f"rule '{rule.id}' tells a blockage from rain, and no device at the site of "
                f"'{world.registry.names[series][0]}' measures '{rule.rain_metric}': declare a rain gauge there, or "
                "narrow the rule with 'devices'"
            )
    return BlockageDetector(rule, concerned, gauges, world.series_count)


class BlockageDetector:
    """What is usual for each drain, and how much it has rained at each gauge.

    Args:
        drains, gauges: (D,) series of levels, and of the rain that concerns each.
    """

    def __init__(self, rule: BlockageRule, drains: Indexes, gauges: Indexes, series_count: int) -> None:
        watched = np.unique(np.concatenate([drains, gauges])).astype(np.intp)
        self._rule = rule
        self._watch = Watch(watched, series_count)
        self._drains = Watch(drains, series_count)
        self._gauges = Watch(np.unique(gauges), series_count)
        self._rain = Lookup(watched, _RAIN_REMEMBERED, series_count)
        place = {series: at for at, series in enumerate(watched.tolist())}
        self._at = np.array([place[s] for s in drains.tolist()], np.intp)
        self._gauge = np.array([place[s] for s in gauges.tolist()], np.intp)
        self._gauge_at = np.array([place[s] for s in np.unique(gauges).tolist()], np.intp)
        v = len(watched)
        self._columns: dict[str, NDArray[Any]] = {
            "hour": np.full((v, _WEEK_H), -1, np.int64),  # the newest of each place in the week
            "high": np.full((v, _WEEK_H, _WEEKS), -np.inf),  # of dry hours, oldest first
            "part": np.full((v, _PARTS + 1), -1, np.int64),
            "part_mm": np.zeros((v, _PARTS + 1)),
            "rate": np.zeros(v),
            "rate_ms": np.full(v, UNSET_MS, np.int64),
            "rain_ms": self._rain.time_ms,
            "rain_mm": self._rain.value,
        }

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return self._columns

    def push(self, rows: Rows) -> Signals:
        fallen = rows.value.copy()
        of_rain, gauge = self._gauges.of(rows)
        for now in rounds(gauge):
            row = of_rain[now]
            fallen[row] = self._six_hours(self._gauge_at[gauge[now]], rows.time_ms[row], rows.value[row])
        laid = self._rain.push(Rows(rows.series, rows.time_ms, fallen, rows.good, rows.arrival, rows.first))
        chosen, drain = self._drains.of(rows)
        if not len(chosen):
            return NO_SIGNALS
        time_ms = rows.time_ms[chosen]
        rain = laid.at(self._gauge[drain], time_ms, rows.arrival[chosen])
        known = (rain.time_ms != UNSET_MS) & (time_ms - rain.time_ms <= _HOUR_MS)
        chosen, drain, time_ms, mm = chosen[known], drain[known], time_ms[known], rain.value[known]
        signal = np.full(len(chosen), np.nan)
        for now in rounds(drain):
            at, value = self._at[drain[now]], rows.value[chosen[now]]
            signal[now] = self._judge(at, time_ms[now], value, self._is_dry(mm[now]))
        told = ~np.isnan(signal)
        return Signals(chosen[told], signal[told], ends_only=~self._is_dry(mm[told]))

    def _is_dry(self, mm: Floats) -> Masks:
        found: Masks = mm <= self._rule.rain_max_mm
        return found

    def _judge(self, at: Indexes, time_ms: Times, value: Floats, is_dry: Masks) -> Floats:
        own = self._columns
        hour = time_ms // _HOUR_MS
        place = hour % _WEEK_H
        high = own["high"][at, place]  # (K, weeks)
        is_now = own["hour"][at, place] == hour
        before = np.where(is_now[:, None] & (np.arange(_WEEKS) == _WEEKS - 1), -np.inf, high)
        usual = np.where(np.isfinite(before).sum(axis=1) >= _WEEKS_MIN, np.sort(before, axis=1)[:, -2], np.nan)
        usual = np.maximum(usual, self._rule.usual_min)
        ratio: Floats = value / usual
        learned = np.fmin(value, _LEARNED_MAX * usual)
        fresh = np.concatenate([high[:, 1:], learned[:, None]], axis=1)
        same = np.concatenate([high[:, :-1], np.maximum(high[:, -1], learned)[:, None]], axis=1)
        own["high"][at[is_dry], place[is_dry]] = np.where(is_now[:, None], same, fresh)[is_dry]
        own["hour"][at[is_dry], place[is_dry]] = hour[is_dry]
        return ratio

    def _six_hours(self, at: Indexes, time_ms: Times, rate: Floats) -> Floats:
        """What has fallen in the last six hours, in whole parts and this one; infinite where nobody knows."""
        own = self._columns
        known = own["rate_ms"][at] != UNSET_MS
        unheard = ~known | (time_ms - np.where(known, own["rate_ms"][at], time_ms) > _HOUR_MS)
        lasted_ms = np.where(known, np.minimum(time_ms - own["rate_ms"][at], _HELD_MS), 0)
        mm = np.where(unheard, np.inf, own["rate"][at] * lasted_ms / _HOUR_MS)
        part = time_ms // _PART_MS
        place = part % (_PARTS + 1)
        before = np.where(own["part"][at, place] == part, own["part_mm"][at, place], 0.0)
        own["part"][at, place] = part
        own["part_mm"][at, place] = before + mm
        own["rate"][at], own["rate_ms"][at] = rate, time_ms
        recent = own["part"][at] > (part - _PARTS)[:, None]
        fallen: Floats = np.where(recent, own["part_mm"][at], 0.0).sum(axis=1)
        return fallen
