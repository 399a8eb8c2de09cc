"""Listens to a distance sensor, or asks it, and gives the median of what it said.

Sensors of this sort send ten values a second, some of them echoes of a rung or a drop. A median over the interval drops
those; an interval in which the sensor only said that it hears nothing gives no reading, and is counted.
"""

from __future__ import annotations

import asyncio
import statistics

from gateway.driver import Sink
from gateway.drivers.level_uart.codec import READ_DISTANCE, UrmFrame, auto_reader, encode_urm, text_reader, urm_reader
from gateway.drivers.level_uart.settings import LevelUartSettings
from gateway.events import Events
from gateway.line import Line, open_line
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.reading import Reading

_ASKED_EVERY_S = 0.5
_AT_ONCE_S = 0.02
_VALUES_MAX = 10_000  # of one interval


class LevelUartDriver:
    """Implements `Driver`."""

    def __init__(self, settings: LevelUartSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events

    async def run(self, sink: Sink) -> None:
        line = await open_line(self._settings.line)
        try:
            self._events.available(self._settings.name)
            async with asyncio.TaskGroup() as group:
                if self._settings.speaks == "urm":
                    group.create_task(self._ask(line), name=f"{self._settings.name} asking")
                group.create_task(self._listen(line, sink), name=f"{self._settings.name} listening")
        except* Unavailable as errors:
            raise errors.exceptions[0] from None
        finally:
            line.close()

    async def _ask(self, line: Line) -> None:
        request = encode_urm(UrmFrame(self._settings.address, READ_DISTANCE, b""))
        while True:
            await line.write(request)
            await asyncio.sleep(_ASKED_EVERY_S)

    async def _listen(self, line: Line, sink: Sink) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        values = _Values(settings)
        due_s = loop.time() + settings.every_s
        heard_s = loop.time()
        while True:
            wait_s = min(due_s, heard_s + settings.silence_max_s) - loop.time()
            if data := await line.read(max(0.0, wait_s)):
                heard_s = loop.time()
                if noise := values.feed(data):
                    self._events.noise_skipped(settings.name, noise)
            elif loop.time() >= heard_s + settings.silence_max_s:
                raise Unavailable(f"{settings.name}: nothing in {settings.silence_max_s:g} s")
            if loop.time() >= due_s:
                due_s += settings.every_s
                await self._tell(values, sink)
                if loop.time() >= due_s:  # we were held up: of what has gathered nobody knows when it was so
                    await _forget(line, settings.every_s)
                    values, heard_s = _Values(settings), loop.time()
                    due_s = heard_s + settings.every_s

    async def _tell(self, values: _Values, sink: Sink) -> None:
        settings = self._settings
        raw, has_faults = values.take()
        measured = None if raw is None else settings.quantity.measure(raw)
        if measured is not None:
            value, quality = measured
            reading = Reading(settings.device, settings.quantity.metric, self._clock.now_ms(), value, quality)
            await sink.offer([reading])
        elif raw is not None or has_faults:
            self._events.value_invalid(settings.device, settings.quantity.metric)


async def _forget(line: Line, within_s: float) -> None:
    """Drop what waits."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while loop.time() < until_s and await line.read(_AT_ONCE_S):
        pass


class _Values:
    """What the sensor said in an interval."""

    def __init__(self, settings: LevelUartSettings) -> None:
        self._settings = settings
        self._auto, self._urm = auto_reader(), urm_reader()
        self._text = text_reader(settings.compiled_pattern)
        self._has_begun = settings.speaks != "text"  # text has no sum: of a line we must have heard the beginning
        self._raw: list[float] = []
        self._has_faults = False

    def feed(self, data: bytes) -> int:
        """Returns how many bytes of it, or of what came before, belonged to nothing."""
        found: list[float | None]
        if not self._has_begun:
            end = min((at for mark in b"\r\n" if (at := data.find(mark)) >= 0), default=len(data))
            self._has_begun = end < len(data)
            data = data[end:]
        match self._settings.speaks:
            case "auto":
                reader = self._auto
                before = reader.noise_bytes
                found = [frame.distance_mm for frame in reader.feed(data)]
                noise = reader.noise_bytes - before
            case "urm":
                before = self._urm.noise_bytes
                frames = [frame for frame in self._urm.feed(data) if frame.data]  # an echo of our request has none
                found = [frame.distance_mm for frame in frames if frame.address == self._settings.address]
                noise = self._urm.noise_bytes - before
            case "text":
                before = self._text.noise_bytes
                found = list(self._text.feed(data))
                noise = self._text.noise_bytes - before
        values = [value for value in found if value is not None]
        self._has_faults = self._has_faults or len(values) < len(found)
        self._raw += values[: _VALUES_MAX - len(self._raw)]
        return noise

    def take(self) -> tuple[float | None, bool]:
        """The median since the last call, None when there was nothing; and whether the sensor told of faults."""
        raw, has_faults = self._raw, self._has_faults
        self._raw, self._has_faults = [], False
        return (statistics.median_low(raw) if raw else None), has_faults
