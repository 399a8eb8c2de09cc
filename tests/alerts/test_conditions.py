"""The vectorised conditions against one plain condition a limit, reading by reading."""

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.conditions import Conditions
from alerts.program import Program
from telemetry.batch import ReadingBatch
from tests.alerts.stage import MANHOLES, T0, Stage, program
from tests.oracles.lifecycle import Condition

CATALOGUE = """
sites: [{id: east, name: East}]
kinds: [{id: level, name: L, metrics: [{id: level, name: L, unit: m}]}]
gateways: [{id: gw, name: G, site: east}]
places: [{id: drains, name: D, kind: drain, site: east}]
devices:
  - {id: a, kind: level, place: drains, gateway: gw}
  - {id: b, kind: level, place: drains, gateway: gw}
"""
LIMITS = {
    "over": (1, 10.0, 8.0, 1, 0, 1),  # sign, raise, clear, m, n, quiet ones
    "under": (-1, 5.0, 7.0, 1, 0, 1),
    "bare": (1, 10.0, 10.0, 1, 0, 1),
    "two-of-three": (1, 10.0, 8.0, 2, 3, 1),
    "rests": (1, 10.0, 8.0, 1, 0, 2),
}


@cache
def limits() -> Program:
    rules = [
        f"  - {{id: {name}, type: level, class: x, name: N, metric: level, raise_count: {m}, clear_count: {quiet}, "
        + (f"raise_of: {n}, " if n else "")
        + f"levels: [{{severity: high, {'at_least' if sign > 0 else 'at_most'}: {at}, clear: {clear}}}]}}"
        for name, (sign, at, clear, m, n, quiet) in LIMITS.items()
    ]
    return program(CATALOGUE, "rules:\n" + "\n".join(rules))


# At the limits and beside them; doubtful readings, which may help to raise and never clear; bad ones.
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1]),
        st.sampled_from([4.9, 5.0, 6.9, 7.0, 7.1, 7.9, 8.0, 9.9, 10.0, 11.0]),
        st.sampled_from([0, 0, 0, 1, 2]),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_every_switch_is_that_of_the_plain_condition(rows: list[tuple[int, float, int]], sizes: list[int]) -> None:
    made = limits()
    conditions = Conditions(made)
    said: list[tuple[str, int, int, bool]] = []
    expected: list[tuple[str, int, int, bool]] = []
    plain = {
        (name, series): Condition(sign * at, sign * clear, 0, m, 0, n, quiet)
        for name, (sign, at, clear, m, n, quiet) in LIMITS.items()
        for series in (0, 1)
    }
    start = number = 0
    while start < len(rows):
        part = rows[start : start + sizes[number % len(sizes)]]
        batch = ReadingBatch(
            np.array([series for series, _, _ in part], np.uint32),
            T0 + 1000 * np.arange(start, start + len(part), dtype=np.int64),
            np.array([value for _, value, _ in part]),
            np.array([quality for _, _, quality in part], np.uint8),
        )
        for step in conditions.readings(batch).steps:
            second = (step.time_ms - T0) // 1000
            said.append((made.rules[step.rule].id, step.series, second, step.worst is not None))
        start += len(part)
        number += 1
    for second, (series, value, quality) in enumerate(rows):
        for name, (sign, *_) in LIMITS.items():
            condition = plain[name, series]
            was = condition.state in ("firing", "clearing")
            bar = condition.clear_below if was else condition.raise_at
            if quality == 0 or (quality == 1 and sign * value >= bar):
                condition.observe(sign * value, second * 1000)
            fires = condition.state in ("firing", "clearing")
            if fires != was:
                expected.append((name, series, second, fires))
    assert sorted(said) == sorted(expected)


