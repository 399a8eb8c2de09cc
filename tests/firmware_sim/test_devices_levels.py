"""Level sensors on simulated SDI-12 wires and UARTs, read by the gateway's drivers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from firmware_sim.devices.faults import MisbehavingTalker, with_faults
from firmware_sim.devices.level_uart import DistanceSensor, Speech
from firmware_sim.devices.line import Device, Wire
from firmware_sim.devices.quantities import Quantities
from firmware_sim.devices.sdi12 import Sensor12, checksum, written

from telemetry.quality import Quality
from tests.firmware_sim.field import Outcome, faults, listened, misbehaving, steady
from tests.sim.loop import EPOCH_MS
from tests.vectors.vector import FOLDER

DEEP = steady(level=1.253, temperature=18.4)
GIVES = ("level", "temperature")
QUANTITIES = [
    {"metric": "water_level", "number": 1, "invalid": [-9999]},
    {"metric": "water_temperature", "number": 2},
]
S0: dict[str, Any] = {"device": "s0", "address": "0", "quantities": QUANTITIES}
S1: dict[str, Any] = {"device": "s1", "address": "z", "quantities": QUANTITIES}
ONE_M = steady(distance=1.234)


def vectors(file: str) -> list[dict[str, Any]]:
    path = FOLDER / file
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def sensor(address: str = "0", quantities: Quantities = DEEP, **fields: Any) -> Sensor12:
    return Sensor12(address, quantities, GIVES, **fields)


def asked(*peers: Device, devices: Any = (S0,), **more: Any) -> Outcome:
    return listened("sdi12", peers, every_s=10, devices=list(devices), **more)


def test_the_published_checksum_is_the_sensors_too() -> None:
    assert checksum("0+3.14") == "OqZ"
    assert [written(v) for v in (0, -18.4, 1.2534, 99_999.99, 12_345_678)] == [
        "+0.000", "-18.400", "+1.253", "+99999.99", "+9999999",
    ]  # fmt: skip


def test_what_a_sensor_is_asked_by_the_sheet_it_answers() -> None:
    one = sensor(ready_s=2)

    def say(command: str, after_ms: int = 0) -> str | None:
        answer = one.hear(command.encode(), EPOCH_MS + after_ms)
        return None if answer is None else answer.data.decode()

    assert say("0!") == "0\r\n" and say("?!") == "0\r\n" and say("1!") is None
    assert say("0I!") == "014GHSIM   LEVEL 1000\r\n"
    assert say("0M!") == "00022\r\n"
    assert say("0D0!", 1_000) == "0\r\n", "it is not ready yet"
    assert say("0D0!", 2_000) == "0+1.253+18.400\r\n"
    assert say("0CC!") == "000202\r\n"
    assert say("0D0!", 2_000) == "0+1.253+18.400" + checksum("0+1.253+18.400") + "\r\n"
    assert say("0D1!", 2_000) == "0" + checksum("0") + "\r\n"
    assert say("0A5!") == "5\r\n" and say("0!") is None and say("5!") == "5\r\n"
    called = sensor().hear(b"0M!", EPOCH_MS)
    assert called is not None and called.then is not None and (called.then.data, called.then.after_s) == (b"0\r\n", 1)


def test_two_sensors_of_a_wire_are_read_with_checksums() -> None:
    outcome = asked(sensor(), sensor("z", steady(level=-0.5, temperature=3)), devices=(S0, S1))
    assert outcome.newest("s0") == {"water_level": 1.253, "water_temperature": 18.4}
    assert outcome.values("s1", "water_level") == [-0.5] * 10
    assert "noise_bytes" not in outcome.counters and "outages" not in outcome.counters


def test_many_values_come_in_several_parts() -> None:
    names = tuple(f"v{i}" for i in range(20))
    many = Sensor12("0", steady(**{name: -1000.125 - i for i, name in enumerate(names)}), names)
    quantities = [{"metric": "water_level", "number": 1}, {"metric": "water_temperature", "number": 20}]
    outcome = asked(many, devices=[{**S0, "quantities": quantities}])
    assert outcome.newest("s0") == {"water_level": -1000.125, "water_temperature": -1019.125}


SDI12_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong-checksum": ({"fault": "wrong-checksum", "share": 0.5}, "refused_answers"),
    "cut-off": ({"fault": "cut-off", "share": 0.3}, "noise_bytes"),
    "slow": ({"fault": "slow", "by_s": 2.0, "share": 0.2}, "noise_bytes"),
    "silence": ({"fault": "silence", "from_s": 30}, "outages"),
    "reboot": ({"fault": "reboot", "from_s": 30, "for_s": 60}, "outages"),
}


@pytest.mark.parametrize("name", SDI12_FAULTS)
def test_a_sensor_that_misbehaves_says_nothing_wrong_and_harms_no_neighbour(name: str) -> None:
    fault, counted = SDI12_FAULTS[name]
    bad = misbehaving(lambda quantities, _clock: sensor(quantities=quantities), DEEP, fault)
    good = sensor("z", steady(level=2.5, temperature=7.0))
    outcome = asked(bad, good, devices=(S0, S1), for_s=300)
    assert bad.injected[name] > 0, "the fault never happened"
    assert counted == "noise_bytes" or outcome.counters[counted] > 0
    assert set(outcome.values("s0", "water_level")) == {1.253}
    assert set(outcome.values("s0", "water_temperature")) == {18.4}
    assert set(outcome.values("s1", "water_level")) == {2.5} and len(outcome.values("s1", "water_level")) >= 25
    if name == "reboot":
        assert len(outcome.values("s0", "water_level")) > 10, "it came back"


@pytest.mark.parametrize(
    ("fields", "has_checksum", "readings", "counted"),
    [
        ({"promises_more": 3}, True, 10, None),
        ({"is_late": True, "ready_s": 2}, True, 0, "invalid"),
        ({"knows_checksum": False}, True, 0, "outages"),
        ({"knows_checksum": False}, False, 10, None),
        ({"misses_first": True}, True, 0, "outages"),  # to wake it is the adapter's part, with a break
    ],
)
def test_what_a_sensor_does_otherwise_costs_at_most_its_readings(
    fields: dict[str, Any], has_checksum: bool, readings: int, counted: str | None
) -> None:
    outcome = asked(sensor(**fields), devices=[{**S0, "has_checksum": has_checksum}])
    assert outcome.values("s0", "water_level") == [1.253] * readings
    assert counted is None or outcome.counters[counted] > 0


def test_a_sensor_without_an_echo_says_so_and_its_temperature_still_counts() -> None:
    outcome = asked(sensor(is_deaf=True))
    assert outcome.newest("s0") == {"water_temperature": 18.4} and outcome.counters["invalid"] == 10


@pytest.mark.parametrize(
    "wire",
    [Wire(1200, 10, echoes=True), Wire(1200, 10, bit_error_rate=0.001), Wire(1200, 10, byte_loss_rate=0.01)],
    ids=["echo", "bit-errors", "byte-loss"],
)
def test_a_bad_wire_costs_readings_and_falsifies_none(wire: Wire) -> None:
    outcome = asked(sensor(), for_s=600, wire=wire)
    assert set(outcome.values("s0", "water_level")) == {1.253} and len(outcome.values("s0", "water_level")) > 40
    assert wire.echoes or sum(outcome.line.injected.values()) > 0


def test_published_frames_of_distance_sensors_are_said_byte_for_byte() -> None:
    said = DistanceSensor("auto", steady(distance=1.953)).speak(EPOCH_MS)
    asked_for = DistanceSensor("urm", steady(distance=2.02)).hear(bytes.fromhex("55aa11000212"), EPOCH_MS)
    assert said is not None and asked_for is not None
    assert (said.data.hex(), asked_for.data.hex()) == ("ff07a1a7", "55aa11020200cade")
    for vector in vectors("level_uart.json"):
        assert vector["hex"] in ("ff07a1a7", "55aa11000212", "55aa11020200cade"), "a published frame without its twin"


def heard(one: DistanceSensor, *declared: dict[str, Any], for_s: float = 100.0, **more: Any) -> Outcome:
    wrong = faults(*declared)
    one.quantities = with_faults(one.quantities, wrong, EPOCH_MS)
    mount = {"height_m": 3.0, "blind_m": 0.25, "range_m": 9.0}
    scale = {"urm": 0.001, "auto": 0.001, "text": 0.001}[one.speaks]
    settings: dict[str, Any] = {
        "device": "s0",
        "speaks": one.speaks,
        "quantity": {"metric": "water_level", "scale": scale, "mount": mount},
        **({"pattern": r"R(\d{4})"} if one.speaks == "text" else {}),
    }
    bad = MisbehavingTalker(one, wrong, EPOCH_MS, seed=3)
    peers, talkers = ([one], []) if one.speaks == "urm" else ([], [bad])
    outcome = listened("level-uart", peers, talkers, for_s=for_s, wire=Wire(9600, 10), **settings, **more)
    assert all(bad.injected[each["fault"]] > 0 for each in declared if each["fault"] not in ("frozen", "reset"))
    return outcome


@pytest.mark.parametrize(("speaks", "level"), [("auto", 1.766), ("text", 1.766), ("urm", 1.77)])
def test_a_distance_is_read_however_it_is_said(speaks: Speech, level: float) -> None:
    outcome = heard(DistanceSensor(speaks, ONE_M))
    assert outcome.values("s0", "water_level") == pytest.approx([level] * 9, abs=1e-9)
    assert {r.quality for r in outcome.sink.readings} == {Quality.GOOD}


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "wrong-checksum", "share": 0.4},
        {"fault": "cut-off", "share": 0.4},
        {"fault": "silence", "share": 0.4},
        {"fault": "slow", "by_s": 0.35, "share": 0.3},
        {"fault": "reboot", "from_s": 20, "for_s": 35},
    ],
    ids=lambda fault: fault["fault"],
)
def test_a_distance_sensor_that_misbehaves_says_nothing_wrong(fault: dict[str, Any]) -> None:
    outcome = heard(DistanceSensor("auto", ONE_M), fault)
    values = outcome.values("s0", "water_level")
    assert values == pytest.approx([1.766] * len(values)) and len(values) >= (5 if fault["fault"] == "reboot" else 9)


def test_neither_a_rung_nor_a_second_sensor_in_the_air_moves_the_median() -> None:
    outcome = heard(DistanceSensor("auto", ONE_M, rung_m=0.6, rung_share=0.2, disturbed_share=0.3))
    assert outcome.values("s0", "water_level") == pytest.approx([1.766] * 9)


def test_no_echo_gives_no_reading_in_frames_and_one_beyond_the_range_in_lines() -> None:
    for speaks in ("auto", "urm"):
        outcome = heard(DistanceSensor(speaks, ONE_M, is_deaf=True))
        assert outcome.sink.readings == [] and outcome.counters["invalid"] > 0
    outcome = heard(DistanceSensor("text", ONE_M, is_deaf=True))
    assert {r.quality for r in outcome.sink.readings} == {Quality.BAD}


def test_water_in_the_blind_zone_is_suspect_and_never_a_good_empty_drain() -> None:
    near = steady(distance=0.1)
    stuck = heard(DistanceSensor("auto", near))
    assert {(r.value, r.quality) for r in stuck.sink.readings} == {(2.75, Quality.SUSPECT)}
    far = heard(DistanceSensor("auto", near, in_blind="far"))
    assert {r.quality for r in far.sink.readings} == {Quality.BAD}
