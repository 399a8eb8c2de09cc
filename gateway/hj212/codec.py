"""HJ 212-2017 as text, without I/O: packets in and out.

    ## | length of the segment (4 digits) | segment, up to 1024 bytes | checksum (4 hexadecimal digits) | CR LF
    segment = QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;[PNUM=…;PNO=…;]CP=&&…&&

The data area CP holds items `name=value`; those of one factor are joined by ",", factors by ";". The checksum is not Modbus':
the register is shifted before the byte is taken in. The reader finds packets by their length and checksum, so that "##" in a
segment is no beginning and half a packet costs only itself.

Source: HJ 212-2017, §6 and appendix A, with its worked example.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, overload

from gateway.framing import FrameReader
from telemetry.errors import BadInput

SEGMENT_MAX_BYTES = 1024
_START = b"##"
_HEAD = re.compile(rb"##([0-9]{4})")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{4}")
_HEAD_BYTES, _TAIL_BYTES = 6, 6
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?").fullmatch
_VALUE = re.compile(r"=([^,;]*)")
_QN = re.compile(r"[0-9]{0,20}", re.ASCII)  # a time to the millisecond
_SMALL = re.compile(r"[0-9]{1,4}").fullmatch
_FOLDED_TO = 8  # bytes, from where on one after the other is faster
_LAYOUTS_MAX = 512
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


class Layout(NamedTuple):
    """What stands where in a data area, whatever its values are. A station sends the same one each time."""

    groups: tuple[Mapping[str, int], ...]  # of one factor each: which value an item has
    measured: tuple[tuple[int, str, str, int | None], ...]  # value, factor, aspect, value of its flag


class Area(Sequence[Mapping[str, str]]):
    """A data area: factors in order, each its items. Equal to a tuple of the same."""

    __slots__ = ("layout", "values")

    def __init__(self, layout: Layout, values: Sequence[str]) -> None:
        self.layout = layout
        self.values = values

    @classmethod
    def of(cls, data: Sequence[Mapping[str, str]]) -> Area:
        """Of factors that somebody put together."""
        names = [f"{',' if at else ';'}{name}" for items in data for at, name in enumerate(items)]
        return cls(_layout((*names, "")), [value for items in data for value in items.values()])

    @overload
    def __getitem__(self, index: int) -> Mapping[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, str]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, str] | Sequence[Mapping[str, str]]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Mapping[str, str]]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self.layout.groups)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Area | tuple) and self._all() == tuple(other)

    def __repr__(self) -> str:
        return repr(self._all())

    __hash__ = None  # type: ignore[assignment]  # as a tuple of dicts has none

    def item(self, name: str) -> str | None:
        """The first item of that name."""
        return next((self.values[items[name]] for items in self.layout.groups if name in items), None)

    def _all(self) -> tuple[Mapping[str, str], ...]:
        values = self.values
        return tuple({name: values[at] for name, at in items.items()} for items in self.layout.groups)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet whose checksum is right."""

    number: str  # QN: YYYYMMDDhhmmsszzz; "" when it is left out
    system: str  # ST: 32 surface water, 52 sewage process, 91 interaction, …
    command: str  # CN
    password: str  # PW
    station: str  # MN
    flag: int | None
    data: Sequence[Mapping[str, str]]  # factors in order, each its items; items of no factor stand alone
    packets: tuple[int, int] | None = None  # how many, which

    @property
    def wants_answer(self) -> bool:
        return bool((self.flag or 0) & Flag.WANTS_ANSWER)

    def item(self, name: str) -> str | None:
        """The first item of that name."""
        if isinstance(self.data, Area):
            return self.data.item(name)
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
    """The register, shifted down before each byte is taken in: what is left of it then is one byte, whose step is linear.

    So the first half of the bytes can be brought to where the second stands, all at once, and the two be added; and so on
    until one byte is left. The last one is taken in by itself, for both halves of the register.
    """
    if not segment:
        return 0xFFFF
    folded = bytes((segment[0] ^ 0xFF,)) + segment[1:-1] if len(segment) > 1 else b""
    size = 1 << max(0, len(folded) - 1).bit_length()
    while size > _FOLDED_TO:
        size //= 2
        both = int.from_bytes(folded[:-size].translate(_STEPS[size])) ^ int.from_bytes(folded[-size:])
        folded = both.to_bytes(size)
    left, step = 0 if folded else 0xFF, _STEPS[1]
    for byte in folded:
        left = step[left ^ byte]
    return _TABLE[left ^ segment[-1]]


