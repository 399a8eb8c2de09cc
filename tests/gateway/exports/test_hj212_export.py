"""Reports to an authority: spans, flags, requests, and a centre of our own that answers late or not at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Events
from gateway.exports.hj212.export import Hj212Export
from gateway.exports.hj212.report import Reporter
from gateway.exports.hj212.settings import Hj212ExportSettings
from gateway.hj212.codec import Packet, encode, packet_reader
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.gateway.lines.test_hj212 import MN, checksum, wire
from tests.gateway.support import until

NOW_MS = 1_795_392_000_000  # 2026-11-23 08:00 at +08:00
MINUTE_MS = 60_000


def settings(port: int = 1, **rest: Any) -> Hj212ExportSettings:
    series = [
        {"device": "mh-1", "metric": "level", "factor": "e41601", "decimals": 2},
        {"device": "mh-2", "metric": "level", "factor": "e41602"},
    ]
    entry = {
        "export": "hj212",
        "host": "127.0.0.1",
        "port": port,
        "station": MN,
        "password": "100000",
        "series": series,
    }
    return Hj212ExportSettings.model_validate({**entry, **rest})


def level(value: float, at_ms: int, device: str = "mh-1", quality: Quality = Quality.GOOD) -> Reading:
    return Reading(device, "level", at_ms, value, quality)


def data(packet: Packet) -> str:
    return ";".join(",".join(f"{name}={value}" for name, value in items.items()) for items in packet.data)


def spans(reporter: Reporter, now_ms: int) -> list[str]:
    return [f"{p.command} {data(p)}" for report in reporter.of_spans(now_ms) for p in report.packets]


def test_a_span_is_told_once_with_least_mean_and_greatest_of_the_good_readings() -> None:
    reporter = Reporter(settings(), NOW_MS)
    for minute, value in enumerate((1.0, 3.0, 2.0)):
        reporter.take(level(value, NOW_MS + minute * MINUTE_MS), NOW_MS + minute * MINUTE_MS)
    reporter.take(level(9.0, NOW_MS + 5 * MINUTE_MS, "mh-2", Quality.BAD), NOW_MS + 5 * MINUTE_MS)
    assert spans(reporter, NOW_MS + 10 * MINUTE_MS) == []
    assert spans(reporter, NOW_MS + 10 * MINUTE_MS + 20_000) == [
        "2051 DataTime=20261123080000;e41601-Min=1.00,e41601-Avg=2.00,e41601-Max=3.00,e41601-Flag=N;e41602-Flag=D"
    ]
    assert spans(reporter, NOW_MS + 19 * MINUTE_MS) == []
    found = spans(reporter, NOW_MS + 61 * MINUTE_MS)
    assert found[0].startswith("2051 DataTime=20261123085000;e41601-Flag=B")
    assert found[1].startswith("2061 DataTime=20261123080000;e41601-Min=1.00,e41601-Avg=2.00")


def test_a_reading_of_a_span_that_was_told_or_from_the_future_changes_nothing() -> None:
    reporter = Reporter(settings(), NOW_MS)
    later_ms = NOW_MS + 11 * MINUTE_MS
    reporter.of_spans(later_ms)
    reporter.take(level(5.0, NOW_MS), later_ms)
    reporter.take(level(5.0, later_ms + 10 * 3_600_000), later_ms)
    assert "e41601-Flag=B" in spans(reporter, NOW_MS + 21 * MINUTE_MS)[0]


times = st.lists(st.tuples(st.integers(0, 30 * MINUTE_MS), st.sampled_from([0.0, 1.0, 2.5])), max_size=30)


@given(times, st.permutations(range(30)))
def test_the_order_of_readings_does_not_matter(readings: list[tuple[int, float]], order: list[int]) -> None:
    one, other = Reporter(settings(), NOW_MS), Reporter(settings(), NOW_MS)
    end_ms = NOW_MS + 31 * MINUTE_MS
    for after_ms, value in readings:
        one.take(level(value, NOW_MS + after_ms), end_ms)
    for number in order:
        if number < len(readings):
            after_ms, value = readings[number]
            other.take(level(value, NOW_MS + after_ms), end_ms)
    assert spans(one, end_ms) == spans(other, end_ms)


def test_the_report_of_now_carries_the_newest_values_and_says_which_are_missing() -> None:
    reporter = Reporter(settings(), NOW_MS)
    reporter.take(level(1.254, NOW_MS + 1), NOW_MS + 1)
    assert reporter.of_now(NOW_MS + 29_999) is None
    report = reporter.of_now(NOW_MS + 30_000)
    assert report is not None
    assert data(report.packets[0]) == "DataTime=20261123080030;e41601-Rtd=1.25,e41601-Flag=N;e41602-Flag=B"
    assert report.packets[0].flag == 4


def test_reports_of_now_go_on_when_the_clock_is_set_back() -> None:
    reporter = Reporter(settings(), NOW_MS)
    assert reporter.of_now(NOW_MS + 30_000) is not None
    reporter.take(level(1.0, NOW_MS), NOW_MS)
    back_ms = NOW_MS - 7_200_000
    assert reporter.of_now(back_ms) is None
    reporter.take(level(2.0, back_ms), back_ms)
    report = reporter.of_now(back_ms + 30_000)
    assert report is not None and "e41601-Rtd=2.00" in data(report.packets[0])


def test_nothing_is_told_of_a_time_that_nobody_knows() -> None:
    """A box without a clock counts from 0 until it learns the time."""
    reporter = Reporter(settings(), 5_000)
    reporter.take(level(1.0, 6_000), 6_000)
    assert reporter.of_now(60_000) is None
    assert spans(reporter, 5_000_000) == []
    reporter.take(level(2.0, NOW_MS), NOW_MS)
    assert reporter.of_now(NOW_MS) is not None
    assert [report[:24] for report in spans(reporter, NOW_MS + 10 * MINUTE_MS + 20_000)] == [
        "2051 DataTime=2026112308",
        "2061 DataTime=2026112307",
    ]


def test_a_value_beyond_all_measurements_is_told_by_its_flag_and_stops_nothing() -> None:
    reporter = Reporter(settings(), NOW_MS)
    reporter.take(level(1e300, NOW_MS + 1), NOW_MS + 1)
    now = reporter.of_now(NOW_MS + 30_000)
    (span,) = reporter.of_spans(NOW_MS + 11 * MINUTE_MS)
    assert now is not None
    for report in (now, span):
        (packet,) = report.packets
        assert "e41601-Flag=D" in encode(packet).decode()


def test_a_long_report_is_cut_into_packets_of_a_segment_each() -> None:
    many = [{"device": f"mh-{i}", "metric": "level", "factor": f"e416{i:02}"} for i in range(40)]
    reporter = Reporter(settings(series=many), NOW_MS)
    for i in range(40):
        reporter.take(level(123.456, NOW_MS, f"mh-{i}"), NOW_MS)
    (report,) = reporter.of_spans(NOW_MS + 11 * MINUTE_MS)
    count = len(report.packets)
    assert count > 1 and [p.packets for p in report.packets] == [(count, at) for at in range(1, count + 1)]
    read = packet_reader().feed(b"".join(map(encode, report.packets)))
    assert tuple(read) == report.packets
    assert sum("Flag" in str(items) for packet in read for items in packet.data) == 40
    assert len({packet.number for packet in read}) == count


def ask(reporter: Reporter, command: int, items: str = "", now_ms: int = NOW_MS, **changes: Any) -> list[str]:
    head = {"PW": "100000", "MN": MN, "Flag": "5", **changes}
    segment = (
        f"QN=20261123080000001;ST=52;CN={command};" + ";".join(f"{k}={v}" for k, v in head.items()) + f";CP=&&{items}&&"
    )
    (request,) = packet_reader().feed(wire(segment))
    return [f"{packet.command} {data(packet)}" for packet in reporter.answer(request, now_ms)]


@pytest.mark.parametrize(
    ("command", "items", "expected"),
    [
        (1011, "", ["9011 QnRtn=1", "1011 SystemTime=20261123080000", "9012 ExeRtn=1"]),
        (1012, "SystemTime=20261123080000", ["9011 QnRtn=2"]),
        (1061, "", ["9011 QnRtn=1", "1061 RtdInterval=30", "9012 ExeRtn=1"]),
        (1063, "", ["9011 QnRtn=1", "1063 MinInterval=10", "9012 ExeRtn=1"]),
        (1062, "RtdInterval=7", ["9011 QnRtn=1", "9012 ExeRtn=2"]),
        (1064, "MinInterval=7", ["9011 QnRtn=1", "9012 ExeRtn=2"]),
        (2051, "BeginTime=x", ["9011 QnRtn=1", "9012 ExeRtn=100"]),
        (3019, "", ["9011 QnRtn=8"]),
    ],
)
def test_requests_are_answered(command: int, items: str, expected: list[str]) -> None:
    assert ask(Reporter(settings(), NOW_MS), command, items) == expected


def test_requests_of_others_are_refused_by_name() -> None:
    reporter = Reporter(settings(), NOW_MS)
    assert ask(reporter, 1011, PW="999999") == ["9011 QnRtn=3"]
    assert ask(reporter, 1011, MN="X") == ["9011 QnRtn=4"]
    assert ask(reporter, 1011, PW="999999", Flag="4") == []


def test_the_centre_changes_the_interval_and_stops_and_asks_again_for_what_was() -> None:
    reporter = Reporter(settings(), NOW_MS)
    assert ask(reporter, 1062, "RtdInterval=60")[-1] == "9012 ExeRtn=1"
    assert reporter.of_now(NOW_MS + 30_000) is None and reporter.of_now(NOW_MS + 60_000) is not None
    ask(reporter, 2012)
    assert reporter.of_now(NOW_MS + 600_000) is None
    assert [line[:4] for line in ask(reporter, 2011)] == ["9011", "2011", "9012"]
    reporter.of_spans(NOW_MS + 11 * MINUTE_MS)
    found = ask(reporter, 2051, "BeginTime=20261123080000,EndTime=20261123081000")
    assert [line[:4] for line in found] == ["9011", "2051", "9012"]


@given(st.sampled_from(["1011", "1062", "1064", "2051", "9999", "x", ""]), st.text(max_size=10), st.text(max_size=8))
def test_any_request_is_answered_and_nothing_raises(command: str, value: str, flag: str) -> None:
    items = ({"RtdInterval": value, "MinInterval": value, "BeginTime": value},)
    request = Packet("1", "52", command, "100000", MN, 5, items)
    Reporter(settings(), NOW_MS).answer(request, NOW_MS)


class Centre:
    """An authority's centre of our own making: keeps what it hears, answers what it is told to answer."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answers = True
        self.never = ""  # what stands in a report that it never answers
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                line = await reader.readuntil(b"\r\n")
                assert line[-6:-2].decode() == checksum(line[6:-6]) and int(line[2:6]) == len(line) - 12
                segment = line[6:-6].decode()
                self.heard.append(segment)
                number = re.search(r"QN=(\d+)", segment)
                if self.answers and "Flag=5" in segment and number and not (self.never and self.never in segment):
                    writer.write(wire(f"QN={number[1]};ST=91;CN=9014;PW=100000;MN={MN};Flag=4;CP=&&&&"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def commands(self) -> list[str]:
        return [re.findall(r"CN=(\d+)", segment)[0] for segment in self.heard]


def check(scenario: Callable[[Centre, Hj212Export, ManualClock, Events], Awaitable[None]], **rest: Any) -> None:
    async def run() -> None:
        centre = Centre()
        await centre.start()
        clock = ManualClock(NOW_MS)
        events = Events(clock)
        export = Hj212Export(settings(centre.port, **rest), clock, events)
        try:
            await scenario(centre, export, clock, events)
        finally:
            centre.stop()

    asyncio.run(run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_reports_are_told_and_answered() -> None:
    async def scenario(centre: Centre, export: Hj212Export, clock: ManualClock, _events: Events) -> None:
        task = asyncio.create_task(export.run())
        await until(lambda: bool(centre.writers), "the connection")
        export.take([level(1.25, NOW_MS + 1)])
        clock.advance(11 * 60)
        await until(lambda: {"2011", "2051", "9015"} <= set(centre.commands()), "reports and a heartbeat")
        assert any("e41601-Avg=1.25" in segment for segment in centre.heard)
        centre.writers[0].write(wire(f"QN=20261123080000001;ST=52;CN=1011;PW=100000;MN={MN};Flag=5;CP=&&&&"))
        await until(lambda: "9012" in centre.commands(), "the answer to a request")
        assert centre.commands().count("2051") == 1
        await ended(task)

    check(scenario)


def test_a_report_that_is_not_answered_is_sent_again_and_over_the_next_connection_too() -> None:
    async def scenario(centre: Centre, export: Hj212Export, clock: ManualClock, _events: Events) -> None:
        centre.answers = False
        export.take([level(1.25, NOW_MS + 1)])
        clock.advance(11 * 60)
        export.take([level(1.5, clock.now_ms())])
        with pytest.raises(Unavailable, match="does not answer report"):
            await export.run()
        assert centre.commands().count("2051") == 3
        centre.answers = True
        task = asyncio.create_task(export.run())
        await until(lambda: centre.commands().count("2051") == 4, "the report again")
        await until(lambda: not export._answered and not export._in_hand, "its answer")
        await ended(task)

    check(scenario, answer_within_s=0.05, resends_max=2)


def test_a_report_that_is_never_answered_keeps_no_other_back_and_is_dropped_in_the_end() -> None:
    async def scenario(centre: Centre, export: Hj212Export, clock: ManualClock, events: Events) -> None:
        async def connections(count: int) -> None:
            for _ in range(count):
                with pytest.raises(Unavailable, match="does not answer report"):
                    await export.run()

        def measured(value: float) -> None:
            export.take([level(value, clock.now_ms())])
            clock.advance(10 * 60 + 21)

        def told(value: str) -> int:
            return sum(f"e41601-Avg={value}" in segment and "CN=2051" in segment for segment in centre.heard)

        centre.never = "e41601-Avg=1.00"
        measured(1.0)
        measured(2.0)
        await connections(2)
        assert (told("1.00"), told("2.00")) == (4, 0)
        await connections(2)
        assert (told("1.00"), told("2.00")) == (8, 1)
        measured(3.0)
        await connections(4)
        measured(4.0)
        await connections(4)
        assert (told("3.00"), told("4.00")) == (1, 1)
        assert events.counters()["export_dropped"] == 1 and not export._in_hand and not len(export._outbox)

    check(scenario, answer_within_s=0.05, resends_max=1)


def test_a_centre_that_answers_nothing_costs_no_report() -> None:
    async def scenario(centre: Centre, export: Hj212Export, clock: ManualClock, events: Events) -> None:
        centre.answers = False
        for value in (1.0, 2.0):
            export.take([level(value, clock.now_ms())])
            clock.advance(10 * 60 + 21)
        for _ in range(20):
            with pytest.raises(Unavailable, match="does not answer report"):
                await export.run()
        assert len(export._in_hand) + len(export._outbox) == 2 and "export_dropped" not in events.counters()

    check(scenario, answer_within_s=0.01, resends_max=1)


def test_what_waits_is_bounded_and_what_is_dropped_is_counted() -> None:
    async def scenario(_centre: Centre, export: Hj212Export, clock: ManualClock, events: Events) -> None:
        for _ in range(6):
            clock.advance(11 * 60)
            export.take([level(1.0, clock.now_ms())])
        assert events.counters()["export_dropped"] >= 3

    check(scenario, kept_max=2)


def test_a_request_whose_number_is_none_is_passed_over() -> None:
    async def scenario(centre: Centre, export: Hj212Export, _clock: ManualClock, events: Events) -> None:
        task = asyncio.create_task(export.run())
        await until(lambda: bool(centre.writers), "the connection")
        for number in ("9" * 900, "\xe9", "1"):
            request = f"QN={number};ST=52;CN=1011;PW=100000;MN={MN};Flag=5;CP=&&&&"
            head = f"##{len(request):04}".encode()
            centre.writers[0].write(
                head + request.encode("latin-1") + checksum(request.encode("latin-1")).encode() + b"\r\n"
            )
        await until(lambda: "1011" in centre.commands(), "the answer to the third")
        assert events.counters()["refused_messages_bad-number"] == 2
        await ended(task)

    check(scenario)


def test_a_centre_that_is_away_is_unavailable() -> None:
    async def scenario(centre: Centre, export: Hj212Export, _clock: ManualClock, _events: Events) -> None:
        centre.stop()
        with pytest.raises(Unavailable, match="connecting to"):
            await export.run()

    check(scenario)
