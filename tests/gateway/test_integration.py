"""The whole gateway against a real Mosquitto and a core that forgets, with the broker killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway import gateway
from gateway.settings import GatewaySettings, load_settings
from gateway.spool import Spool
from telemetry import frames
from telemetry.clock import SystemClock
from telemetry.identity import alarm_id
from telemetry.topics import receipt_topic
from tests.gateway.support import FakeModbus, free_port, http, post, until

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed"),
]


class Broker:
    """A Mosquitto without persistence: killed, it forgets everything."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Core:
    """Takes frames as the core does: each seq once, in order, a receipt for what it has. It loses some receipts."""

    def __init__(self, port: int, lose_every: int = 3) -> None:
        self.seen: dict[str, int] = {}
        self.readings: list[tuple[str, int, float, str | None]] = []
        self.statuses: list[dict[str, Any]] = []
        self.sends_receipts = True
        self._lose_every = lose_every
        self._count = 0
        self._client = Client(
            CallbackAPIVersion.VERSION2, "core", clean_session=False, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)

    def start(self) -> None:
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe("gatehouse/v1/+/+/#", qos=1)

    def _on_message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            status = json.loads(message.payload)
            self.statuses.append(status)
            # Where nothing stands behind the gateway's clock it learns the time from these.
            for epoch in status.get("lanes", []) if status["state"] == "online" and self.sends_receipts else []:
                self._tell(message.topic.split("/")[-2], epoch, self.seen.get(epoch, 0))
        if not message.topic.endswith("/frames"):
            return
        frame = frames.decode(bytes(message.payload))
        last = self.seen.get(frame.epoch, 0)
        if frame.seq > max(last + 1, frame.base):
            return
        assert frame.seq <= last + 1, "a frame was freed without its receipt"
        if frame.seq == last + 1:
            self.seen[frame.epoch] = last = frame.seq
            names = frame.names.split("\n")
            for number, i in enumerate(frame.index):
                key = frame.keys.get(number)
                self.readings.append((names[i], frame.time_ms[number], frame.value[number], key))
        self._count += 1
        if self.sends_receipts and self._count % self._lose_every:
            self._tell(frame.gateway, frame.epoch, last)

    def _tell(self, gateway_id: str, epoch: str, seq: int) -> None:
        receipt = {"epoch": epoch, "seq": seq, "time_ms": SystemClock().now_ms()}
        self._client.publish(receipt_topic("compound-1", gateway_id), json.dumps(receipt), qos=1)


def configured(folder: Path, broker_port: int, modbus_port: int, push_port: int, **extra: object) -> GatewaySettings:
    file = folder / "gw.yaml"
    document = {
        "site": "compound-1",
        "gateway": "gw-compound-1",
        "broker": {"host": "127.0.0.1", "port": broker_port, "reconnect_delay_max_s": 1.0},
        "spool": {"path": "spool"},
        "uplink": {"resend_after_s": 0.3, "status_every_s": 0.3},
        "drivers": [
            {
                "driver": "modbus-tcp",
                "host": "127.0.0.1",
                "port": modbus_port,
                "every_s": 0.1,
                "profiles": {
                    "level": [{"metric": "level", "function": "input", "address": 0, "type": "int16", "scale": 0.001}]
                },
                "devices": [{"device": "mh-1-1-level", "unit": 1, "profile": "level"}],
            },
            {
                "driver": "http-push",
                "port": push_port,
                "devices": [{"device": "gate-1-lane-1-scanner", "serial": "SCN-0101"}],
                "fields": {"temperature": "skin_temperature", "ambient": "ambient_temperature"},
            },
        ],
        **extra,
    }
    file.write_text(json.dumps(document))  # JSON is YAML
    return load_settings(file, {})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


