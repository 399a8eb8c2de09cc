"""Modbus TCP as bytes, without I/O: requests out; answers and refusals in.

An answer on the wire: transaction (2), protocol (2, zero), length (2), unit (1), function (1), then for a read the byte
count (1) and registers of 2 bytes, for the write of a coil its address and value as they were asked, for a refusal
(function + 0x80) one exception code. Everything is big-endian.
Nothing in TCP marks where an answer starts; after noise the reader moves on byte by byte until the fixed bytes and the
two lengths agree with each other.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, §3.1.3; MODBUS Application Protocol V1.1b3, §6.3, 6.4, 7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from gateway.modbus.pdu import (
    EXCEPTION,
    REGISTERS_MAX,
    Function,
    exception_of,
    exception_words,
    read_request,
    registers_of,
    response_size,
    write_coil_request,
)

HEADER_BYTES = 7  # through the unit


@dataclass(frozen=True, slots=True)
class Answer:
    """A unit answered with registers; after a write, with the coil's address and value."""

    transaction: int
    unit: int
    function: int
    registers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A unit, or the converter in front of it, answered with an exception."""

    transaction: int
    unit: int
    function: int  # as it was asked, without 0x80
    code: int

    @property
    def words(self) -> str:
        return exception_words(self.code)


Response: TypeAlias = "Answer | Refusal"


def encode_read(transaction: int, unit: int, function: Function, address: int, count: int) -> bytes:
    """A request for `count` registers from `address` on."""
    return _encode(transaction, unit, read_request(function, address, count))


def encode_write_coil(transaction: int, unit: int, address: int, is_on: bool) -> bytes:
    """A request to switch one coil."""
    return _encode(transaction, unit, write_coil_request(address, is_on))


class ResponseReader:
    """Bytes in, responses out, however the bytes are cut. `noise_bytes` counts what belonged to no response."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.noise_bytes = 0

    def feed(self, data: bytes) -> list[Response]:
        """The responses that are complete now."""
        self._buffer += data
        responses: list[Response] = []
        start = 0
        while True:
            size = _response_size(self._buffer, start)
            if size is None:
                break
            if size == 0:
                start += 1
                self.noise_bytes += 1
                continue
            responses.append(_parsed(bytes(self._buffer[start : start + size])))
            start += size
        del self._buffer[:start]
        return responses

    def reset(self) -> None:
        """Forget a response of which only a part came."""
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()


def _encode(transaction: int, unit: int, request: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, 1 + len(request), unit) + request


def _response_size(buffer: bytearray, start: int) -> int | None:
    """Bytes of the response at `start`; 0 when none can start there; None when that is not known yet."""
    available = len(buffer) - start
    if available > 2 and buffer[start + 2] != 0:
        return 0
    if available > 3 and buffer[start + 3] != 0:
        return 0
    if available > 4 and buffer[start + 4] != 0:  # no response is as long as 256 bytes
        return 0
    if available > 5 and not 3 <= buffer[start + 5] <= 3 + 2 * REGISTERS_MAX:
        return 0
    if available <= HEADER_BYTES:
        return None
    length, size = buffer[start + 5], response_size(buffer, start + HEADER_BYTES)
    if size is not None and size != length - 1:
        return 0
    return 6 + length if available >= 6 + length else None


def _parsed(response: bytes) -> Response:
    transaction, _, _, unit = struct.unpack_from(">HHHB", response)
    pdu = response[HEADER_BYTES:]
    code = exception_of(pdu)
    if code is not None:
        return Refusal(transaction, unit, pdu[0] - EXCEPTION, code)
    return Answer(transaction, unit, pdu[0], registers_of(pdu))
