"""Reads the Parquet history with DuckDB, in memory. Apart from the writer, so that the core does not carry a database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ingest.history.history import Aggregate, Curve, Newest
from ingest.history.parquet import DAY_MS, SCHEMA, day_name, parts_of
from telemetry.errors import Unavailable


class ParquetReader:
    """The API's side of the embedded history: DuckDB over the files that count, in memory, never over SQL from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = duckdb.connect(":memory:")
        self._db.execute("SET threads = 2; SET memory_limit = '512MB'; SET enable_progress_bar = false")

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        # A reading that was delivered twice stands in two files; the one from the later journal record counts.
        source = """
            SELECT time_ms, value, quality FROM read_parquet($files, filename = true)
            WHERE device = $device AND metric = $metric AND time_ms >= $start AND time_ms < $end
            QUALIFY row_number() OVER (PARTITION BY time_ms, key ORDER BY filename DESC) = 1
        """
        given = {"device": device, "metric": metric, "start": start_ms, "end": end_ms}
        if every_ms is None:
            return self._curve(f"{source} ORDER BY time_ms", kind, start_ms, end_ms, given)
        value = {
            Aggregate.MEAN: "avg(value)",
            Aggregate.MIN: "min(value)",
            Aggregate.MAX: "max(value)",
            Aggregate.LAST: "arg_max(value, time_ms)",
            Aggregate.COUNT: "count(*)::DOUBLE",
            Aggregate.INCREASE: "sum(grown)",
        }[how]
        query = f"""
            WITH source AS ({source}),
            grown AS (
                SELECT time_ms, value, quality, value - lag(value) OVER (ORDER BY time_ms) AS step FROM source
                WHERE quality < 2
            ),
            counted AS (SELECT *, CASE WHEN step IS NULL THEN 0 WHEN step < 0 THEN value ELSE step END AS grown FROM grown)
            SELECT time_ms // $every * $every AS step_ms, {value}, max(quality) FROM counted GROUP BY 1 ORDER BY 1
        """  # noqa: S608 - put together from our own words; what comes from outside is bound
        return self._curve(query, kind, start_ms, end_ms, {**given, "every": every_ms})

    def newest(self, since_ms: int) -> Mapping[tuple[str, str], Newest]:
        files = self._files("*", since_ms, since_ms + 400 * DAY_MS)
        query = """
            SELECT device, metric, max(time_ms), arg_max(value, time_ms), arg_max(quality, time_ms)
            FROM read_parquet($files) WHERE time_ms >= $since GROUP BY 1, 2
        """
        rows = self._query(query, files, {"since": since_ms}).fetchall() if files else []
        return {(device, metric): Newest(time_ms, value, quality) for device, metric, time_ms, value, quality in rows}

    def identities(self, kind: str, start_ms: int, end_ms: int) -> pa.Table:
        """Every stored reading as (device, metric, time_ms, value, key), repetitions left out: what an audit compares."""
        files = self._files(kind, start_ms, end_ms)
        query = """
            SELECT DISTINCT device, metric, time_ms, value, key FROM read_parquet($files)
            WHERE time_ms >= $start AND time_ms < $end
        """
        if not files:
            return SCHEMA.empty_table().drop_columns(["quality"])
        try:
            found = self._db.cursor().sql(query, params={"files": files, "start": start_ms, "end": end_ms})
            table: pa.Table = found.to_arrow_table()
        except duckdb.Error as error:
            raise Unavailable(f"reading history in {self._folder}: {error}") from error
        return table

    def _curve(self, query: str, kind: str, start_ms: int, end_ms: int, given: Mapping[str, object]) -> Curve:
        for attempt in (1, 2):
            files = self._files(kind, start_ms, end_ms)
            if not files:
                break
            try:
                columns = self._query(query, files, given).fetchnumpy()
                time_ms, value, quality = (np.ma.getdata(column) for column in columns.values())
                return Curve(time_ms.astype(np.int64), value.astype(np.float64), quality.astype(np.uint8))
            except Unavailable:
                # The core merged files between our listing and our reading; the second listing sees the merged one.
                if attempt == 2:
                    raise
        return Curve(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))

    def _query(self, query: str, files: list[str], given: Mapping[str, object]) -> duckdb.DuckDBPyConnection:
        try:
            return self._db.cursor().execute(query, {"files": files, **given})
        except duckdb.Error as error:
            raise Unavailable(f"reading history in {self._folder}: {error}") from error

    def _files(self, kind: str, start_ms: int, end_ms: int) -> list[str]:
        first, last = day_name(start_ms // DAY_MS), day_name((end_ms - 1) // DAY_MS)
        return [
            str(part.path)
            for folder in sorted(self._folder.glob(f"kind={kind}/day=*"))
            if first <= folder.name.removeprefix("day=") <= last
            for part in parts_of(folder)
        ]
