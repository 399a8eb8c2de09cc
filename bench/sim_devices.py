"""How many simulated devices, each with a reading a second over MQTT, does one core carry?

`gatehouse sim load` against a real Mosquitto, every series a device of its own with one plain-JSON message a second at QoS 1.
Counted is the CPU time of the process that simulates: its devices per core are the readings over the CPU seconds. Whether it
kept its rate stands beside it, which neighbours on the machine spoil.

Non-goals: the broker's own time; devices on slow lines, which cost more and are fewer.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from firmware_sim.load import Broker, load

from bench import district, processes
from bench.report import Cell, Goal, Report, Table, steps

GOAL_DEVICES = 10_000.0


def run(devices: tuple[int, ...] = (1_000, 10_000, 20_000), seconds: float = 10.0) -> Report:
    """Each number of devices in turn."""
    report = Report(
        "sim_devices",
        "how many simulated devices at a reading a second does one core carry?",
        {"devices": ", ".join(str(count) for count in devices), "seconds": seconds},
    )
    rows: list[list[Cell]] = []
    carried = 0.0
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        for count in steps(devices, "simulated devices"):
            catalogue, sink = district.catalogue(count), Broker("127.0.0.1", broker.port)
            cpu_s = time.process_time()
            done = load(catalogue, sink, "single", float(count), count, seconds)
            cpu_s = time.process_time() - cpu_s
            per_core = done.readings / cpu_s
            rows.append([count, done.readings, done.rate, cpu_s / done.seconds * 100, per_core, done.behind_s])
            carried = max(carried, per_core)
    columns = ("devices", "readings", "readings/s", "% of one core", "devices/core by CPU time", "behind at the end s")
    report.tables.append(Table("one process", columns, rows))
    report.goals.append(
        Goal("devices per core at 1 reading/s", f"≥ {GOAL_DEVICES:,.0f}", carried, carried >= GOAL_DEVICES)
    )
    return report
