"""Every short story of one drain: masks × returning × severity × acknowledging × crash, all of them and not a sample.

A story is three events, each a few seconds after the one before; what must be true after it is told by plain ifs.
"""

from __future__ import annotations

import itertools

import pytest

from alerts.alarm import What
from tests.alerts.stage import T0, Stage
from tests.alerts.test_masks import district, of_state

EVENTS = (
    "normal",
    "medium",
    "critical",
    "doubtful normal",
    "broken normal",
    "acknowledge",
    "assign",
    "shelve",
    "shelve once",
    "unshelve",
    "maintenance",
    "out of service",
    "time",
)
VALUES = {"normal": 0.5, "medium": 1.2, "critical": 1.9}
MASKS = ("shelve", "shelve once", "unshelve", "maintenance", "out of service")
GAP_S = 4
LEVEL = next(number for number, name in enumerate(district().names) if name == ("low", "level"))


def play(story: tuple[str, ...], crash_at: int = 0, *, masks: bool = True) -> Stage:
    stage = Stage(district(), crash_at=crash_at)
    second = 0
    for event in story:
        stage.wait(second + 1, second + GAP_S)
        second += GAP_S
        kind, _, of_value = event.rpartition(" ")
        if of_value in VALUES:
            quality = {"": 0, "doubtful": 1, "broken": 2}[kind]
            stage.readings([(LEVEL, second, VALUES[of_value], quality)], second)
        elif event == "time":
            stage.wait(second + 1, second + 20)
            second += 20
        elif event in MASKS and not masks:
            stage.take_nothing(second)
        elif event in ("maintenance", "out of service"):
            cover = {"kind": event.replace(" ", "-"), "device": "low"}
            stage.order(second, "mask", note="x", until_ms=T0 + 3_000_000, mask=cover)
        else:
            alarms = [alarm for alarm in stage.engine.open_alarms if alarm.rule == "full"]
            if not alarms:
                stage.take_nothing(second)
            for alarm in alarms:
                body = {"alarm": alarm.id, "seq": alarm.seq, "note": "x"}
                if event.startswith("shelve"):
                    body |= {"until_ms": T0 + 3_000_000, "one_shot": event == "shelve once"}
                if event == "assign":
                    body |= {"assignee": "wang"}
                stage.order(second, event.split()[0], **body)
    stage.wait(second + 1, second + GAP_S)
    return stage


def expected(story: tuple[str, ...]) -> list[tuple[str, bool]]:
    """(worst severity, whether open) of each alarm, in order: good readings end, doubtful ones may only raise."""
    found: list[tuple[str, bool]] = []
    for event in story:
        kind, _, of_value = event.rpartition(" ")
        if of_value not in VALUES or kind == "broken":
            continue
        if of_value == "normal":
            if kind == "" and found and found[-1][1]:
                found[-1] = (found[-1][0], False)
        elif found and found[-1][1]:
            found[-1] = ("critical" if "critical" in (of_value, found[-1][0]) else "medium", True)
        else:
            found.append((of_value, True))
    return found


@pytest.mark.parametrize("first", EVENTS)
def test_every_story_ends_as_it_must_whatever_is_masked_and_wherever_it_crashes(first: str) -> None:
    for rest in itertools.product(EVENTS, repeat=2):
        story = (first, *rest)
        stage = play(story)
        alarms = sorted((a for a in stage.alarms.values() if a.rule == "full"), key=lambda alarm: alarm.onset_ms)
        assert [(a.severity_max.word, a.is_open) for a in alarms] == expected(story), story
        assert of_state(stage) == of_state(play(story, masks=False)), story
        crashed = play(story, crash_at=len(stage.journal) // 2)
        assert crashed.steps == stage.steps, story
        assert crashed.engine.save() == stage.engine.save(), story
        for alarm in alarms:
            given = [step.note for step in stage.steps if step.alarm == alarm.id and step.what is What.ASSIGNED]
            assert alarm.assigned_to == (given[-1] if given else None), story
            steps = [step for step in stage.steps if step.alarm == alarm.id]
            told = [s for s in steps if s.what in (What.RAISED, What.SEVERITY_UP, What.UNMASKED) and s.quiet is None]
            # Nobody is called for it only where somebody, or the wait for a cause, says why not.
            assert told or alarm.masks or any(s.quiet for s in steps), story
            assert len([s for s in steps if s.what.is_end]) == (not alarm.is_open), story
