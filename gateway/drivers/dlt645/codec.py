"""DL/T 645-2007 and -1997 as bytes, without I/O: requests out; frames in, of either direction.

    FE FE FE FE | 68 | A0..A5 | 68 | C | L | DATA | CS | 16

The address is twelve decimal digits, low byte first; bytes AA at the high end stand for any. C says the direction (bit
7), a refusal (bit 6), that more follows (bit 5), and the function. Every byte of DATA travels with 33 added, modulo 256;
a data identifier of four bytes (2007) or two (1997) leads it, low byte first. CS is the sum from the first 68 to the end
of DATA, modulo 256. Both editions share this frame and differ in functions, identifiers and formats.

Nothing marks an end but the length: 16 and 68 occur inside. False frames: three fixed bytes, the sum and a length of at
most 200 leave random bytes one chance in 2^32 * 256 / 201 a position, about 0.002 in ten million bytes.

Source: DL/T 645-2007 §5, 7 and annex A; DL/T 645-1997 §5, 6; frames in the vectors that are named in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from gateway.framing import FrameReader
from telemetry.errors import BadInput

WAKE_UP = b"\xfe\xfe\xfe\xfe"
ANYBODY = "AAAAAAAAAAAA"
EVERYBODY = "999999999999"  # nobody answers
DATA_MAX = 200  # of an answer; 50 of a write
OVERHEAD = 12  # bytes of a frame besides its data
_START, _END, _OFFSET = 0x68, 0x16, 0x33
_ANSWER, _REFUSAL, _FOLLOWS, _FUNCTION = 0x80, 0x40, 0x20, 0x1F
_PLUS = bytes((byte + _OFFSET) & 0xFF for byte in range(256))
_MINUS = bytes((byte - _OFFSET) & 0xFF for byte in range(256))

REFUSAL_WORDS_2007 = (
    "other error",
    "no such data",
    "wrong password, or not authorised",
    "the baud rate cannot be changed",
    "too many year zones",
    "too many day slots",
    "too many tariffs",
)
REFUSAL_WORDS_1997 = ("illegal data", "no such data", "wrong password", "", "too many year zones", "too many day slots")


class Function(IntEnum):
    """What a frame is about. Values 0x10 and up are those of 2007, but for 03 and 08; the rest are those of 1997."""

    READ_1997 = 0x01
    READ_NEXT_1997 = 0x02
    SECURITY = 0x03
    WRITE_1997 = 0x04
    SET_TIME = 0x08  # in both
    WRITE_ADDRESS_1997 = 0x0A
    BAUD_1997 = 0x0C
    PASSWORD_1997 = 0x0F
    CLEAR_DEMAND_1997 = 0x10
    READ = 0x11
    READ_NEXT = 0x12
    READ_ADDRESS = 0x13
    WRITE = 0x14
    WRITE_ADDRESS = 0x15
    FREEZE = 0x16
    BAUD = 0x17
    PASSWORD = 0x18
    CLEAR_DEMAND = 0x19
    CLEAR_METER = 0x1A
    CLEAR_EVENTS = 0x1B
    RELAY = 0x1C
    OUTPUT = 0x1D


class Relay(IntEnum):
    """N1 of a relay command."""

    TRIP = 0x1A
    CLOSE_PERMITTED = 0x1B  # somebody has to press the button at the meter
    CLOSE = 0x1C


_IDENTIFIER_BYTES: Mapping[int, int] = {
    **dict.fromkeys((Function.READ_1997, Function.READ_NEXT_1997, Function.WRITE_1997), 2),
    **dict.fromkeys((Function.READ, Function.READ_NEXT, Function.WRITE), 4),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of either direction."""

    address: str  # twelve digits as they are printed on the meter; A for digits that may be any
    control: int
    data: bytes  # without the 33 that travels with each byte, in the order of the wire

    @property
    def is_answer(self) -> bool:
        return bool(self.control & _ANSWER)

    @property
    def is_refusal(self) -> bool:
        return bool(self.control & _REFUSAL)

    @property
    def is_followed(self) -> bool:
        """Whether the rest of the data has to be asked for."""
        return bool(self.control & _FOLLOWS)

    @property
    def function(self) -> int:
        return self.control & _FUNCTION

    @property
    def identifier(self) -> str | None:
        """Which data this is about, high byte first, such as 00010000; None where the function names none."""
        count = _IDENTIFIER_BYTES.get(self.function, 0)
        is_named = count and not self.is_refusal and len(self.data) >= count
        return self.data[:count][::-1].hex().upper() if is_named else None

    @property
    def value(self) -> bytes:
        """The data behind the identifier, without the number at the end of a following frame."""
        start = len(self.identifier or "") // 2
        is_next = self.is_answer and self.function in (Function.READ_NEXT, Function.READ_NEXT_1997)
        return self.data[start:-1] if is_next else self.data[start:]

    @property
    def refusal_words(self) -> str:
        """Why a meter refused."""
        words = REFUSAL_WORDS_2007 if self.function >= Function.CLEAR_DEMAND_1997 else REFUSAL_WORDS_1997
        bits = self.data[0] if self.data else 0
        named = [word for bit, word in enumerate(words) if bits >> bit & 1 and word]
        return f"refused with {bits:02X}: {', '.join(named) or 'a code the standard does not know'}"


