"""Listens for face terminals and answers code 200 only when the record is on the gateway's disk."""

from __future__ import annotations

from http import HTTPStatus
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.face_http.settings import FaceHttpSettings
from gateway.drivers.face_mqtt.codec import Push, decode
from gateway.events import Events
from gateway.listener import Listener
from gateway.repeats import KeptOnce
from gateway.request import Head, RequestError, Response
from gateway.scan import Passages, shown
from telemetry.clock import Clock
from telemetry.errors import BadInput

_PATH = "/subscribe/"
_TAKEN = Response(HTTPStatus.OK, "application/json", b'{"code":200,"desc":"OK"}')


class FaceHttpDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: FaceHttpSettings, clock: Clock, events: Events) -> None:
        self._clock = clock
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
        assert self._sink is not None
        if not head.path.lower().startswith(_PATH):
            raise RequestError(
                HTTPStatus.NOT_FOUND, "terminals push to /Subscribe/Verify, /Subscribe/Snap and heartbeat"
            )
        if head.method != "POST":
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "use POST")
        try:
            said = decode(body, self._zone, self._clock.now_ms())
        except BadInput as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, error.detail) from error
        if isinstance(said, Push):
            device = self._devices.get(said.terminal)
            if device is None:
                detail = f"no terminal '{shown(said.terminal)}' is declared at this gateway"
                raise RequestError(HTTPStatus.NOT_FOUND, detail)
            await self._kept.keep(
                self._sink, device, (device, said.scan.event), self._passages.readings(said.scan, device)
            )
        return _TAKEN
