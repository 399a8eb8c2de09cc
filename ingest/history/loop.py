"""The readers of the journal that keep history and quarantine: each with its own cursor, neither slowing anything else."""

from __future__ import annotations

import bisect
import random
import threading
from collections.abc import Sequence

from ingest import events
from ingest.committer import decode_rejects
from ingest.history.history import HistoryWriter, Refused, StoreAway
from ingest.history.quarantine import Entry, Quarantine
from telemetry.batch import ReadingBatch, concatenate, decode_batch
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Stored

CURSOR = "history"
ROWS_MAX = 200_000  # written at once
AGE_MAX_S = 2.0  # the longest a reading waits for company
_REST_PER_WRITE = 3.0  # after a write, as a multiple of what it took: the loop spends a quarter of its time on them
_NOTE_S = 1.0  # the cursor is noted no more often, as each time is a sync of the journal's disk
REFUSED = "refused-by-history"
_RETRY_FIRST_S = 0.5
_RETRY_MAX_S = 60.0
_ASKED_MAX_S = 600.0  # a store that asks for more patience than this is tried meanwhile


class HistoryLoop:
    """Carries readings from the journal into history, and refusals into quarantine."""

    def __init__(self, journal: Journal, writer: HistoryWriter, quarantine: Quarantine, clock: Clock) -> None:
        self._journal = journal
        self._writer = writer
        self._quarantine = quarantine
        self._clock = clock
        self._random = random.Random()  # jitter only
        self._refused_before = quarantine.cursor()
        self._has_started = False
        self._written = self._read = journal.cursor(CURSOR)
        self._batches: list[ReadingBatch] = []
        self._ends: list[
            tuple[int, int, int]
        ] = []  # of each batch: row after its last, its record, when that was learned
        self.trouble: StoreAway | None = None  # what keeps history from being written, while it does
        self.has_written = False
        self._row_count = 0
        self._oldest_s = 0.0  # when the oldest of the batches in hand was read
        self._rests_until_s = clock.monotonic_s()
        self._noted, self._noted_s = self._written, -_NOTE_S

    def warning(self) -> str:
        """What an administrator should know of the store."""
        return self._writer.warning()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then once more so that nothing waits unwritten."""
        delay_s = _RETRY_FIRST_S
        while True:
            is_stopping = stop.is_set()
            try:
                has_more = self.step(is_stopping)
            except Unavailable as error:
                events.history_unavailable(str(error), is_first=delay_s == _RETRY_FIRST_S)
                if stop.wait(pause_s(error, delay_s, self._random)):
                    return
                delay_s = min(delay_s * 2, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_FIRST_S
            if not has_more:
                if is_stopping:
                    return
                self._journal.wait(self._read, min(0.5, self._due_in_s()) if self._batches else 0.5)

    def step(self, is_stopping: bool = False) -> bool:
        """Do a bounded piece of work; True when there is more to do at once.

        Raises Unavailable: a store is away. What is in hand stays in hand; call again later.
        """
        if not self._has_started:
            self._writer.start(self._written)
            self._has_started = True
        records = self._journal.read(self._read) if self._row_count < ROWS_MAX else []
        for record in records:
            self._take(record)
            self._read = record.offset
        if self._batches and (self._row_count >= ROWS_MAX or self._due_in_s() <= 0 or is_stopping):
            self._keep()
        elif is_stopping and not self._batches:
            self._written = self._read
        self._note(is_stopping)
        return bool(records) or (self._writer.tidy() and not is_stopping)

    def _due_in_s(self) -> float:
        """Until what is in hand has waited long enough, and the last write is long enough ago."""
        return max(self._oldest_s + self._writer.gather_s, self._rests_until_s) - self._clock.monotonic_s()

    def _note(self, is_stopping: bool) -> None:
        """Move the cursor to what is written. What was written since the last time is written again after a crash."""
        now_s = self._clock.monotonic_s()
        if self._written > self._noted and (is_stopping or now_s - self._noted_s >= _NOTE_S):
            self._journal.set_cursor(CURSOR, self._written)
            self._noted, self._noted_s = self._written, now_s

    def _take(self, record: Stored) -> None:
        if record.kind in (Kind.READINGS, Kind.BACKLOG):
            if not self._batches:
                self._oldest_s = self._clock.monotonic_s()
            self._batches.append(decode_batch(record.payload))
            self._row_count += len(self._batches[-1])
            self._ends.append((self._row_count, record.offset, record.time_ms))
        elif record.kind is Kind.REJECTS and record.offset > self._refused_before:
            found = [
                Entry(record.time_ms, r.reason, r.detail, r.topic, r.excerpt, r.count)
                for r in decode_rejects(record.payload)
            ]
            try:
                self._quarantine.add(record.offset, found)
            except DATABASE_AWAY as error:
                raise Unavailable(f"quarantine: {error}") from error

    def _keep(self) -> None:
        first, last, batch = self._written + 1, self._read, concatenate(self._batches)
        began_s = self._clock.monotonic_s()
        try:
            refused = self._writer.write(batch, first, last)
        except StoreAway as error:
            self.trouble = error
            raise
        self._quarantine_readings(refused)
        now_s = self._clock.monotonic_s()
        self._rests_until_s = now_s + min(_REST_PER_WRITE * (now_s - began_s), AGE_MAX_S)
        self._batches, self._ends, self._row_count, self._written = [], [], 0, last
        self.trouble, self.has_written = None, True
        events.history_written(len(batch), self._journal.last - last)

    def _quarantine_readings(self, refused: Sequence[Refused]) -> None:
        found = []
        for row, why, excerpt in refused:
            number = bisect.bisect_right(self._ends, row, key=lambda end: end[0])
            _, record, time_ms = self._ends[number]
            start = self._ends[number - 1][0] if number else 0
            found.append((record, row - start, Entry(time_ms, REFUSED, why, "", excerpt, 1)))
            events.rejected(REFUSED, 1, "", f"{why}: {excerpt}")
        if found:
            try:
                self._quarantine.refuse(found)
            except DATABASE_AWAY as error:
                raise Unavailable(f"quarantine: {error}") from error


def pause_s(error: Unavailable, delay_s: float, chance: random.Random) -> float:
    """How long to wait after a failure: with jitter, no shorter than the store asks, slowly where a person must act."""
    asked_s = 0.0
    if isinstance(error, StoreAway):
        asked_s = min(error.retry_after_s, _ASKED_MAX_S)
        delay_s = _RETRY_MAX_S if error.needs else delay_s
    return asked_s + delay_s * chance.uniform(0.5, 1.0)
