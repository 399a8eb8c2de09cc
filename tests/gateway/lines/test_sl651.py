"""SL 651: published frames, noise, negative and failed values, and a station of our own that dials in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.sl651.codec import (
    Assembly,
    Element,
    End,
    Frame,
    Function,
    decode_report,
    encode,
    encode_taken,
    frame_reader,
)
from gateway.drivers.sl651.driver import Sl651Driver
from gateway.drivers.sl651.settings import Sl651Settings
from gateway.events import Events
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
STATION = "0012345678"
OBSERVED_MS = 1_795_391_400_000  # 2026-11-23 07:50 at +08:00
TIMED = (
    "7e7e05001122334403e832002b020034170718110016f1f1001122334448f0f01707181100"
    + "201900004026190000403923000104903812109903a421"
)


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, bit by bit, high byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register.to_bytes(2, "big")


def up(body: str, function: int = 0x32, begin: str = "02", counted: int = 0, end: str = "03") -> bytes:
    """A frame as a station sends it, written from the standard."""
    data = bytes.fromhex(body)
    packets = (len(begin) - 2) // 2
    length = (len(data) + (packets if counted else 0)).to_bytes(2, "big").hex()
    frame = bytes.fromhex(f"7e7e01{STATION}1234{function:02x}{length}{begin}") + data + bytes.fromhex(end)
    return frame + crc(frame)


def body(elements: str, serial: int = 7) -> str:
    return f"{serial:04x}261123075012" + f"f1f1{STATION}48" + "f0f02611230750" + elements


def elements(coded: str, function: int = 0x32) -> list[tuple[str, float | None]]:
    (frame,) = frame_reader().feed(up(body(coded), function))
    return [(element.code, element.value) for element in decode_report(frame).elements]


def test_the_published_report_and_its_published_acknowledgement() -> None:
    (frame,) = frame_reader().feed(bytes.fromhex(TIMED))
    report = decode_report(frame)
    observed = datetime(2017, 7, 18, 11)
    assert report.elements == tuple(
        Element(code, observed, value) for code, value in [("20", 4.0), ("26", 4.0), ("39", 10.49), ("38", 10.99)]
    )
    assert (report.station, report.station_class, report.rest) == ("0011223344", 0x48, b"")
    told = encode_taken(frame, report.stamp.serial, datetime(2017, 7, 18, 11, 0, 16), End.ESC)
    assert told.hex() == "7e7e00112233440503e83280080200341707181100161be5d4"


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        ("392300000127", [("39", 0.127)]),
        ("392bff00000127", [("39", -0.127)]),
        ("3923ffffffff", [("39", None)]),
        ("3923aaaaaaaa", [("39", None)]),
        ("ff01121234", [("FF01", 12.34)]),
        ("45200000004038121115", [("38", 11.15)]),
        ("f460000102ff00000000000000ff", [("F4", v) for v in (0.0, 0.1, 0.2, None, 0, 0, 0, 0, 0, 0, 0, None)]),
        ("f5c0" + "0064" * 11 + "ffff", [("F5", v) for v in (*[1.0] * 11, None)]),
    ],
)
def test_values_as_the_standard_codes_them(coded: str, expected: list[tuple[str, float | None]]) -> None:
    assert elements(coded) == expected


def test_twelve_values_of_an_hour_have_twelve_times() -> None:
    (frame,) = frame_reader().feed(up(body("f5c0" + "0064" * 12), 0x34))
    times = [element.observed for element in decode_report(frame).elements]
    assert (times[0], times[-1]) == (datetime(2026, 11, 23, 6, 55), datetime(2026, 11, 23, 7, 50))


def test_a_uniform_report_is_one_element_a_step_apart() -> None:
    (frame,) = frame_reader().feed(up(body("0418000005" + "3923" + "00000100" + "00000200" + "00000300"), 0x31))
    found = decode_report(frame).elements
    assert [element.value for element in found] == [0.1, 0.2, 0.3]
    assert [element.observed.minute for element in found if element.observed] == [50, 55, 0]


def test_what_cannot_be_read_does_not_cost_what_stands_before_it() -> None:
    (frame,) = frame_reader().feed(up(body("392300000127" + "3923000001")))
    report = decode_report(frame)
    assert [element.value for element in report.elements] == [0.127]
    assert report.rest.hex() == "3923000001"


@given(st.binary(max_size=120), st.sampled_from([0x2F, 0x31, 0x32, 0x34]))
def test_any_body_is_refused_or_read_and_nothing_else(data: bytes, function: int) -> None:
    for start in (b"", bytes.fromhex(body("")), bytes.fromhex(body("0418000005"))):
        try:
            decode_report(Frame(True, 1, STATION, "1234", function, start + data, 3))
        except BadInput:
            pass


frames = st.builds(
    Frame,
    st.booleans(),
    st.integers(0, 255),
    st.sampled_from([STATION, "7E7E7E7E7E"]),
    st.sampled_from(["1234", "7E7E"]),
    st.integers(0, 255),
    st.binary(max_size=40) | st.just(b"\x7e" * 20),
    st.sampled_from([int(end) for end in End]),
    st.none() | st.just((3, 2)),
)


@given(st.lists(frames, max_size=4))
def test_what_is_encoded_is_read_back(sent: list[Frame]) -> None:
    reader = frame_reader()
    assert reader.feed(b"".join(map(encode, sent))) == sent
    assert reader.noise_bytes == 0


octets = st.sampled_from([0x7E, 0x02, 0x16, 0x00, 0x80, 0x03]) | st.integers(0, 255)


@given(
    st.lists(octets, max_size=200).map(bytes), st.lists(frames, max_size=2), st.lists(st.integers(1, 40), max_size=30)
)
def test_any_bytes_in_any_cut_never_raise_and_give_the_same(data: bytes, sent: list[Frame], cuts: list[int]) -> None:
    check_cuts(frame_reader, data + b"".join(map(encode, sent)) + data, cuts)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_of_a_noisy_line_is_found(seed: int) -> None:
    sent = [up(body("392300000127", serial)) for serial in range(200)]
    found, of = check_noisy_line(frame_reader, sent, seed)
    assert found > 0.3 * of


def test_random_bytes_hold_no_frame() -> None:
    """Start, direction, begin, end and CRC: about 1 in 2^16 * 2^3 * 2^7 * 2^5 * 2^16 places."""
    assert false_frames(frame_reader, 20 * 65_536, 1) == 0


@pytest.mark.parametrize("counted", [0, 1])
def test_packets_are_put_together_whether_their_numbers_are_counted_in_the_length_or_not(counted: int) -> None:
    whole = body("392300000127" * 8)
    half = len(whole) // 4 * 2
    reader, assembly = frame_reader(), Assembly()
    found = reader.feed(up(whole[:half], 0x34, "16002001", counted, "17") + up(whole[half:], 0x34, "16002002", counted))
    first, second = found
    assert assembly.add(first) is None
    report = assembly.add(second)
    assert report is not None and [e.value for e in decode_report(report).elements] == [0.127] * 8


@pytest.mark.parametrize("packets", [(0, 0), (2, 3), (65, 1), (4095, 4095)])
def test_packets_that_cannot_be_are_refused(packets: tuple[int, int]) -> None:
    with pytest.raises(BadInput):
        Assembly().add(Frame(True, 1, STATION, "1234", 0x34, b"", 3, packets))


def part(number: int, said: bytes, total: int = 3, function: int = 0x34) -> Frame:
    return Frame(True, 1, STATION, "1234", function, said, 3, (total, number))


def test_packets_of_two_reports_are_not_put_together() -> None:
    assembly = Assembly()
    for frame in (
        part(1, b"a1"),
        part(2, b"a2"),
        part(2, b"b2"),
    ):  # the rest of the first and the next one's first are lost
        assert assembly.add(frame) is None
    assert assembly.add(part(3, b"b3")) is None
    for frame in (part(1, b"b1"), part(2, b"b2"), part(2, b"b2")):  # one is sent again: our answer to it was lost
        assert assembly.add(frame) is None
    whole = assembly.add(part(3, b"b3"))
    assert whole is not None and whole.body == b"b1b2b3"


def test_what_a_station_leaves_unfinished_does_not_grow() -> None:
    assembly = Assembly()
    for function in range(256):
        assembly.add(part(1, bytes(4000), function=function))
    assert len(assembly._parts) <= 8


def test_a_step_beyond_all_times_is_refused() -> None:
    said = bytes.fromhex(body("0418992359" + "3908")) + bytes(40_000)
    with pytest.raises(BadInput, match="bad-step"):
        decode_report(Frame(True, 1, STATION, "1234", 0x31, said, 3))


# A station that dials in


class Station:
    """One connection to the centre."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.port = 0
        self.told = ""  # the time of the last answer

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def hear(self) -> tuple[int, int, int]:
        """Function, serial and end of the next answer."""
        head = await asyncio.wait_for(self._reader.readexactly(14), 10)
        assert head[:2] == b"\x7e\x7e" and head[2:7].hex() == STATION and head[11] >> 4 == 8
        rest = await self._reader.readexactly((int.from_bytes(head[11:13], "big") & 0xFFF) + 3)
        assert crc(head + rest[:-2]) == rest[-2:]
        self.told = rest[2:8].hex()
        return head[10], int.from_bytes(rest[:2], "big"), rest[-3]


