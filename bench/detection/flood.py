"""Is the river in flood? From its level and the rain, as they come, with one setting for all sites.

Data: Herbert River, four sites, half-hourly; hours that are labelled out of water or not at all are not counted. The level
goes through the rule type `robust-z` (memory of 90 days, high side); its signal is held for hours and fades, because a
flood is a state; rain of the last days, fading, is added. score = ln(1 + held z) + 0.2 ln(1 + rain in mm). The two fadings
and the sum are made here, not by a rule: `robust-z` alone is the first row of the table.

Non-goals: the faults of the turbidity sensor, which the same file labels too.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.detection.data import datasets, roc_area, sensitivity_at
from bench.detection.replay import signals
from bench.report import Goal, Report, Table
from telemetry.batch import Floats, Masks, Times

RULE = {
    "id": "flood", "type": "robust-z", "class": "drain", "name": "Flood", "metric": "level", "side": "high",
    "least": 0.1, "memory_readings": 4320, "learn_readings": 48, "levels": [{"severity": "high", "at_least": 3}],
}  # fmt: skip
METRIC = {"id": "level", "name": "Level", "unit": "m"}
HELD_H = 4.0  # a flood's signal fades to a third in so long
RAIN_H = 72.0
RAIN_WEIGHT = 0.2
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Site:
    """One site in order of time, (N,)."""

    name: str
    time_ms: Times
    level_m: Floats  # NaN where there was none
    rain_mm: Floats
    is_flood: Masks
    is_labelled: Masks


def run(folder: Path | None = None, sites: int | None = None) -> Report:
    """Replay the sites and compare with the labels."""
    report = Report("detection_flood", "is the river in flood, from level and rain?", {"sites": sites or "all"})
    of = load(datasets("flood-river", folder) / "level_rain.csv.gz")[:sites]
    rows: list[list[str | float]] = []
    overall = 0.0
    for name, weights in (
        ("robust-z alone", (False, 0.0)),
        ("held", (True, 0.0)),
        ("held, and rain", (True, RAIN_WEIGHT)),
    ):
        scored = [score(site, *weights) for site in of]
        truth = np.concatenate([site.is_flood[site.is_labelled] for site in of])
        together = np.concatenate([s[site.is_labelled] for s, site in zip(scored, of, strict=True)])
        overall = roc_area(together, truth)
        each = [
            roc_area(s[site.is_labelled], site.is_flood[site.is_labelled]) for s, site in zip(scored, of, strict=True)
        ]
        rows.append([name, overall, sensitivity_at(together, truth, 0.95), *each])
    columns = ("score", "AUC", "sensitivity at 0.95", *(f"AUC, site {site.name}" for site in of))
    report.tables.append(Table("flood state, all sites as one and each by itself", columns, rows))
    report.goals.append(Goal("AUC, level and rain", "≥ 0.95", overall, overall >= 0.95))
    return report


def load(file: Path) -> list[Site]:
    """Every site of the file."""
    rows: dict[str, list[tuple[int, float, float, str]]] = {}
    with gzip.open(file, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["date_time"] not in ("", "NA"):
                when = datetime.fromisoformat(row["date_time"]).replace(tzinfo=UTC)
                level, rain = (float(row[n]) if row[n] not in ("", "NA") else np.nan for n in ("lev", "prec"))
                rows.setdefault(row["locID"], []).append((round(when.timestamp()) * 1000, level, rain, row["label"]))
    found = []
    for name, of in sorted(rows.items()):
        of.sort(key=lambda row: row[0])
        label = np.array([row[3] for row in of])
        time_ms = np.array([row[0] for row in of], np.int64)
        level_m, rain_mm = (np.array([row[n] for row in of], np.float64) for n in (1, 2))
        is_labelled = (label == "Event") | (label == "Ambient")
        found.append(Site(name, time_ms, level_m, rain_mm, label == "Event", is_labelled))
    return found


def score(site: Site, holds: bool, rain_weight: float) -> Floats:
    """What is known at each row of it and those before, (N,)."""
    known = np.flatnonzero(~np.isnan(site.level_m))
    z = np.zeros(len(site.time_ms))
    z[known] = np.nan_to_num(signals(RULE, METRIC, site.time_ms[known], site.level_m[known]))
    elapsed_h = np.diff(site.time_ms, prepend=site.time_ms[0]) / HOUR_MS
    held = np.zeros(len(z))
    rain = np.zeros(len(z))
    last = fallen = 0.0
    for row, (now, mm, hours) in enumerate(zip(z, np.nan_to_num(site.rain_mm), elapsed_h, strict=True)):
        last = max(now, last * np.exp(-hours / HELD_H)) if holds else now
        fallen = fallen * np.exp(-hours / RAIN_H) + mm
        held[row], rain[row] = last, fallen
    return np.asarray(np.log1p(held) + rain_weight * np.log1p(rain))
