"""A person's temperature, made comparable with 37.3 and 38.0 degC whatever the scanner and the weather do to it.

Two judgements are made into one number. The *absolute* one is the reading itself, in a body-equivalent scale: a scanner that
shows surface temperature is brought to it by its site's cut-off. The *adaptive* one asks how far a person stands out of the
others at the same lane: 37.3 means by max(1.0 degC, 2.7 s). Between 16 and 32 degC ambient the higher of the two counts,
outside only the adaptive one, for then the surface of the body says little about its inside.

What people at a lane are like is known three times. *Recent* are the last 30 who were accepted within two hours; their
trimmed mean moves by 0.1 degC in 10 minutes at most, and those who alarmed are not among them. After a pause nothing is
recent, and until there are ten again what this hour was like *in the last seven days* stands in. The *crowd* are the last 60
of whatever day, alarmed or not, looked at from below (the 35th of 100): a third of them may have fever and hardly move it.
Where the crowd since the last pause has left the recent centre by more than 0.3 degC, the scanner has moved and not the
people, and the crowd's centre counts at once. The absolute judgement too is corrected by what the crowd lies off
`normal_c`: not up to 0.3 degC, wholly from 0.6 on, and by at most `drift_max_c`.

Why not simply subtract a trailing median: people with fever come in clusters, and hide themselves in it.

Source: reference/alarms.md §4.1, F1-F4. Axes: V watched series (lanes and their ambient temperatures), K lanes in a round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.crowd import Met
from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Passages, Rows, Signals, Watch
from alerts.detectors.lookup import Lookup
from alerts.detectors.rings import quantile, shift_in, trimmed_mean
from alerts.rule import LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.segments import rounds

CUT_OFFS_C: Mapping[str, float] = {"forehead": 36.65, "temple": 36.65, "wrist": 36.75, "neck": 37.35}
"""Surface temperature where axillary fever begins, n = 904 (doi 10.2147/RMHP.S357567)."""

_FEVER_C = 37.3
_HOUR_MS = 3_600_000
_HOURS_KEPT = 192  # a week back, beside today
_CROWD = 240  # people, for how much they differ
_CROWD_NOW = 60  # of whom the last are what they are like
_CROWD_MIN = 5
_CROWD_SURE = 30  # since the last pause, to overrule what is recent
_LOW = 0.35
_LOW_IN_DEVIATIONS = 0.385  # so far below the middle lies the 35th of 100 of a normal distribution
_TRIM = 0.2
_MAD_TO_DEVIATION = 1.4826
_SHIFTED_C = 0.3
_AMBIENT_REMEMBERED = 16
_MET = 64  # people, of whom one who is measured again is known


class FeverRule(LevelledRule):
    """A person whose temperature is too high, by itself or among the others at the lane. One alarm a person."""

    shown: ClassVar[Shown | None] = Shown("Judged as body temperature", "折算体温", "°C", 1)

    type: Literal["fever"]
    looks_beside: ClassVar[bool] = True
    mode: Literal["body", "surface"] = "body"  # what the scanner shows
    site: Literal["forehead", "temple", "wrist", "neck"] | None = None  # where it looks, in surface mode
    cut_offs_c: dict[str, float] = Field(default_factory=dict)  # own cut-offs by site, in place of the table
    normal_c: float = 36.5  # body-equivalent, of most people
    drift_max_c: tuple[float, float] = (2.0, 1.0)  # the absolute judgement follows a moved scanner so far down and up
    people: int = Field(default=30, ge=10, le=200)
    people_min: int = Field(default=10, ge=5, le=200)
    age_max_s: float = Field(default=7200.0, gt=0)
    idle_reset_s: float = Field(default=3600.0, gt=0)
    offset_c: float = Field(default=1.0, gt=0)
    deviations: float = Field(default=2.7, gt=0)
    slew_c_per_10_min: float = Field(default=0.1, gt=0)
    ambient_metric: str = "ambient_temperature"
    ambient_c: tuple[float, float] = (16.0, 32.0)  # where the absolute judgement counts
    ambient_per_c: float = Field(default=0.0, ge=0, le=1)  # what a reading rises by with each degC of ambient
    measure_c: tuple[float, float] = (34.0, 42.0)  # outside it there is no result: measure again

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if any(level.at_least is None for level in self.levels):
            raise ValueError("fever is too high: give 'at_least'")
        if self.mode == "surface" and (self.site is None or self.site not in {**CUT_OFFS_C, **self.cut_offs_c}):
            raise ValueError(f"in surface mode give 'site', one of {', '.join(CUT_OFFS_C)}")
        return self

    @property
    def is_per_passage(self) -> bool:
        return True

    @property
    def to_body_c(self) -> float:
        """What makes a reading body-equivalent."""
        if self.mode == "body" or self.site is None:
            return 0.0
        return _FEVER_C - {**CUT_OFFS_C, **self.cut_offs_c}[self.site]


def fever_detector(rule: FeverRule, concerned: Indexes, world: World) -> FeverDetector:
    """Each person's body-equivalent temperature."""
    return FeverDetector(rule, concerned, world.beside(concerned, rule.ambient_metric), world.series_count)


