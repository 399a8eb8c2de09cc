"""What really happened: every reading the field offered, every payload it broke, every alarm that is due.

Expected alarms follow from the noise-free state of the simulated world and from the labels of the events, never from
the product's rules. Where the truth lies within the sensor's uncertainty of a limit, an alarm may come (`must: false`).
Axes: N readings of one series, W = 15 readings of a window.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from firmware_sim.district import DAY_MS, MINUTE_MS, SECOND_MS, Floats, Times
from firmware_sim.drains import NOISE_M
from firmware_sim.gates import FEVER_ABOVE_C, Label, Passage
from telemetry.catalogue import Drain

Series: TypeAlias = tuple[str, str]
"""(device, metric)."""
_Flags: TypeAlias = NDArray[np.bool_]
_Note: TypeAlias = Callable[[slice], str]

# The limits of the demo's rules, written down a second time: this is the expectation, those are what is tested.
LEVEL_SHARE = 0.70
FORECAST_SHARE, FORECAST_WITHIN_S = 0.97, 3600.0
RISE_M_PER_S = 0.020 / 60
WINDOW = 15
DRAIN_SILENT_MS = 30 * SECOND_MS
HEATER_HOLD_MS = 20 * SECOND_MS
RESTLESS_MS = DAY_MS  # water that never rests is a leak
OFFLINE_MS = 5 * SECOND_MS

_LEVEL_MARGIN_M = 0.012
_SIGMA_M = math.hypot(NOISE_M, 0.001 / math.sqrt(12))  # noise and a resolution of a millimetre
_SURE_SIGMAS = 4.5
_TRUST = 0.15  # how far two fair estimators of a bent line's slope may differ
_UNEVEN = 3  # times the shortest interval of a window: its sampling changes
_CERTAIN_READINGS = 3  # "two in a row", and one more so that no window decides alone


@dataclass(frozen=True, slots=True)
class ExpectedAlarm:
    """An alarm that must, or may, be there.

    `must`: an alarm of this rule, device and key was raised within [from_ms, by_ms], or was still open from before.
    `stays_open_until_ms`: it must not close earlier; None where nothing is claimed. An alarm raised outside the windows
    of all entries for its rule, device and key is an extra; one entry may explain several alarms.
    """

    rule: str
    device: str
    key: str | None
    from_ms: int
    by_ms: int
    must: bool
    stays_open_until_ms: int | None
    note: str


@dataclass(frozen=True, slots=True)
class LevelTrack:
    """The noise-free levels of one drain sensor at the instants of its readings. Both (N,), in order of time."""

    device: str
    drain: Drain
    time_ms: Times
    level_m: Floats
    is_dead: bool = False  # no reading will ever follow


def drain_alarms(track: LevelTrack, slack_ms: int) -> list[ExpectedAlarm]:
    """Everything a drain's level can raise: `drain-level`, `drain-rise`, `drain-forecast`.

    Args:
        track: The noise-free levels at the instants of the sensor's readings.
        slack_ms: How long after the instant at which it is certain an alarm may still come: a sampling interval and
            the way to the core.
    """
    level, depth = track.level_m, track.drain.depth_m
    limit = LEVEL_SHARE * depth
    expected = _entries(
        track,
        "drain-level",
        track.time_ms,
        possible=level >= limit - _LEVEL_MARGIN_M,
        certain=level >= limit + _LEVEL_MARGIN_M,
        slack_ms=slack_ms,
        note=lambda rows: f"peaks at {level[rows].max() / depth:.0%} of depth",
        certain_run=1,
        holds=True,
    )
    if len(level) < WINDOW:
        return expected
    time_ms, slope, sigma = _slopes(track)
    head = level[WINDOW - 1 :]
    slowest = slope - _TRUST * np.abs(slope) - _SURE_SIGMAS * sigma
    fastest = slope + _TRUST * np.abs(slope) + _SURE_SIGMAS * sigma
    expected += _entries(
        track,
        "drain-rise",
        time_ms,
        possible=fastest > RISE_M_PER_S,
        certain=slowest > RISE_M_PER_S,
        slack_ms=slack_ms,
        note=lambda rows: f"up to {slope[rows].max() * 60_000:.0f} mm/min",
    )
    left = FORECAST_SHARE * depth - head
    expected += _entries(
        track,
        "drain-forecast",
        time_ms,
        possible=fastest * FORECAST_WITHIN_S > left - _LEVEL_MARGIN_M,
        certain=slowest * FORECAST_WITHIN_S > left + _LEVEL_MARGIN_M,
        slack_ms=slack_ms,
        note=lambda rows: f"full in {_minutes_left(left[rows], slope[rows]):.0f} min at the worst",
    )
    return expected


def silence_alarm(
    rule: str, device: str, last_answer_ms: int, after_ms: int, slack_ms: int, until_ms: int
) -> ExpectedAlarm:
    """A device that stopped answering."""
    due_ms = last_answer_ms + after_ms
    return ExpectedAlarm(rule, device, None, due_ms - SECOND_MS, due_ms + slack_ms, True, until_ms, "stopped answering")


def fever_alarms(passages: Iterable[Passage], slack_ms: int, open_until_ms: int | None) -> list[ExpectedAlarm]:
    """One for every passage that is shown too warm and is nobody's recheck."""
    found = []
    for passage in passages:
        if passage.skin_c > FEVER_ABOVE_C and passage.label is not Label.RECHECK_FEVER:
            until_ms = open_until_ms if passage.label is Label.FEVER else None
            note = f"{passage.label.value}, {passage.skin_c:.1f} °C"
            begin_ms, by_ms = passage.time_ms - SECOND_MS, passage.time_ms + slack_ms
            found.append(ExpectedAlarm("fever", passage.scanner, passage.key, begin_ms, by_ms, True, until_ms, note))
    return found


