"""Rates that devices do not tell: a tipping bucket counts millimetres, rules ask for millimetres an hour.

Stands between the drivers and the collector, so that a counter of whatever driver may be made a rate, and the rate is as
durable as the count. The counter itself goes on unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, PositiveFloat

from gateway.driver import Sink
from gateway.timekeeping import is_placed
from telemetry.catalogue import MetricName, Name
from telemetry.clock import Clock
from telemetry.frames import READINGS_MAX
from telemetry.quality import Quality
from telemetry.reading import Reading

_POINTS_MAX = 2_000  # of one window; of readings closer together only the newest is a point
_NEARLY_FULL = 0.9  # a counter that falls from above it has gone round, from below it was reset


class RateSettings(BaseModel):
    """One rate out of one counter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    counter: MetricName  # as a driver reads it
    metric: MetricName  # what the rate is called
    per_s: PositiveFloat = 3600.0  # the unit of time: 3600 for mm/h out of mm
    window_s: PositiveFloat = 300.0  # the rate is the mean over so long: a bucket of 0.2 mm tips every 36 s at 20 mm/h
    wraps_at: PositiveFloat | None = None  # where the counter goes round; None: it never does


class CounterRate:
    """The rate of one counter."""

    def __init__(self, settings: RateSettings) -> None:
        self._settings = settings
        self._window_ms = settings.window_s * 1000
        self._points: deque[tuple[int, float]] = deque()  # time, what was counted since we began
        self._last_value = 0.0

    def rate(self, reading: Reading, now_ms: int) -> Reading | None:
        """The mean rate over the window that ends with a reading of the counter.

        Args:
            now_ms: The gateway's time: one reading from ahead of it must not keep all others out until then.

        Returns:
            None until the window is filled, and for a reading that is bad, or not newer than the last. Suspect after a
            pause of more than twice the window: what was counted in it is spread over all of it.
        """
        if reading.quality is Quality.BAD:
            return None
        if self._points:
            last_ms = self._points[-1][0]
            if reading.time_ms <= last_ms <= now_ms:
                return None
            if reading.time_ms <= last_ms or is_placed(reading.time_ms) != is_placed(last_ms):
                self._points.clear()  # a clock was set: what lies between nobody knows
        counted = self._points[-1][1] + self._increase(reading.value) if self._points else 0.0
        self._last_value = reading.value
        if len(self._points) > 1 and self._points[-1][0] - self._points[-2][0] < self._window_ms / _POINTS_MAX:
            self._points.pop()
        self._points.append((reading.time_ms, counted))
        while len(self._points) > 1 and self._points[1][0] <= reading.time_ms - self._window_ms:
            self._points.popleft()
        begin_ms, begun = self._points[0]
        elapsed_ms = reading.time_ms - begin_ms
        if elapsed_ms < self._window_ms:
            return None
        value = (counted - begun) / elapsed_ms * 1000 * self._settings.per_s
        quality = max(reading.quality, Quality.SUSPECT if elapsed_ms > 2 * self._window_ms else Quality.GOOD)
        return Reading(reading.device, self._settings.metric, reading.time_ms, value, quality)

    def _increase(self, value: float) -> float:
        """What was counted since the last reading. After a reset nobody knows; nothing is better than too much."""
        if value >= self._last_value:
            return value - self._last_value
        wraps_at = self._settings.wraps_at
        if wraps_at is not None and self._last_value >= _NEARLY_FULL * wraps_at:
            return value + wraps_at - self._last_value
        return 0.0


class Derived:
    """Implements `Sink`: hands on what it gets, with the rates out of it."""

    def __init__(self, settings: Sequence[RateSettings], sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._rates: dict[tuple[str, str], list[CounterRate]] = {}
        for entry in settings:
            self._rates.setdefault((entry.device, entry.counter), []).append(CounterRate(entry))

    async def offer(self, readings: Sequence[Reading]) -> None:
        for part in self._with_rates(readings):
            await self._sink.offer(part)

    async def keep(self, readings: Sequence[Reading]) -> None:
        for part in self._with_rates(readings):
            await self._sink.keep(part)

    def _with_rates(self, readings: Sequence[Reading]) -> Sequence[Sequence[Reading]]:
        now_ms = self._clock.now_ms()
        rates = [
            rate
            for reading in readings
            for counter in self._rates.get((reading.device, reading.metric), ())
            if (rate := counter.rate(reading, now_ms)) is not None
        ]
        if len(readings) + len(rates) <= READINGS_MAX:
            return [[*readings, *rates]]
        return [readings, rates]
