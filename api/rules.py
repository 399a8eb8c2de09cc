"""Rules as the API reads them: what is in force, and every version with what it changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alerts.rules import Rule
from alerts.store import rule_versions
from api.access import User
from api.versions import history, newest
from telemetry.catalogue import Catalogue


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


_OF_DEVICES = frozenset({"device", "devices", "parts"})
_OF_PLACES = frozenset({"place", "places"})
"""Fields of a rule, or of a part of one, that name where it holds."""


def as_seen(rule: dict[str, Any], catalogue: Catalogue, user: User) -> dict[str, Any] | None:
    """A rule without what it names of sites that somebody does not see; None where it holds at these alone.

    Rules hold at all sites, so that everybody reads them; but which devices another site has is none of everybody's.
    """
    if user.sites is None:
        return rule
    found = _seen(rule, catalogue, user)
    is_elsewhere = found is not None and bool(rule.get("devices")) and not found["devices"]
    return None if is_elsewhere else found


def changes_as_seen(changes: list[dict[str, Any]], catalogue: Catalogue, user: User) -> list[dict[str, Any]]:
    """The same of the fields that a version changed."""
    if user.sites is None:
        return changes
    found = []
    for change in changes:
        field = str(change["field"]).rpartition(".")[2].partition("[")[0]  # of overrides[0].devices[1]: devices
        ends = {end: (_seen({field: change[end]}, catalogue, user) or {field: None})[field] for end in ("from", "to")}
        if ends["from"] != ends["to"]:
            found.append({**change, **ends})
    return found


def _seen(part: dict[str, Any], catalogue: Catalogue, user: User) -> dict[str, Any] | None:
    """None for a part that names one thing, and that is not theirs to see."""
    found: dict[str, Any] = {}
    for field, value in part.items():
        if field in _OF_DEVICES | _OF_PLACES:
            named = [value] if isinstance(value, str) else value or []
            seen = [name for name in named if _is_theirs(field, name, catalogue, user)]
            if isinstance(value, str) and not seen:
                return None
            found[field] = seen if isinstance(value, list | tuple) else value
        elif isinstance(value, dict):
            found[field] = _seen(value, catalogue, user)
        elif isinstance(value, list | tuple) and any(isinstance(each, dict) for each in value):
            parts = (_seen(each, catalogue, user) if isinstance(each, dict) else each for each in value)
            found[field] = [each for each in parts if each is not None and not _is_nowhere(each)]
        else:
            found[field] = value
    return found


def _is_nowhere(part: Any) -> bool:
    """An exception that is left with no device and no place of its own."""
    return isinstance(part, dict) and "devices" in part and not part["devices"] and not part.get("places")


def _is_theirs(field: str, name: str, catalogue: Catalogue, user: User) -> bool:
    if field in _OF_DEVICES:
        return name in catalogue.device and user.sees(catalogue.site_of(name))
    return name in catalogue.place and user.sees(catalogue.site_of_place(name))