class Truth:
    """The log of a live run. Everything is called from one thread.

    Values of polled devices are counted per series, those of devices that push are kept whole with time and key.
    """

    def __init__(self) -> None:
        self.served: dict[Series, Counter[float]] = {}
        self.pushed: list[tuple[str, str, int, float, str | None]] = []
        self.confirmed: Counter[Series] = Counter()  # pushed readings the other side has acknowledged
        self.broken: Counter[str] = Counter()  # expected quarantine counts by reason
        self.alarms: list[ExpectedAlarm] = []
        self.actions: list[tuple[int, str]] = []

    def serve(self, device: str, metric: str, value: float) -> None:
        """A polled device has answered with this value, scaled as its reader scales it."""
        self.served.setdefault((device, metric), Counter())[value] += 1

    def push(self, device: str, metric: str, time_ms: int, value: float, key: str | None) -> None:
        """A device offers a reading of its own accord."""
        self.pushed.append((device, metric, time_ms, value, key))

    def confirm(self, device: str, metric: str) -> None:
        """The gateway (200) or the broker (PUBACK) has taken one of the pushed readings."""
        self.confirmed[device, metric] += 1

    def multiset(self) -> Counter[tuple[str, str, float]]:
        """Everything offered as (device, metric, value) → how often."""
        counts = Counter((device, metric, value) for device, metric, _, value, _ in self.pushed)
        for (device, metric), values in self.served.items():
            for value, count in values.items():
                counts[device, metric, value] += count
        return counts

    @property
    def reading_count(self) -> int:
        """How many readings the field has offered."""
        return len(self.pushed) + sum(values.total() for values in self.served.values())

    def as_json(self, alarms: Sequence[ExpectedAlarm] = ()) -> dict[str, object]:
        """All of it, ready for `json.dumps`."""
        return {
            "reading_count": self.reading_count,
            "served": {
                f"{device}/{metric}": sorted(values.items()) for (device, metric), values in sorted(self.served.items())
            },
            "pushed": self.pushed,
            "confirmed": {f"{device}/{metric}": n for (device, metric), n in sorted(self.confirmed.items())},
            "broken": dict(self.broken),
            "actions": self.actions,
            "alarms": [asdict(alarm) for alarm in [*self.alarms, *alarms]],
        }

    def write(self, path: Path, alarms: Sequence[ExpectedAlarm] = ()) -> None:
        """Put it into a JSON file, whole or not at all."""
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(self.as_json(alarms)), encoding="utf-8")
        draft.replace(path)


