"""Modbus TCP as bytes, without I/O: requests out; answers and refusals in.

An answer on the wire: transaction (2), protocol (2, zero), length (2), unit (1), function (1), then for a read the byte
count (1) and registers of 2 bytes, for the write of a coil its address and value as they were asked, for a refusal
(function + 0x80) one exception code. Everything is big-endian.
Nothing in TCP marks where an answer starts; after noise the reader moves on byte by byte until the fixed bytes and the
two lengths agree with each other.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, §3.1.3; MODBUS Application Protocol V1.1b3, §6.3, 6.4, 7.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

REGISTERS_MAX = 125  # of one request: 250 bytes, the most a protocol data unit holds
ADDRESS_MAX = 0xFFFF
HEADER_BYTES = 7  # through the unit
_EXCEPTION = 0x80
_FUNCTION_MAX = 0x2B

EXCEPTION_WORDS = {
    1: "illegal function: the unit does not know this kind of read; try input instead of holding or the reverse",
    2: "illegal data address: the unit has no such register, or refuses to read across a gap",
    3: "illegal data value: the unit refuses this number of registers; lower registers_max",
    4: "the unit failed",
    5: "acknowledged, still working",
    6: "the unit is busy",
    8: "memory parity error in the unit",
    10: "gateway path unavailable: the converter is misconfigured or overloaded",
    11: "gateway target failed to respond: nobody has this unit number on the line, or it is dead",
}


class Function(IntEnum):
    """The two reads, and the write of a single coil."""

    HOLDING = 3
    INPUT = 4
    WRITE_COIL = 5


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
        return f"exception {self.code}: {EXCEPTION_WORDS.get(self.code, 'a code the standard does not know')}"


Response: TypeAlias = "Answer | Refusal"


def encode_read(transaction: int, unit: int, function: Function, address: int, count: int) -> bytes:
    """A request for `count` registers from `address` on."""
    assert 1 <= count <= REGISTERS_MAX and 0 <= address <= ADDRESS_MAX + 1 - count
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count)


def encode_write_coil(transaction: int, unit: int, address: int, is_on: bool) -> bytes:
    """A request to switch one coil."""
    assert 0 <= address <= ADDRESS_MAX
    value = 0xFF00 if is_on else 0
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, Function.WRITE_COIL, address, value)


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


def decode_value(registers: Sequence[int], type_: str, low_first: bool) -> float | None:
    """The raw value of one point. None for a float32 that is no number."""
    words = registers[::-1] if low_first else registers
    data = struct.pack(f">{len(words)}H", *words)
    value = struct.unpack({"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f"}[type_], data)
    return value[0] if math.isfinite(value[0]) else None


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
    length, function = buffer[start + 5], buffer[start + 7]
    if function & _EXCEPTION:
        if length != 3 or not 1 <= function - _EXCEPTION <= _FUNCTION_MAX:
            return 0
    elif function == Function.WRITE_COIL:
        if length != 6:
            return 0
    else:
        if function not in (Function.HOLDING, Function.INPUT) or length % 2 == 0 or length < 5:
            return 0
        if available > 8 and buffer[start + 8] != length - 3:
            return 0
    return 6 + length if available >= 6 + length else None


def _parsed(response: bytes) -> Response:
    transaction, _, _, unit, function = struct.unpack_from(">HHHBB", response)
    if function & _EXCEPTION:
        return Refusal(transaction, unit, function - _EXCEPTION, response[8])
    if function == Function.WRITE_COIL:
        return Answer(transaction, unit, function, struct.unpack_from(">HH", response, 8))
    return Answer(transaction, unit, function, struct.unpack(f">{response[8] // 2}H", response[9:]))
