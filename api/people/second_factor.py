"""The second factor: codes of six digits that a telephone makes (TOTP, RFC 6238), and recovery codes for when it is lost.

A code is good once, and for its own half minute and the two beside it, because clocks differ. Whoever tries codes waits
longer and longer, also with the right one; a recovery code is too long to be tried and never waits, so that nobody can be
kept out.
"""

from __future__ import annotations

import secrets
from typing import Any

import pyotp
import segno
import sqlalchemy as sa

from api.people.hashing import token_hash
from api.people.sessions import TooManyFailures
from telemetry.clock import Clock
from telemetry.database import alone, metadata
from telemetry.errors import BadInput

RECOVERY_CODES = 10
_STEP_MS = 30_000
_DRIFT_STEPS = 1
_FREE_TRIES = 5
_PAUSE_MS, _PAUSE_MAX_MS = 30_000, 900_000

factors = sa.Table(
    "second_factor",
    metadata,
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("secret", sa.String(64), nullable=False),  # as it is: a code cannot be checked against a hash
    sa.Column("confirmed_ms", sa.BigInteger),  # null: shown, but no code has come yet
    sa.Column("last_step", sa.BigInteger, nullable=False),  # codes up to this half minute are used up
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)
recovery_codes = sa.Table(
    "recovery_code",
    metadata,
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("code_hash", sa.String(64), primary_key=True),
)


class SecondFactor:
    """Enrols people and checks their codes."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def is_on(self, name: str) -> bool:
        """Whether somebody must give a code to log in."""
        with self._database.connect() as db:
            return db.execute(_confirmed(name)).first() is not None

    def begin(self, name: str) -> dict[str, str]:
        """A new secret: itself, as an address for an authenticator, and as a picture (QR, SVG). Raises BadInput."""
        secret = pyotp.random_base32()
        with alone(self._database, f"second factor {name}") as db:
            db.execute(factors.delete().where(factors.c.user == name, factors.c.confirmed_ms.is_(None)))
            if db.execute(_confirmed(name)).first() is not None:
                raise BadInput("has-one", "there is a second factor already: take it away first")
            db.execute(factors.insert().values(user=name, secret=secret, last_step=0, tries=0, until_ms=0))
        uri = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Gatehouse")
        picture = segno.make(uri, error="m").svg_data_uri(scale=5, border=4, light="white")
        return {"secret": secret, "uri": uri, "qr": picture}

    def confirm(self, name: str, code: str) -> list[str]:
        """From now on codes are asked for: the recovery codes, which are not kept. Raises BadInput, TooManyFailures."""
        with self._database.connect() as db:
            row = db.execute(sa.select(factors).where(factors.c.user == name)).first()
        if row is None or row.confirmed_ms is not None:
            raise BadInput("not-begun", "nothing waits for a code: begin with POST /api/v1/session/second-factor")
        if not self._takes(name, code):
            raise BadInput("wrong-code", "the code is wrong or over; do the clocks of server and telephone agree?")
        codes = [_code() for _ in range(RECOVERY_CODES)]
        with self._database.begin() as db:
            db.execute(factors.update().where(factors.c.user == name).values(confirmed_ms=self._clock.now_ms()))
            db.execute(recovery_codes.delete().where(recovery_codes.c.user == name))
            db.execute(recovery_codes.insert(), [{"user": name, "code_hash": token_hash(_plain(c))} for c in codes])
        return codes

    def is_right(self, name: str, code: str) -> bool:
        """Whether a code or recovery code is somebody's; it is used up with it. Raises TooManyFailures."""
        plain = _plain(code)
        if len(plain) > 6:
            with self._database.begin() as db:
                used = recovery_codes.delete().where(
                    recovery_codes.c.user == name, recovery_codes.c.code_hash == token_hash(plain)
                )
                return db.execute(used).rowcount == 1
        return self._takes(name, plain)

    def codes_left(self, name: str) -> int:
        """How many recovery codes somebody has."""
        with self._database.connect() as db:
            return db.execute(sa.select(sa.func.count()).where(recovery_codes.c.user == name)).scalar_one()

    def drop(self, name: str) -> bool:
        """Take somebody's second factor away; whether there was one."""
        with self._database.begin() as db:
            db.execute(recovery_codes.delete().where(recovery_codes.c.user == name))
            return db.execute(factors.delete().where(factors.c.user == name)).rowcount == 1

    def _takes(self, name: str, code: str) -> bool:
        now_ms = self._clock.now_ms()
        mine = factors.c.user == name
        with self._database.begin() as db:
            # Counted before it is looked at: who sends many at once gets no more tries than one after the other.
            db.execute(factors.update().where(mine, factors.c.until_ms <= now_ms).values(tries=factors.c.tries + 1))
            row = db.execute(sa.select(factors).where(mine)).first()
            if row is None:
                return False
            if now_ms < row.until_ms:
                raise TooManyFailures(row.until_ms - now_ms)
            step = _step_of(row, code, now_ms)
            if step is not None:
                db.execute(factors.update().where(mine).values(last_step=step, tries=0, until_ms=0))
                return True
            if row.tries >= _FREE_TRIES:
                pause_ms = min(_PAUSE_MS << min(row.tries - _FREE_TRIES, 16), _PAUSE_MAX_MS)
                db.execute(factors.update().where(mine).values(until_ms=now_ms + pause_ms))
        return False


def _step_of(row: Any, code: str, now_ms: int) -> int | None:
    """The half minute that a code is of, if it is near enough and its code was not used before."""
    machine, now = pyotp.TOTP(row.secret), now_ms // _STEP_MS
    for step in range(now - _DRIFT_STEPS, now + _DRIFT_STEPS + 1):
        if step > row.last_step and secrets.compare_digest(machine.generate_otp(step).encode(), code.encode()):
            return step
    return None


def _confirmed(name: str) -> sa.Select[Any]:
    return sa.select(factors.c.user).where(factors.c.user == name, factors.c.confirmed_ms.is_not(None))


def _code() -> str:
    """80 random bits, in groups that can be read out."""
    raw = pyotp.random_base32(32)[:16].lower()
    return "-".join(raw[i : i + 4] for i in range(0, 16, 4))


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()
