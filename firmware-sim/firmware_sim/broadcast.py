"""A story told to any MQTT broker: plain JSON on each gateway's topic, in step with a clock or as fast as it goes.

What is measured at an instant of the story carries that instant, moved so that the last one is now when it is sent: at
ten times the speed of life a story begins nine tenths of its length in the past, and no reading ever comes from the future.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from firmware_sim.district import District
from firmware_sim.play import Step, play
from firmware_sim.scenario import CutGateway, MendGateway
from firmware_sim.story import Story
from firmware_sim.truth_lines import Line, reading_lines, stated_lines, step_lines
from telemetry.topics import readings_topic

_ROWS_MAX = 500  # of one message
_TIMES = ("time_ms", "start_ms", "end_ms", "from_ms", "until_ms", "open_until_ms")


class Pace(Protocol):
    """Waits until an instant; False when it is time to stop."""

    def until(self, time_ms: int) -> bool:
        """Wait until this instant of the wall clock."""


def moved_by_ms(story: Story, speed: float, now_ms: int) -> int:
    """What has to be added to the story's instants so that it ends now when it is told from now on at this speed.

    One that is told slower than life begins now and falls behind.
    """
    length_ms = story.end_ms - story.start_ms
    return now_ms - story.start_ms - (round(length_ms * max(0.0, 1 - 1 / speed)) if speed else length_ms)


def broadcast(
    district: District,
    story: Story,
    *,
    speed: float,
    now_ms: int,
    pace: Pace,
    publish: Callable[[str, bytes], bool],
    out: Path | None = None,
) -> int:
    """Tell a story; with `out`, write readings.jsonl and truth.jsonl there, in the instants that were sent.

    Args:
        speed: Seconds of the story in a second; 0 is as fast as it goes.
        publish: Hands over (topic, payload); False when it is time to stop.

    Returns:
        How many readings were handed over.
    """
    by_ms = moved_by_ms(story, speed, now_ms)
    sites = {gateway.id: gateway.site for gateway in district.catalogue.gateways}
    kept: dict[str, list[Line]] = {}  # of gateways that are cut off; they tell it afterwards
    sent = 0
    with ExitStack() as stack:
        files = {}
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            files = {
                n: stack.enter_context((out / f"{n}.jsonl").open("w", encoding="utf-8")) for n in ("readings", "truth")
            }

        def write(name: str, lines: Iterator[Line]) -> None:
            if name in files:
                files[name].writelines(json.dumps(_moved(line, by_ms), ensure_ascii=False) + "\n" for line in lines)

        write("truth", stated_lines(story))
        for step in play(district, story):
            if speed and not pace.until(now_ms + round((step.time_ms - story.start_ms) / speed)):
                return sent
            for gateway, rows in _by_gateway(district, step, kept, by_ms):
                if not publish(readings_topic(sites[gateway], gateway), json.dumps({"readings": rows}).encode()):
                    return sent
                sent += len(rows)
            write("truth", step_lines(step))
            write("readings", reading_lines(step))
    return sent


def _by_gateway(
    district: District, step: Step, kept: dict[str, list[Line]], by_ms: int
) -> Iterator[tuple[str, list[Line]]]:
    """What each gateway can tell after a step."""
    ready: dict[str, list[Line]] = {}
    for _, action in step.actions:
        if isinstance(action, CutGateway):
            kept.setdefault(action.gateway, [])
        elif isinstance(action, MendGateway):
            ready[action.gateway] = kept.pop(action.gateway, [])
    for one in step.samples:
        gateway = district.catalogue.device[one.device].gateway
        row: dict[str, Any] = {"device": one.device, "metric": one.metric, "value": one.value}
        row["time"] = one.time_ms + by_ms
        if one.key is not None:
            row["key"] = one.key
        (kept if gateway in kept else ready).setdefault(gateway, []).append(row)
    for gateway, rows in ready.items():
        for first in range(0, len(rows), _ROWS_MAX):
            yield gateway, rows[first : first + _ROWS_MAX]


def _moved(line: Line, by_ms: int) -> Line:
    return {name: value + by_ms if name in _TIMES and value is not None else value for name, value in line.items()}
