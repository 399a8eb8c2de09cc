"""The ends of a line that a master can take: a TCP port, as a serial server has it, or a pseudo-terminal of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator

from firmware_sim.devices.line import SerialLine

_READ_BYTES = 4096
_UNREAD_MAX = 65_536  # bytes that a master has not fetched; one that lets them lie is let go


@contextlib.asynccontextmanager
async def tcp_port(line: SerialLine, host: str, port: int) -> AsyncIterator[int]:
    """The line behind a TCP port while the context lasts; 0 takes a free one. Every connection hears all that is said."""
    connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def listener(data: bytes) -> None:
            if writer.transport.get_write_buffer_size() > _UNREAD_MAX:
                writer.transport.abort()
            else:
                writer.write(data)

        connections[writer] = asyncio.current_task()
        line.listeners.append(listener)
        try:
            while data := await reader.read(_READ_BYTES):
                busy_s = line.send(data)
                await asyncio.sleep(busy_s)
        except OSError:
            pass  # the master is gone
        finally:
            line.listeners.remove(listener)
            del connections[writer]
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        tasks = [task for task in connections.values() if task is not None]
        for writer in list(connections):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def pty_port(line: SerialLine) -> AsyncIterator[str]:
    """The line behind a pseudo-terminal while the context lasts: the path to open as a serial port."""
    ours, theirs = os.openpty()
    loop = asyncio.get_running_loop()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    resume: asyncio.TimerHandle | None = None

    def read() -> None:
        """What the master wrote; no more is taken until that has gone over the wire."""
        nonlocal resume
        with contextlib.suppress(OSError):
            if data := os.read(ours, _READ_BYTES):
                loop.remove_reader(ours)
                resume = loop.call_later(line.send(data), loop.add_reader, ours, read)

    def listener(data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: as a chip does, it overruns
            os.write(ours, data)

    line.listeners.append(listener)
    loop.add_reader(ours, read)
    try:
        yield os.ttyname(theirs)  # held open by us as well, so that a master may come and go
    finally:
        line.listeners.remove(listener)
        if resume is not None:
            resume.cancel()
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
