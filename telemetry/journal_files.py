"""A journal looked at from outside, while its process runs or not. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from telemetry import segment
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Kind, Stored
from telemetry.segment import Checked, Damage


class SegmentGone(Unavailable):
    """A segment that was listed is there no more: its journal was trimmed meanwhile."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a journal holds, as its newest segment tells it."""

    first: int
    last: int
    size_bytes: int
    segment_count: int
    cursors: dict[str, int]
    state: dict[str, bytes]
    damages: list[Damage]


def segment_files(folder: Path) -> list[tuple[int, Path]]:
    """Each segment's first record and file, oldest first. Raises BadConfiguration where there is no journal."""
    firsts = segment.segments_of(folder) if folder.is_dir() else []
    if not firsts:
        raise BadConfiguration(f"{folder} holds no journal")
    return [(first, segment.segment_path(folder, first)) for first in firsts]


def open_segment(path: Path) -> apsw.Connection:
    """A connection that cannot write.

    Raises SegmentGone when there is no such file, Unavailable when it cannot be read or is only being begun,
    BadConfiguration when it is of another version.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(10_000)
        if not segment.is_complete(connection, path):
            raise Unavailable(f"{path} is only being begun: look again")
        return connection
    except apsw.Error as error:
        if not path.exists():
            raise SegmentGone(f"{path} was trimmed meanwhile") from error
        raise Unavailable(f"opening {path}: {error}") from error


def summary(folder: Path) -> Summary:
    """What there is, without reading it all."""
    files = segment_files(folder)
    first, newest = files[-1]
    connection = open_segment(newest)
    try:
        last = segment.newest_offset(connection, first)
        state, _ = segment.state_through(connection, last + 1)
        cursors, damages = segment.cursors_of(connection), segment.damages_of(connection)
    except apsw.Error as error:
        raise Unavailable(f"reading {newest}: {error}") from error
    finally:
        connection.close()
    size = sum(path.stat().st_size for _, path in files)
    return Summary(files[0][0], last, size, len(files), cursors, state, damages)


def check_segment(path: Path, first: int) -> Checked:
    """Read one segment from end to end. What cannot even be opened is damaged from its first record."""
    try:
        connection = open_segment(path)
    except Unavailable as error:
        return Checked(None, 0, 0, 0, first, str(error))
    try:
        return segment.check(connection, first)
    finally:
        connection.close()


def records_from(folder: Path, first_wanted: int) -> Iterator[Stored]:
    """Every record from an offset on, as it is stored: checksums are `check_segment`'s business."""
    files = segment_files(folder)
    for number, (_, path) in enumerate(files):
        if number + 1 < len(files) and files[number + 1][0] <= first_wanted:
            continue
        connection = open_segment(path)
        try:
            for offset, kind, time_ms, _, payload in segment.read_from(connection, first_wanted - 1, -1):
                yield Stored(offset, Kind(kind), time_ms, payload)
        except apsw.Error as error:
            raise Unavailable(f"reading {path}: {error}") from error
        finally:
            connection.close()
