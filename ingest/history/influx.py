"""Writes history to InfluxDB 2 through its own client, given line protocol that was encoded by column.

    answer                                          outcome
    204                                             stored; only then does the cursor move
    any other 2xx                                   not InfluxDB's: an administrator is told to look at history.url
    400, lines named                                those lines are quarantined with InfluxDB's reason, the rest is sent again
    422, before the bucket's retention              the oldest, as many as were dropped, are quarantined; the rest is stored
    422, type of a field                            readings of that kind and metric are looked through by halves
    400 or 422, nothing named                       halved until the refused line stands alone
    413                                             halved, and requests stay that small
    401, 403 · 404                                  an administrator is told what to do; tried again once a minute
    429, 503 with Retry-After                       tried again, not before the server wants it
    3xx, 5xx, hang, reset, no name, no trust (TLS)  tried again with a growing pause; the journal holds the readings
    400 or 422 that is not InfluxDB's own           like 5xx: a proxy's opinion must not throw readings away

Writing the same lines again makes the same points, so whatever was half done is simply done again.
Source: InfluxDB OSS v2 documentation, "Write data with the InfluxDB API" and its `/api/v2/write` reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import msgspec
import numpy as np
import urllib3
from influxdb_client import InfluxDBClient, WriteService
from influxdb_client.rest import ApiException

from ingest.history.history import Refused, SeriesPlace, StoreAway
from ingest.history.line_protocol import LineEncoder
from ingest.history.settings import InfluxSettings
from telemetry.batch import Indexes, Masks, ReadingBatch, select
from telemetry.clock import Clock, SystemClock

LINES_MAX = 20_000  # of one request
BYTES_MAX = 4_000_000  # of one request
_STORED = 204
_LINES = "text/plain; charset=utf-8"
_NAMED = re.compile(r"unable to parse '(.*?)': ([^\n]*)")
_DROPPED = re.compile(r"dropped[= ](\d+)")
_CONFLICT = re.compile(r'field type conflict: input field "([^"]*)" on measurement "([^"]*)"')
_NEEDS = {
    401: "history.token is not one that this InfluxDB knows: give it one that may write",
    403: "history.token may not write this bucket: give it one that may",
    404: "history.org or history.bucket does not exist there: `gatehouse init` makes them",
}


def connect(settings: InfluxSettings) -> InfluxDBClient:
    """The client that all of history uses. It does not try again by itself: the journal does, with more patience."""
    return InfluxDBClient(
        settings.url, settings.token.get_secret_value(), org=settings.org, timeout=settings.timeout_ms, retries=False
    )


class InfluxWriter:
    """The core's side of a history in InfluxDB."""

    gather_s = 0.0  # a record of the journal is a group already

    def __init__(self, settings: InfluxSettings, series: Sequence[SeriesPlace], clock: Clock | None = None) -> None:
        self._settings = settings
        self._series = series
        self._clock = clock or SystemClock()
        self._encoder = LineEncoder(series)
        self._api = WriteService(connect(settings).api_client)
        self._lines_max = LINES_MAX

    def start(self, cursor: int) -> None:
        """Nothing to mend: points that are written twice are the same points."""

    def write(self, batch: ReadingBatch, first: int, last: int) -> Sequence[Refused]:
        refused: list[Refused] = []
        start = 0
        # A request's worth at a time: a failed one may live on in its exception for a while, and must be small.
        while start < len(batch):
            rows = np.arange(start, min(start + self._lines_max, len(batch)))
            self._post(batch, rows, refused)
            start += len(rows)
        return refused

    def tidy(self) -> bool:
        """InfluxDB keeps its own house."""
        return False

    def warning(self) -> str:
        return ""

    def _post(self, batch: ReadingBatch, rows: Indexes, refused: list[Refused]) -> None:
        body = self._encoder.encode(batch if len(rows) == len(batch) else select(batch, rows))  # rows are in order
        if len(body) > BYTES_MAX and len(rows) > 1:
            self._post_halves(batch, rows, refused)
            return
        try:
            _, status, _ = self._api.post_write_with_http_info(
                self._settings.org, self._settings.bucket, body, precision="ms", content_type=_LINES
            )
        except ApiException as error:
            answer = Answer.of(error)
            if answer.status == 413 and len(rows) > 1:
                self._lines_max = max(1, min(self._lines_max, len(rows) // 2))
                self._post_halves(batch, rows, refused)
            elif answer.status in (400, 413, 422) and answer.is_influxdb:
                self._sort_out(batch, rows, body.decode().splitlines(), answer.why, refused)
            else:
                raise self._away(error, answer) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreAway(f"InfluxDB at {self._settings.url}: {error}") from error
        else:
            if status != _STORED:
                raise StoreAway(
                    f"{self._settings.url} answers {status}",
                    f"InfluxDB answers {_STORED}: see whether history.url is its own",
                )

    def _sort_out(
        self, batch: ReadingBatch, rows: Indexes, lines: Sequence[str], why: str, refused: list[Refused]
    ) -> None:
        """Find the readings that a refused request was refused for."""
        dropped = _DROPPED.search(why)
        dropped_count = int(dropped[1]) if dropped else 0
        if len(rows) == 1 or dropped_count == len(rows):
            refused += [Refused(row, _short(why), line) for row, line in zip(rows.tolist(), lines, strict=True)]
            return
        named = dict(_NAMED.findall(why))
        is_named = np.array([line in named for line in lines], np.bool_)
        if is_named.any():
            for number in np.flatnonzero(is_named).tolist():
                refused.append(Refused(int(rows[number]), _short(named[lines[number]]), lines[number]))
            if not is_named.all():
                self._post(batch, rows[~is_named], refused)
            return
        conflict = _CONFLICT.search(why)
        if conflict is not None:
            is_suspect = self._is_of(batch, rows, metric=conflict[1], kind=conflict[2])
            if is_suspect.any() and not is_suspect.all():
                self._post(batch, rows[~is_suspect], refused)
                self._post(batch, rows[is_suspect], refused)
                return
        self._post_halves(batch, rows, refused, 0 if conflict else dropped_count)

    def _post_halves(self, batch: ReadingBatch, rows: Indexes, refused: list[Refused], oldest_count: int = 0) -> None:
        """The oldest first, so that what lies before the bucket's retention is one stretch."""
        rows = rows[np.argsort(batch.time_ms[rows], kind="stable")]
        middle = oldest_count if 0 < oldest_count < len(rows) else len(rows) // 2
        self._post(batch, rows[:middle], refused)
        self._post(batch, rows[middle:], refused)

    def _is_of(self, batch: ReadingBatch, rows: Indexes, metric: str, kind: str) -> Masks:
        wanted = np.array([place.kind == kind and place.metric == metric for place in self._series], np.bool_)
        found: Masks = wanted[batch.series[rows]]
        return found

    def _away(self, error: ApiException, answer: Answer) -> StoreAway:
        detail = f"InfluxDB at {self._settings.url} answers {answer.status}: {_short(answer.why)}"
        return StoreAway(detail, _NEEDS.get(answer.status, ""), _retry_after_s(error, self._clock))


class Answer(NamedTuple):
    """What a refused request was answered."""

    status: int
    why: str
    is_influxdb: bool  # rather than something on the way to it

    @classmethod
    def of(cls, error: ApiException) -> Answer:
        body = error.body
        if not body:
            return cls(error.status or 0, str(error.reason or error), False)  # InfluxDB says what it refuses, and why
        text = body if isinstance(body, str) else bytes(body).decode(errors="replace")
        try:
            said = msgspec.json.decode(text, type=_Said)
        except msgspec.MsgspecError:
            return cls(error.status or 0, text, False)
        return cls(error.status or 0, said.message, True)


class _Said(msgspec.Struct):
    code: str
    message: str


def _retry_after_s(error: ApiException, clock: Clock) -> float:
    """How long the server asks to be left alone: in seconds, or until a date (RFC 9110, section 10.2.3)."""
    asked = (error.headers or {}).get("Retry-After", "")
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - clock.now_ms() / 1000)
    except (TypeError, ValueError):
        return 0.0


def _short(why: str) -> str:
    return " ".join(why.split())[:300]
