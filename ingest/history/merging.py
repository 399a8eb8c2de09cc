"""Which of a day's files become one: few are left, whatever was written each time, and a reading is seldom written again.

Sixteen neighbours of one size, within a factor of sixteen, are the rule: each merge makes a file of the next size. What is
written in two seconds differs, however, and of sizes that alternate no sixteen are neighbours: then those of two sizes
that lie together are taken, of which there must be twice as many, of three, and so on. A file that is larger than all
the others together is left out, so that whatever is written again lies in a file of at least twice its size.
Axis: N files, in the order of the journal.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

MERGE_COUNT = 16  # so many files of like size become one
MERGE_ROWS_MAX = 20_000_000  # and no file larger than this
_AT_ONCE_MAX = 512  # files: whoever merges has other things to do meanwhile
_SMALL_ROWS = 1024  # all files below are of one size


def mergeable(rows: Sequence[int]) -> slice | None:
    """Neighbours to be made one, the smallest first; None while files of so many rows each, (N,), may stay as they are."""
    sizes = [_size(count) for count in rows]
    distinct = sorted(set(sizes))
    for width in range(1, len(distinct) + 1):
        for low, high in zip(distinct, distinct[width - 1 :], strict=False):
            start = 0
            for is_between, run in itertools.groupby(low <= size <= high for size in sizes):
                stop = start + len(list(run))
                if is_between and (found := _within(rows, start, stop, MERGE_COUNT * width)):
                    return found
                start = stop
    return None


def _within(rows: Sequence[int], start: int, stop: int, count_min: int) -> slice | None:
    """Of a run of files, neighbours that are worth it."""
    if stop - start < count_min:
        return None
    if stop - start > _AT_ONCE_MAX:
        middle = start + _AT_ONCE_MAX
        return _within(rows, start, middle, count_min) or _within(rows, middle, stop, count_min)
    total = sum(rows[start:stop])
    if total > MERGE_ROWS_MAX:
        middle, fits = start + 1, rows[start]
        while fits + rows[middle] <= MERGE_ROWS_MAX:
            fits += rows[middle]
            middle += 1
        return _within(rows, start, middle, count_min) or _within(rows, middle, stop, count_min)
    largest = max(range(start, stop), key=rows.__getitem__)
    if total >= 2 * rows[largest]:
        return slice(start, stop)
    return _within(rows, start, largest, count_min) or _within(rows, largest + 1, stop, count_min)


def _size(rows: int) -> int:
    size = 0
    while rows >= _SMALL_ROWS:
        rows //= MERGE_COUNT
        size += 1
    return size
