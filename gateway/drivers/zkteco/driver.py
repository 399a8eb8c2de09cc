"""The server that ZKTeco terminals push to; a table is answered OK only when its rows are on the gateway's disk."""

from __future__ import annotations

import asyncio
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.zkteco.codec import (
    Rows,
    decode_attlog,
    decode_rtlog,
    options,
    push_configuration,
    registry_code,
    slices,
)
from gateway.drivers.zkteco.settings import ZktecoSettings
from gateway.events import Events
from gateway.listener import Listener
from gateway.repeats import KeptOnce
from gateway.request import Head, RequestError, Response
from gateway.scan import Passages, shown
from telemetry.clock import Clock


class ZktecoDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: ZktecoSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {terminal.serial: terminal.device for terminal in settings.devices}
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
        serial = head.query.get("SN", head.query.get("sn", ""))
        device = self._devices.get(serial)
        if device is None:
            detail = f"no terminal with serial number '{shown(serial)}' is declared at this gateway"
            raise RequestError(HTTPStatus.NOT_FOUND, detail)
        match head.method, head.path.lower().rstrip("/").removesuffix(".aspx"):
            case "GET", "/iclock/cdata":
                return _text(options(serial, self._offset_h()) if "options" in head.query else "OK")
            case "POST", "/iclock/cdata":
                return _text(await self._table(serial, device, head.query.get("table", ""), body))
            case "POST", "/iclock/registry":
                secret = self._settings.site_key.get_secret_value()
                return _text(f"RegistryCode={registry_code(serial, secret)}")
            case (("GET" | "POST"), "/iclock/push"):
                return _text(push_configuration())
            case (
                ("GET" | "POST"),
                ("/iclock/getrequest" | "/iclock/ping" | "/iclock/devicecmd" | "/iclock/querydata"),
            ):
                return _text("OK")
        raise RequestError(HTTPStatus.NOT_FOUND, "terminals speak to /iclock/… here")

    async def _table(self, serial: str, device: str, table: str, body: bytes) -> str:
        """Keep a table's rows. Tables that hold no measurements (users, photographs, door states) are taken unread."""
        now_ms = self._clock.now_ms()
        decode = {"rtlog": decode_rtlog, "attlog": decode_attlog}.get(table.lower())
        if decode is None:
            return "OK"
        count = 0
        for part in slices(body):
            rows = decode(part, serial, self._zone, now_ms)
            await self._keep(device, rows)
            count += rows.count
        return f"OK: {count}"  # what can never be read too: it would come again for ever

    async def _keep(self, device: str, rows: Rows) -> None:
        assert self._sink is not None
        for error in rows.refused:
            self._events.message_refused(self._settings.name, error)
        await asyncio.gather(
            *(
                self._kept.keep(self._sink, device, (device, row.scan.event), self._passages.readings(row.scan, device))
                for row in rows.rows
            )
        )

    def _offset_h(self) -> float:
        offset = datetime.fromtimestamp(self._clock.now_ms() / 1000, self._zone).utcoffset()
        assert offset is not None
        return offset.total_seconds() / 3600


def _text(body: str) -> Response:
    return Response(HTTPStatus.OK, "text/plain", body.encode())
