"""Listens for stations that dial in over TCP and keep talking: bytes in, frames to whoever takes them, answers out.

A station whose network went away dials in anew, and nobody ends the connection from before. Where there are too many, the one
is ended that has been silent the longest, of those that never said a frame first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import Field, PositiveFloat, PositiveInt

from gateway.driver import DriverSettings
from gateway.events import Events
from gateway.framing import FrameReader
from telemetry.catalogue import ZoneName
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.settings import HostName

_READ_BYTES = 4096
_PAUSE_S = 2.0  # longer than any pause within a frame

F = TypeVar("F")
Take = Callable[[F], Awaitable[bytes]]
"""Keeps a frame and returns what is answered, perhaps nothing. Raises BadInput, or Unavailable: no answer, it comes again."""


class DialInSettings(DriverSettings):
    """What every driver that is dialled in to can be told."""

    host: HostName = "127.0.0.1"
    port: int = Field(ge=0, le=65535)  # 0: any free one
    zone: ZoneName = "Asia/Shanghai"  # the stations' clocks carry no zone
    silence_max_s: PositiveFloat = 180.0  # a station that says nothing for so long has gone
    connections_max: PositiveInt = 200
    remembered_max: PositiveInt = 10_000  # reports that are recognised when sent again

    @property
    def name(self) -> str:
        return f"{self.driver} {self.host}:{self.port}"


class DialIn:
    """One listening port. `port` is where it really listens, once it does."""

    def __init__(self, settings: DialInSettings, events: Events) -> None:
        self._settings = settings
        self._events = events
        # Each by whether it has said a frame, and when it said anything last.
        self._connections: dict[asyncio.Task[None], tuple[bool, float]] = {}
        self.port = settings.port

    async def run(self, frames: Callable[[], FrameReader[F]], takers: Callable[[], Take[F]]) -> None:
        """Serve until cancelled.

        Args:
            frames: Makes the reader of one connection.
            takers: Makes what takes the frames of one connection.

        Raises BadConfiguration or Unavailable when the port cannot be had.
        """
        settings = self._settings

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._make_room()
            self._connections[task] = False, asyncio.get_running_loop().time()
            try:
                await self._serve(task, reader, writer, frames(), takers())
            except OSError:
                pass  # it went away; what was not acknowledged comes again
            finally:
                self._connections.pop(task, None)
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

    def _make_room(self) -> None:
        """End the connection that is the least likely to be a station's, where there are too many."""
        if len(self._connections) >= self._settings.connections_max:
            ended = min(self._connections, key=self._connections.__getitem__)
            del self._connections[ended]
            ended.cancel()
            detail = f"more than {self._settings.connections_max}; the longest silent one is ended"
            self._events.message_refused(self._settings.name, BadInput("too-many-connections", detail))

    async def _serve(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: FrameReader[F],
        take: Take[F],
    ) -> None:
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
                has_spoken, _ = self._connections[task]
                self._connections[task] = has_spoken or bool(found), loop.time()
            for frame in found:
                try:
                    writer.write(await take(frame))
                except BadInput as error:
                    self._events.message_refused(self._settings.name, error)
                except Unavailable as error:
                    # Not acknowledged, it comes again; the other stations' lines are well.
                    self._events.answer_refused(self._settings.name, str(error))
            if frames.noise_bytes > noise_before:
                self._events.noise_skipped(self._settings.name, frames.noise_bytes - noise_before)
            await writer.drain()
