"""Who there is and what was granted to them, as it is stored."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.access import Grant, Role, User
from telemetry.database import metadata

users = sa.Table(
    "user_account",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("password", sa.String(200), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("disabled_ms", sa.BigInteger),  # null: may log in
)
grants = sa.Table(
    "user_grant",
    metadata,
    sa.Column("user", sa.String(64), sa.ForeignKey("user_account.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("site", sa.String(64), primary_key=True),  # empty: all
)


def granted(db: sa.Connection, name: str) -> User:
    """Somebody with all that was granted to them."""
    rows = db.execute(sa.select(grants).where(grants.c.user == name))
    return User(name, frozenset(map(_grant, rows)))


def everybody(db: sa.Connection) -> list[User]:
    """Everybody who may log in, by name."""
    found: dict[str, set[Grant]] = {}
    names = sa.select(users.c.name).where(users.c.disabled_ms.is_(None)).order_by(users.c.name)
    for name in db.execute(names).scalars():
        found[name] = set()
    for row in db.execute(sa.select(grants)):
        if row.user in found:
            found[row.user].add(_grant(row))
    return [User(name, frozenset(each)) for name, each in found.items()]


def grant(db: sa.Connection, name: str, wanted: frozenset[Grant]) -> None:
    """Let exactly these be somebody's grants."""
    db.execute(grants.delete().where(grants.c.user == name))
    if wanted:
        rows = [{"user": name, "role": each.role.value, "site": each.site or ""} for each in wanted]
        db.execute(grants.insert(), rows)


def _grant(row: Any) -> Grant:
    return Grant(Role(row.role), row.site or None)
