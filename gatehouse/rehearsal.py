"""`gatehouse score`: scenarios played through the engine that runs in production, and what came of it.

Virtual time: a week takes seconds. Nobody acts and no cause masks, as in a back-test. Rules about silence are left out
where readings come too sparsely for them; `Rehearsal.left_out` names them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO, TypeVar

import numpy as np
from firmware_sim.district import District
from firmware_sim.play import Sample, Step, play
from firmware_sim.scenario import CutGateway, MendGateway
from firmware_sim.story import Story
from firmware_sim.truth_lines import reading_lines, stated_lines, step_lines
from rich.console import Console
from rich.table import Table

from alerts.alarm import Alarm, What
from alerts.backtest import unattended
from alerts.engine import TICK_MAX_MS, Engine
from alerts.program import compile_rules
from alerts.rules import Rule, SilenceRule, load_rules
from gatehouse.scoring import Claim, Harmed, Raised, RuleScore, Score, Stated, score
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue, Device
from telemetry.errors import BadConfiguration
from telemetry.journal import CONNECTED, Kind, Stored
from telemetry.quality import Quality
from telemetry.series import ONLINE, SeriesRegistry

Read = TypeVar("Read")

_GROUP_MS = 10_000
SCENARIOS = "scenarios"
"""The folder of a district that holds its scenarios; `rules/` in it holds rules that they try beside the district's."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One scenario and what came of it."""

    name: str
    readings: int
    raised: list[Raised]
    score: Score
    left_out: list[str]


def scenario_rules(folder: Path, district: District) -> tuple[Rule, ...]:
    """The district's rules, and those that its scenarios try beside them. Raises Mistakes."""
    own = load_rules(folder / "rules", district.catalogue)
    tried = load_rules(folder / SCENARIOS / "rules", district.catalogue)
    twice = {rule.id for rule in own} & {rule.id for rule in tried}
    if twice:
        raise BadConfiguration(
            f"{folder / SCENARIOS / 'rules'}: the district has rules {', '.join(sorted(twice))} already"
        )
    return own + tried


def rehearse(district: District, rules: Sequence[Rule], name: str, story: Story, out: Path | None = None) -> Rehearsal:
    """Play a scenario and score it; with `out`, write readings, truth and alarms there as JSON lines."""
    judge = _Judge(district, rules, story)
    unknown = {entry.rule for part in (story.must, story.may, story.must_not) for entry in part} - judge.rule_names
    if unknown:
        raise BadConfiguration(f"scenario '{name}' speaks of rules that there are not: {', '.join(sorted(unknown))}")
    truth = list(stated_lines(story))
    readings = 0
    with _Files(out) as files:
        files.write("truth", truth)
        for step in play(district, story):
            judge.take(step)
            readings += len(step.samples)
            lines = list(step_lines(step))
            truth += [line for line in lines if line["is"] == "harm"]
            files.write("truth", lines)
            files.write("readings", reading_lines(step))
        judge.finish()
        files.write("alarms", map(alarm_line, judge.raised()))
    return Rehearsal(name, readings, judge.raised(), score(*_told(truth, judge.raised())), judge.left_out)


def score_files(truth: Path, alarms: Path) -> Score:
    """Compare two files of JSON lines. Raises BadConfiguration naming file and line of what cannot be read."""
    raised = [_read(line, alarms, number, _raised) for number, line in _lines(alarms)]
    told = [_read(line, truth, number, _checked) for number, line in _lines(truth)]
    return score(*_told([line for line in told if line["is"] != "state"], raised))


def alarm_line(alarm: Raised) -> dict[str, Any]:
    """An alarm as one line of JSON."""
    return {
        "rule": alarm.rule,
        "device": alarm.device,
        "key": alarm.key,
        "raised_ms": alarm.raised_ms,
        "closed_ms": alarm.closed_ms,
    }


