"""The ladder, driven by ticks alone: what it says when, and that no crash and no absence changes that."""

from dataclasses import dataclass, field

import msgspec
import pytest

from alerts.alarm import Alarm, Effects, Masked, Transition, What
from alerts.escalation import (
    CHANNEL_FAILS,
    CHANNEL_WORKS,
    DAMAGED,
    DUTY,
    DUTY_MISSED,
    DUTY_OVER,
    FAULT,
    MENDED,
    STORED,
    UNSTORED,
    Escalation,
    Kept,
    route_of,
)
from alerts.people import People
from alerts.rule import Severity

T0 = 1_795_000_000_000
PEOPLE = People.model_validate(
    {
        "people": [
            {"id": "li", "name": "Li", "addresses": {"push": "1"}},
            {"id": "chen", "name": "Chen", "addresses": {"push": "2"}},
        ],
        "routes": [{"id": "drains", "duty": ["li"], "lead": ["chen"], "channels": ["push"]}],
        "system_route": "drains",
    }
)


@dataclass
class Ladder:
    """An escalation with its alarms, and what it said: (second, alarm, what, step)."""

    people: People = PEOPLE
    quiet: set[str] = field(default_factory=set)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    said: list[tuple[float, str, What, int | None]] = field(default_factory=list)
    escalation: Escalation = field(init=False)

    def __post_init__(self) -> None:
        self.escalation = self._new()

    def _new(self) -> Escalation:
        return Escalation(self.people, {"r": "drains"}, self.alarms.get, lambda alarm: alarm.id in self.quiet)

    def crash(self) -> None:
        kept = msgspec.msgpack.decode(msgspec.msgpack.encode(self.escalation.save()), type=Kept)
        self.escalation = self._new()
        self.escalation.load(kept, self.alarms.values(), T0 + 999_000_000)

    def step(
        self,
        second: float,
        what: What,
        *,
        alarm: str = "a1",
        severity: Severity = Severity.CRITICAL,
        quiet: str | None = None,
    ) -> None:
        now_ms = T0 + round(second * 1000)
        if what is What.RAISED:
            self.alarms[alarm] = Alarm(
                alarm, "r", "drain", "east", "p", "d", "m", None, severity, severity, 0, now_ms, now_ms, 1.0, None
            )
        found = self.alarms[alarm]
        found.severity, found.seq = severity, found.seq + 1
        if what is What.ACKNOWLEDGED:
            found.acknowledged_by = "li"
        if what.is_end:
            del self.alarms[alarm]
        taken = Transition(alarm, found.seq, what, severity, now_ms, now_ms, "r", quiet=quiet)
        self._follow(second, Effects([taken], {alarm: found}), skip=1)

    def ticks(self, *seconds: float) -> None:
        for second in seconds:
            effects = Effects()
            self.escalation.advance(T0 + round(second * 1000), effects)
            self._follow(second, effects)

    def hear(self, second: float, action: str, subject: str) -> str | None:
        effects = Effects()
        answer = self.escalation.hear(action, subject, 1, "core", "HTTP 500", T0 + round(second * 1000), effects)
        self._follow(second, effects)
        return answer

    def _follow(self, second: float, effects: Effects, skip: int = 0) -> None:
        self.escalation.follow(effects)
        for taken in effects.transitions[skip:]:
            alarm = effects.alarms[taken.alarm]
            assert taken.seq <= alarm.seq
            self.said.append((second, "system" if alarm.alarm_class == "system" else alarm.id, taken.what, taken.step))


def test_steps_are_taken_to_the_second_three_times_over_and_then_it_is_exhausted() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.ticks(*range(1, 2701))
    up, spent = What.ESCALATED, What.EXHAUSTED
    loops = [
        (900 * loop + second, "a1", up, step) for loop in range(3) for step, second in enumerate((0, 60, 180, 600))
    ]
    assert [one for one in ladder.said if one[2] is not What.REMINDED] == [
        *loops[1:],
        (2700, "a1", spent, 3),
        (2700, "system", What.RAISED, None),
    ]


