"""People who may log in: made, changed, let in by their password. What they and their tokens do is put on record."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from api.access import SECOND_FACTOR_ROLES, Grant, Permission, Role, Session, User
from api.audit import Audit
from api.people.hashing import hashed, is_right
from api.people.second_factor import SecondFactor
from api.people.sessions import Sessions, TooManyFailures, drop_pin, hashed_pin, pin_of, put_pin
from api.people.sessions import sessions as session_table
from api.people.tokens import Tokens
from api.people.tokens import tokens as token_table
from api.people.users import everybody, grant, granted, users
from telemetry.clock import Clock
from telemetry.database import alone
from telemetry.errors import BadInput

PASSWORD_MIN = 10
_HOUR_MS = 3_600_000
_FAILURES_MAX = 5
_FAILURE_PAUSE_MS = 60_000
_REMEMBERED_MAX = 10_000
_TRIED_AT_ONCE = 64
_ADMINISTRATORS = "administrators"
"""What a transaction is alone about that may take one away: of the last two, who go at once, one stays."""
_TRIED_FIRST = (
    "changeme",
    "password",
    "passwort",
    "admin",
    "gatehouse",
    "welcome",
    "letmein",
    "qwerty",
    "12345",
    "00000",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody as administrators see them."""

    user: User
    created_ms: int
    disabled_ms: int | None


class CodeNeeded(Exception):
    """The password is right, and a second factor is asked for."""


