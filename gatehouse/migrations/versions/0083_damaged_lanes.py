"""What a gateway says of its own disk: how many lanes of its spool it could not read."""

import sqlalchemy as sa
from alembic import op

revision = "0083"
down_revision = "0082"


def upgrade() -> None:
    """Gateways say it with their next status."""
    op.add_column("gateway_state", sa.Column("damaged_lanes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """They go on saying it, and nobody listens."""
    with op.batch_alter_table("gateway_state") as table:
        table.drop_column("damaged_lanes")
