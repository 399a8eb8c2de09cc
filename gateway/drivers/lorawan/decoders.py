"""What sensors put into a LoRaWAN payload, as data: a decoder says where each field stands, one piece of code reads them.

Two shapes cover what is sold. `Channels`: entries of channel (1), type (1) and a value of known length, in any order; an
unknown channel ends the reading, because its length is not known. `Fixed`: each field at its place. A decoder of one's own
is written in the configuration in the same words as the built-in ones here.

Source: Milesight SensorDecoders (em-series), Dragino decoder repository (LDDS75 V1.1.4), and the makers' manuals.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

_FORMATS = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f"}
Kind = Literal["u8", "i8", "u16", "i16", "u32", "i32", "f32"]
_Byte = Annotated[int, Field(ge=0, le=255)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PayloadField(_Declared):
    """One field. Value = (raw & mask) * scale."""

    name: str = Field(min_length=1)
    kind: Kind = "u16"
    at: int = Field(default=0, ge=0, le=254)  # bytes from where its entry's value, or the payload, begins
    mask: int | None = None
    scale: FiniteFloat = 1.0
    invalid: tuple[float, ...] = ()  # raw values that mean "no measurement"
    only_if: str | None = None  # a field before it that must not be 0

    @model_validator(mode="after")
    def _whole_numbers_have_bits(self) -> PayloadField:
        if self.mask is not None and self.kind == "f32":
            raise ValueError(f"field '{self.name}' is a float: it has no 'mask'")
        return self

    @property
    def size(self) -> int:
        return struct.calcsize(f"<{_FORMATS[self.kind]}")


class Entry(_Declared):
    """What follows a channel and a type."""

    channel: _Byte
    type: _Byte
    length: int = Field(ge=1, le=64)
    fields: tuple[PayloadField, ...] = ()
    time_at: int | None = None  # where it carries its own time, seconds since 1970 (u32): kept from an outage

    @model_validator(mode="after")
    def _fields_fit(self) -> Entry:
        for field in self.fields:
            if field.at + field.size > self.length:
                raise ValueError(f"field '{field.name}' ends past the {self.length} bytes of its entry")
        if self.time_at is not None and self.time_at + 4 > self.length:
            raise ValueError(f"the time at {self.time_at} ends past the {self.length} bytes of its entry")
        return self


class Channels(_Declared):
    """A decoder of entries, little-endian as all makers of the shape write it."""

    shape: Literal["channels"] = "channels"
    ports: tuple[int, ...] = ()  # others are passed over; empty: any
    entries: tuple[Entry, ...] = Field(min_length=1)


class Fixed(_Declared):
    """A decoder of fields at fixed places."""

    shape: Literal["fixed"] = "fixed"
    ports: tuple[int, ...] = ()
    big_endian: bool = True
    length: int = Field(ge=1, le=255)  # shorter payloads are no measurement
    fields: tuple[PayloadField, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fields_fit(self) -> Fixed:
        for field in self.fields:
            if field.at + field.size > self.length:
                raise ValueError(f"field '{field.name}' ends past the {self.length} bytes of the payload")
        return self


Decoder = Annotated[Channels | Fixed, Field(discriminator="shape")]


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of one moment."""

    values: Mapping[str, float | None]  # None: the sensor says that there is none
    time_ms: int | None = None  # None: that of the uplink


@dataclass(frozen=True, slots=True)
class Payload:
    """What a payload says."""

    measured: tuple[Measured, ...]
    rest: bytes  # from the first unknown channel on


def decode_payload(decoder: Channels | Fixed, port: int, payload: bytes) -> Payload:
    """Read a payload. One on a port that is not the decoder's, or too short, is all `rest`."""
    if decoder.ports and port not in decoder.ports:
        return Payload((), payload)
    if isinstance(decoder, Fixed):
        if len(payload) < decoder.length:
            return Payload((), payload)
        return Payload((Measured(_values(decoder.fields, payload, ">" if decoder.big_endian else "<")),), b"")
    entries = {(entry.channel, entry.type): entry for entry in decoder.entries}
    now: dict[str, float | None] = {}
    kept: list[Measured] = []
    at = 0
    while at < len(payload):
        entry = entries.get((payload[at], payload[at + 1] if at + 1 < len(payload) else -1))
        if entry is None or at + 2 + entry.length > len(payload):
            break
        data = payload[at + 2 : at + 2 + entry.length]
        values = _values(entry.fields, data, "<")
        if entry.time_at is None:
            now |= values
        else:
            kept.append(Measured(values, struct.unpack_from("<I", data, entry.time_at)[0] * 1000))
        at += 2 + entry.length
    return Payload(((Measured(now),) if now else ()) + tuple(kept), payload[at:])


