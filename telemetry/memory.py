"""The collector of garbage, in processes that run for months."""

from __future__ import annotations

import gc

_ROWS_BETWEEN = 50_000  # one answer or batch makes thousands of objects, which die with it


def keep_what_stands() -> None:
    """Call it once all parts of a process are made, which stand for good and are most of what it holds.

    To look through all of that again would hold every thread up for 100 ms and more each time, whatever it is doing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ROWS_BETWEEN, 20, 20)
