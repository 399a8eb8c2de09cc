"""Simulated stations of SL 651 and HJ 212 that dial in to the gateway's centres, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from firmware_sim.devices import hj212, sl651
from firmware_sim.devices.dialling import Habits, Speaker, Station
from firmware_sim.devices.faults import MeterClock, Misdeeds, with_faults
from firmware_sim.devices.hj212 import Station212
from firmware_sim.devices.quantities import Quantities
from firmware_sim.devices.sl651 import Station651

from gateway.drivers import DRIVERS
from gateway.drivers.sl651 import codec as gateway_sl651
from gateway.events import Events
from gateway.hj212.codec import packet_reader
from telemetry.clock import SystemClock
from telemetry.errors import Unavailable
from telemetry.quality import Quality
from tests.firmware_sim.field import faults, steady
from tests.gateway.support import ListSink, until
from tests.vectors.vector import FOLDER

START_MS = 1_795_392_000_000  # 2026-11-23 08:00 in Shanghai
NUMBER, MN = "0012345678", "010000A8900016F000169DC0"
QUICK = Habits(every_s=0.05, keep_alive_s=0.02, answer_within_s=0.3)
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "sl651": {
        "station": NUMBER,
        "password": "1234",
        "quantities": [{"metric": "water_level", "element": "39"}, {"metric": "rain_total", "element": "26"}],
    },
    "hj212": {
        "station": MN,
        "password": "123456",
        "quantities": [{"metric": "water_level", "factor": "e41601"}, {"metric": "flow", "factor": "w00000"}],
    },
}
Make = Callable[[Quantities, MeterClock], Speaker]


def river(**fields: Any) -> Make:
    return lambda quantities, clock: Station651(NUMBER, quantities, clock, **fields)


def sewage(**fields: Any) -> Make:
    return lambda quantities, clock: Station212(MN, quantities, clock, **fields)


@dataclass(slots=True)
class Came:
    """What a centre made of a station."""

    readings: list[Any]
    counters: Mapping[str, int]
    station: Station
    said: set[float]  # every level that the station ever measured

    def levels(self) -> list[float]:
        return [r.value for r in self.readings if r.metric == "water_level"]


def dialled(
    driver: str,
    make: Make,
    *declared: dict[str, Any],
    count: int = 8,
    habits: Habits = QUICK,
    until_said: Callable[[Station], bool] = lambda _station: True,
    **more: Any,
) -> Came:
    """A station whose level is another one each time, until the centre has so many of them."""

    async def run() -> Came:
        clock, wrong, said = SystemClock(), faults(*declared), set[float]()
        sink, events = ListSink(), Events(clock)
        kind = DRIVERS[driver]
        settings: Any = kind.settings.model_validate(
            {"driver": driver, "port": 0, "devices": [{"device": "s1", **SETTINGS[driver]}], **more}
        )
        made: Any = kind.make(settings, clock, events)

        async def serve() -> None:
            while True:
                with contextlib.suppress(Unavailable):
                    await made.run(sink)

        serving = asyncio.create_task(serve())
        await until(lambda: made.port != 0, "a port")
        start_ms = clock.now_ms()

        def measure(now_ms: int) -> Mapping[str, float]:
            # Below zero at first; on a machine so busy that two reports are made in one millisecond, no value comes twice.
            level = round(max((now_ms - start_ms) % 1_000_000 / 1000 - 0.5, max(said, default=-1.0) + 0.001), 3)
            said.add(level)
            return {"level": level, "rain_total": 12.5, "flow": 3.25}

        misdeeds = Misdeeds(wrong, start_ms, seed=9)
        speaker = make(with_faults(measure, wrong, start_ms), MeterClock(start_ms, wrong))
        station = Station(speaker, habits, misdeeds, clock, seed=4)
        tasks = [serving, asyncio.create_task(station.run("127.0.0.1", made.port))]
        try:
            await until(
                lambda: (
                    any(task.done() for task in tasks)
                    or (sum(r.metric == "water_level" for r in sink.readings) >= count and until_said(station))
                ),
                f"{count} levels",
            )
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Came(sink.readings, events.counters(), station, said)

    return asyncio.run(run())


def check(came: Came) -> None:
    """Nothing that was not measured, nothing twice, nothing out of order."""
    levels = came.levels()
    assert set(levels) <= came.said
    assert all(a < b for a, b in itertools.pairwise(levels)), levels
    assert {r.value for r in came.readings if r.metric == "rain_total"} <= {12.5}
    assert {r.value for r in came.readings if r.metric == "flow"} <= {3.25}


def vectors(file: str) -> list[Any]:
    path = FOLDER / file
    return [pytest.param(v, id=v["name"]) for v in json.loads(path.read_text("utf-8"))] if path.exists() else []


@pytest.mark.parametrize("vector", vectors("sl651.json"))
def test_published_frames_have_the_checksum_of_ours(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    assert (sl651.crc(data[:-2]) == data[-2:]) == vector["checksum_ok"]
    found = sl651.find_down(b"\x7e\x00" + data)
    assert (found is not None) == (vector["decoded"].get("direction") == "down")


@pytest.mark.parametrize("vector", vectors("hj212.json"))
def test_published_packets_have_the_checksum_of_ours(vector: dict[str, Any]) -> None:
    found = hj212.find_segment(b"##00" + vector["text"].encode())
    assert (found is not None) == (vector["kind"] != "documented-negative")
    if found is not None:
        sent = vector["text"].encode()
        assert hj212.packed(found[0].decode()).lower() == sent.lower()


def test_a_published_report_is_said_byte_for_byte() -> None:
    at = steady(rain=4.0, rain_total=4.0, level=10.49, voltage=10.99)
    station = Station651("0011223344", at, MeterClock(0), "03E8", centre=5, tells_status=False)
    station._serial = 0x33
    (frame,) = station.message(sl651.TIMED, 1_500_346_816_000).frames  # 2017-07-18 11:00:16
    published = "7e7e05001122334403e832002b020034170718110016f1f1001122334448f0f01707181100"
    assert frame.data.hex() == published + "201900004026190000403923000104903812109903a421"


@pytest.mark.parametrize(("driver", "make"), [("sl651", river()), ("hj212", sewage())], ids=["sl651", "hj212"])
def test_each_report_arrives_once(driver: str, make: Make) -> None:
    came = dialled(driver, make)
    check(came)
    assert "noise_bytes" not in came.counters and came.station.dropped == 0
    assert came.levels()[0] < 0


FAULTS: dict[str, dict[str, Any]] = {
    "wrong-checksum": {"fault": "wrong-checksum", "share": 0.3},
    "cut-off": {"fault": "cut-off", "share": 0.2},
    "silence": {"fault": "silence", "share": 0.3},
    "slow": {"fault": "slow", "by_s": 0.35, "share": 0.3},
    "reboot": {"fault": "reboot", "from_s": 0.2, "for_s": 0.6},
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(("driver", "make"), [("sl651", river()), ("hj212", sewage())], ids=["sl651", "hj212"])
def test_a_station_that_misbehaves_tells_nothing_wrong_and_nothing_twice(driver: str, make: Make, name: str) -> None:
    came = dialled(driver, make, FAULTS[name], until_said=lambda station: station.injected[name] > 0)
    check(came)


@pytest.mark.parametrize(("driver", "make"), [("sl651", river()), ("hj212", sewage())], ids=["sl651", "hj212"])
def test_what_is_said_twice_or_broken_off_in_its_middle_is_kept_once(driver: str, make: Make) -> None:
    habits = Habits(every_s=0.05, keep_alive_s=0.02, answer_within_s=0.3, doubled_share=0.5)
    came = dialled(driver, make, habits=habits)
    check(came)
    assert came.station.injected["doubled"] > 0 and came.counters["duplicates"] > 0
    broken = Habits(every_s=0.3, keep_alive_s=0.02, answer_within_s=0.3, hang_up_share=0.3)
    came = dialled(driver, make, habits=broken, count=4, until_said=lambda station: station.injected["hung-up"] > 0)
    check(came)


def test_a_station_that_is_told_to_leave_dials_for_each_report() -> None:
    came = dialled("sl651", river(), stays_on_line=False)
    check(came)


@pytest.mark.parametrize("fields", [{}, {"counts_packets": True}, {"sort": None}], ids=["plain", "counted", "no-sort"])
def test_a_long_report_comes_in_packets(fields: dict[str, Any]) -> None:
    came = dialled("sl651", river(packet_bytes=15, **fields))
    check(came)
    assert len(came.levels()) >= 8 and len([r for r in came.readings if r.metric == "rain_total"]) >= 8


@pytest.mark.parametrize("fill", ["ff", "aa"])
def test_a_level_instrument_that_fails_gives_no_level_and_the_rest_still_comes(fill: Any) -> None:
    came = dialled(
        "sl651", river(is_deaf=True, fill=fill), count=0, until_said=lambda station: station.told["reports"] > 3
    )
    assert came.levels() == [] and came.counters["invalid"] > 3
    assert {r.value for r in came.readings} == {12.5}
    came = dialled("hj212", sewage(is_deaf=True), count=0, until_said=lambda station: station.told["reports"] > 3)
    assert came.levels() == [] and {r.value for r in came.readings} == {3.25}


def test_an_hour_holds_its_twelve_levels_and_a_limit_is_told_at_once() -> None:
    def at(now_ms: int) -> Mapping[str, float]:
        return {"level": (now_ms - START_MS) / 3_600_000, "voltage": 10.5}

    station = Station651(NUMBER, at, MeterClock(START_MS), limit_m=0.5)
    functions, levels = [], []
    for minute in range(0, 70, 5):
        (message,) = station.report(START_MS + minute * 60_000)
        (frame,) = gateway_sl651.frame_reader().feed(message.frames[0].data)
        functions.append(frame.function)
        report = gateway_sl651.decode_report(frame)
        assert report.station == NUMBER and report.rest == b"" and report.status == 0x82
        if frame.function == sl651.HOURLY:
            levels = [(e.observed, e.value) for e in report.elements if e.code == "F5"]
    assert functions == [0x32] * 7 + [0x33] + [0x32] * 4 + [0x34, 0x32]
    assert [value for _, value in levels] == [round((5 + 5 * i) / 60, 2) for i in range(12)]
    assert [observed.minute for observed, _ in levels if observed] == [*range(5, 60, 5), 0]


def test_a_clock_that_begins_anew_makes_readings_suspect_and_of_now() -> None:
    came = dialled("sl651", river(), {"fault": "reboot", "from_s": 0.0, "for_s": 0.1})
    now_ms = SystemClock().now_ms()
    assert {r.quality for r in came.readings[-4:]} == {Quality.SUSPECT}
    assert all(abs(r.time_ms - now_ms) < 60_000 for r in came.readings)


@pytest.mark.parametrize(
    ("fields", "quality"),
    [
        ({"checksum": "lower-case"}, Quality.GOOD),
        ({"flag": None}, Quality.GOOD),
        ({"writes_spaces": True}, Quality.GOOD),
        ({"splits": True}, Quality.GOOD),
        ({"flag": "S"}, Quality.SUSPECT),
        ({"flag": "B"}, Quality.BAD),
        ({"tells_minutes": True}, Quality.GOOD),
        ({"wants_answer": False}, Quality.GOOD),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_a_packet_is_read_however_a_station_writes_it(fields: dict[str, Any], quality: Quality) -> None:
    came = dialled("hj212", sewage(**fields))
    check(came)
    assert {r.quality for r in came.readings} == {quality}


def test_a_packet_under_the_checksum_of_modbus_is_noise() -> None:
    habits = Habits(every_s=0.02, answer_within_s=0.02, repeats_max=3)
    came = dialled(
        "hj212", sewage(checksum="modbus", wants_answer=False), count=0, habits=habits,
        until_said=lambda station: station._speaker._number > 12,  # type: ignore[attr-defined]
    )  # fmt: skip
    assert came.readings == []


def test_a_report_too_long_for_a_segment_is_said_in_several() -> None:
    factors = {f"q{n}": f"w{n:05}" for n in range(60)}
    station = Station212(MN, steady(**dict.fromkeys(factors, 1.5)), MeterClock(START_MS), factors=factors)
    messages = station.report(START_MS)
    said = b"".join(message.frames[0].data for message in messages)
    assert len(messages) > 1 and f"PNUM={len(messages)};PNO=2;".encode() in said
    assert said.count(b"-Rtd=1.500") == 60
    for message in messages:
        (packet,) = packet_reader().feed(message.frames[0].data)
        assert packet.packets is not None and packet.packets[0] == len(messages)


def test_averages_of_ten_minutes_are_those_of_the_ten_minutes() -> None:
    def at(now_ms: int) -> Mapping[str, float]:
        return {"level": (now_ms - START_MS) / 60_000}

    station = Station212(MN, at, MeterClock(START_MS), tells_minutes=True)
    assert len(station.report(START_MS)) == 1
    now, minutes = station.report(START_MS + 10 * 60_000)
    assert b"CN=2011" in now.frames[0].data and b"e41601-Rtd=10.000" in now.frames[0].data
    assert b"CN=2051" in minutes.frames[0].data
    assert b"e41601-Avg=5.500,e41601-Min=1.000,e41601-Max=10.000,e41601-Flag=N" in minutes.frames[0].data
