"""The network is cut, somebody with fever stands at the lane, and a guard decides on the gateway's own page, in Chromium."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from telemetry.clock import SystemClock
from tests import servers
from tests.integration.running import PASSWORD, Running

pytestmark = pytest.mark.integration
PIN = "738291"


class Cable:
    """What a gateway reaches the broker through, and can be cut."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._carrying: list[threading.Thread] = []
        self._is_cut = False
        self.port = self._server.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def cut(self) -> None:
        self._is_cut = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for carrying in self._carrying:
            carrying.join()
        for end in self._ends:
            end.close()
        self._ends, self._carrying = [], []

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._ends += [near, far]
                pairs = ((near, far), (far, near))
                carrying = [threading.Thread(target=self._carry, args=pair) for pair in pairs]
                self._carrying += carrying
                for each in carrying:
                    each.start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)


class Gate:
    """A gateway of its own process behind a cable, its page, and a scanner that pushes to it."""

    def __init__(self, run: Running, folder: Path) -> None:
        self.cable = Cable(run.broker_port)
        self.push_port, self.page_port = servers.free_port(), servers.free_port()
        self.lamp = folder / "lamp"
        document = {
            "site": "east",
            "gateway": "gw-east",
            "broker": {"host": "127.0.0.1", "port": self.cable.port, "reconnect_delay_max_s": 0.5},
            "spool": {"path": "spool"},
            "drivers": [
                {
                    "driver": "http-push",
                    "port": self.push_port,
                    "devices": [{"device": "scanner", "serial": "S1"}],
                    "fields": {"temperature": "skin_temperature"},
                }
            ],
            "outputs": {"lamp": {"file": "lamp"}},
            "local_alarms": [
                {
                    "rule": "fever",
                    "device": "scanner",
                    "metric": "skin_temperature",
                    "at_least": 37.3,
                    "per_passage": True,
                    "output": "lamp",
                }
            ],
            "local_page": {
                "host": "127.0.0.1",
                "port": self.page_port,
                "guards": "guards.yaml",
                "lanes": {"scanner": {"en": "Lane 1", "zh": "一号通道"}},
            },
        }
        self.config = folder / "gw.yaml"
        self.config.write_text(json.dumps(document))  # JSON is YAML

    def scan(self, passage: str, value: float) -> None:
        body = {"serial": "S1", "passage": passage, "temperature": value, "time": SystemClock().now_ms()}
        answer = httpx2.post(f"http://127.0.0.1:{self.push_port}/push", json=body)
        assert answer.status_code == 200, answer.text

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx2.get(f"http://127.0.0.1:{self.page_port}/state").json()
        return found


@pytest.fixture(scope="module")
def gate(run: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    add = servers.gatehouse("user", "add", "li", "--role", "guard", "--site", "east", "--config", run.config)
    subprocess.run(add, env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD}, check=True, capture_output=True)
    with httpx2.Client(base_url=run.http.base_url) as li:
        csrf = li.post("/api/v1/session", json={"name": "li", "password": PASSWORD}).json()["csrf"]
        answer = li.put("/api/v1/session/pin", json={"pin": PIN, "password": PASSWORD}, headers={"X-CSRF-Token": csrf})
        assert answer.status_code == 204, answer.text
    guards = servers.gatehouse("user", "guards", "east", "--out", folder / "guards.yaml", "--config", run.config)
    subprocess.run(guards, check=True, capture_output=True)
    assert (folder / "guards.yaml").stat().st_mode & 0o777 == 0o600
    made = Gate(run, folder)
    with servers.process(servers.gatehouse("gateway", "--config", made.config), folder / "gateway.log"):
        servers.wait_until(lambda: servers.answers(f"http://127.0.0.1:{made.page_port}/"), what="the page")
        servers.wait_until(lambda: made.state()["cut_off_ms"] is None, what="the gateway's connection")
        yield made
    made.cable.close()


@pytest.fixture
def page(gate: Gate, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 800, "height": 1280})
    found = context.new_page()
    found.goto(f"http://127.0.0.1:{gate.page_port}/")
    yield found
    context.close()


