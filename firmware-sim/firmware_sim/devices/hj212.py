"""A station of HJ 212-2017: values of now, and of minutes, which a centre answers.

Source: HJ 212-2017 as summed up in reference/devices.md §3.5; what stations get wrong: the misprinted packets of §0, 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from firmware_sim.devices.dialling import Heard, Message
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Checksum: TypeAlias = Literal["right", "lower-case", "modbus"]
DataFlag: TypeAlias = Literal["N", "F", "M", "S", "D", "C", "T", "B"]

FACTORS: Mapping[str, str] = {"level": "e41601", "flow": "w00000", "cod": "w01018", "ammonia": "w21003"}
_NOW, _MINUTES = "2011", "2051"
_ANSWERED = b"CN=9014"
_WANTS_ANSWER, _HAS_PACKETS, _EDITION = 1, 2, 4
_SEGMENT_MAX, _AREA_MAX = 1024, 800  # of which the rest is what stands around the items
_MINUTE_MS = 60_000
_HEAD, _TAIL = 6, 6


def crc(segment: bytes, *, as_modbus: bool = False) -> int:
    """The standard's: the register is shifted before a byte is taken in. Modbus takes the byte in first."""
    register = 0xFFFF
    for byte in segment:
        register = register ^ byte if as_modbus else register // 256 ^ byte
        for _ in range(8):
            register = register // 2 ^ 0xA001 if register % 2 else register // 2
    return register


def packed(segment: str, checksum: Checksum = "right") -> bytes:
    """A segment with all that stands around it."""
    data = segment.encode("ascii")
    sum_ = f"{crc(data, as_modbus=checksum == 'modbus'):04X}"
    return b"##%04d" % len(data) + data + (sum_.lower() if checksum == "lower-case" else sum_).encode() + b"\r\n"


def find_segment(data: bytes) -> tuple[bytes, int] | None:
    """The first whole segment among the bytes, and where its packet ends."""
    at = data.find(b"##")
    while at >= 0:
        digits = data[at + 2 : at + _HEAD]
        if len(digits) == 4 and digits.isdigit():
            end = at + _HEAD + int(digits)
            if end + _TAIL <= len(data):
                segment, sent = data[at + _HEAD : end], data[end : end + 4]
                if sent.upper() == b"%04X" % crc(segment):
                    return segment, end + _TAIL
        at = data.find(b"##", at + 1)
    return None


@dataclass(slots=True)
class Station212:
    """Implements `Speaker`. Its last fields say what it does otherwise than the standard says."""

    station: str  # MN
    quantities: Quantities
    clock: MeterClock
    password: str = "123456"
    system: str = "52"  # of sewage discharge
    factors: Mapping[str, str] = field(default_factory=lambda: FACTORS)  # codes by quantity
    tells_minutes: bool = False  # averages, lowest and highest of ten minutes besides
    wants_answer: bool = True
    checksum: Checksum = "right"
    flag: DataFlag | None = "N"  # of every factor; None: it writes none
    is_deaf: bool = False  # its level instrument fails: "-" for a number, flag D
    splits: bool = False  # a packet for each factor
    writes_spaces: bool = False

    _number: int = 0
    _minutes_ms: int | None = None
    _buffer: bytes = b""

    def report(self, now_ms: int) -> list[Message]:
        messages = self._messages(_NOW, self._now(now_ms), now_ms)
        ten = now_ms // (10 * _MINUTE_MS)
        if self.tells_minutes and self._minutes_ms not in (None, ten):
            messages += self._messages(_MINUTES, self._minutes(now_ms), now_ms)
        self._minutes_ms = ten
        return messages

    def keep_alive(self, now_ms: int) -> Message | None:
        return None

    def heard(self, data: bytes) -> list[Heard]:
        self._buffer = (self._buffer + data)[-4096:]
        found = []
        while (one := find_segment(self._buffer)) is not None:
            segment, end = one
            self._buffer = self._buffer[end:]
            fields = segment.split(b";")
            if _ANSWERED in fields:
                found += [Heard(each[3:].decode("ascii", "replace")) for each in fields if each.startswith(b"QN=")]
        return found

    def hung_up(self) -> None:
        self._buffer = b""

    def _now(self, now_ms: int) -> list[str]:
        values = self.quantities(now_ms)
        items = []
        for name, code in self.factors.items():
            if name in values:
                is_lost = self.is_deaf and name == "level"
                shown = "-" if is_lost else f"{values[name]:.3f}"
                items.append(self._flagged(f"{code}-Rtd={shown}", code, is_lost=is_lost))
        return items

    def _minutes(self, now_ms: int) -> list[str]:
        past = [self.quantities(now_ms - i * _MINUTE_MS) for i in range(10)]
        items = []
        for name, code in self.factors.items():
            if name in past[0]:
                seen = [values[name] for values in past]
                said = f"{code}-Avg={sum(seen) / 10:.3f},{code}-Min={min(seen):.3f},{code}-Max={max(seen):.3f}"
                items.append(self._flagged(said, code, is_lost=self.is_deaf and name == "level"))
        return items

    def _flagged(self, said: str, code: str, *, is_lost: bool) -> str:
        flag = "D" if is_lost else self.flag
        return said if flag is None else f"{said},{code}-Flag={flag}"

    def _messages(self, command: str, items: list[str], now_ms: int) -> list[Message]:
        groups = [[item] for item in items] if self.splits else list(_fitting(items))
        shown = self.clock.local(now_ms)
        messages = []
        for part, group in enumerate(groups, 1):
            self._number = (self._number + 1) % 1000
            number = f"{shown:%Y%m%d%H%M%S}{self._number:03}"
            is_split = len(groups) > 1
            flag = _EDITION | _WANTS_ANSWER * self.wants_answer | _HAS_PACKETS * is_split
            head = [f"QN={number}", f"ST={self.system}", f"CN={command}", f"PW={self.password}", f"MN={self.station}"]
            head += [f"Flag={flag}", *([f"PNUM={len(groups)}", f"PNO={part}"] if is_split else [])]
            area = ";".join([f"DataTime={shown:%Y%m%d%H%M%S}", *group])
            glue = "; " if self.writes_spaces else ";"
            segment = glue.join([*head, f"CP=&&{area}&&"])
            assert len(segment) <= _SEGMENT_MAX
            data = packed(segment, self.checksum)
            messages.append(Message((Answer(data, len(data) - 6, 0.0),), number if self.wants_answer else None))
        return messages


def _fitting(items: list[str]) -> Iterator[list[str]]:
    """Items in groups that each have room in a segment; one, perhaps empty, at least."""
    group: list[str] = []
    for item in items:
        if sum(map(len, group)) + len(group) + len(item) > _AREA_MAX:
            yield group
            group = []
        group.append(item)
    yield group
