"""Every version of every duty roster, with who changed it and why."""

import sqlalchemy as sa
from alembic import op

revision = "0082"
down_revision = "0081"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "roster_version",
        sa.Column("roster", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=64)),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("roster", "version"),
    )


def downgrade() -> None:
    """Drop it: rosters are again what the files say."""
    op.drop_table("roster_version")
