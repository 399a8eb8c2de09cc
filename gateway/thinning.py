"""What stays when a gateway has had no core for so long that its disk budget is used up.

Kept always, because alarms need them: readings with a passage key, and readings whose quality is not good or is another
than that of the one before. The rest of a series is cut into *stretches*: readings one after the other that lie in the
same bucket of time with nothing between them that is kept always. Of a stretch the first, the last, the smallest and the
largest reading are kept (of equals the earliest); how many others there were, and from when to when, becomes a gap. The
buckets are a minute, then ten, then an hour, as it gets tighter.

What guards decided is kept whole.

For every series: readings kept + what the gaps count = readings taken. Axis: none, readings come one by one; what waits
is at most four readings a series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from telemetry import frames
from telemetry.frames import Frame
from telemetry.quality import Quality
from telemetry.reading import Reading, SeriesGap, encode_readings

BUCKETS_MS = (60_000, 600_000, 3_600_000)
"""By thinness: 1, 2, 3. A lane as it was taken has thinness 0."""

THINNED, REFUSED = "thinned", "refused"
_READINGS_MAX = 500  # of a frame that is written
_GAPS_MAX = 2000

Series = tuple[str, str]  # device, metric


@dataclass(slots=True)
class Missing:
    """Readings that are gone, of one series, for one reason."""

    first_ms: int
    last_ms: int
    count: int

    def add(self, first_ms: int, last_ms: int, count: int) -> None:
        self.first_ms = min(self.first_ms, first_ms)
        self.last_ms = max(self.last_ms, last_ms)
        self.count += count


@dataclass(slots=True)
class _Stretch:
    """A stretch that may still go on."""

    bucket: int
    first: tuple[int, Reading]  # (place in the series, reading), and so the others
    smallest: tuple[int, Reading]
    largest: tuple[int, Reading]
    last: tuple[int, Reading]
    dropped: Missing | None = None

    def take(self, place: int, reading: Reading) -> None:
        """One reading more: what was the last, smallest or largest and is none of the four any more is dropped."""
        before = self._kept()
        self.last = place, reading
        if reading.value < self.smallest[1].value:
            self.smallest = place, reading
        if reading.value > self.largest[1].value:
            self.largest = place, reading
        kept = self._kept()
        for number, gone in before.items():
            if number not in kept:
                if self.dropped is None:
                    self.dropped = Missing(gone.time_ms, gone.time_ms, 0)
                self.dropped.add(gone.time_ms, gone.time_ms, 1)

    def readings(self) -> list[Reading]:
        """The readings to keep, in order."""
        return [reading for _, reading in sorted(self._kept().items())]

    def _kept(self) -> dict[int, Reading]:
        return dict((self.first, self.smallest, self.largest, self.last))


@dataclass(slots=True)
class Thinner:
    """Frames in, fewer frames out. The order within each series stays."""

    bucket_ms: int
    _stretches: dict[Series, _Stretch] = field(default_factory=dict)
    _quality: dict[Series, int] = field(default_factory=dict)
    _place: int = 0
    _out: list[Reading] = field(default_factory=list)
    _missing: dict[tuple[Series, str], Missing] = field(default_factory=dict)
    _decisions: list[str] = field(default_factory=list)

    def take(self, columns: bytes) -> Iterator[bytes]:
        """Take a frame's columns; yield what can be written already."""
        frame = frames.decode(frames.encode("g", "e", 1, 1, columns))
        names = [_series(line) for line in frame.names.split("\n")]
        for gap in frame.gaps:
            self._miss(names[gap.line], gap.reason, Missing(gap.first_ms, gap.last_ms, gap.missing))
        for number in range(len(frame)):
            self._reading(_reading(frame, names, number))
            if len(self._out) >= _READINGS_MAX:
                yield self._written()
        self._decisions += frame.decisions
        if len(self._missing) >= _GAPS_MAX:
            yield self._written()

    def end(self) -> Iterator[bytes]:
        """Yield what is left."""
        for series in list(self._stretches):
            self._close(series)
            if len(self._out) >= _READINGS_MAX:
                yield self._written()
        if self._out or self._missing or self._decisions:
            yield self._written()

    def _reading(self, reading: Reading) -> None:
        series = reading.device, reading.metric
        self._place += 1
        quality_before = self._quality.get(series)
        self._quality[series] = reading.quality
        if reading.key is not None or reading.quality != Quality.GOOD or quality_before not in (None, Quality.GOOD):
            self._close(series)
            self._out.append(reading)
            return
        bucket = reading.time_ms // self.bucket_ms
        stretch = self._stretches.get(series)
        if stretch is not None and stretch.bucket == bucket:
            stretch.take(self._place, reading)
            return
        self._close(series)
        this = self._place, reading
        self._stretches[series] = _Stretch(bucket, this, this, this, this)

    def _close(self, series: Series) -> None:
        stretch = self._stretches.pop(series, None)
        if stretch is not None:
            self._out += stretch.readings()
            if stretch.dropped is not None:
                self._miss(series, THINNED, stretch.dropped)

    def _miss(self, series: Series, reason: str, gone: Missing) -> None:
        known = self._missing.get((series, reason))
        if known is None:
            self._missing[series, reason] = gone
        else:
            known.add(gone.first_ms, gone.last_ms, gone.count)

    def _written(self) -> bytes:
        out, self._out = self._out, []
        missing, self._missing = self._missing, {}
        gaps = [SeriesGap(*series, m.first_ms, m.last_ms, m.count, reason) for (series, reason), m in missing.items()]
        decisions, self._decisions = self._decisions, []
        return encode_readings(out, gaps, decisions)


def _series(line: str) -> Series:
    device, _, metric = line.partition("/")
    return device, metric


def _reading(frame: Frame, names: list[Series], number: int) -> Reading:
    return Reading(
        *names[frame.index[number]],
        frame.time_ms[number],
        frame.value[number],
        Quality(frame.quality[number]),
        frame.keys.get(number),
    )