def show(rehearsals: Sequence[Rehearsal], console: Console) -> None:
    """A line for each scenario, a line for each rule, and what is not as stated."""
    table = Table("scenario", "readings", "found", "missed", "extra", "gaps", "", title="Scenarios")
    total: dict[str, RuleScore] = {}
    for one in rehearsals:
        counts = RuleScore()
        for rule, of_rule in one.score.rules.items():
            counts.add(of_rule)
            total.setdefault(rule, RuleScore()).add(of_rule)
        row = (f"{one.readings:,}", *map(str, (counts.found, counts.missed, counts.extra, counts.gaps)))
        table.add_row(one.name, *row, "as stated" if one.score.is_good else "NOT as stated")
    console.print(table)
    show_rules(total, console)
    for one in rehearsals:
        for fault in one.score.faults:
            console.print(f"{one.name}: {fault}", markup=False, highlight=False)


def show_rules(rules: Mapping[str, RuleScore], console: Console) -> None:
    """How each rule did."""
    table = Table("rule", "found", "missed", "extra", "gaps", "median delay", "shortest lead", title="By rule")
    for rule, one in sorted(rules.items()):
        times = ("–" if seconds is None else f"{seconds:,.0f} s" for seconds in (one.delay_s, one.lead_s))
        table.add_row(rule, *map(str, (one.found, one.missed, one.extra, one.gaps)), *times)
    console.print(table)


class _Judge:
    """The engine over the steps of a story, as the core would hand them to it."""

    def __init__(self, district: District, rules: Sequence[Rule], story: Story) -> None:
        self.rule_names = {rule.id for rule in rules}
        sparse_s = 2 * story.every_s
        self.left_out = [rule.id for rule in rules if isinstance(rule, SilenceRule) and rule.after_s <= sparse_s]
        devices = [device for device in district.catalogue.devices if _is_measured(device, district.catalogue, story)]
        # Only what is measured is judged: of everything else the core would have to say that it is silent.
        catalogue = Catalogue.model_validate({**district.catalogue.model_dump(), "devices": devices})
        self._registry = SeriesRegistry([*catalogue.metric, *((g.id, ONLINE) for g in catalogue.gateways)])
        held = [rule for rule in rules if rule.id not in self.left_out and rule.metric in (*story.metrics, ONLINE)]
        self._hears_silence = any(isinstance(rule, SilenceRule) for rule in held)
        self._records: list[Stored] = []
        self._engine = Engine(compile_rules(unattended(held), catalogue, self._registry), self._reread)
        self._gateway = {device.id: device.gateway for device in catalogue.devices}
        self._kept: dict[str, list[Sample]] = {}  # of gateways that are cut off
        self._live: list[Sample] = []
        self._now_ms = self._judged_ms = story.start_ms
        # How readings are cut into batches does not show; larger ones are faster. Silence is looked for between them.
        self._group_ms = _GROUP_MS if self._hears_silence else max(_GROUP_MS, round(10_000 * story.every_s))
        self._alarms: dict[str, Alarm] = {}
        self._first_ms: dict[str, int] = {}

    def take(self, step: Step) -> None:
        """Judge what a step brings."""
        behind: dict[str, int] = {}
        online: list[Sample] = []
        backlog: list[Sample] = []
        for at_ms, action in step.actions:
            if isinstance(action, CutGateway):
                self._kept.setdefault(action.gateway, [])
                online.append(Sample(action.gateway, ONLINE, at_ms, 0.0, 0.0))
            elif isinstance(action, MendGateway) and action.gateway in self._kept:
                backlog += self._kept.pop(action.gateway)
                behind[action.gateway] = 1
                online.append(Sample(action.gateway, ONLINE, at_ms, 1.0, 1.0))
        if online:
            self.finish()
        for one in step.samples:
            kept = self._kept.get(self._gateway[one.device])
            (self._live if kept is None else kept).append(one)
        self._now_ms = step.time_ms
        if online:
            self._apply(Kind.READINGS, encode_batch(self._batch(online), behind))
        if backlog:
            self._apply(Kind.BACKLOG, encode_batch(self._batch(backlog), dict.fromkeys(behind, 0)))
        if online or step.time_ms - self._judged_ms >= self._group_ms:
            self.finish()

    def finish(self) -> None:
        """Judge what has come since the last time."""
        until_ms = self._now_ms
        if self._hears_silence:
            for tick_ms in range(self._judged_ms + TICK_MAX_MS, until_ms, TICK_MAX_MS):
                self._now_ms = tick_ms
                self._apply(Kind.TICK, CONNECTED)
            self._now_ms = until_ms
        if self._live:
            self._apply(Kind.READINGS, encode_batch(self._batch(self._live)))
            self._live.clear()
        self._apply(Kind.TICK, CONNECTED)
        self._judged_ms = self._now_ms

    def raised(self) -> list[Raised]:
        """Every alarm so far, in the order in which they were raised."""
        found = [
            Raised(alarm.rule, alarm.device, self._first_ms[name], alarm.closed_ms, alarm.key)
            for name, alarm in self._alarms.items()
        ]
        return sorted(found, key=lambda alarm: (alarm.raised_ms, alarm.rule, alarm.device))

    def _apply(self, kind: Kind, payload: bytes) -> None:
        record = Stored(len(self._records) + 1, kind, self._now_ms, payload)
        self._records.append(record)
        effects = self._engine.apply(record)
        self._alarms |= effects.alarms
        for taken in effects.transitions:
            if taken.what is What.RAISED:
                self._first_ms.setdefault(taken.alarm, taken.event_ms)

    def _reread(self, after: int, through: int) -> Iterator[Stored]:
        return iter(self._records[after:through])

    def _batch(self, samples: Sequence[Sample]) -> ReadingBatch:
        return ReadingBatch(
            np.array([self._registry.index[one.device, one.metric] for one in samples], np.uint32),
            np.array([one.time_ms for one in samples], np.int64),
            np.array([one.value for one in samples], np.float64),
            np.full(len(samples), Quality.GOOD, np.uint8),
            {number: one.key for number, one in enumerate(samples) if one.key is not None},
        )


