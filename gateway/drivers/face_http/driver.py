"""Listens for face terminals and answers code 200 only when the record is on the gateway's disk."""

from __future__ import annotations

from http import HTTPStatus
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.face_http.settings import FaceHttpSettings
from gateway.drivers.face_http.wecom import Report, decode_report
from gateway.drivers.face_mqtt.codec import Push, decode
from gateway.events import Events
from gateway.listener import Listener
from gateway.repeats import KeptOnce
from gateway.request import Head, RequestError, Response
from gateway.scan import Passages, Scan, shown
from telemetry.clock import Clock
from telemetry.errors import BadInput

_PATH = "/subscribe/"
_REPORT = "/subscribe/report_temperature_data"
_UNKNOWN = "unknown-terminal"
_TAKEN = Response(HTTPStatus.OK, "application/json", b'{"code":200,"desc":"OK"}')


class FaceHttpDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: FaceHttpSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {terminal.id: terminal.device for terminal in settings.devices}
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
        if not head.path.lower().startswith(_PATH):
            raise RequestError(
                HTTPStatus.NOT_FOUND, "terminals push to /Subscribe/Verify, /Subscribe/Snap and heartbeat"
            )
        if head.method != "POST":
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "use POST")
        try:
            if head.path.lower() == _REPORT:
                await self._report(decode_report(body, head.query.get("id", ""), self._clock.now_ms()))
            else:
                said = decode(body, self._zone, self._clock.now_ms())
                if isinstance(said, Push):
                    await self._keep(said.scan)
        except BadInput as error:
            status = HTTPStatus.NOT_FOUND if error.reason == _UNKNOWN else HTTPStatus.BAD_REQUEST
            raise RequestError(status, error.detail) from error
        return _TAKEN

    async def _report(self, report: Report) -> None:
        for error in report.refused:
            self._events.message_refused(self._settings.name, error)
        for scan in report.scans:
            await self._keep(scan)

    async def _keep(self, scan: Scan) -> None:
        assert self._sink is not None
        device = self._devices.get(scan.device)
        if device is None:
            raise BadInput(_UNKNOWN, f"no terminal '{shown(scan.device)}' is declared at this gateway")
        await self._kept.keep(self._sink, device, (device, scan.event), self._passages.readings(scan, device))
