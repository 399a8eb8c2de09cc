"""Duty rosters from two sides: declared in files, changed over HTTP. Who wins, and which version is in force.

As with rules (`alerts.rulebook`): a declaration wins when it is another than the files had when they were last announced;
otherwise what was changed over HTTP stays. Only what a roster says can be changed: which rosters there are, who there is and
by which routes alarms find them stays with the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError

from alerts.duty import Roster
from alerts.people import People, names_on
from alerts.rules import RosterChange
from telemetry.declaration import field_name

STATE = "rosterbook"
OUTDATED = "the roster has changed"
_COMMANDS_REMEMBERED_MAX = 100


class _Kept(msgspec.Struct):
    declared: dict[str, str]  # roster -> digest of its declaration in the files when it was last announced
    versions: dict[str, int]  # also of rosters that are no longer in force
    edited: dict[str, dict[str, Any]]  # over HTTP, and still so
    commands: list[str]  # the last that were done


@dataclass(frozen=True, slots=True)
class Mistaken:
    """What is wrong at which field of a roster."""

    field: str
    message: str


def read_roster(document: Any, people: People) -> tuple[Roster | None, list[Mistaken]]:
    """A roster as somebody wants it, checked against who there is; or all that is wrong."""
    try:
        roster = Roster.model_validate(document)
    except ValidationError as error:
        found = [
            Mistaken(field_name(tuple(e["loc"])) or "roster", e["msg"].removeprefix("Value error, "))
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        # A list whose entry does not fit is called too short as well, which is no mistake of its own.
        return None, [each for each in found if not any(other.field.startswith(f"{each.field}[") for other in found)]
    wrong = [
        Mistaken(field_name(where), f"there is no person '{name}'")
        for where, name in names_on(roster)
        if name not in people.person
    ]
    return (None, wrong) if wrong else (roster, [])


def with_rosters(files: People, made: Mapping[str, Roster]) -> People:
    """Everybody, with rosters of these names in the place of those that the files have."""
    # A copy would keep what was looked up in the old ones.
    given = {name: getattr(files, name) for name in People.model_fields}
    given["rosters"] = tuple(made.get(roster.id, roster) for roster in files.rosters)
    return People.model_construct(**given)


class RosterBook:
    """The rosters in force, as the files and people have made them."""

    def __init__(self, files: People, kept: bytes | None) -> None:
        was = _Kept({}, {}, {}, []) if kept is None else msgspec.json.decode(kept, type=_Kept)
        declared = {roster.id: _digest(roster) for roster in files.rosters}
        self.changes: list[RosterChange] = []  # that are not in the journal yet
        self.unfit: list[str] = []  # of what was changed over HTTP, beside the people that the files have now
        self._files = files
        self._declared = declared
        self._versions = dict(was.versions)
        self._commands = list(was.commands)
        self._edited = {
            name: edited for name, edited in was.edited.items() if declared.get(name) == was.declared.get(name)
        }
        for name, document in self._edited.items():
            self.unfit += [f"roster '{name}': {each.field}: {each.message}" for each in read_roster(document, files)[1]]
        for name in declared:
            if declared[name] != was.declared.get(name):
                self._change(RosterChange(roster=name, version=self._versions.get(name, 0) + 1, origin="file"))

    @property
    def people(self) -> People:
        """Everybody, with the rosters that are in force."""
        made = {name: Roster.model_validate(document) for name, document in self._edited.items()}
        return with_rosters(self._files, made)

    def kept(self) -> bytes:
        """What must be remembered."""
        return msgspec.json.encode(_Kept(self._declared, self._versions, self._edited, self._commands))

    def version(self, roster: str) -> int:
        """The version of a roster that is in force; 0 when there is none."""
        return self._versions.get(roster, 0) if roster in self._declared else 0

    def is_done(self, command: str) -> bool:
        """Whether a command was done before: a crash may have kept that from its sender."""
        return command in self._commands

    def take(self, command: str, body: Mapping[str, Any]) -> tuple[RosterBook | None, str]:
        """What the book is after a person's command, or why not."""
        name, based_on = body["roster_id"], body["seq"]
        if name not in self._declared:
            return None, f"there is no roster '{name}'"
        if based_on != self.version(name):
            return None, f"{OUTDATED}: version {self.version(name)} is in force, yours is based on {based_on}"
        roster, wrong = read_roster(body["document"], self._files)
        if roster is None:
            return None, "; ".join(f"{each.field}: {each.message}" for each in wrong)
        if roster.id != name:
            return None, f"id: is '{roster.id}', asked for '{name}'"
        new = RosterBook.__new__(RosterBook)
        new._files, new._declared, new.unfit, new.changes = self._files, self._declared, [], []
        new._versions = dict(self._versions)
        new._commands = [*self._commands, command][-_COMMANDS_REMEMBERED_MAX:]
        new._edited = {**self._edited, name: roster.model_dump(mode="json", by_alias=True)}
        told = {"actor": body.get("actor"), "note": body.get("note"), "command": command}
        new._change(RosterChange(roster=name, version=self.version(name) + 1, origin="api", **told))
        return new, ""

    def _change(self, change: RosterChange) -> None:
        self._versions[change.roster] = change.version
        self.changes.append(change)


def _digest(roster: Roster) -> str:
    return hashlib.sha256(roster.model_dump_json(by_alias=True).encode()).hexdigest()
