"""One request at a time on a line that several devices share, in time with the wire.

When to speak and how long to listen are decided by `Pace`, which does no I/O and is told the time. A device's first byte
is waited for as long as the request takes on the wire and the device may think; its last as long as the answer takes. So
one that keeps silent costs its neighbours no more than that, whatever the longest answer is.

Many adapters hear what they send. An echo is known by being the request, byte for byte, and dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.framing import FrameReader
from gateway.line import Line, LineSettings
from telemetry.clock import Clock
from telemetry.errors import Unavailable

F = TypeVar("F")

_NETWORK_S = 0.2  # what a TCP serial server adds, both ways
_SILENT_CHARACTERS = 3.5  # Modbus' end of a frame; a shorter pause is none for anybody
_STALE_READS_MAX = 16  # of what came unasked before a request: a line that babbles is spoken on all the same
_AT_ONCE_S = 0.001
_HEARD_MAX = 4096  # of those who answer at once


class NoAnswer(Unavailable):
    """One device kept silent; the line may be well."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The timing of a line. All times [s]."""

    byte_s: float  # one byte on the wire
    quiet_s: float
    answer_delay_s: float
    gap_s: float
    settle_s: float

    @classmethod
    def of(cls, settings: LineSettings) -> Pace:
        byte_s = settings.bits_per_byte / settings.baud
        network_s = 0.0 if settings.host is None else _NETWORK_S
        return cls(
            byte_s,
            max(settings.quiet_ms / 1000, _SILENT_CHARACTERS * byte_s),
            settings.answer_delay_ms / 1000 + network_s,
            settings.gap_ms / 1000 + network_s,
            settings.settle_ms / 1000,
        )

    def speak_at_s(self, heard_s: float, attempt: int, was_answered: bool) -> float:
        """When the next request may go out, `heard_s` being when the line was last busy; later for each attempt."""
        return heard_s + self.quiet_s * 2.0**attempt + (0.0 if was_answered else self.settle_s)

    def first_byte_until_s(self, sent_s: float, request_bytes: int) -> float:
        """How long the first byte of an answer is waited for."""
        return sent_s + request_bytes * self.byte_s + self.answer_delay_s

    def last_byte_until_s(self, first_s: float, answer_bytes: int) -> float:
        """How long the rest is waited for, whatever else is heard meanwhile."""
        return first_s + answer_bytes * self.byte_s + self.gap_s


