"""The centre that SL 651 stations dial in to; a report is acknowledged only when it is on the gateway's disk.

A station sends a report again when it is not acknowledged, twice, and later as one of its memory: the same report under the
same number is kept once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.dial_in import DialIn
from gateway.driver import Sink
from gateway.drivers.sl651.codec import (
    PICTURE,
    WATER_LEVELS,
    Assembly,
    Element,
    End,
    Frame,
    Function,
    Report,
    Stamp,
    StatusBit,
    decode_report,
    decode_stamp,
    encode_taken,
    frame_reader,
    local_ms,
)
from gateway.drivers.sl651.settings import Sl651Settings, Sl651Station
from gateway.events import Events
from gateway.repeats import KeptOnce
from gateway.scan import EARLIEST_MS, shown
from gateway.timekeeping import is_placed
from telemetry.clock import Clock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading


class Sl651Driver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: Sl651Settings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._stations = {station.station: station for station in settings.devices}
        self._zone = ZoneInfo(settings.zone)
        self._kept = KeptOnce(events, settings.remembered_max)
        self._dial_in = DialIn(settings, events)

    @property
    def port(self) -> int:
        return self._dial_in.port

    async def run(self, sink: Sink) -> None:
        def taker() -> Callable[[Frame], Awaitable[bytes]]:
            assembly = Assembly()  # of one connection

            async def take(frame: Frame) -> bytes:
                return await self._take(frame, assembly, sink)

            return take

        await self._dial_in.run(frame_reader, taker)

    async def _take(self, frame: Frame, assembly: Assembly, sink: Sink) -> bytes:
        """The answer, or nothing."""
        if not frame.is_up:
            raise BadInput("wrong-direction", "a frame of a centre came where stations dial in")
        station = self._stations.get(frame.station)
        if station is None:
            raise BadInput("unknown-station", f"no station '{shown(frame.station)}' is declared at this gateway")
        if station.password is not None and frame.password != station.password:
            raise BadInput("wrong-password", f"station '{frame.station}' sends another password than the one declared")
        self._events.available(station.device)
        if frame.function == Function.KEEP_ALIVE:
            return b""
        whole = assembly.add(frame)
        if whole is None:
            stamp = _stamp(frame)
            return encode_taken(frame, stamp.serial, self._now(stamp), End.ACK)
        report = decode_report(whole)
        # Where the station's clock was never set its numbers begin anew with each of its starts.
        sent = hashlib.sha256(whole.body).digest() if report.stamp.sent is None else report.stamp.sent
        identity = (frame.station, frame.function, report.stamp.serial, sent)
        await self._kept.keep(sink, station.device, identity, self._readings(station, report))
        end = End.ESC if self._settings.stays_on_line else End.EOT
        return encode_taken(frame, report.stamp.serial, self._now(report.stamp), end)

    def _readings(self, station: Sl651Station, report: Report) -> tuple[Reading, ...]:
        if report.rest and report.rest[0] != PICTURE:
            detail = f"{len(report.rest)} bytes from element {report.rest[0]:02X} on cannot be read"
            self._events.answer_refused(station.device, detail)
        readings = []
        for quantity in station.quantities:
            for element in report.elements:
                if element.code != quantity.element:
                    continue
                measured = None if element.value is None else quantity.measure(element.value)
                if measured is None:
                    self._events.value_invalid(station.device, quantity.metric)
                    continue
                value, quality = measured
                time_ms, of_time = self._time(element, report)
                quality = max(quality, of_time, _of_status(element, report))
                readings.append(Reading(station.device, quantity.metric, time_ms, value, quality))
        return tuple(readings)

    def _time(self, element: Element, report: Report) -> tuple[int, Quality]:
        """When it was observed; where the station's clock was never set, now, and suspect."""
        for time in (element.observed, report.stamp.sent):
            if time is not None and local_ms(time, self._zone) >= EARLIEST_MS:
                return local_ms(time, self._zone), Quality.GOOD
        return self._clock.now_ms(), Quality.SUSPECT

    def _now(self, stamp: Stamp) -> datetime:
        """What a station is told, which may set its clock by it: its own time where nobody here knows what time it is."""
        now_ms = self._clock.now_ms()
        if stamp.sent is not None and not is_placed(now_ms):
            return stamp.sent
        return datetime.fromtimestamp(now_ms / 1000, self._zone)


def _of_status(element: Element, report: Report) -> Quality:
    """Bad where the station itself says that its level instrument has failed."""
    failed = report.status is not None and report.status >> StatusBit.LEVEL_INSTRUMENT_FAILED & 1
    return Quality.BAD if failed and element.code in WATER_LEVELS else Quality.GOOD


def _stamp(frame: Frame) -> Stamp:
    """Of a packet; only the first begins with one."""
    return decode_stamp(frame.body) if frame.packets and frame.packets[1] == 1 else Stamp(0, None)
