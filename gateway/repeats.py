"""Each event is kept once, however often its device pushes it; who repeats is answered when the first is durable."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import partial

from gateway.driver import Sink
from gateway.events import Events
from telemetry.reading import Reading


class KeptOnce:
    """Remembers the last `remembered_max` events that were kept, or are being kept."""

    def __init__(self, events: Events, remembered_max: int) -> None:
        self._events = events
        self._remembered_max = remembered_max
        # While an event is being written a repetition waits for the same write; None: it is durable. The task itself is
        # not held any longer than that: one is ten times as large as what tells events apart.
        self._recent: OrderedDict[Hashable, asyncio.Task[None] | None] = OrderedDict()

    async def keep(self, sink: Sink, device: str, identity: Hashable | None, readings: Sequence[Reading]) -> None:
        """Return when the event is durable, by this write or an earlier one.

        Args:
            identity: What makes two pushes the same event; None when it cannot be recognised again.
            readings: What was measured, perhaps nothing.

        Raises Unavailable: it is not kept, and not remembered either; the device must push it again.
        """
        if identity is not None and identity in self._recent:
            self._events.push_repeated(device)
            task = self._recent[identity]
        else:
            task = asyncio.create_task(_written(sink, readings), name=f"push {device}")
            if identity is not None:
                self._recent[identity] = task
                if len(self._recent) > self._remembered_max:
                    self._recent.popitem(last=False)
            task.add_done_callback(partial(self._end, identity))
        if task is not None:
            await asyncio.shield(task)  # who pushed may give up; the write goes on

    def _end(self, identity: Hashable | None, task: asyncio.Task[None]) -> None:
        # A write whose pusher has gone must not complain that nobody looked at its end: it is looked at here.
        has_failed = task.cancelled() or task.exception() is not None
        if identity is None or self._recent.get(identity) is not task:
            return
        if has_failed:
            del self._recent[identity]
        else:
            self._recent[identity] = None


async def _written(sink: Sink, readings: Sequence[Reading]) -> None:
    if readings:
        await sink.keep(readings)
