"""What several tests of the gateway need."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

from gatehouse.ports import free_port as free_port
from telemetry.errors import Unavailable
from telemetry.reading import Reading


class ListSink:
    """A sink that remembers; `refusal` makes it refuse, `gate` makes it slow."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.refusal: Unavailable | None = None
        self.refused = 0
        self.gate: asyncio.Event | None = None
        self.held = 0  # how often somebody had to wait with an offer

    async def offer(self, readings: Sequence[Reading]) -> None:
        if self.gate is not None and not self.gate.is_set():
            self.held += 1
            await self.gate.wait()
        self.readings += readings

    async def keep(self, readings: Sequence[Reading]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal is not None:
            self.refused += 1
            raise self.refusal
        self.readings += readings


def ignore(readings: Sequence[Reading]) -> None:
    """For whoever must be told of readings and does not care."""


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for something that another task or process brings about."""
    for _ in range(round(timeout_s * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"after {timeout_s:g} s still not: {what}")


class FakeModbus:
    """A Modbus TCP device or converter of our own making: a register map a unit, silent for units it does not have."""

    def __init__(self, units: dict[int, dict[int, int]]) -> None:
        self.units = units  # unit -> address -> register, for both functions
        self.requests: list[tuple[int, int, int, int]] = []  # unit, function, address, count
        self.connections = 0
        self.coils: dict[tuple[int, int], bool] = {}  # (unit, address), as they were written
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                transaction, _, _, unit, function, address, count = struct.unpack(
                    ">HHHBBHH", await reader.readexactly(12)
                )
                self.requests.append((unit, function, address, count))
                registers = self.units.get(unit)
                if registers is None:
                    continue
                if function == 5:
                    self.coils[unit, address] = count == 0xFF00
                    writer.write(struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count))
                    continue
                wanted = [registers.get(address + i) for i in range(count)]
                if None in wanted:
                    pdu = struct.pack(">BB", function + 0x80, 2)
                else:
                    pdu = struct.pack(f">BB{count}H", function, 2 * count, *wanted)
                writer.write(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def http(port: int, request: bytes) -> tuple[int, dict[str, Any]]:
    """Send raw bytes, read one response: its status and its JSON body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await response(reader)
    finally:
        writer.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """One response off a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
    body: dict[str, Any] = json.loads(await reader.readexactly(length))
    return int(head.split(" ")[1]), body


def post(body: object, path: str = "/push", **headers: str) -> bytes:
    """A push as a scanner sends it; `body` is bytes, or an object that becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: gateway"]
    if "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(data)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([*lines, "", ""]).encode() + data
