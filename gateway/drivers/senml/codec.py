"""SenML packs as bytes, without I/O: JSON or CBOR in, records with their base fields resolved out.

A pack is a list of records; `bn`, `bt`, `bu`, `bv`, `bs` of one hold for it and all behind it. A time below 2^28 counts from
now. CBOR uses small integers for the same names. Sensors that speak CBOR also send plain columns, as typed arrays.

Source: RFC 8428 §4, 6; RFC 8746 §2.1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cbor2
import msgspec

from telemetry.errors import BadInput

_LABELS: Mapping[int, str] = {
    -1: "bver",
    -2: "bn",
    -3: "bt",
    -4: "bu",
    -5: "bv",
    -6: "bs",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}
_RELATIVE_BELOW_S = 2**28
_VERSION = 10
_RECORDS_MAX = 5_000
_NAME_MAX = 200
_ARRAYS: Mapping[int, str] = {
    64: "<B",
    65: ">H",
    66: ">I",
    67: ">Q",
    68: "<B",
    69: "<H",
    70: "<I",
    71: "<Q",
    72: "<b",
    73: ">h",
    74: ">i",
    75: ">q",
    77: "<h",
    78: "<i",
    79: "<q",
    80: ">e",
    81: ">f",
    82: ">d",
    84: "<e",
    85: "<f",
    86: "<d",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One resolved record."""

    name: str
    unit: str | None
    time_s: float | None  # since 1970; None when none was given: now
    value: float | None  # of `v` and `vb`; None for texts, data and sums alone
    total: float | None = None  # `s`: the integral over time
    text: str | None = None
    is_since_now: bool = field(default=False, compare=False)  # its time counts from when it was sent


@dataclass(frozen=True, slots=True)
class Pack:
    """The records, and the reasons why others could not be read."""

    records: tuple[Record, ...]
    refused: tuple[BadInput, ...]


def decode_pack(data: bytes, now_s: float | None) -> Pack:
    """Read a pack; JSON is told by its first byte. A record that cannot be read costs only itself.

    Args:
        now_s: When the pack was sent; None where nobody knows, which costs records without a time of their own.

    Raises BadInput for what is no list of records, or of a version that we do not know.
    """
    try:
        if data[:1].strip() in (b"", b"[", b"{"):
            records = msgspec.json.decode(data)
        else:
            records = cbor2.loads(data)
    except (msgspec.DecodeError, cbor2.CBORDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput("broken-pack", f"neither JSON nor CBOR of SenML: {str(error)[:80]}") from error
    if not isinstance(records, list) or len(records) > _RECORDS_MAX:
        raise BadInput("broken-pack", f"a pack is a list of at most {_RECORDS_MAX} records")
    base: dict[str, Any] = {}
    found: list[Record] = []
    refused: list[BadInput] = []
    for sent in records:
        try:
            named = _named(sent)
            _check_version(named)
            base |= {name: named[name] for name in ("bn", "bt", "bu", "bv", "bs") if name in named}
            if record := _resolved(named, base, now_s):
                found.append(record)
        except BadInput as error:
            if error.reason == "unknown-version":
                raise
            refused.append(error)
    return Pack(tuple(found), tuple(refused))


def decode_array(data: bytes) -> tuple[int, Sequence[float]]:
    """A typed array of RFC 8746: its tag and its values. Raises BadInput."""
    try:
        tagged = cbor2.loads(data)
    except (cbor2.CBORDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput("broken-array", f"not CBOR: {str(error)[:80]}") from error
    code = _ARRAYS.get(tagged.tag) if isinstance(tagged, cbor2.CBORTag) else None
    if code is None or not isinstance(tagged.value, bytes):
        raise BadInput("broken-array", "not a typed array of numbers of up to 64 bits")
    size = struct.calcsize(code)
    if len(tagged.value) % size:
        raise BadInput("broken-array", f"{len(tagged.value)} bytes are no whole number of items of {size}")
    return tagged.tag, [value for (value,) in struct.iter_unpack(code, tagged.value)]


def _named(sent: object) -> dict[str, Any]:
    """A record with texts for names. Fields that end in "_" must be understood, and we understand none."""
    if not isinstance(sent, Mapping):
        raise BadInput("bad-record", "a record is an object")
    named: dict[str, Any] = {}
    for label, value in sent.items():
        name = _LABELS.get(label) if type(label) is int else label
        if isinstance(name, str):
            if name.endswith("_"):
                raise BadInput("bad-record", f"field '{name[:20]}' must be understood, and is not known here")
            named[name] = value
    return named


def _check_version(named: Mapping[str, Any]) -> None:
    version = named.get("bver", _VERSION)
    if type(version) is not int or version > _VERSION:
        raise BadInput("unknown-version", f"SenML version {str(version)[:20]} is newer than {_VERSION}")


def _resolved(named: Mapping[str, Any], base: Mapping[str, Any], now_s: float | None) -> Record | None:
    """None for a record that holds base fields alone."""
    value, total, text = named.get("v"), named.get("s"), named.get("vs")
    is_true = named.get("vb")
    if value is None and total is None and text is None and is_true is None and "vd" not in named and "bv" not in named:
        if "n" in named or "t" in named:
            raise BadInput("bad-record", "a record has no value")
        return None
    name = _text("bn", base.get("bn", "")) + _text("n", named.get("n", ""))
    if not name or len(name) > _NAME_MAX:
        raise BadInput("bad-record", f"a record needs a name of 1 to {_NAME_MAX} characters")
    unit = named.get("u", base.get("bu"))
    number = None
    if isinstance(is_true, bool):
        number = float(is_true)
    elif value is not None or (total is None and text is None and "vd" not in named):
        number = _number("v", 0 if value is None else value) + _number("bv", base.get("bv", 0))
    return Record(
        name=name,
        unit=None if unit is None else _text("u", unit),
        time_s=_time_s(named, base, now_s),
        value=_finite(number),
        total=None if total is None else _finite(_number("s", total) + _number("bs", base.get("bs", 0))),
        text=None if text is None else _text("vs", text),
        is_since_now=_since_bt(named, base) < _RELATIVE_BELOW_S,
    )


def _time_s(named: Mapping[str, Any], base: Mapping[str, Any], now_s: float | None) -> float | None:
    time_s = _since_bt(named, base)
    if not time_s < _RELATIVE_BELOW_S:
        return time_s
    if now_s is None:
        raise BadInput("undated-record", "a record without a time was kept by the broker: nobody knows of when it is")
    return time_s + now_s if "t" in named or "bt" in base else None


def _since_bt(named: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    return _number("t", named.get("t", 0)) + _number("bt", base.get("bt", 0))


def _number(field: str, sent: object) -> float:
    """CBOR may bring decimal fractions and big numbers; all are floats here."""
    if isinstance(sent, bool) or not hasattr(sent, "__float__"):
        raise BadInput("bad-record", f"'{field}' must be a number")
    try:
        return float(sent)
    except (OverflowError, ValueError) as error:
        raise BadInput("bad-record", f"'{field}' is out of any range") from error


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise BadInput("bad-record", "a value must be a finite number")
    return value


def _text(field: str, sent: object) -> str:
    if not isinstance(sent, str):
        raise BadInput("bad-record", f"'{field}' must be a text")
    return sent
