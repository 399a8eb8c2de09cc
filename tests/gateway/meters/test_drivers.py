"""Every driver of a line against small meters on a virtual wire."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.bus import Ask, Bus
from gateway.drivers import DRIVERS
from gateway.drivers.dlt645.codec import Relay
from gateway.drivers.dlt645.driver import Dlt645Meter
from gateway.drivers.dlt645.settings import Dlt645Settings
from gateway.events import Events
from gateway.meter import LineDriver
from telemetry.errors import BadInput, Unavailable
from tests.gateway.meters.devices import (
    dead,
    frame_645,
    meter_188,
    meter_645,
    meter_698,
    meter_iec,
    meter_mbus,
    unit_modbus,
)
from tests.gateway.meters.wire import Answer, Ran, Wire, on_virtual_time, poll
from tests.gateway.support import ListSink
from tests.sim.loop import SimClock

LINE = {"port": "/dev/unused"}


def run(driver: str, wire: Wire, for_s: float = 30.0, **settings: Any) -> Ran:
    kind = DRIVERS[driver]
    declared = kind.settings.model_validate({"driver": driver, "line": LINE, "every_s": 10, **settings})
    return poll(kind.make, declared, wire, for_s)


def newest(ran: Ran) -> dict[tuple[str, str], float]:
    return {(r.device, r.metric): r.value for r in ran.sink.readings}


def device(**fields: Any) -> dict[str, Any]:
    return {"device": "m1", **fields}


ITEMS = {
    "00010000": bytes.fromhex("76170300"),
    "02010100": bytes.fromhex("1923"),
    "02020100": bytes.fromhex("345681"),
    "02030000": bytes.fromhex("452300"),
    "02060000": bytes.fromhex("ffff"),
}


def test_a_meter_of_2007_is_read_item_by_item() -> None:
    wire = Wire([meter_645("000000000161", ITEMS)])
    ran = run("dlt645", wire, devices=[device(address="161", profile="single-phase")])
    assert newest(ran) == {
        ("m1", "energy"): 317.76,
        ("m1", "voltage"): 231.9,
        ("m1", "current"): -15.634,
        ("m1", "power"): pytest.approx(234.5),  # kW on the wire, W in the catalogue
    }
    assert ran.events.counters()["invalid"] == 3  # the power factor is filled with FF, three times
    assert ran.raised is None


def test_both_editions_share_a_line() -> None:
    wire = Wire([meter_645("000000000161", ITEMS), meter_645("010003635927", {"9010": bytes.fromhex("79261400")})])
    ran = run(
        "dlt645",
        wire,
        devices=[device(address="161"), {"device": "m2", "address": "10003635927", "profile": "energy-1997"}],
    )
    assert newest(ran) == {("m1", "energy"): 317.76, ("m2", "energy"): 1426.79}


@pytest.mark.parametrize(
    ("address", "identifier"), [("000000000162", "00010000"), ("000000000161", "00020000")], ids=["whose", "what"]
)
def test_an_answer_of_another_or_about_something_else_is_passed_over(address: str, identifier: str) -> None:
    """As a late frame is, or one for another gateway on the same wires."""
    strange = frame_645(address, 0x91, bytes.fromhex(identifier)[::-1] + bytes.fromhex("99999900"))

    def hear(request: bytes) -> Answer | None:
        answer = meter_645("000000000161", ITEMS)(request)
        return answer and Answer(strange + answer.data, answer.delay_s)

    ran = run("dlt645", Wire([hear]), devices=[device(address="161")])
    assert {r.value for r in ran.sink.readings} == {317.76}


def test_an_item_in_parts_is_put_together() -> None:
    block = b"".join(bytes.fromhex(f"{i:08d}")[::-1] for i in range(1, 6))
    wire = Wire([meter_645("000000000161", {"0001FF00": block}, parts_of=8)])
    points = [{"metric": f"energy_{i}", "item": "0001ff00", "index": i} for i in range(5)]
    ran = run("dlt645", wire, profiles={"p": points}, devices=[device(address="161", profile="p")])
    assert newest(ran) == {("m1", f"energy_{i}"): (i + 1) / 100 for i in range(5)}


def test_what_a_meter_refuses_costs_only_itself() -> None:
    wire = Wire([meter_645("000000000161", {"02010100": bytes.fromhex("1923")})])
    ran = run("dlt645", wire, devices=[device(address="161", profile="single-phase")])
    assert newest(ran) == {("m1", "voltage"): 231.9}
    assert ran.events.counters()["refused_answers"] == 12 and "outages" not in ran.events.counters()


def test_an_item_that_a_meter_keeps_silent_about_costs_only_itself() -> None:
    """As many do where they should refuse; the others are read in their rhythm."""
    whole = meter_645("000000000161", ITEMS)

    def hear(request: bytes) -> Answer | None:
        return None if b"\x33\x34\x34\x35" in request else whole(request)  # 02010100, the voltage

    ran = run("dlt645", Wire([hear]), for_s=100, devices=[device(address="161", profile="single-phase")])
    assert {r.metric for r in ran.sink.readings} == {"energy", "current", "power"}
    assert sum(r.metric == "power" for r in ran.sink.readings) == 10
    assert ran.events.counters()["refused_answers"] == 10 and "outages" not in ran.events.counters()


def test_a_meter_that_falls_silent_within_a_poll_is_left_at_once() -> None:
    whole, heard = meter_645("000000000161", ITEMS), itertools.count()

    def hear(request: bytes) -> Answer | None:
        return whole(request) if next(heard) < 1 else None

    wire = Wire([hear])
    ran = run("dlt645", wire, for_s=9, attempts=1, devices=[device(address="161", profile="single-phase")])
    assert newest(ran) == {("m1", "energy"): 317.76}
    assert len(wire.requests) == 3 and ran.events.counters()["outages"] == 1


def test_a_vendors_own_item_is_declared() -> None:
    wire = Wire([meter_645("000000000161", {"04A00101": bytes.fromhex("3412")})])
    own = [{"metric": "x", "item": "04A00101", "format": {"bytes": 2, "decimals": 1, "unit": "V"}}]
    ran = run("dlt645", wire, profiles={"p": own}, devices=[device(address="161", profile="p")])
    assert newest(ran) == {("m1", "x"): 123.4}


@pytest.mark.parametrize("echoes", [False, True])
def test_an_adapter_that_hears_itself_changes_nothing(echoes: bool) -> None:
    registers = dict(enumerate(struct.unpack(">4H", struct.pack(">ff", 230.25, 1.5))))
    points = [{"metric": "u", "function": "holding", "address": 0, "type": "float32"}]
    wire = Wire([unit_modbus(1, registers)], baud=9600, bits=10, echoes=echoes)
    ran = run("modbus-rtu", wire, profiles={"p": points}, devices=[device(unit=1, profile="p")])
    assert newest(ran) == {("m1", "u"): 230.25}
    assert ran.events.counters().get("noise_bytes", 0) == 0


def test_modbus_values_of_the_secondary_side_are_brought_to_the_primary() -> None:
    registers = dict.fromkeys([*range(8192, 8272), *range(4112, 4144)], 0)
    registers |= {0x0006: 20, 0x0007: 10}
    registers |= dict(zip((0x2012, 0x2013), struct.unpack(">2H", struct.pack(">f", 5000.0)), strict=True))
    registers |= dict(zip((0x101E, 0x101F), struct.unpack(">2H", struct.pack(">f", 12.5)), strict=True))
    wire = Wire([unit_modbus(1, registers)], baud=9600, bits=10)
    ran = run("modbus-rtu", wire, devices=[device(unit=1, profile="dtsu666")])
    assert newest(ran)["m1", "power"] == pytest.approx(5000 * 0.1 * 20)
    assert newest(ran)["m1", "energy"] == pytest.approx(12.5 * 20)
    del registers[0x0006], registers[0x0007]
    wire = Wire([unit_modbus(1, registers)], baud=9600, bits=10)
    ran = run("modbus-rtu", wire, devices=[device(unit=1, profile="dtsu666", factors={"ct": 40, "vt": 1})])
    assert newest(ran)["m1", "power"] == pytest.approx(5000 * 0.1 * 40)


def test_a_unit_that_refuses_a_gap_is_read_without_one() -> None:
    points = [{"metric": f"m{a}", "function": "holding", "address": a} for a in (0, 4)]
    wire = Wire([unit_modbus(1, {0: 7, 4: 9})], baud=9600, bits=10)
    ran = run("modbus-rtu", wire, profiles={"p": points}, devices=[device(unit=1, profile="p")])
    assert newest(ran) == {("m1", "m0"): 7.0, ("m1", "m4"): 9.0}


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    """Modbus numbers nothing: the answer about one channel of a converter must not become that about the other."""
    registers = {0: 1, 100: 2}
    first = iter([True])

    def unit(request: bytes) -> Any:
        answer = unit_modbus(1, registers)(request)
        if answer is not None and next(first, False):
            answer.delay_s = 0.6  # past its time, and just when the other channel is asked for
        return answer

    profiles = {name: [{"metric": "level", "function": "holding", "address": a}] for name, a in (("a", 0), ("b", 100))}
    channels = [device(unit=1, profile="a"), {"device": "m2", "unit": 1, "profile": "b"}]
    wire = Wire([unit], baud=9600, bits=10)
    ran = run("modbus-rtu", wire, attempts=1, every_s=0.9, profiles=profiles, devices=channels)
    assert {(r.device, r.value) for r in ran.sink.readings} == {("m1", 1.0), ("m2", 2.0)}


WATER = bytes.fromhex("563412002c" + "007766552c" + "31012211051520" + "2184")


@pytest.mark.parametrize(("order", "is_swapped"), [("90-1f", False), ("1f-90", True)])
def test_a_water_meter_is_read_in_the_order_of_its_vendor(order: str, is_swapped: bool) -> None:
    wire = Wire([meter_188("78330011223344", WATER, is_swapped=is_swapped)])
    meter = device(
        address="78330011223344", identifier_order=order, profile="water-with-state", status_layout="high-bits"
    )
    ran = run("cjt188", wire, devices=[meter])
    assert newest(ran) == {("m1", "volume"): 1234.56, ("m1", "battery_low"): 1.0, ("m1", "valve_closed"): 0.0}


def test_a_foreign_layout_is_told_and_gives_no_reading() -> None:
    wire = Wire([meter_188("78330011223344", bytes(19))])
    ran = run("cjt188", wire, devices=[device(address="78330011223344")])
    assert ran.sink.readings == [] and ran.events.counters()["refused_answers"] >= 1


MBUS_HEAD = bytes.fromhex("72 78563412 2423 01 07 13 00 0000")


def test_an_mbus_meter_is_read_by_either_address_over_several_telegrams() -> None:
    telegrams = [MBUS_HEAD + bytes.fromhex("0c13 67452301 1f"), MBUS_HEAD + bytes.fromhex("0b3b 123400")]
    for address in ({"primary": 5}, {"secondary": "12345678"}):
        wire = Wire([meter_mbus(5, "12345678", telegrams)])
        ran = run("mbus", wire, devices=[device(profile="water-with-flow", **address)])
        assert newest(ran) == {("m1", "volume"): 1234.567, ("m1", "flow"): 3.412}


@pytest.mark.parametrize(("address", "is_read"), [("12345678", True), ("1234567F", True), ("12345679", False)])
def test_an_mbus_meter_that_says_another_number_than_was_asked_is_not_read(address: str, is_read: bool) -> None:
    """The meter before has missed that another was selected, and an E5 is made of noise easily."""
    asked = meter_mbus(5, "12345678", [MBUS_HEAD + bytes.fromhex("0c13 67452301")])

    def before(request: bytes) -> Answer | None:
        return Answer(b"\xe5", 0.02) if request[0] == 0x68 else asked(request[:2] + b"\x05" + request[3:])

    ran = run("mbus", Wire([before]), devices=[device(secondary=address)])
    assert newest(ran) == ({("m1", "volume"): 1234.567} if is_read else {})
    assert (ran.events.counters().get("refused_answers", 0) == 0) == is_read


def test_an_error_of_an_mbus_meter_is_told() -> None:
    wire = Wire([meter_mbus(5, "12345678", [bytes.fromhex("7008")])])
    ran = run("mbus", wire, devices=[device(primary=5)])
    assert ran.sink.readings == [] and ran.events.counters()["refused_answers"] >= 1


def test_a_state_grid_meter_is_asked_for_all_objects_at_once() -> None:
    objects = {
        "00100200": bytes.fromhex("0101060000ec55"),
        "20000200": bytes.fromhex("0101120906"),
        "20040200": bytes.fromhex("010105fffffc18"),
    }
    wire = Wire([meter_698("000000000161", objects)], baud=9600)
    ran = run("dlt698", wire, devices=[device(address="161", profile="single-phase")])
    assert newest(ran) == {("m1", "energy"): 605.01, ("m1", "voltage"): 231.0, ("m1", "power"): -100.0}
    assert ran.events.counters()["refused_answers"] == 6  # current and power factor, three times


def test_a_readout_comes_at_the_rate_that_the_meter_offers() -> None:
    readout = "0.0.0(12345678)\r\n1.8.0(001234.56*kWh)\r\n2.8.0(000000.10*MWh)\r\n!\r\n"
    wire = Wire([meter_iec("12345678", readout)], baud=300, bits=10)
    ran = run("iec62056", wire, devices=[device(address="12345678", profile="energy-both-ways")])
    assert newest(ran) == {("m1", "energy"): 1234.56, ("m1", "energy_reverse"): pytest.approx(100.0)}
    assert wire.bauds[:2] == [9600, 300]
    slow = Wire([meter_iec("12345678", readout)], baud=300, bits=10)
    ran = run("iec62056", slow, takes_offered_baud=False, devices=[device(address="12345678")])
    assert newest(ran) == {("m1", "energy"): 1234.56} and slow.bauds == []
    assert slow.requests[1][1] == b"\x06000\r\n"


def test_what_a_register_was_at_the_end_of_a_month_is_not_what_it_is() -> None:
    readout = "0.0.0(12345678)\r\n1.8.1(000400.00*kWh)\r\n1.8.0*12(000900.00*kWh)\r\n1.8.0&11(000800.00*kWh)\r\n"
    profiles = {"p": [{"metric": "energy", "code": "1.8.0"}, {"metric": "last_month", "code": "1.8.0*12"}]}
    wire = Wire([meter_iec("12345678", readout + "!\r\n")], baud=300, bits=10)
    ran = run("iec62056", wire, profiles=profiles, devices=[device(address="12345678", profile="p")])
    assert newest(ran) == {("m1", "last_month"): 900.0}
    assert ran.events.counters()["refused_answers"] >= 1
    wire = Wire([meter_iec("12345678", readout + "1-0:1.8.0*255(000950.00*kWh)\r\n!\r\n")], baud=300, bits=10)
    ran = run("iec62056", wire, profiles=profiles, devices=[device(address="12345678", profile="p")])
    assert newest(ran) == {("m1", "energy"): 950.0, ("m1", "last_month"): 900.0}


@pytest.mark.parametrize(("baud", "letter"), [(300, b"0"), (9600, b"5"), (115_200, b"0")])
def test_a_serial_server_keeps_its_rate_and_the_meter_is_told_so(baud: int, letter: bytes) -> None:
    wire = Wire([meter_iec("1", "1.8.0(000001.00*kWh)\r\n!\r\n")], baud=baud, bits=10)
    line = {"host": "server", "baud": baud}
    ran = run("iec62056", wire, line=line, devices=[device()])
    assert newest(ran) == {("m1", "energy"): 1.0} and wire.bauds == []
    assert wire.requests[1][1] == b"\x060" + letter + b"0\r\n"


def test_a_line_on_which_nobody_answers_is_given_up() -> None:
    ran = run("dlt645", Wire([]), for_s=600, devices=[device(address="161"), {"device": "m2", "address": "162"}])
    assert isinstance(ran.raised, Unavailable) and "none of 2" in str(ran.raised)


class TornWire(Wire):
    """An adapter that is pulled out behind the second question."""

    async def write(self, data: bytes) -> None:
        if len(self.requests) == 2:
            raise Unavailable("pulled out")
        await super().write(data)


def test_what_a_meter_said_before_its_line_was_gone_counts() -> None:
    ran = run(
        "dlt645", TornWire([meter_645("000000000161", ITEMS)]), devices=[device(address="161", profile="single-phase")]
    )
    assert newest(ran) == {("m1", "energy"): 317.76, ("m1", "voltage"): 231.9}
    assert isinstance(ran.raised, Unavailable) and "pulled out" in str(ran.raised)


def test_a_meter_at_whose_name_the_line_goes_away_does_not_keep_its_neighbours_from_being_read() -> None:
    class Touchy(Wire):
        async def write(self, data: bytes) -> None:
            if b"\x62\x01" in data:
                raise Unavailable("closed by the other side")
            await super().write(data)

    energy = {"00010000": ITEMS["00010000"]}
    devices = [{"device": f"m{number}", "address": f"16{number}"} for number in (2, 3)]
    declared = DRIVERS["dlt645"].settings.model_validate(
        {"driver": "dlt645", "line": LINE, "every_s": 10, "devices": devices}
    )

    async def work(clock: SimClock) -> list[str]:
        sink, wire = ListSink(), Touchy([meter_645("000000000163", energy)])
        driver = DRIVERS["dlt645"].make(declared, clock, Events(clock))
        assert isinstance(driver, LineDriver)
        for _ in range(3):
            bus = Bus(wire, declared.line, clock, lambda _is_sent, _data: None)
            task = asyncio.create_task(driver.poll(bus, sink))
            await asyncio.wait([task], timeout=8)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return [reading.device for reading in sink.readings]

    assert set(on_virtual_time(work)) == {"m3"}


def test_bit_errors_cost_retries_and_no_wrong_value() -> None:
    wire = Wire([meter_645("000000000161", {"00010000": bytes.fromhex("76170300")})], seed=3)
    wire.error_rate = 0.01
    ran = run("dlt645", wire, for_s=600, devices=[device(address="161")])
    assert {r.value for r in ran.sink.readings} == {317.76}
    assert len(ran.sink.readings) >= 50 and len(wire.requests) > len(ran.sink.readings)


def relayed(password: str) -> None:
    declared = Dlt645Settings.model_validate(
        {"driver": "dlt645", "line": LINE, "devices": [device(address="161", relay={"password": password})]}
    )

    async def work(clock: SimClock) -> None:
        bus = Bus(Wire([meter_645("000000000161", {})]), declared.line, clock, lambda _is_sent, _data: None)
        meter = Dlt645Meter(declared.devices[0], declared.points(declared.devices[0]))
        assert meter.relay is not None
        await meter.switch(Ask(bus, 1), meter.relay, Relay.TRIP, datetime(2026, 11, 26, 18, 0, 0))

    on_virtual_time(work)


def test_a_relay_is_switched_by_who_knows_its_password() -> None:
    relayed("123456")
    with pytest.raises(BadInput, match="password"):
        relayed("654321")


@pytest.mark.parametrize(
    ("driver", "settings", "words"),
    [
        ("dlt645", {"devices": []}, "at least 1"),
        ("dlt645", {"devices": [device(address="161", profile="other")]}, "there are: energy"),
        ("dlt645", {"devices": [device(address="16x")]}, "address"),
        ("dlt645", {"devices": [device(address=0o161)]}, "in quotes"),
        ("dlt698", {"devices": [device(address=161)]}, "in quotes"),
        ("mbus", {"devices": [device(secondary=12345678)]}, "in quotes"),
        ("dlt645", {"devices": [device(address="161", relay={"password": "12"})]}, "six digits"),
        (
            "dlt645",
            {"profiles": {"p": [{"metric": "x", "item": "04A00101"}]}, "devices": [device(address="1")]},
            "'format'",
        ),
        ("dlt645", {"profiles": {"p": []}, "devices": [device(address="1")]}, "no points"),
        ("dlt645", {"line": {}, "devices": [device(address="1")]}, "either 'port'"),
        ("dlt645", {"line": {**LINE, "host": "h"}, "devices": [device(address="1")]}, "either 'port'"),
        ("cjt188", {"devices": [device(address="123")]}, "address"),
        ("mbus", {"devices": [device()]}, "either 'primary'"),
        ("mbus", {"devices": [device(primary=251)]}, "250"),
        (
            "dlt698",
            {"profiles": {"p": [{"metric": "x", "object": "99990200"}]}, "devices": [device(address="1")]},
            "known",
        ),
        (
            "dlt645",
            {"devices": [device(address="161"), {"device": "m2", "address": "000161"}]},
            "'m2' is asked for the same as 'm1'",
        ),
        (
            "modbus-rtu",
            {"devices": [device(unit=3, profile="sdm120"), {"device": "m2", "unit": 3, "profile": "sdm120"}]},
            "'m2' is asked for the same as 'm1'",
        ),
        ("modbus-rtu", {"devices": [device(unit=0, profile="sdm120")]}, "1 to 247"),
        ("modbus-rtu", {"devices": [device(unit=1, profile="sdm120", factors={"ct": 2})]}, "no factor 'ct'"),
        ("modbus-rtu", {"devices": [device(unit=1, profile="none")]}, "there are: adl200"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(driver: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DRIVERS[driver].settings.model_validate({"driver": driver, "line": LINE, **settings})


def rounds_s(dead_count: int) -> dict[str, list[float]]:
    """How far apart the readings of each living meter of 32 on one line of 2,400 baud are, over an hour."""
    energy = {"00010000": bytes.fromhex("76170300")}
    devices = [dead if i < dead_count else meter_645(f"{i:012}", energy) for i in range(32)]
    wire = Wire(devices)
    ran = run(
        "dlt645",
        wire,
        for_s=3600,
        every_s=15,
        devices=[{"device": f"m{i}", "address": str(i)} for i in range(32)],
    )
    assert ran.raised is None
    times: dict[str, list[float]] = {}
    for reading in ran.sink.readings:
        times.setdefault(reading.device, []).append(reading.time_ms / 1000)
    return {name: [b - a for a, b in itertools.pairwise(at)] for name, at in times.items()}


def test_four_dead_meters_do_not_slow_the_other_28_on_a_line() -> None:
    whole, with_dead = rounds_s(0), rounds_s(4)
    assert set(with_dead) == {f"m{i}" for i in range(4, 32)}
    counts = Counter({name: len(gaps) for name, gaps in with_dead.items()})
    assert min(counts.values()) >= 238  # of 239 turns in an hour
    assert max(max(gaps) for gaps in with_dead.values()) <= max(max(g) for g in whole.values()) + 4.0
