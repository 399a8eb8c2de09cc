"""The truth about a story as JSON lines, in the ids of its readings. What each line is stands under `is`:

scenario (title, start, end) · event (what happened) · state (what there really was behind one reading) · harm (an
overflow) · must, may, must-not (what is stated of alarms). Times in epoch milliseconds, values in the metric's unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from firmware_sim.play import Step
from firmware_sim.story import Story

Line: TypeAlias = dict[str, Any]


def stated_lines(story: Story) -> Iterator[Line]:
    """What a story is about and what must come of it."""
    start_ms, end_ms = story.start_ms, story.end_ms

    def at_ms(seconds: float) -> int:
        return start_ms + round(1000 * seconds)

    yield {"is": "scenario", "title": story.title, "seed": story.seed, "start_ms": start_ms, "end_ms": end_ms}
    for must in story.must:
        open_until_ms = None if must.open_until_s is None else at_ms(must.open_until_s)
        yield {
            "is": "must",
            "rule": must.rule,
            "device": must.device,
            "from_ms": at_ms(must.from_s),
            "until_ms": at_ms(must.by_s),
            "open_until_ms": open_until_ms,
            "before": must.before,
            "gap": must.gap,
        }
    for claim, entries in (("may", story.may), ("must-not", story.must_not)):
        for entry in entries:
            line: Line = {"is": claim, "rule": entry.rule, "device": entry.device, "from_ms": at_ms(entry.from_s)}
            line["until_ms"] = end_ms if entry.until_s is None else at_ms(entry.until_s)
            yield line | {"gap": getattr(entry, "gap", None)}


def step_lines(step: Step) -> Iterator[Line]:
    """What really happened in a step."""
    for at_ms, action in step.actions:
        yield {"is": "event", "time_ms": at_ms, **action.model_dump(mode="json", exclude={"at_s"})}
    for one in step.samples:
        yield {"is": "state", "device": one.device, "metric": one.metric, "time_ms": one.time_ms, "true": one.true}
    for harm in step.harms:
        yield {"is": "harm", "what": harm.what, "device": harm.device, "time_ms": harm.time_ms}


def reading_lines(step: Step) -> Iterator[Line]:
    """What was measured in a step."""
    for one in step.samples:
        line: Line = {"device": one.device, "metric": one.metric, "time_ms": one.time_ms, "value": one.value}
        yield line if one.key is None else {**line, "key": one.key}
