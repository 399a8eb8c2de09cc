"""Cleaning jobs: which pipe is cleaned when and by whom, what the water stood at before and after, and who signed it off.

A job is planned, then done or cancelled; what is done is signed off. Whoever changes one says which step they saw, so that
the second of two hears of the first. Jobs that ended are kept five years: as long as the effect of a cleaning is of use.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from api.ages import old_before_ms
from telemetry.clock import Clock
from telemetry.database import metadata

KEPT_MS = 5 * 366 * 86_400_000
OPEN_MAX = 500
"""Jobs of one network that may be under way at once: more is no plan."""

jobs = sa.Table(
    "cleaning_job",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("network", sa.String(64), nullable=False),
    sa.Column("place", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("planned", sa.String(10), nullable=False),  # a day of the site
    sa.Column("crew", sa.String(200), nullable=False),  # who cleans
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("done_ms", sa.BigInteger),
    sa.Column("done_by", sa.String(64)),
    sa.Column("silt_m", sa.Float),  # what lay on the bottom, measured by hand before it was cleaned
    sa.Column("left_m", sa.Float),  # and after
    sa.Column("done_note", sa.Text),
    sa.Column("signed_ms", sa.BigInteger),
    sa.Column("signed_by", sa.String(64)),
    sa.Index("cleaning_job_newest", "created_ms", "id"),
    sa.Index("cleaning_job_of_place", "place", "done_ms"),
)


class State(StrEnum):
    """How far a job is."""

    PLANNED = "planned"
    DONE = "done"
    SIGNED = "signed"
    CANCELLED = "cancelled"


BEFORE = {State.DONE: State.PLANNED, State.CANCELLED: State.PLANNED, State.SIGNED: State.DONE}
"""What a job must be to become that."""


class CleaningJobs:
    """Reads and writes the table of jobs."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def plan(self, user: str, network: str, place: str, planned: str, crew: str, note: str) -> dict[str, Any] | None:
        """A new job; None where the network has too many that are not over."""
        now_ms = self._clock.now_ms()
        row = {
            "id": uuid.uuid4().hex, "network": network, "place": place, "state": State.PLANNED, "seq": 1,
            "planned": planned, "crew": crew, "note": note, "created_ms": now_ms, "created_by": user,
        }  # fmt: skip
        is_over = jobs.c.state.in_([State.SIGNED, State.CANCELLED])
        count = sa.select(sa.func.count()).where(jobs.c.network == network, ~is_over)
        with self._database.begin() as db:
            is_old = jobs.c.created_ms < now_ms - KEPT_MS
            if db.execute(sa.select(jobs.c.id).where(is_over, is_old).limit(1)).first() is not None:
                is_old = jobs.c.created_ms < old_before_ms(db, now_ms, KEPT_MS)
                db.execute(jobs.delete().where(is_over, is_old))
            if (db.execute(count).scalar() or 0) >= OPEN_MAX:
                return None
            db.execute(jobs.insert().values(row))
        return self.one(str(row["id"]))

    def step(self, job: str, seq: int, state: State, changes: dict[str, Any]) -> dict[str, Any] | None:
        """Take a job one step on; None where it is not as it was seen, or not ready for that step."""
        as_seen = (jobs.c.id == job) & (jobs.c.seq == seq) & (jobs.c.state == BEFORE[state])
        with self._database.begin() as db:
            query = jobs.update().where(as_seen).values(state=state, seq=seq + 1, **changes)
            if not db.execute(query).rowcount:
                return None
        return self.one(job)

    def one(self, job: str) -> dict[str, Any] | None:
        """A job as it stands."""
        with self._database.connect() as db:
            row = db.execute(sa.select(jobs).where(jobs.c.id == job)).first()
        return None if row is None else dict(row._mapping)

    def page(
        self, networks: list[str], state: State | None, limit: int, after: tuple[int, str] | None
    ) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """Newest first, and after which (time, id) the next page begins."""
        query = sa.select(jobs).where(jobs.c.network.in_(networks))
        query = query.order_by(jobs.c.created_ms.desc(), jobs.c.id).limit(limit + 1)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if after is not None:
            same = (jobs.c.created_ms == after[0]) & (jobs.c.id > after[1])
            query = query.where((jobs.c.created_ms < after[0]) | same)
        with self._database.connect() as db:
            found = [dict(row._mapping) for row in db.execute(query)]
        is_more = len(found) > limit
        return found[:limit], (found[limit - 1]["created_ms"], found[limit - 1]["id"]) if is_more else None

    def done_between(self, network: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Jobs of a network that were done in a stretch of time, in its order."""
        within = (jobs.c.done_ms >= start_ms) & (jobs.c.done_ms < end_ms)
        query = sa.select(jobs).where(jobs.c.network == network, within).order_by(jobs.c.done_ms).limit(OPEN_MAX)
        with self._database.connect() as db:
            return [dict(row._mapping) for row in db.execute(query)]

    def last_done_ms(self, network: str) -> dict[str, int]:
        """When each place of a network was cleaned last."""
        query = sa.select(jobs.c.place, sa.func.max(jobs.c.done_ms)).where(
            jobs.c.network == network, jobs.c.done_ms.is_not(None)
        )
        with self._database.connect() as db:
            return {row[0]: row[1] for row in db.execute(query.group_by(jobs.c.place))}
