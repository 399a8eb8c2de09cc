"""The durable, ordered log: the core's journal and a lane of the gateway's spool are both one of these.

A record is kept once `append` has returned: one SQLite transaction (WAL, synchronous=FULL), so one fsync for the whole
group. Offsets count 1, 2, 3, … and are never used again, also after old records were trimmed away. Readers keep their
place under a name (`cursor`); small facts that must change together with a record travel in the same transaction
(`state`). Any number of threads may read; appends are serialised. The newest records stay in memory, where every reader
that is not far behind finds them.

The log is a folder of segments (`telemetry.segment`), begun anew when one has reached its size. Retention deletes whole
segments, oldest first. Every record has a checksum chained to the one before. On start the newest segment is read from
end to end, later every segment that an earlier run wrote, as it is read. What cannot be trusted stops its segment:
readers go on with the next, and the facts are set back to what they were before the damage, or to where the furthest
reader had come, so that whoever still holds what was lost sends it again and nobody's work is done twice.

Invariant: what `append` returned for survives a crash, whole; what it raised for is absent, or after a crash whole.
"""

from __future__ import annotations

import bisect
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import apsw

from telemetry import segment
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.segment import DAMAGE_ERRORS, Damage

SEGMENT_BYTES = 64_000_000
_RECORD_OVERHEAD = 32  # bytes of a row beside its payload, about
_HELD_OVERHEAD = 190  # bytes of a record in memory beside its payload: small records are mostly that
NEWEST_BYTES_MAX = 4_000_000  # of records kept in memory for those who read them next
_EMPTY_BYTES = 24_576  # of a segment that holds nothing yet
_SEGMENTS_KEPT = 8  # on a full disk
_JUMP = 1_000_000_000  # past anything a segment can hold: where to go on when not even its end can be read

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


@dataclass(slots=True)
class _Reader:
    """A thread's connection to the segment it reads, and where in the chain it is."""

    first: int
    connection: apsw.Connection
    offset: int = -1
    mark: int = 0