def look(page: Page, name: str) -> None:
    """Pictures for who wants to look; nothing when nobody says where."""
    if folder := os.environ.get("GATEHOUSE_PICTURES"):
        page.screenshot(path=f"{folder}/local-page-{name}.png", full_page=True)


def fevers(run: Running, key: str) -> list[dict[str, Any]]:
    return [alarm for alarm in run.alarms("all") if alarm["rule"] == "fever" and alarm["key"] == key]


def test_a_fever_is_decided_at_the_gate_while_the_network_is_cut_and_is_one_alarm_in_the_core(
    run: Running, gate: Gate, page: Page
) -> None:
    expect(page.get_by_text("已连接中心")).to_be_visible()
    gate.cable.cut()
    expect(page.get_by_text("起与中心断开")).to_be_visible()
    gate.scan("p1", 38.6)
    expect(page.get_by_role("heading", name="发热：请拦下此人")).to_be_visible()
    look(page, "fever-zh")
    servers.wait_until(lambda: gate.lamp.read_text() == "1", what="the lamp")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_text("No connection to the core since")).to_be_visible()

    page.get_by_role("button", name="Measure again").click()
    expect(page.get_by_text("Sign in first")).to_be_visible()
    page.fill("#pin", "000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Name or PIN is wrong")).to_be_visible()
    page.fill("#pin", PIN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("li decides here")).to_be_visible()

    page.get_by_role("button", name="Measure again").click()
    expect(page.get_by_role("timer")).to_contain_text("Time left to measure")
    page.get_by_label("Second temperature").fill("38,2")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_text("Second measurement: 38.2 °C, ear · still too high")).to_be_visible()
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_text("A decision needs a reason")).to_be_visible()
    page.get_by_role("button", name="Sent to the clinic").click()
    page.get_by_role("button", name="Refuse").click()
    look(page, "decide-en")
    page.get_by_role("button", name="Yes: Refuse").click()
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()
    expect(page.get_by_text("kept here, not yet at the core")).to_be_visible()
    look(page, "decided-en")
    servers.wait_until(lambda: gate.lamp.read_text() == "0", what="the lamp going off")
    (decided,) = gate.state()["decided"]
    assert fevers(run, "p1") == []

    gate.cable.mend()
    servers.wait_until(lambda: fevers(run, "p1")[0]["state"] == "closed", what="the decision at the core")
    (alarm,) = fevers(run, "p1")
    whole = run.get(f"/api/v1/alarms/{alarm['id']}")
    assert (whole["disposition"], whole["key"]) == ("refuse", "p1")
    disposed = next(step for step in whole["transitions"] if step["what"] == "disposed")
    assert (disposed["actor"], disposed["note"], disposed["event_ms"]) == (
        "li",
        "Sent to the clinic",
        decided["decided_ms"],
    )
    steps = [step["what"] for step in whole["transitions"]]
    assert [steps.count(each) for each in ("raised", "recheck", "measured", "disposed")] == [1, 1, 1, 1]
    expect(page.get_by_text("at the core", exact=True)).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("已到中心")).to_be_visible()
    look(page, "back-zh")


def test_who_is_a_guard_no_more_decides_nothing_and_it_is_on_record(run: Running, gate: Gate, page: Page) -> None:
    gate.cable.cut()
    expect(page.get_by_text("起与中心断开")).to_be_visible()
    gate.scan("p2", 38.9)
    page.fill("#pin", PIN)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_text("li 在此处置")).to_be_visible()
    page.get_by_role("button", name="复测正常").click()
    page.get_by_role("button", name="放行").click()
    page.get_by_role("button", name="确认放行").click()
    expect(page.get_by_text("已存本机，尚未到中心")).to_be_visible()
    subprocess.run(servers.gatehouse("user", "disable", "li", "--config", run.config), check=True, capture_output=True)
    gate.cable.mend()

    def refused() -> list[dict[str, Any]]:
        alarm = fevers(run, "p2")[0]
        steps = run.get(f"/api/v1/alarms/{alarm['id']}")["transitions"]
        return [step for step in steps if step["reason"] == "not-a-guard"]

    servers.wait_until(refused, what="what was refused")
    assert refused()[0]["note"] == "li: admit: 复测正常"
