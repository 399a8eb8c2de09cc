"""When a bus speaks and how long it listens, decided without a line; and exchanges on a virtual one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bus import Bus, NoAnswer, Pace
from gateway.drivers.dlt645.codec import encode_read, frame_reader
from gateway.line import LineSettings
from gateway.schedule import Schedule
from tests.gateway.meters.devices import meter_645
from tests.gateway.meters.wire import Answer, Device, Wire, on_virtual_time
from tests.sim.loop import SimClock

LINE = LineSettings(port="/dev/unused")
METER = meter_645("000000000161", {"00010000": bytes.fromhex("76170300")})
REQUEST = encode_read("000000000161", "00010000")


def test_a_byte_takes_its_bits() -> None:
    assert Pace.of(LINE).byte_s == pytest.approx(11 / 2400)  # start, eight, even, stop
    fast = LineSettings(port="p", baud=9600, parity="none")
    assert Pace.of(fast).byte_s == pytest.approx(10 / 9600)


def test_what_is_waited_for_follows_from_rate_and_length() -> None:
    pace = Pace.of(LineSettings(port="p", answer_delay_ms=600, gap_ms=500, quiet_ms=100))
    assert pace.first_byte_until_s(10.0, 24) == pytest.approx(10 + 24 * 11 / 2400 + 0.6)
    assert pace.last_byte_until_s(10.0, 216) == pytest.approx(10 + 216 * 11 / 2400 + 0.5)
    assert Pace.of(LineSettings(host="h")).first_byte_until_s(0, 24) > pace.first_byte_until_s(0, 24)


def test_the_pause_doubles_with_each_attempt_and_is_never_shorter_than_a_frames_end() -> None:
    pace = Pace.of(LineSettings(port="p", quiet_ms=100, settle_ms=400))
    assert [pace.speak_at_s(5, n, was_answered=True) for n in range(3)] == pytest.approx([5.1, 5.2, 5.4])
    assert pace.speak_at_s(5, 0, was_answered=False) == pytest.approx(5.5)
    assert Pace.of(LineSettings(port="p", quiet_ms=0)).quiet_s == pytest.approx(3.5 * 11 / 2400)


def ask(devices: list[Device], attempts: int = 1, settings: LineSettings = LINE) -> tuple[Wire, float, float | None]:
    """One question: the line, when it ended, and the answer's first value byte."""
    wire = Wire(devices)

    async def work(clock: SimClock) -> tuple[float, float | None]:
        bus = Bus(wire, settings, clock, lambda _is_sent, _data: None)
        value = None
        try:
            frame = await bus.ask(REQUEST, frame_reader(), lambda frame: frame.is_answer, 216, attempts)
            value = frame.value[0]
        except NoAnswer:
            pass
        return asyncio.get_running_loop().time(), value

    ended_s, value = on_virtual_time(work)
    return wire, ended_s, value


def test_an_answer_is_there_as_soon_as_its_last_byte() -> None:
    _, ended_s, value = ask([METER])
    wire_s = (len(REQUEST) + 22) * 11 / 2400
    assert value == 0x76
    assert ended_s == pytest.approx(0.1 + wire_s + 0.05, abs=0.01)


def test_a_dead_meter_costs_what_it_may_think_and_no_more() -> None:
    _, ended_s, value = ask([])
    assert value is None
    assert ended_s == pytest.approx(0.1 + len(REQUEST) * 11 / 2400 + 0.6, abs=0.01)


def test_attempts_are_counted_and_pause() -> None:
    wire, _, _ = ask([], attempts=3)
    starts = [start_s for start_s, _ in wire.requests]
    assert len(starts) == 3 and starts[2] - starts[1] > starts[1] - starts[0] + 0.09


def test_noise_that_looks_like_a_beginning_does_not_hide_the_answer() -> None:
    def noisy(request: bytes) -> Answer | None:
        answer = METER(request)
        assert answer is not None
        return Answer(b"\x68\x01\x02\x03\x04\x05\x06\x68\x91\xc8" + answer.data, answer.delay_s)

    _, ended_s, value = ask([noisy])
    assert value == 0x76 and ended_s < 1.2


def test_a_glitch_when_the_line_is_let_go_does_not_cut_off_a_slow_answer() -> None:
    wire = Wire([meter_645("000000000161", {"00010000": bytes.fromhex("76170300")}, delay_s=0.5)])
    wire.glitch = b"\x00"

    async def work(clock: SimClock) -> int:
        bus = Bus(wire, LineSettings(port="p", gap_ms=200, answer_delay_ms=600), clock, lambda _is_sent, _data: None)
        frame = await bus.ask(REQUEST, frame_reader(), lambda frame: frame.is_answer, 216)
        assert bus.noise_bytes == 1
        return frame.value[0]

    assert on_virtual_time(work) == 0x76


def test_a_line_that_babbles_neither_hangs_nor_grows() -> None:
    """Somebody never stops: the question ends all the same."""

    def babble(_: bytes) -> Answer:
        return Answer(bytes(20_000), 0.0)

    _, ended_s, value = ask([babble])
    assert value is None and ended_s < 3


def test_questions_of_two_who_share_a_bus_do_not_meet() -> None:
    wire = Wire([METER, meter_645("000000000162", {"00010000": bytes(4)}, delay_s=0.3)])

    async def work(clock: SimClock) -> list[int]:
        bus = Bus(wire, LINE, clock, lambda _is_sent, _data: None)
        requests = [encode_read(f"{n:012}", "00010000") for n in (161, 162, 161)]
        frames = await asyncio.gather(
            *(bus.ask(request, frame_reader(), lambda frame: frame.is_answer, 216) for request in requests)
        )
        return [frame.value[0] for frame in frames]

    assert on_virtual_time(work) == [0x76, 0, 0x76]


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 8), st.integers(0, 100))
def test_every_unit_is_asked_in_the_end_and_the_living_in_their_rhythm(
    living: list[bool], units: int, seed: int
) -> None:
    """Whoever fails, and however often: nobody is forgotten, and the wait is never longer than its bound."""
    schedule = Schedule(units, 10, 300, 0, jitter=lambda: 0.7 + (seed % 30) / 100)
    now_s, asked = 0.0, dict.fromkeys(range(units), 0.0)
    for is_alive in living:
        unit, wait_s = schedule.next(now_s)
        now_s += wait_s
        assert now_s - asked[unit] <= 300 + 10
        asked[unit] = now_s
        now_s += 0.5
        (schedule.answered if is_alive else schedule.failed)(unit, now_s)
        assert schedule.is_failing(unit) is not is_alive