@contextlib.asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(gateway.run(settings, SystemClock(), stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def pushed(port: int, number: int) -> None:
    """Push one passage until it is taken, as a scanner does."""
    for _ in range(400):
        if await push(port, number) == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the push was never taken")


async def push(port: int, number: int) -> int:
    """One passage; the status of the answer, 0 when there was none."""
    body = {
        "serial": "SCN-0101",
        "passage": f"p{number}",
        "time": f"2026-11-23T08:00:00.{number:03}+08:00",
        "temperature": "36.5",
        "ambient": 24.1,
    }
    try:
        return (await http(port, post(body)))[0]
    except (OSError, asyncio.IncompleteReadError):
        return 0


def test_nothing_acknowledged_is_missing_after_the_broker_was_killed_twice(tmp_path: Path, broker: Broker) -> None:
    async def scenario() -> None:
        modbus = FakeModbus({1: {0: 1250}})
        await modbus.start()
        push_port = free_port()
        settings = configured(tmp_path, broker.port, modbus.port, push_port, drain_on_stop_s=20.0)
        core = Core(broker.port)
        core.start()
        acknowledged = []
        async with running(settings):  # the broker is not there yet
            for number in range(200):
                await pushed(push_port, number)
                acknowledged.append(f"p{number}")
                if number in (20, 110):
                    broker.start()
                if number in (70, 150):
                    await asyncio.to_thread(broker.kill)
                await asyncio.sleep(0.005)
            broker.start()
            await until(lambda: len({r[3] for r in core.readings if r[3]}) == 200, "all passages at the core", 40)
        core.stop()
        await modbus.stop()
        scans = [r for r in core.readings if r[0] == "gate-1-lane-1-scanner/skin_temperature"]
        assert sorted(r[3] or "" for r in scans) == sorted(acknowledged)  # each once
        assert all(r[2] == 36.5 for r in scans)
        levels = [r for r in core.readings if r[0] == "mh-1-1-level/level"]
        assert len(levels) > 5 and all(r[2] == 1.25 for r in levels)
        assert len({r[1] for r in levels}) == len(levels)
        spool = Spool(settings.spool.path, SystemClock())
        assert spool.count == 0
        spool.close()

    asyncio.run(scenario())


def test_the_status_is_online_while_running_and_offline_after(tmp_path: Path, broker: Broker) -> None:
    async def scenario() -> None:
        broker.start()
        settings = configured(tmp_path, broker.port, free_port(), free_port())
        core = Core(broker.port)
        core.sends_receipts = False
        core.start()
        async with running(settings):
            port = settings.drivers[1].model_dump()["port"]
            await until(lambda: any(s["state"] == "online" for s in core.statuses), "online")
            await pushed(port, 1)
            await until(lambda: core.statuses[-1].get("spooled", 0) >= 1, "spooled is told")
            status = core.statuses[-1]
        await until(lambda: core.statuses[-1]["state"] == "offline", "offline")
        core.stop()
        assert status["oldest_ms"] > 1_600_000_000_000
        assert status["full"] is False
        assert status["drivers"][settings.drivers[0].name] == "away"  # nobody listens there
        assert status["drivers"][settings.drivers[1].name] == "running"
        assert status["counters"]["readings"] == 2
        assert status["counters"]["devices"] == {"gate-1-lane-1-scanner": 2}
        assert status["epoch"] == core.statuses[-1]["epoch"]

    asyncio.run(scenario())


def test_a_gateway_that_dies_is_told_offline_by_its_last_will(tmp_path: Path, broker: Broker) -> None:
    async def scenario() -> None:
        broker.start()
        settings = configured(tmp_path, broker.port, free_port(), free_port())
        core = Core(broker.port)
        core.start()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(tmp_path / "gw.yaml")),
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await until(lambda: any(s["state"] == "online" for s in core.statuses), "online")
            process.kill()
            await until(lambda: core.statuses[-1]["state"] == "offline", "offline")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            core.stop()
        assert settings.gateway == "gw-compound-1"

    asyncio.run(scenario())


def test_frames_survive_a_restart_of_the_gateway(tmp_path: Path, broker: Broker) -> None:
    async def scenario() -> None:
        push_port = free_port()
        settings = configured(tmp_path, broker.port, free_port(), push_port)
        async with running(settings):
            for number in range(10):
                await pushed(push_port, number)
        core = Core(broker.port)
        core.start()
        broker.start()
        async with running(settings):
            await until(lambda: len(core.readings) == 20, "what the first run took")
            await pushed(push_port, 10)
            await until(lambda: len(core.readings) == 22, "what the second run took")
        core.stop()
        assert len(core.seen) == 2  # every run has a lane of its own

    asyncio.run(scenario())


def test_a_broker_that_hangs_is_left_and_found_again(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.link._ANSWER_TIMEOUT_S", 0.5)

    async def scenario() -> None:
        broker.start()
        push_port = free_port()
        uplink = {"stalled_after_s": 0.5, "resend_after_s": 0.3, "status_every_s": 0.3}
        settings = configured(tmp_path, broker.port, free_port(), push_port, uplink=uplink)
        core = Core(broker.port)
        core.start()
        async with running(settings):
            await pushed(push_port, 0)
            await until(lambda: len(core.readings) == 2, "the first passage")
            broker.signal(signal.SIGSTOP)
            for number in range(1, 6):
                await pushed(push_port, number)
            await asyncio.sleep(2)
            broker.signal(signal.SIGCONT)
            await until(lambda: len(core.readings) == 12, "all passages")
            await until(lambda: core.statuses[-1].get("spooled") == 0, "an empty spool")
        core.stop()

    asyncio.run(scenario())


def test_nothing_acknowledged_is_missing_after_the_gateway_was_killed(tmp_path: Path, broker: Broker) -> None:
    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(tmp_path / "gw.yaml")), stderr=asyncio.subprocess.DEVNULL
        )

    async def scenario() -> None:
        broker.start()
        push_port = free_port()
        configured(tmp_path, broker.port, free_port(), push_port)
        core = Core(broker.port)
        core.start()
        process = await start()
        try:
            for number in range(120):
                await pushed(push_port, number)
                if number % 40 == 20:
                    process.kill()
                    await process.wait()
                    process = await start()
            await until(lambda: len({r[3] for r in core.readings}) == 120, "all passages at the core")
            assert len(core.seen) == 4  # every run has a lane of its own
        finally:
            process.kill()
            await process.wait()
            core.stop()

    asyncio.run(scenario())