def test_nobody_else_is_called_after_an_acknowledgement_until_that_is_too_long_ago() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.step(30, What.ACKNOWLEDGED)
    ladder.ticks(*range(31, 930))
    assert ladder.said == []
    ladder.ticks(*range(930, 1000))
    assert ladder.said == [(930, "a1", What.REALARMED, None), (990, "a1", What.ESCALATED, 1)]
    assert ladder.alarms["a1"].acknowledged_by is None


def test_what_is_acknowledged_and_stays_is_reminded_of() -> None:
    people = PEOPLE.model_dump()
    steps = [{"to": ["li"], "channels": ["push"]}]
    people["people"] = [{**p.model_dump(), "addresses": {"push": "1"}} for p in PEOPLE.people]
    people["routes"] = [{"id": "drains", "critical": {"steps": steps, "repeat_s": 100}}]
    ladder = Ladder(People.model_validate(people))
    ladder.step(0, What.RAISED)
    ladder.step(10, What.ACKNOWLEDGED)
    ladder.ticks(*range(11, 350))
    assert ladder.said == [(110, "a1", What.REMINDED, 0), (210, "a1", What.REMINDED, 0), (310, "a1", What.REMINDED, 0)]


def test_after_an_absence_the_newest_step_is_taken_at_the_first_tick_and_only_that() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.ticks(1, 700)
    assert ladder.said == [(700, "a1", What.ESCALATED, 3)]
    ladder.ticks(899, 900)
    assert ladder.said[1:] == [(900, "a1", What.ESCALATED, 0)]


def test_after_a_long_absence_it_is_exhausted_at_once_and_says_so() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.ticks(9000)
    assert [what for _, _, what, _ in ladder.said] == [What.EXHAUSTED, What.RAISED]


@pytest.mark.parametrize("crash_at", [0, 59, 60, 61, 180, 600, 899, 900, 2699, 2700])
def test_a_crash_changes_nothing(crash_at: int) -> None:
    def run(crashes: bool) -> list[tuple[float, str, What, int | None]]:
        ladder = Ladder()
        ladder.step(0, What.RAISED)
        for second in range(1, 3000):
            if crashes and second >= crash_at and (second - crash_at) % 400 == 0:
                ladder.crash()
            ladder.ticks(second)
        ladder.step(3000, What.ACKNOWLEDGED)
        ladder.crash()
        ladder.ticks(*range(3001, 4100))
        return ladder.said

    assert run(crashes=True) == run(crashes=False)


def test_a_masked_alarm_calls_nobody_and_begins_when_it_is_unmasked() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED, quiet="shelved")
    ladder.ticks(*range(1, 1000))
    assert ladder.said == []
    ladder.step(1000, What.UNMASKED)
    ladder.ticks(*range(1001, 1070))
    assert ladder.said == [(1060, "a1", What.ESCALATED, 1)]


def test_a_mask_over_a_call_that_goes_on_stops_it() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.quiet.add("a1")
    ladder.ticks(*range(1, 200))
    assert ladder.said == []
    ladder.quiet.clear()
    ladder.step(300, What.UNMASKED)
    ladder.ticks(*range(301, 361))
    assert ladder.said == [(360, "a1", What.ESCALATED, 1)]


def test_a_higher_severity_begins_anew() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED, severity=Severity.HIGH)
    ladder.ticks(*range(1, 301))
    ladder.step(301, What.SEVERITY_UP)
    ladder.ticks(*range(302, 362))
    assert ladder.said == [(300, "a1", What.ESCALATED, 1), (361, "a1", What.ESCALATED, 1)]


def test_the_end_ends_it_and_what_said_that_nobody_answered() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.ticks(2700)
    ladder.step(2800, What.RETURNED)
    assert ladder.said[-1] == (2800, "system", What.RETURNED, None)
    ladder.ticks(*range(2801, 9000))
    assert ladder.said[-1][0] == 2800