def _values(fields: tuple[PayloadField, ...], data: bytes, order: str) -> dict[str, float | None]:
    raws: dict[str, float] = {}
    values: dict[str, float | None] = {}
    for field in fields:
        raw = struct.unpack_from(order + _FORMATS[field.kind], data, field.at)[0]
        if field.mask is not None:
            raw &= field.mask
        raws[field.name] = raw
        is_none = raw in field.invalid or raw != raw or (field.only_if is not None and not raws.get(field.only_if))
        values[field.name] = None if is_none else raw * field.scale
    return values


def _entry(
    channel: int, type_: int, name: str, kind: Kind, scale: float = 1.0, invalid: tuple[float, ...] = ()
) -> Entry:
    field = PayloadField(name=name, kind=kind, scale=scale, invalid=invalid)
    return Entry(channel=channel, type=type_, length=field.size, fields=(field,))


_BATTERY = _entry(0x01, 0x75, "battery_pct", "u8", invalid=(0xFF,))
# No echo, or too near: what the sensors send instead of a distance.
_NO_DISTANCE = (0xFFFD, 0xFFFE, 0xFFFF)
_PASSED_OVER = (  # what all of the makers' devices send about themselves, once after they join
    Entry(channel=0xFF, type=0x01, length=1),  # protocol version
    Entry(channel=0xFF, type=0x09, length=2),  # hardware version
    Entry(channel=0xFF, type=0x0A, length=2),  # firmware version
    Entry(channel=0xFF, type=0x0B, length=1),  # switched on
    Entry(channel=0xFF, type=0x0F, length=1),  # LoRaWAN class
    Entry(channel=0xFF, type=0x16, length=8),  # serial number
    Entry(channel=0xFF, type=0xFE, length=1),  # reset
    Entry(channel=0xFF, type=0xFF, length=2),  # version of its model
    Entry(channel=0xFF, type=0x1B, length=5),  # range of the probe
)


def _kept(value: PayloadField) -> Entry:
    """Sent again after an outage of the radio, with the time at which it was measured."""
    return Entry(channel=0x20, type=0xCE, length=6, time_at=0, fields=(value.model_copy(update={"at": 4}),))


DECODERS: Mapping[str, Channels | Fixed] = {
    "milesight-em500-udl": Channels(
        ports=(85,),
        entries=(
            _BATTERY,
            _entry(0x03, 0x82, "distance_mm", "u16", invalid=_NO_DISTANCE),
            Entry(
                channel=0x83,
                type=0xE9,
                length=5,
                fields=(
                    # Tenths here, whole millimetres everywhere else.
                    PayloadField(name="distance_mm", kind="u16", at=0, scale=0.1, invalid=_NO_DISTANCE),
                    PayloadField(name="mutation_mm", kind="u16", at=2, scale=0.1),
                    PayloadField(name="alarm", kind="u8", at=4),
                ),
            ),
            _kept(PayloadField(name="distance_mm", kind="u16", invalid=_NO_DISTANCE)),
            *_PASSED_OVER,
        ),
    ),
    "milesight-em310-udl": Channels(
        ports=(85,),
        entries=(
            _BATTERY,
            _entry(0x03, 0x82, "distance_mm", "u16", invalid=_NO_DISTANCE),
            _entry(0x04, 0x00, "tilted", "u8"),
            *_PASSED_OVER,
        ),
    ),
    "milesight-em400-mud": Channels(
        ports=(85,),
        entries=(
            _BATTERY,
            _entry(0x03, 0x67, "temperature_c", "i16", 0.1),
            _entry(0x04, 0x82, "distance_mm", "u16", invalid=_NO_DISTANCE),
            _entry(0x05, 0x00, "tilted", "u8"),
            Entry(
                channel=0x83,
                type=0x67,
                length=3,
                fields=(
                    PayloadField(name="temperature_c", kind="i16", at=0, scale=0.1),
                    PayloadField(name="temperature_alarm", kind="u8", at=2),
                ),
            ),
            Entry(
                channel=0x84,
                type=0x82,
                length=3,
                fields=(
                    PayloadField(name="distance_mm", kind="u16", at=0, invalid=_NO_DISTANCE),
                    PayloadField(name="alarm", kind="u8", at=2),
                ),
            ),
            *_PASSED_OVER,
        ),
    ),
    "milesight-em500-swl": Channels(
        ports=(85,),
        entries=(
            _BATTERY,
            _entry(0x03, 0x77, "depth_cm", "u16", invalid=_NO_DISTANCE),
            _kept(PayloadField(name="depth_cm", kind="u16", invalid=_NO_DISTANCE)),
            *_PASSED_OVER,
        ),
    ),
    "dragino-ldds75": Fixed(
        ports=(2,),
        length=8,
        fields=(
            PayloadField(name="battery_v", at=0, mask=0x3FFF, scale=0.001),
            PayloadField(name="sensor_ok", kind="u8", at=7),
            PayloadField(name="distance_mm", at=2, invalid=(0, 0xFFFF), only_if="sensor_ok"),
            PayloadField(name="interrupt", kind="u8", at=4),
            PayloadField(name="temperature_c", kind="i16", at=5, scale=0.1),
        ),
    ),
}
