"""Are leaks found on water meters, and how often does a meter of an ordinary household raise one?

Labelled cases (one day of hourly use each): a leak that never rests; a register that runs back; use that is far too high.
Registers of households, about hourly, with real resets and gaps, carry no labels: every alarm counts as false there, a
real leak among them too. One setting for all. Non-goal: how much a leak costs.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from bench.detection.data import datasets
from bench.detection.replay import Raised, Stream, program, replay, state_bytes
from bench.report import Cell, Goal, Report, Table

HOUR_MS = 3_600_000
MONTH_MS = 30.44 * 24 * HOUR_MS
METRICS = [{"id": "volume", "name": "Volume", "unit": "L", "decimals": 0, "counter": True}]
SUITE = [
    {
        "id": "leak", "type": "continuous-flow", "class": "dormitory", "name": "Leak", "metric": "volume",
        "still_digits": 0, "jitter_digits": 0, "levels": [{"severity": "medium", "at_least": 1, "clear": 1}],
    },
    {
        "id": "burst", "type": "burst", "class": "dormitory", "name": "Burst", "metric": "volume",
        "gap_max_s": 7200, "levels": [{"severity": "high", "at_least": 300}],
    },
    {
        "id": "register", "type": "counter", "class": "sensor", "name": "Register", "metric": "volume",
        "max_rate_per_h": 5000, "jitter_digits": 0, "levels": [{"severity": "low", "at_least": 1}],
    },
]  # fmt: skip
LEAK = "anomalous_consume_non_zero_ACNZ"
HIGH = "anomalous_high_consume_week_AHCW"
BACK = "anomalous_consume_negative_ACN"
ORDINARY = ("normal_consume_night_work_NCNW", "normal_consume_week_NCW")


def run(users: int = 1000) -> Report:
    """Replay labelled cases and at most so many registers."""
    report = Report("detection_water", "are leaks found, and what do ordinary meters raise?", {"users": users})
    rows: list[list[Cell]] = []
    shares: dict[str, float] = {}
    for name, rule in ((LEAK, "leak"), (BACK, "register"), (HIGH, "burst")):
        days = [(day, anomalous) for day, _, anomalous in _cases(name) if anomalous]
        found = [any(one.rule == rule for one in _of_day(day)) for day, _ in days]
        shares[rule] = sum(found) / max(len(found), 1)
        rows.append([f"labelled: {rule}", len(found), sum(found)])
    calm = [_of_day(day) for name in ORDINARY for day, _, _ in _cases(name)]
    rows.append(
        ["labelled ordinary days with a leak alarm", len(calm), sum(any(a.rule == "leak" for a in c) for c in calm)]
    )

    devices, stream, broken = _registers(users)
    made = program(devices, METRICS, SUITE)
    alarms = replay(made, stream)
    months = sum((times[-1] - times[0]) / MONTH_MS for times in _times(stream, len(devices)))
    per_month = {str(rule["id"]): sum(a.rule == rule["id"] for a in alarms) / months for rule in SUITE}
    blamed = _from_breaks([a for a in alarms if a.rule in ("leak", "burst")], broken)
    rows += [
        [f"{rule} alarms per meter-month, {len(devices)} meters, {months:.0f} months", "", f"{rate:.3f}"]
        for rule, rate in per_month.items()
    ]
    rows.append(["leak and burst alarms raised over a reset or a gap", "", blamed])
    rows.append(["meters with a leak alarm", len(devices), len({a.device for a in alarms if a.rule == "leak"})])
    report.tables.append(Table("water meters", ("what", "of", "found"), rows))
    report.goals += [
        Goal("share of labelled leaks found", "1", shares["leak"], shares["leak"] == 1),
        Goal("share of labelled backward steps found", "1", shares["register"], shares["register"] == 1),
        Goal("leak alarms per meter-month", "≤ 0.5", per_month["leak"], per_month["leak"] <= 0.5),
        Goal("leak and burst alarms from a reset or a gap", "0", blamed, blamed == 0),
        Goal("bytes of state per series, leak", "≤ 200", state_bytes(made), state_bytes(made) <= 200),
    ]
    return report


def _cases(name: str) -> Iterator[tuple[list[float], tuple[int, str], bool]]:
    """(hourly use, whose day, whether anything in it is labelled) of every day in a file."""
    file = datasets("water-meters") / f"{name}.json"
    days: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for row in json.loads(file.read_text()):
        days.setdefault((row["userId"], row["time"][:10]), []).append((float(row["consume"]), row["isAnomalous"]))
    for of, hours in days.items():
        yield [use for use, _ in hours], of, any(label for _, label in hours)


def _of_day(use: list[float]) -> list[Raised]:
    """What one day of hourly use raises, as a register that stood at 1000 before it."""
    register = 1000 + np.append(0.0, np.cumsum(use))
    times = 1_500_000_000_000 + HOUR_MS * np.arange(len(register), dtype=np.int64)
    stream = Stream(np.zeros(len(register), np.intp), times, register)
    return replay(program(["case"], METRICS, SUITE), stream)


def _registers(users: int) -> tuple[list[str], Stream, dict[str, list[tuple[int, int]]]]:
    """(meters, their readings, stretches of each with a fall or a gap of more than two hours)."""
    readings: dict[str, list[tuple[int, float]]] = {}
    with gzip.open(datasets("water-meters") / "registers.csv.gz", "rt") as lines:
        next(lines)
        for line in lines:
            user, when, value, _ = line.strip().split(";")
            time = datetime.strptime(when, "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
            readings.setdefault(user, []).append((int(time.timestamp()) * 1000, float(value)))
    devices = [f"meter-{number}" for number in range(min(users, len(readings)))]
    rows: list[tuple[int, int, float]] = []
    broken: dict[str, list[tuple[int, int]]] = {}
    for number, (device, of) in enumerate(zip(devices, readings.values(), strict=False)):
        ordered = sorted(dict(of).items())
        rows += [(time, number, value) for time, value in ordered]
        broken[device] = [
            (a, b)
            for (a, before), (b, after) in itertools.pairwise(ordered)
            if after < before or (b - a > 2 * HOUR_MS and after > before)
        ]
    rows.sort()
    columns = list(zip(*rows, strict=True))
    stream = Stream(np.array(columns[1], np.intp), np.array(columns[0], np.int64), np.array(columns[2], np.float64))
    return devices, stream, broken


def _times(stream: Stream, series_count: int) -> list[list[int]]:
    order = np.argsort(stream.series, kind="stable")
    cuts = np.cumsum(np.bincount(stream.series, minlength=series_count))[:-1]
    return [times.tolist() for times in np.split(stream.time_ms[order], cuts)]


def _from_breaks(alarms: list[Raised], broken: dict[str, list[tuple[int, int]]]) -> int:
    """Alarms whose evidence spans a reset or a gap: a leak's day, a burst's stretch."""
    spans = {"leak": 24 * HOUR_MS, "burst": 60_000}
    return sum(
        any(start >= one.onset_ms - spans[one.rule] and end <= one.onset_ms for start, end in broken[one.device])
        for one in alarms
    )
