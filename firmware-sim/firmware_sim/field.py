"""A field of devices from a file, for whatever system wants to read them: meters on lines, scanners at gates, plain JSON.

What a device measures is a signal of time: where it begins, how it grows, swings and shakes. The same seed gives the same
field. `docs/simulator.md` shows a file whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import httpx
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from firmware_sim.devices import face_terminal, isapi
from firmware_sim.devices.cjt188 import Layout, Meter188
from firmware_sim.devices.dlt645 import Edition, Meter645
from firmware_sim.devices.face_terminal import FaceTerminal, face_mqtt
from firmware_sim.devices.faults import (
    ClockDrift,
    Fault,
    Frozen,
    MeterClock,
    Misbehaving,
    Reboot,
    Reset,
    Silence,
    with_faults,
)
from firmware_sim.devices.isapi import IsapiDevice, isapi_port
from firmware_sim.devices.line import Device, SerialLine, Wire
from firmware_sim.devices.mbus import MeterMbus
from firmware_sim.devices.modbus_unit import MODELS, ModbusUnit
from firmware_sim.devices.ports import pty_port, tcp_port
from firmware_sim.devices.quantities import Quantities
from firmware_sim.devices.scanner import Pusher, Seen
from firmware_sim.devices.zkteco import Edition as ZktecoEdition
from firmware_sim.devices.zkteco import ZktecoTerminal
from telemetry.clock import Clock
from telemetry.declaration import read_document, validate

_HOUR_MS = 3_600_000
_HEALTHY_C, _HEALTHY_SD_C, _HEALTHY_MAX_C = 36.4, 0.25, 37.1  # as in `gates`
_FEVER_C = (37.5, 39.5)
_PEOPLE = 5_000  # who come and go

_Address = Annotated[str, Field(pattern=r"^[^:/\s]+:\d{1,5}$")]  # host:port; port 0 takes a free one
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


class ModbusSettings(_Declared):
    """A Modbus unit of a known model."""

    protocol: Literal["modbus"]
    unit: int = Field(ge=1, le=247)
    model: str
    measures: Measures
    faults: tuple[Fault, ...] = ()
    is_deaf: bool = False

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.model not in MODELS:
            raise ValueError(f"there is no model '{self.model}'; there are {', '.join(MODELS)}")
        return self


OnLine: TypeAlias = Meter645Settings | Meter188Settings | MeterMbusSettings | ModbusSettings


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

    @property
    def wire(self) -> Wire:
        return Wire(**{each.name: getattr(self, each.name) for each in fields(Wire)})


class People(_Declared):
    """Who comes to a scanner, by chance."""

    per_min: PositiveFloat = 4.0
    fever_share: float = Field(default=0.005, ge=0, le=1)
    stranger_share: float = Field(default=0.1, ge=0, le=1)
    unmeasured_share: float = Field(default=0.02, ge=0, le=1)
    mask_share: float = Field(default=0.5, ge=0, le=1)


class _Scanner(_Declared):
    name: str
    people: People = People()
    utc_offset_h: float = Field(default=8.0, ge=-12, le=14)
    faults: tuple[Annotated[ClockDrift | Reboot, Field(discriminator="fault")], ...] = ()  # of its clock


class IsapiSettings(_Scanner):
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


class FaceSettings(_Scanner):
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


class ZktecoSettings(_Scanner):
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
    scanners: tuple[ScannerSettings, ...] = ()
    json_sensors: tuple[JsonSettings, ...] = Field(default=(), alias="json")

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file. Raises Mistakes, naming line and field."""
        return validate(read_document(file), cls)


_Saw: TypeAlias = Callable[[Seen], None]
_Run: TypeAlias = Callable[[Coroutine[None, None, None]], None]


