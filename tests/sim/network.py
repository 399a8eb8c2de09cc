"""A broker and the wires to it. The core speaks MQTT bytes to it, gateways hand over messages; both live with what goes
wrong: cuts, half-open connections, a broker that forgets, loses, repeats and reorders what it acknowledged."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.link import Listener
from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from tests.sim.loop import SimLoop

_KEEP_ALIVE_S = 30.0


@dataclass
class Trouble:
    """What is wrong with the broker and its wires now."""

    lose: float = 0.0  # of messages that were acknowledged
    repeat: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.02


@dataclass
class _Wire:
    """One connection: in each direction things arrive in order, after a while."""

    loop: SimLoop
    rng: random.Random
    trouble: Trouble
    is_open: bool = True
    is_silent: bool = False  # half-open: nothing arrives any more, and nobody is told
    _free_s: dict[str, float] = field(default_factory=dict)

    def carry(self, direction: str, deliver: Callable[[], None]) -> None:
        if not self.is_open or self.is_silent:
            return
        at = self.loop.time() + self.rng.uniform(0.0005, 0.002) + self.rng.random() ** 3 * self.trouble.delay_s
        at = self._free_s[direction] = max(at, self._free_s.get(direction, 0.0) + 1e-6)
        self.loop.call_at(at, lambda: deliver() if self.is_open and not self.is_silent else None)


class Broker:
    """Mosquitto as we need it: QoS 1, a session for the core, retained statuses, wills; state in memory only."""

    def __init__(self, loop: SimLoop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.trouble = Trouble()
        self.is_up = True
        self.lost: list[tuple[str, bytes]] = []  # acknowledged and then forgotten
        self.retained: dict[str, bytes] = {}
        self._queue: list[tuple[str, bytes, bool]] = []  # for the core
        self._in_flight: dict[int, tuple[str, bytes, bool]] = {}
        self._has_session = False
        self._next_id = 0
        self.core: CoreEnd | None = None
        self.links: dict[str, GatewayLink] = {}
        self.cut_off_until_s: dict[str, float] = {}  # client -> no connection before
        self._kept: tuple[list[tuple[str, bytes, bool]], dict[str, bytes]] = ([], {})

    # Messages

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """A client's message was taken."""
        if retain:
            self.retained[topic] = payload
        if topic.endswith("/receipt"):
            link = self.links.get(topic.split("/")[3])
            if link is not None:
                link.arrive(payload)
            return
        if self.rng.random() < self.trouble.lose:
            self.lost.append((topic, payload))
            return
        for _ in range(2 if self.rng.random() < self.trouble.repeat else 1):
            if self._has_session:
                place = len(self._queue)
                if self._queue and self.rng.random() < self.trouble.reorder:
                    place = self.rng.randrange(len(self._queue) + 1)
                self._queue.insert(place, (topic, payload, False))
            elif not retain:
                self.lost.append((topic, payload))
        self._feed_core()

    def _feed_core(self) -> None:
        core = self.core
        while core is not None and core.is_subscribed and self._queue and len(self._in_flight) < 100:
            message = self._queue.pop(0)
            self._next_id = self._next_id % 65_535 + 1
            self._in_flight[self._next_id] = message
            core.send(_publish(*message, self._next_id, is_repeat=False))

    # The core's connection

    def connect_core(self) -> CoreEnd:
        """A new connection; one that stood is over. Raises OSError while the broker is down."""
        if not self.reaches("core"):
            raise ConnectionRefusedError("no way to the broker")
        if self.core is not None:
            self.core.cut()
        self.core = CoreEnd(self, _Wire(self.loop, self.rng, self.trouble))
        return self.core

    def core_says(self, core: CoreEnd, packets: list[tuple[int, bytes]]) -> None:
        """What the core sent has arrived."""
        if core is not self.core:
            return
        for kind, body in packets:
            if kind >> 4 == 1:
                core.send(bytes((0x20, 2, int(self._has_session), 0)))
                self._has_session = True
                for number, message in list(self._in_flight.items()):
                    core.send(_publish(*message, number, is_repeat=True))
            elif kind >> 4 == 8:
                core.send(bytes((0x90, 5)) + body[:2] + b"\x01\x01\x01")
                core.is_subscribed = True
                for topic, payload in self.retained.items():
                    self._queue.append((topic, payload, True))
                self._feed_core()
            elif kind >> 4 == 4:
                self._in_flight.pop(struct.unpack(">H", body)[0], None)
                self._feed_core()
            elif kind >> 4 == 3:
                size = struct.unpack(">H", body[:2])[0]
                topic, packet_id, payload = body[2 : 2 + size].decode(), body[2 + size : 4 + size], body[4 + size :]
                core.send(b"\x40\x02" + packet_id)
                self.publish(topic, payload, retain=bool(kind & 1))
            elif kind >> 4 == 12:
                core.send(b"\xd0\x00")

    def reaches(self, client: str) -> bool:
        """Whether a client could connect now."""
        return self.is_up and self.loop.time() >= self.cut_off_until_s.get(client, 0.0)

    async def until_up(self) -> None:
        """Wait until it runs."""
        while not self.is_up:  # noqa: ASYNC110 - on virtual time
            await asyncio.sleep(1.0)

    # What happens to it

    def save(self) -> None:
        """What a restart will find."""
        self._kept = ([*self._in_flight.values(), *self._queue], dict(self.retained))

    def crash(self, forgets_all: bool) -> None:
        """Killed: every connection is over, and what was not saved is gone."""
        self.is_up = False
        for client in [self.core, *self.links.values()]:
            if client is not None:
                client.cut()
        self.core = None
        self.links.clear()
        kept, retained = ([], {}) if forgets_all else self._kept
        held = [(topic, payload) for topic, payload, _ in [*self._in_flight.values(), *self._queue]]
        self.lost += [one for one in held if one not in [(topic, payload) for topic, payload, _ in kept]]
        self._in_flight.clear()
        self._queue = list(kept)
        self.retained = dict(retained)
        self._has_session = self._has_session and not forgets_all


