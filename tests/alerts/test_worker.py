"""The engine with its database: what a crash leaves, and that it cannot be told from no crash."""

import json
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from alerts.people import load_people
from alerts.program import compile_rules
from alerts.rules import load_rules
from alerts.store import Store, alarms, commands, notices, transitions
from alerts.worker import CURSOR, AlertWorker
from gatehouse.migrate import migrate
from telemetry.batch import encode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock, SystemClock
from telemetry.database import open_database
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district
from tests.alerts.test_engine import T0, Row, batch
from tests.alerts.test_episodes import in_pieces


class Crash(BaseException):
    """The power fails."""


class FragileStore(Store):
    """Crashes before or after its n-th write."""

    def __init__(self, database: sa.Engine, crash_at: int) -> None:
        super().__init__(database)
        self._left = crash_at

    def _maybe(self) -> None:
        self._left -= 1
        if not self._left:
            raise Crash

    def apply(self, *given: Any) -> bool:
        self._maybe()
        has_notices = super().apply(*given)
        self._maybe()
        return has_notices

    def keep_snapshot(self, cursor: int, snapshot: bytes) -> None:
        self._maybe()
        super().keep_snapshot(cursor, snapshot)
        self._maybe()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """In SQLite, for tests of the engine and those that crash many times; the others take `database_url`."""
    made = f"sqlite:///{tmp_path}/gatehouse.db"
    migrate(made)
    return made


def records() -> list[Record]:
    """An eventful hour."""
    rng = random.Random(3)
    made = []
    for second in range(0, 600, 10):
        rows: list[Row] = [
            ("level-1/level", round(0.5 + 0.003 * second + rng.choice([-0.01, 0, 0.01]), 3), second),
            ("level-2/level", rng.choice([0.2, 0.72, 0.9]), second),
            ("meter/power", rng.choice([100.0, 1500.0]), second),
        ]
        if rng.random() < 0.2:
            rows.append(("scanner/skin_temperature", 38.4, second, {"key": f"p{second}"}))
        if second < 400:
            rows.append(("scanner/ambient_temperature", 20.0, second))
        made.append(Record(Kind.READINGS, T0 + second * 1000, encode_batch(batch(rows))))
        made += [Record(Kind.TICK, T0 + (second + i) * 1000, b"connected") for i in range(1, 10)]
    return made


def work(tmp_path: Path, journal: Journal, store: Store, pieces: random.Random) -> None:
    """Work through the journal as the worker does, with snapshots now and then; a crash leaves from here."""
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, store, ManualClock(T0), lambda: None)
    while worker.lag:
        worker._keep(worker.judge(journal.read(worker.position, pieces.randint(1, 40))))
        if pieces.random() < 0.3:
            worker._snapshot()


def outcome(url: str) -> list[tuple[Any, ...]]:
    database = open_database(url)
    with database.connect() as db:
        steps = db.execute(
            sa.select(
                transitions.c.alarm,
                transitions.c.seq,
                transitions.c.what,
                transitions.c.severity,
                transitions.c.event_ms,
                transitions.c.known_ms,
                transitions.c.reason,
                transitions.c.value,
            ).order_by(transitions.c.alarm, transitions.c.seq)
        ).all()
        shown = db.execute(
            sa.select(alarms.c.id, alarms.c.is_open, alarms.c.seq, alarms.c.severity).order_by(alarms.c.id)
        )
        sent = db.execute(sa.select(notices.c.key).order_by(notices.c.key)).all()
        found = [tuple(row) for row in [*steps, *shown.all(), *sent]]
    database.dispose()
    return found


def undisturbed(tmp_path: Path, journal: Journal) -> list[tuple[Any, ...]]:
    url = f"sqlite:///{tmp_path}/calm.db"
    migrate(url)
    database = open_database(url)
    work(tmp_path, journal, Store(database), random.Random(0))
    database.dispose()
    return outcome(url)


def test_no_crash_at_any_write_shows_in_the_outcome(tmp_path: Path, url: str) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(records())
    expected = undisturbed(tmp_path, journal)
    assert len(expected) > 50
    crashes = 0
    for crash_at in range(1, 70):
        database = open_database(url)
        with database.begin() as db:
            for table in ("notice", "transition", "alarm", "engine_memory"):
                db.execute(sa.text(f"DELETE FROM {table}"))
        pieces = random.Random(crash_at)
        while True:
            try:
                work(tmp_path, journal, FragileStore(database, crash_at), pieces)
                break
            except Crash:
                crashes += 1
                crash_at += 7  # the next attempt gets further
        database.dispose()
        assert outcome(url) == expected
    assert crashes > 40


