"""What nights say: the lowest level of a drain over weeks (siltation), and the flow that never stops (night minimum).

A night is `from_h` to `until_h` of local time, and is judged at the first reading after it, once. The time of day comes
from the readings and the site's time zone. Axes: N readings, m readings of one round, V watched series, n nights kept.

*Siltation.* What lies on the bottom lifts the water that always runs: the night's lowest level, dry nights only, rises over
weeks. Dry is what the gauge says all the time: what may have fallen in more than an hour in which it was not heard counts as
rain. The signal is the median of all slopes between two of the last `nights` of them (Theil-Sen), per 30 days; it is a plan
for cleaning, not an alarm at night.

*Night minimum.* The least flow of a register over stretches of `over_s` within the night. Where it lies above the median of
the last 14 nights by 4 MAD and is at least twice as much, the signal is what it lies above the median, for 24 hours; else 0.
Nights that reach the lowest limit are not learned: a leak does not become the usual.

Source: reference/alarms.md §4.3, M6; §4.2; Theil-Sen as in `trend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.baseline import local_ms
from alerts.detectors.beside import BesideDetector
from alerts.detectors.detector import UNSET_MS, Rows, Watch
from alerts.detectors.flow import Stretch
from alerts.detectors.registers import HOUR_MS, RegisterRule, Registers
from alerts.detectors.rings import quantile, shift_in
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.catalogue import MetricName
from telemetry.segments import rounds

_DAY_MS = 24 * HOUR_MS
_NO_NIGHT = -1
_TIMES = 2.0  # the median
_MADS = 4.0
_NIGHTS_LEARNED = 14


class SiltationRule(LevelledRule):
    """The lowest level of dry nights rises: limits are the metric's unit, or a share of the depth, per 30 days."""

    type: Literal["siltation"]
    looks_beside: ClassVar[bool] = True
    # Without a unit: it is the metric's, or none where the limits are shares of the depth.
    shown: ClassVar[Shown | None] = Shown("Dry-night level rises, per 30 days", "旱夜最低水位每30天上升", "", 3)
    relative_to: Literal["depth"] | None = None  # limits are fractions of the drain's depth
    nights: int = Field(default=42, ge=14, le=120)  # that count, at most
    nights_min: int = Field(default=14, ge=5)
    age_days_max: float = Field(default=60.0, gt=0)  # older nights do not count
    from_h: float = Field(default=2.0, ge=0, lt=24)
    until_h: float = Field(default=5.0, gt=0, le=24)
    rain_metric: MetricName = "rain_rate"  # of a gauge of the same site, in mm/h; every night is dry without one
    rain_rate_max: float = Field(default=0.1, ge=0)
    dry_h: float = Field(default=12.0, ge=0)  # without more than that, before a reading counts

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_h >= self.until_h:
            raise ValueError("'from_h' must lie before 'until_h': a night here is between midnight and midnight")
        return self


class NightMinimumRule(RegisterRule):
    """Flow that goes on all night and is new: limits are the metric's unit a day above the usual."""

    type: Literal["night-minimum"]
    # Without a unit: it is the metric's a day, or money where there is a price.
    shown: ClassVar[Shown | None] = Shown("Night flow above the usual, a day", "夜间流量超常，折合每天", "", 2)
    from_h: float = Field(default=2.0, ge=0, lt=24)
    until_h: float = Field(default=5.0, gt=0, le=24)
    over_s: float = Field(default=900.0, gt=0)  # flow is what was added over at least so long
    gap_max_s: float = Field(default=7_200.0, gt=0)  # between readings
    nights_min: int = Field(default=7, ge=3, le=14)  # before anything is said
    least: float = Field(gt=0)  # a day; a usual flow counts as no less
    price: float | None = Field(default=None, gt=0)  # of one unit: limits are then money a day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_h >= self.until_h:
            raise ValueError("'from_h' must lie before 'until_h': a night here is between midnight and midnight")
        return self


def siltation_detector(rule: SiltationRule, concerned: Indexes, world: World) -> SiltationDetector:
    """How fast the dry-night level of each drain rises."""
    return SiltationDetector(rule, concerned, world.at_site(concerned, rule.rain_metric), world)


def night_minimum_detector(rule: NightMinimumRule, concerned: Indexes, world: World) -> NightMinimumDetector:
    """What flows all night more than usual."""
    return NightMinimumDetector(rule, concerned, world)


