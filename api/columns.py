"""Readings of one series as a file: CSV, Arrow or Parquet, as the Accept header or `format` asks."""

from __future__ import annotations

import io
from enum import StrEnum

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ingest.history.history import Curve


class Format(StrEnum):
    """How columns leave."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def wanted(named: Format | None, accept: str) -> Format | None:
    """What a caller takes, the named one before all others; None where there is nothing that they take."""
    if named is not None:
        return named
    asked = sorted(map(_asked, accept.split(",")), key=lambda pair: -pair[1])
    for media, weight in asked:
        if weight > 0 and media in ("", "*/*", "application/*"):
            return Format.JSON
        found = next((form for form, each in MEDIA.items() if each == media), None)
        if weight > 0 and found is not None:
            return found
        if weight > 0 and media == "text/*":
            return Format.CSV
    return None


def written(form: Format, curve: Curve, device: str, metric: str, unit: str) -> bytes:
    """Columns `time` (UTC, ms), `value`, `quality`; which series it is stands in the schema, where the format has one."""
    time = pa.array(curve.time_ms, pa.timestamp("ms", tz="UTC"))
    table = pa.table(
        {"time": time, "value": pa.array(curve.value, pa.float64()), "quality": pa.array(curve.quality, pa.uint8())}
    ).replace_schema_metadata({"device": device, "metric": metric, "unit": unit})
    sink = io.BytesIO()
    if form is Format.CSV:
        pa_csv.write_csv(table, sink)
    elif form is Format.ARROW:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    else:
        pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _asked(part: str) -> tuple[str, float]:
    media, *more = (each.strip().lower() for each in part.split(";"))
    weight = next((each[2:] for each in more if each.startswith("q=")), "1")
    try:
        return media, float(weight)
    except ValueError:
        return media, 0.0
