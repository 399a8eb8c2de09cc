"""HJ 212-2017 as text, without I/O: packets in and out.

    ## | length of the segment (4 digits) | segment, up to 1024 bytes | checksum (4 hexadecimal digits) | CR LF
    segment = QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;[PNUM=…;PNO=…;]CP=&&…&&

The data area CP holds items `name=value`; those of one factor are joined by ",", factors by ";". The checksum is not Modbus':
the register is shifted before the byte is taken in. The reader finds packets by their length and checksum, so that "##" in a
segment is no beginning and half a packet costs only itself.

Source: HJ 212-2017, §6 and appendix A, with its worked example.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from gateway.framing import FrameReader
from telemetry.errors import BadInput

SEGMENT_MAX_BYTES = 1024
_START = b"##"
_LENGTH = re.compile(rb"[0-9]{4}")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{4}")
_HEAD_BYTES, _TAIL_BYTES = 6, 6
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?").fullmatch
_SMALL = re.compile(r"[0-9]{1,4}").fullmatch
_NO_VALUES = ("Flag", "SampleTime", "EFlag")


class Command(IntEnum):
    """Numbers of commands (CN) that are spoken here."""

    GET_TIME = 1011
    SET_TIME = 1012
    GET_RTD_INTERVAL = 1061
    SET_RTD_INTERVAL = 1062
    GET_MIN_INTERVAL = 1063
    SET_MIN_INTERVAL = 1064
    REAL_TIME = 2011
    STOP_REAL_TIME = 2012
    DAY = 2031
    MINUTES = 2051
    HOUR = 2061
    REQUEST_ANSWER = 9011
    RESULT = 9012
    NOTIFY_ANSWER = 9013
    DATA_ANSWER = 9014


class Flag(IntEnum):
    """Bits of Flag; those above them are the version, 1 for 2017."""

    WANTS_ANSWER = 1
    HAS_PACKETS = 2
    VERSION_2017 = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet whose checksum is right."""

    number: str  # QN: YYYYMMDDhhmmsszzz; "" when it is left out
    system: str  # ST: 32 surface water, 52 sewage process, 91 interaction, …
    command: str  # CN
    password: str  # PW
    station: str  # MN
    flag: int | None
    data: tuple[Mapping[str, str], ...]  # factors in order, each its items; items of no factor stand alone
    packets: tuple[int, int] | None = None  # how many, which

    @property
    def wants_answer(self) -> bool:
        return bool((self.flag or 0) & Flag.WANTS_ANSWER)

    def item(self, name: str) -> str | None:
        """The first item of that name."""
        return next((items[name] for items in self.data if name in items), None)


class FactorValue(NamedTuple):
    """What was measured of one factor."""

    factor: str  # a21026, e41601
    aspect: str  # Rtd, Avg, Min, Max, Cou, …
    value: float | None  # None when it is no number
    flag: str | None  # N well, F off, M maintenance, S set by hand, D fault, C calibration, T over the range, B no line


def packet_reader() -> FrameReader[Packet]:
    """Reads packets; what is none is noise, a packet with a wrong checksum included."""
    return FrameReader(_size, _parse, starts=b"#", filler=b"\r\n")


def encode(packet: Packet) -> bytes:
    """A packet as it goes over the wire. Its segment must be short enough."""
    head = {
        "QN": packet.number,
        "ST": packet.system,
        "CN": packet.command,
        "PW": packet.password,
        "MN": packet.station,
        "Flag": "" if packet.flag is None else str(packet.flag),
    }
    fields = [f"{name}={value}" for name, value in head.items() if value]
    if packet.packets is not None:
        fields += [f"PNUM={packet.packets[0]}", f"PNO={packet.packets[1]}"]
    data = ";".join(",".join(f"{name}={value}" for name, value in items.items()) for items in packet.data)
    segment = f"{';'.join(fields)};CP=&&{data}&&".encode("ascii")
    assert len(segment) <= SEGMENT_MAX_BYTES
    return _START + f"{len(segment):04}".encode() + segment + f"{checksum(segment):04X}\r\n".encode()