def check(scenario: Callable[[Station, ListSink, Events], Awaitable[None]], now_ms: int = NOW_MS, **rest: Any) -> None:
    async def run() -> None:
        clock = ManualClock(now_ms)
        events, sink = Events(clock), ListSink()
        level = {"element": "39", "metric": "level", "offset": -0.1}
        rain = {"element": "26", "metric": "rain_total"}
        station = {"device": "outfall-1", "station": STATION, "password": "1234", "quantities": [level, rain]}
        settings = Sl651Settings.model_validate({"driver": "sl651", "port": 0, "devices": [station], **rest})
        driver = Sl651Driver(settings, clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: driver.port != 0, "listening")
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        station_ = Station(reader, writer)
        station_.port = driver.port
        try:
            await scenario(station_, sink, events)
        finally:
            writer.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


REPORT = up(body("26190000052619000006392300001250"))


def test_a_report_is_acknowledged_when_durable_and_kept_once() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        for _ in range(2):
            station.say(REPORT)
            assert await station.hear() == (0x32, 7, End.ESC)
        assert [(r.metric, round(r.value, 9), r.time_ms) for r in sink.readings] == [
            ("level", 1.15, OBSERVED_MS),
            ("rain_total", 0.5, OBSERVED_MS),
            ("rain_total", 0.6, OBSERVED_MS),
        ]
        assert events.counters()["duplicates"] == 1

    check(scenario)


