"""The newest value of every series that changed, and how the core is doing, published once a second for the screens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from ingest.history.history import SeriesPlace
from telemetry.batch import decode_batch
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind
from telemetry.topics import live_topic

EVERY_S = 1.0

Publish = Callable[[str, bytes, bool], None]


class LiveValues:
    """A reader of the journal that never looks back: what is old is in history."""

    def __init__(
        self,
        journal: Journal,
        series: Sequence[SeriesPlace],
        publish: Publish,
        readiness: Callable[[], dict[str, object]],
    ) -> None:
        self._journal = journal
        self._sites = sorted({place.site for place in series if place.site})
        self._readiness = readiness
        self._series = series
        self._publish = publish
        self._newest: dict[int, tuple[int, float, int]] = {}

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        position = self._journal.last
        while not stop.wait(EVERY_S):
            changed: set[int] = set()
            if self._journal.last - position > 5000:
                position = self._journal.last - 5000  # a backlog: the screens want what is new
            # The journal cannot be read on a full or failing disk: what the screens lack then comes with the next second.
            with contextlib.suppress(Unavailable):
                while records := self._journal.read(position):
                    for record in records:
                        position = record.offset
                        if record.kind in (Kind.READINGS, Kind.BACKLOG):
                            changed |= self._take(record.payload)
            self._tell(changed)

    def _take(self, payload: bytes) -> set[int]:
        batch = decode_batch(payload)
        # Of a long batch only the newest reading of each series is looked at: the first from behind.
        series, behind = np.unique(batch.series[::-1], return_index=True)
        rows = len(batch) - 1 - behind
        columns = (batch.time_ms[rows].tolist(), batch.value[rows].tolist(), batch.quality[rows].tolist())
        changed = set()
        for number, time_ms, value, quality in zip(series.tolist(), *columns, strict=True):
            if number not in self._newest or time_ms >= self._newest[number][0]:
                self._newest[number] = (time_ms, value, quality)
                changed.add(number)
        return changed

    def _tell(self, changed: set[int]) -> None:
        # Every site every second, also when nothing changed: this is how the API knows that the core is there.
        by_site: dict[str, list[tuple[str, str, int, float, int]]] = {site: [] for site in self._sites}
        for series in sorted(changed):
            place = self._series[series]
            if place.site:
                by_site[place.site].append((place.device, place.metric, *self._newest[series]))
        core = self._readiness()
        for site, values in by_site.items():
            try:
                self._publish(live_topic(site), msgspec.json.encode({"values": values, "core": core}), False)
            except Unavailable:
                return  # the next second tells what is newest then
