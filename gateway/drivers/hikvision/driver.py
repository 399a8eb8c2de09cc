"""Reads one ISAPI device: its alert stream, and after every outage what the stream would have said meanwhile.

The stream is opened first and what was missed asked for then, so that nothing can fall between; what comes by both ways is
recognised. The bookmark moves only when an event is on the gateway's disk. A search that fails is tried again with a new
connection, a few times: then what is now counts more than what was missed.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from gateway.bookmark import Bookmark
from gateway.driver import Sink
from gateway.drivers.hikvision.codec import Event, decode_event, decode_page, encode_search
from gateway.drivers.hikvision.settings import HikvisionSettings
from gateway.events import Events
from gateway.http_client import HttpClient, Login
from gateway.multipart import MultipartReader, Part, boundary_of
from gateway.repeats import KeptOnce
from gateway.scan import Passages
from gateway.timekeeping import is_placed
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.quality import Quality

STREAM = "/ISAPI/Event/notification/alertStream"
SEARCH = "/ISAPI/AccessControl/AcsEvent?format=json"
PART_MAX_BYTES = 262_144
_OVERLAP_MS = 60_000  # events near the bookmark may have been written out of order
_PAGES_MAX = 10_000
_SEARCHES_MAX = 3  # that fail one after the other
_AHEAD_MAX_MS = 86_400_000  # no clock that was ever set is further ahead


class Read(msgspec.Struct, frozen=True):
    """How far a device's record is read."""

    serial: int
    time_ms: int


class HikvisionDriver:
    """Implements `Driver`."""

    def __init__(self, settings: HikvisionSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._zone = ZoneInfo(settings.zone)
        self._passages = Passages(settings)
        self._kept = KeptOnce(events, settings.remembered_max)
        self._bookmark = Bookmark(settings.bookmark, Read)
        self._read: Read | None = None
        self._searches_failed = 0
        login = Login(settings.username, settings.password)
        self._client = HttpClient(settings.host, settings.port, login, settings.timeout_s)

    async def run(self, sink: Sink) -> None:
        settings = self._settings
        self._read = await asyncio.to_thread(self._bookmark.read)
        async with self._client.open("GET", STREAM, silence_max_s=settings.silence_max_s) as (head, pieces):
            if head.status in (403, 404):  # perhaps because it starts: then it will
                raise Unavailable(
                    f"{settings.host} gives '{settings.username}' no alert stream ({head.status}): "
                    "let the user be notified of events, or use hikvision-listen"
                )
            if head.status != 200:
                raise Unavailable(f"{settings.host} answers {head.status} to the alert stream")
            try:
                reader = MultipartReader(boundary_of(head.header("content-type")), PART_MAX_BYTES)
            except BadInput as error:
                raise Unavailable(f"{settings.host}: {error.detail}") from error
            await self._back_fill(sink)
            self._events.available(settings.name)
            async for piece in pieces:
                noise_before = reader.noise_bytes
                for part in reader.feed(piece):
                    await self._take(part, sink)
                if reader.noise_bytes > noise_before:
                    self._events.noise_skipped(settings.name, reader.noise_bytes - noise_before)
        raise Unavailable(f"{settings.host} ended the alert stream")

    async def _take(self, part: Part, sink: Sink) -> None:
        try:
            if part.body is None:
                raise BadInput("long-event", f"an event of more than {PART_MAX_BYTES} bytes was passed over")
            event = decode_event(part.body, self._zone, self._clock.now_ms())
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
        else:
            await self._keep(event, sink, self._read)

    async def _back_fill(self, sink: Sink) -> None:
        """Ask for what happened since the bookmark. A device that cannot be asked is said so and read on."""
        now_ms, read = self._clock.now_ms(), self._read
        if read is None:
            return  # the first time: what was before us is not ours to tell
        longest_ms = round(self._settings.back_fill_max_h * 3_600_000)
        # Where nobody knows what time it is, nobody knows either for how long we were away.
        until_ms = now_ms if is_placed(now_ms) else read.time_ms + longest_ms
        oldest_ms = until_ms - longest_ms
        start_ms = oldest_ms if _is_ahead(read.time_ms, now_ms) else max(read.time_ms - _OVERLAP_MS, oldest_ms)
        start, end = self._written(start_ms), self._written(until_ms + _AHEAD_MAX_MS)
        search = f"gatehouse-{now_ms}"
        position = 0
        for _ in range(_PAGES_MAX):
            try:
                status, body = await self._client.ask(
                    "POST", SEARCH, encode_search(search, position, start, end), "application/json"
                )
            except (Unavailable, BadConfiguration) as error:
                self._searches_failed += 1
                if self._searches_failed < _SEARCHES_MAX:
                    raise Unavailable(str(error)) from error
                self._events.answer_refused(self._settings.device, f"{error}: what was missed cannot be asked for")
                return
            self._searches_failed = 0
            if status != 200:
                self._events.answer_refused(
                    self._settings.device, f"answers {status} to a search: what was missed cannot be asked for"
                )
                return
            try:
                page = decode_page(body, self._zone, now_ms)
            except BadInput as error:
                self._events.answer_refused(self._settings.device, error.detail)
                return
            for refused in page.refused:
                self._events.message_refused(self._settings.name, refused)
            await self._keep(page.event, sink, read)
            if page.is_last or not page.match_count:
                return
            position += page.match_count

    async def _keep(self, event: Event, sink: Sink, read: Read | None) -> None:
        """Keep what is not before `read`, all at once, and move the bookmark."""
        for refused in event.refused:
            self._events.message_refused(self._settings.name, refused)
        device = self._settings.device
        new = [
            (scan, serial)
            for scan, serial in zip(event.scans, event.serials, strict=True)
            if not (read and serial is not None and serial <= read.serial and scan.time_ms <= read.time_ms)
        ]
        done = await asyncio.gather(
            *(self._kept.keep(sink, device, scan.event, self._passages.readings(scan, device)) for scan, _ in new),
            return_exceptions=True,
        )
        for error in done:
            if error is not None:
                raise error
        now_ms, before = self._clock.now_ms(), self._read
        for scan, serial in new:
            if serial is None or scan.quality is not Quality.GOOD or _is_ahead(scan.time_ms, now_ms):
                continue
            known = self._read
            # A device that was reset counts from 1 again: the later event wins, not the higher number.
            if known is None or scan.time_ms >= known.time_ms or _is_ahead(known.time_ms, now_ms):
                self._read = Read(serial, scan.time_ms)
        if self._read is not None and self._read != before:
            await asyncio.to_thread(self._bookmark.write, self._read)

    def _written(self, time_ms: int) -> str:
        return datetime.fromtimestamp(time_ms // 1000, self._zone).isoformat()


def _is_ahead(time_ms: int, now_ms: int) -> bool:
    """Whether a time is of a clock that was set wrong: a bookmark there would hide all that comes until then."""
    return is_placed(now_ms) and time_ms > now_ms + _AHEAD_MAX_MS
