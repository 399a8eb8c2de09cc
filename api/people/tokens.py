"""Tokens: how a machine comes in. Somebody makes one for a purpose, with scopes (permissions), sites and an end.

A token is its owner made smaller: whatever the owner may now, cut down to the scopes and the sites. It never asks for a CSRF
token, because no browser sends it by itself, and it cannot manage users or tokens: what it made would outlive it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from api.access import OF_VISITORS, Grant, Permission, Session, User
from api.people.hashing import token_hash
from api.people.users import granted, users
from telemetry.clock import Clock
from telemetry.database import metadata
from telemetry.errors import BadInput

PREFIX = "gh_"
DAYS_MAX = 400
SCOPES = frozenset(Permission) - {Permission.MANAGE_USERS} - OF_VISITORS
"""What a token can be for."""
_TOKENS_MAX = 50  # of one owner
_USED_MS = 60_000  # how exactly it is known when a token was used last
_SHOWN = ("id", "name", "user", "scopes", "sites", "made_ms", "used_ms", "expires_ms")

tokens = sa.Table(
    "api_token",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("sites", sa.JSON(none_as_null=True)),  # null: all that the owner has
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("used_ms", sa.BigInteger),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
)


class Tokens:
    """Makes, finds and ends tokens."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def make(
        self, owner: User, name: str, scopes: frozenset[Permission], sites: list[str] | None, expires_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """A token, which is not kept, and what is kept of it. Raises BadInput."""
        now_ms = self._clock.now_ms()
        if not now_ms < expires_ms <= now_ms + DAYS_MAX * 86_400_000:
            raise BadInput("bad-end", f"expires_ms: it ends after now and within {DAYS_MAX} days")
        lacking = sorted(each for each in scopes if each not in SCOPES or not owner.may_somewhere(each))
        if lacking or not scopes:
            raise BadInput("bad-scopes", f"scopes: a token cannot have {', '.join(lacking) or 'none'} of yours")
        unseen = sorted(each for each in sites or [] if not owner.sees(each))
        if unseen or sites == []:
            raise BadInput("bad-sites", f"sites: you have no role at {', '.join(unseen) or 'none'}")
        token = PREFIX + secrets.token_urlsafe(32)
        row = {
            "id": secrets.token_hex(8),
            "user": owner.name,
            "name": name,
            "scopes": sorted(scopes),
            "sites": sites,
            "made_ms": now_ms,
            "used_ms": None,
            "expires_ms": expires_ms,
        }
        with self._database.begin() as db:
            db.execute(tokens.delete().where(tokens.c.expires_ms < now_ms))
            count = db.execute(sa.select(sa.func.count()).where(tokens.c.user == owner.name)).scalar_one()
            if count >= _TOKENS_MAX:
                raise BadInput("too-many", f"you have {count} tokens: end one that is not used")
            db.execute(tokens.insert().values(token_hash=token_hash(token), **row))
        return token, row

    def find(self, token: str) -> Session | None:
        """Who a token stands for, while it lasts and its owner may come in."""
        if not token.startswith(PREFIX):
            return None
        now_ms = self._clock.now_ms()
        query = (
            sa.select(tokens)
            .join(users, tokens.c.user == users.c.name)
            .where(
                tokens.c.token_hash == token_hash(token),
                tokens.c.expires_ms >= now_ms,
                users.c.disabled_ms.is_(None),
            )
        )
        with self._database.connect() as db:
            row = db.execute(query).first()
            if row is None:
                return None
            user = granted(db, row.user)
        if row.used_ms is None or now_ms - row.used_ms >= _USED_MS:
            with self._database.begin() as db:
                db.execute(tokens.update().where(tokens.c.id == row.id).values(used_ms=now_ms))
        return Session(limited(user, frozenset(map(Permission, row.scopes)), row.sites), csrf="", token=row.id)

    def page(self, owner: str | None, limit: int, after: str) -> list[dict[str, Any]]:
        """Tokens of somebody (None: of everybody), by id, from behind one id."""
        query = sa.select(*(tokens.c[each] for each in _SHOWN)).where(
            tokens.c.id > after, tokens.c.expires_ms >= self._clock.now_ms()
        )
        if owner is not None:
            query = query.where(tokens.c.user == owner)
        with self._database.connect() as db:
            return [dict(row) for row in db.execute(query.order_by(tokens.c.id).limit(limit)).mappings()]

    def end(self, number: str, owner: str | None) -> str | None:
        """End a token of somebody (None: of anybody): whose it was, or None when there is none."""
        chosen = tokens.c.id == number
        if owner is not None:
            chosen &= tokens.c.user == owner
        with self._database.begin() as db:
            whose: str | None = db.execute(sa.select(tokens.c.user).where(chosen)).scalar()
            db.execute(tokens.delete().where(chosen))
        return whose


def limited(user: User, scopes: frozenset[Permission], sites: list[str] | None) -> User:
    """Somebody with no more than these permissions, at no more than these sites."""
    grants = user.grants
    if sites is not None:
        at = {each: user.roles_at(each) for each in sites}
        grants = frozenset(Grant(role, site) for site, roles in at.items() for role in roles)
    return replace(user, grants=grants, scopes=scopes & SCOPES)