def encode(address: str, control: int, data: bytes = b"") -> bytes:
    """A frame with its wake-up bytes. `address` as printed; shorter than twelve digits means that the rest may be any."""
    assert len(address) <= 12 and len(address) % 2 == 0 and len(data) <= DATA_MAX, address
    wire_address = bytes.fromhex(address.rjust(12, "A"))[::-1]
    frame = bytes([_START, *wire_address, _START, control, len(data)]) + data.translate(_PLUS)
    return WAKE_UP + frame + bytes([sum(frame) & 0xFF, _END])


def encode_read(address: str, identifier: str) -> bytes:
    """Ask for data; the length of the identifier tells the edition."""
    function = Function.READ if len(identifier) == 8 else Function.READ_1997
    return encode(address, function, bytes.fromhex(identifier)[::-1])


def encode_read_next(address: str, identifier: str, number: int) -> bytes:
    """Ask for what follows, `number` from 1 on; the edition of 1997 does not number."""
    wire_identifier = bytes.fromhex(identifier)[::-1]
    if len(identifier) == 8:
        return encode(address, Function.READ_NEXT, wire_identifier + bytes([number]))
    return encode(address, Function.READ_NEXT_1997, wire_identifier)


def encode_relay(address: str, action: Relay, level: int, password: str, operator: str, until: datetime) -> bytes:
    """Switch a meter's relay (2007, §7.4 and annex B). The meter ignores it after `until`.

    Args:
        address: Of one meter: no wildcard.
        action: What to do.
        level: Of the password, as the meter was set up (02 for relays by default).
        password: Six digits.
        operator: Eight digits that the meter records.
        until: By the meter's clock.
    """
    assert len(address) == 12 and address.isdecimal() and len(password) == 6 and len(operator) == 8
    valid = bytes.fromhex(until.strftime("%S%M%H%d%m%y"))
    return encode(
        address,
        Function.RELAY,
        bytes([level]) + bytes.fromhex(password)[::-1] + bytes.fromhex(operator)[::-1] + bytes([action, 0]) + valid,
    )


def frame_reader() -> FrameReader[Frame]:
    """Finds frames of both directions and both editions."""
    return FrameReader(_size, _parsed, bytes([_START]), WAKE_UP[:1])


def joined(frames: list[Frame]) -> Frame:
    """An answer and those that followed it as one. Raises BadInput when they do not belong together."""
    first = frames[0]
    for number, frame in enumerate(frames[1:], 1):
        if frame.identifier != first.identifier or (len(frame.identifier or "") == 8 and frame.data[-1] != number):
            raise BadInput(
                "bad-answer", f"part {number} of {first.identifier} came out of turn; the data is read again"
            )
    return Frame(first.address, first.control & ~_FOLLOWS, first.data + b"".join(frame.value for frame in frames[1:]))


def is_of(address: str, asked: str) -> bool:
    """Whether a meter with this address was asked. Some of 1997 answer with the wildcard that they were asked by."""
    asked = asked.rjust(12, "A").upper()
    return all(want in ("A", got) for want, got in zip(asked, address, strict=True)) or address == ANYBODY


def _size(buffer: bytearray, start: int) -> int | None:
    available = len(buffer) - start
    if available > 7 and buffer[start + 7] != _START:
        return 0
    if available <= 9:
        return None
    length = buffer[start + 9]
    if length > DATA_MAX:
        return 0
    return length + OVERHEAD


def _parsed(frame: bytes) -> Frame | None:
    if frame[-1] != _END or sum(frame[:-2]) & 0xFF != frame[-2]:
        return None
    return Frame(frame[6:0:-1].hex().upper(), frame[8], frame[10:-2].translate(_MINUS))
