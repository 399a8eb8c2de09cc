"""Users, their sessions, and the record of who did what."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from api.access import Grant, Role, Session, User
from telemetry.clock import Clock
from telemetry.database import metadata
from telemetry.errors import BadInput

PASSWORD_MIN = 10
_FAILURES_MAX = 5
_FAILURE_PAUSE_MS = 60_000
_REMEMBERED_MAX = 10_000

users = sa.Table(
    "user_account",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("password", sa.String(200), nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("sites", sa.JSON),  # null: all
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)
sessions = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), nullable=False),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
)
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


class TooManyFailures(Exception):
    """Somebody tries passwords."""


class Accounts:
    """Reads and writes users, sessions and the audit."""

    def __init__(self, database: sa.Engine, clock: Clock, session_hours: int) -> None:
        self._database = database
        self._clock = clock
        self._session_ms = session_hours * 3_600_000
        self._hasher = PasswordHasher()
        self._hashing = threading.BoundedSemaphore(2)  # hashing is dear on purpose; it must not take every core
        self._failures: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def add_user(self, name: str, password: str, roles: list[Role], sites: list[str] | None) -> None:
        """Make a user, or give an existing one a new password, roles and sites. Raises BadInput."""
        if not name or len(name) > 64 or not name.isprintable():
            raise BadInput("bad-name", "a user name has 1 to 64 printable characters")
        if len(password) < PASSWORD_MIN:
            raise BadInput("weak-password", f"a password has at least {PASSWORD_MIN} characters")
        named = sorted(role.value for role in roles)
        row = {
            "name": name,
            "password": self._hasher.hash(password),
            "roles": named,
            "sites": sites,
            "created_ms": self._clock.now_ms(),
        }
        with self._database.begin() as db:
            if not db.execute(users.update().where(users.c.name == name).values(row)).rowcount:
                db.execute(users.insert().values(row))
            db.execute(sessions.delete().where(sessions.c.user == name))
        self.record("system", "user-set", name, ",".join(named))

    def log_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        """(token, session), or None when name or password is wrong. Raises TooManyFailures."""
        now_ms = self._clock.now_ms()
        count, until_ms = self._failures.get((name, address), (0, 0))
        if count >= _FAILURES_MAX and now_ms < until_ms:
            raise TooManyFailures
        with self._database.connect() as db:
            row = db.execute(sa.select(users).where(users.c.name == name)).first()
        with self._hashing:
            try:
                # A name that does not exist takes as long as one that does.
                is_right = self._hasher.verify(row.password if row else self._nobody, password) and row is not None
            except Argon2Error:
                is_right = False
        if not is_right or row is None:
            self._failures[name, address] = (count + 1, now_ms + _FAILURE_PAUSE_MS)
            while len(self._failures) > _REMEMBERED_MAX:
                self._failures.popitem(last=False)
            self.record(name[:64], "log-in", address, "refused")
            return None
        self._failures.pop((name, address), None)
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        with self._database.begin() as db:
            db.execute(sessions.delete().where(sessions.c.expires_ms < now_ms))
            expires_ms = now_ms + self._session_ms
            db.execute(sessions.insert().values(token_hash=_hashed(token), user=name, csrf=csrf, expires_ms=expires_ms))
        self.record(name, "log-in", address, "done")
        return token, Session(_user(row), csrf)

    def users(self) -> list[User]:
        """Everybody who can log in."""
        with self._database.connect() as db:
            return [_user(row) for row in db.execute(sa.select(users).order_by(users.c.name))]

    def session(self, token: str) -> Session | None:
        """Who a token stands for, while it lasts."""
        query = (
            sa.select(users, sessions.c.csrf)
            .join(sessions, sessions.c.user == users.c.name)
            .where(sessions.c.token_hash == _hashed(token), sessions.c.expires_ms >= self._clock.now_ms())
        )
        with self._database.connect() as db:
            row = db.execute(query).first()
        return None if row is None else Session(_user(row), row.csrf)

    def log_out(self, token: str) -> None:
        """End a session."""
        with self._database.begin() as db:
            db.execute(sessions.delete().where(sessions.c.token_hash == _hashed(token)))

    def record(self, actor: str, action: str, subject: str, outcome: str) -> None:
        """Put on record who did what to what, and what came of it."""
        row = {"actor": actor, "action": action, "subject": subject, "outcome": outcome[:200]}
        with self._database.begin() as db:
            db.execute(audit.insert().values(time_ms=self._clock.now_ms(), **row))


def _user(row: Any) -> User:
    sites = [None] if row.sites is None else row.sites
    return User(row.name, frozenset(Grant(Role(role), site) for role in row.roles for site in sites))


def _hashed(token: str) -> str:
    # A token is 256 random bits: a plain hash is enough to make a stolen table useless.
    return hashlib.sha256(token.encode()).hexdigest()
