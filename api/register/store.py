"""The register's own database: visits with the person sealed, notes to reasons, and what is left of old days.

It is no part of the alarms' database and of its migrations: a table says which shape it has. Rows are found by gate and
day; a text is searched for by opening the rows of the days asked for, since a blind index would find whole words only
and tell who holds the file which visits are the same person's (docs/decisions/0054).
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from api.register.age import Belief, believed
from api.register.keys import Keys
from api.register.settings import RegisterSettings
from api.register.visit import Person, Source, State, Visit
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY, alone, open_database, shown_url
from telemetry.errors import BadConfiguration, BadInput, Unavailable

SHAPE = 1
DAY_MS = 86_400_000
BOARD_MAX = 500
_OPENED_AT_ONCE = 500
_OPENED_MAX = 100_000
_COUNTS_MAX = 40_000

metadata = sa.MetaData()
shapes = sa.Table("register_shape", metadata, sa.Column("shape", sa.Integer, primary_key=True, autoincrement=False))
visits = sa.Table(
    "register_visit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("gate", sa.String(64), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("is_rechecked", sa.Boolean, nullable=False),
    sa.Column("announced_by", sa.String(64)),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("in_ms", sa.BigInteger),
    sa.Column("in_by", sa.String(64)),
    sa.Column("out_ms", sa.BigInteger),
    sa.Column("out_by", sa.String(64)),
    sa.Column("made_by_request", sa.String(64), nullable=False, unique=True),
    sa.Column("last_request", sa.String(64), nullable=False),
    sa.Column("key", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("register_visit_of_day", "day", "gate"),
    sqlite_autoincrement=True,
)
notes = sa.Table(
    "register_note",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
counts = sa.Table(
    "register_count",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("gate", sa.String(64), primary_key=True),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("visitors", sa.Integer, nullable=False),  # who stood at the gate, also those whom it refused
    sa.Column("rechecked", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("not_come", sa.Integer, nullable=False),
)
_COUNTED = ("visitors", "rechecked", "refused", "not_come")
ages = sa.Table(
    "register_age",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),  # there is one row, 1
    sa.Column("believed_ms", sa.BigInteger, nullable=False),
    sa.Column("doubted_ms", sa.BigInteger),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
)


class Stale(Exception):
    """Somebody else has changed the visit since it was looked at."""

    def __init__(self, now: Visit) -> None:
        super().__init__(now.id)
        self.now = now


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which visits: at these sites (None: all), of a gate, of days, with a text somewhere."""

    sites: frozenset[str] | None
    gate: str | None
    first_day: str
    last_day: str
    text: str = ""
    visitor: str | None = None  # exactly this name
    phone: str | None = None  # exactly this number


@dataclass(frozen=True, slots=True)
class Found:
    """Visits, the newest first; `next` is where to go on, None at the end."""

    visits: list[Visit]
    next: str | None


