"""The frame: a batch of readings as a gateway ships it, self-contained and numbered.

A frame is one CBOR array of fourteen items (RFC 8949), its columns typed arrays (RFC 8746), little-endian:

    [version, gateway, epoch, seq, base, is_backlog, behind, names, index, time_ms, value, quality, keys, gaps]

`names` is one text, "device/metric" lines, so that a receiver can remember what a text it has seen before means;
`index` points each reading into it. `base` is the oldest seq of this epoch that the spool still holds: a receiver that
has lost its memory knows from it whether a gap can still be filled. After an outage what is new goes first and what was
kept meanwhile goes behind it, in an epoch of its own: `is_backlog` marks the latter, `behind` counts the frames of
backlog that are still to come after this one, so that a backlog frame with nothing behind it is the end of the outage.
The last seven items never change after the reading was taken, so a spool stores them encoded (`encode_columns`) and only
the header is written when a frame is sent.

`gaps` says what is missing for good, and why: when a gateway's disk budget was used up it had to let readings go, and
says exactly how many of which series, from when to when. A frame may hold gaps alone, or nothing at all: then its header
is what is said, such as that nothing of an outage is left to come.

What guards decided at a gateway's own page travels in the same order as its readings: a frame that holds such decisions
has a fifteenth item, before `names`: a list of texts (`telemetry.decision`). It may hold them alone.

The same content as a JSON object with these names as keys is accepted too; `decode` tells them apart by the first byte.
This module needs no numpy: gateways use it. Axis: N readings.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import cbor2
import msgspec

from telemetry.errors import BadInput

VERSION = 2
READINGS_MAX = 65_536
_INT_MAX = 2**53  # of a number in a gap, either side of nothing: whoever keeps it can, and can add it up
_MISSING_MAX = 10**12  # readings that one gap may tell of
_HEADER_OF_FOURTEEN, _HEADER_OF_FIFTEEN = b"\x8e", b"\x8f"  # CBOR: array of so many items
_CBOR_ARRAY = 4  # major type, in the upper three bits of an item's first byte

_TAG_U8, _TAG_U16, _TAG_I64, _TAG_F64 = 64, 69, 79, 86  # RFC 8746, little-endian where it matters
_ITEM_BYTES = {_TAG_U8: 1, _TAG_U16: 2, _TAG_I64: 8, _TAG_F64: 8}
_CAST: dict[int, Literal["B", "H", "q", "d"]] = {_TAG_U8: "B", _TAG_U16: "H", _TAG_I64: "q", _TAG_F64: "d"}

if sys.byteorder != "little":  # the columns are used as they arrive, without a copy
    raise ImportError("Gatehouse runs on little-endian machines only")

_PLAIN: Mapping[str, type] = {
    "gateway": str,
    "epoch": str,
    "seq": int,
    "base": int,
    "is_backlog": bool,
    "behind": int,
    "names": str,
    "keys": dict,
    "gaps": list,
}
_KINDS = tuple(_PLAIN.values())

Buffer: TypeAlias = "memoryview | array[Any] | bytes"
"""Anything whose bytes are the column: array.array, a numpy array's .data, or bytes."""


