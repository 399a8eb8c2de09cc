"""Readings as columns. Axis: N readings."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cbor2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Indexes = NDArray[np.intp]
SeriesIndexes = NDArray[np.uint32]
Qualities = NDArray[np.uint8]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Readings in arrival order, one column per field.

    Invariant: every column has length N, and no column is written after construction.
    """

    series: SeriesIndexes  # (N,) index into the series registry
    time_ms: Times  # (N,) device clock, epoch milliseconds, UTC
    value: Floats  # (N,) in the metric's unit, finite
    quality: Qualities  # (N,) `Quality` codes
    keys: Mapping[int, str] = field(default_factory=dict)  # reading number -> passage key, ascending

    def __post_init__(self) -> None:
        for column in (self.series, self.time_ms, self.value, self.quality):
            assert column.shape == (len(self),)
            column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.series)


@functools.cache
def empty_batch() -> ReadingBatch:
    """The batch of no readings: one for all, since none can be written."""
    return ReadingBatch(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))


def select(batch: ReadingBatch, rows: Indexes) -> ReadingBatch:
    """Some readings of a batch, in the order of `rows`."""
    keys: dict[int, str] = {}
    if batch.keys:
        keys = {number: batch.keys[row] for number, row in enumerate(rows.tolist()) if row in batch.keys}
    return ReadingBatch(batch.series[rows], batch.time_ms[rows], batch.value[rows], batch.quality[rows], keys)


def concatenate(batches: Sequence[ReadingBatch]) -> ReadingBatch:
    """One batch out of several, in order."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return empty_batch()
    keys: dict[int, str] = {}
    start = 0
    for batch in batches:
        if batch.keys:
            keys.update((start + number, key) for number, key in batch.keys.items())
        start += len(batch)
    return ReadingBatch(
        np.concatenate([b.series for b in batches]),
        np.concatenate([b.time_ms for b in batches]),
        np.concatenate([b.value for b in batches]),
        np.concatenate([b.quality for b in batches]),
        keys,
    )


_FORMAT = 2


def encode_batch(batch: ReadingBatch, behind: Mapping[str, int] | None = None) -> bytes:
    """A batch as a journal record's payload: bit-exact, columns as they lie in memory (little-endian).

    Args:
        behind: For gateways in this batch that come out of an outage, the frames of backlog still to come; 0 ends it.
    """
    columns = (batch.series, batch.time_ms, batch.value, batch.quality)
    return cbor2.dumps([_FORMAT, *(column.tobytes() for column in columns), dict(batch.keys), dict(behind or {})])


def decode_batch(payload: bytes) -> ReadingBatch:
    """Read back what `encode_batch` wrote. The columns are views of the payload."""
    return decode_arrival(payload)[0]


def decode_arrival(payload: bytes) -> tuple[ReadingBatch, Mapping[str, int]]:
    """The batch, and for each gateway that comes out of an outage the frames of backlog still to come."""
    version, series, time_ms, value, quality, keys, behind = cbor2.loads(payload)
    assert version == _FORMAT, f"journal record of format {version}"
    batch = ReadingBatch(
        np.frombuffer(series, np.uint32),
        np.frombuffer(time_ms, np.int64),
        np.frombuffer(value, np.float64),
        np.frombuffer(quality, np.uint8),
        keys,
    )
    return batch, behind
