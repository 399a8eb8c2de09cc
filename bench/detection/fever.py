"""Who has a fever, from one full-face reading as people come along? And what if the scanner moves?

Data: PhysioNet facial and oral temperature (doi 10.13026/3bhc-9065), two cameras, replayed in order of date and time through
the rule type `fever` with its defaults. Fever is an oral temperature of 37.5 degC or more. The reading is the full-face
maximum of round 1, as a person walks up once. A hundred people pass before anything is counted after an injected shift.

Non-goals: a mean of several rounds; calibration with the blackbody beside the camera; anything fitted to the labels.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alerts.detectors.detector import Rows
from alerts.detectors.fever import FeverDetector, FeverRule
from bench.detection.data import datasets, limit_at, roc_area, sensitivity_at
from bench.report import Goal, Report, Table
from telemetry.batch import Floats, Masks, Times

_HEADER_ROWS = 3
_SHIFT_C = 0.8
_AFTER = 100  # people
_AMBIENT_PER_C = 0.1
CAMERAS = ("FLIR", "ICI")


@dataclass(frozen=True, slots=True)
class People:
    """One camera's subjects in the order in which they came, (P,)."""

    time_ms: Times
    skin_c: Floats
    oral_c: Floats
    ambient_c: Floats


def run(folder: Path | None = None, group: int = 1, shifts_at: tuple[int, ...] = (150, 200, 250)) -> Report:
    """Replay both cameras, as they were and with a step and a drift of the camera."""
    report = Report("detection_fever", "who has a fever, from one reading?", {"group": group, "people after": _AFTER})
    plain: list[list[str | float]] = []
    moved: list[list[str | float]] = []
    for camera in CAMERAS:
        people = load(datasets("fever", folder) / f"{camera}_group{group}.csv")
        fever, high = people.oral_c >= 37.5, people.oral_c >= 38.0
        signal = replay(people)
        by_ambient = replay(people, ambient_per_c=_AMBIENT_PER_C)
        scores = (("raw", people.skin_c), ("signal", signal), (f"signal, ambient {_AMBIENT_PER_C}", by_ambient))
        for name, score in scores:
            plain.append([f"{camera} {name}", *_scores(score, fever, high), *_at_limit(score, fever, 37.3)])
        worst = 0.0
        for shape in ("step", "drift"):
            for shift_c in (-_SHIFT_C, _SHIFT_C):
                for at in shifts_at:
                    lost, row = _shifted(people, signal, shape, shift_c, at)
                    worst = max(worst, lost)
                    moved.append([f"{camera} {shape} {shift_c:+} at {at}", *row])
        auc, at_90, _, high_95 = _scores(signal, fever, high)
        report.goals += [
            Goal(f"{camera}: AUC", "≥ 0.955", auc, auc >= 0.955),
            Goal(f"{camera}: sensitivity at specificity 0.90", "≥ 0.90", at_90, at_90 >= 0.90),
            Goal(f"{camera}: 38 °C, sensitivity at 0.95", "≥ 0.95", high_95, high_95 >= 0.95),
            Goal(f"{camera}: points lost after a shift", "≤ 3", worst, worst <= 3),
        ]
    names = ("AUC", "sens at 0.90", "sens at 0.95", "38 °C: sens at 0.95", "sens at 37.3", "spec at 37.3")
    report.tables.append(Table("as it was", ("camera", *names), plain))
    report.tables.append(
        Table(
            "the camera moves; balanced accuracy at the limit of specificity 0.90 before, after 100 people, in points",
            ("what", "raw", "unmoved", "moved", "lost", "AUC unmoved", "AUC moved"),
            moved,
        )
    )
    return report


