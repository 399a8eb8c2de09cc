"""What face terminals of the mqtt/face family say, without I/O: messages in, scans and acknowledgements out.

A message is `{"operator": …, "info": {…}}`. Its pictures, names, cards and telephone numbers are skipped where they stand:
nothing here has a field for them. Numbers come as text, the time is the terminal's local one, and firmware does not agree
on how a field is spelt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from gateway.scan import Scan, first, shown, temperature_c, text, time_ms, truth
from telemetry.errors import BadInput


class PushKind(IntEnum):
    """What was pushed, as the acknowledgement names it."""

    STRANGER = 1
    RECORD = 2
    SNAPSHOT = 3


@dataclass(frozen=True, slots=True)
class Push:
    """One passage. `record` is None when the terminal does not number it: it expects no acknowledgement then."""

    terminal: str
    kind: PushKind
    record: str | None
    verify: int | None  # 0 none, 1 allowed, 2 refused, 3 not registered
    is_live: bool  # false for what the terminal kept and sends again
    scan: Scan


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life: HeartBeat, Online, Offline, or the answer to a command. Nothing was measured."""

    terminal: str | None
    operator: str


Said: TypeAlias = "Push | Sign"

_KINDS = {
    "recpush": PushKind.RECORD,
    "verifypush": PushKind.RECORD,
    "strsnappush": PushKind.STRANGER,
    "snappush": PushKind.SNAPSHOT,
}


class _Envelope(msgspec.Struct):
    operator: Any = None
    info: msgspec.Raw = msgspec.Raw(b"{}")
    terminal: Any = msgspec.field(name="facesluiceId", default=None)


class _Info(msgspec.Struct):
    terminal: Any = msgspec.field(name="facesluiceId", default=None)
    device_id: Any = msgspec.field(name="DeviceID", default=None)
    device_id_small: Any = msgspec.field(name="deviceId", default=None)
    record: Any = msgspec.field(name="RecordID", default=None)
    record_small: Any = msgspec.field(name="recordId", default=None)
    snap: Any = msgspec.field(name="SnapID", default=None)
    either: Any = msgspec.field(name="SnapOrRecordID", default=None)
    verify: Any = msgspec.field(name="VerifyStatus", default=None)
    sent_in_time: Any = msgspec.field(name="Sendintime", default=None)
    sent_in_time_too: Any = msgspec.field(name="SendInTime", default=None)
    push_type: Any = msgspec.field(name="PushType", default=None)
    time: Any = None
    create_time: Any = msgspec.field(name="CreateTime", default=None)
    capture_time: Any = msgspec.field(name="captureTime", default=None)
    temperature: Any = None
    temperature_big: Any = msgspec.field(name="Temperature", default=None)
    temperature_short: Any = msgspec.field(name="temp", default=None)
    temperature_wrong: Any = msgspec.field(name="temprature", default=None)
    temperature_unit: Any = msgspec.field(name="temperatureUnit", default=None)
    temperature_valid: Any = msgspec.field(name="Tempvalid", default=None)
    alarm: Any = msgspec.field(name="temperatureAlarm", default=None)
    ambient: Any = msgspec.field(name="environmentTemperature", default=None)
    no_mask: Any = msgspec.field(name="isNoMask", default=None)
    custom_id: Any = msgspec.field(name="customId", default=None)
    person_id: Any = msgspec.field(name="personId", default=None)
    person_id_big: Any = msgspec.field(name="PersonID", default=None)
    person_uuid: Any = msgspec.field(name="PersonUUID", default=None)


def decode(payload: bytes, zone: ZoneInfo, now_ms: int) -> Said:
    """Read a message.

    Args:
        payload: JSON, as published or posted.
        zone: Where the terminal's clock is set to.
        now_ms: The gateway's time, for a terminal whose clock was never set.

    Raises BadInput.
    """
    try:
        envelope = msgspec.json.decode(payload, type=_Envelope)
        info = msgspec.json.decode(envelope.info, type=_Info)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-json", f"not a message of a face terminal: {shown(error)}") from error
    if not isinstance(envelope.operator, str):
        raise BadInput("missing-operator", "'operator' is missing: this is no message of a face terminal")
    terminal = text("facesluiceId", first(info.terminal, info.device_id, info.device_id_small, envelope.terminal))
    kind = _KINDS.get(envelope.operator.lower())
    if kind is None:
        return Sign(terminal, shown(envelope.operator))
    if terminal is None:
        raise BadInput("missing-terminal", "'facesluiceId' is missing: the terminal must say who it is")
    return _push(info, terminal, kind, zone, now_ms)


def encode_acknowledgement(push: Push) -> bytes:
    """The answer to a push over MQTT that is durable, for the topic mqtt/face/{terminal}."""
    assert push.record is not None
    record: int | str = int(push.record) if push.record.isascii() and push.record.isdigit() else push.record
    return msgspec.json.encode(
        {
            "operator": "PushAck",
            "messageId": f"gatehouse-{push.record}",
            "info": {"PushAckType": push.kind.value, "SnapOrRecordID": record},
        }
    )


def _push(info: _Info, terminal: str, kind: PushKind, zone: ZoneInfo, now_ms: int) -> Push:
    record = text("RecordID", first(info.record, info.record_small, info.snap, info.either))
    sent_time = first(info.time, info.create_time, info.capture_time)
    measured_ms, quality = time_ms(sent_time, zone, now_ms)
    person = None
    if kind is PushKind.RECORD:
        # 0 stands for a person that is not in the terminal's list.
        named = first(info.custom_id, info.person_uuid, info.person_id, info.person_id_big)
        person = None if str(named).strip() == "0" else text("personId", named)
    temperature = None
    if truth(info.temperature_valid) is not False:
        sent = first(info.temperature, info.temperature_big, info.temperature_short, info.temperature_wrong)
        temperature = temperature_c("temperature", sent, info.temperature_unit)
    scan = Scan(
        device=terminal,
        # What carries neither a number nor a time cannot be recognised when it comes again.
        event=f"{kind.value}/{record}/{now_ms if record is sent_time is None else shown(sent_time)}",
        person=person,
        time_ms=measured_ms,
        quality=quality,
        temperature_c=temperature,
        ambient_c=temperature_c("environmentTemperature", info.ambient),
        is_abnormal=truth(info.alarm),
        wears_mask={"0": None, "1": False, "2": False}.get(str(info.no_mask).strip()),
    )
    live = first(info.sent_in_time, info.sent_in_time_too)
    is_live = truth(live) is not False and str(info.push_type).strip() != "2"
    return Push(terminal, kind, record, _small(info.verify), is_live, scan)


def _small(sent: object) -> int | None:
    words = str(sent).strip()
    return int(words) if words.isascii() and words.isdigit() and len(words) < 4 else None
