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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import httpx
import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_sim.devices import face_terminal, isapi
from firmware_sim.devices.cjt188 import Meter188
from firmware_sim.devices.dialling import Speaker, Station
from firmware_sim.devices.dlt645 import Meter645
from firmware_sim.devices.face_terminal import FaceTerminal, face_mqtt
from firmware_sim.devices.faults import (
    Fault,
    MeterClock,
    Misbehaving,
    MisbehavingTalker,
    Misdeeds,
    Silence,
    with_faults,
)
from firmware_sim.devices.hj212 import Station212
from firmware_sim.devices.isapi import IsapiDevice, isapi_port
from firmware_sim.devices.level_uart import DistanceSensor
from firmware_sim.devices.line import Device, SerialLine
from firmware_sim.devices.lorawan import LoraSensor
from firmware_sim.devices.mbus import MeterMbus
from firmware_sim.devices.modbus_tcp import Converter, converter_port
from firmware_sim.devices.modbus_unit import MODELS, ModbusUnit
from firmware_sim.devices.ports import pty_port, tcp_port
from firmware_sim.devices.quantities import Quantities
from firmware_sim.devices.scanner import Pusher, Seen
from firmware_sim.devices.sdi12 import Sensor12
from firmware_sim.devices.sl651 import Station651
from firmware_sim.devices.zkteco import ZktecoTerminal
from firmware_sim.field_settings import (
    ConverterSettings,
    FaceSettings,
    FieldSettings,
    Hj212Settings,
    IsapiSettings,
    JsonSettings,
    LevelUartSettings,
    LineSettings,
    LorawanSettings,
    Measures,
    Meter188Settings,
    Meter645Settings,
    MeterMbusSettings,
    ModbusSettings,
    OnLine,
    ScannerBase,
    ScannerSettings,
    Sdi12Settings,
    Signal,
    Sl651Settings,
    StationSettings,
    ZktecoSettings,
)
from telemetry.clock import Clock

_log = structlog.get_logger()
_HOUR_MS = 3_600_000
_HEALTHY_C, _HEALTHY_SD_C, _HEALTHY_MAX_C = 36.4, 0.25, 37.1  # as in `gates`
_FEVER_C = (37.5, 39.5)
_PEOPLE = 5_000  # who come and go

_Saw: TypeAlias = Callable[[Seen], None]
_Tell: TypeAlias = Callable[[bytes], Awaitable[None]]
_Run: TypeAlias = Callable[[Coroutine[None, None, None]], None]


