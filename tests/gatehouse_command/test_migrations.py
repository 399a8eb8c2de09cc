import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import ingest.history.quarantine
from gatehouse.migrate import migrate
from gatehouse.schema import metadata
from telemetry.database import open_database

ROOT = Path(__file__).parents[2]


def test_the_migrations_make_what_the_code_declares(empty_url: str) -> None:
    migrate(empty_url)
    engine = open_database(empty_url)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
    engine.dispose()


def test_core_and_api_may_begin_at_the_same_time(empty_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        for begun in [pool.submit(migrate, empty_url) for _ in range(2)]:
            begun.result()


def test_every_table_is_known_to_the_schema_and_so_to_backups() -> None:
    declaring = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in ("telemetry", "ingest", "alerts", "api", "gatehouse")
        for file in (ROOT / package).rglob("*.py")
        if "= sa.Table(" in file.read_text(encoding="utf-8")
    }
    code = "import sys, gatehouse.schema; print(*sys.modules, sep='\\n')"
    known = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert len(declaring) > 5
    # The visitor register has a database and copies of its own.
    assert declaring - set(known) == {"api.register.store"}


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.begin() as db:
        db.execute(sa.insert(ingest.history.quarantine.counts).values(reason="x", count=3))
    migrate(database_url)
    with engine.connect() as db:
        assert db.execute(sa.select(ingest.history.quarantine.counts.c.count)).scalar() == 3
    engine.dispose()
