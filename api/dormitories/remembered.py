"""History that remembers what it read for a while: a building has a hundred registers, and each read takes its time."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ingest.history.history import Aggregate, Curve, HistoryReader
from telemetry.clock import Clock

KEPT_MS = 5 * 60_000
_CURVES_MAX = 2_000  # of a month by the hour: some 20 MB

_Asked = tuple[str, str, str, int, int, int | None, Aggregate]


class Remembered:
    """Answers the same question with the same curve for `KEPT_MS`; past its size the oldest answers are forgotten."""

    def __init__(self, history: HistoryReader, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._lock = threading.Lock()
        self._curves: OrderedDict[_Asked, tuple[int, Curve]] = OrderedDict()

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        """As `HistoryReader.read`. Raises Unavailable."""
        asked = (kind, device, metric, start_ms, end_ms, every_ms, how)
        now_ms = self._clock.now_ms()
        with self._lock:
            read_ms, curve = self._curves.get(asked, (now_ms - KEPT_MS, None))
        if curve is not None and now_ms - read_ms < KEPT_MS:
            return curve
        curve = self._history.read(*asked)
        with self._lock:
            self._curves.pop(asked, None)
            self._curves[asked] = (now_ms, curve)
            while len(self._curves) > _CURVES_MAX:
                self._curves.popitem(last=False)
        return curve
