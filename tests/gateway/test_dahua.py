"""Dahua terminals: the text of their events, and a stream of our own."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.dahua.codec import decode_event
from gateway.drivers.dahua.driver import DahuaDriver
from gateway.drivers.dahua.settings import DahuaSettings
from gateway.events import Events
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
ZONE = ZoneInfo("Asia/Shanghai")
MEASURED = {
    "bManTemperature": True,
    "stuManTemperatureInfo": {"fCurrentTemperature": 37.5, "emTemperatureUnit": 0, "bIsOverTemperature": True},
    "nErrorCode": 0x65,
    "RecNo": 7,
    "UserID": "31",
    "CardName": "PERSON-A",
    "CreateTime": 1_795_391_000,
}


def event(**changes: Any) -> bytes:
    return b"Code=AccessControl;action=Pulse;index=0;data=" + json.dumps({**MEASURED, **changes}, indent=1).encode()


def test_an_event_with_a_fever() -> None:
    found = decode_event(event(), ZONE, NOW_MS).scan
    assert found is not None
    assert (found.temperature_c, found.is_abnormal, found.time_ms) == (37.5, True, 1_795_391_000_000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bManTemperature": False}, None),
        ({"bManTemperature": None, "stuManTemperatureInfo": None}, None),
        ({"stuManTemperatureInfo": {"fCurrentTemperature": 99.5, "emTemperatureUnit": 1}}, 37.5),
        ({"stuManTemperatureInfo": {"fCurrentTemperature": 0.0}}, None),
        ({"stuManTemperatureInfo": None, "ManTemperatureInfo": {"CurrentTemperature": "36.4"}}, 36.4),
    ],
)
def test_a_temperature_is_read_where_it_is_valid(changes: dict[str, Any], expected: float | None) -> None:
    found = decode_event(event(**changes), ZONE, NOW_MS).scan
    assert found is not None and found.temperature_c == expected


def test_heartbeats_and_other_events_hold_no_scan() -> None:
    assert decode_event(b"Heartbeat", ZONE, NOW_MS).scan is None
    assert decode_event(b"Code=VideoMotion;action=Start;index=0", ZONE, NOW_MS).scan is None


@given(st.binary(max_size=80), st.sampled_from([b"", b"Code=AccessControl;action=Pulse;index=0;data="]))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_else(data: bytes, start: bytes) -> None:
    try:
        decode_event(start + data, ZONE, NOW_MS)
    except BadInput:
        pass


def test_the_stream_is_read_and_its_end_is_an_outage() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=myboundary\r\n\r\n")
        writer.write(b"--another\r\n\r\n")
        for body in (b"Heartbeat", b"nonsense", event(), event(), event(RecNo=8, bManTemperature=False)):
            writer.write(b"--myboundary\r\nContent-Type: text/plain\r\n")
            writer.write(f"Content-Length:{len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        entry = {"driver": "dahua", "device": "gate-1", "host": "127.0.0.1", "username": "u", "password": "p"}
        entry |= {"port": server.sockets[0].getsockname()[1], "site_key": "9dd4e461268c8034f5c8564e155c67a6"}
        task = asyncio.create_task(DahuaDriver(DahuaSettings.model_validate(entry), clock, events).run(sink))
        await until(task.done, "the end of the stream")
        with pytest.raises(Unavailable, match="ended the event stream"):
            await task
        server.close()
        assert [(r.metric, r.value) for r in sink.readings] == [("skin_temperature", 37.5)]
        counters = events.counters()
        assert (counters["duplicates"], counters["refused_messages"]) == (1, 1)
        assert counters["noise_bytes"] > 0

    asyncio.run(run())
