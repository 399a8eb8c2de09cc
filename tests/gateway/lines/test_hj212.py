"""HJ 212: the standard's example, published packets right and wrong, noise, and a monitor that dials in."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.hj212.driver import Hj212Driver
from gateway.drivers.hj212.settings import Hj212Settings
from gateway.events import Events
from gateway.hj212 import codec
from gateway.hj212.codec import Packet, encode, factor_values, packet_reader
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.quality import Quality
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
MN = "010000A8900016F000169DC0"
EXAMPLE = f"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN={MN};Flag=5;CP=&&RtdInterval=30&&1C80\r\n"


def checksum(segment: bytes) -> str:
    """As the standard's appendix writes it, bit by bit."""
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ byte
        for _ in range(8):
            low = register & 1
            register >>= 1
            if low:
                register ^= 0xA001
    return f"{register:04X}"


def wire(segment: str, lower: bool = False) -> bytes:
    data = segment.encode()
    sum_ = checksum(data)
    return f"##{len(data):04}".encode() + data + (sum_.lower() if lower else sum_).encode() + b"\r\n"


def report(
    data: str, command: int = 2011, flag: int = 5, number: str = "20261123075000123", password: str = "100000"
) -> bytes:
    return wire(
        f"QN={number};ST=52;CN={command};PW={password};MN={MN};Flag={flag};CP=&&DataTime=20261123075000;{data}&&"
    )


def test_the_standards_example_is_read_and_written() -> None:
    (packet,) = packet_reader().feed(EXAMPLE.encode())
    assert packet == Packet("20160801085857223", "32", "1062", "100000", MN, 5, ({"RtdInterval": "30"},))
    assert packet.wants_answer and packet.item("RtdInterval") == "30"
    assert encode(packet).decode() == EXAMPLE


@pytest.mark.parametrize(
    "changed", [EXAMPLE.replace("1C80", "1C81"), EXAMPLE.replace("##0101", "##0100"), EXAMPLE.replace("=30", "=31")]
)
def test_a_wrong_checksum_or_length_is_no_packet_and_costs_the_next_nothing(changed: str) -> None:
    reader = packet_reader()
    assert [packet.command for packet in reader.feed((changed + EXAMPLE).encode()) + reader.flush()] == ["1062"]
    assert reader.noise_bytes > 100


def test_values_with_their_flags() -> None:
    (packet,) = packet_reader().feed(
        report("a21026-Rtd=117;w00000-Rtd=1.5,w00000-Flag=D;e41601-Avg=-0.1,e41601-Max=x", 2061)
    )
    found = [(v.factor, v.aspect, v.value, v.flag) for v in factor_values(packet)]
    assert found == [
        ("a21026", "Rtd", 117.0, None),
        ("w00000", "Rtd", 1.5, "D"),
        ("e41601", "Avg", -0.1, None),
        ("e41601", "Max", None, None),
    ]


names = st.sampled_from(["a21026-Rtd", "w00000-Flag", "DataTime", "e41601-Avg"])
packets = st.builds(
    Packet,
    st.sampled_from(["", "20160801085857223"]),
    st.sampled_from(["32", "52"]),
    st.sampled_from(["2011", "9014"]),
    st.just("100000"),
    st.just(MN),
    st.none() | st.integers(0, 7),
    st.lists(st.dictionaries(names, st.sampled_from(["1.5", "N", ""]), min_size=1), max_size=4).map(tuple),
    st.none() | st.just((3, 2)),
)


@given(st.lists(packets, max_size=4), st.booleans())
def test_what_is_encoded_is_read_back(sent: list[Packet], has_noise: bool) -> None:
    reader = packet_reader()
    noise = b"##12#\x00" if has_noise else b""
    assert reader.feed(b"".join(noise + encode(packet) for packet in sent)) == sent
    assert reader.noise_bytes == len(noise) * len(sent)


octets = st.sampled_from(list(b"##00&=;,CP\r\n12AF")) | st.integers(0, 255)


@given(
    st.lists(octets, max_size=150).map(bytes), st.lists(packets, max_size=2), st.lists(st.integers(1, 40), max_size=30)
)
def test_any_bytes_in_any_cut_never_raise_and_give_the_same(data: bytes, sent: list[Packet], cuts: list[int]) -> None:
    check_cuts(packet_reader, data + b"".join(map(encode, sent)) + data, cuts)


