"""The devices on real sockets, on this machine only; pymodbus is the independent peer."""

import asyncio
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from firmware_sim.district import District
from firmware_sim.live import Endpoints, LiveDistrict
from firmware_sim.past import build_past
from firmware_sim.scenario import Action, Scenario
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.client import AsyncModbusTcpClient

from telemetry.clock import ManualClock
from tests.firmware_sim.conftest import END_MS, SEED

QUIET = Scenario(passages_per_lane_per_min=0.0)


def live_district(
    district: District, scenario: Scenario, push_port: int = 9, broker_port: int = 9, drain_s: float = 0.0
) -> tuple[LiveDistrict, ManualClock]:
    """A district whose clock only moves by hand, listening on free ports."""
    clock = ManualClock(END_MS + 1000)
    endpoints = Endpoints(
        modbus_port=dict.fromkeys(district.gateways, 0),
        push_url=dict.fromkeys(district.gateways, f"http://127.0.0.1:{push_port}/"),
        broker_port=broker_port,
    )
    state = build_past(district, END_MS, SEED).world_state
    return LiveDistrict(district, scenario, SEED, state, endpoints, clock=clock, drain_s=drain_s), clock


def test_pymodbus_reads_the_values_that_the_truth_counts(district: District) -> None:
    async def read() -> dict[tuple[str, str], Any]:
        live, _ = live_district(district, QUIET)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(live.run(stop))
            await live.listening.wait()
            rooms = AsyncModbusTcpClient("127.0.0.1", port=live.modbus_port["gw-compound-3"], timeout=2)
            drains = AsyncModbusTcpClient("127.0.0.1", port=live.modbus_port["gw-compound-2"], timeout=0.3, retries=0)
            await rooms.connect()
            await drains.connect()
            power = await rooms.read_input_registers(12, count=2, device_id=7)
            volume = await rooms.read_holding_registers(0, count=2, device_id=107)
            level = await drains.read_input_registers(0, count=1, device_id=3)
            refused = await rooms.read_holding_registers(0, count=1, device_id=7)
            assert refused.exception_code == 1
            kind = rooms.DATATYPE
            found = {
                ("room-107-meter", "power"): rooms.convert_from_registers(power.registers, kind.FLOAT32),
                ("room-107-water", "volume"): rooms.convert_from_registers(volume.registers, kind.UINT32) * 0.001,
                ("mh-2-3-level", "level"): drains.convert_from_registers(level.registers, kind.INT16) * 0.001,
            }
            rooms.close()
            drains.close()
            stop.set()
        assert live.truth.served == {series: Counter([value]) for series, value in found.items()}
        return found

    values = asyncio.run(read())
    assert 10 < values["room-107-meter", "power"] < 1000
    assert 0.3 < values["mh-2-3-level", "level"] < 1.0


def test_an_unknown_unit_stays_silent_and_the_next_request_is_answered(district: District) -> None:
    async def talk() -> bytes:
        live, _ = live_district(district, QUIET)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(live.run(stop))
            await live.listening.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", live.modbus_port["gw-compound-1"])
            writer.write(bytes.fromhex("000100000006 63 04 0000 0001") + bytes.fromhex("000200000006 14 04 0000 0001"))
            answer = await reader.readexactly(11)
            writer.close()
            await writer.wait_closed()
            stop.set()
        return answer

    answer = asyncio.run(talk())
    assert answer[:9] == bytes.fromhex("000200000005 14 04 02")
    assert struct.unpack(">H", answer[9:])[0] < 300 * 10


