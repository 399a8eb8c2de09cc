"""Masks hide notices, never state; causes explain; what is left when they end is told."""

from copy import copy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm import What
from alerts.causes import find_cycle
from alerts.engine import Engine
from alerts.people import People
from alerts.program import Program
from alerts.rules import LevelRule
from tests.alerts.stage import T0, Stage, program

HOUR = 3600
CATALOGUE = """
sites: [{id: east, name: East}]
kinds:
  - {id: drain-level, name: L, metrics: [{id: level, name: L, unit: m}]}
  - {id: meter, name: M, metrics: [{id: power, name: P, unit: W}]}
gateways: [{id: gw, name: G, site: east}, {id: gw-2, name: G, site: east}]
places:
  - {id: lower, name: Lower, kind: manhole, site: east, drain: {depth_m: 2, crown_m: 1}}
  - {id: upper, name: Upper, kind: manhole, site: east, drain: {depth_m: 2, crown_m: 1, downstream: lower}}
  - {id: floor, name: Floor, kind: floor, site: east}
  - {id: room-1, name: R, kind: room, parent: floor}
  - {id: room-2, name: R, kind: room, parent: floor}
  - {id: room-3, name: R, kind: room, parent: floor}
devices:
  - {id: low, kind: drain-level, place: lower, gateway: gw}
  - {id: high, kind: drain-level, place: upper, gateway: gw}
  - {id: m-1, kind: meter, place: room-1, gateway: gw-2}
  - {id: m-2, kind: meter, place: room-2, gateway: gw-2}
  - {id: m-3, kind: meter, place: room-3, gateway: gw-2}
"""
RULES = """
rules:
  - id: full
    type: level
    class: drain
    name: Full
    metric: level
    levels: [{severity: medium, at_least: 1.0}, {severity: critical, at_least: 1.8}]
    masked_by: [{rule: full, along: downstream, settle_s: 30}]
    reopen_within_s: 0
  - {id: offline, type: level, class: gateway, name: Gone, metric: online, levels: [{severity: high, at_most: 0.5}]}
  - id: silent
    type: silence
    class: sensor
    name: Silent
    metric: power
    after_s: 20
    severity: low
    masked_by: [{rule: offline, along: gateway, settle_s: 60}, {rule: bus, along: place, settle_s: 60}]
  - {id: bus, type: inferred, class: gateway, name: Bus, metric: power, of: [silent], along: place, at_least: 3}
"""


@cache
def district() -> Program:
    return program(CATALOGUE, RULES)


@pytest.fixture
def stage() -> Stage:
    return Stage(district())


def test_a_shelved_alarm_calls_nobody_until_its_time_is_up(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.wait(1, 20)
    assert stage.told("full") == ["(raised: held)", "unmasked"]
    assert stage.act(30, "shelve", "full", note="pump is on its way", until_ms=T0 + 100_000) == ""
    assert stage.open("full").masks[0].owner == "li"
    stage.read(40, low=0.5)
    stage.read(50, low=1.2)
    stage.wait(51, 99)
    assert stage.told("full")[2:] == ["masked", "returned", "(raised: shelved)"]
    stage.wait(100, 101)
    assert stage.told("full")[-1] == "unmasked"
    assert stage.open("full").onset_ms == T0 + 50_000


def test_a_worse_severity_breaks_the_shelf(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="known", until_ms=T0 + HOUR * 1000)
    stage.read(2, low=1.9)
    assert stage.told("full")[-2:] == ["severity-up", "unmasked"]


def test_a_shelf_that_a_worse_severity_broke_does_not_cover_what_is_left_of_it(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="known", until_ms=T0 + HOUR * 1000)
    stage.read(2, low=1.9)
    told = len(stage.told("full"))
    stage.read(3, low=1.2)
    assert stage.told("full")[told:] == ["severity-down"]
    assert stage.open("full").masks == []
    assert stage.act(4, "unshelve", "full") == "the alarm is not shelved"


def test_a_severity_that_rose_and_fell_within_one_record_breaks_the_shelf_and_is_told(stage: Stage) -> None:
    series = next(number for number, name in enumerate(stage.program.names) if name == ("low", "level"))
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="known", until_ms=T0 + HOUR * 1000)
    told = len(stage.told("full"))
    stage.readings([(series, 2, 1.9, 0), (series, 3, 1.2, 0)], 4)
    assert stage.told("full")[told:] == ["severity-up", "severity-down", "unmasked"]


