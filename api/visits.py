"""When somebody last looked at the screens, and what happened to alarms since."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alerts.store import alarms
from api.access import User
from telemetry.clock import Clock
from telemetry.database import alone, metadata

visits = sa.Table(
    "last_visit",
    metadata,
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
)


class Visits:
    """Reads and writes last visits."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def seen(self, user: User) -> None:
        """They are looking now, and have been told of what was before."""
        row = {"user": user.name, "seen_ms": self._clock.now_ms()}
        with alone(self._database, f"visit {user.name}") as db:
            if not db.execute(visits.update().where(visits.c.user == user.name).values(row)).rowcount:
                db.execute(visits.insert().values(row))

    def missed(self, user: User, limit: int) -> dict[str, Any]:
        """Alarms raised or closed since they last looked, newest first: how many, and the first of them.

        Who never looked has missed nothing: to them everything is new.
        """
        with self._database.connect() as db:
            since_ms = db.execute(sa.select(visits.c.seen_ms).where(visits.c.user == user.name)).scalar()
            if since_ms is None:
                return {"since_ms": None, "raised": 0, "closed": 0, "items": []}
            sites = sa.true() if user.sites is None else alarms.c.site.in_(sorted(user.sites))
            raised, closed = alarms.c.raised_ms > since_ms, alarms.c.closed_ms > since_ms
            count = sa.select(
                sa.func.count().filter(raised).label("raised"), sa.func.count().filter(closed).label("closed")
            )
            counts = db.execute(count.where(sites)).one()
            newest = sa.select(alarms.c.document).where(sites, raised | closed)
            rows = db.execute(newest.order_by(alarms.c.raised_ms.desc(), alarms.c.id).limit(limit))
            return {
                "since_ms": since_ms,
                "raised": counts.raised,
                "closed": counts.closed,
                "items": [row.document for row in rows],
            }
