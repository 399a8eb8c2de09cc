"""What the data behind DL/T 645 identifiers means: format, unit, name. Data, with a reader for it.

An item is found by its identifier with FF for "all of them": 0201FF00 is three voltages in the format of 02010100. Values
are packed decimals, low byte first; where an item may be negative its highest bit is the sign. A value of FF bytes, or
with digits that are none, was not measured.

Source: DL/T 645-2007 annex A; DL/T 645-1997 annex A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.measured import Measured, bcd


@dataclass(frozen=True, slots=True)
class Item:
    """How one sort of data is written."""

    identifiers: re.Pattern[str]
    name: str
    byte_count: int  # of one value
    decimals: int
    unit: str
    is_signed: bool = False


def _item(pattern: str, name: str, byte_count: int, decimals: int, unit: str, is_signed: bool = False) -> Item:
    return Item(re.compile(pattern), name, byte_count, decimals, unit, is_signed)


_T = "(?:[0-3][0-9A-F]|FF)"  # tariff: 00 the total, 01 to 3F, FF all
_S = "(?:0[0-9A-C]|FF)"  # settlement: 00 now, 01 to 0C the last ones
_P = "(?:0[0-3]|FF)"  # phase, 00 the total
_L = "(?:0[1-3]|FF)"  # phase without a total

ITEMS_2007 = (
    _item(f"0000{_T}{_S}", "combined active energy", 4, 2, "kWh", is_signed=True),
    _item(f"0001{_T}{_S}", "forward active energy", 4, 2, "kWh"),
    _item(f"0002{_T}{_S}", "reverse active energy", 4, 2, "kWh"),
    _item(f"0003{_T}{_S}", "combined reactive energy 1", 4, 2, "kvarh", is_signed=True),
    _item(f"0004{_T}{_S}", "combined reactive energy 2", 4, 2, "kvarh", is_signed=True),
    _item(f"000[5-8]{_T}{_S}", "reactive energy of a quadrant", 4, 2, "kvarh"),
    _item(f"0009{_T}{_S}", "forward apparent energy", 4, 2, "kVAh"),
    _item(f"000A{_T}{_S}", "reverse apparent energy", 4, 2, "kVAh"),
    _item(f"00(?:15|29|3D)00{_S}", "forward active energy of a phase", 4, 2, "kWh"),
    _item(f"00(?:16|2A|3E)00{_S}", "reverse active energy of a phase", 4, 2, "kWh"),
    _item(f"0201{_L}00", "voltage", 2, 1, "V"),
    _item(f"0202{_L}00", "current", 3, 3, "A", is_signed=True),
    _item(f"0203{_P}00", "active power", 3, 4, "kW", is_signed=True),
    _item(f"0204{_P}00", "reactive power", 3, 4, "kvar", is_signed=True),
    _item(f"0205{_P}00", "apparent power", 3, 4, "kVA", is_signed=True),
    _item(f"0206{_P}00", "power factor", 2, 3, "1", is_signed=True),
    _item(f"0207{_L}00", "phase angle", 2, 1, "deg"),
    _item(f"0208{_L}00", "voltage distortion", 2, 2, "%"),
    _item(f"0209{_L}00", "current distortion", 2, 2, "%"),
    _item("02800001", "neutral current", 3, 3, "A", is_signed=True),
    _item("02800002", "frequency", 2, 2, "Hz"),
    _item("02800003", "active power averaged over a minute", 3, 4, "kW", is_signed=True),
    _item("02800004", "active demand", 3, 4, "kW", is_signed=True),
    _item("02800005", "reactive demand", 3, 4, "kvar", is_signed=True),
    _item("02800006", "apparent demand", 3, 4, "kVA", is_signed=True),
    _item("02800007", "temperature", 2, 1, "degC", is_signed=True),
    _item("02800008", "clock battery voltage", 2, 2, "V"),
    _item("02800009", "reading battery voltage", 2, 2, "V"),
    _item("0280000A", "battery work time", 4, 0, "min"),
)
ITEMS_1997 = (
    _item("9[048]1[0-9A-F]", "forward active energy", 4, 2, "kWh"),
    _item("9[048]2[0-9A-F]", "reverse active energy", 4, 2, "kWh"),
    _item("9[159][1-6][0-9A-F]", "reactive energy", 4, 2, "kvarh"),
    _item("B61[1-3F]", "voltage", 2, 0, "V"),
    _item("B62[1-3F]", "current", 2, 2, "A"),
    _item("B63[0-3F]", "active power", 3, 4, "kW"),
    _item("B64[0-3F]", "reactive power", 2, 2, "kvar"),
    _item("B65[0-3F]", "power factor", 2, 3, "1"),
)
_NUMBERS = {"04000401": "address", "04000402": "meter number", "C032": "meter number", "C033": "customer number"}
_DATES = frozenset(["04000101", "C010"])  # YYMMDDWW
_TIMES = frozenset(["04000102", "C011"])  # hhmmss


def item_of(identifier: str) -> Item | None:
    """The item that an identifier names; None when this table does not know it."""
    items = ITEMS_2007 if len(identifier) == 8 else ITEMS_1997
    return next((item for item in items if item.identifiers.fullmatch(identifier)), None)


def exact_item(identifier: str, byte_count: int, decimals: int, unit: str, is_signed: bool) -> Item:
    """A vendor's own item."""
    return _item(identifier, identifier, byte_count, decimals, unit, is_signed)


def values(item: Item, data: bytes) -> list[Measured]:
    """The values behind an identifier, in the order of the wire. A rest that is no whole value is left."""
    count = len(data) // item.byte_count
    parts = [data[i * item.byte_count : (i + 1) * item.byte_count] for i in range(count)]
    return [Measured(_value(item, part), item.unit) for part in parts]


def text_of(identifier: str, data: bytes) -> str | None:
    """A number that a meter carries, as printed, or its date or time; None when the identifier names none of these."""
    digits = data[::-1].hex().upper()
    if identifier in _NUMBERS and len(data) == 6:
        return digits
    if identifier in _DATES and len(data) == 4 and digits.isdecimal():
        return f"20{digits[:2]}-{digits[2:4]}-{digits[4:6]}"  # the weekday behind it says nothing new
    if identifier in _TIMES and len(data) == 3 and digits.isdecimal():
        return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return None


def words(identifier: str, data: bytes) -> str:
    """Data in words."""
    item = item_of(identifier)
    if item is None:
        name = {**_NUMBERS, **dict.fromkeys(_DATES, "date"), **dict.fromkeys(_TIMES, "time")}.get(
            identifier, identifier
        )
        return f"{name} = {text_of(identifier, data) or data[::-1].hex().upper()}"
    told = ("not measured" if v.value is None else f"{v.value:.10g} {v.unit}" for v in values(item, data))
    return f"{item.name} {', '.join(told)}"


def _value(item: Item, part: bytes) -> float | None:
    is_negative = item.is_signed and part[-1] & 0x80 and part.count(0xFF) < len(part)
    digits = bcd(part[:-1] + bytes([part[-1] & 0x7F]) if is_negative else part)
    if digits is None:
        return None
    return float(-digits if is_negative else digits) / 10.0**item.decimals
