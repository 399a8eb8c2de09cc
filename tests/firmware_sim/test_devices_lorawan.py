"""Simulated LoRaWAN sensors as network servers publish them, read by the gateway's driver."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from firmware_sim.devices.lorawan import LoraSensor, Model, Server
from firmware_sim.field import FieldOfDevices
from firmware_sim.field_settings import FieldSettings

from gateway.drivers.lorawan.decoders import DECODERS, decode_payload
from gateway.drivers.lorawan.driver import LorawanDriver
from gateway.drivers.lorawan.settings import LorawanSettings
from gateway.drivers.lorawan.uplink import decode_uplink
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.quality import Quality
from tests.firmware_sim.field import steady
from tests.gateway.support import ListSink, until
from tests.vectors.vector import FOLDER

NOW_MS = 1_795_392_000_123
EUI = "24e124713c140001"
DECODER: Mapping[Model, str] = {
    "em310-udl": "milesight-em310-udl",
    "em400-mud": "milesight-em400-mud",
    "em500-udl": "milesight-em500-udl",
    "em500-swl": "milesight-em500-swl",
    "ldds75": "dragino-ldds75",
}
AT = steady(distance=1.234, level=0.46, battery=92.0, temperature=25.7)
MODELS: tuple[Model, ...] = tuple(DECODER)
SERVERS: tuple[Server, ...] = ("chirpstack-v4", "chirpstack-v3", "tts-v3")


def read(sensor: LoraSensor, now_ms: int = NOW_MS) -> list[Any]:
    """What the gateway's decoders make of one uplink: the moments of each message."""
    return [
        decode_payload(DECODERS[DECODER[sensor.model]], uplink.port, uplink.payload)
        for message in sensor.messages(now_ms)
        for uplink in [decode_uplink(message, NOW_MS + 10_000_000)]
    ]


def vectors() -> list[Any]:
    path = FOLDER / "lorawan.json"
    published = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [pytest.param(v, id=v["name"]) for v in published if "hex" in v and "LDDS75" not in v["protocol"]]


