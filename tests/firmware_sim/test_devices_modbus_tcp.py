"""Units behind a simulated Modbus TCP converter, read by the gateway's driver over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from firmware_sim.devices.faults import Misdeeds, with_faults
from firmware_sim.devices.modbus_tcp import Converter, Habits, converter_port
from firmware_sim.devices.modbus_unit import MODELS, ModbusUnit

from gateway.driver import Sink
from gateway.drivers import DRIVERS
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.errors import Unavailable
from tests.firmware_sim.field import faults, steady
from tests.gateway.support import ListSink, until

RADAR = {"distance": 1.2, "level": 0.4}
METER = {"voltage": 230.2, "current": 1.5, "power": 345.25, "energy": 1234.5, "frequency": 50.0, "power_factor": 0.99}
METER |= {"reactive_power": 49.5, "energy_reverse": 0.25}


@contextlib.asynccontextmanager
async def converter(habits: Habits, *declared: dict[str, Any]) -> AsyncIterator[tuple[Converter, int, Misdeeds]]:
    """A radar with faults as unit 3, a meter without as unit 7."""
    clock, wrong = SystemClock(), faults(*declared)
    start_ms = clock.now_ms()
    bad, good = Misdeeds(wrong, start_ms, 5), Misdeeds((), start_ms, 6)
    radar = ModbusUnit(3, MODELS["sen0676-radar"], with_faults(steady(**RADAR), wrong, start_ms))
    meter = ModbusUnit(7, MODELS["sdm120"], steady(**METER))
    peer = Converter([(radar, bad), (meter, good)], habits, clock, seed=2)
    async with converter_port(peer, "127.0.0.1", 0) as port:
        yield peer, port, bad


async def polled(port: int, sink: Sink, events: Events, **more: Any) -> None:
    kind = DRIVERS["modbus-tcp"]
    declared = {
        "driver": "modbus-tcp",
        "host": "127.0.0.1",
        "port": port,
        "every_s": 0.02,
        "timeout_s": 0.2,
        "backoff_max_s": 0.04,
        "devices": [
            {"device": "radar", "unit": 3, "profile": "sen0676-radar"},
            {"device": "meter", "unit": 7, "profile": "sdm120"},
        ],
        **more,
    }
    settings: Any = kind.settings.model_validate(declared)
    made: Any = kind.make(settings, SystemClock(), events)
    while True:  # as the gateway does
        with contextlib.suppress(Unavailable):
            await made.run(sink)
        await asyncio.sleep(0.01)


def read(habits: Habits, *declared: dict[str, Any], wanted: Mapping[str, int], **more: Any) -> tuple[Any, ...]:
    """The readings once there are so many of each device, the driver's counters, and what was done wrong."""

    async def run() -> tuple[Any, ...]:
        sink, events = ListSink(), Events(SystemClock())
        async with converter(habits, *declared) as (peer, port, bad):
            task = asyncio.create_task(polled(port, sink, events, **more))

            def has_all() -> bool:
                counts = {name: sum(r.device == name for r in sink.readings) for name in wanted}
                return task.done() or all(counts[name] >= count for name, count in wanted.items())

            await until(has_all, f"{wanted}")
            assert not task.done(), task.exception()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return sink.readings, events.counters(), peer.injected + bad.injected

    return asyncio.run(run())


TRUE = {
    ("radar", "level"): 0.4,
    ("radar", "distance"): 1.2,
    **{("meter", name): pytest.approx(value) for name, value in METER.items()},
}


def check(readings: Any) -> None:
    """Whatever was done wrong, nothing wrong was read."""
    for reading in readings:
        assert reading.value == TRUE[reading.device, reading.metric], reading


def test_a_sensor_and_a_meter_behind_one_port_are_read() -> None:
    readings, counters, injected = read(Habits(), wanted={"radar": 10, "meter": 30})
    check(readings)
    assert {r.metric for r in readings if r.device == "meter"} >= {"voltage", "energy", "power"}
    assert not injected and "outages" not in counters


@pytest.mark.parametrize(
    ("habits", "name"),
    [
        (Habits(wrong_number_share=0.4), "wrong-number"),
        (Habits(wrong_unit_share=0.4), "wrong-unit"),
        (Habits(noise_share=0.5), "noise"),
        (Habits(closes_after=3), "closed"),
    ],
    ids=["number", "unit", "noise", "closes"],
)
def test_a_converter_that_misbehaves_costs_readings_and_falsifies_none(habits: Habits, name: str) -> None:
    readings, _, injected = read(habits, wanted={"radar": 10, "meter": 30})
    check(readings)
    assert injected[name] > 0, "it never happened"


def test_an_answer_in_two_pieces_is_one_where_the_timeout_allows() -> None:
    readings, _, injected = read(Habits(split_share=0.5), wanted={"radar": 2, "meter": 6}, timeout_s=1.0)
    check(readings)
    assert injected["split"] > 0


FAULTS: dict[str, dict[str, Any]] = {
    "silence": {"fault": "silence", "share": 0.4},
    "slow": {"fault": "slow", "by_s": 0.25, "share": 0.4},
    "cut-off": {"fault": "cut-off", "share": 0.3},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_unit_that_misbehaves_says_nothing_wrong_and_harms_no_neighbour(name: str) -> None:
    readings, counters, injected = read(Habits(), FAULTS[name], wanted={"radar": 8, "meter": 60})
    check(readings)
    assert injected[name] > 0 and counters["outages"] > 0


def test_a_converter_that_says_nobody_is_there_spares_the_wait() -> None:
    silent = {"fault": "silence"}
    habits = Habits(says_nobody=True, waits_for_nobody_s=0.01)
    readings, counters, injected = read(habits, silent, wanted={"meter": 60}, timeout_s=5.0)
    check(readings)
    assert injected["said-nobody"] > 0 and {r.device for r in readings} == {"meter"} and counters["outages"] == 1