def load(file: Path) -> People:
    """One camera's file; subjects without date, time, reading or reference are left out."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    column = {name.strip(): number for number, name in enumerate(rows[_HEADER_ROWS - 1])}
    found = []
    for row in rows[_HEADER_ROWS:]:
        try:
            when = datetime.strptime(
                f"{row[column['Date']].strip()} {row[column['Time']].strip()}", "%y-%m-%d %H:%M:%S"
            )
            numbers = [float(row[column[name]]) for name in ("T_Max1", "aveOralM", "T_atm")]
        except (ValueError, IndexError):
            continue
        if np.isfinite(numbers[:2]).all():
            found.append((round(when.replace(tzinfo=UTC).timestamp() * 1000), *numbers))
    found.sort(key=lambda person: person[0])
    time_ms = np.array([person[0] for person in found], np.int64)
    # Two people in one second are one after the other.
    time_ms = np.maximum.accumulate(time_ms - np.arange(len(found))) + np.arange(len(found))
    return People(time_ms, *(np.array([person[n] for person in found], np.float64) for n in (1, 2, 3)))


def replay(people: People, shift_c: Floats | float = 0.0, **fields: object) -> Floats:
    """The signal of each person, by a rule with these fields beside its defaults; -inf where there was none."""
    rule = FeverRule.model_validate(
        {
            "id": "fever",
            "type": "fever",
            "class": "fever",
            "name": "Fever",
            "metric": "skin_temperature",
            **fields,
            "levels": [{"severity": "high", "at_least": 37.3}, {"severity": "critical", "at_least": 38.0}],
        }
    )
    detector = FeverDetector(rule, np.array([0]), np.array([1]), 2)
    n = len(people.time_ms)
    # The ambient temperature is said just before each person is measured.
    known = np.flatnonzero(np.isfinite(people.ambient_c))
    series = np.concatenate([np.zeros(n, np.intp), np.ones(len(known), np.intp)])
    first = np.zeros(len(series), np.bool_)
    first[[0, n]] = True
    signals = detector.push(
        Rows(
            series,
            np.concatenate([people.time_ms, people.time_ms[known]]),
            np.concatenate([people.skin_c + shift_c, people.ambient_c[known]]),
            np.ones(len(series), np.bool_),
            np.concatenate([2 * np.arange(n) + 1, 2 * known]),
            first,
        )
    )
    found = np.full(n, -np.inf)
    found[signals.row] = signals.value
    return found


def _scores(score: Floats, fever: Masks, high: Masks) -> tuple[float, float, float, float]:
    of_high = high | ~fever
    return (
        roc_area(score, fever),
        sensitivity_at(score, fever, 0.90),
        sensitivity_at(score, fever, 0.95),
        sensitivity_at(score[of_high], high[of_high], 0.95),
    )


def _at_limit(score: Floats, fever: Masks, limit: float) -> tuple[float, float]:
    return float((score[fever] >= limit).mean()), float((score[~fever] < limit).mean())


def _shifted(people: People, unmoved: Floats, shape: str, shift_c: float, at: int) -> tuple[float, list[float]]:
    """Points of balanced accuracy lost from 100 people after the camera began to move."""
    n = len(people.skin_c)
    fever = people.oral_c >= 37.5
    since = np.arange(n) - at
    share: Floats = np.clip(since / _AFTER, 0.0, 1.0) if shape == "drift" else (since >= 0).astype(np.float64)
    shift = shift_c * share
    moved = replay(people, shift)
    later = since >= _AFTER

    def accuracy(score: Floats, limit: float) -> float:
        truth = fever[later]
        return 50 * float((score[later][truth] > limit).mean() + (score[later][~truth] <= limit).mean())

    limit = limit_at(unmoved, fever, 0.90)
    raw = accuracy(people.skin_c + shift, limit_at(people.skin_c, fever, 0.90))
    before, after = accuracy(unmoved, limit), accuracy(moved, limit)
    row = [
        raw,
        before,
        after,
        before - after,
        roc_area(unmoved[later], fever[later]),
        roc_area(moved[later], fever[later]),
    ]
    return before - after, row
