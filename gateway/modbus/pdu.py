"""The protocol data unit of Modbus, which the serial line and TCP carry alike. Everything is big-endian.

A request is a function and its fields. An answer to a read is the function, a byte count and the registers; to a write,
what was written where; a refusal is the function + 0x80 and one code.

Source: MODBUS Application Protocol V1.1b3, §6 and 7.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum

from telemetry.errors import BadInput

REGISTERS_MAX = 125  # of one request: 250 bytes, the most a protocol data unit holds
ADDRESS_MAX = 0xFFFF
EXCEPTION = 0x80
FUNCTION_MAX = 0x2B
READS = (1, 2, 3, 4)
WRITES = (5, 6, 15, 16)
COIL_ON, COIL_OFF = 0xFF00, 0

EXCEPTION_WORDS: Mapping[int, str] = {
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


def read_request(function: Function, address: int, count: int) -> bytes:
    """Ask for `count` registers from `address` on."""
    assert 1 <= count <= REGISTERS_MAX and 0 <= address <= ADDRESS_MAX + 1 - count
    return struct.pack(">BHH", function, address, count)


def write_coil_request(address: int, is_on: bool) -> bytes:
    """Switch one coil."""
    assert 0 <= address <= ADDRESS_MAX
    return struct.pack(">BHH", Function.WRITE_COIL, address, COIL_ON if is_on else COIL_OFF)


def exception_words(code: int) -> str:
    return f"exception {code}: {EXCEPTION_WORDS.get(code, 'a code the standard does not know')}"


def response_size(buffer: bytes | bytearray, at: int) -> int | None:
    """Bytes of the answer whose function stands at `at`; 0 when none can be; None when that is not known yet."""
    available = len(buffer) - at
    if available < 1:
        return None
    function = buffer[at]
    if function & EXCEPTION:
        return 2 if 1 <= function - EXCEPTION <= FUNCTION_MAX else 0
    if function in WRITES:
        return 5
    if function not in READS:
        return 0
    if available < 2:
        return None
    count = buffer[at + 1]
    is_whole = function in (1, 2) or count % 2 == 0
    return 2 + count if 0 < count <= 2 * REGISTERS_MAX and is_whole else 0


def request_size(buffer: bytes | bytearray, at: int) -> int | None:
    """Bytes of the request whose function stands at `at`; 0 when none can be; None when that is not known yet."""
    available = len(buffer) - at
    if available < 1:
        return None
    function = buffer[at]
    if function in (*READS, 5, 6):
        return 5
    if function not in (15, 16):
        return 0
    if available < 6:
        return None
    count, byte_count = int.from_bytes(buffer[at + 3 : at + 5], "big"), buffer[at + 5]
    return 6 + byte_count if byte_count == (2 * count if function == 16 else (count + 7) // 8) else 0


def registers_of(pdu: bytes) -> tuple[int, ...]:
    """The registers of an answer to a read; after a write, what was written where."""
    if pdu[0] in WRITES:
        return struct.unpack(">HH", pdu[1:5])
    return struct.unpack(f">{pdu[1] // 2}H", pdu[2 : 2 + pdu[1] // 2 * 2])


def exception_of(pdu: bytes) -> int | None:
    """The code of a refusal; None of an answer."""
    return pdu[1] if pdu[0] & EXCEPTION else None


FORMATS: Mapping[str, str] = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "float32": ">f",
    "uint64": ">Q",
    "int64": ">q",
    "float64": ">d",
}
REGISTER_COUNT: Mapping[str, int] = {name: struct.calcsize(format_) // 2 for name, format_ in FORMATS.items()}


def decode_value(registers: Sequence[int], type_: str, low_first: bool) -> float | None:
    """The raw value of one point. None for a float that is no number."""
    if len(registers) != REGISTER_COUNT[type_]:
        raise BadInput("bad-answer", f"{len(registers)} registers where a {type_} has {REGISTER_COUNT[type_]}")
    words = registers[::-1] if low_first else registers
    value = struct.unpack(FORMATS[type_], struct.pack(f">{len(words)}H", *words))[0]
    return value if math.isfinite(value) else None
