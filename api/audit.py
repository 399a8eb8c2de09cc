"""The record of who did what to what, and what came of it: rows are added, and each seals those before it.

A row's hash is over the row and the hash of the row before. The head says how far the record goes, so that rows cut off at
the end show; whoever can write both shows against an anchor, the head as it stood some day, which the log has once a day.
Old rows leave by `purge` alone. It leaves a row that names the last of them and its hash, where the chain then begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from telemetry.clock import Clock
from telemetry.database import metadata, snapshot
from telemetry.errors import BadInput

PURGE = "audit-purge"
BEGINNING = "0" * 64
"""What the first row follows."""
_DAY_MS = 86_400_000
_FIELDS = ("id", "time_ms", "actor", "action", "subject", "outcome", "previous")
"""What every row is sealed over. The site is, too, where there is one: rows from before there were any stay as they are."""
_log = structlog.get_logger("audit")

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(200), nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("site", sa.String(64)),  # null: of no site alone
    sqlite_autoincrement=True,
)
heads = sa.Table(
    "audit_head",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),  # there is one row, 1
    sa.Column("id", sa.Integer, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("purged_to", sa.Integer, nullable=False),  # the database lets rows up to here be deleted, and no others
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row and its hash, as they were written down elsewhere."""

    id: int
    hash: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows somebody looks for; what is None does not matter.

    Args:
        text: In what it was done to, or in what came of it.
        site: Where it was; a row of no site alone that names it counts too.
    """

    actor: str | None = None
    action: str | None = None
    text: str | None = None
    site: str | None = None
    start_ms: int = 0
    end_ms: int = 2**53

    def clause(self) -> sa.ColumnElement[bool]:
        """The same for the database."""
        found = [audit.c.time_ms >= self.start_ms, audit.c.time_ms < self.end_ms]
        if self.actor is not None:
            found.append(audit.c.actor == self.actor)
        if self.action is not None:
            found.append(audit.c.action == self.action)
        if self.text is not None:
            found.append(_holds(self.text))
        if self.site is not None:
            found.append((audit.c.site == self.site) | (audit.c.site.is_(None) & _holds(self.site)))
        return sa.and_(*found)


def _holds(text: str) -> sa.ColumnElement[bool]:
    return audit.c.subject.icontains(text, autoescape=True) | audit.c.outcome.icontains(text, autoescape=True)


class Audit:
    """Writes, reads and verifies the audit."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, actor: str, action: str, subject: str, outcome: str, site: str | None = None) -> None:
        """Put on record who did what to what at which site, and what came of it."""
        with self._database.begin() as db:
            self._append(db, actor, action, subject, outcome, site)

    def page(self, wanted: Wanted, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Newest first, from below the id `before`."""
        query = sa.select(audit).where(wanted.clause())
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._database.connect() as db:
            return [dict(row) for row in db.execute(query.order_by(audit.c.id.desc()).limit(limit)).mappings()]

    def rows(self, wanted: Wanted | None = None) -> Iterator[dict[str, Any]]:
        """All there is, or what is wanted of it, oldest first."""
        query = sa.select(audit) if wanted is None else sa.select(audit).where(wanted.clause())
        with self._database.connect() as db:
            yield from _rows(db, query)

    def faults(self, anchor: Anchor | None = None) -> list[str]:
        """What was changed, is missing or was added behind our back; empty: the record is whole."""
        with snapshot(self._database) as db:
            return faults(db, anchor)

    def purge(self, actor: str, before_ms: int) -> int:
        """Delete what is older, leave a row that says so, and return how many went. Raises BadInput on a damaged record."""
        if self.faults():
            raise BadInput(
                "audit-damaged", "nothing is purged from a record that does not verify: gatehouse audit verify"
            )
        with self._database.begin() as db:
            _lock(db)
            newer = db.execute(sa.select(sa.func.min(audit.c.id)).where(audit.c.time_ms >= before_ms)).scalar()
            # Times may go back with the clock: what goes is what lies before the first newer row, so no hole is left.
            query = sa.select(audit).order_by(audit.c.id.desc()).limit(1)
            last = db.execute(query if newer is None else query.where(audit.c.id < newer)).first()
            if last is None:
                return 0
            self._append(db, actor, PURGE, _purged(last.id, last.hash), "done")
            db.execute(heads.update().values(purged_to=last.id))
            return db.execute(audit.delete().where(audit.c.id <= last.id)).rowcount

    def head(self) -> Anchor:
        """The last row there is, and its hash: written down elsewhere, it proves all that came before it."""
        with self._database.connect() as db:
            row = db.execute(sa.select(heads)).one()
        return Anchor(row.id, row.hash)

    def _append(
        self, db: sa.Connection, actor: str, action: str, subject: str, outcome: str, site: str | None = None
    ) -> None:
        _lock(db)
        head = db.execute(sa.select(heads)).one()
        now_ms = self._clock.now_ms()
        row: dict[str, Any] = {
            "id": head.id + 1,
            "time_ms": now_ms,
            "actor": _storable(actor)[:64],
            "action": _storable(action)[:64],
            "subject": _storable(subject),
            "outcome": _storable(outcome)[:200],
            "previous": head.hash,
            "site": None if site is None else _storable(site)[:64],
        }
        row["hash"] = row_hash(row)
        db.execute(audit.insert().values(row))
        db.execute(heads.update().values(id=row["id"], time_ms=now_ms, hash=row["hash"]))
        if head.id and now_ms // _DAY_MS != head.time_ms // _DAY_MS:
            _log.info("audit anchor", id=head.id, hash=head.hash)


def faults(db: sa.Connection, anchor: Anchor | None = None) -> list[str]:
    """The same as `Audit.faults`, as a transaction sees the record."""
    found: list[str] = []
    head = db.execute(sa.select(heads)).mappings().one_or_none()
    first: dict[str, Any] | None = None
    last_id, last_hash = 0, BEGINNING
    purges: list[str] = []
    is_anchored = anchor is None
    for row in _rows(db):
        if first is None:
            first = row
            last_id, last_hash = row["id"] - 1, row["previous"]
        if row["id"] != last_id + 1:
            found.append(f"rows {last_id + 1} to {row['id'] - 1} are missing")
        if row["previous"] != last_hash:
            found.append(f"row {row['id']} does not follow the row before it")
        if row["hash"] != row_hash(row):
            found.append(f"row {row['id']} was changed")
        if row["action"] == PURGE:
            purges.append(row["subject"])
        if anchor is not None and row["id"] == anchor.id:
            is_anchored = row["hash"] == anchor.hash
        last_id, last_hash = row["id"], row["hash"]
    begins = None if first is None else (first["id"] - 1, first["previous"])
    if begins not in (None, (0, BEGINNING)) and _purged(*begins) not in purges:
        found.append(f"rows up to {begins[0]} are missing, and no purge says so")
    if head is None or (head["id"], head["hash"]) != (last_id, last_hash):
        found.append(
            f"the head says otherwise than the last row, {last_id}: rows are missing at the end, or it was changed"
        )
    if anchor is not None and not is_anchored:
        if begins is not None and anchor.id < begins[0]:
            found.append(
                f"the row of the anchor went with a purge of rows up to {begins[0]}: "
                "hold a later anchor against the record"
            )
        elif (anchor.id, anchor.hash) != begins:
            found.append("the row of the anchor is not there, or is another")
    return found


def _rows(db: sa.Connection, query: sa.Select[Any] | None = None) -> Iterator[dict[str, Any]]:
    query = sa.select(audit) if query is None else query
    for row in db.execute(query.order_by(audit.c.id).execution_options(yield_per=1000)).mappings():
        yield dict(row)


def row_hash(row: dict[str, Any]) -> str:
    """What a row is sealed with: SHA-256 over its fields as a JSON array, with the site last where it has one."""
    fields = [row[name] for name in _FIELDS]
    if row["site"] is not None:
        fields.append(row["site"])
    return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()


def _storable(text: str) -> str:
    """What no database takes in a text is replaced: whatever somebody sends, that they did is put on record."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _purged(last_id: int, last_hash: str) -> str:
    return f"to {last_id} {last_hash}"


def _lock(db: sa.Connection) -> None:
    """Nobody else adds a row until this transaction ends: a write, because SQLite locks with the first of them."""
    db.execute(heads.update().values(one=1))
