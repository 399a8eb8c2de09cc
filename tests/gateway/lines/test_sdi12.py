"""SDI-12: the specification's example, noise, and a wire of our own with good, dead and faulty sensors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.sdi12.codec import (
    Announcement,
    Identity,
    checksum,
    decode_acknowledgement,
    decode_announcement,
    decode_identity,
    decode_values,
    line_reader,
)
from gateway.drivers.sdi12.driver import Sdi12Driver
from gateway.drivers.sdi12.settings import Sdi12Settings
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.errors import BadInput, Unavailable
from tests.gateway.lines.peer import SerialServer
from tests.gateway.meters.streams import check_cuts
from tests.gateway.support import ListSink, until


def test_the_published_checksum() -> None:
    assert checksum("0+3.14") == "OqZ"
    assert decode_values("0+3.14OqZ", needs_checksum=True).values == (3.14,)


numbers = st.sampled_from([0.0, 3.14, -18.4, 1.253, 9999999.0, -0.001])


@given(st.sampled_from("05zA"), st.lists(numbers, max_size=8), st.booleans())
def test_values_written_by_the_sheet_are_read(address: str, values: list[float], has_checksum: bool) -> None:
    text = address + "".join(f"{value:+.7f}".rstrip("0")[:9].rstrip(".") for value in values)
    expected = tuple(float(f"{value:+.7f}".rstrip("0")[:9]) for value in values)
    found = decode_values(text + (checksum(text) if has_checksum else ""), has_checksum)
    assert (found.address, found.values) == (address, expected)


@given(st.sampled_from("05z"), st.lists(numbers, min_size=1, max_size=5), st.data())
def test_one_changed_character_is_never_taken_with_a_checksum(address: str, values: list[float], data: Any) -> None:
    text = address + "".join(f"{value:+.3f}" for value in values)
    line = text + checksum(text)
    at = data.draw(st.integers(0, len(line) - 1))
    changed = line[:at] + data.draw(st.sampled_from("0123456789+-.@AZaz~")) + line[at + 1 :]
    if changed != line:
        with pytest.raises(BadInput):
            decode_values(changed, needs_checksum=True)


printable = st.builds("{}{}".format, st.sampled_from("0a5"), st.text(st.sampled_from("0a+-.5?~@ "), max_size=20))


@given(printable, st.sampled_from("05z"), st.lists(numbers, min_size=1, max_size=5))
def test_noise_before_an_answer_with_a_checksum_costs_nothing(noise: str, address: str, values: list[float]) -> None:
    text = address + "".join(f"{value:+.3f}" for value in values if abs(value) < 1_000) + "+1"
    found = decode_values(noise + text + checksum(text), needs_checksum=True)
    assert found == decode_values(text + checksum(text))
    with pytest.raises(BadInput):
        decode_values(noise + text + checksum(text)[:-1] + "~~")


@pytest.mark.parametrize(
    "line", ["", "0+1.2.3", "0 1.2", "0+", "!+1", "0+12345678", "0+3.14OqX", "0nan", "0+1e5", "0\x80@@@"]
)
def test_what_is_no_value_is_refused(line: str) -> None:
    with pytest.raises(BadInput):
        decode_values(line)


@given(st.text(max_size=40))
def test_any_line_is_refused_or_read_and_nothing_else(line: str) -> None:
    for decode in (decode_values, decode_announcement, decode_identity, decode_acknowledgement):
        try:
            decode(line)
        except BadInput:
            pass


def test_announcements_and_identities() -> None:
    assert decode_announcement("50012") == Announcement("5", 1, 2)
    assert decode_announcement("500112") == Announcement("5", 1, 12)
    assert decode_identity("513STS AG  4900001.51157252") == Identity("5", "1.3", "STS AG", "490000", "1.5", "1157252")


letters = st.sampled_from(list(b"05aZ+-.!\r\n3"))


@given(st.lists(letters | st.integers(0, 255), max_size=200).map(bytes), st.lists(st.integers(1, 40), max_size=30))
def test_any_bytes_in_any_cut_never_raise_and_give_the_same(data: bytes, cuts: list[int]) -> None:
    check_cuts(line_reader, data, cuts)


def test_an_echo_of_the_command_is_passed_over() -> None:
    assert line_reader().feed(b"\0\x800D0!0+3.14OqZ\r\n") == ["0+3.14OqZ"]


class Wire:
    """Sensors on one wire: `answers` says what each command gets; nothing for what it does not hold."""

    def __init__(self, answers: dict[str, str | list[str]]) -> None:
        self.answers = answers
        self.commands: list[str] = []
        self.driver: Sdi12Driver

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            command = (await reader.readuntil(b"!")).decode()
            self.commands.append(command)
            answer = self.answers.get(command)
            if isinstance(answer, list):
                answer = answer.pop(0) if answer else None
            if answer is not None:
                writer.write(command.encode() + answer.encode() + b"\r\n")


def summed(text: str) -> str:
    return text + checksum(text)


def driver_at(port: int, addresses: Iterable[str], events: Events | None = None, **more: float) -> Sdi12Driver:
    level = {"number": 1, "metric": "level"}
    warmth = {"number": 2, "metric": "water_temperature"}
    settings = {
        "driver": "sdi12",
        "line": {"host": "127.0.0.1", "tcp_port": port},
        "timeout_s": 0.1,
        "devices": [{"device": f"s-{a}", "address": a, "quantities": [level, warmth]} for a in addresses],
    }
    clock = SystemClock()
    return Sdi12Driver(Sdi12Settings.model_validate(settings | more), clock, events or Events(clock))


def check(
    wire: Wire, scenario: Callable[[ListSink, Events], Awaitable[None]], *addresses: str, every_s: float = 0.05
) -> None:
    async def run() -> None:
        server = SerialServer(wire)
        await server.start()
        events, sink = Events(SystemClock()), ListSink()
        wire.driver = driver_at(server.port, addresses, events, every_s=every_s)
        task = asyncio.create_task(wire.driver.run(sink))
        try:
            await scenario(sink, events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.stop()

    asyncio.run(run())


def test_all_sensors_measure_at_once_and_values_in_two_parts_are_put_together() -> None:
    wire = Wire(
        {
            "3CC!": "300002",
            "3D0!": summed("3+1.253"),
            "3D1!": summed("3+18.4"),
            "4CC!": "400002",
            "4D0!": summed("4+0.5-1"),
        }
    )

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: len(sink.readings) >= 4, "a round")
        assert [(r.device, r.metric, r.value) for r in sink.readings[:4]] == [
            ("s-3", "level", 1.253),
            ("s-3", "water_temperature", 18.4),
            ("s-4", "level", 0.5),
            ("s-4", "water_temperature", -1.0),
        ]
        assert wire.commands[:2] == ["3CC!", "4CC!"]

    check(wire, scenario, "3", "4")


def test_a_wrong_checksum_is_asked_again() -> None:
    wire = Wire({"3CC!": "300002", "3D0!": ["3+1.253+18.4GX@", "3+1.253+18.4", summed("3+1.253+18.4")]})

    async def scenario(sink: ListSink, events: Events) -> None:
        await until(lambda: len(sink.readings) >= 2, "a round")
        assert sink.readings[0].value == 1.253
        assert events.counters()["refused_answers"] == 2

    check(wire, scenario, "3")


class LateWire(Wire):
    """Answers what it is asked first only when it is asked again; then both."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            command = (await reader.readuntil(b"!")).decode()
            self.commands.append(command)
            answer = str(self.answers[command]).encode() + b"\r\n"
            if command != "3D0!":
                writer.write(answer)
            elif self.commands.count(command) % 2 == 0:
                writer.write(answer)
                await asyncio.sleep(0.02)
                writer.write(answer)


