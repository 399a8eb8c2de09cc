"""Rolls history in InfluxDB up: a reader of the journal with a cursor of its own, never ahead of history's.

    room-meter,device=room-305-meter,every=1h power_count=60,power_low=…,power_grown=…,power_quality=0 1764835200000

An hour of a series that a record touches is computed anew from InfluxDB's readings, all three rollups of it: five minutes
after it is over, or a minute after something came to it later still. The points are the same points then, so that a crash or
a replay changes nothing. A mark says until when everything is rolled up; from there on readers read readings. What comes late
for an hour before the mark is in the rollups a minute or so after it is stored. Axes: W windows.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import urllib3
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from numpy.typing import NDArray

from ingest import events
from ingest.history.history import Refused, SeriesPlace, StoreAway
from ingest.history.influx import Answer, InfluxWriter, connect
from ingest.history.influx_reader import ROLLED, InfluxReader
from ingest.history.loop import CURSOR as HISTORY_CURSOR
from ingest.history.loop import pause_s
from ingest.history.rollups import WIDTHS_MS, Windows, merge, windows_of
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch, decode_batch
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind

CURSOR = "history-rollups"
HOUR_MS = 3_600_000
_GRACE_MS = 300_000  # readings are under way for less than this, as a rule
_LATE_MS = 60_000  # how long what is late waits for company
_DEVICE_HOURS = 50  # of one query: its answer is held in memory
_LINES_MAX = 5_000  # of eight fields each, and of one request: fewer once one was too large
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 60.0
_RECORDS_AT_ONCE = 1000
_NO_HOUR = -(1 << 40)
_HOURS = 1 << 32  # keys are series · _HOURS + hour


class HourRoller:
    """Computes hours of series anew, from what InfluxDB holds of them."""

    def __init__(self, settings: InfluxSettings, series: Sequence[SeriesPlace]) -> None:
        self._settings = settings
        self._series = series
        self._reader = InfluxReader(settings)
        self._api = connect(settings).write_api(write_options=SYNCHRONOUS)
        self._lines_max = _LINES_MAX

    def roll_up(self, keys: Iterable[tuple[int, int]]) -> None:
        """Compute hours of series anew, each as (series, hour since 1970). Raises Unavailable."""
        of_kind: dict[str, dict[int, set[str]]] = {}
        for series, hour in keys:
            place = self._series[series]
            of_kind.setdefault(place.kind, {}).setdefault(hour, set()).add(place.device)
        for kind, of_hour in sorted(of_kind.items()):
            for devices, first, last in _runs(of_hour):
                self._roll(kind, devices, first, last)

    def _roll(self, kind: str, devices: Sequence[str], first_hour: int, last_hour: int) -> None:
        curves = self._reader.readings(kind, devices, first_hour * HOUR_MS, (last_hour + 1) * HOUR_MS)
        lines = []
        for (device, metric), curve in curves.items():
            windows = windows_of(curve, WIDTHS_MS["1m"])
            for width, width_ms in WIDTHS_MS.items():
                windows = merge(windows, width_ms)
                lines += _lines(kind, device, metric, width, windows)
        while lines:
            some, lines = lines[: self._lines_max], lines[self._lines_max :]
            self._write(some)

    def mark(self, through_ms: int) -> None:
        """Say until when everything is rolled up. Raises Unavailable."""
        self._write([f"{ROLLED} through=1i {through_ms}"])

    def _write(self, lines: Sequence[str]) -> None:
        body = "\n".join(lines).encode()
        try:
            self._api.write(self._settings.rollup_bucket, self._settings.org, body, write_precision="ms")
        except ApiException as error:
            answer = Answer.of(error)
            if answer.status == 422 and answer.is_influxdb:  # it has kept the others
                if "retention" not in answer.why:  # else they are older than rollups are kept
                    events.history_untidy(f"rollups: InfluxDB refuses some: {answer.why}")
                return
            if error.status == 413 and len(lines) > 1:
                middle = len(lines) // 2
                self._lines_max = min(self._lines_max, middle)
                self._write(lines[:middle])
                self._write(lines[middle:])
                return
            needs = "`gatehouse init` makes the bucket of rollups" if error.status == 404 else ""
            why = f"InfluxDB at {self._settings.url} answers {error.status}: {error.body or error.reason}"
            raise StoreAway(why, needs) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreAway(f"InfluxDB at {self._settings.url}: {error}") from error


class InfluxRollups:
    """Keeps the rollups of a history in InfluxDB up to date."""

    def __init__(self, journal: Journal, settings: InfluxSettings, series: Sequence[SeriesPlace]) -> None:
        self._journal = journal
        self._series_count = len(series)
        self._hour_of = np.full(len(series), _NO_HOUR, np.int64)  # (S,) that was touched last and is in `_touched`
        self._roller = HourRoller(settings, series)
        self._random = random.Random()  # jitter only
        self.reader = CURSOR
        self._read = journal.cursor(CURSOR)
        self._now_ms = 0  # as the journal has it
        self._touched: dict[int, tuple[int, int]] = {}  # key -> the record that touched it first, when that was learned
        self._rolled_ms = 0  # what the mark says
        self.trouble: StoreAway | None = None  # what keeps rollups from being written, while it does

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        delay_s = _RETRY_FIRST_S
        while not stop.is_set():
            try:
                has_more = self.step()
            except Unavailable as error:
                events.history_unavailable(f"rollups: {error}", is_first=delay_s == _RETRY_FIRST_S)
                self.trouble = error if isinstance(error, StoreAway) else None
                stop.wait(pause_s(error, delay_s, self._random))
                delay_s = min(delay_s * 2, _RETRY_MAX_S)
                continue
            delay_s, self.trouble = _RETRY_FIRST_S, None
            if not has_more:
                stop.wait(1.0)

    def step(self) -> bool:
        """Do a bounded piece of work; True when there is more to do at once. Raises Unavailable."""
        stored = self._journal.cursor(HISTORY_CURSOR)
        # What history does not have yet is not looked at: it may be much, while the database is slow.
        records = (
            self._journal.read(self._read, min(stored - self._read, _RECORDS_AT_ONCE)) if stored > self._read else []
        )
        records = [record for record in records if record.offset <= stored]
        for record in records:
            if record.kind in (Kind.READINGS, Kind.BACKLOG):
                self._touch(decode_batch(record.payload), record.offset, record.time_ms)
            self._read, self._now_ms = record.offset, max(self._now_ms, record.time_ms)
        due = [key for key, (_, known_ms) in self._touched.items() if self._is_due(key, known_ms)]
        if not records or len(due) >= self._series_count:
            self._roll_up(due)
        return bool(records)

    def _touch(self, batch: ReadingBatch, record: int, known_ms: int) -> None:
        hour = batch.time_ms // HOUR_MS
        rows = np.flatnonzero(hour != self._hour_of[batch.series])  # most are of the hour that was touched last
        if len(rows):
            series, hour = batch.series[rows].astype(np.int64), hour[rows]
            self._hour_of[series] = hour
            for key in np.unique(series * _HOURS + hour).tolist():
                self._touched.setdefault(key, (record, known_ms))

    def _is_due(self, key: int, known_ms: int) -> bool:
        over_ms = (key % _HOURS + 1) * HOUR_MS
        if over_ms <= self._rolled_ms:
            return known_ms + _LATE_MS <= self._now_ms
        return over_ms + _GRACE_MS <= self._now_ms

    def _roll_up(self, due: Sequence[int]) -> None:
        self._roller.roll_up(divmod(key, _HOURS) for key in due)
        for key in due:
            del self._touched[key]
            series, hour = divmod(key, _HOURS)
            if self._hour_of[series] == hour:
                self._hour_of[series] = _NO_HOUR
        # Everything that was read up to here and is old enough is in; what is still to be rolled up holds the cursor back.
        through_ms = (self._now_ms - _GRACE_MS) // HOUR_MS * HOUR_MS
        if through_ms > self._rolled_ms:
            self._roller.mark(through_ms)
            self._rolled_ms = through_ms
        through = min((record for record, _ in self._touched.values()), default=self._read + 1) - 1
        if through > self._journal.cursor(CURSOR):
            self._journal.set_cursor(CURSOR, through)


def _runs(of_hour: Mapping[int, set[str]]) -> Iterator[tuple[list[str], int, int]]:
    """Devices, first and last hour of each query: hours that follow each other and have the same devices go together."""
    hours = sorted(of_hour)
    while hours:
        first = last = hours.pop(0)
        names = sorted(of_hour[first])
        while hours and hours[0] == last + 1 and of_hour[hours[0]] == of_hour[first]:
            if (hours[0] - first + 1) * len(names) > _DEVICE_HOURS:
                break
            last = hours.pop(0)
        for start in range(0, len(names), _DEVICE_HOURS):
            yield names[start : start + _DEVICE_HOURS], first, last


class InfluxBringer:
    """Takes in readings that did not come through the journal, and rolls up what they touch."""

    def __init__(self, settings: InfluxSettings, series: Sequence[SeriesPlace]) -> None:
        self._writer = InfluxWriter(settings, series)
        self._roller = HourRoller(settings, series)
        self._series_count = len(series)

    def bring(self, batch: ReadingBatch, name: str) -> Sequence[Refused]:
        refused = self._writer.write(batch, 0, 0)
        keys = np.unique(batch.series.astype(np.int64) * _HOURS + batch.time_ms // HOUR_MS)
        self._roller.roll_up(divmod(key, _HOURS) for key in keys.tolist())
        return refused

    def roll_days(self, days: range) -> None:
        """Roll up whole days since 1970 of every series, also of what the journal never held. Raises Unavailable."""
        for day in days:
            self._roller.roll_up(
                (series, hour) for hour in range(day * 24, (day + 1) * 24) for series in range(self._series_count)
            )


def _lines(kind: str, device: str, metric: str, width: str, windows: Windows) -> list[str]:
    """(W,)"""
    if not len(windows):
        return []
    named: dict[str, NDArray[Any]] = {
        "count": windows.count,
        "low": windows.low,
        "high": windows.high,
        "total": windows.total,
        "first": windows.first,
        "last": windows.last,
        "grown": windows.grown,
        "quality": windows.quality,
    }
    parts: list[pa.Array | pa.Scalar] = [pa.scalar(f"{kind},device={device},every={width} ")]
    for number, (name, column) in enumerate(named.items()):
        parts.append(pa.scalar(f"{',' if number else ''}{metric}_{name}="))
        parts.append(pc.cast(pa.array(column.astype(np.float64)), pa.string()))
    parts += [pa.scalar(" "), pc.cast(pa.array(windows.time_ms), pa.string()), pa.scalar("")]
    found: list[str] = pc.binary_join_element_wise(*parts).to_pylist()
    return found
