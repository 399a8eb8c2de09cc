"""What a DL/T 698.45 meter is asked and answers: GET of one object, of a list, or of records. Reading only.

An object attribute (OAD) is four bytes, written as eight digits: 00100200 is forward active energy. Data carries its type
in front; integers carry no scale, which the table of objects adds.

Source: DL/T 698.45-2017 §7.3 (data types), §7.4 (services), annex A (objects); scales of annex A as in the README.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.measured import Measured
from telemetry.errors import BadInput

Value: TypeAlias = "int | float | bool | str | bytes | list[Any] | None"

_DEPTH_MAX = 8
_ITEMS_MAX = 4096
ERROR_WORDS: Mapping[int, str] = {
    1: "hardware fault",
    2: "temporarily not possible",
    3: "refused",
    4: "no such object",
    5: "the object's class does not fit",
    6: "no such object",
    7: "the type does not fit",
    8: "out of range",
    9: "no such part",
    255: "other",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a meter says of one object. `error` is 0 where it answered with data.

    `columns` are the objects of each column of records, and `value` the rows; else `columns` is empty.
    """

    oad: str
    value: Value
    error: int = 0
    columns: tuple[tuple[str, ...], ...] = ()

    def objects(self) -> Iterator[tuple[str, Value]]:
        """Every object with its value, those of records row by row."""
        if not self.columns:
            yield self.oad, self.value
            return
        for row in self.value if isinstance(self.value, list) else []:
            for oads, value in zip(self.columns, row, strict=True):
                if len(oads) == 1:
                    yield oads[0], value
                elif isinstance(value, list):
                    yield from zip(oads, value, strict=False)

    @property
    def words(self) -> str:
        if self.error:
            return f"{self.oad} refused with {self.error}: {ERROR_WORDS.get(self.error, 'a code the standard lacks')}"
        measured = measure(self.oad, self.value)
        if not measured:
            return f"{self.oad} = {self.value!r}"
        told = ("not measured" if m.value is None else f"{m.value:.10g} {m.unit}" for m in measured)
        return f"{OBJECTS[self.oad[:6]].name} {', '.join(told)}"


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """What an object means: its name, decimals and unit."""

    name: str
    decimals: int
    unit: str


OBJECTS: Mapping[str, ObjectKind] = {  # by the object and attribute: the first six digits
    "000002": ObjectKind("combined active energy", 2, "kWh"),
    "001002": ObjectKind("forward active energy", 2, "kWh"),
    "002002": ObjectKind("reverse active energy", 2, "kWh"),
    "003002": ObjectKind("combined reactive energy 1", 2, "kvarh"),
    "004002": ObjectKind("combined reactive energy 2", 2, "kvarh"),
    "200002": ObjectKind("voltage", 1, "V"),
    "200102": ObjectKind("current", 3, "A"),
    "200402": ObjectKind("active power", 1, "W"),
    "200502": ObjectKind("reactive power", 1, "var"),
    "200602": ObjectKind("apparent power", 1, "VA"),
    "200A02": ObjectKind("power factor", 3, "1"),
    "200F02": ObjectKind("frequency", 2, "Hz"),
    "201002": ObjectKind("temperature", 1, "degC"),
    "201102": ObjectKind("clock battery voltage", 2, "V"),
}


def encode_get(piid: int, oads: Sequence[str]) -> bytes:
    """Ask for one object, or several at once. No time tag."""
    assert 0 < len(oads) <= 20 and all(len(oad) == 8 for oad in oads)
    if len(oads) == 1:
        return bytes([0x05, 0x01, piid]) + bytes.fromhex(oads[0]) + b"\0"
    return bytes([0x05, 0x02, piid, len(oads)]) + b"".join(map(bytes.fromhex, oads)) + b"\0"


def parse_response(apdu: bytes) -> tuple[int, tuple[Result, ...]]:
    """The number of the request and what was said. Raises BadInput for what is no answer to a GET."""
    cursor = _Cursor(apdu)
    service, choice = cursor.byte(), cursor.byte()
    if service != 0x85 or choice not in (1, 2, 3, 4):
        raise BadInput("dlt698-unsupported", f"{service:02X} {choice:02X} is no answer to a read of data")
    piid = cursor.byte()
    count = cursor.byte() if choice in (2, 4) else 1
    read = _result if choice in (1, 2) else _records
    return piid, tuple(read(cursor) for _ in range(count))


