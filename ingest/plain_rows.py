"""Plain readings as foreign devices publish them: one JSON object, or a list of them under "readings"."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import numpy as np

from ingest.group import Reject, excerpt, summarised
from telemetry.batch import ReadingBatch
from telemetry.errors import BadInput


class Row(msgspec.Struct, gc=False):
    """One reading as it is published; without a time it counts from its arrival."""

    device: str
    metric: str
    value: float
    time: Annotated[datetime, msgspec.Meta(tz=True)] | int | None = None
    quality: Literal["good", "suspect", "bad"] = "good"
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


class _Envelope(msgspec.Struct, gc=False):
    readings: list[Row] | None = None


class _RawEnvelope(msgspec.Struct, gc=False):
    readings: list[msgspec.Raw]


ONE = msgspec.json.Decoder(Row)
QUALITY = {"good": 0, "suspect": 1, "bad": 2}
_LIST = b'"readings"'
_MANY = msgspec.json.Decoder(_Envelope)
_RAW_MANY = msgspec.json.Decoder(_RawEnvelope)


class Rows:
    """Plain rows of a group, waiting to become columns."""

    def __init__(self) -> None:
        self.series: list[int] = []
        self.time_ms: list[int] = []
        self.value: list[float] = []
        self.quality: list[int] = []
        self.keys: dict[int, str] = {}
        self.topics: list[str] = []
        self.untimed: set[int] = set()  # numbers of those that say no time

    def batch(self) -> ReadingBatch:
        """As columns."""
        return ReadingBatch(
            np.array(self.series, np.uint32),
            np.array(self.time_ms, np.int64),
            np.array(self.value, np.float64),
            np.array(self.quality, np.uint8),
            self.keys,
        )


def plain_rows(payload: bytes, topic: str, rejects: list[Reject]) -> list[Row]:
    """The rows of a plain message: all at once when all are well, else one by one so that the good ones are kept."""
    try:
        # One reading by itself is what most foreign devices send: it is read once, by the shape that it has.
        many = _MANY.decode(payload).readings if _LIST in payload else None
        return [ONE.decode(payload)] if many is None else many
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        whole = error
    try:
        raw_rows = _RAW_MANY.decode(payload).readings
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _bad_json(whole if isinstance(error, msgspec.ValidationError) else error) from error
    rows, found = [], dict[tuple[str, str, str], int]()
    first: dict[tuple[str, str, str], bytes] = {}
    for raw in raw_rows:
        try:
            rows.append(ONE.decode(raw))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            bad = _bad_json(error)
            found[bad.reason, bad.detail, topic] = found.get((bad.reason, bad.detail, topic), 0) + 1
            first.setdefault((bad.reason, bad.detail, topic), bytes(raw))
    for each in summarised(found):
        shown = excerpt(first.get((each.reason, each.detail, topic), b""))
        rejects.append(Reject(each.reason, each.detail, topic, shown, each.count))
    return rows


def _bad_json(error: Exception) -> BadInput:
    if isinstance(error, msgspec.ValidationError):
        return BadInput("bad-value", f'{error}; a reading is {{"device", "metric", "time", "value"}}')
    return BadInput("broken-json", f"not JSON: {error}")
