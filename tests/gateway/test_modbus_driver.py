"""The driver against devices on a loopback connection: ours, and pymodbus as an independent one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.drivers.modbus_tcp.driver import ModbusTcpDriver
from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.errors import Unavailable
from telemetry.quality import Quality
from tests.gateway.support import FakeModbus, ListSink, free_port, until

LEVEL = {"metric": "level", "function": "input", "address": 0, "type": "int16", "scale": 0.001, "invalid": [32767]}
BATTERY = {"metric": "battery", "function": "input", "address": 4, "scale": 0.1}


def settings(port: int, units: list[int], points: list[dict[str, Any]], **rest: Any) -> ModbusTcpSettings:
    return ModbusTcpSettings.model_validate(
        {
            "driver": "modbus-tcp",
            "host": "127.0.0.1",
            "port": port,
            "every_s": 0.05,
            "timeout_s": 0.05,
            "profiles": {"p": points},
            "devices": [{"device": f"unit-{unit}", "unit": unit, "profile": "p"} for unit in units],
            **rest,
        }
    )


def check(
    units: dict[int, dict[int, int]],
    asked: list[int],
    points: list[dict[str, Any]],
    scenario: Callable[[FakeModbus, ListSink, Events], Awaitable[None]],
    **rest: Any,
) -> None:
    """Run the driver against a device until the scenario is over."""

    async def run() -> None:
        device = FakeModbus(units)
        await device.start()
        clock = SystemClock()
        events, sink = Events(clock), ListSink()
        driver = ModbusTcpDriver(settings(device.port, asked, points, **rest), clock, events)
        task = asyncio.create_task(driver.run(sink))
        try:
            await scenario(device, sink, events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await device.stop()

    asyncio.run(run())


def test_all_points_of_one_poll_come_with_one_request_and_carry_one_time() -> None:
    async def scenario(device: FakeModbus, sink: ListSink, _: Events) -> None:
        await until(lambda: len(sink.readings) >= 4, "two polls")
        assert set(device.requests) == {(1, 4, 0, 5)}
        level, battery = sink.readings[:2]
        assert (level.device, level.metric, battery.metric) == ("unit-1", "level", "battery")
        assert [level.value, battery.value] == pytest.approx([1.25, 12.4])
        assert level.time_ms == battery.time_ms

    check({1: {0: 1250, 1: 0, 2: 0, 3: 0, 4: 124}}, [1], [LEVEL, BATTERY], scenario)


def test_a_current_loop_and_a_hanging_sensor_tell_how_far_they_can_be_trusted() -> None:
    loop = {"metric": "level", "function": "input", "address": 0, "scale": 0.001, "loop": {"at_4_ma": 0, "at_20_ma": 5}}
    hung = {"metric": "depth", "function": "input", "address": 1, "scale": 0.001, "mount": {"height_m": 3.0}}

    async def scenario(device: FakeModbus, sink: ListSink, _: Events) -> None:
        await until(lambda: len(sink.readings) >= 2, "a poll")
        device.units[1] = {0: 3_500, 1: 200}
        await until(lambda: sink.readings[-2].quality == Quality.BAD, "a cable that was cut")
        assert [(r.metric, r.value, r.quality) for r in sink.readings[:2]] == [
            ("level", 2.5, Quality.GOOD),
            ("depth", 2.0, Quality.GOOD),
        ]
        assert sink.readings[-1].quality == Quality.SUSPECT

    check({1: {0: 12_000, 1: 1_000}}, [1], [loop, hung], scenario)


def test_an_invalid_raw_value_is_counted_and_gives_no_reading() -> None:
    async def scenario(_device: FakeModbus, sink: ListSink, events: Events) -> None:
        await until(lambda: events.counters().get("invalid", 0) >= 2, "two polls")
        assert sink.readings == []

    check({1: {0: 32767}}, [1], [LEVEL], scenario)


def test_a_unit_that_refuses_a_gap_is_read_without_one() -> None:
    async def scenario(device: FakeModbus, sink: ListSink, _: Events) -> None:
        await until(lambda: len(sink.readings) >= 4, "two polls")
        assert device.requests[:3] == [(1, 4, 0, 5), (1, 4, 0, 1), (1, 4, 4, 1)]

    check({1: {0: 1250, 4: 124}}, [1], [LEVEL, BATTERY], scenario)


def test_a_register_that_a_unit_refuses_costs_the_others_nothing() -> None:
    missing = {**BATTERY, "function": "holding"}

    async def scenario(_device: FakeModbus, sink: ListSink, events: Events) -> None:
        await until(lambda: len(sink.readings) >= 12, "twelve polls in the unit's rhythm")
        assert {r.metric for r in sink.readings} == {"level"}
        assert events.counters()["refused_answers"] >= 12

    check({1: {0: 1250}}, [1], [LEVEL, missing], scenario)


def test_a_dead_unit_costs_its_neighbours_one_timeout_ever_more_rarely() -> None:
    async def scenario(device: FakeModbus, sink: ListSink, events: Events) -> None:
        await until(lambda: len(sink.readings) >= 40, "twenty rounds")
        asked = [unit for unit, *_ in device.requests]
        assert asked.count(2) <= 6
        assert {r.device for r in sink.readings} == {"unit-1", "unit-3"}
        assert events.counters()["outages"] == 1

    check({1: {0: 1}, 3: {0: 3}}, [1, 2, 3], [LEVEL], scenario)


def test_a_unit_at_whose_name_the_converter_hangs_up_does_not_keep_its_neighbours_from_being_read() -> None:
    class Touchy(FakeModbus):
        """Some converters end the connection where they should answer that nobody is there."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                request = await reader.read(12)
                if len(request) < 12 or request[6] == 1:
                    break
                writer.write(request[:4] + b"\x00\x05" + request[6:7] + b"\x04\x02\x00\x08")
            writer.close()

    async def run() -> None:
        device = Touchy({})
        await device.start()
        clock, sink = SystemClock(), ListSink()
        driver = ModbusTcpDriver(settings(device.port, [1, 2, 3], [LEVEL]), clock, Events(clock))
        for _ in range(10):
            task = asyncio.create_task(driver.run(sink))
            await until(lambda task=task: task.done() or len(sink.readings) >= 4, "readings, or the end")  # type: ignore[misc]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await device.stop()
        assert {r.device for r in sink.readings} == {"unit-2", "unit-3"}

    asyncio.run(run())


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    class Slow(FakeModbus):
        """Its first answer comes when the second request is there, before the answer to that."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first, second = await reader.readexactly(12), await reader.readexactly(12)
            writer.write(first[:4] + b"\x00\x05\x01\x04\x02\x00\x07")
            writer.write(second[:4] + b"\x00\x05\x01\x04\x02\x00\x08")
            await reader.read()
            writer.close()

    async def run() -> None:
        device = Slow({})
        await device.start()
        clock, sink = SystemClock(), ListSink()
        task = asyncio.create_task(ModbusTcpDriver(settings(device.port, [1], [LEVEL]), clock, Events(clock)).run(sink))
        await until(lambda: bool(sink.readings), "an answer")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await device.stop()
        assert sink.readings[0].value == pytest.approx(0.008)

    asyncio.run(run())


def test_a_connection_nobody_answers_on_is_given_up() -> None:
    async def run() -> None:
        device = FakeModbus({})
        await device.start()
        clock = SystemClock()
        declared = settings(device.port, [1, 2, 3], [LEVEL], every_s=0.01, timeout_s=0.01)
        with pytest.raises(Unavailable, match="in a row"):
            await ModbusTcpDriver(declared, clock, Events(clock)).run(ListSink())
        await device.stop()

    asyncio.run(run())


def test_a_host_that_does_not_listen_is_unavailable() -> None:
    clock = SystemClock()
    with pytest.raises(Unavailable, match="connecting to"):
        asyncio.run(ModbusTcpDriver(settings(free_port(), [1], [LEVEL]), clock, Events(clock)).run(ListSink()))


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pymodbus_and_we_understand_each_other() -> None:
    server = pytest.importorskip("pymodbus.server")
    simulator = pytest.importorskip("pymodbus.simulator")
    data, types = simulator.SimData, simulator.DataType
    points = [
        {"metric": "voltage", "function": "input", "address": 0, "type": "float32"},
        {"metric": "swapped", "function": "input", "address": 2, "type": "uint32", "word_order": "low-first"},
        {"metric": "cold", "function": "input", "address": 4, "type": "int16", "scale": 0.1},
        {"metric": "energy", "function": "holding", "address": 100, "type": "int32"},
        {"metric": "mode", "function": "holding", "address": 102, "type": "uint16"},
    ]
    inputs = [
        data(0, values=230.25, datatype=types.FLOAT32),
        data(2, values=[0x0001, 0x0002], datatype=types.REGISTERS),
        data(4, values=-55, datatype=types.INT16),
    ]
    holdings = [data(100, values=-123456, datatype=types.INT32), data(102, values=65535, datatype=types.UINT16)]
    bits = [data(0, values=[False] * 16, datatype=types.BITS)]

    async def run() -> None:
        port = free_port()
        device = simulator.SimDevice(1, (bits, bits, holdings, inputs))
        peer = server.ModbusTcpServer(device, address=("127.0.0.1", port))
        await peer.serve_forever(background=True)
        clock, sink = SystemClock(), ListSink()
        events = Events(clock)
        declared = settings(port, [1], points, timeout_s=1)
        task = asyncio.create_task(ModbusTcpDriver(declared, clock, events).run(sink))
        await until(lambda: len(sink.readings) >= 5, "all five metrics")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        wrong = settings(port, [1], [{"metric": "none", "function": "input", "address": 900}], timeout_s=1)
        task = asyncio.create_task(ModbusTcpDriver(wrong, clock, events).run(sink))
        await until(lambda: events.counters().get("refused_answers", 0) >= 1, "an exception")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.shutdown()
        assert {r.metric: r.value for r in sink.readings[:5]} == {
            "voltage": 230.25,
            "swapped": 0x0002_0001,
            "cold": pytest.approx(-5.5),
            "energy": -123456,
            "mode": 65535,
        }

    asyncio.run(run())