def test_what_comes_again_worse_than_it_was_shelved_breaks_the_shelf(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="known", until_ms=T0 + HOUR * 1000)
    stage.read(2, low=0.2)
    stage.read(3, low=1.9)
    stage.read(4, low=1.2)
    assert stage.told("full")[-3:] == ["returned", "raised", "severity-down"]
    assert stage.open("full").masks == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"note": "x"}, "future"),
        ({"note": "x", "until_ms": T0 - 1}, "future"),
        ({"note": "x", "until_ms": T0 + 9 * HOUR * 1000}, "8 h at most"),
        ({"until_ms": T0 + 60_000}, "say why"),
    ],
)
def test_a_shelf_needs_a_reason_and_a_near_end(stage: Stage, body: dict[str, Any], why: str) -> None:
    stage.read(0, low=1.2)
    assert why in stage.act(0, "shelve", "full", **body)
    assert [m.kind for m in stage.open("full").masks] == ["held"]


def test_what_is_critical_is_shelved_for_an_hour_at_most(stage: Stage) -> None:
    stage.read(0, low=1.9)
    assert "1 h at most" in stage.act(0, "shelve", "full", note="x", until_ms=T0 + 2 * HOUR * 1000)


def test_a_shelf_for_one_time_ends_with_its_alarm(stage: Stage) -> None:
    stage.read(0, low=1.9)
    stage.act(1, "shelve", "full", note="x", until_ms=T0 + HOUR * 1000, one_shot=True)
    stage.read(2, low=0.1)
    stage.read(3, low=1.9)
    assert stage.told("full") == ["raised", "masked", "returned", "raised"]


def test_what_came_and_went_within_one_record_calls_nobody_behind_a_mask(stage: Stage) -> None:
    series = next(number for number, name in enumerate(stage.program.names) if name == ("low", "level"))
    covers = {"kind": "maintenance", "device": "low"}
    assert stage.order(0, "mask", note="jetting", until_ms=T0 + HOUR * 1000, mask=covers) == ""
    stage.readings([(series, 1, 1.9, 0), (series, 2, 0.2, 0)], 3)
    assert stage.told("full") == ["(raised: maintenance)", "returned"]
    stage.order(4, "unmask", mask={"id": "c0"})
    stage.readings([(series, 5, 1.9, 0), (series, 6, 0.2, 0)], 7)
    assert stage.told("full")[2:] == ["raised", "returned"]


def test_what_got_worse_and_went_within_one_record_calls_nobody_behind_a_mask(stage: Stage) -> None:
    series = next(number for number, name in enumerate(stage.program.names) if name == ("low", "level"))
    covers = {"kind": "maintenance", "device": "low"}
    stage.order(0, "mask", note="jetting", until_ms=T0 + HOUR * 1000, mask=covers)
    stage.read(1, low=1.2)
    stage.readings([(series, 2, 1.9, 0), (series, 3, 0.2, 0)], 4)
    assert stage.told("full") == ["(raised: maintenance)", "(severity-up: maintenance)", "returned"]


def test_what_came_and_went_within_one_record_is_explained_by_its_cause(stage: Stage) -> None:
    series = next(number for number, name in enumerate(stage.program.names) if name == ("high", "level"))
    stage.read(0, low=1.9)
    stage.readings([(series, 1, 1.9, 0), (series, 2, 0.2, 0)], 3)
    assert stage.told("full", "high") == ["(raised: cause)", "returned"]


