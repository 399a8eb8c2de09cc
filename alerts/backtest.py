"""What rules would have done: readings of the past through the same conditions, book and passages as those of today.

Nobody acts in a back-test: latches are left out, and nothing is masked. Rules about silence need the journal, which alone
knows when the core could hear (`take_effects`). Pure: whoever calls brings the batches, in the order of time.

Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts.alarm import COMES_AND_GOES, Alarm, Effects
from alerts.book import AlarmBook
from alerts.conditions import Conditions
from alerts.load import chatters, flood_ms
from alerts.outcome import Outcome
from alerts.passages import Passages
from alerts.program import Program, compile_rules
from alerts.recheck import Rechecks
from alerts.rule import Severity
from alerts.rules import InferredRule, Rule, SilenceRule
from telemetry.batch import ReadingBatch
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration
from telemetry.series import SeriesRegistry

SHIFTS = ("06–14", "14–22", "22–06")
_FORGET_EVERY_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One alarm that a rule would have raised."""

    rule: str
    site: str
    device: str
    metric: str
    key: str | None
    onset_ms: int
    end_ms: int | None  # None: open at the end, or about a passage
    severity: str
    chatters: bool

    def overlaps(self, device: str, metric: str, key: str | None, onset_ms: int, end_ms: int | None) -> bool:
        """Whether both are about the same thing at the same time."""
        if (self.device, self.metric) != (device, metric):
            return False
        if self.key is not None or key is not None:
            return self.key == key
        return onset_ms <= _end(self.end_ms) and self.onset_ms <= _end(end_ms)


@dataclass(frozen=True, slots=True)
class Labelled:
    """An alarm that there was, and what a person said of it."""

    rule: str
    device: str
    metric: str
    key: str | None
    onset_ms: int
    end_ms: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Counted:
    """What one version of the rules comes to."""

    alarms: int
    per_day: Mapping[str, int]
    per_shift: Mapping[str, int]
    longest_ms: int
    open_at_end: int
    chattering: int
    flood_share: float
    late: int  # readings that a newer one of their series had overtaken


