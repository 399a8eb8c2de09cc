"""Are sensor faults found on river sensors, and how often is there an alarm without one?

Fifteen-minute readings of six metrics, where technicians marked what was wrong; a run of marked rows is one event, runs of
alarms less than two hours apart are one alarm. An event counts as found by an alarm that begins or lasts within an hour of
it, and an alarm as false if there is none. One setting for all files; what a sensor can tell apart is given by metric. A
missing reading is an alarm like any other (the product's silence rule). Non-goals: what a technician corrected without a
mark; which sort of fault it was.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.detection.data import datasets
from bench.detection.replay import Stream, program, replay, state_bytes
from bench.report import Cell, Goal, Report, Table
from telemetry.batch import Floats, Masks

STEP_MS = 900_000
T0 = 1_500_000_000_000
MONTH_STEPS = 30.44 * 96
TOLERANCE = 4  # readings
JOIN = 8  # readings
LEAST = {"temp": 0.05, "cond": 1.0, "ph": 0.01, "do": 0.03, "turb": 1.0, "stage": 1.0}
SPIKE, FLAT_H = 7.0, 12.0


def suite(metric: str, readings: int) -> list[dict[str, Any]]:
    """The rules over one metric."""
    common = {"class": "sensor", "metric": "value"}
    return [
        {
            **common, "id": "spike", "type": "spike", "name": "Spike", "least": LEAST[metric],
            "back_readings": 6, "window_readings": 12, "levels": [{"severity": "low", "at_least": SPIKE}],
        },
        {
            **common, "id": "flat", "type": "flatline", "name": "Flat line", "readings": readings,
            "levels": [{"severity": "low", "at_least": FLAT_H * 60}],
        },
    ]  # fmt: skip


def run(files: int = 100) -> Report:
    """Watch every sensor of at most so many files."""
    report = Report("detection_river", "are faults of river sensors found?", {"files": files})
    by: dict[str, list[float]] = {}
    bytes_each: dict[str, float] = {}
    for metric, value, marked in _sensors(files):
        present = np.flatnonzero(~np.isnan(value))
        stream = Stream(np.zeros(len(present), np.intp), T0 + STEP_MS * present, value[present])
        made = program(["sensor"], [{"id": "value", "name": metric, "unit": "1"}], suite(metric, 8))
        alarmed = np.isnan(value)
        for one in replay(made, stream):
            start = (one.raised_ms - T0) // STEP_MS
            end = start + 1 if one.over_ms is None else (one.over_ms - T0) // STEP_MS
            alarmed[start : max(end, start + 1)] = True
        bytes_each = {str(rule.id): state_bytes(made, number) for number, rule in enumerate(made.rules)}
        events, alarms = _runs(marked, 0), _runs(alarmed, JOIN)
        counts = by.setdefault(metric, [0.0] * 4)
        counts[0] += len(events)
        counts[1] += sum(any(_meet(event, alarm) for alarm in alarms) for event in events)
        counts[2] += sum(not any(_meet(event, alarm) for event in events) for alarm in alarms)
        counts[3] += len(value) / MONTH_STEPS
    rows: list[list[Cell]] = [
        [metric, int(n), int(hit), f"{hit / max(n, 1):.2f}", f"{false / months:.2f}"]
        for metric, (n, hit, false, months) in by.items()
    ]
    total = np.sum(list(by.values()), axis=0)
    recall, rate = float(total[1] / total[0]), float(total[2] / total[3])
    rows.append(["all", int(total[0]), int(total[1]), f"{recall:.2f}", f"{rate:.2f}"])
    columns = ("metric", "events", "found", "recall", "false per sensor-month")
    report.tables.append(Table("river sensors", columns, rows))
    report.goals += [
        Goal("event recall", "≥ 0.85", recall, recall >= 0.85),
        Goal("false events per sensor-month", "≤ 0.5", rate, rate <= 0.5),
        *(Goal(f"bytes of state per series, {rule}", "≤ 200", size, size <= 200) for rule, size in bytes_each.items()),
    ]
    return report


def _sensors(files: int) -> Iterator[tuple[str, Floats, Masks]]:
    """(metric, values with NaN where missing, marked rows) of every sensor in files that carry marks."""
    for file in sorted(datasets("river-sensors").glob("*.csv.gz"))[:files]:
        with gzip.open(file, "rt") as lines:
            rows = list(csv.DictReader(lines))
        for metric in LEAST:
            if f"{metric}_qual" not in rows[0]:
                continue
            value = np.array([float(row[metric]) if row[metric] not in ("NULL", "") else np.nan for row in rows])
            value[value == -9999] = np.nan
            yield metric, value, np.array([row[f"{metric}_qual"] not in ("NULL", "") for row in rows])


def _runs(is_on: Masks, join: int) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_on.astype(np.int8), [0]])))
    found: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if found and start - found[-1][1] <= join:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def _meet(event: tuple[int, int], alarm: tuple[int, int]) -> bool:
    return alarm[0] < event[1] + TOLERANCE and event[0] - TOLERANCE < alarm[1]
