"""`gatehouse reingest`: days of history made anew, with their rollups, from the journal or from an exported file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import typer

from gatehouse.bring import bring
from gatehouse.foreign import Mapping
from gatehouse.settings import Settings
from ingest.history.history import SeriesPlace, series_places
from ingest.history.loop import CURSOR
from ingest.history.parquet import ParquetWriter
from ingest.history.settings import ParquetSettings
from telemetry import journal_files
from telemetry.batch import ReadingBatch, concatenate, decode_batch, empty_batch, select
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.journal import Kind, Stored
from telemetry.series import SeriesRegistry

_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_SERIES = "series/"
_ROWS_AT_ONCE = 1_000_000  # in memory, and in one file
Progress = Callable[[int, int], None]


def days_of(first: str, last: str) -> range:
    """Days since 1970, both included. Raises BadParameter."""
    try:
        start, end = (date.fromisoformat(text).toordinal() - _EPOCH for text in (first, last))
    except ValueError as error:
        raise typer.BadParameter("write days like 2026-11-23") from error
    if end < start or start < 0:
        raise typer.BadParameter("--until must not lie before --day, nor --day before 1970")
    return range(start, end + 1)


def reingest(
    settings: Settings, days: range, source: Path | None, clock: Clock, progress: Progress
) -> tuple[int, list[str]]:
    """Make them anew; how many readings were found, and what could not be put right. Raises Unavailable."""
    found = journal_files.summary(settings.journal.path)
    places = _places(found.state, Catalogue.load(settings.catalogue))
    cursor = found.cursors.get(CURSOR, 0)
    history = settings.history
    if source is not None:
        return _from_file(settings, places, cursor, days, source, clock, progress)
    taken = _Taken(settings.journal.path, found.first, cursor, days, progress)
    if isinstance(history, ParquetSettings):
        writer = ParquetWriter(history.folder, places, history)
        lost = writer.rebuild(taken.batches(), found.first, cursor, days)
        return taken.count, lost
    from ingest.history.influx_rollups import InfluxBringer

    bringer = InfluxBringer(history, places)
    refused = [each for record, batch in taken.batches() for each in bringer.bring(batch, f"record-{record}")]
    bringer.roll_days(days)
    return taken.count, [f"refused: {each.excerpt}: {each.why}" for each in refused]


def _from_file(
    settings: Settings,
    places: list[SeriesPlace],
    cursor: int,
    days: range,
    source: Path,
    clock: Clock,
    progress: Progress,
) -> tuple[int, list[str]]:
    history = settings.history
    # Without records: only what cannot be read goes, and the days are rolled up.
    if isinstance(history, ParquetSettings):
        ParquetWriter(history.folder, places, history).rebuild((), cursor + 1, cursor, days)
    report = source.with_name(f"{source.name}.refused.csv")
    span = (days.start * _DAY_MS, days.stop * _DAY_MS)
    outcome = bring(settings, source, "parquet", Mapping(), report, clock, progress, span)
    if isinstance(history, ParquetSettings):
        ParquetWriter(history.folder, places, history).rebuild((), cursor + 1, cursor, days)
    return outcome.kept, [f"{outcome.refused} rows refused: see {report}"] if outcome.refused else []


class _Taken:
    """What the journal holds of some days."""

    def __init__(self, journal: Path, first: int, last: int, days: range, progress: Progress) -> None:
        self._journal, self._first, self._last, self._days, self._progress = journal, first, last, days, progress
        self.count = 0

    def batches(self) -> Iterator[tuple[int, ReadingBatch]]:
        """In pieces of some size, each with its last record; the last piece goes to the end, however little it holds."""
        waiting: list[ReadingBatch] = []
        rows = 0
        for record in journal_files.records_from(self._journal, self._first):
            if record.offset > self._last:
                break
            wanted = self._of_days(record)
            if len(wanted):  # most records of a long journal are of other days, and millions
                waiting.append(wanted)
                rows += len(wanted)
            if rows >= _ROWS_AT_ONCE and record.offset < self._last:
                yield record.offset, concatenate(waiting)
                waiting, rows = [], 0
        yield self._last, concatenate(waiting)

    def _of_days(self, record: Stored) -> ReadingBatch:
        self._progress(record.offset - self._first + 1, self._last - self._first + 1)
        if record.kind not in (Kind.READINGS, Kind.BACKLOG):
            return empty_batch()
        batch = decode_batch(record.payload)
        wanted = select(batch, np.flatnonzero(np.isin(batch.time_ms // _DAY_MS, self._days)))
        self.count += len(wanted)
        return wanted


def _places(state: dict[str, bytes], catalogue: Catalogue) -> list[SeriesPlace]:
    names = sorted((int(key.removeprefix(_SERIES)), value.decode()) for key, value in state.items() if _SERIES in key)
    pairs = (name.partition("/") for _, name in names)
    return series_places(SeriesRegistry((device, metric) for device, _, metric in pairs), catalogue)
