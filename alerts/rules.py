"""What is alarming, as data: the rules of a district, declared in YAML and checked when loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from alerts.detectors.blockage import BlockageRule, blockage_detector
from alerts.detectors.detector import Detector
from alerts.detectors.fever import FeverRule, fever_detector
from alerts.detectors.saturation import SaturationRule, saturation_detector
from alerts.detectors.trend import ForecastRule, RateRule, forecast_detector, rate_detector
from alerts.rule import AnyRule, Declared, LevelledRule, Severity, SeverityName
from alerts.world import World
from telemetry.batch import Indexes
from telemetry.catalogue import Catalogue
from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate
from telemetry.series import ONLINE


class LevelRule(LevelledRule):
    """A value past a limit; with `raise_after_s`, past it for so long; with `per_passage`, one alarm a person."""

    type: Literal["level"]
    relative_to: Literal["depth"] | None = None  # limits are fractions of the drain's depth
    per_passage: bool = False

    @property
    def is_per_passage(self) -> bool:
        return self.per_passage


class SilenceRule(AnyRule):
    """No reading for `after_s` while the core could have heard one. Worse when an alarm of the series stands open."""

    type: Literal["silence"]
    after_s: float = Field(ge=5)
    severity: SeverityName = Severity.LOW


DETECTORS: Mapping[type[LevelledRule], Callable[[Any, Indexes, World], Detector]] = {
    RateRule: rate_detector,
    ForecastRule: forecast_detector,
    FeverRule: fever_detector,
    SaturationRule: saturation_detector,
    BlockageRule: blockage_detector,
}
"""What makes the number that a rule's limits are about; a rule that is not here looks at the value itself."""

Rule = Annotated[
    LevelRule | RateRule | ForecastRule | FeverRule | SaturationRule | BlockageRule | SilenceRule,
    Field(discriminator="type"),
]


class RuleFile(Declared):
    """One YAML file of rules."""

    rules: tuple[Rule, ...] = ()


class _InForce(Declared):
    """Rules with the catalogue that they speak of."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue


def encode_rules(rules: Sequence[Rule], catalogue: Catalogue) -> bytes:
    """What holds from here on, as a journal record's payload: the same bytes for the same rules and catalogue."""
    return _InForce(rules=tuple(rules), catalogue=catalogue).model_dump_json(by_alias=True).encode()


def decode_rules(payload: bytes) -> tuple[tuple[Rule, ...], Catalogue]:
    """Read back what `encode_rules` wrote."""
    found = _InForce.model_validate_json(payload)
    return found.rules, found.catalogue


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
    if mistakes:
        raise Mistakes(mistakes)
    return tuple(rule for _, file in parsed for rule in file.rules)
