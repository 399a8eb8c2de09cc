"""The last n readings of some series, and the windows that a batch completes. Axes: V watched series, n readings."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts.detectors.detector import UNSET_MS
from telemetry.batch import Floats, Indexes, Times
from telemetry.segments import Groups


class Windows:
    """A ring a series, oldest reading first; `UNSET_MS` where there has been none yet."""

    def __init__(self, watched: int, readings: int) -> None:
        self.time_ms: Times = np.full((watched, readings), UNSET_MS, np.int64)
        self.value: Floats = np.zeros((watched, readings))

    def push(self, rows: Groups, time_ms: Times, value: Floats) -> tuple[Times, Floats]:
        """Add readings and return the window that ended with each of them.

        Args:
            rows: Readings grouped by row of this ring; within a group in ascending time.
            time_ms, value: (N,) in the order of `rows.order`.

        Returns:
            (time_ms, value) of the windows, (N, n), in the order of `rows.order`; incomplete ones start with UNSET_MS.
        """
        n = self.time_ms.shape[1]
        ring = rows.key  # (G,)
        size = rows.end - rows.start
        if len(ring) == len(time_ms):  # one reading each, as in a wide batch: every ring moves by one
            return _moved(self.time_ms, ring, time_ms), _moved(self.value, ring, value)
        # Lay each group out as its ring followed by its new readings; a window is then n neighbours.
        start = np.cumsum(size + n) - (size + n)  # (G,)
        flat_time = np.empty(int((size + n).sum()), np.int64)
        flat_value = np.empty(len(flat_time))
        old = (start[:, None] + np.arange(n)).ravel()
        flat_time[old] = self.time_ms[ring].ravel()
        flat_value[old] = self.value[ring].ravel()
        new: Indexes = np.arange(len(time_ms)) + np.repeat(n * (np.arange(len(size)) + 1), size)
        flat_time[new] = time_ms
        flat_value[new] = value
        last = (start + size)[:, None] + np.arange(n)  # (G, n)
        self.time_ms[ring] = flat_time[last]
        self.value[ring] = flat_value[last]
        window = new[:, None] - np.arange(n - 1, -1, -1)  # (N, n)
        return flat_time[window], flat_value[window]


T = TypeVar("T", bound=np.generic)


def _moved(rings: NDArray[T], ring: NDArray[np.integer[Any]], newest: NDArray[T]) -> NDArray[T]:
    """The rings (V, n) after one more reading for each of `ring`: those rows, (G, n)."""
    moved = np.empty((len(ring), rings.shape[1]), rings.dtype)
    moved[:, :-1] = rings[ring, 1:]
    moved[:, -1] = newest
    rings[ring] = moved
    return moved
