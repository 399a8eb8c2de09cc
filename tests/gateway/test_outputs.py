"""Lamps: a file, a coil, and what happens while they do not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway import outputs
from gateway.events import Events
from gateway.outputs import CoilOutput, FileOutput, Output, Outputs, make_output
from gateway.settings import CoilSettings, OutputSettings
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from tests.gateway.support import FakeModbus, free_port, until


class MoodyOutput:
    """An output that refuses as often as told."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.written: list[bool] = []

    async def write(self, is_on: bool) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("no answer")
        self.written.append(is_on)


@contextlib.asynccontextmanager
async def running(of: Mapping[str, Output], events: Events) -> AsyncIterator[Outputs]:
    kept = Outputs(of, events)
    task = asyncio.create_task(kept.run())
    try:
        yield kept
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_DELAY_FIRST_S", 0.01)
    monkeypatch.setattr(outputs, "_TIMEOUT_S", 0.5)


def test_a_pin_is_written_as_its_file_says(tmp_path: Path) -> None:
    pin = tmp_path / "value"
    output = make_output(OutputSettings(file=pin, on="high", off="low"))
    asyncio.run(output.write(True))
    assert pin.read_text() == "high"
    asyncio.run(output.write(False))
    assert pin.read_text() == "low"
    with pytest.raises(Unavailable, match="writing"):
        asyncio.run(FileOutput(tmp_path / "nowhere" / "value", "1", "0").write(True))


def test_a_coil_is_switched_and_its_answer_waited_for() -> None:
    async def scenario() -> None:
        modbus = FakeModbus({2: {}})
        await modbus.start()
        output = CoilOutput(CoilSettings(host="127.0.0.1", port=modbus.port, unit=2, coil=7))
        await output.write(True)
        assert modbus.coils == {(2, 7): True}
        await output.write(False)
        assert modbus.coils == {(2, 7): False}
        await modbus.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("unit", [1, 3])
def test_a_coil_that_does_not_answer_or_is_refused_is_unavailable(unit: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(12)
        if unit == 3:
            writer.write(request[:4] + b"\0\x03" + request[6:7] + b"\x85\x02")
            await writer.drain()
        await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="illegal data address" if unit == 3 else "no answer within"):
            await CoilOutput(CoilSettings(host="127.0.0.1", port=port, unit=unit, coil=0)).write(True)
        server.close()
        with pytest.raises(Unavailable, match="127"):
            await CoilOutput(CoilSettings(host="127.0.0.1", port=free_port(), coil=0)).write(True)

    asyncio.run(scenario())


@pytest.mark.parametrize("echo", [b"\x00\x07\x00\x00", b"\x00\x08\xff\x00"], ids=["off", "another coil"])
def test_a_coil_whose_answer_says_something_else_is_unavailable(echo: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(12)
        writer.write(request[:8] + echo)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="something else"):
            await CoilOutput(CoilSettings(host="127.0.0.1", port=port, coil=7)).write(True)
        server.close()

    asyncio.run(scenario())


def test_an_output_that_fails_is_tried_again_and_counted_and_holds_up_nobody() -> None:
    async def scenario() -> None:
        events, lamp, siren = Events(ManualClock()), MoodyOutput(3), MoodyOutput()
        async with running({"lamp": lamp, "siren": siren}, events) as kept:
            kept.switch("lamp", True)
            kept.switch("siren", True)
            await until(lambda: lamp.written == [True], "the lamp is on")
            assert siren.written == [True]
            kept.switch("lamp", False)
            await until(lambda: lamp.written == [True, False], "the lamp is off")
        counters = events.counters()
        assert (counters["output_failures"], counters["outages"]) == (3, 1)

    asyncio.run(scenario())


def test_an_output_is_written_again_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_AGAIN_S", 0.01)

    async def scenario() -> None:
        lamp = MoodyOutput()
        async with running({"lamp": lamp}, Events(ManualClock())) as kept:
            kept.switch("lamp", True)
            await until(lambda: len(lamp.written) > 3, "written again")
        assert set(lamp.written) == {True}

    asyncio.run(scenario())
