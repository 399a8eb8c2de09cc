"""Each event is kept once, however often its device pushes it; who repeats is answered when the first is durable."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence

from gateway.driver import Sink
from gateway.events import Events
from telemetry.reading import Reading


class KeptOnce:
    """Remembers the last `remembered_max` events that were kept, or are being kept."""

    def __init__(self, events: Events, remembered_max: int) -> None:
        self._events = events
        self._remembered_max = remembered_max
        # A task that is not done yet is being written: a repetition waits for the same write.
        self._recent: OrderedDict[Hashable, asyncio.Task[None]] = OrderedDict()

    async def keep(self, sink: Sink, device: str, identity: Hashable | None, readings: Sequence[Reading]) -> None:
        """Return when the event is durable, by this write or an earlier one.

        Args:
            identity: What makes two pushes the same event; None when it cannot be recognised again.
            readings: What was measured, perhaps nothing.

        Raises Unavailable: it is not kept, and not remembered either; the device must push it again.
        """
        task = None if identity is None else self._recent.get(identity)
        if task is not None and not (task.done() and (task.cancelled() or task.exception())):
            self._events.push_repeated(device)
        else:
            task = asyncio.create_task(_written(sink, readings), name=f"push {device}")
            task.add_done_callback(_observe)
            if identity is not None:
                self._recent[identity] = task
                self._recent.move_to_end(identity)
                if len(self._recent) > self._remembered_max:
                    self._recent.popitem(last=False)
        await asyncio.shield(task)  # who pushed may give up; the write goes on


async def _written(sink: Sink, readings: Sequence[Reading]) -> None:
    if readings:
        await sink.keep(readings)


def _observe(task: asyncio.Task[None]) -> None:
    """A write whose pusher has gone must not complain that nobody looked at its end."""
    if not task.cancelled():
        task.exception()
