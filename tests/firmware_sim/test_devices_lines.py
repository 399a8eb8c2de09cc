"""Electricity meters and sensors on simulated lines, read by the gateway's drivers."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from firmware_sim.devices.dlt645 import Edition, Frame, Meter645, find_frame
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Answer, Device, SerialLine, Wire
from firmware_sim.devices.modbus_unit import MODELS, ModbusUnit, crc16, find_request
from firmware_sim.devices.ports import pty_port, tcp_port
from firmware_sim.devices.quantities import Quantities
from hypothesis import given
from hypothesis import strategies as st

from telemetry.clock import SystemClock
from tests.firmware_sim.field import CLOCK, MasterEnd, counting, misbehaving, polled, ran, steady
from tests.gateway.meters.wire import on_virtual_time
from tests.sim.loop import EPOCH_MS, SimClock
from tests.vectors.vector import FOLDER

ROOM = steady(energy=317.76, voltage=231.9, current=-15.634, power=234.5, power_factor=0.98)
AT_161 = {"device": "m1", "address": "000000000161", "profile": "single-phase"}
AT_162 = {"device": "m2", "address": "000000000162", "profile": "single-phase"}
READ_AS = {"energy": 317.76, "voltage": 231.9, "current": -15.634, "power": 234.5, "power_factor": 0.98}


def meter(address: str = "000000000161", quantities: Quantities = ROOM, **fields: Any) -> Meter645:
    return Meter645(address, quantities, CLOCK, **fields)


def vectors(file: str) -> list[Any]:
    path = FOLDER / file
    if not path.exists():
        return []
    return [
        pytest.param(v, id=v["name"])
        for v in json.loads(path.read_text(encoding="utf-8"))
        if "RTU" in v["protocol"] or "645" in v["protocol"]
    ]


@pytest.mark.parametrize("vector", vectors("dlt645.json"))
def test_published_frames_of_meters_are_read_and_written_byte_for_byte(vector: dict[str, Any]) -> None:
    data, decoded = bytes.fromhex(vector["hex"]), vector["decoded"]
    frame = find_frame(data)
    assert (frame is not None) == vector["checksum_ok"]
    if frame is not None:
        assert frame == Frame(
            decoded["address"], int(decoded["control"], 16), bytes.fromhex(decoded["data_minus33_wire_order"])
        )
        assert frame.encoded() == data.lstrip(b"\xfe")


@pytest.mark.parametrize(
    ("name", "edition", "quantities", "thinks"),
    [
        ("2007_combined_energy_rsp_317.76kWh", 2007, {"energy": 317.76}, "00000000"),
        ("2007_voltageA_rsp_231.9V", 2007, {"voltage": 231.9}, "02010100"),
        ("2007_voltage_block_rsp_C239.4", 2007, {"voltage_a": 0, "voltage_b": 0, "voltage_c": 239.4}, "0201FF00"),
        ("1997_fwd_energy_rsp_1426.79kWh", 1997, {"energy": 1426.79}, "9010"),
        ("1997_currentA_rsp_4.99A", 1997, {"current": 4.99}, "B621"),
    ],
)
def test_a_meter_says_what_real_ones_said(
    name: str, edition: Edition, quantities: dict[str, float], thinks: str
) -> None:
    found = [v.values[0] for v in vectors("dlt645.json") if v.id == name]
    if not found:
        pytest.skip("no vector files here")
    published: Any = found[0]
    address = published["decoded"]["address"]
    control = 0x11 if edition == 2007 else 0x01
    request = Frame(address, control, bytes.fromhex(thinks)[::-1]).encoded()
    answer = Meter645(address, steady(**quantities), CLOCK, edition).hear(request, EPOCH_MS)
    assert answer is not None
    assert answer.data.lstrip(b"\xfe") == bytes.fromhex(published["hex"]).lstrip(b"\xfe")


@pytest.mark.parametrize("vector", vectors("modbus.json"))
def test_published_frames_of_units_have_our_crc_or_are_wrong(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    assert (crc16(data[:-2]) == data[-2:]) == vector["checksum_ok"]


def test_a_unit_says_what_its_document_shows() -> None:
    """230.2 V of the SDM120, and what is refused for an odd address."""
    unit = ModbusUnit(1, MODELS["sdm120"], steady(voltage=230.200_012))
    said = unit.hear(bytes.fromhex("01040000000271cb"), EPOCH_MS)
    assert said is not None and said.data == bytes.fromhex("010404436633341b38")
    odd = bytes.fromhex("010400010002")
    said = unit.hear(odd + crc16(odd), EPOCH_MS)
    assert said is not None and said.data[:3] == bytes.fromhex("018402")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_request_is_found_in_noise_and_noise_is_no_request(before: bytes, behind: bytes) -> None:
    request = Frame("000000000161", 0x11, bytes.fromhex("00000100"))
    assert find_frame(before + request.encoded() + behind) is not None
    assert find_request(before.replace(b"\x01", b"") + bytes.fromhex("01040000000271cb"), 1) is not None


# the gateway's drivers from here on


def test_both_editions_and_their_neighbours_are_read() -> None:
    old = Meter645("010003635927", steady(energy=1426.79, voltage=223, current=4.99, power=1100.5), CLOCK, 1997)
    old_device = {"device": "m3", "address": "010003635927", "profile": "single-phase-1997"}
    outcome = polled("dlt645", [meter(), meter("000000000162"), old], devices=[AT_161, AT_162, old_device])
    assert outcome.newest("m1") == outcome.newest("m2") == READ_AS
    assert outcome.newest("m3") == {"energy": 1426.79, "voltage": 223, "current": 4.99, "power": pytest.approx(1100.5)}
    assert outcome.line.injected.total() == 0


def test_what_three_phase_meters_say_in_blocks_is_read() -> None:
    values: dict[str, float] = {
        "energy": 1.0,
        "energy_reverse": 2.0,
        "power": 660.0,
        "power_factor": -0.5,
        "frequency": 50.01,
    }
    for number, phase in enumerate("abc"):
        values |= {f"voltage_{phase}": 230.0 + number, f"current_{phase}": -1.5 - number, f"power_{phase}": -220.0}
    outcome = polled("dlt645", [meter(quantities=steady(**values))], devices=[{**AT_161, "profile": "three-phase"}])
    assert outcome.newest("m1") == pytest.approx(values)


def test_a_value_in_parts_is_put_together() -> None:
    quantities = steady(energy=10, energy_t1=1, energy_t2=2, energy_t3=3, energy_t4=4)
    points = [{"metric": f"e{i}", "item": "0001FF00", "index": i} for i in range(5)]
    device = {**AT_161, "profile": "p"}
    outcome = polled("dlt645", [meter(quantities=quantities, part_bytes=8)], profiles={"p": points}, devices=[device])
    assert outcome.newest("m1") == {"e0": 10, "e1": 1, "e2": 2, "e3": 3, "e4": 4}


def test_a_counter_rolls_over_at_its_last_digit() -> None:
    """0.02 kWh a second from 0.2 below the end."""
    outcome = polled(
        "dlt645", [meter(quantities=counting(999_999.80, 72.0))], devices=[{**AT_161, "profile": "energy"}]
    )
    energy = outcome.values("m1", "energy")
    fallen = [i for i, (a, b) in enumerate(itertools.pairwise(energy)) if b < a]
    assert len(fallen) == 1 and max(energy) <= 999_999.99 and min(energy) < 2


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong-checksum": ({"fault": "wrong-checksum", "share": 0.3}, "noise_bytes"),
    "cut-off": ({"fault": "cut-off", "share": 0.3}, "noise_bytes"),
    "slow": ({"fault": "slow", "by_s": 1.0, "share": 0.2}, "noise_bytes"),
    "silence": ({"fault": "silence", "from_s": 30}, "outages"),
    "reboot": ({"fault": "reboot", "from_s": 30, "for_s": 40}, "outages"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_meter_that_misbehaves_says_nothing_wrong_and_harms_no_neighbour(name: str) -> None:
    fault, counted = FAULTS[name]

    def make(quantities: Quantities, clock: MeterClock) -> Device:
        return Meter645("000000000161", quantities, clock)

    bad = misbehaving(make, ROOM, fault)
    outcome = polled("dlt645", [bad, meter("000000000162")], for_s=300, every_s=10, devices=[AT_161, AT_162])
    assert bad.injected[name] > 0, "the fault never happened"
    assert outcome.counters[counted] > 0
    for metric, value in READ_AS.items():
        assert set(outcome.values("m1", metric)) == {value}
        assert outcome.values("m2", metric) == [value] * 30
    if name == "reboot":
        assert len(outcome.values("m1", "energy")) > 20, "it came back"


def test_the_energy_of_a_meter_that_is_cleared_begins_anew_and_a_frozen_one_stays() -> None:
    def make(quantities: Quantities, clock: MeterClock) -> Device:
        return Meter645("000000000161", quantities, clock)

    cleared = misbehaving(make, counting(500, 36), {"fault": "reset", "from_s": 50})
    outcome = polled("dlt645", [cleared], devices=[{**AT_161, "profile": "energy"}])
    energy = outcome.values("m1", "energy")
    assert min(energy[:5]) >= 500 and max(energy[5:]) < 1 and energy[5:] == sorted(energy[5:])
    frozen = misbehaving(make, counting(500, 36), {"fault": "frozen", "from_s": 50})
    outcome = polled("dlt645", [frozen], devices=[{**AT_161, "profile": "energy"}])
    assert len(set(outcome.values("m1", "energy")[:5])) == 5 and len(set(outcome.values("m1", "energy")[6:])) == 1


def test_a_clock_drifts_and_begins_anew_after_a_reboot() -> None:
    def shown(clock: MeterClock, after_s: float) -> str:
        asked = Frame("000000000161", 0x11, bytes.fromhex("04000102")[::-1]).encoded()
        answer = Meter645("000000000161", ROOM, clock).hear(asked, EPOCH_MS + round(after_s * 1000))
        assert answer is not None
        frame = find_frame(answer.data)
        assert frame is not None
        return frame.data[4:][::-1].hex()

    def clock(*declared: dict[str, Any]) -> MeterClock:
        taken: list[MeterClock] = []
        misbehaving(lambda _q, c: taken.append(c) or meter(), ROOM, *declared)  # type: ignore[func-returns-value]
        return taken[0]

    assert shown(CLOCK, 0) == "221320"  # in Shanghai; 14:13:20 UTC
    assert shown(clock({"fault": "clock-drift", "s_per_day": 60}), 86_400) == "221420"
    assert shown(clock({"fault": "reboot", "from_s": 10, "for_s": 5}), 20) == "000005"


def test_items_that_a_meter_hides_or_keeps_silent_about_cost_only_themselves() -> None:
    hiding = meter(hides=frozenset({"02060000"}))
    outcome = polled("dlt645", [hiding], devices=[AT_161])
    assert "power_factor" not in outcome.newest("m1") and outcome.counters["invalid"] == 10
    lacking = meter(quantities=steady(energy=317.76, voltage=231.9))
    for device, refused in (
        (lacking, 30),
        (meter(quantities=steady(energy=1, current=2, power=3), is_mute_about_unknown=True), 20),
    ):
        outcome = polled("dlt645", [device], devices=[AT_161], attempts=1)
        assert outcome.counters["refused_answers"] == refused and "outages" not in outcome.counters


def test_an_answer_under_the_wildcard_address_is_read() -> None:
    alone = Meter645("010003635927", steady(energy=1426.79), CLOCK, 1997, answers_as_wildcard=True)
    named = {"device": "m1", "address": "010003635927", "profile": "energy-1997"}
    assert polled("dlt645", [alone], devices=[named]).newest("m1") == {"energy": 1426.79}


def test_a_meter_that_answers_for_others_spoils_their_answers_but_no_reading() -> None:
    rude = meter(refuses_for_others=True)
    outcome = polled("dlt645", [rude, meter("000000000162", thinks_s=0.2)], devices=[AT_161, AT_162])
    assert outcome.newest("m1") == READ_AS
    assert all(value == READ_AS[r.metric] for r in outcome.sink.readings for value in [r.value])


def test_two_meters_of_one_address_give_no_reading_rather_than_a_wrong_one() -> None:
    twins = [meter(quantities=steady(energy=111.11)), meter(quantities=steady(energy=222.22))]
    devices = [{**AT_161, "profile": "energy"}, {**AT_162, "profile": "energy"}]
    outcome = polled("dlt645", [*twins, meter("000000000162")], for_s=200, devices=devices)
    assert outcome.line.injected["collided"] > 0
    assert outcome.values("m1", "energy") == [] and set(outcome.values("m2", "energy")) == {317.76}
    assert outcome.counters["outages"] == 1


@pytest.mark.parametrize(
    ("wire", "injected"),
    [
        (Wire(echoes=True), None),
        (Wire(bit_error_rate=0.001), "flipped"),
        (Wire(byte_loss_rate=0.01), "lost"),
        (Wire(echoes=True, bit_error_rate=0.001, byte_loss_rate=0.005), "flipped"),
    ],
    ids=["echo", "bit-errors", "byte-loss", "all"],
)
def test_a_bad_line_costs_readings_and_falsifies_none(wire: Wire, injected: str | None) -> None:
    outcome = polled("dlt645", [meter(), meter("000000000162")], for_s=600, wire=wire, devices=[AT_161, AT_162])
    assert all(READ_AS[r.metric] == r.value for r in outcome.sink.readings)
    assert len(outcome.sink.readings) > 200 if injected else len(outcome.sink.readings) == 600
    if injected:
        assert outcome.line.injected[injected] > 10 and outcome.counters["noise_bytes"] > 0


def test_bytes_take_their_time() -> None:
    """22 bytes asked and 26 said at 2,400 baud in 11 bits, 3.5 of silence, and what the meter thinks."""

    async def work(clock: SimClock) -> float:
        line = SerialLine(Wire(), [meter(thinks_s=0.05)], clock)
        end = MasterEnd(line)
        await end.write(b"\xfe" * 4 + Frame("000000000161", 0x11, bytes.fromhex("00000100")).encoded())
        came = b""
        while find_frame(came) is None:
            came += await end.read(1.0)
        assert len(came) == 24
        return asyncio.get_running_loop().time()

    byte_s = 11 / 2400
    assert on_virtual_time(work) == pytest.approx((20 + 3.5 + 24) * byte_s + 0.05, abs=1e-3)


class _Late:
    """A unit whose first answer comes past its time, into the next exchange."""

    def __init__(self, unit: ModbusUnit) -> None:
        self._unit, self._is_first = unit, True

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        answer = self._unit.hear(burst, now_ms)
        if answer is None or not self._is_first:
            return answer
        self._is_first = False
        return Answer(answer.data, answer.checksum_at, 0.75)


NINE_SIX = Wire(baud=9600, bits_per_byte=10)


def test_the_units_of_a_line_are_read_by_their_models() -> None:
    values = {
        "voltage": 230.25,
        "current": 1.5,
        "power": 345.0,
        "energy": 1234.5,
        "energy_reverse": 0.25,
        "frequency": 50.0,
    }
    meter_values = {**values, "reactive_power": 12.0, "power_factor": 0.875}
    primary = {f"voltage_{p}": 230.0 for p in "abc"} | {f"current_{p}": 40.0 for p in "abc"}
    primary |= {"power": 27_600.0, "reactive_power": 100.0, "power_factor": 1.0, "frequency": 50.0}
    primary |= {"energy": 5000.0, "energy_reverse": 0.0}
    units = [
        ModbusUnit(1, MODELS["sdm120"], steady(**meter_values)),
        ModbusUnit(2, MODELS["dtsu666-ct-20"], steady(**primary)),
        ModbusUnit(3, MODELS["sen0676-radar"], steady(level=0.85, distance=2.15)),
        ModbusUnit(4, MODELS["qdy30a-pressure"], steady(level=-0.012)),
        ModbusUnit(5, MODELS["rain-gauge"], steady(rain_total=9_856.0)),
        ModbusUnit(6, MODELS["pulse-counter"], steady(volume=1234.56)),
    ]
    profiles = ["sdm120", "dtsu666", "sen0676-radar", "qdy30a-pressure", "rain-gauge", "pulse-counter"]
    devices = [{"device": f"u{i}", "unit": i, "profile": profile} for i, profile in enumerate(profiles, 1)]
    outcome = polled("modbus-rtu", units, wire=NINE_SIX, devices=devices)
    assert outcome.newest("u1") == pytest.approx(meter_values)
    assert outcome.newest("u2") == pytest.approx(primary)
    assert outcome.newest("u3") == pytest.approx({"level": 0.85, "distance": 2.15})
    assert outcome.newest("u4") == pytest.approx({"level": -0.012})
    assert outcome.newest("u5") == pytest.approx(
        {"rain_total": 3_302.4}
    )  # 98,560 steps of 0.1 mm, past the end of 16 bits
    assert outcome.newest("u6") == pytest.approx({"volume": 1234.56})
    assert outcome.counters.get("refused_answers", 0) == 0


def test_a_level_sensor_without_an_echo_gives_no_reading() -> None:
    units = [
        ModbusUnit(1, MODELS["ultrasonic-level"], steady(distance=1.2), is_deaf=True),
        ModbusUnit(2, MODELS["ultrasonic-level"], steady(distance=1.2)),
    ]
    devices = [{"device": f"u{i}", "unit": i, "profile": "ultrasonic-level"} for i in (1, 2)]
    outcome = polled("modbus-rtu", units, wire=NINE_SIX, devices=devices)
    assert outcome.newest("u1") == {} and outcome.newest("u2") == {"distance": 1.2}
    assert outcome.counters["invalid"] == 10


def test_a_late_answer_of_a_unit_is_not_taken_for_that_to_the_next_question() -> None:
    unit = _Late(ModbusUnit(1, MODELS["sen0676-radar"], steady(level=0.5, distance=2.5)))
    points = [{"metric": "level", "function": "holding", "address": 3, "type": "int16", "scale": 0.001}]
    others = [{"metric": "distance", "function": "holding", "address": 1, "scale": 0.001}]
    devices = [{"device": "a", "unit": 1, "profile": "a"}, {"device": "b", "unit": 1, "profile": "b"}]
    outcome = polled(
        "modbus-rtu",
        [unit],
        wire=NINE_SIX,
        attempts=1,
        every_s=0.9,
        profiles={"a": points, "b": others},
        devices=devices,
    )
    assert {(r.device, r.value) for r in outcome.sink.readings} == {("a", 0.5), ("b", 2.5)}


# and over what a gateway really opens

FAST = {"baud": 115_200, "quiet_ms": 2}


def test_a_line_behind_a_tcp_serial_server_is_read() -> None:
    async def work() -> None:
        line = SerialLine(
            Wire(baud=115_200, echoes=True),
            [meter(thinks_s=0.001), meter("000000000162", thinks_s=0.001)],
            SystemClock(),
        )
        async with tcp_port(line, "127.0.0.1", 0) as port:
            where = {**FAST, "host": "127.0.0.1", "tcp_port": port}
            sink = await ran("dlt645", 20, line=where, every_s=0.2, devices=[AT_161, AT_162])
        assert {r.device for r in sink.readings} == {"m1", "m2"}
        assert all(READ_AS[r.metric] == r.value for r in sink.readings)
        assert line.listeners == []

    asyncio.run(work())


def test_a_line_behind_a_pseudo_terminal_is_read_by_one_master_after_another() -> None:
    async def work() -> None:
        line = SerialLine(
            Wire(baud=115_200), [ModbusUnit(1, MODELS["sdm120"], steady(voltage=230.2), 0.001)], SystemClock()
        )
        async with pty_port(line) as path:
            for _ in range(2):
                device = {"device": "u1", "unit": 1, "profile": "sdm120"}
                sink = await ran(
                    "modbus-rtu", 16, line={**FAST, "parity": "none", "port": path}, every_s=0.1, devices=[device]
                )
                assert all(r.value == pytest.approx(230.2) for r in sink.readings if r.metric == "voltage")

    asyncio.run(work())
