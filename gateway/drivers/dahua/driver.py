"""Reads one Dahua terminal's event stream."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.dahua.codec import decode_event
from gateway.drivers.dahua.settings import DahuaSettings
from gateway.events import Events
from gateway.http_client import HttpClient, Login
from gateway.multipart import MultipartReader, Part, boundary_of
from gateway.repeats import KeptOnce
from gateway.scan import Passages
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable

STREAM = "/cgi-bin/eventManager.cgi?action=attach&codes=[AccessControl]&heartbeat=5"
_PART_MAX_BYTES = 262_144


class DahuaDriver:
    """Implements `Driver`."""

    def __init__(self, settings: DahuaSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._zone = ZoneInfo(settings.zone)
        self._passages = Passages(settings)
        self._kept = KeptOnce(events, settings.remembered_max)
        login = Login(settings.username, settings.password)
        self._client = HttpClient(settings.host, settings.port, login, settings.timeout_s)

    async def run(self, sink: Sink) -> None:
        settings = self._settings
        async with self._client.open("GET", STREAM, silence_max_s=settings.silence_max_s) as (head, pieces):
            if head.status in (403, 404):
                # Perhaps because it starts: then it will.
                raise Unavailable(
                    f"{settings.host} gives '{settings.username}' no events ({head.status}): let the user see them"
                )
            if head.status != 200:
                raise Unavailable(f"{settings.host} answers {head.status} to the event stream")
            try:
                reader = MultipartReader(boundary_of(head.header("content-type")), _PART_MAX_BYTES)
            except BadInput as error:
                raise Unavailable(f"{settings.host}: {error.detail}") from error
            self._events.available(settings.name)
            async for piece in pieces:
                noise_before = reader.noise_bytes
                for part in reader.feed(piece):
                    await self._take(part, sink)
                if reader.noise_bytes > noise_before:
                    self._events.noise_skipped(settings.name, reader.noise_bytes - noise_before)
        raise Unavailable(f"{settings.host} ended the event stream")

    async def _take(self, part: Part, sink: Sink) -> None:
        try:
            if part.body is None:
                raise BadInput("long-event", f"an event of more than {_PART_MAX_BYTES} bytes was passed over")
            event = decode_event(part.body, self._zone, self._clock.now_ms())
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
            return
        if event.scan is not None:
            device = self._settings.device
            await self._kept.keep(sink, device, event.scan.event, self._passages.readings(event.scan, device))
