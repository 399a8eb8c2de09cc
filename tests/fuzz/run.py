"""One codec and many damaged messages. Time is the CPU's, and an input that hangs is cut off by a timer."""

from __future__ import annotations

import contextlib
import random
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.codecs import Target
from tests.fuzz.damage import damaged

HANG_S = 1.0  # of CPU, for one input of at most 4 kB: some twenty thousand times what it takes
_SHOWN_MAX = 5


class Hang(BaseException):
    """Out of reach of every `except` of a codec."""


@dataclass(frozen=True, slots=True)
class Found:
    """An input that did harm."""

    data: bytes
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What did harm, and the longest that an input took [CPU s]."""

    found: tuple[Found, ...]
    longest_s: float


def fuzz(target: Target, inputs: int, seed: int) -> Outcome:
    """Put so many damaged messages to a codec, the first few that do harm are kept."""
    rng = random.Random(zlib.crc32(target.name.encode()) + seed)
    found: list[Found] = []
    longest_s = 0.0
    with _alarm():
        for number in range(inputs):
            data = damaged(target.seeds, rng)
            began_s = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
            try:
                target.put(data)
            except Hang:
                found.append(Found(data, f"input {number} takes more than {HANG_S:g} s"))
            except Exception as error:
                found.append(Found(data, f"input {number}: {type(error).__name__}: {error}"))
            longest_s = max(longest_s, time.process_time() - began_s)
            if len(found) == _SHOWN_MAX:
                break
    return Outcome(tuple(found), longest_s)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def rings(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, rings)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
