"""One file of a journal: an SQLite database of records, each with a checksum that is chained to the one before.

A segment is complete in itself. It begins with a copy of the facts (`state`) and of the readers' places (`cursor`) as
they were when it was begun, so that older segments can be deleted as files. `state` is a log too: the newest entry of a
key counts, and what held after any record can be told, which is what makes cutting off a damaged end possible. An entry
names the records of its transaction (`since` to `offset`).
A record's `mark` is the CRC-32 of its content, begun with the mark of the record before it: a record that was changed,
lost or moved breaks the chain at its place. The first record continues the chain of the segment before (`start_mark`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from telemetry.errors import BadConfiguration

FORMAT = 2
_APPLICATION_ID = 0x4748_4A4C  # "GHJL"; what `file` and other tools know the format by
_SCHEMA = """
CREATE TABLE record (offset INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time_ms INTEGER NOT NULL, mark INTEGER NOT NULL,
                     payload BLOB NOT NULL);
CREATE TABLE state (id INTEGER PRIMARY KEY, since INTEGER NOT NULL, offset INTEGER NOT NULL, key TEXT NOT NULL,
                    value BLOB, mark INTEGER NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE damage (segment INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE start (mark INTEGER NOT NULL);
"""
_NAME = re.compile(r"(\d{15})\.db")
_HEAD = struct.Struct("<qBq")
_WAL_HEADER, _WAL_FRAME_HEADER = 32, 24  # bytes; https://sqlite.org/fileformat2.html#walformat

DAMAGE_ERRORS = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite says of a file that is not what was written."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Records that cannot be trusted any more: from `first` to `last` of the segment that began at `segment`."""

    segment: int
    first: int
    last: int
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a segment from its beginning came to."""

    last: int | None  # newest record that is there, whether it can be trusted or not; None when nobody can tell
    mark: int  # of the newest record
    count: int
    payload_bytes: int
    damaged_from: int | None = None
    detail: str = ""


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment whose first record is `first`."""
    return folder / f"{first:015d}.db"


def segments_of(folder: Path) -> list[int]:
    """The segments in a folder, by the offset of their first record, ascending."""
    found = [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(found)


def connect(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open a segment's file, making it if need be."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(10_000)
    # FULL, because NORMAL may forget committed transactions when the power fails.
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000")
    return connection


def create(
    connection: apsw.Connection,
    first: int,
    start_mark: int,
    state: Mapping[str, bytes],
    cursors: Mapping[str, int],
    damages: Sequence[Damage],
) -> None:
    """Make an empty file a segment, in one transaction: after a crash it is one, or still empty."""
    with connection:
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO start VALUES (?)", (start_mark,))
        add_state(connection, first, first - 1, state)
        connection.executemany("INSERT INTO cursor VALUES (?, ?)", list(cursors.items()))
        for damage in damages:
            note_damage(connection, damage)
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={FORMAT}")


def add_state(connection: apsw.Connection, since: int, offset: int, state: Mapping[str, bytes | None]) -> None:
    """Note what changed with the records `since` to `offset`; within a transaction of the caller's."""
    rows = [(since, offset, key, value, state_mark(offset, key, value)) for key, value in state.items()]
    connection.executemany("INSERT INTO state (since, offset, key, value, mark) VALUES (?, ?, ?, ?, ?)", rows)


def is_complete(connection: apsw.Connection, path: Path) -> bool:
    """Whether `create` came to its end. Raises BadConfiguration for a file of another version."""
    version = connection.pragma("user_version")
    if version not in (0, FORMAT):
        raise BadConfiguration(
            f"{path} was written by another version of Gatehouse (format {version}, this one reads {FORMAT}): "
            "start the version that wrote it, or name another folder"
        )
    return bool(version == FORMAT)


def record_mark(before: int, offset: int, kind: int, time_ms: int, payload: bytes) -> int:
    """The checksum of a record, given that of the one before."""
    return zlib.crc32(payload, zlib.crc32(_HEAD.pack(offset, kind, time_ms), before))


def state_mark(offset: int, key: str, value: bytes | None) -> int:
    """The checksum of a fact."""
    return zlib.crc32(b"-" if value is None else b"+" + value, zlib.crc32(f"{offset}/{key}".encode()))


def start_mark(connection: apsw.Connection) -> int:
    """The mark that a segment's first record continues."""
    return _one(connection, "SELECT mark FROM start")


def check(connection: apsw.Connection, first: int) -> Checked:
    """Read a segment from its beginning and see how far it can be trusted."""
    last, mark, count, payload_bytes = first - 1, 0, 0, 0
    try:
        # The chain shows what was changed; only the database's own structure shows that rows have left its end.
        structure = connection.pragma("quick_check", 1)
        mark = start_mark(connection)
        query = "SELECT offset, kind, time_ms, mark, payload FROM record ORDER BY offset"
        for offset, kind, time_ms, stored, payload in connection.execute(query):
            mark = record_mark(mark, offset, kind, time_ms, payload)
            if offset != last + 1 or mark != stored:
                newest = _one(connection, "SELECT max(offset) FROM record") if structure == "ok" else None
                return Checked(
                    newest, stored, count, payload_bytes, last + 1, f"record {last + 1} is not what was written"
                )
            last, count, payload_bytes = offset, count + 1, payload_bytes + len(payload)
    except DAMAGE_ERRORS as error:
        return Checked(None, mark, count, payload_bytes, last + 1, f"not readable from record {last + 1} on: {error}")
    if structure != "ok":
        return Checked(None, mark, count, payload_bytes, last + 1, f"not whole after record {last}: {structure}")
    return Checked(last, mark, count, payload_bytes)


def state_through(connection: apsw.Connection, offset: int) -> tuple[dict[str, bytes], int]:
    """What held once record `offset` was there, and how many facts were damaged."""
    held: dict[str, bytes] = {}
    damaged = 0
    for at, key, value, mark in connection.execute(
        "SELECT offset, key, value, mark FROM state WHERE since <= ? ORDER BY id", (offset,)
    ):
        if state_mark(at, key, value) != mark:
            damaged += 1
        elif value is None:
            held.pop(key, None)
        else:
            held[key] = value
    return held, damaged


def state_size(connection: apsw.Connection) -> tuple[int, int]:
    """How many facts were ever noted, what they were before included, and their bytes."""
    query = "SELECT count(*), coalesce(sum(length(CAST(key AS BLOB)) + coalesce(length(value), 0)), 0) FROM state"
    ((count, size),) = connection.execute(query)
    return int(count), int(size)


def transaction_start(connection: apsw.Connection, offset: int) -> int:
    """The first record of the transaction that a record was written in, as far as facts changed in it."""
    return _one(connection, "SELECT coalesce(min(since), ?1) FROM state WHERE since <= ?1 AND offset >= ?1", offset)


def cursors_of(connection: apsw.Connection) -> dict[str, int]:
    """Every reader's place."""
    return dict(connection.execute("SELECT name, offset FROM cursor ORDER BY name"))


def note_damage(connection: apsw.Connection, damage: Damage) -> None:
    """Remember what was found."""
    found = (damage.segment, damage.first, damage.last, damage.detail)
    connection.execute("INSERT OR REPLACE INTO damage VALUES (?, ?, ?, ?)", found)


def damages_of(connection: apsw.Connection) -> list[Damage]:
    """What was found damaged so far."""
    return [
        Damage(*row) for row in connection.execute("SELECT segment, first, last, detail FROM damage ORDER BY first")
    ]


def newest_offset(connection: apsw.Connection, first: int) -> int:
    """The last record; one before `first` when there is none."""
    return _one(connection, "SELECT coalesce(max(offset), ?) FROM record", first - 1)


def read_from(connection: apsw.Connection, after: int, count_max: int) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(offset, kind, time_ms, mark, payload) of the records after an offset."""
    query = "SELECT offset, kind, time_ms, mark, payload FROM record WHERE offset > ? ORDER BY offset LIMIT ?"
    return iter(connection.execute(query, (after, count_max)))


def mark_before(connection: apsw.Connection, after: int) -> int:
    """The mark that the record after `after` continues."""
    for (mark,) in connection.execute("SELECT mark FROM record WHERE offset = ?", (after,)):
        assert isinstance(mark, int)
        return mark
    return start_mark(connection)


def torn_frames(wal: Path, committed: int) -> int:
    """Page writes of a transaction that never came to its end: frames of the running log past the `committed` ones."""
    try:
        data = wal.open("rb")
    except FileNotFoundError:
        return 0
    with data:
        header = data.read(_WAL_HEADER)
        if len(header) < _WAL_HEADER:
            return 0
        page_size = struct.unpack(">I", header[8:12])[0]
        salts = header[16:24]
        data.seek(committed * (page_size + _WAL_FRAME_HEADER), 1)
        count = 0
        while len(frame := data.read(_WAL_FRAME_HEADER)) == _WAL_FRAME_HEADER and frame[8:16] == salts:
            count += 1
            data.seek(page_size, 1)
        return count


def _one(connection: apsw.Connection, query: str, *given: object) -> int:
    ((value,),) = connection.execute(query, given).fetchall()
    assert isinstance(value, int)
    return value
