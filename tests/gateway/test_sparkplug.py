"""Sparkplug B: bytes against google.protobuf, a host's account of its nodes, and a real broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from gateway.drivers.sparkplug.driver import SparkplugDriver
from gateway.drivers.sparkplug.host import Heard, Host
from gateway.drivers.sparkplug.settings import SparkplugSettings
from gateway.events import Events
from gateway.sparkplug.payload import DataType, Metric, Payload, decode, encode, number, signed
from gateway.sparkplug.topics import Message, Topic, parse_topic
from telemetry.clock import SystemClock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from tests.gateway.support import ListSink, until


def google_payload() -> Any:
    """google.protobuf's class for a payload, made from the field numbers of the specification."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="peer", syntax="proto2")

    def message(name: str, fields: list[tuple[str, int, int, bool]], of: str = "") -> None:
        made = file.message_type.add(name=name)
        for field, number_, kind, is_repeated in fields:
            label = kinds.LABEL_REPEATED if is_repeated else kinds.LABEL_OPTIONAL
            made.field.add(name=field, number=number_, type=kind, label=label, type_name=of if is_repeated else None)

    message(
        "Metric",
        [
            ("name", 1, kinds.TYPE_STRING, False),
            ("alias", 2, kinds.TYPE_UINT64, False),
            ("timestamp", 3, kinds.TYPE_UINT64, False),
            ("datatype", 4, kinds.TYPE_UINT32, False),
            ("is_historical", 5, kinds.TYPE_BOOL, False),
            ("is_transient", 6, kinds.TYPE_BOOL, False),
            ("is_null", 7, kinds.TYPE_BOOL, False),
            ("int_value", 10, kinds.TYPE_UINT32, False),
            ("long_value", 11, kinds.TYPE_UINT64, False),
            ("float_value", 12, kinds.TYPE_FLOAT, False),
            ("double_value", 13, kinds.TYPE_DOUBLE, False),
            ("boolean_value", 14, kinds.TYPE_BOOL, False),
            ("string_value", 15, kinds.TYPE_STRING, False),
            ("bytes_value", 16, kinds.TYPE_BYTES, False),
        ],
    )
    message(
        "Payload",
        [
            ("timestamp", 1, kinds.TYPE_UINT64, False),
            ("metrics", 2, kinds.TYPE_MESSAGE, True),
            ("seq", 3, kinds.TYPE_UINT64, False),
            ("uuid", 4, kinds.TYPE_STRING, False),
            ("body", 5, kinds.TYPE_BYTES, False),
        ],
        ".peer.Metric",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("peer.Payload"))


