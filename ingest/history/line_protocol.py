"""InfluxDB line protocol written by column: no Python per reading.

    room-meter,device=room-305-meter,place=room-305,site=compound-3 power=1820.5 1764835200123

Measurement = kind, tags = device, place, site, field = metric; a reading that is not good adds a field `METRIC_quality`.
Source: InfluxDB OSS v2 documentation, "Line protocol". Names need no escaping: the catalogue allows a-z, 0-9, - and _.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.history.history import SeriesPlace
from telemetry.batch import ReadingBatch


class LineEncoder:
    """Holds what of a line never changes: for each series its beginning, for each quality its end."""

    def __init__(self, series: Sequence[SeriesPlace]) -> None:
        self._beginning = pa.array([_beginning(place) for place in series], pa.string())  # (S,)
        endings = [f",{place.metric}_quality={code}i " if code else " " for place in series for code in range(3)]
        self._ending = pa.array(endings, pa.string())  # (3 S,)

    def encode(self, batch: ReadingBatch) -> bytes:
        """The lines of a batch, each ended by a newline."""
        if not len(batch):
            return b""
        series = batch.series.astype(np.int64)
        ending = pa.scalar(" ") if not batch.quality.any() else self._ending.take(pa.array(series * 3 + batch.quality))
        lines = pc.binary_join_element_wise(
            self._beginning.take(pa.array(series)),
            pc.cast(pa.array(batch.value), pa.string()),
            ending,
            pc.cast(pa.array(batch.time_ms), pa.string()),
            pa.scalar("\n"),
            pa.scalar(""),
        )
        # An Arrow string array keeps its texts end to end: its data buffer is the request's body.
        return lines.buffers()[2].to_pybytes()  # type: ignore[no-any-return]


def _beginning(place: SeriesPlace) -> str:
    tags = {"device": place.device, "place": place.place, "site": place.site}
    tagged = "".join(f",{name}={value}" for name, value in tags.items() if value)
    return f"{place.kind}{tagged} {place.metric}="
