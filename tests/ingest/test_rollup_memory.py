"""What is rolled up at once fits in memory, however many readings a day holds and wherever in it they lie."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from ingest.history import parquet_slices
from ingest.history.history import SeriesPlace
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_files import DAY_MS, day_files, day_folder
from telemetry.batch import ReadingBatch

DAY = 20_089


@pytest.mark.parametrize(("first_s", "seconds"), [(0, 86_400), (9 * 3600, 1800), (9 * 3600 + 3590, 20)])
def test_no_slice_holds_many_more_readings_than_it_may(tmp_path: Path, first_s: int, seconds: int) -> None:
    writer = ParquetWriter(tmp_path, [SeriesPlace(f"m-{n}", "power", "meter", "room", "east") for n in range(20)])
    times = DAY * DAY_MS + 1000 * first_s + np.linspace(0, 1000 * seconds - 1, 500).astype(np.int64)
    series = np.tile(np.arange(20, dtype=np.uint32), 500)
    batch = ReadingBatch(series, np.repeat(times, 20), np.zeros(10_000), np.zeros(10_000, np.uint8))
    writer.write(batch, 1, 1)
    parts = day_files(day_folder(tmp_path, "meter", DAY)).parts
    with mock.patch.object(parquet_slices, "SLICE_ROWS", 2000):
        slices = list(parquet_slices.Slicer().slices(parts, DAY, DAY * DAY_MS))
    counts = [len(time_ms) for _, _, _, time_ms, *_ in slices]
    assert sum(counts) == 10_000
    assert max(counts) <= 2200
    assert [end for end, *_ in slices] == sorted(end for end, *_ in slices)
    assert slices[-1][0] == (DAY + 1) * DAY_MS
