"""The centre that SL 651 stations dial in to; a report is acknowledged only when it is on the gateway's disk.

A station sends a report again when it is not acknowledged, twice, and later as one of its memory: the same report under the
same number is kept once.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.sl651.codec import (
    WATER_LEVELS,
    Assembly,
    Element,
    End,
    Frame,
    Function,
    Report,
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
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading

_READ_BYTES = 4096
_PAUSE_S = 2.0  # longer than any pause within a frame


class Sl651Driver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: Sl651Settings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._stations = {station.station: station for station in settings.devices}
        self._zone = ZoneInfo(settings.zone)
        self._kept = KeptOnce(events, settings.remembered_max)
        self._connections: set[asyncio.Task[None]] = set()
        self.port = settings.port

    async def run(self, sink: Sink) -> None:
        settings = self._settings

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                if len(self._connections) <= settings.connections_max:
                    await self._serve(reader, writer, sink)
            except OSError:
                pass  # it went away; what was not acknowledged comes again
            finally:
                self._connections.discard(task)
                writer.close()

        try:
            server = await asyncio.start_server(serve, settings.host, settings.port)
        except PermissionError as error:
            raise BadConfiguration(f"port {settings.port} may not be opened by this user: {error}") from error
        except OSError as error:
            raise Unavailable(f"listening on {settings.host}:{settings.port}: {error}") from error
        self.port = server.sockets[0].getsockname()[1]
        self._events.available(settings.name)
        try:
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            server.close()
            for connection in list(self._connections):
                connection.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sink: Sink) -> None:
        frames, assembly = frame_reader(), Assembly()
        loop = asyncio.get_running_loop()
        silent_s = loop.time() + self._settings.silence_max_s
        while True:
            noise_before = frames.noise_bytes
            try:
                async with asyncio.timeout(_PAUSE_S):
                    data = await reader.read(_READ_BYTES)
            except TimeoutError:
                if loop.time() >= silent_s:
                    return
                found = frames.flush()  # what waits for its end now was noise that looked like a beginning
            else:
                if not data:
                    return
                silent_s = loop.time() + self._settings.silence_max_s
                found = frames.feed(data)
            for frame in found:
                try:
                    await self._take(frame, assembly, writer, sink)
                except BadInput as error:
                    self._events.message_refused(self._settings.name, error)
                except Unavailable as error:
                    # Not acknowledged, it comes again; the other stations' lines are well.
                    self._events.answer_refused(self._settings.name, str(error))
            if frames.noise_bytes > noise_before:
                self._events.noise_skipped(self._settings.name, frames.noise_bytes - noise_before)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def _take(self, frame: Frame, assembly: Assembly, writer: asyncio.StreamWriter, sink: Sink) -> None:
        if not frame.is_up:
            raise BadInput("wrong-direction", "a frame of a centre came where stations dial in")
        station = self._stations.get(frame.station)
        if station is None:
            raise BadInput("unknown-station", f"no station '{shown(frame.station)}' is declared at this gateway")
        if station.password is not None and frame.password != station.password:
            raise BadInput("wrong-password", f"station '{frame.station}' sends another password than the one declared")
        self._events.available(station.device)
        if frame.function == Function.KEEP_ALIVE:
            return
        whole = assembly.add(frame)
        if whole is None:
            writer.write(encode_taken(frame, _serial(frame), self._now(), End.ACK))
            return
        report = decode_report(whole)
        identity = (frame.station, frame.function, report.stamp.serial, str(report.stamp.sent))
        await self._kept.keep(sink, station.device, identity, self._readings(station, report))
        end = End.ESC if self._settings.stays_on_line else End.EOT
        writer.write(encode_taken(frame, report.stamp.serial, self._now(), end))

    def _readings(self, station: Sl651Station, report: Report) -> tuple[Reading, ...]:
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

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, self._zone)


def _of_status(element: Element, report: Report) -> Quality:
    """Bad where the station itself says that its level instrument has failed."""
    failed = report.status is not None and report.status >> StatusBit.LEVEL_INSTRUMENT_FAILED & 1
    return Quality.BAD if failed and element.code in WATER_LEVELS else Quality.GOOD


def _serial(frame: Frame) -> int:
    """Of a packet; only the first begins with one."""
    return decode_stamp(frame.body).serial if frame.packets and frame.packets[1] == 1 else 0
