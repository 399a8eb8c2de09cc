"""What is alarming, as data: the rules of a district, declared in YAML and checked when loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from alerts.calendar import Schedule, opens_ever
from alerts.causes import find_cycle
from alerts.detectors.baseline import BaselineRule, baseline_detector
from alerts.detectors.beside import (
    CompositeRule,
    PeersRule,
    StuckRule,
    composite_detector,
    peers_detector,
    stuck_detector,
)
from alerts.detectors.blockage import BlockageRule, blockage_detector
from alerts.detectors.cluster import FeverClusterRule, fever_cluster_detector
from alerts.detectors.detector import Detector
from alerts.detectors.drift import DriftRule, drift_detector
from alerts.detectors.fever import FeverRule, fever_detector
from alerts.detectors.flatline import FlatlineRule, flatline_detector
from alerts.detectors.flow import BurstRule, ContinuousFlowRule, burst_detector, continuous_flow_detector
from alerts.detectors.load import ForbiddenLoadRule, forbidden_load_detector
from alerts.detectors.nights import (
    NightMinimumRule,
    SiltationRule,
    night_minimum_detector,
    siltation_detector,
)
from alerts.detectors.pair import PairRule, pair_detector
from alerts.detectors.registers import CounterRule, counter_detector
from alerts.detectors.robust import RobustZRule, robust_z_detector
from alerts.detectors.saturation import SaturationRule, saturation_detector
from alerts.detectors.scanner import ScannerHealthRule, scanner_health_detector
from alerts.detectors.spike import SpikeRule, spike_detector
from alerts.detectors.sums import SumCheckRule, sum_check_detector
from alerts.detectors.trend import ForecastRule, RateRule, forecast_detector, rate_detector
from alerts.detectors.vacancy import VacancyRule, vacancy_detector
from alerts.people import NOBODY, People
from alerts.rule import AnyRule, Declared, LevelledRule, Severity, SeverityName
from alerts.world import World
from telemetry.batch import Indexes
from telemetry.catalogue import Catalogue, Name
from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate
from telemetry.series import ONLINE


class LevelRule(LevelledRule):
    """A value past a limit; with `raise_after_s`, past it for so long; with `per_passage`, one alarm a person."""

    type: Literal["level"]
    # Limits are fractions of the drain's depth, or of its pipe's crown where that lies above half of the depth, else half.
    relative_to: Literal["depth", "crown-or-half"] | None = None
    per_passage: bool = False

    @property
    def is_per_passage(self) -> bool:
        return self.per_passage


class SilenceRule(AnyRule):
    """No usable reading for `after_s` while the core could have heard one. Worse when an alarm of the series stands open."""

    type: Literal["silence"]
    after_s: float = Field(ge=5)
    severity: SeverityName = Severity.LOW


class InferredRule(AnyRule):
    """Most of what hangs on a gateway or a place has an alarm at once: so it is the gateway or the place."""

    type: Literal["inferred"]
    of: tuple[Name, ...] = Field(min_length=1)  # rules on the same metric
    along: Literal["gateway", "place"]
    share: float = Field(default=0.6, gt=0, le=1)
    at_least: int = Field(default=3, ge=2)
    within_s: float = Field(default=90.0, gt=0)
    severity: SeverityName = Severity.HIGH


DETECTORS: Mapping[type[LevelledRule], Callable[[Any, Indexes, World], Detector]] = {
    RateRule: rate_detector,
    ForecastRule: forecast_detector,
    CounterRule: counter_detector,
    BurstRule: burst_detector,
    ContinuousFlowRule: continuous_flow_detector,
    ForbiddenLoadRule: forbidden_load_detector,
    FlatlineRule: flatline_detector,
    SpikeRule: spike_detector,
    RobustZRule: robust_z_detector,
    DriftRule: drift_detector,
    BaselineRule: baseline_detector,
    StuckRule: stuck_detector,
    PeersRule: peers_detector,
    CompositeRule: composite_detector,
    VacancyRule: vacancy_detector,
    SumCheckRule: sum_check_detector,
    FeverRule: fever_detector,
    SaturationRule: saturation_detector,
    BlockageRule: blockage_detector,
    ScannerHealthRule: scanner_health_detector,
    FeverClusterRule: fever_cluster_detector,
    PairRule: pair_detector,
    SiltationRule: siltation_detector,
    NightMinimumRule: night_minimum_detector,
}
"""What makes the number that a rule's limits are about; a rule that is not here looks at the value itself."""

Rule = Annotated[
    LevelRule
    | RateRule
    | ForecastRule
    | FeverRule
    | BlockageRule
    | SaturationRule
    | ScannerHealthRule
    | FeverClusterRule
    | PairRule
    | SiltationRule
    | NightMinimumRule
    | CounterRule
    | BurstRule
    | ContinuousFlowRule
    | ForbiddenLoadRule
    | FlatlineRule
    | SpikeRule
    | RobustZRule
    | DriftRule
    | BaselineRule
    | StuckRule
    | PeersRule
    | CompositeRule
    | VacancyRule
    | SumCheckRule
    | SilenceRule
    | InferredRule,
    Field(discriminator="type"),
]


RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


class RuleFile(Declared):
    """One YAML file of rules."""

    rules: tuple[Rule, ...] = ()
    schedules: tuple[Schedule, ...] = ()


class Change(Declared):
    """A rule has another version from here on: declared anew or, where it is no longer among the rules, retired."""

    rule: Name
    version: int
    origin: Literal["file", "api"]
    actor: str | None = None
    note: str | None = None
    command: str | None = None


class RosterChange(Declared):
    """A duty roster has another version from here on."""

    roster: Name
    version: int
    origin: Literal["file", "api"]
    actor: str | None = None
    note: str | None = None
    command: str | None = None