class Register:
    """Reads and writes the register."""

    def __init__(self, database: sa.Engine, keys: Keys, clock: Clock, keep_days: int) -> None:
        self._database = database
        self._clock = clock
        self._beginning = threading.Lock()
        self._changing = threading.Lock()  # what was looked up stays so until it is written, but for other processes
        self.keys = keys
        self.keep_days = keep_days

    def close(self) -> None:
        self._database.dispose()

    def check_key(self) -> None:
        """Make the first key of an empty register. Raises Unavailable when the key is away."""
        with self._beginning:  # of two first visitors at once one makes it
            if not self.keys.is_there and not self._is_used():
                try:
                    self.keys.make(self._clock.now_ms())
                except BadConfiguration:
                    if not self.keys.is_there:  # nor has another process made it meanwhile
                        raise
        self.keys.all()

    def add(self, visit: Visit, request: str) -> Visit:
        """Enter a visit; a request that was taken before gives what it made. Raises BadInput."""
        self.check_key()
        with self._changing:
            before = self._one(visits.c.made_by_request == request)
            if before is not None:
                is_readable = before.person is not None  # else nobody knows any more what it was: its key is lost
                if before.gate != visit.gate or (is_readable and _told(before.person) != _told(visit.person)):
                    raise BadInput("other-request", "Idempotency-Key: it was sent with another entry already")
                return before
            self._refuse_taken(visit)
            key, sealed = self._sealed(visit)
            row = _clear(visit) | {"made_by_request": request, "last_request": request, "key": key, "sealed": sealed}
            with self._database.begin() as db:
                db.execute(visits.insert().values(row))
        return visit

    def knows(self, request: str) -> bool:
        """Whether an entry was made by this request."""
        with self._database.connect() as db:
            return db.execute(sa.select(visits.c.id).where(visits.c.made_by_request == request)).first() is not None

    def withdraw(self, visit_id: str, by: str) -> bool:
        """Take back what somebody has announced; False when there is no such visitor who is still expected."""
        is_theirs = (visits.c.announced_by == by) & (visits.c.state == State.ANNOUNCED.value)
        with self._changing, self._database.begin() as db:
            is_gone = db.execute(visits.delete().where(visits.c.id == visit_id, is_theirs)).rowcount > 0
        if is_gone:
            self._forget_pages()
        return is_gone

    def change(self, visit_id: str, seq: int, request: str, changed: Callable[[Visit], Visit]) -> Visit:
        """Change a visit as it was seen. Raises Stale, BadInput (no such visit), and what `changed` raises.

        Where the key is lost that sealed who it is, all that can be changed is what stands in clear.
        """
        self.check_key()
        with self._changing:
            now = self.one(visit_id)
            if now is None:
                raise BadInput("no-visit", "there is no such visit")
            if self._last_request(visit_id) == request:
                return now
            if now.seq != seq:
                raise Stale(now)
            after = msgspec.structs.replace(changed(now), seq=seq + 1)
            row = _clear(after) | {"last_request": request}
            if after.person is None:
                del row["is_rechecked"]
            else:
                self._refuse_taken(after)
                row["key"], row["sealed"] = self._sealed(after)
            as_seen = (visits.c.id == visit_id) & (visits.c.seq == seq)
            with self._database.begin() as db:
                is_changed = db.execute(visits.update().where(as_seen).values(row)).rowcount > 0
        if is_changed:
            return after
        # Another process was first.
        now = self.one(visit_id)
        if now is None:
            raise BadInput("no-visit", "there is no such visit")
        raise Stale(now)

    def one(self, visit_id: str) -> Visit | None:
        return self._one(visits.c.id == visit_id)

    def board(self, gate: str, day: str, since_ms: int) -> list[Visit]:
        """What a guard works with: announced for the day, who came in the shift, and who is inside.

        Who came in on the evening before is, also for the shift after midnight; who left without a word is not for ever.
        """
        is_expected = (visits.c.state == State.ANNOUNCED.value) & (visits.c.day == day)
        is_of_late = (visits.c.in_ms > self._clock.now_ms() - DAY_MS) | (visits.c.day == day)
        is_open = (visits.c.state == State.IN.value) & is_of_late
        is_of_shift = visits.c.in_ms > since_ms
        query = sa.select(visits).where(visits.c.gate == gate, is_expected | is_open | is_of_shift)
        with self._database.connect() as db:
            rows = db.execute(query.order_by(visits.c.number.desc()).limit(BOARD_MAX)).all()
        return [self._opened(row) for row in rows]

    def announced(self, by: str, first_day: str) -> list[Visit]:
        """What somebody has announced for this day and later, and what came of it."""
        query = sa.select(visits).where(visits.c.announced_by == by, visits.c.day >= first_day)
        with self._database.connect() as db:
            rows = db.execute(query.order_by(visits.c.day, visits.c.number).limit(BOARD_MAX)).all()
        return [self._opened(row) for row in rows]

    def find(self, wanted: Wanted, cursor: str | None, limit: int) -> Found:
        """A page of visits, newest first. Raises BadInput for what is no cursor."""
        found: list[Visit] = []
        last = ""
        for opened, (number, visit) in enumerate(self._rows(wanted, cursor)):
            if len(found) == limit or opened == _OPENED_MAX:
                return Found(found, last)
            last = f"{visit.day}.{number}"
            is_text = not wanted.text or visit.matches(wanted.text)
            person = visit.person
            is_name = wanted.visitor is None or (person is not None and person.visitor == wanted.visitor)
            is_phone = wanted.phone is None or (person is not None and person.phone == wanted.phone)
            if is_text and is_name and is_phone:
                found.append(visit)
        return Found(found, None)

    def erase(self, ids: Sequence[str], sites: frozenset[str] | None) -> int:
        """Take visits out for good; only the counts of their days keep that somebody came."""
        where = visits.c.id.in_(ids)
        return self._count_and_delete(where if sites is None else where & visits.c.site.in_(sorted(sites)))

    def purge(self) -> int:
        """Take out what is older than it may be kept; works without the key, and believes no clock that has leapt."""
        belief = self.look_at_clock()
        if belief.doubted_ms is None:
            self._bring_back(belief.seen_ms)
        from_ms = belief.counted_from_ms()
        oldest = datetime.fromtimestamp(from_ms / 1000, UTC) - timedelta(days=self.keep_days)
        with self._database.begin() as db:
            db.execute(notes.delete().where(notes.c.made_ms < from_ms - (self.keep_days + 1) * DAY_MS))
        gone = self._count_and_delete(visits.c.day < oldest.date().isoformat())
        self._forget_pages()  # also of what went while the log was busy
        return gone

    def look_at_clock(self) -> Belief:
        """What the clock says, and whether it is believed; each look is remembered."""
        now_ms = self._clock.now_ms()
        with alone(self._database, "register age") as db:
            row = db.execute(sa.select(ages.c.believed_ms, ages.c.doubted_ms, ages.c.seen_ms)).first()
            if row is None:
                # It was never looked at: what was written down last is the last that is known of the time.
                last = [
                    db.execute(sa.select(sa.func.max(of))).scalar() for of in (visits.c.created_ms, notes.c.made_ms)
                ]
                before = believed(max((each for each in last if each is not None), default=now_ms))
            else:
                before = Belief(*row)
            after = before.looked(now_ms)
            self._remember(db, after)
        return after

    def believe_clock(self) -> None:
        """Somebody has looked at the clock and says that it is right."""
        with alone(self._database, "register age") as db:
            self._remember(db, believed(self._clock.now_ms()))

    def _bring_back(self, now_ms: int) -> None:
        """What was written while the clock stood ahead is of today: else it would be kept until its day has passed."""
        latest_ms = now_ms + DAY_MS  # of a day that has begun somewhere
        latest, today = (datetime.fromtimestamp(each / 1000, UTC).date().isoformat() for each in (latest_ms, now_ms))
        is_of_wrong_clock = (visits.c.created_ms > latest_ms) | (visits.c.in_ms > latest_ms)
        with self._database.begin() as db:
            db.execute(visits.update().where(visits.c.day > latest, is_of_wrong_clock).values(day=today))
            db.execute(notes.update().where(notes.c.made_ms > latest_ms).values(made_ms=now_ms))

    def _remember(self, db: sa.Connection, belief: Belief) -> None:
        row = asdict(belief)
        if not db.execute(ages.update().values(row)).rowcount:
            db.execute(ages.insert().values(one=1, **row))

    def counted(self, sites: frozenset[str] | None, first_day: str, last_day: str) -> list[dict[str, Any]]:
        """Visitors per day and gate, newest day first: no names, for ever. Raises BadInput for more than one answer holds.

        `visitors` are those who came in: who was refused is counted there alone.
        """
        found: dict[tuple[str, str], dict[str, Any]] = {}
        kept = sa.select(counts).where(counts.c.day >= first_day, counts.c.day <= last_day)
        fresh = _counting().where(visits.c.day >= first_day, visits.c.day <= last_day)
        with self._database.connect() as db:
            for row in [*db.execute(kept).mappings(), *db.execute(fresh).mappings()]:
                if sites is None or row["site"] in sites:
                    one = found.setdefault(
                        (row["day"], row["gate"]),
                        {"day": row["day"], "gate": row["gate"], "site": row["site"]} | dict.fromkeys(_COUNTED, 0),
                    )
                    for name in _COUNTED:
                        one[name] += row[name]
        if len(found) > _COUNTS_MAX:
            raise BadInput("too-many", f"first_day: more than {_COUNTS_MAX} days of gates; ask for fewer days")
        return [one | {"visitors": one["visitors"] - one["refused"]} for _, one in sorted(found.items(), reverse=True)]

    def keep_note(self, text: str) -> str:
        """Keep the words of a reason, sealed; the id by which the audit names them."""
        self.check_key()
        made = secrets.token_hex(16)
        key, sealed = self.keys.seal(made, text.encode())
        with self._database.begin() as db:
            db.execute(notes.insert().values(id=made, made_ms=self._clock.now_ms(), key=key, sealed=sealed))
        return made

    def note(self, note_id: str) -> str | None:
        """The words of a reason; None when they are gone."""
        with self._database.connect() as db:
            row = db.execute(sa.select(notes).where(notes.c.id == note_id)).first()
        plain = None if row is None else self.keys.open(note_id, row.key, row.sealed)
        return None if plain is None else plain.decode()

    def rotate(self) -> tuple[int, int]:
        """Seal everything with a new key. (rows sealed anew, old keys dropped).

        An old key goes once it has sealed nothing for as long as visits are kept: until then a backup may need it.
        """
        self.check_key()
        new = self.keys.rotate(self._clock.now_ms())
        done = 0
        for table in (visits, notes):
            with self._database.connect() as db:
                names = db.execute(sa.select(table.c.id).where(table.c.key != new.id)).scalars().all()
            for name in names:
                with self._changing, self._database.begin() as db:
                    row = db.execute(sa.select(table.c.key, table.c.sealed).where(table.c.id == name)).first()
                    plain = None if row is None else self.keys.open(name, row.key, row.sealed)
                    if row is None or plain is None:
                        continue
                    key, sealed = self.keys.seal(name, plain)
                    same = (table.c.id == name) & (table.c.sealed == row.sealed)
                    done += db.execute(table.update().where(same).values(key=key, sealed=sealed)).rowcount
        self._forget_pages()
        keys = self.keys.all()
        # A key sealed until the next one was made.
        ended = {key.id: after.made_ms for key, after in itertools.pairwise(keys)}
        with self._database.connect() as db:
            used = {key for table in (visits, notes) for key in db.execute(sa.select(table.c.key).distinct()).scalars()}
        old_ms = self.look_at_clock().counted_from_ms() - (self.keep_days + 1) * DAY_MS
        old = {name for name, at in ended.items() if name not in used and at < old_ms}
        if old:
            self.keys.drop(old)
        return done, len(old)

    def begin_anew(self) -> None:
        """Take a new key where the old one is lost for good. What it sealed stays unreadable until it is purged."""
        self.keys.make(self._clock.now_ms())

    def copy_to(self, target: str) -> None:
        """A copy of the database, still sealed. Raises BadConfiguration where it is not SQLite."""
        if self._database.dialect.name != "sqlite":
            raise BadConfiguration(
                "register.url is PostgreSQL: copy it with pg_dump; what is about people is sealed in it"
            )
        # It has who guards and announces in clear, and is nobody else's business than the register is.
        Path(target).touch(mode=0o600, exist_ok=False)
        with self._database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(sa.text("VACUUM INTO :target"), {"target": target})

    def _is_used(self) -> bool:
        with self._database.connect() as db:
            return any(db.execute(sa.select(table.c.id).limit(1)).first() is not None for table in (visits, notes))

    def _one(self, where: sa.ColumnElement[bool]) -> Visit | None:
        with self._database.connect() as db:
            row = db.execute(sa.select(visits).where(where)).first()
        return None if row is None else self._opened(row)

    def _last_request(self, visit_id: str) -> str | None:
        with self._database.connect() as db:
            return db.execute(sa.select(visits.c.last_request).where(visits.c.id == visit_id)).scalar()

    def _refuse_taken(self, visit: Visit) -> None:
        """A passage is one person's: it is not written down for two."""
        wanted = set(_passages(visit))
        if not wanted:
            return
        # A passage just before midnight may be written down by two on either side of it.
        day_before = (date.fromisoformat(visit.day) - timedelta(days=1)).isoformat()
        with self._database.connect() as db:
            query = sa.select(visits).where(visits.c.gate == visit.gate, visits.c.day.between(day_before, visit.day))
            for row in db.execute(query.order_by(visits.c.number.desc()).limit(BOARD_MAX)).all():
                if row.id != visit.id and wanted & set(_passages(self._opened(row))):
                    raise BadInput("passage-taken", "device: its last measurement is written down for somebody else")

    def _rows(self, wanted: Wanted, cursor: str | None) -> Iterator[tuple[int, Visit]]:
        query = sa.select(visits).where(visits.c.day >= wanted.first_day, visits.c.day <= wanted.last_day)
        if wanted.sites is not None:
            query = query.where(visits.c.site.in_(sorted(wanted.sites)))
        if wanted.gate is not None:
            query = query.where(visits.c.gate == wanted.gate)
        at = None if cursor is None else _place(cursor)
        query = query.order_by(visits.c.day.desc(), visits.c.number.desc()).limit(_OPENED_AT_ONCE)
        while True:
            page = query
            if at is not None:
                day, number = at
                page = query.where((visits.c.day < day) | ((visits.c.day == day) & (visits.c.number < number)))
            with self._database.connect() as db:
                rows = db.execute(page).all()
            for row in rows:
                yield row.number, self._opened(row)
            if len(rows) < _OPENED_AT_ONCE:
                return
            at = (rows[-1].day, rows[-1].number)

    def _sealed(self, visit: Visit) -> tuple[str, bytes]:
        assert visit.person is not None
        return self.keys.seal(visit.id, msgspec.json.encode(visit.person))

    def _opened(self, row: Any) -> Visit:
        plain = self.keys.open(row.id, row.key, row.sealed)
        person = None if plain is None else msgspec.json.decode(plain, type=Person)
        names = ("id", "seq", "site", "gate", "day", "announced_by", "created_ms", "in_ms", "in_by", "out_ms", "out_by")
        return Visit(state=State(row.state), person=person, **{name: getattr(row, name) for name in names})

    def _count_and_delete(self, where: sa.ColumnElement[bool]) -> int:
        with self._changing, self._database.begin() as db:
            # A write first: what a purge in another process counts and deletes is not counted here as well.
            db.execute(shapes.update().values(shape=shapes.c.shape))
            for row in db.execute(_counting().where(where)).mappings().all():
                same = (counts.c.day == row["day"]) & (counts.c.gate == row["gate"])
                more = {name: counts.c[name] + row[name] for name in _COUNTED}
                if not db.execute(counts.update().where(same).values(more)).rowcount:
                    db.execute(counts.insert().values(dict(row)))
            gone = db.execute(visits.delete().where(where)).rowcount
        if gone:
            self._forget_pages()
        return gone

    def _forget_pages(self) -> None:
        """Nothing of what was deleted stays in SQLite's write-ahead log either; a busy one is emptied the next time."""
        if self._database.dialect.name == "sqlite":
            with contextlib.suppress(*DATABASE_AWAY), self._database.connect() as db:
                db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def open_register(settings: RegisterSettings, clock: Clock) -> Register:
    """The register of these settings. Raises BadConfiguration when its database is of a newer version or cannot be made."""
    try:
        database = open_database(settings.url)
        if database.dialect.name == "sqlite":
            file = Path(database.url.database or "")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)

            @sa.event.listens_for(database, "connect")
            def _prepare(connection: Any, _record: Any) -> None:
                connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only let go of

        metadata.create_all(database)
        with database.begin() as db:
            shape = db.execute(sa.select(shapes.c.shape)).scalar()
            if shape is None:
                db.execute(shapes.insert().values(shape=SHAPE))
    except (OSError, *DATABASE_AWAY) as error:
        raise Unavailable(f"register.url {shown_url(settings.url)}: {error}") from error
    if shape not in (None, SHAPE):
        raise BadConfiguration(
            f"register.url {shown_url(settings.url)} has shape {shape}; this Gatehouse knows {SHAPE}: update it"
        )
    return Register(database, Keys(settings.key_file), clock, settings.keep_days)