class FeverDetector:
    """What is known of the people at each lane.

    Args:
        lanes: (L,) series of temperatures.
        ambient: (L,) series of the ambient temperature beside each; -1 for none.
    """

    def __init__(self, rule: FeverRule, lanes: Indexes, ambient: Indexes, series_count: int) -> None:
        watched = np.unique(np.concatenate([lanes, ambient[ambient >= 0]])).astype(np.intp)
        self._rule = rule
        self._alarmed_from_c = min(level.limit for level in rule.levels)
        self._watch = Watch(watched, series_count)
        self._lanes = Watch(lanes, series_count)
        self._ambient = Lookup(watched, _AMBIENT_REMEMBERED, series_count)
        place = {series: at for at, series in enumerate(watched.tolist())}
        self._at = np.array([place[lane] for lane in lanes.tolist()], np.intp)
        self._beside = np.array([place.get(series, -1) for series in ambient.tolist()], np.intp)
        v = len(watched)
        self._met = Met(v, _MET)
        self._columns: dict[str, NDArray[Any]] = {
            "recent_ms": np.full((v, rule.people), UNSET_MS, np.int64),
            "recent": np.full((v, rule.people), np.inf),
            "crowd_ms": np.full((v, _CROWD), UNSET_MS, np.int64),
            "crowd": np.full((v, _CROWD), np.inf),
            "reset_ms": np.full(v, UNSET_MS, np.int64),
            "centre": np.full(v, np.nan),
            "centre_ms": np.full(v, UNSET_MS, np.int64),
            "hour": np.full((v, _HOURS_KEPT), -1, np.int64),  # since 1970; its place is its remainder
            "hour_sum": np.zeros((v, _HOURS_KEPT)),
            "hour_count": np.zeros((v, _HOURS_KEPT), np.int64),
            "ambient_ms": self._ambient.time_ms,
            "ambient": self._ambient.value,
            **self._met.columns,
        }

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return self._columns

    def push(self, rows: Rows) -> Signals:
        laid = self._ambient.push(rows)
        chosen, lane = self._lanes.of(rows)
        low, high = self._rule.measure_c
        measured = (rows.value[chosen] >= low) & (rows.value[chosen] <= high)
        chosen, lane = chosen[measured], lane[measured]
        if not len(chosen):
            return NO_SIGNALS
        time_ms, arrival = rows.time_ms[chosen], rows.arrival[chosen]
        ambient = laid.at(self._beside[lane], time_ms, arrival)
        fresh = (ambient.time_ms != UNSET_MS) & (time_ms - ambient.time_ms <= _HOUR_MS)
        coldest, warmest = self._rule.ambient_c
        # Not to know how warm it is takes nothing away from the absolute judgement.
        trusted = ~fresh | ((ambient.value >= coldest) & (ambient.value <= warmest))
        # As it would be shown in the middle of that range.
        warmer = np.clip(ambient.value, coldest, warmest) - (coldest + warmest) / 2
        value = rows.value[chosen] - self._rule.ambient_per_c * np.where(fresh, warmer, 0.0)
        late = np.zeros(len(chosen), np.bool_) if rows.late is None else rows.late[chosen]
        passage = np.zeros(len(chosen), np.uint64) if rows.passage is None else rows.passage[chosen]
        signal = np.empty(len(chosen))
        for now in rounds(lane):
            at = self._at[lane[now]]
            signal[now] = self._judge(at, time_ms[now], value[now], trusted[now], late[now], passage[now])
        return Signals(chosen, signal)

    def _judge(
        self, at: Indexes, time_ms: Times, value: Floats, trusted: Masks, late: Masks, passage: Passages
    ) -> Floats:
        """One person at each of some lanes, (K,): judge them, then learn from those who came in order, and once from each."""
        rule, own = self._rule, self._columns
        idle = ~late & (time_ms - np.maximum(own["crowd_ms"][at, -1], 0) > rule.idle_reset_s * 1000)
        own["reset_ms"][at] = np.where(idle, time_ms, own["reset_ms"][at])
        own["centre"][at] = np.where(idle, np.nan, own["centre"][at])
        crowd = _crowd(own["crowd"][at], own["crowd_ms"][at], own["reset_ms"][at])
        centre, spread = self._centre(at, time_ms, crowd, late)
        offset = np.maximum(rule.offset_c, rule.deviations * np.nan_to_num(spread))
        adaptive = _FEVER_C + value - centre - offset
        drift = crowd.centre - (rule.normal_c - rule.to_body_c)
        # Nothing up to 0.3 degC, all from 0.6 on, so that no hair's breadth decides on 0.3 degC.
        drift *= np.clip(np.abs(drift) / _SHIFTED_C - 1, 0.0, 1.0)
        down, up = rule.drift_max_c
        drift = np.clip(drift, -down, up)
        absolute = value + rule.to_body_c - np.nan_to_num(drift)
        # Where nothing is known of others yet, the absolute judgement is better than none.
        counts = trusted | np.isnan(adaptive)
        signal: Floats = np.fmax(adaptive, np.where(counts, absolute, -np.inf))
        signal = signal.round(6)  # 37.3 is 37.3, in whatever order a mean was summed
        learned = ~late & ~self._met.again(at, passage)
        self._met.meet(at[learned], passage[learned])
        self._learn(at[learned], time_ms[learned], value[learned], (signal >= self._alarmed_from_c)[learned])
        return signal

    def _centre(self, at: Indexes, time_ms: Times, crowd: _Crowd, late: Masks) -> tuple[Floats, Floats]:
        """What most people at each lane show now and how much they differ, (K,); NaN where nobody knows."""
        rule, own = self._rule, self._columns
        recent_ms = own["recent_ms"][at]
        since_ms = np.maximum(own["reset_ms"][at], time_ms - round(rule.age_max_s * 1000))
        recent = np.sort(np.where(recent_ms >= since_ms[:, None], own["recent"][at], np.inf), axis=1)
        count = np.isfinite(recent).sum(axis=1)
        away = np.sort(np.abs(recent - quantile(recent, count, 0.5)[:, None]), axis=1)
        is_recent = count >= rule.people_min
        before = self._same_hour(at, time_ms)
        last, last_ms = own["centre"][at], own["centre_ms"][at]
        start = np.where(np.isnan(last), before, last)
        start_ms = np.where(np.isnan(last), own["reset_ms"][at], last_ms)
        slew = rule.slew_c_per_10_min * np.maximum(time_ms - start_ms, 0) / 600_000.0
        mean = trimmed_mean(recent, count, _TRIM)
        centre = np.where(np.isnan(start), mean, np.clip(mean, start - slew, start + slew))
        centre = crowd.corrected(centre)
        is_kept = is_recent & ~late
        own["centre"][at] = np.where(is_kept, centre, last)
        own["centre_ms"][at] = np.where(is_kept, time_ms, last_ms)
        # Where so many alarm that few are accepted, what this hour was like before the scanner moved must not stand for ever.
        by_then = np.where(np.isnan(before), crowd.centre, crowd.corrected(before))
        return (
            np.where(is_recent, centre, by_then),
            np.where(is_recent, _MAD_TO_DEVIATION * quantile(away, count, 0.5), crowd.spread),
        )

    def _same_hour(self, at: Indexes, time_ms: Times) -> Floats:
        """The mean of this hour of the day in the last seven days; NaN where too few people came."""
        own = self._columns
        hours = (time_ms // _HOUR_MS)[:, None] - 24 * np.arange(1, 8)  # (K, 7)
        place = hours % _HOURS_KEPT
        is_known = own["hour"][at[:, None], place] == hours
        count = np.where(is_known, own["hour_count"][at[:, None], place], 0).sum(axis=1)
        total = np.where(is_known, own["hour_sum"][at[:, None], place], 0.0).sum(axis=1)
        mean: Floats = total / np.maximum(count, 1)
        return np.where(count >= self._rule.people_min, mean, np.nan)

    def _learn(self, at: Indexes, time_ms: Times, value: Floats, alarmed: Masks) -> None:
        own = self._columns
        shift_in(own["crowd_ms"], at, time_ms)
        shift_in(own["crowd"], at, value)
        at, time_ms, value = at[~alarmed], time_ms[~alarmed], value[~alarmed]
        shift_in(own["recent_ms"], at, time_ms)
        shift_in(own["recent"], at, value)
        hour = time_ms // _HOUR_MS
        place = hour % _HOURS_KEPT
        is_new = own["hour"][at, place] != hour
        own["hour"][at, place] = hour
        own["hour_sum"][at, place] = np.where(is_new, 0.0, own["hour_sum"][at, place]) + value
        own["hour_count"][at, place] = np.where(is_new, 0, own["hour_count"][at, place]) + 1


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The last people at each lane, seen from below, (K,)."""

    count: Indexes
    since_reset: Indexes  # of them
    centre: Floats  # NaN for too few
    spread: Floats  # of one standard deviation

    def corrected(self, centre: Floats) -> Floats:
        """Centres, (K,); the crowd's own where enough of it since the last pause lies too far off."""
        has_moved = (self.since_reset >= _CROWD_SURE) & (np.round(np.abs(centre - self.centre), 6) > _SHIFTED_C)
        return np.where(has_moved, self.centre, centre)


def _crowd(values: Floats, times_ms: Times, reset_ms: Times) -> _Crowd:
    known = times_ms != UNSET_MS
    count = known.sum(axis=1)
    # How much neighbours in the line differ says how much people do, whatever the scanner has done meanwhile.
    apart = np.abs(np.diff(np.where(known, values, 0.0), axis=1))
    apart = np.sort(np.where(known[:, :-1], apart, np.inf), axis=1)
    spread = _MAD_TO_DEVIATION / np.sqrt(2) * quantile(apart, np.maximum(count - 1, 0), 0.5)
    now = np.sort(values[:, -_CROWD_NOW:], axis=1)
    centre = quantile(now, np.minimum(count, _CROWD_NOW), _LOW) + _LOW_IN_DEVIATIONS * spread
    enough = count >= _CROWD_MIN
    since_reset = (times_ms >= reset_ms[:, None]) & known
    return _Crowd(count, since_reset.sum(axis=1), np.where(enough, centre, np.nan), np.where(enough, spread, np.nan))
