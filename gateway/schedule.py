"""When each of several devices on one line is asked next: a pure decision that is told the time, and the wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence

from telemetry.clock import Clock


def _steady() -> float:
    return 1.0


class Schedule:
    """When each of U units is asked next. Units keep their rhythm; one that fails is asked ever more rarely.

    Args:
        unit_count: U.
        every_s: The rhythm.
        backoff_max_s: How rarely one that fails is asked in the end.
        start_s: The present.
        jitter: A factor up to 1 for each pause after a failure, so that dead units do not come in step.
    """

    def __init__(
        self,
        unit_count: int,
        every_s: float,
        backoff_max_s: float,
        start_s: float,
        jitter: Callable[[], float] = _steady,
    ) -> None:
        self._every_s = every_s
        self._rhythm_s = [every_s] * unit_count
        self._backoff_max_s = max(every_s, backoff_max_s)
        self._jitter = jitter
        # Spread over the interval, so that a long line does not come in one burst.
        self._due_s = [start_s + every_s * i / unit_count for i in range(unit_count)]
        self._failures = [0] * unit_count

    def next(self, now_s: float) -> tuple[int, float]:
        """The unit to ask next and how long to wait for it [s]."""
        due_s, unit = min((due_s, unit) for unit, due_s in enumerate(self._due_s))
        return unit, max(0.0, due_s - now_s)

    def is_failing(self, unit: int) -> bool:
        """Whether it did not answer when it was asked last: then it is asked once and not again."""
        return self._failures[unit] > 0

    def pace(self, unit: int, every_s: float, now_s: float) -> None:
        """Ask a unit at least so often from now on; its own rhythm is as rarely as it gets."""
        self._rhythm_s[unit] = min(self._every_s, every_s)
        if not self.is_failing(unit):  # whoever does not answer is not asked more often for it
            self._due_s[unit] = min(self._due_s[unit], now_s + self._rhythm_s[unit])

    def answered(self, unit: int, now_s: float) -> None:
        self._failures[unit] = 0
        every_s = self._rhythm_s[unit]
        behind = max(0.0, now_s - self._due_s[unit])
        self._due_s[unit] += every_s * (1 + math.floor(behind / every_s))  # missed turns are not made up

    def failed(self, unit: int, now_s: float) -> None:
        self._failures[unit] += 1
        pause_s = min(self._every_s * 2.0 ** min(self._failures[unit], 30), self._backoff_max_s)
        self._due_s[unit] = now_s + pause_s * self._jitter()


class Turns:
    """Whose turn it is among the devices of a line; `pace` cuts a wait short.

    Args:
        devices: (U,) by the unit's number.
    """

    def __init__(self, devices: Sequence[str], schedule: Schedule, clock: Clock) -> None:
        self._devices = tuple(devices)
        self._schedule = schedule
        self._clock = clock
        self._changed = asyncio.Event()

    async def next(self) -> int:
        """Wait until a unit is due; its number."""
        while True:
            self._changed.clear()
            unit, wait_s = self._schedule.next(self._clock.monotonic_s())
            if not wait_s:
                await asyncio.sleep(0)
                return unit
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
                    continue
            return unit

    def pace(self, every_s: Mapping[str, float]) -> None:
        """See `gateway.driver.Paced`."""
        now_s = self._clock.monotonic_s()
        for unit, device in enumerate(self._devices):
            self._schedule.pace(unit, every_s.get(device, math.inf), now_s)
        self._changed.set()
