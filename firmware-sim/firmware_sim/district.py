"""The district as data: the catalogue, how each gateway reaches its devices, and what only the simulator knows.

The gateway files are read here a second time, by models of our own: a gateway that misreads its file must not find the
simulator agreeing with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from firmware_sim.modbus import RegisterType, WordOrder
from telemetry.catalogue import Catalogue, Drain
from telemetry.declaration import read_document, validate
from telemetry.errors import BadConfiguration

Floats: TypeAlias = NDArray[np.float64]
Times: TypeAlias = NDArray[np.int64]
Model = TypeVar("Model", bound=BaseModel)

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Register(_Declared):
    """Where one metric stands in a device's registers. A reader computes `raw * scale + offset`."""

    metric: str
    function: Literal["input", "holding"]
    address: int = Field(ge=0, le=65535)
    type: RegisterType
    word_order: WordOrder = "high-first"
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[float, ...] = ()


class Meter(_Declared):
    """A device behind a Modbus unit id."""

    device: str
    unit: int = Field(ge=1, le=247)
    profile: str


class ModbusDriver(_Declared):
    """Devices that answer Modbus TCP at one address."""

    driver: Literal["modbus-tcp"]
    host: str
    port: int
    every_s: float
    timeout_s: float
    profiles: dict[str, tuple[Register, ...]]
    devices: tuple[Meter, ...]


class Scanner(_Declared):
    """A terminal that pushes what it measures, under its serial number."""

    device: str
    serial: str


class PushDriver(_Declared):
    """Where scanners push to, and which of their fields is which metric."""

    driver: Literal["http-push"]
    host: str
    port: int
    devices: tuple[Scanner, ...]
    fields: dict[str, str]


class BrokerAddress(_Declared):
    """Where a gateway finds its broker."""

    host: str
    port: int


class Spool(_Declared):
    """Where a gateway keeps what has no receipt yet."""

    path: str


class GatewayFile(_Declared):
    """One file of gateways/."""

    site: str
    gateway: str
    broker: BrokerAddress
    spool: Spool
    drivers: tuple[Annotated[ModbusDriver | PushDriver, Field(discriminator="driver")], ...]

    @property
    def modbus(self) -> tuple[ModbusDriver, ...]:
        return tuple(driver for driver in self.drivers if isinstance(driver, ModbusDriver))

    @property
    def scanners(self) -> tuple[Scanner, ...]:
        return tuple(s for driver in self.drivers if isinstance(driver, PushDriver) for s in driver.devices)


class DrainFacts(_Declared):
    """How the ground of the district drains."""

    design_rain_mm_h: float = Field(gt=0)
    paved: tuple[str, ...] = ()
    paved_lag_s: float = Field(gt=0)
    green_lag_s: float = Field(gt=0)
    paved_storage_s_per_m: float = Field(gt=100)
    green_storage_s_per_m: float = Field(gt=100)


class PastStorm(_Declared):
    """Rain that fell; points are (minutes since it began, mm/h)."""

    site: str
    begins_before_end_min: float
    points: tuple[tuple[float, float], ...] = Field(min_length=2)


class PastEvent(_Declared):
    """Something that began at a local time of day, some days before the end of the past."""

    days_ago: int = Field(ge=1)
    at: str = Field(pattern=r"^\d\d:\d\d$")
    minutes: float = Field(gt=0)


class PastHeater(PastEvent):
    """A forbidden heater, on for one evening."""

    device: str
    watts: float


class PastLeak(PastEvent):
    """Water that ran all the time."""

    device: str
    litres_per_h: float


class PastFacts(_Declared):
    """What happened before the live district starts."""

    days: int = Field(ge=1)
    storms: tuple[PastStorm, ...]
    heater: PastHeater
    door: PastEvent
    leak: PastLeak
    false_positives: int = Field(ge=0)
    fevers: int = Field(ge=0)


class CanteenFacts(_Declared):
    """The names under which the canteen publishes, and the rule that watches what it publishes."""

    site: str
    gateway: str
    device: str
    temperature: str
    door: str
    warm_rule: str
    warm_above_c: float
    warm_for_s: float


class WorldFile(_Declared):
    """world.yaml."""

    drains: DrainFacts
    past: PastFacts
    canteen: CanteenFacts


@dataclass(frozen=True)
class District:
    """Everything that is declared about the demo district."""

    catalogue: Catalogue
    gateways: dict[str, GatewayFile]
    world: WorldFile

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read catalogue/, gateways/ and world.yaml of a folder. Raises Mistakes naming all that is wrong."""
        files = [_read(file, GatewayFile) for file in sorted((folder / "gateways").glob("*.yaml"))]
        catalogue = Catalogue.load(folder / "catalogue")
        world = _read(folder / "world.yaml", WorldFile)
        _must_know(catalogue, files, world)
        return cls(catalogue, {file.gateway: file for file in files}, world)

    @cached_property
    def drains(self) -> dict[str, Drain]:
        """The geometry of every place that has one, upstream before downstream."""
        drains = {place.id: place.drain for place in self.catalogue.places if place.drain is not None}

        def steps_to_outfall(name: str) -> int:
            downstream = drains[name].downstream
            return 0 if downstream is None else 1 + steps_to_outfall(downstream)

        return {name: drains[name] for name in sorted(drains, key=lambda name: (-steps_to_outfall(name), name))}

    def series_of(self, gateway: str) -> list[str]:
        """All "device/metric" names of a gateway, in the catalogue's order."""
        owned = {device.id for device in self.catalogue.devices if device.gateway == gateway}
        return [f"{device}/{metric}" for device, metric in self.catalogue.metric if device in owned]

    def devices_with(self, metric: str) -> list[str]:
        """The devices whose kind declares a metric of this name."""
        return [device for device, found in self.catalogue.metric if found == metric]

    def utc_offset_ms(self, site: str, time_ms: int) -> int:
        """Local time minus UTC at a site; constant in Asia/Shanghai since 1991."""
        zone = ZoneInfo(self.catalogue.site[site].timezone)
        offset = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone).utcoffset()
        assert offset is not None
        return round(offset.total_seconds() * 1000)


def generator(seed: int, *names: object) -> np.random.Generator:
    """A stream of random numbers of its own for each name, so that one more device changes no other."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def _must_know(catalogue: Catalogue, files: list[GatewayFile], world: WorldFile) -> None:
    """Every name outside the catalogue must be in it. Raises BadConfiguration."""
    past, canteen = world.past, world.canteen
    named: list[tuple[Mapping[str, object], str]] = [(catalogue.gateway, file.gateway) for file in files]
    named += [(catalogue.device, m.device) for file in files for driver in file.modbus for m in driver.devices]
    named += [(catalogue.device, scanner.device) for file in files for scanner in file.scanners]
    named += [(catalogue.site, storm.site) for storm in past.storms] + [(catalogue.site, canteen.site)]
    named += [(catalogue.place, place) for place in world.drains.paved]
    named += [(catalogue.device, device) for device in (past.heater.device, past.leak.device, canteen.device)]
    strangers = sorted({name for known, name in named if name not in known})
    if strangers:
        raise BadConfiguration(f"gateways/ or world.yaml name what the catalogue does not have: {', '.join(strangers)}")


def _read(file: Path, model: type[Model]) -> Model:
    return validate(read_document(file), model)
