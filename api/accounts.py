"""People who may log in: made, changed, let in by their password. What they do is put on record."""

from __future__ import annotations

from collections import OrderedDict

import sqlalchemy as sa

from api.access import Grant, Role, Session, User
from api.audit import Audit
from api.hashing import hashed, is_right
from api.sessions import Sessions, TooManyFailures
from api.sessions import sessions as session_table
from api.users import everybody, grant, granted, users
from telemetry.clock import Clock
from telemetry.errors import BadInput

PASSWORD_MIN = 10
_FAILURES_MAX = 5
_FAILURE_PAUSE_MS = 60_000
_REMEMBERED_MAX = 10_000


class Accounts:
    """Reads and writes users; their sessions and the audit are beside it."""

    def __init__(self, database: sa.Engine, clock: Clock, session_hours: int) -> None:
        self._database = database
        self._clock = clock
        self.sessions = Sessions(database, clock, session_hours * 3_600_000)
        self.audit = Audit(database, clock)
        self._failures: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def add_user(self, name: str, password: str, roles: list[Role], sites: list[str] | None) -> None:
        """Make a user, or give an existing one a new password, roles and sites. Raises BadInput."""
        if not name or len(name) > 64 or not name.isprintable():
            raise BadInput("bad-name", "a user name has 1 to 64 printable characters")
        _check(password)
        where: list[str | None] = [None] if sites is None else [*sites]
        wanted = frozenset(Grant(role, site) for role in roles for site in where)
        kept = {"password": hashed(password), "disabled_ms": None}
        with self._database.begin() as db:
            if not db.execute(users.update().where(users.c.name == name).values(kept)).rowcount:
                db.execute(users.insert().values(name=name, created_ms=self._clock.now_ms(), **kept))
            grant(db, name, wanted)
            db.execute(session_table.delete().where(session_table.c.user == name))
        self.record("system", "user-set", name, ",".join(sorted(role.value for role in roles)))

    def users(self) -> list[User]:
        """Everybody who can log in."""
        with self._database.connect() as db:
            return everybody(db)

    def log_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        """(token, session), or None when name or password is wrong. Raises TooManyFailures."""
        if not self.knows(name, password, address):
            self.record(name[:64], "log-in", address, "refused")
            return None
        with self._database.connect() as db:
            user = granted(db, name)
        made = self.sessions.begin(user, address)
        self.record(name, "log-in", address, "done")
        return made

    def knows(self, name: str, password: str, address: str) -> bool:
        """Whether it is the password of somebody who may log in. Raises TooManyFailures."""
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

    def session(self, token: str) -> Session | None:
        """Who a token stands for, while it lasts."""
        return self.sessions.find(token)

    def log_out(self, token: str) -> None:
        """End a session."""
        self.sessions.end(token)

    def record(self, actor: str, action: str, subject: str, outcome: str) -> None:
        """Put on record who did what to what, and what came of it."""
        self.audit.record(actor, action, subject, outcome)


def _check(password: str) -> None:
    if len(password) < PASSWORD_MIN:
        raise BadInput("weak-password", f"a password has at least {PASSWORD_MIN} characters")
