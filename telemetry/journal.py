"""The durable, ordered log: the core's journal and the gateway's spool are both one of these.

A record is kept once `append` has returned: one SQLite transaction (WAL, synchronous=FULL), so one fsync for the whole
group. Offsets count 1, 2, 3, … and are never used again, also after old records were trimmed away. Readers keep their
place under a name (`cursor`); small facts that must change together with a record travel in the same transaction
(`state`). Any number of threads may read; appends are serialised.

Invariant: what `append` returned for survives a crash, whole; what it raised for is absent, whole.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from telemetry.errors import BadConfiguration, Unavailable

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE record (offset INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, time_ms INTEGER NOT NULL,
                     payload BLOB NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


CONNECTED, AWAY = b"connected", b"away"
"""What a tick says: whether the core could hear the field while this second passed."""


class Kind(IntEnum):
    """What a record holds."""

    READINGS = 1  # a batch as columns
    TICK = 2  # time passed; CONNECTED or AWAY
    COMMAND = 3  # what an operator did, JSON
    REJECTS = 4  # what was refused at the door and why, JSON
    FRAME = 5  # a gateway's encoded columns, in a spool
    BACKLOG = 6  # a batch like READINGS, of an outage: newer readings of its series came before it
    RULES = 7  # the rules and the catalogue that hold from here on, JSON
    GAPS = 8  # what is missing for good and why, as gateways say it, JSON


@dataclass(frozen=True, slots=True)
class Record:
    """Something to append. `time_ms` is when we learned of it."""

    kind: Kind
    time_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A record with its place in the log."""

    offset: int
    kind: Kind
    time_ms: int
    payload: bytes


class Journal:
    """One log in one file. Raises Unavailable when the disk refuses, BadConfiguration for a file of another version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._write_lock = threading.Lock()
        self._grown = threading.Condition()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                self._writer.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            elif version != SCHEMA_VERSION:
                raise BadConfiguration(
                    f"{path} was written by another version of Gatehouse (format {version}, this one reads "
                    f"{SCHEMA_VERSION}): start the version that wrote it, or name another file"
                )
            self._last = self._stored_last()
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"opening {path}: {error}") from error

    def append(self, records: Sequence[Record], state: Mapping[str, bytes] | None = None) -> int:
        """Make records durable, in order, together with changes of `state`; return the last offset.

        Raises Unavailable when the disk refuses (full, failing): nothing of the group was kept.
        """
        with self._write_lock:
            try:
                with self._transaction() as db:
                    db.executemany(
                        "INSERT INTO record (kind, time_ms, payload) VALUES (?, ?, ?)",
                        [(r.kind, r.time_ms, r.payload) for r in records],
                    )
                    if state:
                        db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", list(state.items()))
            except sqlite3.Error as error:
                raise Unavailable(f"writing {self.path}: {error}") from error
            last = self._last + len(records)
        with self._grown:
            self._last = last
            self._grown.notify_all()
        return last

    def read(self, after: int, count_max: int = 1000, bytes_max: int = 8_000_000) -> list[Stored]:
        """The next records after an offset, oldest first, at most `count_max`, and about `bytes_max` of payload."""
        rows: list[Stored] = []
        size = 0
        query = "SELECT offset, kind, time_ms, payload FROM record WHERE offset > ? ORDER BY offset LIMIT ?"
        try:
            for offset, kind, time_ms, payload in self._reader().execute(query, (after, count_max)):
                rows.append(Stored(offset, Kind(kind), time_ms, payload))
                size += len(payload)
                if size >= bytes_max:
                    break
        except sqlite3.Error as error:
            raise Unavailable(f"reading {self.path}: {error}") from error
        return rows

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until there is a record past `after`, or the time is up; tell which."""
        with self._grown:
            return self._grown.wait_for(lambda: self._last > after, timeout_s)

    @property
    def last(self) -> int:
        """Offset of the newest record; 0 when there never was one."""
        return self._last

    @property
    def first(self) -> int:
        """Offset of the oldest record still held; one past `last` when there is none."""
        ((oldest,),) = self._rows("SELECT min(offset) FROM record")
        return self._last + 1 if oldest is None else int(oldest)

    def cursor(self, name: str) -> int:
        """How far a reader has come; 0 when it never said."""
        rows = self._rows("SELECT offset FROM cursor WHERE name = ?", name)
        return int(rows[0][0]) if rows else 0

    def set_cursor(self, name: str, offset: int) -> None:
        """Remember a reader's place. Call it after the effect, never before."""
        with self._write_lock, self._translated("writing"), self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, offset))

    def cursors(self) -> dict[str, int]:
        """Every reader's place."""
        return dict(self._rows("SELECT name, offset FROM cursor ORDER BY name"))

    def state(self, prefix: str) -> dict[str, bytes]:
        """The facts whose key starts with `prefix`."""
        return dict(
            self._rows("SELECT key, value FROM state WHERE key >= ? AND key < ?", prefix, prefix + "\U0010ffff")
        )

    def set_state(self, state: Mapping[str, bytes]) -> None:
        """Change facts without a record."""
        with self._write_lock, self._translated("writing"), self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", list(state.items()))

    def trim(self, through: int) -> None:
        """Forget records up to and including `through`."""
        with self._write_lock, self._translated("trimming"), self._transaction() as db:
            db.execute("DELETE FROM record WHERE offset <= ?", (through,))

    def trim_to(self, size_max_bytes: int, seen: int) -> None:
        """Forget the oldest records until about `size_max_bytes` are in use, but none past `seen`."""
        size, first = self.size_bytes(), self.first
        if size > size_max_bytes and first <= self._last:
            # Records differ in size; what is too many now is found again the next time.
            share = 1 - size_max_bytes / size
            through = min(seen, first - 1 + math.ceil(share * (self._last - first + 1)))
            if through >= first:
                self.trim(through)

    def size_bytes(self) -> int:
        """Bytes in use; room that trimming made free inside the file does not count."""
        pages, free, size = (
            int(self._rows(f"PRAGMA {p}")[0][0]) for p in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def close(self) -> None:
        """Let go of the file. Other threads must have stopped using the journal."""
        for connection in self._connections:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        # FULL, because NORMAL may forget committed transactions when the power fails.
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;")
        self._connections.append(connection)
        return connection

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        with self._translated("reading"):
            return self._reader().execute(query, given).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(f"{doing} {self.path}: {error}") from error

    def _stored_last(self) -> int:
        row = self._writer.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        return 0 if row is None else int(row[0])
