"""The SQL database of alarms, commands, users and audit: one metadata that every table is declared on, one way to open.

SQLite by default, PostgreSQL where there is one (`docs/database.md`). Migrations live in gatehouse/migrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from telemetry.errors import BadConfiguration

metadata = sa.MetaData()

DATABASE_AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
"""The database does not answer, or all connections to it are in use: nothing is wrong with what was asked, so ask again."""


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# What was to be written may be about a person: an error that is logged says the statement alone.
_ALWAYS: dict[str, Any] = {"json_serializer": _to_json, "hide_parameters": True}

# A host that has died answers nothing: without these a connection waits for it for minutes, one that stands up to hours.
_POSTGRESQL: dict[str, int] = {
    "connect_timeout": 10,  # seconds, for each address
    "tcp_user_timeout": 30_000,  # milliseconds that what was sent may stand unconfirmed
    "keepalives_idle": 30,  # seconds of silence, after which it is asked whether anybody is there
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def parse_url(url: str, setting: str = "database.url") -> sa.URL:
    """A database's URL in its parts. Raises BadConfiguration, which does not show it: there may be a password in it."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: its port is no number
        raise BadConfiguration(
            f"{setting} is not a URL; write sqlite:///path/to/gatehouse.db or "
            "postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME, and in a password %40 for @, %3A for :, %2F for /"
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadConfiguration(f"{setting} begins with '{parsed.drivername}': there are sqlite and postgresql")
    return parsed


def shown_url(url: str | sa.URL) -> str:
    """A database's URL as it may be shown: without the password."""
    return sa.make_url(url).render_as_string(hide_password=True)


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that sees the database as it is now, whatever is written meanwhile; it is for reading."""
    with engine.connect() as db:
        if db.dialect.name == "postgresql":
            db = db.execution_options(isolation_level="REPEATABLE READ")
        else:
            db.exec_driver_sql("BEGIN")
        yield db
        db.rollback()


@contextmanager
def alone(engine: sa.Engine, *about: str) -> Iterator[sa.Connection]:
    """A transaction that no other about the same goes on beside, in any process: what it sees is so until it has written.

    Who is alone about several names them in the same order everywhere.
    """
    with engine.begin() as db:
        if db.dialect.name == "postgresql":
            for what in about:
                db.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": what})
        else:
            db.exec_driver_sql("BEGIN IMMEDIATE")
        yield db


def open_database(url: str) -> sa.Engine:
    """An engine for `url`. Raises BadConfiguration when the URL names no database we know."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        # One driver, whether the URL names it or not.
        parsed = parsed.set(drivername="postgresql+psycopg")
        patience = {name: value for name, value in _POSTGRESQL.items() if name not in parsed.query}
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args=patience, **_ALWAYS)
    engine = sa.create_engine(url, connect_args={"timeout": 10}, **_ALWAYS)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # One process writes alarms while another writes sessions: WAL lets readers go on, FULL keeps what was committed.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
