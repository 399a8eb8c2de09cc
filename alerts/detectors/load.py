"""A forbidden load: a step up of a room's power that looks like a heater and stays.

A step is told against `base`, the power before it rose. A rise may fall into several readings, because a reading that is a
mean catches the switch on the way, and some heaters pulse; so the base is the lowest of the last few. The step is judged
when it has lasted `sustain_s`: the least power after the reading that rose, less the base, must lie in the band and beside
every allowed appliance; where the room's power factor is known, what the step added must be nearly all real power. It is
over when as large a step goes down, or when what is left is too little to hold the load; not when the power only goes back
to the least that it was with the load on: then something else was switched on and off meanwhile, a kettle beside a heater.

The signal while a load is on is how many were switched on within `count_s`, this one included; 0 when none is on. So the
stages are levels: at least 1, and at least as many as the house allows.

Axes: m readings of one round, V watched series, K switch-ons kept. Source: reference/alarms.md §4.3, M8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.detector import UNSET_MS, Rows
from alerts.detectors.lookup import Lookup
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.catalogue import MetricName

_COUNTED = 8  # switch-ons kept a series
_FACTORS = 4  # power factors remembered a device
_HOLDS = 0.8  # share of a step that must stay while it is judged
_ENDS = 0.7  # share of a step that must go down for it to be over
_BACK = 0.2  # share of what went down, by which the power may miss the least with the load on, and is back there
_LEAST_FACTOR = 0.05  # below it a power factor says nothing about apparent power


class ForbiddenLoadRule(LevelledRule):
    """A heater in a room: limits are how many forbidden loads were switched on within `count_s`, while one is on."""

    type: Literal["forbidden-load"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown(
        "A forbidden load is on; switched on so often in a day", "违规电器开启；当日开启次数", "", 0
    )
    least_w: float = Field(default=450.0, gt=0)  # of the step
    most_w: float = Field(default=3000.0, gt=0)
    allowed_w: tuple[float, ...] = ()  # steps of allowed appliances
    allowed_share: float = Field(default=0.08, ge=0, lt=1)  # and how far from them a step may lie
    rise_readings: int = Field(default=5, ge=1, le=8)  # before a reading, of which the lowest is the base of a step
    sustain_s: float = Field(default=20.0, ge=0)
    least_factor: float = Field(default=0.95, ge=0, le=1)  # of the step's real to its apparent power
    factor_metric: MetricName = "power_factor"  # of the same device; steps are not asked where it has none
    factor_age_max_s: float = Field(default=60.0, gt=0)
    gap_max_s: float = Field(default=300.0, gt=0)  # a rise over a longer pause is no step
    count_s: float = Field(default=86_400.0, gt=0)

    @model_validator(mode="after")
    def _has_a_band(self) -> Self:
        if self.least_w >= self.most_w:
            raise ValueError("'least_w' must lie below 'most_w'")
        return self


def forbidden_load_detector(rule: ForbiddenLoadRule, concerned: Indexes, world: World) -> ForbiddenLoadDetector:
    """How many forbidden loads were switched on, in each room where one is on."""
    return ForbiddenLoadDetector(rule, concerned, world)


class ForbiddenLoadDetector(RoundsDetector):
    """Steps of power, judged when they have lasted."""

    def __init__(self, rule: ForbiddenLoadRule, concerned: Indexes, world: World) -> None:
        factors = world.beside(concerned, rule.factor_metric)
        super().__init__(concerned, world.series_count, factors)
        self._rule = rule
        self._sustain_ms, self._gap_max_ms = round(rule.sustain_s * 1000), round(rule.gap_max_s * 1000)
        self._count_ms, self._age_max_ms = round(rule.count_s * 1000), round(rule.factor_age_max_s * 1000)
        count = len(self.watched)
        self._factors = Lookup(self.watched, _FACTORS, world.series_count)
        where = np.full(world.series_count + 1, -1)
        where[self.watched] = np.arange(count)
        self._factor_of: Indexes = where[factors]  # (concerned,) row of the power factor; -1 for none
        self._last_ms: Times = np.full(count, UNSET_MS, np.int64)
        self._last = np.full((count, rule.rise_readings), np.nan)  # power of the last readings, oldest first
        self._last_va = np.full(
            (count, rule.rise_readings), np.nan
        )  # apparent power with them; NaN where it is not known
        self._rise_ms: Times = np.full(count, UNSET_MS, np.int64)  # of the step that is being judged, or is on
        self._base, self._base_va = np.full(count, np.nan), np.full(count, np.nan)
        self._least = np.full(count, np.nan)  # power since, but for the reading that rose; also while it is on
        self._step_w = np.full(count, np.nan)  # of the load that is on
        self._on_ms: Times = np.full((count, _COUNTED), UNSET_MS, np.int64)  # oldest first

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {
            "factor_ms": self._factors.time_ms,
            "factor": self._factors.value,
            "last_ms": self._last_ms,
            "last": self._last,
            "last_va": self._last_va,
            "rise_ms": self._rise_ms,
            "base": self._base,
            "base_va": self._base_va,
            "least": self._least,
            "step_w": self._step_w,
            "on_ms": self._on_ms,
        }

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        laid = self._factors.push(rows)
        said = laid.at(self._factor_of[position], rows.time_ms[chosen], rows.arrival[chosen])
        is_fresh = (said.time_ms != UNSET_MS) & (rows.time_ms[chosen] - said.time_ms <= self._age_max_ms)
        factor = np.where(is_fresh, np.abs(said.value), np.nan)
        return np.where(factor >= _LEAST_FACTOR, factor, np.nan)

    def _step(self, now: Round) -> Floats:
        at, power = now.at, now.value
        assert now.beside is not None
        va = power / now.beside
        self._forget(at[(self._last_ms[at] == UNSET_MS) | (now.time_ms - self._last_ms[at] > self._gap_max_ms)])
        before = np.fmin.reduce(self._last[at], axis=1)
        is_on = ~np.isnan(self._step_w[at])

        step_w = self._step_w[at]
        fall = np.fmax.reduce(self._last[at], axis=1) - power
        is_back = power >= self._least[at] - _BACK * fall
        ends = is_on & (((fall >= _ENDS * step_w) & ~is_back) | (power < 0.5 * step_w))
        self._leave(at[ends])

        judging = ~is_on & (self._rise_ms[at] != UNSET_MS)
        lasts = judging | (is_on & ~ends)
        self._least[at] = np.where(lasts, np.fmin(self._least[at], power), self._least[at])
        step_w = self._least[at] - self._base[at]
        holds = judging & (power - self._base[at] >= _HOLDS * self._rule.least_w)
        lasted = holds & (now.time_ms - self._rise_ms[at] >= self._sustain_ms)
        begins = lasted & self._is_forbidden(step_w, va - self._base_va[at], power - self._base[at])
        begun = at[begins]
        self._step_w[begun] = step_w[begins]
        self._on_ms[begun, :-1] = self._on_ms[begun, 1:]
        self._on_ms[begun, -1] = self._rise_ms[begun]
        self._leave(at[(judging & ~holds) | (lasted & ~begins)])

        rises = ~is_on & (self._rise_ms[at] == UNSET_MS) & (power - before >= self._rule.least_w)
        self._rise(at[rises], now.time_ms[rises])

        for last, new in ((self._last, power), (self._last_va, va)):
            last[at, :-1] = last[at, 1:]
            last[at, -1] = new
        self._last_ms[at] = now.time_ms
        recent = self._on_ms[at] > (now.time_ms - self._count_ms)[:, None]  # (m, K)
        return np.where(np.isnan(self._step_w[at]), 0.0, np.maximum(recent.sum(axis=1), 1))

    def _is_forbidden(self, step_w: Floats, step_va: Floats, drawn_w: Floats) -> Masks:
        rule = self._rule
        forbidden = (step_w >= rule.least_w) & (step_w <= rule.most_w)
        for allowed in rule.allowed_w:
            forbidden &= np.abs(step_w - allowed) > rule.allowed_share * allowed
        # Apparent powers of two loads add up to no less than the apparent power of both, so this errs towards alarm.
        is_reactive = drawn_w < rule.least_factor * step_va
        return forbidden & ~is_reactive

    def _rise(self, at: Indexes, time_ms: Times) -> None:
        lowest = np.argmin(np.where(np.isnan(self._last[at]), np.inf, self._last[at]), axis=1)
        self._rise_ms[at] = time_ms
        self._base[at], self._base_va[at] = self._last[at, lowest], self._last_va[at, lowest]
        self._least[at] = np.inf  # the reading that rises may have caught the switch on the way

    def _leave(self, at: Indexes) -> None:
        self._rise_ms[at] = UNSET_MS
        self._base[at] = self._base_va[at] = self._least[at] = self._step_w[at] = np.nan

    def _forget(self, at: Indexes) -> None:
        """After a gap nothing before it can be the base of a step; what is on stays on until power says otherwise."""
        self._last[at] = self._last_va[at] = np.nan
        judged = at[np.isnan(self._step_w[at])]
        self._leave(judged)
