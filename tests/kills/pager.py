"""The pager: takes notices by HTTP, and is sometimes unwell. What it took, by key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import Any


class Pager:
    """Answers 200, now and then 500, or nothing at all, having written the notice down or not."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self._server: asyncio.Server | None = None
        self.is_unwell = True
        self.taken: dict[str, dict[str, Any]] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                notice = json.loads(await reader.readexactly(length))
                chance = self._rng.random() if self.is_unwell else 1.0
                if chance < 0.01:  # hangs; half of the time it has written the notice down
                    if chance < 0.005:
                        self.taken[notice["key"]] = notice
                    await asyncio.sleep(4.0)
                    return
                if chance < 0.04:
                    writer.write(b"HTTP/1.1 500 Unwell\r\nContent-Length: 0\r\n\r\n")
                else:
                    self.taken[notice["key"]] = notice
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
