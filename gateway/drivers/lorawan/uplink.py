"""Uplinks as network servers publish them over MQTT, without I/O: ChirpStack v4 and v3, The Things Stack v3.

In protobuf's JSON a field of value zero is left out: no `fCnt` is frame 0, no `fPort` is port 0, no `data` is no byte.
An uplink heard by several gateways may come several times, and devices repeat themselves: (device, session, frame, payload)
within an hour tells.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from gateway.scan import EARLIEST_MS, first, shown, text
from telemetry.errors import BadInput
from telemetry.quality import Quality

_EUI = re.compile(r"[0-9a-f]{16}")
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")
_PAYLOAD_MAX_BYTES = 255
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Uplink:
    """One message of a device."""

    eui: str  # sixteen hexadecimal digits, lower case
    port: int
    frame: int
    session: str  # changes when the device joins anew and counts from 0 again
    payload: bytes
    time_ms: int  # when a gateway heard it
    quality: Quality  # of the time

    @property
    def identity(self) -> tuple[str, str, int, int, bytes]:
        """What makes two messages the same uplink.

        Hour and payload are part of it: a device without a join counts from 0 again when it starts anew, in the same session.
        """
        return (self.eui, self.session, self.frame, self.time_ms // _HOUR_MS, self.payload)


class _DeviceInfo(msgspec.Struct):
    eui: Any = msgspec.field(name="devEui", default=None)


class _Gateway(msgspec.Struct):
    time: Any = None


class _EndDevice(msgspec.Struct):
    eui: Any = msgspec.field(name="dev_eui", default=None)
    address: Any = msgspec.field(name="dev_addr", default=None)


class _UplinkMessage(msgspec.Struct):
    port: Any = msgspec.field(name="f_port", default=None)
    frame: Any = msgspec.field(name="f_cnt", default=None)
    payload: Any = msgspec.field(name="frm_payload", default=None)
    session: Any = msgspec.field(name="session_key_id", default=None)
    received: Any = msgspec.field(name="received_at", default=None)


class _Message(msgspec.Struct):
    # ChirpStack v4
    info: _DeviceInfo = msgspec.field(name="deviceInfo", default_factory=_DeviceInfo)
    time: Any = None
    address: Any = msgspec.field(name="devAddr", default=None)
    # v4 and v3
    port: Any = msgspec.field(name="fPort", default=None)
    frame: Any = msgspec.field(name="fCnt", default=None)
    data: Any = None
    gateways: list[_Gateway] = msgspec.field(name="rxInfo", default_factory=list)
    # ChirpStack v3
    eui: Any = msgspec.field(name="devEUI", default=None)
    published: Any = msgspec.field(name="publishedAt", default=None)
    # The Things Stack v3
    end_device: _EndDevice = msgspec.field(name="end_device_ids", default_factory=_EndDevice)
    uplink: _UplinkMessage | None = msgspec.field(name="uplink_message", default=None)
    received: Any = msgspec.field(name="received_at", default=None)


def decode_uplink(payload: bytes, now_ms: int) -> Uplink:
    """Read an uplink.

    Args:
        payload: JSON of any of the servers.
        now_ms: The gateway's time, for a message without one.

    Raises BadInput.
    """
    try:
        message = msgspec.json.decode(payload, type=_Message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-json", f"not an uplink: {shown(error)}") from error
    nested = message.uplink or _UplinkMessage()
    eui = _eui(first(message.info.eui, message.eui, message.end_device.eui))
    times = [gateway.time for gateway in message.gateways]
    time_ms, quality = _time_ms(
        first(message.time, *times, nested.received, message.received, message.published), now_ms
    )
    return Uplink(
        eui=eui,
        port=_whole("fPort", first(message.port, nested.port), 255),
        frame=_whole("fCnt", first(message.frame, nested.frame), 2**32 - 1),
        session=text("devAddr", first(nested.session, message.address, message.end_device.address)) or "",
        payload=_bytes(first(message.data, nested.payload)),
        time_ms=time_ms,
        quality=quality,
    )


def _eui(sent: object) -> str:
    """Hexadecimal in any case, or base64 as ChirpStack v3 writes it in one of its two ways."""
    if isinstance(sent, str):
        plain = sent.lower().replace("-", "").replace(":", "")
        if _EUI.fullmatch(plain):
            return plain
        try:
            data = base64.b64decode(sent, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if len(data) == 8:
            return data.hex()
    raise BadInput("missing-eui", "no device EUI of 16 hexadecimal digits: this is no uplink of ChirpStack or TTS")


def _whole(field: str, sent: object, highest: int) -> int:
    if sent is None:
        return 0
    if isinstance(sent, int) and not isinstance(sent, bool) and 0 <= sent <= highest:
        return sent
    raise BadInput("bad-value", f"'{field}' must be a whole number up to {highest}, not {shown(sent)!r}")


def _bytes(sent: object) -> bytes:
    if sent is None:
        return b""
    try:
        data = base64.b64decode(sent if isinstance(sent, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("bad-value", "the payload is not base64") from error
    if len(data) > _PAYLOAD_MAX_BYTES:
        raise BadInput("bad-value", f"a LoRaWAN payload has at most {_PAYLOAD_MAX_BYTES} bytes")
    return data


def _time_ms(sent: object, now_ms: int) -> tuple[int, Quality]:
    """The servers' times have zones; their nanoseconds are more than a clock here can hold."""
    try:
        time = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", str(sent)))
        time_ms = round(time.timestamp() * 1000) if time.tzinfo is not None else 0
    except (ValueError, OverflowError):
        time_ms = 0
    return (time_ms, Quality.GOOD) if time_ms >= EARLIEST_MS else (now_ms, Quality.SUSPECT)