class _InForce(Declared):
    """Rules with the catalogue that they speak of, the people they call, and how they came to be."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    people: People = NOBODY
    changes: tuple[Change, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    roster_changes: tuple[RosterChange, ...] = ()


def encode_rules(
    rules: Sequence[Rule],
    catalogue: Catalogue,
    people: People = NOBODY,
    schedules: Sequence[Schedule] = (),
    changes: Sequence[Change] = (),
    roster_changes: Sequence[RosterChange] = (),
) -> bytes:
    """What holds from here on, as a journal record's payload: the same bytes for the same of everything."""
    made = _InForce(
        rules=tuple(rules),
        catalogue=catalogue,
        people=people,
        schedules=tuple(schedules),
        changes=tuple(changes),
        roster_changes=tuple(roster_changes),
    )
    return made.model_dump_json(by_alias=True).encode()


def decode_rules(payload: bytes) -> tuple[tuple[Rule, ...], Catalogue, People]:
    """Read back what `encode_rules` wrote, but for the changes."""
    found = _InForce.model_validate_json(payload)
    return found.rules, found.catalogue, found.people


def schedules_in(payload: bytes) -> tuple[Schedule, ...]:
    """The schedules that rules of a record name."""
    return _InForce.model_validate_json(payload).schedules


def changes_in(payload: bytes) -> tuple[Change, ...]:
    """Which rules a record has changed."""
    return _InForce.model_validate_json(payload).changes


def roster_changes_in(payload: bytes) -> tuple[RosterChange, ...]:
    """Which duty rosters a record has changed."""
    return _InForce.model_validate_json(payload).roster_changes


def load_rules(folder: Path, catalogue: Catalogue) -> tuple[Rule, ...]:
    """The rules of a folder's *.yaml, checked against the catalogue. Raises Mistakes with all that is wrong."""
    return load_rule_files(folder, catalogue).rules


def load_rule_files(folder: Path, catalogue: Catalogue) -> RuleFile:
    """All of a folder's *.yaml as one: rules and schedules. Raises Mistakes with all that is wrong."""
    mistakes: list[Mistake] = []
    parsed: list[tuple[Document, RuleFile]] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(file)
            parsed.append((document, validate(document, RuleFile)))
        except Mistakes as error:
            mistakes += error.mistakes
    seen: dict[str, str] = {}
    at: list[tuple[Document, int]] = []
    for document, rules in parsed:
        for number, rule in enumerate(rules.rules):
            at.append((document, number))
            where = ("rules", number, "id")
            if rule.id in seen:
                mistakes.append(document.mistake(where, f"'{rule.id}' is taken: see {seen[rule.id]}"))
            seen[rule.id] = f"{document.file}:{document.line(where)}"
    for document, given in parsed:
        for number, schedule in enumerate(given.schedules):
            if f"schedule {schedule.id}" in seen:
                mistakes.append(document.mistake(("schedules", number, "id"), f"'{schedule.id}' is taken"))
            seen[f"schedule {schedule.id}"] = ""
            if not opens_ever(schedule):
                told = "it never opens: no day is left by 'days', 'seasons' and 'holidays'"
                mistakes.append(document.mistake(("schedules", number, "weekly"), told))
    schedules = tuple(schedule for _, given in parsed for schedule in given.schedules)
    everything = [rule for _, given in parsed for rule in given.rules]
    for found, field, said in mistakes_in(everything, catalogue, schedules):
        document, number = at[found]
        mistakes.append(document.mistake(("rules", number, *field), said))
    if mistakes:
        raise Mistakes(mistakes)
    return RuleFile(rules=tuple(everything), schedules=schedules)


def mistakes_in(
    rules: Sequence[Rule], catalogue: Catalogue, schedules: Sequence[Schedule] = ()
) -> Iterator[tuple[int, tuple[str | int, ...], str]]:
    """What only shows beside the catalogue and the other rules: (number of the rule, field, what is wrong)."""
    metrics = {metric.id for kind in catalogue.kinds for metric in kind.metrics} | {ONLINE}
    known = {rule.id for rule in rules}
    open_at = {schedule.id for schedule in schedules}
    for number, rule in enumerate(rules):
        if rule.schedule is not None and rule.schedule not in open_at:
            yield number, ("schedule",), f"there is no schedule '{rule.schedule}'"
        if rule.metric not in metrics:
            yield number, ("metric",), f"no kind has a metric '{rule.metric}'"
        for at, kind in enumerate(rule.kinds or ()):
            if kind not in catalogue.kind:
                yield number, ("kinds", at), f"there is no kind '{kind}'"
        for at, device in enumerate(rule.devices or ()):
            if device not in catalogue.device:
                yield number, ("devices", at), f"there is no device '{device}'"
        for at, override in enumerate(rule.overrides if isinstance(rule, LevelledRule) else ()):
            for n, device in enumerate(override.devices):
                if device not in catalogue.device:
                    yield number, ("overrides", at, "devices", n), f"there is no device '{device}'"
            for n, place in enumerate(override.places):
                if place not in catalogue.place:
                    yield number, ("overrides", at, "places", n), f"there is no place '{place}'"
        for at, cause in enumerate(rule.masked_by):
            if cause.rule not in known:
                yield number, ("masked_by", at, "rule"), f"there is no rule '{cause.rule}'"
        for at, name in enumerate(rule.of if isinstance(rule, InferredRule) else ()):
            if name not in known:
                yield number, ("of", at), f"there is no rule '{name}'"
    circle = find_cycle(rules)
    for number, rule in enumerate(rules):
        if circle and rule.id == circle[0]:
            told = f"these explain each other in a circle: {' → '.join(circle)}; take one 'masked_by' away"
            yield number, ("masked_by",), told
