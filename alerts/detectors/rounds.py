"""Detectors whose memory of a series moves on with every reading: one numpy step for all series at a time.

A batch is taken in rounds, at most one reading a series in each, so that a step is written as if there were one reading
only and the way the stream was cut cannot be seen. Axes: N readings, m readings of one round, V watched series.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from alerts.detectors.detector import NO_SIGNALS, Passages, Rows, Signals, Watch
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.segments import rounds


@dataclass(frozen=True, slots=True)
class Round:
    """At most one reading of each series, (m,)."""

    at: Indexes  # which watched series
    time_ms: Times
    value: Floats
    good: Masks
    beside: Floats | None  # (m, …) what was found out about each reading before the rounds
    passage: Passages | None = None  # as in `Rows`


class RoundsDetector(ABC):
    """A detector that is told one reading of each series at a time.

    Args:
        concerned: The series that signals are about.
        others: Series that are only looked up; they have rows in `columns` too, after the concerned ones.
    """

    good_only: ClassVar[bool] = False  # whether doubtful readings are left out altogether

    def __init__(self, concerned: Indexes, series_count: int, others: Indexes | None = None) -> None:
        self._concerned = Watch(concerned, series_count)
        more = np.empty(0, np.intp) if others is None else np.setdiff1d(others[others >= 0], concerned)
        self._watched: Indexes = np.concatenate([concerned, more]).astype(np.intp)

    @property
    def watched(self) -> Indexes:
        return self._watched

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """All that it remembers."""

    @abstractmethod
    def _step(self, now: Round) -> Floats:
        """Take one reading of each series; the signal at each, NaN where there is nothing to say. (m,)"""

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats | None:
        """What other series said when each reading came, (N, …); None where nothing is asked."""
        return None

    def push(self, rows: Rows) -> Signals:
        chosen, position = self._concerned.of(rows)
        if self.good_only:
            good = rows.good[chosen]
            chosen, position = chosen[good], position[good]
        beside = self._beside(rows, chosen, position)
        if not len(chosen):
            return NO_SIGNALS
        found = np.full(len(chosen), np.nan)
        for taken in rounds(position):
            row = chosen[taken]
            found[taken] = self._step(
                Round(
                    position[taken],
                    rows.time_ms[row],
                    rows.value[row],
                    rows.good[row],
                    None if beside is None else beside[taken],
                    None if rows.passage is None else rows.passage[row],
                )
            )
        says = ~np.isnan(found)
        return Signals(chosen[says], found[says])
