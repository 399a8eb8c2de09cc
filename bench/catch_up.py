"""After an hour's outage: how fast is the backlog made good, and how late is an alarm meanwhile?

Several gateways held an hour of readings each, as they are spooled at their live rate: a frame each 50 ms of what was
read in it. (They are written into the spools beforehand, by the spool's own code with a clock that stands in the past.)
Then real gateway processes (`bench.box`) start with these spools at a real broker and a real core, go on reading at the
live rate, and one of them is pushed a fever every so often, each a passage of its own, durable in its spool like any.

Speed is readings of backlog a second, from the first gateway being connected until the last holds no backlog, against the
live rate of all together. Latency counts from the moment a fever was due to be pushed until its retained alarm is with an
independent subscriber, for fevers that were due while any gateway still had backlog. Every reading, of the backlog and
live, must stand in the core's journal once.

Non-goals: thinning (the spools are far from full); a network; the gateways share the machine with broker and core, so
the figure is what all of them can do together on it.
"""

from __future__ import annotations

import json
import select
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import box, district, link, processes, small_gateway
from bench.report import Goal, Report, Table, steps
from gateway.spool import Spool
from telemetry.clock import ManualClock
from telemetry.reading import Reading, encode_readings
from telemetry.topics import ALARMS_FILTER

GOAL_SPEED, AIM_SPEED = 5.0, 10.0
GOAL_MS, AIM_MS = 1000.0, 250.0
GATHER_MS = 50  # a live gateway writes a frame this often
_GROUP_FRAMES = 200  # written into a spool with one fsync
_START_S = 5.0  # until every gateway has started and is connected
_PATIENCE_S = 1800.0


def run(
    rate: float = 2_000,
    gateways: int = 4,
    outage_s: float = 3600.0,
    fever_every_s: float = 0.05,
    fever_count_max: int = 20_000,
) -> Report:
    """`rate` readings a second over all `gateways`, away for `outage_s`."""
    report = Report(
        "catch_up",
        "how fast is an outage made good, and how late is an alarm meanwhile?",
        {"rate": rate, "gateways": gateways, "outage_s": outage_s, "fever_every_s": fever_every_s},
    )
    series = gateways * district.GATEWAY_SERIES_MAX
    with TemporaryDirectory() as name:
        folder = Path(name)
        backlog = [
            spool_an_outage(box.spool_folder(folder, district.gateway(first)), first, rate / gateways, outage_s)
            for first in steps(range(0, series, district.GATEWAY_SERIES_MAX), "an hour of readings")
        ]
        with processes.broker(folder) as broker, processes.core(folder, series, broker.port) as core:
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            cpu_s, started_s = processes.cpu_s(core.pid), time.monotonic()
            plans = _plans(folder, broker.port, gateways, rate, fever_every_s, fever_count_max)
            seen_s, told = _watch(plans, broker.port)
            used = (processes.cpu_s(core.pid) - cpu_s) / (time.monotonic() - started_s)
            core_mb = processes.memory_peak_mb(core.pid)
        taken = small_gateway.journaled(folder)
    sent = sum(backlog) + sum(one.offered for one in told) + told[0].fevers
    assert taken == sent, f"the core took {taken:,} readings of {sent:,}"
    assert len(seen_s) == told[0].fevers, f"{told[0].fevers - len(seen_s)} alarms never came"

    began_s = min(one.behind_from_s for one in told if one.behind_from_s is not None)
    over_s = max(one.caught_up_s for one in told if one.caught_up_s is not None)
    speed = sum(backlog) / (over_s - began_s)
    due_s = {key: plans[0].fevers_from_s + int(key[1:]) * fever_every_s for key in seen_s}
    waited_ms = [(seen_s[key] - due_s[key]) * 1000 for key in seen_s if began_s <= due_s[key] <= over_s]
    if not waited_ms:  # with tiny numbers it is over before the first fever
        waited_ms = [(seen_s[key] - due_s[key]) * 1000 for key in seen_s]
    # With tiny numbers it can be over before any fever at all.
    p50, p90, p99 = np.percentile(waited_ms, [50, 90, 99]).tolist() if waited_ms else [float("nan")] * 3
    report.tables += [
        Table(
            f"{sum(backlog):,} readings of {outage_s:,.0f} s, {gateways} gateways, beside {rate:,.0f} live readings/s",
            ("backlog readings/s", "× live rate", "s", "core's cores", "core's VmHWM MB", "a gateway's VmHWM MB"),
            [(speed, speed / rate, over_s - began_s, used, core_mb, max(one.memory_peak_mb for one in told))],
        ),
        Table(
            "fever due → retained alarm message meanwhile, ms",
            ("samples", "p50", "p90", "p99", "max", "driver late at most"),
            [(len(waited_ms), p50, p90, p99, max(waited_ms), max(one.late_max_s for one in told) * 1000)],
        ),
    ]
    report.goals += [
        Goal(
            "backlog, × live rate", f"≥ {GOAL_SPEED:.0f}, aim {AIM_SPEED:.0f}", speed / rate, speed / rate >= GOAL_SPEED
        ),
        Goal("p99, fever → alarm meanwhile, ms", f"≤ {GOAL_MS:.0f}, aim {AIM_MS:.0f}", p99, p99 <= GOAL_MS),
    ]
    report.samples["fever → alarm, ms"] = [round(each, 2) for each in waited_ms]
    report.notes.append("the core holds every reading once, and every fever came back as an alarm")
    return report