def test_a_route_that_comes_later_calls_for_what_is_open_already() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.escalation = Escalation(PEOPLE, {"r": "drains"}, ladder.alarms.get)
    ladder.escalation.load(None, ladder.alarms.values(), T0 + 50_000)
    ladder.ticks(51)
    assert ladder.said == [(51, "a1", What.ESCALATED, 0)]


def test_a_channel_that_fails_is_an_alarm_until_it_works_again() -> None:
    ladder = Ladder()
    for second, action in ((0, CHANNEL_WORKS), (1, CHANNEL_FAILS), (2, CHANNEL_FAILS)):
        assert ladder.hear(second, action, "push") == ""
    ladder.crash()
    ladder.hear(3, CHANNEL_FAILS, "push/li")
    ladder.hear(4, CHANNEL_WORKS, "push")
    said = [(second, what) for second, _, what, _ in ladder.said]
    assert said == [(1, What.RAISED), (3, What.RAISED), (4, What.RETURNED)]
    (left,) = ladder.escalation.system.values()
    assert (left.device, left.key) == ("push", "li")


def test_damage_of_the_journal_is_told_once_also_over_a_crash_and_after_it_was_closed() -> None:
    ladder = Ladder()
    ladder.hear(1, DAMAGED, "5-9")
    (alarm,) = ladder.escalation.system
    assert ladder.hear(2, "close", alarm) == ""
    ladder.crash()
    ladder.hear(3, DAMAGED, "5-9")
    ladder.hear(4, DAMAGED, "20-20")
    assert [(second, what) for second, _, what, _ in ladder.said] == [
        (1, What.RAISED),
        (2, What.CLOSED),
        (4, What.RAISED),
    ]


def test_a_history_that_refuses_is_told_once_and_is_over_when_it_stores_again() -> None:
    ladder = Ladder()
    ladder.hear(1, UNSTORED, "influxdb")
    ladder.hear(2, UNSTORED, "influxdb")
    ladder.crash()
    ladder.hear(3, STORED, "influxdb")
    ladder.hear(4, STORED, "influxdb")
    said = [(second, what) for second, _, what, _ in ladder.said]
    assert said == [(1, What.RAISED), (3, What.RETURNED)]
    assert not ladder.escalation.system


def test_what_is_wrong_with_the_machine_is_told_once_and_is_over_when_it_is_mended() -> None:
    ladder = Ladder()
    for second, action, subject in (
        (1, FAULT, "disk-low/journal"),
        (2, FAULT, "disk-low/journal"),
        (3, FAULT, "disk-low/history"),
        (4, FAULT, "backup-old/copies"),
        (5, MENDED, "certificate-ends/journal"),
    ):
        assert ladder.hear(second, action, subject) == ""
    ladder.crash()
    ladder.hear(6, MENDED, "disk-low/journal")
    ladder.hear(7, MENDED, "disk-low/journal")
    assert ladder.hear(8, FAULT, "no-such/thing") == "there is no alarm 'no-such' about ourselves"
    said = [(second, what) for second, _, what, _ in ladder.said]
    assert said == [(1, What.RAISED), (3, What.RAISED), (4, What.RAISED), (6, What.RETURNED)]
    left = {(alarm.rule, alarm.device): alarm.severity for alarm in ladder.escalation.system.values()}
    assert left == {("disk-low", "history"): Severity.HIGH, ("backup-old", "copies"): Severity.MEDIUM}


def test_people_may_see_to_an_alarm_about_ourselves() -> None:
    ladder = Ladder()
    ladder.hear(1, CHANNEL_FAILS, "push")
    (alarm,) = ladder.escalation.system
    assert ladder.hear(2, "acknowledge", "b") is None
    assert ladder.hear(2, "acknowledge", alarm) == ""
    assert ladder.hear(3, "close", alarm) == "the alarm has changed: step 2 is the latest, you saw 1"


