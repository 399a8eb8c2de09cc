"""The audit becomes a chain of hashes; the database refuses to change its rows, and to delete what was not purged."""

import hashlib

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_SQLITE = (
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN OLD.id > (SELECT purged_to FROM audit_head) "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END",
)
_POSTGRESQL = (
    "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is only added to'; END $$",
    "CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.id > (SELECT purged_to FROM audit_head) THEN "
    "RAISE EXCEPTION 'the audit is only added to'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keep()",
)


def upgrade() -> None:
    """Seal what is there, from the oldest on; then forbid."""
    for name in ("previous", "hash"):
        op.add_column("audit", sa.Column(name, sa.String(length=64), nullable=False, server_default=""))
    head = op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("purged_to", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    db = op.get_bind()
    number, time_ms, sealed = 0, 0, "0" * 64
    rows = db.execute(sa.text("SELECT id, time_ms, actor, action, subject, outcome FROM audit ORDER BY id")).all()
    # Numbers without a gap: an id only ever grows to where it was or less, so none meets another.
    for number, row in enumerate(rows, 1):
        fields = [number, *row[1:], sealed]
        following = hashlib.sha256(msgspec.json.encode(fields)).hexdigest()
        values = {"new": number, "old": row[0], "p": sealed, "h": following}
        db.execute(sa.text("UPDATE audit SET id = :new, previous = :p, hash = :h WHERE id = :old"), values)
        time_ms, sealed = row[1], following
    op.bulk_insert(head, [{"one": 1, "id": number, "time_ms": time_ms, "hash": sealed, "purged_to": 0}])
    for statement in _SQLITE if db.dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
