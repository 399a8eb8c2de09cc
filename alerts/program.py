"""Rules made ready to run: every limit of every rule on every series it concerns, as arrays.

Axes: S series, I instances (one limit on one series), V series that a window watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.lifecycle import Limits
from alerts.rules import ForecastRule, Level, LevelRule, RateRule, Rule, Severity, SilenceRule
from telemetry.batch import Floats, Indexes, Times
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration
from telemetry.series import ONLINE, SeriesRegistry


@dataclass(frozen=True, slots=True)
class Feed:
    """Which instances a signal of a series goes to: those of `instances[start[s] : start[s] + count[s]]`."""

    instances: Indexes
    start: Indexes  # (S,)
    count: Indexes  # (S,)


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Series whose last n readings are kept, and the rules that look at them."""

    readings: int
    row: Indexes  # (S,) row in the ring, -1 where not watched
    watched: Indexes  # (V,) series
    span_min_ms: int
    span_max_ms: int
    feed: Feed
    target: Floats | None  # (S,) of a forecast; None for a rate


@dataclass(frozen=True, slots=True)
class PassageLimit:
    """One level of a rule that judges each passage by itself."""

    rule: int
    series: Indexes
    severity: Severity
    sign: int  # 1: at least; -1: at most
    limit: float


@dataclass(frozen=True, slots=True)
class SilencePlan:
    """Series that must be heard from."""

    rule: int
    series: Indexes
    after_ms: int


@dataclass(frozen=True, slots=True)
class Program:
    """All rules over all series."""

    rules: tuple[Rule, ...]
    names: list[tuple[str, str]]  # (S,) (device, metric)
    place: list[str]  # (S,)
    site: list[str]  # (S,)
    rule: Indexes  # (I,)
    series: Indexes  # (I,)
    severity: NDArray[np.uint8]  # (I,)
    sign: Floats  # (I,) 1 or -1: what turns values so that higher is worse
    limits: Limits  # (I,) turned
    hold_max_ms: Times  # (I,)
    by_series: Feed  # every instance of a series, whatever feeds it
    plain: Feed  # instances that look at the value itself
    windows: tuple[WindowPlan, ...]
    passages: tuple[PassageLimit, ...]
    silences: tuple[SilencePlan, ...]
    gateway_online: Indexes  # (S,) the series that says whether the gateway of a series is online; -1 for none
    keys: list[str]  # (I,) what an instance is, independent of numbers: how state survives a change of rules

    def limit(self, instance: int) -> float:
        """The raise limit in the metric's own direction."""
        return float(self.limits.raise_at[instance] * self.sign[instance])


class _Instances:
    """Columns of instances while they are gathered."""

    def __init__(self) -> None:
        self.rule: list[int] = []
        self.series: list[int] = []
        self.severity: list[int] = []
        self.sign: list[float] = []
        self.raise_at: list[float] = []
        self.clear_below: list[float] = []
        self.rows: list[LevelRule | RateRule | ForecastRule] = []

    def add(
        self, number: int, rule: LevelRule | RateRule | ForecastRule, series: int, level: Level, scale: float
    ) -> int:
        sign = 1.0 if level.at_least is not None else -1.0
        clear = level.clear
        if clear is None and isinstance(rule, ForecastRule):
            clear = 2 * level.limit  # a forecast is over when there is twice the time again
        elif clear is None:
            clear = level.limit - sign * rule.deadband
        self.rule.append(number)
        self.series.append(series)
        self.severity.append(level.severity)
        self.sign.append(sign)
        self.raise_at.append(sign * level.limit * scale)
        # Over is strictly past the clear limit; without a dead band the raise limit itself still fires.
        self.clear_below.append(sign * clear * scale)
        self.rows.append(rule)
        return len(self.rule) - 1