def test_an_answer_that_comes_twice_is_not_taken_for_the_next() -> None:
    wire = LateWire({"3CC!": "300002", "3D0!": summed("3+1"), "3D1!": summed("3+2")})

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: len(sink.readings) >= 2, "a round")
        assert [r.value for r in sink.readings[:2]] == [1.0, 2.0]

    check(wire, scenario, "3")


def test_a_sensor_that_measures_for_long_holds_nobody_up() -> None:
    wire = Wire({"3CC!": "399901", "3D0!": summed("3+7"), "4CC!": "400001", "4D0!": summed("4+1")})

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: len(sink.readings) >= 3, "three rounds of its neighbour")
        assert {r.device for r in sink.readings} == {"s-4"}
        assert wire.commands.count("3CC!") == 1 and "3D0!" not in wire.commands  # it is left to measure

    check(wire, scenario, "3", "4")


def test_what_a_sensor_measured_over_several_rounds_is_fetched() -> None:
    wire = Wire({"3CC!": "300101", "3D0!": summed("3+7"), "4CC!": "400001", "4D0!": summed("4+1")})

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: any(r.device == "s-3" for r in sink.readings), "the slow one")
        assert sum(r.device == "s-4" for r in sink.readings) > 1
        assert wire.commands.count("3CC!") == wire.commands.count("3D0!") == 1

    check(wire, scenario, "3", "4", every_s=0.2)


