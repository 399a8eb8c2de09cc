"""The script of a live run: what happens how many seconds after its start, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from firmware_sim.district import District
from firmware_sim.instruments import Ailment
from telemetry.declaration import Mistakes, read_document, validate

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _in_seconds(given: object) -> object:
    """A number of seconds, or a text such as 90s, 15m, 1h30m, 2d."""
    if not isinstance(given, str):
        return given
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", given):
        raise ValueError("write seconds, or a time such as 90s, 15m, 1h30m or 2d")
    return sum(float(number) * _UNITS_S[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", given))


Seconds: TypeAlias = Annotated[NonNegativeFloat, BeforeValidator(_in_seconds)]


class Fault(StrEnum):
    """A way in which a foreign publisher gets a message wrong; the value is the reason of the quarantine."""

    BROKEN_JSON = "broken-json"  # cut off in the middle
    BAD_VALUE = "bad-value"  # a text where a number belongs, in one row
    UNKNOWN_METRIC = "unknown-metric"
    UNKNOWN_DEVICE = "unknown-device"


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Step(_Declared):
    at_s: Seconds


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


class Blockage(_Step):
    """The pipe behind a manhole carries this share of what it was built for; 1 cleans it. Silt comes over a time."""

    do: Literal["blockage"]
    place: str
    carries: float = Field(ge=0, le=1)
    over_s: Seconds = 0.0


class Inflow(_Step):
    """Water that is no rain runs into a manhole: groundwater, a hydrant, a pool that is emptied."""

    do: Literal["inflow"]
    place: str
    litres_per_s: NonNegativeFloat


class Appliance(_Step):
    """Something is switched on in a room for a while; with `on_s` and `off_s` it switches itself."""

    do: Literal["appliance"]
    device: str
    watts: PositiveFloat
    power_factor: float = Field(default=1.0, gt=0, le=1)
    for_s: Seconds
    on_s: Seconds = 0.0
    off_s: Seconds = 0.0


class MoveOut(_Step):
    """Nobody lives in the room of these meters any more: its fridge and router stay on, no water is drawn."""

    do: Literal["move_out"]
    devices: tuple[str, ...] = Field(min_length=1)


class Leak(_Step):
    """Water runs all the time behind a meter: a drip 1, a running cistern 15, a burst pipe 1000 litres an hour; 0 ends it."""

    do: Literal["leak"]
    device: str
    litres_per_h: NonNegativeFloat


class Door(_Step):
    """The door of the cold room is left open."""

    do: Literal["door"]
    for_s: Seconds


class CompressorFails(_Step):
    """The cold room is cooled no more, for so long."""

    do: Literal["compressor_fails"]
    for_s: Seconds


class Weather(_Step):
    """The air at the gates is warmer by this than the season has it, reached over a time; negative is a cold spell."""

    do: Literal["weather"]
    warmer_c: float = Field(ge=-40, le=25)
    over_s: Seconds = 0.0


class SensorFails(_Step):
    """A sensor or a register shows something else than there is; see `Ailment`."""

    do: Literal["sensor_fails"]
    device: str
    metric: str
    how: Ailment
    amount: float = 0.0  # in the metric's unit; a drift's an hour
    share: float = Field(default=1.0, ge=0, le=1)  # of the readings that it touches
    over_s: Seconds = 600.0  # of a warm-up: in this time all but a third is gone
    modulus: float | None = Field(default=None, gt=0)  # of a register: where it begins at zero again
    for_s: Seconds | None = None  # for good when not given


Action: TypeAlias = (
    Rain
    | Person
    | HeaterOn
    | HeaterOff
    | SensorDies
    | CutGateway
    | MendGateway
    | CanteenSends
    | Blockage
    | Inflow
    | Appliance
    | MoveOut
    | Leak
    | Door
    | CompressorFails
    | Weather
    | SensorFails
)


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
        mistakes = [
            document.mistake(("timeline", number, field), message)
            for number, action in enumerate(scenario.timeline)
            for field, message in _strangers(action, district)
        ]
        if mistakes:
            raise Mistakes(mistakes)
        return scenario


def _strangers(action: Action, district: District) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) for every name in an action that the district does not have."""
    catalogue = district.catalogue
    powered, watered = set(district.devices_with("power")), set(district.devices_with("volume"))
    devices = {HeaterOn: powered, HeaterOff: powered, Appliance: powered, Leak: watered, MoveOut: powered | watered}
    known: dict[str, set[str]] = {
        "site": set(catalogue.site),
        "gateway": set(catalogue.gateway),
        "place": set(district.drains),
        "device": devices.get(type(action), set(catalogue.device)),
        "devices": devices.get(type(action), set()),
        "scanner": {scanner.device for gateway in district.gateways.values() for scanner in gateway.scanners},
    }
    for field, names in known.items():
        given = getattr(action, field, ())
        for name in (given,) if isinstance(given, str) else given:
            if name not in names:
                what = "place with a drain" if field == "place" else field.removesuffix("s")
                yield field, f"there is no {what} '{name}' for this"
    if isinstance(action, SensorFails) and (action.device, action.metric) not in catalogue.metric:
        yield "metric", f"'{action.device}' measures no '{action.metric}'"
