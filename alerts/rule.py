"""What every rule has, whatever it looks at: the ground that the types of `alerts.rules` stand on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from telemetry.catalogue import LocalText, MetricName, Name


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


class Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Level(Declared):
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


class AnyRule(Declared):
    id: Name
    name: LocalText
    alarm_class: Name = Field(alias="class")
    metric: MetricName
    kinds: tuple[Name, ...] | None = None  # all that have the metric, when not given
    devices: tuple[Name, ...] | None = None
    advice: LocalText | None = None
    notify: tuple[Name, ...] = ()  # channels beside MQTT


@dataclass(frozen=True, slots=True)
class Shown:
    """The number that a detector makes, as people are told of it."""

    en: str
    zh: str
    unit: str = ""  # "{unit}" in it is the metric's
    decimals: int = 2


class LevelledRule(AnyRule):
    shown: ClassVar[Shown | None] = None  # where limits are about another number than the metric itself

    levels: tuple[Level, ...] = Field(min_length=1, max_length=4)
    deadband: float = Field(default=0.0, ge=0)  # of every level without 'clear' of its own, in the limit's unit
    raise_after_s: float = Field(default=0.0, ge=0)
    raise_count: int = Field(default=1, ge=1, le=100)  # so many breaching readings in a row
    clear_after_s: float = Field(default=0.0, ge=0)
    hold_max_s: float = Field(default=300.0, gt=0)  # how long after a reading its value may still raise an alarm

    @property
    def is_per_passage(self) -> bool:
        """One alarm a person instead of one a series."""
        return False

    def clear_of(self, level: Level) -> float:
        """Where a level is over that does not say so itself."""
        return level.limit - self.deadband if level.at_least is not None else level.limit + self.deadband
