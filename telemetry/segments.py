"""Grouping tricks behind plain names: what numpy can say about runs of equal keys. Axis: N items, G groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Indexes


@dataclass(frozen=True, slots=True)
class Groups:
    """Items gathered by key, order within a key kept. `order[start[g]:end[g]]` are the items of `key[g]`."""

    order: Indexes  # (N,) item numbers, key by key
    key: NDArray[np.int64]  # (G,) ascending
    start: Indexes  # (G,)
    end: Indexes  # (G,)


def group(keys: NDArray[np.int64]) -> Groups:
    """Gather items by key. Stable: items of one key stay in their order."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    first = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1]))) if len(keys) else np.empty(0, np.intp)
    end = np.append(first[1:], len(keys)) if len(keys) else first
    return Groups(order, ranked[first], first, end)


def rank_within(groups: Groups) -> Indexes:
    """For `order`: how many items of the same key came before each, (N,)."""
    count = len(groups.order)
    return np.arange(count) - np.repeat(groups.start, groups.end - groups.start)


def expand(start: Indexes, count: Indexes) -> tuple[Indexes, Indexes]:
    """Ranges laid end to end.

    Args:
        start, count: (M,) where each range starts and how long it is.

    Returns:
        (source, position): for every element of every range, which range it is of and its absolute position.
    """
    source = np.repeat(np.arange(len(start)), count)
    within = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    return source, start[source] + within


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
