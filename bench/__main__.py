"""`python -m bench [ladder|drain|latency|memory …] [--quick]`: measure, print, keep as bench/results/NAME.json.

Everything when nothing is named. A goal that is missed is printed, never an error.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from functools import partial

import structlog
from rich.console import Console

from bench import (
    backtest,
    behind,
    catch_up,
    codecs,
    drain,
    hostile,
    influx_history,
    ladder,
    latency,
    line_protocol,
    many_meters,
    memory,
    notices,
    page,
    polling,
    receipt,
    restart,
    row_latency,
    rules,
    screens,
    sim_devices,
    small_gateway,
    soak,
    steady,
    store,
    telegraf,
)
from bench.detection import appliances, cost, fever, flood, river, valve, water
from bench.report import Report
from telemetry.errors import BadConfiguration

MEASUREMENTS: dict[str, Callable[[], Report]] = {
    "ladder": ladder.run,
    "drain": drain.run,
    "latency": latency.run,
    "hostile": hostile.run,
    "memory": memory.run,
    "catch_up": catch_up.run,
    "behind": behind.run,
    "notices": notices.run,
    "receipt": receipt.run,
    "restart": restart.run,
    "rules": rules.run,
    "backtest": backtest.run,
    "line_protocol": line_protocol.run,
    "store": store.run,
    "many_meters": many_meters.run,
    "influx_history": influx_history.run,
    "row_latency": row_latency.run,
    "telegraf": telegraf.run,
    "steady": steady.run,
    "soak": soak.run,
    "small_gateway": small_gateway.run,
    "codecs": codecs.run,
    "polling": polling.run,
    "sim_devices": sim_devices.run,
    "screens": screens.run,
    "detection_water": water.run,
    "detection_appliances": appliances.run,
    "detection_river": river.run,
    "detection_cost": cost.run,
    "detection_fever": fever.run,
    "detection_flood": flood.run,
    "detection_valve": valve.run,
}
QUICK: dict[str, Callable[[], Report]] = {
    "ladder": partial(ladder.run, readings=400_000, rounds=1, alarm_readings=40_000),
    "drain": partial(drain.run, readings=20_000, rounds=2, frame_rounds=1),
    "hostile": partial(hostile.run, seconds=3.0),
    "latency": partial(latency.run, seconds=6.0, flood=50_000),
    "memory": partial(memory.run, seconds=15.0),
    "behind": partial(behind.run, readings=200_000),
    "catch_up": partial(catch_up.run, outage_s=300.0),
    "notices": partial(notices.run, alarms=500, seconds=3.0),
    "receipt": partial(receipt.run, seconds=8.0, flood_readings=100_000),
    "restart": partial(restart.run, rounds=1),
    "rules": partial(rules.run, series=1_000, rounds=20, twin_series=20),
    "line_protocol": partial(line_protocol.run, rows=200_000, rounds=3),
    "store": partial(store.run, year_series=5, rounds=3),
    "many_meters": partial(many_meters.run, sizes=(20,)),
    "influx_history": partial(influx_history.run, rounds=3, year_days=60),
    "row_latency": partial(row_latency.run, seconds=8.0),
    "steady": partial(steady.run, seconds=20.0),
    "soak": partial(soak.run, seconds=20.0, look_every_s=1.0),
    "telegraf": partial(telegraf.run, readings=20_000, frame_messages=400, rounds=1),
    "backtest": partial(backtest.run, days=2, series=200),
    "small_gateway": partial(small_gateway.run, readings=200_000, steady_s=10.0),
    "codecs": partial(codecs.run, frames=5_000, noise_bytes=1_000_000, damaged=5_000, lines=1_000),
    "polling": partial(polling.run, lines=5, every_s=2.0, seconds=4.0, meters=4),
    "sim_devices": partial(sim_devices.run, devices=(1_000,), seconds=3.0),
    "screens": partial(screens.run, seconds=6.0, screens=5, clients=50, ingest_per_s=500.0, visits=1, hours=0.5),
    "detection_water": partial(water.run, users=2),
    "detection_appliances": partial(appliances.run, rooms=20),
    "detection_river": partial(river.run, files=1),
    "detection_cost": partial(cost.run, series=1_000, moments=5),
    "detection_fever": partial(fever.run, shifts_at=(200,)),
    "detection_flood": partial(flood.run, sites=1),
    "detection_valve": partial(valve.run, runs=3),
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all when none is given"
    )
    parser.add_argument("--record", action="store_true", help="keep the reports for docs/performance.md")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run at all?")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no '{unknown[0]}'; there are {', '.join(MEASUREMENTS)}")
    # Every reject and alarm is a log line of the core; here only what goes wrong is of interest.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file has no width of its own
    for name in given.names or MEASUREMENTS:
        try:
            report = (QUICK if given.quick else MEASUREMENTS)[name]()
        except BadConfiguration as error:
            console.print(f"{name}: {error}")
            continue
        report.show(console)
        console.print(f"kept in {report.save()}", style="dim", highlight=False)
        if given.record:
            report.save(page.RECORD)
            page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
