"""Grants by site, sessions that can be listed, tablets and PINs. Whoever was logged in logs in again."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables; a role at several sites becomes a grant for each."""
    connection = op.get_bind()
    before = connection.execute(sa.text("SELECT name, roles, sites FROM user_account")).all()
    # SQLite makes the table anew for this, and what refers to its rows would go with the old one: it comes first.
    op.drop_table("session")
    with op.batch_alter_table("user_account") as batch:
        batch.drop_column("roles")
        batch.drop_column("sites")
        batch.add_column(sa.Column("disabled_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "user_grant",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "role", "site"),
    )
    grants = sa.table("user_grant", sa.column("user"), sa.column("role"), sa.column("site"))
    for name, roles, sites in before:
        for role in _read(roles) or ():
            for site in [""] if _read(sites) is None else _read(sites) or ():
                connection.execute(grants.insert().values(user=name, role=role, site=site))
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("sites", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tablet", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tablet"], ["session.token_hash"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "pin",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("pin", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "pin_failure",
        sa.Column("tablet", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("keeper", sa.String(length=64), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tablet", "user"),
    )


def _read(value: object) -> list[str] | None:
    """A JSON column as SQLite (text) and PostgreSQL (already read) hand it over; None: there was nothing."""
    found = json.loads(value) if isinstance(value, str) else value
    return list(found) if isinstance(found, list) else None