def _is_measured(device: Device, catalogue: Catalogue, story: Story) -> bool:
    measures = {metric for name, metric in catalogue.metric if name == device.id}
    return catalogue.site_of(device.id) in story.sites and not measures.isdisjoint(story.metrics)


class _Files:
    """Lines of JSON, in a folder of their own; nowhere when no folder is given."""

    def __init__(self, folder: Path | None) -> None:
        self._stack = ExitStack()
        self._file: dict[str, TextIO] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("readings", "truth", "alarms"):
                file = (folder / f"{name}.jsonl").open("w", encoding="utf-8")
                self._file[name] = self._stack.enter_context(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, name: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Append lines to one of the files."""
        if name in self._file:
            self._file[name].writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _told(
    truth: Iterable[Mapping[str, Any]], raised: Sequence[Raised]
) -> tuple[list[Stated], Sequence[Raised], list[Harmed]]:
    claims = {claim.value for claim in Claim}
    stated, harms = [], []
    for line in truth:
        if line["is"] in claims:
            fields = {name: value for name, value in line.items() if name != "is"}
            stated.append(Stated(Claim(line["is"]), **fields))
        elif line["is"] == "harm":
            harms.append(Harmed(line["what"], line["device"], line["time_ms"]))
    return stated, raised, harms


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8") as lines:
        yield from enumerate(lines, 1)


def _read(line: str, file: Path, number: int, wanted: Callable[[dict[str, Any]], Read]) -> Read:
    try:
        return wanted(json.loads(line))
    except (ValueError, TypeError, KeyError) as error:
        raise BadConfiguration(f"{file}:{number}: cannot be read: {error!r}; see docs/scenarios.md") from error


def _raised(line: dict[str, Any]) -> Raised:
    closed_ms = line.get("closed_ms")
    return Raised(line["rule"], line["device"], int(line["raised_ms"]), closed_ms, line.get("key"))


def _checked(line: dict[str, Any]) -> dict[str, Any]:
    _told([line], ())
    return line
