"""How complete the data are, by series and day, and what gateways say of themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "completeness_series",
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series"),
    )
    op.create_table(
        "completeness_day",
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("suspect", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("minutes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("series", "day"),
    )
    op.create_index("completeness_by_day", "completeness_day", ["day"], unique=False)
    op.create_table(
        "completeness_loss",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("completeness_loss_by_day", "completeness_loss", ["day", "series"], unique=False)
    op.create_table(
        "completeness_frames_lost",
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "day"),
    )
    op.create_table(
        "completeness_cursor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "gateway_state",
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("is_online", sa.Boolean(), nullable=False),
        sa.Column("spooled", sa.BigInteger(), nullable=True),
        sa.Column("oldest_ms", sa.BigInteger(), nullable=True),
        sa.Column("behind", sa.BigInteger(), nullable=True),
        sa.Column("is_full", sa.Boolean(), nullable=True),
        sa.Column("heard_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("gateway_state", "completeness_cursor", "completeness_frames_lost"):
        op.drop_table(table)
    op.drop_index("completeness_loss_by_day", table_name="completeness_loss")
    op.drop_table("completeness_loss")
    op.drop_index("completeness_by_day", table_name="completeness_day")
    op.drop_table("completeness_day")
    op.drop_table("completeness_series")
