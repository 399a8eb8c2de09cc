"""The record of who did what to what, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa

from telemetry.clock import Clock
from telemetry.database import metadata

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(200), nullable=False),
    sqlite_autoincrement=True,
)


class Audit:
    """Writes the audit."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, actor: str, action: str, subject: str, outcome: str) -> None:
        """Put on record who did what to what, and what came of it."""
        row = {"actor": actor[:64], "action": action, "subject": subject, "outcome": outcome[:200]}
        with self._database.begin() as db:
            db.execute(audit.insert().values(time_ms=self._clock.now_ms(), **row))
