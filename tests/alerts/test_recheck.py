"""Measured again at the gate: the clock, the second measurement, the decision, and the call when either does not come."""

import random

import pytest

from alerts.alarm import What
from tests.alerts.stage import T0, Stage, program
from tests.oracles.recheck import Stand, follow

CATALOGUE = """
sites: [{id: east, name: East}]
kinds:
  - {id: scanner, name: S, metrics: [{id: skin_temperature, name: T, unit: degC, plausible: [30, 45]}]}
  - {id: ear, name: E, metrics: [{id: body_temperature, name: B, unit: degC, plausible: [30, 45], recheck: true}]}
gateways: [{id: gw, name: G, site: east}]
places:
  - {id: gate, name: Gate, kind: gate, site: east}
  - {id: lane-1, name: L1, kind: lane, parent: gate}
  - {id: lane-2, name: L2, kind: lane, parent: gate}
  - {id: gate-b, name: Gate B, kind: gate, site: east}
  - {id: lane-3, name: L3, kind: lane, parent: gate-b}
devices:
  - {id: s1, kind: scanner, place: lane-1, gateway: gw}
  - {id: s2, kind: scanner, place: lane-2, gateway: gw}
  - {id: s3, kind: scanner, place: lane-3, gateway: gw}
  - {id: ear-gate, kind: ear, place: gate, gateway: gw}
  - {id: ear-1, kind: ear, place: lane-1, gateway: gw}
  - {id: ear-b, kind: ear, place: gate-b, gateway: gw}
"""
RULES = """
rules:
  - {id: fever, type: level, class: fever, name: Fever, metric: skin_temperature, per_passage: true,
     levels: [{severity: high, at_least: 37.3}, {severity: critical, at_least: 38.0}]}
"""


