"""One contract for every history: the same readings in, the same answers out."""

import ctypes
import errno
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingest.history.history import Aggregate, HistoryReader, HistoryWriter, SeriesPlace
from ingest.history.influx import InfluxWriter
from ingest.history.influx_reader import InfluxReader
from ingest.history.line_protocol import LineEncoder
from ingest.history.merging import MERGE_COUNT
from ingest.history.parquet import ParquetWriter, _without_passages
from ingest.history.parquet_files import CHANGED, SCHEMA, DayFiles, Part, files_of, parts_of, write_file
from ingest.history.parquet_reader import ParquetReader
from ingest.history.parquet_slices import each_once
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch
from telemetry.errors import Unavailable

T0 = 1_795_000_000_000 // 3_600_000 * 3_600_000
MINUTE = 60_000


@dataclass
class Store:
    writer: HistoryWriter
    reader: HistoryReader
    series: list[SeriesPlace]
    reopen: Callable[[], HistoryWriter]
    records: int = 0

    def keep(self, *rows: tuple[int, int, float] | tuple[int, int, float, int]) -> None:
        """(series, ms after T0, value[, quality]) as one journal record."""
        self.records += 1
        batch = ReadingBatch(
            np.array([r[0] for r in rows], np.uint32),
            np.array([T0 + r[1] for r in rows], np.int64),
            np.array([r[2] for r in rows], np.float64),
            np.array([r[3] if len(r) == 4 else 0 for r in rows], np.uint8),
        )
        assert not self.writer.write(batch, self.records, self.records)

    def read(self, series: int = 0, end: int = 86_400_000, every: int | None = None, how: Aggregate = Aggregate.MEAN):  # type: ignore[no-untyped-def]
        place = self.series[series]
        curve = self.reader.read(place.kind, place.device, place.metric, T0, T0 + end, every, how)
        return [(int(t) - T0, float(v)) for t, v in zip(curve.time_ms, curve.value, strict=True)]


def _series(name: str) -> list[SeriesPlace]:
    return [
        SeriesPlace(f"{name}-1", "level", "drain-level", "mh-1", "east"),
        SeriesPlace(f"{name}-2", "level", "drain-level", "mh-2", "east"),
        SeriesPlace(f"{name}-meter", "energy", "room-meter", "room", "west"),
    ]


def _influx_store(settings: InfluxSettings, series: list[SeriesPlace]) -> Store:
    return Store(InfluxWriter(settings, series), InfluxReader(settings), series, lambda: InfluxWriter(settings, series))


