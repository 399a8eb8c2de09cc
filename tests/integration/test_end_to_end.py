"""The main job on real servers: Mosquitto, `gatehouse core`, `gatehouse api`, and InfluxDB 2 where history lives there."""

import json
import os
import signal
import time
from array import array
from pathlib import Path

import pytest

from telemetry import frames
from tests import servers
from tests.integration.running import EAST, running

pytestmark = pytest.mark.integration


def frame(seq: int, rows: list[tuple[int, float]], base: int = 1) -> bytes:
    columns = frames.encode_columns(
        "level-1/level",
        array("H", [0] * len(rows)),
        array("q", [time_ms for time_ms, _ in rows]),
        array("d", [value for _, value in rows]),
        array("B", [0] * len(rows)),
        {},
    )
    return frames.encode("gw-east", "epoch-1", seq, base, columns)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_plain_fever_becomes_an_alarm_everywhere_and_rubbish_costs_its_neighbours_nothing(
    tmp_path: Path, mosquitto_port: int
) -> None:
    with running(tmp_path, mosquitto_port) as run:
        rows = [
            {"device": "scanner", "metric": "skin_temperature", "value": 36.5, "key": "a"},
            {"device": "scanner", "metric": "skin_temperature", "value": "38.6"},
            {"device": "scanner", "metric": "skin_temperature", "value": 38.6, "key": "b"},
        ]
        run.publish(f"{EAST}/readings", {"readings": rows})
        run.publish(f"{EAST}/readings", b'{"readings":[')
        run.publish(f"{EAST}/readings", b"x" * 10_000_000)
        run.publish(f"{EAST}/frames", b"\x8b no frame")
        run.publish("gatehouse/v1/east/gw-none/readings", rows[0])
        servers.wait_until(lambda: run.alarms(), what="the alarm in the API")
        (alarm,) = run.alarms()
        assert (alarm["rule"], alarm["severity"], alarm["value"], alarm["key"]) == ("fever", "critical", 38.6, "b")
        topic = f"gatehouse/v1/east/alarms/{alarm['id']}"
        servers.wait_until(lambda: any(t == topic for t, _ in run.heard), what="the alarm on MQTT")
        expected = {"bad-value": 1, "broken-json": 1, "too-large": 1, "bad-frame": 1, "unknown-gateway": 1}
        servers.wait_until(lambda: run.get("/api/v1/quarantine")["counts"] == expected, what="quarantine")
        servers.wait_until(lambda: len(run.stored("scanner", "skin_temperature")) >= 1, what="history")
        acknowledged = run.http.post(f"/api/v1/alarms/{alarm['id']}/acknowledge", json={"seq": alarm["seq"]})
        assert acknowledged.json()["acknowledged_by"] == "admin"
        done = run.http.post(
            f"/api/v1/alarms/{alarm['id']}/dispose", json={"seq": 2, "disposition": "refer", "note": "to the clinic"}
        )
        assert done.json()["disposition"] == "refer"
        servers.wait_until(lambda: (topic, b"") in run.heard, what="the end on MQTT")


def test_a_killed_core_comes_back_whole(tmp_path: Path, mosquitto_port: int) -> None:
    """Frames keep coming while the core is killed again and again; the sender frees only what a receipt covers."""
    with running(tmp_path, mosquitto_port) as run:
        start_ms = now_ms() - 3_600_000
        rows = [(start_ms + i * 1000, 0.3 if i < 200 else 1.5) for i in range(400)]
        sent = 0
        receipted = 0

        def durable() -> int:
            return max([json.loads(p)["seq"] for t, p in run.heard if t == f"{EAST}/receipt" and p], default=0)

        for round_number in range(4):
            for _ in range(25):
                sent = max(sent, receipted)
                if sent < 100:
                    sent += 1
                    run.publish(f"{EAST}/frames", frame(sent, rows[(sent - 1) * 4 : sent * 4], receipted + 1))
            assert run.core is not None
            os.killpg(run.core.pid, signal.SIGKILL)
            run.core.wait()
            run.start_core()
            receipted = durable()
            for seq in range(receipted + 1, sent + 1):
                run.publish(f"{EAST}/frames", frame(seq, rows[(seq - 1) * 4 : seq * 4], receipted + 1))
            servers.wait_until(lambda: durable() >= sent, what=f"receipts of round {round_number}")  # noqa: B023
            receipted = durable()
        servers.wait_until(lambda: len(run.stored("level-1", "level")) >= 400, what="history")
        assert run.stored("level-1", "level") == rows
        (alarm,) = [a for a in run.alarms("all") if a["rule"] == "drain-level"]
        assert (alarm["onset_ms"], alarm["seq"]) == (rows[200][0], 1)


