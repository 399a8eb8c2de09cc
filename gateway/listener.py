"""Listens for devices that push over HTTP: connections in, whole requests to whoever answers them.

Everything is bounded: connections, the size of a head and of a body, the time for a request to arrive. What breaks a bound
is told so and, where the rest of the connection cannot be trusted any more, cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from pydantic import Field, PositiveFloat, PositiveInt

from gateway.driver import DriverSettings
from gateway.events import Events
from gateway.request import CONTINUE, Head, RequestError, Response, encode_response, parse_head, problem
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.settings import HostName

_LINGER_S = 2.0
_LINGER_MAX_BYTES = 4_000_000


class ListenerSettings(DriverSettings):
    """What every driver that listens can be told."""

    host: HostName = "127.0.0.1"
    port: int = Field(default=8101, ge=0, le=65535)  # 0: any free one
    header_max_bytes: PositiveInt = 8_192
    body_max_bytes: PositiveInt = 262_144
    idle_max_s: PositiveFloat = 10.0  # for a whole request to arrive, and between two of them
    answer_within_s: PositiveFloat = 8.0  # scanners push again after 10 s without an answer
    connections_max: PositiveInt = 64
    remembered_max: PositiveInt = 10_000  # passages that are recognised when pushed again

    @property
    def name(self) -> str:
        return f"{self.driver} {self.host}:{self.port}"


Answer = Callable[[Head, bytes], Awaitable[Response]]
"""Answers a request. Raises RequestError (refused, the connection goes on), Unavailable or TimeoutError (503)."""


class Listener:
    """One listening port. `port` is where it really listens, once it does.

    Args:
        context: Makes what TLS needs, at each start; None for plain HTTP. Raises BadConfiguration.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        events: Events,
        answer: Answer,
        context: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self._context = context
        self._settings = settings
        self._events = events
        self._answer = answer
        self._connections: set[asyncio.Task[None]] = set()
        self.port = settings.port

    async def run(self) -> None:
        """Serve until cancelled. Raises BadConfiguration or Unavailable when the port cannot be had."""
        settings, context = self._settings, self._context()
        try:
            server = await asyncio.start_server(
                self._serve, settings.host, settings.port, limit=settings.header_max_bytes, ssl=context
            )
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > self._settings.connections_max:
                detail = f"more than {self._settings.connections_max} connections; close idle ones"
                self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, detail, keeps_alive=False)
                return
            while await self._exchange(reader, writer):
                async with asyncio.timeout(self._settings.idle_max_s):  # who reads no answers has no connection
                    await writer.drain()
            await _linger(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away, or sat idle: nothing was promised
        finally:
            self._connections.discard(task)
            writer.close()
            try:
                async with asyncio.timeout(self._settings.idle_max_s):
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection must close."""
        try:
            async with asyncio.timeout(self._settings.idle_max_s):
                head, body = await self._request(reader, writer)
        except RequestError as error:
            self._refused(writer, error.status, error.detail, keeps_alive=False)
            return False
        try:
            async with asyncio.timeout(self._settings.answer_within_s):
                response = await self._answer(head, body)
        except RequestError as error:
            self._refused(writer, error.status, error.detail, head.keeps_alive)
        except TimeoutError:
            detail = "not written yet; push it again"
            self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, detail, head.keeps_alive)
        except Unavailable as error:
            self._refused(writer, HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; push it again later", head.keeps_alive)
        else:
            writer.write(encode_response(response, head.keeps_alive))
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

    def _refused(self, writer: asyncio.StreamWriter, status: HTTPStatus, detail: str, keeps_alive: bool) -> None:
        self._events.push_refused(self._settings.name, status.value, detail)
        writer.write(encode_response(problem(status, detail), keeps_alive))


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Swallow what is still being sent, for a while: closing on it would reset the connection under our answer."""
    if not writer.can_write_eof():  # TLS
        return
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            left = _LINGER_MAX_BYTES
            while left > 0 and (data := await reader.read(65_536)):
                left -= len(data)
