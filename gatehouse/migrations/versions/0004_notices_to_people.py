"""Notices to people: to whom, under which role, in which language, what it says, and where it goes when it gets stuck."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, and what finds the notices of an alarm without looking at all of them."""
    op.add_column("transition", sa.Column("step", sa.Integer(), nullable=True))
    for name, length in (("recipient", 64), ("role", 64), ("language", 8), ("fallback", 400)):
        op.add_column("notice", sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
    op.add_column("notice", sa.Column("sort", sa.String(length=8), nullable=False, server_default="step"))
    op.add_column("notice", sa.Column("step", sa.Integer(), nullable=True))
    op.add_column("notice", sa.Column("digest", sa.String(length=120), nullable=True))
    op.add_column("notice", sa.Column("fallback_ms", sa.BigInteger(), nullable=True))
    op.add_column("notice", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("notice", sa.Column("text", sa.Text(), nullable=True))
    op.create_index("notice_of_alarm", "notice", ["alarm", "channel", "recipient"], unique=False)
    op.create_index("notice_stuck", "notice", ["fallback_ms"], unique=False)
    op.create_index("notice_held", "notice", ["state", "due_ms"], unique=False)
