"""One pushed JSON object as readings, without I/O. Scanners are sloppy; what each sloppiness means is decided here.

A number may be a text. "", null and 0 mean "not measured" and give no reading. A time must carry its zone: a scanner's
local time is a guess, and a guess is refused. Without a time ("" and 0 are none either), and where the scanner's clock
was never set (text that is no time, a year before 2020), the gateway's own counts, as a suspect one: a fever must not
go unseen because a battery is empty.
Whatever `fields` does not name is dropped unread: pictures never get past this point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading

KEY_MAX = 100
EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: a clock before it was never set
UNKNOWN_SERIAL = "unknown-serial"
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{0,15})?")


@dataclass(frozen=True, slots=True)
class Push:
    """A passage of one person, or what else was measured at once."""

    device: str
    identity: tuple[str, str, str] | None  # (serial, passage, time as sent); None when it cannot be recognised again
    readings: tuple[Reading, ...]


def decode_push(body: bytes, devices: Mapping[str, str], fields: Mapping[str, str], now_ms: int) -> Push:
    """Read a push.

    Args:
        body: One JSON object.
        devices: Serial number -> device.
        fields: Field of the object -> metric.
        now_ms: The gateway's time, for a push that carries none.

    Raises:
        BadInput: The scanner or its settings must change; `unknown-serial` when it is not one of ours.
    """
    try:
        fields_sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-json", f"the body is not JSON: {error}") from error
    if not isinstance(fields_sent, dict):
        raise BadInput("broken-json", "the body must be one JSON object")
    serial = _text("serial", fields_sent.get("serial"))
    if serial is None:
        raise BadInput("missing-serial", "'serial' is missing: the scanner must say who it is")
    device = devices.get(serial)
    if device is None:
        raise BadInput(UNKNOWN_SERIAL, f"no scanner with serial '{_shown(serial)}' is declared at this gateway")
    passage = _text("passage", fields_sent.get("passage"))
    time = fields_sent.get("time")
    time_ms, quality = _time_ms(time, now_ms)
    readings = []
    for field, metric in fields.items():
        value = _value(field, fields_sent.get(field))
        if value is not None:
            readings.append(Reading(device, metric, time_ms, value, quality, passage))
    identity = None if passage is None else (serial, passage, str(time))
    return Push(device, identity, tuple(readings))


def _value(field: str, sent: object) -> float | None:
    if sent is None or (isinstance(sent, str) and not sent.strip()):
        return None
    if isinstance(sent, str) and _NUMBER.fullmatch(sent.strip()):
        value = float(sent)
    elif isinstance(sent, int | float) and not isinstance(sent, bool):
        try:
            value = float(sent)
        except OverflowError:
            value = math.inf
    else:
        raise BadInput("bad-value", f"'{field}' must be a number, not {_shown(sent)!r}")
    if not math.isfinite(value):
        raise BadInput("bad-value", f"'{field}' is out of any range")
    return None if value == 0 else value


def _time_ms(sent: object, now_ms: int) -> tuple[int, Quality]:
    if sent in (None, "", 0):
        return now_ms, Quality.SUSPECT
    if isinstance(sent, int) and not isinstance(sent, bool) and abs(sent) < 2**53:
        return (now_ms, Quality.SUSPECT) if sent < EARLIEST_MS else (sent, Quality.GOOD)
    if not isinstance(sent, str):
        raise BadInput("bad-time", f"'time' must be a text like 2026-11-23T08:00:00.123+08:00, not {_shown(sent)!r}")
    try:
        time = datetime.fromisoformat(sent)
    except ValueError:
        return now_ms, Quality.SUSPECT
    if time.year < 2020:
        return now_ms, Quality.SUSPECT
    if time.tzinfo is None:
        raise BadInput(
            "time-without-zone",
            f"'time' {_shown(sent)!r} has no zone: set the scanner to send one (…+08:00 or …Z), or to send no time",
        )
    try:
        return round(time.timestamp() * 1000), Quality.GOOD
    except OverflowError:
        return now_ms, Quality.SUSPECT


def _text(field: str, sent: object) -> str | None:
    """A name or number that identifies something; None when absent."""
    if sent is None or sent == "":
        return None
    if not isinstance(sent, str | int) or isinstance(sent, bool) or not 0 < len(str(sent)) <= KEY_MAX:
        raise BadInput("bad-value", f"'{field}' must be a text of at most {KEY_MAX} characters")
    return str(sent)


def _shown(value: object) -> str:
    """Somebody else's text, short enough and harmless to print."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:60])