@dataclass(frozen=True, slots=True)
class Difference:
    """Tried against in force, by overlapping times."""

    both: int
    only_old: list[Occurrence]
    only_new: list[Occurrence]


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The outcome of a back-test."""

    rules: list[str]
    start_ms: int
    end_ms: int
    readings: int
    tried: Counted
    in_force: Counted | None
    difference: Difference | None
    outcomes: Mapping[str, tuple[int, int]]  # outcome -> (alarms that have it, those that the tried rules raise too)
    longest: list[Occurrence] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Trial:
    """One version of rules over the past. Raises BadConfiguration where only the journal can tell."""

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue, registry: SeriesRegistry) -> None:
        for rule in rules:
            if isinstance(rule, SilenceRule | InferredRule):
                raise BadConfiguration(
                    f"rule '{rule.id}' is about silence, and the history does not say when the core could hear: "
                    "back-test it over the journal"
                )
        self.program: Program = compile_rules(unattended(rules), catalogue, registry)
        self._conditions = Conditions(self.program)
        self._book = AlarmBook(self.program)
        self._passages = Passages(self.program, self._book, Rechecks(self.program, self._book))
        self._gathered = Gathered()
        self._newest_ms = 0
        self._forgot_ms = 0
        self.late = 0

    @property
    def looks_at(self) -> set[int]:
        """The series that decide anything."""
        found = set(self.program.series.tolist())
        for limit in self.program.passages:
            found |= set(limit.series.tolist())
        for detector in self._conditions.detectors:
            found |= set(detector.watched.tolist())
        return found

    @property
    def needs_order(self) -> bool:
        """Whether it matters in which order readings of different series come."""
        return bool(self.program.detectors or self.program.passages)

    def take(self, batch: ReadingBatch) -> None:
        """Judge readings, newer than those before."""
        if not len(batch):
            return
        effects = Effects()
        if self.program.passages:
            for seen in self._passages.plain(batch):
                self._passages.judge((seen,), seen.time_ms, effects)
        judged = self._conditions.readings(batch)
        self.late += len(judged.overtaken)
        for step in judged.steps:
            self._book.follow(step, step.time_ms, effects)
        for seen in judged.passages:
            self._passages.judge((seen,), seen.time_ms, effects)
        self._newest_ms = max(self._newest_ms, int(batch.time_ms.max()))
        if self._book.held:
            self._book.release(self._conditions.last_ms, self._newest_ms, effects)
        if self._newest_ms - self._forgot_ms >= _FORGET_EVERY_MS:
            self._forgot_ms = self._newest_ms
            self._book.forget(self._newest_ms)
        self._gathered.take_effects(effects)

    def finish(self) -> list[Occurrence]:
        """What was raised, in the order of onsets."""
        effects = Effects()
        for step in self._conditions.by_time(self._newest_ms):
            self._book.follow(step, step.time_ms, effects)
        self._gathered.take_effects(effects)
        return self._gathered.occurrences()


class Gathered:
    """Alarms as they come out of an engine or a book."""

    def __init__(self) -> None:
        self._alarms: dict[str, Alarm] = {}
        self._steps_ms: dict[str, list[int]] = {}

    def take_effects(self, effects: Effects) -> None:
        """Remember what came of a batch or a record."""
        self._alarms |= effects.alarms
        for taken in effects.transitions:
            if taken.what in COMES_AND_GOES:
                self._steps_ms.setdefault(taken.alarm, []).append(taken.event_ms)

    def occurrences(self) -> list[Occurrence]:
        """In the order of onsets."""
        found = [
            Occurrence(
                alarm.rule,
                alarm.site,
                alarm.device,
                alarm.metric,
                alarm.key,
                alarm.onset_ms,
                alarm.closed_ms,
                Severity(alarm.severity_max).word,
                chatters(self._steps_ms.get(alarm.id, ())),
            )
            for alarm in self._alarms.values()
        ]
        return sorted(found, key=lambda one: (one.onset_ms, one.rule, one.device))


def unattended(rules: Iterable[Rule]) -> list[Rule]:
    """Rules as they run where nobody acknowledges and nothing masks."""
    return [rule.model_copy(update={"latch": None, "masked_by": (), "schedule": None}) for rule in rules]


def backtest(
    tried: Sequence[Rule],
    in_force: Sequence[Rule],
    catalogue: Catalogue,
    registry: SeriesRegistry,
    batches: Callable[[set[int], bool], Iterable[ReadingBatch]],
    labelled: Sequence[Labelled],
    start_ms: int,
    end_ms: int,
) -> BacktestReport:
    """Run the tried rules, and those in force beside them where they differ.

    Args:
        in_force: The version of the same rules that holds now; none for rules that are new.
        batches: Given the series that matter and whether their order among each other does, the readings in time.
        labelled: Alarms that there were in that time, with what people said of them.
    """
    new = Trial(tried, catalogue, registry)
    old = new if list(tried) == list(in_force) else Trial(in_force, catalogue, registry) if in_force else None
    trials = {id(trial): trial for trial in (new, old) if trial is not None}.values()
    count = 0
    for batch in batches(set().union(*(t.looks_at for t in trials)), any(t.needs_order for t in trials)):
        count += len(batch)
        for trial in trials:
            trial.take(batch)
    raised = new.finish()
    before = None if old is None else raised if old is new else old.finish()
    late = (new.late, 0 if old is None else old.late)
    return make_report(tried, catalogue, raised, before, late, labelled, count, start_ms, end_ms)


def make_report(
    tried: Sequence[Rule],
    catalogue: Catalogue,
    raised: Sequence[Occurrence],
    before: Sequence[Occurrence] | None,
    late: tuple[int, int],
    labelled: Sequence[Labelled],
    reading_count: int,
    start_ms: int,
    end_ms: int,
) -> BacktestReport:
    """What occurrences come to."""
    zones = {site.id: ZoneInfo(site.timezone) for site in catalogue.sites}
    index = _Index(raised)
    outcomes: dict[str, tuple[int, int]] = {}
    for one in labelled:
        had, hit = outcomes.get(one.outcome.value, (0, 0))
        outcomes[one.outcome.value] = (had + 1, hit + index.has(one))
    longest = sorted(raised, key=lambda one: (one.end_ms or end_ms) - one.onset_ms if one.key is None else 0)[-10:]
    return BacktestReport(
        [rule.id for rule in tried],
        start_ms,
        end_ms,
        reading_count,
        _count(raised, zones, late[0], start_ms, end_ms),
        None if before is None else _count(before, zones, late[1], start_ms, end_ms),
        None if before is None else _compare(before, raised),
        outcomes,
        longest[::-1],
    )


class _Index:
    """Occurrences by what they are about, so that comparing many is no square."""

    def __init__(self, occurrences: Iterable[Occurrence]) -> None:
        self._of: dict[tuple[str, str, str], list[Occurrence]] = {}
        for one in occurrences:
            self._of.setdefault((one.rule, one.device, one.metric), []).append(one)

    def has(self, one: Occurrence | Labelled) -> bool:
        about = self._of.get((one.rule, one.device, one.metric), ())
        return any(o.overlaps(one.device, one.metric, one.key, one.onset_ms, one.end_ms) for o in about)


def _compare(old: Sequence[Occurrence], new: Sequence[Occurrence]) -> Difference:
    if old is new:
        return Difference(len(new), [], [])
    of_old, of_new = _Index(old), _Index(new)
    only_new = [one for one in new if not of_old.has(one)]
    return Difference(len(new) - len(only_new), [one for one in old if not of_new.has(one)], only_new)


def _count(
    found: Sequence[Occurrence], zones: Mapping[str, ZoneInfo], late: int, start_ms: int, end_ms: int
) -> Counted:
    per_day: dict[str, int] = {}
    per_shift = dict.fromkeys(SHIFTS, 0)
    for one in found:
        at = datetime.fromtimestamp(one.onset_ms / 1000, zones.get(one.site, ZoneInfo("UTC")))
        day = at.date().isoformat()
        per_day[day] = per_day.get(day, 0) + 1
        per_shift[SHIFTS[(at.hour - 6) % 24 // 8]] += 1
    lasting = [(one.end_ms or end_ms) - one.onset_ms for one in found if one.key is None]
    return Counted(
        len(found),
        per_day,
        per_shift,
        max(lasting, default=0),
        sum(one.end_ms is None and one.key is None for one in found),
        sum(one.chatters for one in found),
        flood_ms([one.onset_ms for one in found], end_ms) / max(1, end_ms - start_ms),
        late,
    )


def _end(end_ms: int | None) -> int:
    return 2**62 if end_ms is None else end_ms
