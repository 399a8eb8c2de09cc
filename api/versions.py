"""What is kept version by version (rules, rosters, schedules of reports): the newest of each, and what each changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def newest(table: sa.Table, name: str) -> sa.Select[Any]:
    """The last version of everything in a table, by the column `name` that says what it is a version of."""
    last = sa.select(table.c[name], sa.func.max(table.c.version).label("version")).group_by(table.c[name]).subquery()
    is_last = (table.c[name] == last.c[name]) & (table.c.version == last.c.version)
    return sa.select(table).join(last, is_last).order_by(table.c[name])


def history(database: sa.Engine, table: sa.Table, name: str, of: str) -> list[tuple[Any, dict[str, Any]]]:
    """(document, who made it when and why and what it changed) of each version of `of`, the newest first."""
    found: list[tuple[Any, dict[str, Any]]] = []
    before: Any = None
    with database.connect() as db:
        for row in db.execute(sa.select(table).where(table.c[name] == of).order_by(table.c.version)):
            told = {field: getattr(row, field) for field in ("version", "actor", "time_ms", "note", "origin")}
            found.append((row.document, {**told, "changes": changes(before, row.document)}))
            before = row.document
    return found[::-1]


def changes(before: Any, after: Any) -> list[dict[str, Any]]:
    """Fields that differ, in the order of their names; a field that is not there is null."""
    was, now = dict(_fields(before, "")), dict(_fields(after, ""))
    names = sorted(was.keys() | now.keys())
    return [{"field": n, "from": was.get(n), "to": now.get(n)} for n in names if was.get(n) != now.get(n)]


def _fields(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [field for key, part in value.items() for field in _fields(part, f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return [field for at, part in enumerate(value) for field in _fields(part, f"{name}[{at}]")]
    return [(name, value)]
