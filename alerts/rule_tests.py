"""Tests of rules that users write: readings in a compact notation, what people do, and what is expected when.

Runs in virtual time through the engine that runs in production, a tick a second. Pure. The notation of readings is a
word each: `0.5` one reading, `0.5x10` ten of them, `0.5+0.1x10` ten more each 0.1 higher, `_` or `_x5` no reading;
`?` after a value means suspect, `!` bad.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from pydantic import Field

from alerts.alarm import Alarm, Transition
from alerts.calendar import Schedule
from alerts.engine import Engine
from alerts.notify.routing import CALLS
from alerts.program import compile_rules
from alerts.rule import Declared, SeverityName
from alerts.rules import Rule
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.errors import BadConfiguration
from telemetry.journal import CONNECTED, Kind, Stored
from telemetry.quality import Quality
from telemetry.series import ONLINE, SeriesRegistry

_WORD = re.compile(r"(?:(_)|(-?\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?([?!])?)(?:x(\d+))?")
_QUALITY = {None: Quality.GOOD, "?": Quality.SUSPECT, "!": Quality.BAD}
_READINGS_MAX, _SECONDS_MAX = 100_000, 8 * 86_400


class Act(Declared):
    """What a person does to the open alarm of a rule."""

    at: str
    do: Literal["acknowledge", "shelve", "unshelve", "comment", "dispose", "close"]
    rule: str
    device: str | None = None
    by: str = "tester"
    note: str = "test"
    for_: str | None = Field(default=None, alias="for")  # of a shelf


class Open(Declared):
    """An alarm that is open."""

    rule: str
    device: str | None = None
    severity: SeverityName | None = None


class Expected(Declared):
    """What holds at a time. `open` is all of it: an alarm that is not named must not be open."""

    at: str
    open: tuple[Open, ...] | None = None
    closed: tuple[str, ...] | None = None  # rules that have had an alarm, and have none now
    told: tuple[str, ...] | None = None  # "RULE STEP" that people were called for since the expectation before
    quiet: tuple[str, ...] | None = None  # "RULE STEP: REASON" that nobody was called for


class Case(Declared):
    """One test."""

    name: str
    start: datetime = datetime.fromisoformat("2026-11-23T08:00:00+08:00")
    interval: str = "1m"
    readings: dict[str, str] = Field(min_length=1)  # "DEVICE/METRIC": notation
    acts: tuple[Act, ...] = ()
    expect: tuple[Expected, ...] = Field(min_length=1)


class RuleTestFile(Declared):
    """One YAML file of tests: rules and catalogue in it, or files and folders beside it."""

    rules: str | tuple[Rule, ...]
    schedules: tuple[Schedule, ...] = ()  # beside those that the files of rules declare
    catalogue: str | CatalogueFile
    only: tuple[str, ...] | None = None  # of the rules
    tests: tuple[Case, ...] = Field(min_length=1)


@dataclass(slots=True)
class Outcome:
    """How a test went."""

    name: str
    failures: list[str] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)


def seconds(text: str) -> float:
    """90s, 15m, 2h, 1d, or several of them: 1h30m. Raises BadConfiguration."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        raise BadConfiguration(f"'{text}' is no time: write 90s, 15m or 1h30m")
    return sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", text))


def read_notation(text: str) -> list[tuple[float, Quality] | None]:
    """Readings, None where there is none. Raises BadConfiguration."""
    found: list[tuple[float, Quality] | None] = []
    for word in text.split():
        match = _WORD.fullmatch(word)
        if match is None or int(match[5] or 1) > _READINGS_MAX:
            raise BadConfiguration(f"'{word}' is no reading: write 0.5, 0.5x10, 0.5+0.1x10, 1.9?, 1.9! or _x5")
        for number in range(int(match[5] or 1)):
            value = None if match[1] else float(match[2]) + number * float(match[3] or 0)
            found.append(None if value is None else (value, _QUALITY[match[4]]))
    return found


