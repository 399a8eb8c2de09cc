"""UART distance sensors: published frames, noise, and a sensor of our own behind a serial server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.level_uart.codec import (
    Distance,
    Fault,
    UrmFrame,
    auto_reader,
    check_pattern,
    encode_urm,
    text_reader,
    urm_reader,
)
from gateway.drivers.level_uart.driver import LevelUartDriver
from gateway.drivers.level_uart.settings import LevelUartSettings
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from tests.gateway.lines.peer import SerialServer
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames
from tests.gateway.support import ListSink, until


def auto(raw: int) -> bytes:
    """A frame as the sensor sends it, written from its manual."""
    body = b"\xff" + raw.to_bytes(2, "big")
    return body + bytes([sum(body) % 256])


PATTERN = re.compile(r"R(\d{4})")
READERS = [auto_reader, urm_reader, lambda: text_reader(PATTERN)]
cuts = st.lists(st.integers(1, 40), max_size=30)
octets = st.sampled_from([0xFF, 0x55, 0xAA, 0x02, 0x00, 0x0D, 0x0A, 0x52, 0x31]) | st.integers(0, 255)


@pytest.mark.parametrize("make", READERS, ids=["auto", "urm", "text"])
@given(data=st.lists(octets, max_size=200).map(bytes), cuts=cuts)
def test_any_bytes_in_any_cut_never_raise_and_give_the_same(make: Any, data: bytes, cuts: list[int]) -> None:
    check_cuts(make, data, cuts)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_of_a_noisy_line_is_found(seed: int) -> None:
    """URM frames are told by 24 bits; `auto` ones by 16, so that a shifted false one can hide a true one (see below)."""
    frames = [encode_urm(UrmFrame(0x11, 2, bytes([i % 7, i % 251]))) for i in range(300)]
    found, sent = check_noisy_line(urm_reader, frames, seed)
    assert found > 0.8 * sent


def test_random_bytes_hold_as_many_false_frames_as_the_sums_let_through() -> None:
    """auto: start and sum, 1 in 2^16 places. urm: two start bytes and a sum, 1 in 2^24."""
    count = 5 * 65_536
    assert 0 < false_frames(auto_reader, count, 1) < 5 * count / 2**16
    assert false_frames(urm_reader, count, 1) <= 2


def test_codes_are_no_distances() -> None:
    frames = auto_reader().feed(auto(1953) + auto(0xFFFE) + auto(0xFFFD) + auto(0))
    assert frames == [
        Distance(1953),
        Distance(None, Fault.INTERFERENCE),
        Distance(None, Fault.NOTHING_THERE),
        Distance(0),
    ]


def test_a_wrong_sum_is_refused_and_the_next_frame_found() -> None:
    reader = auto_reader()
    assert reader.feed(auto(1953)[:-1] + b"\x00" + auto(1000)) == [Distance(1000)]
    assert reader.noise_bytes == 4


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=255))
def test_what_is_encoded_is_read_back(address: int, command: int, data: bytes) -> None:
    frame = UrmFrame(address, command, data)
    assert urm_reader().feed(encode_urm(frame)) == [frame]


def test_lines_of_text_are_read_and_others_are_noise() -> None:
    reader = text_reader(PATTERN)
    assert reader.feed(b"HRXL-MaxSonar\rR1234\rR12\r\xff\xfeR0500\r\nR9") == [1234.0, 500.0]
    assert reader.feed(b"999\r") == [9999.0]


@pytest.mark.parametrize("pattern", ["R(", "R\\d+", "(R)(\\d)"])
def test_a_pattern_that_finds_no_number_is_refused(pattern: str) -> None:
    with pytest.raises(BadInput):
        check_pattern(pattern)
    assert text_reader(check_pattern("R(.*)")).feed(b"R..\rRnan\r") == []


Device = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def check(device: Device, scenario: Callable[[ListSink, Events, Any], Awaitable[None]], **rest: Any) -> None:
    async def run() -> None:
        server = SerialServer(device)
        await server.start()
        clock = SystemClock()
        events, sink = Events(clock), ListSink()
        settings = {
            "driver": "level-uart",
            "device": "mh-1",
            "line": {"host": "127.0.0.1", "tcp_port": server.port},
            "every_s": 0.05,
            "quantity": {"metric": "level", "scale": 0.001, "mount": {"height_m": 3.0}},
            **rest,
        }
        driver = LevelUartDriver(LevelUartSettings.model_validate(settings), clock, events)
        task = asyncio.create_task(driver.run(sink))
        try:
            await scenario(sink, events, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.stop()

    asyncio.run(run())


async def sending(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A sensor that sees the water at 1 m and now and then a rung."""
    for number in range(1000):
        writer.write(auto(300 if number % 5 == 0 else 1000) + b"\x00")
        await writer.drain()
        await asyncio.sleep(0.002)