def test_a_shelf_for_one_time_ends_with_its_alarm_also_when_that_broke_it(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="x", until_ms=T0 + HOUR * 1000, one_shot=True)
    stage.read(2, low=1.9)
    stage.read(3, low=0.1)
    stage.read(4, low=1.2)
    stage.wait(5, 20)
    assert stage.told("full")[-2:] == ["(raised: held)", "unmasked"]


def test_unshelving_calls_at_once_and_only_what_is_shelved(stage: Stage) -> None:
    stage.read(0, low=1.9)
    assert stage.act(1, "unshelve", "full") == "the alarm is not shelved"
    stage.act(2, "shelve", "full", note="x", until_ms=T0 + HOUR * 1000)
    assert stage.act(3, "unshelve", "full") == ""
    assert stage.told("full") == ["raised", "masked", "unmasked"]


def test_maintenance_of_a_place_covers_what_lies_in_it(stage: Stage) -> None:
    covers = {"kind": "maintenance", "place": "floor"}
    assert stage.order(0, "mask", note="rewiring", until_ms=T0 + HOUR * 1000, mask=covers) == ""
    stage.read(1, m_1=5, m_2=5, m_3=5)
    stage.wait(2, 60)
    assert set(stage.told("silent")) == {"(raised: maintenance)"}
    assert stage.order(61, "unmask", mask={"id": "c0"}) == ""
    assert stage.order(62, "unmask", mask={"id": "c0"}) == "the mask is not in force"


@pytest.mark.parametrize("mask", [{}, {"kind": "shelved"}, {"kind": "maintenance"}, {"kind": "maintenance", "x": "y"}])
def test_a_mask_that_covers_nothing_or_everything_is_refused(stage: Stage, mask: dict[str, str]) -> None:
    assert stage.order(0, "mask", note="x", until_ms=T0 + 60_000, mask=mask) != ""


def test_downstream_full_explains_upstream_full_and_what_is_left_is_told(stage: Stage) -> None:
    stage.read(0, low=1.2)
    stage.wait(1, 20)
    stage.read(21, high=1.2)
    assert stage.told("full", "high") == ["(raised: cause)"]
    assert stage.open("full", "high").masks[0].reason == stage.open("full", "low").id
    stage.read(22, low=0.2)
    stage.wait(23, 51)
    assert stage.told("full", "high") == ["(raised: cause)"], "it gets its time to settle"
    stage.wait(52, 53)
    assert stage.told("full", "high") == ["(raised: cause)", "unmasked"]


def test_what_got_worse_behind_its_cause_is_called_for_until_somebody_answers(stage: Stage) -> None:
    people = People.model_validate(
        {
            "people": [{"id": name, "name": name, "addresses": {"push": "1"}} for name in ("li", "chen")],
            "routes": [
                {"id": "drains", "classes": ["drain"], "duty": ["li"], "lead": ["chen"], "channels": ["push"]},
            ],
        }
    )
    stage.engine = Engine(district(), people=people)
    stage.read(0, low=1.9)
    stage.act(1, "acknowledge", "full")
    stage.read(2, high=1.2)
    stage.wait(3, 100)
    assert stage.told("full", "high") == ["(raised: cause)"]
    stage.read(101, high=1.9)
    stage.wait(102, 300)
    told = ["(raised: cause)", "severity-up", "escalated", "escalated"]
    assert stage.told("full", "high") == told, "after one minute and after three"
    covers = {"kind": "maintenance", "device": "high"}
    stage.order(301, "mask", note="jetting", until_ms=T0 + HOUR * 1000, mask=covers)
    stage.wait(302, 800)
    assert stage.told("full", "high") == told


def test_a_symptom_that_comes_before_its_cause_is_held_long_enough(stage: Stage) -> None:
    stage.read(0, high=1.2)
    stage.wait(1, 9)
    stage.read(10, low=1.2)
    stage.wait(11, 40)
    assert stage.told("full", "high") == ["(raised: held)"]