def test_a_dead_sensor_is_not_asked_more_often_because_its_neighbour_is() -> None:
    wire = Wire({"4CC!": "400001", "4D0!": summed("4+1")})

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: len(sink.readings) >= 1, "the first round")
        wire.driver.pace({"s-4": 0.02})
        await until(lambda: len(sink.readings) >= 10, "more rounds")
        assert wire.commands.count("3CC!") == 3  # the tries of the first round

    check(wire, scenario, "3", "4", every_s=3600)


def test_a_sensor_that_is_wanted_more_often_brings_its_line_with_it() -> None:
    wire = Wire({"3CC!": "300001", "3D0!": summed("3+1"), "4CC!": "400001", "4D0!": summed("4+1")})

    async def scenario(sink: ListSink, _events: Events) -> None:
        await until(lambda: len(sink.readings) == 2, "the first round")
        wire.driver.pace({"s-4": 0.02, "elsewhere": 0.01})
        await until(lambda: len(sink.readings) >= 8, "more rounds")
        assert {r.device for r in sink.readings[2:]} == {"s-3", "s-4"}

    check(wire, scenario, "3", "4", every_s=3600)


def test_a_wire_on_which_nobody_answers_is_given_up() -> None:
    """Its adapter may hang, and is opened anew then."""
    wire = Wire({})

    async def run() -> None:
        server = SerialServer(wire)
        await server.start()
        driver = driver_at(server.port, "34", every_s=0.01, timeout_s=0.01, tries=1)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match="none of 2 sensors answered, 2 times"):
                await driver.run(ListSink())
        server.stop()

    asyncio.run(run())


def test_a_sensor_at_whose_name_the_line_goes_away_does_not_keep_its_neighbours_from_being_read() -> None:
    class Touchy(Wire):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (command := (await reader.readuntil(b"!")).decode()) != "3CC!":
                writer.write(self.answers[command].encode() + b"\r\n")  # type: ignore[union-attr]

    wire = Touchy({"4CC!": "400001", "4D0!": summed("4+1")})

    async def run() -> None:
        server = SerialServer(wire)
        await server.start()
        sink = ListSink()
        driver = driver_at(server.port, "34", every_s=0.5)
        for _ in range(3):
            task = asyncio.create_task(driver.run(sink))
            await until(lambda task=task: task.done() or bool(sink.readings), "a reading, or the end")  # type: ignore[misc]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        server.stop()
        assert {r.device for r in sink.readings} == {"s-4"}

    asyncio.run(run())


def test_a_dead_sensor_is_said_so_and_asked_ever_more_rarely() -> None:
    wire = Wire({"4CC!": "400002", "4D0!": summed("4+0.5-1")})

    async def scenario(sink: ListSink, events: Events) -> None:
        await until(lambda: len(sink.readings) >= 20, "ten rounds of the other")
        assert {r.device for r in sink.readings} == {"s-4"}
        assert wire.commands.count("3CC!") <= 3 * 4
        assert events.counters()["outages"] == 1

    check(wire, scenario, "3", "4")
