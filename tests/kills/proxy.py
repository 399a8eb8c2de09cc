"""A bad network between one client and the broker: a TCP proxy that cuts, delays, slices, swallows and resets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from enum import Enum

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing resets
_SLICES_MAX = 200  # of one piece; the rest goes as a whole


class Trouble(Enum):
    """What a network does to a connection."""

    CUT = "cut"  # closed, and refused until it is over
    RESET = "reset"  # RST at once
    DELAY = "delay"
    SLICE = "slice"  # a few bytes at a time
    HOLE = "hole"  # accepted and not forwarded; what is held is dropped with a reset, or goes on afterwards


class Proxy:
    """Listens for one client and forwards to the broker."""

    def __init__(self, port: int, broker_port: int, rng: random.Random) -> None:
        self._port = port
        self._broker_port = broker_port
        self._rng = rng
        self._trouble: Trouble | None = None
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._healing: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    def strike(self, trouble: Trouble, for_s: float) -> None:
        """One trouble for a while; it replaces what there was."""
        self.heal()
        self._trouble = trouble
        if trouble is Trouble.RESET:
            self._drop(with_reset=True)
            self._trouble = None
        elif trouble is Trouble.CUT:
            self._drop(with_reset=False)
        elif trouble is Trouble.HOLE:
            self._is_free.clear()
        self._healing = asyncio.get_running_loop().call_later(for_s, self.heal)

    def heal(self) -> None:
        if self._healing is not None:
            self._healing.cancel()
        if self._trouble is Trouble.HOLE and self._rng.random() < 0.5:
            self._drop(with_reset=True)
        self._trouble = None
        self._is_free.set()

    async def close(self) -> None:
        self.heal()
        if self._server is not None:
            self._server.close()
        self._drop(with_reset=False)

    def _drop(self, with_reset: bool) -> None:
        for writer in list(self._writers):
            if with_reset and (sock := writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort() if with_reset else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        self._writers.add(writer)
        try:
            if self._trouble is Trouble.CUT:
                return
            await self._is_free.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._broker_port)
            self._writers.add(far)
            for end in (writer, far):
                end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pumps = [asyncio.create_task(self._pump(reader, far)), asyncio.create_task(self._pump(far_reader, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for open_end in (writer, far):
                if open_end is not None:
                    self._writers.discard(open_end)
                    open_end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._is_free.wait()
            if self._trouble is Trouble.DELAY:
                await asyncio.sleep(self._rng.uniform(0.05, 1.0))
            if self._trouble is Trouble.SLICE:
                for _ in range(_SLICES_MAX):
                    size = self._rng.randint(1, 7)
                    piece, data = data[:size], data[size:]
                    if not piece:
                        break
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.write(data)
            await writer.drain()