def test_what_is_urgent_is_never_held_back_for_a_cause_that_may_come(stage: Stage) -> None:
    stage.read(0, high=1.9)
    assert stage.told("full", "high") == ["raised"]


def test_two_hundred_would_be_one_call_the_gateway_explains_its_meters(stage: Stage) -> None:
    stage.read(0, m_1=5, m_2=5, m_3=5)
    stage.wait(1, 15)
    stage.read(16, m_1=5)
    stage.read(17, gw_2__online=0.0)
    stage.wait(18, 200)
    assert not stage.told("silent"), "behind a cut gateway nobody is silent"
    assert stage.told("offline") == ["raised"]


def test_many_silent_at_once_are_one_alarm_of_their_floor(stage: Stage) -> None:
    stage.read(0, m_1=5, m_2=5, m_3=5)
    stage.wait(1, 60)
    assert stage.told("bus") == ["raised"]
    assert stage.open("bus").key == "floor"
    assert set(stage.told("silent")) == {"(raised: held)"} or set(stage.told("silent")) == {"(raised: cause)"}
    stage.read(61, m_1=5, m_2=5)
    assert stage.told("bus") == ["raised", "returned"]
    for second in range(62, 130):
        stage.read(second, m_1=5, m_2=5)
        stage.wait(second, second)
    assert [alarm.device for alarm in stage.engine.open_alarms] == ["m-3"]
    assert stage.told("silent", "m-3")[-1] == "unmasked", "the one that is left is told after it had its time"


def test_a_floor_that_falls_out_again_while_one_is_still_out_is_another_alarm(stage: Stage) -> None:
    stage.read(0, m_1=5, m_2=5, m_3=5)
    stage.wait(1, 25)
    stage.read(26, m_1=5, m_2=5)
    stage.wait(27, 60)
    assert stage.told("bus") == ["raised", "returned", "raised"]
    assert len([alarm for alarm in stage.alarms.values() if alarm.rule == "bus"]) == 2


def test_many_that_come_back_together_are_one_alarm_of_their_floor_again() -> None:
    dead = "{id: dead, type: level, class: sensor, name: D, metric: power, levels: [{severity: low, at_most: 0}]}"
    bus = "{id: bus, type: inferred, class: gateway, name: B, metric: power, of: [dead], along: place, at_least: 3}"
    stage = Stage(program(CATALOGUE, f"rules: [{dead}, {bus}]"))
    for second, value in ((0, 5.0), (10, 0.0), (20, 5.0), (40, 0.0)):
        stage.read(second, m_1=value, m_2=value, m_3=value)
    assert stage.told("dead", "m-1") == ["raised", "returned", "reopened"]
    assert stage.told("bus") == ["raised", "returned", "raised"]
    assert stage.open("bus").onset_ms == T0 + 40_000


@pytest.mark.parametrize("crash_at", [0, 66, 80])
def test_a_floor_that_a_person_has_closed_comes_again_only_after_it_was_over(crash_at: int) -> None:
    most = program(CATALOGUE, RULES.replace("at_least: 3}", "at_least: 2, share: 0.5}"))
    stage = Stage(most, crash_at=crash_at)
    stage.read(0, m_1=5, m_2=5, m_3=5)
    stage.wait(1, 60)
    assert stage.act(61, "close", "bus", note="rewiring") == ""
    stage.read(62, m_1=5)
    assert stage.told("bus") == ["raised", "closed"]
    for second, meter in ((63, "m_2"), (64, "m_3")):
        stage.wait(second, second)
        stage.read(second, **{meter: 5.0})
    stage.wait(65, 100)
    assert stage.told("bus") == ["raised", "closed", "raised"]


def test_a_rule_that_no_longer_names_a_cause_is_not_masked_by_it_for_ever(stage: Stage) -> None:
    stage.read(0, low=1.9)
    stage.read(1, high=1.9)
    assert stage.told("full", "high") == ["(raised: cause)"]
    engine = Engine(program(CATALOGUE, RULES.replace("masked_by: [{rule: full", "# masked_by: [{rule: full")))
    effects = engine.load(stage.engine.save(), T0 + 2000, district())
    assert [(step.what, effects.alarms[step.alarm].device) for step in effects.transitions] == [(What.UNMASKED, "high")]


