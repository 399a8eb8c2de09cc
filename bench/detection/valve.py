"""Is a pipe that is being closed noticed, and how soon? SKAB's valve runs, one reading a second.

The flow, averaged over the last four seconds, goes through the rule type `robust-z` (low side, memory 400 readings): water
that is held back is missing from the flow. The average is made here, not by a rule. The first 400 rows of a run are for
learning; rows from there to the labelled onset are to stay below the limit, and a run is found when a row within 60 s of the
onset reaches it. The other channels are shown by themselves: temperatures drift from run to run and tell nothing of a valve.

Non-goals: F1 over rows, which an alarm that never stops gets 0.70 of; the end of the closure.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.detection.data import datasets
from bench.detection.replay import signals
from bench.report import Goal, Report, Table
from telemetry.batch import Floats

RULE = {
    "id": "valve", "type": "robust-z", "class": "drain", "name": "Held back", "metric": "flow", "side": "low",
    "memory_readings": 400, "learn_readings": 300, "levels": [{"severity": "high", "at_least": 2.5}],
}  # fmt: skip
METRIC = {"id": "flow", "name": "Flow", "unit": "l/min"}
FLOW = "Volume Flow RateRMS"
LEAST = {FLOW: 0.1}  # l/min: what the flow meter can tell apart; other channels have no least
LIMIT = 2.5
MEAN_S = 4
LEARNED = 400
WITHIN = 60


@dataclass(frozen=True, slots=True)
class Run:
    """One run, a row a second."""

    name: str
    channels: dict[str, Floats]
    onset: int  # the first row that is labelled


def run(folder: Path | None = None, runs: int | None = None) -> Report:
    """Replay the runs, channel by channel."""
    report = Report("detection_valve", "is a closing valve noticed, and how soon?", {"runs": runs or "all"})
    of = load(datasets("valve-runs", folder))[:runs]
    by_channel: list[list[str | float]] = []
    by_run: list[list[str | float]] = []
    found_share = worst = 0.0
    for channel in (*(c for c in of[0].channels if c != FLOW), FLOW):
        judged = [judge(one, channel) for one in of]
        delays = [delay for delay, _ in judged if delay is not None]
        false = [share for _, share in judged]
        by_channel.append([channel, len(delays), float(np.mean(false)), max(false)])
        found_share, worst = len(delays) / len(of), max(false)
        by_run = [
            [one.name, "not found" if delay is None else float(delay), share]
            for one, (delay, share) in zip(of, judged, strict=True)
        ]
    report.tables += [
        Table("each channel by itself", ("channel", "runs found", "false rows, %, mean", "worst run"), by_channel),
        Table("flow", ("run", "found after, s", "false rows, %"), by_run),
    ]
    report.goals += [
        Goal("share of runs found within 60 s, flow", "1", found_share, found_share == 1),
        Goal("false rows before onset, worst run, %", "≤ 5", worst, worst <= 5),
    ]
    return report


def load(folder: Path) -> list[Run]:
    """All runs with an onset, in their order."""
    found = []
    for file in sorted(folder.glob("[0-9]*.csv.gz"), key=lambda file: int(file.name.split(".")[0])):
        with gzip.open(file, "rt", newline="") as lines:
            names, *rows = csv.reader(lines, delimiter=";")
        table = np.array([[float(cell) for cell in row[1:]] for row in rows])
        label = table[:, names.index("anomaly") - 1] > 0
        channels = {name: table[:, at] for at, name in enumerate(names[1:]) if name not in ("anomaly", "changepoint")}
        found.append(Run(file.name.split(".")[0], channels, int(np.flatnonzero(label)[0])))
    return found


def judge(one: Run, channel: str) -> tuple[int | None, float]:
    """(seconds from the onset to the first row at the limit, per cent of rows before at it)."""
    value = one.channels[channel]
    total = np.cumsum(np.append(0.0, value))
    end = np.arange(1, len(value) + 1)
    start = np.maximum(end - MEAN_S, 0)
    mean = (total[end] - total[start]) / (end - start)
    rule = {**RULE, "least": LEAST.get(channel, 1e-6)}
    at_limit = signals(rule, METRIC, 1000 * np.arange(len(value), dtype=np.int64), mean) >= LIMIT
    within = np.flatnonzero(at_limit[one.onset : one.onset + WITHIN + 1])
    before = at_limit[LEARNED : one.onset]
    return int(within[0]) if len(within) else None, 100 * float(before.mean())