def test_a_keep_alive_is_not_answered_and_noise_costs_nothing() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        station.say(up("0008261123075012", 0x2F) + b"\x7e\x7enoise" + REPORT[:30] + REPORT)
        assert await station.hear() == (0x32, 7, End.ESC)
        assert len(sink.readings) == 3
        assert events.counters()["noise_bytes"] > 30

    check(scenario)


def test_connections_that_were_never_ended_do_not_lock_a_station_out() -> None:
    """A station whose network went away dials in anew, and the connection from before stands until its silence is over."""

    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        station.say(REPORT)
        assert await station.hear() == (0x32, 7, End.ESC)
        strangers = [await asyncio.open_connection("127.0.0.1", station.port) for _ in range(5)]
        station.say(REPORT)
        assert await station.hear() == (0x32, 7, End.ESC), "who has spoken goes last"
        reader, writer = await asyncio.open_connection("127.0.0.1", station.port)
        again = Station(reader, writer)
        again.say(REPORT)
        assert await again.hear() == (0x32, 7, End.ESC)
        assert [await strangers[0][0].read(), len(sink.readings)] == [b"", 3]
        assert events.counters()["refused_messages_too-many-connections"] >= 1
        for _, other in [*strangers, (reader, writer)]:
            other.close()

    check(scenario, connections_max=3)


