"""Sessions: log-ins by password, tablets that somebody keeps at a gate, and the guards who change on them.

A tablet is kept, not logged in: its token opens nothing but the choice of a guard, who then types a PIN. What follows is a
session of that guard, with the role of a guard and at the tablet's sites only. Whoever tries PINs waits longer and longer, by
tablet and name: neither the name elsewhere nor the tablet for others is ever locked, and the password stays a way in. What
was tried on one tablet counts on those that its keeper makes afterwards: a new log-in is no new start.

A wall screen is nobody's work place: its session looks at no more than its maker's sites, changes nothing (`api/access.py`)
and does not end because nobody touches it.
"""

from __future__ import annotations

import secrets
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from api.access import Permission, Role, Session, Tablet, User
from api.people.hashing import hashed, is_right, token_hash
from api.people.tokens import limited
from api.people.users import everybody, granted, users
from telemetry.clock import Clock
from telemetry.database import alone, metadata
from telemetry.errors import BadInput

SHIFT_MS = 12 * 3_600_000
TABLET_MS = 90 * 86_400_000
WALL_MS = 400 * 86_400_000  # browsers keep no cookie longer
_SEEN_MS = 60_000  # how exactly it is known when a session was used last
_FREE_TRIES = 3
_FORGOTTEN_MS = 86_400_000  # after so long without a try
_PAUSE_MS, _PAUSE_MAX_MS = 5_000, 900_000
_PASSWORD, _PIN, _TABLET, _WALL = "password", "pin", "tablet", "wall"

