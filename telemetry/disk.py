"""Folders: what makes the names in them durable, of which a file's own sync says nothing, and who is alone in one."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from telemetry.errors import Unavailable


def sync_folder(folder: Path) -> None:
    """Make what was renamed, made or deleted in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Keep others out of a folder that only one process may write to, while the context lasts; its end releases it, too.

    Args:
        what: The setting that names the folder, and what else may be at work there.

    Raises Unavailable.
    """
    descriptor = None
    try:
        with contextlib.suppress(FileExistsError):  # a file: whoever opens it will say so
            folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        assert descriptor is not None
        os.close(descriptor)
        raise Unavailable(f"{what} is at work in {folder}; stop it, or name another folder") from error
    except OSError:
        pass  # no folder, and whoever opens it will say why; or a file system without locks
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
