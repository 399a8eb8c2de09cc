"""LoRaWAN: uplinks as servers publish them, payloads as makers document them, and a real broker."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import struct
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from gateway.drivers.lorawan.decoders import DECODERS, Channels, Fixed, Measured, decode_payload
from gateway.drivers.lorawan.downlink import encode_downlink
from gateway.drivers.lorawan.driver import LorawanDriver
from gateway.drivers.lorawan.settings import LorawanSettings
from gateway.drivers.lorawan.uplink import Uplink, decode_uplink
from gateway.events import Events
from gateway.subscription import Message, Subscription
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from tests.gateway import field_cases
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
EUI = "24e124713c140001"


def attributes(uplink: Uplink) -> Mapping[str, Any]:
    return {**dataclasses.asdict(uplink), "payload": uplink.payload.hex()}


@pytest.mark.parametrize("file", field_cases.files("lorawan"), ids=lambda file: file.stem)
def test_an_uplink_as_servers_publish_it(file: Path) -> None:
    field_cases.check(file, lambda sent: decode_uplink(json.dumps(sent).encode(), NOW_MS), attributes)


def test_a_device_that_starts_anew_within_an_hour_is_heard() -> None:
    """One without a join counts from 0 again, in the same session; who repeats itself says the same."""

    def uplink(data: str) -> Uplink:
        sent = {"deviceInfo": {"devEui": EUI}, "devAddr": "01020304", "fPort": 85, "data": data}
        return decode_uplink(json.dumps(sent).encode(), NOW_MS)

    assert uplink("A4IBAA==").identity == uplink("A4IBAA==").identity
    assert uplink("A4IBAA==").identity != uplink("A4ICAA==").identity


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
fields = ["time", "fPort", "fCnt", "data", "rxInfo", "devAddr", "uplink_message", "end_device_ids", "publishedAt"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, values)), values, st.binary(max_size=100))
def test_anything_is_refused_or_read_and_nothing_else(message: dict[str, Any], other: Any, data: bytes) -> None:
    for sent in ({"deviceInfo": {"devEui": EUI}, **message}, {"devEUI": other, **message}, other):
        for encoded in (json.dumps(sent).encode(), data):
            try:
                decode_uplink(encoded, NOW_MS)
            except BadInput:
                pass


def read(decoder: str, port: int, payload: str) -> dict[str, float | None]:
    (measured,) = decode_payload(DECODERS[decoder], port, bytes.fromhex(payload)).measured
    return dict(measured.values)


@pytest.mark.parametrize(
    ("decoder", "port", "payload", "expected"),
    [
        ("milesight-em500-udl", 85, "01756403821e00", {"battery_pct": 100, "distance_mm": 30}),
        ("milesight-em310-udl", 85, "01755c03824408040001", {"battery_pct": 92, "distance_mm": 2116, "tilted": 1}),
        ("milesight-em400-mud", 85, "0367f6ff", {"temperature_c": -1.0}),
        ("milesight-em500-swl", 85, "01756403770200", {"battery_pct": 100, "depth_cm": 2}),
        ("milesight-em500-udl", 85, "0382fdff", {"distance_mm": None}),
        ("milesight-em500-udl", 85, "83e92c01320002", {"distance_mm": 30, "mutation_mm": 5, "alarm": 2}),
        ("milesight-em400-mud", 85, "8367010101", {"temperature_c": 25.7, "temperature_alarm": 1}),
        ("milesight-em500-swl", 85, "ff1b01e803000003771400", {"depth_cm": 20}),
        ("milesight-em500-swl", 85, "0377fdff", {"depth_cm": None}),
    ],
)
def test_a_payload_as_its_maker_documents_it(
    decoder: str, port: int, payload: str, expected: dict[str, float | None]
) -> None:
    assert read(decoder, port, payload) == pytest.approx(expected)


def test_a_dragino_payload_and_one_whose_sensor_is_missing() -> None:
    found = read("dragino-ldds75", 2, "0b450b0501000a01")
    assert found == pytest.approx(
        {"battery_v": 2.885, "distance_mm": 2821, "interrupt": 1, "temperature_c": 1.0, "sensor_ok": 1}
    )
    assert read("dragino-ldds75", 2, "0b450b0501000a00")["distance_mm"] is None
    assert read("dragino-ldds75", 2, "0b45000001000a01")["distance_mm"] is None


def test_a_value_kept_from_an_outage_has_its_own_time() -> None:
    kept = b"\x20\xce" + struct.pack("<IH", 1_795_000_000, 500)
    payload = decode_payload(DECODERS["milesight-em500-udl"], 85, bytes.fromhex("03821e00") + kept)
    assert payload.measured == (Measured({"distance_mm": 30.0}), Measured({"distance_mm": 500.0}, 1_795_000_000_000))


def test_an_unknown_channel_or_a_cut_entry_ends_the_reading_and_keeps_what_stands_before() -> None:
    for rest in ("ee0102", "0175", "01", "0382ff"):
        payload = decode_payload(DECODERS["milesight-em500-udl"], 85, bytes.fromhex("03821e00" + rest))
        assert payload.measured == (Measured({"distance_mm": 30.0}),)
        assert payload.rest.hex() == rest


def test_another_port_is_not_read() -> None:
    assert decode_payload(DECODERS["dragino-ldds75"], 5, bytes(8)).measured == ()


@given(st.sampled_from(sorted(DECODERS)), st.sampled_from([2, 85]), st.binary(max_size=60))
def test_any_payload_is_read_or_left_over(decoder: str, port: int, payload: bytes) -> None:
    found = decode_payload(DECODERS[decoder], port, payload)
    assert payload.endswith(found.rest)


@given(st.lists(st.sampled_from(["017564", "03821e00", "040001", "ff0b01", "ff0101"]), max_size=8), st.data())
def test_entries_may_come_in_any_order_and_the_last_word_counts(entries: list[str], data: Any) -> None:
    shuffled = data.draw(st.permutations(entries))
    decoder = DECODERS["milesight-em310-udl"]
    one, other = (decode_payload(decoder, 85, bytes.fromhex("".join(order))) for order in (entries, shuffled))
    assert one == other and one.rest == b""


@pytest.mark.parametrize(
    "decoder",
    [
        {"shape": "fixed", "length": 2, "fields": [{"name": "a", "at": 1}]},
        {"shape": "channels", "entries": [{"channel": 1, "type": 1, "length": 1, "fields": [{"name": "a"}]}]},
        {"shape": "channels", "entries": [{"channel": 1, "type": 1, "length": 4, "time_at": 2}]},
    ],
)
def test_a_decoder_that_reads_past_its_bytes_is_refused(decoder: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="ends past"):
        (Fixed if decoder["shape"] == "fixed" else Channels).model_validate(decoder)


def settings(port: int, **rest: Any) -> LorawanSettings:
    level = {
        "field": "distance_mm",
        "metric": "level",
        "scale": 0.001,
        "mount": {"height_m": 3.0},
        "suspect_if": "tilted",
    }
    device = {"device": "mh-1", "eui": EUI.upper(), "decoder": "milesight-em310-udl", "quantities": [level]}
    broker = {"host": "127.0.0.1", "port": port}
    entry = {"driver": "lorawan", "broker": broker, "client_id": "gw-1-lorawan", "devices": [device], **rest}
    return LorawanSettings.model_validate(entry)


def test_a_misspelt_decoder_or_field_is_named_with_what_there_is() -> None:
    device = {"device": "a", "eui": EUI, "decoder": "em310", "quantities": [{"field": "level", "metric": "level"}]}
    with pytest.raises(ValidationError, match="there are: dragino-ldds75, milesight-em310-udl"):
        settings(1, devices=[device])
    with pytest.raises(ValidationError, match="no field 'level'; it has: battery_pct, distance_mm, tilted"):
        settings(1, devices=[{**device, "decoder": "milesight-em310-udl"}])


def uplink(frame: int, payload: str, **changes: Any) -> str:
    data = base64.b64encode(bytes.fromhex(payload)).decode()
    info = {"devEui": EUI, "deviceName": "mh-1"}
    sent = {"deviceInfo": info, "devAddr": "01", "fCnt": frame, "fPort": 85, "data": data, **changes}
    return json.dumps({"time": "2026-11-22T09:34:15.775023242+00:00", **sent})


@pytest.mark.integration
def test_uplinks_over_a_real_broker_are_kept_once(mosquitto_port: int) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        entry = settings(mosquitto_port)
        events.driver_added(entry.name)
        task = asyncio.create_task(LorawanDriver(entry, clock, events).run(sink))
        await until(lambda: events.drivers[entry.name].value == "running", "subscribed")
        server = Client(CallbackAPIVersion.VERSION2, "server")
        server.connect("127.0.0.1", mosquitto_port)
        server.loop_start()
        for sent in (
            uplink(1, "03824408040000"),
            uplink(1, "03824408040000"),
            "nonsense",
            uplink(2, "0382e803040001"),
            uplink(3, "0382ffff040000"),
            uplink(1, "0382d007040000", devAddr="02"),
            uplink(1, "0382d007040000", time="2026-11-22T19:34:15+00:00"),
        ):
            server.publish("application/a/device/b/event/up", sent, 1)
        await until(lambda: len(sink.readings) == 4, "four readings")
        server.disconnect()
        server.loop_stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [(round(r.value, 3), r.quality) for r in sink.readings] == [
            (0.884, Quality.GOOD),
            (2.0, Quality.SUSPECT),
            (1.0, Quality.GOOD),
            (1.0, Quality.GOOD),
        ]
        counters = events.counters()
        assert (counters["duplicates"], counters["invalid"], counters["refused_messages"]) == (1, 1, 1)

    asyncio.run(run())


def test_downlinks_go_next_to_where_uplinks_come_from() -> None:
    topic, message = encode_downlink(f"application/7/device/{EUI}/event/up", EUI, 85, b"\xff\x03\x3c\x00")
    assert topic == f"application/7/device/{EUI}/command/down"
    assert json.loads(message) == {"devEui": EUI, "confirmed": True, "fPort": 85, "data": "/wM8AA=="}
    topic, message = encode_downlink("v3/drains@district/devices/mh-1/up", EUI, 85, b"\xff\x03\x3c\x00")
    assert topic == "v3/drains@district/devices/mh-1/down/push"
    sent = {"f_port": 85, "frm_payload": "/wM8AA==", "priority": "NORMAL", "confirmed": True}
    assert json.loads(message) == {"downlinks": [sent]}
    with pytest.raises(BadInput, match="where downlinks go"):
        encode_downlink("elsewhere/up", EUI, 85, b"")


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 224}, {"faster": "ff0"}, {"own": "zz"}])
def test_a_downlink_that_cannot_be_sent_is_refused_at_once(wrong: dict[str, Any]) -> None:
    downlinks = {"port": 85, "faster": "ff033c00", "own": "ff038403", **wrong}
    quantities = [{"field": "distance_mm", "metric": "level"}]
    device = {"device": "a", "eui": EUI, "decoder": "milesight-em310-udl", "quantities": quantities}
    with pytest.raises(ValidationError):
        settings(1, devices=[{**device, "downlinks": downlinks}])


@pytest.mark.integration
def test_a_sensor_is_told_what_the_core_wants_with_its_next_uplink(mosquitto_port: int) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink, told = Events(clock), ListSink(), list[bytes]()
        quantities = [{"field": "distance_mm", "metric": "level", "scale": 0.001}]
        downlinks = {"port": 85, "faster": "ff033c00", "own": "ff038403"}
        device = {"device": "mh-1", "eui": EUI, "decoder": "milesight-em310-udl", "quantities": quantities}
        entry = settings(mosquitto_port, devices=[{**device, "downlinks": downlinks}])
        events.driver_added(entry.name)
        driver = LorawanDriver(entry, clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: events.drivers[entry.name].value == "running", "subscribed")
        server = Client(CallbackAPIVersion.VERSION2, "server")
        server.on_message = lambda _client, _data, message: told.append(
            base64.b64decode(json.loads(message.payload)["data"])
        )
        server.on_connect = lambda client, *_: client.subscribe("application/7/device/+/command/down", 1)
        subscribed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def is_subscribed(*_: Any) -> None:
            loop.call_soon_threadsafe(subscribed.set)

        server.on_subscribe = is_subscribed
        server.connect("127.0.0.1", mosquitto_port)
        server.loop_start()
        await subscribed.wait()
        for frame in range(1, 4):
            server.publish(f"application/7/device/{EUI}/event/up", uplink(frame, "0382e803"), 1)
        await until(lambda: len(sink.readings) == 3, "readings")
        await until(lambda: len(told) == 1, "its own rhythm, once")
        driver.pace({"mh-1": 60, "mh-2": 60})
        driver.pace({"mh-1": 30})
        await until(lambda: len(told) == 2, "to report more often")
        driver.pace({})
        await until(lambda: len(told) == 3, "to go back")
        server.disconnect()
        server.loop_stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [data.hex() for data in told] == ["ff038403", "ff033c00", "ff038403"]

    asyncio.run(run())


@pytest.mark.parametrize("has_it", [True, False])
def test_a_sensor_is_told_again_when_the_connection_ended_before_the_broker_had_it(
    has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[tuple[str, bytes]]()

    class Broken:
        """A connection on which one uplink comes, and that is over then."""

        def __init__(self, frame: int) -> None:
            self._left = [
                Message(f"application/7/device/{EUI}/event/up", uplink(frame, "0382e803").encode(), 1, 1, False)
            ]

        async def messages(self) -> list[Message]:
            if not self._left:
                raise Unavailable("over")
            return [self._left.pop()]

        def publish(self, topic: str, payload: bytes) -> Callable[[], bool]:
            told.append((topic, payload))
            return lambda: has_it

        def acknowledge(self, message: Message) -> None:
            pass

        async def abort(self) -> None:
            pass

    async def run() -> None:
        frames = count(1)

        async def opened(*_: Any) -> Broken:
            return Broken(next(frames))

        monkeypatch.setattr(Subscription, "open", opened)
        clock = ManualClock(NOW_MS)
        quantities = [{"field": "distance_mm", "metric": "level", "scale": 0.001}]
        downlinks = {"port": 85, "faster": "ff033c00", "own": "ff038403"}
        device = {"device": "mh-1", "eui": EUI, "decoder": "milesight-em310-udl", "quantities": quantities}
        entry = settings(1, devices=[{**device, "downlinks": downlinks}])
        events = Events(clock)
        events.driver_added(entry.name)
        driver = LorawanDriver(entry, clock, events)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await driver.run(ListSink())

    asyncio.run(run())
    assert len(told) == (1 if has_it else 2)
