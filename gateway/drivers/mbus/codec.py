"""The link layer of wired M-Bus as bytes, without I/O: requests out; frames in, of either direction.

    10 C A CS 16                           short: a request
    68 L L 68 | C A CI data | CS 16        long: L counts from C to the end of the data
    E5                                     acknowledged; one byte without a sum, so only asked for where it can come

CS is the sum from C on, modulo 256. False long frames: five fixed bytes, one repeated, and the sum leave random bytes one
chance in about 2^40 a position; short ones, with the eight values of C that there are, 8 in 2^32: 0.02 in ten million
bytes. An acknowledgement is any E5.

Source: EN 13757-2; frames in the vectors that are named in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.framing import FrameReader

ACKNOWLEDGED = 0xE5
BY_SECONDARY_ADDRESS = 0xFD
ANYBODY = 0xFE
PRIMARY_MAX = 250
OVERHEAD = 6  # bytes of a long frame besides C to the end of the data
LONGEST = 255 + OVERHEAD
_SHORT, _LONG, _END = 0x10, 0x68, 0x16
_FRAME_COUNT_BIT = 0x20


class Control(IntEnum):
    """What a frame is about, without its count bits."""

    INITIALISE = 0x40  # SND_NKE
    SEND = 0x53  # SND_UD
    ASK = 0x5B  # REQ_UD2
    ASK_URGENT = 0x5A  # REQ_UD1
    ANSWER = 0x08  # RSP_UD


_SHORT_CONTROLS = frozenset(c | bits for c in (0x40, 0x49, 0x5A, 0x5B) for bits in (0, _FRAME_COUNT_BIT))


class Application(IntEnum):
    """CI: what the data of a long frame is."""

    SELECT = 0x52
    ERROR = 0x70
    LONG_HEADER = 0x72
    FIXED = 0x73
    NO_HEADER = 0x78
    SHORT_HEADER = 0x7A


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `application` is None for a short one."""

    control: int
    address: int
    application: int | None = None
    data: bytes = b""

    @property
    def is_answer(self) -> bool:
        return self.application is not None and not self.control & 0x40


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """E5."""


def encode_short(control: int, address: int, is_second: bool = False) -> bytes:
    """A request; `is_second` is the count bit, by which a meter tells a new one from one that is repeated."""
    control |= _FRAME_COUNT_BIT if is_second else 0
    return bytes([_SHORT, control, address, (control + address) & 0xFF, _END])


def encode_long(control: int, address: int, application: int, data: bytes) -> bytes:
    body = bytes([control, address, application]) + data
    assert len(body) <= 255
    return bytes([_LONG, len(body), len(body), _LONG]) + body + bytes([sum(body) & 0xFF, _END])


def encode_select(number: str, manufacturer: int = 0xFFFF, version: int = 0xFF, medium: int = 0xFF) -> bytes:
    """Make the meters that match answer at the address for them. `number` of eight digits, F for any digit."""
    assert len(number) == 8
    wanted = bytes.fromhex(number)[::-1] + manufacturer.to_bytes(2, "little") + bytes([version, medium])
    return encode_long(Control.SEND, BY_SECONDARY_ADDRESS, Application.SELECT, wanted)


def frame_reader() -> FrameReader[Frame | Acknowledgement]:
    """Finds short and long frames of both directions."""
    return FrameReader(_size, _parsed, bytes([_SHORT, _LONG]))


def acknowledgement_reader() -> FrameReader[Frame | Acknowledgement]:
    """Finds an acknowledgement too: for what follows a request that asks for one."""
    return FrameReader(_size, _parsed, bytes([_SHORT, _LONG, ACKNOWLEDGED]))


def _size(buffer: bytearray, start: int) -> int | None:
    first, available = buffer[start], len(buffer) - start
    if first == ACKNOWLEDGED:
        return 1
    if first == _SHORT:
        return 0 if available > 1 and buffer[start + 1] not in _SHORT_CONTROLS else 5
    if available > 2 and buffer[start + 1] != buffer[start + 2]:
        return 0
    if available > 3 and buffer[start + 3] != _LONG:
        return 0
    if available > 1 and buffer[start + 1] < 3:
        return 0
    return buffer[start + 1] + OVERHEAD if available > 3 else None


def _parsed(frame: bytes) -> Frame | Acknowledgement | None:
    if frame[0] == ACKNOWLEDGED:
        return Acknowledgement()
    body = frame[1:-2] if frame[0] == _SHORT else frame[4:-2]
    if frame[-1] != _END or sum(body) & 0xFF != frame[-2]:
        return None
    if frame[0] == _SHORT:
        return Frame(body[0], body[1])
    return Frame(body[0], body[1], body[2], body[3:])