def test_what_was_judged_and_not_stored_is_stored_before_the_core_stops(tmp_path: Path, url: str) -> None:
    """The database comes back while the worker waits for it, and the core is stopped in that very pause."""
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    journal.append([Record(Kind.READINGS, T0, encode_batch(batch([("level-1/level", 1.9, 0)])))])
    worker = open_worker(tmp_path, journal, database)
    is_away = True

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal is_away
            is_away = False
            self.set()
            return True

    apply = worker._store.apply

    def applied(*given: Any) -> bool:
        if is_away:
            raise Unavailable("away")
        return apply(*given)

    with mock.patch.object(worker._store, "apply", applied):
        worker.run(Stopping())
    assert [row[2] for row in outcome(url) if len(row) > 4] == ["raised"]
    assert list(open_worker(tmp_path, journal, database).engine.open_alarms)
    database.dispose()


def test_a_snapshot_of_another_version_is_not_trusted(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(records())
    database = open_database(url)
    work(tmp_path, journal, Store(database), random.Random(0))
    before = outcome(url)
    monkeypatch.setattr("alerts.worker.SNAPSHOT_VERSION", 999)
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, Store(database), ManualClock(T0), lambda: None)
    assert worker.position == 0
    work(tmp_path, journal, Store(database), random.Random(5))
    database.dispose()
    assert outcome(url) == before


def test_a_command_travels_from_its_row_through_the_journal_to_its_answer(tmp_path: Path, database_url: str) -> None:
    journal = Journal(tmp_path / "journal.db")
    database = open_database(database_url)
    catalogue, _, program = district.load(tmp_path)
    worker = AlertWorker(journal, program, catalogue, Store(database), SystemClock(), lambda: None)
    body: Mapping[str, Any] = {"action": "close", "alarm": "none", "seq": 1, "actor": "li"}
    with database.begin() as db:
        db.execute(commands.insert().values(id="c1", created_ms=1, body=body, state="waiting"))
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        for _ in range(200):
            with database.connect() as db:
                row = db.execute(sa.select(commands)).one()
            if row.state == "refused":
                break
            threading.Event().wait(0.02)
    finally:
        stop.set()
        thread.join()
    assert (row.state, row.answer) == ("refused", "the alarm is closed")
    (record,) = [r for r in journal.read(0) if r.kind is Kind.COMMAND]
    assert json.loads(record.payload)["id"] == "c1"
    database.dispose()


def open_worker(tmp_path: Path, journal: Journal, database: sa.Engine, rules: str = district.RULES) -> AlertWorker:
    district.write_district(tmp_path)
    (tmp_path / "rules" / "all.yaml").write_text(rules, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path / "catalogue")
    registry = SeriesRegistry.open(journal, catalogue)
    program = compile_rules(load_rules(tmp_path / "rules", catalogue), catalogue, registry)
    return AlertWorker(journal, program, catalogue, Store(database), ManualClock(T0), lambda: None)


def work_off(worker: AlertWorker) -> list[tuple[str, str]]:
    said = []
    while worker.lag:
        effects = worker.judge(worker._journal.read(worker.position, 7))
        said += [(effects.alarms[step.alarm].rule, step.reason) for step in effects.transitions]
        worker._keep(effects)
    return said


