from pathlib import Path

import numpy as np

from ingest.history.history import SeriesPlace
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from ingest.history.stream import any_batches, parquet_batches
from telemetry.batch import ReadingBatch, concatenate

DAY = 86_400_000
T0 = 20_000 * DAY
PLACES = [SeriesPlace("a", "level", "drain", "p", "s"), SeriesPlace("b", "level", "drain", "p", "s")]


def write(writer: ParquetWriter, first: int, *rows: tuple[int, int, float]) -> None:
    """(series, minute, value)"""
    series, minute, value = zip(*rows, strict=True)
    times = T0 + 60_000 * np.array(minute, np.int64)
    batch = ReadingBatch(np.array(series, np.uint32), times, np.array(value, float), np.zeros(len(rows), np.uint8))
    list(writer.write(batch, first, first))


def rows(batch: ReadingBatch) -> list[tuple[int, int, float]]:
    minutes = ((batch.time_ms - T0) // 60_000).tolist()
    return list(zip(batch.series.tolist(), minutes, batch.value.tolist(), strict=True))


def test_readings_come_in_time_and_those_of_others_do_not(tmp_path: Path) -> None:
    writer = ParquetWriter(tmp_path, PLACES)
    write(writer, 1, (0, 0, 1.0), (1, 0, 9.0), (0, 1, 2.0))
    write(writer, 2, (0, 1440, 3.0), (0, 1441, 4.0))
    found = concatenate(list(parquet_batches(tmp_path, PLACES, {0}, False, T0, T0 + 1441 * 60_000)))
    assert rows(found) == [(0, 0, 1.0), (0, 1, 2.0), (0, 1440, 3.0)]


def test_what_came_after_an_outage_is_put_in_its_place_and_the_later_of_two_counts(tmp_path: Path) -> None:
    writer = ParquetWriter(tmp_path, PLACES)
    write(writer, 1, (0, 0, 1.0), (0, 60, 5.0))
    write(writer, 2, (0, 10, 2.0), (0, 60, 6.0))
    (found,) = parquet_batches(tmp_path, PLACES, {0, 1}, True, T0, T0 + DAY)
    assert rows(found) == [(0, 0, 1.0), (0, 10, 2.0), (0, 60, 6.0), (0, 60, 5.0)]


def test_any_history_gives_the_same(tmp_path: Path) -> None:
    writer = ParquetWriter(tmp_path, PLACES)
    write(writer, 1, (0, 0, 1.0), (1, 1, 9.0), (0, 2, 2.0))
    (found,) = any_batches(ParquetReader(tmp_path), PLACES, {0, 1}, T0, T0 + DAY)
    assert rows(found) == rows(next(iter(parquet_batches(tmp_path, PLACES, {0, 1}, True, T0, T0 + DAY))))
