"""Brings the SQL database to this version's schema. Safe to call from the core and the API at the same time."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from telemetry.database import open_database
from telemetry.errors import Unavailable

_FOLDER = Path(__file__).parent / "migrations"
_PATIENCE_S = 30.0
_ADVISORY_LOCK = 0x67617465  # any number that nobody else takes in this database


def migrate(url: str) -> None:
    """Run the migrations that this database has not seen. Raises Unavailable when it cannot be reached."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _upgrade(url)
            return
        except sa.exc.OperationalError as error:
            # The other process may be at the same work; when it is done there is nothing left to do.
            if time.monotonic() > until:
                raise Unavailable(f"database {parsed.render_as_string()}: {error.orig}") from error
            time.sleep(0.3)


def head() -> str:
    """The newest migration that this version knows."""
    found = ScriptDirectory.from_config(_configuration()).get_current_head()
    assert found is not None
    return found


def _configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _upgrade(url: str) -> None:
    engine = open_database(url)
    config = _configuration()
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Who comes second waits, and then finds nothing to do.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()
