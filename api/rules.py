"""Rules as the API reads them: what is in force, and every version with what it changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alerts.rules import Rule
from alerts.store import rule_versions


class Rules:
    """Reads the alert core's table of versions.

    Args:
        files: What the files declare: shown until the core has told for the first time what is in force.
    """

    def __init__(self, database: sa.Engine, files: tuple[Rule, ...]) -> None:
        self._database = database
        self._files = [{**rule.model_dump(mode="json", by_alias=True), "version": 0} for rule in files]

    def in_force(self) -> list[dict[str, Any]]:
        """Every rule with its version."""
        newest = sa.select(rule_versions.c.rule, sa.func.max(rule_versions.c.version).label("version"))
        found = newest.group_by(rule_versions.c.rule).subquery()
        same = (rule_versions.c.rule == found.c.rule) & (rule_versions.c.version == found.c.version)
        with self._database.connect() as db:
            rows = db.execute(sa.select(rule_versions).join(found, same).order_by(rule_versions.c.rule)).all()
        if not rows:
            return self._files
        return [{**row.document, "version": row.version} for row in rows if row.document is not None]

    def classes(self) -> dict[str, str]:
        """The alarm class of every rule in force."""
        return {rule["id"]: rule["class"] for rule in self.in_force()}

    def versions(self, rule: str) -> list[dict[str, Any]]:
        """Newest first, each with what it changed."""
        query = sa.select(rule_versions).where(rule_versions.c.rule == rule).order_by(rule_versions.c.version)
        found: list[dict[str, Any]] = []
        before: Any = None
        with self._database.connect() as db:
            for row in db.execute(query):
                told = {name: getattr(row, name) for name in ("version", "actor", "time_ms", "note", "origin")}
                is_retired = row.document is None
                found.append({**told, "retired": is_retired, "changes": changes(before, row.document)})
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
