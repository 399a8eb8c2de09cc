"""The payload of a Sparkplug B message as bytes: the part of its protobuf that carries single values.

Protobuf is a sequence of fields, each a key (number << 3 | wire type) and a value: 0 a variable-length integer, 1 eight
bytes, 2 a length and so many bytes, 5 four bytes. Fields that we do not know, data sets and templates among them, are
passed over. Signed integers of up to 32 bits travel as their two's complement in an unsigned field.

Source: Sparkplug 3.0.0 specification, §6.4; field numbers of sparkplug_b.proto; Protocol Buffers encoding guide.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from telemetry.errors import BadInput

Value: TypeAlias = "int | float | bool | str | bytes | None"
_METRICS_MAX = 10_000
_UINT64_MAX = 2**64 - 1


class DataType(IntEnum):
    """Kinds of single values."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14


_SIGNED_BITS = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_INT_FIELD = {DataType.INT8, DataType.INT16, DataType.INT32, DataType.UINT8, DataType.UINT16, DataType.UINT32}
_LONG_FIELD = {DataType.INT64, DataType.UINT64, DataType.DATE_TIME}


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. Which of name, alias and datatype it carries depends on the message."""

    name: str | None = None
    alias: int | None = None
    time_ms: int | None = None
    datatype: int | None = None
    is_historical: bool = False
    is_null: bool = False
    value: Value = None  # integers as sent: see `signed`


@dataclass(frozen=True, slots=True)
class Payload:
    """A message."""

    time_ms: int | None = None
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None


def decode(data: bytes) -> Payload:
    """Read a payload. Raises BadInput."""
    time_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = []
    for number, value in _fields(data):
        match number, value:
            case 1, int():
                time_ms = value
            case 2, bytes():
                if len(metrics) >= _METRICS_MAX:
                    raise BadInput("bad-payload", f"more than {_METRICS_MAX} metrics in one message")
                metrics.append(_metric(value))
            case 3, int():
                seq = value
    return Payload(time_ms, tuple(metrics), seq)


def encode(payload: Payload) -> bytes:
    """A payload as bytes, fields in the order of their numbers."""
    data = bytearray()
    if payload.time_ms is not None:
        data += _varint_field(1, payload.time_ms)
    for metric in payload.metrics:
        data += _bytes_field(2, _encode_metric(metric))
    if payload.seq is not None:
        data += _varint_field(3, payload.seq)
    return bytes(data)


def signed(value: Value, datatype: int | None) -> Value:
    """A value as its type means it: two's complement undone, 32-bit floats as they are."""
    bits = _SIGNED_BITS.get(datatype) if datatype in _SIGNED_BITS else None  # type: ignore[call-overload]
    if bits is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def number(value: Value) -> float | None:
    """A value as a finite number; None for texts, bytes and what is no number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _metric(data: bytes) -> Metric:
    name: str | None = None
    alias: int | None = None
    time_ms: int | None = None
    datatype: int | None = None
    value: Value = None
    flags = {5: False, 7: False}
    for number, sent in _fields(data):
        match number, sent:
            case 1, bytes():
                name = _text(sent)
            case 2, int():
                alias = sent
            case 3, int():
                time_ms = sent
            case 4, int():
                datatype = sent
            case ((5 | 7), int()):
                flags[number] = bool(sent)
            case 10, int():
                value = sent & 0xFFFF_FFFF
            case 11, int():
                value = sent
            case 12, float():
                value = sent
            case 13, float():
                value = sent
            case 14, int():
                value = bool(sent)
            case 15, bytes():
                value = _text_or_bytes(sent)
            case 16, bytes():
                value = sent
    return Metric(name, alias, time_ms, datatype, flags[5], flags[7], value)


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """The fields of a message, in order. Floats come as floats by their numbers, which only metrics have."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise BadInput("bad-payload", "a protobuf field has no number 0")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise BadInput("bad-payload", "a protobuf field ends past its message")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise BadInput("bad-payload", "a protobuf field ends past its message")
            yield number, struct.unpack_from("<d" if wire == 1 else "<f", data, at)[0]
            at += size
        else:
            raise BadInput("bad-payload", f"wire type {wire} is none that Sparkplug uses")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BadInput("bad-payload", "a protobuf number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & _UINT64_MAX, at
    raise BadInput("bad-payload", "a protobuf number is longer than ten bytes")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("bad-payload", "a text is not UTF-8") from error


def _text_or_bytes(data: bytes) -> str | bytes:
    """A value that is a text; one that is in another code than UTF-8, as small nodes send it, stays as it is."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _encode_metric(metric: Metric) -> bytes:
    data = bytearray()
    if metric.name is not None:
        data += _bytes_field(1, metric.name.encode())
    if metric.alias is not None:
        data += _varint_field(2, metric.alias)
    if metric.time_ms is not None:
        data += _varint_field(3, metric.time_ms)
    if metric.datatype is not None:
        data += _varint_field(4, metric.datatype)
    if metric.is_historical:
        data += _varint_field(5, 1)
    if metric.is_null:
        data += _varint_field(7, 1)
    else:
        data += _encode_value(metric.value, metric.datatype)
    return bytes(data)


def _encode_value(value: Value, datatype: int | None) -> bytes:
    """By its datatype, or where that is left out (data by alias) by its own kind, as DOUBLE, INT64, BOOLEAN or STRING."""
    match value:
        case None:
            return b""
        case bool():
            return _varint_field(14, int(value))
        case int() if datatype in _INT_FIELD:
            return _varint_field(10, value & 0xFFFF_FFFF)
        case int() if datatype is None or datatype in _LONG_FIELD:
            return _varint_field(11, value & _UINT64_MAX)
        case int() | float() if datatype == DataType.FLOAT:
            return _key(12, 5) + struct.pack("<f", value)
        case int() | float():
            return _key(13, 1) + struct.pack("<d", value)
        case str():
            return _bytes_field(15, value.encode())
        case bytes():
            return _bytes_field(16, value)


def _key(number: int, wire: int) -> bytes:
    return _encode_varint(number << 3 | wire)


def _varint_field(number: int, value: int) -> bytes:
    return _key(number, 0) + _encode_varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _key(number, 2) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    assert 0 <= value <= _UINT64_MAX
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def metric_named(metrics: Sequence[Metric], name: str) -> Metric | None:
    """The metric of that name."""
    return next((metric for metric in metrics if metric.name == name), None)
