"""When each person last looked, to tell them what they missed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "last_visit",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user_account.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user"),
    )
