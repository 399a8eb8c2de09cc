"""The parts together, without a broker: supervision, stopping, and the receipts that are not for us."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import sys
from pathlib import Path

import pytest

from gateway import gateway
from gateway.driver import Sink
from gateway.events import DriverState, Events
from gateway.settings import load_settings
from gateway.spool import Spool
from gateway.uplink import Uplink
from gateway.window import WindowLimits
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.settings import BrokerSettings
from tests.gateway.support import FakeModbus, ListSink, free_port, http, post, until


class Script:
    """A driver that fails as told, then runs for ever."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.runs = 0

    async def run(self, sink: Sink) -> None:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)
        await asyncio.get_running_loop().create_future()


async def supervised(driver: Script, events: Events, runs: int) -> None:
    events.driver_added("d")
    task = asyncio.create_task(gateway.supervise("d", lambda: driver.run(ListSink()), ManualClock(), events))
    await until(lambda: driver.runs >= runs or task.done(), f"{runs} runs")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_DELAY_FIRST_S", 0.001)
    monkeypatch.setattr(gateway, "_DELAY_MAX_S", 0.002)


def test_a_driver_whose_peer_is_away_is_run_again_and_warned_about_once() -> None:
    driver, events = Script(*[Unavailable("no route")] * 5), Events(ManualClock())
    asyncio.run(supervised(driver, events, runs=6))
    assert driver.runs == 6
    assert events.counters()["outages"] == 1


def test_a_driver_that_cannot_work_as_configured_is_disabled() -> None:
    driver, events = Script(BadConfiguration("port 80 may not be opened")), Events(ManualClock())
    asyncio.run(supervised(driver, events, runs=2))
    assert driver.runs == 1
    assert events.drivers["d"] is DriverState.DISABLED


def test_a_driver_with_a_fault_of_ours_is_run_again() -> None:
    driver, events = Script(AssertionError("bug"), KeyError("bug")), Events(ManualClock())
    asyncio.run(supervised(driver, events, runs=3))
    assert driver.runs == 3
    assert events.counters()["driver_crashes"] == 2


