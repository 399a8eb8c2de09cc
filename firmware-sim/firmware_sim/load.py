"""A load on a broker: readings of the devices of a catalogue at a steady rate, or as fast as the broker acknowledges them.

One message a reading (`single`: plain JSON), or up to 200 readings of a gateway in one (`frames`, as our gateways ship them).
Values walk within what is plausible; times are those of sending. Messages are made a round of all series at a time and sent
in bulk over a socket of our own: a client library costs more than what it would load. QoS 1; what is on its way without an
acknowledgement is bounded. `Null` takes the same bytes and drops them: what the generator itself can do.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np

from telemetry import frames
from telemetry.batch import Floats
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.topics import frames_topic, readings_topic

FRAME_READINGS = 200
IN_FLIGHT_MAX = 2_000  # messages
_WRITE_MAX = 500  # messages in one write
_PATIENCE_S = 30.0
_PUBACK_BYTES = 4

Shape = Literal["single", "frames"]


class Sink(Protocol):
    """Where packets go."""

    def send(self, packets: list[bytes]) -> None:
        """Take PUBLISH packets, one after the other. Raises Unavailable when nobody takes them."""

    def finish(self) -> None:
        """Wait until everything was acknowledged."""


class Null:
    """Takes everything and keeps nothing."""

    def send(self, packets: list[bytes]) -> None:
        b"".join(packets)

    def finish(self) -> None:
        pass


class Broker:
    """One connection. Raises Unavailable when the broker is not there, refuses us or stops acknowledging."""

    def __init__(self, host: str, port: int, username: str | None = None, password: str | None = None) -> None:
        self._in_flight, self._cut = 0, b""
        try:
            self._socket = socket.create_connection((host, port), 10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(_connect(f"load-{secrets.token_hex(4)}", username, password))
            answer = self._socket.recv(4)
        except OSError as error:
            raise Unavailable(f"the broker at {host}:{port}: {error}") from error
        if len(answer) < 4 or answer[3]:
            raise self._gone(f"the broker at {host}:{port} refuses the connection: check user and password")

    def send(self, packets: list[bytes]) -> None:
        for start in range(0, len(packets), _WRITE_MAX):
            some = packets[start : start + _WRITE_MAX]
            self._until(IN_FLIGHT_MAX - len(some))
            self._in_flight += len(some)
            try:
                self._socket.sendall(b"".join(some))
            except OSError as error:
                raise self._gone(f"the broker closed the connection: {error}") from error

    def finish(self) -> None:
        self._until(0)
        self._socket.sendall(b"\xe0\x00")
        self._socket.close()

    def _gone(self, why: str) -> Unavailable:
        self._socket.close()
        return Unavailable(why)

    def _until(self, in_flight_max: int) -> None:
        """Take acknowledgements, and wait for them while too much is on its way."""
        while True:
            ready = select.select([self._socket], [], [], 0 if self._in_flight <= in_flight_max else _PATIENCE_S)[0]
            if not ready:
                if self._in_flight <= in_flight_max:
                    return
                raise self._gone(f"the broker has acknowledged nothing for {_PATIENCE_S:.0f} s")
            try:
                data = self._socket.recv(65_536)
            except OSError as error:
                raise self._gone(f"the broker closed the connection: {error}") from error
            if not data:
                raise self._gone("the broker closed the connection")
            self._cut += data
            whole = len(self._cut) // _PUBACK_BYTES
            self._cut = self._cut[whole * _PUBACK_BYTES :]
            self._in_flight -= whole


@dataclass(frozen=True, slots=True)
class Done:
    """What was sent, and how fast."""

    readings: int
    messages: int
    seconds: float
    behind_s: float  # how late the last round was sent, against its time

    @property
    def rate(self) -> float:
        return self.readings / max(self.seconds, 1e-9)


def load(
    catalogue: Catalogue,
    sink: Sink,
    shape: Shape,
    rate: float,
    series: int,
    seconds: float,
    *,
    seed: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> Done:
    """Send `rate` readings a second (0: as fast as they are taken) of the first `series` of a catalogue, for so long.

    Raises BadConfiguration when the catalogue has nothing to send, Unavailable when the broker goes.
    """
    rounds = _Rounds(catalogue, series, seed)
    each_s = rounds.size / rate if rate else 0.0
    began_s = time.perf_counter()
    sent = messages = 0
    late_s = 0.0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        due_s = sent / rate if rate else elapsed_s
        if due_s > elapsed_s:
            time.sleep(due_s - elapsed_s)
        late_s = max(0.0, elapsed_s - due_s - each_s)
        made = list(rounds.packets(shape, time.time_ns() // 1_000_000))
        sink.send(made)
        sent, messages = sent + rounds.size, messages + len(made)
        progress(sent)
    sink.finish()
    return Done(sent, messages, time.perf_counter() - began_s, late_s)


class _Rounds:
    """All series once, again and again."""

    def __init__(self, catalogue: Catalogue, series: int, seed: int) -> None:
        names = list(catalogue.metric)[:series]
        if not names:
            raise BadConfiguration("the catalogue has no devices with metrics: there is nothing to send")
        names.sort(key=lambda name: catalogue.device[name[0]].gateway)  # a frame is of one gateway
        self._names = names
        self._site = {gateway.id: gateway.site for gateway in catalogue.gateways}
        self._gateway = [catalogue.device[device].gateway for device, _ in names]
        plausible = [catalogue.metric[name].plausible or (0.0, 100.0) for name in names]
        self._low, self._high = (np.array(bound, np.float64) for bound in zip(*plausible, strict=True))
        self._random = np.random.default_rng(seed)
        self._value: Floats = self._low + (self._high - self._low) * self._random.random(len(names))
        self._epoch = secrets.token_hex(8)
        self._seq: dict[str, int] = {}
        self._packet_id = 0

    @property
    def size(self) -> int:
        return len(self._names)

    def packets(self, shape: Shape, time_ms: int) -> Iterator[bytes]:
        """The next round as PUBLISH packets."""
        step = (self._high - self._low) * 0.01
        moved = self._value + step * self._random.standard_normal(self.size)
        self._value = np.clip(moved, self._low, self._high).round(3)
        yield from self._single(time_ms) if shape == "single" else self._frames(time_ms)

    def _single(self, time_ms: int) -> Iterator[bytes]:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for (device, metric), gateway, value in zip(self._names, self._gateway, self._value.tolist(), strict=True):
            payload = f'{{"device":"{device}","metric":"{metric}","time":"{moment}","value":{value}}}'
            yield self._publish(readings_topic(self._site[gateway], gateway), payload.encode())

    def _frames(self, time_ms: int) -> Iterator[bytes]:
        start = 0
        while start < self.size:
            gateway = self._gateway[start]
            end = start
            while end < min(self.size, start + FRAME_READINGS) and self._gateway[end] == gateway:
                end += 1
            count = end - start
            columns = frames.encode_columns(
                "\n".join(f"{device}/{metric}" for device, metric in self._names[start:end]),
                np.arange(count, dtype=np.uint16).tobytes(),
                np.full(count, time_ms, np.int64).tobytes(),
                self._value[start:end].tobytes(),
                bytes(count),
                {},
            )
            self._seq[gateway] = self._seq.get(gateway, 0) + 1
            payload = frames.encode(gateway, self._epoch, self._seq[gateway], 1, columns)
            yield self._publish(frames_topic(self._site[gateway], gateway), payload)
            start = end

    def _publish(self, topic: object, payload: bytes) -> bytes:
        self._packet_id = self._packet_id % 65_535 + 1
        return _packet(0x32, _text(str(topic)) + struct.pack(">H", self._packet_id) + payload)


def _connect(client_id: str, username: str | None, password: str | None) -> bytes:
    flags = 2 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _text("MQTT") + bytes((4, flags, 0, 0)) + _text(client_id)
    return _packet(0x10, body + b"".join(_text(part) for part in (username, password) if part is not None))


def _packet(head: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((head,)) + bytes(length) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data
