"""Temperature reports in the form of WeCom's hardware interface, without I/O: terminals made for it can post here too.

`{"temperature_data": [{"open_userid", "user_type", "temperature": "36.7", "timestamp": seconds, "status": 0|1|2}]}`; status 0
is normal, 1 fever, 2 too low.

Source: WeCom developer documentation, report_temperature_data, document 95986.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.scan import EARLIEST_MS, Scan, shown, temperature_c, text
from telemetry.errors import BadInput
from telemetry.quality import Quality

ROWS_MAX = 100
_FEVER = 1


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of a report, and the reasons why others could not be read."""

    scans: tuple[Scan, ...]
    refused: tuple[BadInput, ...]


class _Row(msgspec.Struct):
    person: Any = msgspec.field(name="open_userid", default=None)
    temperature: Any = None
    timestamp: Any = None
    status: Any = None


class _Report(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="temperature_data")


def decode_report(body: bytes, terminal: str, now_ms: int) -> Report:
    """Read a report. A row that cannot be read costs only itself. Raises BadInput."""
    try:
        rows = msgspec.json.decode(body, type=_Report).rows
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-json", f"not a report of temperatures: {shown(error)}") from error
    if len(rows) > ROWS_MAX:
        raise BadInput("too-many-rows", f"a report has at most {ROWS_MAX} rows")
    scans: list[Scan] = []
    refused: list[BadInput] = []
    for raw in rows:
        try:
            scans.append(_scan(msgspec.json.decode(raw, type=_Row), terminal, now_ms))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            refused.append(BadInput("broken-json", f"not a row of a report: {shown(error)}"))
        except BadInput as error:
            refused.append(error)
    return Report(tuple(scans), tuple(refused))


def _scan(row: _Row, terminal: str, now_ms: int) -> Scan:
    seconds = row.timestamp if isinstance(row.timestamp, int) and not isinstance(row.timestamp, bool) else 0
    is_set = EARLIEST_MS <= seconds * 1000 < 2**53
    return Scan(
        device=terminal,
        event=f"wecom/{shown(row.person)}/{seconds or now_ms}",
        person=text("open_userid", row.person),
        time_ms=seconds * 1000 if is_set else now_ms,
        quality=Quality.GOOD if is_set else Quality.SUSPECT,
        temperature_c=temperature_c("temperature", row.temperature),
        is_abnormal={0: False, _FEVER: True, 2: False}.get(row.status) if isinstance(row.status, int) else None,
    )
