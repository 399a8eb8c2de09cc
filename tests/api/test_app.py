import asyncio
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alerts.people import NOBODY
from alerts.rules import load_rules
from alerts.store import Store, commands, masks
from alerts.worker import AlertWorker
from api.access import Role
from api.alarms import Alarms
from api.app import make_app
from api.dormitories.bills import Bills
from api.dormitories.building import load_dormitories
from api.dormitories.cases import Cases
from api.dormitories.remembered import Remembered
from api.drains.cleaning import CleaningJobs
from api.duties import Duties, load_duties
from api.events import Events
from api.handovers import Handovers
from api.instruments import Instruments
from api.masks import Masks
from api.newest import NewestReadings
from api.parts import Parts
from api.people.accounts import Accounts
from api.people.sessions import TooManyFailures, sessions
from api.people.users import users
from api.register.reads import Reads
from api.register.settings import RegisterSettings
from api.register.store import Register, open_register
from api.reports.made import Reports
from api.rosters import Rosters
from api.routes import readings
from api.rules import Rules
from api.visits import Visits
from gatehouse.migrate import migrate
from ingest.completeness import CompletenessLoop
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayState, GatewayStates
from ingest.history.history import series_places
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from ingest.history.quarantine import Entry, Quarantine
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import ManualClock, SystemClock
from telemetry.database import open_database
from telemetry.errors import BadInput
from telemetry.journal import Journal, Kind, Record
from telemetry.settings import BrokerSettings
from tests import district, servers
from tests.api.described import checker
from tests.conftest import BOTH

PASSWORD = "correct horse"


@dataclass
class World:
    client: TestClient
    accounts: Accounts
    clock: ManualClock
    database: sa.Engine
    journal: Journal
    worker: AlertWorker
    history: ParquetWriter
    newest: NewestReadings
    quarantine: Quarantine
    register: Register

    def log_in(self, name: str = "admin") -> dict[str, str]:
        answer = self.client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return {"X-CSRF-Token": answer.json()["csrf"]}

    def readings(self, *rows: tuple[str, float, int]) -> None:
        """(series, value, seconds ago), through the journal and the engine."""
        index = {"/".join(name): i for i, name in enumerate(self.worker.engine.program.names)}
        now_ms = self.clock.now_ms()
        batch = ReadingBatch(
            np.array([index[name] for name, _, _ in rows], np.uint32),
            np.array([now_ms - ago * 1000 for _, _, ago in rows], np.int64),
            np.array([value for _, value, _ in rows], np.float64),
            np.zeros(len(rows), np.uint8),
        )
        last = self.journal.append([Record(Kind.READINGS, now_ms, encode_batch(batch))])
        list(self.history.write(batch, last, last))
        self.look_into_history()
        self.work()

    def look_into_history(self) -> None:
        """The API knows all that is in it, also what was stored long after its time."""
        self.newest._whole_s = float("-inf")
        self.newest.refresh()

    def work(self) -> None:
        """What the core would do with everything that waits."""
        self.worker._take_commands()
        while self.worker.lag:
            self.worker._keep(self.worker.judge(self.journal.read(self.worker.position)))


