"""The SQL database of alarms, commands, users and audit: one metadata that every table is declared on, one way to open.

SQLite by default, PostgreSQL where there is one. Migrations live in gatehouse/migrations.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from telemetry.errors import BadConfiguration

metadata = sa.MetaData()


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def open_database(url: str) -> sa.Engine:
    """An engine for `url`. Raises BadConfiguration when the URL names no database we know."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise BadConfiguration(
            f"database.url '{url}' is not a URL; for SQLite write sqlite:///path/to/gatehouse.db"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, json_serializer=_to_json)
    engine = sa.create_engine(url, connect_args={"timeout": 10}, json_serializer=_to_json)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # One process writes alarms while another writes sessions: WAL lets readers go on, FULL keeps what was committed.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
