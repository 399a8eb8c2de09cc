"""What doctor says, a line each; the same on a server and on a gateway's box, which has no server packages."""

from __future__ import annotations

import stat
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

from telemetry.declaration import read_document

NOT_OWNER = stat.S_IRWXG | stat.S_IRWXO
_SECRETS = {"password", "token", "secret"}


class State(IntEnum):
    """How bad it is; also the exit code."""

    WELL = 0
    SOON = 1  # it works, and something wants to be done
    WRONG = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    about: str
    state: State
    what: str
    do: str = ""

    def as_data(self) -> dict[str, str]:
        return {**asdict(self), "state": self.state.name.lower()}


def holds_secrets_for_all(file: Path) -> bool:
    """Whether a configuration file has secrets in it, and everybody may read it."""
    return bool(_names(read_document(file).data) & _SECRETS and file.stat().st_mode & stat.S_IRWXO)


def _names(data: object) -> set[str]:
    """Every name in a document, however deep."""
    if isinstance(data, dict):
        return {str(name) for name in data}.union(*(_names(value) for value in data.values()))
    return set().union(*(_names(each) for each in data)) if isinstance(data, list) else set()
