"""Listens for ISAPI devices and answers 200 only when the event is on the gateway's disk.

A device sends an event again until it is answered 200, and those behind it wait: what can never be read is counted and
answered 200, so that one broken event does not cost its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.hikvision.codec import Event, decode_event
from gateway.drivers.hikvision.driver import PART_MAX_BYTES
from gateway.drivers.hikvision_listen.settings import HikvisionListenSettings, plain_mac
from gateway.events import Events
from gateway.listener import Listener
from gateway.multipart import MultipartReader, boundary_of
from gateway.repeats import KeptOnce
from gateway.request import Head, RequestError, Response
from gateway.scan import Passages, shown
from telemetry.clock import Clock
from telemetry.errors import BadInput

_TAKEN = Response(HTTPStatus.OK, "text/plain", b"")


class HikvisionListenDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: HikvisionListenSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {device.mac: device.device for device in settings.devices}
        self._zone = ZoneInfo(settings.zone)
        self._passages = Passages(settings)
        self._kept = KeptOnce(events, settings.remembered_max)
        self._listener = Listener(settings, events, self._answer)
        self._sink: Sink | None = None

    @property
    def port(self) -> int:
        return self._listener.port

    async def run(self, sink: Sink) -> None:
        self._sink = sink
        await self._listener.run()

    async def _answer(self, head: Head, body: bytes) -> Response:
        if head.method not in ("POST", "PUT"):
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "devices push events here with POST")
        for part in self._parts(head, body):
            try:
                if part is None:
                    raise BadInput(
                        "long-event", f"an event of more than {PART_MAX_BYTES} bytes, or cut off, was passed over"
                    )
                await self._keep(decode_event(part, self._zone, self._clock.now_ms()))
            except BadInput as error:
                self._events.message_refused(self._settings.name, error)
        return _TAKEN

    def _parts(self, head: Head, body: bytes) -> Sequence[bytes | None]:
        if not head.content_type.lower().startswith("multipart/"):
            return [body]
        try:
            reader = MultipartReader(boundary_of(head.content_type), PART_MAX_BYTES)
        except BadInput as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, error.detail) from error
        parts = [part.body for part in [*reader.feed(body), *reader.end()]]
        if reader.noise_bytes:
            self._events.noise_skipped(self._settings.name, reader.noise_bytes)
        return parts

    async def _keep(self, event: Event) -> None:
        assert self._sink is not None
        for refused in event.refused:
            self._events.message_refused(self._settings.name, refused)
        if not event.scans:
            return
        device = self._devices.get(plain_mac(event.device or ""))
        if device is None:
            raise BadInput("unknown-device", f"no device with mac '{shown(event.device)}' is declared at this gateway")
        for scan in event.scans:
            await self._kept.keep(self._sink, device, (device, scan.event), self._passages.readings(scan, device))
