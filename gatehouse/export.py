"""`gatehouse export`: history as a file that other tools read, Parquet, CSV or Arrow, whichever store it lives in.

    device, metric, kind, place, site, unit, time (UTC, ms), value, quality (0 good, 1 suspect, 2 bad)

Series by series, each in time. Passage keys are not exported: they lead to a person.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from gatehouse.settings import Settings
from ingest.history.history import Aggregate, Curve, HistoryReader, SeriesPlace, catalogue_places
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration, Unavailable

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("device", "metric", "kind", "place", "site", "unit")),
        ("time", pa.timestamp("ms", "UTC")),
        ("value", pa.float64()),
        ("quality", pa.uint8()),
    ]
)
_SPAN_MS = 7 * 86_400_000  # read at once
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Progress = Callable[[int, int], None]


class Wanted(NamedTuple):
    """What to export; everything where a name is None."""

    start_ms: int
    end_ms: int
    kind: str | None = None
    device: str | None = None
    metric: str | None = None


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def export(
    settings: Settings, target: Path, form: str, wanted: Wanted, progress: Progress = lambda done, total: None
) -> int:
    """Write the file, all of it or none; how many readings. Raises BadConfiguration, Unavailable."""
    catalogue = Catalogue.load(settings.catalogue)
    places = [
        place
        for place in sorted(catalogue_places(catalogue), key=lambda place: (place.kind, place.device, place.metric))
        if (wanted.kind in (None, place.kind))
        and (wanted.device in (None, place.device))
        and (wanted.metric in (None, place.metric))
    ]
    if not places:
        raise BadConfiguration("no series of the catalogue fits: look at --kind, --device and --metric")
    reader = history_reader(settings)
    spans = list(range(wanted.start_ms, wanted.end_ms, _SPAN_MS))
    draft = target.with_name(f"{target.name}.draft")
    count = done = 0
    try:
        with _opened(draft, form) as writer:
            for place in places:
                unit = catalogue.metric[place.device, place.metric].unit
                for start_ms in spans:
                    end_ms = min(start_ms + _SPAN_MS, wanted.end_ms)
                    curve = reader.read(place.kind, place.device, place.metric, start_ms, end_ms, None, Aggregate.LAST)
                    if len(curve.time_ms):
                        writer.write_table(_table(place, unit, curve, is_text=form == "csv"))
                    count += len(curve.time_ms)
                    done += 1
                    progress(done, len(places) * len(spans))
        draft.rename(target)
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"writing {target}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def history_reader(settings: Settings) -> HistoryReader:
    """The reader of the store that is configured."""
    if isinstance(settings.history, ParquetSettings):
        from ingest.history.parquet_reader import ParquetReader

        return ParquetReader(settings.history.folder)
    from ingest.history.influx_reader import InfluxReader

    return InfluxReader(settings.history)


def formula_safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(place: SeriesPlace, unit: str, curve: Curve, *, is_text: bool) -> pa.Table:
    count = len(curve.time_ms)
    names: Sequence[str] = (place.device, place.metric, place.kind, place.place, place.site, unit)
    if is_text:
        names = [formula_safe(name) for name in names]
    columns = [pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [name]).dictionary_decode() for name in names]
    columns += [pa.array(curve.time_ms).cast(SCHEMA.field("time").type), pa.array(curve.value), pa.array(curve.quality)]
    return pa.table(columns, schema=SCHEMA)


@contextlib.contextmanager
def _opened(path: Path, form: str) -> Iterator[_Writer]:
    writer: Any
    if form == "parquet":
        writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
    elif form == "csv":
        writer = pyarrow.csv.CSVWriter(path, SCHEMA)
    else:
        writer = pa.ipc.new_file(str(path), SCHEMA)
    with writer:
        yield writer
