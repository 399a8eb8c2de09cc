"""Asks the sensors of one SDI-12 wire: all measure at once, then each is fetched. One command at a time is on the wire.

A sensor that is silent is asked ever more rarely (every 2nd, 4th, … 16th round), so that it does not slow the others. One
that measures for longer than a round is left to it, and fetched in a later one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from gateway.driver import Sink
from gateway.drivers.sdi12.codec import (
    Announcement,
    Values,
    decode_announcement,
    decode_values,
    encode_fetch,
    encode_start,
    line_reader,
)
from gateway.drivers.sdi12.settings import Sdi12Sensor, Sdi12Settings
from gateway.events import Events
from gateway.line import Line, open_line
from gateway.schedule import Schedule, Turns
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.reading import Reading

_SKIPPED_MAX = 16
_SILENT_ROUNDS_MAX = 2  # of every sensor: then the line itself is doubtful, and opened anew
_PARTS_MAX = 10
_BABBLING_TIMES = 10  # time-outs that a wire may take to fall silent
A = TypeVar("A", Announcement, Values)
Measuring = dict[str, tuple[Sdi12Sensor, Announcement, float]]
"""By address: sensors that have begun to measure, and when they will be ready [s]."""


class NoAnswer(Unavailable):
    """One sensor kept silent or spoke nonsense; the wire may be well."""


class Sdi12Driver:
    """Implements `Driver`."""

    def __init__(self, settings: Sdi12Settings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._failures = dict.fromkeys((sensor.address for sensor in settings.devices), 0)
        self._silent = 0  # questions in a row that nobody answered
        self._rests_until_s = dict.fromkeys(self._failures, 0.0)
        self._schedule = Schedule(1, settings.every_s, settings.every_s, clock.monotonic_s())
        self._turns = Turns((settings.name,), self._schedule, clock)

    def pace(self, every_s: Mapping[str, float]) -> None:
        """Implements `Paced`: one that is wanted more often brings the others of its line with it."""
        wanted = [every_s[device] for device in self._settings.device_names() if device in every_s]
        self._turns.pace({self._settings.name: min(wanted, default=math.inf)})

    async def run(self, sink: Sink) -> None:
        line = await open_line(self._settings.line)
        self._silent = 0
        begun: Measuring = {}
        try:
            self._events.available(self._settings.name)
            while True:
                await self._turns.next()
                await self._measure(line, begun, sink)
                count = len(self._settings.devices)
                if self._silent >= _SILENT_ROUNDS_MAX * count:
                    raise Unavailable(f"none of {count} sensors answered, {_SILENT_ROUNDS_MAX} times")
                self._schedule.answered(0, self._clock.monotonic_s())
        finally:
            line.close()

    async def _measure(self, line: Line, begun: Measuring, sink: Sink) -> None:
        """One round over all sensors."""
        loop = asyncio.get_running_loop()
        for sensor in self._settings.devices:
            if sensor.address in begun or self._clock.monotonic_s() < self._rests_until_s[sensor.address]:
                continue
            try:
                start = encode_start(sensor.address, sensor.has_checksum)
                announcement = await self._ask(line, sensor, start, decode_announcement)
            except NoAnswer as error:
                self._failed(sensor, error)
            except Unavailable as error:  # perhaps because of it: its neighbours come first when the line is back
                self._failed(sensor, error)
                raise
            else:
                begun[sensor.address] = sensor, announcement, loop.time() + announcement.ready_s
        for sensor, announcement, ready_s in sorted(begun.values(), key=lambda one: one[2]):
            if ready_s > loop.time() + self._settings.every_s:
                break
            del begun[sensor.address]
            await asyncio.sleep(max(0.0, ready_s - loop.time()))
            try:
                values = await self._fetch(line, sensor, announcement.value_count)
            except NoAnswer as error:
                self._failed(sensor, error)
            except Unavailable as error:  # perhaps because of it: its neighbours come first when the line is back
                self._failed(sensor, error)
                raise
            else:
                self._failures[sensor.address] = self._silent = 0
                self._events.available(sensor.device)
                await self._tell(sensor, values, sink)

    async def _fetch(self, line: Line, sensor: Sdi12Sensor, count: int) -> list[float]:
        values: list[float] = []
        for number in range(_PARTS_MAX):
            if len(values) >= count:
                break
            part = await self._ask(
                line,
                sensor,
                encode_fetch(sensor.address, number),
                lambda text: decode_values(text, sensor.has_checksum),
            )
            if not part.values:
                break  # it promised more than it gives
            values += part.values
        return values

    async def _tell(self, sensor: Sdi12Sensor, values: list[float], sink: Sink) -> None:
        now_ms = self._clock.now_ms()
        readings = []
        for quantity in sensor.quantities:
            measured = quantity.measure(values[quantity.number - 1]) if quantity.number <= len(values) else None
            if measured is None:
                self._events.value_invalid(sensor.device, quantity.metric)
            else:
                readings.append(Reading(sensor.device, quantity.metric, now_ms, *measured))
        if readings:
            await sink.offer(readings)

    async def _ask(self, line: Line, sensor: Sdi12Sensor, command: bytes, decode: Callable[[str], A]) -> A:
        """Raises NoAnswer after all tries, or Unavailable when the line is gone."""
        why = f"sensor {sensor.address} did not answer within {self._settings.timeout_s:g} s"
        for number in range(self._settings.tries):
            await line.write(command)
            try:
                answer = await self._answer(line, sensor, decode)
            except BadInput as error:
                why = error.detail
                self._events.answer_refused(sensor.device, error.detail)
            else:
                if answer is not None:
                    if number:
                        await self._quiet(line)
                    return answer
        raise NoAnswer(why)

    async def _quiet(self, line: Line) -> None:
        """After a command that was said again: what still comes answers it once more, and not the next one."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _BABBLING_TIMES * self._settings.timeout_s
        while loop.time() < until_s and await line.read(self._settings.timeout_s):
            pass

    async def _answer(self, line: Line, sensor: Sdi12Sensor, decode: Callable[[str], A]) -> A | None:
        """What the sensor says; None when it is silent. Raises BadInput."""
        reader, loop = line_reader(), asyncio.get_running_loop()
        until_s = loop.time() + self._settings.timeout_s
        while (left_s := until_s - loop.time()) > 0:
            for text in reader.feed(await line.read(left_s)):
                answer = decode(text)
                if answer.address == sensor.address:
                    return answer
        return None

    def _failed(self, sensor: Sdi12Sensor, error: Unavailable) -> None:
        self._silent += 1
        self._failures[sensor.address] += 1
        # In turns of its own rhythm, also while its neighbours are wanted more often. Half a turn is for the wire's pace.
        turns = min(2 ** self._failures[sensor.address], _SKIPPED_MAX) - 0.5
        self._rests_until_s[sensor.address] = self._clock.monotonic_s() + turns * self._settings.every_s
        self._events.unavailable(sensor.device, str(error))
