"""The seam between the gateway and those it tells besides the core. To write one, copy `exports/home_assistant`.

An export sees what has just been made durable. It may be slow, away or wrong: nothing waits for it, and what it cannot take
is dropped, the oldest first, and counted. The core alone is promised every reading.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from gateway.events import Events
from telemetry.catalogue import MetricName, Name
from telemetry.reading import Reading

T = TypeVar("T")
AHEAD_MAX_MS = 60_000  # a clock that is a little fast


class Export(Protocol):
    """One who is told. One instance per entry under `exports:`; it survives its own outages."""

    def take(self, readings: Sequence[Reading]) -> None:
        """Readings that are durable now, on the event loop's thread. Returns at once."""

    async def run(self) -> None:
        """Tell until cancelled. Raises Unavailable (run again after a pause) or BadConfiguration (disabled)."""


class ExportSettings(BaseModel):
    """What every export's entry has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    export: str  # its name in `EXPORTS`, by which these settings were chosen

    @property
    def name(self) -> str:
        """What logs and the status call this export."""
        raise NotImplementedError

    def told(self) -> Sequence[ExportedSeries]:
        """What it tells, as its `series` stand in the file; a driver of this gateway reads each, or a rate makes it."""
        raise NotImplementedError

    def claims(self) -> Iterator[tuple[str, str]]:
        """(field, what it names) of what it needs for itself: no two entries may name the same."""
        return iter(())

    def placed(self, _folder: Path) -> Self:
        """The same, with the paths in it taken from the configuration file's folder on; most have none."""
        return self


class ExportedSeries(BaseModel):
    """One series that is told. Nothing is told that is not named, and no passage key of a person ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    metric: MetricName


def is_newer(reading: Reading, known: Reading | None, now_ms: int) -> bool:
    """Whether a reading stands for a series from now on. What a device sends late is history.

    One from ahead of our clock keeps nobody out: either its clock was wrong, or ours was set back.
    """
    return known is None or reading.time_ms >= known.time_ms or known.time_ms > now_ms + AHEAD_MAX_MS


class Outbox(Generic[T]):
    """What waits to be told: bounded, the oldest dropped first, and counted."""

    def __init__(self, name: str, size_max: int, events: Events) -> None:
        self._name = name
        self._events = events
        self._items: deque[T] = deque(maxlen=size_max)
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        if len(self._items) == self._items.maxlen:
            self._events.export_dropped(self._name)
        self._items.append(item)
        self._changed.set()

    async def take(self) -> Sequence[T]:
        """All that waits, at least one."""
        while not self._items:
            self._changed.clear()
            await self._changed.wait()
        taken = list(self._items)
        self._items.clear()
        return taken
