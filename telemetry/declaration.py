"""YAML files that declare things, checked: every mistake is named by file, line and field, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from telemetry.errors import BadConfiguration

# The one written in C reads a catalogue of ten thousand devices in a third of the time, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Model = TypeVar("Model", bound=BaseModel)
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend in a configuration file."""

    file: Path
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        field = f" {self.field}:" if self.field else ""
        return f"{self.file}:{self.line}:{field} {self.message}"


class Mistakes(BadConfiguration):
    """Everything that is wrong, in the order of the files."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = list(mistakes)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file that still knows on which line each value stands."""

    file: Path
    data: Any
    root: yaml.Node | None

    def line(self, where: Path_) -> int:
        """The line (from 1) of the value at `where`, or of the nearest thing around it."""
        return self._follow(where)[1]

    def field(self, where: Path_) -> str:
        """What stands at `where`, as `devices[3].kind`."""
        return field_name(self._follow(where)[0])

    def _follow(self, where: Path_) -> tuple[Path_, int]:
        """The steps of `where` that the file has, and the line they lead to.

        A validator puts the tag of a chosen alternative among the steps; the file does not have it, and it is passed
        over. The last step stays: it may name a field that is missing.
        """
        node, line = self.root, 1 if self.root is None else self.root.start_mark.line + 1
        taken: list[str | int] = []
        for number, step in enumerate(where):
            child = _child(node, step)
            if child is not None:
                node, line = child, child.start_mark.line + 1
            if child is not None or number == len(where) - 1:
                taken.append(step)
        return tuple(taken), line

    def mistake(self, where: Path_, message: str) -> Mistake:
        """A mistake at a place in this file."""
        return Mistake(self.file, self.line(where), self.field(where), message)


def read_document(file: Path) -> Document:
    """Parse a YAML file. Raises Mistakes when it cannot be read or is not YAML, or gives one key twice."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistakes([Mistake(file, 1, "", f"cannot be read: {error}")]) from error
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            mistakes = [Mistake(file, line, key, "stands twice; keep one") for line, key in _doubled(root)]
            if mistakes:
                raise Mistakes(mistakes)
            data = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise Mistakes([Mistake(file, mark.line + 1 if mark else 1, "", f"not YAML: {problem}")]) from error
    except RecursionError as error:
        raise Mistakes([Mistake(file, 1, "", "not YAML: nested too deeply")]) from error
    return Document(file, data, root)


def validate(document: Document, model: type[Model]) -> Model:
    """Check a document against a model. Raises Mistakes with every field that does not fit."""
    try:
        return model.model_validate({} if document.data is None else document.data)
    except ValidationError as error:
        mistakes = []
        for found in error.errors(include_url=False):
            where = tuple(found["loc"])
            message = found["msg"].removeprefix("Value error, ")
            if found["type"] == "extra_forbidden":
                message = "unknown field; remove it or mend its spelling"
            elif found["type"] == "missing":
                message = "is missing"
            else:
                message += shown_input(where, found["input"])
            mistakes.append(document.mistake(where, message))
        raise Mistakes(mistakes) from error


def shown_input(where: Sequence[str | int], given: object) -> str:
    """What stands in a field that does not fit, for a message; nothing of a section or a secret, for messages are logged."""
    name = str(where[-1]) if where else ""
    # The address of a chat's robot is a secret, too: whoever has it writes to the group.
    if isinstance(given, dict | list) or name.endswith(("password", "secret", "token", "key", "url")):
        return ""
    return f" (found {given!r})"


def field_name(where: Path_) -> str:
    """`devices[3].kind` for ('devices', 3, 'kind')."""
    name = ""
    for step in where:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else str(step)
    return name


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value  # type: ignore[no-any-return]
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]  # type: ignore[no-any-return]
    return None


def _doubled(node: yaml.Node | None) -> list[tuple[int, str]]:
    """Keys that stand twice. A node that others point to is looked at once: together they may stand for a billion."""
    found: list[tuple[int, str]] = []
    known: set[int] = set()
    ahead = [] if node is None else [node]
    while ahead:
        here = ahead.pop()
        if id(here) in known:
            continue
        known.add(id(here))
        if isinstance(here, yaml.MappingNode):
            seen = set()
            for key, value in here.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        found.append((key.start_mark.line + 1, str(key.value)))
                    seen.add(key.value)
                ahead.append(value)
        elif isinstance(here, yaml.SequenceNode):
            ahead.extend(here.value)
    return sorted(found)
