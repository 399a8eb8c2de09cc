"""A backup of a district at work, and what a bare machine makes of it."""

import itertools
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from alerts.people import load_people
from alerts.store import Store, alarms, memory, transitions
from alerts.worker import AlertWorker
from api.audit import Audit
from api.dormitories.building import load_dormitories, rooms_of
from api.duties import load_duties
from gatehouse import backup as backups
from gatehouse.__main__ import app
from gatehouse.backup import backup, not_in_it, restore
from gatehouse.core import Core
from gatehouse.migrate import migrate
from gatehouse.settings import Settings, load_settings
from ingest.history.history import Aggregate, series_places
from ingest.history.loop import HistoryLoop
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from ingest.history.quarantine import Quarantine
from ingest.history.settings import ParquetSettings
from telemetry import journal_files
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.journal import Journal
from telemetry.series import SeriesRegistry
from tests import district, dormitory
from tests.alerts.test_engine import T0
from tests.alerts.test_worker import records
from tests.gatehouse_command.test_missed import Site, at

PEOPLE = """
people:
  - {id: li, name: {en: Li Wei, zh: 李卫}, addresses: {pager: "1"}}
  - {id: wang, name: Wang Fang, language: en, roles: [engineer], addresses: {pager: "2"}}
rosters:
  - {id: nights, name: Nights, shifts: [{people: [li]}]}
routes:
  - {id: water, duty: [nights], channels: [pager]}
  - {id: duties, duty: [nights, engineer], channels: [pager]}
system_route: water
duty_route: duties
"""


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


def test_what_is_secret_is_so_in_a_backup_and_after_it(config: Path, tmp_path: Path) -> None:
    AtWork(config).journal.append(records()[:5])
    config.chmod(0o640)
    before = os.umask(0o022)
    try:
        backup(config, tmp_path / "copy")
        restore(tmp_path / "copy", tmp_path / "bare" / "gatehouse.yaml")
    finally:
        os.umask(before)
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0  # second factors stand in its tables, tokens in its settings
    assert (tmp_path / "bare" / "gatehouse.yaml").stat().st_mode & 0o777 == 0o640


def test_what_was_never_started_has_no_backup_and_no_empty_database_is_made(config: Path, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"gatehouse.db is not there.*never started"):
        backup(config, tmp_path / "copy")
    assert not Path(sa.make_url(load_settings(config).database.url).database or "").exists()


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


def test_every_bit_of_a_manifest_counts_and_nothing_is_restored_that_it_does_not_name(
    config: Path, tmp_path: Path
) -> None:
    AtWork(config).journal.append(records()[:5])
    copy, bare = tmp_path / "copy", tmp_path / "bare" / "gatehouse.yaml"
    backup(config, copy)
    manifest = copy / "manifest.json"
    whole = manifest.read_bytes()
    # The lists of names and checksums are long, and one name is like another.
    places = [*range(200), *range(200, len(whole) - 200, 17), *range(len(whole) - 200, len(whole))]
    for place, bit in itertools.product(places, range(8)):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        manifest.write_bytes(data)
        with pytest.raises(BadInput):
            backups._check_whole(copy)
    manifest.write_bytes(whole)
    more = copy / "journal" / "0000000000000099.db"
    more.write_bytes(b"of another journal")
    with pytest.raises(BadInput, match=r"99\.db is nothing that was backed up"):
        restore(copy, bare)
    more.unlink()
    restore(copy, bare)


def test_nothing_that_stands_is_written_over(config: Path, tmp_path: Path) -> None:
    AtWork(config).journal.append(records()[:5])
    backup(config, tmp_path / "copy")
    with pytest.raises(BadConfiguration, match="is not empty"):
        restore(tmp_path / "copy", config)
    with pytest.raises(BadConfiguration, match="exists"):
        backup(config, tmp_path / "copy")


