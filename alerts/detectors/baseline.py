"""What is usual at this hour of the week, learned over weeks, and how far an hour is from it.

An hour's value is the mean of its readings, or, of a register, what it added. It is judged when the next hour's first
reading comes, against the same hour of the last `weeks` weeks: distance from their median in robust standard deviations, 0
where the distance is less than `least_distance`. Where fewer than `weeks_min` are known, all days at this hour are compared
with; where that is too few too, nothing is said. Days that are declared holidays count as Sundays, those that are worked to
make up for one as Mondays. An hour that reaches the lowest limit is not learned, so that a fault does not become the usual.

Axes: m readings of one round, V watched series, 168 hours of a week (0 is Monday's first, local time), W weeks.
Source: reference/alarms.md §4.3, M9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.detector import UNSET_MS, Rows
from alerts.detectors.registers import HOUR_MS, RegisterRule, Registers
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times
from telemetry.errors import BadConfiguration

_SIGMAS = 1.4826  # standard deviations in a median absolute deviation, of a normal distribution
_WEEK_H, _DAY_H = 168, 24
_MONDAY_H = 72  # hours from the first Monday before 1970 to its first day, a Thursday
_SUNDAY_H = 144
_POOL_MIN = 7  # values at the same hour of any day
_UNTIL_GAP_MS = 3 * HOUR_MS // 2  # what a register adds over longer is no one hour's
_MISSED_MS = HOUR_MS // 4  # of an hour that begins after a gap; what a register adds in the rest is no hour's


class BaselineRule(RegisterRule):
    """An hour unlike the same hour of other weeks: limits are robust standard deviations."""

    type: Literal["baseline"]
    shown: ClassVar[Shown | None] = Shown(
        "Distance from the usual at this hour", "偏离该时段常态（标准差倍数）", "σ", 1
    )
    least: float = Field(gt=0)  # added to the standard deviation, in the unit of an hour's value
    least_distance: float = Field(default=0.0, ge=0)  # from the median, in that unit; nearer is never unusual
    weeks: int = Field(default=8, ge=2, le=26)
    weeks_min: int = Field(default=4, ge=2)
    side: Literal["both", "high", "low"] = "both"
    holidays: tuple[date, ...] = ()
    workdays: tuple[date, ...] = ()  # worked to make up for a holiday

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        both = sorted(set(self.holidays) & set(self.workdays))
        if both:
            raise ValueError(f"{both[0]} is among 'holidays' and among 'workdays'")
        return self


def baseline_detector(rule: BaselineRule, concerned: Indexes, world: World) -> BaselineDetector:
    """How far each hour is from the usual."""
    return BaselineDetector(rule, concerned, world)


class BaselineDetector(RoundsDetector):
    """The hour that runs, and the same hour of other weeks, of each series."""

    good_only = True

    def __init__(self, rule: BaselineRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._rule = rule
        metrics = [world.metric(series) for series in concerned.tolist()]
        registers = {metric is not None and metric.counter for metric in metrics}
        if len(registers) > 1:
            raise BadConfiguration(
                f"rule '{rule.id}' concerns registers and others, among them device "
                f"'{world.registry.names[int(concerned[0])][0]}': make two rules of it with 'kinds' or 'devices'"
            )
        self._registers = Registers(rule, concerned, world) if registers == {True} else None
        self._zones = [world.zone(series) for series in concerned.tolist()]
        self._holidays, self._workdays = (
            np.array([(day - date(1970, 1, 1)).days for day in days], np.int64)
            for days in (rule.holidays, rule.workdays)
        )
        self._ordinary = world.lowest_limits(rule, concerned)
        self._hour: Times = np.full(len(concerned), UNSET_MS, np.int64)  # since 1970, local
        self._sum = np.zeros(len(concerned))
        self._count = np.zeros(len(concerned), np.int32)  # readings in it; below 0 where it is unknown
        self._known = np.full((len(concerned), _WEEK_H, rule.weeks), np.nan, np.float32)  # oldest first

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {
            "hour": self._hour,
            "sum": self._sum,
            "count": self._count,
            "known": self._known,
        }
        return own if self._registers is None else {**self._registers.columns, **own}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        """The local time of each reading, exact in a float."""
        return local_ms(self._zones, position, rows.time_ms[chosen]).astype(np.float64)

    def _step(self, now: Round) -> Floats:
        at = now.at
        assert now.beside is not None
        local = now.beside.astype(np.int64)
        hour = local // HOUR_MS
        is_cut = np.zeros(len(at), np.bool_)
        if self._registers is not None:
            steps = self._registers.take(now)
            # What was added since the reading before belongs to the hour in which that reading was.
            known = ~np.isnan(steps.amount) & (now.time_ms - steps.before_ms <= _UNTIL_GAP_MS)
            self._sum[at] += np.where(known, steps.amount, 0.0)
            self._count[at] = np.where(known & (self._count[at] >= 0), self._count[at] + 1, -1)
            is_cut = ~known & (local % HOUR_MS > _MISSED_MS)
        ends = (self._hour[at] != UNSET_MS) & (hour != self._hour[at])
        signal = np.full(len(at), np.nan)
        whole = ends & (self._count[at] > 0)
        signal[whole] = self._judge(at[whole])
        begins = ends | (self._hour[at] == UNSET_MS)
        begun = at[begins]
        self._sum[begun], self._count[begun] = 0.0, np.where(is_cut[begins], -1, 0)
        self._hour[at] = hour
        if self._registers is None:
            self._sum[at] += now.value
            self._count[at] += 1
        return signal

    def _judge(self, at: Indexes) -> Floats:
        """Signals of the hours that end, which are learned unless they are unusual."""
        value = self._sum[at] if self._registers is not None else self._sum[at] / self._count[at]
        hour = self._hour[at]
        day, of_day_h = hour // _DAY_H, hour % _DAY_H
        bin_h = np.where(np.isin(day, self._workdays), of_day_h, (hour + _MONDAY_H) % _WEEK_H)
        bin_h = np.where(np.isin(day, self._holidays), _SUNDAY_H + of_day_h, bin_h)
        same = self._known[at, bin_h].astype(np.float64)  # (m, W)
        of_day = (bin_h % _DAY_H)[:, None] + _DAY_H * np.arange(7)  # (m, 7)
        pool = self._known[at[:, None], of_day].reshape(len(at), 7 * self._rule.weeks).astype(np.float64)
        few = (~np.isnan(same)).sum(axis=1) < self._rule.weeks_min
        too_few = few & ((~np.isnan(pool)).sum(axis=1) < _POOL_MIN)
        middle, spread = _middle(same)
        middle_pool, spread_pool = _middle(pool)
        away = value - np.where(few, middle_pool, middle)
        z = away / (_SIGMAS * np.where(few, spread_pool, spread) + self._rule.least)
        sided = {"both": np.abs(z), "high": np.maximum(z, 0.0), "low": np.maximum(-z, 0.0)}[self._rule.side]
        signal = np.where(np.abs(away) < self._rule.least_distance, 0.0, sided)
        learns = too_few | (signal < self._ordinary[at])
        learned, of_week = at[learns], bin_h[learns]
        self._known[learned, of_week, :-1] = self._known[learned, of_week, 1:]
        self._known[learned, of_week, -1] = value[learns]
        return np.where(too_few, np.nan, signal)


def local_ms(zones: Sequence[str], position: Indexes, time_ms: Times) -> Times:
    """Times as a clock on the wall of each series' site shows them, as if it were UTC, (N,)."""
    utc_h = time_ms // HOUR_MS
    found = np.zeros(len(time_ms), np.int64)
    for zone in sorted({zones[at] for at in np.unique(position).tolist()}):
        of = np.array([one == zone for one in zones])[position]
        hours, which = np.unique(utc_h[of], return_inverse=True)
        found[of] = time_ms[of] + np.array([_offset_ms(zone, hour) for hour in hours.tolist()], np.int64)[which]
    return found


def _middle(value: Floats) -> tuple[Floats, Floats]:
    """(median, median absolute deviation) of each row but for its NaNs, (m,); 0 where there is nothing else."""
    count = (~np.isnan(value)).sum(axis=1)
    median = _median(value, count)
    return median, _median(np.abs(value - median[:, None]), count)


def _median(value: Floats, count: Indexes) -> Floats:
    ranked = np.sort(value, axis=1)  # NaN last
    rows = np.arange(len(value))
    found = (ranked[rows, np.maximum(count - 1, 0) // 2] + ranked[rows, np.minimum(count // 2, value.shape[1] - 1)]) / 2
    return np.where(count == 0, 0.0, found)


@lru_cache(maxsize=100_000)
def _offset_ms(zone: str, utc_h: int) -> int:
    """How far local time is ahead in an hour."""
    offset = datetime.fromtimestamp(utc_h * 3600, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)
