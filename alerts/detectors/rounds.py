"""One reading of each series at a time, for what cannot be said of all readings at once.

The loop is over the longest run of one series in the batch: a batch of one reading each of many series is one round.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.segments import group, rank_within


def rounds(position: Indexes) -> Iterator[Indexes]:
    """Item numbers such that no position stands twice in a round, and each one's items come in their order."""
    if not len(position):
        return
    groups = group(position)
    rank = rank_within(groups)
    items = groups.order[np.argsort(rank, kind="stable")]
    bounds = np.append(0, np.cumsum(np.bincount(rank)))
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield items[start:end]


def shift_in(ring: Floats | Times, at: Indexes, value: Floats | Times) -> None:
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
