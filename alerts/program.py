"""Rules made ready to run: every limit of every rule on every series it concerns, as arrays.

Axes: S series, I instances (one limit on one series).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from alerts.calendar import Schedule
from alerts.detectors.beside import CompositeRule
from alerts.detectors.detector import Detector
from alerts.lifecycle import Limits
from alerts.rule import Level, LevelledRule, Severity
from alerts.rules import DETECTORS, InferredRule, LevelRule, Rule, SilenceRule
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.catalogue import Catalogue
from telemetry.series import ONLINE, SeriesRegistry

PAUSE_MAX_S = 3600.0
"""What lasts, lasts through a silence so long; longer where a rule's own times are (docs/decisions/0047)."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Which instances a signal of a series goes to: those of `instances[start[s] : start[s] + count[s]]`."""

    instances: Indexes
    start: Indexes  # (S,)
    count: Indexes  # (S,)


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """A rule that looks at a detector's signals instead of the value."""

    rule: int
    feed: Feed
    per_passage: bool  # the signals are about persons, not about the lane
    make: Callable[[], Detector]  # one for what is, another for the past of an outage


@dataclass(frozen=True, slots=True)
class PassageLimit:
    """One level of a rule that judges each passage by itself."""

    rule: int
    series: Indexes
    severity: Severity
    sign: int  # 1: at least; -1: at most
    limit: float
    of_detector: bool  # of its signal, else of the value itself


@dataclass(frozen=True, slots=True)
class SilencePlan:
    """Series that must be heard from."""

    rule: int
    series: Indexes
    after_ms: int


@dataclass(frozen=True, slots=True)
class InferredPlan:
    """Nodes that get an alarm when most of what hangs on them has one."""

    rule: int
    of: tuple[int, ...]  # rules
    severity: Severity
    at_least: int
    share: float
    within_ms: int
    series: dict[tuple[str, str], int]  # (device, metric) that hang on a node
    node: dict[int, str]  # series -> its gateway or place
    members: dict[str, list[int]]  # node -> its series, ascending


