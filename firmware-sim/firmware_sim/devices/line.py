"""A half-duplex serial line with devices on it: bytes take their time, and who talks at once spoils what is heard.

The line knows no protocol. What the master sends is a burst; when the wire has been silent for 3.5 characters the burst is
over and every device hears it, as far as noise has left it whole. Time is that of the event loop, real or virtual.
Source of the silence: Modbus over serial line V1.02, 2.5.1.1 (a fixed 1.75 ms above 19,200 baud).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from telemetry.clock import Clock

_SILENT_CHARACTERS = 3.5
_SILENT_MIN_S = 0.001_75
_CHIP_BYTES = 8  # a serial chip hands over so many at once
_BURST_MAX = 4096  # bytes; of more, only the last are heard
_KEPT_S = 1.0
_TALKS_MAX = 64  # answers not yet over; a device that would be one more keeps silent


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device says, and how long it thinks."""

    data: bytes
    checksum_at: int | None  # where in `data` its checksum begins, if there is one
    after_s: float
    then: Answer | None = None  # what it says later, unasked; counted from the same moment


class Device(Protocol):
    """One device on a line."""

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        """What it answers to bytes that may hold a request, or noise, or a request to another."""
        ...


class Talker(Protocol):
    """A device that speaks unasked, every so often."""

    every_s: float

    def speak(self, now_ms: int) -> Answer | None:
        """What it says this time."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """What the line is like. Rates are probabilities of each bit or byte that passes, in either direction."""

    baud: int = 2400
    bits_per_byte: int = 11
    echoes: bool = False  # the master hears itself, as on many two-wire adapters
    bit_error_rate: float = 0.0
    byte_loss_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Talk:
    """Somebody holds the line."""

    data: bytes
    start_s: float
    end_s: float
    is_request: bool


class SerialLine:
    """A wire, its devices, and whoever listens on the master's end. `injected` counts what was done to the bytes."""

    def __init__(self, wire: Wire, devices: Sequence[Device], clock: Clock, seed: int = 1) -> None:
        self.listeners: list[Callable[[bytes], None]] = []
        self.injected: Counter[str] = Counter()
        self._wire = wire
        self._devices = tuple(devices)
        self._clock = clock
        self._rng = random.Random(seed)
        self._byte_s = wire.bits_per_byte / wire.baud
        self._silent_s = max(_SILENT_CHARACTERS * self._byte_s, _SILENT_MIN_S)
        self._talks: list[_Talk] = []
        self._burst = bytearray()
        self._burst_over: asyncio.TimerHandle | None = None
        self._sent_s = 0.0

    def send(self, data: bytes) -> float:
        """Put the master's bytes on the wire, behind those that it still sends; how long that takes from now [s]."""
        loop = asyncio.get_running_loop()
        start_s = max(loop.time(), self._sent_s)
        self._sent_s = self._talk(data, start_s, is_request=True)
        if self._burst_over is not None:
            self._burst_over.cancel()
        self._burst_over = loop.call_at(self._sent_s + self._silent_s, self._hear)
        return self._sent_s - loop.time()

    async def speaks_up(self, talker: Talker) -> None:
        """Let a device speak on this line, until cancelled."""
        while True:
            self._say(talker.speak(self._clock.now_ms()))
            await asyncio.sleep(talker.every_s)

    def _say(self, answer: Answer | None) -> None:
        now_s = asyncio.get_running_loop().time()
        while answer is not None and len(self._talks) < _TALKS_MAX:
            self._talk(answer.data, now_s + answer.after_s, is_request=False)
            answer = answer.then

    def _talk(self, data: bytes, start_s: float, *, is_request: bool) -> float:
        """Begin to talk; when it ends [s]."""
        loop = asyncio.get_running_loop()
        # Kept for a while after their end: what was said may still have to be told apart from what overlapped it.
        self._talks = [each for each in self._talks if each.end_s > loop.time() - _KEPT_S]
        talk = _Talk(data, start_s, start_s + len(data) * self._byte_s, is_request)
        self._talks.append(talk)
        for at in range(0, len(data), _CHIP_BYTES):
            until = min(at + _CHIP_BYTES, len(data))
            loop.call_at(start_s + until * self._byte_s, self._pass, talk, at, until)
        return talk.end_s

    def _pass(self, talk: _Talk, start: int, until: int) -> None:
        """Bytes have passed along the wire: everybody who listens gets what is left of them."""
        data = b"".join(self._left(talk, at) for at in range(start, until))
        if talk.is_request:
            self._burst += data
            del self._burst[:-_BURST_MAX]
        if data and (self._wire.echoes or not talk.is_request):
            for listener in self.listeners:
                listener(data)

    def _left(self, talk: _Talk, at: int) -> bytes:
        """What is heard of one byte."""
        start_s = talk.start_s + at * self._byte_s
        others = [
            other
            for other in self._talks
            if other is not talk and other.start_s < start_s + 0.999 * self._byte_s and other.end_s > start_s
        ]
        if others:
            self.injected["collided"] += 1
            is_first = all(talk.start_s < other.start_s for other in others) or talk is self._first(talk, others)
            return bytes([self._rng.randrange(256)]) if is_first else b""
        value = talk.data[at]
        if self._wire.byte_loss_rate and self._rng.random() < self._wire.byte_loss_rate:
            self.injected["lost"] += 1
            return b""
        if self._wire.bit_error_rate:
            flips = sum(1 << bit for bit in range(8) if self._rng.random() < self._wire.bit_error_rate)
            self.injected["flipped"] += flips != 0
            value ^= flips
        return bytes([value])

    def _first(self, talk: _Talk, others: Sequence[_Talk]) -> _Talk:
        """Of those who talk at once the one who began, or else spoke up, first: its place in time is heard."""
        at_once = {id(other) for other in others} | {id(talk)}
        return min((each for each in self._talks if id(each) in at_once), key=lambda each: each.start_s)

    def _hear(self) -> None:
        burst = bytes(self._burst)
        self._burst.clear()
        for device in self._devices:
            self._say(device.hear(burst, self._clock.now_ms()))
