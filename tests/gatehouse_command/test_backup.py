"""A backup of a district at work, and what a bare machine makes of it."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerts.store import Store, alarms, memory, transitions
from alerts.worker import AlertWorker
from api.audit import Audit
from gatehouse import backup as backups
from gatehouse.backup import backup, restore
from gatehouse.migrate import migrate
from gatehouse.settings import Settings, load_settings
from ingest.history.history import Aggregate, series_places
from ingest.history.loop import HistoryLoop
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from ingest.history.quarantine import Quarantine
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.journal import Journal
from telemetry.series import SeriesRegistry
from tests import district
from tests.alerts.test_engine import T0
from tests.alerts.test_worker import records


class AtWork:
    """The parts of a core that keep something, worked by hand."""

    def __init__(self, config: Path) -> None:
        self.settings = load_settings(config)
        migrate(self.settings.database.url)
        self.database = open_database(self.settings.database.url)
        self.journal = Journal(self.settings.journal.path, segment_bytes=4_000)
        self.catalogue = Catalogue.load(self.settings.catalogue)
        self.registry = SeriesRegistry.open(self.journal, self.catalogue)
        self.clock = ManualClock(T0)
        _, _, program = district.load(config.parent / "district-again")
        self.alerts = AlertWorker(self.journal, program, self.catalogue, Store(self.database), self.clock, lambda: None)

    def judge(self) -> None:
        stop = threading.Event()
        stop.set()
        while self.alerts.lag:
            for record in self.journal.read(self.alerts.position, 50):
                effects = self.alerts.engine.apply(record)
                self.alerts.position = record.offset
                self.alerts._keep(effects)
        self.alerts._snapshot()

    def keep_history(self) -> None:
        assert isinstance(self.settings.history, ParquetSettings)
        writer = ParquetWriter(self.settings.history.folder, series_places(self.registry, self.catalogue))
        stop = threading.Event()
        stop.set()
        HistoryLoop(self.journal, writer, Quarantine(self.database), self.clock).run(stop)


def state_of(settings: Settings) -> tuple[list[Any], list[Any], list[Any]]:
    """Alarms with their transitions, and history."""
    database = open_database(settings.database.url)
    with database.connect() as db:
        shown = [tuple(row) for row in db.execute(sa.select(alarms).order_by(alarms.c.id))]
        steps = [tuple(row) for row in db.execute(sa.select(transitions).order_by(transitions.c.id))]
    assert isinstance(settings.history, ParquetSettings)
    reader = ParquetReader(settings.history.folder)
    curve = reader.read("drain-level", "level-1", "level", T0 - 1, T0 + 10**9, None, Aggregate.LAST)
    return shown, steps, list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    return district.write_district(folder)


def test_a_bare_machine_goes_on_from_a_backup_with_the_same_alarms_and_history(config: Path, tmp_path: Path) -> None:
    first = AtWork(config)
    half = records()[:300]
    first.journal.append(half)
    first.judge()
    first.keep_history()
    first.journal.append(records()[300:320])  # not judged, not in history yet
    for number in range(3):
        Audit(first.database, first.clock).record("li", "log-in", str(number), "done")
    backup(config, tmp_path / "copy")  # with everything open, as while running
    expected_alarms, expected_steps, _ = state_of(first.settings)
    assert expected_alarms

    first.judge()
    first.keep_history()
    shutil.move(config.parent, tmp_path / "lost")

    again = tmp_path / "bare" / "gatehouse.yaml"
    settings = restore(tmp_path / "copy", again)
    shown, steps, _ = state_of(settings)
    assert (shown, steps) == (expected_alarms, expected_steps)
    second = AtWork(again)
    audit = Audit(second.database, second.clock)
    audit.record("li", "log-in", "on the bare machine", "done")
    assert audit.faults() == []
    assert [row["subject"] for row in audit.rows()][-4:] == ["0", "1", "2", "on the bare machine"]
    assert second.journal.last == 1 + len(half) + 20  # with the rules in front; they have not changed
    second.judge()
    second.keep_history()
    lost = load_settings(tmp_path / "lost" / "gatehouse.yaml")
    assert state_of(settings) == state_of(lost)


def test_a_backup_that_was_changed_is_refused(config: Path, tmp_path: Path) -> None:
    AtWork(config).journal.append(records()[:5])
    backup(config, tmp_path / "copy")
    file = max((tmp_path / "copy" / "journal").glob("*.db"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(BadInput, match="not what was backed up"):
        restore(tmp_path / "copy", tmp_path / "bare" / "gatehouse.yaml")
    with pytest.raises(BadInput, match=r"manifest\.json"):
        restore(tmp_path, tmp_path / "bare" / "gatehouse.yaml")


def test_nothing_that_stands_is_written_over(config: Path, tmp_path: Path) -> None:
    AtWork(config).journal.append(records()[:5])
    backup(config, tmp_path / "copy")
    with pytest.raises(BadConfiguration, match="is not empty"):
        restore(tmp_path / "copy", config)
    with pytest.raises(BadConfiguration, match="exists"):
        backup(config, tmp_path / "copy")


def test_a_backup_whose_parts_do_not_fit_is_made_again_and_in_the_end_given_up(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copies of two parts the core may trim its journal past what the copied alarms still need."""
    work = AtWork(config)
    for record in records()[:300]:
        work.journal.append([record])
    work.judge()
    copy_tables = backups._save_tables
    tries = []

    def meddle(url: str, folder: Path, progress: Any) -> tuple[int, int]:
        judged, _ = copy_tables(url, folder, progress)
        tries.append(judged)
        return (judged, 0) if len(tries) < 3 or tries[0] < 0 else (judged, work.journal.last)

    monkeypatch.setattr(backups, "_save_tables", meddle)
    work.journal.trim(100)
    assert work.journal.first > 1
    backup(config, tmp_path / "copy")
    assert len(tries) == 3
    tries[:] = [-1]
    with pytest.raises(Unavailable, match="changed faster"):
        backup(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".other*"))


def test_the_database_of_a_backup_is_never_ahead_of_its_journal(config: Path, tmp_path: Path) -> None:
    work = AtWork(config)
    work.journal.append(records()[:50])
    work.judge()
    backup(config, tmp_path / "copy")
    settings = restore(tmp_path / "copy", tmp_path / "bare" / "gatehouse.yaml")
    with open_database(settings.database.url).connect() as db:
        judged = db.execute(sa.select(memory.c.cursor)).scalar_one()
    assert judged <= Journal(settings.journal.path).last
