"""A database moves from SQLite to PostgreSQL and back, and is the same."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from api.access import Role
from api.audit import Audit, audit
from api.people.accounts import Accounts
from api.people.sessions import sessions
from gatehouse.__main__ import app
from gatehouse.database_copy import copy_database
from gatehouse.migrate import migrate
from gatehouse.schema import metadata
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, BadInput

_VALUES = {
    sa.Integer: 1, sa.BigInteger: 1_795_000_000_123, sa.Float: 0.1 + 0.2, sa.Boolean: True, sa.LargeBinary: b"\0\xff\n",
    sa.Date: datetime.date(2026, 11, 27),
    sa.JSON: {"号": [1.5, None, "a\"\\\n"], "z": 1, "a": 2},
    sa.Text: "设备 'x'; --\t\\ 😀",
}  # fmt: skip


def _fill(url: str) -> None:
    """A row in every table, and in some what is of note: an audit, a tablet with a guard's session."""
    engine = open_database(url)
    accounts = Accounts(engine, ManualClock(1_795_000_000_000), session_hours=1)
    accounts.add_user("admin", "correct horse", [Role.ADMINISTRATOR], None)
    with engine.begin() as db:
        for table in metadata.sorted_tables:
            if table is not sessions and db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0:
                db.execute(table.insert().values({column.name: _value(column) for column in table.columns}))
        # Whoever takes rows as they stand, or by their key, comes to the guard's session before the tablet it refers to.
        row = {column.name: _value(column) for column in sessions.columns}
        for key in ("1-guard", "2-tablet"):
            db.execute(sessions.insert().values(row | {"token_hash": key, "id": key, "tablet": None}))
        db.execute(sessions.update().where(sessions.c.id == "1-guard").values(tablet="2-tablet"))
    for number in range(1_200):
        accounts.record("li", "mask", f"设备 {number}", "done")
    engine.dispose()


def _value(column: Any) -> Any:
    if column.name in ("user", "name") and (column.foreign_keys or column.table.name == "user_account"):
        return "admin"
    if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Text):
        return "p" * min(column.type.length or 8, 8)
    return next(value for kind, value in _VALUES.items() if type(column.type) is kind)


def _rows(url: str) -> dict[str, list[str]]:
    engine = open_database(url)
    with engine.connect() as db:
        found = {table.name: sorted(map(repr, db.execute(sa.select(table)).all())) for table in metadata.sorted_tables}
    engine.dispose()
    return found


@pytest.fixture
def there(ram_path: Any) -> str:
    url = f"sqlite:///{ram_path}/there.db"
    migrate(url)
    _fill(url)
    return url


@pytest.fixture
def engine_there(there: str) -> Iterator[sa.Engine]:
    engine = open_database(there)
    yield engine
    engine.dispose()


def test_every_table_arrives_and_comes_back_and_the_audit_goes_on(there: str, empty_url: str, ram_path: Any) -> None:
    before = _rows(there)
    assert all(before.values())
    done = CliRunner().invoke(app, ["database", "copy", "--from", there, "--to", empty_url])
    assert (done.exit_code, "the audit verifies" in done.output) == (0, True), done.output
    assert _rows(empty_url) == before
    back = f"sqlite:///{ram_path}/back.db"
    copy_database(empty_url, back)
    assert _rows(back) == before
    engine = open_database(empty_url)
    record = Audit(engine, ManualClock())
    record.record("li", "mask", "after the move", "done")
    assert record.faults() == []
    with engine.begin() as db:
        for table in metadata.sorted_tables:  # who gets a number gets one that is free
            counted = table.autoincrement_column
            if counted is not None and table is not audit:
                row = {c.name: _value(c) if c.name != "case" else 1 for c in table.columns if c is not counted}
                row |= {"key": "other"} if table.name == "notice" else {}
                row |= {"seq": 8} if table.name == "transition" else {"alarm": "o"} if table.name == "load_case" else {}
                row |= {"position": 8} if table.name == "quarantine" else {}
                db.execute(table.insert().values(row))
    engine.dispose()


def test_nothing_is_written_over_and_nothing_of_another_version_is_taken(there: str, database_url: str) -> None:
    engine = open_database(database_url)
    Audit(engine, ManualClock()).record("li", "mask", "", "done")
    with pytest.raises(BadConfiguration, match=r"'audit' .*is not empty"):
        copy_database(there, database_url)
    with pytest.raises(BadConfiguration, match="the same database"):
        copy_database(there, there)
    with engine.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '0010'"))
    engine.dispose()
    with pytest.raises(BadConfiguration, match="version 0010"):
        copy_database(database_url, there)


def test_of_an_audit_that_was_changed_nothing_is_kept(engine_there: sa.Engine, there: str, empty_url: str) -> None:
    with engine_there.begin() as db:
        db.execute(sa.text("DROP TRIGGER audit_unchanged"))
        db.execute(audit.update().where(audit.c.id == 1100).values(actor="wang"))
    with pytest.raises(BadInput, match="row 1100 was changed"):
        copy_database(there, empty_url)
    found = _rows(empty_url)
    assert [name for name, rows in found.items() if rows] == ["audit_head"]


@pytest.mark.parametrize("url", ["postgresql://g:x@y:S3cret@db/g", "postgresql:/g:S3cret@db/g"])
def test_a_target_that_is_no_url_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadConfiguration, match="the target is not a URL") as raised:
        copy_database(f"sqlite:///{tmp_path}/a.db", url)
    assert "S3cret" not in str(raised.value)


def test_a_source_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"there is no database at .*gatehous\.db"):
        copy_database(f"sqlite:///{tmp_path}/gatehous.db", f"sqlite:///{tmp_path}/new.db")
    assert not list(tmp_path.iterdir())
