"""Rules from two sides: declared in files, changed over HTTP. Who wins, and which version is in force.

A declaration in the files wins when it is another than the files had when they were last announced; otherwise what was
changed over HTTP stays. What must be remembered for that is small and lies in the journal's state, written together with
the record that puts the rules in force. See docs/decisions/0011-rules-from-two-sides.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import ValidationError

from alerts.calendar import Schedule
from alerts.rules import RULE, Change, Rule, mistakes_in
from telemetry.catalogue import Catalogue
from telemetry.declaration import field_name

STATE = "rulebook"
OUTDATED = "the rule has changed"
_COMMANDS_REMEMBERED_MAX = 100


class _Kept(msgspec.Struct):
    declared: dict[str, str]  # rule -> digest of its declaration in the files when it was last announced
    versions: dict[str, int]  # also of rules that are no longer in force
    edited: dict[str, dict[str, Any] | None]  # over HTTP, and still so: None is retired
    commands: list[str]  # the last that were done


class RuleBook:
    """The rules in force, as the files and people have made them."""

    def __init__(self, files: Sequence[Rule], kept: bytes | None) -> None:
        was = _Kept({}, {}, {}, []) if kept is None else msgspec.json.decode(kept, type=_Kept)
        declared = {rule.id: _digest(rule) for rule in files}
        self.changes: list[Change] = []  # that are not in the journal yet
        self._versions = dict(was.versions)
        self._declared = declared
        self._commands = list(was.commands)
        self._edited = {name: rule for name, rule in was.edited.items() if declared.get(name) == was.declared.get(name)}
        given = {rule.id: rule for rule in files}
        made = {name: None if rule is None else RULE.validate_python(rule) for name, rule in self._edited.items()}
        self.rules: dict[str, Rule] = {name: rule for name, rule in (given | made).items() if rule is not None}
        for name in {**declared, **was.declared}:
            if declared.get(name) != was.declared.get(name):
                self._change(Change(rule=name, version=self._versions.get(name, 0) + 1, origin="file"))

    def kept(self) -> bytes:
        """What must be remembered."""
        return msgspec.json.encode(_Kept(self._declared, self._versions, self._edited, self._commands))

    def version(self, rule: str) -> int:
        """The version of a rule that is in force; 0 when none is."""
        return self._versions.get(rule, 0) if rule in self.rules else 0

    def is_done(self, command: str) -> bool:
        """Whether a command was done before: a crash may have kept that from its sender."""
        return command in self._commands

    def take(
        self, command: str, body: Mapping[str, Any], catalogue: Catalogue, schedules: Sequence[Schedule] = ()
    ) -> tuple[RuleBook | None, str]:
        """What the book is after a person's command, or why not."""
        name, based_on = body["rule_id"], body["seq"]
        if based_on != self.version(name):
            return None, f"{OUTDATED}: version {self.version(name)} is in force, yours is based on {based_on}"
        new = RuleBook.__new__(RuleBook)
        new._declared, new._versions = self._declared, dict(self._versions)
        new._edited, new._commands = dict(self._edited), [*self._commands, command][-_COMMANDS_REMEMBERED_MAX:]
        new.rules, new.changes = dict(self.rules), []
        document = body.get("document")
        if document is None:
            if name not in self.rules:
                return None, f"there is no rule '{name}'"
            del new.rules[name]
            new._edited[name] = None
        else:
            try:
                rule = RULE.validate_python(document)
            except ValidationError as error:
                return None, "; ".join(
                    f"{field_name(tuple(e['loc'][1:]))}: {e['msg'].removeprefix('Value error, ')}"
                    for e in error.errors()
                )
            if rule.id != name:
                return None, f"id: is '{rule.id}', asked for '{name}'"
            new.rules[name] = rule
            new._edited[name] = rule.model_dump(mode="json", by_alias=True)
        rules = tuple(new.rules.values())
        wrong = [
            f"{field_name(where)}: {said}" if rules[number].id == name else f"{rules[number].id}: {said}"
            for number, where, said in mistakes_in(rules, catalogue, schedules)
        ]
        if wrong:
            return None, "; ".join(wrong)
        version = self._versions.get(name, 0) + 1
        told = {"actor": body.get("actor"), "note": body.get("note"), "command": command}
        new._change(Change(rule=name, version=version, origin="api", **told))
        return new, ""

    def _change(self, change: Change) -> None:
        self._versions[change.rule] = change.version
        self.changes.append(change)


def _digest(rule: Rule) -> str:
    return hashlib.sha256(rule.model_dump_json(by_alias=True).encode()).hexdigest()
