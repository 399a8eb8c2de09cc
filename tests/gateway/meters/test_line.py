"""Real lines: a pseudo-terminal as a serial port, and a TCP serial server on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.drivers import DRIVERS
from gateway.events import Events
from gateway.line import Line, LineSettings, open_line
from telemetry.clock import SystemClock
from telemetry.errors import Unavailable
from tests.gateway.meters.devices import meter_645
from tests.gateway.meters.wire import Device
from tests.gateway.support import ListSink, free_port, until

METER = meter_645("000000000161", {"00010000": bytes.fromhex("76170300")})


class Requests:
    """Cuts what comes from the gateway into requests as a meter does: each ends with 16 where its length says."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._came = b""

    def take(self, data: bytes) -> bytes:
        self._came = (self._came + data).lstrip(b"\xfe")
        if len(self._came) < 12 or len(self._came) < 12 + self._came[9]:
            return b""
        request, self._came = self._came, b""
        answer = self._device(request)
        return answer.data if answer else b""


async def polled(line: dict[str, Any]) -> list[float]:
    """Poll the meter until it has answered twice."""
    kind = DRIVERS["dlt645"]
    declared = {"driver": "dlt645", "line": {"quiet_ms": 1, **line}, "every_s": 0.05}
    settings = kind.settings.model_validate({**declared, "devices": [{"device": "m", "address": "161"}]})
    clock, sink = SystemClock(), ListSink()
    events = Events(clock)
    task = asyncio.create_task(kind.make(settings, clock, events).run(sink))
    try:
        await until(lambda: len(sink.readings) >= 2 or task.done(), "two answers")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert events.counters().get("noise_bytes", 0) == 0
    return [reading.value for reading in sink.readings]


def test_a_meter_behind_a_serial_port_is_read() -> None:
    async def run() -> None:
        ours, port = os.openpty()
        tty.setraw(ours)
        tty.setraw(port)
        requests = Requests(METER)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: os.write(ours, requests.take(os.read(ours, 4096))))
        try:
            assert set(await polled({"port": os.ttyname(port), "baud": 9600, "parity": "none"})) == {317.76}
        finally:
            loop.remove_reader(ours)
            os.close(ours)
            os.close(port)

    asyncio.run(run())


def served(work: Callable[[int], Awaitable[None]], answers: bool = True) -> None:
    """Run against a TCP serial server with the meter behind it."""

    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            requests = Requests(METER)
            while answers and (data := await reader.read(4096)):
                writer.write(requests.take(data))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            await work(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    asyncio.run(run())


def test_a_meter_behind_a_serial_server_is_read() -> None:
    async def work(port: int) -> None:
        assert set(await polled({"host": "127.0.0.1", "tcp_port": port})) == {317.76}

    served(work)


def test_a_server_that_hangs_up_is_unavailable() -> None:
    async def work(port: int) -> None:
        line = await open_line(LineSettings(host="127.0.0.1", tcp_port=port))
        with pytest.raises(Unavailable, match="closed by the other side"):
            await line.read(5)
        assert line.set_baud(9600) is False
        line.close()

    served(work, answers=False)


@pytest.mark.parametrize("line", [{"port": "/dev/no-such-port"}, {"host": "127.0.0.1"}])
def test_a_line_that_is_not_there_is_unavailable(line: dict[str, Any]) -> None:
    settings = LineSettings(**line, tcp_port=free_port())
    with pytest.raises(Unavailable, match=f"opening {settings.name}"):
        asyncio.run(open_line(settings))


def test_a_port_that_somebody_has_is_unavailable_and_its_rate_can_change() -> None:
    async def run() -> None:
        ours, port = os.openpty()
        settings = LineSettings(port=os.ttyname(port), parity="none")
        line = await open_line(settings)
        try:
            assert line.set_baud(9600) is True
            with pytest.raises(Unavailable, match="opening"):
                await open_line(settings)
        finally:
            line.close()
            os.close(ours)
            os.close(port)

    asyncio.run(run())


def test_a_port_that_takes_nothing_any_more_is_let_go_of() -> None:
    """As an adapter that hangs, or a device that holds the line's flow: what was to go out never will."""

    async def run() -> None:
        ours, port = os.openpty()
        settings = LineSettings(port=os.ttyname(port), parity="none")
        line = await open_line(settings)
        for _ in range(3):
            await line.write(bytes(6000))
        line.close()
        opened: list[Line] = []

        async def opens() -> None:
            while not opened:
                with contextlib.suppress(Unavailable):
                    opened.append(await open_line(settings))
                await asyncio.sleep(0.01)

        opening = asyncio.create_task(opens())
        await until(lambda: bool(opened), "the port is free", timeout_s=5)
        await opening
        opened[0].close()
        os.close(ours)
        os.close(port)

    asyncio.run(run())


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_units_of_pymodbus_are_read_through_a_server_that_passes_bytes() -> None:
    server = pytest.importorskip("pymodbus.server")
    simulator = pytest.importorskip("pymodbus.simulator")
    framer = pytest.importorskip("pymodbus.framer")
    data, types = simulator.SimData, simulator.DataType
    bits = [data(0, values=[False] * 16, datatype=types.BITS)]
    inputs = [data(0, values=[230.25, 0.0, 0.0], datatype=types.FLOAT32), data(6, values=1.5, datatype=types.FLOAT32)]
    inputs += [data(8, values=[0] * 80, datatype=types.REGISTERS)]

    async def run() -> None:
        port = free_port()
        unit = simulator.SimDevice(3, (bits, bits, inputs, inputs))
        peer = server.ModbusTcpServer(unit, framer=framer.FramerType.RTU, address=("127.0.0.1", port))
        await peer.serve_forever(background=True)
        kind = DRIVERS["modbus-rtu"]
        line = {"host": "127.0.0.1", "tcp_port": port, "quiet_ms": 1}
        devices = [{"device": "m", "unit": 3, "profile": "sdm120"}]
        settings = kind.settings.model_validate(
            {"driver": "modbus-rtu", "line": line, "every_s": 0.05, "devices": devices}
        )
        clock, sink = SystemClock(), ListSink()
        events = Events(clock)
        task = asyncio.create_task(kind.make(settings, clock, events).run(sink))
        await until(lambda: len(sink.readings) >= 8 or task.done(), "all eight metrics")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.shutdown()
        newest = {reading.metric: reading.value for reading in sink.readings}
        assert (newest["voltage"], newest["current"], newest["power"]) == (230.25, 1.5, 0.0)

    asyncio.run(run())
