"""Keeps the demo's processes running: started, watched, started again when one dies, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import structlog

_log = structlog.get_logger("supervisor")

_RESTART_AFTER_S = 0.5
_STOP_WITHIN_S = 20.0


class Child:
    """One `gatehouse` sub-command as a process of its own."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False
        self._watcher: asyncio.Task[None] | None = None
        self.restarts = 0

    async def start(self) -> None:
        """Start it and see that it stays."""
        self._wanted = True
        await self._spawn()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def stop(self) -> None:
        """End it in good order: SIGTERM, and SIGKILL when it does not listen."""
        self._wanted = False
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._watcher is not None:
            await self._watcher

    async def _spawn(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gatehouse",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C on the terminal is the supervisor's to pass on, in its order.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def _watch(self) -> None:
        while self._wanted:
            assert self._process is not None
            status = await self._process.wait()
            if not self._wanted:
                return
            self.restarts += 1
            _log.warning("died and is started again", part=self.name, status=status, log=str(self._log))
            await asyncio.sleep(_RESTART_AFTER_S)
            if self._wanted:
                await self._spawn()

    def kill_now(self) -> None:
        """The last resort when the supervisor itself is leaving."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Cable:
    """A network cable that can be pulled: relays TCP to the broker until it is cut."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._is_cut = False
        self._links: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def lay(self, port: int) -> None:
        """Listen on the loopback."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Every connection breaks, and none comes up."""
        self._is_cut = True
        for link in list(self._links):
            link.transport.abort()

    def mend(self) -> None:
        """Connections come up again."""
        self._is_cut = False

    async def remove(self) -> None:
        """Stop listening."""
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        try:
            if self._is_cut:
                return
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
            self._links.add(broker_writer)
            try:
                await _first_of(_relay(reader, broker_writer), _relay(broker_reader, writer))
            finally:
                self._links.discard(broker_writer)
                broker_writer.transport.abort()
        except OSError:
            return
        finally:
            self._links.discard(writer)
            writer.transport.abort()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def _first_of(*works: object) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, OSError):
            raise result
