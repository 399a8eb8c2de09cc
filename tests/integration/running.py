"""A core and an API as processes against real servers, for tests that look at them from outside."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from tests import district, servers

PASSWORD = "a password for tests"
EAST = "gatehouse/v1/east/gw-east"


@dataclass
class Running:
    """A core and an API against a real broker, and a client that is a stranger to both."""

    folder: Path
    config: Path
    broker_port: int
    metrics_port: int
    stack: ExitStack
    client: paho.Client
    heard: list[tuple[str, bytes | bytearray]] = field(default_factory=list)
    http: httpx2.Client = field(default_factory=httpx2.Client)
    core: subprocess.Popen[bytes] | None = None

    def start_core(self) -> None:
        self.core = self.stack.enter_context(
            servers.process(servers.gatehouse("core", "--config", self.config), self.folder / "core.log")
        )
        servers.wait_until(
            lambda: servers.answers(f"http://127.0.0.1:{self.metrics_port}/health/ready"), what="the core"
        )

    def publish(self, topic: str, payload: Any) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload)
        self.client.publish(topic, body, qos=1).wait_for_publish(10)

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def alarms(self, state: str = "open") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/v1/alarms?state={state}")["items"]
        return found

    def stored(self, device: str, metric: str) -> list[tuple[int, float]]:
        curve = self.get(f"/api/v1/readings?device={device}&metric={metric}&start=0&end={2**42}")
        return list(zip(curve["time_ms"], curve["value"], strict=True))


@contextmanager
def running(folder: Path, broker_port: int, history: dict[str, Any] | None = None) -> Iterator[Running]:
    config = district.write_district(folder)
    api_port, metrics_port = servers.free_port(), servers.free_port()
    settings = {
        "broker": {"host": "127.0.0.1", "port": broker_port, "reconnect_delay_max_s": 1},
        "insecure": True,
        "api": {"port": api_port},
        "metrics": {"port": metrics_port},
        "channels": {"pager": {"url": "http://127.0.0.1:9/", "allow_networks": ["127.0.0.1/32"]}},
    }
    config.write_text(yaml.safe_dump(settings | ({"history": history} if history else {})))
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="stranger", protocol=paho.MQTTv311)
    with ExitStack() as stack:
        run = Running(folder, config, broker_port, metrics_port, stack, client)
        client.on_message = lambda _c, _d, message: run.heard.append((message.topic, message.payload))
        client.connect("127.0.0.1", broker_port)
        client.subscribe([("gatehouse/v1/+/alarms/+", 1), ("gatehouse/v1/+/+/receipt", 1)])
        client.loop_start()
        stack.callback(client.loop_stop)
        stack.callback(client.disconnect)
        subprocess.run(
            servers.gatehouse("user", "add", "admin", "--role", "administrator", "--config", config),
            env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
        run.start_core()
        stack.enter_context(servers.process(servers.gatehouse("api", "--config", config), folder / "api.log"))
        url = f"http://127.0.0.1:{api_port}"
        servers.wait_until(lambda: servers.answers(f"{url}/health/ready"), what="the API")
        run.http = stack.enter_context(httpx2.Client(base_url=url, timeout=10))
        logged_in = run.http.post("/api/v1/session", json={"name": "admin", "password": PASSWORD})
        run.http.headers["X-CSRF-Token"] = logged_in.json()["csrf"]
        yield run
