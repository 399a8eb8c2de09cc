"""History that remembers what it read for a while: a building has a hundred registers, and each is read for every screen."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from ingest.history.history import Aggregate, Curve, HistoryReader
from telemetry.clock import Clock

KEPT_MS = 5 * 60_000
_CURVES_MAX = 4_000  # of a month by the hour: some 50 MB

_Asked = tuple[str, str, str, int, int, int | None, Aggregate]


class Remembered:
    """Answers the same question with the same curves for `KEPT_MS`; past its size the oldest answers are forgotten."""

    def __init__(self, history: HistoryReader, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._lock = threading.Lock()
        self._curves: OrderedDict[_Asked, tuple[int, Curve]] = OrderedDict()

    def read_many(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        every_ms: int | None,
        how: Aggregate,
    ) -> dict[str, Curve]:
        """As `HistoryReader.read_many`; only what is not remembered is read. Raises Unavailable."""
        asked = {device: (kind, device, metric, start_ms, end_ms, every_ms, how) for device in devices}
        now_ms = self._clock.now_ms()
        with self._lock:
            known = {device: self._curves[each] for device, each in asked.items() if each in self._curves}
        found = {device: curve for device, (read_ms, curve) in known.items() if now_ms - read_ms < KEPT_MS}
        missing = [device for device in asked if device not in found]
        if missing:
            found |= self._history.read_many(kind, missing, metric, start_ms, end_ms, every_ms, how)
        with self._lock:
            for device in missing:
                self._curves.pop(asked[device], None)
                self._curves[asked[device]] = (now_ms, found[device])
            while len(self._curves) > _CURVES_MAX:
                self._curves.popitem(last=False)
        return found