@given(st.lists(octets | st.sampled_from(list(b"&=;,-")), max_size=100).map(bytes))
def test_any_segment_with_a_right_checksum_is_read_or_left(data: bytes) -> None:
    for segment in (data, b"QN=1;CP=&&" + data + b"&&"):
        found = packet_reader().feed(f"##{len(segment):04}".encode() + segment + checksum(segment).encode() + b"\r\n")
        for packet in found:
            factor_values(packet)


def plainly(area: str) -> list[dict[str, str]]:
    """A data area as the standard's words have it: factors by ";", their items by ",", a name and a value by "="."""
    factors = []
    for part in area.split(";"):
        items = {}
        for item in part.split(","):
            if item.find("=") > 0:
                items[item[: item.index("=")]] = item[item.index("=") + 1 :]
        if items:
            factors.append(items)
    return factors


def values_plainly(factors: list[dict[str, str]]) -> list[tuple[str, str, float | None, str | None]]:
    values = []
    for items in factors:
        for name, value in items.items():
            at = name.rfind("-")
            if at >= 0 and name[at + 1 :] not in ("Flag", "SampleTime", "EFlag"):
                is_number = re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?", value) is not None
                flag = items.get(name[:at] + "-Flag")
                values.append((name[:at], name[at + 1 :], float(value) if is_number else None, flag))
    return values


names = st.sampled_from(["a-Rtd", "a-Flag", "b-Rtd", "b-Flag", "a-Avg", "DataTime", "-Rtd", "a-", "-", "", "a"])
numbers = st.sampled_from(["1", "-2.5", "", "N", "=", "a=1", "1e5", "0001", ".5"])
items = st.builds("{}={}".format, names, numbers) | names
areas = st.lists(st.lists(items, max_size=4).map(",".join), max_size=5).map(";".join)


@given(areas)
def test_a_data_area_is_read_as_the_plain_reading_of_it(area: str) -> None:
    (packet,) = packet_reader().feed(wire(f"QN=1;CP=&&{area}&&"))
    assert list(packet.data) == plainly(area) and len(packet.data) == len(plainly(area))
    assert [tuple(value) for value in factor_values(packet)] == values_plainly(plainly(area))
    assert packet.item("a-Rtd") == next((each["a-Rtd"] for each in plainly(area) if "a-Rtd" in each), None)
    by_hand = dataclasses.replace(packet, data=tuple(plainly(area)))
    assert by_hand == packet and factor_values(by_hand) == factor_values(packet)


