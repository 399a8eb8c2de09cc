"""What a detector is: readings of some series in, the one number that its rule's limits are about out.

A detector says nothing of limits, delays or alarms; those are the same for every rule (`lifecycle`). It is given every
usable reading once, in order of time within its series, and answers with signals. A signal is given *at a reading of the
series that it is about*: what other series say (rain beside a level, power factor beside power) is looked up as it stood
when that reading came (`lookup`). So the outcome does not depend on how the stream was cut into batches.

Everything that a detector remembers lies in `columns`, one row a watched series, so that it can be kept through a crash,
copied into the past of an outage, and carried over to another version of the rules, without the detector's help.

Axes: N readings, M signals, V watched series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Floats, Indexes, Masks, Times

Passages = NDArray[np.uint64]

UNSET_MS = np.iinfo(np.int64).min
"""The time of a reading that there has not been yet."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Usable readings (good or suspect), series by series, and in each in strictly ascending time. (N,)

    Rules about persons are shown those too that a newer one of their series had overtaken, or that are of its very time:
    they are `late`, and stand where they came. Such a person is judged, and nothing is learned.
    """

    series: Indexes
    time_ms: Times
    value: Floats
    good: Masks
    arrival: Indexes  # number of the reading in its batch: the order in which all of them came
    first: Masks  # of its series in this batch
    late: Masks | None = None  # None: none is
    passage: Passages | None = None  # whose each is; 0 where nobody says, None where nobody says it of any


@dataclass(frozen=True, slots=True)
class Signals:
    """Numbers at some of the readings, (M,)."""

    row: Indexes  # which reading, ascending
    value: Floats  # may be infinite, never NaN: where there is nothing to say there is no signal
    low: Floats | None = None  # a band around it, where the detector knows one
    high: Floats | None = None
    ends_only: Masks | None = None  # where a limit that is reached says nothing: seen just below each; None: nowhere


class Detector(Protocol):
    """One rule's detector over all series that the rule concerns. One instance a rule."""

    @property
    def watched(self) -> Indexes:
        """(V,) the series whose readings it remembers something of."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """All that it remembers: arrays whose first axis is V. They are read and written in place."""

    def push(self, rows: Rows) -> Signals:
        """Take readings, of any series; answer with signals at readings of the series that the rule concerns."""


class Watch:
    """Where a detector keeps what it knows of a series: positions of series among the watched ones."""

    def __init__(self, watched: Indexes, series_count: int) -> None:
        self.watched = watched
        self._position = np.full(series_count, -1)
        self._position[watched] = np.arange(len(watched))

    def of(self, rows: Rows) -> tuple[Indexes, Indexes]:
        """(rows that are watched, the position of each one's series), (M,)."""
        position = self._position[rows.series]
        chosen = np.flatnonzero(position >= 0)
        return chosen, position[chosen]


NO_SIGNALS = Signals(np.empty(0, np.intp), np.empty(0))