def test_a_lamp_goes_on_without_any_broker_and_the_status_tells_of_it_later(tmp_path: Path, broker: Broker) -> None:
    async def scenario() -> None:
        pin, push_port = tmp_path / "pin", free_port()
        scanner, metric = "gate-1-lane-1-scanner", "skin_temperature"
        alarm = {"rule": "fever", "device": scanner, "metric": metric, "at_least": 36.5, "per_passage": True}
        local = {"outputs": {"lamp": {"file": str(pin)}}, "local_alarms": [{**alarm, "output": "lamp"}]}
        settings = configured(tmp_path, broker.port, free_port(), push_port, **local)
        core = Core(broker.port)
        async with running(settings):
            await until(lambda: pin.exists() and pin.read_text() == "0", "the lamp is off")
            await pushed(push_port, 1)
            await until(lambda: pin.read_text() == "1", "the lamp is on")
            broker.start()
            core.start()
            await until(lambda: any(s.get("local_alarms") for s in core.statuses), "the alarm is told")
            (told,) = core.statuses[-1]["local_alarms"]
        core.stop()
        onset_ms = 1_795_392_000_001
        assert (told["key"], told["onset_ms"], told["cleared_ms"]) == ("p1", onset_ms, None)
        assert told["id"] == alarm_id("fever", scanner, metric, "p1", onset_ms)

    asyncio.run(scenario())