class FieldOfDevices:
    """Devices that run from `open` on. `truth` is told of each person; `injected` counts what was done wrong."""

    def __init__(self, settings: FieldSettings, clock: Clock, truth: Callable[[Mapping[str, object]], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._truth = truth
        self._start_ms = clock.now_ms()
        self._counted: list[Counter[str]] = []
        self._silenced: Counter[str] = Counter()

    @property
    def injected(self) -> Mapping[str, int]:
        """What was done to answers and bytes, by its name."""
        return dict(+sum(self._counted, self._silenced))

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[list[str]]:
        """Run while the context lasts: a line of text for each device that says where it is.

        Raises OSError where a port is taken.
        """
        async with contextlib.AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(_tasks())
            said: list[str] = []
            for line in self._settings.lines:
                said += await self._line(line, stack, tasks)
            for converter in self._settings.modbus_tcp:
                said += await self._converter(converter, stack)
            for station in self._settings.stations:
                said.append(self._station(station, tasks))
            for lora in self._settings.lorawan:
                sensor = self._lora_sensor(lora)
                tasks.append(asyncio.create_task(self._uplinks(lora, sensor), name=lora.eui))
                said.append(f"lorawan {lora.eui}: {lora.broker} {sensor.topic}")
            for scanner in self._settings.scanners:
                said.append(await self._scanner(scanner, stack, tasks))
            for one in self._settings.json_sensors:
                tasks.append(asyncio.create_task(self._json(one), name=one.name))
                said.append(f"json {one.name}: {one.url or f'{one.broker} {one.topic}'}")
            for task in tasks:
                task.add_done_callback(_has_ended)
            yield said

    async def _line(
        self, settings: LineSettings, stack: contextlib.AsyncExitStack, tasks: list[asyncio.Task[None]]
    ) -> list[str]:
        devices, talkers = [], []
        for each in settings.devices:
            if isinstance(each, LevelUartSettings):
                sensor = self._distance_sensor(each)
                if each.speaks == "urm":
                    devices.append(self._misbehaving(sensor, each))
                else:
                    talkers.append(self._misbehaving_talker(sensor, each))
            else:
                devices.append(self._misbehaving(self._device(each), each))
        line = SerialLine(settings.wire, devices, self._clock, self._settings.seed)
        self._counted.append(line.injected)
        tasks += [asyncio.create_task(line.speaks_up(talker), name="talker") for talker in talkers]
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
        match settings:
            case Meter645Settings():
                return Meter645(quantities=quantities, clock=clock, **habits)
            case Meter188Settings():
                return Meter188(quantities=quantities, clock=clock, **habits)
            case MeterMbusSettings():
                return MeterMbus(quantities=quantities, **habits)
            case ModbusSettings():
                return ModbusUnit(settings.unit, MODELS[settings.model], quantities, is_deaf=settings.is_deaf)
            case Sdi12Settings():
                return Sensor12(quantities=quantities, gives=tuple(settings.measures), **habits)
            case LevelUartSettings():
                return self._distance_sensor(settings)

    def _distance_sensor(self, settings: LevelUartSettings) -> DistanceSensor:
        habits = settings.model_dump(exclude={"protocol", "name", "measures", "faults"})
        quantities = self._quantities(settings.name, settings.measures, settings.faults)
        return DistanceSensor(quantities=quantities, seed=self._seed(settings.name), **habits)

    def _misbehaving(self, device: Device, settings: OnLine) -> Misbehaving:
        wrong = Misbehaving(device, settings.faults, self._start_ms, self._seed(_who(settings)))
        self._counted.append(wrong.injected)
        return wrong

    def _misbehaving_talker(self, sensor: DistanceSensor, settings: LevelUartSettings) -> MisbehavingTalker:
        wrong = MisbehavingTalker(sensor, settings.faults, self._start_ms, self._seed(settings.name))
        self._counted.append(wrong.injected)
        return wrong

    async def _converter(self, settings: ConverterSettings, stack: contextlib.AsyncExitStack) -> list[str]:
        units = []
        for each in settings.units:
            name = f"{settings.at} {each.unit}"
            quantities = self._quantities(name, each.measures, each.faults)
            unit = ModbusUnit(each.unit, MODELS[each.model], quantities, is_deaf=each.is_deaf)
            misdeeds = Misdeeds(each.faults, self._start_ms, self._seed(name))
            self._counted.append(misdeeds.injected)
            units.append((unit, misdeeds))
        converter = Converter(units, settings.habits, self._clock, self._seed(settings.at))
        self._counted.append(converter.injected)
        host, port = _split(settings.at)
        where = f"{host}:{await stack.enter_async_context(converter_port(converter, host, port))}"
        return [f"modbus-tcp {each.model} {each.unit}: {where}" for each in settings.units]

    def _station(self, settings: StationSettings, tasks: list[asyncio.Task[None]]) -> str:
        quantities = self._quantities(settings.name, settings.measures, settings.faults)
        clock = MeterClock(self._start_ms, settings.faults, settings.utc_offset_h)
        speaker: Speaker
        match settings:
            case Sl651Settings():
                speaker = Station651(
                    settings.station,
                    quantities,
                    clock,
                    settings.password,
                    settings.centre,
                    sort=None if settings.leaves_out_sort else 0x48,
                    limit_m=settings.limit_m,
                    packet_bytes=settings.packet_bytes,
                    counts_packets=settings.counts_packets,
                    is_deaf=settings.is_deaf,
                    fill=settings.fill,
                    hides_failure=settings.hides_failure,
                )
            case Hj212Settings():
                speaker = Station212(
                    settings.station,
                    quantities,
                    clock,
                    settings.password,
                    factors=settings.factors,
                    tells_minutes=settings.tells_minutes,
                    wants_answer=settings.wants_answer,
                    checksum=settings.checksum,
                    flag=settings.flag,
                    is_deaf=settings.is_deaf,
                    splits=settings.splits,
                    writes_spaces=settings.writes_spaces,
                )
        misdeeds = Misdeeds(settings.faults, self._start_ms, self._seed(settings.name))
        self._counted.append(misdeeds.injected)
        station = Station(speaker, settings.habits, misdeeds, self._clock, self._seed(settings.name))
        tasks.append(asyncio.create_task(station.run(*_split(settings.centre_at)), name=settings.name))
        return f"{settings.protocol} {settings.name}: dials {settings.centre_at}"

    def _lora_sensor(self, settings: LorawanSettings) -> LoraSensor:
        again_s = settings.starts_again_s
        sensor = LoraSensor(
            settings.eui,
            settings.model,
            self._quantities(settings.eui, settings.measures, settings.faults),
            settings.server,
            is_deaf=settings.is_deaf,
            is_tilted=settings.is_tilted,
            has_unknown=settings.has_unknown,
            lost_share=settings.lost_share,
            doubled_share=settings.doubled_share,
            starts_again_ms=None if again_s is None else self._start_ms + round(again_s * 1000),
            seed=self._seed(settings.eui),
        )
        self._counted.append(sensor.injected)
        return sensor

    async def _uplinks(self, settings: LorawanSettings, sensor: LoraSensor) -> None:
        is_silent = self._silences(settings.eui, settings.faults)
        async with _publisher(settings.eui, settings.broker, sensor.topic) as publish:
            while True:
                now_ms = self._clock.now_ms()
                if not is_silent(now_ms):
                    for message in sensor.messages(now_ms):
                        await publish(message)
                await asyncio.sleep(settings.every_s)

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

    def _scanner_clock(self, settings: ScannerBase) -> MeterClock:
        return MeterClock(self._start_ms, settings.faults, settings.utc_offset_h)

    async def _come(self, settings: ScannerBase, saw: _Saw) -> None:
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
        is_silent = self._silences(settings.name, settings.faults)
        async with _teller(settings) as tell:
            while True:
                now_ms = self._clock.now_ms()
                if not is_silent(now_ms):
                    time = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
                    values = {name: round(value, 4) for name, value in measure(now_ms).items()}
                    await tell(json.dumps({"device": settings.name, "time": time, **values}).encode())
                await asyncio.sleep(settings.every_s)

    def _silences(self, name: str, faults: Sequence[Fault]) -> Callable[[int], bool]:
        """Whether a sensor that speaks by itself keeps silent this time; counted when it does."""
        silences = [fault for fault in faults if isinstance(fault, Silence)]
        rng = random.Random(self._seed(name))

        def is_silent(now_ms: int) -> bool:
            elapsed_s = (now_ms - self._start_ms) / 1000
            is_one = any(fault.is_on(elapsed_s) and rng.random() < fault.share for fault in silences)
            self._silenced["silence"] += is_one
            return is_one

        return is_silent

    def _quantities(self, name: str, measures: Measures, faults: Sequence[Fault]) -> Quantities:
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


def _has_ended(task: asyncio.Task[None]) -> None:
    """Each device goes on until the field ends; one that cannot is no sensor that is silent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a simulated device has ended", device=task.get_name(), exc_info=error)


@contextlib.asynccontextmanager
async def _publisher(name: str, broker: str, topic: str) -> AsyncIterator[_Tell]:
    """What publishes a message at a broker; what is said while that is away is lost."""
    client = Client(CallbackAPIVersion.VERSION2, f"sim-{name}", protocol=MQTTProtocolVersion.MQTTv311)
    client.reconnect_delay_set(1, 5)
    client.connect_async(*_split(broker))
    client.loop_start()

    async def publish(body: bytes) -> None:
        if client.is_connected():
            client.publish(topic, body, 1)

    try:
        yield publish
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


@contextlib.asynccontextmanager
async def _teller(settings: JsonSettings) -> AsyncIterator[_Tell]:
    """What says a message of a sensor, to its broker or URL."""
    if settings.broker is not None:
        async with _publisher(settings.name, settings.broker, str(settings.topic)) as publish:
            yield publish
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
        case LevelUartSettings():
            return settings.name
    return settings.address


def _is_ok(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.OK
