"""What Dahua terminals say about people, without I/O: the text of an event in, a scan out.

`Code=AccessControl;action=Pulse;index=0;data={…}`. The temperature stands in an object of its own, valid only where
`bManTemperature` says so; the cgi interface writes the same fields without the letters that name their types. Names, cards
and pictures have no field here.

Source: NetSDK, DEV_EVENT_ACCESS_CTL_INFO; the text around it from the HTTP API's manual. No capture with a temperature
is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.scan import Scan, first, shown, temperature_c, text, time_ms, truth
from telemetry.errors import BadInput

_HIGH_TEMPERATURE, _NO_MASK = 0x65, 0x66
_EVENT = re.compile(
    rb"\s*Code=([A-Za-z]{1,40});\s*action=([A-Za-z]{1,20});\s*index=\d{1,6}(?:;\s*data=(.*))?\s*", re.DOTALL
)
_UNITS = {"0": "celsius", "1": "fahrenheit", "2": "kelvin"}


class _Temperature(msgspec.Struct):
    current: Any = msgspec.field(name="fCurrentTemperature", default=None)
    current_plain: Any = msgspec.field(name="CurrentTemperature", default=None)
    unit: Any = msgspec.field(name="emTemperatureUnit", default=None)
    unit_plain: Any = msgspec.field(name="TemperatureUnit", default=None)
    is_over: Any = msgspec.field(name="bIsOverTemperature", default=None)
    is_over_plain: Any = msgspec.field(name="IsOverTemperature", default=None)


class _Data(msgspec.Struct):
    is_measured: Any = msgspec.field(name="bManTemperature", default=None)
    is_measured_plain: Any = msgspec.field(name="ManTemperature", default=None)
    temperature: _Temperature | None = msgspec.field(name="stuManTemperatureInfo", default=None)
    temperature_plain: _Temperature | None = msgspec.field(name="ManTemperatureInfo", default=None)
    error: Any = msgspec.field(name="nErrorCode", default=None)
    error_plain: Any = msgspec.field(name="ErrorCode", default=None)
    record: Any = msgspec.field(name="RecNo", default=None)
    record_too: Any = msgspec.field(name="nRecNo", default=None)
    person: Any = msgspec.field(name="UserID", default=None)
    person_too: Any = msgspec.field(name="szUserID", default=None)
    time: Any = msgspec.field(name="CreateTime", default=None)
    time_too: Any = msgspec.field(name="UTC", default=None)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `scan` is None for other codes than AccessControl, and heartbeats."""

    code: str
    error: int
    scan: Scan | None


def decode_event(data: bytes, zone: ZoneInfo, now_ms: int) -> Event:
    """Read a part of the event stream. Raises BadInput."""
    if data.strip().lower() == b"heartbeat":
        return Event("Heartbeat", 0, None)
    match = _EVENT.fullmatch(data)
    if match is None:
        raise BadInput("broken-event", "not an event of this family")  # unquoted: it may hold a person
    code = match[1].decode("ascii")
    if code != "AccessControl":
        return Event(code, 0, None)
    return decode_data(match[3] or b"{}", zone, now_ms)


def decode_data(data: bytes, zone: ZoneInfo, now_ms: int) -> Event:
    """Read the data of an AccessControl event. Raises BadInput."""
    try:
        sent = msgspec.json.decode(data, type=_Data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-event", f"not the data of an event: {shown(error)}") from error
    measured = sent.temperature or sent.temperature_plain or _Temperature()
    is_measured = truth(first(sent.is_measured, sent.is_measured_plain))
    value = first(measured.current, measured.current_plain)
    unit = str(first(measured.unit, measured.unit_plain, "0")).strip()
    sent_time = first(sent.time, sent.time_too)
    # Seconds since 1970, as these devices count.
    seconds = sent_time * 1000 if isinstance(sent_time, int) and 0 < sent_time < 2**33 else sent_time
    measured_ms, quality = time_ms(seconds, zone, now_ms)
    record = first(sent.record, sent.record_too)
    sent_code = first(sent.error, sent.error_plain)
    code = sent_code if isinstance(sent_code, int) and not isinstance(sent_code, bool) else 0
    is_over = truth(first(measured.is_over, measured.is_over_plain))
    person = text("UserID", first(sent.person, sent.person_too))
    scan = Scan(
        device="",
        event=f"{shown(record)}/{now_ms if record is sent_time is None else measured_ms}",
        person=None if person == "0" else person,
        time_ms=measured_ms,
        quality=quality,
        temperature_c=None
        if is_measured is False
        else temperature_c("fCurrentTemperature", value, _UNITS.get(unit, unit)),
        is_abnormal=True if code == _HIGH_TEMPERATURE else is_over,
        wears_mask=False if code == _NO_MASK else None,
    )
    return Event("AccessControl", code, scan)
