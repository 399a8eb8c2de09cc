"""Searches on virtual lines: who is there is found, also where answers collide."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.bus import Bus
from gateway.drivers import DRIVERS
from gateway.probe import SEARCHES, Found, Step, driver_of
from tests.gateway.meters.devices import meter_188, meter_645, meter_iec, meter_mbus, unit_modbus
from tests.gateway.meters.test_drivers import MBUS_HEAD, WATER
from tests.gateway.meters.wire import Device, Wire, on_virtual_time
from tests.sim.loop import SimClock

ENERGY = {"00010000": bytes(4)}
ENERGY_1997 = {"9010": bytes(4)}


def search(
    name: str,
    devices: Sequence[Device],
    first: int = 1,
    last: int = 20,
    baud: int = 2400,
    bits: int = 11,
    glitch: bytes = b"",
) -> tuple[list[Step], float]:
    async def work(clock: SimClock) -> tuple[list[Step], float]:
        line = DRIVERS[driver_of(name)].settings.model_fields["line"].annotation
        assert line is not None
        bus = Bus(
            Wire(devices, baud, bits), line.model_validate({"port": "/dev/unused"}), clock, lambda _sent, _data: None
        )
        steps = [step async for step in SEARCHES[name](bus, first, last)]
        return steps, asyncio.get_running_loop().time()

    result: tuple[list[Step], float] = on_virtual_time(work)
    return result


def found(steps: list[Step]) -> list[Found]:
    shares = [step.share for step in steps]
    assert shares[-1] == pytest.approx(1.0) and all(0 <= share <= 1 + 1e-9 for share in shares)
    return [one for step in steps for one in step.found]


def declared(name: str, ones: list[Found]) -> Any:
    """What was found, as an entry of a configuration."""
    driver = driver_of(name)
    devices = [{"device": one.name, **one.fields} for one in ones]
    entry = {"driver": driver, "line": {"port": "/dev/unused"}, "devices": devices}
    return DRIVERS[driver].settings.model_validate(entry)


def test_the_only_meter_is_found_by_one_question_of_either_edition() -> None:
    for items, profile in ((ENERGY, "energy"), (ENERGY_1997, "energy-1997")):
        steps, elapsed_s = search("dlt645", [meter_645("202107072529", items)])
        (one,) = found(steps)
        assert one.fields["address"] == "202107072529" and elapsed_s < 5
        if profile == "energy":
            assert one.fields["profile"] == profile
        assert declared("dlt645", [one])


def test_meters_whose_answers_collide_are_told_apart() -> None:
    addresses = ["202107072529", "202107072530", "202107082530", "000000000161"]
    steps, elapsed_s = search("dlt645", [meter_645(address, ENERGY) for address in addresses])
    assert sorted(one.fields["address"] for one in found(steps)) == sorted(addresses)
    assert elapsed_s < 600
    assert declared("dlt645", found(steps))


def test_two_meters_with_one_address_are_told() -> None:
    twins = [meter_645("000000000161", ENERGY), meter_645("000000000161", ENERGY, delay_s=0.06)]
    steps, _ = search("dlt645", twins)
    assert found(steps) == []
    assert "two meters seem to have the address 000000000161" in [step.trouble for step in steps]


def test_units_are_found_also_those_that_refuse() -> None:
    units = [unit_modbus(3, {0: 1}), unit_modbus(17, {})]
    steps, elapsed_s = search("modbus-rtu", units, first=1, last=247, baud=9600, bits=10)
    assert [one.fields["unit"] for one in found(steps)] == [3, 17]
    assert "refuses" in found(steps)[1].words and elapsed_s < 300
    assert len(steps) == 247


def test_mbus_meters_are_found_by_either_address() -> None:
    heat = bytes.fromhex("72 17588506 2d2c 08 04 00 00 0000 0406e7910000")
    meters = [meter_mbus(5, "12345678", [MBUS_HEAD + bytes(0)]), meter_mbus(9, "06855817", [heat])]
    steps, _ = search("mbus", meters, first=0, last=20)
    assert [one.fields for one in found(steps)] == [
        {"primary": 5, "profile": "water"},
        {"primary": 9, "profile": "heat"},
    ]
    steps, _ = search("mbus-secondary", meters)
    assert [one.fields["secondary"] for one in found(steps)] == ["06855817", "12345678"]
    assert "KAM, heat" in found(steps)[0].words
    assert declared("mbus", found(steps))


def test_the_only_water_meter_is_found_and_two_are_told() -> None:
    first, second = meter_188("00002020120218", WATER), meter_188("00002020120219", WATER)
    steps, _ = search("cjt188", [first])
    (one,) = found(steps)
    assert one.fields["address"] == "00002020120218" and declared("cjt188", [one])
    steps, _ = search("cjt188", [first, second])
    assert found(steps) == [] and "one at a time" in steps[0].trouble


def test_a_meter_in_front_of_a_head_is_found() -> None:
    steps, _ = search("iec62056", [meter_iec("1", "")], baud=300, bits=10)
    assert "ISK MT174-0001, 9600 baud" in found(steps)[0].words and declared("iec62056", found(steps))


@pytest.mark.parametrize("name", SEARCHES)
def test_an_empty_line_is_searched_to_the_end(name: str) -> None:
    steps, _ = search(name, [])
    assert found(steps) == []


@pytest.mark.parametrize("name", ["dlt645", "mbus-secondary", "cjt188"])
def test_a_line_with_glitches_is_not_searched_for_ever(name: str) -> None:
    steps, elapsed_s = search(name, [], glitch=b"\x00")
    assert found(steps) == [] and elapsed_s < 60 and not any(step.trouble for step in steps)


def test_a_meter_is_found_through_glitches() -> None:
    steps, _ = search("dlt645", [meter_645("202107072529", ENERGY)], glitch=b"\x00")
    assert [one.fields["address"] for one in found(steps)] == ["202107072529"]
