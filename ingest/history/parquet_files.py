"""The files that the embedded history is made of: their names, which of them count, and how one is written.

    kind=drain-level/day=2026-11-23/000000001207-000000001544.parquet    readings of these journal records
    kind=drain-level/day=2026-11-23/000000000000-000000000000-NAME.parquet    readings that were brought from elsewhere
    kind=drain-level/day=2026-11-23/changed-NAME    a mark: rollups of this day do not know of NAME yet

Days are days of the reading's own time, in UTC.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import weakref
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from telemetry.disk import sync_folder
from telemetry.errors import Unavailable

DAY_MS = 86_400_000
CHANGED = "changed-"
DAYS = "day=????-??-??"
"""Folders of days below that of a kind; not the copy that somebody leaves beside one."""
_NAME = re.compile(r"(\d{12})-(\d{12})(?:-([a-z0-9][a-z0-9-]*))?\.parquet")

SCHEMA = pa.schema(
    [
        ("device", pa.dictionary(pa.int32(), pa.string())),
        ("metric", pa.dictionary(pa.int32(), pa.string())),
        ("time_ms", pa.int64()),
        ("value", pa.float64()),
        ("quality", pa.uint8()),
        ("key", pa.string()),
    ]
)


class Part(NamedTuple):
    """One file: the journal records it was made from, 0 to 0 when it was brought from elsewhere."""

    first: int
    last: int
    path: Path


class DayFiles(NamedTuple):
    """What stands in the folder of a day."""

    parts: list[Part]  # those that count, in journal order; what was brought comes first, so that our own readings win
    marks: list[Path]


def day_folder(folder: Path, kind: str, day: int) -> Path:
    """Where the readings of a day stand."""
    return folder / f"kind={kind}" / f"day={day_name(day)}"


def brought_name(name: str) -> str:
    """The file of readings that did not come through the journal."""
    return f"{0:012d}-{0:012d}-{name}.parquet"


def day_files(folder: Path) -> DayFiles:
    """The files of a day that count: those that no larger file holds already. Raises OSError."""
    if not folder.is_dir():
        return DayFiles([], [])
    with os.scandir(folder) as entries:
        return files_of(folder, [entry.name for entry in entries])


def files_of(folder: Path, names: Sequence[str], through: int | None = None) -> DayFiles:
    """The same from a listing.

    Args:
        through: Where files of later journal records are none, and so hide none that they were merged from.
    """
    brought: list[Part] = []
    found: list[Part] = []
    marks: list[Path] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            if through is None or int(match[2]) <= through:
                (brought if match[3] else found).append(Part(int(match[1]), int(match[2]), folder / name))
        elif name.startswith(CHANGED):
            marks.append(folder / name)
    found.sort(key=lambda part: (part.first, -part.last))
    parts = sorted(brought)
    own_last = 0
    for part in found:
        if part.last > own_last:
            parts.append(part)
            own_last = part.last
    return DayFiles(parts, marks)


def parts_of(folder: Path) -> list[Part]:
    """The readings of a day. Raises OSError."""
    return day_files(folder).parts


class Draft:
    """A file that is being written."""

    def __init__(self, writer: Any) -> None:
        self.row_count = 0
        self._writer = writer

    def write(self, table: pa.Table, group_rows: int | None = None) -> None:
        """Add row groups."""
        self.row_count += len(table)
        if len(table):
            self._writer.write_table(table, row_group_size=group_rows)


@contextlib.contextmanager
def write_file(path: Path, schema: pa.Schema, repetitive: Sequence[str] = ()) -> Iterator[Draft]:
    """All of the file or none of it: written beside its place, fsynced, renamed, and the rename fsynced too.

    Args:
        repetitive: Columns of numbers that say few different things: numbered, these take a fraction of the room.
    """
    names = [field.name for field in schema if pa.types.is_dictionary(field.type) or field.name in ("quality", "key")]
    names += repetitive
    floats = [field.name for field in schema if pa.types.is_floating(field.type) and field.name not in repetitive]
    plain = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    plain["time_ms"] = "DELTA_BINARY_PACKED"
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            with pq.ParquetWriter(
                file, schema, compression="zstd", use_dictionary=names, column_encoding=plain
            ) as writer:
                yield Draft(writer)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # The next try is of another name, as more has come meanwhile: a full disk would be filled with beginnings.
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    draft.rename(path)
    sync_folder(path.parent)


class Lock:
    """That one process alone writes, merges and rolls up; it ends with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises Unavailable when another process has it, OSError."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            weakref.finalize(self, os.close, self._descriptor)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"another process writes history in {self._path.parent}: stop it first") from error


def make_folder(folder: Path) -> None:
    """A folder and what is lacking above it, each durable, as what is synced in a folder goes with it. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def day_name(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


def day_number(name: str) -> int:
    """Back from `day_name`."""
    return int(datetime.fromisoformat(name).replace(tzinfo=UTC).timestamp()) // 86_400


def time_span(about: pq.FileMetaData, group: int) -> tuple[int, int] | None:
    """The earliest and the latest time in a row group of readings; None where the file does not say.

    The column is held while its statistics are read: they do not outlive it, and pyarrow does not see to that.
    """
    column = about.row_group(group).column(2)
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    return int(statistics.min), int(statistics.max)
