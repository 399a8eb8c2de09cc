"""Runs the engine: reads the journal, stores what follows, keeps a snapshot, and puts people's commands into the journal.

After a crash the engine is the snapshot plus the records after it; effects that were stored before are left alone, so
the outcome is the same as without the crash. A snapshot of another version is not read: the journal is.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial

import msgspec
import sqlalchemy as sa

from alerts import events
from alerts.alarm import Alarm
from alerts.engine import SNAPSHOT_VERSION, Effects, Engine, snapshot_version
from alerts.program import Program
from alerts.store import Store
from alerts.texts import document
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record

CURSOR = "alerts"
SNAPSHOT_EVERY_S = 20.0
COMMANDS_EVERY_S = 0.1
_RECORDS_MAX = 200  # read at once: so much is stored in one transaction


class AlertWorker:
    """One thread that owns the engine."""

    def __init__(
        self,
        journal: Journal,
        program: Program,
        catalogue: Catalogue,
        store: Store,
        clock: Clock,
        on_notices: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._on_notices = on_notices
        self._rules = {rule.id: rule for rule in program.rules}
        self._random = random.Random()  # jitter only
        self.engine = Engine(program)
        self.position = 0
        self._stored = 0
        self._kept = 0
        self._resume(program)
        self._kept = self.position
        events.watch_lag(lambda: self.lag)

    @property
    def lag(self) -> int:
        """Journal records whose effects are still to come."""
        return self._journal.last - self._kept

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then keep a last snapshot, so that the next start has nothing to repeat."""
        snapshot_s = commands_s = self._clock.monotonic_s()
        while not stop.is_set():
            records = self._journal.read(self.position, _RECORDS_MAX)
            merged = Effects()
            for record in records:
                self._merge(merged, self.engine.apply(record), record.offset)
                self.position = record.offset
            if not self._patiently(partial(self._keep, merged), stop):
                return
            events.progressed(len(list(self.engine.open_alarms)), merged.late)
            now_s = self._clock.monotonic_s()
            if now_s - commands_s >= COMMANDS_EVERY_S:
                commands_s = now_s
                self._patiently(self._take_commands, stop)
            if now_s - snapshot_s >= SNAPSHOT_EVERY_S:
                snapshot_s = now_s
                self._patiently(self._snapshot, stop)
            if not records:
                self._journal.wait(self.position, COMMANDS_EVERY_S)
        self._patiently(self._snapshot, stop)

    def _resume(self, program: Program) -> None:
        self._stored, snapshot_cursor, saved = self._store.memory()
        if saved is not None and snapshot_version(saved) != SNAPSHOT_VERSION:
            events.snapshot_ignored("its snapshot was written by another version")
            saved = None
        if saved is not None:
            self.position = snapshot_cursor
            retired = self.engine.load(saved, self._clock.now_ms())
            if retired.transitions:
                self._keep(retired)
        elif self._stored and self._journal.first > 1:
            events.snapshot_ignored(f"records before {self._journal.first} are no longer held")

    def _merge(self, merged: Effects, new: Effects, offset: int) -> None:
        """Gather effects; those of records that were stored before a crash only bring the engine up to date."""
        merged.late += new.late
        if offset > self._stored:
            merged.transitions += new.transitions
            merged.alarms |= new.alarms
            merged.answers |= new.answers

    def _keep(self, effects: Effects) -> None:
        if not (effects.transitions or effects.answers):
            # Nothing to store; the cursor follows with the next snapshot.
            self._kept = self.position
            return
        documents = {a.id: document(a, self._rules.get(a.rule), self._catalogue) for a in effects.alarms.values()}
        channels = {a.id: self._channels(a) for a in effects.alarms.values()}
        cursor = max(self.position, self._stored)
        has_notices = self._store.apply(
            cursor, effects.transitions, effects.alarms, documents, channels, effects.answers
        )
        self._stored = cursor
        self._kept = self.position
        for taken in effects.transitions:
            events.transition(effects.alarms[taken.alarm], taken)
        if has_notices:
            self._on_notices()

    def _channels(self, alarm: Alarm) -> tuple[str, ...]:
        rule = self._rules.get(alarm.rule)
        return rule.notify if rule else ()

    def _take_commands(self) -> None:
        waiting = self._store.waiting_commands()
        if not waiting:
            return
        now_ms = self._clock.now_ms()
        records = [Record(Kind.COMMAND, now_ms, msgspec.json.encode({**body, "id": name})) for name, body in waiting]
        self._journal.append(records)
        self._store.journaled(name for name, _ in waiting)

    def _snapshot(self) -> None:
        self._store.keep_snapshot(self.position, self.engine.save())
        self._journal.set_cursor(CURSOR, self.position)

    def _patiently(self, attempt: Callable[[], None], stop: threading.Event) -> bool:
        """Try until the database takes it, with growing pauses; False when stopped before."""
        delay_s, is_first = 0.2, True
        while True:
            try:
                attempt()
                return True
            except (sa.exc.OperationalError, Unavailable) as error:
                events.database_unavailable(str(error), is_first)
                is_first = False
            if stop.wait(delay_s * self._random.uniform(0.5, 1.0)):
                return False
            delay_s = min(delay_s * 2, 30.0)