class Accounts:
    """Reads and writes users; their sessions and the audit are beside it."""

    def __init__(
        self,
        database: sa.Engine,
        clock: Clock,
        session_hours: int,
        *,
        idle_hours: int = 8,
        requires_second_factor: bool = False,
    ) -> None:
        self._requires_second_factor = requires_second_factor
        self.second_factor = SecondFactor(database, clock)
        self._database = database
        self._clock = clock
        self.sessions = Sessions(database, clock, session_hours * _HOUR_MS, idle_hours * _HOUR_MS)
        self.tokens = Tokens(database, clock)
        self.audit = Audit(database, clock)
        self._failures: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._trying = [threading.Lock() for _ in range(_TRIED_AT_ONCE)]

    def add_user(self, name: str, password: str, roles: list[Role], sites: list[str] | None) -> None:
        """Make a user, or give an existing one a new password, roles and sites. Raises BadInput."""
        _check_name(name)
        _check(name, password)
        where: list[str | None] = [None] if sites is None else [*sites]
        wanted = frozenset(Grant(role, site) for role in roles for site in where)
        kept = {"password": hashed(password), "disabled_ms": None}
        with alone(self._database, _ADMINISTRATORS) as db:
            before = _administrators(db)
            if not db.execute(users.update().where(users.c.name == name).values(kept)).rowcount:
                db.execute(users.insert().values(name=name, created_ms=self._clock.now_ms(), **kept))
            grant(db, name, wanted)
            if before and not _administrators(db):
                raise _last_administrator()
            _let_nobody_in(db, name)
        self.second_factor.drop(name)
        self.record("system", "user-set", name, ",".join(sorted(role.value for role in roles)))

    def add(self, actor: str, name: str, password: str, wanted: frozenset[Grant]) -> None:
        """Make somebody new. Raises BadInput."""
        _check_name(name)
        _check(name, password)
        kept = hashed(password)
        with alone(self._database, f"user {name}") as db:
            if db.execute(sa.select(users.c.name).where(users.c.name == name)).first() is not None:
                raise BadInput("name-taken", f"name: there is a user '{name}' already")
            db.execute(users.insert().values(name=name, password=kept, created_ms=self._clock.now_ms()))
            grant(db, name, wanted)
        self.record(actor, "user-add", name, _told(wanted))

    def change(
        self,
        actor: str,
        name: str,
        wanted: frozenset[Grant] | None,
        password: str | None,
        disabled: bool | None,
        pin: str | None = None,
    ) -> None:
        """Change what is not None; their sessions end, with a new password also their tokens and PIN. An empty PIN is none.

        Raises BadInput, also when nobody could administer after it: nothing is changed then.
        """
        if password is not None:
            _check(name, password)
        kept = None if password is None else hashed(password)
        kept_pin = hashed_pin(pin) if pin else None
        with alone(self._database, _ADMINISTRATORS, pin_of(name)) as db:
            db.execute(session_table.delete().where(session_table.c.user == name))
            if kept is not None:
                db.execute(users.update().where(users.c.name == name).values(password=kept))
                _let_nobody_in(db, name)
            if disabled is not None:
                disabled_ms = self._clock.now_ms() if disabled else None
                db.execute(users.update().where(users.c.name == name).values(disabled_ms=disabled_ms))
                db.execute(token_table.delete().where(token_table.c.user == name))
            if wanted is not None:
                grant(db, name, wanted)
            if kept_pin is not None:
                put_pin(db, granted(db, name), kept_pin)
            elif pin is not None:
                drop_pin(db, name)
            able = _administrators(db)
            if not able:
                raise _last_administrator()
            if actor == name and name not in able:
                raise BadInput("locks-out", "you would lock yourself out: let another administrator do it")
        if wanted is not None:
            self.record(actor, "user-grants", name, _told(wanted))
        if kept is not None:
            self.record(actor, "password-reset", name, "done")
        if disabled is not None:
            self.record(actor, "user-disable" if disabled else "user-enable", name, "done")
        if pin is not None:
            self.record(actor, "pin-set" if pin else "pin-drop", name, "done")

    def remove(self, actor: str, name: str) -> None:
        """Forget somebody; what they did stays on record. Raises BadInput."""
        with alone(self._database, _ADMINISTRATORS) as db:
            if not db.execute(users.delete().where(users.c.name == name)).rowcount:
                raise BadInput("no-such-user", f"there is no user '{name}'")
            if not _administrators(db):
                raise _last_administrator()
        self.record(actor, "user-remove", name, "done")

    def change_pin(self, actor: str, name: str, pin: str) -> None:
        """Give a guard a PIN; an empty one takes it away. Raises BadInput."""
        with self._database.connect() as db:
            user = granted(db, name)
        if pin:
            self.sessions.set_pin(user, pin)
        else:
            self.sessions.drop_pin(name)
        self.record(actor, "pin-set" if pin else "pin-drop", name, "done")

    def drop_second_factor(self, actor: str, name: str) -> None:
        """For somebody who lost telephone and recovery codes; their sessions end. Raises BadInput."""
        if not self.second_factor.drop(name):
            raise BadInput("has-none", f"'{name}' has no second factor")
        self.sessions.end_of(name, None)
        self.record(actor, "second-factor-drop", name, "done")

    def change_password(self, name: str, password: str) -> None:
        """Somebody's own new password; all their sessions end, the one that asks included. Raises BadInput."""
        _check(name, password)
        kept = hashed(password)
        with self._database.begin() as db:
            db.execute(users.update().where(users.c.name == name).values(password=kept))
            db.execute(session_table.delete().where(session_table.c.user == name))
        self.record(name, "password-change", name, "done")

    def page(self, limit: int, after: str) -> list[Account]:
        """Everybody, by name, from behind one name."""
        query = sa.select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)
        with self._database.connect() as db:
            return [_account(db, row) for row in db.execute(query).all()]

    def one(self, name: str) -> Account | None:
        """Somebody by name."""
        with self._database.connect() as db:
            row = db.execute(sa.select(users).where(users.c.name == name)).first()
            return None if row is None else _account(db, row)

    def users(self) -> list[User]:
        """Everybody who can log in."""
        with self._database.connect() as db:
            return everybody(db)

    def log_in(self, name: str, password: str, address: str, code: str = "") -> tuple[str, Session] | None:
        """(token, session), or None when name or password is wrong. Raises TooManyFailures and CodeNeeded."""
        if not self.knows(name, password, address):
            self.record(name[:64], "log-in", address, "refused")
            return None
        if self.second_factor.is_on(name) and not (code and self.second_factor.is_right(name, code)):
            if code:
                self.record(name, "log-in", address, "refused: code")
            raise CodeNeeded
        made = self.begin(name, address)
        self.record(name, "log-in", address, "done")
        return made

    def begin(self, name: str, address: str) -> tuple[str, Session]:
        """A session of somebody who has shown who they are: its token and itself."""
        with self._database.connect() as db:
            user = granted(db, name)
        token, session = self.sessions.begin(user, address)
        return token, self._judged(session)

    def knows(self, name: str, password: str, address: str) -> bool:
        """Whether it is the password of somebody who may log in. Raises TooManyFailures."""
        # One after the other: who sends many at once gets no more tries than that.
        with self._trying[hash((name, address)) % len(self._trying)]:
            return self._knows(name, password, address)

    def _knows(self, name: str, password: str, address: str) -> bool:
        now_ms = self._clock.now_ms()
        count, until_ms = self._failures.get((name, address), (0, 0))
        if count >= _FAILURES_MAX and now_ms < until_ms:
            raise TooManyFailures(until_ms - now_ms)
        with self._database.connect() as db:
            row = db.execute(sa.select(users).where(users.c.name == name)).first()
        # A name that does not exist takes as long as one that does.
        if is_right(row.password if row is not None and row.disabled_ms is None else None, password):
            self._failures.pop((name, address), None)
            return True
        self._failures[name, address] = (count + 1, now_ms + _FAILURE_PAUSE_MS)
        while len(self._failures) > _REMEMBERED_MAX:
            self._failures.popitem(last=False)
        return False

    def why_not_by_provider(self, name: str, is_second_factor: bool) -> str:
        """Why somebody whom a provider has let in does not come in here; empty: they do."""
        with self._database.connect() as db:
            row = db.execute(sa.select(users).where(users.c.name == name)).first()
        if row is None or row.disabled_ms is not None:
            return "no such user"
        return "" if is_second_factor or not self.second_factor.is_on(name) else "second factor"

    def session(self, token: str) -> Session | None:
        """Who a token stands for, while it lasts."""
        found = self.sessions.find(token)
        return None if found is None else self._judged(found)

    def look_up(self, token: str) -> Session | None:
        """The same, without being a use of it: an open page is nobody who sits there."""
        found = self.sessions.look_up(token)
        return None if found is None else self._judged(found)

    def session_of_token(self, token: str) -> Session | None:
        """Whose token it is, while it lasts."""
        found = self.tokens.find(token)
        return None if found is None else self._judged(found)

    def log_out(self, token: str) -> None:
        """End a session."""
        self.sessions.end(token)

    def _judged(self, session: Session) -> Session:
        is_asked = self._requires_second_factor and bool(session.user.roles & SECOND_FACTOR_ROLES)
        return replace(session, must_enrol=is_asked and not self.second_factor.is_on(session.user.name))

    def record(self, actor: str, action: str, subject: str, outcome: str, site: str | None = None) -> None:
        """Put on record who did what to what at which site, and what came of it."""
        self.audit.record(actor, action, subject, outcome, site)