def factor_values(packet: Packet) -> Sequence[FactorValue]:
    """The measured values of a packet, in order. DataTime, SystemTime and other items of no factor are left out."""
    area = packet.data if isinstance(packet.data, Area) else Area.of(packet.data)
    values, make = area.values, tuple.__new__  # what the constructor of a named tuple ends in, without the call between
    return [
        make(
            FactorValue,
            (factor, aspect, float(value) if _NUMBER(value) else None, None if flag is None else values[flag]),
        )
        for at, factor, aspect, flag in area.layout.measured
        for value in (values[at],)
    ]


def is_number(number: str) -> bool:
    """Whether a packet's number can be repeated in an answer."""
    return _QN.fullmatch(number) is not None


def check_password(packet: Packet, password: str) -> None:
    """Raises BadInput."""
    if packet.password != password:
        raise BadInput(
            "wrong-password", f"station '{packet.station[:30]}' sends another password than the one declared"
        )


def _size(buffer: bytearray, start: int) -> int | None:
    head = bytes(buffer[start : start + _HEAD_BYTES])
    if len(head) < _HEAD_BYTES:
        return None if _START.startswith(head[:2]) else 0
    begun = _HEAD.fullmatch(head)
    length = int(begun[1]) if begun else SEGMENT_MAX_BYTES + 1
    return _HEAD_BYTES + length + _TAIL_BYTES if length <= SEGMENT_MAX_BYTES else 0


def _parse(data: bytes) -> Packet | None:
    segment, sent = data[_HEAD_BYTES:-_TAIL_BYTES], data[-_TAIL_BYTES:-2]
    if not _CHECKSUM.fullmatch(sent) or int(sent, 16) != checksum(segment) or data[-2:] != b"\r\n":
        return None
    begun, mark, data_area = segment.decode("latin-1").replace(" ", "").partition("CP=&&")
    if not mark or not data_area.endswith("&&"):
        return None
    head = _items(begun.split(";"))
    pieces = _VALUE.split(data_area[:-2])  # what stands before the first value, it, what stands before the second, …
    packets = _packets(head)
    return Packet(
        head.get("QN", ""),
        head.get("ST", ""),
        head.get("CN", ""),
        head.get("PW", ""),
        head.get("MN", ""),
        int(head["Flag"]) if _SMALL(head.get("Flag", "")) else None,
        Area(_layout(tuple(pieces[::2])), pieces[1::2]),
        packets,
    )


@functools.lru_cache(_LAYOUTS_MAX)
def _layout(between: tuple[str, ...]) -> Layout:
    """Read what stands between the values, and behind the last one."""
    groups: list[dict[str, int]] = [{}]
    for at, piece in enumerate(between[:-1]):  # behind the last value there is none
        for number, part in enumerate(piece.split(";")):
            if number:
                groups.append({})
            name = part.rpartition(",")[2]
        if name:
            groups[-1][name] = at
    measured = []
    for items in groups:
        for name, at in items.items():
            factor, dash, aspect = name.rpartition("-")
            if dash and aspect not in _NO_VALUES:
                measured.append((at, factor, aspect, items.get(f"{factor}-Flag")))
    return Layout(tuple(items for items in groups if items), tuple(measured))


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


def _steps() -> dict[int, bytes]:
    """What is left of the register after so many bytes more that are zero, by what was left before."""
    steps = {1: bytes(register >> 8 for register in _TABLE)}
    while (size := 2 * max(steps)) <= SEGMENT_MAX_BYTES:
        steps[size] = steps[size // 2].translate(steps[size // 2])
    return steps


_TABLE = _table()
_STEPS = _steps()
