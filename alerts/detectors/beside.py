"""A series judged by what others say at the same moment: a register that stands although power flows, a value unlike its
peers, several conditions at once.

What others say is looked up as it stood when the reading came, no older than `age_max_s`. Axes: N readings, m readings of
one round, V watched series, C conditions, P peers. Source: reference/alarms.md §4 (neighbour consistency, composite) and
§4.3, M3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.detector import UNSET_MS, Rows
from alerts.detectors.lookup import Laid, Lookup
from alerts.detectors.registers import HOUR_MS, RegisterRule, Registers
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import Declared, LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times
from telemetry.catalogue import MetricName, Name
from telemetry.errors import BadConfiguration

_REMEMBERED = 4  # readings of each other series
_SIGMAS = 1.4826  # standard deviations in a median absolute deviation, of a normal distribution


class StuckRule(RegisterRule):
    """A register that stands although it should run: limits are hours of that."""

    type: Literal["stuck"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown(
        "The register stands although it should run, for", "应走字而未走字时长", "h", 1
    )
    while_metric: MetricName  # of the same device
    above: float  # it should run while that metric is above this
    age_max_s: float = Field(default=600.0, gt=0)
    gap_max_s: float = Field(default=7_200.0, gt=0)  # a longer pause is not counted


class PeersRule(LevelledRule):
    """A value unlike those of its peers at the same site: limits are robust standard deviations from their median."""

    type: Literal["peers"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown(
        "Distance from its peers, in standard deviations", "偏离同类测点（标准差倍数）", "σ", 1
    )
    least: float = Field(gt=0)  # a standard deviation is taken to be no less, in the metric's unit
    peers_min: int = Field(default=4, ge=2)  # that have been heard lately; with fewer nothing is said
    age_max_s: float = Field(default=600.0, gt=0)


class Condition(Declared):
    """A limit on a metric of the same device, or of another."""

    metric: MetricName
    device: Name | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either 'at_least' or 'at_most'")
        return self


class CompositeRule(LevelledRule):
    """Several conditions at once: limits are how many hold. All of n: at least n; any: at least 1."""

    type: Literal["composite"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown("Conditions that hold", "满足的条件数", "", 0)
    conditions: tuple[Condition, ...] = Field(min_length=1, max_length=16)
    age_max_s: float = Field(default=600.0, gt=0)


def stuck_detector(rule: StuckRule, concerned: Indexes, world: World) -> StuckDetector:
    """For how long each register has stood although it should run."""
    others = world.beside(concerned, rule.while_metric)
    _must_exist(rule, concerned, others, rule.while_metric, world)
    return StuckDetector(rule, concerned, others, world)


def peers_detector(rule: PeersRule, concerned: Indexes, world: World) -> PeersDetector:
    """How far each series is from its peers."""
    peers = world.peers(concerned)
    for series, of in zip(concerned.tolist(), peers, strict=True):
        if len(of) < rule.peers_min:
            raise BadConfiguration(
                f"rule '{rule.id}' compares device '{world.registry.names[series][0]}' with {len(of)} others at its site, "
                f"and needs {rule.peers_min}: lower 'peers_min', or leave the device out with 'kinds' or 'devices'"
            )
    return PeersDetector(rule, concerned, peers, world)


def composite_detector(rule: CompositeRule, concerned: Indexes, world: World) -> CompositeDetector:
    """How many conditions hold at each reading."""
    others = []
    for condition in rule.conditions:
        if condition.device is None:
            found = world.beside(concerned, condition.metric)
        else:
            series = world.registry.index.get((condition.device, condition.metric), -1)
            found = np.full(len(concerned), series, np.intp)
        _must_exist(rule, concerned, found, condition.metric, world)
        others.append(found)
    return CompositeDetector(rule, concerned, np.array(others, np.intp), world)


def _must_exist(rule: LevelledRule, concerned: Indexes, others: Indexes, metric: str, world: World) -> None:
    for series, other in zip(concerned.tolist(), others.tolist(), strict=True):
        if other < 0:
            raise BadConfiguration(
                f"rule '{rule.id}' looks at '{metric}' beside device '{world.registry.names[series][0]}', and there is "
                "none: name another metric or device, or narrow the rule with 'kinds' or 'devices'"
            )


class BesideDetector(RoundsDetector):
    """What other series said last."""

    def __init__(self, concerned: Indexes, others: Indexes, world: World, age_max_s: float) -> None:
        super().__init__(concerned, world.series_count, np.unique(others))
        self._lookup = Lookup(self.watched, _REMEMBERED, world.series_count)
        where = np.full(world.series_count, -1)
        where[self.watched] = np.arange(len(self.watched))
        self._where: Indexes = where
        self._age_max_ms = round(age_max_s * 1000)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"beside_ms": self._lookup.time_ms, "beside": self._lookup.value}

    def _said(self, laid: Laid, series: Indexes, rows: Rows, chosen: Indexes) -> Floats:
        """What series said when each reading came, (N,); NaN where that is nothing or too old, or there is none (-1)."""
        position = np.where(series >= 0, self._where[series], -1)
        said = laid.at(position, rows.time_ms[chosen], rows.arrival[chosen])
        is_fresh = (said.time_ms != UNSET_MS) & (rows.time_ms[chosen] - said.time_ms <= self._age_max_ms)
        return np.where(is_fresh, said.value, np.nan)


class StuckDetector(BesideDetector):
    """How long each register has stood while another metric was high."""

    good_only = True

    def __init__(self, rule: StuckRule, concerned: Indexes, others: Indexes, world: World) -> None:
        super().__init__(concerned, others, world, rule.age_max_s)
        self._others, self._above = others, rule.above
        self._gap_max_ms = round(rule.gap_max_s * 1000)
        # Rows of the other metric are no registers; they are never taken.
        self._registers = Registers(rule, concerned, world, len(self.watched))
        self._stood_ms: Times = np.zeros(len(self.watched), np.int64)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {**super().columns, **self._registers.columns, "stood_ms": self._stood_ms}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        return self._said(self._lookup.push(rows), self._others[position], rows, chosen)

    def _step(self, now: Round) -> Floats:
        at = now.at
        assert now.beside is not None
        steps = self._registers.take(now)
        stands = np.abs(steps.amount) < 0.5 * self._registers.last_digit[at]
        elapsed_ms = np.where(np.isnan(steps.amount), 0, now.time_ms - steps.before_ms)
        counts = (now.beside > self._above) & (elapsed_ms <= self._gap_max_ms)
        # An unknown step says nothing: neither that it runs nor that it stands.
        kept = np.where(stands | np.isnan(steps.amount), self._stood_ms[at], 0)
        self._stood_ms[at] = kept + np.where(stands & counts, elapsed_ms, 0)
        return np.asarray(self._stood_ms[at] / HOUR_MS)


class PeersDetector(BesideDetector):
    """Nothing but what all said last."""

    def __init__(self, rule: PeersRule, concerned: Indexes, peers: list[Indexes], world: World) -> None:
        super().__init__(concerned, concerned, world, rule.age_max_s)
        self._least, self._peers_min = rule.least, rule.peers_min
        most = max((len(of) for of in peers), default=0)
        self._peers: Indexes = np.full((len(concerned), most), -1)  # (V, P)
        for position, of in enumerate(peers):
            self._peers[position, : len(of)] = of

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        laid = self._lookup.push(rows)
        return np.array([self._said(laid, of, rows, chosen) for of in self._peers[position].T]).T  # (N, P)

    def _step(self, now: Round) -> Floats:
        assert now.beside is not None
        enough = (~np.isnan(now.beside)).sum(axis=1) >= self._peers_min
        found = np.full(len(now.at), np.nan)
        peers = now.beside[enough]
        if len(peers):
            middle = np.nanmedian(peers, axis=1)
            spread = _SIGMAS * np.nanmedian(np.abs(peers - middle[:, None]), axis=1)
            found[enough] = np.abs(now.value[enough] - middle) / np.maximum(spread, self._least)
        return found


class CompositeDetector(BesideDetector):
    """What the other series said last, and how many conditions held by the last signal.

    Of how many hold as many are certain as do, and no more are possible than do or are not known: a signal stays what it was
    as far as it lies in between, so that a series which is not heard any more neither begins an alarm nor ends one.
    """

    def __init__(self, rule: CompositeRule, concerned: Indexes, others: Indexes, world: World) -> None:
        super().__init__(concerned, others.ravel(), world, rule.age_max_s)
        self._rule, self._others = rule, others  # (C, V)
        self._said_last: Floats = np.full(len(self.watched), np.nan)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {**super().columns, "said_last": self._said_last}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        laid = self._lookup.push(rows)
        return np.array([self._said(laid, of[position], rows, chosen) for of in self._others]).T  # (N, C)

    def _step(self, now: Round) -> Floats:
        assert now.beside is not None
        certain = np.zeros(len(now.at))
        for condition, said in zip(self._rule.conditions, now.beside.T, strict=True):
            if condition.at_least is not None:
                certain += said >= condition.at_least
            elif condition.at_most is not None:
                certain += said <= condition.at_most
        unknown = np.isnan(now.beside)
        before = self._said_last[now.at]
        found = np.clip(np.where(np.isnan(before), certain, before), certain, certain + unknown.sum(axis=1))
        # Where nothing is known of any, there is nothing to say: silence is no evidence that all is well.
        found = np.where(unknown.all(axis=1), np.nan, found)
        self._said_last[now.at] = np.where(np.isnan(found), before, found)
        return found