def test_a_cause_explains_nothing_at_another_site() -> None:
    west = CATALOGUE.replace(
        "sites: [{id: east, name: East}]", "sites: [{id: east, name: East}, {id: west, name: West}]"
    )
    west += "  - {id: far, kind: drain-level, place: outfall, gateway: gw-3}\n"
    west = west.replace("\nplaces:\n", "\nplaces:\n  - {id: outfall, name: O, kind: manhole, site: west}\n")
    west = west.replace(
        "{id: gw-2, name: G, site: east}", "{id: gw-2, name: G, site: east}, {id: gw-3, name: G, site: west}"
    )
    rules = RULES.replace("along: downstream, settle_s: 30", "along: site").replace(
        "{rule: full, along", "{rule: storm, along"
    )
    levels = "levels: [{severity: low, at_least: 1}]"
    storm = f"{{id: storm, type: level, class: x, name: S, metric: level, devices: [low], {levels}}}"
    stage = Stage(program(west, rules.replace("rules:\n", f"rules:\n  - {storm}\n")))
    stage.read(0, low=1.9, high=1.9, far=1.9)
    assert [stage.told("full", device) for device in ("low", "high", "far")] == [
        ["(raised: cause)"],
        ["(raised: cause)"],
        ["raised"],
    ]


def test_a_share_of_what_hangs_on_a_floor_is_rounded_up() -> None:
    four = CATALOGUE + "  - {id: m-4, kind: meter, place: room-3, gateway: gw-2}\n"
    stage = Stage(program(four, RULES.replace("at_least: 3}", "at_least: 2, share: 0.6}")))
    for second in range(21):
        stage.read(second, m_1=5, m_2=5, **({"m_3": 5, "m_4": 5} if second == 0 else {}))
        stage.wait(second, second)
    stage.read(21, m_1=5, m_2=5)
    stage.wait(21, 30)
    assert len([alarm for alarm in stage.engine.open_alarms if alarm.rule == "silent"]) == 2
    assert stage.told("bus") == []
    stage.wait(31, 45)
    assert stage.told("bus") == ["raised"]


def test_what_falls_out_one_after_another_is_no_floor(stage: Stage) -> None:
    until = {"m_1": 0, "m_2": 60, "m_3": 120}
    for second in range(200):
        heard = {meter: 5.0 for meter, last in until.items() if second <= last}
        if heard:
            stage.read(second, **heard)
        stage.wait(second, second)
    assert len([alarm for alarm in stage.engine.open_alarms if alarm.rule == "silent"]) == 3
    assert stage.told("bus") == []


def test_circles_of_causes_are_found() -> None:
    def rule(name: str, *causes: str) -> LevelRule:
        given = {"id": name, "type": "level", "class": "x", "name": name, "metric": "level"}
        masked_by = [{"rule": cause, "along": "site"} for cause in causes]
        return LevelRule.model_validate(
            given | {"levels": [{"severity": "low", "at_least": 1}], "masked_by": masked_by}
        )

    assert find_cycle([rule("a", "b"), rule("b", "c"), rule("c")]) == []
    assert find_cycle([rule("a", "b"), rule("b", "c"), rule("c", "b")]) == ["b", "c", "b"]
    assert find_cycle([rule("a", "a")]) == ["a", "a"]


