"""Simulated scanners at the gates, read by the gateway's drivers over real sockets and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from firmware_sim.devices import face_terminal, isapi
from firmware_sim.devices.face_terminal import FaceTerminal, face_mqtt
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.isapi import IsapiDevice, isapi_port
from firmware_sim.devices.scanner import Pusher, Seen
from firmware_sim.devices.zkteco import ZktecoTerminal

from gateway.drivers import DRIVERS
from gateway.events import Events
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.quality import Quality
from tests.firmware_sim.field import faults
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
KEY = "9dd4e461268c8034f5c8564e155c67a6"
MAC = "a4:d5:c2:24:dd:74"
SERIAL = "CKJE204960001"
CLOCK = MeterClock(NOW_MS)
NEVER_SET = MeterClock(NOW_MS - 3_600_000, faults({"fault": "reboot", "for_s": 1}))


@dataclass(slots=True)
class Reader:
    """A driver of the gateway, and what it made of what it heard."""

    sink: ListSink
    events: Events
    driver: Any
    task: asyncio.Task[None]

    @property
    def values(self) -> list[float]:
        return [r.value for r in self.sink.readings if r.metric == "skin_temperature"]

    async def has(self, count: int) -> None:
        await until(lambda: self.task.done() or len(self.sink.readings) >= count, f"{count} readings")
        assert not self.task.done() or len(self.sink.readings) >= count, self.task.exception()


@contextlib.asynccontextmanager
async def reading(driver: str, folder: Path, sink: ListSink | None = None, **settings: Any) -> AsyncIterator[Reader]:
    kind = DRIVERS[driver]
    clock = ManualClock(NOW_MS)
    declared: Any = kind.settings.model_validate({"driver": driver, "site_key": KEY, **settings}).placed(folder)
    events, sink = Events(clock), sink or ListSink()
    made: Any = kind.make(declared, clock, events)
    task = asyncio.create_task(made.run(sink))
    try:
        yield Reader(sink, events, made, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def listening(driver: str, folder: Path, **settings: Any) -> contextlib.AbstractAsyncContextManager[Reader]:
    return reading(driver, folder, **{"host": "127.0.0.1", "port": 0, **settings})


async def its_port(reader: Reader) -> int:
    def listens() -> bool:
        with contextlib.suppress(AssertionError, AttributeError, IndexError):
            return bool(reader.driver.port)
        return False

    await until(listens, "a listener")
    return int(reader.driver.port)


def seen(number: int, skin_c: float | None = 36.5, **rest: Any) -> Seen:
    return Seen(NOW_MS - 600_000 + number * 1000, **{"person": str(number), "skin_c": skin_c, **rest})


def asked(folder: Path, port: int, **rest: Any) -> contextlib.AbstractAsyncContextManager[Reader]:
    login = {"username": "gateway", "password": "simulated"}
    where = {"device": "gate-1", "host": "127.0.0.1", "port": port, "bookmark": "gate-1.bookmark"}
    return reading("hikvision", folder, **{**login, **where, **rest})


def no_person_is_told(readings: Sequence[Any]) -> None:
    assert not [r for r in readings if "PERSON" in repr(r) or re.search(r"key='\d+'", repr(r))]


# ISAPI: the stream and the search

HABITS = {
    "terminal": {},
    "camera": {"form": "camera"},
    "xml": {"language": "xml"},
    "camera in xml": {"form": "camera", "language": "xml"},
    "fahrenheit": {"unit": "fahrenheit"},
    "kelvin": {"unit": "kelvin"},
    "no lengths": {"has_lengths": False},
    "no pictures": {"has_pictures": False},
    "a nonce for one request": {"nonce_uses": 1},
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS.keys())
def test_the_alert_stream_is_read_in_every_habit(habits: dict[str, Any], tmp_path: Path) -> None:
    async def run() -> None:
        device = IsapiDevice(MAC, CLOCK, habits=isapi.Habits(heartbeat_s=0.05, **habits))
        async with isapi_port(device, "127.0.0.1", 0) as port, asked(tmp_path, port) as reader:
            await until(lambda: bool(device.streams), "the stream")
            for number, skin_c in enumerate((36.4, 38.1, 36.9), 1):
                device.saw(seen(number, skin_c))
            await reader.has(3)
            assert reader.values == pytest.approx([36.4, 38.1, 36.9], abs=0.06)
            assert [r.quality for r in reader.sink.readings] == [Quality.GOOD] * 3
            assert len({r.key for r in reader.sink.readings}) == 3
            no_person_is_told(reader.sink.readings)
            assert "refused_messages" not in reader.events.counters()
            assert "noise_bytes" not in reader.events.counters()

    asyncio.run(run())


@pytest.mark.parametrize("unmeasured", ["left-out", "zero", "empty"])
def test_who_was_seen_and_not_measured_is_no_reading(unmeasured: isapi.Unmeasured, tmp_path: Path) -> None:
    async def run() -> None:
        device = IsapiDevice(MAC, CLOCK, habits=isapi.Habits(unmeasured=unmeasured))
        async with isapi_port(device, "127.0.0.1", 0) as port, asked(tmp_path, port) as reader:
            await until(lambda: bool(device.streams), "the stream")
            device.saw(seen(1, None))
            device.saw(seen(2, 36.6))
            await reader.has(1)
            assert reader.values == [36.6]

    asyncio.run(run())


def test_what_the_stream_did_not_say_is_searched_for_and_a_reset_costs_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        device, sink = IsapiDevice(MAC, CLOCK), ListSink()
        async with isapi_port(device, "127.0.0.1", 0) as port:
            async with asked(tmp_path, port, sink=sink) as reader:
                await until(lambda: bool(device.streams), "the stream")
                device.saw(seen(1))
                await reader.has(1)
                device.hang_up()
                with pytest.raises(Unavailable):
                    await reader.task
            for number in range(2, 72):
                device.saw(seen(number))
            async with asked(tmp_path, port, sink=sink) as reader:
                await reader.has(71)
                assert device.searches == 3
                device.hang_up()
                with pytest.raises(Unavailable):
                    await reader.task
            device.reset()
            device.saw(seen(80))
            async with asked(tmp_path, port, sink=sink) as reader:
                await reader.has(72)
            assert len({(r.time_ms, r.key) for r in sink.readings}) == len(sink.readings) == 72

    asyncio.run(run())


def test_a_clock_that_was_never_set_a_mute_stream_and_a_wrong_password(tmp_path: Path) -> None:
    async def run() -> None:
        device = IsapiDevice(MAC, NEVER_SET, habits=isapi.Habits(heartbeat_s=0.01, can_search=False))
        async with isapi_port(device, "127.0.0.1", 0) as port:
            async with asked(tmp_path, port, silence_max_s=0.3) as reader:
                await until(lambda: bool(device.streams), "the stream")
                device.saw(seen(1, 38.2))
                await reader.has(1)
                assert (reader.sink.readings[0].time_ms, reader.sink.readings[0].quality) == (NOW_MS, Quality.SUSPECT)
                device.is_mute = True
                with pytest.raises(Unavailable, match="said nothing"):
                    await reader.task
            async with asked(tmp_path, port, password="another") as reader:
                with pytest.raises(BadConfiguration, match="refuses the log-in"):
                    await reader.task

    asyncio.run(run())


# What is pushed over HTTP


@pytest.mark.parametrize("habits", [{}, {"form": "camera"}, {"language": "xml"}, {"has_pictures": False}])
def test_a_device_that_pushes_does_so_until_the_gateway_has_it_and_once_too_often(
    habits: dict[str, Any], tmp_path: Path
) -> None:
    async def run() -> None:
        device = IsapiDevice(MAC, CLOCK, habits=isapi.Habits(**habits))
        async with listening("hikvision-listen", tmp_path, devices=[{"device": "gate-1", "mac": MAC}]) as reader:
            reader.sink.refusal = Unavailable("the spool is full")
            pusher = Pusher(
                f"http://127.0.0.1:{await its_port(reader)}",
                lambda answer: answer.status_code == 200,
                retry_s=0.02,
                repeats=0.5,
            )
            async with running(pusher.run()):
                for number in range(1, 21):
                    pusher.tell(device.saw(seen(number, 36 + number / 10)))
                await until(lambda: reader.sink.refused >= 2, "a push that was refused")
                assert not reader.sink.readings
                reader.sink.refusal = None
                await until(lambda: not pusher.waiting, "an empty memory")
            assert reader.values == pytest.approx([36 + number / 10 for number in range(1, 21)])
            assert reader.events.counters()["duplicates"] == pusher.pushed - 20 - reader.sink.refused
            no_person_is_told(reader.sink.readings)

    asyncio.run(run())


@pytest.mark.parametrize("edition", [2, 3])
@pytest.mark.parametrize("has_fahrenheit", [False, True])
def test_a_zkteco_terminal_registers_and_its_rows_are_read(edition: Any, has_fahrenheit: bool, tmp_path: Path) -> None:
    async def run() -> None:
        terminal = ZktecoTerminal(SERIAL, CLOCK, edition, poll_s=0.05, retry_s=0.02, has_fahrenheit=has_fahrenheit)
        async with listening("zkteco", tmp_path, devices=[{"device": "gate-1", "serial": SERIAL}]) as reader:
            for number in range(1, 121):
                terminal.saw(seen(number, 36 + number / 100))
            terminal.saw(seen(121, None))
            reader.sink.refusal = Unavailable("the spool is full")
            async with running(terminal.run(f"http://127.0.0.1:{await its_port(reader)}")):
                await until(lambda: reader.sink.refused > 0, "rows that were refused")
                assert terminal.taken == 0
                reader.sink.refusal = None
                await until(lambda: not terminal.waiting, "an empty memory")
                assert len(reader.values) == 120
                assert reader.values[:2] == pytest.approx([36.0, 36.0], abs=0.06)
                terminal.reset()
                terminal.saw(seen(200, 37.9))
                await reader.has(121)
                assert reader.values[-1] == pytest.approx(37.9, abs=0.06)
                no_person_is_told(reader.sink.readings)

    asyncio.run(run())


def test_a_zkteco_terminal_that_nobody_registers_sends_nothing_and_one_without_a_clock_is_heard(tmp_path: Path) -> None:
    async def run() -> None:
        stranger = ZktecoTerminal("NOBODY1", CLOCK, retry_s=0.02)
        unset = ZktecoTerminal(SERIAL, NEVER_SET, retry_s=0.02)
        async with listening("zkteco", tmp_path, devices=[{"device": "gate-1", "serial": SERIAL}]) as reader:
            url = f"http://127.0.0.1:{await its_port(reader)}"
            stranger.saw(seen(1))
            unset.saw(seen(2, 38.4))
            async with running(stranger.run(url), unset.run(url)):
                await until(lambda: stranger.registrations > 3 and unset.taken == 1, "a stranger that asks again")
            (only,) = reader.sink.readings
            assert (only.value, only.time_ms, only.quality) == (38.4, NOW_MS, Quality.SUSPECT)
            assert stranger.taken == 0

    asyncio.run(run())


def test_a_face_terminal_posts_to_the_http_twin(tmp_path: Path) -> None:
    async def run() -> None:
        terminal = FaceTerminal("1305433", CLOCK)
        async with listening("face-http", tmp_path, devices=[{"device": "gate-1", "id": "1305433"}]) as reader:
            pusher = Pusher(f"http://127.0.0.1:{await its_port(reader)}", lambda answer: answer.status_code == 200)
            for number in range(1, 4):
                terminal.saw(seen(number, 36.5 + number))
                pusher.tell(terminal.posted(str(number), NOW_MS))
            async with running(pusher.run()):
                await until(lambda: not pusher.waiting, "an empty memory")
            assert reader.values == [37.5, 38.5, 39.5]

    asyncio.run(run())


# A face terminal at a real broker

FACES = {
    "rec-push": {},
    "verify-push": {"spelling": "verify-push"},
    "slashes and persionName": {"writes_slashes": True, "misspells_name": True},
}


@pytest.mark.integration
@pytest.mark.parametrize("habits", FACES.values(), ids=FACES.keys())
def test_records_come_again_until_the_gateway_has_them(
    habits: dict[str, Any], tmp_path: Path, mosquitto_port: int
) -> None:
    async def run() -> None:
        terminal = FaceTerminal("1305433", CLOCK, face_terminal.Habits(again_s=0.2, heartbeat_s=0.05, **habits))
        for number in range(1, 6):
            terminal.saw(seen(number, 36 + number / 10))
        terminal.saw(seen(6, None))
        async with face_mqtt(terminal, SystemClock(), "127.0.0.1", mosquitto_port):
            await until(lambda: terminal.sent >= 12, "records that come again")  # nobody listens yet
            settings: dict[str, Any] = {
                "broker": {"host": "127.0.0.1", "port": mosquitto_port},
                "client_id": "gw-faces",
                "devices": [{"device": "gate-1", "id": "1305433"}],
            }
            async with reading("face-mqtt", tmp_path, **settings) as reader:
                await until(lambda: not terminal.open, "acknowledgements of all")
                assert sorted(reader.values) == [36.1, 36.2, 36.3, 36.4, 36.5]
                terminal.saw(seen(7, 39.0, person=""))
                await until(lambda: not terminal.open, "an acknowledgement of the stranger")
                assert reader.values[-1] == 39.0
                no_person_is_told(reader.sink.readings)
                assert "refused_messages" not in reader.events.counters()

    asyncio.run(run())


@contextlib.asynccontextmanager
async def running(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-23T08:00:01+08:00", "2026-11-23T08:00:02+08:00"),
        ("2026-11-23T00:00:01Z", "2026-11-23T00:00:02+00:00"),
        ("2026-11-23T08:00:01", "2026-11-23T08:00:02"),  # by its own clock
    ],
)
def test_a_search_is_about_instants_however_they_are_written(start: str, end: str) -> None:
    device = IsapiDevice(MAC, CLOCK)  # it is 08:00 in Shanghai
    for second in range(5):
        device.saw(Seen(NOW_MS + 1000 * second, "7", 36.5))
    asked = {"searchID": "1", "searchResultPosition": 0, "maxResults": 30, "startTime": start, "endTime": end}
    found = json.loads(device._found(json.dumps({"AcsEventCond": asked}).encode()))["AcsEvent"]
    assert [row["serialNo"] for row in found["InfoList"]] == [2, 3]
