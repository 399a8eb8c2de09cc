"""What is alarming, as data: the rules of a district, declared in YAML and checked when loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

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
    """No reading for `after_s` while the core could have heard one. Worse when an alarm of the series stands open."""

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


class RuleFile(Declared):
    """One YAML file of rules."""

    rules: tuple[Rule, ...] = ()


class _InForce(Declared):
    """Rules with the catalogue that they speak of and the people they call."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    people: People = NOBODY


def encode_rules(rules: Sequence[Rule], catalogue: Catalogue, people: People = NOBODY) -> bytes:
    """What holds from here on, as a journal record's payload: the same bytes for the same rules, catalogue and people."""
    return _InForce(rules=tuple(rules), catalogue=catalogue, people=people).model_dump_json(by_alias=True).encode()


def decode_rules(payload: bytes) -> tuple[tuple[Rule, ...], Catalogue, People]:
    """Read back what `encode_rules` wrote."""
    found = _InForce.model_validate_json(payload)
    return found.rules, found.catalogue, found.people


def load_rules(folder: Path, catalogue: Catalogue) -> tuple[Rule, ...]:
    """The rules of a folder's *.yaml, checked against the catalogue. Raises Mistakes with all that is wrong."""
    mistakes: list[Mistake] = []
    parsed: list[tuple[Document, RuleFile]] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(file)
            parsed.append((document, validate(document, RuleFile)))
        except Mistakes as error:
            mistakes += error.mistakes
    seen: dict[str, str] = {}
    metrics = {metric.id for kind in catalogue.kinds for metric in kind.metrics} | {ONLINE}
    for document, rules in parsed:
        for number, rule in enumerate(rules.rules):
            where = ("rules", number)
            if rule.id in seen:
                mistakes.append(document.mistake((*where, "id"), f"'{rule.id}' is taken: see {seen[rule.id]}"))
            seen[rule.id] = f"{document.file}:{document.line((*where, 'id'))}"
            if rule.metric not in metrics:
                mistakes.append(document.mistake((*where, "metric"), f"no kind has a metric '{rule.metric}'"))
            for at, kind in enumerate(rule.kinds or ()):
                if kind not in catalogue.kind:
                    mistakes.append(document.mistake((*where, "kinds", at), f"there is no kind '{kind}'"))
            for at, device in enumerate(rule.devices or ()):
                if device not in catalogue.device:
                    mistakes.append(document.mistake((*where, "devices", at), f"there is no device '{device}'"))
    mistakes += _unrelated(parsed, set(seen))
    if mistakes:
        raise Mistakes(mistakes)
    return tuple(rule for _, file in parsed for rule in file.rules)


def _unrelated(parsed: Sequence[tuple[Document, RuleFile]], known: set[str]) -> list[Mistake]:
    """Causes that are no rules, and rules that explain each other in a circle."""
    mistakes = []
    for document, file in parsed:
        for number, rule in enumerate(file.rules):
            for at, cause in enumerate(rule.masked_by):
                if cause.rule not in known:
                    where = ("rules", number, "masked_by", at, "rule")
                    mistakes.append(document.mistake(where, f"there is no rule '{cause.rule}'"))
            for at, name in enumerate(rule.of if isinstance(rule, InferredRule) else ()):
                if name not in known:
                    mistakes.append(document.mistake(("rules", number, "of", at), f"there is no rule '{name}'"))
    circle = find_cycle([rule for _, file in parsed for rule in file.rules])
    for document, file in parsed:
        for number, rule in enumerate(file.rules):
            if circle and rule.id == circle[0]:
                told = f"these explain each other in a circle: {' → '.join(circle)}; take one 'masked_by' away"
                mistakes.append(document.mistake(("rules", number, "masked_by"), told))
    return mistakes
