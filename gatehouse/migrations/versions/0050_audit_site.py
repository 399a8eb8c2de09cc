"""At which site something on record was done; and SQLite refuses to replace rows of the audit, as well as to delete them."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0014"

# A REPLACE deletes what is in its way without a word to triggers on DELETE. One on INSERT comes before that.
_SQLITE = (
    "CREATE TRIGGER audit_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END"
)


def upgrade() -> None:
    """Rows of before have no site: what they are sealed over stays as it is."""
    op.add_column("audit", sa.Column("site", sa.String(length=64), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_SQLITE)