class _WithoutBroker(Events):
    """As with one that is away, but for the second that a client which looks for it takes to stop."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_alarms())
            tasks.create_task(self._tell_health())


@pytest.fixture(scope="module", params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def database_with_users(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path | sa.URL:
    """Made once: hashing a password takes its time on purpose."""
    made: Path | sa.URL = tmp_path_factory.mktemp("users") / "gatehouse.db"
    url = f"sqlite:///{made}"
    if database_kind == "postgresql":
        template: sa.URL = request.getfixturevalue("postgresql_template")
        made = servers.database_of(template, template.database)
        url = made.render_as_string(hide_password=False)
    migrate(url)
    database = open_database(url)
    accounts = Accounts(database, ManualClock(), session_hours=1)
    for name, role, sites in (
        ("admin", Role.ADMINISTRATOR, None),
        ("guard", Role.GUARD, ["east"]),
        ("manager", Role.MANAGER, ["west"]),
        ("viewer", Role.VIEWER, None),
        ("engineer", Role.ENGINEER, ["east"]),
        ("registrar", Role.REGISTRAR, ["east"]),
    ):
        accounts.add_user(name, PASSWORD, [role], sites)
    if database_kind == "sqlite":
        with database.connect() as db:
            db.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    database.dispose()
    return made


def copy_of(database: Path | sa.URL, folder: Path) -> str:
    """A database like this one, for a test of its own; its URL."""
    if isinstance(database, sa.URL):
        return servers.database_of(database, database.database).render_as_string(hide_password=False)
    shutil.copy(database, folder / "gatehouse.db")
    return f"sqlite:///{folder}/gatehouse.db"


@pytest.fixture
def world(tmp_path: Path, database_with_users: Path | sa.URL) -> Iterator[World]:
    catalogue, registry, program = district.load(tmp_path)
    district.write_duties(tmp_path)
    database = open_database(copy_of(database_with_users, tmp_path))
    clock = ManualClock(1_795_000_000_000)
    accounts = Accounts(database, clock, session_hours=1)
    journal = Journal(tmp_path / "journal.db")
    worker = AlertWorker(journal, program, catalogue, Store(database), clock, lambda: None)
    writer = ParquetWriter(tmp_path / "history", series_places(registry, catalogue))
    writer.start(0)
    alarms = Alarms(database, SystemClock())
    quarantine = Quarantine(database)
    kept = RegisterSettings(url=f"sqlite:///{tmp_path}/register.db", key_file=tmp_path / "keys" / "register.key")
    register = open_register(kept, clock)
    events = _WithoutBroker(BrokerSettings(port=9), "test-api", alarms, clock)
    newest = NewestReadings(ParquetReader(tmp_path / "history"), events.newest, clock)
    parts = Parts(
        catalogue=catalogue,
        rules=Rules(database, load_rules(tmp_path / "rules", catalogue)),
        rosters=Rosters(database, NOBODY),
        history=ParquetReader(tmp_path / "history"),
        newest=newest,
        quarantine=quarantine,
        counts=Completeness(database),
        gateway_states=GatewayStates(database),
        accounts=accounts,
        alarms=alarms,
        masks=Masks(database, catalogue),
        visits=Visits(database, clock),
        cleaning=CleaningJobs(database, clock),
        handovers=Handovers(database),
        dormitories=load_dormitories(tmp_path / "dormitories", catalogue),
        bills=Bills(database),
        cases=Cases(database),
        remembered=Remembered(ParquetReader(tmp_path / "history"), clock),
        instruments=Instruments(database),
        duties=Duties(database, catalogue, load_duties(tmp_path / "duties", catalogue)),
        register=register,
        reads=Reads(register, accounts.audit, clock),
        reports=Reports(database, tmp_path / "reports", clock),
        events=events,
        clock=clock,
    )
    with TestClient(make_app(parts)) as client:
        client.event_hooks = {"response": [checker()]}
        yield World(client, accounts, clock, database, journal, worker, writer, newest, quarantine, register)
    register.close()
    database.dispose()
    journal.close()


def act(world: World, headers: dict[str, str], alarm: str, action: str, /, **body: object) -> Any:
    """Ask while the core works beside."""
    return ask(world, headers, "POST", f"alarms/{alarm}/{action}", **body)


def ask(world: World, headers: dict[str, str], method: str, path: str, /, **body: object) -> Any:
    """Any request, while the core works beside."""
    stop = threading.Event()

    def core() -> None:
        while not stop.wait(0.01):
            world.work()

    thread = threading.Thread(target=core)
    thread.start()
    try:
        return world.client.request(method, f"/api/v1/{path}", json=body or None, headers=headers)
    finally:
        stop.set()
        thread.join()


def test_a_database_without_a_connection_left_is_away_and_says_nothing_of_the_statement(world: World) -> None:
    world.log_in()
    exhausted = sa.exc.TimeoutError("QueuePool limit reached")
    with mock.patch.object(world.database.pool, "connect", side_effect=exhausted):
        answer = world.client.get("/api/v1/alarms")
    assert answer.status_code == 503, answer.text
    assert answer.json()["detail"] == "the database does not answer, or has no connection left; try again"


def test_without_a_log_in_there_is_nothing_but_health(world: World) -> None:
    for route in world.client.app.routes:  # type: ignore[attr-defined]
        path, methods = getattr(route, "path", ""), getattr(route, "methods", None)
        if not path.startswith("/api/v1") or not methods or path.endswith(("openapi.json",)):
            continue
        for method in methods - {"HEAD"}:
            opening = path in ("/api/v1/session/ways", "/api/v1/session/openid", "/api/v1/session/openid/back")
            if opening or (path, method) == ("/api/v1/session", "POST"):
                continue
            shown = path.replace("{alarm}", "x").replace("{action}", "close").replace("{device}", "x")
            answer = world.client.request(method, shown, json=None if method == "GET" else {"seq": 1})
            assert answer.status_code == 401, (method, path, answer.status_code)
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_password_is_refused_and_on_record_and_five_are_enough(world: World) -> None:
    for _ in range(5):
        answer = world.client.post("/api/v1/session", json={"name": "guard", "password": "wrong"})
        assert answer.status_code == 401
    assert world.client.post("/api/v1/session", json={"name": "guard", "password": PASSWORD}).status_code == 429
    world.log_in("admin")  # nobody else is locked out
    world.clock.advance(61)
    world.log_in("guard")
    with world.database.connect() as db:
        outcomes = db.execute(sa.text("SELECT outcome FROM audit WHERE action = 'log-in'")).scalars().all()
    assert outcomes.count("refused") == 5


def test_who_sends_many_passwords_at_once_gets_no_more_tries(world: World) -> None:
    together = threading.Barrier(20)

    def is_wrong(_kept: object, _secret: str) -> bool:
        try:
            together.wait(0.5)
        except threading.BrokenBarrierError:
            pass  # they come one after the other
        return False

    def tried(_number: int) -> str:
        try:
            return str(world.accounts.knows("guard", "wrong", "here"))
        except TooManyFailures:
            return "too many"

    with mock.patch("api.people.accounts.is_right", is_wrong), ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(tried, range(20)))
    assert (answers.count("False"), answers.count("too many")) == (5, 15)


def test_a_session_ends_with_its_time_and_with_a_log_out(world: World) -> None:
    headers = world.log_in()
    assert world.client.get("/api/v1/session").json()["user"]["name"] == "admin"
    assert world.client.delete("/api/v1/session", headers=headers).status_code == 204
    assert world.client.get("/api/v1/session").status_code == 401
    world.log_in()
    world.clock.advance(3601)
    assert world.client.get("/api/v1/session").status_code == 401


def test_a_change_needs_the_token_of_its_own_log_in(world: World) -> None:
    world.log_in()
    answer = world.client.post("/api/v1/alarms/x/close", json={"seq": 1, "note": "y"})
    assert (answer.status_code, answer.json()["title"]) == (403, "No CSRF token")


def test_the_password_hash_and_token_are_nowhere_in_clear(world: World) -> None:
    world.log_in()
    token = world.client.cookies["gatehouse_session"]
    with world.database.connect() as db:
        dump = str([db.execute(sa.select(table)).all() for table in (users, sessions)])
    assert token not in dump and PASSWORD not in dump


def test_short_passwords_are_refused(world: World) -> None:
    with pytest.raises(BadInput, match="at least 10"):
        world.accounts.add_user("x", "short", [Role.VIEWER], None)


def test_sites_show_places_devices_and_their_newest_values(world: World) -> None:
    world.readings(("level-1/level", 0.4, 10), ("level-1/level", 0.5, 5))
    world.log_in()
    sites = {site["id"]: site for site in world.client.get("/api/v1/sites").json()["sites"]}
    devices = {device["id"]: device for device in sites["east"]["devices"]}
    assert devices["level-1"]["last"]["level"]["value"] == 0.5
    assert (devices["level-1"]["state"], devices["level-2"]["state"]) == ("ok", "never")
    manhole = next(place for place in sites["east"]["places"] if place["id"] == "mh-1")
    assert manhole["drain"]["downstream"] == "mh-2"
    assert sites["east"]["gateways"][0]["online"] is None


def test_readings_come_as_columns_raw_and_by_step(world: World) -> None:
    world.readings(("level-1/level", 0.4, 100), ("level-1/level", 0.6, 5))
    world.log_in()
    now = world.clock.now_ms()
    query: dict[str, str | int] = {"device": "level-1", "metric": "level", "start": now - 200_000, "end": now}
    raw = world.client.get("/api/v1/readings", params=query).json()
    assert (raw["value"], raw["unit"]) == ([0.4, 0.6], "m")
    stepped = world.client.get("/api/v1/readings", params=query | {"every": 3_600_000, "aggregate": "max"}).json()
    assert stepped["value"][-1] == 0.6


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"device": "x"}, 404, "GET /api/v1/devices"),
        ({"metric": "x"}, 404, "GET /api/v1/kinds"),
        ({"start": "now"}, 422, "start"),
        ({"end": 0}, 422, "after 'start'"),
        ({"every": 1000}, 422, "larger 'every'"),
        ({"aggregate": "median"}, 422, "aggregate"),
        ({"device": "level-1' OR 1=1"}, 404, "GET /api/v1/devices"),
    ],
)
def test_a_request_that_does_not_fit_says_what_would(
    world: World, change: dict[str, object], status: int, said: str
) -> None:
    world.log_in()
    good = {"device": "level-1", "metric": "level", "start": 1, "end": 10**12, "every": 10**9}
    answer = world.client.get("/api/v1/readings", params=good | change)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "alarms?cursor=%C2%B2.x", None),
        ("GET", "masks?cursor=%C2%B2.x", None),
        ("GET", "reports?cursor=%C2%B2.x", None),
        ("GET", "cleaning-jobs?cursor=%C2%B2.x", None),
        ("GET", "readings?device=level-1&metric=level&start=9007199254000991&end=9007199254740991", None),
        ("POST", "alarms/x/acknowledge", {"seq": 2**64}),
        ("POST", "alarms/x/measure", {"seq": 2**64, "value": 36.5, "method": "ear"}),
        ("POST", "alarms/x/assign", {"seq": 2**64}),
        ("POST", "cleaning-jobs/x/done", {"seq": 2**64}),
        ("POST", "cleaning-jobs/x/cancel", {"seq": 2**64}),
        ("DELETE", f"rules/fever?version={2**64}&note=x", None),
        ("PUT", "rules/fever", {"rule": {}, "version": 2**64, "note": "x"}),
        ("PUT", "rosters/x", {"roster": {}, "version": 2**64, "note": "x"}),
        ("POST", "register/entries/x/leave", {"seq": 2**64}),
    ],
)
def test_a_number_that_is_none_or_too_large_for_a_database_is_refused(
    world: World, method: str, path: str, body: object
) -> None:
    headers = world.log_in("registrar" if path.startswith("register") else "admin") | {"Idempotency-Key": "k" * 16}
    answer = world.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
    assert answer.status_code == 422, answer.text


def test_the_end_of_time_is_an_end_of_readings(world: World) -> None:
    world.readings(("level-1/level", 0.4, 100))
    world.log_in()
    query: dict[str, str | int] = {"device": "level-1", "metric": "level", "start": 0, "end": 2**53 - 1}
    assert world.client.get("/api/v1/readings", params=query).json()["value"] == [0.4]


def test_a_csrf_token_that_is_no_ascii_is_none(world: World) -> None:
    world.log_in()
    answer = world.client.post("/api/v1/seen", headers={b"X-CSRF-Token": "é".encode("latin-1")})
    assert answer.status_code == 403


def test_a_last_event_that_is_no_number_is_none(world: World) -> None:
    world.log_in()
    with (
        mock.patch.object(Events, "stream", side_effect=NotImplementedError) as stream,
        pytest.raises(NotImplementedError),
    ):
        world.client.get("/api/v1/events", headers={b"Last-Event-ID": "²".encode("latin-1")})
    assert stream.call_args.args[1] is None


def test_more_readings_than_memory_holds_are_refused_before_they_are_read(world: World) -> None:
    world.readings(*(("level-1/level", 0.4, ago) for ago in (200, 100, 5)))
    world.log_in()
    query: dict[str, str | int] = {"device": "level-1", "metric": "level", "start": 0, "end": 2**42}
    with mock.patch.object(readings, "_READINGS_MAX", 2):
        assert "shorter time" in world.client.get("/api/v1/readings", params=query).json()["detail"]
        odd = world.client.get("/api/v1/readings", params=query | {"every": 300_000_001})
        assert odd.status_code == 422
        summed = world.client.get("/api/v1/readings", params=query | {"every": 300_000_000, "aggregate": "count"})
        assert sum(summed.json()["value"]) == 3
    with mock.patch.object(readings, "_READINGS_MAX", 3):
        assert len(world.client.get("/api/v1/readings", params=query).json()["value"]) == 3


def test_an_alarm_is_listed_shown_acknowledged_and_closed(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in()
    (item,) = world.client.get("/api/v1/alarms?state=open").json()["items"]
    assert (item["rule"], item["severity"], item["value"]) == ("drain-level", "high", 1.5)
    assert "at or above 1.400 m (70% of the depth)" in item["why"]["en"]
    assert "井深的 70%" in item["why"]["zh"]
    done = act(world, headers, item["id"], "acknowledge", seq=1, note="on my way").json()
    assert (done["acknowledged_by"], done["seq"]) == ("admin", 2)
    stale = act(world, headers, item["id"], "close", seq=1, note="done")
    assert stale.status_code == 409
    assert "step 2 is the latest" in stale.json()["detail"]
    closed = act(world, headers, item["id"], "close", seq=2, note="pumped out").json()
    assert (closed["state"], closed["closed_reason"]) == ("closed", "person")
    assert [(t["what"], t["actor"]) for t in closed["transitions"]] == [
        ("raised", None),
        ("acknowledged", "admin"),
        ("closed", "admin"),
    ]
    assert closed["evidence"]["limits"] == [{"severity": "high", "value": 1.4}, {"severity": "critical", "value": 1.7}]
    assert {n["channel"] for n in closed["notices"]} == {"mqtt", "pager"}


def test_nobody_is_refused_entry_without_a_reason(world: World) -> None:
    world.readings(("scanner/skin_temperature", 38.5, 5))
    headers = world.log_in("guard")
    (item,) = world.client.get("/api/v1/alarms?state=open").json()["items"]
    answer = act(world, headers, item["id"], "dispose", seq=1, disposition="refuse")
    assert (answer.status_code, answer.json()["detail"]) == (422, "'note' must say why")
    done = act(world, headers, item["id"], "dispose", seq=1, disposition="refuse", note="38.4 by contact").json()
    assert (done["disposition"], done["state"]) == ("refuse", "closed")


def test_people_see_their_sites_and_decide_what_their_role_decides(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5), ("meter/power", 1500, 60), ("meter/power", 1500, 5))
    guard = world.log_in("guard")
    (item,) = world.client.get("/api/v1/alarms").json()["items"]
    assert item["site"] == "east"
    assert act(world, guard, item["id"], "acknowledge", seq=1).status_code == 403  # a drain is not a guard's
    assert [site["id"] for site in world.client.get("/api/v1/sites").json()["sites"]] == ["east"]
    assert world.client.get("/api/v1/devices/meter").status_code == 404
    assert world.client.get("/api/v1/quarantine").status_code == 403
    manager = world.log_in("manager")
    (item,) = world.client.get("/api/v1/alarms").json()["items"]
    assert item["rule"] == "heater"
    assert act(world, manager, item["id"], "acknowledge", seq=1).status_code == 200
    viewer = world.log_in("viewer")
    assert len(world.client.get("/api/v1/alarms").json()["items"]) == 2
    assert act(world, viewer, item["id"], "comment", seq=2, note="x").status_code == 403


def test_pages_follow_each_other_without_gap_or_repetition(world: World) -> None:
    world.readings(*[("scanner/skin_temperature", 38.5, i) for i in range(25, 0, -1)])
    world.log_in()
    seen: list[str] = []
    cursor = ""
    while True:
        page = world.client.get(f"/api/v1/alarms?limit=10{cursor}").json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 25


def test_a_core_that_is_away_gets_the_decision_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in()
    (item,) = world.client.get("/api/v1/alarms").json()["items"]
    monkeypatch.setattr("api.alarms._ANSWER_WITHIN_S", 0.05)
    answer = world.client.post(f"/api/v1/alarms/{item['id']}/acknowledge", json={"seq": 1}, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (503, "The core does not answer")
    world.work()
    assert world.client.get(f"/api/v1/alarms/{item['id']}").json()["acknowledged"]
    with world.database.connect() as db:
        assert db.execute(sa.select(commands.c.state)).scalars().all() == ["done"]


def test_refused_input_is_shown_with_reason_and_count(world: World) -> None:
    world.quarantine.add(1, [Entry(1, "bad-value", "got `str`", "topic", "<script>", 3)])
    world.quarantine.add(2, [Entry(2, "bad-value", "got `str`", "topic", "x", 2)])
    world.log_in()
    body = world.client.get("/api/v1/quarantine").json()
    assert body["counts"] == {"bad-value": 5}
    assert [item["excerpt"] for item in body["items"]] == ["x", "<script>"]


def test_answers_carry_the_headers_that_keep_a_browser_safe(world: World) -> None:
    answer = world.client.get("/health/live")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    answer = world.client.post("/api/v1/session", content=b"x" * 200_000)
    assert answer.status_code == 413
    # Nor may it come in pieces of which nobody says how many there are.
    assert world.client.post("/api/v1/session", content=iter([b"x"] * 10)).status_code == 411


def test_not_ready_says_why(world: World) -> None:
    answer = world.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"][0]["code"] == "broker-away"


HOUR_MS = 3_600_000


def count(world: World, tmp_path: Path, states: dict[str, GatewayState] | None = None) -> None:
    """What the core's counting reader would do with everything that waits; it knew of all series six hours ago."""
    catalogue, registry, _ = district.load(tmp_path)
    store = Completeness(world.database)
    store.know(registry.names, world.clock.now_ms() - 6 * HOUR_MS)
    loop = CompletenessLoop(
        world.journal,
        store,
        GatewayStates(world.database),
        catalogue,
        registry,
        world.clock,
        lambda: states or {},
    )
    for _ in range(3):
        while loop.step():
            pass
        world.clock.advance(60)