@pytest.fixture(params=["parquet", pytest.param("influx", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    # One InfluxDB serves the whole session, so that every test measures with devices of its own.
    series = _series(f"d{abs(hash(request.node.name)) % 10**8}")
    if request.param == "parquet":
        made = ParquetWriter(tmp_path, series)
        made.start(0)
        yield Store(made, ParquetReader(tmp_path), series, lambda: ParquetWriter(tmp_path, series))
        return
    url, token = request.getfixturevalue("influx")
    yield _influx_store(InfluxSettings(url=url, token=SecretStr(token)), series)


def test_what_was_kept_is_read_back_in_time(store: Store) -> None:
    store.keep((0, 2000, 1.25), (1, 2000, 9.0), (0, 1000, 1.0))
    store.keep((0, 500, 0.5), (0, 86_400_000, 7.0))
    assert store.read() == [(500, 0.5), (1000, 1.0), (2000, 1.25)]


@pytest.mark.parametrize("at_a_time", [100, 2, 1])
def test_many_devices_are_read_as_each_alone(store: Store, monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    monkeypatch.setattr("ingest.history.history._DEVICES_MAX", at_a_time)
    day = 86_400_000
    store.keep(*((n % 2, n * 25 * MINUTE, n % 7 + 0.25, 2 if n % 11 == 0 else 0) for n in range(130)))
    store.keep((0, 40 * MINUTE, 99.0), (1, day + 5, 3.5, 1), (0, day + 5, 1.5))
    names = [store.series[1].device, store.series[0].device, "nothing-is-there"]
    for every in (None, MINUTE, 900_000, 3_600_000, 7 * MINUTE + 1):
        for how in Aggregate:
            found = dict(store.reader.read_many("drain-level", names, "level", T0 + 1, T0 + 2 * day, every, how))
            assert list(found) == names
            assert not len(found.pop("nothing-is-there").time_ms)
            for device, curve in found.items():
                alone = store.reader.read("drain-level", device, "level", T0 + 1, T0 + 2 * day, every, how)
                for of_many, of_one in zip(
                    (curve.time_ms, curve.value, curve.quality),
                    (alone.time_ms, alone.value, alone.quality),
                    strict=True,
                ):
                    np.testing.assert_array_equal(of_many, of_one)


def test_the_same_reading_twice_is_one_reading(store: Store) -> None:
    store.keep((0, 1000, 1.0))
    store.keep((0, 1000, 1.0), (0, 2000, 2.0))
    assert store.read() == [(1000, 1.0), (2000, 2.0)]


def test_values_come_back_to_the_last_bit(store: Store) -> None:
    values = [0.1, 1 / 3, 1e-300, 1.7976931348623157e308, -0.0, 36.6, 12345678.875]
    store.keep(*[(0, i * 1000, v) for i, v in enumerate(values)])
    assert [v for _, v in store.read()] == values


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Aggregate.MEAN, [2.0, 5.0]),
        (Aggregate.MIN, [1.0, 5.0]),
        (Aggregate.MAX, [3.0, 5.0]),
        (Aggregate.LAST, [3.0, 5.0]),
        (Aggregate.COUNT, [3.0, 1.0]),
        (Aggregate.INCREASE, [2.0, 2.0]),
    ],
)
def test_steps_are_aggregated(store: Store, how: Aggregate, expected: list[float]) -> None:
    store.keep((0, 0, 1.0), (0, 10_000, 2.0), (0, 20_000, 3.0), (0, MINUTE, 5.0), (0, MINUTE + 1, 99.0, 2))
    assert store.read(every=MINUTE, how=how) == [(0, expected[0]), (MINUTE, expected[1])]


def test_a_register_that_was_reset_goes_on_from_zero(store: Store) -> None:
    store.keep((2, 0, 100.0), (2, 1000, 103.0), (2, 2000, 1.5), (2, 3000, 2.0))
    assert store.read(2, every=MINUTE, how=Aggregate.INCREASE) == [(0, 5.0)]


def test_the_newest_of_every_series_is_known(store: Store) -> None:
    store.keep((0, 1000, 1.0), (0, 3000, 3.0), (2, 2000, 50.0))
    newest = store.reader.newest(T0).newest
    assert newest[store.series[0].device, "level"].value == 3.0
    assert newest[store.series[2].device, "energy"].time_ms == T0 + 2000


def test_the_newest_comes_with_its_own_quality(store: Store) -> None:
    store.keep((0, 1000, 1.0), (0, 3000, 3.0, 2), (1, 1000, 1.0, 2), (1, 3000, 3.0), (2, 3000, 3.0, 1))
    newest = store.reader.newest(T0).newest
    names = [(place.device, place.metric) for place in store.series]
    assert [newest[name].quality for name in names] == [2, 0, 1]


@pytest.mark.integration
def test_the_newest_of_a_device_that_has_moved_is_from_where_it_is_now(influx: tuple[str, str]) -> None:
    settings = InfluxSettings(url=influx[0], token=SecretStr(influx[1]))
    for number, places in enumerate((("z", "a"), ("a", "z"))):
        for at, place in enumerate(places, 1):
            series = [SeriesPlace(f"moved-{number}", "level", "drain-level", place, "east")]
            _influx_store(settings, series).keep((0, at * 1000, float(at)))
        assert InfluxReader(settings).newest(T0).newest[f"moved-{number}", "level"] == (T0 + 2000, 2.0, 0)


@pytest.mark.integration
def test_a_metric_whose_name_ends_like_a_quality_is_a_metric(influx: tuple[str, str]) -> None:
    settings = InfluxSettings(url=influx[0], token=SecretStr(influx[1]))
    series = [SeriesPlace("sniffer", "air_quality", "air", "hall", "east")]
    store = _influx_store(settings, series)
    store.keep((0, 1000, 40.0), (0, 2000, 50.0, 1))
    assert store.reader.newest(T0).newest["sniffer", "air_quality"] == (T0 + 2000, 50.0, 1)
    (curve,) = InfluxReader(settings).readings("air", ["sniffer"], T0, T0 + MINUTE).values()
    assert (curve.value.tolist(), curve.quality.tolist()) == ([40.0, 50.0], [0, 1])


def test_what_was_seen_for_the_newest_need_not_be_looked_at_again(store: Store) -> None:
    store.keep((0, 1000, 1.0))
    _, seen = store.reader.newest(T0)
    store.keep((2, 2000, 50.0), (0, 500, 0.5))
    newest, seen = store.reader.newest(T0, seen)
    assert newest[store.series[2].device, "energy"].value == 50.0
    if isinstance(store.reader, ParquetReader):
        assert newest.keys() == {(store.series[2].device, "energy"), (store.series[0].device, "level")}
        assert store.reader.newest(T0, seen).newest == {}


def test_nothing_there_is_an_empty_curve(store: Store) -> None:
    assert store.read() == []
    assert store.read(every=MINUTE) == []


def test_after_a_crash_the_same_is_written_again_and_stands_once(store: Store) -> None:
    store.keep((0, 1000, 1.0))
    store.keep((0, 2000, 2.0), (2, 2000, 9.0))
    store.writer = store.reopen()
    store.writer.start(1)  # the cursor had not moved past record 1 when the core died
    store.records = 1
    store.keep((0, 2000, 2.0), (2, 2000, 9.0), (0, 3000, 3.0))
    assert store.read() == [(1000, 1.0), (2000, 2.0), (3000, 3.0)]
    assert store.read(2) == [(2000, 9.0)]


def test_small_files_are_merged_and_say_the_same(tmp_path: Path) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    for i in range(MERGE_COUNT * 2):
        store.keep((0, i * 1000, float(i)), (1, i * 1000, -float(i)))
    before = store.read()
    (folder,) = tmp_path.glob("kind=*/day=*")
    while len(parts_of(folder)) > 2:
        writer.tidy()
    assert store.read() == before
    # A crash between merging and deleting leaves both; a start keeps the merged one only.
    ParquetWriter(tmp_path, series).start(store.records)
    assert len(list(folder.iterdir())) == len(parts_of(folder))
    assert store.read() == before


def test_what_is_written_in_sizes_that_differ_is_merged_too(tmp_path: Path) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    count = 0
    for turn in range(4 * MERGE_COUNT):
        rows = 2_000 if turn % 2 else 1
        store.keep(*((0, (count + each) * 10, float(count + each)) for each in range(rows)))
        count += rows
        writer.tidy()
    (folder,) = tmp_path.glob("kind=*/day=*")
    assert len(parts_of(folder)) <= 2 * MERGE_COUNT
    assert store.read() == [(each * 10, float(each)) for each in range(count)]


def test_files_past_the_cursor_and_drafts_are_removed_on_start(tmp_path: Path) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    store.keep((0, 0, 1.0))
    store.keep((0, 1000, 2.0))
    (folder,) = tmp_path.glob("kind=*/day=*")
    (folder / "000000000003-000000000003.draft").write_bytes(b"PAR1 half")
    ParquetWriter(tmp_path, series).start(1)
    assert store.read() == [(0, 1.0)]
    assert [p.name for p in folder.iterdir()] == ["000000000001-000000000001.parquet"]


def test_what_was_merged_past_the_cursor_is_there_after_a_crash(tmp_path: Path) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    for minute in range(MERGE_COUNT):
        store.keep((0, minute * MINUTE, float(minute)))
    writer.tidy()
    noted = MERGE_COUNT - 2  # the cursor is noted once a second: some of what was merged is written again
    again = ParquetWriter(tmp_path, series)
    again.start(noted)
    assert store.read() == [(minute * MINUTE, float(minute)) for minute in range(noted)]
    store.writer, store.records = again, noted
    for minute in range(noted, MERGE_COUNT):
        store.keep((0, minute * MINUTE, float(minute)))
    assert store.read() == [(minute * MINUTE, float(minute)) for minute in range(MERGE_COUNT)]


def test_what_is_brought_while_the_core_starts_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = _series("d")
    core, importer = ParquetWriter(tmp_path, series), ParquetWriter(tmp_path, series)
    core.start(0)
    store = Store(core, ParquetReader(tmp_path), series, lambda: core)
    store.keep((0, 0, 1.0))
    batch = ReadingBatch(
        np.array([0], np.uint32), np.array([T0 + MINUTE], np.int64), np.array([2.0]), np.array([0], np.uint8)
    )
    (folder,) = tmp_path.glob("kind=*/day=*")
    calls: list[Any] = []

    def slowly(*args: Any, **options: Any) -> DayFiles:
        """Before the core has looked at the rest of the folder, a piece is brought into it."""
        found = files_of(*args, **options)
        if not calls:
            importer.bring(batch, "import-old-000000")
        calls.append(args)
        return found

    monkeypatch.setattr("ingest.history.parquet.files_of", slowly)
    ParquetWriter(tmp_path, series).start(1)
    assert calls
    assert len(list(folder.glob(f"{CHANGED}*"))) == 2
    assert store.read() == [(0, 1.0), (MINUTE, 2.0)]


def test_a_folder_that_cannot_be_written_is_unavailable_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file where a folder should be")
    with pytest.raises(Unavailable):
        ParquetWriter(tmp_path / "history", _series("d")).start(0)


def test_lines_are_the_protocols_own() -> None:
    encoder = LineEncoder(_series("d"))
    batch = ReadingBatch(
        np.array([0, 2, 1], np.uint32),
        np.array([1, 2, 3], np.int64),
        np.array([0.5, 1e21, -3.0]),
        np.array([0, 0, 2], np.uint8),
    )
    assert encoder.encode(batch).decode().splitlines() == [
        "drain-level,device=d-1,place=mh-1,site=east level=0.5 1",
        "room-meter,device=d-meter,place=room,site=west energy=1e+21 2",
        "drain-level,device=d-2,place=mh-2,site=east level=-3,level_quality=2i 3",
    ]


@pytest.mark.integration
def test_influxdb_that_is_away_or_forbids_is_unavailable(influx: tuple[str, str]) -> None:
    url, _ = influx
    batch = ReadingBatch(np.zeros(1, np.uint32), np.array([T0]), np.ones(1), np.zeros(1, np.uint8))
    for settings in (
        InfluxSettings(url="http://127.0.0.1:9", token=SecretStr("x"), timeout_ms=1000),
        InfluxSettings(url=url, token=SecretStr("a wrong token")),
    ):
        with pytest.raises(Unavailable):
            list(InfluxWriter(settings, _series("d")).write(batch, 1, 1))


@pytest.mark.integration
def test_a_line_that_influxdb_refuses_is_named_and_its_neighbours_stored(influx: tuple[str, str]) -> None:
    url, token = influx
    settings = InfluxSettings(url=url, token=SecretStr(token))
    series = _series("refused")
    writer = InfluxWriter(settings, series)
    beyond = 2**63 // 10**6 + 10  # milliseconds that no nanosecond clock can hold
    batch = ReadingBatch(
        np.zeros(5, np.uint32),
        np.array([T0, T0 + 1, beyond, T0 + 2, T0 + 3], np.int64),
        np.arange(5.0),
        np.zeros(5, np.uint8),
    )
    refused = list(writer.write(batch, 1, 1))
    assert len(refused) == 1 and str(beyond) in refused[0].excerpt
    place = series[0]
    curve = InfluxReader(settings).read(place.kind, place.device, place.metric, T0, T0 + 1000, None, Aggregate.MEAN)
    assert curve.value.tolist() == [0.0, 1.0, 3.0, 4.0]


def test_large_files_are_merged_without_holding_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.history.parquet._SORT_ROWS_MAX", 10)
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    for i in range(MERGE_COUNT):
        store.keep((0, i * 1000, float(i)), (1, i * 1000, -float(i)))
    before = store.read(), store.read(1)
    (folder,) = tmp_path.glob("kind=*/day=*")
    while len(parts_of(folder)) > 1:
        writer.tidy()
    assert (store.read(), store.read(1)) == before
    assert len(before[0]) == MERGE_COUNT


def test_only_what_was_merged_is_deleted_and_not_before_its_readers_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    store.keep(*[(0, i, float(i)) for i in range(5000)])  # of another tier: it stays as it is
    for i in range(MERGE_COUNT):
        store.keep((0, 10_000 + i * 1000, float(i)))
    before = store.read()
    assert len(before) == 5000 + MERGE_COUNT
    (folder,) = tmp_path.glob("kind=*/day=*")
    for _ in range(5):
        writer.tidy()
    assert len(parts_of(folder)) == 2
    assert len(list(folder.iterdir())) == 2 + MERGE_COUNT  # a reader that listed them may still open them
    later_s = time.monotonic() + 61
    monkeypatch.setattr("time.monotonic", lambda: later_s)
    writer.tidy()
    assert len(list(folder.iterdir())) == 2
    assert store.read() == before


def test_what_cannot_be_deleted_is_unavailable_not_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)
    for i in range(MERGE_COUNT):
        store.keep((0, i * 1000, float(i)))
    for _ in range(5):
        writer.tidy()
    later_s = time.monotonic() + 61

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr("time.monotonic", lambda: later_s)
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(Unavailable, match="Read-only"):
            writer.tidy()
    assert len(store.read()) == MERGE_COUNT