@pytest.mark.parametrize("vector", vectors())
def test_a_published_payload_is_said_byte_for_byte(vector: dict[str, Any]) -> None:
    decoded = vector["decoded"]
    (model,) = (model for model in MODELS if model in vector["protocol"].lower())
    values = {
        "battery": decoded["battery_pct"],
        "distance": decoded.get("distance_mm", 0) / 1000,
        "level": decoded.get("depth_cm", 0) / 100,
        "temperature": decoded.get("temperature_C", 0.0),
    }
    sensor = LoraSensor(EUI, model, steady(**values), is_tilted=decoded.get("position") == "tilt")
    assert sensor.payload(NOW_MS).hex() == vector["hex"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("model", MODELS)
def test_each_model_at_each_server_is_read_as_it_measures(model: Model, server: Server) -> None:
    sensor = LoraSensor(EUI, model, AT, server)
    for frame in range(3):  # the first is numbered 0, which some servers leave out
        (message,) = sensor.messages(NOW_MS + frame)
        uplink = decode_uplink(message, NOW_MS + 10_000_000)
        assert (uplink.eui, uplink.frame, uplink.time_ms, uplink.quality) == (EUI, frame, NOW_MS + frame, Quality.GOOD)
        (moment,) = decode_payload(DECODERS[DECODER[model]], uplink.port, uplink.payload).measured
        if model == "em500-swl":
            assert moment.values["depth_cm"] == 46
        else:
            assert moment.values["distance_mm"] == 1234
        if model in ("em400-mud", "ldds75"):
            assert moment.values["temperature_c"] == pytest.approx(25.7)


@pytest.mark.parametrize("model", MODELS)
def test_no_echo_is_no_distance(model: Model) -> None:
    ((moment,),) = (payload.measured for payload in read(LoraSensor(EUI, model, AT, is_deaf=True)))
    assert moment.values["depth_cm" if model == "em500-swl" else "distance_mm"] is None


def test_what_a_newer_firmware_adds_costs_nothing_of_what_is_known() -> None:
    (payload,) = read(LoraSensor(EUI, "em310-udl", AT, has_unknown=True, is_tilted=True))
    assert payload.rest == b"\x07\xc8\x12\x34"
    assert payload.measured[0].values["distance_mm"] == 1234 and payload.measured[0].values["tilted"] == 1


def test_what_the_radio_lost_comes_later_with_its_own_time() -> None:
    sensor = LoraSensor(EUI, "em500-udl", lambda now_ms: {"distance": now_ms % 5_000_000 / 1_000_000}, lost_share=0.5)
    due, came = {}, {}
    for minute in range(200):
        at_ms = NOW_MS + 60_000 * minute
        due[at_ms // 1000] = round(at_ms % 5_000_000 / 1000)
        for payload in read(sensor, at_ms):
            for moment in payload.measured:
                second = at_ms // 1000 if moment.time_ms is None else moment.time_ms // 1000
                assert second not in came, "twice"
                came[second] = moment.values["distance_mm"]
    assert sensor.injected["lost-uplink"] > 50 and sensor.injected["said-later"] > 50
    assert came == {second: due[second] for second in came} and len(came) >= 195


@pytest.mark.integration
def test_a_field_of_sensors_at_a_broker_is_read_once_each(mosquitto_port: int) -> None:
    async def run() -> None:
        where = f"127.0.0.1:{mosquitto_port}"
        shared: dict[str, Any] = {"broker": where, "every_s": 0.05, "measures": {"distance": 1.234, "level": 0.46}}
        sensors: list[dict[str, Any]] = [
            {"eui": EUI, "model": "em310-udl", "doubled_share": 0.5, "lost_share": 0.2, **shared},
            {"eui": EUI[:-1] + "2", "model": "em500-swl", "server": "tts-v3", "lost_share": 0.3, **shared},
            {"eui": EUI[:-1] + "3", "model": "ldds75", "server": "chirpstack-v3", "is_deaf": True, **shared},
            {"eui": EUI[:-1] + "4", "model": "em310-udl", "is_tilted": True, "has_unknown": True, **shared},
        ]
        distance = {"metric": "distance", "field": "distance_mm", "scale": 0.001}
        tilted = {**distance, "suspect_if": "tilted"}
        depth = {"metric": "water_level", "field": "depth_cm", "scale": 0.01}
        quantities = [distance, depth, distance, tilted]
        settings = LorawanSettings.model_validate(
            {
                "driver": "lorawan",
                "broker": {"host": "127.0.0.1", "port": mosquitto_port},
                "client_id": "gw-lora",
                "topics": ["application/+/device/+/event/up", "v3/+/devices/+/up"],
                "devices": [
                    {"device": f"s{i}", "eui": s["eui"], "decoder": DECODER[s["model"]], "quantities": [q]}
                    for i, (s, q) in enumerate(zip(sensors, quantities, strict=True))
                ],
            }
        )
        events, sink = Events(SystemClock()), ListSink()
        driving = asyncio.create_task(LorawanDriver(settings, SystemClock(), events).run(sink))
        field = FieldOfDevices(FieldSettings.model_validate({"lorawan": sensors}), SystemClock(), lambda _: None)
        async with field.open() as said:
            assert said[1].startswith(f"lorawan {EUI[:-1]}2: {where} v3/")

            def have_all() -> bool:
                counts = Counter(r.device for r in sink.readings)
                return driving.done() or min(counts["s0"], counts["s1"], counts["s3"]) >= 10

            await until(have_all, "ten readings of each")
            injected = field.injected
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        values = {(r.device, round(r.value, 6)) for r in sink.readings}
        assert values == {("s0", 1.234), ("s1", 0.46), ("s3", 1.234)}
        assert {r.quality for r in sink.readings if r.device == "s3"} == {Quality.SUSPECT}
        assert injected["doubled"] > 0 and events.counters()["duplicates"] > 0 and events.counters()["invalid"] > 0
        assert events.counters()["noise_bytes"] > 0, "the unknown channel"
        times = [r.time_ms for r in sink.readings if r.device == "s0"]
        assert len(set(times)) == len(times)

    asyncio.run(run())
