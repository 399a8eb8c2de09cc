"""The readings that are measured with, and what must come of them. Axes: T rounds, S level sensors.

In a round every sensor is read once, a second after the round before. Calm: a level trembles in the middle of its band
and no rule changes. Stormy: four of a hundred readings change to the band above or below, so one rule each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bench import district
from ingest import packets
from telemetry import frames
from telemetry.batch import Floats
from telemetry.topics import frames_topic, readings_topic

ROUND_MS = 1000
STORM_SHARE = 0.04
_EPOCH = "bench"


@dataclass(frozen=True, slots=True)
class Stream:
    """Levels as they are measured."""

    start_ms: int  # of the first round
    value: Floats  # (T, S), rounded to millimetres

    def __len__(self) -> int:
        return int(self.value.size)

    @property
    def end_ms(self) -> int:
        return self.start_ms + len(self.value) * ROUND_MS

    @property
    def checksum_mm(self) -> int:
        """Sum of all values in whole millimetres, so that no order of adding changes it."""
        return checksum_mm(self.value)


def checksum_mm(value: Floats) -> int:
    """Sum of values in whole millimetres."""
    return int(np.rint(value * 1000).astype(np.int64).sum())


class Levels:
    """Levels of S sensors, made round by round: each stands in a band, and some of them change to the next.

    Args:
        change_share: Of the readings, how many change.
    """

    def __init__(self, series_count: int, change_share: float, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._change_share = change_share
        self._band = np.zeros(series_count, np.int64)
        self.change_count = 0

    def next_round(self) -> Floats:
        """(S,) in metres, rounded to millimetres."""
        band, size = self._band, self._band.shape
        change = self._random.random(size) < self._change_share
        up = self._random.random(size) < 0.5
        step = np.where((band == 0) | ((band < len(district.LIMITS)) & up), 1, -1)
        self._band = np.where(change, band + step, band)
        self.change_count += int(change.sum())
        # The middle half of a band: further from every limit than its dead band.
        return np.round(self._band + self._random.uniform(0.25, 0.75, size), 3)


def generate(reading_count: int, series_count: int, end_ms: int, storm_share: float = 0.0, seed: int = 1) -> Stream:
    """About `reading_count` readings in whole rounds, the last one shortly before `end_ms`."""
    rounds = max(1, round(reading_count / series_count))
    levels = Levels(series_count, storm_share, seed)
    return Stream(end_ms - rounds * ROUND_MS, np.stack([levels.next_round() for _ in range(rounds)]))


def expected_steps(stream: Stream) -> tuple[int, int]:
    """How many alarms the three rules must raise, and how many of them return: hysteresis in plain words."""
    raised_count, over_count = 0, 0
    for limit in district.LIMITS:
        firing = np.zeros(stream.value.shape[1], np.bool_)
        for row in stream.value:
            raised = ~firing & (row >= limit)
            over = firing & (row < limit - district.DEADBAND)
            raised_count += int(raised.sum())
            over_count += int(over.sum())
            firing = (firing | raised) & ~over
    return raised_count, over_count


class Framer:
    """Rounds as PUBLISH packets of frames, gateway by gateway, each frame numbered in its gateway's epoch."""

    def __init__(self, series_count: int, frame_readings: int = 200) -> None:
        self._plans: list[tuple[str, int, int, str]] = []
        for first in range(0, series_count, district.GATEWAY_SERIES_MAX):
            gateway_end = min(first + district.GATEWAY_SERIES_MAX, series_count)
            for start in range(first, gateway_end, frame_readings):
                end = min(start + frame_readings, gateway_end)
                names = "\n".join(f"{district.device(number)}/{district.METRIC}" for number in range(start, end))
                self._plans.append((district.gateway(first), start, end, names))
        self._seq = dict.fromkeys((plan[0] for plan in self._plans), 0)
        self._packet_id = 0

    def packets(self, row: Floats, time_ms: int) -> Iterator[bytes]:
        """One round, read at `time_ms`."""
        for gateway, start, end, names in self._plans:
            count = end - start
            columns = frames.encode_columns(
                names,
                np.arange(count, dtype=np.uint16).tobytes(),
                np.full(count, time_ms, np.int64).tobytes(),
                row[start:end].tobytes(),
                bytes(count),
                {},
            )
            self._seq[gateway] += 1
            self._packet_id = self._packet_id % 65_535 + 1
            payload = frames.encode(gateway, _EPOCH, self._seq[gateway], 1, columns)
            yield packets.publish(frames_topic(district.SITE, gateway), payload, self._packet_id)


def frame_packets(stream: Stream, frame_readings: int = 200) -> Iterator[bytes]:
    """PUBLISH packets of frames, round by round."""
    framer = Framer(stream.value.shape[1], frame_readings)
    for number, row in enumerate(stream.value):
        yield from framer.packets(row, stream.start_ms + number * ROUND_MS)


def json_packets(stream: Stream) -> Iterator[bytes]:
    """PUBLISH packets of one plain JSON reading each: one object, its time as text, as foreign devices send it."""
    topics = [readings_topic(district.SITE, district.gateway(n)) for n in range(stream.value.shape[1])]
    packet_id = 0
    for number, row in enumerate(stream.value):
        time_ms = stream.start_ms + number * ROUND_MS
        for series, value in enumerate(row.tolist()):
            packet_id = packet_id % 65_535 + 1
            yield packets.publish(topics[series], reading_json(series, time_ms, value), packet_id)


def reading_json(series: int, time_ms: int, value: float) -> bytes:
    """One plain reading of a level sensor."""
    return plain_json(district.device(series), district.METRIC, time_ms, value)


def plain_json(device: str, metric: str, time_ms: int, value: float, key: str | None = None) -> bytes:
    """One plain reading, its time as RFC 3339."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    tail = "" if key is None else f',"key":"{key}"'
    text = f'{{"device":"{device}","metric":"{metric}","time":"{moment}.{time_ms % 1000:03d}Z","value":{value}{tail}}}'
    return text.encode()
