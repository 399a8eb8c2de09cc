"""Why nobody is called for a step of an alarm."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("transition", sa.Column("quiet", sa.String(length=40), nullable=True))
