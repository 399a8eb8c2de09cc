"""Cleaning jobs of drains: planned, done, signed off."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0020"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "cleaning_job",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("planned", sa.String(length=10), nullable=False),
        sa.Column("crew", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("done_ms", sa.BigInteger()),
        sa.Column("done_by", sa.String(length=64)),
        sa.Column("silt_m", sa.Float()),
        sa.Column("left_m", sa.Float()),
        sa.Column("done_note", sa.Text()),
        sa.Column("signed_ms", sa.BigInteger()),
        sa.Column("signed_by", sa.String(length=64)),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("cleaning_job_newest", "cleaning_job", ["created_ms", "id"])
    op.create_index("cleaning_job_of_place", "cleaning_job", ["place", "done_ms"])
