"""Readings that have arrived, put together and checked in columns: one look at all of them.

Only where something is wrong is each frame looked at by itself. What cannot be a reading is refused with a reason; what is
doubtful is kept with a lower quality. Axis: N readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ingest import events
from ingest.group import Reject, summarised
from telemetry import frames
from telemetry.batch import Floats, Masks, ReadingBatch, SeriesIndexes, Times, concatenate
from telemetry.catalogue import Catalogue
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.series import UNKNOWN, SeriesRegistry
from telemetry.topics import parse_gateway_topic

AHEAD_MAX_MS = 60_000  # a device clock further ahead than this is wrong
EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: a device clock before it was never set


@dataclass(frozen=True, slots=True)
class Arrived:
    """Readings before they are checked: plain rows with a topic each, or a frame with one for all."""

    topics: Sequence[str]
    rows: ReadingBatch | None
    frame: frames.Frame | None = None
    lines: SeriesIndexes = field(default_factory=lambda: np.empty(0, np.uint32))  # the series of its name table

    @property
    def readings(self) -> ReadingBatch:
        """By themselves."""
        if self.frame is not None:
            return _in_columns([self], [self.frame])
        assert self.rows is not None
        return self.rows


def joined(arrived: Sequence[Arrived]) -> ReadingBatch:
    """All readings, in order."""
    framed = [each.frame for each in arrived if each.frame is not None]
    if framed and len(framed) == len(arrived):
        return _in_columns(arrived, framed)
    return concatenate([each.readings for each in arrived])


def _in_columns(arrived: Sequence[Arrived], framed: Sequence[frames.Frame]) -> ReadingBatch:
    """The readings of frames: their bytes are put together first, and looked at once."""
    tables: dict[int, tuple[SeriesIndexes, int]] = {}  # each once, with where it begins among all
    end = 0
    for each in arrived:
        if id(each.lines) not in tables:
            tables[id(each.lines)] = each.lines, end
            end += len(each.lines)
    index = np.frombuffer(b"".join([frame.index for frame in framed]), np.uint16)
    if len(tables) == 1:
        series = arrived[0].lines[index]
    else:
        starts = [tables[id(each.lines)][1] for each in arrived]
        table = np.concatenate([lines for lines, _ in tables.values()])
        series = table[index + np.repeat(starts, [len(frame) for frame in framed])]
    keys: dict[int, str] = {}
    if any(frame.keys for frame in framed):
        first = 0
        for frame in framed:
            keys.update((first + number, key) for number, key in frame.keys.items())
            first += len(frame)
    return ReadingBatch(
        series,
        np.frombuffer(b"".join([frame.time_ms for frame in framed]), np.int64),
        np.frombuffer(b"".join([frame.value for frame in framed]), np.float64),
        np.frombuffer(b"".join([frame.quality for frame in framed]), np.uint8),
        keys,
    )


class Checks:
    """Knows of each series whose it is and between what its values lie."""

    def __init__(self, catalogue: Catalogue, registry: SeriesRegistry) -> None:
        self._catalogue = catalogue
        self._registry = registry
        # Where nothing is declared every finite value is plausible.
        self._low = np.full(len(registry), -np.finfo(np.float64).max)
        self._high = np.full(len(registry), np.finfo(np.float64).max)
        self.owner: list[str] = [""] * (len(registry) + 1)  # the last is nobody's: -1, a series that there is not
        for (device, metric_id), metric in catalogue.metric.items():
            index = registry.index[device, metric_id]
            self.owner[index] = catalogue.device[device].gateway
            if metric.plausible is not None:
                self._low[index], self._high[index] = metric.plausible

    def vetted(self, arrived: Sequence[Arrived], now_ms: int) -> tuple[ReadingBatch, list[Reject]]:
        """What is left of what has arrived, and what was refused of it."""
        whole, rejects = joined(arrived), list[Reject]()
        if not self._is_clean(whole, now_ms):
            whole = concatenate([self._checked(each, now_ms, rejects) for each in arrived])
        return whole, rejects

    def stranger(self, device: str, metric: str, gateway: str) -> BadInput:
        """Why a series is not one that this gateway may publish."""
        known = self._catalogue.device.get(device)
        if known is None:
            return BadInput(
                "unknown-device", f"device '{device[:64]}' is not in the catalogue: add it, or mend the name"
            )
        if (device, metric) not in self._registry.index:
            return BadInput("unknown-metric", f"kind '{known.kind}' of '{device}' has no metric '{metric[:64]}'")
        return BadInput("foreign-device", f"device '{device}' belongs to gateway '{known.gateway}', not '{gateway}'")

    def _is_clean(self, batch: ReadingBatch, now_ms: int) -> bool:
        """Whether nothing in a batch is refused or doubted."""
        if not len(batch):
            return True
        series, time_ms, value = batch.series, batch.time_ms, batch.value
        return bool(
            series.max() < len(self._low)  # UNKNOWN is larger than any index
            and batch.quality.max() <= Quality.BAD
            and time_ms.min() >= EARLIEST_MS
            and time_ms.max() <= now_ms + AHEAD_MAX_MS
            and ((value >= self._low[series]) & (value <= self._high[series])).all()  # not so for NaN
        )

    def _checked(self, arrived: Arrived, now_ms: int, rejects: list[Reject]) -> ReadingBatch:
        """Drop what cannot be a reading, lower the quality of what is doubtful."""
        batch, topics, frame = arrived.readings, arrived.topics, arrived.frame
        series, time_ms, value, quality = batch.series, batch.time_ms, batch.value, batch.quality
        stranger = series == UNKNOWN
        not_finite = ~np.isfinite(value)
        behind = time_ms < EARLIEST_MS
        wrong_quality = quality > Quality.BAD
        refused = stranger | not_finite | behind | wrong_quality
        if refused.any():
            lines = [] if frame is None else frame.names.split("\n")
            found: dict[tuple[str, str, str], int] = {}
            for row in np.flatnonzero(refused).tolist():
                topic = topics[row if len(topics) > 1 else 0]
                if stranger[row]:
                    assert frame is not None
                    device, _, metric = lines[frame.index[row]].partition("/")
                    error = self.stranger(device, metric, parse_gateway_topic(topic).gateway)
                elif not_finite[row]:
                    error = BadInput("bad-value", f"{self._shown(series[row])}: {value[row]} is not a number")
                elif behind[row]:
                    error = BadInput(
                        "time-behind", f"{self._shown(series[row])}: a time before 2020; set the clock of the device"
                    )
                else:
                    error = BadInput(
                        "bad-value", f"{self._shown(series[row])}: quality {quality[row]} is none of 0, 1, 2"
                    )
                found[error.reason, error.detail, topic] = found.get((error.reason, error.detail, topic), 0) + 1
            rejects += summarised(found)
            batch = kept(batch, ~refused)
            series, time_ms, value, quality = batch.series, batch.time_ms, batch.value, batch.quality
        ahead = time_ms > now_ms + AHEAD_MAX_MS
        outside = (value < self._low[series]) | (value > self._high[series])
        if not (ahead.any() or outside.any()):
            return batch
        # A clock that runs ahead must not hide a flood: the reading counts from its arrival, as a doubtful one.
        if ahead.any():
            events.repaired("time-ahead", int(ahead.sum()))
        if outside.any():
            events.repaired("implausible", int(outside.sum()))
        quality = np.maximum(quality, np.where(ahead, np.uint8(Quality.SUSPECT), np.uint8(Quality.GOOD)))
        quality = np.where(outside, np.uint8(Quality.BAD), quality)
        return ReadingBatch(series, np.where(ahead, now_ms, time_ms), value, quality, batch.keys)

    def _shown(self, series: int) -> str:
        return "/".join(self._registry.names[series])


def kept(batch: ReadingBatch, keep: Masks) -> ReadingBatch:
    keys = {}
    if batch.keys:
        position = np.cumsum(keep) - 1
        keys = {int(position[number]): key for number, key in batch.keys.items() if keep[number]}
    time_ms: Times = batch.time_ms[keep]
    value: Floats = batch.value[keep]
    return ReadingBatch(batch.series[keep], time_ms, value, batch.quality[keep], keys)
