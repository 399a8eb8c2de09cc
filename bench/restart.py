"""How long after the core is killed and started again does it judge what is new, with a day of journal to repeat?

A journal with a day of 1,000 series, a reading a minute each and a tick a second, which the alarm engine has no snapshot
of; history and completeness are where they were. Its writer is killed (SIGKILL) with the last of it in the write-ahead
log. The database has its schema. Then `gatehouse core` starts; in the same moment a fever is published, for which the
broker keeps the core's session. The figure is from the start of the process to the fever's retained alarm at an
independent subscriber; the journal is read from the beginning before that.

Where the time goes is looked at a second time, step by step in one process over a copy of the same folder, in the order
of the core's start. Non-goals: a cold disk cache; a first start without a schema (that is the install).
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import behind, district, link, processes, stream
from bench.report import Cell, Goal, Report, Table, steps
from ingest import packets
from telemetry.topics import ALARMS_FILTER, FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER, readings_topic

GOAL_S, AIM_S = 5.0, 1.0
_CLIENT = "gatehouse-core"
_PATIENCE_S = 300.0


def run(series: int = 1_000, day_s: int = 86_400, every_s: int = 60, rounds: int = 3) -> Report:
    """`day_s` seconds of journal, each of `series` read each `every_s`; started `rounds` times."""
    report = Report(
        "restart",
        "how long until a core that was killed judges what is new?",
        {"series": series, "day_s": day_s, "every_s": every_s, "rounds": rounds},
    )
    with TemporaryDirectory() as name:
        made = Path(name) / "made"
        made.mkdir()
        command = [sys.executable, "-m", "bench.restart", "prepare", str(made), *map(str, (series, day_s, every_s))]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        waited_s: list[float] = []
        for number in steps(range(rounds), "starting the core"):
            shutil.copytree(made, folder := Path(name) / f"round-{number}")
            waited_s.append(_started(folder, series))
        shutil.copytree(made, folder := Path(name) / "steps")
        command = [sys.executable, "-m", "bench.restart", "steps", str(folder), str(series)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    median_s = statistics.median(waited_s)
    rows: list[list[Cell]] = [[what, seconds] for what, seconds in spent.items()]
    report.tables += [
        Table(
            f"start → alarm of a new fever, {series * day_s // every_s:,} readings and {day_s:,} ticks to repeat, s",
            ("median", "fastest", "slowest"),
            [(median_s, min(waited_s), max(waited_s))],
        ),
        Table("where a start's time goes, s", ("step", "s"), [*rows, ["together", sum(spent.values())]]),
    ]
    report.goals.append(
        Goal("start → first alarm, s", f"≤ {GOAL_S:.0f}, aim {AIM_S:.0f}", median_s, median_s <= GOAL_S)
    )
    report.samples["start → alarm, s"] = waited_s
    return report


def _started(folder: Path, series: int) -> float:
    with processes.broker(folder) as broker, link.link(broker.port, "bench-listener") as listener:
        listener.subscribe([ALARMS_FILTER])
        link.leave_session(broker.port, _CLIENT, [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER])
        config = district.write_config(folder, series, broker.port, processes.free_port())
        command: list[str | Path] = [sys.executable, "-m", "gatehouse", "core", "--config", config]
        started_s = time.monotonic()
        with processes.process(command, folder / "core.log") as running:
            now_ms = time.time_ns() // 1_000_000
            fever = stream.plain_json(district.SCANNER, district.SCANNER_METRIC, now_ms, district.FEVER_C, "p-new")
            topic = readings_topic(district.SITE, district.gateway(0))
            assert link.fill(broker.port, [packets.publish(topic, fever, 1)]) == 1
            while True:
                ready, _, _ = select.select([listener.socket], [], [], 0.5)
                messages = listener.messages() if ready else []
                arrived_s = time.monotonic()
                if any(m.payload and json.loads(m.payload).get("key") == "p-new" for m in messages):
                    return arrived_s - started_s
                assert running.poll() is None, "the core ended by itself"
                assert arrived_s - started_s < _PATIENCE_S, "no alarm came"


def prepare(folder: Path, series: int, day_s: int, every_s: int) -> None:
    """Write the day, as seen by history and completeness but not by a snapshot; then die."""
    from gatehouse.migrate import migrate
    from gatehouse.settings import load_settings
    from ingest.completeness import CURSOR as COMPLETENESS_CURSOR
    from ingest.history.completeness import cursor as completeness_cursor
    from ingest.history.loop import CURSOR as HISTORY_CURSOR
    from telemetry.database import open_database
    from telemetry.journal import CONNECTED, Journal, Kind, Record

    settings = load_settings(district.write_config(folder, series, 1, 0))
    migrate(settings.database.url)
    last = behind.write_journal(folder, series * day_s // every_s, series, every_s * 1000)
    journal = Journal(settings.journal.path)
    for cursor in (HISTORY_CURSOR, COMPLETENESS_CURSOR):
        journal.set_cursor(cursor, last)
    with open_database(settings.database.url).begin() as db:
        db.execute(completeness_cursor.insert().values(id=1, record=last))
    journal.append([Record(Kind.TICK, time.time_ns() // 1_000_000, CONNECTED)])
    os.kill(os.getpid(), signal.SIGKILL)


def measure_steps(folder: Path, series: int) -> dict[str, float]:
    """Seconds of each step of a start, in their order."""
    spent: dict[str, float] = {}

    @contextmanager
    def step(what: str) -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        spent[what] = time.perf_counter() - began_s

    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gatehouse.core, gatehouse.settings"], check=True)
    spent["Python and imports"] = time.perf_counter() - began_s
    from alerts.program import compile_rules
    from alerts.rules import load_rules
    from alerts.store import Store
    from alerts.worker import AlertWorker
    from gatehouse.migrate import migrate
    from gatehouse.settings import load_settings
    from ingest.recent import Recent
    from telemetry.catalogue import Catalogue
    from telemetry.clock import SystemClock
    from telemetry.database import open_database
    from telemetry.journal import Journal
    from telemetry.series import SeriesRegistry

    with step("configuration, catalogue, rules"):
        settings = load_settings(district.write_config(folder, series, 1, 0))
        catalogue = Catalogue.load(settings.catalogue)
        rules = load_rules(settings.rules, catalogue)
    with step("migrations"):
        migrate(settings.database.url)
        database = open_database(settings.database.url)
    with step("journal: open, check the newest segment"):
        journal = Journal(settings.journal.path)
    with step("series registry"):
        registry = SeriesRegistry.open(journal, catalogue)
    with step("rows taken lately"):
        Recent.open(journal)
    with step("rules as arrays, snapshot"):
        program = compile_rules(rules, catalogue, registry)
        worker = AlertWorker(journal, program, catalogue, Store(database), SystemClock(), lambda: None)
    with step("repeating: read and check"):
        position, records = worker.position, []
        while found := journal.read(position):
            records += found
            position = found[-1].offset
    with step("repeating: judge"):
        for record in records:
            worker.engine.apply(record)
    return spent


def _main(arguments: list[str]) -> None:
    if arguments[0] == "prepare":
        prepare(Path(arguments[1]), *map(int, arguments[2:5]))
    else:
        print(json.dumps(measure_steps(Path(arguments[1]), int(arguments[2]))))


if __name__ == "__main__":
    _main(sys.argv[1:])