@pytest.mark.parametrize("stage", ["config", "journal", "history", "tables"])
def test_a_restore_that_broke_off_is_simply_tried_again(
    manned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    AtWork(manned).journal.append(records()[:5])
    backup(manned, tmp_path / "copy")
    copied, loaded = shutil.copytree, backups._load_tables

    def copytree(source: Path, target: Path, **given: Any) -> Path:
        made = copied(source, target, **given)
        if stage in (source.name, source.parent.name):
            raise OSError(28, "No space left on device")
        return made

    def load_tables(url: str, folder: Path) -> None:
        if stage == "tables":
            raise OSError(28, "No space left on device")
        loaded(url, folder)

    again = tmp_path / "bare" / "gatehouse.yaml"
    with monkeypatch.context() as broken:
        broken.setattr(shutil, "copytree", copytree)
        broken.setattr(backups, "_load_tables", load_tables)
        with pytest.raises(Unavailable, match="No space left"):
            restore(tmp_path / "copy", again)
    settings = restore(tmp_path / "copy", again)
    assert Journal(settings.journal.path).last == Journal(load_settings(manned).journal.path).last


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


@pytest.fixture
def manned(config: Path) -> Path:
    """The district with people, in a folder elsewhere, with duties and with a dormitory; a rule names a route."""
    folder = config.parent
    dormitory.write(folder)
    district.write_duties(folder)
    (folder.parent / "staff").mkdir()
    (folder.parent / "staff" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    rules = district.RULES.replace("notify: [pager]", "notify: [pager]\n    route: water")
    (folder / "rules" / "all.yaml").write_text(rules, encoding="utf-8")
    config.write_text(f"people: {folder.parent / 'staff'}\n{config.read_text().rstrip()}", encoding="utf-8")
    return config


def declared_in(settings: Settings) -> tuple[Any, ...]:
    """Who is called and who is on duty, what is to be done daily, and the rooms with what they pay."""
    catalogue = Catalogue.load(settings.catalogue)
    houses = load_dormitories(settings.dormitories, catalogue)
    rooms = [rooms_of(catalogue, building.place) for building in houses.buildings]
    people = load_people(settings.people)
    addresses = [person.addresses for person in people.people]
    return people, addresses, load_duties(settings.duties, catalogue), houses, rooms


def test_on_a_bare_machine_the_same_people_are_called_about_the_same_duties_and_rooms(
    manned: Path, tmp_path: Path
) -> None:
    settings = load_settings(manned)
    expected = declared_in(settings)
    assert all(expected)
    first = Core(settings, ManualClock(at("2026-11-18T09:00")))
    backup(manned, tmp_path / "copy")
    first.journal.close()
    for folder in ("first", "staff"):
        shutil.move(tmp_path / folder, tmp_path / f"lost-{folder}")

    bare = tmp_path / "bare"
    restored = restore(tmp_path / "copy", bare / "gatehouse.yaml")
    assert declared_in(restored) == expected
    assert [restored.people, restored.duties, restored.dormitories] == [
        bare / "people",
        bare / "duties",
        bare / "dormitories",
    ]
    kept = json.loads((tmp_path / "copy" / "manifest.json").read_text())["files"]
    assert {"config/people/all.yaml", "config/duties/all.yaml", "config/dormitories/dorm.yaml"} <= kept.keys()

    again = Site(bare, ManualClock(at("2026-11-18T10:00")))
    again.look(5)
    assert {(row.recipient, row.body["alarm"]["device"]) for row in again.sent()} == {
        (person, duty) for person in ("li", "wang") for duty in ("round", "drains")
    }
    again.core.journal.close()


def test_a_backup_of_before_people_were_in_it_is_still_restored(manned: Path, tmp_path: Path) -> None:
    AtWork(manned).journal.append(records()[:5])
    copy = tmp_path / "copy"
    backup(manned, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for name in ("people", "duties", "dormitories"):
        shutil.rmtree(copy / "config" / name)
        manifest["files"] = {file: of for file, of in manifest["files"].items() if f"/{name}/" not in file}
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format": 1, "seal": ""}))

    restored = restore(copy, tmp_path / "bare" / "gatehouse.yaml")
    assert Catalogue.load(restored.catalogue).device
    assert restored.people == tmp_path / "staff"  # where the configuration of then says
    assert not restored.duties.exists()


def test_what_stands_is_found_before_anything_is_put_beside_it(manned: Path, tmp_path: Path) -> None:
    AtWork(manned).journal.append(records()[:5])
    backup(manned, tmp_path / "copy")
    (tmp_path / "bare" / "duties").mkdir(parents=True)
    with pytest.raises(BadConfiguration, match="duties exists already"):
        restore(tmp_path / "copy", tmp_path / "bare" / "gatehouse.yaml")
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["duties"]


def test_a_backup_is_made_again_when_a_segment_is_trimmed_before_it_is_opened(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = AtWork(config)
    for record in records()[:300]:
        work.journal.append([record])
    list_segments = journal_files.segment_files

    def trimmed_meanwhile(folder: Path) -> list[tuple[int, Path]]:
        listed = list_segments(folder)
        if folder == work.settings.journal.path:
            work.journal.trim(100)
        return listed

    monkeypatch.setattr(journal_files, "segment_files", trimmed_meanwhile)
    backup(config, tmp_path / "copy")
    assert work.journal.first > 1
    assert journal_files.summary(tmp_path / "copy" / "journal").first == work.journal.first


def test_a_backup_with_a_damaged_segment_is_given_up_at_once(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = AtWork(config)
    work.journal.append(records()[:50])
    work.journal.close()
    file = max(work.settings.journal.path.glob("*.db"))
    file.write_bytes(b"not a database " * 1000)
    copy_tables, tries = backups._save_tables, []

    def counted(url: str, folder: Path, progress: Any) -> tuple[int, int]:
        tries.append(url)
        return copy_tables(url, folder, progress)

    monkeypatch.setattr(backups, "_save_tables", counted)
    with pytest.raises(Unavailable, match="opening"):
        backup(config, tmp_path / "copy")
    assert len(tries) == 1


def test_a_backup_says_what_it_lacks(config: Path, tmp_path: Path) -> None:
    AtWork(config).journal.append(records()[:5])
    given = "broker: {tls: {ca: pki/ca.crt, certificate: 'pki/{client_id}.pem'}}\nwatch: {pki: authority}\n"
    config.write_text(config.read_text() + given)
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "copy"), "--config", str(config)])
    assert done.exit_code == 0
    folder = config.parent
    said = done.output.splitlines()[-1]
    assert said == not_in_it(load_settings(config))
    for lacks in ("keys/register.key", "authority", "pki/ca.crt", "pki/{client_id}.pem"):
        assert str(folder / lacks) in said
    for lacks in ("broker's own files", "`file:`", "gatehouse register copy"):
        assert lacks in said
    assert "InfluxDB" not in said
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.suffix in (".key", ".pem", ".crt")]
