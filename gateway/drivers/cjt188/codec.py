"""CJ/T 188-2004 as bytes, without I/O: requests out; frames in, of either direction.

    FE.. | 68 | T | A0..A6 | C | L | DATA | CS | 16

T is the sort of meter, the address fourteen decimal digits, low byte first, the last four of which as printed lead and
name the vendor. C says the direction (bit 7), a refusal (bit 6) and the function. DATA is an identifier of two bytes, a
serial number that the meter repeats, and what is said; a refusal has the serial number and two status bytes. CS is the
sum from 68 to the end of DATA, modulo 256; nothing is added to the bytes.

The identifier goes out as it is printed (90 1F); a widespread dialect swaps its bytes (1F 90). Which of both an answer
uses is told by what exists: 901F does, 1F90 does not.

False frames: two fixed bytes, the sum, and the values that T, C and L can have leave random bytes about 4e-10 a position,
0.004 in ten million bytes.

Source: CJ/T 188-2004 §7 and annexes; frames in the vectors that are named in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.framing import FrameReader

WAKE_UP = b"\xfe\xfe\xfe\xfe"
ANYBODY = "AA" * 7
DATA_MAX = 100  # of an answer; 50 of a write
OVERHEAD = 13  # bytes of a frame besides its data
_START, _END = 0x68, 0x16
_ANSWER, _REFUSAL, _FUNCTION = 0x80, 0x40, 0x3F
_SORTS = frozenset(range(0x10, 0x50)) | {0xAA}

METERING = "901F"
ADDRESS = "810A"
VALVE = "A017"
_IDENTIFIERS = frozenset(
    [METERING, ADDRESS, VALVE, "8102", "8103", "8104", "8105", "8106"]
    + [f"D1{20 + month:02}" for month in range(10)]
    + ["D12A", "D12B", "A010", "A011", "A012", "A013", "A014", "A015", "A016", "A018", "A019"]
)


class Function(IntEnum):
    """What a frame is about."""

    READ = 0x01
    READ_ADDRESS = 0x03
    WRITE = 0x04
    KEY_VERSION = 0x09
    WRITE_ADDRESS = 0x15
    SET_BASE = 0x16


_CONTROLS = frozenset(f | bits for f in Function for bits in (0, _ANSWER, _ANSWER | _REFUSAL))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of either direction."""

    sort: int  # 10 cold water, 11 hot water, 20 heat, 30 gas, ...; AA any
    address: str  # fourteen digits, high byte first: the vendor, then the number on the meter
    control: int
    data: bytes

    @property
    def is_answer(self) -> bool:
        return bool(self.control & _ANSWER)

    @property
    def is_refusal(self) -> bool:
        return bool(self.control & _REFUSAL)

    @property
    def function(self) -> int:
        return self.control & _FUNCTION

    @property
    def vendor(self) -> str:
        return self.address[:4]

    @property
    def meter_number(self) -> str:
        return self.address[4:]

    @property
    def is_swapped(self) -> bool:
        """Whether the identifier came with its bytes the other way round."""
        sent = self.data[:2]
        return (
            not self.is_refusal and sent.hex().upper() not in _IDENTIFIERS and sent[::-1].hex().upper() in _IDENTIFIERS
        )

    @property
    def identifier(self) -> str | None:
        """Which data this is about, as it is printed, such as 901F; None in a refusal."""
        if self.is_refusal or len(self.data) < 3:
            return None
        return (self.data[1::-1] if self.is_swapped else self.data[:2]).hex().upper()

    @property
    def serial(self) -> int | None:
        """The number that an answer repeats from its request."""
        at = 0 if self.is_refusal else 2
        return self.data[at] if len(self.data) > at else None

    @property
    def value(self) -> bytes:
        """What is said, behind identifier and serial number; of a refusal, its status."""
        return self.data[1:] if self.is_refusal else self.data[3:]


def encode(sort: int, address: str, control: int, data: bytes) -> bytes:
    """A frame with its wake-up bytes; `address` as printed, fourteen digits."""
    assert len(address) == 14 and len(data) <= DATA_MAX, address
    frame = bytes([_START, sort, *bytes.fromhex(address)[::-1], control, len(data)]) + data
    return WAKE_UP + frame + bytes([sum(frame) & 0xFF, _END])


def encode_read(sort: int, address: str, identifier: str, serial: int, is_swapped: bool = False) -> bytes:
    """Ask for data."""
    sent = bytes.fromhex(identifier)
    return encode(sort, address, Function.READ, (sent[::-1] if is_swapped else sent) + bytes([serial]))


def encode_read_address(serial: int) -> bytes:
    """Ask the only meter on a line who it is."""
    return encode(0xAA, ANYBODY, Function.READ_ADDRESS, bytes.fromhex(ADDRESS) + bytes([serial]))


def encode_valve(sort: int, address: str, is_open: bool, serial: int, is_swapped: bool = False) -> bytes:
    """Open or close the valve of a meter that has one."""
    sent = bytes.fromhex(VALVE)
    return encode(
        sort,
        address,
        Function.WRITE,
        (sent[::-1] if is_swapped else sent) + bytes([serial, 0x55 if is_open else 0x99]),
    )


def frame_reader() -> FrameReader[Frame]:
    """Finds frames of both directions and both orders of the identifier."""
    return FrameReader(_size, _parsed, bytes([_START]), WAKE_UP[:1])


def _size(buffer: bytearray, start: int) -> int | None:
    available = len(buffer) - start
    if available > 1 and buffer[start + 1] not in _SORTS:
        return 0
    if available > 9 and buffer[start + 9] not in _CONTROLS:
        return 0
    if available <= 10:
        return None
    length = buffer[start + 10]
    return length + OVERHEAD if length <= DATA_MAX else 0


def _parsed(frame: bytes) -> Frame | None:
    if frame[-1] != _END or sum(frame[:-2]) & 0xFF != frame[-2]:
        return None
    return Frame(frame[1], frame[8:1:-1].hex().upper(), frame[9], frame[11:-2])