class Listener(BaseHTTPRequestHandler):
    """A gateway's listener that refuses everything once."""

    seen: list[dict[str, Any]]
    refused: set[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first = body["passage"] not in self.refused
        self.refused.add(body["passage"])
        if not first:
            self.seen.append(body)
        self.send_response(503 if first else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not into the test's output."""


@pytest.fixture
def listener() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []
    handler = type("Handler", (Listener,), {"seen": seen, "refused": set[str]()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], seen
        server.shutdown()
        thread.join()


@pytest.mark.integration
def test_a_passage_is_posted_until_it_is_taken_always_the_same(
    district: District, listener: tuple[int, list[dict[str, Any]]]
) -> None:
    port, seen = listener
    script = Scenario.model_validate(
        {"timeline": [{"at_s": 1, "do": "person", "scanner": "gate-2-lane-1-scanner", "temperature": 38.4}]}
    )

    async def play() -> LiveDistrict:
        live, clock = live_district(district, script, push_port=port)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(live.run(stop))
            clock.advance(1.5)
            while live.truth.confirmed["gate-2-lane-1-scanner", "skin_temperature"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            stop.set()
        return live

    live = asyncio.run(asyncio.wait_for(play(), 30))
    (posted,) = [body for body in seen if body["temperature"] == 38.4]
    (skin,) = [r for r in live.truth.pushed if r[:2] == ("gate-2-lane-1-scanner", "skin_temperature") and r[3] == 38.4]
    assert posted["passage"] == skin[4]
    assert posted["time"] == "2026-11-23T14:00:02.000+08:00"


@pytest.mark.integration
def test_what_the_canteen_publishes_arrives_at_a_real_broker(district: District, tmp_path: Path) -> None:
    mosquitto = shutil.which("mosquitto")
    if mosquitto is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([mosquitto, "-c", str(tmp_path / "broker.conf")], stderr=subprocess.DEVNULL)
    arrived: list[bytes] = []
    subscriber = mqtt.Client(CallbackAPIVersion.VERSION2)
    subscriber.on_connect = lambda client, *_: client.subscribe("gatehouse/v1/compound-1/canteen/readings", qos=1)
    subscribed = threading.Event()
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.on_message = lambda client, userdata, message: arrived.append(bytes(message.payload))
    subscriber.connect_async("127.0.0.1", port)
    subscriber.loop_start()
    actions: list[str] = []

    async def play() -> LiveDistrict:
        live, clock = live_district(district, script, broker_port=port)

        async def note(action: Action) -> None:
            actions.append(action.do)

        live.on_action = note
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(live.run(stop))
            clock.advance(10.5)
            while live.truth.confirmed.total() < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            stop.set()
        return live

    script = Scenario.model_validate({"timeline": [{"at_s": 3, "do": "canteen_sends", "fault": "broken-json"}]})
    try:
        assert subscribed.wait(10)
        live = asyncio.run(asyncio.wait_for(play(), 30))
        deadline = time.monotonic() + 5
        while len(arrived) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        subscriber.disconnect()
        subscriber.loop_stop()
        broker.terminate()
        broker.wait()
    assert actions == ["canteen_sends"]
    assert len(arrived) == 6, "five messages, one of them first cut off and then whole"
    whole, cut_off = [], []
    for payload in arrived:
        try:
            whole.append(json.loads(payload))
        except json.JSONDecodeError:
            cut_off.append(payload)
    assert len(cut_off) == 1
    rows = [row for message in whole for row in message["readings"]]
    cold = Counter((row["device"], row["metric"], row["value"]) for row in rows)
    assert cold == Counter({k: v for k, v in live.truth.multiset().items() if k[0] == "cold-store-1"})


class _Closing:
    """A connection that the field is about to end; what is written to it goes nowhere."""

    def is_closing(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    async def drain(self) -> None:
        raise ConnectionResetError

    def close(self) -> None: ...


def test_a_question_that_comes_while_the_field_stops_is_not_served(district: District) -> None:
    live, _ = live_district(district, QUIET)
    offered = live.truth.reading_count

    async def ask() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 1))
        reader.feed_eof()
        await live._serve("gw-compound-1", reader, _Closing())  # type: ignore[arg-type]

    asyncio.run(ask())
    assert live.truth.reading_count == offered