@pytest.fixture(params=range(13), ids=lambda at: f"crash before record {at}")
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each case is also played with a crash before each of its first records: it must not show."""
    return Stage(program(CATALOGUE, RULES), crash_at=request.param)


def fever(stage: Stage, second: float, value: float = 37.8, device: str = "s1", key: str | None = "p1") -> None:
    series = stage.program.names.index((device, "skin_temperature"))
    stage.readings([(series, second, value, 0)], second, key)


def ear(stage: Stage, second: float, value: float, device: str = "ear-gate", known: float | None = None) -> None:
    series = stage.program.names.index((device, "body_temperature"))
    stage.readings([(series, second, value, 0)], second if known is None else known)


def said(stage: Stage) -> list[tuple[What, str]]:
    return [(step.what, step.reason) for step in stage.steps]


RAISED = (What.RAISED, "limit-reached")
ASKED = [(What.RECHECK, "person"), (What.ACKNOWLEDGED, "person")]


def test_asking_starts_a_clock_of_180_s_and_is_an_answer_to_the_alarm(stage: Stage) -> None:
    fever(stage, 0)
    assert stage.act(5, "recheck", "fever") == ""
    alarm = stage.open("fever")
    assert said(stage) == [RAISED, *ASKED]
    assert alarm.acknowledged_by == "li"
    assert alarm.recheck is not None
    assert (alarm.recheck.asked_ms, alarm.recheck.due_ms) == (T0 + 5_000, T0 + 185_000)


def test_nothing_measured_in_time_calls_anew_once_and_says_why(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    stage.wait(6, 184)
    assert said(stage) == [RAISED, *ASKED]
    stage.wait(185, 500)
    assert said(stage) == [RAISED, *ASKED, (What.REALARMED, "recheck-overdue")]
    assert stage.steps[-1].event_ms == T0 + 185_000
    assert stage.open("fever").acknowledged_by is None


def test_after_an_absence_of_the_core_the_call_comes_with_the_first_tick_as_of_when_it_was_due(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    stage.wait(900, 900)
    assert (stage.steps[-1].what, stage.steps[-1].event_ms) == (What.REALARMED, T0 + 185_000)


def test_a_reading_of_the_gates_thermometer_is_the_second_measurement(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    ear(stage, 60, 36.6)
    alarm = stage.open("fever")
    assert alarm.recheck is not None
    assert (alarm.recheck.value, alarm.recheck.method, alarm.recheck.measured_by) == (36.6, "ear-gate", None)
    assert alarm.recheck.due_ms == T0 + 180_000  # of the decision: 120 s from the measurement
    stage.wait(61, 180)
    assert said(stage)[3:] == [(What.MEASURED, "device"), (What.REALARMED, "decision-overdue")]
    assert stage.act(181, "dispose", "fever", disposition="admit") == ""
    assert said(stage)[-1] == (What.DISPOSED, "person")
    assert not list(stage.engine.open_alarms)


def test_a_normal_second_reading_of_the_passage_closes_nothing_that_a_guard_has_asked_for(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    fever(stage, 20, 36.5)
    assert said(stage)[3:] == [(What.MEASURED, "device")]
    assert stage.open("fever").recheck.value == 36.5  # type: ignore[union-attr]


def test_a_suspect_second_reading_of_the_passage_is_shown_to_the_guard_and_a_bad_one_is_not(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    for quality in (2, 1):
        stage.readings([(stage.program.names.index(("s1", "skin_temperature")), 20 + quality, 36.5, quality)], 30, "p1")
    assert [(step.what, step.event_ms) for step in stage.steps[3:]] == [(What.MEASURED, T0 + 21_000)]


def test_without_asking_a_normal_second_reading_ends_it_as_ever(stage: Stage) -> None:
    fever(stage, 0)
    fever(stage, 20, 36.5)
    assert said(stage) == [RAISED, (What.RETURNED, "measured-again")]


def test_a_higher_second_reading_of_the_passage_is_worse_as_well(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    fever(stage, 20, 38.4)
    assert said(stage)[3:] == [(What.MEASURED, "device"), (What.SEVERITY_UP, "measured-again")]


@pytest.mark.parametrize(
    ("device", "taken", "known"),
    [("ear-b", 60, 60), ("ear-gate", 4, 60), ("ear-gate", 186, 186)],
    ids=["another gate", "before it was asked for", "after the clock"],
)
def test_what_is_not_this_persons_measurement_is_not_taken(
    stage: Stage, device: str, taken: float, known: float
) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    ear(stage, taken, 36.6, device, known)
    assert said(stage) == [RAISED, *ASKED]


def test_a_measurement_that_was_taken_in_time_and_came_late_counts(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    stage.wait(185, 185)
    ear(stage, 100, 36.6, known=190)
    assert said(stage)[3:] == [(What.REALARMED, "recheck-overdue"), (What.MEASURED, "device")]


def test_while_two_people_wait_the_gates_thermometer_is_nobodys_and_a_lanes_is_of_that_lane(stage: Stage) -> None:
    fever(stage, 0)
    fever(stage, 1, device="s2", key="p2")
    first, second = sorted(stage.engine.open_alarms, key=lambda alarm: alarm.device)
    for alarm in (first, second):
        stage.order(5, "recheck", alarm=alarm.id, seq=alarm.seq)
    ear(stage, 30, 36.6)
    assert not [step for step in stage.steps if step.what is What.MEASURED]
    ear(stage, 31, 36.7, "ear-1")
    assert [step.alarm for step in stage.steps if step.what is What.MEASURED] == [first.id]


def test_what_a_guard_types_in_carries_method_and_name(stage: Stage) -> None:
    fever(stage, 0)
    assert stage.act(4, "measure", "fever", value=36.9, method="ear") == "ask for the second measurement first"
    stage.act(5, "recheck", "fever")
    assert stage.act(30, "measure", "fever", value=36.9, method="ear") == ""
    step = stage.steps[-1]
    assert (step.what, step.reason, step.actor, step.value, step.note) == (What.MEASURED, "person", "li", 36.9, "ear")


def test_measuring_once_more_begins_the_clock_anew(stage: Stage) -> None:
    fever(stage, 0)
    stage.act(5, "recheck", "fever")
    stage.wait(185, 186)
    assert stage.act(190, "recheck", "fever") == ""
    stage.wait(191, 369)
    assert stage.steps[-1].what is What.ACKNOWLEDGED
    stage.wait(370, 370)
    assert (stage.steps[-1].what, stage.steps[-1].event_ms) == (What.REALARMED, T0 + 370_000)


def test_nobody_is_refused_without_a_reason_and_the_second_guard_is_told_that_it_is_over(stage: Stage) -> None:
    fever(stage, 0)
    alarm = stage.open("fever")
    assert "without a reason" in stage.order(1, "dispose", alarm=alarm.id, seq=1, disposition="refuse", note=" ")
    assert stage.order(2, "dispose", alarm=alarm.id, seq=1, disposition="refuse", note="38.4 by ear") == ""
    assert stage.order(3, "dispose", alarm=alarm.id, seq=1, disposition="admit") == "the alarm is closed"


def test_only_a_passage_can_be_measured_again() -> None:
    rules = RULES.replace("per_passage: true,", "")
    stage = Stage(program(CATALOGUE, rules))
    fever(stage, 0, key=None)
    assert stage.act(1, "recheck", "fever") == "only a person at a gate can be measured again"


def test_the_cut_into_batches_does_not_show() -> None:
    told = []
    for sizes in ([4], [1, 1, 1, 1], [2, 2], [1, 3], [3, 1]):
        stage = Stage(program(CATALOGUE, RULES))
        names = stage.program.names
        fever(stage, 0, key=None)
        stage.act(5, "recheck", "fever")
        scanner, thermometer = names.index(("s1", "skin_temperature")), names.index(("ear-gate", "body_temperature"))
        rows = [(thermometer, 20, 36.9, 0), (scanner, 21, 37.9, 0), (thermometer, 22, 36.8, 0), (scanner, 23, 36.2, 0)]
        at = 0
        for size in sizes:
            stage.readings(rows[at : at + size], 30)
            at += size
        told.append([(step.what, step.value, step.event_ms) for step in stage.steps])
    assert all(one == told[0] for one in told)
    assert [value for what, value, _ in told[0] if what is What.MEASURED] == [36.9, 36.8]


@pytest.mark.parametrize("seed", range(60))
def test_the_clock_agrees_with_its_oracle(seed: int) -> None:
    rng = random.Random(seed)
    stage = Stage(program(CATALOGUE, RULES), crash_at=rng.randint(0, 30))
    fever(stage, 0)
    stand = Stand()
    second = 0
    for _ in range(25):
        second += rng.choice([1, 59, 60, 61, 119, 120, 121, 179, 180, 181])
        event = rng.choice(["recheck", "measure", "ear", "tick", "tick"])
        if event == "ear":
            ear(stage, second, 36.6)
        elif event == "tick":
            stage.wait(second, second)
        else:
            stage.act(second, event, "fever", value=36.6)
        follow(stand, event, second)
        alarm = stage.open("fever")
        calls = [(s.event_ms - T0) // 1000 for s in stage.steps if s.what is What.REALARMED]
        assert calls == stand.calls, (seed, event, second)
        assert (None if alarm.recheck is None else (alarm.recheck.due_ms - T0) // 1000) == stand.due_s
        assert (alarm.acknowledged_by is not None) == stand.is_answered