def test_outside_its_schedule_an_alarm_calls_nobody_and_at_the_opening_with_its_true_onset() -> None:
    # T0 is 2026-11-18T19:06:40 in Shanghai.
    rules = """
rules:
  - {id: full, type: level, class: drain, name: Full, metric: level, levels: [{severity: high, at_least: 1}], schedule: x}
schedules: [{id: x, weekly: [{from: "19:08:00", to: "06:00"}]}]
"""
    for crash_at in (0, 1, 60, 80, 81):
        stage = Stage(program(CATALOGUE, rules), crash_at)
        stage.read(0, low=1.2)
        assert stage.told("full") == ["(raised: schedule)"]
        stage.wait(1, 79)
        assert stage.told("full") == ["(raised: schedule)"]
        stage.wait(80, 81)
        assert stage.told("full") == ["(raised: schedule)", "unmasked"]
        assert stage.open("full").onset_ms == T0


# --- laws -----------------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 5, 14, 15, 16, 30, 31]),
        st.one_of(
            st.tuples(st.sampled_from(["low", "high"]), st.sampled_from([0.5, 1.0, 1.2, 1.8, 1.9])),
            st.tuples(st.sampled_from(["m_1", "m_2", "m_3"]), st.just(5.0)),
            st.tuples(st.just("gw_2__online"), st.sampled_from([0.0, 1.0])),
            st.tuples(st.sampled_from(["shelve", "unshelve", "maintenance", "acknowledge"]), st.integers(0, 3)),
        ),
    ),
    min_size=5,
    max_size=30,
)


def play(events: list[tuple[int, tuple[str, float]]], crash_at: int = 0, *, masks: bool = True) -> Stage:
    stage = Stage(district(), crash_at=crash_at)
    second = 0
    for gap, (what, value) in events:
        stage.wait(second + 1, second + gap)
        second += gap
        if what in ("shelve", "unshelve", "maintenance"):
            until_ms = T0 + second * 1000 + 10_000 * (1 + int(value))
            opened = sorted(stage.engine.open_alarms, key=lambda alarm: alarm.id)
            if not masks:
                stage.take_nothing(second)
            elif what == "maintenance":
                cover = {"kind": "maintenance", "site": "east"} if value else {"kind": "maintenance", "rule": "full"}
                stage.order(second, "mask", note="x", until_ms=until_ms, mask=cover)
            elif opened:
                alarm = opened[int(value) % len(opened)]
                body = {"alarm": alarm.id, "seq": alarm.seq}
                stage.order(second, what, note="x", until_ms=until_ms, one_shot=value == 1, **body)
            else:
                stage.take_nothing(second)
        elif what == "acknowledge":
            for alarm in list(stage.engine.open_alarms):
                stage.order(second, "acknowledge", alarm=alarm.id, seq=alarm.seq)
        else:
            stage.read(second, **{what: value})
    stage.wait(second + 1, second + 120)
    return stage


def of_state(stage: Stage) -> list[tuple[object, ...]]:
    """Everything but masks."""
    left = [s for s in stage.steps if s.what not in (What.MASKED, What.UNMASKED)]
    return [(s.alarm, s.what, s.severity, s.event_ms, s.reason, s.actor) for s in left]


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_masks_never_change_what_is_true(events: list[tuple[int, tuple[str, float]]]) -> None:
    assert of_state(play(events)) == of_state(play(events, masks=False))


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(1, 150))
def test_a_crash_anywhere_changes_no_mask(events: list[tuple[int, tuple[str, float]]], crash_at: int) -> None:
    calm, crashed = play(events), play(events, crash_at)
    assert [copy(step) for step in crashed.steps] == calm.steps


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_every_raise_is_told_or_masked_with_a_reason_and_told_when_the_mask_ends(
    events: list[tuple[int, tuple[str, float]]],
) -> None:
    stage = play(events)
    for alarm in stage.alarms.values():
        steps = [s for s in stage.steps if s.alarm == alarm.id]
        masked = False
        for step in steps:
            if step.what in (What.RAISED, What.REOPENED):
                masked = step.quiet is not None
            elif step.what is What.MASKED:
                assert not masked
                masked = True
            elif step.what is What.UNMASKED:
                assert masked
                masked = False
        if alarm.is_open:
            assert masked == bool(alarm.masks)
            assert all(mask.reason and mask.kind for mask in alarm.masks)
