"""A disk that fails as disks do: SQLite's file layer, supplied from Python over real files.

Every write, truncation, sync and deletion is a step. Before a step the power may go (`Crash`), or the step fails with an
error of the disk's. SQLite knows no exceptions: after a crash every further step fails, and whoever runs the process asks
`is_dead` and stops it. What was written and not synced is then kept, lost or torn, as `end` is told. SQLite works on real
files, so what it finds afterwards is what a machine would find.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import apsw


class Crash(Exception):
    """Raised by a step: the power goes before it."""


class Unsynced(Enum):
    """What became of writes that no sync had made durable."""

    KEPT = "kept"
    LOST = "lost"
    TORN = "torn"


_names = itertools.count()


def _hide_failed_steps(before: Callable[[sys.UnraisableHookArgs], object]) -> None:
    """SQLite can pass on that a step failed, but not the exception itself, which then nobody could catch."""
    sys.unraisablehook = lambda args: None if isinstance(args.exc_value, apsw.Error | Crash) else before(args)


_hide_failed_steps(sys.unraisablehook)


class Disk(apsw.VFS):
    """One run of a process over its files. After `end` a new one takes over.

    Args:
        step: Asked before each step with its kind and path; raises Crash, or an apsw error, or returns.
    """

    def __init__(self, step: Callable[[str, str], None] = lambda kind, path: None) -> None:
        self.name = f"sim-{next(_names)}"
        self.step = step
        self.is_dead = False
        self._is_over = False
        self.count = 0
        self._undo: list[tuple[str, int, bytes, int, bytes]] = []  # path, offset, old bytes, old size, new bytes
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - as apsw names it
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - as apsw names it
        if not self.before("delete", filename):
            return
        super().xDelete(filename, syncdir)
        self._undo = [entry for entry in self._undo if entry[0] != filename]

    def before(self, kind: str, path: str) -> bool:
        """Whether a step is made; raises when it fails."""
        if self._is_over:
            return False
        if not self.is_dead:
            self.count += 1
            try:
                self.step(kind, path)
            except Crash:
                self.is_dead = True
        if self.is_dead:
            raise apsw.IOError("the power is gone")
        return True

    def over(self) -> None:
        """Let connections be closed without any further effect."""
        self.is_dead = self._is_over = True

    def wrote(self, path: str, offset: int, data: bytes) -> None:
        """Remember what a write is about to change."""
        file = Path(path)
        size = file.stat().st_size
        with file.open("rb") as old:
            old.seek(offset)
            self._undo.append((path, offset, old.read(len(data)), size, data))

    def synced(self, path: str) -> None:
        """What was written to a file is durable."""
        self._undo = [entry for entry in self._undo if entry[0] != path]

    def end(self, unsynced: Unsynced, rng: random.Random | None = None) -> None:
        """The power is gone: settle what was not synced. Connections must be closed; nothing they do counts any more."""
        undo, self._undo = self._undo, []
        if unsynced is Unsynced.LOST:
            for path, offset, old, size, _ in reversed(undo):
                _restore(Path(path), offset, old, size)
        elif unsynced is Unsynced.TORN and undo:
            # A disk keeps any of the writes that were on their way, and of one perhaps the beginning.
            rng = rng or random.Random(0)
            kept = [rng.random() < 0.5 for _ in undo]
            cut = rng.randrange(len(undo))
            for path, offset, old, size, _ in reversed(undo):
                _restore(Path(path), offset, old, size)
            for number, (path, offset, _, _, data) in enumerate(undo):
                if number == cut:
                    _put(Path(path), offset, data[: rng.randrange(len(data) + 1)])
                elif kept[number]:
                    _put(Path(path), offset, data)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else (name or "")
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - as apsw names it
        if self._path:
            if not self._disk.before("write", self._path):
                return
            self._disk.wrote(self._path, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - as apsw names it
        if self._path:
            if not self._disk.before("truncate", self._path):
                return
            size = Path(self._path).stat().st_size
            if size > newsize:
                self._disk.wrote(self._path, newsize, bytes(size - newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - as apsw names it
        if self._disk.before("sync", self._path):
            super().xSync(flags)
            self._disk.synced(self._path)


def _restore(file: Path, offset: int, old: bytes, size: int) -> None:
    if file.exists():
        _put(file, offset, old)
        with file.open("r+b") as opened:
            opened.truncate(size)


def _put(file: Path, offset: int, data: bytes) -> None:
    if file.exists():
        with file.open("r+b") as opened:
            opened.seek(offset)
            opened.write(data)
