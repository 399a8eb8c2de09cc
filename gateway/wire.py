"""A line of bytes to devices, as a driver needs it, and the TCP serial server that gives one."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from telemetry.errors import Unavailable

_READ_BYTES = 4096


class Wire(Protocol):
    """Bytes out, bytes in; nobody else speaks on it while a driver holds it."""

    async def write(self, data: bytes) -> None:
        """Raises Unavailable."""

    async def read(self) -> bytes:
        """At least one byte, as soon as there is any. Raises Unavailable when the line is gone."""
        ...

    def close(self) -> None: ...


class WireSettings(BaseModel):
    """Where a line is: a TCP serial server in transparent mode, set to the device's baud rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int = Field(ge=1, le=65535)
    connect_within_s: PositiveFloat = 5.0

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    async def open(self) -> Wire:
        """Raises Unavailable."""
        try:
            async with asyncio.timeout(self.connect_within_s):
                return TcpWire(*await asyncio.open_connection(self.host, self.port), self.name)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"connecting to {self.name}: {error or 'no answer'}") from error


class TcpWire:
    """Implements `Wire`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Unavailable(f"{self._name}: connection lost: {error}") from error

    async def read(self) -> bytes:
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise Unavailable(f"{self._name}: connection lost: {error}") from error
        if not data:
            raise Unavailable(f"{self._name} closed the connection")
        return data

    def close(self) -> None:
        self._writer.close()
