"""Listens for scanners and answers 200 only when the passage is on the gateway's disk."""

from __future__ import annotations

from http import HTTPStatus

from gateway.driver import Sink
from gateway.drivers.http_push.push import UNKNOWN_SERIAL, decode_push
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.events import Events
from gateway.listener import Listener
from gateway.repeats import KeptOnce
from gateway.request import Head, RequestError, Response
from telemetry.clock import Clock
from telemetry.errors import BadInput

PATH = "/push"
_TAKEN = Response(HTTPStatus.OK, "application/json", b'{"ok":true}')


class HttpPushDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: HttpPushSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {device.serial: device.device for device in settings.devices}
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
        if head.path != PATH:
            raise RequestError(HTTPStatus.NOT_FOUND, f"there is only POST {PATH} here")
        if head.method != "POST":
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"use POST {PATH}")
        try:
            push = decode_push(body, self._devices, self._settings.fields, self._clock.now_ms())
        except BadInput as error:
            status = HTTPStatus.NOT_FOUND if error.reason == UNKNOWN_SERIAL else HTTPStatus.BAD_REQUEST
            raise RequestError(status, error.detail) from error
        assert self._sink is not None
        await self._kept.keep(self._sink, push.device, push.identity, push.readings)
        return _TAKEN