def measure(oad: str, value: Value) -> list[Measured]:
    """The quantities in a value, in order; none where the object is not in the table or holds no numbers."""
    kind = OBJECTS.get(oad[:6].upper())
    if kind is None:
        return []
    numbers = value if isinstance(value, list) else [value]
    return [
        Measured(None if n is None else float(n) / 10.0**kind.decimals, kind.unit)
        for n in numbers
        if n is None or (isinstance(n, int | float) and not isinstance(n, bool))
    ]


class _Cursor:
    """Reads on, and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise BadInput("dlt698-truncated", f"the answer ends within a value, at byte {self._at}")
        self._at += count
        return part

    def length(self) -> int:
        """A length: one byte, or how many bytes of one follow."""
        first = self.byte()
        return first if first < 0x80 else int.from_bytes(self.take(first & 0x7F), "big")


def _result(cursor: _Cursor) -> Result:
    oad = cursor.take(4).hex().upper()
    if cursor.byte() == 0:
        return Result(oad, None, cursor.byte())
    return Result(oad, _value(cursor, 0))


def _records(cursor: _Cursor) -> Result:
    oad = cursor.take(4).hex().upper()
    columns = tuple(_column(cursor) for _ in range(cursor.byte()))
    if cursor.byte() == 0:
        return Result(oad, None, cursor.byte(), columns)
    rows: list[Any] = []
    for _ in range(_bounded(cursor.length())):
        rows.append([_value(cursor, 0) for _ in columns])
    return Result(oad, rows, 0, columns)


def _column(cursor: _Cursor) -> tuple[str, ...]:
    """The objects of a column: one, or those that another object keeps together, whose values come as a list."""
    if cursor.byte() == 0:
        return (cursor.take(4).hex().upper(),)
    cursor.take(4)
    return tuple(cursor.take(4).hex().upper() for _ in range(_bounded(cursor.length())))


def _bounded(count: int) -> int:
    if count > _ITEMS_MAX:
        raise BadInput("dlt698-malformed", f"a list of {count} cannot be in one answer")
    return count


_NUMBERS = {
    5: ">i",
    6: ">I",
    15: ">b",
    16: ">h",
    17: ">B",
    18: ">H",
    20: ">q",
    21: ">Q",
    22: ">B",
    23: ">f",
    24: ">d",
}


_FILLED = {6: 2**32 - 1, 18: 2**16 - 1, 21: 2**64 - 1}  # what meters put where they have measured nothing


def _value(cursor: _Cursor, depth: int) -> Value:
    if depth > _DEPTH_MAX:
        raise BadInput("dlt698-malformed", f"data nested more than {_DEPTH_MAX} deep")
    type_ = cursor.byte()
    if type_ in (1, 2):
        return [_value(cursor, depth + 1) for _ in range(_bounded(cursor.length()))]
    if type_ in _NUMBERS:
        number = struct.unpack(_NUMBERS[type_], cursor.take(struct.calcsize(_NUMBERS[type_])))[0]
        return number if math.isfinite(number) and number != _FILLED.get(type_) else None
    match type_:
        case 0:
            return None
        case 3:
            return bool(cursor.byte())
        case 4:
            return cursor.take((cursor.length() + 7) // 8)
        case 9:
            return cursor.take(_bounded(cursor.length()))
        case 10 | 12:
            return cursor.take(_bounded(cursor.length())).decode("utf-8", "replace")
        case 25:
            year, month, day, _, hour, minute, second, _ = struct.unpack(">HBBBBBBH", cursor.take(10))
            return _time_text(year, month, day, hour, minute, second)
        case 26:
            year, month, day, _ = struct.unpack(">HBBB", cursor.take(5))
            return f"{year:04}-{month:02}-{day:02}"
        case 27:
            return "{:02}:{:02}:{:02}".format(*cursor.take(3))
        case 28:
            return _time_text(*struct.unpack(">HBBBBB", cursor.take(7)))
        case 81:
            return cursor.take(4).hex().upper()
        case 85:
            return cursor.take(_bounded(cursor.length())).hex().upper()
        case 89 | 84:
            return cursor.take(3 if type_ == 84 else 2)
        case _:
            raise BadInput("dlt698-unsupported", f"data of type {type_} is not read here")


def _time_text(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str | None:
    if not 1 <= month <= 12 or not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 59:
        return None  # the meter's clock was never set
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
