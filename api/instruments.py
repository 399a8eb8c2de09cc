"""Which instrument stands at a device's place since when, and when it must be calibrated again.

A device of the catalogue is a place's point of measurement: its series go on when the instrument is replaced. What is kept
here is only ever added to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from telemetry.database import metadata

REMIND_DAYS = 30
"""So long before a calibration is due it is a duty to be seen."""
_SHOWN_MAX = 100

device_changes = sa.Table(
    "device_change",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("serial", sa.String(64), nullable=True),
    sa.Column("certificate", sa.String(100), nullable=True),
    sa.Column("calibrated_on", sa.Date, nullable=True),
    sa.Column("due_on", sa.Date, nullable=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Index("device_change_of_device", "device", "since_ms"),
    sqlite_autoincrement=True,
)


class Step(StrEnum):
    """What was done."""

    FITTED = "fitted"  # another instrument stands there from now on
    CALIBRATED = "calibrated"  # the one that stands there


class Due(StrEnum):
    """How a calibration stands."""

    UNKNOWN = "unknown"  # no due date is on record for the instrument that stands there
    VALID = "valid"
    SOON = "soon"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Change:
    """One step."""

    device: str
    what: Step
    since_ms: int
    serial: str | None
    certificate: str | None
    calibrated_on: date | None
    due_on: date | None
    note: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the calibration of the instrument stands that is there now."""

    serial: str | None
    since_ms: int | None
    certificate: str | None
    calibrated_on: date | None
    due_on: date | None
    state: Due
    days_left: int | None


class Instruments:
    """Reads and writes device changes."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def add(self, change: Change, actor: str, now_ms: int) -> None:
        """Put a step on record."""
        names = ("device", "since_ms", "serial", "certificate", "calibrated_on", "due_on", "note")
        row = {name: getattr(change, name) for name in names}
        with self._database.begin() as db:
            db.execute(device_changes.insert().values(what=change.what.value, actor=actor, made_ms=now_ms, **row))

    def history(self, device: str) -> list[dict[str, Any]]:
        """Every step at a device, the newest first."""
        query = sa.select(device_changes).where(device_changes.c.device == device).order_by(*_NEWEST_FIRST)
        with self._database.connect() as db:
            return [dict(row._mapping) for row in db.execute(query.limit(_SHOWN_MAX))]

    def calibrations(self, devices: Iterable[str], today: date) -> dict[str, Calibration]:
        """How each device's calibration stands."""
        wanted = list(devices)
        found: dict[str, list[Any]] = {device: [] for device in wanted}
        query = sa.select(device_changes).where(device_changes.c.device.in_(wanted)).order_by(*_NEWEST_FIRST)
        with self._database.connect() as db:
            for row in db.execute(query):
                found[row.device].append(row)
        return {device: _calibration(rows, today) for device, rows in found.items()}


_NEWEST_FIRST = (device_changes.c.since_ms.desc(), device_changes.c.id.desc())


def _calibration(rows: list[Any], today: date) -> Calibration:
    """Of steps, the newest first. What was calibrated before the instrument was replaced says nothing of the new one."""
    fitted = next((row for row in rows if row.what == Step.FITTED), None)
    since = rows if fitted is None else rows[: rows.index(fitted) + 1]
    last = next((row for row in since if row.due_on is not None), None)
    serial, since_ms = (None, None) if fitted is None else (fitted.serial, fitted.since_ms)
    if last is None:
        return Calibration(serial, since_ms, None, None, None, Due.UNKNOWN, None)
    left = (last.due_on - today).days
    state = Due.OVERDUE if left < 0 else Due.SOON if left <= REMIND_DAYS else Due.VALID
    return Calibration(serial, since_ms, last.certificate, last.calibrated_on, last.due_on, state, left)
