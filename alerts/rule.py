"""What every rule has, whatever it looks at: the ground that the types of `alerts.rules` stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from alerts.lifecycle import READINGS_MAX
from telemetry.catalogue import LocalText, MetricName, Name, Place
from telemetry.sampling import FASTEST_S


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


class Cause(Declared):
    """A rule whose alarms explain those of another, where they are related."""

    rule: Name
    along: Literal["gateway", "place", "downstream", "site"]
    settle_s: float = Field(default=60.0, ge=0)  # after the cause is over, before anybody is called for what is left


class AnyRule(Declared):
    id: Name
    name: LocalText
    alarm_class: Name = Field(alias="class")
    metric: MetricName
    kinds: tuple[Name, ...] | None = None  # all that have the metric, when not given
    devices: tuple[Name, ...] | None = None
    advice: LocalText | None = None
    notify: tuple[Name, ...] = ()  # channels beside MQTT that always hear of it
    route: Name | None = None  # how it finds people
    sample_every_s: float | None = Field(
        default=None, ge=FASTEST_S, allow_inf_nan=False
    )  # read so often while it lasts, where that is possible
    schedule: Name | None = None  # when it calls people; always, when not given
    latch: Literal["until-acknowledged", "until-disposed"] | None = None  # stays open though it is over
    masked_by: tuple[Cause, ...] = ()  # nobody is called for an alarm while one that explains it is open
    looks_beside: ClassVar[bool] = False  # at other series than its own: what it sees depends on the order of arrival
    reopen_within_s: float = Field(default=300.0, ge=0)  # back so soon, it is the same alarm again
    flap_slot_s: float = Field(default=60.0, gt=0)  # coming and going in half of the last 21 such spans is flapping


@dataclass(frozen=True, slots=True)
class Shown:
    """The number that a detector makes, as people are told of it."""

    en: str
    zh: str
    unit: str = ""  # "{unit}" in it is the metric's
    decimals: int = 2


class Override(Declared):
    """Other limits for some devices, or for what stands in some places."""

    devices: tuple[Name, ...] = ()
    places: tuple[Name, ...] = ()
    levels: tuple[Level, ...] = Field(min_length=1, max_length=4)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.devices or self.places):
            raise ValueError("say where it holds: 'devices' or 'places'")
        return self


class LevelledRule(AnyRule):
    shown: ClassVar[Shown | None] = None  # where limits are about another number than the metric itself

    levels: tuple[Level, ...] = Field(min_length=1, max_length=4)
    overrides: tuple[
        Override, ...
    ] = ()  # the nearest holds: a device before its place, a place before what is around it
    deadband: float = Field(default=0.0, ge=0)  # of every level without 'clear' of its own, in the limit's unit
    raise_after_s: float = Field(default=0.0, ge=0)
    raise_count: int = Field(default=1, ge=1, le=READINGS_MAX)  # so many breaching readings …
    raise_of: int | None = Field(default=None, ge=1, le=READINGS_MAX)  # … of the last so many; in a row, if not given
    clear_after_s: float = Field(default=0.0, ge=0)
    clear_count: int = Field(default=1, ge=1, le=READINGS_MAX)  # so many good readings in a row end it
    hold_max_s: float = Field(default=300.0, gt=0)  # how long after a reading its value may still raise an alarm

    @model_validator(mode="after")
    def _m_of_n(self) -> Self:
        if self.raise_of is not None and self.raise_of < self.raise_count:
            raise ValueError("'raise_of' must not be less than 'raise_count'")
        return self

    @model_validator(mode="after")
    def _of_a_series(self) -> Self:
        if self.overrides and self.is_per_passage:
            raise ValueError("'overrides' are for alarms of a series; give passages elsewhere a rule of their own")
        return self

    def levels_at(self, device: str, path: Sequence[Place]) -> tuple[Level, ...]:
        """The limits that hold for a device.

        Args:
            path: Where it stands: places from the outermost to its own.
        """
        for override in self.overrides:
            if device in override.devices:
                return override.levels
        for place in reversed(path):
            for override in self.overrides:
                if place.id in override.places:
                    return override.levels
        return self.levels

    @property
    def is_per_passage(self) -> bool:
        """One alarm a person instead of one a series."""
        return False

    def clear_of(self, level: Level) -> float:
        """Where a level is over that does not say so itself."""
        return level.limit - self.deadband if level.at_least is not None else level.limit + self.deadband
