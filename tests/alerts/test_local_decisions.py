"""Decisions from a gateway's own page, brought in at the moment when they were taken."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alarm import Alarm, What
from alerts.local_decisions import DECIDED_EARLIER, DECIDED_LATER, NOT_A_GUARD
from telemetry.identity import alarm_id
from telemetry.journal import Kind
from tests.alerts.stage import T0, Stage, program
from tests.alerts.test_recheck import CATALOGUE, RULES

METRIC = "skin_temperature"
FEVER = alarm_id("fever", "s1", METRIC, "p1", T0)
PROGRAM = program(CATALOGUE, RULES)


def fever(stage: Stage, second: float, known: float, value: float = 38.6) -> None:
    stage.readings([(stage.program.names.index(("s1", METRIC)), second, value, 0)], known, "p1")


def decided(
    stage: Stage, second: float, known: float, guard: str, disposition: str, is_guard: bool = True, **said: object
) -> None:
    decision = {
        "id": f"{round(second * 10):08d}",
        "rule": "fever",
        "device": "s1",
        "metric": METRIC,
        "key": "p1",
        "onset_ms": T0,
        "guard": guard,
        "decided_ms": T0 + round(second * 1000),
        "disposition": disposition,
        "note": f"{guard} said so",
        **said,
    }
    name = f"decision/gw/{decision['id']}"
    body = {"id": name, "action": "decided-locally", "gateway": "gw", "decision": decision, "is_guard": is_guard}
    stage.take(Kind.COMMAND, known, json.dumps(body).encode())


def told(stage: Stage) -> list[tuple[What, str, str | None]]:
    return [(step.what, step.reason, step.actor) for step in stage.steps]


def the_alarm(stage: Stage) -> Alarm:
    assert list(stage.alarms) == [FEVER]
    return stage.alarms[FEVER]


RAISED = (What.RAISED, "limit-reached", None)


@pytest.fixture(params=range(6), ids=lambda at: f"crash before record {at}")
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(PROGRAM, crash_at=request.param)


def test_an_alarm_is_decided_at_the_time_when_the_guard_decided(stage: Stage) -> None:
    fever(stage, 0, 600)
    decided(stage, 40, 600, "li", "refuse", asked_ms=T0 + 5000, value=38.4, method="ear", measured_ms=T0 + 30_000)
    alarm = the_alarm(stage)
    assert (alarm.closed_ms, alarm.disposition, alarm.is_open) == (T0 + 40_000, "refuse", False)
    steps = [(step.what, step.event_ms - T0, step.known_ms - T0, step.actor) for step in stage.steps]
    assert steps == [
        (What.RAISED, 0, 600_000, None),
        (What.RECHECK, 5_000, 600_000, "li"),
        (What.MEASURED, 30_000, 600_000, "li"),
        (What.DISPOSED, 40_000, 600_000, "li"),
    ]
    assert list(stage.engine.open_alarms) == []


def test_a_decision_that_comes_before_its_alarm_waits_for_it(stage: Stage) -> None:
    decided(stage, 40, 500, "li", "admit")
    assert stage.steps == []
    fever(stage, 0, 600)
    assert told(stage) == [RAISED, (What.DISPOSED, "person", "li")]


def test_decisions_without_end_on_an_alarm_that_never_comes_do_not_fill_the_memory() -> None:
    stage = Stage(PROGRAM)
    for second in range(40, 100):
        decided(stage, second, 500, "li", "admit")
        if second == 60:
            size = len(stage.engine.save())
    assert len(stage.engine.save()) < size + 60 * 100  # the names of commands that were done
    fever(stage, 0, 600)
    assert the_alarm(stage).closed_ms == T0 + 40_000


def test_a_reading_from_before_a_decision_makes_no_second_alarm(stage: Stage) -> None:
    fever(stage, 0, 500)
    decided(stage, 40, 500, "li", "refuse")
    fever(stage, 20, 600, 39.0)
    assert the_alarm(stage).closed_ms == T0 + 40_000
    fever(stage, 60, 600, 39.0)  # the same person comes again
    assert len(stage.alarms) == 2


def test_what_readings_had_ended_a_person_had_decided(stage: Stage) -> None:
    fever(stage, 0, 500)
    fever(stage, 20, 500, 36.5)
    decided(stage, 40, 600, "li", "admit")
    alarm = the_alarm(stage)
    assert (alarm.disposition, alarm.closed_ms) == ("admit", T0 + 40_000)
    assert told(stage) == [RAISED, (What.RETURNED, "measured-again", None), (What.AMENDED, "person", "li")]


def test_who_was_first_wins_and_the_other_stays_as_a_comment(stage: Stage) -> None:
    fever(stage, 0, 0)
    assert stage.act(50, "dispose", "fever", disposition="refuse", note="too hot") == ""
    decided(stage, 40, 600, "chen", "admit")
    alarm = the_alarm(stage)
    assert (alarm.disposition, alarm.closed_ms) == ("admit", T0 + 40_000)
    assert told(stage)[1:] == [
        (What.DISPOSED, "person", "li"),
        (What.AMENDED, DECIDED_EARLIER, "chen"),
        (What.COMMENTED, DECIDED_LATER, "li"),
    ]
    assert (stage.steps[-1].note, stage.steps[-1].event_ms) == ("refuse: too hot", T0 + 50_000)
    decided(stage, 45, 700, "wang", "refer")
    assert (alarm.disposition, stage.steps[-1].actor, stage.steps[-1].reason) == ("admit", "wang", DECIDED_LATER)


def test_who_is_no_guard_there_decides_nothing_and_it_is_on_record(stage: Stage) -> None:
    fever(stage, 0, 0)
    decided(stage, 40, 600, "mallory", "admit", is_guard=False)
    assert stage.open("fever").disposition is None
    assert told(stage) == [RAISED, (What.COMMENTED, NOT_A_GUARD, "gw")]
    assert stage.steps[-1].note == "mallory: admit: mallory said so"


def test_nobody_is_refused_without_a_reason(stage: Stage) -> None:
    fever(stage, 0, 0)
    decided(stage, 40, 600, "li", "refuse", note=" ")
    assert stage.open("fever").disposition is None


def test_a_decision_that_comes_twice_is_brought_in_once(stage: Stage) -> None:
    fever(stage, 0, 0)
    for known in (600, 700):
        decided(stage, 40, known, "li", "admit")
    assert told(stage) == [RAISED, (What.DISPOSED, "person", "li")]


# Moments of decisions differ; when each comes to the core is anybody's guess.
MOMENTS = st.permutations([40, 50, 60, 70])
ARRIVALS = st.lists(st.sampled_from([30, 45, 55, 65, 75, 90]), min_size=5, max_size=5)
WORDS = st.lists(st.sampled_from(["admit", "refuse", "refer"]), min_size=4, max_size=4)


@given(MOMENTS, ARRIVALS, WORDS, st.integers(0, 3), st.booleans(), st.integers(0, 8))
def test_any_interleaving_comes_to_what_the_true_order_of_time_says(
    moments: Sequence[int], arrivals: Sequence[int], words: Sequence[str], locals_: int, second: bool, crash: int
) -> None:
    stage = Stage(PROGRAM, crash_at=crash)
    accepted: dict[int, tuple[str, str]] = {}  # when -> (who, what)

    def central() -> None:
        known = [alarm for alarm in stage.engine.open_alarms if alarm.id == FEVER]
        if known and stage.act(moments[0], "dispose", "fever", disposition=words[0], note="because") == "":
            accepted[moments[0]] = "li", words[0]

    # What a gateway sends keeps its order; what it is about may come before or behind it.
    played = [(float(moments[0]), central)]
    played.append((float(arrivals[0]), lambda: fever(stage, 0, arrivals[0])))
    if second:
        played.append((arrivals[0] + 0.1, lambda: fever(stage, 20, arrivals[0], 39.0)))
    for number in range(1, 1 + locals_):
        moment, word = moments[number], words[number]
        at = max(arrivals[number], moment) + 0.2 + number / 10

        def local(moment: int = moment, word: str = word, number: int = number, at: float = at) -> None:
            decided(stage, moment, at, f"guard-{number}", word)
            accepted[moment] = f"guard-{number}", word

        played.append((at, local))
    for _, play in sorted(played, key=lambda each: each[0]):
        play()

    alarm = the_alarm(stage)
    if not accepted:
        assert alarm.is_open
        return
    first = min(accepted)
    assert (alarm.disposition, alarm.closed_ms) == (accepted[first][1], T0 + 1000 * first)
    deciding = [step for step in stage.steps if step.what in (What.DISPOSED, What.AMENDED)]
    assert deciding[-1].actor == accepted[first][0]
    on_record = {(step.actor, (step.event_ms - T0) // 1000) for step in stage.steps if step.actor}
    assert {(who, moment) for moment, (who, _) in accepted.items()} <= on_record
