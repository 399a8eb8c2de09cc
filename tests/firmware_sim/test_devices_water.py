"""Water and other meters of CJ/T 188 and M-Bus on simulated lines, read by the gateway's drivers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from firmware_sim.devices import cjt188, mbus
from firmware_sim.devices.cjt188 import Meter188
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Device, Wire
from firmware_sim.devices.mbus import MeterMbus
from firmware_sim.devices.quantities import Quantities

from tests.firmware_sim.field import CLOCK, misbehaving, polled, steady
from tests.sim.loop import EPOCH_MS
from tests.vectors.vector import FOLDER

WATER = steady(volume=1234.56, flow=0.12)
ADDRESS = "78330011223344"
M1 = {"device": "m1", "address": ADDRESS, "profile": "water-with-state"}
M2 = {"device": "m2", "address": "00002020120218"}


def meter(address: str = ADDRESS, quantities: Quantities = WATER, **fields: Any) -> Meter188:
    return Meter188(address, quantities, CLOCK, **fields)


def vectors(file: str) -> list[Any]:
    path = FOLDER / file
    published = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [pytest.param(v, id=v["name"]) for v in published if not v["protocol"].startswith("wM-Bus")]


@pytest.mark.parametrize("vector", vectors("cjt188.json"))
def test_published_frames_are_read_and_written_byte_for_byte(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    frame = cjt188.find_frame(data)
    assert (frame is not None) == vector["checksum_ok"]
    if frame is not None:
        assert frame.encoded() == data.lstrip(b"\xfe")
        assert frame.address == vector["decoded"]["address"].lower()


@pytest.mark.parametrize("vector", vectors("mbus.json"))
def test_published_telegrams_are_cut_out_whole(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    body = mbus.find_request(b"\xff\x68" + data)
    assert body == (data[1:3] if data[0] == 0x10 else data[4:-2])


def test_the_volume_of_a_published_answer_is_said_as_published() -> None:
    request = cjt188.Frame(0x10, ADDRESS, 0x01, bytes.fromhex("1f9000")).encoded()
    answer = meter(quantities=steady(volume=556_677.0, settlement_volume=556_677.0), is_swapped=True).hear(
        request, EPOCH_MS
    )
    assert answer is not None
    said = answer.data.lstrip(b"\xfe")
    assert said[:24] == bytes.fromhex("68104433221100337881161f9000007766552c007766552c")[:24]
    assert said[24:31][::-1].hex() == "20260921221320"  # what the simulated world's clock shows in Shanghai


# the gateway's drivers from here on


def test_water_meters_are_read_in_both_dialects() -> None:
    swapped = meter(
        "00002020120218", steady(volume=0.07), is_swapped=True, status_layout="high-bits", is_battery_low=True
    )
    other = {**M2, "identifier_order": "1f-90", "status_layout": "high-bits", "profile": "water-with-state"}
    outcome = polled("cjt188", [meter(), swapped], devices=[M1, other])
    assert outcome.newest("m1") == {"volume": 1234.56, "battery_low": 0, "valve_closed": 0}
    assert outcome.newest("m2") == {"volume": 0.07, "battery_low": 1, "valve_closed": 0}


@pytest.mark.parametrize(
    ("fields", "counter"),
    [({"layout": "without-units"}, "refused_answers"), ({"numbers_answers_wrong": True}, "outages")],
    ids=["a-layout-without-units", "a-number-that-nobody-gave"],
)
def test_what_only_looks_like_an_answer_is_refused_and_harms_no_neighbour(fields: dict[str, Any], counter: str) -> None:
    outcome = polled("cjt188", [meter(**fields), meter("00002020120218")], for_s=200, every_s=20, devices=[M1, M2])
    assert outcome.values("m1", "volume") == [] and outcome.counters[counter] > 0
    assert outcome.values("m2", "volume") == [1234.56] * 10


def test_a_register_rolls_over_and_a_dying_battery_is_told_before_the_silence() -> None:
    def make(quantities: Quantities, clock: MeterClock) -> Device:
        return Meter188(ADDRESS, quantities, clock, is_battery_low=True)

    def volume(now_ms: int) -> dict[str, float]:
        return {"volume": 999_999.9 + (now_ms - EPOCH_MS) / 1000 * 0.01}

    dying = misbehaving(make, volume, {"fault": "silence", "from_s": 60})
    outcome = polled("cjt188", [dying, meter("00002020120218")], devices=[M1, M2])
    assert max(outcome.values("m1", "volume")) > 999_999 and 0 <= min(outcome.values("m1", "volume")) < 1
    assert set(outcome.values("m1", "battery_low")) == {1} and len(outcome.values("m1", "volume")) == 6
    assert outcome.counters["outages"] == 1 and outcome.values("m2", "volume") == [1234.56] * 10


@pytest.mark.parametrize("fault", ["wrong-checksum", "cut-off"])
@pytest.mark.parametrize("driver", ["cjt188", "mbus"])
def test_spoilt_answers_are_no_readings(driver: str, fault: str) -> None:
    def make(quantities: Quantities, clock: MeterClock) -> Device:
        if driver == "cjt188":
            return Meter188(ADDRESS, quantities, clock)
        return MeterMbus("11223344", quantities, primary=1)

    bad = misbehaving(make, WATER, {"fault": fault, "share": 0.4})
    good = meter("00002020120218") if driver == "cjt188" else MeterMbus("55667788", WATER, primary=2)
    devices: list[dict[str, Any]] = [M1, M2]
    if driver == "mbus":
        devices = [{"device": f"m{i}", "primary": i, "profile": "water"} for i in (1, 2)]
    outcome = polled(driver, [bad, good], for_s=400, every_s=20, wire=Wire(bit_error_rate=1e-4), devices=devices)
    assert bad.injected[fault] > 0 and outcome.counters["noise_bytes"] > 0
    assert all(abs(r.value - 1234.56) < 1e-9 for r in outcome.sink.readings if r.metric == "volume")
    assert len(outcome.values("m1", "volume")) > 5 and len(outcome.values("m2", "volume")) > 15


def test_an_acknowledgement_of_one_byte_cannot_be_cut_off() -> None:
    def make(quantities: Quantities, _clock: MeterClock) -> Device:
        return MeterMbus("11223344", quantities, primary=1)

    bad = misbehaving(make, WATER, {"fault": "cut-off"})
    acknowledged = bad.hear(bytes.fromhex("1040014116"), EPOCH_MS)
    assert acknowledged is not None and acknowledged.data == b"\xe5" and bad.injected["cut-off"] == 0
    data = bad.hear(bytes.fromhex("107b017c16"), EPOCH_MS)
    assert data is not None and len(data.data) < 33 and bad.injected["cut-off"] == 1


def test_the_checksum_of_an_answer_that_was_cut_off_before_it_cannot_be_wrong() -> None:
    def make(quantities: Quantities, clock: MeterClock) -> Device:
        return Meter188(ADDRESS, quantities, clock)

    bad = misbehaving(make, WATER, {"fault": "cut-off"}, {"fault": "wrong-checksum"})
    request = cjt188.Frame(0x10, ADDRESS, 0x01, bytes.fromhex("901f00")).encoded()
    assert all(bad.hear(request, EPOCH_MS) is not None for _ in range(200))
    assert bad.injected["cut-off"] == 200 and 0 < bad.injected["wrong-checksum"] < 50


def test_a_part_of_a_cubic_metre_that_rounds_up_is_one_more() -> None:
    request = cjt188.Frame(0x10, ADDRESS, 0x01, bytes.fromhex("901f00")).encoded()
    answer = meter(quantities=steady(volume=41.9999999), layout="without-units").hear(request, EPOCH_MS)
    assert answer is not None
    assert cjt188.find_frame(answer.data).data[3:10] == bytes.fromhex("42000000000000")  # type: ignore[union-attr]


def test_mbus_meters_are_read_by_either_address() -> None:
    meters = [
        MeterMbus("11223344", WATER, primary=1),
        MeterMbus("55667788", steady(energy=1426.79, power=250.0), primary=0, medium="electricity"),
    ]
    devices = [
        {"device": "m1", "primary": 1, "profile": "water-with-flow"},
        {"device": "m2", "secondary": "55667788", "profile": "electricity"},
    ]
    outcome = polled("mbus", meters, devices=devices)
    assert outcome.newest("m1") == pytest.approx({"volume": 1234.56, "flow": 0.12})
    assert outcome.newest("m2") == pytest.approx({"energy": 1426.79})
    assert "outages" not in outcome.counters


def test_water_that_runs_back_is_said_with_its_sign() -> None:
    meters = [MeterMbus("11223344", steady(volume=7.2, flow=-0.12), primary=1)]
    outcome = polled("mbus", meters, devices=[{"device": "m1", "primary": 1, "profile": "water-with-flow"}])
    assert outcome.newest("m1") == pytest.approx({"volume": 7.2, "flow": -0.12})


def test_a_busy_mbus_meter_costs_only_itself() -> None:
    meters = [MeterMbus("11223344", WATER, primary=1, is_busy=True), MeterMbus("55667788", WATER, primary=2)]
    devices = [{"device": f"m{i}", "primary": i, "profile": "water"} for i in (1, 2)]
    outcome = polled("mbus", meters, devices=devices)
    assert outcome.newest("m1") == {} and outcome.counters["refused_answers"] > 0
    assert outcome.values("m2", "volume") == [pytest.approx(1234.56)] * 10
