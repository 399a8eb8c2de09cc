"""Two thousand payloads and more where texts go in, and nothing but a text comes of any of them."""

import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter, ValidationError

from alerts.notify.outside import why_not
from alerts.rules import load_rules
from api.audit import Audit
from api.documents.document import Column, Document, Table
from api.documents.pdf import as_pdf
from api.documents.xlsx import as_xlsx
from gatehouse.schema import metadata
from ingest.packets import Message
from ingest.vet import Vetter
from telemetry.catalogue import Catalogue, MetricName, Name
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.declaration import Mistakes, read_document
from telemetry.errors import BadConfiguration
from telemetry.logs import configure_logs
from tests import district
from tests.api.test_app import PASSWORD, World
from tests.payloads import CANARY, FAMILIES, TEXTS, in_path

__all__ = ["database_kind", "database_with_users", "world"]
from tests.api.test_app import database_kind, database_with_users, world


def test_the_corpus_is_large_and_every_family_is_there() -> None:
    assert sum(map(len, FAMILIES.values())) >= 2_000
    assert len(FAMILIES) >= 11
    assert min(map(len, FAMILIES.values())) >= 40


_GROWING = ("audit", "audit_head", "session", "device_change")


def _counts(database: sa.Engine) -> dict[str, int]:
    with database.connect() as db:
        tables = [table for table in metadata.sorted_tables if table.name not in _GROWING]
        return {table.name: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables}