class Nights:
    """The lowest number of the night that runs, of each series."""

    def __init__(self, rows: int, from_h: float, until_h: float) -> None:
        self.night = np.full(rows, _NO_NIGHT, np.int64)  # since 1970, local
        self.lowest: Floats = np.full(rows, np.inf)
        self._from_ms, self._until_ms = round(from_h * HOUR_MS), round(until_h * HOUR_MS)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"night": self.night, "lowest": self.lowest}

    def is_in(self, local: Times) -> Masks:
        """Whether local times lie in a night; both its ends do."""
        of_day = local % _DAY_MS
        inside: Masks = (of_day >= self._from_ms) & (of_day <= self._until_ms)
        return inside

    def ends(self, at: Indexes, local: Times) -> Masks:
        """Whether a night that anything is known of is over with a reading."""
        over: Masks = (self.night[at] != _NO_NIGHT) & ((self.night[at] != local // _DAY_MS) | ~self.is_in(local))
        return over

    def close(self, at: Indexes) -> tuple[NDArray[np.int64], Floats]:
        """(night, lowest) of nights that are over."""
        night, lowest = self.night[at], self.lowest[at]
        self.night[at], self.lowest[at] = _NO_NIGHT, np.inf
        return night, lowest

    def take(self, at: Indexes, local: Times, value: Floats) -> None:
        """Numbers of the night that runs."""
        self.night[at] = local // _DAY_MS
        self.lowest[at] = np.minimum(self.lowest[at], value)


class SiltationDetector(BesideDetector):
    """The lowest levels of dry nights.

    Args:
        gauges: (D,) series of the rain that concerns each drain; -1 for none.
    """

    good_only = True

    def __init__(self, rule: SiltationRule, concerned: Indexes, gauges: Indexes, world: World) -> None:
        super().__init__(concerned, gauges[gauges >= 0], world, HOUR_MS / 1000)
        self._rule, self._gauges = rule, gauges
        self._rain = Watch(np.unique(gauges[gauges >= 0]).astype(np.intp), world.series_count)
        self._zones = [world.zone(series) for series in concerned.tolist()]
        self._scale = world.scales(rule, concerned)[concerned]
        v = len(self.watched)
        self._nights = Nights(v, rule.from_h, rule.until_h)
        self._wet_ms: Times = np.full(v, UNSET_MS, np.int64)  # of a gauge: until then it was not dry, or nobody knows
        self._day = np.full((v, rule.nights), _NO_NIGHT, np.int64)  # oldest first
        self._low: Floats = np.full((v, rule.nights), np.nan)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {"wet_ms": self._wet_ms, "day": self._day, "low": self._low}
        return {**super().columns, **self._nights.columns, **own}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        wet = self._said(self._lookup.push(self._until_dry(rows)), self._gauges[position], rows, chosen)
        local = local_ms(self._zones, position, rows.time_ms[chosen])
        return np.stack([wet, local.astype(np.float64)], axis=1)  # (N, 2); milliseconds are exact in a float

    def _until_dry(self, rows: Rows) -> Rows:
        """The same rows; those of gauges say until when it was not dry, or nobody knows whether it was."""
        says, heard_ms = rows.value.copy(), self._lookup.time_ms[:, -1].copy()
        chosen, position = self._rain.of(rows)
        gauge = self._where[self._rain.watched[position]]
        for now in rounds(gauge):
            at, row = gauge[now], chosen[now]
            time_ms = rows.time_ms[row]
            known = (heard_ms[at] != UNSET_MS) & (self._wet_ms[at] != UNSET_MS)
            unheard = ~known | (time_ms - np.where(known, heard_ms[at], time_ms) > HOUR_MS)
            wet = unheard | (rows.value[row] > self._rule.rain_rate_max)
            self._wet_ms[at] = np.where(wet, time_ms, self._wet_ms[at])
            heard_ms[at], says[row] = time_ms, self._wet_ms[at]
        return replace(rows, value=says)

    def _step(self, now: Round) -> Floats:
        assert now.beside is not None
        rule, at = self._rule, now.at
        wet_ms, local = now.beside[:, 0], now.beside[:, 1].astype(np.int64)
        signal = np.full(len(at), np.nan)
        over = self._nights.ends(at, local)
        signal[over] = self._judge(at[over])
        # A gauge that is there and says nothing leaves open whether it is dry.
        is_dry = (self._gauges[at] < 0) | (now.time_ms - wet_ms > rule.dry_h * HOUR_MS)
        taken = self._nights.is_in(local) & is_dry
        self._nights.take(at[taken], local[taken], now.value[taken])
        return signal

    def _judge(self, at: Indexes) -> Floats:
        rule = self._rule
        night, lowest = self._nights.close(at)
        shift_in(self._day, at, night)
        shift_in(self._low, at, lowest)
        day, low = self._day[at], self._low[at]
        counts = (day != _NO_NIGHT) & (day >= (night - rule.age_days_max)[:, None])
        earlier, later = np.triu_indices(rule.nights, 1)
        days = np.maximum(day[:, later] - day[:, earlier], 1)  # (m, pairs)
        slope = np.where(counts[:, earlier], (low[:, later] - low[:, earlier]) / days, np.inf)
        pairs = counts[:, earlier].sum(axis=1)
        middle = quantile(np.sort(slope, axis=1), pairs, 0.5)
        enough = counts.sum(axis=1) >= rule.nights_min
        return np.where(enough, 30 * middle / self._scale[at], np.nan)


class NightMinimumDetector(RoundsDetector):
    """Flow in the night, and that of the last 14 usual nights."""

    good_only = True

    def __init__(self, rule: NightMinimumRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._rule = rule
        self._zones = [world.zone(series) for series in concerned.tolist()]
        self._registers = Registers(rule, concerned, world)
        self._stretch = Stretch(len(concerned), "stretch")
        self._nights = Nights(len(concerned), rule.from_h, rule.until_h)
        self._usual: Floats = np.full((len(concerned), _NIGHTS_LEARNED), np.nan)  # a day, oldest first
        self._lowest_limit = world.lowest_limits(rule, concerned)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {"usual": self._usual}
        return {**self._registers.columns, **self._stretch.columns, **self._nights.columns, **own}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        return local_ms(self._zones, position, rows.time_ms[chosen]).astype(np.float64)

    def _step(self, now: Round) -> Floats:
        assert now.beside is not None
        rule, at, local = self._rule, now.at, now.beside.astype(np.int64)
        signal = np.full(len(at), np.nan)
        over = self._nights.ends(at, local)
        signal[over] = self._judge(at[over])
        steps = self._registers.take(now)
        stretch = self._stretch
        inside = self._nights.is_in(local)
        # A stretch begins in the night: at its first reading, after a gap, and where what was added is unknown.
        begun_local = stretch.start_ms[at] + (local - now.time_ms)
        is_same = (stretch.start_ms[at] != UNSET_MS) & self._nights.is_in(begun_local)
        is_same &= begun_local // _DAY_MS == local // _DAY_MS
        broken = ~is_same | np.isnan(steps.amount) | (now.time_ms - steps.before_ms > rule.gap_max_s * 1000)
        grown = stretch.grown[at] + np.where(broken, 0.0, steps.amount)
        elapsed_ms = np.where(broken, 0, now.time_ms - stretch.start_ms[at])
        ends = inside & ~broken & (elapsed_ms >= rule.over_s * 1000)
        self._nights.take(at[ends], local[ends], grown[ends] * _DAY_MS / elapsed_ms[ends])
        stretch.grown[at] = grown
        stretch.begin(at[ends | broken], now.time_ms[ends | broken])
        return signal

    def _judge(self, at: Indexes) -> Floats:
        """What flows a day more than usual, of nights that are over."""
        rule = self._rule
        _, flow = self._nights.close(at)
        usual = np.sort(self._usual[at], axis=1)  # NaN last
        count = (~np.isnan(usual)).sum(axis=1)
        middle = quantile(usual, count, 0.5)
        apart = np.sort(np.abs(usual - middle[:, None]), axis=1)
        unlike = flow > middle + _MADS * quantile(apart, count, 0.5)
        is_new = unlike & (flow >= _TIMES * np.maximum(middle, rule.least))
        known = count >= rule.nights_min
        above = np.where(is_new, flow - middle, 0.0) * (rule.price or 1.0)
        signal = np.where(known, above, np.nan)
        learns = ~(signal >= self._lowest_limit[at])
        shift_in(self._usual, at[learns], flow[learns])
        return signal
