"""Memory in processes that run for months: the collector of garbage, and where the C library takes memory from."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Callable

_OBJECTS_BETWEEN = 50_000  # one answer or batch of a server makes thousands of objects, which die with it
_M_ARENA_MAX = -8  # glibc, malloc.h
_ARENAS = 2
_GIVE_BACK_EVERY_S = 60.0


def keep_what_stands(objects_between: int = _OBJECTS_BETWEEN) -> None:
    """Call it once all parts of a process are made, which stand for good and are most of what it holds, before threads start.

    To look through all of that again would hold every thread up for 100 ms and more each time, whatever it is doing. What
    came since is looked through when it has grown by `objects_between`, and what holds itself in a ring waits until then.

    And glibc would give each thread an arena of its own. Batches are made in one thread and die in another, so that every
    arena grows to what its thread has ever needed at once, with holes in it that no other thread may use. Of two arenas the
    holes go back to the kernel once a minute: else they grow in number, slowly and for hours, though no more is in use.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects_between, 20, 20)
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
        threading.Thread(target=_give_back, args=(ctypes.CDLL(None).malloc_trim,), name="memory", daemon=True).start()


def _give_back(malloc_trim: Callable[[int], int]) -> None:
    while True:
        time.sleep(_GIVE_BACK_EVERY_S)
        malloc_trim(0)  # outside of the interpreter's lock