def _let_nobody_in(db: sa.Connection, name: str) -> None:
    """Whoever knew the old password may have made tokens with it and chosen a PIN."""
    db.execute(session_table.delete().where(session_table.c.user == name))
    db.execute(token_table.delete().where(token_table.c.user == name))
    drop_pin(db, name)


def _account(db: sa.Connection, row: Any) -> Account:
    return Account(granted(db, row.name), row.created_ms, row.disabled_ms)


def _administrators(db: sa.Connection) -> list[str]:
    """Who could manage users."""
    return [user.name for user in everybody(db) if user.may(Permission.MANAGE_USERS)]


def _last_administrator() -> BadInput:
    return BadInput("last-administrator", "nobody could manage users after it: name another first")


def _told(wanted: frozenset[Grant]) -> str:
    return ", ".join(sorted(f"{each.role} at {each.site or 'all sites'}" for each in wanted)) or "nothing"


def _check_name(name: str) -> None:
    # It stands in addresses, where a slash would end it.
    if not name or len(name) > 64 or not name.isprintable() or "/" in name:
        raise BadInput("bad-name", "a user name has 1 to 64 printable characters, none of them a '/'")


def _check(name: str, password: str) -> None:
    if len(password) < PASSWORD_MIN:
        raise BadInput("weak-password", f"a password has at least {PASSWORD_MIN} characters")
    plain = "".join(filter(str.isalnum, password.casefold()))
    for start in (*_TRIED_FIRST, "".join(filter(str.isalnum, name.casefold()))):
        if start and plain.startswith(start):
            raise BadInput("known-password", f"a password does not begin with '{start}': that is what is tried first")
