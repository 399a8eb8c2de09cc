"""Readings as rows, for tests that tell afterwards what they have written."""

from collections.abc import Sequence

import numpy as np

from telemetry.batch import ReadingBatch

Row = tuple[int, int, float, int]
"""(series, time, value, quality)."""


def batch_of(rows: Sequence[Row]) -> ReadingBatch:
    """They, in their order."""
    series, time_ms, value, quality = zip(*rows, strict=True)
    return ReadingBatch(
        np.array(series, np.uint32),
        np.array(time_ms, np.int64),
        np.array(value, np.float64),
        np.array(quality, np.uint8),
    )
