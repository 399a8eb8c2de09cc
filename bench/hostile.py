"""How much longer does an innocent gateway wait for its receipts while another client means harm?

A real Mosquitto with the configuration that `gatehouse broker-config` writes (TLS, access list), a real core, and a gateway
that ships a frame of one reading every 20 ms whether or not anything is answered; each frame is one sample, from when it was
due to the receipt that covers it. First in quiet, then under each attack of `tests.siege`, repeated for as long.

Non-goals: how much the machine can take; attackers on machines of their own (here they use the same two cores).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.report import Cell, Goal, Report, Table, steps
from tests import siege

GOAL = 2.0  # times the p99 in quiet
_WARM_S = 1.0
_PATIENCE_S = 900.0  # what a flood has left at the broker is taken first


def run(seconds: float = 20.0, attacks: Sequence[str] = tuple(siege.ATTACKS)) -> Report:
    """In quiet, and under each of `attacks`."""
    report = Report("hostile", "how long does the innocent wait?", {"seconds": seconds, "every_ms": 20})
    rows: list[list[Cell]] = []
    quiet = 0.0
    with TemporaryDirectory() as name, siege.siege(Path(name)) as stands:
        for attack in steps(["quiet", *attacks], "hostile clients"):
            began_s = time.monotonic()
            times = 0
            with siege.Innocent(stands, patience_s=_PATIENCE_S) as innocent:
                while time.monotonic() < began_s + seconds:
                    if attack == "quiet":
                        time.sleep(0.1)
                    else:
                        siege.ATTACKS[attack](stands)
                        times += 1
            assert innocent.failure is None, f"{attack}: {innocent.failure}"
            assert stands.is_well(), attack
            waited_ms = innocent.waited_ms(innocent.due_s[0] + _WARM_S)
            p50, p99 = (float(each) for each in np.percentile(waited_ms, [50, 99]))
            quiet = quiet or p99
            rows.append([attack, times, len(waited_ms), p50, p99, max(waited_ms), p99 / quiet, *stands.memory_mb()])
            if attack != "quiet":
                share = p99 / quiet
                report.goals.append(Goal(f"p99 under '{attack}', times quiet", f"≤ {GOAL:.0f}", share, share <= GOAL))
            report.samples[f"{attack}, ms"] = [round(each, 2) for each in waited_ms]
    columns = ("", "attacks", "frames", "p50", "p99", "max", "p99 / quiet", "broker MB", "core MB")
    report.tables.append(Table("due → receipt, ms", columns, rows))
    report.notes.append("every frame of the innocent got its receipt, and broker and core ran through all of it")
    return report
