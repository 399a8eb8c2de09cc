"""What other series said when a reading came: their last few readings, looked up by time.

Two things limit what a reading may see of another series: the time (nothing that was measured after it) and the order of
arrival (nothing that came after it), so that cutting the stream elsewhere changes nothing. In each series both only ever
grow, so what may be seen is always a beginning of it, and the shorter of two beginnings.

Axes: V series that are remembered, n readings of each, M questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alerts.detectors.detector import UNSET_MS, Rows, Watch
from telemetry.batch import Floats, Indexes, Times
from telemetry.segments import expand, group


@dataclass(frozen=True, slots=True)
class Said:
    """What was found, (M,): NaN and `UNSET_MS` where nothing is known."""

    value: Floats
    time_ms: Times


class Lookup:
    """The last n readings of some series.

    Args:
        readings: How many of each are remembered; a question further back than they reach finds nothing.
    """

    def __init__(self, watched: Indexes, readings: int, series_count: int) -> None:
        self._watch = Watch(watched, series_count)
        self.time_ms: Times = np.full((len(watched), readings), UNSET_MS, np.int64)
        self.value: Floats = np.full((len(watched), readings), np.nan)

    def push(self, rows: Rows) -> Laid:
        """Remember readings, and answer questions that readings of the same batch ask."""
        n = self.time_ms.shape[1]
        chosen, position = self._watch.of(rows)
        if rows.late is not None:
            in_order = ~rows.late[chosen]
            chosen, position = chosen[in_order], position[in_order]
        groups = group(position)
        chosen = chosen[groups.order]
        count = np.zeros(len(self.time_ms), np.intp)
        count[groups.key] = groups.end - groups.start
        # Each series as its ring followed by what is new, end to end.
        start = np.cumsum(count + n) - (count + n)
        time_ms = np.empty(int((count + n).sum()), np.int64)
        value = np.empty(len(time_ms))
        arrival = np.full(len(time_ms), -1)
        old = (start[:, None] + np.arange(n)).ravel()
        time_ms[old], value[old] = self.time_ms.ravel(), self.value.ravel()
        _, new = expand(start[groups.key] + n, count[groups.key])
        time_ms[new], value[new], arrival[new] = rows.time_ms[chosen], rows.value[chosen], rows.arrival[chosen]
        last = (start + count)[:, None] + np.arange(n)  # (V, n)
        self.time_ms[:], self.value[:] = time_ms[last], value[last]
        return Laid(time_ms, value, arrival, start, count + n, n)


class Laid:
    """The readings of some series end to end, each in order of time and of arrival."""

    def __init__(
        self, time_ms: Times, value: Floats, arrival: Indexes, start: Indexes, count: Indexes, readings: int
    ) -> None:
        self._time_ms, self._value, self._start, self._readings = time_ms, value, start, readings
        known = time_ms != UNSET_MS
        self._zero_ms = int(time_ms[known].min()) - 1 if known.any() else 0
        self._span = int(time_ms[known].max()) - self._zero_ms + 2 if known.any() else 2
        self._arrivals = int(arrival.max(initial=-1)) + 3
        of = np.repeat(np.arange(len(start)), count)
        # One ascending key over all series, so that one search answers every question.
        self._time_key = of * self._span + np.where(known, time_ms - self._zero_ms, 0)
        self._arrival_key = of * self._arrivals + arrival + 1

    def at(self, position: Indexes, time_ms: Times, arrival: Indexes) -> Said:
        """The newest reading of each series that is not newer than a time and came before an arrival.

        Args:
            position: (M,) which remembered series; -1 asks for nothing.
            time_ms: (M,) of whoever asks, less what it allows others to be late.
            arrival: (M,) of whoever asks, in the batch that was pushed last.
        """
        asked = np.maximum(position, 0)
        when = np.clip(time_ms - self._zero_ms, 0, self._span - 1)
        by_time = np.searchsorted(self._time_key, asked * self._span + when, side="right")
        who = np.clip(arrival, 0, self._arrivals - 2)
        by_arrival = np.searchsorted(self._arrival_key, asked * self._arrivals + who, side="right")
        found = np.minimum(by_time, by_arrival) - 1
        # Of what had come by then only the last few are remembered, in however large a batch they came.
        oldest = by_arrival - self._readings
        inside = (position >= 0) & (found >= oldest) if len(self._start) else np.zeros(len(position), np.bool_)
        at = np.where(inside, found, 0)
        if not len(self._value):
            return Said(np.full(len(position), np.nan), np.full(len(position), UNSET_MS, np.int64))
        return Said(np.where(inside, self._value[at], np.nan), np.where(inside, self._time_ms[at], UNSET_MS))
