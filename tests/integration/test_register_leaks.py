"""What is written about a visitor is in the register, sealed, and nowhere else, from announcement to purge."""

import os
import sqlite3
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests import servers
from tests.integration.running import EAST, PASSWORD, Running, running

pytestmark = pytest.mark.integration

# Pieces that nothing else has, in the spellings in which they might leave.
VISITOR, COMPANY, PURPOSE, PHONE, WORDS = "欧阳植标", "植标水务公司", "植标检修阀门", "13899990001", "植标同行人"
PLANTED = (VISITOR, COMPANY, PURPOSE, PHONE, WORDS, "植标")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Running]:
    port = servers.free_port()
    with servers.process(servers.gatehouse("broker", "--port", str(port)), tmp_path / "broker.log"):
        servers.wait_until(lambda: servers.listens(port), what="the embedded broker")
        with running(tmp_path, port) as started:
            yield started


@pytest.fixture
def overheard(run: Running) -> Iterator[list[bytes]]:
    """Everything that any topic carries."""
    heard: list[bytes] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="everything", protocol=paho.MQTTv311)
    client.on_message = lambda _c, _d, message: heard.append(message.topic.encode() + b" " + bytes(message.payload))
    client.connect("127.0.0.1", run.broker_port)
    client.subscribe("#", 1)
    client.loop_start()
    yield heard
    client.loop_stop()
    client.disconnect()


def spellings(text: str) -> list[bytes]:
    return [text.encode(), text.encode("utf-16-le"), text.encode("gb18030"), ascii(text)[1:-1].encode()]


def leaks(where: dict[str, bytes]) -> list[tuple[str, str]]:
    return [
        (name, text)
        for name, content in where.items()
        for text in PLANTED
        if any(s in content for s in spellings(text))
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_a_visitor_is_anywhere_but_sealed_in_the_register(run: Running, overheard: list[bytes]) -> None:
    for name, role in (("reg", "registrar"), ("li", "guard")):
        subprocess.run(
            servers.gatehouse("user", "add", name, "--role", role, "--config", run.config),
            env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
    count = 0

    def post(path: str, body: dict[str, Any]) -> Any:
        nonlocal count
        count += 1
        headers = {"Idempotency-Key": f"request-{count:012d}"}
        return run.http.post(f"/api/v1/register/{path}", json=body, headers=headers)

    def log_in(name: str) -> None:
        answer = run.http.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        run.http.headers["X-CSRF-Token"] = answer.json()["csrf"]

    def scan(value: float, key: str) -> None:
        row = {"device": "scanner", "metric": "skin_temperature", "value": value, "key": key}
        run.publish(f"{EAST}/readings", {"readings": [row]})

    log_in("reg")
    day = run.get("/api/v1/register/gates/lane?reason=on-duty")["day"]
    told = {"visitor": VISITOR, "organisation": COMPANY, "purpose": PURPOSE, "department": "后勤", "phone": PHONE}
    visit = post("announcements", told | {"gate": "lane", "day": day}).json()

    log_in("li")
    scan(37.6, "v1")
    board = "/api/v1/register/gates/lane?reason=on-duty"
    servers.wait_until(lambda: run.get(board)["lanes"][0]["passage"], what="the passage")
    seen = {"seq": visit["seq"], "temperature": {"device": "scanner"}}
    visit = post(f"entries/{visit['id']}/admit", seen).json()
    assert visit["person"]["temperature"]["value"] == 37.6
    again = {"seq": visit["seq"], "temperature": {"value": 36.6}}
    visit = post(f"entries/{visit['id']}/recheck", again).json()
    visit = post(f"entries/{visit['id']}/leave", {"seq": visit["seq"]}).json()
    assert visit["state"] == "out"
    # What is refused must leak as little as what is taken.
    assert post("entries", told | {"gate": "lane", "visitor": f"{VISITOR}\n"}).status_code == 422
    assert post("search", {"reason": "on-duty", "text": VISITOR}).status_code == 403
    assert post(f"entries/{VISITOR}/leave", {"seq": 1}).status_code == 404
    assert run.http.get(f"/api/v1/register/{VISITOR}").status_code == 404

    later = post("entries", told | {"gate": "lane", "temperature": {"value": 36.4}})
    assert later.status_code == 201

    log_in("reg")
    asked = {"reason": "contact-tracing", "words": WORDS, "first_day": day, "last_day": day}
    assert len(post("search", asked | {"text": VISITOR[:3], "use": "print"}).json()["items"]) == 2
    sheet = post("export", asked)
    with zipfile.ZipFile(BytesIO(sheet.content)) as book:
        assert VISITOR in book.read("xl/sharedStrings.xml").decode()
    person = {"reason": "person-asked", "words": WORDS, "visitor": VISITOR}
    assert len(post("person", person).json()["items"]) == 2

    # Something recognisable afterwards, to know that all parts have seen what was before it.
    scan(39.5, "control-passage")
    log_in("admin")
    servers.wait_until(lambda: any(alarm["key"] == "control-passage" for alarm in run.alarms()), what="the alarm")
    servers.wait_until(lambda: len(run.stored("scanner", "skin_temperature")) == 2, what="history")
    servers.wait_until(lambda: any(b"control-passage" in heard for heard in overheard), what="the alarm over MQTT")

    def everywhere() -> dict[str, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{run.metrics_port}/metrics") as answer:
            metrics = answer.read()
        served = run.http.get("/metrics").content
        # Text in a database may be split over pages: as rows, too.
        with sqlite3.connect(run.folder / "data" / "gatehouse.db") as alarms:
            rows = "\n".join(alarms.iterdump()).encode()
        audit = "\n".join(str(item) for item in run.get("/api/v1/audit?limit=500")["items"]).encode()
        more = {"mqtt": b"\n".join(overheard), "metrics": metrics, "api metrics": served, "rows": rows, "audit": audit}
        return files_of(run.folder) | more

    found = everywhere()
    assert {"core.log", "api.log", "broker.log", "data/gatehouse.db", "data/register.db"} <= set(found)
    assert any(name.startswith("data/journal") for name in found) and any("history" in name for name in found)
    for name in ("rows", "mqtt"):
        assert b"control-passage" in found[name], name
    assert b"register-export" in found["audit"]
    assert leaks(found) == []
    # The search finds what is there to be found.
    assert leaks({"sheet": VISITOR.encode(), "escaped": b"\\u6b27\\u9633\\u690d\\u6807"}) != []

    visits = {"reason": "person-asked", "words": WORDS, "visits": [visit["id"]]}
    log_in("reg")
    assert post("erase", visits).json() == {"count": 1}
    with sqlite3.connect(run.folder / "data" / "register.db") as register:
        register.execute("UPDATE register_visit SET day = '2020-01-01'")
    purge = servers.gatehouse("register", "purge", "--config", run.config)
    assert b"1 visits purged" in subprocess.run(purge, check=True, capture_output=True).stdout
    assert post("search", asked | {"first_day": "2000-01-01"}).json()["items"] == []
    log_in("admin")
    assert leaks(everywhere()) == []
