"""Brings the SQL database to this version's schema, or back to an older one's.

`migrate` is safe to call from the core and the API at the same time; `migrate_back` is for a database nobody uses.
"""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from telemetry.database import open_database, parse_url
from telemetry.errors import BadConfiguration, Unavailable

_FOLDER = Path(__file__).parent / "migrations"
_PATIENCE_S = 30.0
_ADVISORY_LOCK = 0x67617465  # any number that nobody else takes in this database


def migrate(url: str) -> None:
    """Run the migrations that this database has not seen.

    Raises Unavailable when it cannot be reached or is damaged, BadConfiguration when a newer version has been at it.
    """
    parsed = parse_url(url)
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
                raise Unavailable(f"database {_shown(url)}: {error.orig}") from error
            time.sleep(0.3)
        except sa.exc.DatabaseError as error:
            if type(error) is not sa.exc.DatabaseError:  # what is derived from it says that a migration is wrong
                raise
            raise Unavailable(
                f"database {_shown(url)}: {error.orig}; gatehouse restore brings back a backup"
            ) from error


def migrate_back(url: str, revision: str) -> None:
    """Undo the migrations after `revision`, for the older version whose last one it is.

    Raises BadConfiguration when there is no such revision, or the database is older than it, Unavailable when it cannot be
    reached or somebody uses it.
    """
    if revision not in _revisions():
        raise BadConfiguration(f"no schema '{revision}' is known; there are {', '.join(_revisions())}")
    engine, config = open_database(url), _config()
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = _checked(connection, url)
            if found is None or _revisions().index(found) < _revisions().index(revision):
                raise BadConfiguration(f"{_shown(url)} has schema {found}, which is older than {revision}")
            config.attributes["connection"] = connection
            command.downgrade(config, revision)
            connection.commit()
    except sa.exc.OperationalError as error:
        raise Unavailable(f"database {_shown(url)}: {error.orig}") from error
    finally:
        engine.dispose()


def newest_schema() -> str:
    """The revision that this version's tables have."""
    return _revisions()[-1]


def _upgrade(url: str) -> None:
    engine, config = open_database(url), _config()
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Who comes second waits, and then finds nothing to do.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        _checked(connection, url)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _revisions() -> list[str]:
    """Oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _checked(connection: sa.Connection, url: str) -> str | None:
    """The schema that stands there; None in an empty database."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in _revisions():
        raise BadConfiguration(
            f"{_shown(url)} has schema {found}, which a newer Gatehouse made: "
            f"let that one take it back with 'gatehouse migrate --to {newest_schema()}', or install it again"
        )
    return found


def _shown(url: str) -> str:
    return sa.make_url(url).render_as_string()
