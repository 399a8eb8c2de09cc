"""One lane of a spool: frames that share an epoch, numbered 1, 2, 3, … in a journal of their own.

A lane is a folder `ORDER-EPOCH` inside the spool's. Its epoch is random and it is written to by one run only, so no
number can ever stand for two different frames, whatever copy of the disk is put back. It comes into being whole: built
under another name (`.building`), renamed when its facts are durable; it goes by being renamed (`.drained`) and deleted.

A record's time is milliseconds since the lane's run began, which no step of a clock can disturb; the lane's shift makes
a time of it, and of what the gateway itself stamped while its clock was not trusted (`gateway.timekeeping`).
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.timekeeping import is_placed
from telemetry import frames
from telemetry.decision import decode_decision, encode_decision
from telemetry.disk import sync_folder
from telemetry.errors import BadInput, Unavailable
from telemetry.journal import Journal, Kind, Record, Stored
from telemetry.quality import Quality
from telemetry.segment import DAMAGE_ERRORS

BUILDING, DRAINED, DAMAGED = ".building", ".drained", ".damaged"
_JOURNAL = "frames"
_RELEASED = "released"  # cursor: everything through it is durable at the core

# Facts of a lane.
RUN = "run"  # which run of the gateway wrote it
SHIFT_MS = "shift-ms"
UNPLACED = "unplaced"  # its run began without a clock: times in it may need the shift
GUESSED = "guessed"  # nobody ever knew its times: the shift is our guess
BACKLOG = "backlog"
SENT = "sent"  # some of its frames may be at the core
THINNESS = "thinness"
REPLACES = "replaces"  # the epoch of the lane that this one is the thinned copy of
_FACTS = (RUN, SHIFT_MS, UNPLACED, GUESSED, BACKLOG, SENT, THINNESS, REPLACES)
YES = b"1"


class Lane:
    """One lane. Raises Unavailable when the disk refuses. Any thread may call any method; its numbers need no disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        order, _, self.epoch = folder.name.partition("-")
        self.order = int(order)
        self._lock = threading.RLock()  # nobody lets go of the journal while somebody uses it
        self._journal: Journal | None = None
        self.last = self.released = 0
        self.damage = ""  # why what follows `last` is lost; such a lane is written to no more
        journal = self._opened()
        facts = {name: value for name in _FACTS if (value := journal.state(name).get(name))}
        self.run = facts.get(RUN, b"").decode()
        self.shift_ms = int(facts[SHIFT_MS]) if SHIFT_MS in facts else None
        self.is_unplaced = UNPLACED in facts
        self.is_guessed = GUESSED in facts
        self.is_backlog = BACKLOG in facts
        self.is_sent = SENT in facts
        self.thinness = int(facts.get(THINNESS, b"0"))
        self.replaces = facts.get(REPLACES, b"").decode()
        self.released = self._trimmed = min(journal.cursor(_RELEASED), self.last)
        self.size_bytes = journal.size_bytes()
        self.is_being_replaced = False

    @property
    def count(self) -> int:
        """How many frames wait for their receipt."""
        return self.last - self.released

    @property
    def is_ready(self) -> bool:
        """Whether it may be sent: its times are known, and no thinner copy is taking its place."""
        return (self.shift_ms is not None or not self.is_unplaced) and not self.is_being_replaced

    def facts(self) -> dict[str, bytes | None]:
        """What a thinner copy of it must know."""
        return {
            RUN: self.run.encode(),
            SHIFT_MS: None if self.shift_ms is None else b"%d" % self.shift_ms,
            UNPLACED: YES if self.is_unplaced else None,
            GUESSED: YES if self.is_guessed else None,
            BACKLOG: YES if self.is_backlog else None,
            THINNESS: b"%d" % self.thinness,
        }

    def append(self, payloads: Sequence[bytes], run_ms: int, state: Mapping[str, bytes | None]) -> int:
        """Make frames durable together with facts; return the last one's seq."""
        with self._lock:
            journal = self._opened()
            self._refuse_damaged()
            self.last = journal.append([Record(Kind.FRAME, run_ms, payload) for payload in payloads], state)
            self.size_bytes = journal.size_bytes()
            return self.last

    def read(self, after: int, count_max: int, bytes_max: int) -> list[Stored]:
        """The next frames after a seq, as they were taken. Raises Unavailable when that finds the lane damaged."""
        with self._lock:
            before = self.damage
            journal = self._opened()
            found = journal.read(max(after, self.released), count_max, bytes_max)
            self._look_for_damage(journal)
            if self.damage != before:
                self._refuse_damaged()
            return [stored for stored in found if stored.offset <= self.last]

    def placed(self, columns: bytes) -> bytes:
        """A frame's columns with the times they are sent with."""
        if self.shift_ms is None or not self.is_unplaced:
            return columns
        shift_ms = self.shift_ms

        def placed(time_ms: int) -> int:
            return time_ms if is_placed(time_ms) else time_ms + shift_ms

        try:
            frame = frames.decode(frames.encode("g", "e", 1, 1, columns))
            decisions = [encode_decision(decode_decision(each).placed(placed)) for each in frame.decisions]
        except BadInput:  # no frame of ours; whoever can read it may
            return columns
        times = array("q", map(placed, frame.time_ms))
        quality = array("B", frame.quality)
        if self.is_guessed:
            for number, time_ms in enumerate(frame.time_ms):
                if not is_placed(time_ms):
                    quality[number] = max(quality[number], Quality.SUSPECT)
        # Of a series that is stamped by its device and by us what was first need not be so once it has its time.
        ends = [sorted((placed(gap.first_ms), placed(gap.last_ms))) for gap in frame.gaps]
        gaps = [gap._replace(first_ms=a, last_ms=b) for gap, (a, b) in zip(frame.gaps, ends, strict=True)]
        columns_of = frame.names, frame.index, times, frame.value, quality, frame.keys
        return frames.encode_columns(*columns_of, gaps, decisions)

    def release(self, seq: int) -> None:
        """Everything through `seq` is durable at the core. In memory; `trim` makes it known to the disk."""
        self.released = max(self.released, seq)

    def trim(self) -> None:
        """Give the disk back what was released."""
        released = self.released
        if released > self._trimmed:
            with self._lock:
                journal = self._opened()
                journal.set_cursor(_RELEASED, released)
                journal.trim(released)
                self._trimmed = released
                self.size_bytes = journal.size_bytes()

    def note(self, state: Mapping[str, bytes | None]) -> None:
        """Make facts durable; a value of None is removed."""
        with self._lock:
            journal = self._opened()
            journal.set_state(state)
            self.size_bytes = journal.size_bytes()

    def noted(self, prefix: str) -> dict[str, bytes]:
        """The facts that start with `prefix`."""
        with self._lock:
            return {name: value for name, value in self._opened().state(prefix).items() if value}

    def rest(self) -> None:
        """Let go of the files until they are needed again."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def remove(self) -> None:
        """Delete it. A crash in the middle leaves a folder that the next start deletes."""
        with self._lock:
            self.rest()
            _rename(self.folder, DRAINED)

    def set_aside(self) -> Path:
        """Keep it for whoever may be able to read it; we are not."""
        with self._lock:
            self.rest()
            return _rename(self.folder, DAMAGED)

    def _opened(self) -> Journal:
        if self._journal is None:
            if not self.folder.is_dir():  # else the journal would make a new, empty one
                raise Unavailable(f"{self.folder} is gone")
            # What is sent twice counts once.
            self._journal = Journal(self.folder / _JOURNAL, reads_again=True)
            if not self.damage:
                self.last = self._journal.last
            self._look_for_damage(self._journal)
        return self._journal

    def _look_for_damage(self, journal: Journal) -> None:
        """A lane ends where it is damaged: its numbers have no holes, and what follows would be taken for missing."""
        for damage in journal.damages():
            if not self.damage or damage.first <= self.last:
                self.last = min(self.last, damage.first - 1)
                self.released = min(self.released, self.last)
                self.damage = damage.detail

    def _refuse_damaged(self) -> None:
        if self.damage:
            raise Unavailable(f"{self.folder} ends after frame {self.last}") from DAMAGE_ERRORS[0](self.damage)


class LaneBuilder:
    """A lane that is being written and is none before `finish`."""

    def __init__(self, spool: Path, order: int) -> None:
        self._final = spool / f"{order:08d}-{secrets.token_hex(8)}"
        self._folder = self._final.with_name(self._final.name + BUILDING)
        try:
            self._journal = Journal(self._folder / _JOURNAL)
        except Unavailable:
            shutil.rmtree(self._folder, ignore_errors=True)  # else each attempt would leave one
            raise

    def append(self, payloads: Sequence[bytes], run_ms: int) -> None:
        self._journal.append([Record(Kind.FRAME, run_ms, payload) for payload in payloads])

    def size_bytes(self) -> int:
        return self._journal.size_bytes()

    def finish(self, state: Mapping[str, bytes | None]) -> Lane:
        """The lane with its facts, durable and under its own name."""
        self._journal.set_state(state)
        self._journal.close()
        try:
            self._folder.rename(self._final)
            sync_folder(self._final.parent)
            return Lane(self._final)
        except (OSError, Unavailable) as error:
            with contextlib.suppress(OSError):
                self._final.rename(self._folder)  # else the next start would take it for a lane
            if isinstance(error, Unavailable):
                raise
            raise Unavailable(f"naming {self._final}: {error}") from error

    def abandon(self) -> None:
        self._journal.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def begin_lane(spool: Path, order: int, state: Mapping[str, bytes | None]) -> Lane:
    """A new, empty lane."""
    builder = LaneBuilder(spool, order)
    try:
        return builder.finish(state)
    except Unavailable:
        builder.abandon()
        raise


def delete_remains(spool: Path) -> None:
    """Delete what a crash left of lanes that were not finished yet, or were gone already."""
    for folder in spool.iterdir():
        if folder.name.endswith((BUILDING, DRAINED)):
            shutil.rmtree(folder, ignore_errors=True)


def is_damaged(error: Unavailable) -> bool:
    """Whether trying again is no use: the file is not what it was."""
    return isinstance(error.__cause__, DAMAGE_ERRORS)


def _rename(folder: Path, ending: str) -> Path:
    """Take a lane's name from its folder; a drained one is deleted."""
    renamed = folder.with_name(folder.name + ending)
    try:
        if not renamed.exists():  # else only the disk's word was missing
            folder.rename(renamed)
        sync_folder(folder.parent)
    except OSError as error:
        raise Unavailable(f"renaming {folder}: {error}") from error
    if ending == DRAINED:
        shutil.rmtree(renamed, ignore_errors=True)
    return renamed
