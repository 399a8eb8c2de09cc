import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import gatehouse.migrate
import ingest.history.quarantine
from gatehouse.migrate import migrate, migrate_back, newest_schema
from gatehouse.schema import metadata
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, Unavailable

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


NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "{newest}", None, None
def upgrade(): op.add_column("quarantine_count", sa.Column("seen", sa.Integer))
def downgrade():
    with op.batch_alter_table("quarantine_count") as table: table.drop_column("seen")
"""


def test_a_newer_schema_is_refused_with_what_to_do_and_taken_back_by_the_version_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, older, ours = f"sqlite:///{tmp_path}/a.db", newest_schema(), gatehouse.migrate._FOLDER
    migrate(url)
    engine = open_database(url)
    with engine.begin() as db:
        db.execute(sa.insert(ingest.history.quarantine.counts).values(reason="x", count=3))
    newer = tmp_path / "migrations"
    shutil.copytree(ours, newer)
    (newer / "versions" / "next.py").write_text(NEXT.format(newest=older))
    monkeypatch.setattr(gatehouse.migrate, "_FOLDER", newer)
    migrate(url)
    monkeypatch.setattr(gatehouse.migrate, "_FOLDER", ours)
    with pytest.raises(BadConfiguration, match=f"migrate --to {older}"):
        migrate(url)
    monkeypatch.setattr(gatehouse.migrate, "_FOLDER", newer)
    migrate_back(url, older)
    migrate_back(url, older)
    with pytest.raises(BadConfiguration, match="older than next"):
        migrate_back(url, "next")
    monkeypatch.setattr(gatehouse.migrate, "_FOLDER", ours)
    migrate(url)
    with engine.connect() as db:
        assert db.execute(sa.select(ingest.history.quarantine.counts.c.count)).scalar() == 3
    engine.dispose()


def test_going_back_while_the_database_is_away_says_so() -> None:
    with pytest.raises(Unavailable, match=r"gatehouse:\*\*\*@127\.0\.0\.1"):
        migrate_back("postgresql://gatehouse:S3cret@127.0.0.1:9/gatehouse", newest_schema())


def test_a_file_that_is_no_database_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "gatehouse.db"
    file.write_text("this is a letter, and a long one at that")
    with pytest.raises(Unavailable, match=r"gatehouse\.db: file is not a database; gatehouse restore"):
        migrate(f"sqlite:///{file}")
    assert file.read_text() == "this is a letter, and a long one at that"