def _clear(visit: Visit) -> dict[str, Any]:
    """What stands in the database in clear: when and where, and the names of staff."""
    person = visit.person
    made = {name: getattr(visit, name) for name in visit.__struct_fields__ if name != "person"}
    return made | {"state": visit.state.value, "is_rechecked": person is not None and person.recheck is not None}


def _told(person: Person | None) -> Person | None:
    """What somebody typed, without what the gate added by itself."""
    return None if person is None else msgspec.structs.replace(person, temperature=None, recheck=None)


def _passages(visit: Visit) -> Iterator[tuple[str | None, int]]:
    person = visit.person
    if person is not None:
        for measured in (person.temperature, person.recheck):
            if measured is not None and measured.source is Source.PASSAGE:
                yield measured.device, measured.time_ms


def _counting() -> sa.Select[Any]:
    state = visits.c.state
    return sa.select(
        visits.c.day,
        visits.c.gate,
        sa.func.max(visits.c.site).label("site"),
        sa.func.count().filter(visits.c.in_ms.is_not(None)).label("visitors"),
        sa.func.count().filter(visits.c.is_rechecked).label("rechecked"),
        sa.func.count().filter(state == State.REFUSED.value).label("refused"),
        sa.func.count().filter(state == State.ANNOUNCED.value).label("not_come"),
    ).group_by(visits.c.day, visits.c.gate)


def _place(cursor: str) -> tuple[str, int]:
    day, _, number = cursor.partition(".")
    if not number.isdecimal() or len(number) > 18:
        raise BadInput("bad-cursor", "cursor: take it from 'next' of the page before")
    return day, int(number)
