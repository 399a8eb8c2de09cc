"""Reports that were made, schedules by which they are, and whom each is told to. Files lie in a folder, the rest in SQL.

A report of a schedule is claimed before it is made: a row of (schedule, period), of which there can be one. Whoever holds the
claim makes it; a claim that is not honoured within `CLAIM_MS` is anybody's. What is to be told is written in the transaction
that says that it is made, so that a report is told of whatever happens in between, and told of once where that can be known:

    crashed                                 afterwards
    before the claim                        it is claimed
    while it is made                        made again, once the claim has lapsed; nobody had been told
    after it is made                        told
    while a message is handed over          handed over again, under the same key: a receiver that knows keys sees it once
    after the channel has said yes          nothing: it is on record
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.ages import old_before_ms
from api.reports.period import Kind, Period
from api.versions import newest
from telemetry.clock import Clock
from telemetry.database import metadata

CLAIM_MS = 15 * 60_000
RETRY_MS = 5 * 60_000
RETRY_MAX_MS = 6 * 3_600_000
FORMS = ("pdf", "xlsx")
_UNFINISHED = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(FORMS)})\.[0-9a-f]{{8}}")  # as `Reports._keep` names them

schedules = sa.Table(
    "report_schedule",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.JSON(none_as_null=True)),  # null: ended
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),  # when its first version was made
)
reports = sa.Table(
    "report",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("schedule", sa.String(32)),  # none: somebody asked for it
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),  # a site, gate, network or building
    sa.Column("period", sa.String(20), nullable=False),
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger, nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),  # claimed, made; gone: its files are too old
    sa.Column("claim", sa.String(16), nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),  # when another may take the claim
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("made_ms", sa.BigInteger),
    sa.Column("made_by", sa.String(64)),
    sa.Column("error", sa.Text),
    sa.UniqueConstraint("schedule", "period"),
    sa.Index("report_made", "state", "made_ms"),
)
deliveries = sa.Table(
    "report_delivery",
    metadata,
    sa.Column("report", sa.String(32), sa.ForeignKey("report.id"), primary_key=True),
    sa.Column("channel", sa.String(64), primary_key=True),
    sa.Column("recipient", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),  # waiting, sending, delivered, failed
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("delivered_ms", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Index("report_delivery_due", "state", "due_ms"),
)


class NotAsSeen(Exception):
    """Somebody has changed it since."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One report to be made."""

    kind: Kind
    site: str
    subject: str
    period: Period
    language: str


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule as it stands; `document` has kind, site, subject, language, at and recipients."""

    id: str
    version: int
    document: Mapping[str, Any]
    actor: str
    time_ms: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds it makes the report."""

    report: str
    token: str


