"""Modbus TCP as a meter speaks it: request bytes in, reply bytes out. No sockets.

Written independently of the gateway's codec. Only reading exists: functions 3 (holding) and 4 (input registers).
Source: Modbus Application Protocol V1.1b3, 6.3, 6.4 and 7; Modbus Messaging on TCP/IP V1.0b, 3.1.3 (MBAP header).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

RegisterType: TypeAlias = Literal["uint16", "int16", "uint32", "int32", "float32"]
WordOrder: TypeAlias = Literal["high-first", "low-first"]

READ_HOLDING, READ_INPUT = 3, 4
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
COUNT_MAX = 125

_FORMAT: dict[RegisterType, str] = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f"}
_RANGE: dict[RegisterType, tuple[int, int]] = {
    "uint16": (0, 2**16 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


class NotModbusError(Exception):
    """The other side does not speak Modbus TCP: close the connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived. `body` is the PDU behind the function code."""

    transaction: int
    unit: int
    function: int
    body: bytes

    @property
    def span(self) -> tuple[int, int] | None:
        """(first address, count) of a read; None where the body is no such thing."""
        if self.function not in (READ_HOLDING, READ_INPUT) or len(self.body) != 4:
            return None
        address, count = struct.unpack(">HH", self.body)
        return address, count


class RequestReader:
    """Turns a byte stream into requests, whatever way it is cut. Holds at most one ADU (260 bytes)."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that these bytes complete. Raises NotModbusError when they cannot be any."""
        self._buffer += data
        requests = []
        while len(self._buffer) >= 8:
            transaction, protocol, length, unit, function = struct.unpack_from(">HHHBB", self._buffer)
            if protocol != 0 or not 2 <= length <= 254:
                raise NotModbusError(f"protocol {protocol}, length {length}")
            if len(self._buffer) < 6 + length:
                break
            requests.append(Request(transaction, unit, function, self._buffer[8 : 6 + length]))
            self._buffer = self._buffer[6 + length :]
        return requests


def reply(request: Request, registers: Mapping[int, Mapping[int, int]]) -> bytes:
    """What a meter answers over TCP; `registers` as in `answer`."""
    return _adu(request, answer(request, registers))


def answer(request: Request, registers: Mapping[int, Mapping[int, int]]) -> bytes:
    """The PDU that a meter answers, on whatever carrier.

    Args:
        request: From a gateway, to this meter's unit.
        registers: For each function the meter supports, its words by address. Addresses between two known ones read as
            zero, as on real meters; anything past the last is refused.
    """
    words = registers.get(request.function)
    if words is None:
        return bytes((request.function | 0x80, ILLEGAL_FUNCTION))
    span = request.span
    if span is None or not 1 <= span[1] <= COUNT_MAX:
        return bytes((request.function | 0x80, ILLEGAL_VALUE))
    address, count = span
    if address + count - 1 > max(words):
        return bytes((request.function | 0x80, ILLEGAL_ADDRESS))
    data = struct.pack(f">{count}H", *(words.get(at, 0) for at in range(address, address + count)))
    return bytes((request.function, len(data))) + data


def encode(value: float, kind: RegisterType, order: WordOrder) -> tuple[int, ...]:
    """The words of a raw value, in the order of their addresses; integers are rounded and held within their range."""
    if kind == "float32":
        data = struct.pack(">f", value)
    else:
        low, high = _RANGE[kind]
        data = struct.pack(_FORMAT[kind], min(max(round(value), low), high))
    words = struct.unpack(f">{len(data) // 2}H", data)
    return words if order == "high-first" else words[::-1]


def decode(words: tuple[int, ...], kind: RegisterType, order: WordOrder) -> float:
    """The raw value that a reader of these words gets."""
    ordered = words if order == "high-first" else words[::-1]
    (value,) = struct.unpack(_FORMAT[kind], struct.pack(f">{len(ordered)}H", *ordered))
    return float(value)


def _adu(request: Request, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", request.transaction, 0, 1 + len(pdu), request.unit) + pdu
