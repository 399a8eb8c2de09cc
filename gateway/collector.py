"""Group commit: what all drivers read in a moment becomes one frame and costs one fsync.

The queue is bounded in readings; when it is full, drivers block. The disk refusing is an outage: the group in hand
stays in hand and is tried again, the queue fills behind it. The disk *budget* being used up is a decision: the group is
refused, its waiters are told to keep theirs, and what nobody waits for is counted, series by series, as missing for good.

What the gateway judges by itself it judges when a reading comes, once, whatever the disk says to it: a lamp must go on also
while nothing can be written, and the queue stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateway.events import Events
from gateway.spool import Spool, SpoolFull
from telemetry.errors import Unavailable
from telemetry.frames import READINGS_MAX
from telemetry.reading import Reading, encode_readings

_DISK = "spool"


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """When a group is written, and how much may wait."""

    gather_s: float = 0.05
    gather_kept_s: float = 0.01  # the same when somebody waits for durability
    readings_max: int = 500
    queue_readings_max: int = 20_000
    retry_s: float = 1.0  # before a disk that refused is tried again


@dataclass(frozen=True, slots=True)
class _Waiting:
    readings: Sequence[Reading]
    durable: asyncio.Future[None] | None  # None when nobody waits


class Collector:
    """Implements `Sink`.

    Args:
        judge: Called with readings as they come, durable or not, on the loop's thread.
        kept: Called with the readings of each commit, on the loop's thread.
        refused: Called, on the loop's thread, with readings that were judged and that whoever brought them is told to keep.
    """

    def __init__(
        self,
        spool: Spool,
        events: Events,
        judge: Callable[[Sequence[Reading]], None],
        kept: Callable[[Sequence[Reading]], None],
        refused: Callable[[Sequence[Reading]], None],
        limits: GroupLimits,
    ) -> None:
        self._spool = spool
        self._events = events
        self._judge = judge
        self._kept = kept
        self._refused = refused
        self._limits = limits
        self._waiting: deque[_Waiting] = deque()
        self._queued = 0
        self._room = asyncio.Condition()
        self._changed = asyncio.Event()
        self._due_s = math.inf  # the loop's time at which the next group is written at the latest
        self._is_closing = False
        self.last_ms: int | None = None  # time of the newest reading that is durable

    @property
    def queued(self) -> int:
        """Readings in memory that are not durable yet."""
        return self._queued

    async def offer(self, readings: Sequence[Reading]) -> None:
        await self._enqueue(_Waiting(readings, None))

    async def keep(self, readings: Sequence[Reading]) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._enqueue(_Waiting(readings, durable))
        await durable

    async def run(self) -> None:
        """Write groups until closed and empty."""
        with ThreadPoolExecutor(1, "spool-writer") as writer:
            while not (self._is_closing and not self._waiting):
                await self._until_due()
                if group := self._next_group():
                    await self._commit(writer, group)
                    await self._forget(group)

    def close(self) -> None:
        """No more readings come: write what is there and end. If the disk refuses even then, they are lost, loudly."""
        self._is_closing = True
        self._changed.set()

    async def _until_due(self) -> None:
        """Let readings gather: until the oldest has waited long enough, there are enough, or we close."""
        while not self._is_closing and self._queued < self._limits.readings_max:
            if self._due_s <= asyncio.get_running_loop().time():
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if self._due_s == math.inf else self._due_s):
                    await self._changed.wait()

    async def _enqueue(self, item: _Waiting) -> None:
        assert 0 < len(item.readings) <= READINGS_MAX
        self._judge(item.readings)
        async with self._room:
            await self._room.wait_for(lambda: self._queued < self._limits.queue_readings_max)
            self._waiting.append(item)
            self._queued += len(item.readings)
        gather_s = self._limits.gather_s if item.durable is None else self._limits.gather_kept_s
        self._due_s = min(self._due_s, asyncio.get_running_loop().time() + gather_s)
        self._changed.set()

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        count = 0
        while self._waiting and (not group or count + len(self._waiting[0].readings) <= self._limits.readings_max):
            group.append(self._waiting.popleft())
            count += len(group[-1].readings)
        if not self._waiting:
            self._due_s = math.inf  # else the rest has waited long enough already
        return group

    async def _commit(self, writer: ThreadPoolExecutor, group: list[_Waiting]) -> None:
        readings = [reading for item in group for reading in item.readings]
        columns = encode_readings(readings)
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(writer, self._spool.append, columns)
            except SpoolFull as error:
                self._events.readings_refused(len(readings), str(error))
                await self._give_up(writer, [r for item in group if item.durable is None for r in item.readings])
                self._release_refused(group, error)
                return
            except Unavailable as error:
                self._events.unavailable(_DISK, str(error))
                if self._is_closing:
                    self._events.readings_lost(len(readings), str(error))
                    self._release_refused(group, error)
                    return
                await self._pause()
            else:
                break
        self._events.available(_DISK)
        self._events.readings_kept(readings)
        self.last_ms = max(reading.time_ms for reading in readings)
        _release(group, None)
        self._kept(readings)

    def _release_refused(self, group: list[_Waiting], error: Unavailable) -> None:
        self._refused([reading for item in group if item.durable is not None for reading in item.readings])
        _release(group, error)

    async def _give_up(self, writer: ThreadPoolExecutor, readings: Sequence[Reading]) -> None:
        """Have readings counted as missing for good: those that nobody waits for, so that nobody else keeps them."""
        if readings:
            try:
                await asyncio.get_running_loop().run_in_executor(writer, self._spool.refuse, readings)
            except Unavailable as error:  # they stay counted in memory, and are written with the next
                self._events.unavailable(_DISK, str(error))

    async def _pause(self) -> None:
        """Wait before the disk is tried again; closing ends it."""
        until_s = asyncio.get_running_loop().time() + self._limits.retry_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                while not self._is_closing:
                    self._changed.clear()
                    await self._changed.wait()

    async def _forget(self, group: list[_Waiting]) -> None:
        async with self._room:
            self._queued -= sum(len(item.readings) for item in group)
            self._room.notify_all()


def _release(group: list[_Waiting], error: Unavailable | None) -> None:
    for item in group:
        if item.durable is not None and not item.durable.done():
            if error is None:
                item.durable.set_result(None)
            else:
                item.durable.set_exception(error)