class Bus:
    """A line with its pace. `heard` is told every piece that goes out (True) or comes in."""

    def __init__(self, line: Line, settings: LineSettings, clock: Clock, heard: Callable[[bool, bytes], None]) -> None:
        self.line = line
        self.pace = Pace.of(settings)
        self._baud = settings.baud
        self.noise_bytes = 0
        self._clock = clock
        self._heard = heard
        self._busy_s = clock.monotonic_s()
        self._was_answered = True
        self._turn = asyncio.Lock()

    async def ask(
        self,
        request: bytes,
        reader: FrameReader[F],
        is_answer: Callable[[F], bool],
        answer_bytes: int,
        attempts: int = 1,
        answer_baud: int | None = None,
    ) -> F:
        """One exchange.

        Args:
            request: What to send.
            reader: Finds frames in what comes; cleared before.
            is_answer: Whether a frame is what was asked for: by the device, about the thing. Others are passed over.
            answer_bytes: Of the longest answer.
            attempts: How often to ask, with a pause that doubles.
            answer_baud: The rate at which the answer comes, where it is another.

        Raises NoAnswer, or Unavailable when the line is gone.
        """
        async with self._turn:
            for attempt in range(attempts):
                await self._until_quiet(attempt)
                noise_before = reader.noise_bytes
                try:
                    answer = await self._exchange(request, reader, is_answer, answer_bytes, answer_baud)
                finally:
                    if answer_baud is not None:
                        self.line.set_baud(self._baud)
                    self._busy_s = self._clock.monotonic_s()
                    self.noise_bytes += reader.noise_bytes - noise_before
                self._was_answered = answer is not None
                if answer is not None:
                    return answer
        raise NoAnswer(f"no answer to {attempts} request{'s' if attempts > 1 else ''}")

    async def listen(self, request: bytes) -> bytes:
        """Send, and return whatever comes until the line is silent: for who asks several at once, who may collide."""
        async with self._turn:
            await self._until_quiet(0)
            await self._send(request)
            until_s = self.pace.first_byte_until_s(self._clock.monotonic_s(), len(request))
            came = bytearray()
            echo = _Echo(request)
            while (left_s := until_s - self._clock.monotonic_s()) > 0:
                data = await self._receive(left_s)
                rest = echo.without(data)
                came += rest
                if rest and len(came) < _HEARD_MAX:
                    until_s = self._clock.monotonic_s() + self.pace.gap_s
            self._busy_s = self._clock.monotonic_s()
            return bytes(came)

    async def _exchange(
        self,
        request: bytes,
        reader: FrameReader[F],
        is_answer: Callable[[F], bool],
        answer_bytes: int,
        answer_baud: int | None,
    ) -> F | None:
        reader.clear()
        await self._send(request)
        if answer_baud is not None:
            await asyncio.sleep(len(request) * self.pace.byte_s)  # the request must be out before the rate changes
            self.line.set_baud(answer_baud)
        now_s = self._clock.monotonic_s()
        first_until_s = until_s = self.pace.first_byte_until_s(now_s, len(request))
        has_begun = False
        echo = _Echo(request)
        while (left_s := until_s - now_s) > 0:
            data = await self._receive(min(left_s, self.pace.gap_s) if has_begun else left_s)
            now_s = self._clock.monotonic_s()
            rest = echo.without(data)
            if rest and not has_begun:
                has_begun = True
                until_s = max(first_until_s, self.pace.last_byte_until_s(now_s, answer_bytes))
            # Silence ends whatever seemed to have begun: an answer may stand inside it.
            for frame in reader.feed(rest) if data else reader.flush():
                if is_answer(frame):
                    return frame
            if not data and has_begun:  # a glitch, as lines make when a driver lets go of them: the answer may yet come
                has_begun, until_s = False, first_until_s
        return None

    async def _until_quiet(self, attempt: int) -> None:
        wait_s = self.pace.speak_at_s(self._busy_s, attempt, self._was_answered) - self._clock.monotonic_s()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        for _ in range(_STALE_READS_MAX):
            stale = await self._receive(_AT_ONCE_S)
            if not stale:
                break
            self.noise_bytes += len(stale)  # a late answer, or somebody else

    async def _send(self, data: bytes) -> None:
        self._heard(True, data)
        await self.line.write(data)

    async def _receive(self, timeout_s: float) -> bytes:
        data = await self.line.read(timeout_s)
        if data:
            self._heard(False, data)
        return data


@dataclass(frozen=True, slots=True)
class Ask:
    """How a meter asks: `Bus.ask`, with the attempts that it is worth just now."""

    bus: Bus
    attempts: int

    async def __call__(
        self,
        request: bytes,
        reader: FrameReader[F],
        is_answer: Callable[[F], bool],
        answer_bytes: int,
        answer_baud: int | None = None,
    ) -> F:
        return await self.bus.ask(request, reader, is_answer, answer_bytes, self.attempts, answer_baud)


class _Echo:
    """Drops what begins as the request does, once it is all of it; what turns out to be something else is let through."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._held = b""
        self._is_over = False

    def without(self, data: bytes) -> bytes:
        if self._is_over:
            return data
        held = self._held + data
        if not data:  # silence: it was no echo
            self._is_over = True
            return held
        if len(held) < len(self._request) and self._request.startswith(held):
            self._held = held
            return b""
        self._is_over = True
        return held[len(self._request) :] if held.startswith(self._request) else held
