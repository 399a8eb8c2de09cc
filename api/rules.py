"""Rules as the API reads them: what is in force, and every version with what it changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alerts.rules import Rule
from alerts.store import rule_versions
from api.versions import history, newest


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
        with self._database.connect() as db:
            rows = db.execute(newest(rule_versions, "rule")).all()
        if not rows:
            return self._files
        return [{**row.document, "version": row.version} for row in rows if row.document is not None]

    def classes(self) -> dict[str, str]:
        """The alarm class of every rule in force."""
        return {rule["id"]: rule["class"] for rule in self.in_force()}

    def versions(self, rule: str) -> list[dict[str, Any]]:
        """Newest first, each with what it changed."""
        found = history(self._database, rule_versions, "rule", rule)
        return [{**told, "retired": document is None} for document, told in found]