@dataclass(frozen=True, slots=True)
class Program:
    """All rules over all series."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    names: list[tuple[str, str]]  # (S,) (device, metric)
    place: list[str]  # (S,)
    site: list[str]  # (S,)
    rule: Indexes  # (I,)
    series: Indexes  # (I,)
    severity: NDArray[np.uint8]  # (I,)
    sign: Floats  # (I,) 1 or -1: what turns values so that higher is worse
    limits: Limits  # (I,) turned
    hold_max_ms: Times  # (I,)
    raise_pause_max_ms: Times  # (I,) through a longer silence no breach has lasted, …
    clear_pause_max_ms: Times  # (I,) … nor has anything been over
    alone: NDArray[np.bool_]  # (I,) the only instance of its rule on its series
    by_series: Feed  # every instance of a series, whatever feeds it
    plain: Feed  # instances that look at the value itself: …
    at_once: Feed  # … those that one reading decides, …
    over_time: Feed  # … and those for which something must last
    detectors: tuple[DetectorPlan, ...]
    passages: tuple[PassageLimit, ...]
    silences: tuple[SilencePlan, ...]
    inferred: tuple[InferredPlan, ...]
    gateway_online: Indexes  # (S,) the series that says whether the gateway of a series is online; -1 for none
    concerned: tuple[Indexes, ...]  # by rule: the series it looks at
    apart: dict[int, Masks]  # rule -> (S,) series of which one gateway alone does not know what the rule sees
    keys: list[str]  # (I,) what an instance is, independent of numbers: how state survives a change of rules
    schedules: dict[str, Schedule]

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
        self.rows: list[LevelledRule] = []

    def add(self, number: int, rule: LevelledRule, series: int, level: Level, scale: float) -> int:
        sign = 1.0 if level.at_least is not None else -1.0
        clear = level.clear
        if clear is None:
            clear = rule.clear_of(level)
        self.rule.append(number)
        self.series.append(series)
        self.severity.append(level.severity)
        self.sign.append(sign)
        self.raise_at.append(sign * level.limit * scale)
        # Over is strictly past the clear limit; without a dead band the raise limit itself still fires.
        self.clear_below.append(sign * clear * scale)
        self.rows.append(rule)
        return len(self.rule) - 1


def compile_rules(
    rules: Sequence[Rule], catalogue: Catalogue, registry: SeriesRegistry, schedules: Sequence[Schedule] = ()
) -> Program:
    """Lay rules out over the series they concern. Raises BadConfiguration where a rule lacks what it needs."""
    instances = _Instances()
    plain: dict[int, list[int]] = {}
    detectors: list[DetectorPlan] = []
    passages: list[PassageLimit] = []
    silences: list[SilencePlan] = []
    inferred: list[InferredPlan] = []
    apart: dict[int, Masks] = {}
    everywhere: list[Indexes] = []
    world = World(catalogue, registry)
    place, site = _places(catalogue, registry)
    for number, rule in enumerate(rules):
        concerned = _concerned(rule, catalogue, registry)
        everywhere.append(concerned)
        if isinstance(rule, SilenceRule):
            silences.append(SilencePlan(number, concerned, round(rule.after_s * 1000)))
            continue
        if isinstance(rule, InferredRule):
            inferred.append(_inferred(number, rule, rules, concerned, world))
            continue
        has_detector = type(rule) in DETECTORS
        fed: dict[int, list[int]] = {} if has_detector else plain
        if rule.is_per_passage:
            for level in rule.levels:
                sign = 1 if level.at_least is not None else -1
                passages.append(PassageLimit(number, concerned, level.severity, sign, level.limit, has_detector))
        else:
            scale = world.scales(rule, concerned) if isinstance(rule, LevelRule) else np.ones(len(registry))
            for series in concerned.tolist():
                for level in world.levels(rule, series):
                    fed.setdefault(series, []).append(instances.add(number, rule, series, level, scale[series]))
        if has_detector:
            make = partial(DETECTORS[type(rule)], rule, concerned, world)
            watched = make().watched  # what it lacks it says now
            if rule.looks_beside and not rule.is_per_passage and (of := _apart(rule, watched, site, world)).any():
                apart[number] = of
            detectors.append(DetectorPlan(number, _feed(fed, len(registry)), rule.is_per_passage, make))
    everything: dict[int, list[int]] = {}
    for instance, series in enumerate(instances.series):
        everything.setdefault(series, []).append(instance)
    rows = instances.rows
    limits = Limits(
        np.array(instances.raise_at, np.float64),
        np.array(instances.clear_below, np.float64),
        np.array([round(rule.raise_after_s * 1000) for rule in rows], np.int64),
        np.array([rule.raise_count for rule in rows], np.uint8),
        np.array([rule.raise_of or rule.raise_count for rule in rows], np.uint8),
        np.array([round(rule.clear_after_s * 1000) for rule in rows], np.int64),
        np.array([rule.clear_count for rule in rows], np.uint8),
    )
    decides = (limits.raise_after_ms == 0) & (limits.raise_of == 1) & (limits.clear_after_ms == 0)
    decides &= limits.clear_count == 1
    return Program(
        tuple(rules),
        catalogue,
        registry.names,
        place,
        site,
        np.array(instances.rule, np.intp),
        np.array(instances.series, np.intp),
        np.array(instances.severity, np.uint8),
        np.array(instances.sign, np.float64),
        limits,
        np.array([round(rule.hold_max_s * 1000) for rule in rows], np.int64),
        np.array([round(1000 * max(PAUSE_MAX_S, rule.hold_max_s, rule.raise_after_s)) for rule in rows], np.int64),
        np.array([round(1000 * max(PAUSE_MAX_S, rule.hold_max_s, rule.clear_after_s)) for rule in rows], np.int64),
        _alone(instances),
        _feed(everything, len(registry)),
        _feed(plain, len(registry)),
        _feed({s: [i for i in fed if decides[i]] for s, fed in plain.items()}, len(registry)),
        _feed({s: [i for i in fed if not decides[i]] for s, fed in plain.items()}, len(registry)),
        tuple(detectors),
        tuple(passages),
        tuple(silences),
        tuple(inferred),
        world.gateway_online,
        tuple(everywhere),
        apart,
        [
            f"{rules[r].id}/{Severity(level).word}/{'over' if sign > 0 else 'under'}/{'/'.join(registry.names[s])}"
            for r, s, level, sign in zip(
                instances.rule, instances.series, instances.severity, instances.sign, strict=True
            )
        ],
        {schedule.id: schedule for schedule in schedules},
    )


def _apart(rule: LevelledRule, watched: Indexes, site: Sequence[str], world: World) -> Masks:
    """The watched series that hang on several gateways together with those that the rule looks at beside them.

    Rules look beside within a site; where one names a device, anywhere.
    """
    is_anywhere = isinstance(rule, CompositeRule) and any(condition.device for condition in rule.conditions)
    together: dict[str, list[int]] = {}
    for series in watched.tolist():
        together.setdefault("" if is_anywhere else site[series], []).append(series)
    found: Masks = np.zeros(len(site), np.bool_)
    for group in together.values():
        found[group] = len(set(world.gateway_online[group].tolist())) > 1
    return found


def _alone(instances: _Instances) -> NDArray[np.bool_]:
    """Which instances are the only one of their rule on their series."""
    pairs = list(zip(instances.rule, instances.series, strict=True))
    count = Counter(pairs)
    return np.array([count[pair] == 1 for pair in pairs], np.bool_)


def _inferred(number: int, rule: InferredRule, rules: Sequence[Rule], concerned: Indexes, world: World) -> InferredPlan:
    node: dict[int, str] = {}
    members: dict[str, list[int]] = {}
    for series in concerned.tolist():
        device = world.device(series)
        if device is None:
            continue
        place = world.catalogue.place[device.place]
        at = device.gateway if rule.along == "gateway" else (place.parent or place.id)
        node[series] = at
        members.setdefault(at, []).append(series)
    return InferredPlan(
        number,
        tuple(n for n, other in enumerate(rules) if other.id in rule.of),
        rule.severity,
        rule.at_least,
        rule.share,
        round(rule.within_s * 1000),
        {world.registry.names[series]: series for series in node},
        node,
        members,
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


def _feed(by_series: dict[int, list[int]], series_count: int) -> Feed:
    count = np.zeros(series_count, np.intp)
    for series, fed in by_series.items():
        count[series] = len(fed)
    ordered = [instance for series in sorted(by_series) for instance in by_series[series]]
    return Feed(np.array(ordered, np.intp), np.cumsum(count) - count, count)