class Gap(NamedTuple):
    """Readings of one series that were taken and are gone. `line` points into the frame's names."""

    line: int
    first_ms: int
    last_ms: int
    missing: int
    reason: str  # "thinned": some between these times were kept; "refused": none were


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. The columns are views of the payload, all of length N."""

    gateway: str
    epoch: str
    seq: int
    base: int
    is_backlog: bool  # newer readings of its series were sent before it
    behind: int  # frames of backlog that the gateway still holds after this one
    names: str  # lines "device/metric"
    index: memoryview  # uint16 (N,), line number in `names`
    time_ms: memoryview  # int64 (N,), device clock, epoch milliseconds, UTC
    value: memoryview  # float64 (N,)
    quality: memoryview  # uint8 (N,), `Quality` codes
    keys: dict[int, str]  # reading number -> passage key, for those that have one
    gaps: list[Gap]
    decisions: list[str] = field(default_factory=list)  # of guards, at the gateway's own page

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class Header:
    """The number of a frame, without its content."""

    gateway: str
    epoch: str
    seq: int
    base: int


def encode_columns(
    names: str,
    index: Buffer,
    time_ms: Buffer,
    value: Buffer,
    quality: Buffer,
    keys: Mapping[int, str],
    gaps: Sequence[Gap] = (),
    decisions: Sequence[str] = (),
) -> bytes:
    """The part of a frame that is fixed when its readings are taken.

    Args:
        names: "device/metric" lines.
        index, time_ms, value, quality: columns of N items (uint16, int64, float64, uint8), little-endian.
        keys: Passage keys by reading number.
        gaps: What is missing for good.
        decisions: What guards decided at the gateway's own page.
    """
    tagged = ((_TAG_U16, index), (_TAG_I64, time_ms), (_TAG_F64, value), (_TAG_U8, quality))
    parts = [cbor2.dumps(list(decisions))] if decisions else []
    parts.append(cbor2.dumps(names))
    parts += [cbor2.dumps(cbor2.CBORTag(tag, bytes(memoryview(column).cast("B")))) for tag, column in tagged]
    parts += [cbor2.dumps(dict(keys)), cbor2.dumps([list(gap) for gap in gaps])]
    return b"".join(parts)


def encode(
    gateway: str, epoch: str, seq: int, base: int, columns: bytes, *, is_backlog: bool = False, behind: int = 0
) -> bytes:
    """A frame's payload from its number, its lane and its encoded columns."""
    header = b"".join(cbor2.dumps(item) for item in (VERSION, gateway, epoch, seq, base, is_backlog, behind))
    has_decisions = columns[0] >> 5 == _CBOR_ARRAY
    return (_HEADER_OF_FIFTEEN if has_decisions else _HEADER_OF_FOURTEEN) + header + columns


def decode(payload: bytes) -> Frame:
    """Read a frame, CBOR or JSON. Raises BadInput(bad-frame) with what is wrong; never anything else."""
    if payload[:1] == b"{":
        return _from_json(payload)
    try:
        items = cbor2.loads(payload)
    except _UNREADABLE as error:
        raise BadInput("bad-frame", f"not CBOR: {error}") from error
    if not isinstance(items, list) or not items:
        raise BadInput("bad-frame", "a frame is a CBOR array")
    if type(items[0]) is not int:
        raise BadInput("bad-frame", f"'version' must be int, not {type(items[0]).__name__}")
    if items[0] != VERSION:
        raise BadInput("bad-frame", f"frame version {_said(items[0])}; this core reads version {VERSION}: update it")
    decisions = items.pop(7) if len(items) == 15 else []
    if len(items) != 14:
        raise BadInput("bad-frame", f"a frame has 14 items, or 15 with decisions, this one {len(items)}")
    if type(decisions) is not list or not all(isinstance(each, str) for each in decisions):
        raise BadInput("bad-frame", "'decisions' must be a list of texts")
    _, gateway, epoch, seq, base, is_backlog, behind, names, index, time_ms, value, quality, keys, gaps = items
    plain = (gateway, epoch, seq, base, is_backlog, behind, names, keys, gaps)
    if tuple(map(type, plain)) != _KINDS:
        for (name, kind), item in zip(_PLAIN.items(), plain, strict=True):
            if type(item) is not kind:
                raise BadInput("bad-frame", f"'{name}' must be {kind.__name__}, not {type(item).__name__}")
    return _checked(
        Frame(
            gateway,
            epoch,
            seq,
            base,
            is_backlog,
            behind,
            names,
            _column("index", index, _TAG_U16),
            _column("time_ms", time_ms, _TAG_I64),
            _column("value", value, _TAG_F64),
            _column("quality", quality, _TAG_U8),
            keys,
            _gaps(gaps) if gaps else [],
            decisions,
        )
    )


def header(payload: bytes) -> Header | None:
    """The number of a frame that `decode` refused; None where not even that can be read, or of another version."""
    try:
        if payload[:1] == b"{":
            fields = msgspec.json.decode(payload)
            items = [fields.get(name) for name in ("version", "gateway", "epoch", "seq", "base")]
        else:
            items = cbor2.loads(payload)
        if not isinstance(items, list):  # CBOR has tags for what is no list and no number: a mail, a network
            return None
        version, gateway, epoch, seq, base = items[:5]
    except (msgspec.MsgspecError, LookupError, *_UNREADABLE):
        return None
    if type(version) is not int or version != VERSION or not isinstance(gateway, str) or not isinstance(epoch, str):
        return None
    if type(seq) is not int or type(base) is not int or not 1 <= base <= seq < 2**62 or not 1 <= len(epoch) <= 64:
        return None
    return Header(gateway, epoch, seq, base)