class Journal:
    """One log in one folder. Raises Unavailable when the disk refuses, BadConfiguration for one of another version.

    Args:
        segment_bytes: A segment that has reached this is followed by a new one.
        vfs: SQLite's file layer by name; tests bring one that fails as disks do.
        on_damage: Told once of each stretch that cannot be trusted, on whatever thread finds it.
        reads_again: Where the newest segment, and the readers' places with it, cannot be read, they go on from where they had
            come before it, and read some records again; else they are taken to have read all that can be.
    """

    def __init__(
        self,
        path: Path,
        segment_bytes: int = SEGMENT_BYTES,
        vfs: str | None = None,
        on_damage: Callable[[Damage], None] = lambda damage: None,
        reads_again: bool = False,
    ) -> None:
        self.path = path
        self.torn = 0  # page writes of an unfinished transaction that the last run left behind
        self._segment_bytes = segment_bytes
        self._vfs = vfs
        self._on_damage = on_damage
        self._reads_again = reads_again
        self._local = threading.local()
        self._open: dict[apsw.Connection, int] = {}  # each with its segment
        self._lock = threading.RLock()  # of appends and of everything that changes files
        self._grown = threading.Condition()
        self._newest: list[Stored] = []  # without a gap up to the last: what every reader asks for next
        self._newest_bytes = 0
        self._last = 0
        self._firsts: tuple[int, ...] = ()
        self._unverified: set[int] = set()  # segments of earlier runs, whose records are checked as they are read
        self._sealed_bytes: dict[int, int] = {}
        self._stops: dict[int, int] = {}  # segment -> first record that is not read
        self._state: dict[str, bytes] = {}
        self._cursors: dict[str, int] = {}
        self._damages: list[Damage] = []
        try:
            if path.is_file():
                raise BadConfiguration(f"{path} is a file; a journal is a folder: name another place")
            path.mkdir(parents=True, exist_ok=True)
            self._start()
        except (apsw.Error, OSError) as error:
            self._close_all()
            raise Unavailable(f"opening {path}: {error}") from error
        except BadConfiguration:
            self._close_all()
            raise

    def append(self, records: Sequence[Record], state: Mapping[str, bytes | None] | None = None) -> int:
        """Make records durable, in order, together with changes of `state` (None removes); return the last offset.

        Raises Unavailable when the disk refuses (full, failing): nothing of the group was kept. Any thread may append.
        """
        with self._lock:
            if not records and not state:
                return self._last
            try:
                last = self._append(records, state or {})
            except apsw.FullError as error:
                # Old records that everybody has read are worth less than new ones.
                if not self._free_oldest():
                    raise Unavailable(f"writing {self.path}: {error}") from error
                with self._translated("writing"):
                    last = self._append(records, state or {})
            except (apsw.Error, OSError) as error:
                raise Unavailable(f"writing {self.path}: {error}") from error
            # Before anybody else may append: what follows counts on from here.
            with self._grown:
                self._remember(last, records)
                self._last = last
                self._grown.notify_all()
        return last

    def read(self, after: int, count_max: int = 1000, bytes_max: int = 8_000_000) -> list[Stored]:
        """The next records after an offset, oldest first, at most `count_max`, and about `bytes_max` of payload.

        Records that were trimmed or cannot be trusted are passed over: the offsets show it.
        """
        with self._grown:
            if self._newest and after + 1 >= self._newest[0].offset:
                return self._of_newest(after, count_max, bytes_max)
        rows: list[Stored] = []
        size = 0
        while len(rows) < count_max and size < bytes_max and after < self._last:
            firsts = self._firsts
            number = max(0, bisect.bisect_right(firsts, after + 1) - 1)
            count = len(rows)
            size = self._read_segment(firsts[number], after, rows, count_max, size, bytes_max)
            if len(rows) > count:
                after = rows[-1].offset
            elif number + 1 < len(firsts):
                after = max(after, firsts[number + 1] - 1)
            else:
                break
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
        return self._firsts[0]

    def cursor(self, name: str) -> int:
        """How far a reader has come; 0 when it never said."""
        return self.cursors().get(name, 0)

    def set_cursor(self, name: str, offset: int) -> None:
        """Remember a reader's place. Call it after the effect, never before."""
        with self._lock:
            with self._translated("writing"), self._transaction():
                self._writer.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, offset))
            self._cursors = self._cursors | {name: offset}

    def forget_cursor(self, name: str) -> None:
        """There is no such reader any more: nothing is kept for it."""
        with self._lock:
            with self._translated("writing"), self._transaction():
                self._writer.execute("DELETE FROM cursor WHERE name = ?", (name,))
            self._cursors = {reader: offset for reader, offset in self._cursors.items() if reader != name}

    def cursors(self) -> dict[str, int]:
        """Every reader's place."""
        return dict(self._cursors)

    def state(self, prefix: str) -> dict[str, bytes]:
        """The facts whose key starts with `prefix`, in the order of their keys."""
        with self._lock:
            return {key: self._state[key] for key in sorted(self._state) if key.startswith(prefix)}

    def set_state(self, state: Mapping[str, bytes | None]) -> None:
        """Change facts without a record; None removes one."""
        with self._lock, self._translated("writing"):
            self._append((), state)

    def trim(self, through: int) -> None:
        """Forget records up to and including `through`, as far as whole segments hold nothing else."""
        with self._lock, self._translated("trimming"):
            while len(self._firsts) > 1 and self._firsts[1] - 1 <= through:
                self._drop_oldest()

    def trim_to(self, size_max_bytes: int, seen: int) -> bool:
        """Forget the oldest segments until at most `size_max_bytes` are in use, but none with a record past `seen`.

        False when that was not enough: a reader that is behind keeps more than was allowed.
        """
        with self._lock, self._translated("trimming"):
            while self.size_bytes() > size_max_bytes and len(self._firsts) > 1:
                if self._firsts[1] - 1 > seen:
                    return False
                self._drop_oldest()
        return True

    def size_bytes(self) -> int:
        """Bytes in use, about."""
        with self._lock:
            return sum(self._sealed_bytes.values()) + self._size + _EMPTY_BYTES

    def damages(self) -> list[Damage]:
        """What was found damaged, since the journal began."""
        return list(self._damages)

    def close(self) -> None:
        """Let go of the files. Other threads must have stopped using the journal."""
        self._close_all()

    # --- starting ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        firsts = segment.segments_of(self.path)
        while firsts:
            path = segment.segment_path(self.path, firsts[-1])
            try:
                connection = self._connect(firsts[-1])
                if segment.is_complete(connection, path):
                    with contextlib.suppress(apsw.FullError):  # it is read all the same, and goes on when there is room
                        committed, _ = connection.wal_checkpoint()
                        self.torn = segment.torn_frames(path.with_name(f"{path.name}-wal"), committed)
                    break
            except DAMAGE_ERRORS as error:
                self._start_past_unreadable(firsts, str(error))
                return
            # It was begun, and the crash came before anything could be in it.
            self._close(connection)
            self._remove(firsts.pop())
        if not firsts:
            self._begin_segment(1, 0, {}, {}, [])
            return
        self._adopt(firsts)
        try:
            self._resume(firsts[-1], connection)
        except DAMAGE_ERRORS as error:
            self._close(connection)
            self._start_past_unreadable(firsts, str(error))

    def _adopt(self, firsts: Sequence[int]) -> None:
        self._firsts = tuple(firsts)
        self._unverified = set(firsts[:-1])
        self._sealed_bytes = {first: self._file_bytes(first) for first in firsts[:-1]}

    def _resume(self, first: int, connection: apsw.Connection) -> None:
        """Go on with the newest segment, or behind it when it cannot be trusted to its end."""
        checked = segment.check(connection, first)
        damages, cursors = segment.damages_of(connection), segment.cursors_of(connection)
        if checked.damaged_from is None:
            assert checked.last is not None
            stop = keep = checked.last + 1
        else:
            # Cutting inside a transaction would keep records whose facts are set back, and they would come twice.
            stop = max(first, segment.transaction_start(connection, checked.damaged_from))
            keep = max([stop - 1, *cursors.values()])
        state, lost_facts = segment.state_through(connection, keep)
        if checked.damaged_from is None and not lost_facts:
            assert checked.last is not None
            self._writer, self._cursors, self._state, self._damages = connection, cursors, state, damages
            self._last, self._mark = checked.last, checked.mark
            fact_count, fact_bytes = segment.state_size(connection)
            self._size = checked.payload_bytes + fact_bytes + (checked.count + fact_count) * _RECORD_OVERHEAD
            return
        self._close(connection)
        self._stops[first] = stop
        self._sealed_bytes[first] = self._file_bytes(first)
        newest = first + _JUMP if checked.last is None else checked.last
        detail = checked.detail or f"{lost_facts} facts are not what was written"
        damage = Damage(first, stop, max(stop, newest), detail)
        self._begin_segment(max([newest, *cursors.values()]) + 1, 0, state, cursors, [*damages, damage])
        self._on_damage(damage)

    def _start_past_unreadable(self, firsts: list[int], detail: str) -> None:
        """The newest segment is lost whole: take the facts from the one before, go on past where it can have ended."""
        lost = firsts.pop()
        path = segment.segment_path(self.path, lost)
        kept = path.with_suffix(".damaged")
        path.rename(kept)
        with contextlib.suppress(FileNotFoundError):  # the last that was written may be there only
            path.with_name(f"{path.name}-wal").rename(kept.with_name(f"{kept.name}-wal"))
        self._remove(lost)
        self._adopt(firsts)
        state: dict[str, bytes] = {}
        cursors: dict[str, int] = {}
        damages: list[Damage] = []
        if firsts:
            self._unverified.add(firsts[-1])
            self._sealed_bytes[firsts[-1]] = self._file_bytes(firsts[-1])
            with contextlib.suppress(*DAMAGE_ERRORS):
                before = self._connect(firsts[-1])
                state, _ = segment.state_through(before, lost - 1)
                cursors, damages = segment.cursors_of(before), segment.damages_of(before)
                self._close(before)
        following = lost + _JUMP
        # Where readers had come to stood in the lost segment; most had come into it, and what they did is not done twice.
        if not self._reads_again:
            cursors = dict.fromkeys(cursors, following - 1)
        damage = Damage(lost, lost, following - 1, f"{path.name} cannot be read: {detail}; it is kept as *.damaged")
        self._begin_segment(following, 0, state, cursors, [*damages, damage])
        self._on_damage(damage)

    def _begin_segment(
        self,
        first: int,
        start_mark: int,
        state: Mapping[str, bytes],
        cursors: Mapping[str, int],
        damages: Sequence[Damage],
    ) -> None:
        connection = None
        try:
            connection = self._connect(first)
            segment.create(connection, first, start_mark, state, cursors, damages)
        except BaseException:
            if connection is not None:
                self._close(connection)
            self._remove(first)  # tried again at the next append
            raise
        self._writer, self._mark, self._last = connection, start_mark, first - 1
        self._state, self._cursors, self._damages = dict(state), dict(cursors), list(damages)
        self._firsts = (*self._firsts, first)
        self._size = 0

    # --- writing ----------------------------------------------------------------------------------------------------

    def _append(self, records: Sequence[Record], state: Mapping[str, bytes | None]) -> int:
        if self._size >= self._segment_bytes and self._last >= self._firsts[-1]:
            self._seal()
        since, mark = self._last + 1, self._mark
        rows, size = [], 0
        for offset, record in enumerate(records, since):
            mark = segment.record_mark(mark, offset, record.kind, record.time_ms, record.payload)
            rows.append((offset, int(record.kind), record.time_ms, mark, record.payload))
            size += len(record.payload) + _RECORD_OVERHEAD
        last = self._last + len(rows)
        with self._transaction():
            self._writer.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
            segment.add_state(self._writer, since, last, state)
        self._mark = mark
        self._size += size + sum(len(k) + len(v or b"") + _RECORD_OVERHEAD for k, v in state.items())
        for key, value in state.items():
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = value
        return last

    def _seal(self) -> None:
        """Begin the next segment; the one before is not written to again."""
        sealed, writer = self._firsts[-1], self._writer
        self._begin_segment(self._last + 1, self._mark, self._state, self._cursors, self._damages)
        with contextlib.suppress(apsw.BusyError):
            writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._close(writer)
        self._sealed_bytes[sealed] = self._file_bytes(sealed)

    def _free_oldest(self) -> bool:
        """Make room on a full disk, if there is an old segment that every reader has seen."""
        seen = min(self._cursors.values(), default=0)
        # The newest stay: what a broker hands out again is known by them.
        if len(self._firsts) <= _SEGMENTS_KEPT or self._firsts[1] - 1 > seen:
            return False
        self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        oldest = self._firsts[0]
        self._firsts = self._firsts[1:]
        with self._grown:
            trimmed = bisect.bisect_left(self._newest, self._firsts[0], key=lambda record: record.offset)
            self._newest_bytes -= sum(len(record.payload) + _HELD_OVERHEAD for record in self._newest[:trimmed])
            self._newest = self._newest[trimmed:]
        # A thread that has found all in memory since would keep the file's room for ever.
        for connection, first in list(self._open.items()):
            if first == oldest:
                self._close(connection)
        self._remove(oldest)
        self._sealed_bytes.pop(oldest, None)
        self._stops.pop(oldest, None)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    # --- reading ----------------------------------------------------------------------------------------------------

    def _remember(self, last: int, records: Sequence[Record]) -> None:
        """Keep what has just become durable for the readers, which are rarely further behind."""
        first = last - len(records) + 1
        self._newest += [Stored(at, r.kind, r.time_ms, r.payload) for at, r in enumerate(records, first)]
        self._newest_bytes += sum(len(record.payload) + _HELD_OVERHEAD for record in records)
        if self._newest_bytes > NEWEST_BYTES_MAX:
            kept, size = len(self._newest), 0
            while kept and size < NEWEST_BYTES_MAX // 2:
                kept -= 1
                size += len(self._newest[kept].payload) + _HELD_OVERHEAD
            self._newest, self._newest_bytes = self._newest[kept:], size

    def _of_newest(self, after: int, count_max: int, bytes_max: int) -> list[Stored]:
        start = after + 1 - self._newest[0].offset
        found = self._newest[start : start + count_max]
        size = 0
        for number, record in enumerate(found, 1):
            size += len(record.payload)
            if size >= bytes_max:
                return found[:number]
        return found

    def _read_segment(
        self, first: int, after: int, rows: list[Stored], count_max: int, size: int, bytes_max: int
    ) -> int:
        """Add the records of one segment after an offset; return the bytes read so far."""
        stop = self._stops.get(first)
        if stop is not None and after + 1 >= stop:
            return size
        try:
            reader = self._reader(first)
            if reader is None:
                return size
            is_verified = first not in self._unverified
            after = max(after, first - 1)
            if not is_verified and reader.offset != after:
                reader.mark = segment.mark_before(reader.connection, after)
            reader.offset = after
            for offset, kind, time_ms, mark, payload in segment.read_from(
                reader.connection, after, count_max - len(rows)
            ):
                if offset == stop:
                    break
                if not is_verified:
                    found = segment.record_mark(reader.mark, offset, kind, time_ms, payload)
                    if found != mark or offset != reader.offset + 1:
                        self._stop(first, reader.offset + 1, f"record {reader.offset + 1} is not what was written")
                        break
                reader.offset, reader.mark = offset, mark
                rows.append(Stored(offset, Kind(kind), time_ms, payload))
                size += len(payload)
                if size >= bytes_max:
                    break
        except DAMAGE_ERRORS as error:
            self._stop(first, (rows[-1].offset if rows else after) + 1, f"cannot be read: {error}")
        except (apsw.Error, OSError) as error:
            raise Unavailable(f"reading {self.path}: {error}") from error
        return size

    def _stop(self, first: int, at: int, detail: str) -> None:
        """A stretch that was thought to be well is not: read no further in its segment."""
        with self._lock:
            if first in self._stops or first not in self._firsts:
                return
            number = self._firsts.index(first)
            if number + 1 == len(self._firsts):
                self._seal()
            damage = Damage(first, at, self._firsts[number + 1] - 1, detail)
            self._stops[first] = at
            self._damages.append(damage)
            with contextlib.suppress(apsw.Error):  # it is found again at the next start
                segment.note_damage(self._writer, damage)
        self._on_damage(damage)

    def _reader(self, first: int) -> _Reader | None:
        """This thread's connection to a segment; None when the segment was trimmed meanwhile."""
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None or reader.first != first:
            if reader is not None:
                self._close(reader.connection)
            self._local.reader = None
            with self._lock:
                if first not in self._firsts:
                    return None
                reader = self._local.reader = _Reader(first, self._connect(first))
        return reader

    # --- files ------------------------------------------------------------------------------------------------------

    def _connect(self, first: int) -> apsw.Connection:
        connection = segment.connect(segment.segment_path(self.path, first), self._vfs)
        self._open[connection] = first
        return connection

    def _close(self, connection: apsw.Connection) -> None:
        self._open.pop(connection, None)
        # The last to leave tidies up, and a failing disk may not let it. Nothing that was promised depends on that.
        with contextlib.suppress(apsw.Error):
            connection.close(True)

    def _close_all(self) -> None:
        for connection in list(self._open):
            self._close(connection)

    def _remove(self, first: int) -> None:
        path = segment.segment_path(self.path, first)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def _file_bytes(self, first: int) -> int:
        return segment.segment_path(self.path, first).stat().st_size

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise Unavailable(f"{doing} {self.path}: {error}") from error
