"""The rows of every table of the SQL database, out of one and into another: what a backup and a move are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from api.audit import heads
from gatehouse.schema import metadata
from telemetry.database import shown_url
from telemetry.errors import BadConfiguration

ROWS_AT_ONCE = 1_000


def rows_of(db: sa.Connection, table: sa.Table) -> Iterator[Sequence[tuple[Any, ...]]]:
    """A table's rows in blocks, in the order of its columns; those that others of the same table refer to come first."""
    query = sa.select(table).execution_options(yield_per=ROWS_AT_ONCE)
    for column in table.columns:
        if any(key.column.table is table for key in column.foreign_keys):
            query = query.order_by(column.is_not(None))
    for rows in db.execute(query).partitions():
        yield [tuple(row) for row in rows]


def require_empty(db: sa.Connection) -> None:
    """Raises BadConfiguration when there is anything but what the schema itself begins with."""
    for table in metadata.sorted_tables:
        if table is heads:
            db.execute(table.delete())  # the one row of an audit that is to begin is part of the schema
        if db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
            url = shown_url(db.engine.url)
            raise BadConfiguration(f"table '{table.name}' in {url} is not empty: take a database that is new")


def put_rows(db: sa.Connection, table: sa.Table, blocks: Iterable[Sequence[Sequence[Any]]]) -> int:
    """Write rows, in the order of the table's columns, into a table that is empty; how many."""
    names = [column.name for column in table.columns]
    count = 0
    for rows in blocks:
        db.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
        count += len(rows)
    counted = table.autoincrement_column
    if db.dialect.name == "postgresql" and counted is not None:
        # What was written with its number has not moved the counter that gives out the next.
        sequence = sa.func.pg_get_serial_sequence(table.name, counted.name)
        db.execute(sa.select(sa.func.setval(sequence, sa.select(sa.func.max(counted)).scalar_subquery())))
    return count
