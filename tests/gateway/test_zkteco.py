"""ZKTeco terminals: rows of the field, and the conversation a terminal of either generation has."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.zkteco.codec import Rows, decode_attlog, decode_rtlog
from gateway.drivers.zkteco.driver import ZktecoDriver
from gateway.drivers.zkteco.settings import ZktecoSettings
from gateway.events import Events
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from tests.gateway import field_cases
from tests.gateway.support import ListSink, until

NOW_MS = 1_795_392_000_000
ZONE = ZoneInfo("Asia/Shanghai")
KEY = "9dd4e461268c8034f5c8564e155c67a6"
ROW = "time=2026-09-09 12:09:{:02}\tpin={}\tcardno=0\tevent=3\tindex={}\tmaskflag=0\ttemperature={}\tconvtemperature=0\r\n"


def attributes(rows: Rows) -> Mapping[str, Any]:
    scans = [dataclasses.asdict(row.scan) for row in rows.rows]
    names = ("time_ms", "quality", "temperature_c", "wears_mask")
    return {**{name: [scan[name] for scan in scans] for name in names}, "refused": [e.reason for e in rows.refused]}


@pytest.mark.parametrize("file", field_cases.files("zkteco_rtlog"), ids=lambda file: file.stem)
def test_a_table_of_access_control_as_seen_in_the_field(file: Path) -> None:
    field_cases.check(file, lambda sent: decode_rtlog(sent.encode(), "S", ZONE, NOW_MS), attributes)


@pytest.mark.parametrize("file", field_cases.files("zkteco_attlog"), ids=lambda file: file.stem)
def test_a_table_of_attendance_as_seen_in_the_field(file: Path) -> None:
    field_cases.check(file, lambda sent: decode_attlog(sent.encode(), "S", ZONE, NOW_MS), attributes)


words = st.sampled_from(["time", "=", "\t", "\n", "\r\n", "pin", "temperature", "36.5", "0", "index", "\0", "é"])


@given(st.binary(max_size=200) | st.lists(words, max_size=60).map(lambda found: "".join(found).encode()))
def test_arbitrary_tables_never_raise_and_every_row_is_answered_for(data: bytes) -> None:
    lines = [line for line in data.decode("utf-8", "replace").replace("\r", "\n").split("\n") if line.strip(" \t\0")]
    for rows in (decode_rtlog(data, "S", ZONE, NOW_MS), decode_attlog(data, "S", ZONE, NOW_MS)):
        assert rows.count == len(lines)


async def ask(port: int, method: str, target: str, body: str = "") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body.encode())
    answer = (await reader.read()).decode()
    writer.close()
    status, _, rest = answer.partition("\r\n")
    return int(status.split(" ")[1]), rest.partition("\r\n\r\n")[2]


def check(scenario: Callable[[int, ListSink, Events], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events, sink = Events(clock), ListSink()
        devices = [{"device": "gate-1", "serial": "CGX1"}]
        settings = ZktecoSettings.model_validate({"driver": "zkteco", "port": 0, "site_key": KEY, "devices": devices})
        driver = ZktecoDriver(settings, clock, events)
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: driver.port != 0, "listening")
        try:
            await scenario(driver.port, sink, events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_the_conversation_of_a_terminal_of_the_third_generation() -> None:
    async def scenario(port: int, sink: ListSink, events: Events) -> None:
        assert await ask(port, "GET", "/iclock/cdata?SN=CGX1&pushver=3.1.1") == (200, "OK")
        status, code = await ask(port, "POST", "/iclock/registry?SN=CGX1", "DeviceType=acc,~DeviceName=SenseFace")
        assert status == 200 and code.startswith("RegistryCode=") and len(code) > 20
        assert (await ask(port, "POST", "/iclock/registry?SN=CGX1", "x=y"))[1] == code
        status, configuration = await ask(port, "POST", "/iclock/push?SN=CGX1")
        assert "Realtime=1\n" in configuration and "SessionID=" in configuration
        assert await ask(port, "GET", "/iclock/getrequest?SN=CGX1") == (200, "OK")
        rows = ROW.format(10, 445966, 40, 37.6) + "nonsense\r\n" + ROW.format(12, 445967, 41, 0)
        for _ in range(2):
            assert await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtlog", rows) == (200, "OK: 3")
        assert [(r.metric, r.value) for r in sink.readings] == [("skin_temperature", 37.6)]
        assert events.counters()["refused_messages_broken-row"] == 2
        state = "time=2026-09-09 12:09:10\tsensor=02\trelay=00\talarm=0200000000000000\r\n"
        assert await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtstate", state) == (200, "OK")
        assert (await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=ATTPHOTO", "x" * 1_000_000))[0] == 200

    check(scenario)


def test_the_conversation_of_a_terminal_of_the_second_generation() -> None:
    async def scenario(port: int, sink: ListSink, _events: Events) -> None:
        status, told = await ask(port, "GET", "/iclock/cdata?SN=CGX1&options=all&pushver=2.4.1&language=83")
        assert status == 200 and told.startswith("GET OPTION FROM: CGX1\n") and "TimeZone=8\n" in told
        assert "Photo" not in told.partition("TransFlag=")[2].partition("\n")[0]
        row = "1\t2026-09-09 12:09:10\t0\t15\t0\t0\t0\t1\t37.4\t99.3\n"
        assert await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=ATTLOG&Stamp=9999", row) == (200, "OK: 1")
        assert [r.value for r in sink.readings] == [37.4]

    check(scenario)


def test_all_that_a_terminal_kept_while_we_were_away_is_taken_at_once() -> None:
    async def scenario(port: int, sink: ListSink, _events: Events) -> None:
        rows = "".join(ROW.format(number % 60, number, number, 36.6) for number in range(5000))
        assert await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtlog", rows) == (200, "OK: 5000")
        assert len(sink.readings) == 5000

    check(scenario)


def test_an_index_that_begins_anew_is_another_event() -> None:
    async def scenario(port: int, sink: ListSink, _events: Events) -> None:
        for second in (10, 20):
            body = ROW.format(second, 1, 40, 36.6)
            assert await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtlog", body) == (200, "OK: 1")
        assert len(sink.readings) == 2

    check(scenario)


def test_a_full_spool_and_a_stranger_are_told_so() -> None:
    async def scenario(port: int, sink: ListSink, _events: Events) -> None:
        sink.refusal = Unavailable("the spool is full")
        assert (await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtlog", ROW.format(1, 1, 1, 36.6)))[0] == 503
        assert (await ask(port, "GET", "/iclock/cdata?SN=CGX2&options=all"))[0] == 404
        assert (await ask(port, "GET", "/elsewhere?SN=CGX1"))[0] == 404
        sink.refusal = None
        assert (await ask(port, "POST", "/iclock/cdata?SN=CGX1&table=rtlog", ROW.format(1, 1, 1, 36.6)))[0] == 200
        assert len(sink.readings) == 1

    check(scenario)