def test_an_alarm_takes_the_route_of_its_rule_else_that_of_its_class_and_ours_neither() -> None:
    routes = [{"id": name, "duty": ["li"], "channels": ["push"]} for name in ("own", "drains", "machine")]
    routes[1] |= {"classes": ["drain", "system"]}
    people = People.model_validate(
        {
            "people": [{"id": "li", "name": "Li", "addresses": {"push": "1"}}],
            "routes": routes,
            "system_route": "machine",
        }
    )
    for rule, alarm_class, named, expected in (
        ("level", "drain", {"level": "own"}, "own"),
        ("level", "drain", {}, "drains"),
        ("fever", "fever", {}, None),
        (UNSTORED, "system", {}, "machine"),
        (DUTY_MISSED, "duty", {}, "machine"),
    ):
        found = route_of(rule, alarm_class, people, named)
        assert (None if found is None else found.id) == expected


def test_a_missed_duty_is_told_once_and_nobody_is_called_until_somebody_answers() -> None:
    ladder = Ladder()
    for second in (1, 2):
        assert ladder.hear(second, DUTY_MISSED, "east/round/2026-11-18") == ""
    assert ladder.hear(3, DUTY_MISSED, "west/round/2026-11-18") == ""
    assert ladder.hear(3, DUTY_MISSED, "round") == "a duty is named as SITE/DUTY/DAY"
    ladder.crash()
    ladder.ticks(400, 4_000, 20_000, 200_000)
    ladder.hear(200_001, DUTY_MISSED, "east/round/2026-11-18")
    ladder.hear(200_002, DUTY_OVER, "east/round/2026-11-18")
    ladder.crash()
    ladder.hear(200_003, DUTY_MISSED, "east/round/2026-11-18")  # closed, and not told anew
    said = [(second, what) for second, _, what, _ in ladder.said]
    assert said == [(1, What.RAISED), (3, What.RAISED), (200_002, What.RETURNED)]
    assert [(a.site, a.device, a.key, a.alarm_class) for a in ladder.escalation.system.values()] == [
        ("west", "round", "2026-11-18", DUTY)
    ]


def test_that_nobody_answers_is_one_alarm_however_often_everybody_was_called() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED, severity=Severity.HIGH)
    ladder.ticks(1200)
    ladder.step(1300, What.SEVERITY_UP)
    ladder.ticks(4000)
    assert [(name, what) for _, name, what, _ in ladder.said].count(("a1", What.EXHAUSTED)) == 2
    assert [(second, name) for second, name, what, _ in ladder.said if what is What.RAISED] == [(1200, "system")]


def test_what_is_acknowledged_is_reminded_of_until_that_is_too_long_ago() -> None:
    people = PEOPLE.model_dump()
    people["people"] = [{**p.model_dump(), "addresses": {"push": "1"}} for p in PEOPLE.people]
    steps = [{"to": ["li"], "channels": ["push"]}]
    people["routes"] = [{"id": "drains", "critical": {"steps": steps, "repeat_s": 100, "ack_timeout_s": 250}}]
    ladder = Ladder(People.model_validate(people))
    ladder.step(0, What.RAISED)
    ladder.step(10, What.ACKNOWLEDGED)
    ladder.ticks(*range(11, 270))
    assert ladder.said == [
        (110, "a1", What.REMINDED, 0),
        (210, "a1", What.REMINDED, 0),
        (260, "a1", What.REALARMED, None),
    ]


def test_a_masked_alarm_that_has_a_route_only_now_calls_nobody() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED)
    ladder.alarms["a1"].masks = [Masked("c", "cause", None, "c", None)]
    ladder.escalation = Escalation(PEOPLE, {"r": "drains"}, ladder.alarms.get)
    ladder.escalation.load(None, ladder.alarms.values(), T0 + 50_000)
    ladder.ticks(*range(51, 300))
    assert ladder.said == []


def test_what_can_wait_is_reminded_of_in_the_list_and_never_exhausted() -> None:
    ladder = Ladder()
    ladder.step(0, What.RAISED, severity=Severity.MEDIUM)
    ladder.ticks(*range(1, 30_000, 60))
    assert [(second // 3600, what) for second, _, what, _ in ladder.said] == [(4, What.REMINDED), (8, What.REMINDED)]
