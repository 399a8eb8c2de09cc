"""Listens for scanners and answers 200 only when the passage is on the gateway's disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from http import HTTPStatus

from gateway.driver import Sink
from gateway.drivers.http_push.push import UNKNOWN_SERIAL, Push, decode_push
from gateway.drivers.http_push.request import CONTINUE, Head, RequestError, accepted, parse_head, problem
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.events import Events
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput, Unavailable

PATH = "/push"
_LINGER_S = 2.0
_LINGER_MAX_BYTES = 4_000_000


class HttpPushDriver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: HttpPushSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {device.serial: device.device for device in settings.devices}
        # Passages seen lately. A task that is not done yet is being written: a repetition waits for the same write.
        self._recent: OrderedDict[tuple[str, str, str], asyncio.Task[None]] = OrderedDict()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = settings.port

    async def run(self, sink: Sink) -> None:
        settings = self._settings

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._serve(reader, writer, sink)
            finally:
                self._connections.discard(task)

        try:
            server = await asyncio.start_server(serve, settings.host, settings.port, limit=settings.header_max_bytes)
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
        """One connection, request after request."""
        try:
            if len(self._connections) > self._settings.connections_max:
                detail = f"more than {self._settings.connections_max} connections; close idle ones"
                self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, detail, keeps_alive=False)
                return
            while await self._exchange(reader, writer, sink):
                await writer.drain()
            await _linger(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away, or sat idle: nothing was promised
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._settings.idle_max_s):
                    await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sink: Sink) -> bool:
        """One request and its answer; False when the connection must close."""
        try:
            async with asyncio.timeout(self._settings.idle_max_s):
                head, body = await self._request(reader, writer)
        except RequestError as error:
            self._refused(writer, error.status, error.detail, keeps_alive=False)
            return False
        if head.path != PATH:
            self._refused(writer, HTTPStatus.NOT_FOUND, f"there is only POST {PATH} here", head.keeps_alive)
        elif head.method != "POST":
            self._refused(writer, HTTPStatus.METHOD_NOT_ALLOWED, f"use POST {PATH}", head.keeps_alive)
        else:
            await self._push(writer, head, body, sink)
        return head.keeps_alive

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[Head, bytes]:
        try:
            data = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise RequestError(status, f"the head is longer than {self._settings.header_max_bytes} bytes") from error
        head = parse_head(data, self._settings.body_max_bytes)
        if head.expects_continue:
            writer.write(CONTINUE)
        return head, await reader.readexactly(head.content_length)

    async def _push(self, writer: asyncio.StreamWriter, head: Head, body: bytes, sink: Sink) -> None:
        try:
            push = decode_push(body, self._devices, self._settings.fields, self._clock.now_ms())
        except BadInput as error:
            status = HTTPStatus.NOT_FOUND if error.reason == UNKNOWN_SERIAL else HTTPStatus.BAD_REQUEST
            self._refused(writer, status, error.detail, head.keeps_alive)
            return
        try:
            async with asyncio.timeout(self._settings.answer_within_s):
                await self._keep(push, sink)
        except TimeoutError:
            detail = "not written yet; push it again"
            self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, detail, head.keeps_alive)
        except Unavailable as error:
            self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; push it again later", head.keeps_alive)
        else:
            writer.write(accepted(head.keeps_alive))

    async def _keep(self, push: Push, sink: Sink) -> None:
        """Return when the push is durable, by this write or an earlier one."""
        task = None if push.identity is None else self._recent.get(push.identity)
        if task is not None and not (task.done() and (task.cancelled() or task.exception())):
            self._events.push_repeated(push.device)
        else:
            task = asyncio.create_task(self._written(push, sink), name=f"push {push.device}")
            task.add_done_callback(_observe)
            if push.identity is not None:
                self._recent[push.identity] = task
                self._recent.move_to_end(push.identity)
                if len(self._recent) > self._settings.remembered_max:
                    self._recent.popitem(last=False)
        await asyncio.shield(task)  # who pushed may give up; the write goes on

    async def _written(self, push: Push, sink: Sink) -> None:
        if push.readings:
            await sink.keep(push.readings)

    def _refused(self, writer: asyncio.StreamWriter, status: HTTPStatus, detail: str, keeps_alive: bool) -> None:
        self._events.push_refused(self._settings.name, status.value, detail)
        writer.write(problem(status, detail, keeps_alive))


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Swallow what is still being sent, for a while: closing on it would reset the connection under our answer."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            left = _LINGER_MAX_BYTES
            while left > 0 and (data := await reader.read(65_536)):
                left -= len(data)


def _observe(task: asyncio.Task[None]) -> None:
    """A write whose pusher has gone must not complain that nobody looked at its end."""
    if not task.cancelled():
        task.exception()