@pytest.mark.parametrize(
    "size", [*range(20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1024]
)
def test_the_checksum_of_any_size_is_that_of_the_standard(size: int) -> None:
    for seed in range(5):
        segment = random.Random(f"{size} {seed}").randbytes(size)
        assert f"{codec.checksum(segment):04X}" == checksum(segment)


@pytest.mark.parametrize("seed", range(3))
def test_every_intact_packet_of_a_noisy_line_is_found(seed: int) -> None:
    sent = [report(f"e41601-Rtd={value / 100},e41601-Flag=N") for value in range(150)]
    found, of = check_noisy_line(packet_reader, sent, seed, error_rate=0.003)
    assert found > 0.4 * of


def test_random_bytes_hold_no_packet() -> None:
    """Two signs, four digits, a checksum in hexadecimal and CR LF: less than 1 in 2^70 places."""
    assert false_frames(packet_reader, 20 * 65_536, 1) == 0


class Monitor:
    """One connection to the centre."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.say = writer.write

    async def hear(self) -> str:
        line = await asyncio.wait_for(self._reader.readuntil(b"\r\n"), 10)
        assert line[-6:-2].decode() == checksum(line[6:-6]) and int(line[2:6]) == len(line) - 12
        return line[6:-6].decode()


def check(scenario: Callable[[Monitor, ListSink, Events], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        level = {"factor": "e41601", "metric": "level"}
        flow = {"factor": "w00000", "metric": "flow", "command": "2061", "aspect": "Avg"}
        station = {"device": "pump-1", "station": MN, "password": "100000", "quantities": [level, flow]}
        settings = Hj212Settings.model_validate({"driver": "hj212", "port": 0, "devices": [station]})
        driver = Hj212Driver(settings, clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: driver.port != 0, "listening")
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        try:
            await scenario(Monitor(reader, writer), sink, events)
        finally:
            writer.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_report_is_answered_when_durable_and_kept_once() -> None:
    async def scenario(monitor: Monitor, sink: ListSink, events: Events) -> None:
        for _ in range(2):
            monitor.say(b"noise##" + report("e41601-Rtd=1.253,e41601-Flag=N"))
            assert await monitor.hear() == f"QN=20261123075000123;ST=91;CN=9014;PW=100000;MN={MN};Flag=4;CP=&&&&"
        monitor.say(report("w00000-Avg=3.5,w00000-Flag=D", 2061, number="20261123080000000"))
        await monitor.hear()
        assert [(r.metric, r.value, r.quality, r.time_ms) for r in sink.readings] == [
            ("level", 1.253, Quality.GOOD, 1_795_391_400_000),
            ("flow", 3.5, Quality.BAD, 1_795_391_400_000),
        ]
        assert events.counters()["duplicates"] == 1

    check(scenario)


def test_a_station_whose_packets_all_have_one_number_is_heard() -> None:
    async def scenario(monitor: Monitor, sink: ListSink, events: Events) -> None:
        for level in ("1.25", "1.25", "1.26"):
            monitor.say(report(f"e41601-Rtd={level},e41601-Flag=N", number="1"))
            assert "CN=9014" in await monitor.hear()
        assert [r.value for r in sink.readings] == [1.25, 1.26]
        assert events.counters()["duplicates"] == 1

    check(scenario)


def test_strangers_are_counted_and_a_full_spool_is_not_answered() -> None:
    async def scenario(monitor: Monitor, sink: ListSink, events: Events) -> None:
        monitor.say(report("e41601-Rtd=1", password="999999"))
        monitor.say(report("e41601-Rtd=1").replace(MN.encode(), MN.lower().encode()))
        sink.refusal = Unavailable("the spool is full")
        monitor.say(report("e41601-Rtd=1"))
        await until(lambda: events.counters().get("refused_answers", 0) == 1, "the refusal")
        sink.refusal = None
        monitor.say(report("e41601-Rtd=1"))
        assert "CN=9014" in await monitor.hear()
        assert len(sink.readings) == 1
        assert events.counters()["refused_messages_wrong-password"] == 1

    check(scenario)


@pytest.mark.parametrize("said", ["2026110112", "202611011213", "2026112307500", "20261123075000123", "", "today"])
def test_a_time_that_is_no_whole_time_is_our_own_and_suspect(said: str) -> None:
    async def scenario(monitor: Monitor, sink: ListSink, _events: Events) -> None:
        monitor.say(wire(f"QN=1;ST=52;CN=2011;PW=100000;MN={MN};Flag=5;CP=&&DataTime={said};e41601-Rtd=1&&"))
        await monitor.hear()
        assert [(r.time_ms, r.quality) for r in sink.readings] == [(NOW_MS, Quality.SUSPECT)]

    check(scenario)


def test_to_a_number_that_is_none_nothing_is_answered_and_the_next_packet_is() -> None:
    async def scenario(monitor: Monitor, sink: ListSink, _events: Events) -> None:
        monitor.say(report("e41601-Rtd=1", number="é") + report("e41601-Rtd=2", number="9" * 900))
        monitor.say(report("e41601-Rtd=3"))
        assert "QN=20261123075000123" in await monitor.hear()
        assert [r.value for r in sink.readings][-1] == 3.0

    check(scenario)


def test_a_packet_that_wants_no_answer_gets_none() -> None:
    async def scenario(monitor: Monitor, sink: ListSink, _events: Events) -> None:
        monitor.say(report("e41601-Rtd=1", flag=4) + report("e41601-Rtd=2", flag=5, number="20261123075000124"))
        assert "QN=20261123075000124" in await monitor.hear()
        assert [r.value for r in sink.readings] == [1.0, 2.0]

    check(scenario)
