"""Which registers are read together, and which unit is asked when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.modbus.pdu import Function
from gateway.modbus.points import Point, Span, measure, plan
from gateway.schedule import Schedule


def point(address: int, type_: str = "uint16", function: str = "input", **rest: Any) -> Point:
    return Point.model_validate(
        {"metric": f"m{address}", "function": function, "address": address, "type": type_, **rest}
    )


def shape(points: list[Point], gap_max: int = 8, registers_max: int = 125) -> list[tuple[int, int]]:
    return [(span.address, span.count) for span in plan(points, gap_max, registers_max)]


def test_neighbours_are_read_with_one_request() -> None:
    assert shape([point(2, "float32"), point(0, "float32"), point(4)]) == [(0, 5)]


def test_a_small_gap_is_read_over_and_a_large_one_is_not() -> None:
    assert shape([point(0), point(9)]) == [(0, 10)]
    assert shape([point(0), point(10)]) == [(0, 1), (10, 1)]
    assert shape([point(0), point(2)], gap_max=0) == [(0, 1), (2, 1)]


def test_no_request_is_longer_than_allowed() -> None:
    assert shape([point(a) for a in range(130)]) == [(0, 125), (125, 5)]
    assert shape([point(0, "float32"), point(2, "float32")], registers_max=3) == [(0, 2), (2, 2)]


def test_input_and_holding_registers_are_never_mixed() -> None:
    spans = plan([point(0), point(1, function="holding")], 8, 125)
    assert [(span.function, span.address) for span in spans] == [(Function.HOLDING, 1), (Function.INPUT, 0)]


def test_overlapping_points_share_registers() -> None:
    assert shape([point(0, "uint32"), point(1)]) == [(0, 2)]


@given(
    st.lists(
        st.builds(
            point,
            st.integers(0, 60),
            st.sampled_from(["uint16", "float32"]),
            st.sampled_from(["input", "holding"]),
        ),
        max_size=30,
    ),
    st.integers(0, 10),
    st.integers(2, 20),
)
def test_every_point_is_read_once_within_the_limits(points: list[Point], gap_max: int, registers_max: int) -> None:
    spans = plan(points, gap_max, registers_max)
    assert sorted(map(repr, points)) == sorted(repr(p) for span in spans for p in span.points)
    for span in spans:
        assert span.count <= registers_max
        for member in span.points:
            assert span.address <= member.address
            assert member.address + member.register_count <= span.address + span.count


def test_a_raw_value_becomes_a_value_by_scale_and_offset() -> None:
    level = point(1, "int16", scale=-0.001, offset=2.5)
    span = Span(Function.INPUT, 0, 2, (level,))
    assert measure(level, span, (0, 1000)) == pytest.approx(1.5)


def test_an_invalid_raw_value_is_no_measurement() -> None:
    level = point(0, "int16", scale=0.001, invalid=[32767, -32768])
    span = Span(Function.INPUT, 0, 1, (level,))
    assert measure(level, span, (0x7FFF,)) is None
    assert measure(level, span, (0x8000,)) is None
    assert measure(level, span, (0x7FFE,)) == pytest.approx(32.766)


def turns(schedule: Schedule, until_s: float, dead: set[int]) -> list[tuple[float, int]]:
    """Ask units until the time is up; a dead one costs a second."""
    now_s = 0.0
    asked: list[tuple[float, int]] = []
    while True:
        unit, wait_s = schedule.next(now_s)
        now_s += wait_s
        if now_s >= until_s:
            return asked
        asked.append((now_s, unit))
        if unit in dead:
            now_s += 1
            schedule.failed(unit, now_s)
        else:
            schedule.answered(unit, now_s)


def test_units_keep_their_rhythm() -> None:
    assert turns(Schedule(2, 2, 60, 0), 6, set()) == [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0), (5, 1)]


def test_a_dead_unit_is_asked_ever_more_rarely_and_its_neighbours_stay_on_schedule() -> None:
    asked = turns(Schedule(2, 2, 60, 0), 300, {1})
    assert [s for s, unit in asked if unit == 1] == [1, 6, 15, 32, 65, 126, 187, 248]
    living = [s for s, unit in asked if unit == 0]
    assert len(living) == 150
    assert all(late <= 1 for late in (s - 2 * i for i, s in enumerate(living)))


def test_a_unit_that_answers_again_is_back_in_its_rhythm() -> None:
    schedule = Schedule(1, 2, 60, 0)
    schedule.failed(0, 1)
    assert schedule.next(1) == (0, 4)
    schedule.answered(0, 5)
    assert schedule.next(5) == (0, 2)


def test_turns_missed_are_not_made_up() -> None:
    schedule = Schedule(1, 2, 60, 0)
    schedule.answered(0, 7)
    assert schedule.next(7) == (0, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"devices": [{"device": "d", "unit": 1, "profile": "other"}]}, "'other', which is not declared"),
        ({"profiles": {"p": []}}, "no points"),
        ({"profiles": {"p": [point(0).model_dump(), point(0).model_dump()]}}, "'m0' stands 2 times"),
        ({"profiles": {"p": [{"metric": "m", "function": "input", "address": 65535, "type": "int32"}]}}, "ends past"),
        ({"registers_max": 126}, "less than or equal to 125"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(change: dict[str, Any], words: str) -> None:
    declared = {
        "driver": "modbus-tcp",
        "host": "h",
        "profiles": {"p": [point(0).model_dump()]},
        "devices": [{"device": "d", "unit": 1, "profile": "p"}],
    }
    ModbusTcpSettings.model_validate(declared)
    with pytest.raises(ValidationError, match=words):
        ModbusTcpSettings.model_validate(declared | change)
