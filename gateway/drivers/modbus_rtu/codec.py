"""Modbus RTU as bytes, without I/O: a unit number, the protocol data unit, and a CRC-16, low byte first.

Nothing marks where a frame starts: only its length, which follows from the function, and the CRC. Requests and answers
are told apart by who reads them, so there is a reader for each. Random bytes hold an answer to a read of registers 3e-7
times a position, and any answer 3 times in ten million bytes; whoever asked compares unit, function and count as well.

Source: MODBUS over Serial Line V1.02, §2.5.1; the CRC ibid. appendix B.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.framing import FrameReader
from gateway.modbus.pdu import (
    EXCEPTION,
    EXCEPTION_WORDS,
    READS,
    WRITES,
    Function,
    exception_of,
    read_request,
    registers_of,
    request_size,
    response_size,
)

OVERHEAD = 3  # bytes of a frame besides the data unit
UNIT_MAX = 247


def _table() -> tuple[int, ...]:
    sums = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
        sums.append(value)
    return tuple(sums)


_TABLE = _table()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; the reader that found it says whether it is a request or an answer."""

    unit: int
    pdu: bytes

    @property
    def function(self) -> int:
        """As it was asked, without 0x80."""
        return self.pdu[0] & ~EXCEPTION

    @property
    def exception(self) -> int | None:
        """The code of a refusal; None of anything else."""
        return exception_of(self.pdu)

    @property
    def registers(self) -> tuple[int, ...]:
        """Of an answer."""
        return registers_of(self.pdu)


def crc(data: bytes) -> int:
    """CRC-16/MODBUS."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def encode(unit: int, pdu: bytes) -> bytes:
    """A frame around a data unit."""
    body = bytes([unit]) + pdu
    return body + struct.pack("<H", crc(body))


def encode_read(unit: int, function: Function, address: int, count: int) -> bytes:
    """A request for `count` registers from `address` on."""
    return encode(unit, read_request(function, address, count))


def answer_reader() -> FrameReader[Frame]:
    """Finds what units send."""
    return FrameReader(_answer_size, _parsed)


def request_reader() -> FrameReader[Frame]:
    """Finds what is asked of them."""
    return FrameReader(_request_size, _parsed)


def _answer_size(buffer: bytearray, start: int) -> int | None:
    if len(buffer) - start > 2 and buffer[start + 1] & EXCEPTION:
        is_plausible = buffer[start + 1] - EXCEPTION in (*READS, *WRITES) and buffer[start + 2] in EXCEPTION_WORDS
        return 2 + OVERHEAD if is_plausible else 0
    size = response_size(buffer, start + 1)
    return size and size + OVERHEAD


def _request_size(buffer: bytearray, start: int) -> int | None:
    size = request_size(buffer, start + 1)
    return size and size + OVERHEAD


def _parsed(frame: bytes) -> Frame | None:
    if crc(frame[:-2]) != frame[-2] | frame[-1] << 8:
        return None
    return Frame(frame[0], frame[1:-2])
