"""What doctor finds, each with the thing really broken; and that it changes nothing."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from api.access import Role
from gatehouse.__main__ import app
from gatehouse.doctor import _could_listen, examine
from gatehouse.finding import Finding, State
from gatehouse.identities import make
from gatehouse.init import init
from gatehouse.record import open_accounts
from gatehouse.settings import load_settings
from telemetry.clock import ManualClock, SystemClock
from telemetry.journal import Journal, Kind, Record
from tests import district, servers

DAY_S = 86_400


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return district.write_district(tmp_path)


def set_to(config: Path, **settings: object) -> None:
    document = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(document | settings))


def found(config: Path, about: str, clock: ManualClock | None = None) -> list[Finding]:
    """What is not well of one look."""
    findings = examine(config, clock or SystemClock())
    return [each for each in findings if each.about == about and each.state is not State.WELL]


def check(config: Path, about: str, state: State, *said: str, clock: ManualClock | None = None) -> None:
    """One finding that says all this, and what to do."""
    lines = found(config, about, clock)
    fitting = [each for each in lines if each.state is state and all(word in f"{each.what} {each.do}" for word in said)]
    assert len(fitting) == 1 and fitting[0].do, lines


def test_every_mistake_of_the_configuration_is_a_finding_and_stops_the_rest(config: Path) -> None:
    (config.parent / "catalogue" / "more.yaml").write_text("devices:\n  - {id: x, kind: y, place: z, gateway: w}\n")
    findings = examine(config, SystemClock())
    assert [each.about for each in findings] == ["configuration"] * 3
    assert all("more.yaml:2: " in each.what for each in findings)
    set_to(config, brokr={})
    assert "brokr: unknown field" in examine(config, SystemClock())[0].what


def test_secrets_that_others_can_read(config: Path) -> None:
    config.chmod(0o644)
    assert found(config, "files") == [] or all("secrets" not in each.what for each in found(config, "files"))
    set_to(config, broker={"username": "x", "password": "y"})
    check(config, "files", State.WRONG, "holds secrets", f"chmod 640 {config}")
    config.chmod(0o640)
    assert all("secrets" not in each.what for each in found(config, "files"))


def test_a_key_that_others_can_read(config: Path) -> None:
    make(load_settings(config, {}), config.parent / "pki", ["localhost"], SystemClock())
    tls = {"ca": "pki/ca.crt", "certificate": "pki/{client_id}.pem"}
    set_to(config, broker={"host": "localhost", "port": servers.free_port(), "tls": tls}, insecure=False)
    key = config.parent / "pki" / "gatehouse-core-out.pem"
    key.chmod(0o644)
    check(config, "files", State.WRONG, str(key), "chmod 600")


def test_a_lost_key_of_the_register(config: Path) -> None:
    init(load_settings(config, {}))
    assert all("register" not in each.what for each in found(config, "files"))
    key = config.parent / "keys" / "register.key"
    kept = key.read_text()
    key.unlink()
    check(config, "files", State.WRONG, "register.key_file", "put the file back", "The key is lost")
    key.write_text(kept)
    key.chmod(0o644)
    check(config, "files", State.WRONG, "can be read by others")


def test_a_broker_that_is_away_and_one_that_anybody_reaches(config: Path) -> None:
    set_to(config, broker={"host": "127.0.0.1", "port": servers.free_port()})
    check(config, "broker", State.WRONG, "refused", "start it")
    check(config, "broker", State.SOON, "'insecure' is set", "docs/security.md")
    set_to(config, insecure=False)
    check(config, "broker", State.WRONG, "broker.tls is not set")


def test_certificates_that_end_have_ended_or_are_not_there(config: Path) -> None:
    clock = ManualClock(SystemClock().now_ms())
    make(load_settings(config, {}), config.parent / "pki", ["localhost"], clock)
    tls = {"ca": "pki/ca.crt", "certificate": "pki/{client_id}.pem"}
    broker = {"host": "localhost", "port": servers.free_port(), "tls": tls}
    set_to(config, broker=broker, insecure=False, watch={"pki": "pki"})
    assert found(config, "certificates", clock) == []
    clock.advance(710 * DAY_S)
    check(config, "certificates", State.SOON, "gw-east ends on", "certificate-ends.md", clock=clock)
    clock.advance(30 * DAY_S)
    check(config, "certificates", State.WRONG, "gatehouse-core has ended on", clock=clock)
    check(config, "broker", State.WRONG, "gatehouse-core.pem is valid until", clock=clock)
    (config.parent / "pki" / "gatehouse-core.pem").unlink()
    check(config, "certificates", State.WRONG, "gatehouse-core.pem", "gatehouse pki make", clock=clock)


def test_a_folder_of_certificates_that_has_none(config: Path) -> None:
    set_to(config, watch={"pki": "nowhere"})
    check(config, "certificates", State.WRONG, "has no folder 'issued'")


def test_a_database_that_is_not_there_of_another_version_broken_or_without_an_administrator(config: Path) -> None:
    check(config, "database", State.WRONG, "is not there", "gatehouse init")
    file = config.parent / "data" / "gatehouse.db"
    assert not file.exists()  # looking makes nothing
    init(load_settings(config, {}))
    check(config, "database", State.SOON, "nobody is administrator", "gatehouse user add")
    open_accounts(load_settings(config, {})).add_user("li", "a long enough phrase", [Role.ADMINISTRATOR], None)
    assert found(config, "database") == []
    with sqlite3.connect(file) as db:
        db.execute("UPDATE alembic_version SET version_num = '0001'")
    check(config, "database", State.WRONG, "of version 0001", "gatehouse init")
    file.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    check(config, "database", State.WRONG, "not a database", "restore a backup")


def test_a_history_that_cannot_be_written(config: Path) -> None:
    check(config, "history", State.SOON, "is not there yet", "gatehouse init")
    (config.parent / "data").mkdir()
    (config.parent / "data" / "history").write_text("a file")
    check(config, "history", State.WRONG, "cannot be written")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_an_influxdb_that_is_away_refuses_or_lacks_a_bucket(config: Path) -> None:
    set_to(config, history={"store": "influxdb", "url": f"http://127.0.0.1:{servers.free_port()}", "token": "t"})
    check(config, "history", State.WRONG, "refused", "history.url")
    for status, body, said in (
        (401, b"{}", ("history.token is refused", "a new one")),
        (404, b"{}", ("answers 404", "gatehouse init")),
        (200, b'{"buckets": [{"name": "gatehouse"}]}', ("no bucket 'gatehouse-rollups'", "gatehouse init")),
    ):
        with answering(status, body) as port:
            set_to(config, history={"store": "influxdb", "url": f"http://127.0.0.1:{port}", "token": "t"})
            check(config, "history", State.WRONG, *said)


def test_a_journal_that_is_not_there_damaged_or_ahead_of_the_clock(config: Path) -> None:
    check(config, "journal", State.SOON, "holds no journal")
    now_ms = SystemClock().now_ms()
    folder = config.parent / "data" / "journal"
    journal = Journal(folder)
    journal.append([Record(Kind.TICK, now_ms, os.urandom(3000)) for _ in range(50)])
    journal.set_cursor("alerts", 50)
    journal.close()
    assert found(config, "journal") == []
    check(config, "clock", State.WRONG, "ahead of this machine's clock", clock=ManualClock(now_ms - DAY_S * 1000))
    (segment,) = folder.glob("*.db")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    check(config, "journal", State.WRONG, "record", "journal-damaged.md")


def test_a_reader_that_is_far_behind(config: Path) -> None:
    journal = Journal(config.parent / "data" / "journal")
    for _ in range(11):
        journal.append([Record(Kind.TICK, SystemClock().now_ms(), b"") for _ in range(1000)])
    journal.set_cursor("history", 5)
    journal.close()
    check(config, "journal", State.SOON, "'history' is 10995 records behind", "gatehouse journal stat")


def test_a_disk_with_little_room(config: Path) -> None:
    set_to(config, watch={"disk_free_percent": 99.999})
    check(config, "disk", State.SOON, "free", "disk-low.md")


def test_backups_that_are_not_named_missing_or_old(config: Path) -> None:
    check(config, "backups", State.SOON, "nobody says", "watch.backups")
    set_to(config, watch={"backups": "copies"})
    check(config, "backups", State.SOON, "there is no backup in", "backup-old.md")
    made = config.parent / "copies" / "one"
    made.mkdir(parents=True)
    manifest = {"format": 1, "made": "2026-01-01T00:00:00+00:00", "history": "parquet", "files": {}}
    (made / "manifest.json").write_text(json.dumps(manifest))
    check(config, "backups", State.SOON, "hours old")


def test_a_core_that_does_not_run_a_port_that_is_taken_and_an_address_of_elsewhere(config: Path) -> None:
    port = servers.free_port()
    set_to(config, metrics={"port": port})
    check(config, "processes", State.WRONG, "core does not run", "gatehouse core")
    with answering(200, b"somebody else") as taken:
        set_to(config, metrics={"port": taken})
        check(config, "processes", State.WRONG, f"127.0.0.1:{taken} is taken by somebody else", "metrics.port")
    (elsewhere,) = _could_listen("core", "metrics", "203.0.113.7", port)  # an address that no machine has
    assert "this machine has no such address" in elsewhere.what and "metrics.host" in elsewhere.do


def test_what_a_running_core_says_is_in_the_way(config: Path) -> None:
    said = {
        "status": "alive",
        "reasons": [{"code": "broker-away", "detail": "no connection"}],
        "warnings": [
            {"code": "history-full", "detail": "nothing is kept"},
            {"code": "disk-low", "detail": "found above"},
        ],
    }
    with answering(200, json.dumps(said).encode()) as port:
        set_to(config, metrics={"port": port})
        check(config, "processes", State.WRONG, "core: no connection")
        check(config, "processes", State.SOON, "core: nothing is kept")
        assert not [each for each in found(config, "processes") if "found above" in each.what]


def test_the_command_says_a_line_each_and_ends_with_how_bad_it_is(config: Path) -> None:
    told = CliRunner().invoke(app, ["doctor", "--config", str(config)])
    assert told.exit_code == 2
    assert "wrong database: sqlite" in told.output and "→ gatehouse init" in told.output
    data = json.loads(CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"]).output)
    assert {"about", "state", "what", "do"} == set(data[0])
    assert data[0] == {"about": "configuration", "state": "well", "what": "as it should be", "do": ""}