def test_completeness_is_told_by_series_with_totals_and_gaps(world: World, tmp_path: Path) -> None:
    world.log_in()
    # A reading every ten minutes of the last six hours, but for one hour.
    rows = [("meter/power", 1.0, ago) for ago in range(0, 6 * 3600, 600) if not 7200 <= ago < 10_800]
    world.readings(*rows, ("scanner/skin_temperature", 36.6, 60))
    count(world, tmp_path)
    answer = world.client.get("/api/v1/completeness").json()
    items = {f"{item['device']}/{item['metric']}": item for item in answer["items"]}
    power, skin = items["meter/power"], items["scanner/skin_temperature"]
    assert (power["place"], power["learned"], power["interval_ms"]) == ("room", True, 600_000)
    assert (power["received"], power["late"]) == (len(rows), len(rows) - 1)
    assert power["expected"] - power["missing"] == len(rows)
    assert [reason for _, _, reason in power["gaps"]] == ["silent"]
    assert power["gaps"][0][1] - power["gaps"][0][0] == pytest.approx(HOUR_MS, abs=15 * 60_000)
    assert (skin["expected"], skin["missing"], skin["received"], skin["gaps"]) == (None, None, 1, [])
    sites = {total["site"]: total for total in answer["sites"]}
    assert sites["west"]["end_ms"] - sites["west"]["start_ms"] == 24 * HOUR_MS
    assert (sites["west"]["missing"], sites["east"]["ratio"]) == (power["missing"], None)
    assert {total["gateway"]: total["received"] for total in answer["gateways"]} == {
        "gw-east": 1,
        "gw-west": len(rows),
    }