def _asked(payload: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Requests that carry a payload: where an address, a filter, a cursor, a text takes one."""
    step = in_path(payload)
    yield "GET", f"/api/v1/devices/{step}", {}
    yield "GET", f"/api/v1/alarms/{step}", {}
    yield "GET", "/api/v1/audit", {"params": {"actor": payload, "action": payload}}
    yield "GET", "/api/v1/alarms", {"params": {"site": payload, "class": payload, "cursor": payload}}
    yield "GET", "/api/v1/readings", {"params": {"device": payload, "metric": payload, "start": 1, "end": 2}}
    yield "GET", f"/api/v1/readings?device=level-1&start=1&end=2&metric={step}", {}
    yield "GET", "/api/v1/completeness", {"params": {"site": payload, "cursor": payload}}
    yield "GET", f"/{step}", {}
    yield "POST", f"/api/v1/alarms/{step}/acknowledge", {"json": {"seq": 1, "note": payload}}
    yield "POST", "/api/v1/masks", {"json": {"kind": "maintenance", "reason": payload, "until": 1, "device": payload}}
    yield "POST", "/api/v1/users", {"json": {"name": payload, "password": "short", "grants": []}}
    yield "POST", "/api/v1/tokens", {"json": {"name": payload, "scopes": [payload], "expires_ms": 1}}
    # This one is stored, and comes back.
    fitted = {"what": "fitted", "serial": "1", "note": payload[:200]}
    yield "POST", "/api/v1/devices/level-1/instrument", {"json": fitted}
    yield "PUT", f"/api/v1/rules/{step}", {"json": {"rule": {"id": payload}, "note": payload, "version": 1}}
    yield "POST", "/api/v1/rules/backtest", {"json": {"rule": {"id": payload, "name": payload}, "start": 1, "end": 2}}
    yield "DELETE", f"/api/v1/users/{step}", {}


def test_no_payload_in_any_field_is_more_than_a_text(world: World, database_kind: str) -> None:
    headers, before = world.log_in(), _counts(world.database)
    with world.database.connect() as db:
        users = db.execute(sa.text("SELECT name, password FROM user_account ORDER BY name")).all()
    fields, stored = len(list(_asked("x"))), 0
    # The other database differs in what it takes for a text, not in what is asked of it.
    texts = TEXTS if database_kind == "sqlite" else TEXTS[::7] + FAMILIES["odd_text"]
    for number, payload in enumerate(texts):
        method, path, more = list(_asked(payload))[number % fields]
        if "json" in more:
            # As escapes, which a client may send of whatever it likes.
            more = {"content": json.dumps(more["json"]), "headers": {**headers, "Content-Type": "application/json"}}
        elif "params" in more:
            params = {name: str(value).encode("utf-8", "surrogatepass") for name, value in more["params"].items()}
            more = {"params": params, "headers": headers}
        answer = world.client.request(method, path, **({"headers": headers} | more))
        if answer.status_code == 201:
            assert answer.json()["items"][0]["note"] == payload[:200].strip()
            stored += 1
        told = (method, path, ascii(payload[:80]), answer.status_code)
        assert answer.status_code < 500, told
        assert CANARY not in str(answer.headers), told
        assert answer.headers["x-content-type-options"] == "nosniff", told
        assert "script-src" not in answer.headers["content-security-policy"], told
        if path.startswith("/api/"):
            assert "json" in answer.headers.get("content-type", "json"), told
            if path == "/api/v1/audit" and answer.status_code == 200:
                assert answer.json()["items"] == [], told
        assert b"root:" not in answer.content and b"SQLite format" not in answer.content, told
    assert stored > len(texts) // fields // 2
    assert _counts(world.database) == before
    with world.database.connect() as db:
        assert db.execute(sa.text("SELECT name, password FROM user_account ORDER BY name")).all() == users
    assert world.accounts.audit.faults() == []
    assert not Path(f"/tmp/{CANARY}").exists()


def test_names_and_passwords_at_the_log_in_are_texts(world: World) -> None:
    # Hashing is dear on purpose: one of each family.
    for payload in (family[len(family) // 2] for family in FAMILIES.values()):
        body = json.dumps({"name": payload[:64], "password": payload[:200]})
        answer = world.client.post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (401, 422, 429), (ascii(payload), answer.text)
        assert "set-cookie" not in answer.headers
    assert world.log_in("guard")
    assert PASSWORD not in json.dumps(list(world.accounts.audit.rows()))


def test_whatever_is_put_on_record_is_on_record_and_the_chain_holds(database_url: str) -> None:
    engine = open_database(database_url)
    record = Audit(engine, ManualClock())
    texts = TEXTS[::4] + FAMILIES["odd_text"]
    for payload in texts:
        record.record(payload, payload, payload, payload, payload)
    assert record.faults() == []
    rows = list(record.rows())
    assert len(rows) == len(texts)
    for row, payload in zip(rows, texts, strict=True):
        if payload.isprintable():
            assert row["subject"] == payload
    engine.dispose()


def test_a_workbook_holds_texts_and_no_formula_no_link_and_no_entity() -> None:
    columns = (Column("a"), Column("b"))
    rows = tuple((payload, payload) for payload in TEXTS)
    book = as_xlsx(Document(TEXTS[0], "zh", (TEXTS[1],), (Table(TEXTS[2], columns, rows),)))
    with zipfile.ZipFile(io.BytesIO(book)) as opened:
        assert all(".." not in name and not name.startswith("/") for name in opened.namelist())
        parts = {name: opened.read(name) for name in opened.namelist()}
    assert not [name for name in parts if "externalLink" in name or "vba" in name.lower()]
    for name, part in parts.items():
        tree = ElementTree.fromstring(part)
        tags = {each.tag.rpartition("}")[2] for each in tree.iter()}
        assert not tags & {"f", "hyperlink", "ddeLink", "oleLink"}, name
        assert b"<!ENTITY" not in part
    shared = ElementTree.fromstring(parts["xl/sharedStrings.xml"])
    found = {"".join(each.itertext()) for each in shared}
    assert {each for each in FAMILIES["formula"] if each.isprintable()} <= found


def test_a_pdf_is_made_of_any_text_and_nothing_in_it_acts() -> None:
    rows = tuple((payload[:300],) for payload in TEXTS[::5])
    made = as_pdf(Document("x", "en", (), (Table("y", (Column("a"),), rows),)))
    for act in (b"/JavaScript", b"/JS", b"/Launch", b"/URI", b"/OpenAction", b"/EmbeddedFile"):
        assert act not in made


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_log_line_is_one_line_and_moves_no_cursor(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", out)
    structlog.reset_defaults()
    configure_logs()
    log = structlog.get_logger("test")
    for payload in TEXTS:
        log.info("said", what=payload, list=[payload], error=repr(ValueError(payload)))
    structlog.reset_defaults()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()) if is_terminal else out.getvalue()
    assert len(re.split(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", plain.rstrip("\n"))) == len(TEXTS)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", plain)
    plain.encode()


def test_no_yaml_runs_anything_or_grows_without_end(tmp_path: Path) -> None:
    district.write_district(tmp_path)
    catalogue = Catalogue.load(tmp_path / "catalogue")
    file = tmp_path / "rules" / "all.yaml"
    for payload in FAMILIES["yaml"]:
        file.write_text(payload, encoding="utf-8")
        with pytest.raises(BadConfiguration):
            load_rules(tmp_path / "rules", catalogue)
        try:
            read_document(file)
        except Mistakes as error:
            assert len(str(error)) < 2_000
    assert not Path(f"/tmp/{CANARY}").exists()


def test_every_spelling_of_an_address_within_is_refused() -> None:
    reached = [url for url in FAMILIES["ssrf"] if why_not(url, ()) is None]
    assert reached == []


def test_no_payload_is_an_id_and_so_none_reaches_a_line_a_query_a_file_or_a_topic() -> None:
    # Devices, metrics, places, sites, rules: what stands in line protocol, Flux, file names, CSV and topics is one of these.
    for kind in (Name, MetricName):
        check = TypeAdapter[str](kind)
        for payload in (each for family in FAMILIES.values() for each in family):
            with contextlib.suppress(ValidationError):
                assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", check.validate_python(payload))


def test_no_payload_in_a_reading_is_stored_or_named(tmp_path: Path) -> None:
    catalogue, registry, _ = district.load(tmp_path)
    vetter = Vetter(catalogue, registry, {})
    topic, count = "gatehouse/v1/east/gw-east/readings", 0
    for payload in TEXTS:
        rows = [
            {"device": payload, "metric": "level", "time": 1_795_000_000_000, "value": 1},
            {"device": "level-1", "metric": payload, "time": 1_795_000_000_000, "value": 1},
            {"device": "level-1", "metric": "level", "time": payload, "value": 1},
            {"device": "level-1", "metric": "level", "time": 1_795_000_000_000, "value": payload},
            {"device": "level-1", "metric": "level", "time": 1_795_000_000_000, "value": 1, "quality": payload},
        ]
        group = vetter.vet([Message(topic, json.dumps({"readings": rows}).encode(), 1, False)], 1_795_000_000_000)
        # A message that is no JSON, for there is half a character in it, is refused whole.
        assert len(group.readings) == len(group.backlog) == 0, ascii(payload)
        assert sum(reject.count for reject in group.rejects) in (1, len(rows)), ascii(payload)
        count += len(rows)
    for payload in TEXTS[::3]:
        bad = vetter.vet([Message(f"gatehouse/v1/{payload}/gw-east/readings", b"{}", 1, False)], 1_795_000_000_000)
        assert bad.rejects, ascii(payload)
    assert count > 10_000
