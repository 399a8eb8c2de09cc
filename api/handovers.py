"""Shifts at a gate: from one signed hand-over to the next, with what the guard who signs left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from alerts.alarm import What
from alerts.store import alarms, transitions
from telemetry.database import alone, metadata

SHIFT_MAX_MS = 24 * 3_600_000
"""A shift that nobody has handed over is told of so far back."""
_DECISIONS_MAX = 200
_KEPT_SHOWN = 5

handovers = sa.Table(
    "handover",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("place", sa.String(64), nullable=False),
    sa.Column("signed_ms", sa.BigInteger, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("guard", sa.String(64), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),  # what was open, decided and counted when it was signed
    sa.Index("handover_of_place", "place", "signed_ms"),
    sqlite_autoincrement=True,
)


class Handovers:
    """Reads what a shift decided, and writes who handed it over."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def since_ms(self, place: str, now_ms: int) -> int:
        """When the shift at a gate began."""
        query = sa.select(sa.func.max(handovers.c.signed_ms)).where(handovers.c.place == place)
        with self._database.connect() as db:
            last_ms = db.execute(query).scalar() or 0
        return max(last_ms, now_ms - SHIFT_MAX_MS)

    def open_alarms(self, devices: Sequence[str]) -> list[dict[str, Any]]:
        """Open alarms of devices, the longest open first."""
        query = sa.select(alarms.c.document).where(alarms.c.is_open, alarms.c.device.in_(devices))
        with self._database.connect() as db:
            return [row.document for row in db.execute(query.order_by(alarms.c.onset_ms).limit(_DECISIONS_MAX))]

    def decisions(self, devices: Sequence[str], since_ms: int) -> list[dict[str, Any]]:
        """What was decided about people at these devices since then, the newest first."""
        query = (
            sa.select(transitions, alarms.c.document)
            .join(alarms, alarms.c.id == transitions.c.alarm)
            .where(transitions.c.what == What.DISPOSED.value, transitions.c.known_ms > since_ms)
            .where(alarms.c.device.in_(devices))
            .order_by(transitions.c.id.desc())
            .limit(_DECISIONS_MAX)
        )
        with self._database.connect() as db:
            return [
                {
                    "alarm": row.alarm,
                    "time_ms": row.known_ms,
                    "guard": row.actor,
                    "disposition": row.document.get("disposition"),
                    "note": row.note,
                    "place": row.document["place"],
                    "value": row.document["value"],
                    "recheck": row.document.get("recheck"),
                }
                for row in db.execute(query)
            ]

    def signed(self, place: str) -> list[dict[str, Any]]:
        """The last hand-overs of a gate, the newest first."""
        query = sa.select(handovers).where(handovers.c.place == place).order_by(handovers.c.id.desc())
        names = ("id", "signed_ms", "since_ms", "guard", "note", "document")
        with self._database.connect() as db:
            return [{name: getattr(row, name) for name in names} for row in db.execute(query.limit(_KEPT_SHOWN))]

    def sign(self, place: str, since_ms: int, now_ms: int, guard: str, note: str, document: dict[str, Any]) -> bool:
        """Close the shift; False when another has closed it since it was looked at."""
        row = {"place": place, "signed_ms": now_ms, "since_ms": since_ms, "guard": guard, "note": note}
        newer = sa.select(handovers.c.id).where(handovers.c.place == place, handovers.c.signed_ms > since_ms)
        with alone(self._database, f"handover {place}") as db:
            if db.execute(newer.limit(1)).first() is not None:
                return False
            db.execute(handovers.insert().values(document=document, **row))
        return True