def test_completeness_is_paged_and_every_page_has_the_totals(world: World, tmp_path: Path) -> None:
    world.log_in()
    world.readings(("meter/power", 1.0, 1), ("level-1/level", 0.1, 1), ("level-2/level", 0.1, 1))
    count(world, tmp_path)
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = world.client.get("/api/v1/completeness", params=query).json()
        assert sum(total["received"] for total in page["sites"]) == 3
        seen += [f"{item['device']}/{item['metric']}" for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == sorted(seen) and len(seen) == len(set(seen)) == 6


def test_completeness_and_gateways_of_other_sites_are_nobody_elses_business(world: World, tmp_path: Path) -> None:
    world.log_in("manager")
    world.readings(("meter/power", 1.0, 1), ("level-1/level", 0.1, 1))
    count(world, tmp_path, {name: GatewayState(True, 3, 7, 1, False, 0, 9) for name in ("gw-east", "gw-west")})
    answer = world.client.get("/api/v1/completeness").json()
    assert {item["device"] for item in answer["items"]} == {"meter"}
    assert [total["site"] for total in answer["sites"]] == ["west"]
    assert [total["gateway"] for total in answer["gateways"]] == ["gw-west"]
    assert world.client.get("/api/v1/completeness?site=east").status_code == 404
    (gateway,) = world.client.get("/api/v1/gateways").json()["items"]
    assert gateway == {
        "id": "gw-west",
        "name": {"en": "Gateway", "zh": "Gateway"},
        "site": "west",
        "online": True,
        "spooled": 3,
        "oldest_ms": 7,
        "behind": 1,
        "full": False,
        "damaged_lanes": 0,
        "heard_ms": 9,
    }


@pytest.mark.parametrize("query", ["day=yesterday", "day=0001-01-01", "day=9999-12-31", "cursor=x", "limit=0"])
def test_a_completeness_request_that_does_not_fit_says_why(world: World, query: str) -> None:
    world.log_in()
    answer = world.client.get(f"/api/v1/completeness?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_day_of_which_nothing_is_known_is_empty(world: World) -> None:
    world.log_in()
    answer = world.client.get("/api/v1/completeness?day=2020-02-02").json()
    assert (answer["items"], answer["next"], answer["day"]) == ([], None, "2020-02-02")
    assert [gateway["online"] for gateway in world.client.get("/api/v1/gateways").json()["items"]] == [None, None]


def test_an_alarm_is_shelved_by_who_may_acknowledge_it_and_unshelved(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in("engineer")
    (item,) = world.client.get("/api/v1/alarms?state=open").json()["items"]
    until = world.clock.now_ms() + HOUR_MS
    body = {"until": until, "reason": "the pump is on its way", "one_shot": True}
    assert act(world, world.log_in("guard"), item["id"], "shelve", seq=1, **body).status_code == 403
    headers = world.log_in("engineer")
    stale = act(world, headers, item["id"], "shelve", seq=7, **body)
    assert (stale.status_code, "step 1 is the latest" in stale.json()["detail"]) == (409, True)
    far = act(world, headers, item["id"], "shelve", seq=1, **body | {"until": until + 8 * HOUR_MS})
    assert (far.status_code, "8 h at most" in far.json()["detail"]) == (422, True)
    assert act(world, headers, item["id"], "shelve", seq=1, **body | {"reason": " "}).status_code == 422
    shelved = act(world, headers, item["id"], "shelve", seq=1, **body).json()
    assert [t["what"] for t in shelved["transitions"]] == ["raised", "masked"]
    (mask,) = world.client.get("/api/v1/masks").json()["items"]
    assert (mask["kind"], mask["owner"], mask["site"], mask["until_ms"]) == ("shelved", "engineer", "east", until)
    world.log_in("manager")
    assert world.client.get("/api/v1/masks").json()["items"] == []  # of another site
    headers = world.log_in("engineer")
    assert act(world, headers, item["id"], "unshelve", seq=2).status_code == 200
    assert act(world, headers, item["id"], "unshelve", seq=3).status_code == 409
    assert world.client.get("/api/v1/masks").json()["items"] == []
    (mask,) = world.client.get("/api/v1/masks?state=ended").json()["items"]
    assert mask["ended_ms"] == world.clock.now_ms()
    with world.database.connect() as db:
        said = db.execute(sa.text("SELECT action, outcome FROM audit WHERE subject = :a"), {"a": item["id"]}).all()
    assert [(action, outcome.split(":")[0]) for action, outcome in said] == [
        ("shelve", "refused"),
        ("shelve", "refused"),
        ("shelve", "done"),
        ("unshelve", "done"),
        ("unshelve", "refused"),
    ]


def test_an_alarm_is_given_to_who_decides_on_it_and_found_by_whose_it_is(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in("engineer")
    (item,) = world.client.get("/api/v1/alarms?state=open").json()["items"]
    able = world.client.get(f"/api/v1/alarms/{item['id']}/assignees").json()["items"]
    assert able == ["admin", "engineer"]
    assert act(world, headers, item["id"], "assign", seq=1, assignee="guard").status_code == 422
    given = act(world, headers, item["id"], "assign", seq=1, assignee="admin").json()
    assert (given["assigned_to"], given["transitions"][-1]["note"]) == ("admin", "admin")
    assert act(world, headers, item["id"], "assign", seq=1, assignee="engineer").status_code == 409
    assert act(world, world.log_in("guard"), item["id"], "assign", seq=2).status_code == 403

    def found(query: str) -> list[str]:
        return [alarm["id"] for alarm in world.client.get(f"/api/v1/alarms?{query}").json()["items"]]

    world.log_in("engineer")
    assert (found("assignee=admin"), found("assignee=me")) == ([item["id"]], [])
    world.log_in()
    assert found("assignee=me") == [item["id"]]


def test_who_comes_back_is_told_what_was_raised_and_closed_since_they_looked(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in("engineer")
    nothing: dict[str, Any] = {"since_ms": None, "raised": 0, "closed": 0, "items": []}
    assert world.client.get("/api/v1/missed").json() == nothing, "who never looked has missed nothing"
    assert world.client.post("/api/v1/seen").status_code == 403, "without the CSRF token"
    world.clock.advance(1800)
    assert world.client.post("/api/v1/seen", headers=headers).status_code == 204
    seen_ms = world.clock.now_ms()
    assert world.client.get("/api/v1/missed").json() == nothing | {"since_ms": seen_ms}
    world.clock.advance(60)
    world.readings(("scanner/skin_temperature", 38.5, 1))
    (item,) = world.client.get("/api/v1/alarms?rule=drain-level").json()["items"]
    act(world, headers, item["id"], "close", seq=item["seq"], note="pumped out")
    told = world.client.get("/api/v1/missed").json()
    assert (told["raised"], told["closed"]) == (1, 1)
    assert [alarm["device"] for alarm in told["items"]] == ["scanner", "level-1"]
    assert len(world.client.get("/api/v1/missed?limit=1").json()["items"]) == 1
    world.log_in("manager")
    assert world.client.get("/api/v1/missed").json() == nothing, "each has a last visit of their own"


def test_alarms_are_found_by_rule_and_by_the_name_of_a_place_or_device(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5), ("scanner/skin_temperature", 38.5, 6))
    world.log_in()

    def found(query: str) -> list[str]:
        return [alarm["device"] for alarm in world.client.get(f"/api/v1/alarms?{query}").json()["items"]]

    assert (found("rule=drain-level"), found("rule=none")) == (["level-1"], [])
    assert (found("q=LEVEL-1"), found("q=scan"), found("q=%25")) == (["level-1"], ["scanner"], [])


def test_maintenance_is_declared_by_who_keeps_the_facilities_of_a_site(world: World) -> None:
    body = {"kind": "maintenance", "reason": "cleaning", "until": world.clock.now_ms() + HOUR_MS}
    assert ask(world, world.log_in("guard"), "POST", "masks", **body, place="drains").status_code == 403
    headers = world.log_in("engineer")
    assert ask(world, headers, "POST", "masks", **body).status_code == 422
    assert ask(world, headers, "POST", "masks", **body, place="nowhere").status_code == 422
    assert ask(world, headers, "POST", "masks", **body, place="room").status_code == 422  # in another's site
    assert ask(world, headers, "POST", "masks", **body, metric="level").status_code == 403  # of all sites
    assert ask(world, headers, "POST", "masks", **body, rule="fever", site="east").status_code == 403
    made = ask(world, headers, "POST", "masks", **body, place="drains")
    assert (made.status_code, made.json()["place"], made.json()["site"]) == (201, "drains", "east")
    world.readings(("level-1/level", 1.5, 5))
    (item,) = world.client.get("/api/v1/alarms?state=open").json()["items"]
    assert item["masks"][0]["kind"] == "maintenance"
    path = f"masks/{made.json()['id']}"
    assert ask(world, world.log_in("viewer"), "DELETE", path).status_code == 403
    assert ask(world, world.log_in("manager"), "DELETE", path).status_code == 404
    headers = world.log_in("engineer")
    assert ask(world, headers, "DELETE", path).status_code == 204
    assert ask(world, headers, "DELETE", path).status_code == 409
    ask(world, headers, "POST", "masks", **body, device="level-1")
    page = world.client.get("/api/v1/masks?state=all&limit=1").json()
    rest = world.client.get(f"/api/v1/masks?state=all&limit=1&cursor={page['next']}").json()
    assert len({page["items"][0]["id"], rest["items"][0]["id"]}) == 2 and rest["next"] is None


@pytest.mark.parametrize("part", ["device", "place"])
def test_a_mask_of_what_has_left_the_catalogue_is_shown_to_who_sees_all_sites(world: World, part: str) -> None:
    body = {"kind": "maintenance", "reason": "cleaning", "until": world.clock.now_ms() + HOUR_MS}
    headers = world.log_in()
    everywhere = ask(world, headers, "POST", "masks", **body, metric="level").json()["id"]
    gone = ask(
        world, headers, "POST", "masks", **body, **{part: {"device": "level-1", "place": "drains"}[part]}
    ).json()["id"]
    with world.database.begin() as db:
        db.execute(masks.update().where(masks.c.id == gone).values({part: "gone"}))

    def seen(name: str) -> set[str]:
        world.log_in(name)
        return {mask["id"] for mask in world.client.get("/api/v1/masks").json()["items"]}

    assert seen("viewer") == {everywhere, gone}
    assert seen("manager") == seen("engineer") == {everywhere}
    assert ask(world, world.log_in("engineer"), "DELETE", f"masks/{gone}").status_code == 404
    assert ask(world, world.log_in(), "DELETE", f"masks/{gone}").status_code == 204


def test_a_rule_is_changed_over_http_and_every_version_tells_who_and_what(world: World) -> None:
    world.readings(("meter/power", 500, 60), ("level-1/level", 1.5, 5))
    headers = world.log_in()
    heater = next(rule for rule in world.client.get("/api/v1/rules").json()["items"] if rule["id"] == "heater")
    assert heater.pop("version") == 1
    heater["levels"][0]["at_least"], heater["raise_after_s"] = 400, 0
    body = {"rule": heater, "version": 1, "note": "too high"}
    assert ask(world, world.log_in("engineer"), "PUT", "rules/heater", **body).status_code == 403
    headers = world.log_in()
    wrong = ask(world, headers, "PUT", "rules/heater", **body | {"rule": heater | {"metric": "powr"}})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "metric: no kind has a metric 'powr'")
    wrong = ask(world, headers, "PUT", "rules/heater", **body | {"rule": heater | {"levels": [{"severity": "low"}]}})
    assert (wrong.status_code, "levels[0]" in wrong.json()["detail"]) == (422, True)
    changed = ask(world, headers, "PUT", "rules/heater", **body)
    assert (changed.status_code, changed.json()["version"]) == (200, 2), changed.text
    open_now = world.client.get("/api/v1/alarms?state=open").json()["items"]
    assert {alarm["rule"]: alarm["seq"] for alarm in open_now} == {"drain-level": 1, "heater": 1}
    assert ask(world, headers, "PUT", "rules/heater", **body).status_code == 409
    newest, first = world.client.get("/api/v1/rules/heater/versions").json()["items"]
    assert (newest["actor"], newest["origin"], first["origin"]) == ("admin", "api", "file")
    assert newest["changes"] == [
        {"field": "levels[0].at_least", "from": 1000.0, "to": 400.0},
        {"field": "raise_after_s", "from": 20.0, "to": 0.0},
    ]
    assert ask(world, headers, "DELETE", "rules/heater?version=2&note=%20").status_code == 422  # blanks are no reason
    assert ask(world, headers, "DELETE", "rules/heater?version=1&note=x").status_code == 409
    assert ask(world, headers, "DELETE", "rules/heater?version=2&note=x").status_code == 204
    assert [a["rule"] for a in world.client.get("/api/v1/alarms?state=open").json()["items"]] == ["drain-level"]
    assert "heater" not in {rule["id"] for rule in world.client.get("/api/v1/rules").json()["items"]}
    again = ask(world, headers, "PUT", "rules/heater", **body | {"version": 0})
    assert again.json()["version"] == 4
