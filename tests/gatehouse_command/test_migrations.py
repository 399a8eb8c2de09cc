from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import alerts.store
import api.accounts
import ingest.history.completeness
import ingest.history.gateways
import ingest.history.quarantine
from gatehouse.migrate import migrate
from telemetry.database import metadata, open_database

assert alerts.store and api.accounts and ingest.history


def test_the_migrations_make_what_the_code_declares(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate(url)
    engine = open_database(url)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate(url)
    engine = open_database(url)
    with engine.begin() as db:
        db.execute(sa.insert(ingest.history.quarantine.counts).values(reason="x", count=3))
    migrate(url)
    with engine.connect() as db:
        assert db.execute(sa.select(ingest.history.quarantine.counts.c.count)).scalar() == 3
    engine.dispose()
