"""The engine with its database: what a crash leaves, and that it cannot be told from no crash."""

import json
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerts.store import Store, alarms, commands, notices, transitions
from alerts.worker import AlertWorker
from gatehouse.migrate import migrate
from telemetry.batch import encode_batch
from telemetry.clock import ManualClock, SystemClock
from telemetry.database import open_database
from telemetry.journal import Journal, Kind, Record
from tests import district
from tests.alerts.test_engine import T0, Row, batch


class Crash(BaseException):
    """The power fails."""


class FragileStore(Store):
    """Crashes before or after its n-th write."""

    def __init__(self, database: sa.Engine, crash_at: int) -> None:
        super().__init__(database)
        self._left = crash_at

    def _maybe(self) -> None:
        self._left -= 1
        if not self._left:
            raise Crash

    def apply(self, *given: Any) -> bool:
        self._maybe()
        has_notices = super().apply(*given)
        self._maybe()
        return has_notices

    def keep_snapshot(self, cursor: int, snapshot: bytes) -> None:
        self._maybe()
        super().keep_snapshot(cursor, snapshot)
        self._maybe()


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/gatehouse.db"
    migrate(made)
    return made


def records() -> list[Record]:
    """An eventful hour."""
    rng = random.Random(3)
    made = []
    for second in range(0, 600, 10):
        rows: list[Row] = [
            ("level-1/level", round(0.5 + 0.003 * second + rng.choice([-0.01, 0, 0.01]), 3), second),
            ("level-2/level", rng.choice([0.2, 0.72, 0.9]), second),
            ("meter/power", rng.choice([100.0, 1500.0]), second),
        ]
        if rng.random() < 0.2:
            rows.append(("scanner/skin_temperature", 38.4, second, {"key": f"p{second}"}))
        if second < 400:
            rows.append(("scanner/ambient_temperature", 20.0, second))
        made.append(Record(Kind.READINGS, T0 + second * 1000, encode_batch(batch(rows))))
        made += [Record(Kind.TICK, T0 + (second + i) * 1000, b"connected") for i in range(1, 10)]
    return made


def work(tmp_path: Path, journal: Journal, store: Store, pieces: random.Random) -> None:
    """Work through the journal as the worker does, with snapshots now and then; a crash leaves from here."""
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, store, ManualClock(T0), lambda: None)
    while worker.lag:
        worker._keep(worker.judge(journal.read(worker.position, pieces.randint(1, 40))))
        if pieces.random() < 0.3:
            worker._snapshot()


def outcome(url: str) -> list[tuple[Any, ...]]:
    database = open_database(url)
    with database.connect() as db:
        steps = db.execute(
            sa.select(
                transitions.c.alarm,
                transitions.c.seq,
                transitions.c.what,
                transitions.c.severity,
                transitions.c.event_ms,
                transitions.c.known_ms,
                transitions.c.reason,
                transitions.c.value,
            ).order_by(transitions.c.alarm, transitions.c.seq)
        ).all()
        shown = db.execute(
            sa.select(alarms.c.id, alarms.c.is_open, alarms.c.seq, alarms.c.severity).order_by(alarms.c.id)
        )
        sent = db.execute(sa.select(notices.c.key).order_by(notices.c.key)).all()
        found = [tuple(row) for row in [*steps, *shown.all(), *sent]]
    database.dispose()
    return found


def undisturbed(tmp_path: Path, journal: Journal) -> list[tuple[Any, ...]]:
    url = f"sqlite:///{tmp_path}/calm.db"
    migrate(url)
    database = open_database(url)
    work(tmp_path, journal, Store(database), random.Random(0))
    database.dispose()
    return outcome(url)


def test_no_crash_at_any_write_shows_in_the_outcome(tmp_path: Path, url: str) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(records())
    expected = undisturbed(tmp_path, journal)
    assert len(expected) > 50
    crashes = 0
    for crash_at in range(1, 70):
        database = open_database(url)
        with database.begin() as db:
            for table in ("notice", "transition", "alarm", "engine_memory"):
                db.execute(sa.text(f"DELETE FROM {table}"))
        pieces = random.Random(crash_at)
        while True:
            try:
                work(tmp_path, journal, FragileStore(database, crash_at), pieces)
                break
            except Crash:
                crashes += 1
                crash_at += 7  # the next attempt gets further
        database.dispose()
        assert outcome(url) == expected
    assert crashes > 40


def test_a_snapshot_of_another_version_is_not_trusted(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(records())
    database = open_database(url)
    work(tmp_path, journal, Store(database), random.Random(0))
    before = outcome(url)
    monkeypatch.setattr("alerts.worker.SNAPSHOT_VERSION", 999)
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, Store(database), ManualClock(T0), lambda: None)
    assert worker.position == 0
    work(tmp_path, journal, Store(database), random.Random(5))
    database.dispose()
    assert outcome(url) == before


def test_a_command_travels_from_its_row_through_the_journal_to_its_answer(tmp_path: Path, url: str) -> None:
    journal = Journal(tmp_path / "journal.db")
    database = open_database(url)
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, Store(database), SystemClock(), lambda: None)
    body: Mapping[str, Any] = {"action": "close", "alarm": "none", "seq": 1, "actor": "li"}
    with database.begin() as db:
        db.execute(commands.insert().values(id="c1", created_ms=1, body=body, state="waiting"))
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        for _ in range(200):
            with database.connect() as db:
                row = db.execute(sa.select(commands)).one()
            if row.state == "refused":
                break
            threading.Event().wait(0.02)
    finally:
        stop.set()
        thread.join()
    assert (row.state, row.answer) == ("refused", "the alarm is closed")
    (record,) = [r for r in journal.read(0) if r.kind is Kind.COMMAND]
    assert json.loads(record.payload)["id"] == "c1"
    database.dispose()
