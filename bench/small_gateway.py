"""How small is a gateway, and how much does it carry?

A real gateway process (`bench.box`: the collector, spool, uplink and paho of `gatehouse gateway`) is handed readings in
groups of 20, as a poll of a meter hands them over, and ships them through Mosquitto to a real core, whose receipts empty
its spool. Once as many as it takes (the queue in memory is the brake), once at a steady rate a compound really has. The
time runs from the first reading handed over to the last receipt; memory is VmHWM, the most it ever had, and VmRSS at
the end; CPU is the gateway's own, starting included. What importing costs is looked at in a fresh interpreter.

Non-goals: the drivers' own decoding; a slow disk (its fsyncs count here as they are); other machines. Core and broker
share the machine with the gateway, so a gateway that has a box for itself carries more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import box, district, processes
from bench.report import Cell, Goal, Report, Table
from telemetry.batch import decode_batch
from telemetry.journal import Journal, Kind
from telemetry.series import ONLINE, SeriesRegistry

GOAL_MB, AIM_MB = 80.0, 40.0
GOAL_RATE, AIM_RATE = 5_000.0, 20_000.0
IMPORTS = (
    "asyncio",
    "typer",
    "structlog",
    "pydantic",
    "yaml",
    "msgspec",
    "cbor2",
    "apsw",
    "paho.mqtt.client",
    "telemetry.catalogue",
    "gateway.__main__",
    "gatehouse.__main__",
)


def run(readings: int = 1_000_000, steady_rate: float = 1_000, steady_s: float = 60.0, series: int = 300) -> Report:
    """As many as it takes until `readings` are at the core, then `steady_rate` readings a second."""
    report = Report(
        "small_gateway",
        "how small is a gateway, and how much does it carry?",
        {"readings": readings, "steady_rate": steady_rate, "steady_s": steady_s, "series": series},
    )
    most = trial(0, readings, series)
    steady = trial(steady_rate, round(steady_rate * steady_s), series)
    rows: list[list[Cell]] = []
    for name, found in (("as many as it takes", most), (f"{steady_rate:,.0f}/s", steady)):
        cpu_s = found.cpu_s / found.offered * 100_000
        memory = (found.imported_mb, found.memory_mb, found.memory_peak_mb)
        rows.append([name, found.offered, shipped_rate(found), cpu_s, *(f"{mb:.1f}" for mb in memory)])
    columns: Sequence[str] = (
        "load",
        "readings",
        "readings/s, receipted",
        "CPU s per 100,000",
        "imported MB",
        "VmRSS MB",
        "VmHWM MB",
    )
    report.tables.append(Table("one gateway", columns, rows))
    costs = box.import_costs(IMPORTS)
    shown = [(name, f"{mb:.1f}", count) for name, mb, count in costs]
    total = ("together", f"{sum(mb for _, mb, _ in costs):.1f}", sum(count for *_, count in costs))
    columns = ("import, in this order", "MB", "modules")
    report.tables.append(Table("what importing `gatehouse gateway` costs", columns, [*shown, total]))
    peak_mb = max(most.memory_peak_mb, steady.memory_peak_mb)
    rate = shipped_rate(most)
    report.goals += [
        Goal("most memory, MB", f"≤ {GOAL_MB:.0f}, aim {AIM_MB:.0f}", peak_mb, peak_mb <= GOAL_MB),
        Goal("readings/s, spooled to receipted", f"≥ {GOAL_RATE:,.0f}, aim {AIM_RATE:,.0f}", rate, rate >= GOAL_RATE),
    ]
    report.notes.append("the core holds every reading once")
    return report


def trial(rate: float, readings: int, series: int) -> box.Told:
    """One gateway until all is receipted."""
    with TemporaryDirectory() as name:
        found = _trial(Path(name), rate, readings, series)
        taken = journaled(Path(name))
    assert taken == found.offered, f"the core took {taken:,} readings of {found.offered:,}"
    return found


def _trial(folder: Path, rate: float, readings: int, series: int) -> box.Told:
    with processes.broker(folder) as broker, processes.core(folder, series, broker.port) as core:
        processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
        plan = box.Plan(
            site=district.SITE,
            gateway=district.gateway(0),
            broker_port=broker.port,
            folder=str(folder),
            devices=[district.device(number) for number in range(series)],
            metric=district.METRIC,
            rate=rate,
            reading_count=readings,
        )
        patience_s = 120.0 + (readings / rate if rate else readings / 1_000)
        with box.box(plan) as running:
            processes.wait_until(lambda: box.told(plan).receipted_s, "the last receipt", running, 0.2, patience_s)
            return box.told(plan)


def journaled(folder: Path) -> int:
    """Readings of devices in the journal of a core that has ended; what gateways say of themselves is left out."""
    journal = Journal(folder / "data" / "journal")
    registry = SeriesRegistry.open(journal, district.catalogue(0))
    own = [index for index, (_, metric) in enumerate(registry.names) if metric == ONLINE]
    count = after = 0
    while records := journal.read(after):
        after = records[-1].offset
        for record in records:
            if record.kind in (Kind.READINGS, Kind.BACKLOG):
                count += int((~np.isin(decode_batch(record.payload).series, own)).sum())
    journal.close()
    return count


def shipped_rate(found: box.Told) -> float:
    """Readings a second from the first handed over to the last receipt."""
    assert found.receipted_s is not None
    return found.offered / max(found.receipted_s - found.began_s, time.get_clock_info("monotonic").resolution)