class FieldOfDevices:
    """Devices that run from `open` on. `truth` is told of each person; `injected` counts what was done wrong."""

    def __init__(self, settings: FieldSettings, clock: Clock, truth: Callable[[Mapping[str, object]], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._truth = truth
        self._start_ms = clock.now_ms()
        self._misbehaving: list[Misbehaving] = []
        self._serial_lines: list[SerialLine] = []
        self._json_injected: Counter[str] = Counter()

    @property
    def injected(self) -> Mapping[str, int]:
        """What was done to answers and bytes, by its name."""
        total = Counter(self._json_injected)
        for counted in (
            *(each.injected for each in self._misbehaving),
            *(line.injected for line in self._serial_lines),
        ):
            total += counted
        return dict(total)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[list[str]]:
        """Run while the context lasts: a line of text for each device that says where it is.

        Raises OSError where a port is taken.
        """
        async with contextlib.AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(_tasks())
            said: list[str] = []
            for line in self._settings.lines:
                said += await self._line(line, stack)
            for scanner in self._settings.scanners:
                said.append(await self._scanner(scanner, stack, tasks))
            for sensor in self._settings.json_sensors:
                tasks.append(asyncio.create_task(self._json(sensor), name=sensor.name))
                said.append(f"json {sensor.name}: {sensor.url or f'{sensor.broker} {sensor.topic}'}")
            yield said

    async def _line(self, settings: LineSettings, stack: contextlib.AsyncExitStack) -> list[str]:
        devices = [self._device(each) for each in settings.devices]
        line = SerialLine(settings.wire, devices, self._clock, self._settings.seed)
        self._serial_lines.append(line)
        if settings.at == "pty":
            where = await stack.enter_async_context(pty_port(line))
            if settings.link is not None:
                stack.enter_context(_linked(settings.link, where))
                where = str(settings.link)
        else:
            host, port = _split(settings.at)
            where = f"{host}:{await stack.enter_async_context(tcp_port(line, host, port))}"
        return [f"{each.protocol} {_who(each)}: {where}, {settings.baud} baud" for each in settings.devices]

    def _device(self, settings: OnLine) -> Device:
        quantities = self._quantities(_who(settings), settings.measures, settings.faults)
        clock = MeterClock(self._start_ms, settings.faults)
        habits = settings.model_dump(exclude={"protocol", "measures", "faults"})
        device: Device
        match settings:
            case Meter645Settings():
                device = Meter645(quantities=quantities, clock=clock, **habits)
            case Meter188Settings():
                device = Meter188(quantities=quantities, clock=clock, **habits)
            case MeterMbusSettings():
                device = MeterMbus(quantities=quantities, **habits)
            case ModbusSettings():
                device = ModbusUnit(settings.unit, MODELS[settings.model], quantities, is_deaf=settings.is_deaf)
        wrong = Misbehaving(device, settings.faults, self._start_ms, self._seed(_who(settings)))
        self._misbehaving.append(wrong)
        return wrong

    async def _scanner(
        self, settings: ScannerSettings, stack: contextlib.AsyncExitStack, tasks: list[asyncio.Task[None]]
    ) -> str:
        def run(work: Coroutine[None, None, None]) -> None:
            tasks.append(asyncio.create_task(work, name=settings.name))

        match settings:
            case IsapiSettings():
                saw, where = await self._isapi(settings, stack, run)
            case FaceSettings():
                saw, where = await self._face(settings, stack, run)
            case ZktecoSettings():
                terminal = ZktecoTerminal(settings.serial, self._scanner_clock(settings), settings.edition)
                run(terminal.run(settings.url))
                saw, where = terminal.saw, settings.url
        run(self._come(settings, saw))
        return f"{settings.protocol} {settings.name}: {where}"

    async def _isapi(self, settings: IsapiSettings, stack: contextlib.AsyncExitStack, run: _Run) -> tuple[_Saw, str]:
        habits = isapi.Habits(
            settings.form,
            settings.language,
            settings.unit,
            settings.unmeasured,
            settings.can_search,
            settings.has_pictures,
        )
        clock = self._scanner_clock(settings)
        device = IsapiDevice(settings.mac, clock, settings.username, settings.password, habits)
        where, pusher = [], None
        if settings.listen is not None:
            host, port = _split(settings.listen)
            where.append(f"{host}:{await stack.enter_async_context(isapi_port(device, host, port))}")
        if settings.url is not None:
            pusher = Pusher(settings.url, _is_ok, repeats=settings.repeats, seed=self._seed(settings.name))
            run(pusher.run())
            where.append(settings.url)

        def saw(seen: Seen) -> None:
            push = device.saw(seen)
            if pusher is not None:
                pusher.tell(push)

        return saw, ", ".join(where)

    async def _face(self, settings: FaceSettings, stack: contextlib.AsyncExitStack, run: _Run) -> tuple[_Saw, str]:
        habits = face_terminal.Habits(
            settings.spelling,
            settings.writes_slashes,
            settings.misspells_name,
            settings.has_temperature,
            settings.resumes,
        )
        terminal = FaceTerminal(settings.id, self._scanner_clock(settings), habits)
        if settings.broker is not None:
            await stack.enter_async_context(face_mqtt(terminal, self._clock, *_split(settings.broker)))
            return terminal.saw, settings.broker
        pusher = Pusher(str(settings.url), _is_ok)
        run(pusher.run())

        def saw(seen: Seen) -> None:
            terminal.saw(seen)
            pusher.tell(terminal.posted(next(reversed(terminal.open)), self._clock.now_ms()))

        return saw, str(settings.url)

    def _scanner_clock(self, settings: _Scanner) -> MeterClock:
        return MeterClock(self._start_ms, settings.faults, settings.utc_offset_h)

    async def _come(self, settings: _Scanner, saw: _Saw) -> None:
        """People, one after the other, for ever."""
        rng, people = random.Random(self._seed(settings.name)), settings.people
        while True:
            await asyncio.sleep(rng.expovariate(people.per_min / 60))
            has_fever = rng.random() < people.fever_share
            healthy_c = min(rng.gauss(_HEALTHY_C, _HEALTHY_SD_C), _HEALTHY_MAX_C)
            skin_c = round(rng.uniform(*_FEVER_C) if has_fever else healthy_c, 1)
            is_measured = rng.random() >= people.unmeasured_share
            person = "" if rng.random() < people.stranger_share else str(1 + rng.randrange(_PEOPLE))
            wears_mask = rng.random() < people.mask_share
            seen = Seen(self._clock.now_ms(), person, skin_c if is_measured else None, wears_mask)
            self._truth({"scanner": settings.name, "has_fever": has_fever, "true_c": skin_c, **asdict(seen)})
            saw(seen)

    async def _json(self, settings: JsonSettings) -> None:
        """Say the values until cancelled. It waits for nobody: what cannot be said now is not said."""
        measure = self._quantities(settings.name, settings.measures, settings.faults)
        silences = [fault for fault in settings.faults if isinstance(fault, Silence)]
        rng = random.Random(self._seed(settings.name))
        async with _teller(settings) as tell:
            while True:
                now_ms = self._clock.now_ms()
                elapsed_s = (now_ms - self._start_ms) / 1000
                if any(fault.is_on(elapsed_s) and rng.random() < fault.share for fault in silences):
                    self._json_injected["silence"] += 1
                else:
                    time = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
                    values = {name: round(value, 4) for name, value in measure(now_ms).items()}
                    await tell(json.dumps({"device": settings.name, "time": time, **values}).encode())
                await asyncio.sleep(settings.every_s)

    def _quantities(self, name: str, measures: Measures, faults: tuple[Fault, ...]) -> Quantities:
        signals = _signals(measures, self._seed(name), self._start_ms)
        return with_faults(signals, faults, self._start_ms)

    def _seed(self, name: str) -> int:
        return zlib.crc32(name.encode()) + self._settings.seed


def _signals(measures: Measures, seed: int, start_ms: int) -> Quantities:
    """Signals as functions of time, the same for the same time however often one asks."""
    signals = {name: one if isinstance(one, Signal) else Signal(start=one) for name, one in measures.items()}

    def at(now_ms: int) -> dict[str, float]:
        hours, values = (now_ms - start_ms) / _HOUR_MS, {}
        for name, signal in signals.items():
            value = signal.start + signal.per_hour * hours
            if signal.swing:
                value += signal.swing * math.sin(2 * math.pi * hours / signal.period_h)
            if signal.noise:
                value += random.Random(f"{seed} {name} {now_ms // 1000}").gauss(0.0, signal.noise)
            values[name] = value
        return values

    return at


@contextlib.asynccontextmanager
async def _tasks() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks that end with the context."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _teller(settings: JsonSettings) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """What says a message of a sensor, to its broker or URL."""
    if settings.broker is not None:
        client = Client(CallbackAPIVersion.VERSION2, f"sim-{settings.name}", protocol=MQTTProtocolVersion.MQTTv311)
        client.reconnect_delay_set(1, 5)
        client.connect_async(*_split(settings.broker))
        client.loop_start()

        async def publish(body: bytes) -> None:
            if client.is_connected():
                client.publish(str(settings.topic), body, 1)

        try:
            yield publish
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)
        return
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:

        async def post(body: bytes) -> None:
            with contextlib.suppress(httpx.HTTPError):
                await http.post(str(settings.url), content=body, headers={"Content-Type": "application/json"})

        yield post


@contextlib.contextmanager
def _linked(link: Path, target: str) -> Iterator[None]:
    """A lasting name for a pseudo-terminal. A link of an earlier run is replaced, a file is not."""
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _who(settings: OnLine) -> str:
    match settings:
        case MeterMbusSettings():
            return settings.number
        case ModbusSettings():
            return f"{settings.model} {settings.unit}"
    return settings.address


def _is_ok(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.OK
