"""DL/T 698.45 as bytes, without I/O: requests out; frames in, of either direction.

    68 | L L | C | AF A.. | CA | HCS HCS | APDU | FCS FCS | 16

L counts the bytes between 68 and 16. C says the direction (bit 7), who began (bit 6), that the APDU is a part (bit 5),
that its bytes travel with 33 added (bit 3), and the function. AF has the sort of address in its two highest bits and the
address' length less one in its four lowest; the address is low byte first. HCS covers what stands between 68 and itself,
FCS what stands between 68 and itself, both CRC-16/X-25, low byte first. A wrong length is found out by HCS already, so it
does not make the reader wait.

False frames: two fixed bytes and two sums leave random bytes less than 2^-48 a position.

Source: DL/T 698.45-2017 §7.1; frames in the vectors that are named in the tests.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from gateway.framing import FrameReader

WAKE_UP = b"\xfe\xfe\xfe\xfe"
APDU_MAX = 2048
_START, _END, _OFFSET = 0x68, 0x16, 0x33
_FROM_METER, _IS_PART, _IS_SCRAMBLED, _FUNCTION = 0x80, 0x20, 0x08, 0x07
_MINUS = bytes((byte - _OFFSET) & 0xFF for byte in range(256))
_HEADER_BYTES = 8  # 68 to HCS without the address


class AddressSort(IntEnum):
    """Who is meant."""

    SINGLE = 0
    WILDCARD = 1
    GROUP = 2
    BROADCAST = 3


def _table() -> tuple[int, ...]:
    sums = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
        sums.append(value)
    return tuple(sums)


_TABLE = _table()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of either direction."""

    control: int
    sort: AddressSort
    logical: int  # device behind the address
    address: str  # as printed, high byte first
    client: int
    apdu: bytes  # without the 33 that it may travel with

    @property
    def is_answer(self) -> bool:
        return bool(self.control & _FROM_METER) and self.function == 3

    @property
    def is_part(self) -> bool:
        """Whether the APDU is a part of one, behind two bytes that number it."""
        return bool(self.control & _IS_PART)

    @property
    def function(self) -> int:
        """1 the link itself, 3 data."""
        return self.control & _FUNCTION


def crc(data: bytes) -> int:
    """CRC-16/X-25."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFF


def encode(address: str, apdu: bytes, client: int = 0x10) -> bytes:
    """A request with its wake-up bytes. `address` as printed, of an even number of digits; A for digits that may be any."""
    sort = AddressSort.WILDCARD if "A" in address.upper() else AddressSort.SINGLE
    wire_address = bytes.fromhex(address)[::-1]
    assert 0 < len(wire_address) <= 16 and len(apdu) <= APDU_MAX
    length = _HEADER_BYTES + 1 + len(wire_address) + len(apdu)  # less 68, with the sum of two
    head = struct.pack("<HBB", length, 0x43, sort << 6 | len(wire_address) - 1) + wire_address + bytes([client])
    body = head + struct.pack("<H", crc(head)) + apdu
    return WAKE_UP + bytes([_START]) + body + struct.pack("<H", crc(body)) + bytes([_END])


def frame_reader() -> FrameReader[Frame]:
    """Finds frames of both directions."""
    return FrameReader(_size, _parsed, bytes([_START]), WAKE_UP[:1])


def _size(buffer: bytearray, start: int) -> int | None:
    available = len(buffer) - start
    if available < 5:
        return None
    length = buffer[start + 1] | buffer[start + 2] << 8
    header = _HEADER_BYTES + (buffer[start + 4] & 0x0F) + 1
    if not header <= length <= APDU_MAX + 32:
        return 0
    if available < header:
        return None
    if (
        crc(bytes(buffer[start + 1 : start + header - 2]))
        != buffer[start + header - 2] | buffer[start + header - 1] << 8
    ):
        return 0
    return length + 2


def _parsed(frame: bytes) -> Frame | None:
    if frame[-1] != _END or crc(frame[1:-3]) != frame[-3] | frame[-2] << 8:
        return None
    control, format_ = frame[3], frame[4]
    end = 5 + (format_ & 0x0F) + 1
    apdu = frame[end + 3 : -3]
    if control & _IS_SCRAMBLED:
        apdu = apdu.translate(_MINUS)
    address = frame[5:end][::-1].hex().upper()
    return Frame(control, AddressSort(format_ >> 6), format_ >> 4 & 3, address, frame[end], apdu)
