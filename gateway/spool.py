"""The gateway's own disk: every frame stays here until the core, and nobody else, says that it is durable.

A journal record is a frame's encoded columns and its offset is the frame's seq. Seqs are only meaningful within the
epoch, a random name that is made when the file is made: a new disk starts a new count and can never be mistaken for the
old one. Offsets have no holes, so the number of frames held is a subtraction.

When the disk budget is used up the oldest frames are kept and new ones refused: what is already promised stays.
`release` works in memory and `trim` on disk, so that a receipt costs no fsync of its own. What a crash leaves untrimmed
is sent again and counted once by the core.
"""

from __future__ import annotations

import secrets
from enum import Enum
from pathlib import Path

from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record, Stored

_EPOCH = "epoch"


class SpoolFull(Unavailable):
    """The disk budget is used up: the reading is refused, tell whoever brought it to keep it."""


class Release(Enum):
    """What became of a receipt."""

    FREED = "freed"
    REPEATED = "repeated"  # nothing new in it
    OTHER_EPOCH = "other-epoch"  # of a spool that is no longer, or of somebody else's
    BEYOND_LAST = "beyond-last"  # the core has more than we ever took: this file is older than what was sent from it


class Spool:
    """Frames on disk. Raises Unavailable when the disk refuses. Any thread may call any method."""

    def __init__(self, path: Path, clock: Clock, size_max_bytes: int = 2_000_000_000) -> None:
        self._journal = Journal(path)
        self._clock = clock
        self._size_max_bytes = size_max_bytes
        state = self._journal.state(_EPOCH)
        if _EPOCH not in state:
            state = {_EPOCH: secrets.token_hex(8).encode()}
            self._journal.set_state(state)
        self._released = self._trimmed = self._journal.first - 1
        self.epoch = state[_EPOCH].decode()
        self.is_full = self._journal.size_bytes() >= size_max_bytes

    def append(self, columns: bytes) -> int:
        """Make a frame durable and return its seq. Raises SpoolFull, or Unavailable when the disk refuses."""
        if self._journal.size_bytes() >= self._size_max_bytes:
            self.is_full = True
            raise SpoolFull(f"{self._journal.path} holds {self._size_max_bytes:,} bytes, its budget")
        self.is_full = False
        return self._journal.append([Record(Kind.FRAME, self._clock.now_ms(), columns)])

    def frames(self, after_seq: int, count_max: int, bytes_max: int) -> list[Stored]:
        """The next frames after a seq, at most `count_max` and about `bytes_max`, but at least one if there is one."""
        return self._journal.read(max(after_seq, self._released), count_max, bytes_max)

    def release(self, epoch: str, seq: int) -> Release:
        """Let go of everything through `seq`. Only a receipt of the core may lead here."""
        if epoch != self.epoch:
            return Release.OTHER_EPOCH
        if seq > self.last:
            return Release.BEYOND_LAST
        if seq <= self._released:
            return Release.REPEATED
        self._released = seq
        return Release.FREED

    def trim(self) -> None:
        """Give the disk back what was released."""
        released = self._released
        if released > self._trimmed:
            self._journal.trim(released)
            self._trimmed = released
            self.is_full = self._journal.size_bytes() >= self._size_max_bytes

    @property
    def base(self) -> int:
        """The oldest seq still held; one past `last` when there is none."""
        return self._released + 1

    @property
    def last(self) -> int:
        """The newest seq; 0 when there never was one."""
        return self._journal.last

    @property
    def count(self) -> int:
        """How many frames wait for their receipt."""
        return self.last - self._released

    def oldest_ms(self) -> int | None:
        """When the oldest frame still held was written; None when there is none."""
        oldest = self._journal.read(self._released, count_max=1)
        return oldest[0].time_ms if oldest else None

    def close(self) -> None:
        """Let go of the file. Other threads must have stopped using the spool."""
        self._journal.close()