def test_a_reading_is_the_median_of_an_interval() -> None:
    async def scenario(sink: ListSink, events: Events, _task: Any) -> None:
        await until(lambda: len(sink.readings) >= 3, "three readings")
        assert {(r.device, r.metric, r.value, r.quality) for r in sink.readings} == {
            ("mh-1", "level", 2.0, Quality.GOOD)
        }
        assert events.counters()["noise_bytes"] > 0

    check(sending, scenario, speaks="auto")


def test_a_sensor_that_hears_nothing_gives_no_reading_and_is_counted() -> None:
    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(1000):
            writer.write(auto(0xFFFD))
            await asyncio.sleep(0.005)

    async def scenario(sink: ListSink, events: Events, _task: Any) -> None:
        await until(lambda: events.counters()["invalid"] >= 2, "two intervals of nothing")
        assert sink.readings == []

    check(deaf, scenario, speaks="auto")


def test_a_sensor_that_wants_to_be_asked_is_asked_and_an_echo_is_no_answer() -> None:
    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await reader.readexactly(6)
            assert request == bytes.fromhex("55aa11000212")
            writer.write(request + bytes.fromhex("55aa11020200cade"))

    async def scenario(sink: ListSink, _events: Events, _task: Any) -> None:
        await until(lambda: bool(sink.readings), "a reading")
        assert sink.readings[0].value == pytest.approx(0.98)

    check(asked, scenario, speaks="urm")


def test_the_end_of_a_line_that_had_begun_before_us_is_no_distance() -> None:
    async def late(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"3 mm\r\n")
        for _ in range(1000):
            await asyncio.sleep(0.06)
            writer.write(b"1503 mm\r\n")

    async def scenario(sink: ListSink, _events: Events, _task: Any) -> None:
        await until(lambda: len(sink.readings) >= 2, "two readings")
        assert [round(r.value, 9) for r in sink.readings[:2]] == [1.497, 1.497]

    check(late, scenario, speaks="text", pattern=r"(\d+) mm")


def test_what_came_while_the_spool_held_us_up_is_not_what_is_now() -> None:
    distance_mm, sent = 1000, 0

    async def long(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(auto(distance_mm) * 20)
            await writer.drain()
            sent += 1
            await asyncio.sleep(0.002)

    async def scenario(sink: ListSink, _events: Events, _task: Any) -> None:
        nonlocal distance_mm
        sink.gate = asyncio.Event()
        await until(lambda: sink.held > 0, "held up")
        before = sent
        await until(lambda: sent > before + 100, "much that waits in buffers")
        distance_mm = 2000
        await until(lambda: sent > before + 110, "the water at 2 m")
        sink.gate.set()
        await until(lambda: len(sink.readings) >= 6, "readings again")
        assert [round(r.value, 9) for r in sink.readings[:6]] == [2.0, *[1.0] * 5]

    check(long, scenario, speaks="auto")


def test_a_silent_or_closed_line_is_unavailable() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def closing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async def scenario(_sink: ListSink, _events: Events, task: Any) -> None:
        with pytest.raises(Unavailable):
            await task

    check(silent, scenario, speaks="auto", silence_max_s=0.2)
    check(closing, scenario, speaks="urm")