sessions = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # password, pin, tablet or wall
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("sites", sa.JSON(none_as_null=True)),  # of a tablet, of who changes on it, of a wall; null: all
    sa.Column("tablet", sa.String(64), sa.ForeignKey("session.token_hash", ondelete="CASCADE")),
    sa.Column("address", sa.String(64), nullable=False),
)
pins = sa.Table(
    "pin",
    metadata,
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("pin", sa.String(200), nullable=False),
)
pin_failures = sa.Table(
    "pin_failure",
    metadata,
    sa.Column("tablet", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("keeper", sa.String(64), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)


class TooManyFailures(Exception):
    """Somebody tries passwords or PINs."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(wait_ms)
        self.wait_s = -(-wait_ms // 1000)


class Sessions:
    """Reads and writes sessions, tablets and PINs."""

    def __init__(self, database: sa.Engine, clock: Clock, session_ms: int, idle_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._session_ms = session_ms
        self._idle_ms = idle_ms

    def begin(self, user: User, address: str) -> tuple[str, Session]:
        """A session of somebody who gave their password: its token and itself."""
        return self._put(user, _PASSWORD, self._session_ms, address)

    def begin_wall(self, user: User, sites: list[str] | None, address: str) -> tuple[str, Session]:
        """A session of a wall screen that shows some of somebody's sites, or all: its token and itself. Raises BadInput."""
        unseen = sorted(each for each in sites or [] if not user.sees(each))
        if unseen or sites == []:
            raise BadInput("bad-sites", f"sites: you have no role at {', '.join(unseen) or 'none'}")
        token, made = self._put(user, _WALL, WALL_MS, address, sites)
        return token, _at_wall(user, made.csrf, sites)

    def find(self, token: str) -> Session | None:
        """Who a token stands for, while it lasts; it is in use now."""
        row, found = self._found(token)
        now_ms = self._clock.now_ms()
        if found is not None and now_ms - row.seen_ms >= _SEEN_MS:
            with self._database.begin() as db:
                db.execute(sessions.update().where(sessions.c.id == row.id).values(seen_ms=now_ms))
        return found

    def look_up(self, token: str) -> Session | None:
        """The same, and no use of it."""
        return self._found(token)[1]

    def end(self, token: str) -> None:
        """End the session of a token."""
        with self._database.begin() as db:
            db.execute(sessions.delete().where(sessions.c.token_hash == token_hash(token)))

    def of(self, name: str) -> list[dict[str, Any]]:
        """Somebody's sessions and the tablets that they keep, newest first."""
        shown = ("id", "kind", "made_ms", "seen_ms", "expires_ms", "sites", "address")
        query = sa.select(*(sessions.c[each] for each in shown)).where(
            sessions.c.user == name, sessions.c.expires_ms >= self._clock.now_ms()
        )
        with self._database.connect() as db:
            return [dict(row) for row in db.execute(query.order_by(sessions.c.made_ms.desc()).limit(500)).mappings()]

    def end_of(self, name: str, number: str | None) -> int:
        """End one of somebody's sessions (None: all), and what guards began on their tablets; how many ended."""
        ended = sessions.delete().where(sessions.c.user == name)
        with self._database.begin() as db:
            return db.execute(ended if number is None else ended.where(sessions.c.id == number)).rowcount

    def tablet(self, token: str) -> Tablet | None:
        """The tablet of a token, while it is kept."""
        with self._database.connect() as db:
            row = self._row(db, token)
        return None if row is None or row.kind != _TABLET else _tablet(row, row.sites)

    def tablet_of_session(self, token: str) -> Tablet | None:
        """A browser where somebody is logged in with a password, as the tablet that it would be."""
        with self._database.connect() as db:
            row = self._row(db, token)
            if row is None or row.kind != _PASSWORD:
                return None
            sites = granted(db, row.user).sites
        return _tablet(row, None if sites is None else sorted(sites))

    def guards(self, tablet: Tablet) -> list[str]:
        """Who can be chosen at a tablet: guards of its sites who have a PIN."""
        with self._database.connect() as db:
            with_pin = set(db.execute(sa.select(pins.c.user)).scalars())
            return [user.name for user in everybody(db) if user.name in with_pin and tablet.guard(user).grants]

    def set_pin(self, user: User, pin: str) -> None:
        """Give a guard a PIN; what was begun with the one they had ends. Raises BadInput."""
        kept = hashed_pin(pin)
        with alone(self._database, pin_of(user.name)) as db:
            put_pin(db, user, kept)

    def has_pin(self, name: str) -> bool:
        """Whether somebody can change on a tablet."""
        with self._database.connect() as db:
            return db.execute(sa.select(pins.c.user).where(pins.c.user == name)).first() is not None

    def drop_pin(self, name: str) -> None:
        """Take a PIN away; the sessions that were begun with it end."""
        with self._database.begin() as db:
            drop_pin(db, name)

    def change_guard(self, tablet: Tablet, name: str, pin: str, address: str) -> tuple[str, Session, str | None] | None:
        """A shift's session for a guard who typed their PIN; None if it is wrong. Raises TooManyFailures.

        Returns:
            Token and session; and the token of the tablet if the browser has only now become one.
        """
        with self._database.begin() as db:
            row = db.execute(sa.select(pins.c.pin).where(pins.c.user == name)).first()
            user = granted(db, name)
            is_free = db.execute(sa.select(users.c.disabled_ms).where(users.c.name == name)).scalar() is None
            kept = row.pin if row is not None and is_free and tablet.guard(user).grants else None
            if kept is not None:
                self._count_try(db, tablet, name)
        # Counted before it is looked at: who sends many at once gets no more tries than one after the other.
        if not is_right(kept, pin):
            return None
        sites = None if tablet.sites is None else list(tablet.sites)
        made, parent = None, tablet.token_hash
        if not tablet.is_kept:
            made, _ = self._put(User(tablet.keeper, frozenset()), _TABLET, TABLET_MS, address, sites)
            parent = token_hash(made)
        with self._database.begin() as db:
            db.execute(pin_failures.delete().where(_pair(tablet, name)))
            db.execute(sessions.delete().where(sessions.c.tablet == parent))
        return *self._put(tablet.guard(user), _PIN, SHIFT_MS, address, sites, parent), made

    def _count_try(self, db: sa.Connection, tablet: Tablet, name: str) -> None:
        now_ms = self._clock.now_ms()
        db.execute(pin_failures.delete().where(pin_failures.c.until_ms < now_ms - _FORGOTTEN_MS))
        found = db.execute(sa.select(pin_failures).where(_pair(tablet, name)).with_for_update()).first()
        before = found
        if before is None:
            earlier = (pin_failures.c.keeper == tablet.keeper) & (pin_failures.c.since_ms < tablet.made_ms)
            query = sa.select(pin_failures).where(earlier, pin_failures.c.user == name)
            before = db.execute(query.order_by(pin_failures.c.until_ms.desc()).limit(1)).first()
        if before is not None and now_ms < before.until_ms:
            raise TooManyFailures(before.until_ms - now_ms)
        count = 1 if before is None else before.tries + 1
        pause_ms = 0
        if count >= _FREE_TRIES:
            pause_ms = min(_PAUSE_MS << min(count - _FREE_TRIES, 16), _PAUSE_MAX_MS)
        after = {"tries": count, "until_ms": now_ms + pause_ms}
        if found is None:
            pair = {"tablet": tablet.token_hash, "user": name, "keeper": tablet.keeper, "since_ms": now_ms}
            db.execute(pin_failures.insert().values(**pair, **after))
        else:
            db.execute(pin_failures.update().where(_pair(tablet, name)).values(**after))

    def _put(
        self,
        user: User,
        kind: str,
        lasts_ms: int,
        address: str,
        sites: list[str] | None = None,
        tablet: str | None = None,
    ) -> tuple[str, Session]:
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now_ms = self._clock.now_ms()
        row = {
            "token_hash": token_hash(token),
            "id": secrets.token_hex(8),
            "user": user.name,
            "kind": kind,
            "csrf": csrf,
            "made_ms": now_ms,
            "seen_ms": now_ms,
            "expires_ms": now_ms + lasts_ms,
            "sites": sites,
            "tablet": tablet,
            "address": address[:64],
        }
        with self._database.begin() as db:
            db.execute(sessions.delete().where(sessions.c.expires_ms < now_ms))
            db.execute(sessions.insert().values(row))
        return token, Session(user, csrf)

    def _found(self, token: str) -> tuple[Any, Session | None]:
        with self._database.connect() as db:
            row = self._row(db, token)
            if row is None or row.kind == _TABLET:
                return None, None
            user = granted(db, row.user)
        if row.kind == _PIN:
            return row, Session(_tablet(row, row.sites).guard(user), row.csrf, is_by_pin=True)
        if row.kind == _WALL:
            return row, _at_wall(user, row.csrf, row.sites)
        return row, Session(user, row.csrf)

    def _row(self, db: sa.Connection, token: str) -> Any:
        now_ms = self._clock.now_ms()
        query = (
            sa.select(sessions)
            .join(users, sessions.c.user == users.c.name)
            .where(
                sessions.c.token_hash == token_hash(token),
                sessions.c.expires_ms >= now_ms,
                # Seen to the minute: what was used within it counts. A tablet is kept, used or not, and a wall hangs.
                (sessions.c.seen_ms > now_ms - self._idle_ms - _SEEN_MS) | sessions.c.kind.in_((_TABLET, _WALL)),
                users.c.disabled_ms.is_(None),
            )
        )
        return db.execute(query).first()


def pin_of(name: str) -> str:
    """What a transaction that changes a PIN is alone about."""
    return f"pin {name}"


def hashed_pin(pin: str) -> str:
    """What is kept of a PIN. Raises BadInput when anybody would try it first."""
    if not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 8):
        raise BadInput("bad-pin", "a PIN has 4 to 8 digits")
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise BadInput("weak-pin", "a PIN is neither one digit repeated nor a run like 1234")
    return hashed(pin)


def put_pin(db: sa.Connection, user: User, kept: str) -> None:
    """Give a guard a PIN, in a transaction about `pin_of` them. Raises BadInput."""
    if Role.GUARD not in user.roles:
        raise BadInput("no-guard", f"only guards have a PIN, and '{user.name}' is none")
    drop_pin(db, user.name)
    db.execute(pins.insert().values(user=user.name, pin=kept))


def drop_pin(db: sa.Connection, name: str) -> None:
    """Take a PIN away; the sessions that were begun with it end."""
    db.execute(pins.delete().where(pins.c.user == name))
    db.execute(sessions.delete().where(sessions.c.user == name, sessions.c.kind == _PIN))


def _at_wall(user: User, csrf: str, sites: list[str] | None) -> Session:
    return Session(limited(user, frozenset({Permission.LOOK}), sites), csrf, is_wall=True)


def _tablet(row: Any, sites: list[str] | None) -> Tablet:
    is_kept = row.kind != _PASSWORD
    return Tablet(row.token_hash, row.user, None if sites is None else tuple(sites), row.made_ms, is_kept)


def _pair(tablet: Tablet, name: str) -> sa.ColumnElement[bool]:
    return (pin_failures.c.tablet == tablet.token_hash) & (pin_failures.c.user == name)
