"""What a file of simulated devices can say. `docs/simulator.md` shows one whole."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from firmware_sim.devices import dialling, face_terminal, isapi, modbus_tcp
from firmware_sim.devices.cjt188 import Layout
from firmware_sim.devices.dlt645 import Edition
from firmware_sim.devices.faults import ClockDrift, CutOff, Fault, Frozen, Reboot, Reset, Silence, Slow
from firmware_sim.devices.hj212 import FACTORS, Checksum, DataFlag
from firmware_sim.devices.level_uart import InBlind, Speech
from firmware_sim.devices.line import Wire
from firmware_sim.devices.lorawan import Model, Server
from firmware_sim.devices.modbus_unit import MODELS
from firmware_sim.devices.sl651 import Fill
from firmware_sim.devices.zkteco import Edition as ZktecoEdition
from telemetry.declaration import read_document, validate

_PORT_MAX = 65_535


def _has_a_port(address: str) -> str:
    if int(address.rpartition(":")[2]) > _PORT_MAX:
        raise ValueError(f"a port is at most {_PORT_MAX}")
    return address


_Address = Annotated[str, Field(pattern=r"^[^:/\s]+:\d{1,5}$"), AfterValidator(_has_a_port)]
"""host:port; port 0 takes a free one."""
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signal(_Declared):
    """One quantity over time: start + per_hour · t + swing · sin(2π t / period_h) + noise · N(0, 1)."""

    start: float = 0.0
    per_hour: float = 0.0
    swing: float = 0.0
    period_h: PositiveFloat = 24.0
    noise: NonNegativeFloat = 0.0


Measures: TypeAlias = dict[str, float | Signal]


class Meter645Settings(_Declared):
    """A meter of DL/T 645."""

    protocol: Literal["dlt645"]
    address: str = Field(pattern=r"^\d{12}$")
    edition: Edition = 2007
    measures: Measures
    faults: tuple[Fault, ...] = ()
    answers_as_wildcard: bool = False
    hides: frozenset[str] = frozenset()
    is_mute_about_unknown: bool = False
    refuses_for_others: bool = False


class Meter188Settings(_Declared):
    """A water meter of CJ/T 188."""

    protocol: Literal["cjt188"]
    address: str = Field(pattern=r"^\d{14}$")
    measures: Measures
    faults: tuple[Fault, ...] = ()
    is_swapped: bool = False
    layout: Layout = "standard"
    is_battery_low: bool = False
    numbers_answers_wrong: bool = False


class MeterMbusSettings(_Declared):
    """A water or heat meter of M-Bus."""

    protocol: Literal["mbus"]
    number: str = Field(pattern=r"^\d{8}$")
    primary: int = Field(default=0, ge=0, le=250)
    measures: Measures
    faults: tuple[Fault, ...] = ()
    is_busy: bool = False


class _Unit(_Declared):
    unit: int = Field(ge=1, le=247)
    model: str
    measures: Measures
    is_deaf: bool = False

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.model not in MODELS:
            raise ValueError(f"there is no model '{self.model}'; there are {', '.join(MODELS)}")
        return self


class ModbusSettings(_Unit):
    """A Modbus unit of a known model on a line."""

    protocol: Literal["modbus"]
    faults: tuple[Fault, ...] = ()


class Sdi12Settings(_Declared):
    """An SDI-12 sensor, which gives its measures in the order in which they stand here."""

    protocol: Literal["sdi12"]
    address: str = Field(pattern=r"^[0-9A-Za-z]$")
    measures: Measures
    faults: tuple[Fault, ...] = ()
    ready_s: int = Field(default=1, ge=0, le=999)
    knows_checksum: bool = True
    promises_more: int = Field(default=0, ge=0, le=20)
    misses_first: bool = False
    is_late: bool = False
    is_deaf: bool = False


class LevelUartSettings(_Declared):
    """A distance sensor with a UART, alone on its line. It measures `distance`."""

    protocol: Literal["level-uart"]
    name: str
    speaks: Speech
    address: int = Field(default=0x11, ge=0, le=255)
    measures: Measures
    faults: tuple[Fault, ...] = ()
    every_s: PositiveFloat = 0.1
    blind_m: NonNegativeFloat = 0.25
    range_m: PositiveFloat = 9.0
    in_blind: InBlind = "sticks"
    is_deaf: bool = False
    disturbed_share: Share = 0.0
    rung_m: PositiveFloat | None = None
    rung_share: Share = 0.05


OnLine: TypeAlias = (
    Meter645Settings | Meter188Settings | MeterMbusSettings | ModbusSettings | Sdi12Settings | LevelUartSettings
)


class LineSettings(_Declared):
    """A line with devices, behind a pseudo-terminal or a TCP port as serial servers have it."""

    at: Literal["pty"] | _Address
    link: Path | None = None  # a name for the pseudo-terminal, which is called otherwise each time
    baud: int = Field(default=2400, ge=300, le=921_600)
    bits_per_byte: int = Field(default=11, ge=9, le=12)
    echoes: bool = False
    bit_error_rate: float = Field(default=0.0, ge=0, lt=1)
    byte_loss_rate: float = Field(default=0.0, ge=0, lt=1)
    devices: tuple[Annotated[OnLine, Field(discriminator="protocol")], ...]

    @model_validator(mode="after")
    def _talkers_are_alone(self) -> Self:
        if len(self.devices) > 1 and any(isinstance(each, LevelUartSettings) for each in self.devices):
            raise ValueError("a level-uart sensor has no line in common with others")
        return self

    @property
    def wire(self) -> Wire:
        return Wire(**{each.name: getattr(self, each.name) for each in fields(Wire)})


class UnitSettings(_Unit):
    """A unit behind Modbus TCP, whose frames carry no checksum."""

    faults: tuple[Annotated[Silence | Slow | CutOff | Reset | Frozen, Field(discriminator="fault")], ...] = ()


class ConverterSettings(_Declared):
    """A port of Modbus TCP with units behind it, and what its converter does wrong."""

    at: _Address
    units: tuple[UnitSettings, ...] = Field(min_length=1)
    says_nobody: bool = False
    waits_for_nobody_s: NonNegativeFloat = 1.0
    wrong_number_share: Share = 0.0
    wrong_unit_share: Share = 0.0
    split_share: Share = 0.0
    noise_share: Share = 0.0
    closes_after: int | None = Field(default=None, ge=1)

    @property
    def habits(self) -> modbus_tcp.Habits:
        return modbus_tcp.Habits(**{each.name: getattr(self, each.name) for each in fields(modbus_tcp.Habits)})


class _Station(_Declared):
    name: str
    centre_at: _Address  # where it dials in
    measures: Measures
    faults: tuple[Fault, ...] = ()
    utc_offset_h: float = Field(default=8.0, ge=-12, le=14)
    every_s: PositiveFloat = 300.0
    keep_alive_s: PositiveFloat = 40.0
    answer_within_s: PositiveFloat = 10.0
    repeats_max: int = Field(default=2, ge=0, le=10)
    kept_max: int = Field(default=1000, ge=1)
    doubled_share: Share = 0.0
    hang_up_share: float = Field(default=0.0, ge=0, lt=1)
    is_deaf: bool = False

    @property
    def habits(self) -> dialling.Habits:
        return dialling.Habits(**{each.name: getattr(self, each.name) for each in fields(dialling.Habits)})


class Sl651Settings(_Station):
    """A hydrological station of SL 651."""

    protocol: Literal["sl651"]
    station: str = Field(pattern=r"^\d{10}$")
    password: str = Field(default="1234", pattern=r"^[0-9A-F]{4}$")
    centre: int = Field(default=1, ge=0, le=255)
    limit_m: float | None = None
    packet_bytes: int | None = Field(default=None, ge=8)
    counts_packets: bool = False
    leaves_out_sort: bool = False
    fill: Fill = "ff"
    hides_failure: bool = False


class Hj212Settings(_Station):
    """A station of HJ 212."""

    protocol: Literal["hj212"]
    station: str = Field(min_length=1, max_length=24)
    password: str = Field(default="123456", min_length=1, max_length=9)
    factors: dict[str, str] = dict(FACTORS)
    repeats_max: int = Field(default=3, ge=0, le=10)
    tells_minutes: bool = False
    wants_answer: bool = True
    checksum: Checksum = "right"
    flag: DataFlag | None = "N"
    splits: bool = False
    writes_spaces: bool = False


StationSettings: TypeAlias = Annotated[Sl651Settings | Hj212Settings, Field(discriminator="protocol")]


class LorawanSettings(_Declared):
    """A LoRaWAN sensor, as a network server publishes it at a broker."""

    eui: str = Field(pattern=r"^[0-9a-f]{16}$")
    model: Model
    broker: _Address
    server: Server = "chirpstack-v4"
    every_s: PositiveFloat = 600.0
    measures: Measures
    faults: tuple[Annotated[Silence | Frozen | Reset, Field(discriminator="fault")], ...] = ()
    is_deaf: bool = False
    is_tilted: bool = False
    has_unknown: bool = False
    lost_share: Share = 0.0
    doubled_share: Share = 0.0
    starts_again_s: NonNegativeFloat | None = None  # a change of battery


class People(_Declared):
    """Who comes to a scanner, by chance."""

    per_min: PositiveFloat = 4.0
    fever_share: float = Field(default=0.005, ge=0, le=1)
    stranger_share: float = Field(default=0.1, ge=0, le=1)
    unmeasured_share: float = Field(default=0.02, ge=0, le=1)
    mask_share: float = Field(default=0.5, ge=0, le=1)


class ScannerBase(_Declared):
    name: str
    people: People = People()
    utc_offset_h: float = Field(default=8.0, ge=-12, le=14)
    faults: tuple[Annotated[ClockDrift | Reboot, Field(discriminator="fault")], ...] = ()  # of its clock


class IsapiSettings(ScannerBase):
    """A Hikvision terminal or camera: asked at `listen`, or pushing to `url`, or both."""

    protocol: Literal["isapi"]
    mac: str = Field(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
    listen: _Address | None = None
    url: _Url | None = None
    repeats: float = Field(default=0.0, ge=0, lt=1)
    username: str = "gateway"
    password: str = "simulated"
    form: isapi.Form = "terminal"
    language: Literal["json", "xml"] = "json"
    unit: isapi.Unit = "celsius"
    unmeasured: isapi.Unmeasured = "left-out"
    can_search: bool = True
    has_pictures: bool = True

    @model_validator(mode="after")
    def _is_reached(self) -> Self:
        if self.listen is None and self.url is None:
            raise ValueError("an ISAPI device is asked at 'listen', pushes to 'url', or both: give one")
        return self


class FaceSettings(ScannerBase):
    """A terminal of the mqtt/face family at a broker, or its HTTP twin that posts to `url`."""

    protocol: Literal["mqtt-face"]
    id: str = Field(pattern=r"^[^+#/\s]{1,60}$")
    broker: _Address | None = None
    url: _Url | None = None
    spelling: face_terminal.Spelling = "rec-push"
    writes_slashes: bool = False
    misspells_name: bool = False
    has_temperature: bool = True
    resumes: bool = True

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.broker is None) == (self.url is None):
            raise ValueError("a face terminal publishes to 'broker' or posts to 'url': give one of them")
        return self


class ZktecoSettings(ScannerBase):
    """A ZKTeco terminal that pushes to `url`."""

    protocol: Literal["zkteco"]
    serial: str = Field(pattern=r"^[0-9A-Za-z]{1,40}$")
    url: _Url
    edition: ZktecoEdition = 3


ScannerSettings: TypeAlias = Annotated[IsapiSettings | FaceSettings | ZktecoSettings, Field(discriminator="protocol")]


class JsonSettings(_Declared):
    """A sensor that says its values as plain JSON, every so often, to a topic or a URL."""

    name: str
    broker: _Address | None = None
    topic: str | None = None
    url: _Url | None = None
    every_s: PositiveFloat = 10.0
    measures: Measures
    faults: tuple[Annotated[Silence | Frozen | Reset, Field(discriminator="fault")], ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.broker is None) == (self.url is None) or (self.broker is None) != (self.topic is None):
            raise ValueError("give either 'broker' and 'topic', or 'url'")
        return self


class FieldSettings(_Declared):
    """The whole file."""

    seed: int = 1
    lines: tuple[LineSettings, ...] = ()
    modbus_tcp: tuple[ConverterSettings, ...] = ()
    stations: tuple[StationSettings, ...] = ()
    lorawan: tuple[LorawanSettings, ...] = ()
    scanners: tuple[ScannerSettings, ...] = ()
    json_sensors: tuple[JsonSettings, ...] = Field(default=(), alias="json")

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file. Raises Mistakes, naming line and field."""
        return validate(read_document(file), cls)
