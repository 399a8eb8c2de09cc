"""`gatehouse database copy`: everything that stands in one SQL database into another, from SQLite to PostgreSQL or back.

All of it or nothing: the target is written in one transaction, read back and compared with the source row by row before it
is committed, and the audit's chain is followed from end to end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic.migration import MigrationContext

from api.audit import faults
from gatehouse.migrate import migrate, newest_schema
from gatehouse.schema import metadata
from gatehouse.tables import put_rows, require_empty, rows_of
from telemetry.database import open_database, parse_url, shown_url, snapshot
from telemetry.errors import BadConfiguration, BadInput, Unavailable


def copy_database(source: str, target: str, told: Callable[[str, int], None] = lambda table, rows: None) -> int:
    """Copy every table and return how many rows; nothing is left behind in the target when it fails.

    Args:
        source: URL of a database of this version that nobody writes to meanwhile.
        target: URL of one that is new; its tables are made.
        told: Hears of every table that has arrived and was compared, with its rows.

    Raises BadConfiguration (the target is not empty, the source of another version, both the same), BadInput (the audit does
    not verify, or what arrived is not what was sent), Unavailable.
    """
    origin = parse_url(source, "the source")
    if origin == parse_url(target, "the target"):
        raise BadConfiguration("source and target are the same database")
    if origin.get_backend_name() == "sqlite" and not Path(origin.database or "").is_file():
        raise BadConfiguration(f"there is no database at {origin.database}: look at the source's name")
    try:
        with _opened(source) as whole, snapshot(whole) as out:
            revision = MigrationContext.configure(out).get_current_revision()
            if revision != newest_schema():
                raise BadConfiguration(
                    f"{shown_url(source)} has the tables of version {revision or 'none'}, this Gatehouse those of "
                    f"{newest_schema()}: bring it up to date with 'gatehouse init' first"
                )
            migrate(target)
            with _opened(target) as engine:
                return _copy(out, engine, told)
    except sa.exc.SQLAlchemyError as error:
        raise Unavailable(f"copying {shown_url(source)} to {shown_url(target)}: {error}") from error


@contextmanager
def _opened(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _copy(out: sa.Connection, target: sa.Engine, told: Callable[[str, int], None]) -> int:
    total = 0
    with target.begin() as into:
        require_empty(into)
        for table in metadata.sorted_tables:
            sent = _Sum()
            count = put_rows(into, table, map(sent.over, rows_of(out, table)))
            arrived = _Sum()
            for rows in rows_of(into, table):
                arrived.over(rows)
            if (arrived.rows, arrived.total) != (sent.rows, sent.total):
                raise BadInput("not-the-same", f"table '{table.name}': what arrived is not what was sent")
            told(table.name, count)
            total += count
        if found := faults(into):
            raise BadInput("audit-damaged", f"the audit does not verify, and is not moved: {found[0]}")
    return total


class _Sum:
    """Of rows in any order, because databases sort text differently: how many, and a sum of their hashes."""

    def __init__(self) -> None:
        self.rows, self.total = 0, 0

    def over(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        for row in rows:
            sealed = hashlib.blake2b(msgspec.msgpack.encode(row), digest_size=16).digest()
            self.total = (self.total + int.from_bytes(sealed)) % (1 << 128)
        self.rows += len(rows)
        return rows