class CoreEnd:
    """The core's connection, as bytes."""

    def __init__(self, broker: Broker, wire: _Wire) -> None:
        self.broker = broker
        self.wire = wire
        self.is_subscribed = False
        self.is_over = False
        self._received = bytearray()
        self._unread = b""
        self.arrived = asyncio.Event()

    def send(self, data: bytes) -> None:
        """From the broker to the core."""
        self.wire.carry("down", lambda: self._arrive(data))

    def write(self, data: bytes) -> None:
        """From the core to the broker."""
        self.wire.carry("up", lambda: self._hear(data))

    def read(self, count_max: int) -> bytes:
        """What has arrived, in pieces as the network cut it. Raises OSError when the connection is over."""
        if self.is_over and not self._received:
            raise ConnectionResetError("cut")
        data = bytes(self._received[:count_max])
        del self._received[:count_max]
        if not self._received and not self.is_over:
            self.arrived.clear()
        return data

    def cut(self) -> None:
        """Both ends learn that it is over; when it was half-open, the core's end only later."""
        was_silent = self.wire.is_silent
        self.wire.is_open = False
        if self.broker.core is self:
            self.broker.core = None
        if not was_silent:
            self.is_over = True
            self.arrived.set()

    def _arrive(self, data: bytes) -> None:
        self._received += data
        self.arrived.set()

    def _hear(self, data: bytes) -> None:
        packets, self._unread = _packets(self._unread + data)
        self.broker.core_says(self, packets)


class GatewayLink:
    """Implements `gateway.link.Link` over the simulated wires."""

    def __init__(self, broker: Broker, settings: BrokerSettings, client_id: str, listener: Listener) -> None:
        self._broker = broker
        self._client_id = client_id
        self._listener = listener
        self._wire = _Wire(broker.loop, broker.rng, broker.trouble)
        self._next_id = 0
        self._will: tuple[str, bytes] | None = None
        self.is_dead: Callable[[], bool] = lambda: False

    async def open(self, receipts: str, sampling: str, will_topic: str, will: bytes) -> bool:
        await asyncio.sleep(self._broker.rng.uniform(0.001, 0.05))
        if not self._broker.reaches(self._client_id):
            raise Unavailable("connecting: refused")
        before = self._broker.links.get(self._client_id)
        if before is not None:
            before.cut()
        self._broker.links[self._client_id] = self
        self._will = (will_topic, will)
        return before is not None

    def publish(self, topic: str, payload: bytes, retain: bool) -> int | None:
        if not self._wire.is_open or self.is_dead():
            return None
        self._next_id += 1
        number = self._next_id

        def taken() -> None:
            self._broker.publish(topic, payload, retain)
            self._wire.carry("down", lambda: self._listener.link_taken(number))

        self._wire.carry("up", taken)
        return number

    def arrive(self, payload: bytes) -> None:
        """A receipt, from the broker."""
        self._wire.carry("down", lambda: self._listener.link_message(payload))

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self._will = None
        self._end()

    async def abort(self) -> None:
        self.cut()

    def cut(self) -> None:
        """The connection is over: the broker says so in our name, the gateway hears of it."""
        if self._wire.is_open:
            self._end()
            if self._will is not None and self._broker.is_up:
                will, self._will = self._will, None
                self._broker.publish(*will, retain=True)
            self._listener.link_lost("cut")

    def go_silent(self) -> None:
        """Half-open: both sides notice only when nothing was heard for one and a half keep-alives."""
        self._wire.is_silent = True
        self._broker.loop.call_later(1.5 * _KEEP_ALIVE_S, self.cut)

    def _end(self) -> None:
        self._wire.is_open = False
        if self._broker.links.get(self._client_id) is self:
            del self._broker.links[self._client_id]


def _publish(topic: str, payload: bytes, retain: bool, number: int, *, is_repeat: bool) -> bytes:
    head = 0x32 | (8 if is_repeat else 0) | int(retain)
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + struct.pack(">H", number) + payload
    return bytes((head,)) + _length(len(body)) + body


def _length(size: int) -> bytes:
    made = bytearray()
    while True:
        size, digit = divmod(size, 128)
        made.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(made)


def _packets(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Whole packets as (first byte, body), and what is left over."""
    found = []
    at = 0
    while at + 2 <= len(data):
        size, shift, body = 0, 0, at + 1
        while body < len(data):
            size |= (data[body] & 0x7F) << shift
            shift += 7
            body += 1
            if not data[body - 1] & 0x80:
                break
        else:
            break
        if body + size > len(data):
            break
        found.append((data[at], data[body : body + size]))
        at = body + size
    return found, data[at:]
