"""IEC 62056-21 mode C as bytes, without I/O: requests out; messages in.

    /?address!CR LF            who is there
    /XXXZ identification CR LF XXX is the maker, Z the fastest baud rate
    ACK 0 Z m CR LF            go on at this rate, and read out (m 0) or be programmed (m 1)
    STX data ! CR LF ETX BCC   the readout: lines of registers such as 1.8.0(001234.56*kWh)
    SOH command STX data ETX BCC   programming mode

BCC is the exclusive or of what follows SOH or the first STX, through ETX. It may have any value, that of ACK or of ETX
too: messages end by position. Between STX and ETX only printable characters and line ends can stand. Random bytes hold a
message about 1e-7 times a position, once in ten million bytes, all but always an empty or very short readout.

Source: IEC 62056-21:2002 §5 and 6; messages in the vectors that are named in the tests.
"""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass
from typing import TypeAlias

from gateway.framing import FrameReader

ACK, NAK = 0x06, 0x15
MESSAGE_MAX = 8192  # bytes of a readout; full ones of large meters have about 4,000
BAUD_RATES = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
_SOH, _STX, _ETX, _EOT, _SLASH = 0x01, 0x02, 0x03, 0x04, 0x2F
_TEXT = frozenset([0x0D, 0x0A, *range(0x20, 0x7F)])
_COMMANDS = frozenset(b"PWREB")
_DATA_SET = re.compile(r"([^()\r\n!/]*)\(([^()*\r\n]*)(?:\*([^()\r\n]*))?\)")


@dataclass(frozen=True, slots=True)
class Identification:
    """How a meter answers the opening."""

    manufacturer: str
    baud_letter: str
    text: str

    @property
    def baud(self) -> int | None:
        """The fastest rate it offers; None for a meter of another mode."""
        return BAUD_RATES.get(self.baud_letter)


@dataclass(frozen=True, slots=True)
class DataSet:
    """One register: its address, value and unit as they were sent. A block of values repeats an empty address."""

    address: str
    value: str
    unit: str

    @property
    def number(self) -> float | None:
        """The value as a number; None where it is none, such as a text or an empty register."""
        is_number = re.fullmatch(r"\s*[+-]?\d{1,15}(\.\d{0,15})?\s*", self.value)
        return float(self.value) if is_number else None


@dataclass(frozen=True, slots=True)
class Message:
    """A readout, or a message of the programming mode."""

    command: str  # such as R1 or P0; empty in a readout and in an answer
    body: str

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        return tuple(DataSet(address.strip(), value, unit) for address, value, unit in _DATA_SET.findall(self.body))


Heard: TypeAlias = "Identification | Message"


def encode_opening(address: str = "") -> bytes:
    """Ask who is there: the meter with this address, or any."""
    return f"/?{address}!\r\n".encode("ascii")


def encode_option(baud_letter: str, is_programming: bool = False) -> bytes:
    """Take the rate that a meter offered, and the mode."""
    return bytes([ACK]) + f"0{baud_letter}{int(is_programming)}\r\n".encode("ascii")


def encode_command(command: str, body: str) -> bytes:
    """A message of the programming mode."""
    inner = command.encode("ascii") + bytes([_STX]) + body.encode("ascii") + bytes([_ETX])
    return bytes([_SOH]) + inner + bytes([bcc(inner)])


def bcc(data: bytes) -> int:
    """The check byte over what follows SOH or the first STX, through ETX."""
    return functools.reduce(operator.xor, data, 0)


def message_reader() -> FrameReader[Heard]:
    """Finds identifications, readouts and messages of the programming mode."""
    return FrameReader(_size, _parsed, bytes([_SOH, _STX, _SLASH]))


def _size(buffer: bytearray, start: int) -> int | None:
    first, available = buffer[start], len(buffer) - start
    if first == _SLASH:
        return _line_size(buffer, start)
    at = start + 1
    if first == _SOH:
        if available > 1 and buffer[at] not in _COMMANDS:
            return 0
        if available > 2 and not 0x30 <= buffer[at + 1] <= 0x39:
            return 0
        if available > 3 and buffer[at + 2] not in (_STX, _ETX):
            return 0
        if available <= 3:
            return None
        at += 2
        if buffer[at] == _ETX:
            return 5
        at += 1
    end = buffer.find(_ETX, at, start + MESSAGE_MAX)
    text_end = len(buffer) if end < 0 else end
    if not _TEXT.issuperset(buffer[at:text_end]):
        return 0
    if end < 0:
        return None if available < MESSAGE_MAX else 0
    return end - start + 2


def _line_size(buffer: bytearray, start: int) -> int | None:
    """Of an identification: /XXXZ, at most sixteen characters, CR LF."""
    end = buffer.find(b"\r\n", start, start + 24)
    line = bytes(buffer[start + 1 : end if end >= 0 else start + 24])
    if line and not line[:3].isalpha():
        return 0
    if any(not 0x20 <= byte < 0x7F for byte in line.rstrip(b"\r")):
        return 0
    if end < 0:
        return None if len(buffer) - start < 24 else 0
    return end - start + 2 if len(line) >= 4 else 0


def _parsed(message: bytes) -> Heard | None:
    if message[0] == _SLASH:
        text = message[1:-2].decode("ascii")
        return Identification(text[:3], text[3], text[4:])
    if bcc(message[1:-1]) != message[-1]:
        return None
    if message[0] == _STX:
        return Message("", message[1:-2].decode("ascii"))
    command, _, body = message[1:-2].decode("ascii").partition(chr(_STX))
    return Message(command, body)