def spans(flags: _Flags, time_ms: Times, merge_ms: int) -> list[slice]:
    """Runs of true rows, those less than `merge_ms` apart made one."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    breaks = np.flatnonzero((np.diff(rows) > 1) & (np.diff(time_ms[rows]) > merge_ms)) + 1
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, breaks)]


def _entries(
    track: LevelTrack,
    rule: str,
    time_ms: Times,
    *,
    possible: _Flags,
    certain: _Flags,
    slack_ms: int,
    note: _Note,
    certain_run: int = _CERTAIN_READINGS,
    holds: bool = False,
) -> list[ExpectedAlarm]:
    """One entry that must come for each span with a certain run, one that may for the whole of each span."""
    found = []
    for rows in spans(possible, time_ms, merge_ms=3 * MINUTE_MS):
        begin_ms = int(time_ms[rows.start]) - SECOND_MS
        end_ms = int(time_ms[rows.stop - 1]) + slack_ms
        may = ExpectedAlarm(rule, track.device, None, begin_ms, end_ms, False, None, note(rows))
        run = _first_run(certain[rows], certain_run)
        if run is not None:
            by_ms = min(int(time_ms[rows.start + run]) + slack_ms, end_ms)
            until_ms = None
            if holds:
                dies_under_water = track.is_dead and certain[-1] and rows.stop == len(certain)
                last_ms = int(time_ms[rows][certain[rows]][-1])
                until_ms = last_ms + DAY_MS if dies_under_water else last_ms
            found.append(replace(may, by_ms=by_ms, must=True, stays_open_until_ms=until_ms))
        found.append(may)
    return found


def _first_run(flags: _Flags, length: int) -> int | None:
    """The row that completes the first run of `length` true rows."""
    in_a_row = 0
    for row, flag in enumerate(flags.tolist()):
        in_a_row = in_a_row + 1 if flag else 0
        if in_a_row == length:
            return row
    return None


def _slopes(track: LevelTrack) -> tuple[Times, Floats, Floats]:
    """(times, slope [m/s], its standard deviation from the sensor's noise), for each full window: (N - W + 1,).

    The median of all pairwise slopes of the noise-free window. The deviation is that of least squares: for noise
    without outliers Theil's estimator is 5 % worse (Sen 1968, doi 10.1080/01621459.1968.10480934). Not so where the
    sampling changes within a window: least squares leans on the few readings that are far away, the median on the many
    pairs that are close together. There it is what noise does to the median pair.
    """
    at_s = sliding_window_view((track.time_ms - track.time_ms[0]) / 1000, WINDOW)
    level = sliding_window_view(track.level_m, WINDOW)
    gap_s = np.diff(at_s, axis=1)
    is_uneven = gap_s.max(axis=1) > _UNEVEN * gap_s.min(axis=1)
    slope = np.zeros(len(at_s), np.float64)
    # In calm water the median is not worth its time: a straight line through the ends is as good.
    moving = (np.abs(level.max(axis=1) - level.min(axis=1)) > 0.002) | is_uneven
    slope[~moving] = (level[~moving, -1] - level[~moving, 0]) / (at_s[~moving, -1] - at_s[~moving, 0])
    first, second = np.triu_indices(WINDOW, 1)
    rise = level[moving][:, second] - level[moving][:, first]
    slope[moving] = np.median(rise / (at_s[moving][:, second] - at_s[moving][:, first]), axis=1)
    sigma = 1.05 * _SIGMA_M / np.sqrt(((at_s - at_s.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
    apart_s = np.median(at_s[is_uneven][:, second] - at_s[is_uneven][:, first], axis=1)
    sigma[is_uneven] = math.sqrt(2) * _SIGMA_M / apart_s
    return track.time_ms[WINDOW - 1 :], slope, sigma


def _minutes_left(left_m: Floats, slope: Floats) -> float:
    rising = slope > 0
    return float((left_m[rising] / slope[rising]).min() / 60) if rising.any() else math.inf
