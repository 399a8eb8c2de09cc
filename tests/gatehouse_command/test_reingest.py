"""`gatehouse reingest`: a day that a disk has spoilt comes back from the journal, or from what was exported."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gatehouse import reingest
from gatehouse.export import Wanted, export
from gatehouse.settings import Settings, load_settings
from ingest.history.history import Aggregate, series_places
from ingest.history.loop import CURSOR
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from telemetry import batch as batch_columns
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district
from tests.servers import gatehouse

DAY_MS = 86_400_000
T0 = 1_700_000_000_000 // DAY_MS * DAY_MS
HOURS = 3_600_000


class District:
    """A core's journal and history of four days, rolled up."""

    def __init__(self, folder: Path, segment_bytes: int = 20_000) -> None:
        self.config = district.write_district(folder)
        self.settings: Settings = load_settings(self.config, {})
        self.folder: Path = self.settings.history.folder  # type: ignore[union-attr]
        catalogue = Catalogue.load(self.settings.catalogue)
        journal = Journal(self.settings.journal.path, segment_bytes=segment_bytes)
        registry = SeriesRegistry.open(journal, catalogue)
        places = series_places(registry, catalogue)
        power, scan = registry.index["meter", "power"], registry.index["scanner", "skin_temperature"]
        writer = ParquetWriter(self.folder, places)
        writer.start(0)
        made = np.random.default_rng(1)
        for number in range(24):
            time_ms = T0 + number * 4 * HOURS + np.arange(0, 4 * HOURS, 80_000)
            series = np.where(np.arange(180) % 30 == 0, scan, power).astype(np.uint32)
            batch = ReadingBatch(
                series, time_ms, (36 + made.random(180)).round(3), np.zeros(180, np.uint8), {0: f"p{number}"}
            )
            last = journal.append([Record(Kind.READINGS, T0, encode_batch(batch)), Record(Kind.TICK, T0, b"connected")])
            assert not writer.write(batch, last - 1, last)
            journal.set_cursor(CURSOR, last)
        self.last = last
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("ingest.history.parquet._ROLL_QUIET_S", 0.0)
            patched.setattr("ingest.history.parquet._DELETE_AFTER_S", 0.0)
            while writer.tidy():
                pass
        journal.close()

    def days(self, day: int) -> list[Path]:
        name = np.datetime64(T0 // DAY_MS + day, "D")
        return sorted(self.folder.glob(f"kind=*/day={name}/*.parquet"))

    def answers(self) -> list[object]:
        reader = ParquetReader(self.folder)
        found: list[object] = []
        for kind, device, metric in (("room-meter", "meter", "power"), ("gate-scanner", "scanner", "skin_temperature")):
            span = (kind, device, metric, T0, T0 + 4 * DAY_MS)
            for every_ms in (None, 60_000, HOURS):
                curve = reader.read(*span, every_ms, Aggregate.MEAN)
                found.append((curve.time_ms.tolist(), curve.value.tolist()))
        return found

    def keys(self) -> list[object]:
        reader = ParquetReader(self.folder)
        return sorted(reader.identities("gate-scanner", T0, T0 + 4 * DAY_MS).column("key").drop_null().to_pylist())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(part) for part in gatehouse("reingest", *arguments, "--config", self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def day_name(day: int) -> str:
    return str(np.datetime64(T0 // DAY_MS + day, "D"))


def test_a_spoilt_day_comes_back_from_the_journal_with_its_keys_and_rollups(tmp_path: Path) -> None:
    made = District(tmp_path)
    before, keys = made.answers(), made.keys()
    for path in made.days(1):
        path.write_bytes(b"PAR1 spoilt PAR1")
    for path in made.folder.glob("rollup=*/kind=*/month=*/*"):
        path.write_bytes(b"PAR1 spoilt PAR1")
    with pytest.raises(Unavailable):
        made.answers()
    done = made.run("--day", day_name(0), "--until", day_name(3))
    assert done.returncode == 0, done.stderr
    assert f"{24 * 180:,} readings of 4 days made anew" in done.stdout
    assert made.answers() == before
    assert made.keys() == keys
    assert len(made.days(1)) == 2


def test_another_process_that_writes_history_is_waited_for_by_nobody(tmp_path: Path) -> None:
    made = District(tmp_path)
    holding = (
        f"import sys; from pathlib import Path; from ingest.history.parquet import ParquetWriter\n"
        f"w = ParquetWriter(Path({str(made.folder)!r}), []); w.start({made.last})\n"
        "print('holds', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as core:
        assert core.stdout is not None and core.stdout.readline() == "holds\n"
        done = made.run("--day", day_name(0))
        assert done.returncode == 1
        assert "another process writes history" in done.stderr
        core.communicate("")
    assert made.run("--day", day_name(0)).returncode == 0


def test_records_of_other_days_are_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = District(tmp_path)
    held: list[int] = []

    def concatenate(batches: Sequence[ReadingBatch]) -> ReadingBatch:
        held.append(len(batches))
        return batch_columns.concatenate(batches)

    monkeypatch.setattr(reingest, "concatenate", concatenate)
    days = range(T0 // DAY_MS + 2, T0 // DAY_MS + 3)
    taken = reingest._Taken(made.settings.journal.path, 1, made.last, days, lambda done, total: None)
    ((_, batch),) = taken.batches()
    assert len(batch) == taken.count == 6 * 180
    assert held == [6]


def test_what_the_journal_has_forgotten_is_said_and_comes_back_from_an_export(tmp_path: Path) -> None:
    made = District(tmp_path)
    before = made.answers()
    kept = tmp_path / "kept.parquet"
    export(made.settings, kept, "parquet", Wanted(T0, T0 + 4 * DAY_MS))
    journal = Journal(made.settings.journal.path)
    journal.trim(made.last)
    assert journal.first > 6
    journal.close()
    for path in made.days(0):
        path.write_bytes(b"PAR1 spoilt PAR1")
    done = made.run("--day", day_name(0))
    assert done.returncode == 1
    assert "the journal no longer has it all" in done.stderr
    assert made.answers() != before
    done = made.run("--day", day_name(0), "--from", str(kept))
    assert done.returncode == 0, done.stderr
    assert f"{6 * 180:,} readings of 1 days" in done.stdout
    assert made.answers() == before


def test_a_day_that_was_let_go_of_keeps_what_rollups_say_of_it(tmp_path: Path) -> None:
    made = District(tmp_path, segment_bytes=10_000)
    for path in made.days(0):
        path.unlink()
    (made.folder / "kept.json").write_text(f'{{"from_day": {T0 // DAY_MS + 1}}}')
    before = made.answers()
    journal = Journal(made.settings.journal.path)
    journal.trim(11)  # of this day it holds a part only
    assert 1 < journal.first < 12
    journal.close()
    done = made.run("--day", day_name(0), "--until", day_name(1))
    assert done.returncode == 1
    assert f"readings before {day_name(1)} have been let go of" in done.stderr
    assert made.answers() == before


def test_older_files_that_are_whole_stay_when_the_journal_has_forgotten_their_records(tmp_path: Path) -> None:
    made = District(tmp_path)
    before = made.answers()
    journal = Journal(made.settings.journal.path)
    journal.trim(made.last)
    journal.close()
    assert made.run("--day", day_name(0), "--until", day_name(3)).returncode == 0
    assert made.answers() == before


def test_a_core_with_an_older_journal_distrusts_newer_rollups(tmp_path: Path) -> None:
    made = District(tmp_path)
    catalogue = Catalogue.load(made.settings.catalogue)
    journal = Journal(made.settings.journal.path)
    places = series_places(SeriesRegistry.open(journal, catalogue), catalogue)
    journal.close()
    for path in made.days(0):  # let go of
        path.unlink()
    gone = made.answers()
    writer = ParquetWriter(made.folder, places)
    writer.start(15)  # what a backup of an hour ago would say
    assert not [path for path in made.folder.glob("rollup=*/kind=*/month=*/*") if int(path.stem[-12:]) > 15]
    now = made.answers()
    first_days = T0 + DAY_MS
    for old, new in zip(gone[2::3], now[2::3], strict=True):  # by the hour
        kept_hours = [pair for pair in zip(*old, strict=True) if pair[0] < first_days]  # type: ignore[misc]
        assert kept_hours == [pair for pair in zip(*new, strict=True) if pair[0] < first_days]  # type: ignore[misc]
        assert kept_hours
