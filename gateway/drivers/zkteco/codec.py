"""What ZKTeco terminals push, without I/O: tables of text in, scans out, and the texts they want to hear.

Two generations share one server. Attendance (2.x) posts `ATTLOG` rows, separated by tabs, in a fixed order; access control
(3.x) posts `rtlog` rows of `name=value`. A temperature of 0 is none. A clock that was never set yields times such as
`1971--10--29 -23:-27:-54`: the row is kept, at the gateway's time. `index` begins anew with a reset of the terminal, so that
only (serial number, index, time) names an event.

Source: captures of SenseFace 2A; the scale of `temperature` in them was never other than 0, so that degrees Celsius with a
point are assumed, and `convtemperature`, the same in Fahrenheit, is read where the first is missing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

from gateway.scan import Scan, first, shown, temperature_c, text, time_ms, truth
from telemetry.errors import BadInput

_ATTLOG = ("pin", "time", "status", "verifytype", "workcode", "r1", "r2", "maskflag", "temperature", "convtemperature")
_ROWS_AT_ONCE = 2_000
_Reader: TypeAlias = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One event of a terminal."""

    fields: Mapping[str, str]  # lower-case names
    scan: Scan


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: its rows, and the reasons why others could not be read."""

    rows: tuple[Row, ...]
    refused: tuple[BadInput, ...]

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.refused)


def slices(body: bytes) -> Iterator[bytes]:
    """A table in pieces of so many rows that they can be held: a terminal sends all at once that it kept for days."""
    lines = body.replace(b"\r", b"\n").split(b"\n")
    for at in range(0, len(lines), _ROWS_AT_ONCE):
        yield b"\n".join(lines[at : at + _ROWS_AT_ONCE])


def decode_rtlog(body: bytes, serial: str, zone: ZoneInfo, now_ms: int) -> Rows:
    """Rows of access control. A row that cannot be read costs only itself."""
    return _decoded(body, serial, zone, now_ms, _named)


def decode_attlog(body: bytes, serial: str, zone: ZoneInfo, now_ms: int) -> Rows:
    """Rows of attendance. A row that cannot be read costs only itself."""
    return _decoded(body, serial, zone, now_ms, _placed)


def registry_code(serial: str, secret: str) -> str:
    """The code by which a 3.x terminal believes that it is registered; the same after our restart, or it would ask again."""
    return hmac.new(secret.encode(), b"registry " + serial.encode(), hashlib.sha256).hexdigest()[:12]


def options(serial: str, offset_h: float) -> str:
    """What a 2.x terminal is told when it asks: send events at once, no photographs, no users.

    Args:
        offset_h: Of its zone from UTC.
    """
    lines = {
        "ATTLOGStamp": "None",  # go on where you are
        "OPERLOGStamp": "None",
        "ATTPHOTOStamp": "None",
        "ErrorDelay": "30",
        "Delay": "10",
        "TransTimes": "00:00;14:05",
        "TransInterval": "1",
        "TransFlag": "TransData AttLog",
        "TimeZone": f"{offset_h:g}",
        "Realtime": "1",
        "Encrypt": "None",
        "ServerVer": "2.4.1",
        "PushProtVer": "2.4.1",
    }
    return f"GET OPTION FROM: {serial}\n" + "".join(f"{name}={value}\n" for name, value in lines.items())


def push_configuration() -> str:
    """What a registered 3.x terminal is told: send events at once, and none of its tables."""
    lines = {
        "ServerVersion": "3.1.1",
        "ServerName": "gatehouse",
        "PushVersion": "3.1.1",
        "ErrorDelay": "30",
        "RequestDelay": "10",
        "TransTimes": "00:00;14:00",
        "TransInterval": "1",
        "TransTables": "Transaction",
        "Realtime": "1",
        "SessionID": "1",
        "TimeoutSec": "10",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _decoded(body: bytes, serial: str, zone: ZoneInfo, now_ms: int, read: _Reader) -> Rows:
    rows: list[Row] = []
    refused: list[BadInput] = []
    lines = [line for line in body.decode("utf-8", "replace").replace("\r", "\n").split("\n") if line.strip(" \t\0")]
    for line in lines:
        try:
            fields = read(line)
            rows.append(Row(fields, _scan(fields, serial, zone, now_ms)))
        except BadInput as error:
            refused.append(error)
    return Rows(tuple(rows), tuple(refused))


def _named(line: str) -> Mapping[str, str]:
    fields = {}
    for pair in line.split("\t"):
        name, equals, value = pair.partition("=")
        if equals:
            fields[name.strip().lower()] = value.strip()
    if "time" not in fields and "index" not in fields:
        raise BadInput("broken-row", "a row must hold 'time=' or 'index='")  # unquoted: it may hold a person
    return fields


def _placed(line: str) -> Mapping[str, str]:
    values = line.split("\t")
    if len(values) < 2:
        raise BadInput("broken-row", "a row of attendance has at least a PIN and a time, with a tab between")
    return {name: value.strip() for name, value in zip(_ATTLOG, values, strict=False)}


def _scan(fields: Mapping[str, str], serial: str, zone: ZoneInfo, now_ms: int) -> Scan:
    measured_ms, quality = time_ms(fields.get("time"), zone, now_ms)
    celsius = temperature_c("temperature", fields.get("temperature"))
    if celsius is None:
        celsius = temperature_c("convtemperature", fields.get("convtemperature"), "fahrenheit")
    person = text("pin", first(*(None if fields.get(name) == "0" else fields.get(name) for name in ("pin", "cardno"))))
    index = fields.get("index", fields.get("pin", ""))
    return Scan(
        device=serial,
        event=f"{shown(index)}/{shown(fields.get('time') or now_ms)}",
        person=person,
        time_ms=measured_ms,
        quality=quality,
        temperature_c=celsius,
        wears_mask=True if truth(fields.get("maskflag")) else None,  # 0 stands for "not looked at" too
    )
