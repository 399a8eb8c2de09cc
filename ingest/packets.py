"""MQTT 3.1.1 as a subscriber in bulk needs it: bytes in, packets out. No sockets, no clock.

A general client spends more time on one message than everything that is done with it (27 µs against 2). Here one buffer
is walked once, and acknowledgements are written together. Only what the core's input needs exists: CONNECT, SUBSCRIBE,
PING, QoS 0 and 1 PUBLISH in, PUBLISH out for receipts.

Source: OASIS MQTT Version 3.1.1, sections 2.2 (fixed header), 3.1-3.13 (packets), 4.3 (QoS).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOPICS_MAX = 4096  # remembered; past it they are forgotten all at once
_TOPIC_BYTES_MAX = 256  # of one that is remembered; ours are shorter, and a broker may hand out 64 KB

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xD0
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses this client id",
    3: "it is not available",
    4: "user name or password is wrong",
    5: "this user may not connect",
}


class ProtocolError(Exception):
    """The other side does not keep to the protocol: close the connection and connect anew."""


class Message(NamedTuple):
    """A PUBLISH as it arrived. `payload` is None where it was larger than allowed and was passed over."""

    topic: str
    payload: bytes | None
    packet_id: int  # 0 for QoS 0: nothing to acknowledge
    is_retained: bool
    is_duplicate: bool = False  # the broker sends it again: it does not know whether it was taken (3.3.1.1)


@dataclass(slots=True)
class Connected:
    """CONNACK."""

    session_present: bool
    refusal: int


@dataclass(slots=True)
class Subscribed:
    """SUBACK: one return code a filter, 0x80 for a refusal."""

    codes: bytes


@dataclass(slots=True)
class Received:
    """What one read held."""

    messages: list[Message] = field(default_factory=list)
    others: list[Connected | Subscribed] = field(default_factory=list)


class PacketReader:
    """Turns a byte stream into packets, whatever way it is cut. Holds at most one message beyond what it was fed."""

    def __init__(self, payload_max: int) -> None:
        self._payload_max = payload_max
        self._rest = b""
        self._skip = 0
        self._topics: dict[bytes, str] = {}  # one object a topic, which whoever looks it up again need not hash again

    def feed(self, data: bytes) -> Received:
        """The packets that these bytes complete. Raises ProtocolError when they cannot be MQTT."""
        received = Received()
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        buffer = self._rest + data if self._rest else data
        end = len(buffer)
        position = 0
        add = received.messages.append
        topics = self._topics
        # `Message(...)` goes through a function in Python, once a message.
        new = tuple.__new__
        while end - position >= 2:
            head = buffer[position]
            # Remaining length: up to four bytes of seven bits, lowest first (2.2.3).
            length = buffer[position + 1]
            start = position + 2
            if length >= 0x80:
                if start < end and buffer[start] < 0x80:
                    length += (buffer[start] - 1) << 7
                    start += 1
                else:
                    length, start = self._long_length(buffer, position)
                    if start < 0:
                        break
            stop = start + length
            kind = head & 0xF0
            if stop > end:
                if kind == PUBLISH and length > self._payload_max + 65_537:
                    message = self._oversized(head, buffer, start)
                    if message is None:
                        break
                    add(message)
                    self._skip = stop - end
                    position = end
                    continue
                break
            if kind == PUBLISH:
                if length < 2:
                    raise ProtocolError("PUBLISH without a topic")
                body = start + 2 + (buffer[start] << 8 | buffer[start + 1])
                packet_id = 0
                if head & 0x06:
                    if head & 0x04 or body + 2 > stop:
                        raise ProtocolError("PUBLISH of QoS 2, or cut short")
                    packet_id = buffer[body] << 8 | buffer[body + 1]
                    if not packet_id:
                        raise ProtocolError("PUBLISH with packet id 0")
                    topic_end, body = body, body + 2
                else:
                    topic_end = body
                if body > stop:
                    raise ProtocolError("PUBLISH whose topic is longer than the packet")
                payload = buffer[body:stop] if stop - body <= self._payload_max else None
                name = buffer[start + 2 : topic_end]
                topic = topics.get(name)
                if topic is None:
                    topic = self._note_topic(name)
                add(new(Message, (topic, payload, packet_id, head & 1 != 0, head & 8 != 0)))
            elif kind == CONNACK:
                if length != 2:
                    raise ProtocolError("CONNACK of a wrong length")
                received.others.append(Connected(bool(buffer[start] & 1), buffer[start + 1]))
            elif kind == SUBACK:
                received.others.append(Subscribed(buffer[start + 2 : stop]))
            elif kind not in (PUBACK, PINGRESP):
                raise ProtocolError(f"a packet of type {kind >> 4} is nothing for a subscriber")
            position = stop
        self._rest = buffer[position:]
        return received

    def _note_topic(self, name: bytes) -> str:
        topic = name.decode("utf-8", "replace")
        if len(name) <= _TOPIC_BYTES_MAX:
            if len(self._topics) >= _TOPICS_MAX:
                self._topics.clear()
            self._topics[name] = topic
        return topic

    @staticmethod
    def _long_length(buffer: bytes, position: int) -> tuple[int, int]:
        """(remaining length, where the packet's body starts), or (0, -1) while its header is incomplete."""
        length = shift = 0
        for at in range(position + 1, min(position + 5, len(buffer))):
            length |= (buffer[at] & 0x7F) << shift
            if buffer[at] < 0x80:
                return length, at + 1
            shift += 7
        if len(buffer) >= position + 5:
            raise ProtocolError("a remaining length of more than four bytes")
        return 0, -1

    @staticmethod
    def _oversized(head: int, buffer: bytes, start: int) -> Message | None:
        """The envelope of a message that is too large to keep, once its topic has arrived."""
        if len(buffer) < start + 2:
            return None
        body = start + 2 + (buffer[start] << 8 | buffer[start + 1])
        if len(buffer) < body + 2:
            return None
        packet_id = buffer[body] << 8 | buffer[body + 1] if head & 0x06 else 0
        topic = buffer[start + 2 : body].decode("utf-8", "replace")
        return Message(topic, None, packet_id, bool(head & 1), bool(head & 8))


def connect(client_id: str, keep_alive_s: int, username: str | None, password: str | None) -> bytes:
    """CONNECT with a persistent session."""
    flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _text("MQTT") + bytes((4, flags)) + struct.pack(">H", keep_alive_s) + _text(client_id)
    body += b"".join(_text(part) for part in (username, password) if part is not None)
    return _packet(0x10, body)


def subscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE at QoS 1."""
    return _packet(0x82, struct.pack(">H", packet_id) + b"".join(_text(f) + b"\x01" for f in filters))


def publish(topic: str, payload: bytes, packet_id: int) -> bytes:
    """PUBLISH at QoS 1."""
    return _packet(0x32, _text(topic) + struct.pack(">H", packet_id) + payload)


def acknowledge(packet_ids: Iterable[int]) -> bytes:
    """PUBACKs for all of these in one piece of bytes."""
    return b"".join([b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids])


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(head: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, low = divmod(length, 128)
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes((head,)) + encoded + body
