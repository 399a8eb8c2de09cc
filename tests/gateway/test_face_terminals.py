"""Face terminals as they really talk, over HTTP and over a real broker."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from gateway.drivers.face_http.driver import FaceHttpDriver
from gateway.drivers.face_http.settings import FaceHttpSettings
from gateway.drivers.face_http.wecom import decode_report
from gateway.drivers.face_mqtt.codec import Push, Said, decode, encode_acknowledgement
from gateway.drivers.face_mqtt.driver import FaceMqttDriver
from gateway.drivers.face_mqtt.settings import FaceMqttSettings
from gateway.events import Events
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadInput, Unavailable
from tests.gateway import field_cases
from tests.gateway.support import ListSink, http, post, until

NOW_MS = 1_795_392_000_000
ZONE = ZoneInfo("Asia/Shanghai")
PICTURE = "data:image/jpeg;base64," + "/9j/4AAQ" * 250_000  # 2 MB
KEY = "9dd4e461268c8034f5c8564e155c67a6"


def record(number: int = 2, **changes: Any) -> dict[str, Any]:
    info = {
        "customId": "",
        "personId": "3",
        "RecordID": str(number),
        "Sendintime": 1,
        "personName": "PERSON-C",
        "facesluiceId": "1026700",
        "idCard": "110101199001011234",
        "telnum": "13800000000",
        "time": "2026-04-10 10:00:07",
        "temperature": "37.6",
        **changes,
    }
    return {"operator": "RecPush", "info": info}


def attributes(said: Said) -> Mapping[str, Any]:
    told = dataclasses.asdict(said)
    return {**told, **told.pop("scan", {})}


@pytest.mark.parametrize("file", field_cases.files("face_terminal"), ids=lambda file: file.stem)
def test_a_payload_as_seen_in_the_field(file: Path) -> None:
    field_cases.check(file, lambda sent: decode(json.dumps(sent).encode(), ZONE, NOW_MS), attributes)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_else(data: bytes) -> None:
    try:
        decode(data, ZONE, NOW_MS)
    except BadInput:
        pass


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(record()["info"], values)), values)
def test_any_values_in_the_fields_are_refused_or_read_and_nothing_else(info: dict[str, Any], operator: Any) -> None:
    for said in ({"operator": "RecPush", "info": info}, {"operator": operator, "info": info}):
        try:
            decode(json.dumps(said).encode(), ZONE, NOW_MS)
        except BadInput:
            pass


def test_the_acknowledgement_names_the_record_and_its_kind() -> None:
    push = decode(json.dumps(record(490805)).encode(), ZONE, NOW_MS)
    assert isinstance(push, Push)
    said = json.loads(encode_acknowledgement(push))
    assert said["operator"] == "PushAck"
    assert said["info"] == {"PushAckType": 2, "SnapOrRecordID": 490805}


def test_nothing_of_a_person_but_the_number_is_read_and_nothing_of_a_picture() -> None:
    push = decode(json.dumps(record(pic=PICTURE)).encode(), ZONE, NOW_MS)
    for planted in ("PERSON-C", "110101199001011234", "13800000000", "/9j/4AAQ"):
        assert planted not in repr(push)


# The listener


def check(scenario: Callable[[FaceHttpDriver, ListSink, Events], Awaitable[None]], **rest: Any) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        devices = [{"device": "gate-1", "id": "1026700"}]
        settings = {"driver": "face-http", "port": 0, "site_key": KEY, "devices": devices, **rest}
        driver = FaceHttpDriver(FaceHttpSettings.model_validate(settings), clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: driver.port != 0, "listening")
        try:
            await scenario(driver, sink, events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_record_with_a_picture_is_answered_when_durable_and_kept_once() -> None:
    async def scenario(driver: FaceHttpDriver, sink: ListSink, events: Events) -> None:
        for _ in range(2):
            status, body = await http(driver.port, post(record(pic=PICTURE), "/Subscribe/Verify"))
            assert (status, body) == (200, {"code": 200, "desc": "OK"})
        (reading,) = sink.readings
        assert (reading.metric, reading.value, reading.time_ms) == ("skin_temperature", 37.6, 1_775_786_407_000)
        assert reading.key is not None and len(reading.key) == 32
        assert events.counters()["duplicates"] == 1

    check(scenario)


def test_a_person_measured_again_soon_is_in_the_same_passage_and_later_in_another() -> None:
    async def scenario(driver: FaceHttpDriver, sink: ListSink, _events: Events) -> None:
        for number, time in enumerate(("10:00:07", "10:02:00", "10:04:30", "10:20:00")):
            body = record(number, time=f"2026-04-10 {time}")
            assert (await http(driver.port, post(body, "/Subscribe/Verify")))[0] == 200
        keys = [reading.key for reading in sink.readings]
        assert keys[0] == keys[1] == keys[2] != keys[3]
        body = record(9, personId="4")
        assert (await http(driver.port, post(body, "/Subscribe/Verify")))[0] == 200
        assert sink.readings[-1].key not in keys

    check(scenario)


def test_refusals_say_what_to_do() -> None:
    async def scenario(driver: FaceHttpDriver, sink: ListSink, _events: Events) -> None:
        assert (await http(driver.port, post(record(), "/other")))[0] == 404
        assert (await http(driver.port, post(record(facesluiceId="1"), "/Subscribe/Verify")))[0] == 404
        assert (await http(driver.port, post(record(temperature="warm"), "/Subscribe/Verify")))[0] == 400
        sink.refusal = Unavailable("the spool is full")
        assert (await http(driver.port, post(record(), "/Subscribe/Verify")))[0] == 503
        sink.refusal = None
        heartbeat = {"operator": "HeartBeat", "info": {"DeviceID": 1026700}}
        assert (await http(driver.port, post(heartbeat, "/Subscribe/heartbeat")))[0] == 200
        assert sink.readings == []

    check(scenario)


def test_a_report_in_the_form_of_wecom_is_taken_row_by_row() -> None:
    async def scenario(driver: FaceHttpDriver, sink: ListSink, events: Events) -> None:
        row = {
            "open_userid": "zhangsan",
            "user_type": 2,
            "temperature": "37.7",
            "timestamp": 1_795_391_000,
            "status": 1,
        }
        rows = [
            row,
            7,
            {**row, "temperature": "hot"},
            {**row, "open_userid": "lisi", "temperature": "36.7", "timestamp": 1},
        ]
        path = "/Subscribe/report_temperature_data"
        assert (await http(driver.port, post({"temperature_data": rows}, f"{path}?id=1026700")))[0] == 200
        assert [(r.value, r.time_ms, r.quality) for r in sink.readings] == [
            (37.7, 1_795_391_000_000, 0),
            (36.7, NOW_MS, 1),
        ]
        assert events.counters()["refused_messages"] == 2
        assert (await http(driver.port, post({"temperature_data": rows}, path)))[0] == 404
        assert (await http(driver.port, post({"temperature_data": 7}, f"{path}?id=1026700")))[0] == 400

    check(scenario)


@given(st.lists(values, max_size=3), st.binary(max_size=50))
def test_any_report_is_refused_or_read_and_nothing_else(rows: list[Any], data: bytes) -> None:
    for body in (
        json.dumps({"temperature_data": rows}).encode(),
        json.dumps({"temperature_data": [{"status": rows, "timestamp": rows}]}).encode(),
        data,
    ):
        try:
            decode_report(body, "1", NOW_MS)
        except BadInput:
            pass


# A real broker


class Terminal:
    """A terminal of our own making: publishes, and collects what it is told."""

    def __init__(self, port: int) -> None:
        self.told: list[dict[str, Any]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, "terminal")
        self._client.on_message = self._on_message
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("mqtt/face/1026700", 1)
        self._client.loop_start()
        assert subscribed.wait(10)

    def say(self, topic: str, said: object) -> None:
        self._client.publish(topic, said if isinstance(said, bytes) else json.dumps(said), 1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = None

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.told.append(json.loads(message.payload))


def check_mqtt(port: int, scenario: Callable[[Terminal, ListSink, Events], Awaitable[None]], sink: ListSink) -> None:
    async def run() -> None:
        clock = SystemClock()
        events = Events(clock)
        settings = FaceMqttSettings.model_validate(
            {
                "driver": "face-mqtt",
                "broker": {"host": "127.0.0.1", "port": port},
                "client_id": "gw-1-faces",
                "site_key": KEY,
                "devices": [{"device": "gate-1", "id": "1026700"}],
            }
        )
        events.driver_added(settings.name)
        terminal = Terminal(port)
        task = asyncio.create_task(FaceMqttDriver(settings, clock, events).run(sink))
        await until(lambda: events.drivers[settings.name].value == "running", "subscribed")
        try:
            await scenario(terminal, sink, events)
        finally:
            terminal.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.integration
def test_records_are_acknowledged_when_durable_and_kept_once(mosquitto_port: int) -> None:
    async def scenario(terminal: Terminal, sink: ListSink, events: Events) -> None:
        terminal.say("mqtt/face/1026700/Rec", b"nonsense")
        terminal.say("mqtt/face/1026700/Rec", record(1, pic=PICTURE))
        terminal.say("mqtt/face/heartbeat", {"operator": "HeartBeat", "info": {"facesluiceId": "1026700"}})
        terminal.say("mqtt/face/1026700/Rec", record(1))
        terminal.say("mqtt/face/1026700/Rec", record(2, personId="8", time="2026-04-10 10:00:09"))
        await until(lambda: len(terminal.told) == 3, "three acknowledgements")
        assert [said["info"]["SnapOrRecordID"] for said in terminal.told] == [1, 1, 2]
        assert len(sink.readings) == 2
        assert events.counters()["refused_messages"] == 1

    check_mqtt(mosquitto_port, scenario, ListSink())


@pytest.mark.integration
def test_nothing_is_acknowledged_while_the_spool_refuses_and_the_broker_brings_it_again(mosquitto_port: int) -> None:
    refusing = ListSink()
    refusing.refusal = Unavailable("the spool is full")

    async def refused(terminal: Terminal, sink: ListSink, _events: Events) -> None:
        terminal.say("mqtt/face/1026700/Rec", record(1))
        await until(lambda: sink.refused > 0, "the record to be refused")
        assert terminal.told == []

    async def taken(terminal: Terminal, sink: ListSink, _events: Events) -> None:
        await until(lambda: len(terminal.told) == 1, "the acknowledgement of what the broker kept")
        assert [reading.value for reading in sink.readings] == [37.6]

    check_mqtt(mosquitto_port, refused, refusing)
    check_mqtt(mosquitto_port, taken, ListSink())
