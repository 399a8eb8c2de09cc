"""Is a scanner itself well? Its crowd beside its own crowd of other days, and beside the other lanes' of its gate.

*Shift* is the median of the last 50 people within two hours less what that median was at the same hour of the last seven
days (the median over the days). Weather, clothes and a morning's run shift all lanes of a gate alike, so the signal is the
smaller of |shift| and |shift - the median shift of the other lanes|: how far this scanner has moved both by itself and
beside the others. Five identical values in a row are infinitely far: a scanner that has frozen shows nobody; and so are 20
readings in a row that are no result, for then nobody's fever would be seen. Where a reference body hangs in its view, what
it last showed off its set temperature counts too, and the largest wins.

Source: reference/alarms.md §4.1, F6. Axes: N readings, V watched series (lanes and their reference bodies), K lanes in a
round, P other lanes of a gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.crowd import SameHour
from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Rows, Signals, Watch
from alerts.detectors.lookup import Laid, Lookup
from alerts.detectors.rings import quantile, shift_in
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.catalogue import MetricName
from telemetry.segments import rounds

_REMEMBERED = 8  # readings of others


class ScannerHealthRule(LevelledRule):
    """How far a scanner has moved, in degC: limits are about that."""

    shown: ClassVar[Shown | None] = Shown("The scanner has moved by", "测温仪偏移", "°C", 2)

    type: Literal["scanner-health"]
    looks_beside: ClassVar[bool] = True
    people: int = Field(default=50, ge=10, le=500)  # of whom the median is taken
    people_min: int = Field(default=20, ge=5)
    age_max_s: float = Field(default=7200.0, gt=0)  # of those people, and of what other lanes say
    days_min: int = Field(default=3, ge=1, le=7)  # of the same hour that must be known
    identical: int = Field(default=5, ge=3, le=50)  # values in a row that say it is frozen
    no_result: int = Field(default=20, ge=3, le=10_000)  # readings in a row without one that say it measures nobody
    measure_c: tuple[float, float] = (34.0, 42.0)  # outside it there is no result
    blackbody_metric: MetricName = "blackbody_temperature"  # of the same device
    blackbody_c: float | None = None  # what the reference body is set to; not looked at when not given


def scanner_health_detector(rule: ScannerHealthRule, concerned: Indexes, world: World) -> ScannerHealthDetector:
    """How far each scanner has moved."""
    bodies = world.beside(concerned, rule.blackbody_metric)
    if rule.blackbody_c is None:
        bodies = np.full(len(concerned), -1, np.intp)
    return ScannerHealthDetector(rule, concerned, world.neighbours(concerned), bodies, world.series_count)


class ScannerHealthDetector:
    """The last people at each lane, and what this hour was like on other days.

    Args:
        lanes: (L,) series of temperatures.
        others: Of each lane, the series of the others at its gate.
        bodies: (L,) series of the reference body in each scanner's view; -1 for none.
    """

    def __init__(
        self, rule: ScannerHealthRule, lanes: Indexes, others: list[Indexes], bodies: Indexes, series_count: int
    ) -> None:
        watched = np.concatenate([lanes, np.setdiff1d(bodies[bodies >= 0], lanes)]).astype(np.intp)
        self._rule = rule
        self._watch = Watch(watched, series_count)
        self._lanes = Watch(lanes, series_count)
        self._said = Lookup(watched, _REMEMBERED, series_count)
        self._age_max_ms = round(rule.age_max_s * 1000)
        place = np.full(series_count + 1, -1)
        place[watched] = np.arange(len(watched))
        self._body: Indexes = place[bodies]
        self._others: Indexes = np.full((len(lanes), max(map(len, others), default=0)), -1)  # (L, P)
        for lane, of in enumerate(others):
            self._others[lane, : len(of)] = place[of]
        v = len(watched)
        self._same_hour = SameHour(v)
        self._people_ms: Times = np.full((v, rule.people), UNSET_MS, np.int64)
        self._people: Floats = np.full((v, rule.people), np.inf)
        self._no_result = np.zeros(v, np.int64)  # readings in a row

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {
            "people_ms": self._people_ms,
            "people": self._people,
            "no_result": self._no_result,
            "said_ms": self._said.time_ms,
            "said": self._said.value,
        }
        return {**self._same_hour.columns, **own}

    def push(self, rows: Rows) -> Signals:
        low, high = self._rule.measure_c
        chosen, lane = self._lanes.of(rows)
        measured = (rows.value[chosen] >= low) & (rows.value[chosen] <= high)
        shift, is_lost = np.full(len(chosen), np.nan), np.empty(len(chosen), np.bool_)
        for now in rounds(lane):
            self._no_result[lane[now]] = np.where(measured[now], 0, self._no_result[lane[now]] + 1)
            is_lost[now] = self._no_result[lane[now]] >= self._rule.no_result
            now = now[measured[now]]
            shift[now], is_lost[now] = self._meet(lane[now], rows.time_ms[chosen[now]], rows.value[chosen[now]])
        says = rows.value.copy()
        says[chosen] = shift
        # Whoever was not measured, or is too few, says nothing of the scanner: what it said before holds.
        laid = self._said.push(_rows_of(replace(rows, value=says), ~np.isnan(says)))
        if not len(chosen):
            return NO_SIGNALS
        common = self._common(laid, lane, rows, chosen)
        moved = np.where(np.isnan(common), np.abs(shift), np.minimum(np.abs(shift), np.abs(shift - common)))
        if self._rule.blackbody_c is not None:
            # However long ago: a body that is not heard any more does not make the scanner well.
            body = laid.at(self._body[lane], rows.time_ms[chosen], rows.arrival[chosen]).value
            moved = np.fmax(moved, np.abs(body - self._rule.blackbody_c))
        moved = np.where(is_lost, np.inf, moved.round(6))  # 0.3 is 0.3, however it was subtracted
        told = ~np.isnan(moved) & (measured | is_lost)
        return Signals(chosen[told], moved[told])

    def _meet(self, at: Indexes, time_ms: Times, value: Floats) -> tuple[Floats, Masks]:
        """One person at each of some lanes: (the shift or NaN, whether the last values are all the same), (K,)."""
        rule = self._rule
        shift_in(self._people_ms, at, time_ms)
        shift_in(self._people, at, value)
        is_recent = self._people_ms[at] >= (time_ms - self._age_max_ms)[:, None]
        count = is_recent.sum(axis=1)
        people = np.sort(np.where(is_recent, self._people[at], np.inf), axis=1)
        middle = np.where(count >= rule.people_min, quantile(people, count, 0.5), np.nan)
        shift = middle - self._same_hour.usual(at, time_ms, rule.days_min)
        self._same_hour.say(at, time_ms, middle)
        last = self._people[at, -rule.identical :]
        frozen: Masks = (last == last[:, -1:]).all(axis=1)
        return shift, frozen

    def _common(self, laid: Laid, lane: Indexes, rows: Rows, chosen: Indexes) -> Floats:
        """The median shift of the other lanes when each reading came, (N,); NaN where nobody knows."""
        said = np.array([self._fresh(laid, of[lane], rows, chosen) for of in self._others.T])
        if not len(said):
            return np.full(len(chosen), np.nan)
        ranked = np.sort(np.where(np.isnan(said.T), np.inf, said.T), axis=1)
        return quantile(ranked, np.isfinite(ranked).sum(axis=1), 0.5)

    def _fresh(self, laid: Laid, position: Indexes, rows: Rows, chosen: Indexes) -> Floats:
        said = laid.at(position, rows.time_ms[chosen], rows.arrival[chosen])
        known = (said.time_ms != UNSET_MS) & (rows.time_ms[chosen] - said.time_ms <= self._age_max_ms)
        return np.where(known, said.value, np.nan)


def _rows_of(rows: Rows, which: Masks) -> Rows:
    """Some of the rows, (N,)."""
    return Rows(
        rows.series[which],
        rows.time_ms[which],
        rows.value[which],
        rows.good[which],
        rows.arrival[which],
        rows.first[which],
    )