def checksum(segment: bytes) -> int:
    """The register, shifted down before each byte is taken in: what is left of it then is one byte.

    So two bytes at a time can be looked up; the last one or two are taken in by themselves, for both halves of the register.
    """
    left, pairs = 0xFF, _PAIRS
    even = max(0, len(segment) - 1) & ~1
    for pair in struct.unpack(f"<{even // 2}H", segment[:even]):
        left = pairs[pair ^ left]
    register = left << 8 | 0xFF  # what is in its lower half makes no difference any more
    for byte in segment[even:]:
        register = _TABLE[register >> 8 ^ byte]
    return register


def factor_values(packet: Packet) -> Sequence[FactorValue]:
    """The measured values of a packet, in order. DataTime, SystemTime and other items of no factor are left out."""
    return list(_factor_values(packet))


def check_password(packet: Packet, password: str) -> None:
    """Raises BadInput."""
    if packet.password != password:
        raise BadInput(
            "wrong-password", f"station '{packet.station[:30]}' sends another password than the one declared"
        )


def _factor_values(packet: Packet) -> Iterator[FactorValue]:
    for items in packet.data:
        for name, value in items.items():
            factor, dash, aspect = name.rpartition("-")
            if dash and aspect not in _NO_VALUES:
                number = float(value) if _NUMBER(value) else None
                yield FactorValue(factor, aspect, number, items.get(f"{factor}-Flag") if len(items) > 1 else None)


def _size(buffer: bytearray, start: int) -> int | None:
    if len(buffer) - start < _HEAD_BYTES:
        return 0 if not _START.startswith(bytes(buffer[start : start + 2])) else None
    if buffer[start : start + 2] != _START or not _LENGTH.fullmatch(bytes(buffer[start + 2 : start + _HEAD_BYTES])):
        return 0
    length = int(buffer[start + 2 : start + _HEAD_BYTES])
    return _HEAD_BYTES + length + _TAIL_BYTES if length <= SEGMENT_MAX_BYTES else 0


def _parse(data: bytes) -> Packet | None:
    segment, sent = data[_HEAD_BYTES:-_TAIL_BYTES], data[-_TAIL_BYTES:-2]
    if not _CHECKSUM.fullmatch(sent) or int(sent, 16) != checksum(segment) or data[-2:] != b"\r\n":
        return None
    begun, mark, data_area = segment.decode("latin-1").replace(" ", "").partition("CP=&&")
    if not mark or not data_area.endswith("&&"):
        return None
    head = _items(begun.split(";"))
    factors = tuple(items for part in data_area[:-2].split(";") if (items := _items(part.split(","))))
    packets = _packets(head)
    return Packet(
        head.get("QN", ""),
        head.get("ST", ""),
        head.get("CN", ""),
        head.get("PW", ""),
        head.get("MN", ""),
        int(head["Flag"]) if _SMALL(head.get("Flag", "")) else None,
        factors,
        packets,
    )


def _packets(head: Mapping[str, str]) -> tuple[int, int] | None:
    if "PNUM" in head and _SMALL(head["PNUM"]) and _SMALL(head.get("PNO", "")):
        return int(head["PNUM"]), int(head["PNO"])
    return None


def _items(parts: Sequence[str]) -> dict[str, str]:
    return {name: value for name, equals, value in [part.partition("=") for part in parts] if equals and name}


def _table() -> list[int]:
    """The eight shifts of each low byte."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
        table.append(register)
    return table


def _pairs() -> bytes:
    """What is left of the register after two bytes, by the second and, beside it, the first with what was left before."""
    one = bytes(register >> 8 for register in _TABLE)
    return b"".join(bytes(first ^ second for first in one).translate(one) for second in range(256))


_TABLE = _table()
_PAIRS = _pairs()
