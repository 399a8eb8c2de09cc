"""Instants as people write them on a command line: so long ago, or a day."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import typer

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def instant_ms(text: str, now_ms: int) -> int:
    """90d, 12h, 30m before now; or 2026-11-23, or an instant with its zone. Raises BadParameter."""
    match = re.fullmatch(r"(\d{1,9})([mhd])", text)  # more would be before there was a calendar
    if match:
        return now_ms - int(match[1]) * _UNIT_MS[match[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}': write 90d, 12h, 30m, or a day like 2026-11-23") from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