def test_a_new_folder_is_durable_before_what_stands_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    series = _series("d")
    monkeypatch.setattr("ingest.history.parquet_files.sync_folder", synced.append)
    writer = ParquetWriter(tmp_path / "data" / "history", series)
    writer.start(0)
    Store(writer, ParquetReader(tmp_path), series, lambda: writer).keep((0, 0, 1.0))
    (file,) = tmp_path.rglob("*.parquet")
    of_day, of_kind, history, data, above = list(file.parents)[:5]
    assert synced == [above, data, history, of_kind, of_day]


def test_a_disk_that_is_full_is_not_filled_with_drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = _series("d")
    writer = ParquetWriter(tmp_path, series)
    writer.start(0)
    store = Store(writer, ParquetReader(tmp_path), series, lambda: writer)

    def refused(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):  # each time there is more to be written, under another name
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", refused)
            with pytest.raises(Unavailable, match="No space"):
                store.keep((0, 0, 1.0))
        assert not [path for path in tmp_path.rglob("*") if path.suffix == ".draft"]
    store.keep((0, 0, 1.0))
    assert store.read() == [(0, 1.0)]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 or later says what is allocated")
def test_questions_and_files_that_come_and_go_keep_no_memory(tmp_path: Path) -> None:
    series = _series("d")
    writer, reader = ParquetWriter(tmp_path, series), ParquetReader(tmp_path)
    writer.start(0)
    store, known = Store(writer, reader, series, lambda: writer), set[str]()
    allocated: list[int] = []
    for number in range(90):
        # Some twice, so that what came again is sought, too.
        store.keep((0, number * 1000, float(number)), (0, max(number - 1, 0) * 1000, float(max(number - 1, 0))))
        writer.tidy()
        for _ in range(2):
            # No more than thirty: numpy keeps a few pieces of each size that it ever needed.
            assert store.read(end=30_000) == [(each * 1000, float(each)) for each in range(min(number + 1, 30))]
        newest, seen = reader.newest(T0, known)
        known |= seen
        assert [each.value for each in newest.values()] == [number]
        if number in (29, 89):
            gc.collect()
            allocated.append(_allocated_bytes())
    assert allocated[1] - allocated[0] < 500_000  # two megabytes, where a window or a group stands in the question


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (f"field{number}", ctypes.c_size_t)
        for number in range(10)  # the eighth is `uordblks`, what is in use
    ]


