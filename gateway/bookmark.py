"""How far a driver has read in its device's own record, kept over a restart: a small JSON file, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from telemetry.disk import sync_folder
from telemetry.errors import Unavailable

T = TypeVar("T", bound=msgspec.Struct)


class Bookmark(Generic[T]):
    """One file, which holds one value of the given shape, or none yet."""

    def __init__(self, path: Path, shape: type[T]) -> None:
        self._path = path
        self._shape = shape

    def read(self) -> T | None:
        """What was written last; None when nothing was, or what is there cannot be read. Raises Unavailable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=self._shape)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise Unavailable(f"reading {self._path}: {error}") from error

    def write(self, value: T) -> None:
        """Return when it is on the disk. Raises Unavailable."""
        new = self._path.with_name(self._path.name + ".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(value))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise Unavailable(f"writing {self._path}: {error}") from error
