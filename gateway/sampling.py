"""Devices that the core wants to be read more often than in their own rhythm, for as long as it wants that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from gateway.events import Events
from telemetry.clock import Clock
from telemetry.errors import BadInput
from telemetry.sampling import Sampling, decode_sampling

EveryS = Mapping[str, float]
"""Seconds between two readings that are wanted, by device."""


class Asked:
    """What the core asked for last, and when that ends. For the event loop's thread.

    Args:
        apply: Told of the rhythms that are wanted from now on, whenever that changes.
    """

    def __init__(self, clock: Clock, events: Events, apply: Callable[[EveryS], None]) -> None:
        self._clock = clock
        self._events = events
        self._apply = apply
        self._until_s: float | None = None
        self._heard: Sampling | None = None
        self._news = asyncio.Event()
        self.every_s: EveryS = {}

    def hear(self, payload: bytes) -> None:
        """A word of the core, perhaps one that the broker has kept for long."""
        try:
            sampling = decode_sampling(payload)
        except BadInput as error:
            self._events.sampling_refused(error.detail)
            return
        if sampling == self._heard:
            # The broker says it again at each connection: to a gateway whose clock is behind it would never end.
            return
        self._heard = sampling
        left_s = sampling.left_s(self._clock.now_ms())
        self._until_s = self._clock.monotonic_s() + left_s
        self._follow(sampling.every_s if left_s else {})
        self._news.set()

    async def run(self) -> None:
        """End what is over, until cancelled."""
        while True:
            left_s = None if self._until_s is None else max(0.0, self._until_s - self._clock.monotonic_s())
            if left_s == 0:
                self._until_s = None
                self._follow({})
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._news.wait()

    def _follow(self, every_s: EveryS) -> None:
        if every_s != self.every_s:
            self.every_s = dict(every_s)
            self._events.sampling_asked(self.every_s)
            self._apply(self.every_s)
