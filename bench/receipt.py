"""How long after a reading is durable in a gateway's spool does the core's receipt come back?

A real gateway process (`bench.box`), a real Mosquitto, a real core with three level rules a series, all fsynced. First
the gateway ships as much as it can; then half of that, and 5,000 readings a second, at a steady pace that does not wait
for anything. Each frame is one sample: from `Spool.append` returning to the receipt that covers it being taken.

Non-goals: the time a reading waits for company before it is spooled (10 to 50 ms, by design); a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import box, small_gateway
from bench.report import Cell, Goal, Report, Table

GOAL_MS, AIM_MS = 50.0, 20.0
_WARM_SHARE = 0.1  # of the samples: the connection is being made


def run(
    rates: Sequence[float] = (5_000,), seconds: float = 60.0, flood_readings: int = 400_000, series: int = 1_000
) -> Report:
    """At half of what one gateway can ship, and at each of `rates`."""
    report = Report(
        "receipt",
        "how long from the spool to the receipt?",
        {"rates": str(list(rates)), "seconds": seconds, "flood_readings": flood_readings, "series": series},
    )
    most = small_gateway.shipped_rate(small_gateway.trial(0, flood_readings, series))
    half = max(100.0, round(most / 2, -2))
    rows: list[list[Cell]] = []
    for name, rate in (("half of the most", half), *((f"{rate:,.0f}/s", rate) for rate in rates)):
        found = small_gateway.trial(rate, round(rate * seconds), series)
        waited_ms = _after_warming(found)
        p50, p90, p99 = (float(x) for x in np.percentile(waited_ms, [50, 90, 99]))
        used = found.cpu_s / (found.now_s - found.began_s)
        late_ms = found.late_max_s * 1000
        rows.append([name, rate, len(waited_ms), p50, p90, p99, max(waited_ms), used, late_ms])
        what = f"p99, {name}, spool → receipt, ms"
        report.goals.append(Goal(what, f"≤ {GOAL_MS:.0f}, aim {AIM_MS:.0f}", p99, p99 <= GOAL_MS))
        report.samples[f"{name}, ms"] = [round(each, 2) for each in waited_ms]
    columns = ("load", "readings/s", "frames", "p50", "p90", "p99", "max", "gateway's cores", "driver late at most")
    report.tables.append(Table(f"spool → receipt, ms; the most is {most:,.0f} readings/s", columns, rows))
    return report


def _after_warming(found: box.Told) -> list[float]:
    return [1000 * each for each in found.receipt_s[round(len(found.receipt_s) * _WARM_SHARE) :]]
