"""A station that dials in to a centre over TCP: reports, waits for an answer, says it again, keeps what was not taken.

What its protocol looks like is a `Speaker`'s. Source: SL 651-2014 (M2: at most two repetitions), HJ 212-2017, 5 (ten seconds,
three repetitions), as summed up in reference/devices.md §3.4 and §3.5.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import Protocol

from firmware_sim.devices.faults import Misdeeds
from firmware_sim.devices.line import Answer
from telemetry.clock import Clock

_READ_BYTES = 4096
_DIAL_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Message:
    """A report as frames, and what its answer must name; None where none is waited for."""

    frames: tuple[Answer, ...]
    key: str | None


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer of the centre: which report it takes, and whether the station may stay on the line."""

    key: str
    stays: bool = True


class Speaker(Protocol):
    """What a station says in its protocol."""

    def report(self, now_ms: int) -> list[Message]:
        """What is due now."""
        ...

    def keep_alive(self, now_ms: int) -> Message | None:
        """What is said in between, if anything is."""
        ...

    def heard(self, data: bytes) -> list[Heard]:
        """The answers that these bytes of the centre complete."""
        ...

    def hung_up(self) -> None:
        """The line is gone: forget half an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Habits:
    """How a station behaves on its line."""

    every_s: float = 300.0
    keep_alive_s: float = 40.0
    answer_within_s: float = 10.0
    repeats_max: int = 2  # of a report that is not answered
    kept_max: int = 1000  # reports in its memory while nobody takes them; the oldest go first
    doubled_share: float = 0.0  # reports that it says twice although they were answered
    hang_up_share: float = 0.0  # reports in the middle of which the line breaks


class Station:
    """Dials in for ever. `injected` counts what was done wrong, `told` the reports that were answered, `dropped` the rest."""

    def __init__(self, speaker: Speaker, habits: Habits, misdeeds: Misdeeds, clock: Clock, seed: int = 1) -> None:
        self.injected = misdeeds.injected
        self.told: Counter[str] = Counter()
        self.dropped = 0
        self._speaker = speaker
        self._habits = habits
        self._misdeeds = misdeeds
        self._clock = clock
        self._rng = random.Random(seed)
        self._kept: deque[Message] = deque()
        self._came = asyncio.Event()
        self._answers: dict[str, asyncio.Event] = {}
        self._is_told_to_leave = False

    async def run(self, host: str, port: int) -> None:
        """Until cancelled; a centre that is away is dialled again."""
        measuring = asyncio.create_task(self._measure(), name="measuring")
        try:
            while True:
                while not self._kept:
                    self._came.clear()
                    await self._came.wait()
                self._is_told_to_leave = False
                with contextlib.suppress(OSError, TimeoutError):
                    reader, writer = await asyncio.open_connection(host, port)
                    try:
                        await self._talk(reader, writer)
                    finally:
                        writer.close()
                        self._speaker.hung_up()
                if not self._is_told_to_leave:
                    await asyncio.sleep(_DIAL_AGAIN_S)
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            for message in self._speaker.report(self._clock.now_ms()):
                self._kept.append(message)
                if len(self._kept) > self._habits.kept_max:
                    self._kept.popleft()
                    self.dropped += 1
            self._came.set()
            due_s += self._habits.every_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the centre lets it go, nothing is answered, or it breaks."""
        listening = asyncio.create_task(self._listen(reader), name="listening")
        try:
            while not listening.done() and not self._is_told_to_leave:
                self._came.clear()
                if self._kept:
                    if not await self._delivered(writer, self._kept[0]):
                        return
                    self._kept.popleft()
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._habits.keep_alive_s):
                        await self._came.wait()
                alive = self._speaker.keep_alive(self._clock.now_ms())
                if not self._kept and alive is not None:
                    await self._say(writer, alive)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ_BYTES):
            for heard in self._speaker.heard(data):
                if (waiting := self._answers.get(heard.key)) is not None:
                    waiting.set()
                    self._is_told_to_leave = not heard.stays

    async def _delivered(self, writer: asyncio.StreamWriter, message: Message) -> bool:
        """Whether the report was answered, or wanted no answer."""
        if message.key is None:
            await self._say(writer, message)
            return True
        answered = self._answers[message.key] = asyncio.Event()
        try:
            for _ in range(1 + self._habits.repeats_max):
                if self._rng.random() < self._habits.hang_up_share:
                    self.injected["hung-up"] += 1
                    first = message.frames[0].data
                    writer.write(first[: self._rng.randrange(len(first))])
                    await writer.drain()
                    return False
                await self._say(writer, message)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._habits.answer_within_s):
                        await answered.wait()
                if answered.is_set():
                    self.told["reports"] += 1
                    if self._rng.random() < self._habits.doubled_share:
                        self.injected["doubled"] += 1
                        await self._say(writer, message)
                    return True
            return False
        finally:
            del self._answers[message.key]

    async def _say(self, writer: asyncio.StreamWriter, message: Message) -> None:
        for frame in message.frames:
            said = self._misdeeds.done_to(frame, self._clock.now_ms())
            if said is None:
                continue
            await asyncio.sleep(said.after_s)
            writer.write(said.data)
            await writer.drain()