def judged(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The transitions among an outcome that readings and people made."""
    return [row for row in rows if len(row) == 8 and row[6] != "retired"]


STRICTER = district.RULES.replace("at_least: 1000", "at_least: 50").replace("id: drain-level", "id: drain-height")


def test_rules_go_into_the_journal_once_and_again_when_they_change(tmp_path: Path, url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    for rules in (district.RULES, district.RULES, STRICTER, STRICTER):
        open_worker(tmp_path, journal, database, rules)
    assert [record.kind for record in journal.read(0)] == [Kind.RULES, Kind.RULES]


def test_the_journal_read_again_gives_the_same_alarms_whatever_the_files_say_now(
    tmp_path: Path, database_url: str
) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(database_url)
    made = records()
    worker = open_worker(tmp_path, journal, database)
    journal.append(made[:300])
    work_off(worker)
    worker._snapshot()
    changed = open_worker(tmp_path, journal, database, STRICTER)
    journal.append(made[300:])
    said = work_off(changed)
    assert ("drain-level", "retired") in said
    assert changed.engine.program.rules[0].id == "drain-height"
    before = outcome(database_url)
    with database.begin() as db:
        for table in ("notice", "transition", "alarm", "engine_memory"):
            db.execute(sa.text(f"DELETE FROM {table}"))
    work_off(open_worker(tmp_path, journal, database, district.RULES.replace("id: heater", "id: cooker")))
    database.dispose()
    # The rules that came last retire what is open of others; up to there everything is as it was.
    assert judged(outcome(database_url)) == judged(before)


def test_the_end_of_an_alarm_of_a_rule_that_is_gone_is_told_to_those_who_were_told_of_it(
    tmp_path: Path, url: str
) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    worker = open_worker(tmp_path, journal, database)
    journal.append([Record(Kind.READINGS, T0, encode_batch(batch([("level-1/level", 1.5, 0)])))])
    work_off(worker)
    worker._snapshot()
    work_off(open_worker(tmp_path, journal, database, STRICTER))
    with database.connect() as db:
        told = db.execute(sa.select(notices.c.key).where(notices.c.channel == "pager")).scalars().all()
    database.dispose()
    assert [key.split("/")[1] for key in told] == ["1", "2"]


def test_a_snapshot_goes_on_under_the_rules_it_was_taken_under(tmp_path: Path, database_url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(database_url)
    worker = open_worker(tmp_path, journal, database)
    journal.append(records()[:100])
    work_off(worker)
    worker._snapshot()
    changed = open_worker(tmp_path, journal, database, STRICTER)
    assert changed.engine.program.rules[0].id == "drain-level"  # until the record that says otherwise
    assert changed.lag == 1
    work_off(changed)
    assert changed.engine.program.rules[0].id == "drain-height"
    database.dispose()


def outage() -> list[Record]:
    """A gateway comes back; its backlog is through after a while, and tells of an alarm that nobody saw."""
    rows: list[tuple[Kind, list[Row], int]] = [
        (Kind.READINGS, [("level-1/level", 0.5, 0)], 0),
        (Kind.READINGS, [("level-1/level", 1.35, 100)], 2),
        (Kind.BACKLOG, [("level-1/level", 1.5, 20)], 1),
        (Kind.READINGS, [("level-1/level", 1.35, 110)], 1),
        (Kind.BACKLOG, [("level-1/level", 1.75, 60), ("level-1/level", 1.1, 70)], 0),
        (Kind.READINGS, [("level-1/level", 1.1, 120)], 0),
    ]
    return [
        Record(kind, T0 + 100_000 + number * 1000, encode_batch(batch(made), {"gw-east": behind}))
        for number, (kind, made, behind) in enumerate(rows)
    ]


def test_the_journal_keeps_what_may_be_read_again(tmp_path: Path, url: str) -> None:
    """From before an outage until its end; then from before what may still come late."""
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    worker = open_worker(tmp_path, journal, database)
    parts, start_ms = outage(), T0 + 100_000

    def half_an_hour_from(ms: int) -> list[Record]:
        return [Record(Kind.TICK, ms + second * 1000, b"connected") for second in range(30, 1800, 30)]

    for records, kept in (
        (parts[:2], range(3)),
        (half_an_hour_from(start_ms), range(3)),
        (parts[2:], range(30, 60)),
        (half_an_hour_from(start_ms + 1_800_000), range(70, 110)),
    ):
        journal.append(records)
        while worker.position < journal.last:
            worker._keep(worker.judge(journal.read(worker.position, 1)))
        worker._snapshot()
        assert journal.cursor(CURSOR) in kept
    database.dispose()


def test_no_crash_in_an_outage_shows_in_the_outcome(tmp_path: Path, url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    journal.append(outage())
    work(tmp_path, journal, Store(database), random.Random(0))
    expected = outcome(url)
    assert any(row[6] == "late-data" for row in expected if len(row) == 8)
    for crash_at in range(1, 30):
        with database.begin() as db:
            for table in ("notice", "transition", "alarm", "engine_memory"):
                db.execute(sa.text(f"DELETE FROM {table}"))
        while True:
            try:
                work(tmp_path, journal, FragileStore(database, crash_at), random.Random(crash_at))
                break
            except Crash:
                crash_at += 3
        assert outcome(url) == expected
    database.dispose()


PEOPLE = """
people:
  - {id: li, name: Li, addresses: {pager: "1"}}
  - {id: chen, name: Chen, addresses: {pager: "2"}}
routes: [{id: drains, duty: [li], lead: [chen], channels: [pager]}]
system_route: drains
"""
ROUTED = district.RULES.replace("    notify: [pager]", "    route: drains")


def routed_worker(tmp_path: Path, journal: Journal, store: Store) -> AlertWorker:
    district.write_district(tmp_path)
    (tmp_path / "rules" / "all.yaml").write_text(ROUTED, encoding="utf-8")
    (tmp_path / "people").mkdir(exist_ok=True)
    (tmp_path / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path / "catalogue")
    registry = SeriesRegistry.open(journal, catalogue)
    program = compile_rules(load_rules(tmp_path / "rules", catalogue), catalogue, registry)
    people = load_people(tmp_path / "people")
    return AlertWorker(journal, program, catalogue, store, ManualClock(T0), lambda: None, people)


def command(second: int, name: str, action: str, alarm: str, seq: int = 0) -> Record:
    body = {"id": name, "action": action, "alarm": alarm, "seq": seq, "actor": "core"}
    return Record(Kind.COMMAND, T0 + second * 1000, json.dumps(body).encode())


def test_calls_go_on_over_any_crash_until_somebody_answers(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    rows: list[Row] = [("level-1/level", 1.8, 0)]
    made = [Record(Kind.READINGS, T0, encode_batch(batch(rows)))]
    made += [Record(Kind.TICK, T0 + second * 1000, b"connected") for second in range(1, 300)]
    made += [command(300, "c1", "channel-fails", "pager")]
    made += [Record(Kind.TICK, T0 + second * 1000, b"connected") for second in range(301, 700)]
    made += [command(700, "c2", "channel-works", "pager")]
    made += [Record(Kind.READINGS, T0 + 701_000, encode_batch(batch([("level-1/level", 0.1, 701)])))]
    made += [Record(Kind.READINGS, T0 + 800_000, encode_batch(batch([("level-1/level", 0.1, 800)])))]
    outcomes = []
    for crash_at in (0, 3, 5, 9):
        url = f"sqlite:///{tmp_path}/{crash_at}.db"
        migrate(url)
        database = open_database(url)
        left = crash_at
        while True:
            store = FragileStore(database, left) if left else Store(database)
            try:
                worker = routed_worker(tmp_path, journal, store)
                if made:
                    journal.append(made)
                    made = []
                while worker.lag:
                    worker._keep(worker.judge(journal.read(worker.position, 40)))
                    worker._snapshot()
                break
            except Crash:
                left += 4
        outcomes.append(outcome(url))
        with database.connect() as db:
            steps = [row.what for row in db.execute(sa.select(transitions).order_by(transitions.c.id)) if row]
            keys = [row.key for row in db.execute(sa.select(notices).where(notices.c.recipient == "chen"))]
            system = db.execute(sa.select(alarms).where(alarms.c.rule == "undelivered")).one()
        database.dispose()
        assert steps.count("escalated") >= 3  # by 60 s, 180 s and 600 s
        assert [key.rsplit("/", 1)[1] for key in keys][-1] == "end"
        assert (system.is_open, system.site, system.document["closed_reason"]) == (False, "system", "delivered-again")
    assert all(found == outcomes[0] for found in outcomes)


def change(database: sa.Engine, worker: AlertWorker, name: str, version: int, **fields: Any) -> str:
    """What the API would leave for a change of a rule; the core's answer."""
    document = worker.engine.program.rules
    (rule,) = [rule.model_dump(mode="json", by_alias=True) for rule in document if rule.id == name]
    body = {"action": "change-rule", "alarm": "", "rule_id": name, "seq": version, "actor": "li", "note": "n"}
    command_id = f"{name}-{version}-{worker.position}"
    with database.begin() as db:
        row = {"id": command_id, "created_ms": 1, "body": body | {"document": rule | fields}, "state": "waiting"}
        db.execute(commands.insert().values(row))
    worker._take_commands()
    work_off(worker)
    with database.connect() as db:
        return str(db.execute(sa.select(commands.c.answer).where(commands.c.id == command_id)).scalar())


def test_of_two_rules_that_are_active_only_the_one_that_is_edited_says_anything(tmp_path: Path, url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    worker = open_worker(tmp_path, journal, database)
    rows: list[Row] = [("level-1/level", 1.5, 0), ("meter/power", 1500, 0), ("meter/power", 1500, 20)]
    journal.append([Record(Kind.READINGS, T0, encode_batch(batch(rows)))])
    assert ("heater", "limit-reached") in work_off(worker)
    level = {"severity": "high"}
    assert change(database, worker, "heater", 1, levels=[level | {"at_least": 1200}]) == ""
    heater = {step for step in outcome(url) if len(step) == 8}
    assert change(database, worker, "heater", 2, levels=[level | {"at_least": 2000}]) == ""
    new = [step for step in outcome(url) if len(step) == 8 and step not in heater]
    assert [(step[2], step[6]) for step in new] == [("returned", "rule-changed")]
    assert "version 3 is in force" in change(database, worker, "heater", 2, latch=None)
    database.dispose()


def test_a_limit_that_waits_keeps_its_time_over_an_edit(tmp_path: Path, url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(url)
    worker = open_worker(tmp_path, journal, database)
    journal.append([Record(Kind.READINGS, T0, encode_batch(batch([("meter/power", 1500, 0)])))])
    work_off(worker)
    assert change(database, worker, "heater", 1, levels=[{"severity": "high", "at_least": 1200}]) == ""
    journal.append([Record(Kind.READINGS, T0 + 20_000, encode_batch(batch([("meter/power", 1500, 20)])))])
    work_off(worker)
    (alarm,) = [alarm for alarm in worker.engine.open_alarms if alarm.rule == "heater"]
    assert alarm.onset_ms == T0
    database.dispose()


def test_what_was_changed_over_http_stays_until_the_file_says_something_else(tmp_path: Path, database_url: str) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(database_url)
    worker = open_worker(tmp_path, journal, database)
    work_off(worker)
    assert change(database, worker, "heater", 1, raise_after_s=5.0) == ""

    def heater(rules: str) -> tuple[float, int]:
        started = open_worker(tmp_path, journal, database, rules)
        work_off(started)
        (rule,) = [rule for rule in started.engine.program.rules if rule.id == "heater"]
        assert rule.type == "level"
        return rule.raise_after_s, started._book.version("heater")

    assert heater(district.RULES) == (5.0, 2)
    assert heater(district.RULES.replace("id: drain-rise", "id: drain-rising")) == (5.0, 2)
    assert heater(district.RULES.replace("raise_after_s: 20", "raise_after_s: 30")) == (30.0, 3)
    database.dispose()


def test_the_core_is_behind_until_the_past_of_an_outage_has_seen_what_came_live(
    tmp_path: Path, database_url: str
) -> None:
    journal, database = Journal(tmp_path / "journal.db"), open_database(database_url)

    def step(at_s: int, kind: Kind = Kind.TICK, left: int = 0) -> int:
        rows: list[Row] = [("level-1/level", 1.8, at_s if kind is Kind.READINGS else at_s - 1000)]
        payload = b"connected" if kind is Kind.TICK else encode_batch(batch(rows), {"gw-east": left})
        journal.append([Record(kind, T0 + at_s * 1000, payload)])
        worker.step()
        return worker.behind

    with in_pieces(5):
        worker = open_worker(tmp_path, journal, database)
        for second in range(1000, 1040):
            assert step(second, Kind.READINGS, left=1) == 0
        behind = step(1040, Kind.BACKLOG)
        assert 30 <= behind < 40
        worker._snapshot()
        worker = open_worker(tmp_path, journal, database)
        assert worker.behind == behind
        left = [step(second) for second in range(1041, 1055)]
    assert left == sorted(left, reverse=True) and left[0] > 0 and left[-1] == 0
    (alarm,) = [each for each in worker.engine.open_alarms if each.device == "level-1"]
    assert alarm.onset_ms == T0 + 40_000
    database.dispose()
