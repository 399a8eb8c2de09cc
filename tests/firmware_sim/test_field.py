"""A field of devices from a file, read by the gateway's drivers and by nobody in particular."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from firmware_sim.field import FieldOfDevices, _signals
from firmware_sim.field_settings import FieldSettings, Signal
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gatehouse.__main__ import app
from telemetry.clock import SystemClock
from telemetry.declaration import Mistakes
from tests.firmware_sim.field import ran
from tests.gateway.support import until

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
METER = {"protocol": "dlt645", "address": "000000000161", "measures": {"energy": 317.76, "voltage": 231.9}}
KEY = "9dd4e461268c8034f5c8564e155c67a6"


@contextlib.asynccontextmanager
async def running(truth: list[Any], **field: Any) -> AsyncIterator[list[str]]:
    devices = FieldOfDevices(FieldSettings.model_validate(field), SystemClock(), truth.append)
    async with devices.open() as said:
        yield said


def test_the_file_in_the_documentation_is_one() -> None:
    block = re.search(r"(?m)^    seed: 1.*\n(?:(?:    .*)?\n)+", PAGE.read_text(encoding="utf-8"))
    assert block is not None
    field = FieldSettings.model_validate(yaml.safe_load(textwrap.dedent(block[0])))
    assert (len(field.lines), len(field.scanners), len(field.json_sensors)) == (4, 4, 2)
    assert (len(field.modbus_tcp), len(field.stations), len(field.lorawan)) == (1, 2, 1)


def test_everything_in_the_file_of_the_documentation_runs_beside_each_other() -> None:
    """Nobody listens at its brokers, centres and URLs: its devices go on trying."""

    async def run() -> None:
        block = re.search(r"(?m)^    seed: 1.*\n(?:(?:    .*)?\n)+", PAGE.read_text(encoding="utf-8"))
        assert block is not None
        declared = yaml.safe_load(textwrap.dedent(block[0]))
        for part in [*declared["lines"], *declared["modbus_tcp"]]:
            part["at"] = "127.0.0.1:0" if part["at"] != "pty" else "pty"
            part.pop("link", None)
        for scanner in declared["scanners"]:
            scanner |= {"listen": "127.0.0.1:0"} if "listen" in scanner else {}
        async with running([], **declared) as said:
            port = int(next(line for line in said if line.startswith("modbus-tcp")).rpartition(":")[2])
            device = {"device": "m1", "unit": 3, "profile": "sdm120"}
            sink = await ran("modbus-tcp", 8, host="127.0.0.1", port=port, every_s=0.1, devices=[device])
            assert {r.value for r in sink.readings if r.metric == "voltage"} == {231.0}
            for what in (
                "sdi12 0",
                "level-uart drain-2",
                "sl651 river-1: dials",
                "hj212 works-1: dials",
                "lorawan 24e1",
            ):
                assert any(what in line for line in said), said

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            "lines:\n  - {at: pty, devices: [{protocol: modbus, unit: 1, model: x, measures: {}}]}",
            "there is no model 'x'",
        ),
        ("json:\n  - {name: a, broker: b:1, measures: {}}", "'broker' and 'topic'"),
        ("scanners:\n  - {name: a, protocol: isapi, mac: 'a4:d5:c2:24:dd:74'}", "give one"),
        ("lines:\n  - {at: pty, devices: [], bauds: 3}", "bauds"),
        ("lines:\n  - {at: '127.0.0.1:99999', devices: []}", "65535"),
        (
            "lines:\n  - {at: pty, devices: [{protocol: level-uart, name: a, speaks: auto, measures: {}}, "
            "{protocol: mbus, number: '00000001', measures: {}}]}",
            "no line in common",
        ),
        (
            "modbus_tcp:\n  - {at: 'b:1', units: [{unit: 1, model: sdm120, measures: {}, "
            "faults: [{fault: wrong-checksum}]}]}",
            "wrong-checksum",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(content: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "field.yaml"
    file.write_text(content)
    with pytest.raises(Mistakes, match=what):
        FieldSettings.load(file)
    ran = CliRunner().invoke(app, ["sim", "field", str(file)])
    assert ran.exit_code == 2 and "field.yaml:2" in ran.output


def test_meters_on_a_named_terminal_and_a_port_are_read(tmp_path: Path) -> None:
    async def run() -> None:
        radar = {"protocol": "modbus", "unit": 3, "model": "sen0676-radar", "measures": {"distance": 1.2, "level": 0.4}}
        lines = [
            {"at": "pty", "link": tmp_path / "meters", "baud": 115_200, "devices": [METER]},
            {"at": "127.0.0.1:0", "baud": 115_200, "devices": [radar]},
        ]
        async with running([], lines=lines) as said:
            line: dict[str, Any] = {"port": str(tmp_path / "meters"), "baud": 115_200, "parity": "none"}
            device: dict[str, Any] = {"device": "m1", "address": "161", "profile": "single-phase"}
            sink = await ran("dlt645", 2, line=line, devices=[device])
            read = {r.metric: r.value for r in sink.readings}
            assert read["energy"] == 317.76 and read["voltage"] == 231.9
            port = int(said[1].split(":")[2].split(",")[0])
            device = {"device": "d1", "unit": 3, "profile": "sen0676-radar"}
            sink = await ran("modbus-rtu", 1, line={"host": "127.0.0.1", "tcp_port": port}, devices=[device])
            assert sink.readings[0].value in (1.2, 0.4)
        assert not (tmp_path / "meters").is_symlink()

    asyncio.run(run())


def test_people_at_a_scanner_are_told_as_they_were(tmp_path: Path) -> None:
    async def run() -> None:
        people = {"per_min": 6_000, "fever_share": 0.2, "unmeasured_share": 0.1}
        scanner = {"protocol": "isapi", "mac": "a4:d5:c2:24:dd:74", "listen": "127.0.0.1:0", "people": people}
        truth: list[dict[str, Any]] = []
        async with running(truth, scanners=[{"name": "gate-1", **scanner}]) as said:
            login: dict[str, Any] = {"username": "gateway", "password": "simulated", "site_key": KEY}
            where: dict[str, Any] = {
                "host": "127.0.0.1",
                "port": int(said[0].split(":")[-1]),
                "bookmark": str(tmp_path / "bookmark"),
            }
            sink = await ran("hikvision", 30, device="gate-1", **login, **where)
        measured = {(each["time_ms"] // 1000, each["skin_c"]) for each in truth}
        assert {(r.time_ms // 1000, r.value) for r in sink.readings} <= measured
        assert {each["has_fever"] for each in truth} == {True, False}
        assert all(each["has_fever"] == (each["true_c"] >= 37.3) for each in truth)

    asyncio.run(run())


@pytest.mark.integration
def test_sensors_say_plain_json_to_any_broker(mosquitto_port: int) -> None:
    async def run() -> None:
        heard: list[dict[str, Any]] = []

        def take(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
            heard.append(json.loads(message.payload))

        client = Client(CallbackAPIVersion.VERSION2, "somebody")
        client.on_message = take
        client.connect("127.0.0.1", mosquitto_port)
        client.subscribe("site/#", 1)
        client.loop_start()
        sensor = {
            "name": "drain-1",
            "broker": f"127.0.0.1:{mosquitto_port}",
            "topic": "site/drain-1",
            "every_s": 0.02,
            "measures": {"level": {"start": 0.3, "noise": 0.01}},
            "faults": [{"fault": "silence", "share": 0.3}],
        }
        async with running([], json=[sensor]):
            await until(lambda: len(heard) >= 5, "five messages")
        client.disconnect()
        client.loop_stop()
        assert {each["device"] for each in heard} == {"drain-1"}
        assert all(abs(each["level"] - 0.3) < 0.06 for each in heard)

    asyncio.run(run())


def test_a_device_that_ends_says_so() -> None:
    hot = {"distance": 1.2, "temperature": 1e6}  # beyond what its two bytes hold
    sensor = {"eui": "24e124713c140001", "model": "em400-mud", "broker": "127.0.0.1:1", "measures": hot}

    async def run() -> None:
        with capture_logs() as said:
            async with running([], lorawan=[sensor]):
                await until(lambda: bool(said), "a word")
        assert [(line["log_level"], line["device"]) for line in said] == [("error", "24e124713c140001")]

    asyncio.run(run())


def test_a_signal_is_the_same_for_the_same_time_however_often_it_is_asked_for() -> None:
    signal = Signal(start=10, per_hour=2, swing=3, period_h=4, noise=0.1)
    at = _signals({"x": signal, "y": 5.0}, seed=1, start_ms=0)
    assert at(3_600_000) == at(3_600_000)
    assert at(3_600_000)["x"] == pytest.approx(15, abs=0.5)  # a quarter of the period: the swing in full
    assert at(3_600_000)["y"] == 5.0
    assert _signals({"x": signal}, seed=2, start_ms=0)(3_600_000) != at(3_600_000)


def test_the_command_says_where_everything_is_and_what_was_true(tmp_path: Path) -> None:
    file, truth = tmp_path / "field.yaml", tmp_path / "truth.jsonl"
    scanner: dict[str, Any] = {"name": "g", "protocol": "isapi", "mac": "a4:d5:c2:24:dd:74", "listen": "127.0.0.1:0"}
    scanner["people"] = {"per_min": 60_000}
    file.write_text(yaml.safe_dump({"lines": [{"at": "127.0.0.1:0", "devices": [METER]}], "scanners": [scanner]}))
    ran = CliRunner().invoke(app, ["sim", "field", str(file), "--for", "0.3", "--truth", str(truth)])
    assert ran.exit_code == 0, ran.output
    assert "dlt645 000000000161: 127.0.0.1:" in ran.output and "isapi g: 127.0.0.1:" in ran.output
    told = [json.loads(line) for line in truth.read_text().splitlines()]
    assert told[0]["scanner"] == "g" and told[-1] == {"injected": {}}