def test_a_stop_keeps_what_was_taken_and_ends_without_a_broker(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "gw.yaml"
    file.write_text(
        json.dumps(
            {
                "site": "s",
                "gateway": "g",
                "broker": {"host": "127.0.0.1", "port": free_port()},
                "drivers": [
                    {
                        "driver": "http-push",
                        "port": port,
                        "devices": [{"device": "scanner", "serial": "1"}],
                        "fields": {"t": "skin_temperature"},
                    }
                ],
            }
        )
    )
    settings = load_settings(file, {})

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(gateway.run(settings, SystemClock(), stop))
        status = 0
        while status != 200:
            try:
                status, _ = await http(port, post({"serial": "1", "t": 36.5}))
            except OSError:
                await asyncio.sleep(0.01)
        stop.set()
        async with asyncio.timeout(10):
            await task

    asyncio.run(run())
    spool = Spool(settings.spool.path, SystemClock())
    assert spool.count == 1
    spool.close()


def test_a_second_gateway_keeps_its_hands_off_the_spool_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "gw.yaml"
    broker = {"host": "127.0.0.1", "port": free_port()}
    file.write_text(json.dumps({"site": "s", "gateway": "g", "broker": broker}))
    settings = load_settings(file, {})

    async def run() -> None:
        stop = asyncio.Event()
        first = asyncio.create_task(gateway.run(settings, SystemClock(), stop))
        await until(lambda: any(settings.spool.path.glob("*/frames")), "a spool")
        with pytest.raises(Unavailable, match=r"spool.path: another gateway is at work in .*spool"):
            async with asyncio.timeout(10):
                await gateway.run(settings, SystemClock(), stop)
        stop.set()
        await first
        await gateway.run(settings, SystemClock(), stop)  # which is over at once

    asyncio.run(run())


def test_an_export_is_told_what_is_durable_and_what_it_names_alone(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def centre(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(centre, "127.0.0.1", 0)
        port = free_port()
        scanner = {"device": "scanner", "serial": "1"}
        series = {"device": "scanner", "metric": "ambient_temperature", "factor": "a01001"}
        authority = {"export": "hj212", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        fields = {"t": "skin_temperature", "a": "ambient_temperature"}
        file = tmp_path / "gw.yaml"
        file.write_text(
            json.dumps(
                {
                    "site": "s",
                    "gateway": "g",
                    "broker": {"host": "127.0.0.1", "port": free_port()},
                    "drivers": [{"driver": "http-push", "port": port, "devices": [scanner], "fields": fields}],
                    "exports": [{**authority, "station": "MN1", "password": "1", "series": [series]}],
                }
            )
        )
        clock, stop = ManualClock(1_795_392_000_000), asyncio.Event()
        task = asyncio.create_task(gateway.run(load_settings(file, {}), clock, stop))
        status = 0
        while status != 200:
            try:
                status, _ = await http(
                    port, post({"serial": "1", "passage": "p-1", "time": 1_795_392_000_000, "t": 36.5, "a": 21.5})
                )
            except OSError:
                await asyncio.sleep(0.01)
        clock.advance(31)
        await until(lambda: bool(heard), "the report of now")
        stop.set()
        async with asyncio.timeout(10):
            await task
        server.close()

    asyncio.run(run())
    assert b"a01001-Rtd=21.500,a01001-Flag=N" in heard[0]
    assert b"36.5" not in heard[0] and b"p-1" not in heard[0]


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        ('{"epoch":"EPOCH","seq":2}', 1),
        ('{"epoch":"EPOCH","seq":2,"later":"fields"}', 1),
        ('{"epoch":"EPOCH","seq":4}', 3),
        ('{"epoch":"EPOCH","seq":-1}', 3),
        ('{"epoch":"EPOCH","seq":"2"}', 3),
        ('{"epoch":"EPOCH"}', 3),
        ('{"epoch":"0123456789abcdef","seq":2}', 3),
        ("", 3),
        ("[" * 10_000, 3),
        ('{"epoch":"EPOCH","seq":1e99}', 3),
    ],
)
def test_only_a_receipt_for_what_we_hold_frees_anything(tmp_path: Path, payload: str, left: int) -> None:
    clock = ManualClock()
    spool, events = Spool(tmp_path / "spool", clock), Events(clock)
    for _ in range(3):
        spool.append(b"x")

    async def run() -> None:
        uplink = Uplink(clock, spool, events, BrokerSettings(), "s", "g", WindowLimits(), 5, dict, print)
        uplink.link_message(payload.replace("EPOCH", spool.epoch).encode())

    asyncio.run(run())
    assert spool.count == left
    assert events.counters().get("frames_receipted", 0) == 3 - left
    spool.close()


def configuration(folder: Path, *meters: tuple[str, int], every_s: float = 0.05, gateway_name: str = "g") -> Path:
    """A gateway with a Modbus TCP meter for each (device, port)."""
    drivers = [
        {
            "driver": "modbus-tcp",
            "host": "127.0.0.1",
            "port": port,
            "every_s": every_s,
            "profiles": {"p": [{"metric": "level", "function": "input", "address": 0}]},
            "devices": [{"device": device, "unit": 1, "profile": "p"}],
        }
        for device, port in meters
    ]
    file = folder / "gw.yaml"
    broker = {"host": "127.0.0.1", "port": 1}
    file.write_text(json.dumps({"site": "s", "gateway": gateway_name, "broker": broker, "drivers": drivers}))
    return file


def test_changed_drivers_are_taken_up_and_the_others_keep_running(tmp_path: Path) -> None:
    async def run() -> None:
        first, second, third = (FakeModbus({1: {0: 7}}) for _ in range(3))
        for device in (first, second, third):
            await device.start()
        file = configuration(tmp_path, ("m1", first.port), ("m2", second.port))
        load = functools.partial(load_settings, file, {})
        clock = SystemClock()
        events, sink = Events(clock), ListSink()
        changes = gateway.Changes(asyncio.Event(), load)
        async with asyncio.TaskGroup() as group:
            drivers = gateway.RunningDrivers(group, sink, clock, events)
            await drivers.change(load().drivers)
            following = group.create_task(gateway.follow(changes, load(), drivers, events))
            await until(lambda: {r.device for r in sink.readings} == {"m1", "m2"}, "both meters")

            file.write_text(file.read_text().replace('"modbus-tcp"', '"modbus-pct"', 1))
            changes.asked.set()
            await until(lambda: events.counters().get("refused_configurations") == 1, "a refusal")
            assert len(events.drivers) == 2

            connections = first.connections
            configuration(tmp_path, ("m1", first.port), ("m3", third.port))
            changes.asked.set()
            await until(lambda: any(r.device == "m3" for r in sink.readings), "the third meter")
            assert first.connections == connections  # it was never left
            assert {name.split(":")[1] for name in events.drivers} == {str(first.port), str(third.port)}
            asked = len(second.requests)
            count = len(sink.readings)
            await until(lambda: len(sink.readings) >= count + 4, "more readings")
            assert len(second.requests) == asked

            configuration(tmp_path, ("m1", first.port), every_s=0.02)
            changes.asked.set()
            await until(lambda: first.connections > connections, "the first meter with its new rhythm")
            following.cancel()
            await drivers.change(())
            assert events.drivers == {}
        for device in (first, second, third):
            await device.stop()

    asyncio.run(run())


def test_a_gateway_reads_its_file_again_when_it_is_told_to(tmp_path: Path) -> None:
    async def run() -> str:
        file = configuration(tmp_path, ("m1", free_port()))
        command = (sys.executable, "-m", "gateway", "--config", str(file))
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said = ""

        async def hears(words: str) -> None:
            nonlocal said
            assert process.stdout is not None
            async with asyncio.timeout(30):
                while words not in said:
                    line = await process.stdout.readline()
                    assert line, said
                    said += line.decode()

        await hears("gateway started")
        await hears("away; trying again")  # drivers run, so signals are heard
        configuration(tmp_path, ("m1", free_port()), gateway_name="other")
        process.send_signal(signal.SIGHUP)
        await hears("only the drivers were taken up")
        file.write_text("site: [")
        process.send_signal(signal.SIGHUP)
        await hears("was not taken up")
        process.send_signal(signal.SIGTERM)
        await hears("gateway stopped")
        assert await process.wait() == 0
        return said

    assert "configuration read again" in asyncio.run(run())
