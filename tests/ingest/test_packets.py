import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import packets
from ingest.packets import (
    Connected,
    Message,
    PacketReader,
    ProtocolError,
    Subscribed,
    acknowledge,
    connect,
    publish,
    subscribe,
)

PAYLOAD_MAX = 1000


def publish_packet(topic: str, payload: bytes, packet_id: int, retained: bool, duplicate: bool = False) -> bytes:
    packet = bytearray(publish(topic, payload, packet_id or 1))
    flags = retained | duplicate << 3
    packet[0] |= flags
    if not packet_id:
        body = struct.pack(">H", len(topic.encode())) + topic.encode() + payload
        packet = bytearray([0x30 | flags]) + _length(len(body)) + body
    return bytes(packet)


def _length(size: int) -> bytes:
    made = bytearray()
    while True:
        size, low = divmod(size, 128)
        made.append(low | (0x80 if size else 0))
        if not size:
            return bytes(made)


TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
MESSAGES = st.lists(
    st.tuples(TOPICS, st.binary(max_size=400), st.integers(0, 65_535), st.booleans(), st.booleans()), max_size=8
)


@given(MESSAGES, st.lists(st.integers(1, 60), max_size=100))
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[tuple[str, bytes, int, bool, bool]], cuts: list[int]
) -> None:
    stream = b"".join(publish_packet(*message) for message in messages)
    reader, found, start = PacketReader(PAYLOAD_MAX), [], 0
    for size in [*cuts, len(stream)]:
        found += reader.feed(stream[start : start + size]).messages
        start += size
    assert found == [Message(*message) for message in messages]


@settings(deadline=None)
@given(st.integers(1, 200_000), st.integers(1, 5000))
def test_a_message_that_is_too_large_is_passed_over_and_the_next_one_read(size: int, piece: int) -> None:
    large = publish_packet("a/b", b"x" * (PAYLOAD_MAX + size), 7, False)
    stream = large + publish_packet("c", b"next", 8, False)
    reader, found = PacketReader(PAYLOAD_MAX), []
    for start in range(0, len(stream), piece):
        found += reader.feed(stream[start : start + piece]).messages
        assert len(reader._rest) <= PAYLOAD_MAX + 65_537 + piece + 10
    assert found == [Message("a/b", None, 7, False), Message("c", b"next", 8, False)]


@given(st.binary(max_size=300))
def test_noise_is_a_protocol_error_or_nothing(data: bytes) -> None:
    try:
        PacketReader(PAYLOAD_MAX).feed(data)
    except ProtocolError:
        pass


def test_the_answers_of_a_broker_are_read() -> None:
    received = PacketReader(10).feed(b"\x20\x02\x01\x00" + b"\x90\x05\x00\x01\x01\x80\x01" + b"\xd0\x00")
    assert received.others == [Connected(True, 0), Subscribed(b"\x01\x80\x01")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x34\x06\x00\x01a\x00\x01x",  # QoS 2 was not asked for
        b"\x32\x05\x00\x01a\x00\x00",  # packet id 0
        b"\x32\x04\x00\x09ab",  # a topic longer than its packet
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x10\x00",  # a CONNECT from a broker
        b"\x20\x03\x00\x00\x00",  # a CONNACK of a wrong length
    ],
)
def test_what_no_broker_sends_closes_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        PacketReader(10).feed(data)


def test_packets_stand_on_the_wire_as_the_standard_draws_them() -> None:
    assert connect("ab", 30, "u", "p").hex(" ") == ("10 14 00 04 4d 51 54 54 04 c0 00 1e 00 02 61 62 00 01 75 00 01 70")
    assert subscribe(1, ["a/+"]).hex(" ") == "82 08 00 01 00 03 61 2f 2b 01"
    assert publish("a", b"hi", 258).hex(" ") == "32 07 00 01 61 01 02 68 69"
    assert acknowledge([1, 515]).hex(" ") == "40 02 00 01 40 02 02 03"
    assert publish("a", bytes(200), 1)[:3].hex(" ") == "32 cd 01"


def test_what_is_remembered_of_topics_is_bounded_in_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "_TOPICS_MAX", 8)
    reader = PacketReader(PAYLOAD_MAX)
    long = "x" * 60_000
    names = [*(f"topic-{number}" for number in range(20)), long, "topic-1", long]
    found = reader.feed(b"".join(publish(name, b"1", 1) for name in names)).messages
    assert [message.topic for message in found] == names
    assert len(reader._topics) <= 8
    assert long.encode() not in reader._topics
