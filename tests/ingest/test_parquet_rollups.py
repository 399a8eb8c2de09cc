"""From rollups the embedded history answers as from readings, whatever came, however late, and whenever it was rolled up."""

import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.history.history import Aggregate, SeriesPlace
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_files import DAY_MS, day_folder
from ingest.history.parquet_reader import ParquetReader
from ingest.history.parquet_rollups import covered_days, month_folder
from ingest.history.rollups import Windows, roll
from telemetry.batch import ReadingBatch
from tests.ingest.rows import Row, batch_of
from tests.oracles import rollups as oracle

HOUR = 3_600_000
DAY = 20_786  # 29 November 2026, so that months change
T0 = DAY * DAY_MS
SERIES = [
    SeriesPlace("a", "energy", "meter", "p", "s"),
    SeriesPlace("a", "power", "meter", "p", "s"),
    SeriesPlace("b", "energy", "meter", "p", "s"),
]
VALUES = st.sampled_from([0.0, 0.5, 1.0, 100.0, 100.5, 250.0])
TIMES = st.builds(
    lambda day, hour, off: T0 + day * DAY_MS + hour * HOUR + off,
    st.integers(0, 3),
    st.sampled_from([0, 1, 12, 23]),
    st.sampled_from([0, 1, 30_000, 59_999, 60_000, 900_000, HOUR - 1]),
)
ROWS = st.lists(st.tuples(st.integers(0, 2), TIMES, VALUES, st.sampled_from([0, 0, 0, 1, 2])), min_size=1, max_size=30)
ACTS = st.lists(
    st.one_of(ROWS, st.sampled_from(["tidy", "tidy", "a step", "a step", "restart"])), min_size=1, max_size=12
)
SPANS = st.tuples(
    st.sampled_from([0, 1, HOUR, DAY_MS, DAY_MS + 61_000]), st.sampled_from([1, HOUR, DAY_MS, 2 * DAY_MS, 4 * DAY_MS])
)
STEPS = st.sampled_from([60_000, 90_000, 300_000, 900_000, HOUR, 3 * HOUR, DAY_MS])