GOOGLE = google_payload()
u64 = st.sampled_from([0, 1, 127, 128, 300, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
texts = st.text(max_size=12)
typed = st.one_of(
    st.tuples(st.just(DataType.INT32), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(DataType.INT8), st.integers(-128, 127)),
    st.tuples(st.just(DataType.UINT32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(DataType.INT64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(DataType.UINT64), u64),
    st.tuples(st.just(DataType.DATE_TIME), u64),
    st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(DataType.FLOAT), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.just(DataType.STRING), texts),
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    datatype, value = draw(typed)
    maybe = draw(st.booleans())
    return Metric(
        draw(st.none() | texts),
        draw(st.none() | u64),
        draw(st.none() | u64),
        int(datatype),
        draw(st.booleans()),
        maybe,
        None if maybe else value,
    )


payloads = st.builds(
    Payload, st.none() | u64, st.lists(metrics(), max_size=4).map(tuple), st.none() | st.integers(0, 255)
)


def undone(payload: Payload) -> Payload:
    """A payload with its signed values as they were before they were sent."""
    found = [
        Metric(m.name, m.alias, m.time_ms, m.datatype, m.is_historical, m.is_null, signed(m.value, m.datatype))
        for m in payload.metrics
    ]
    return Payload(payload.time_ms, tuple(found), payload.seq)


@given(payloads)
def test_what_is_encoded_google_reads_and_writes_alike(payload: Payload) -> None:
    data = encode(payload)
    read = GOOGLE.FromString(data)
    assert read.SerializeToString(deterministic=True) == data
    assert len(read.metrics) == len(payload.metrics)
    for theirs, ours in zip(read.metrics, payload.metrics, strict=True):
        assert (theirs.name if theirs.HasField("name") else None) == ours.name
        if ours.datatype == DataType.DOUBLE and not ours.is_null:
            assert theirs.double_value == ours.value
    assert undone(decode(data)) == payload


def test_what_google_writes_with_fields_we_do_not_know_is_read() -> None:
    theirs = GOOGLE(timestamp=5, seq=7, uuid="u", body=b"b" * 300)
    theirs.metrics.add(name="a", alias=3, int_value=2**32 - 1, datatype=3, is_transient=True)
    theirs.metrics.add(alias=4, float_value=1.5)
    read = decode(theirs.SerializeToString())
    assert (read.time_ms, read.seq) == (5, 7)
    assert signed(read.metrics[0].value, read.metrics[0].datatype) == -1
    assert read.metrics[1] == Metric(alias=4, value=1.5)


def test_a_text_in_another_code_costs_its_neighbours_nothing() -> None:
    said = encode(Payload(metrics=(Metric("site", datatype=12, value="xx"), Metric("level", datatype=10, value=1.5))))
    gbk = "\u4e1c".encode("gbk")
    read = decode(said.replace(b"xx", gbk))
    assert [(metric.name, metric.value) for metric in read.metrics] == [("site", gbk), ("level", 1.5)]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except BadInput:
        pass


@given(payloads, st.data())
def test_a_payload_cut_anywhere_is_refused_or_a_shorter_one(payload: Payload, data: Any) -> None:
    encoded = encode(payload)
    try:
        decode(encoded[: data.draw(st.integers(0, len(encoded)))])
    except BadInput:
        pass


@pytest.mark.parametrize(
    "data", [b"\x80" * 11, b"\x00\x01", b"\x12\x05ab", b"\x0b", b"\x12\x02\x69\x00", b"\x12\x04\x0a\x02\xff\xfe"]
)
def test_what_is_no_protobuf_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        decode(data)


@pytest.mark.parametrize(
    ("value", "expected"), [(True, 1.0), (3, 3.0), (0.5, 0.5), (float("nan"), None), ("x", None), (None, None)]
)
def test_a_number_is_finite_or_none(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/G/NDATA", "spBv1.0/G/NDATA/E/D", "spBv1.0/G/DDATA/E", "spAv1.0/G/NDATA/E", "x", "spBv1.0/G/XDATA/E"],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(BadInput):
        parse_topic(topic)


def test_topics_are_read_as_they_are_written() -> None:
    for topic in ("spBv1.0/G/NDATA/E", "spBv1.0/G/DBIRTH/E/D"):
        assert str(parse_topic(topic)) == topic
    assert parse_topic("spBv1.0/STATE/scada1") is None


# A host's account of its nodes


class Node:
    """A node of our own making, speaking to a host; it can lose and reorder what it says."""

    def __init__(self) -> None:
        self.host = Host(reorder_s=2.0)
        self.now_s = 0.0
        self.seq = 0
        self.bd_seq = 0

    def message(
        self, kind: Message, *metrics: Metric, device: str | None = None, seq: int | None = None
    ) -> tuple[Topic, bytes]:
        if kind is Message.NBIRTH:
            self.seq = 0
        sent = None if kind is Message.NDEATH else self.seq if seq is None else seq
        if kind is not Message.NDEATH and seq is None:
            self.seq = (self.seq + 1) % 256
        return Topic("G", kind, "E", device), encode(Payload(5, metrics, sent))

    def say(self, kind: Message, *metrics: Metric, device: str | None = None) -> Heard:
        return self.host.hear(*self.message(kind, *metrics, device=device), self.now_s)

    def birth(self) -> None:
        self.say(Message.NBIRTH, Metric("bdSeq", datatype=8, value=self.bd_seq), Metric("T", 1, 5, 9, value=20.5))
        self.say(Message.DBIRTH, Metric("Level", 2, 5, 10, value=1.0), Metric("Steps", 3, 5, 3, value=-1), device="D")

    def rebirths(self) -> list[tuple[str, str]]:
        return self.host.rebirths(self.now_s)


def heard(found: Heard) -> list[tuple[str, Any]]:
    return [(value.name, value.value) for value in found.values]


def test_aliases_mean_what_the_birth_said_with_its_types() -> None:
    node = Node()
    node.birth()
    found = node.say(Message.DDATA, Metric(alias=2, value=0.305), Metric(alias=3, value=-5), device="D")
    assert heard(found) == [("Level", 0.305), ("Steps", -5)]
    assert node.rebirths() == []


def test_data_before_any_birth_asks_for_one_and_again_after_a_while() -> None:
    node = Node()
    found = node.say(Message.DDATA, Metric(alias=2, value=0.3), Metric("Level", value=0.4), device="D")
    assert heard(found) == [("Level", 0.4)]
    assert [error.reason for error in found.refused] == ["unknown-alias"]
    assert node.rebirths() == [("G", "E")] and node.rebirths() == []
    node.now_s = 31
    assert node.rebirths() == [("G", "E")]
    node.birth()
    node.now_s = 99
    assert node.rebirths() == []


def test_a_lost_message_asks_for_a_birth_after_a_while_and_a_late_one_does_not() -> None:
    node = Node()
    node.birth()
    late = node.message(Message.DDATA, Metric(alias=2, value=1.0), device="D")
    assert heard(node.say(Message.DDATA, Metric(alias=2, value=2.0), device="D")) == [("Level", 2.0)]
    assert node.rebirths() == []
    node.now_s = 1.9
    assert heard(node.host.hear(*late, node.now_s)) == [("Level", 1.0)]
    node.now_s = 9.0
    assert node.rebirths() == []
    node.message(Message.DDATA, device="D")
    node.say(Message.DDATA, Metric(alias=2, value=3.0), device="D")
    node.now_s = 10.9
    assert node.rebirths() == []
    node.now_s = 11.0
    assert node.rebirths() == [("G", "E")]


def test_the_numbers_go_round() -> None:
    node = Node()
    node.birth()
    for _ in range(600):
        node.say(Message.DDATA, Metric(alias=2, value=1.0), device="D")
    node.now_s = 99
    assert node.rebirths() == []


def test_a_death_of_an_earlier_connection_is_ignored() -> None:
    node = Node()
    node.bd_seq = 1
    node.birth()
    assert not node.say(Message.NDEATH, Metric("bdSeq", datatype=8, value=0)).dead
    assert heard(node.say(Message.DDATA, Metric(alias=2, value=1.0), device="D")) == [("Level", 1.0)]
    assert node.rebirths() == []
    assert node.say(Message.NDEATH, Metric("bdSeq", datatype=8, value=1)).dead


def test_an_alias_of_another_device_is_not_taken() -> None:
    node = Node()
    node.birth()
    found = node.say(Message.DDATA, Metric(alias=1, value=1.0), device="D")
    assert found.values == () and found.refused[0].reason == "unknown-alias"


def test_aliases_end_with_the_node_that_gave_them() -> None:
    node = Node()
    node.birth()
    node.say(Message.NDEATH)
    found = node.say(Message.DDATA, Metric(alias=2, value=21.5), device="D")  # its new birth was missed
    assert found.values == () and found.refused[0].reason == "unknown-alias"
    assert node.rebirths() == [("G", "E")]


@pytest.mark.parametrize(("kind", "device"), [(Message.NBIRTH, None), (Message.DBIRTH, "D")])
def test_aliases_end_with_a_birth_that_cannot_be_read(kind: Message, device: str | None) -> None:
    node = Node()
    node.birth()
    with pytest.raises(BadInput):
        node.host.hear(Topic("G", kind, "E", device), b"\x80", node.now_s)
    found = node.say(Message.DDATA, Metric(alias=2, value=21.5), device="D")
    assert found.values == () and found.refused[0].reason == "unknown-alias"
    assert node.rebirths() == [("G", "E")]


def test_a_whole_number_without_a_type_is_none_before_the_birth_that_tells_it() -> None:
    node = Node()
    found = node.say(Message.DDATA, Metric("Steps", value=2**32 - 5), Metric("Level", value=0.4), device="D")
    assert heard(found) == [("Level", 0.4)]
    assert [error.reason for error in found.refused] == ["unknown-type"]
    assert node.rebirths() == [("G", "E")]
    node.birth()
    assert heard(node.say(Message.DDATA, Metric("Steps", value=2**32 - 5), device="D")) == [("Steps", -5)]


kinds = st.sampled_from(list(Message))


@given(st.lists(st.tuples(kinds, st.lists(metrics(), max_size=3), st.integers(0, 300)), max_size=20))
def test_any_messages_are_refused_or_heard_and_nothing_else(said: list[tuple[Message, list[Metric], int]]) -> None:
    host = Host(2.0)
    for number_, (kind, sent, seq) in enumerate(said):
        topic = Topic("G", kind, "E", "D" if kind.is_of_device else None)
        host.hear(topic, encode(Payload(None, tuple(sent), seq)), float(number_))
        host.rebirths(float(number_))


# A real broker


@pytest.mark.integration
def test_a_node_is_heard_asked_for_its_birth_and_told_that_the_host_is_there(mosquitto_port: int) -> None:
    asked: list[bytes] = []
    states: list[bytes] = []

    def on_message(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        (states if "STATE" in message.topic else asked).append(bytes(message.payload))

    async def run() -> None:
        clock = SystemClock()
        events, sink = Events(clock), ListSink()
        level = {"name": "Level", "metric": "level", "scale": 0.001}
        device = {"device": "pump-1", "group": "G", "node": "E", "node_device": "D", "quantities": [level]}
        broker = {"host": "127.0.0.1", "port": mosquitto_port}
        settings = SparkplugSettings.model_validate(
            {"driver": "sparkplug", "broker": broker, "client_id": "host-1", "host": "scada1", "devices": [device]}
        )
        node = Client(CallbackAPIVersion.VERSION2, "node")
        node.on_message = on_message
        node.connect("127.0.0.1", mosquitto_port)
        node.subscribe([("spBv1.0/G/NCMD/E", 1), ("spBv1.0/STATE/scada1", 1)])
        node.loop_start()
        events.driver_added(settings.name)
        task = asyncio.create_task(SparkplugDriver(settings, clock, events).run(sink))
        await until(lambda: bool(asked) and bool(states), "the wish for a birth, and the host's state")
        assert GOOGLE.FromString(asked[0]).metrics[0].name == "Node Control/Rebirth"
        assert GOOGLE.FromString(asked[0]).metrics[0].boolean_value is True
        assert b'"online":true' in states[0]
        now_ms = clock.now_ms()

        def say(kind: str, seq: int, **metric: Any) -> None:
            payload = GOOGLE(timestamp=now_ms, seq=seq)
            payload.metrics.add(timestamp=now_ms, **metric)
            place = "E/D" if kind.startswith("D") else "E"
            node.publish(f"spBv1.0/G/{kind}/{place}", payload.SerializeToString())

        say("NBIRTH", 0, name="bdSeq", datatype=8, long_value=0)
        say("DBIRTH", 1, name="Level", alias=2, datatype=3, int_value=2**32 - 50)
        say("DDATA", 2, alias=2, int_value=305)
        node.publish("spBv1.0/G/DDATA/E/D", b"\xff\xff")
        say("DDATA", 3, alias=2, is_null=True)
        say("NDEATH", 0, name="bdSeq", datatype=8, long_value=0)
        await until(lambda: events.counters().get("outages", 0) == 1, "the death")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: b'"online":false' in states[-1], "the host's last word")
        node.disconnect()
        node.loop_stop()
        assert [(r.device, r.value, r.quality) for r in sink.readings] == [
            ("pump-1", -0.05, Quality.GOOD),
            ("pump-1", 0.305, Quality.GOOD),
        ]
        assert events.counters()["invalid"] == 1
        assert events.counters()["refused_messages_bad-payload"] == 1

    asyncio.run(run())