def run_case(
    case: Case, rules: tuple[Rule, ...], catalogue: Catalogue, schedules: tuple[Schedule, ...] = ()
) -> Outcome:
    """Play one test. Raises BadConfiguration where it cannot be played."""
    played = _Play(case, rules, catalogue, schedules)
    played.run()
    return played.outcome


class _Play:
    def __init__(
        self, case: Case, rules: tuple[Rule, ...], catalogue: Catalogue, schedules: tuple[Schedule, ...]
    ) -> None:
        if case.start.tzinfo is None:
            raise BadConfiguration(f"test '{case.name}': 'start' needs its zone, like 2026-11-23T08:00:00+08:00")
        self._case = case
        self._registry = SeriesRegistry([*catalogue.metric, *((g.id, ONLINE) for g in catalogue.gateways)])
        self._engine = Engine(compile_rules(rules, catalogue, self._registry, schedules))
        self._rules = {rule.id for rule in rules}
        self._start_ms = round(case.start.timestamp() * 1000)
        self._alarms: dict[str, Alarm] = {}
        self._steps: list[Transition] = []
        self._offset = 0
        self._count = 0
        self.outcome = Outcome(case.name)

    def run(self) -> None:
        readings = self._readings()
        acts = sorted(self._case.acts, key=lambda act: seconds(act.at))
        expected = sorted(self._case.expect, key=lambda one: seconds(one.at))
        named = {act.rule for act in acts} | {o.rule for e in expected for o in e.open or ()}
        named |= {rule for one in expected for rule in one.closed or ()}
        if named - self._rules:
            raise BadConfiguration(
                f"test '{self._case.name}' speaks of rules that there are not: {', '.join(sorted(named - self._rules))}"
            )
        end_s = seconds(expected[-1].at)
        if end_s > _SECONDS_MAX:
            raise BadConfiguration(f"test '{self._case.name}' takes longer than eight days")
        for second in range(int(end_s) + 1):
            if second in readings:
                self._take(Kind.READINGS, second, encode_batch(self._batch(readings[second], second)))
            self._take(Kind.TICK, second, CONNECTED)
            while acts and seconds(acts[0].at) <= second:
                self._act(acts.pop(0), second)
            while expected and seconds(expected[0].at) <= second:
                self._check(expected.pop(0))

    def _readings(self) -> dict[int, list[tuple[int, float, Quality]]]:
        """By second."""
        every_s = seconds(self._case.interval)
        if every_s < 1 or every_s != int(every_s):
            raise BadConfiguration(f"test '{self._case.name}': 'interval' is a whole number of seconds")
        found: dict[int, list[tuple[int, float, Quality]]] = {}
        for name, text in self._case.readings.items():
            device, _, metric = name.partition("/")
            series = self._registry.index.get((device, metric))
            if series is None:
                raise BadConfiguration(f"test '{self._case.name}': the catalogue has no series '{name}'")
            for number, reading in enumerate(read_notation(text)):
                if reading is not None:
                    found.setdefault(number * int(every_s), []).append((series, *reading))
        return found

    def _batch(self, rows: list[tuple[int, float, Quality]], second: int) -> ReadingBatch:
        return ReadingBatch(
            np.array([series for series, _, _ in rows], np.uint32),
            np.full(len(rows), self._start_ms + 1000 * second, np.int64),
            np.array([value for _, value, _ in rows], np.float64),
            np.array([quality for _, _, quality in rows], np.uint8),
        )

    def _take(self, kind: Kind, second: float, payload: bytes) -> dict[str, str]:
        self._offset += 1
        effects = self._engine.apply(Stored(self._offset, kind, self._start_ms + round(1000 * second), payload))
        self._alarms |= effects.alarms
        for taken in effects.transitions:
            self._steps.append(taken)
            alarm = self._alarms[taken.alarm]
            value = "" if taken.value is None else f" at {taken.value:g}"
            quiet = f", nobody called: {taken.quiet}" if taken.quiet else ""
            self.outcome.timeline.append(
                f"{_clock(second):>9}  {alarm.rule} {alarm.device} {taken.what.value} ({taken.severity.word}){value}{quiet}"
            )
        return effects.answers

    def _act(self, act: Act, second: int) -> None:
        open_ = [a for a in self._engine.open_alarms if a.rule == act.rule and act.device in (None, a.device)]
        if len(open_) != 1:
            self.outcome.failures.append(
                f"at {act.at}: {act.do} {act.rule}: {len(open_)} such alarms are open, not one"
            )
            return
        self._count += 1
        told: dict[str, Any] = {"id": f"act-{self._count}", "action": act.do, "actor": act.by, "alarm": open_[0].id}
        told |= {"seq": open_[0].seq, "note": act.note}
        if act.do == "dispose":
            told["disposition"] = "true"
        if act.for_ is not None:
            told["until_ms"] = self._start_ms + 1000 * second + round(1000 * seconds(act.for_))
        why_not = self._take(Kind.COMMAND, second, json.dumps(told).encode()).get(told["id"], "")
        if why_not:
            self.outcome.failures.append(f"at {act.at}: {act.do} {act.rule}: {why_not}")

    def _check(self, expected: Expected) -> None:
        open_ = [alarm for alarm in self._engine.open_alarms if alarm.rule in self._rules]
        if expected.open is not None:
            left = list(open_)
            for wanted in expected.open:
                match = next((a for a in left if _is(a, wanted)), None)
                if match is None:
                    self._fail(
                        expected.at, f"open: {_open(wanted)}", ", ".join(map(_alarm, open_)) or "nothing is open"
                    )
                else:
                    left.remove(match)
            for alarm in left:
                self._fail(expected.at, "nothing else open", _alarm(alarm))
        for rule in expected.closed or ():
            of_rule = [alarm for alarm in self._alarms.values() if alarm.rule == rule]
            if not of_rule or any(alarm.is_open for alarm in of_rule):
                self._fail(expected.at, f"closed: {rule}", "it is open" if of_rule else "there never was one")
        calls = [(s, self._alarms[s.alarm].rule) for s in self._steps if s.what in CALLS]
        told = [f"{rule} {s.what.value}" for s, rule in calls if s.quiet is None]
        quiet = [f"{rule} {s.what.value}: {s.quiet}" for s, rule in calls if s.quiet is not None]
        for what, wanted_, found in (("told", expected.told, told), ("quiet", expected.quiet, quiet)):
            if wanted_ is not None and list(wanted_) != found:
                self._fail(expected.at, f"{what}: {', '.join(wanted_) or 'nothing'}", ", ".join(found) or "nothing")
        self._steps.clear()

    def _fail(self, at: str, expected: str, found: str) -> None:
        self.outcome.failures.append(f"at {at}: expected {expected}; found {found}")


def report(outcomes: list[Outcome]) -> Iterator[str]:
    """Lines to print: a failed test with its timeline."""
    for outcome in outcomes:
        yield f"{'FAILED' if outcome.failures else 'ok':<7}{outcome.name}"
        for failure in outcome.failures:
            yield f"         {failure}"
        if outcome.failures:
            yield "         what happened:"
            yield from (f"         {line}" for line in outcome.timeline or ["no alarm at all"])


def _is(alarm: Alarm, wanted: Open) -> bool:
    device, severity = wanted.device in (None, alarm.device), wanted.severity in (None, alarm.severity)
    return alarm.rule == wanted.rule and device and severity


def _open(wanted: Open) -> str:
    parts = [wanted.rule, wanted.device, wanted.severity.word if wanted.severity else None]
    return " ".join(part for part in parts if part)


def _alarm(alarm: Alarm) -> str:
    return f"{alarm.rule} {alarm.device} {alarm.severity.word}"


def _clock(second: float) -> str:
    return f"{int(second) // 3600}:{int(second) // 60 % 60:02d}:{int(second) % 60:02d}"