def spool_an_outage(folder: Path, first: int, rate: float, outage_s: float) -> int:
    """An hour of a gateway that could read but not send; how many readings."""
    begin_ms = time.time_ns() // 1_000_000 - round(outage_s * 1000)
    clock = ManualClock(begin_ms)
    spool = Spool(folder, clock)
    devices = [district.device(first + number) for number in range(district.GATEWAY_SERIES_MAX)]
    count = 0
    waiting: list[bytes] = []
    frames = round(outage_s * 1000 / GATHER_MS)
    for frame in range(frames):
        due = round(rate * (frame + 1) * GATHER_MS / 1000)
        time_ms = begin_ms + frame * GATHER_MS
        numbers = range(count, due)
        if numbers:
            waiting.append(
                encode_readings(
                    [
                        Reading(devices[n % len(devices)], district.METRIC, time_ms, 0.25 + n % 500 / 1000)
                        for n in numbers
                    ]
                )
            )
        count = due
        if len(waiting) >= _GROUP_FRAMES or (waiting and frame == frames - 1):
            # `Spool.append` without its fsync for each frame; an hour has many.
            spool.live.append(waiting, spool.timekeeper.run_ms(), {})
            waiting = []
        clock.advance(GATHER_MS / 1000)
    spool.close()
    return count


def _plans(
    folder: Path, port: int, gateways: int, rate: float, fever_every_s: float, fever_count: int
) -> list[box.Plan]:
    fevers_from_s = time.monotonic() + _START_S
    return [
        box.Plan(
            site=district.SITE,
            gateway=district.gateway(number * district.GATEWAY_SERIES_MAX),
            broker_port=port,
            folder=str(folder),
            devices=[
                district.device(number * district.GATEWAY_SERIES_MAX + each)
                for each in range(district.GATEWAY_SERIES_MAX)
            ],
            metric=district.METRIC,
            rate=rate / gateways,
            scanner=(district.SCANNER, district.SCANNER_METRIC) if number == 0 else None,
            fever_c=district.FEVER_C,
            fever_every_s=fever_every_s,
            fevers_from_s=fevers_from_s,
            fever_count=fever_count,
        )
        for number in range(gateways)
    ]


def _watch(plans: list[box.Plan], port: int) -> tuple[dict[str, float], list[box.Told]]:
    """(when each fever's alarm came, what the gateways told) once nobody holds backlog and everything is receipted."""
    seen_s: dict[str, float] = {}
    looked_s, until_s = 0.0, time.monotonic() + _PATIENCE_S
    with link.link(port, "bench-listener") as listener, ExitStack() as stack:
        listener.subscribe([ALARMS_FILTER])
        for plan in plans:
            stack.enter_context(box.box(plan))
        told: list[box.Told] = []
        while True:
            assert time.monotonic() < until_s, f"no end in sight: {told}"
            if select.select([listener.socket], [], [], 0.1)[0]:
                messages = listener.messages()
                arrived_s = time.monotonic()
                for message in messages:
                    if message.payload:
                        seen_s.setdefault(json.loads(message.payload)["key"], arrived_s)
            if time.monotonic() - looked_s > 1.0:
                looked_s = time.monotonic()
                told = [box.told(plan) for plan in plans if box.told_file(Path(plan.folder), plan.gateway).exists()]
                if len(told) == len(plans) and all(one.caught_up_s for one in told):
                    for plan in plans:
                        box.finish(plan)
                    if all(one.receipted_s for one in told) and len(seen_s) >= told[0].fevers:
                        return seen_s, told
