"""What was refused, for people to look at: the newest of it with reason and excerpt, and counts of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from telemetry.database import metadata

KEPT_MAX = 10_000  # entries shown; the counts know of all
_READING = 1_000_000  # positions from here on are readings of a record, those below what its messages were refused for

entries = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("record", sa.BigInteger, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("excerpt", sa.Text, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("record", "position"),
)
counts = sa.Table(
    "quarantine_count",
    metadata,
    sa.Column("reason", sa.String(64), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
cursor = sa.Table(
    "quarantine_cursor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("record", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One refusal, as kept."""

    time_ms: int
    reason: str
    detail: str
    topic: str
    excerpt: str
    count: int


class Quarantine:
    """Writes and reads the refused input. The cursor moves in the same transaction as what it speaks of."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def cursor(self) -> int:
        """The last journal record that is in here."""
        with self._database.connect() as db:
            return db.execute(sa.select(cursor.c.record)).scalar() or 0

    def add(self, record: int, found: Sequence[Entry]) -> None:
        """Keep what journal record `record` refused."""
        with self._database.begin() as db:
            for position, entry in enumerate(found):
                values = {name: getattr(entry, name) for name in Entry.__slots__}
                db.execute(entries.insert().values(record=record, position=position, **values))
                _count(db, entry.reason, entry.count)
            _forget_oldest(db)
            if not db.execute(cursor.update().values(record=record)).rowcount:
                db.execute(cursor.insert().values(id=1, record=record))

    def refuse(self, found: Sequence[tuple[int, int, Entry]]) -> int:
        """Keep single readings that history refused, each as (journal record, reading of it, entry); how many are new.

        History reads the journal again after a crash: what stands here already is neither kept nor counted twice.
        """
        new: dict[str, int] = {}
        with self._database.begin() as db:
            for record in dict.fromkeys(record for record, _, _ in found):
                held = sa.select(entries.c.position).where(entries.c.record == record, entries.c.position >= _READING)
                known = set(db.execute(held).scalars())
                rows = [(row, entry) for of, row, entry in found if of == record and _READING + row not in known]
                values = [
                    {"record": record, "position": _READING + row}
                    | {name: getattr(entry, name) for name in Entry.__slots__}
                    for row, entry in rows
                ]
                if values:
                    db.execute(entries.insert(), values)
                for _, entry in rows:
                    new[entry.reason] = new.get(entry.reason, 0) + entry.count
            for reason, count in new.items():
                _count(db, reason, count)
            _forget_oldest(db)
        return sum(new.values())

    def newest(self, limit: int) -> list[Entry]:
        """The last refusals, newest first."""
        columns = [entries.c[name] for name in Entry.__slots__]
        with self._database.connect() as db:
            rows = db.execute(sa.select(*columns).order_by(entries.c.id.desc()).limit(limit)).all()
        return [Entry(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How much was refused since the beginning, by reason."""
        with self._database.connect() as db:
            return {reason: count for reason, count in db.execute(sa.select(counts.c.reason, counts.c.count)).all()}  # noqa: C416


def _count(db: sa.Connection, reason: str, count: int) -> None:
    changed = db.execute(counts.update().where(counts.c.reason == reason).values(count=counts.c.count + count))
    if not changed.rowcount:
        db.execute(counts.insert().values(reason=reason, count=count))


def _forget_oldest(db: sa.Connection) -> None:
    newest = db.execute(sa.select(sa.func.max(entries.c.id))).scalar() or 0
    db.execute(entries.delete().where(entries.c.id <= newest - KEPT_MAX))
