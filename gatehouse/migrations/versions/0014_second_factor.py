"""The second factor of a log-in, and recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "second_factor",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "code_hash"),
    )
