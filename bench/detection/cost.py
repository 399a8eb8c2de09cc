"""What a detector costs a reading and remembers of a series: 10,000 series, a batch for each moment.

Non-goals: what is found; the rest of the chain (`ladder`).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from alerts.detectors.detector import Rows
from bench.detection.replay import program
from bench.report import Cell, Goal, Report, Table

T0 = 1_500_000_000_000
METRICS: list[dict[str, Any]] = [
    {"id": "power", "name": "Power", "unit": "W"},
    {"id": "volume", "name": "Volume", "unit": "m3", "decimals": 3, "counter": True},
]
GENERAL: list[dict[str, Any]] = [
    {"type": "flatline", "metric": "power"},
    {"type": "spike", "metric": "power", "least": 1, "window_readings": 12},
    {"type": "robust-z", "metric": "power", "least": 1},
    {"type": "drift", "metric": "power", "least": 1},
]
DORMITORY: list[dict[str, Any]] = [
    {"type": "counter", "metric": "volume"},
    {"type": "burst", "metric": "volume"},
    {"type": "continuous-flow", "metric": "volume"},
    {"type": "forbidden-load", "metric": "power"},
    {"type": "baseline", "metric": "power", "least": 1},
]


def run(series: int = 10_000, moments: int = 30, seed: int = 1) -> Report:
    """Push so many moments, a minute apart, of so many series."""
    report = Report(
        "detection_cost", "what does a detector cost?", {"series": series, "moments": moments, "seed": seed}
    )
    rows: list[list[Cell]] = []
    worst_s = worst_bytes = 0.0
    for fields in (*GENERAL, *DORMITORY):
        cost_s, size = _measure(fields, series, moments, seed)
        rows.append([fields["type"], f"{cost_s:.3f}", f"{size:.0f}"])
        if fields in GENERAL:
            worst_s, worst_bytes = max(worst_s, cost_s), max(worst_bytes, size)
    report.tables.append(Table("detectors", ("type", "CPU s per 1 M readings", "bytes a series"), rows))
    report.goals += [
        Goal("dearest general detector, CPU s per 1 M readings", "≤ 0.4", worst_s, worst_s <= 0.4),
        Goal("largest general detector, bytes a series", "≤ 200", worst_bytes, worst_bytes <= 200),
    ]
    return report


def _measure(fields: dict[str, Any], series: int, moments: int, seed: int) -> tuple[float, float]:
    rule = {"id": "rule", "class": "x", "name": "Rule", "levels": [{"severity": "low", "at_least": 5}], **fields}
    made = program([f"device-{number}" for number in range(series)], METRICS, [rule])
    detector = made.detectors[0].make()
    concerned = detector.watched
    rng = np.random.default_rng(seed)
    all_of = np.arange(series)
    spent_s = 0.0
    total = np.zeros(series)
    for moment in range(moments):
        total += rng.integers(0, 3, series) / 1000
        value = total.copy() if fields["metric"] == "volume" else rng.normal(100, 5, series)
        times = np.full(series, T0 + 60_000 * moment, np.int64)
        rows = Rows(concerned, times, value, np.ones(series, np.bool_), all_of, np.ones(series, np.bool_))
        began = time.process_time()
        detector.push(rows)
        spent_s += time.process_time() - began
    size = sum(column.nbytes for column in detector.columns.values()) / series
    return spent_s * 1e6 / (series * moments), size