def test_the_same_run_with_history_in_influxdb(tmp_path: Path, mosquitto_port: int, influx: tuple[str, str]) -> None:
    url, token = influx
    history = {"store": "influxdb", "url": url, "token": token}
    with running(tmp_path, mosquitto_port, history) as run:
        rows = [(now_ms() - 60_000 + i * 1000, round(0.3 + i / 100, 3)) for i in range(50)]
        run.publish(f"{EAST}/frames", frame(1, rows))
        servers.wait_until(lambda: len(run.stored("level-1", "level")) == 50, what="history in InfluxDB")
        assert run.stored("level-1", "level") == rows
        newest = run.get("/api/v1/devices/level-1")["last"]["level"]
        assert (newest["time_ms"], newest["value"]) == rows[-1]


def test_events_arrive_without_asking_and_are_resumed_after_a_break(tmp_path: Path, mosquitto_port: int) -> None:
    with running(tmp_path, mosquitto_port) as run:

        def listen(last_seen: str | None, wanted: int) -> list[dict[str, str]]:
            """Alarm events until so many have come."""
            found: list[dict[str, str]] = []
            event: dict[str, str] = {}
            headers = {} if last_seen is None else {"Last-Event-ID": last_seen}
            with run.http.stream("GET", "/api/v1/events", headers=headers) as stream:
                for line in stream.iter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        event[name] = value
                    elif event:
                        found += [event] if event.get("event") == "alarm" else []
                        if event.get("event") == "health" and last_seen is None:
                            fever(38.1, "first")
                            last_seen = "asked"
                        event = {}
                    if len(found) >= wanted:
                        return found
            return found

        def fever(value: float, key: str) -> None:
            row = {"device": "scanner", "metric": "skin_temperature", "value": value, "key": key}
            run.publish(f"{EAST}/readings", row)

        (first,) = listen(None, 1)
        assert json.loads(first["data"])["key"] == "first"
        fever(38.2, "second")
        fever(38.3, "third")
        servers.wait_until(lambda: len(run.alarms()) == 3, what="the alarms")
        missed = listen(first["id"], 2)
        assert {json.loads(event["data"])["key"] for event in missed} == {"second", "third"}


def test_a_broker_that_restarts_with_an_empty_memory_is_subscribed_to_again(tmp_path: Path) -> None:
    port = servers.free_port()
    broker = servers.mosquitto(tmp_path, port)
    broker.__enter__()
    try:
        with running(tmp_path, port) as run:
            run.publish(f"{EAST}/frames", frame(1, [(now_ms() - 2000, 0.3)]))
            servers.wait_until(lambda: any(t.endswith("receipt") for t, _ in run.heard), what="a receipt")
            broker.__exit__(None, None, None)
            broker = servers.mosquitto(tmp_path, port)
            broker.__enter__()
            ready = f"http://127.0.0.1:{run.metrics_port}/health/ready"
            servers.wait_until(lambda: servers.answers(ready), what="the core to be back")
            servers.wait_until(run.client.is_connected, what="the stranger to be back")
            run.client.subscribe("gatehouse/v1/+/+/receipt", 1)
            run.publish(f"{EAST}/frames", frame(2, [(now_ms() - 1000, 0.4)]))
            servers.wait_until(lambda: len(run.stored("level-1", "level")) == 2, what="the second frame")
    finally:
        broker.__exit__(None, None, None)