@pytest.mark.parametrize(("now_ms", "told"), [(NOW_MS, "261123080000"), (5_000, "261123075012")])
def test_an_answer_tells_a_station_no_time_that_nobody_knows(now_ms: int, told: str) -> None:
    """Some set their clocks by it; a box that does not know the time tells them their own."""

    async def scenario(station: Station, _sink: ListSink, _events: Events) -> None:
        station.say(REPORT)
        assert await station.hear() == (0x32, 7, End.ESC)
        assert station.told == told

    check(scenario, now_ms)


def test_a_station_whose_clock_was_never_set_and_counts_anew_is_heard() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        for level in ("00001250", "00001250", "00001260"):  # one is sent again, then it has started anew
            unset = body("3923" + level).replace("261123075012", "0" * 12).replace("2611230750", "0" * 10)
            station.say(up(unset))
            assert await station.hear() == (0x32, 7, End.ESC)
        assert [round(r.value, 9) for r in sink.readings] == [1.15, 1.16]
        assert events.counters()["duplicates"] == 1

    check(scenario)


def test_a_station_on_a_battery_is_told_to_leave() -> None:
    async def scenario(station: Station, _sink: ListSink, _events: Events) -> None:
        station.say(REPORT)
        assert await station.hear() == (0x32, 7, End.EOT)

    check(scenario, stays_on_line=False)


def test_what_cannot_be_read_behind_what_could_is_said_so() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        station.say(up(body("392300001250" + "7a00" + "2619000005")))
        assert await station.hear() == (0x32, 7, End.ESC)
        assert [r.metric for r in sink.readings] == ["level"]
        assert events.counters()["refused_answers"] == 1
        station.say(up(body("392300001250" + "f3f3" + "ffd8", serial=8)))  # a picture
        assert await station.hear() == (0x32, 8, End.ESC)
        assert events.counters()["refused_answers"] == 1

    check(scenario)


def test_strangers_are_counted_and_not_answered() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        other = encode(Frame(True, 1, "0099999999", "1234", 0x32, bytes.fromhex(body("")), 3))
        wrong = encode(Frame(True, 1, STATION, "9999", 0x32, bytes.fromhex(body("")), 3))
        station.say(other + wrong + REPORT)
        assert await station.hear() == (0x32, 7, End.ESC)
        counters = events.counters()
        assert counters["refused_messages_unknown-station"] == counters["refused_messages_wrong-password"] == 1
        assert len(sink.readings) == 3

    check(scenario)


def test_what_the_spool_refuses_is_not_acknowledged() -> None:
    async def scenario(station: Station, sink: ListSink, events: Events) -> None:
        sink.refusal = Unavailable("the spool is full")
        station.say(REPORT)
        await until(lambda: events.counters().get("refused_answers", 0) == 1, "the refusal")
        sink.refusal = None
        station.say(REPORT)
        assert await station.hear() == (0x32, 7, End.ESC)
        assert len(sink.readings) == 3

    check(scenario)


def test_a_level_whose_instrument_failed_is_bad_and_a_clock_never_set_is_suspect() -> None:
    async def scenario(station: Station, sink: ListSink, _events: Events) -> None:
        station.say(up(body("39230000125045200000004026190000 05".replace(" ", ""))))
        await station.hear()
        assert [(r.metric, r.quality) for r in sink.readings] == [("level", Quality.BAD), ("rain_total", Quality.GOOD)]
        station.say(
            up(body("392300001250", 9).replace("261123075012", "000000000000").replace("2611230750", "0000000000"))
        )
        await station.hear()
        assert (sink.readings[-1].time_ms, sink.readings[-1].quality) == (NOW_MS, Quality.SUSPECT)

    check(scenario)


def test_functions_have_their_published_numbers() -> None:
    assert [f"{function:02X}" for function in Function] == ["2F", "30", "31", "32", "33", "34"]