class Store:
    """A history that is rolled up whenever it is asked to tidy, however much there is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = 0
        self.told: list[list[tuple[int, float, int]]] = [[] for _ in SERIES]
        self.reader = ParquetReader(folder)
        self.restart()

    def restart(self) -> None:
        self.writer = ParquetWriter(self.folder, SERIES)
        self.writer.start(self.records)

    def keep(self, rows: list[Row]) -> None:
        self.records += 1
        batch = batch_of(rows)
        assert not self.writer.write(batch, self.records, self.records)
        for series, time_ms, value, quality in rows:
            self.told[series].append((time_ms, value, quality))

    def bring(self, rows: list[Row], name: str) -> None:
        """From elsewhere, as another process does."""
        batch = batch_of(rows)
        ParquetWriter(self.folder, SERIES).bring(batch, name)
        for series, time_ms, value, quality in rows:
            self.told[series].append((time_ms, value, quality))
        self.writer._look_s = 0.0  # it is time to look for marks

    def step(self) -> None:
        """A piece of what is to be done."""
        with mock.patch("ingest.history.parquet._ROLL_QUIET_S", 0.0):
            self.writer.tidy()

    def tidy(self) -> None:
        """Until nothing is left to do."""
        with mock.patch("ingest.history.parquet._ROLL_QUIET_S", 0.0):
            for _ in range(40):
                while self.writer.tidy():
                    pass

    def read(self, series: int, start_ms: int, end_ms: int, every_ms: int, how: Aggregate) -> list[tuple[int, float]]:
        place = SERIES[series]
        curve = self.reader.read(place.kind, place.device, place.metric, start_ms, end_ms, every_ms, how)
        return list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))

    def expected(
        self, series: int, start_ms: int, end_ms: int, every_ms: int, how: Aggregate
    ) -> list[tuple[int, float]]:
        return oracle.steps(self.told[series], start_ms, end_ms, every_ms, how.value)


@settings(max_examples=60)
@given(ACTS, SPANS, STEPS, st.sampled_from(list(Aggregate)), st.sampled_from([1, 3, 1000]))
def test_whatever_comes_whenever_rolled_up_the_answer_is_that_of_the_readings(
    acts: list[object], span: tuple[int, int], every_ms: int, how: Aggregate, slice_rows: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        mock.patch("ingest.history.parquet_slices.SLICE_ROWS", slice_rows),
    ):
        store = Store(Path(name))
        for act in acts:
            if act == "tidy":
                store.tidy()
            elif act == "a step":
                store.step()
            elif act == "restart":
                store.restart()
            else:
                store.keep(act)  # type: ignore[arg-type]
        start_ms, end_ms = T0 + span[0], T0 + span[0] + span[1]
        for series in range(len(SERIES)):
            asked = (series, start_ms, end_ms, every_ms, how)
            assert store.read(*asked) == store.expected(*asked)
        place = SERIES[0]
        like = [n for n, each in enumerate(SERIES) if (each.kind, each.metric) == (place.kind, place.metric)]
        names = [SERIES[n].device for n in like]
        together = store.reader.read_many(place.kind, names, place.metric, start_ms, end_ms, every_ms, how)
        for series, curve in zip(like, together.values(), strict=True):
            found = list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))
            assert found == store.expected(series, start_ms, end_ms, every_ms, how)


def filled(folder: Path) -> Store:
    """Three days and a bit, a reading in ten seconds, rolled up."""
    store = Store(folder)
    for day in range(4):
        store.keep([(series, T0 + day * DAY_MS + n * 10_000, float(n), 0) for n in range(8640) for series in (0, 2)])
    store.tidy()
    return store


def test_what_is_current_is_read_without_the_readings_and_what_is_late_counts_at_once(tmp_path: Path) -> None:
    store = filled(tmp_path)
    asked = (0, T0, T0 + 3 * DAY_MS, HOUR, Aggregate.INCREASE)
    assert store.read(*asked) == store.expected(*asked)
    kept = {path: path.read_bytes() for path in tmp_path.glob("kind=*/day=*/*.parquet")}
    for path in kept:
        path.write_bytes(b"not read")
    assert store.read(*asked) == store.expected(*asked)
    for path, content in kept.items():
        path.write_bytes(content)
    store.keep([(0, T0 + DAY_MS + 5 * HOUR + 1, 7.0, 0)])
    assert store.read(*asked) == store.expected(*asked)
    store.tidy()
    assert store.read(*asked) == store.expected(*asked)


def test_days_of_a_month_that_is_over_become_one_file_and_a_later_day_of_it_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    later_s = time.monotonic() + 61
    monkeypatch.setattr("time.monotonic", lambda: later_s)  # nobody reads any more what was put together
    store.tidy()
    november = month_folder(tmp_path, "1h", "meter", "2026-11")
    (whole,) = {each.path for each in covered_days(november, [path.name for path in november.iterdir()]).values()}
    assert whole.name == "29-30-000000000004.parquet"
    store.keep([(0, T0 + 5 * HOUR + 1, 7.0, 0), (2, T0 + 5 * HOUR + 1, 7.0, 0)])
    with mock.patch("ingest.history.parquet._ROLL_QUIET_S", 0.0):
        while store.writer._roll_up(1e12):
            pass
    assert len({each.path for each in covered_days(november, [p.name for p in november.iterdir()]).values()}) == 2
    for how in Aggregate:
        for series in (0, 2):
            asked = (series, T0, T0 + 4 * DAY_MS, HOUR, how)
            assert store.read(*asked) == store.expected(*asked)


def test_a_mark_makes_a_day_be_read_anew_until_it_is_rolled_up_again(tmp_path: Path) -> None:
    store = filled(tmp_path)
    of_day = day_folder(tmp_path, "meter", DAY)
    (part,) = [path for path in of_day.iterdir() if path.suffix == ".parquet"]
    (of_day / "changed-by-hand").touch()
    part.unlink()
    asked = (0, T0, T0 + DAY_MS, HOUR, Aggregate.COUNT)
    assert store.read(*asked) == store.expected(*asked)  # no readings left: the rollup is what there is
    store.keep([(0, T0 + 5, 1.0, 0)])
    assert store.read(*asked) == [(T0, 1.0)]
    store.tidy()
    assert not list(of_day.glob("changed-*"))
    assert store.read(*asked) == [(T0, 1.0)]


def test_what_is_brought_counts_in_rollups_though_no_record_has_come_since(tmp_path: Path) -> None:
    store = filled(tmp_path)
    asked = (0, T0, T0 + DAY_MS, HOUR, Aggregate.MAX)
    for value in (10_000.0, 20_000.0):
        rows = [(0, T0 + 5 * HOUR + 1, value, 0)]
        store.bring(rows, f"import-{value:.0f}")
        assert store.read(*asked) == store.expected(*asked)
        store.tidy()  # into a month that is over, and whose file is of the last record that there is
        assert not list(tmp_path.rglob("changed-*"))
        assert store.read(*asked) == store.expected(*asked)
        for width_ms in (60_000, 900_000, HOUR):
            asked = (*asked[:3], width_ms, asked[4])
            assert store.read(*asked) == store.expected(*asked)


def test_what_is_brought_again_with_more_readings_counts_whole(tmp_path: Path) -> None:
    store = filled(tmp_path)
    first, more = (0, T0 + 5 * HOUR + 1, 10_000.0, 0), (0, T0 + 9 * HOUR + 1, 20_000.0, 0)
    asked = (0, T0, T0 + DAY_MS, HOUR, Aggregate.MAX)
    with mock.patch("ingest.history.parquet_slices.SLICE_ROWS", 1000):
        for rows in ([first], [first, more]):
            store.bring(rows, "import-a")
            assert store.read(*asked) == store.expected(*asked)
            store.tidy()
            assert store.read(*asked) == store.expected(*asked)


def test_minutes_are_kept_only_where_they_save_something(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep([(0, T0 + n * 60_000, 1.0, 0) for n in range(1440)])
    store.keep([(0, T0 + DAY_MS + n * 5_000, 1.0, 0) for n in range(17_280)])
    store.tidy()
    assert [path.name[:6] for path in tmp_path.glob("rollup=1m/kind=*/month=*/*")] == ["30-30-"]
    assert {path.name[:6] for path in tmp_path.glob("rollup=15m/kind=*/month=*/*")} == {"29-29-", "30-30-"}
    for how in Aggregate:
        asked = (0, T0, T0 + 2 * DAY_MS, 300_000, how)
        assert store.read(*asked) == store.expected(*asked)


def test_a_day_that_is_too_large_for_one_go_is_rolled_up_by_hours(tmp_path: Path) -> None:
    with mock.patch("ingest.history.parquet_slices.SLICE_ROWS", 1000):
        store = filled(tmp_path)
    for how in Aggregate:
        asked = (0, T0, T0 + 4 * DAY_MS, HOUR, how)
        assert store.read(*asked) == store.expected(*asked)


def test_a_day_that_takes_long_to_roll_up_keeps_no_reading_waiting(tmp_path: Path) -> None:
    """And no file that is still to be read goes, though others have replaced it long ago."""
    with (
        mock.patch("ingest.history.parquet_slices.SLICE_ROWS", 1000),
        mock.patch("ingest.history.parquet._ROLL_QUIET_S", 0.0),
        mock.patch("ingest.history.parquet._DELETE_AFTER_S", 0.0),
    ):
        store = Store(tmp_path)
        store.keep([(0, T0 + n * 10_000, float(n), 0) for n in range(4000)])
        for _ in range(3):
            store.step()
        folder = tmp_path / "rollup=15m/kind=meter/month=2026-11"
        assert [path.suffix for path in folder.iterdir()] == [".draft"]
        for n in range(40):  # so many that they are merged
            store.keep([(0, T0 + (4000 + n) * 10_000, 1.0, 0)])
            store.step()
        store.tidy()
    for how in Aggregate:
        asked = (0, T0, T0 + DAY_MS, HOUR, how)
        assert store.read(*asked) == store.expected(*asked)
    assert {path.name[:6] for path in folder.iterdir()} == {"29-29-"}


@pytest.mark.parametrize("every_s", [10, 100])  # with windows of a minute, and without
def test_a_day_that_goes_on_is_rolled_up_from_where_it_was(tmp_path: Path, every_s: int) -> None:
    store, rolled = Store(tmp_path), list[int]()

    def counting(series: NDArray[np.int64], *columns: Any) -> Windows:
        rolled.append(len(series))
        return roll(series, *columns)

    with mock.patch("ingest.history.parquet_rollups.roll", counting):
        for piece in range(20):
            rows = [(at, T0 + (piece * 43 + n) * every_s * 1000, float(n), 0) for n in range(43) for at in (0, 2)]
            if piece == 15:
                rows.append((0, T0 + 11 * 43 * every_s * 1000 + 1, 5.0, 0))  # late
            store.keep(rows)
            rolled.clear()
            store.tidy()
            again_s = 60 if every_s == 10 else 900
            assert sum(rolled) <= (5 if piece == 15 else 1) * len(rows) + 2 * again_s / every_s
            for step in (60_000, 900_000, HOUR):
                for how in (Aggregate.COUNT, Aggregate.MEAN, Aggregate.INCREASE):
                    asked = (0, T0, T0 + DAY_MS, step, how)
                    assert store.read(*asked) == store.expected(*asked)


def test_passages_of_one_moment_are_each_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for record in (1, 2):  # told twice
        batch = ReadingBatch(
            np.zeros(3, np.uint32),
            np.full(3, T0, np.int64),
            np.array([36.0, 37.0, 38.0]),
            np.zeros(3, np.uint8),
            {0: "p1", 1: "p2"},
        )
        store.writer.write(batch, record, record)
    store.records = 2
    assert store.read(0, T0, T0 + HOUR, HOUR, Aggregate.COUNT) == [(T0, 3.0)]
    store.tidy()
    assert store.read(0, T0, T0 + HOUR, HOUR, Aggregate.COUNT) == [(T0, 3.0)]
    assert store.read(0, T0, T0 + HOUR, HOUR, Aggregate.MEAN) == [(T0, 37.0)]


def test_a_day_that_cannot_be_read_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day in range(3):
        store.keep([(0, T0 + day * DAY_MS + n * HOUR, 1.0, 0) for n in range(24)])
    (part,) = day_folder(tmp_path, "meter", DAY + 1).iterdir()
    whole = part.read_bytes()
    part.write_bytes(b"PAR1 spoilt PAR1")
    store.tidy()
    assert {path.name[:2] for path in tmp_path.glob("rollup=1h/kind=*/month=*/*")} == {"29", "01"}
    for day in (0, 2):
        asked = (0, T0 + day * DAY_MS, T0 + (day + 1) * DAY_MS, HOUR, Aggregate.COUNT)
        assert store.read(*asked) == store.expected(*asked)
    part.write_bytes(whole)  # and once it is whole again a start is enough
    store.restart()
    store.tidy()
    assert {path.name[:2] for path in tmp_path.glob("rollup=1h/kind=*/month=*/*")} == {"29", "30", "01"}