class _JsonFrame(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    version: int
    gateway: str
    epoch: str
    seq: int
    base: int
    is_backlog: bool = False
    behind: int = 0
    names: str
    index: list[int]
    time_ms: list[int]
    value: list[float]
    quality: list[int] = []
    keys: dict[int, str] = {}
    gaps: list[Gap] = []


_JSON = msgspec.json.Decoder(_JsonFrame)
_UNREADABLE = (cbor2.CBORDecodeError, RecursionError, ValueError, ArithmeticError, MemoryError, TypeError)


def _from_json(payload: bytes) -> Frame:
    try:
        frame = _JSON.decode(payload)
        quality = frame.quality or [0] * len(frame.index)
        columns: tuple[array[Any], ...] = (
            array("H", frame.index),
            array("q", frame.time_ms),
            array("d", frame.value),
            array("B", quality),
        )
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeDecodeError) as error:
        raise BadInput("bad-frame", f"not a JSON frame: {error}") from error
    if frame.version != VERSION:
        raise BadInput("bad-frame", f"frame version {frame.version}; this core reads version {VERSION}: update it")
    index, time_ms, value, qualities = (memoryview(column) for column in columns)
    header = (frame.gateway, frame.epoch, frame.seq, frame.base, frame.is_backlog, frame.behind, frame.names)
    return _checked(Frame(*header, index, time_ms, value, qualities, frame.keys, frame.gaps))


def _column(name: str, item: object, tag: int) -> memoryview[Any]:
    if not isinstance(item, cbor2.CBORTag) or item.tag != tag or not isinstance(item.value, bytes):
        raise BadInput("bad-frame", f"'{name}' must be a typed array with tag {tag} (RFC 8746)")
    if len(item.value) % _ITEM_BYTES[tag]:
        raise BadInput("bad-frame", f"'{name}' is cut short: {len(item.value)} bytes")
    column: memoryview[Any] = memoryview(item.value).cast(_CAST[tag])
    return column


def _gaps(items: list[object]) -> list[Gap]:
    try:
        return msgspec.convert(items, list[Gap])
    except msgspec.ValidationError as error:
        raise BadInput("bad-frame", f"'gaps': {error}") from error


def _checked(frame: Frame) -> Frame:
    count = len(frame.index)
    if count > READINGS_MAX:
        raise BadInput("bad-frame", f"a frame holds at most {READINGS_MAX} readings; this one {count}")
    lines = frame.names.count("\n")
    for gap in frame.gaps:
        is_number = -_INT_MAX < gap.first_ms <= gap.last_ms < _INT_MAX and 1 <= gap.missing <= _MISSING_MAX
        if not is_number or not 0 <= gap.line <= lines:
            said = ", ".join(_said(number) for number in gap[:4])
            raise BadInput("bad-frame", f"a gap is [line, first_ms, last_ms, missing, reason], not [{said}, …]")
    if not (count == len(frame.time_ms) == len(frame.value) == len(frame.quality)):
        raise BadInput("bad-frame", "the columns differ in length")
    if not 1 <= frame.base <= frame.seq < 2**62:
        raise BadInput(
            "bad-frame", f"seq {_said(frame.seq)} with base {_said(frame.base)}: both count from 1, base ≤ seq"
        )
    if not 0 <= frame.behind < 2**62:
        raise BadInput("bad-frame", f"'behind' {_said(frame.behind)} counts frames: it is not negative")
    if not 1 <= len(frame.epoch) <= 64:
        raise BadInput("bad-frame", "'epoch' must be 1 to 64 characters")
    for position, key in frame.keys.items():
        if type(position) is not int or not isinstance(key, str) or not 0 <= position < count or len(key) > 100:
            raise BadInput("bad-frame", "'keys' maps a reading's number to a text of at most 100 characters")
    return frame


def _said(number: int) -> str:
    """A number in a message: one of thousands of digits Python does not print."""
    return str(number) if number.bit_length() <= 64 else f"of {number.bit_length()} bits"
