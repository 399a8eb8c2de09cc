"""A serial line as bytes: a port of this machine, or a TCP serial server in front of one."""

from __future__ import annotations

import asyncio
import termios
from typing import Literal, Protocol, Self

import serial
import serial_asyncio_fast
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from telemetry.errors import Unavailable
from telemetry.settings import HostName

_CONNECT_TIMEOUT_S = 5.0
_READ_BYTES = 4096
_PARITY = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class LineSettings(BaseModel):
    """Where a line is and how it is spoken on. The serial format matters on a TCP server too: it is what paces us."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: str | None = None  # such as /dev/ttyUSB0; better one of /dev/serial/by-id, which stays
    host: HostName | None = None
    tcp_port: int = Field(default=4001, ge=1, le=65535)
    baud: int = Field(default=2400, ge=300, le=1_000_000)
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1
    quiet_ms: NonNegativeFloat = 100.0  # between what was heard last and the next request
    answer_delay_ms: PositiveFloat = 600.0  # how long a device may think before its first byte
    gap_ms: PositiveFloat = 500.0  # a frame whose next byte takes longer has ended
    settle_ms: NonNegativeFloat = (
        0.0  # what a late answer is waited for after none, where it could be taken for the next
    )

    @property
    def name(self) -> str:
        return self.port or f"{self.host}:{self.tcp_port}"

    @property
    def bits_per_byte(self) -> int:
        return 1 + self.data_bits + (self.parity != "none") + self.stop_bits

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.port is None) == (self.host is None):
            raise ValueError("give either 'port' (a serial port) or 'host' (a TCP serial server)")
        return self


class Line(Protocol):
    """Bytes out and in. Both raise Unavailable when the line is gone."""

    async def write(self, data: bytes) -> None:
        """Hand bytes over; they may still be on their way."""

    async def read(self, timeout_s: float) -> bytes:
        """What came, as soon as anything did; nothing when the time is up."""

    def set_baud(self, baud: int) -> bool:
        """Go on at another rate; False where that cannot be done from here."""

    def close(self) -> None: ...


class StreamLine:
    """Implements `Line`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Unavailable(f"writing to {self._name}: {error}") from error

    async def read(self, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                data = await self._reader.read(_READ_BYTES)
        except TimeoutError:
            return b""
        except OSError as error:
            raise Unavailable(f"reading from {self._name}: {error}") from error
        if not data:
            raise Unavailable(f"{self._name} was closed by the other side")
        return data

    def set_baud(self, baud: int) -> bool:
        port = getattr(self._writer.transport, "serial", None)
        if port is None:
            return False
        port.baudrate = baud
        return True

    def close(self) -> None:
        # Not once all is out: a port that hangs would stay ours, and nobody could open it anew.
        self._writer.transport.abort()


async def open_line(settings: LineSettings) -> Line:
    """Raises Unavailable: there is no such port, somebody else has it, or the server does not answer."""
    try:
        if settings.port is None:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                streams = await asyncio.open_connection(settings.host, settings.tcp_port)
        else:
            streams = await serial_asyncio_fast.open_serial_connection(
                url=settings.port,
                baudrate=settings.baud,
                bytesize=settings.data_bits,
                parity=_PARITY[settings.parity],
                stopbits=settings.stop_bits,
                exclusive=True,  # two who ask at once hear each other's answers
            )
    except (OSError, TimeoutError, ValueError, termios.error) as error:  # the last: a port that lacks this format
        raise Unavailable(f"opening {settings.name}: {error or 'no answer'}") from error
    return StreamLine(*streams, settings.name)
