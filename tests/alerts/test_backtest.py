from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from alerts.alarm import Alarm, Effects, Transition, What
from alerts.backtest import BacktestReport, Gathered, Labelled, backtest, unattended
from alerts.engine import Engine
from alerts.load import chatters, flood_ms, peak
from alerts.outcome import Outcome, outcome_of
from alerts.program import compile_rules
from alerts.rule import Severity
from alerts.rules import Rule, RuleFile
from bench import district
from telemetry.batch import ReadingBatch
from telemetry.errors import BadConfiguration
from telemetry.series import ONLINE, SeriesRegistry

T0 = 1_795_046_400_000
MINUTE = 60_000
CATALOGUE = district.catalogue(2)
REGISTRY = SeriesRegistry([*CATALOGUE.metric, *((gateway.id, ONLINE) for gateway in CATALOGUE.gateways)])


def rule(at_least: float, **more: object) -> Rule:
    declared = {"id": "high", "type": "level", "class": "drain", "name": "High", "metric": "level"}
    levels = [{"severity": "high", "at_least": at_least}]
    return RuleFile.model_validate({"rules": [declared | {"levels": levels} | more]}).rules[0]


def batches(values: Sequence[float], size: int) -> Iterable[ReadingBatch]:
    """A reading a minute of level-00000."""
    series = REGISTRY.index[district.device(0), "level"]
    for start in range(0, len(values), size):
        some = np.array(values[start : start + size])
        times = T0 + MINUTE * np.arange(start, start + len(some), dtype=np.int64)
        yield ReadingBatch(np.full(len(some), series, np.uint32), times, some, np.zeros(len(some), np.uint8))


def run(
    values: Sequence[float], tried: Rule, in_force: Rule | None = None, labelled: Sequence[Labelled] = (), size: int = 7
) -> BacktestReport:
    held = [] if in_force is None else [in_force]
    end_ms = T0 + len(values) * MINUTE
    return backtest([tried], held, CATALOGUE, REGISTRY, lambda *_: batches(values, size), labelled, T0, end_ms)


VALUES = [0.5] * 10 + [1.2] * 5 + [0.5] * 10 + [2.2] * 5 + [0.5] * 10


def test_alarms_are_counted_by_day_and_shift_and_the_longest_is_known() -> None:
    report = run(VALUES, rule(1.0))
    assert report.tried.alarms == 2
    assert report.tried.per_day == {"2026-11-19": 2}
    assert sum(report.tried.per_shift.values()) == 2
    assert report.tried.longest_ms == 5 * MINUTE
    assert report.tried.open_at_end == 0
    assert report.readings == len(VALUES)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_no_cut_into_batches_shows(size: int) -> None:
    assert run(VALUES, rule(1.0, raise_after_s=120), size=size) == run(VALUES, rule(1.0, raise_after_s=120))


def test_a_stricter_limit_is_a_difference_to_the_version_in_force() -> None:
    report = run(VALUES, rule(2.0), rule(1.0))
    assert report.in_force is not None
    assert report.difference is not None
    assert (report.tried.alarms, report.in_force.alarms) == (1, 2)
    assert report.difference.both == 1
    assert [one.onset_ms for one in report.difference.only_old] == [T0 + 10 * MINUTE]
    assert report.difference.only_new == []


def test_what_people_said_of_alarms_is_held_against_the_tried_rule() -> None:
    def said(minute: int, outcome: Outcome) -> Labelled:
        return Labelled(
            "high", district.device(0), "level", None, T0 + minute * MINUTE, T0 + (minute + 5) * MINUTE, outcome
        )

    labelled = [said(10, Outcome.FALSE), said(25, Outcome.TRUE)]
    assert run(VALUES, rule(2.0), rule(1.0), labelled).outcomes == {"false": (1, 0), "true": (1, 1)}


def test_a_latched_alarm_ends_though_nobody_acknowledges_in_a_back_test() -> None:
    assert run(VALUES, rule(1.0, latch="until-disposed")).tried.open_at_end == 0


def test_a_rule_that_calls_by_a_schedule_runs_over_the_journal_too() -> None:
    rules = unattended([rule(1.0, schedule="day")])
    assert not list(Engine(compile_rules(rules, CATALOGUE, REGISTRY)).open_alarms)


def test_silence_is_refused_because_the_history_does_not_know_when_the_core_could_hear() -> None:
    silence = RuleFile.model_validate(
        {
            "rules": [
                {"id": "s", "type": "silence", "class": "sensor", "name": "S", "metric": "level", "after_s": 60},
            ]
        }
    ).rules[0]
    with pytest.raises(BadConfiguration, match="journal"):
        run(VALUES, silence)


def test_a_flood_lasts_from_the_eleventh_until_fewer_than_five_came_in_ten_minutes() -> None:
    times = [n * 1000 for n in range(11)]
    # The seventh of eleven leaves the ten minutes at 606 s; it began at 10 s.
    assert flood_ms(times, 10**7) == 596_000
    assert flood_ms(times[:10], 10**7) == 0
    assert flood_ms(times, 100_000) == 90_000
    assert peak(times, 5_000) == 5


def test_three_steps_within_a_minute_chatter() -> None:
    assert chatters([0, 30_000, 59_999])
    assert not chatters([0, 30_000, 60_000])


def test_decisions_about_persons_say_what_the_alarm_was_worth() -> None:
    assert [outcome_of(word) for word in ("admit", "refer", "test", "nonsense", None)] == [
        Outcome.FALSE,
        Outcome.TRUE,
        Outcome.TEST,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("minute", "shift"),
    [(359, "06–14"), (360, "14–22"), (839, "14–22"), (840, "22–06"), (1319, "22–06"), (1320, "06–14")],
)
def test_an_alarm_belongs_to_the_shift_in_which_it_began(minute: int, shift: str) -> None:
    values = [1.2 if number == minute else 0.5 for number in range(1440)]  # from eight o'clock in Shanghai on
    assert {name for name, count in run(values, rule(1.0), size=1440).tried.per_shift.items() if count} == {shift}


def test_an_alarm_that_gets_worse_and_better_does_not_chatter() -> None:
    about = ("a1", "high", "drain", "east", "mh-1", "level-1", "level", None)
    alarm = Alarm(*about, Severity.HIGH, Severity.CRITICAL, 3, T0, T0, 1.5, 1.4)
    for steps, expected in (
        ((What.RAISED, What.SEVERITY_UP, What.SEVERITY_DOWN), False),
        ((What.RAISED, What.RETURNED, What.REOPENED), True),
    ):
        gathered = Gathered()
        taken = [
            Transition("a1", seq, what, Severity.HIGH, T0 + 10_000 * seq, T0 + 10_000 * seq, "r")
            for seq, what in enumerate(steps, 1)
        ]
        gathered.take_effects(Effects(taken, {"a1": alarm}))
        assert [one.chatters for one in gathered.occurrences()] == [expected]
