"""An event loop on virtual time: when nothing is ready, its clock jumps to the next timer. What would run in a thread runs
at once, and is done a moment later. Everything happens in one order, which the seed decides."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

EPOCH_MS = 1_790_000_000_000  # when the simulated world begins


_ROUND_S = 2e-6  # what a round of the loop takes: without it, a wait shorter than a float can tell would last for ever


class Stuck(Exception):
    """Nothing is left that could ever happen: somebody waits for ever."""


class _Selector(selectors.SelectSelector):
    loop: SimLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self.loop.elapsed_s += max(_ROUND_S, timeout)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """All of a simulated world runs on one of these."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.thread_delay_s: Callable[[Callable[..., Any]], float] = lambda call: 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            self.call_later(self.thread_delay_s(func), _settle, future, None, error)
        else:
            self.call_later(self.thread_delay_s(func), _settle, future, result, None)
        return future


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class SimClock:
    """A node's clock: virtual time, and whatever is wrong with the node's idea of it."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.skew_ms = 0

    def now_ms(self) -> int:
        return EPOCH_MS + round(self._loop.time() * 1000) + self.skew_ms

    def monotonic_s(self) -> float:
        return 1000.0 + self._loop.time()
