"""Both stores keep their contract when their writer is killed, again and again, in the midst of its work."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from gatehouse.migrate import migrate
from ingest.history.history import Aggregate, HistoryReader
from ingest.history.influx_reader import InfluxReader
from ingest.history.loop import CURSOR
from ingest.history.parquet_reader import ParquetReader
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.journal import Journal, Kind, Record
from tests.ingest.writing import SERIES
from tests.oracles import rollups as oracle

T0 = 1_795_000_000_000 // 86_400_000 * 86_400_000
RECORDS, ROWS, KILLS = 300, 12, 6
HOUR = 3_600_000


@pytest.mark.parametrize("store", ["parquet", pytest.param("influx", marks=pytest.mark.integration)])
def test_a_writer_that_is_killed_loses_nothing_and_doubles_nothing(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(7)
    told: list[list[tuple[int, float, int]]] = [[] for _ in SERIES]
    journal = Journal(tmp_path / "journal")
    for number in range(RECORDS):
        rows = [
            # In order, late by up to two days, and some moments told again with another value.
            (n % 3, T0 + number * 600_000 - chance.choice([0, 0, 0, HOUR, 40 * HOUR]), float(chance.randrange(100)))
            for n in range(ROWS)
        ]
        batch = ReadingBatch(
            np.array([row[0] for row in rows], np.uint32),
            np.array([row[1] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float64),
            np.zeros(ROWS, np.uint8),
        )
        journal.append([Record(Kind.READINGS, T0, encode_batch(batch))])
        for series, time_ms, value in rows:
            told[series].append((time_ms, value, 0))
    journal.close()
    migrate(f"sqlite:///{tmp_path}/g.db")
    command = [sys.executable, "-m", "tests.ingest.writing", store, str(tmp_path)]
    reader: HistoryReader
    if store == "influx":
        url, token = request.getfixturevalue("influx")
        command += [url, token]
        reader = InfluxReader(InfluxSettings(url=url, token=SecretStr(token)))
    else:
        reader = ParquetReader(tmp_path / "history")
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            for _ in range(chance.randrange(1, 9)):
                running.stdout.readline()
            running.kill()
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    journal = Journal(tmp_path / "journal")
    assert journal.cursor(CURSOR) == journal.last == RECORDS
    assert finished.stdout, "the last run had nothing left to do: kill earlier"
    for series, place in enumerate(SERIES):
        span = (T0 - 48 * HOUR + 5, T0 + 60 * HOUR)
        raw = reader.read(place.kind, place.device, place.metric, *span, None, Aggregate.LAST)
        latest = dict(sorted((time_ms, value) for time_ms, value, _ in told[series] if span[0] <= time_ms))
        latest |= {time_ms: value for time_ms, value, _ in told[series] if span[0] <= time_ms}
        assert dict(zip(raw.time_ms.tolist(), raw.value.tolist(), strict=True)) == latest
        assert len(raw.time_ms) == len(latest)
        for how in Aggregate:
            curve = reader.read(place.kind, place.device, place.metric, *span, HOUR, how)
            found = list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))
            assert found == oracle.steps(told[series], *span, HOUR, how.value)
