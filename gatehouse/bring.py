"""`gatehouse import`: brings readings of a previous system into history, beside a core that may be running.

A piece at a time: vetted, written under a name of its own, then noted in a state file, so that a killed import goes on where
it was and a piece that was written twice is the same piece. Each row that is refused stands with its line and reason in a
file beside. Alarms are not judged on what is brought. Axis: N rows.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np

from gatehouse import foreign
from gatehouse.export import formula_safe
from gatehouse.foreign import Mapping, Rows
from gatehouse.settings import Settings
from ingest.history.history import HistoryBringer, SeriesPlace, catalogue_places
from ingest.history.loop import REFUSED
from ingest.history.settings import ParquetSettings
from telemetry.batch import ReadingBatch, select
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.quality import Quality

_AHEAD_MAX_MS = 60_000
_DIGITS_MAX = 20  # of a time that is a whole number, and its sign: nanoseconds have 19
_FACTOR = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_DIVISOR = {"s": None, "ms": 1, "us": 1_000, "ns": 1_000_000}
Progress = Callable[[int, int], None]


class _State(msgspec.Struct):
    """How far an import is."""

    name: str
    offset: int = 0
    row: int = 0
    piece: int = 0
    kept: int = 0
    refused: int = 0
    report_bytes: int = 0


class Outcome(msgspec.Struct):
    """What became of a file."""

    kept: int
    refused: int
    report: Path


def bring(
    settings: Settings,
    path: Path,
    form: str,
    mapping: Mapping,
    report: Path,
    clock: Clock,
    progress: Progress = lambda done, total: None,
    only_ms: tuple[int, int] | None = None,
) -> Outcome:
    """Import a file, or go on with it. Raises BadConfiguration, Unavailable (run it again: it goes on).

    Args:
        only_ms: The span of time that is wanted; rows outside are left where they are.
        report: Where refused rows go, as CSV; the state stands beside it until all is done.
    """
    catalogue = Catalogue.load(settings.catalogue)
    places = catalogue_places(catalogue)
    store = _store(settings, places)
    vetter = _Vetter(catalogue, places, mapping, form, clock)
    state_file = report.with_name(f"{report.name}.state")
    total = foreign.length_of(path, form)
    state = _begin(state_file, path, report, _name(path, total, mapping))
    for rows in foreign.read(path, form, mapping, foreign.Place(state.offset, state.row)):
        batch, numbers, refused = vetter.vet(rows)
        row_count = len(batch)
        if only_ms is not None:
            wanted = np.flatnonzero((batch.time_ms >= only_ms[0]) & (batch.time_ms < only_ms[1]))
            numbers = [numbers[row] for row in wanted.tolist()]
            batch = select(batch, wanted)
        if len(batch):
            for each in store.bring(batch, f"import-{state.name}-{state.piece:06d}"):
                refused.append((numbers[each.row], REFUSED, each.why, each.excerpt))
        kept = len(rows.number) + len(rows.broken) - len(refused) - (row_count - len(batch))
        size = _report(report, refused, state.report_bytes)
        state = _State(state.name, *rows.end, state.piece + 1, state.kept + kept, state.refused + len(refused), size)
        _note(state_file, state)
        progress(state.offset, total)
    state_file.unlink(missing_ok=True)
    return Outcome(state.kept, state.refused, report)


def _store(settings: Settings, places: list[SeriesPlace]) -> HistoryBringer:
    if isinstance(settings.history, ParquetSettings):
        from ingest.history.parquet import ParquetWriter

        return ParquetWriter(settings.history.folder, places, settings.history)
    from ingest.history.influx_rollups import InfluxBringer

    return InfluxBringer(settings.history, places)


class _Vetter:
    """Rows to readings."""

    def __init__(
        self, catalogue: Catalogue, places: list[SeriesPlace], mapping: Mapping, form: str, clock: Clock
    ) -> None:
        self._index = {(place.device, place.metric): number for number, place in enumerate(places)}
        self._devices = {place.device for place in places}
        self._plausible = [catalogue.metric[place.device, place.metric].plausible for place in places]
        self._unit = mapping.time_unit or ("ns" if form == "line-protocol" else "ms")
        self._clock = clock
        try:
            self._zone = None if mapping.zone is None else ZoneInfo(mapping.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadConfiguration(f"zone '{mapping.zone}' is none; write one like Asia/Shanghai") from error

    def vet(self, rows: Rows) -> tuple[ReadingBatch, list[int], list[tuple[int, str, str, str]]]:
        """The readings, the line of each, and (line, reason, detail, text) of every row that is none."""
        refused = [(number, "broken-row", why, text) for number, why, text in rows.broken]
        series, time_ms, value, quality, numbers = [], [], [], [], []
        newest_ms = self._clock.now_ms() + _AHEAD_MAX_MS
        columns = (rows.number, rows.device, rows.metric, rows.time, rows.value, rows.quality)
        for number, device, metric, time, said, trust in zip(*columns, strict=True):
            try:
                index = self._series(device, metric)
                at_ms = self._time_ms(time)
                if at_ms < 0:  # a clock that was never set, or an empty cell of a spreadsheet
                    raise BadInput("bad-time", "lies before 1970")
                if at_ms > newest_ms:
                    raise BadInput("time-ahead", "lies in the future")
                number_said = _number(said)
                trusted = _quality(trust)
            except BadInput as error:
                text = " ".join(str(cell) for cell in (device, metric, time, said, trust) if cell not in (None, ""))
                refused.append((number, error.reason, error.detail, text))
                continue
            plausible = self._plausible[index]
            if plausible is not None and not plausible[0] <= number_said <= plausible[1]:
                trusted = Quality.BAD
            series.append(index)
            time_ms.append(at_ms)
            value.append(number_said)
            quality.append(trusted)
            numbers.append(number)
        batch = ReadingBatch(
            np.array(series, np.uint32), np.array(time_ms, np.int64), np.array(value), np.array(quality, np.uint8)
        )
        return batch, numbers, refused

    def _series(self, device: Any, metric: Any) -> int:
        index = self._index.get((device, metric))
        if index is None:
            if device not in self._devices:
                raise BadInput("unknown-device", f"'{device}' is not in the catalogue; 'devices' of a mapping renames")
            raise BadInput("unknown-metric", f"'{device}' has no metric '{metric}'; 'metrics' of a mapping renames")
        return index

    def _time_ms(self, said: Any) -> int:
        if isinstance(said, foreign.Nanoseconds):
            return int(said) // 1_000_000
        if isinstance(said, int):
            return self._scaled(said)
        if isinstance(said, float):
            if not np.isfinite(said):
                raise BadInput("bad-time", f"'{said}' is no time")
            return round(said * _FACTOR[self._unit])
        text = "" if said is None else str(said).strip()
        if text.removeprefix("-").isdecimal() and len(text) <= _DIGITS_MAX:
            return self._scaled(int(text))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            try:
                return round(float(text) * _FACTOR[self._unit])
            except (ValueError, OverflowError) as error:
                detail = f"'{text}' is no time; write RFC 3339, or a number and its time_unit"
                raise BadInput("bad-time", detail) from error
        if moment.tzinfo is None:
            if self._zone is None:
                raise BadInput("bad-time", f"'{text}' has no zone; say which with 'zone' of a mapping")
            moment = self._zoned(moment, text)
        return round(moment.timestamp() * 1000)

    def _zoned(self, moment: datetime, text: str) -> datetime:
        """A local time. Raises BadInput for one that clocks showed twice, or never, as they changed."""
        assert self._zone is not None
        first, second = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            # Of a time that was skipped the two differ the other way round (PEP 495).
            was_skipped = first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != moment
            what = "was skipped" if was_skipped else "came twice"
            raise BadInput("bad-time", f"'{text}' {what} in {self._zone.key} as clocks were changed; give its offset")
        return first

    def _scaled(self, said: int) -> int:
        divisor = _DIVISOR[self._unit]
        at_ms = said * 1000 if divisor is None else said // divisor
        if not 0 <= at_ms < 1 << 53:
            raise BadInput("bad-time", f"{said} {self._unit} is no time since 1970")
        return at_ms


def _number(said: Any) -> float:
    try:
        found = float(said)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput("bad-value", f"'{said}' is not a number") from error
    if not np.isfinite(found):
        raise BadInput("bad-value", f"'{said}' is not a finite number")
    return found


def _quality(said: Any) -> Quality:
    if said is None or said == "":
        return Quality.GOOD
    try:
        return Quality[said.upper()] if isinstance(said, str) and not said.isdecimal() else Quality(int(said))
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput("bad-quality", f"'{said}' is none of good, suspect, bad, 0, 1, 2") from error


def _name(path: Path, length: int, mapping: Mapping) -> str:
    """The same for the same file and mapping, so that an import that is done again replaces itself."""
    said = f"{path.resolve()}\n{length}\n{mapping.model_dump_json()}"
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _begin(state_file: Path, source: Path, report: Path, name: str) -> _State:
    if report.exists() and report.samefile(source):
        raise BadConfiguration(f"--report {report} is the file to import, and would be written over: name another")
    try:
        if state_file.exists():
            state = msgspec.json.decode(state_file.read_bytes(), type=_State)
            if state.name != name:
                raise BadConfiguration(
                    f"{state_file} is of an import of another file or with another mapping: finish that one, or remove it"
                )
            with report.open("r+b") as file:
                file.truncate(state.report_bytes)
            return state
        with report.open("wb") as file:
            return _State(name, report_bytes=file.write(b"line,reason,detail,row\n"))
    except (OSError, msgspec.MsgspecError) as error:
        raise Unavailable(f"{state_file}: {error}") from error


def _report(report: Path, refused: list[tuple[int, str, str, str]], size: int) -> int:
    """Add to the report; its size."""
    text = io.StringIO()
    # In quotation marks also where a carriage return stands alone, at which a reader would begin a row.
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(
        (number, reason, formula_safe(detail), formula_safe(row)) for number, reason, detail, row in sorted(refused)
    )
    try:
        with report.open("r+b") as file:
            file.seek(size)
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        raise Unavailable(f"{report}: {error}") from error


def _note(state_file: Path, state: _State) -> None:
    draft = state_file.with_name(f"{state_file.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(state_file)
    except OSError as error:
        raise Unavailable(f"{state_file}: {error}") from error