def _allocated_bytes() -> int:
    """By C's `malloc`, which is where libraries keep what is theirs."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo
    return int(libc.mallinfo2().field7)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([None, "a", "b"]), st.integers(1, 3)),
        max_size=30,
    )
)
def test_of_what_was_delivered_twice_the_last_counts(rows: list[tuple[int, int, str | None, int]]) -> None:
    """Rows are (series, time, key, file), and stand in their files in this order."""
    series, time_ms, keys, files = np.array(rows, object).reshape(-1, 4).T
    place = np.arange(len(rows))
    key = np.array([each or "" for each in keys], object)
    found = each_once(series.astype(np.int64), time_ms.astype(np.int64), key, files.astype(np.int64), place).tolist()
    last: dict[tuple[int, int, str | None], int] = {}
    for number in sorted(range(len(rows)), key=lambda number: files[number]):
        last[rows[number][:3]] = number
    assert sorted(found) == sorted(last.values())
    assert [rows[number][:2] for number in found] == sorted(rows[number][:2] for number in found)


def test_what_is_brought_beside_passages_stays_in_order_however_much_it_is(tmp_path: Path) -> None:
    def rows(count: int, key: str | None) -> pa.Table:
        columns = {
            "device": [f"lane-{number // (count // 20):02d}" for number in range(count)],
            "metric": ["skin_temperature"] * count,
            "time_ms": np.arange(count) % (count // 20),
            "value": np.arange(count, dtype=np.float64),
            "quality": np.zeros(count, np.uint8),
            "key": pa.array([key] * count, pa.string()),
        }
        return pa.table(columns).cast(SCHEMA)

    own = tmp_path / "000000000001-000000000002.parquet"
    with write_file(own, SCHEMA) as file:
        file.write(rows(20, "passage"), 1000)
    brought = rows(200_000, None)
    for _ in range(10):  # one in five came out of order
        left = _without_passages(brought, [Part(1, 2, own)])
        assert len(left) == 200_000 - 20
        # Device by device, each in time: a device is a run of values in this table.
        turns = np.flatnonzero(np.diff(left["value"].to_numpy()) != 1)
        assert len(turns) < 20
