"""What is alarming, as data: the rules of a district, declared in YAML and checked when loaded."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from telemetry.catalogue import Catalogue, LocalText, MetricName, Name
from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate
from telemetry.series import ONLINE


class Severity(IntEnum):
    """How soon somebody must act. Higher is worse."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        return self.name.lower()


def _severity(value: Any) -> Any:
    if isinstance(value, str) and value.upper() in Severity.__members__:
        return Severity[value.upper()]
    if isinstance(value, Severity):
        return value
    raise ValueError(f"a severity is one of {', '.join(s.word for s in Severity)}")


SeverityName = Annotated[
    Severity, BeforeValidator(_severity), PlainSerializer(lambda severity: severity.word, return_type=str)
]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Level(_Declared):
    """One limit and how bad it is to reach it. `clear` is where it is over again: the limit itself when not given."""

    severity: SeverityName
    at_least: float | None = None
    at_most: float | None = None
    clear: float | None = None
    local: bool = (
        False  # its gateway raises it by itself too, when the core cannot be asked; the core judges it as ever
    )

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either 'at_least' or 'at_most'")
        if self.clear is not None:
            if self.at_least is not None and self.clear > self.at_least:
                raise ValueError("'clear' must not lie above 'at_least'")
            if self.at_most is not None and self.clear < self.at_most:
                raise ValueError("'clear' must not lie below 'at_most'")
        return self

    @property
    def limit(self) -> float:
        limit = self.at_most if self.at_least is None else self.at_least
        assert limit is not None
        return limit


class _Rule(_Declared):
    id: Name
    name: LocalText
    alarm_class: Name = Field(alias="class")
    metric: MetricName
    kinds: tuple[Name, ...] | None = None  # all that have the metric, when not given
    devices: tuple[Name, ...] | None = None
    advice: LocalText | None = None
    notify: tuple[Name, ...] = ()  # channels beside MQTT


class _LevelledRule(_Rule):
    levels: tuple[Level, ...] = Field(min_length=1, max_length=4)
    deadband: float = Field(default=0.0, ge=0)  # of every level without 'clear' of its own, in the limit's unit
    raise_after_s: float = Field(default=0.0, ge=0)
    raise_count: int = Field(default=1, ge=1, le=100)  # so many breaching readings in a row
    clear_after_s: float = Field(default=0.0, ge=0)
    hold_max_s: float = Field(default=300.0, gt=0)  # how long after a reading its value may still raise an alarm


class LevelRule(_LevelledRule):
    """A value past a limit; with `raise_after_s`, past it for so long; with `per_passage`, one alarm a person."""

    type: Literal["level"]
    relative_to: Literal["depth"] | None = None  # limits are fractions of the drain's depth
    per_passage: bool = False


class RateRule(_LevelledRule):
    """A value that changes faster than a limit, in units a minute, over the last readings."""

    type: Literal["rate"]
    window_readings: int = Field(default=15, ge=8, le=30)  # fewer cannot show a trend beyond chance
    span_min_s: float = Field(default=20.0, gt=0)
    span_max_s: float = Field(default=3600.0, gt=0)


class ForecastRule(_LevelledRule):
    """Minutes until a value reaches `target` if it goes on as over the last readings. Limits are `at_most` minutes."""

    type: Literal["forecast"]
    target: float
    relative_to: Literal["depth"] | None = None  # the target is a fraction of the drain's depth
    window_readings: int = Field(default=15, ge=8, le=30)  # fewer cannot show a trend beyond chance
    span_min_s: float = Field(default=20.0, gt=0)
    span_max_s: float = Field(default=3600.0, gt=0)

    @model_validator(mode="after")
    def _in_minutes(self) -> Self:
        if any(level.at_most is None for level in self.levels):
            raise ValueError("a forecast alarms at so many minutes before: give 'at_most'")
        return self


class SilenceRule(_Rule):
    """No reading for `after_s` while the core could have heard one. Worse when an alarm of the series stands open."""

    type: Literal["silence"]
    after_s: float = Field(ge=5)
    severity: SeverityName = Severity.LOW


Rule = Annotated[LevelRule | RateRule | ForecastRule | SilenceRule, Field(discriminator="type")]


class RuleFile(_Declared):
    """One YAML file of rules."""

    rules: tuple[Rule, ...] = ()


class _InForce(_Declared):
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


def load_rules(folder: Path, catalogue: Catalogue) -> tuple[LevelRule | RateRule | ForecastRule | SilenceRule, ...]:
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