def compile_rules(rules: Sequence[Rule], catalogue: Catalogue, registry: SeriesRegistry) -> Program:
    """Lay rules out over the series they concern. Raises BadConfiguration where a rule lacks what it needs."""
    instances = _Instances()
    plain: dict[int, list[int]] = {}
    windows: list[WindowPlan] = []
    passages: list[PassageLimit] = []
    silences: list[SilencePlan] = []
    depth = _depths(catalogue, registry)
    for number, rule in enumerate(rules):
        concerned = _concerned(rule, catalogue, registry)
        if isinstance(rule, SilenceRule):
            silences.append(SilencePlan(number, concerned, round(rule.after_s * 1000)))
        elif isinstance(rule, LevelRule) and rule.per_passage:
            for level in rule.levels:
                sign = 1 if level.at_least is not None else -1
                passages.append(PassageLimit(number, concerned, level.severity, sign, level.limit))
        elif isinstance(rule, LevelRule):
            scale = _scales(rule, concerned, depth, registry)
            for series in concerned.tolist():
                for level in rule.levels:
                    plain.setdefault(series, []).append(instances.add(number, rule, series, level, scale[series]))
        else:
            fed: dict[int, list[int]] = {}
            for series in concerned.tolist():
                for level in rule.levels:
                    fed.setdefault(series, []).append(instances.add(number, rule, series, level, 1.0))
            target = None
            if isinstance(rule, ForecastRule):
                target = _scales(rule, concerned, depth, registry) * rule.target
            row = np.full(len(registry), -1)
            row[concerned] = np.arange(len(concerned))
            windows.append(
                WindowPlan(
                    rule.window_readings,
                    row,
                    concerned,
                    round(rule.span_min_s * 1000),
                    round(rule.span_max_s * 1000),
                    _feed(fed, len(registry)),
                    target,
                )
            )
    everything: dict[int, list[int]] = {}
    for instance, series in enumerate(instances.series):
        everything.setdefault(series, []).append(instance)
    rows = instances.rows
    limits = Limits(
        np.array(instances.raise_at, np.float64),
        np.array(instances.clear_below, np.float64),
        np.array([round(rule.raise_after_s * 1000) for rule in rows], np.int64),
        np.array([rule.raise_count for rule in rows], np.uint16),
        np.array([round(rule.clear_after_s * 1000) for rule in rows], np.int64),
    )
    place, site = _places(catalogue, registry)
    return Program(
        tuple(rules),
        registry.names,
        place,
        site,
        np.array(instances.rule, np.intp),
        np.array(instances.series, np.intp),
        np.array(instances.severity, np.uint8),
        np.array(instances.sign, np.float64),
        limits,
        np.array([round(rule.hold_max_s * 1000) for rule in rows], np.int64),
        _feed(everything, len(registry)),
        _feed(plain, len(registry)),
        tuple(windows),
        tuple(passages),
        tuple(silences),
        _gateways(catalogue, registry),
        [
            f"{rules[r].id}/{Severity(level).word}/{'/'.join(registry.names[s])}"
            for r, s, level in zip(instances.rule, instances.series, instances.severity, strict=True)
        ],
    )


def _concerned(rule: Rule, catalogue: Catalogue, registry: SeriesRegistry) -> Indexes:
    found = []
    if rule.metric == ONLINE:
        found = [registry.index[gateway.id, ONLINE] for gateway in catalogue.gateways]
    for device in catalogue.devices:
        if rule.kinds is not None and device.kind not in rule.kinds:
            continue
        if rule.devices is not None and device.id not in rule.devices:
            continue
        if (device.id, rule.metric) in registry.index and (device.id, rule.metric) in catalogue.metric:
            found.append(registry.index[device.id, rule.metric])
    return np.array(found, np.intp)


def _scales(rule: LevelRule | ForecastRule, concerned: Indexes, depth: Floats, registry: SeriesRegistry) -> Floats:
    if rule.relative_to is None:
        return np.ones(len(registry))
    for series in concerned.tolist():
        if np.isnan(depth[series]):
            device = registry.names[series][0]
            raise BadConfiguration(
                f"rule '{rule.id}' is relative to the drain's depth, and the place of device '{device}' declares no "
                "'drain': declare it, or narrow the rule with 'kinds' or 'devices'"
            )
    return depth


def _depths(catalogue: Catalogue, registry: SeriesRegistry) -> Floats:
    depth = np.full(len(registry), np.nan)
    for number, (device, _) in enumerate(registry.names):
        known = catalogue.device.get(device)
        drain = catalogue.place[known.place].drain if known else None
        if drain is not None:
            depth[number] = drain.depth_m
    return depth


def _places(catalogue: Catalogue, registry: SeriesRegistry) -> tuple[list[str], list[str]]:
    place, site = [], []
    for device, _ in registry.names:
        if device in catalogue.device:
            place.append(catalogue.device[device].place)
            site.append(catalogue.site_of(device))
        else:
            place.append("")
            site.append(catalogue.gateway[device].site if device in catalogue.gateway else "")
    return place, site


def _gateways(catalogue: Catalogue, registry: SeriesRegistry) -> Indexes:
    found = np.full(len(registry), -1)
    for number, (device, _) in enumerate(registry.names):
        if device in catalogue.device:
            found[number] = registry.index[catalogue.device[device].gateway, ONLINE]
    return found


def _feed(by_series: dict[int, list[int]], series_count: int) -> Feed:
    count = np.zeros(series_count, np.intp)
    for series, fed in by_series.items():
        count[series] = len(fed)
    ordered = [instance for series in sorted(by_series) for instance in by_series[series]]
    return Feed(np.array(ordered, np.intp), np.cumsum(count) - count, count)
