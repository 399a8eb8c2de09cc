"""The script of a live run: what happens how many seconds after its start, as data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from firmware_sim.district import District
from telemetry.declaration import Mistake, Mistakes, read_document, validate


class Fault(StrEnum):
    """A way in which a foreign publisher gets a message wrong; the value is the reason of the quarantine."""

    BROKEN_JSON = "broken-json"  # cut off in the middle
    BAD_VALUE = "bad-value"  # a text where a number belongs, in one row
    UNKNOWN_METRIC = "unknown-metric"
    UNKNOWN_DEVICE = "unknown-device"


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Step(_Declared):
    at_s: NonNegativeFloat


class Rain(_Step):
    """Rain over a site; points are (seconds since it began, mm/h)."""

    do: Literal["rain"]
    site: str
    points: tuple[tuple[float, float], ...] = Field(min_length=2)


class Person(_Step):
    """Somebody of this temperature [°C] passes a scanner, and no recheck comes."""

    do: Literal["person"]
    scanner: str
    temperature: float


class HeaterOn(_Step):
    """A forbidden heater is plugged in."""

    do: Literal["heater_on"]
    device: str
    watts: PositiveFloat


class HeaterOff(_Step):
    """It is pulled out again."""

    do: Literal["heater_off"]
    device: str


class SensorDies(_Step):
    """A polled device stops answering, for good."""

    do: Literal["sensor_dies"]
    device: str


class CutGateway(_Step):
    """A gateway loses its broker. The simulator only says so; whoever runs the gateway carries it out."""

    do: Literal["cut_gateway"]
    gateway: str


class MendGateway(_Step):
    """It gets its broker back."""

    do: Literal["mend_gateway"]
    gateway: str


class CanteenSends(_Step):
    """The canteen's next message holds something broken; what is good in it stays good."""

    do: Literal["canteen_sends"]
    fault: Fault


Action: TypeAlias = Rain | Person | HeaterOn | HeaterOff | SensorDies | CutGateway | MendGateway | CanteenSends


class Scenario(_Declared):
    """scenario.yaml."""

    seen_by_s: PositiveFloat = 150.0
    passages_per_lane_per_min: NonNegativeFloat = 0.0
    false_positive_probability: float = Field(default=0.0, ge=0, le=1)
    timeline: tuple[Annotated[Action, Field(discriminator="do")], ...] = ()

    @classmethod
    def load(cls, file: Path, district: District) -> Self:
        """Read a scenario and check its names against the district. Raises Mistakes."""
        document = read_document(file)
        scenario = validate(document, cls)
        known: dict[str, set[str]] = {
            "site": set(district.catalogue.site),
            "gateway": set(district.catalogue.gateway),
            "device": set(district.catalogue.device),
            "scanner": {scanner.device for gateway in district.gateways.values() for scanner in gateway.scanners},
        }
        mistakes: list[Mistake] = []
        for number, action in enumerate(scenario.timeline):
            for field, names in known.items():
                name = getattr(action, field, None)
                if name is not None and name not in names:
                    mistakes.append(document.mistake(("timeline", number, field), f"there is no {field} '{name}'"))
        if mistakes:
            raise Mistakes(mistakes)
        return scenario