class Reports:
    """Reads and writes all of it; makes nothing itself."""

    def __init__(self, database: sa.Engine, folder: Path, clock: Clock, keep_days: int = 800) -> None:
        self.database = database
        self.keep_days = keep_days
        self._folder = folder
        self._clock = clock

    # Schedules.

    def schedules(self) -> list[Scheduled]:
        """Those that have not ended."""
        with self.database.connect() as db:
            found = [
                Scheduled(row.id, row.version, row.document, row.actor, row.time_ms, row.since_ms)
                for row in db.execute(newest(schedules, "id"))
                if row.document is not None
            ]
        return sorted(found, key=lambda each: each.since_ms)

    def schedule(self, name: str) -> Scheduled | None:
        return next((each for each in self.schedules() if each.id == name), None)

    def begin(self, document: Mapping[str, Any], actor: str) -> Scheduled:
        """A new schedule: what ends from now on is its."""
        now_ms = self._clock.now_ms()
        made = Scheduled(uuid.uuid4().hex, 1, document, actor, now_ms, now_ms)
        self._write(made, document)
        return made

    def change(self, seen: Scheduled, document: Mapping[str, Any] | None, actor: str) -> Scheduled:
        """The next version, None ends it. Raises NotAsSeen."""
        made = Scheduled(seen.id, seen.version + 1, document or {}, actor, self._clock.now_ms(), seen.since_ms)
        try:
            self._write(made, document)
        except sa.exc.IntegrityError as error:
            raise NotAsSeen from error
        return made

    def _write(self, made: Scheduled, document: Mapping[str, Any] | None) -> None:
        row = {"id": made.id, "version": made.version, "actor": made.actor, "time_ms": made.time_ms}
        with self.database.begin() as db:
            db.execute(schedules.insert().values(document=document, since_ms=made.since_ms, **row))

    # Making.

    def known(self, schedule: str) -> dict[str, tuple[str, int]]:
        """Periods of a schedule that are claimed or made: state, and when another may take it."""
        query = sa.select(reports.c.period, reports.c.state, reports.c.due_ms).where(reports.c.schedule == schedule)
        with self.database.connect() as db:
            return {row.period: (row.state, row.due_ms) for row in db.execute(query)}

    def claim(self, wanted: Wanted, schedule: str | None) -> Claim | None:
        """To make a report; None where another does, or has."""
        now_ms, token = self._clock.now_ms(), secrets.token_hex(8)
        lapses = {"claim": token, "due_ms": now_ms + CLAIM_MS}
        claimed = Claim(uuid.uuid4().hex, token)
        row = {
            "id": claimed.report,
            "schedule": schedule,
            "kind": wanted.kind.value,
            "site": wanted.site,
            "subject": wanted.subject,
            "period": wanted.period.key,
            "start_ms": wanted.period.start_ms,
            "end_ms": wanted.period.end_ms,
            "language": wanted.language,
            "state": "claimed",
            "attempts": 1,
        }
        try:
            with self.database.begin() as db:
                db.execute(reports.insert().values(row | lapses))
            return claimed
        except sa.exc.IntegrityError:
            pass
        lapsed = (
            (reports.c.schedule == schedule)
            & (reports.c.period == wanted.period.key)
            & (reports.c.state == "claimed")
            & (reports.c.due_ms <= now_ms)
        )
        with self.database.begin() as db:
            taken = db.execute(reports.update().where(lapsed).values(attempts=reports.c.attempts + 1, **lapses))
            if taken.rowcount != 1:
                return None
            name = db.execute(sa.select(reports.c.id).where(reports.c.claim == token)).scalar_one()
        return Claim(name, token)

    def made(self, claim: Claim, files: Mapping[str, bytes], by: str, tell: Iterable[tuple[str, str]] = ()) -> bool:
        """Keep a report, and with it (channel, recipient) who is to be told; False when the claim was taken meanwhile."""
        for form, content in files.items():
            self._keep(self.path(claim.report, form), content)
        now_ms = self._clock.now_ms()
        mine = (reports.c.id == claim.report) & (reports.c.claim == claim.token) & (reports.c.state == "claimed")
        with self.database.begin() as db:
            done = db.execute(reports.update().where(mine).values(state="made", made_ms=now_ms, made_by=by, error=None))
            if done.rowcount != 1:
                return False
            rows = [
                {"report": claim.report, "channel": channel, "recipient": recipient, "state": "waiting",
                 "due_ms": now_ms, "attempts": 0}
                for channel, recipient in dict.fromkeys(tell)
            ]  # fmt: skip
            if rows:
                db.execute(deliveries.insert(), rows)
        return True

    def not_made(self, claim: Claim, why: str, retry_ms: int = RETRY_MS) -> None:
        """It could not be: somebody may try again in a while."""
        mine = (reports.c.id == claim.report) & (reports.c.claim == claim.token)
        with self.database.begin() as db:
            db.execute(reports.update().where(mine).values(due_ms=self._clock.now_ms() + retry_ms, error=why[:500]))

    def withdraw(self, claim: Claim) -> None:
        """Nobody waits for it any more: somebody who asked has been told that it cannot be."""
        with self.database.begin() as db:
            db.execute(reports.delete().where(reports.c.id == claim.report, reports.c.claim == claim.token))
        for form in FORMS:
            self.path(claim.report, form).unlink(missing_ok=True)

    # Telling.

    def to_tell(self, limit: int = 50) -> list[sa.Row[Any]]:
        """Deliveries that are due, each with its report; taken, so that nobody else has them."""
        now_ms = self._clock.now_ms()
        waits = deliveries.c.state.in_(("waiting", "sending")) & (deliveries.c.due_ms <= now_ms)
        columns = (*deliveries.c, *(reports.c[name] for name in ("kind", "site", "subject", "period", "language")))
        query = sa.select(*columns).join(reports, reports.c.id == deliveries.c.report).where(waits)
        found = []
        with self.database.connect() as db:
            rows = db.execute(query.order_by(deliveries.c.due_ms).limit(limit)).all()
        for row in rows:
            with self.database.begin() as db:
                same = _delivery(row) & (deliveries.c.due_ms == row.due_ms)
                taken = deliveries.update().where(same).values(
                    state="sending", due_ms=now_ms + CLAIM_MS, attempts=row.attempts + 1
                )  # fmt: skip
                if db.execute(taken).rowcount == 1:
                    found.append(row)
        return found

    def told(self, row: sa.Row[Any]) -> None:
        with self.database.begin() as db:
            values = {"state": "delivered", "delivered_ms": self._clock.now_ms(), "error": None}
            db.execute(deliveries.update().where(_delivery(row)).values(values))

    def not_told(self, row: sa.Row[Any], why: str, *, is_final: bool) -> None:
        """Tried again ever later; or never, when the channel will not take it."""
        pause_ms = min(RETRY_MS * 2**row.attempts, RETRY_MAX_MS)
        values = {
            "state": "failed" if is_final else "waiting",
            "due_ms": self._clock.now_ms() + pause_ms,
            "error": why[:500],
        }
        with self.database.begin() as db:
            db.execute(deliveries.update().where(_delivery(row)).values(values))

    # What there is.

    def page(
        self, sites: Sequence[str], limit: int, after: tuple[int, str] | None
    ) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """Made reports of sites, the newest first, and after which (made, id) the next page begins."""
        query = sa.select(reports).where(reports.c.state == "made", reports.c.site.in_(sites))
        if after is not None:
            same = (reports.c.made_ms == after[0]) & (reports.c.id > after[1])
            query = query.where((reports.c.made_ms < after[0]) | same)
        with self.database.connect() as db:
            rows = db.execute(query.order_by(reports.c.made_ms.desc(), reports.c.id).limit(limit + 1)).all()
            names = [row.id for row in rows[:limit]]
            sent = db.execute(sa.select(deliveries).where(deliveries.c.report.in_(names))).all()
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for row in sent:
            told[row.report].append({n: getattr(row, n) for n in ("channel", "recipient", "state", "error")})
        last = rows[limit - 1] if len(rows) > limit else None
        items = [_shown(row) | {"told": told[row.id]} for row in rows[:limit]]
        return items, None if last is None else (last.made_ms, last.id)

    def one(self, report: str) -> dict[str, Any] | None:
        """A report that was made; None where there is none, or its files have gone."""
        with self.database.connect() as db:
            row = db.execute(sa.select(reports).where(reports.c.id == report, reports.c.state == "made")).first()
        return None if row is None else _shown(row)

    def path(self, report: str, form: str) -> Path:
        return self._folder / f"{report}.{form}"

    def let_go(self) -> int:
        """Delete files that are too old; that the report was made stays on record. How many reports went."""
        now_ms, keep_ms = self._clock.now_ms(), self.keep_days * 86_400_000
        query = sa.select(reports.c.id, reports.c.made_ms).where(reports.c.state == "made")
        with self.database.connect() as db:
            old = db.execute(query.where(reports.c.made_ms < now_ms - keep_ms)).all()
            before_ms = old_before_ms(db, now_ms, keep_ms) if old else 0
        names = [row.id for row in old if row.made_ms < before_ms]
        for name in names:
            for form in FORMS:
                self.path(name, form).unlink(missing_ok=True)
            with self.database.begin() as db:
                db.execute(reports.update().where(reports.c.id == name).values(state="gone"))
        return len(names)

    def sweep(self) -> None:
        """Delete what a crash has left: claims of reports that nobody waits for any more, and files never finished."""
        # Looked for before the claims: whoever writes one has claimed its report before.
        unfinished = [each for each in self._folder.glob("*.*.*") if _UNFINISHED.fullmatch(each.name)]
        now_ms = self._clock.now_ms()
        lapsed = reports.c.schedule.is_(None) & (reports.c.state == "claimed") & (reports.c.due_ms <= now_ms)
        being_made = sa.select(reports.c.id).where(reports.c.state == "claimed", reports.c.due_ms > now_ms)
        with self.database.begin() as db:
            names = list(db.execute(reports.delete().where(lapsed).returning(reports.c.id)).scalars())
            kept = set(db.execute(being_made).scalars())
        left = [self.path(name, form) for name in names for form in FORMS]
        for path in left + [each for each in unfinished if each.name.partition(".")[0] not in kept]:
            path.unlink(missing_ok=True)

    def _keep(self, path: Path, content: bytes) -> None:
        """Whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = path.with_suffix(f"{path.suffix}.{secrets.token_hex(4)}")
        try:
            with written.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)
            raise


def _delivery(row: sa.Row[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(
        deliveries.c.report == row.report,
        deliveries.c.channel == row.channel,
        deliveries.c.recipient == row.recipient,
    )


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    names = (
        "id",
        "schedule",
        "kind",
        "site",
        "subject",
        "period",
        "start_ms",
        "end_ms",
        "language",
        "made_ms",
        "made_by",
    )
    return {name: getattr(row, name) for name in names}
