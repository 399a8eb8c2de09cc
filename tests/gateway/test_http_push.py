"""What scanners really send, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.drivers.http_push.driver import HttpPushDriver
from gateway.drivers.http_push.push import decode_push
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.events import Events
from gateway.request import RequestError, parse_head
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.gateway.support import ListSink, http, post, response, until

NOW_MS = 1_795_392_000_000
TIME = "2026-11-23T08:00:00.123+08:00"
TIME_MS = 1_795_392_000_123
DEVICE = "gate-1-lane-1-scanner"
SCAN = {"serial": "SCN-0101", "passage": "9f2c", "time": TIME, "temperature": 36.5, "ambient": 24.1}
READINGS = [
    Reading(DEVICE, "skin_temperature", TIME_MS, 36.5, Quality.GOOD, "9f2c"),
    Reading(DEVICE, "ambient_temperature", TIME_MS, 24.1, Quality.GOOD, "9f2c"),
]
FIELDS = {"temperature": "skin_temperature", "ambient": "ambient_temperature"}


def decoded(changes: dict[str, object]) -> tuple[Reading, ...]:
    """The readings of the usual scan with some fields changed; a field that becomes `...` is left out."""
    scan = {name: value for name, value in {**SCAN, **changes}.items() if value is not ...}
    return decode_push(json.dumps(scan).encode(), {"SCN-0101": DEVICE}, FIELDS, NOW_MS).readings


def refusal(changes: dict[str, object]) -> BadInput:
    with pytest.raises(BadInput) as caught:
        decoded(changes)
    return caught.value


def test_a_scan_becomes_one_reading_a_field_with_the_passage_as_its_key() -> None:
    assert list(decoded({})) == READINGS


@pytest.mark.parametrize("sent", [36.5, "36.5", " 36.5 ", "+36.50"])
def test_numbers_may_come_as_text(sent: object) -> None:
    assert decoded({"temperature": sent})[0].value == 36.5


@pytest.mark.parametrize("sent", ["", " ", 0, 0.0, "0", "0.0", None, ...])
def test_an_empty_or_zero_value_is_not_a_reading_and_costs_its_neighbour_nothing(sent: object) -> None:
    assert [r.metric for r in decoded({"temperature": sent})] == ["ambient_temperature"]


@pytest.mark.parametrize("sent", [True, [], {}, "warm", "36,5", "nan", "1e400", "0x24", 10**400])
def test_what_is_no_number_is_refused_by_name(sent: object) -> None:
    assert refusal({"temperature": sent}).reason in ("bad-value", "broken-json")


@pytest.mark.parametrize("sent", ["2026-11-23T08:00:00", "2026-11-23 08:00:00", "2026-11-23", "2020-01-01"])
def test_a_time_without_a_zone_is_refused_and_says_so(sent: str) -> None:
    error = refusal({"time": sent})
    assert error.reason == "time-without-zone"
    assert "zone" in error.detail


@pytest.mark.parametrize("sent", [..., None, "", 0])
def test_without_a_time_the_gateways_counts_and_is_suspect(sent: object) -> None:
    reading = decoded({"time": sent})[0]
    assert (reading.time_ms, reading.quality) == (NOW_MS, Quality.SUSPECT)


@pytest.mark.parametrize("sent", [TIME, "2026-11-23T00:00:00.123Z", TIME_MS])
def test_a_time_with_a_zone_or_in_epoch_milliseconds_is_taken_as_it_is(sent: object) -> None:
    reading = decoded({"time": sent})[0]
    assert (reading.time_ms, reading.quality) == (TIME_MS, Quality.GOOD)


@pytest.mark.parametrize(
    "sent",
    [
        "1971--10--29 -23:-27:-54",
        "yesterday",
        "1970-01-01T08:00:05+08:00",
        "1970-01-01 08:00:05",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        5_000,
        -5,
    ],
)
def test_a_clock_that_was_never_set_does_not_cost_the_scan(sent: object) -> None:
    reading = decoded({"time": sent})[0]
    assert reading.value == 36.5
    assert (reading.time_ms, reading.quality) == (NOW_MS, Quality.SUSPECT) or str(sent).startswith("9999")


@pytest.mark.parametrize("sent", [36.6, True, [], {}, 2**70])
def test_a_time_that_is_none_is_refused(sent: object) -> None:
    assert refusal({"time": sent}).reason == "bad-time"


def test_a_serial_that_is_not_declared_is_unknown() -> None:
    error = refusal({"serial": "SCN-9999\n\x1b[31m"})
    assert error.reason == "unknown-serial"
    assert "\x1b" not in error.detail and "\n" not in error.detail


def test_a_serial_may_be_a_number_but_must_be_there() -> None:
    body = json.dumps({**SCAN, "serial": 101}).encode()
    assert decode_push(body, {"101": DEVICE}, FIELDS, NOW_MS).device == DEVICE
    assert refusal({"serial": ...}).reason == "missing-serial"


def test_pictures_and_whatever_else_comes_are_dropped() -> None:
    pushed = decoded({"pic": "/9j/4AAQ" * 1000, "name": "PERSON-A", "extra": {"a": [1]}})
    assert list(pushed) == READINGS


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"serial":"\xff"}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode_push(body, {"SCN-0101": DEVICE}, FIELDS, NOW_MS)
    assert caught.value.reason == "broken-json"


def test_a_passage_too_long_for_a_key_is_refused() -> None:
    assert refusal({"passage": "x" * 101}).reason == "bad-value"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /push HTTP/1.1\r\n\r\n", 411),
        (b"POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /push HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /push HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /push HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", 400),
        (b"POST /push HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST /push HTTP/1.1\r\nContent-Length : 5\r\n\r\n", 400),
        (b"POST /push HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST /push\r\n\r\n", 400),
        (b"POST push HTTP/1.1\r\n\r\n", 400),
        (b"POST /push HTTP/2\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"\xff /push HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_a_head_that_cannot_be_trusted_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_head(head, body_max_bytes=1000)
    assert caught.value.status == status


def test_a_connection_is_kept_unless_somebody_wants_it_closed() -> None:
    def keeps_alive(version: str, header: str) -> bool:
        return parse_head(f"GET / HTTP/{version}\r\n{header}\r\n\r\n".encode(), 0).keeps_alive

    assert keeps_alive("1.1", "Host: x")
    assert not keeps_alive("1.1", "Connection: Close")
    assert not keeps_alive("1.0", "Host: x")
    assert keeps_alive("1.0", "Connection: keep-alive")


# The listener itself


def check(scenario: Callable[[HttpPushDriver, ListSink, Events], Awaitable[None]], **settings: Any) -> None:
    """Run a listener on a free port and a scenario against it."""

    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        declared = HttpPushSettings.model_validate(
            {
                "driver": "http-push",
                "port": 0,
                "devices": [{"device": DEVICE, "serial": "SCN-0101"}],
                "fields": FIELDS,
                **settings,
            }
        )
        driver = HttpPushDriver(declared, clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: driver.port != 0, "listening")
        try:
            await scenario(driver, sink, events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_push_is_answered_after_it_is_durable_and_not_before() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        sink.gate = asyncio.Event()
        answer = asyncio.create_task(http(driver.port, post(SCAN)))
        await asyncio.wait([answer], timeout=0.05)
        assert not answer.done()
        sink.gate.set()
        assert (await answer)[0] == 200
        assert sink.readings == READINGS

    check(scenario)


def test_a_push_that_was_taken_before_is_answered_and_kept_once() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, events: Events) -> None:
        for _ in range(3):
            assert (await http(driver.port, post(SCAN)))[0] == 200
        assert sink.readings == READINGS
        assert events.counters()["duplicates"] == 2
        later = {**SCAN, "time": "2026-11-23T08:00:05+08:00"}
        assert (await http(driver.port, post(later)))[0] == 200
        assert len(sink.readings) == 4

    check(scenario)


def test_a_push_repeated_while_the_first_is_being_written_waits_for_the_same_write() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        sink.gate = asyncio.Event()
        answers = [asyncio.create_task(http(driver.port, post(SCAN))) for _ in range(3)]
        await asyncio.wait(answers, timeout=0.05)
        sink.gate.set()
        assert [status for status, _ in await asyncio.gather(*answers)] == [200, 200, 200]
        assert sink.readings == READINGS

    check(scenario)


def test_a_push_the_spool_refuses_is_answered_503_and_taken_when_it_comes_again() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        sink.refusal = Unavailable("the spool is full")
        status, body = await http(driver.port, post(SCAN))
        assert status == 503 and "spool is full" in body["detail"]
        sink.refusal = None
        assert (await http(driver.port, post(SCAN)))[0] == 200
        assert sink.readings == READINGS

    check(scenario)


def test_a_write_that_takes_too_long_is_answered_503_and_counts_once_it_is_done() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        sink.gate = asyncio.Event()
        assert (await http(driver.port, post(SCAN)))[0] == 503
        sink.gate.set()
        assert (await http(driver.port, post(SCAN)))[0] == 200
        assert sink.readings == READINGS

    check(scenario, answer_within_s=0.05)


def test_a_passage_without_any_measurement_is_answered_and_gives_no_reading() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        assert (await http(driver.port, post({**SCAN, "temperature": "", "ambient": 0})))[0] == 200
        assert sink.readings == []

    check(scenario)


def test_refusals_say_what_to_do_and_the_connection_goes_on() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, events: Events) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        for request, status, words in [
            (post({**SCAN, "serial": "SCN-9999"}), 404, "SCN-9999"),
            (post({**SCAN, "time": "2026-11-23T08:00:00"}), 400, "zone"),
            (post(b"{nonsense"), 400, "JSON"),
            (post(SCAN, path="/other"), 404, "/push"),
            (b"GET /push HTTP/1.1\r\n\r\n", 405, "POST"),
        ]:
            writer.write(request)
            got, body = await response(reader)
            assert (got, body["status"]) == (status, status)
            assert words in body["detail"]
        writer.write(post(SCAN))
        assert (await response(reader))[0] == 200
        writer.close()
        assert sink.readings == READINGS
        assert events.counters()["refused_pushes"] == 5

    check(scenario)


def test_an_oversized_body_is_refused_while_it_is_still_being_sent() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        status, body = await http(driver.port, post(b"x" * 1_000_000))
        assert status == 413 and "pictures" in body["detail"]
        assert sink.readings == []

    check(scenario)


def test_an_oversized_head_is_refused() -> None:
    async def scenario(driver: HttpPushDriver, _sink: ListSink, _events: Events) -> None:
        assert (await http(driver.port, post(SCAN, X_Long="y" * 9000)))[0] == 431

    check(scenario)


def test_a_connection_that_dribbles_or_idles_is_closed() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        for start in (b"", b"POST /push HT", post(SCAN)[:-5]):
            reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
            writer.write(start)
            assert await reader.read() == b""
            writer.close()
        assert sink.readings == []

    check(scenario, idle_max_s=0.05)


def test_who_reads_no_answers_has_no_connection() -> None:
    async def asked(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"GET /push HTTP/1.1\r\n\r\n" * 100)
            await writer.drain()

    async def scenario(driver: HttpPushDriver, _sink: ListSink, events: Events) -> None:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", driver.port))
        _, writer = await asyncio.open_connection(sock=deaf)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        asking = asyncio.create_task(asked(writer))
        await until(lambda: events.counters().get("refused_pushes", 0) > 0, "the first answer")
        await until(lambda: not driver._listener._connections, "the end of the connection")
        assert (await http(driver.port, post(SCAN)))[0] == 200
        await asyncio.gather(asking, return_exceptions=True)

    check(scenario, connections_max=1, idle_max_s=0.2)


def test_more_connections_than_allowed_are_turned_away_and_the_others_served() -> None:
    async def scenario(driver: HttpPushDriver, _sink: ListSink, _events: Events) -> None:
        held = [await asyncio.open_connection("127.0.0.1", driver.port) for _ in range(2)]
        held[0][1].write(post(SCAN))
        assert (await response(held[0][0]))[0] == 200
        assert (await http(driver.port, post(SCAN)))[0] == 503
        held[1][1].write(post(SCAN))
        assert (await response(held[1][0]))[0] == 200
        for _, writer in held:
            writer.close()

    check(scenario, connections_max=2)


def test_the_passages_remembered_are_bounded() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        for passage in ("a", "b", "c", "a"):
            assert (await http(driver.port, post({**SCAN, "passage": passage, "ambient": 0})))[0] == 200
        assert [r.key for r in sink.readings] == ["a", "b", "c", "a"]

    check(scenario, remembered_max=2)


def test_a_scanner_that_waits_for_leave_to_send_gets_it() -> None:
    async def scenario(driver: HttpPushDriver, sink: ListSink, _events: Events) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        head, _, body = post(SCAN, Expect="100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await response(reader))[0] == 200
        writer.close()
        assert sink.readings == READINGS

    check(scenario)
