"""The readers of the journal that keep history and quarantine: each with its own cursor, neither slowing anything else."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial

from ingest import events
from ingest.committer import decode_rejects
from ingest.history.history import HistoryWriter
from ingest.history.quarantine import Entry, Quarantine
from telemetry.batch import ReadingBatch, concatenate, decode_batch
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind

CURSOR = "history"
ROWS_MAX = 200_000  # written at once
AGE_MAX_S = 2.0  # the longest a reading waits for company
_RETRY_MAX_S = 60.0


class HistoryLoop:
    """Carries readings from the journal into history, and refusals into quarantine."""

    def __init__(self, journal: Journal, writer: HistoryWriter, quarantine: Quarantine, clock: Clock) -> None:
        self._journal = journal
        self._writer = writer
        self._quarantine = quarantine
        self._clock = clock
        self._random = random.Random()  # jitter only
        self._refused_before = quarantine.cursor()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then once more so that nothing waits unwritten."""
        written = self._journal.cursor(CURSOR)
        if not self._patiently(lambda: self._writer.start(written), stop):
            return
        read = written
        batches: list[ReadingBatch] = []
        row_count = 0
        oldest_s = 0.0
        while True:
            stopping = stop.is_set()
            records = self._journal.read(read)
            for record in records:
                read = record.offset
                if record.kind in (Kind.READINGS, Kind.BACKLOG):
                    if not batches:
                        oldest_s = self._clock.monotonic_s()
                    batches.append(decode_batch(record.payload))
                    row_count += len(batches[-1])
                elif record.kind is Kind.REJECTS and record.offset > self._refused_before:
                    found = [
                        Entry(record.time_ms, r.reason, r.detail, r.topic, r.excerpt, r.count)
                        for r in decode_rejects(record.payload)
                    ]
                    self._quarantine.add(record.offset, found)
            is_due = row_count >= ROWS_MAX or self._clock.monotonic_s() - oldest_s >= AGE_MAX_S or stopping
            if batches and is_due:
                first, batch = written + 1, concatenate(batches)
                if not self._patiently(partial(self._keep, batch, first, read), stop):
                    return
                batches, row_count, written = [], 0, read
            elif not batches and read > written and stopping:
                self._journal.set_cursor(CURSOR, read)
                written = read
            if not records:
                if stopping:
                    return
                self._patiently(self._writer.tidy, stop)
                self._journal.wait(read, 0.5)

    def _keep(self, batch: ReadingBatch, first: int, last: int) -> None:
        for refused in self._writer.write(batch, first, last):
            events.rejected("refused-by-history", 1, "", refused)
        self._journal.set_cursor(CURSOR, last)
        events.history_written(len(batch), self._journal.last - last)

    def _patiently(self, attempt: Callable[[], None], stop: threading.Event) -> bool:
        """Try until it works, with growing pauses; False when stopped before."""
        delay_s, is_first = 0.5, True
        while True:
            try:
                attempt()
                return True
            except Unavailable as error:
                events.history_unavailable(str(error), is_first)
                is_first = False
            if stop.wait(delay_s * self._random.uniform(0.5, 1.0)):
                return False
            delay_s = min(delay_s * 2, _RETRY_MAX_S)
