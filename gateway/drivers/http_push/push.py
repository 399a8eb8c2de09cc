"""One pushed JSON object as readings, without I/O. Scanners are sloppy; what each sloppiness means is decided here.

A time must carry its zone: a scanner's local time is a guess, and a guess is refused. What else numbers and times may be:
`gateway/scan.py`.
Whatever `fields` does not name is dropped unread: pictures never get past this point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.scan import number, shown, text, time_ms
from telemetry.errors import BadInput
from telemetry.reading import Reading

UNKNOWN_SERIAL = "unknown-serial"


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
    serial = text("serial", fields_sent.get("serial"))
    if serial is None:
        raise BadInput("missing-serial", "'serial' is missing: the scanner must say who it is")
    device = devices.get(serial)
    if device is None:
        raise BadInput(UNKNOWN_SERIAL, f"no scanner with serial '{shown(serial)}' is declared at this gateway")
    passage = text("passage", fields_sent.get("passage"))
    time = fields_sent.get("time")
    measured_ms, quality = time_ms(time, None, now_ms)
    readings = []
    for field, metric in fields.items():
        value = number(field, fields_sent.get(field))
        if value is not None:
            readings.append(Reading(device, metric, measured_ms, value, quality, passage))
    identity = None if passage is None else (serial, passage, str(time))
    return Push(device, identity, tuple(readings))
