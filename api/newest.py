"""The last reading of every series, in memory: what history has, and what the broker has told since.

A page asks for all of them at once and every few seconds. To find them in history means to read every reading of two days,
which is done once and then again each hour; between, what was written since is read, in the background, while somebody asks.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from ingest.history.history import HistoryReader, Newest
from telemetry.clock import Clock

_log = structlog.get_logger("api")

_WITHIN_MS = 2 * 86_400_000  # a series that was not heard for longer has no last reading
_EVERY_S = 5.0
_IDLE_S = 60.0
_WHOLE_EVERY_S = 3600.0  # for what a gateway sent late while the broker told us nothing
_LATE_MS = 15 * 60_000  # how far behind the last time history is read again: it is written some seconds late

Heard = Mapping[tuple[str, str], tuple[int, float, int]]


class NewestReadings:
    """Asked at every request, without asking history for it.

    Args:
        heard: (time, value, quality) by (device, metric), as the broker tells it; it changes meanwhile.
    """

    def __init__(self, history: HistoryReader, heard: Heard, clock: Clock) -> None:
        self._history = history
        self._heard = heard
        self._clock = clock
        self._stored: Mapping[tuple[str, str], Newest] = {}
        self._seen: Set[str] = frozenset()  # of history
        self._read_ms = 0  # up to when history is known
        self._whole_s = self._asked_s = float("-inf")
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "newest")
        self._reading: Future[None] | None = None
        self._awaited: Future[None] | None = None  # what is known is too old to be told

    def get(self, device: str, metric: str) -> Newest | None:
        """The last reading of a series, if there is one of the last two days. Raises Unavailable until history was read."""
        if self._clock.monotonic_s() - self._asked_s >= _EVERY_S:
            self._read_again()
        if (awaited := self._awaited) is not None:
            awaited.result()
            self._awaited = None
        stored, heard = self._stored.get((device, metric)), self._heard.get((device, metric))
        if heard is None or (stored is not None and stored.time_ms >= heard[0]):
            return stored
        return Newest(*heard)

    def refresh(self) -> None:
        """Read what history has now. Raises Unavailable."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        if now_s - self._whole_s >= _WHOLE_EVERY_S:
            self._stored, self._seen = self._history.newest(now_ms - _WITHIN_MS)
            self._whole_s = now_s
        else:
            lately, self._seen = self._history.newest(min(self._read_ms, now_ms) - _LATE_MS, self._seen)
            later = {name: last for name, last in lately.items() if last.time_ms >= self._time_ms(name)}
            self._stored = {**self._stored, **later}
        self._read_ms = now_ms

    def _time_ms(self, name: tuple[str, str]) -> int:
        known = self._stored.get(name)
        return 0 if known is None else known.time_ms

    def _read_again(self) -> None:
        """In the background, one at a time; only after nobody had asked for long it is waited for."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s - self._asked_s < _EVERY_S or (self._reading is not None and not self._reading.done()):
                return
            self._reading = self._reader.submit(self._refreshed)
            if not self._read_ms or now_s - self._asked_s >= _IDLE_S:
                self._awaited = self._reading
            self._asked_s = now_s

    def _refreshed(self) -> None:
        """The last that came of it stays where nothing comes."""
        try:
            self.refresh()
        except Exception as error:
            if not self._read_ms:
                raise
            _log.warning("history does not say what is newest", error=repr(error))
