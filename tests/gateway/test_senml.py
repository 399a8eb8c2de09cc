"""SenML: the standard's examples, both encodings against each other, and a real broker."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.drivers.senml.codec import Record, decode_array, decode_pack
from gateway.drivers.senml.driver import SenmlDriver
from gateway.drivers.senml.settings import SenmlSettings
from gateway.events import Events
from gateway.subscription import Message
from telemetry.clock import ManualClock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
NOW_S = NOW_MS / 1000
LABELS = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6}
LABELS |= {name: label for label, name in enumerate(["n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"])}


def as_json(pack: Any) -> bytes:
    return json.dumps(pack).encode()


def as_cbor(pack: Any) -> bytes:
    return cbor2.dumps([{LABELS[name]: value for name, value in record.items()} for record in pack])


def test_the_example_of_the_standard_in_both_encodings() -> None:
    pack = [
        {
            "bn": "urn:dev:ow:10e2073a0108006:",
            "bt": 1.276020076001e9,
            "bu": "A",
            "bver": 5,
            "n": "voltage",
            "u": "V",
            "v": 120.1,
        },
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "current", "t": -4, "v": 1.3},
    ]
    expected = (
        Record("urn:dev:ow:10e2073a0108006:voltage", "V", 1276020076.001, 120.1),
        Record("urn:dev:ow:10e2073a0108006:current", "A", 1276020071.001, 1.2),
        Record("urn:dev:ow:10e2073a0108006:current", "A", 1276020072.001, 1.3),
    )
    assert decode_pack(as_json(pack), NOW_S).records == expected
    assert decode_pack(as_cbor(pack), NOW_S).records == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"n": "a", "v": 1}, Record("a", None, None, 1.0)),
        ({"n": "a", "vb": True}, Record("a", None, None, 1.0)),
        ({"n": "a", "v": 1, "t": -10}, Record("a", None, NOW_S - 10, 1.0)),
        ({"n": "a", "v": 1, "bv": 20}, Record("a", None, None, 21.0)),
        ({"n": "a", "bv": 20}, Record("a", None, None, 20.0)),
        ({"n": "a", "s": 5, "bs": 1}, Record("a", None, None, None, 6.0)),
        ({"n": "a", "vs": "x"}, Record("a", None, None, None, text="x")),
    ],
)
def test_each_sort_of_value(record: dict[str, Any], expected: Record) -> None:
    assert decode_pack(as_json([record]), NOW_S).records == (expected,)
    assert decode_pack(as_cbor([record]), NOW_S).records == (expected,)


@pytest.mark.parametrize(
    "record",
    [
        {"n": "a"},
        {"v": 1},
        {"n": 1, "v": 1},
        {"n": "a", "v": "1"},
        {"n": "a", "v": True},
        {"n": "a", "v": False},
        {"n": "a", "v": ""},  # "not measured", as some write it, and no 0
        {"n": "a", "v": [], "bv": 20},
        {"n": "a", "v": 1, "x_": 1},
        7,
    ],
)
def test_a_record_that_cannot_be_read_costs_only_itself(record: Any) -> None:
    pack = decode_pack(as_json([{"n": "b", "v": 1}, record, {"n": "c", "v": 2}]), NOW_S)
    assert [found.name for found in pack.records] == ["b", "c"]
    assert [error.reason for error in pack.refused] == ["bad-record"]


def test_what_a_broker_kept_has_a_time_or_none_that_is_known() -> None:
    dated, undated, since_now = {"n": "a", "v": 1, "t": NOW_S}, {"n": "b", "v": 2}, {"n": "c", "v": 3, "t": -10}
    for encode in (as_json, as_cbor):
        pack = decode_pack(encode([undated, since_now, dated]), None)
        assert pack.records == (Record("a", None, NOW_S, 1.0),)
        assert [error.reason for error in pack.refused] == ["undated-record", "undated-record"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{}", b"[", b"7", b"\x9f", b"\x81", b"\xa0", as_json([{"bver": 11, "n": "a", "v": 1}])]
)
def test_what_is_no_pack_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        decode_pack(data, NOW_S)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_else(data: bytes) -> None:
    for sent in (data, b"\x82\xa2\x00\x61a\x02" + data, b"[" + data):
        for decode in (lambda found: decode_pack(found, NOW_S), decode_array):
            try:
                decode(sent)
            except BadInput:
                pass


numbers = st.integers(-(2**31), 2**31) | st.floats(allow_nan=False, allow_infinity=False, width=32)
record = st.fixed_dictionaries(
    {"n": st.sampled_from(["a", "b"])},
    optional={
        "v": numbers,
        "t": st.integers(-100, 100),
        "bt": st.just(1.7e9),
        "bn": st.just("x:"),
        "bu": st.just("m"),
        "bv": numbers,
    },
)


@given(st.lists(record, max_size=6))
def test_both_encodings_say_the_same(pack: list[dict[str, Any]]) -> None:
    assert decode_pack(as_json(pack), NOW_S).records == decode_pack(as_cbor(pack), NOW_S).records


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        (64, "B"),
        (65, ">H"),
        (66, ">I"),
        (67, ">Q"),
        (69, "<H"),
        (70, "<I"),
        (72, "b"),
        (73, ">h"),
        (77, "<h"),
        (79, "<q"),
        (80, ">e"),
        (82, ">d"),
        (84, "<e"),
        (85, "<f"),
        (86, "<d"),
    ],
)
def test_typed_arrays_of_every_sort(tag: int, code: str) -> None:
    values = [1, 2, 100]
    order, letter = (code[0], code[1]) if len(code) > 1 else ("<", code)
    data = cbor2.dumps(cbor2.CBORTag(tag, struct.pack(f"{order}3{letter}", *values)))
    assert decode_array(data) == (tag, values)


@pytest.mark.parametrize(
    "value", [cbor2.CBORTag(85, b"123"), cbor2.CBORTag(83, bytes(16)), cbor2.CBORTag(85, "x"), [1.0]]
)
def test_what_is_no_typed_array_is_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        decode_array(cbor2.dumps(value))


class Acknowledged:
    """A session of which only the acknowledgements matter."""

    def acknowledge(self, _message: Message) -> None:
        pass


def taken(*messages: Message) -> list[tuple[int, float, Quality]]:
    clock, sink = ManualClock(NOW_MS), ListSink()
    settings = SenmlSettings.model_validate(
        {
            "driver": "senml",
            "broker": {"host": "127.0.0.1"},
            "client_id": "gw-1-senml",
            "topics": ["sensors/+/senml"],
            "devices": [{"device": "mh-1", "quantities": [{"name": "a", "metric": "level"}]}],
        }
    )
    driver = SenmlDriver(settings, clock, Events(clock))
    session: Any = Acknowledged()

    async def run() -> None:
        for message in messages:
            await driver._take(session, message, sink)
            clock.advance(60)

    asyncio.run(run())
    return [(r.time_ms - NOW_MS, r.value, r.quality) for r in sink.readings]


def test_the_same_bytes_with_times_that_count_from_now_are_other_readings() -> None:
    since_now = as_json([{"n": "a", "v": 1, "t": -10}])
    dated = as_json([{"n": "a", "v": 1, "t": NOW_S}])
    sent = [Message("sensors/1/senml", data, 1, 1, False) for data in (since_now, since_now, dated, dated)]
    assert [at for at, _, _ in taken(*sent)] == [-10_000, 50_000, 0]


def test_what_a_session_kept_is_of_a_known_time_or_suspect() -> None:
    packs = ([{"n": "a", "v": 1}], [{"n": "a", "v": 2, "t": -10}], [{"n": "a", "v": 3, "t": NOW_S}])
    kept = [Message("sensors/1/senml", as_json(pack), 1, 1, False, is_kept=True) for pack in packs]
    assert [quality for _, _, quality in taken(*kept)] == [Quality.SUSPECT, Quality.SUSPECT, Quality.GOOD]
    fresh = [Message("sensors/1/senml", as_json(pack), 1, 1, False) for pack in packs]
    assert [quality for _, _, quality in taken(*fresh)] == [Quality.GOOD] * 3


@pytest.mark.integration
def test_packs_over_a_real_broker_are_kept_once(mosquitto_port: int) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        quantities = [
            {"name": "s:level", "metric": "level", "unit": "m"},
            {"name": "s:t", "metric": "water_temperature"},
        ]
        settings = SenmlSettings.model_validate(
            {
                "driver": "senml",
                "broker": {"host": "127.0.0.1", "port": mosquitto_port},
                "client_id": "gw-1-senml",
                "topics": ["sensors/+/senml"],
                "devices": [{"device": "mh-1", "quantities": quantities}],
            }
        )
        events.driver_added(settings.name)
        task = asyncio.create_task(SenmlDriver(settings, clock, events).run(sink))
        await until(lambda: events.drivers[settings.name].value == "running", "subscribed")
        sensor = Client(CallbackAPIVersion.VERSION2, "sensor")
        sensor.connect("127.0.0.1", mosquitto_port)
        sensor.loop_start()
        sensor.publish("sensors/2/senml", as_json([{"n": "s:t", "v": 7}]), 1, retain=True).wait_for_publish(5)
        await until(lambda: len(sink.readings) == 1, "a reading of now")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        events.driver_added(settings.name)
        task = asyncio.create_task(SenmlDriver(settings, clock, events).run(sink))
        await until(lambda: events.counters().get("refused_messages_undated-record") == 1, "what was kept is heard")
        sink.readings.clear()
        timed = [
            {"bn": "s:", "bt": NOW_S - 5, "n": "level", "u": "m", "v": 1.25},
            {"n": "t", "v": 18.5},
            {"n": "other", "v": 1},
        ]
        inches = [{"n": "s:level", "u": "in", "v": 49}]
        for sent in (
            as_cbor(timed),
            as_cbor(timed),
            b"nonsense",
            as_json(inches),
            as_json([{"n": "s:t", "t": 0, "v": 19}]),
        ):
            sensor.publish("sensors/1/senml", sent, 1)
        await until(lambda: len(sink.readings) == 3, "three readings")
        sensor.disconnect()
        sensor.loop_stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [(r.metric, r.time_ms, r.value, r.quality) for r in sink.readings] == [
            ("level", NOW_MS - 5000, 1.25, Quality.GOOD),
            ("water_temperature", NOW_MS - 5000, 18.5, Quality.GOOD),
            ("water_temperature", NOW_MS, 19.0, Quality.SUSPECT),  # the session was kept: it may be from before
        ]
        counters = events.counters()
        assert counters["duplicates"] == 1
        assert counters["refused_messages_other-unit"] == counters["refused_messages_broken-pack"] == 1

    asyncio.run(run())