LASTING = """
rules:
  - {id: minutes, type: level, class: x, name: N, metric: level, raise_after_s: 600, clear_after_s: 900,
     levels: [{severity: high, at_least: 10, clear: 8}]}
  - {id: hours, type: level, class: x, name: N, metric: level, raise_after_s: 7200, clear_after_s: 10800,
     levels: [{severity: high, at_least: 10, clear: 8}]}
  - {id: of-three, type: level, class: x, name: N, metric: level, raise_after_s: 60, raise_count: 2, raise_of: 3,
     clear_count: 2, levels: [{severity: high, at_least: 10, clear: 8}]}
"""
# Around the pause of an hour and the longer ones of what must last longer; doubtful readings pause nothing.
PAUSES = st.lists(
    st.tuples(
        st.sampled_from([60, 300, 3_600, 3_601, 7_200, 7_201, 10_800, 10_801]),
        st.sampled_from([7.9, 8.0, 9.9, 10.0, 11.0, 11.0]),
        st.sampled_from([0, 0, 0, 0, 1]),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(PAUSES, st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_through_a_long_pause_nothing_has_lasted(rows: list[tuple[int, float, int]], sizes: list[int]) -> None:
    made = program(CATALOGUE, LASTING)
    conditions = Conditions(made)
    plain = {
        "minutes": Condition(10, 8, 600_000, 1, 900_000),
        "hours": Condition(10, 8, 7_200_000, 1, 10_800_000),
        "of-three": Condition(10, 8, 60_000, 2, 0, 3, 2),
    }
    times_ms = np.cumsum([gap for gap, _, _ in rows]) * 1000
    said: list[tuple[str, int, bool]] = []
    expected: list[tuple[str, int, bool]] = []
    start = number = 0
    while start < len(rows):
        part = slice(start, start + sizes[number % len(sizes)])
        batch = ReadingBatch(
            np.zeros(len(rows[part]), np.uint32),
            T0 + times_ms[part],
            np.array([value for _, value, _ in rows[part]]),
            np.array([quality for _, _, quality in rows[part]], np.uint8),
        )
        for step in conditions.readings(batch).steps:
            said.append((made.rules[step.rule].id, step.time_ms - T0, step.worst is not None))
        start = part.stop
        number += 1
    last_ms = None
    for (_, value, quality), time_ms in zip(rows, times_ms.tolist(), strict=True):
        for name, condition in plain.items():
            if last_ms is not None and (fired_ms := condition.wait(time_ms, last_ms, 300_000)) is not None:
                expected.append((name, fired_ms, True))
            was = condition.state in ("firing", "clearing")
            condition.pause(time_ms, last_ms)
            if quality == 0 or value >= (condition.clear_below if was else condition.raise_at):
                condition.observe(value, time_ms)
            fires = condition.state in ("firing", "clearing")
            if fires != was:
                expected.append((name, time_ms, fires))
        last_ms = time_ms
    assert sorted(said) == sorted(expected)


METER = """
sites: [{id: east, name: East}]
kinds: [{id: water, name: W, metrics: [{id: volume, name: V, unit: m3, decimals: 3, counter: true}]}]
gateways: [{id: gw, name: G, site: east}]
places: [{id: room, name: R, kind: room, site: east}]
devices: [{id: meter, kind: water, place: room, gateway: gw}]
"""
BURST = """
rules:
  - {id: burst, type: burst, class: x, name: B, metric: volume, raise_after_s: 300, levels: [{severity: high, at_least: 0.6}]}
"""


def test_what_fires_by_time_says_what_its_detector_said_and_not_what_the_meter_stood_at() -> None:
    for crash_at, hears in ((0, True), (7, True), (0, False)):
        stage = Stage(program(METER, BURST), crash_at=crash_at)
        for number in range(8):
            stage.read(70 * number, meter=1234 + number * 0.02)
            if hears:
                stage.wait(70 * number + 1, 70 * number + 69)
        value = stage.open("burst").value
        assert value is not None
        assert round(value, 2) == 1.03  # m3/h


PAIR = """
rules:
  - {id: pair, type: pair, class: x, name: P, metric: level, devices: [high], levels: [{severity: high, at_least: 4}],
     learn_readings: 8, age_max_s: 60, raise_after_s: 420}
"""


def test_what_its_detector_can_no_longer_tell_does_not_last() -> None:
    for is_heard in (True, False):
        stage = Stage(program(MANHOLES, PAIR), crash_at=30)
        for minute in range(20):
            held_back = minute == 10 or (is_heard and minute > 10)
            if is_heard or minute <= 10:
                stage.read(60 * minute, low=0.3)
            stage.read(60 * minute + 1, high=0.8 if held_back else 0.3)
            stage.wait(60 * minute + 2, 60 * minute + 59)
        assert [alarm.rule for alarm in stage.engine.open_alarms] == (["pair"] if is_heard else [])
