"""How long does evaluation wait while ten thousand alarms have to be told and a receiver hangs?

A worker over a real journal, its store, and two senders as threads: one whose receiver takes everything, one whose receiver
hangs for thirty seconds each time. All alarms are raised at once, a hundred a record; then a reading comes every 50 ms and is
judged and stored. What is measured is how long each of those takes from the journal to the database, beside the same
without anybody to tell. Non-goals: the broker, the time that a message takes on its way.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from alerts.notify.routing import MQTT_CHANNEL
from alerts.notify.sender import Sender
from alerts.notify.upkeep import Upkeep
from alerts.people import NOBODY, People
from alerts.program import compile_rules
from alerts.store import Notice, Store
from alerts.worker import AlertWorker
from bench import district
from bench.report import Cell, Goal, Report, Table
from gatehouse.migrate import migrate
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import SystemClock
from telemetry.database import open_database
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry

GOAL_MS = 250.0
_EVERY_S = 0.05
_PEOPLE = People.model_validate(
    {
        "people": [{"id": "li", "name": "Li", "addresses": {"pager": "1"}}],
        "routes": [{"id": "drains", "duty": ["li"], "channels": ["pager"]}],
    }
)


class _Hangs:
    def __init__(self, hang_s: float) -> None:
        self._hang_s = hang_s
        self.stop = threading.Event()

    def deliver(self, notice: Notice) -> None:
        self.stop.wait(self._hang_s)


class _Takes:
    def __init__(self) -> None:
        self.count = 0

    def deliver(self, notice: Notice) -> None:
        self.count += 1


def run(alarms: int = 10_000, seconds: float = 20.0, hang_s: float = 30.0) -> Report:
    """Raise `alarms` at once, then judge for `seconds`."""
    report = Report(
        "notices",
        "how long does evaluation wait while all is to be told and a receiver hangs?",
        {"alarms": alarms, "seconds": seconds, "hang_s": hang_s},
    )
    rows: list[list[Cell]] = []
    for name, people in (("nobody to tell", NOBODY), ("everything to tell", _PEOPLE)):
        raise_s, waited_ms, sent = _trial(alarms, seconds, hang_s, people)
        p50, p99 = (float(x) for x in np.percentile(waited_ms, [50, 99]))
        rows.append([name, raise_s, p50, p99, max(waited_ms), sent])
        if people is _PEOPLE:
            report.goals.append(Goal("p99 of evaluation meanwhile, ms", f"≤ {GOAL_MS:.0f}", p99, p99 <= GOAL_MS))
        report.samples[name] = [round(each, 3) for each in waited_ms]
    columns = ("", "all raised and stored, s", "p50, ms", "p99, ms", "max, ms", "sent meanwhile")
    report.tables.append(Table("a reading, from the journal to the database", columns, rows))
    return report


def _trial(alarms: int, seconds: float, hang_s: float, people: People) -> tuple[float, list[float], int]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        migrate(f"sqlite:///{folder}/g.db")
        database = open_database(f"sqlite:///{folder}/g.db")
        journal, clock = Journal(folder / "journal"), SystemClock()
        catalogue = district.catalogue(alarms + 1)
        registry = SeriesRegistry.open(journal, catalogue)
        rules = [rule.model_copy(update={"route": "drains"}) for rule in district.rules() if people.routes] or [
            *district.rules()
        ]
        program = compile_rules(rules, catalogue, registry)
        store = Store(database)
        worker = AlertWorker(journal, program, catalogue, store, clock, lambda: None, people)
        stop, hangs, takes = threading.Event(), _Hangs(hang_s), _Takes()
        senders = [Sender("pager", hangs, store, clock), Sender(MQTT_CHANNEL, takes, store, clock)]
        upkeep = Upkeep(database, clock, worker.wanted, lambda: None)
        parts = [*(sender.run for sender in senders), upkeep.run] if people.routes else []
        threads = [threading.Thread(target=part, args=(stop,), daemon=True) for part in parts]
        for thread in threads:
            thread.start()

        def take(first: int, count: int, value: float) -> None:
            now_ms = clock.now_ms()
            series = np.array(
                [registry.index[district.device(n), district.METRIC] for n in range(first, first + count)], np.uint32
            )
            batch = ReadingBatch(
                series, np.full(count, now_ms, np.int64), np.full(count, value), np.zeros(count, np.uint8)
            )
            journal.append([Record(Kind.READINGS, now_ms, encode_batch(batch))])
            while worker.lag:
                worker.step()

        started_s = time.monotonic()
        for first in range(0, alarms, 100):
            take(first, min(100, alarms - first), 1.5)
        raise_s = time.monotonic() - started_s
        waited_ms = []
        until_s = time.monotonic() + seconds
        value = 0.5
        while time.monotonic() < until_s:
            begun_s = time.monotonic()
            value = 2.0 - value  # in and out of the first limit: each is a transition to be stored
            take(alarms, 1, value)
            waited_ms.append((time.monotonic() - begun_s) * 1000)
            time.sleep(max(0.0, _EVERY_S - (time.monotonic() - begun_s)))
        stop.set()
        hangs.stop.set()
        for thread in threads:
            thread.join(20)
        database.dispose()
        journal.close()
        return raise_s, waited_ms, takes.count
