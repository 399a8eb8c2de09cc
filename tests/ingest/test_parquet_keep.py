"""What the embedded history lets go of, and what it still answers then."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.history.history import Aggregate, Refused, SeriesPlace
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_files import DAY_MS
from ingest.history.parquet_reader import ParquetReader
from ingest.history.settings import ParquetSettings
from telemetry.batch import ReadingBatch
from telemetry.clock import ManualClock

DAY = 20_700
HOUR = 3_600_000
SERIES = [SeriesPlace("m", "energy", "meter", "p", "s"), SeriesPlace("d", "level", "drain", "p", "s")]


class Store:
    def __init__(self, folder: Path, days: int, **keep: int) -> None:
        self.clock = ManualClock((DAY + days) * DAY_MS + HOUR)
        self.settings = ParquetSettings.model_validate({"folder": folder, **keep})
        self.folder = folder
        self.records = 0
        self.reopen()

    def reopen(self) -> None:
        self.writer = ParquetWriter(self.folder, SERIES, self.settings, self.clock)
        self.writer.start(self.records)

    def keep(self, day: int, value: float = 1.0) -> list[Refused]:
        self.records += 1
        time_ms = np.arange(24, dtype=np.int64) * HOUR + (DAY + day) * DAY_MS
        batch = ReadingBatch(
            np.repeat(np.array([0, 1], np.uint32), 24), np.tile(time_ms, 2), np.full(48, value), np.zeros(48, np.uint8)
        )
        return list(self.writer.write(batch, self.records, self.records))

    def tidy(self) -> None:
        self.clock.advance(601)
        for _ in range(100):
            while self.writer.tidy():
                pass

    @property
    def days(self) -> list[int]:
        names = {path.name.removeprefix("day=") for path in self.folder.glob("kind=*/day=*")}
        return sorted(int(np.datetime64(name).astype(int)) - DAY for name in names)

    def counts(self, days: int) -> list[float]:
        reader = ParquetReader(self.folder)
        span = (DAY * DAY_MS, (DAY + days) * DAY_MS)
        curve = reader.read("meter", "m", "energy", *span, DAY_MS, Aggregate.COUNT)
        return [float(count) for count in curve.value]


def test_readings_go_by_age_and_their_rollups_answer_for_them(tmp_path: Path) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3)
    for day in range(10):
        assert store.keep(day) == []
    store.tidy()
    assert store.days == [7, 8, 9]
    assert store.counts(10) == [24.0] * 10


def test_a_clock_that_is_years_ahead_lets_go_of_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3, keep_rollup_days=40)
    for day in range(6, 10):
        store.keep(day)
    store.clock.advance(50 * 366 * 86_400)
    store.tidy()
    assert store.days == [6, 7, 8, 9] and store.counts(10) == [24.0] * 4
    assert store.keep(10) == []


def test_what_comes_too_late_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3)
    for day in range(10):
        store.keep(day)
    store.tidy()
    for _ in range(2):
        refused = store.keep(2, value=9.0)
        assert [each.row for each in refused] == list(range(48))
        assert refused[30].excerpt == f"d/level 9.0 {(DAY + 2) * DAY_MS + 6 * HOUR}"
        assert store.keep(8, value=9.0) == []
        store.reopen()
    store.tidy()
    assert store.counts(10) == [24.0] * 10


def test_room_is_made_by_the_oldest_readings_first_and_said(tmp_path: Path) -> None:
    store = Store(tmp_path, days=6, disk_mb=1)
    made = np.random.default_rng(1)
    for day in range(6):
        store.records += 1
        count = 50_000
        batch = ReadingBatch(
            np.zeros(count, np.uint32),
            np.sort(made.integers(0, DAY_MS, count)) + (DAY + day) * DAY_MS,
            made.random(count),
            np.zeros(count, np.uint8),
        )
        store.writer.write(batch, store.records, store.records)
    assert store.writer.warning() == ""
    before = store.counts(6)
    store.tidy()
    assert store.days == [5] or store.days == [4, 5]
    assert "history.disk_mb (1)" in store.writer.warning()
    assert store.counts(6) == before
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert size <= 1_000_000


def test_todays_readings_are_never_let_go_of(tmp_path: Path) -> None:
    store = Store(tmp_path, days=0, keep_raw_days=1, keep_rollup_days=1, disk_mb=1)
    store.keep(0)
    store.tidy()
    assert store.days == [0]


def test_rollups_go_by_the_month(tmp_path: Path) -> None:
    store = Store(tmp_path, days=100, keep_raw_days=3, keep_rollup_days=40)
    for day in range(0, 100, 20):
        store.keep(day)
    store.tidy()
    months = sorted({path.name for path in tmp_path.glob("rollup=1h/kind=*/month=*")})
    assert store.days == []
    assert months == ["month=2026-11"]


def test_a_day_is_rolled_up_before_it_goes_whatever_else_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3)
    store.keep(1)
    store.clock.advance(601)
    monkeypatch.setattr(store.writer, "_touched", set())
    monkeypatch.setattr("ingest.history.parquet._ROLL_QUIET_S", 1e9)
    store.writer.tidy()
    assert store.days == []
    assert store.counts(10) == [24.0]
    for _ in range(3):  # the day that waited to be rolled up is no more
        store.writer.tidy()


def test_a_folder_that_is_no_day_keeps_the_core_from_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3, disk_mb=100)
    for day in range(10):
        store.keep(day)
    (of_day,) = tmp_path.glob(f"kind=meter/day={np.datetime64(DAY + 9, 'D')}")
    of_copy = of_day.with_name(f"{of_day.name}.old")  # as somebody leaves it who looks into something
    shutil.copytree(of_day, of_copy)
    (of_copy / "changed-0").touch()
    store.reopen()
    store.writer._look_s = 0.0
    store.tidy()
    assert store.writer.warning() == ""
    assert len(list(of_copy.iterdir())) == 2
    shutil.rmtree(of_copy)
    assert store.days == [7, 8, 9]
    assert store.counts(10) == [24.0] * 10


def test_what_could_not_be_let_go_of_is_said_until_it_could(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3)
    for day in range(10):
        store.keep(day)

    def refused(path: Path) -> None:
        raise OSError(f"{path}: busy")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", refused)
        store.tidy()
    assert "busy" in store.writer.warning()
    store.tidy()
    assert store.days == [7, 8, 9]
    assert store.writer.warning() == ""


@pytest.mark.parametrize("is_backwards", [False, True])
def test_of_rollups_past_the_cursor_those_that_counted_stay_in_whichever_order_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_backwards: bool
) -> None:
    store = Store(tmp_path, days=10, keep_raw_days=3)
    for day in (1, 9):
        store.keep(day)
    store.tidy()
    assert store.days == [9] and store.counts(2) == [24.0]
    for path in list(tmp_path.glob("rollup=*/kind=*/month=*/*.parquet")):  # as a core that was killed leaves it
        first, last, _ = path.stem.split("-")
        table = pq.read_table(path)
        half = pq.read_table(path, filters=[("time_ms", "<", (DAY + 1) * DAY_MS + 12 * HOUR)])
        for through, content in ((50, half), (60, table)):
            pq.write_table(content, path.with_name(f"{first}-{last}-{through:012d}.parquet"))
        path.unlink()
    for name in ("glob", "iterdir"):
        listed = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda *asked, listed=listed: iter(sorted(listed(*asked), reverse=is_backwards))
        )
    store.reopen()
    assert store.counts(2) == [24.0]
