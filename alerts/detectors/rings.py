"""The last few values of many series at once: what their order statistics are. Axes: V series, n places, K rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Floats, Indexes, Masks

T = TypeVar("T", bound=np.generic)


def shift_in(ring: NDArray[T], at: Indexes, value: NDArray[T]) -> None:
    """Append one value to some rings, (V, n), oldest first; the oldest falls out. No position stands twice."""
    ring[at, :-1] = ring[at, 1:]
    ring[at, -1] = value


def quantile(ascending: Floats, count: Indexes, share: float) -> Floats:
    """Linear quantiles of the first `count` of each row; NaN where there are none.

    Args:
        ascending: (K, n), sorted; what comes after `count` is padding.
        count: (K,).
    """
    last = np.maximum(count - 1, 0)
    whole = np.floor(share * last).astype(np.intp)
    row = np.arange(len(ascending))
    low, high = ascending[row, whole], ascending[row, np.minimum(whole + 1, last)]
    with np.errstate(invalid="ignore"):  # padding may be infinite
        found = low + (share * last - whole) * (high - low)
    return np.where(count > 0, found, np.nan)


def trimmed_mean(ascending: Floats, count: Indexes, share: float) -> Floats:
    """Means of the first `count` of each row without a share of them at either end; NaN where there are none."""
    cut = np.floor(share * count).astype(np.intp)[:, None]  # (K, 1)
    place = np.arange(ascending.shape[1])  # (n,)
    kept: Masks = (place >= cut) & (place < count[:, None] - cut)
    total = np.where(kept, ascending, 0.0).sum(axis=1)
    found: Floats = np.divide(total, kept.sum(axis=1), out=np.full(len(count), np.nan), where=kept.any(axis=1))
    return found
