"""What every limit of every rule on every series has come to: readings in, steps of alarms out.

A batch goes through in four steps. (1) Readings are put in order per series: what is not newer than what was seen is
late. (2) Detectors turn readings into signals (the value itself, its rate, the minutes to a limit). (3) Signals meet the
instances they are for; most change nothing and are done. Of the value itself this is known without looking at any
instance: each series has a band within which none of its instances would move, and most readings lie in it. (4) The rest
advance one observation a round through the table
of `lifecycle`, and what began or ceased to fire becomes a `Step`, in the order of the readings, so that the way the
stream was cut into batches cannot be seen in the outcome.

A breach that has lasted its time fires at the moment its time was up, whoever notices first: a tick, or the next reading.
So what comes of readings depends on their times alone, and a past that is judged later comes out as it would have then.
A tick fires it only after we have listened to the series for as long: our own absence is no evidence. If a reading comes
after all that was taken before the time was up and breaches nothing, the alarm is taken back (`RETRACTED`).

Axes: N readings, E evaluations (a reading at an instance), I instances, S series.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter

import msgspec
import numpy as np

from alerts.detectors.detector import UNSET_MS, Passages, Rows, Signals
from alerts.lifecycle import (
    CLEARING,
    FIRING,
    NORMAL,
    PENDING,
    Rings,
    States,
    breached_again,
    changes_nothing,
    has_enough,
    step,
)
from alerts.program import Feed, Program
from alerts.seen import Seen
from telemetry.batch import Floats, Indexes, Masks, ReadingBatch, Times
from telemetry.quality import Quality
from telemetry.segments import expand, group, rounds

RETRACTED = "retracted-by-late-data"
RULE_CHANGED = "rule-changed"


class Step(msgspec.Struct, gc=False):
    """What one reading, or the passing of time, did to one rule on one series."""

    rule: int
    series: int
    worst: int | None  # the most severe instance that fires after it; None when none does
    onset_ms: int | None  # when that began which now begins to fire; None when nothing does
    time_ms: int
    value: float
    low: float  # band of a forecast; NaN elsewhere
    high: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Evaluations:
    """Signals at their instances, (E,)."""

    instance: Indexes
    value: Floats  # turned so that higher is worse
    row: Indexes  # of `Rows`
    low: Floats  # band of a forecast; NaN elsewhere
    high: Floats


class _Change(msgspec.Struct, gc=False):
    """An instance began or ceased to fire."""

    arrival: int
    instance: int
    fires: bool
    onset_ms: int
    time_ms: int
    value: float
    low: float = np.nan
    high: float = np.nan
    reason: str = "limit-reached"


_NONE: Indexes = np.empty(0, np.intp)
_when = attrgetter("arrival", "time_ms", "instance")


@dataclass(frozen=True, slots=True)
class Judged:
    """What readings came to."""

    steps: list[Step]
    overtaken: Indexes  # numbers of readings that a newer one of their series had overtaken
    passages: list[Seen]  # for rules that judge each passage by a detector's signal


class Conditions:
    """The state of every instance, and of every series what its next reading is held against."""

    def __init__(self, program: Program) -> None:
        self.program = program
        instance_count, series_count = len(program.rule), len(program.names)
        self.state: States = np.full(instance_count, NORMAL, np.uint8)
        self.since_ms: Times = np.zeros(instance_count, np.int64)
        self.ring: Rings = np.zeros(instance_count, np.uint64)
        self.signal: Floats = np.full(instance_count, np.nan)  # the last that counted, while something must last
        self.signal_ms: Times = np.full(instance_count, UNSET_MS, np.int64)  # and when
        self.last_ms: Times = np.full(series_count, UNSET_MS, np.int64)
        self.last_value: Floats = np.full(series_count, np.nan)
        self.last_good: Masks = np.zeros(series_count, np.bool_)
        self.detectors = [plan.make() for plan in program.detectors]
        self._of_detector: Masks = np.ones(instance_count, np.bool_)  # (I,) looks at a signal, not at the value itself
        self._of_detector[program.plain.instances] = False
        self._judges_people = any(plan.per_passage for plan in program.detectors)
        self._knows_people = any("met" in detector.columns for detector in self.detectors)
        self._low: Floats = np.full(series_count, -np.inf)  # (S,) within these a value moves no instance of `plain`
        self._high: Floats = np.full(series_count, np.inf)
        self.find_bands(np.arange(series_count))

    def readings(self, batch: ReadingBatch) -> Judged:
        """Take readings. Bad ones are no observation."""
        usable = np.flatnonzero(batch.quality < Quality.BAD)
        rows = self._in_order(batch, usable)
        overtaken = _NONE if len(usable) == len(rows.arrival) else np.setdiff1d(usable, rows.arrival)
        people = self._as_they_came(batch, usable, rows) if len(overtaken) and self._judges_people else rows
        if not len(people.arrival):
            return Judged([], overtaken, [])
        passages: list[Seen] = []
        parts = []
        changes: list[_Change] = []
        stirred: list[Indexes] = []
        if len(moving := self._leave_their_band(rows)):
            stirred.append(self._switch(moving, rows, changes))
            parts.append(self._evaluate(self.program.over_time, rows, Signals(moving, rows.value[moving])))
        for plan, detector in zip(self.program.detectors, self.detectors, strict=True):
            if plan.per_passage:
                passages += self._seen(plan.rule, batch, people, detector.push(people))
            elif len(rows.arrival) and len((signals := detector.push(rows)).row):
                parts.append(self._evaluate(plan.feed, rows, signals))
        stirred += [self._advance(part, rows, changes) for part in parts]
        # Within a series rows ascend in time, so the last write of each is its newest.
        self.last_ms[rows.series] = rows.time_ms
        self.last_value[rows.series] = rows.value
        self.last_good[rows.series] = rows.good
        if stirred:
            self.find_bands(self.program.series[np.concatenate(stirred)])
        return Judged(self._steps(changes), overtaken, passages)

    def by_time(self, now_ms: int, of: Masks | None = None, listened_ms: Times | None = None) -> list[Step]:
        """Fire what has breached for long enough by now, of all series or of some, (S,).

        Args:
            listened_ms: For how long each series could have been heard since it last was, (S,); long enough, if not given.
        """
        pending = self.state == PENDING
        if not pending.any():
            return []
        waiting = np.flatnonzero(pending)
        if of is not None:
            waiting = waiting[of[self.program.series[waiting]]]
        if not len(waiting):
            return []
        series = self.program.series[waiting]
        due_ms = self._due_ms(waiting, self.last_ms[series])
        changes: list[_Change] = []
        is_due = due_ms <= now_ms
        if listened_ms is not None:
            is_due &= due_ms - self.last_ms[series] <= listened_ms[series]
        waiting, series, due_ms = waiting[is_due], series[is_due], due_ms[is_due]
        self._fire_by_time(waiting, due_ms, self.last_value[series], 0, changes)
        self.find_bands(series)
        return self._steps(changes)

    def find_bands(self, series: Indexes) -> None:
        """Find anew within which values no instance of these series would move; after anything has changed them."""
        series = np.unique(series)
        feed = self.program.plain
        source, position = expand(feed.start[series], feed.count[series])
        instance = feed.instances[position]
        state, limits = self.state[instance], self.program.limits
        # Turned so that higher is worse: what rests moves at its limit, what fires moves below its clear limit.
        low = np.where(state == FIRING, limits.clear_below[instance], -np.inf)
        high = np.where(state == NORMAL, np.nextafter(limits.raise_at[instance], -np.inf), np.inf)
        moves = (state == PENDING) | (state == CLEARING)
        moves |= (state == FIRING) & (self.since_ms[instance] > self.last_ms[series[source]])
        low[moves], high[moves] = np.inf, -np.inf
        is_turned = self.program.sign[instance] < 0
        low, high = np.where(is_turned, -high, low), np.where(is_turned, -low, high)
        self._low[series], self._high[series] = -np.inf, np.inf
        np.maximum.at(self._low, series[source], low)
        np.minimum.at(self._high, series[source], high)

    def _leave_their_band(self, rows: Rows) -> Indexes:
        """All readings of those series of which one does."""
        outside = (rows.value < self._low[rows.series]) | (rows.value > self._high[rows.series])
        if not outside.any():
            return np.empty(0, np.intp)
        stirred = np.zeros(len(self._low), np.bool_)
        stirred[rows.series[outside]] = True
        return np.flatnonzero(stirred[rows.series])

    def is_calm(self, series: int) -> bool:
        """Whether no limit of a series is breached, or is being left."""
        feed = self.program.by_series
        of_series = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        return bool((self.state[of_series] == NORMAL).all())

    def firing(self, rule: int, series: int) -> set[int]:
        """The instances of a rule on a series that fire."""
        feed = self.program.by_series
        of_series = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        return {int(i) for i in of_series if self.program.rule[i] == rule and self.state[i] >= FIRING}

    def adopt(self, other: Conditions, of: Masks, without: Collection[int] = ()) -> None:
        """Take over what another one of the same program knows of some series, (S,); not what it knows for some rules, nor
        what it cannot know of what others do (`Program.apart`).
        """
        apart = self.program.apart
        instances = of[self.program.series] & ~np.isin(self.program.rule, sorted(without))
        for rule, series in apart.items():
            instances &= (self.program.rule != rule) | ~series[self.program.series]
        self.state[instances] = other.state[instances]
        self.since_ms[instances] = other.since_ms[instances]
        self.ring[instances] = other.ring[instances]
        self.signal[instances] = other.signal[instances]
        self.signal_ms[instances] = other.signal_ms[instances]
        self.last_ms[of] = other.last_ms[of]
        self.last_value[of] = other.last_value[of]
        self.last_good[of] = other.last_good[of]
        for plan, mine, theirs in zip(self.program.detectors, self.detectors, other.detectors, strict=True):
            if plan.rule in without:
                continue
            positions = (of & ~apart[plan.rule] if plan.rule in apart else of)[mine.watched]
            for name, column in mine.columns.items():
                column[positions] = theirs.columns[name][positions]
        self.find_bands(np.flatnonzero(of))

    def undo_time(self, instances: Indexes) -> Indexes:
        """Of these instances, put those that fired by time after the last reading of their series back to waiting."""
        fired = self.state[instances] == FIRING
        undone: Indexes = instances[fired & (self.since_ms[instances] > self.last_ms[self.program.series[instances]])]
        self.state[undone] = PENDING
        self.since_ms[undone] -= self.program.limits.raise_after_ms[undone]
        self.find_bands(self.program.series[undone])
        return undone

    def revise(self, before: Program, edited: set[int]) -> list[Step]:
        """Hold limits that are no longer what they were against the last reading of their series.

        What waits keeps its time where its limit is still breached. Only of the value itself: a detector has no last signal.
        """
        program, was = self.program, {key: number for number, key in enumerate(before.keys)}
        found = []
        for i in program.plain.instances.tolist():
            old = was.get(program.keys[i])
            if old is None:
                is_other = program.rule[i] in edited
            else:
                is_other = _limits(program, i) != _limits(before, old)
            if is_other and self.last_ms[program.series[i]] != UNSET_MS:
                found.append(i)
        instance = np.array(found, np.intp)
        series = program.series[instance]
        value, limits, state = self.last_value[series] * program.sign[instance], program.limits.of(instance), self.state
        reaches, is_over = value >= limits.raise_at, (value < limits.clear_below) & self.last_good[series]
        moves = (state[instance] == NORMAL) & reaches | (state[instance] == PENDING) & ~reaches
        moves |= (state[instance] == FIRING) & is_over | (state[instance] == CLEARING) & (value >= limits.clear_below)
        instance, series, value = instance[moves], series[moves], value[moves]
        fired, time_ms = state[instance] >= FIRING, self.last_ms[series]
        now = step(
            state[instance],
            self.since_ms[instance],
            self.ring[instance],
            value,
            time_ms,
            limits.of(np.flatnonzero(moves)),
        )
        self.state[instance], self.since_ms[instance], self.ring[instance] = now
        fires = self.state[instance] >= FIRING
        values = self.last_value[series]
        changes = [
            _Change(
                0,
                int(instance[n]),
                bool(fires[n]),
                int(time_ms[n]),
                int(time_ms[n]),
                float(values[n]),
                reason=RULE_CHANGED,
            )
            for n in np.flatnonzero(fired != fires).tolist()
        ]
        self.find_bands(np.arange(len(self.last_ms)))
        return self._steps(changes)

    def stand(self, rule: int, series: int) -> Step:
        """How a rule stands on a series, as a step that changes nothing."""
        firing = self.firing(rule, series)
        worst = max(firing, key=lambda i: (self.program.severity[i], i)) if firing else None
        last_ms, value = int(self.last_ms[series]), float(self.last_value[series])
        if worst is not None and self._of_detector[worst]:
            value = float(self.signal[worst])
        return Step(rule, series, worst, None, last_ms, value, np.nan, np.nan, RULE_CHANGED)

    # --- readings at their instances --------------------------------------------------------------------------------

    def _in_order(self, batch: ReadingBatch, usable: Indexes) -> Rows:
        """Readings that are newer than everything before them of their series, grouped by series."""
        groups = group(batch.series[usable].astype(np.intp))
        arrival = usable[groups.order]
        series, time_ms = batch.series[arrival].astype(np.intp), batch.time_ms[arrival]
        first = np.zeros(len(arrival), np.bool_)
        first[groups.start] = True
        before_ms = np.where(first, self.last_ms[series], np.roll(time_ms, 1))
        if not (time_ms > before_ms).all():
            keep = np.empty(len(arrival), np.bool_)
            for start, end, key in zip(groups.start, groups.end, groups.key, strict=True):
                newest = np.maximum.accumulate(np.append(self.last_ms[key], time_ms[start:end]))
                keep[start:end] = time_ms[start:end] > newest[:-1]
            arrival, series, time_ms = arrival[keep], series[keep], time_ms[keep]
            first = np.append(True, series[1:] != series[:-1])[: len(series)]
        good = batch.quality[arrival] == Quality.GOOD
        return Rows(series, time_ms, batch.value[arrival], good, arrival, first, None, self._whose(batch, arrival))

    def _as_they_came(self, batch: ReadingBatch, usable: Indexes, rows: Rows) -> Rows:
        """All usable readings, grouped by series: a person is a person, whoever came before."""
        groups = group(batch.series[usable].astype(np.intp))
        arrival = usable[groups.order]
        first = np.zeros(len(arrival), np.bool_)
        first[groups.start] = True
        series, good = batch.series[arrival].astype(np.intp), batch.quality[arrival] == Quality.GOOD
        late = ~np.isin(arrival, rows.arrival)
        whose = self._whose(batch, arrival)
        return Rows(series, batch.time_ms[arrival], batch.value[arrival], good, arrival, first, late, whose)

    def _whose(self, batch: ReadingBatch, arrival: Indexes) -> Passages | None:
        """The passages of readings as numbers, where a detector asks for them."""
        if not batch.keys or not self._knows_people:
            return None
        found = np.zeros(len(batch), np.uint64)
        for row, key in batch.keys.items():
            found[row] = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") or 1
        return found[arrival]

    def _evaluate(self, feed: Feed, rows: Rows, signals: Signals) -> _Evaluations:
        """Bring signals to the instances that look at them."""
        series = rows.series[signals.row]
        source, position = expand(feed.start[series], feed.count[series])
        instance = feed.instances[position]
        value = signals.value[source] * self.program.sign[instance]
        if signals.ends_only is not None:
            # Just below a limit no alarm begins, and none ends that has a dead band.
            below = np.minimum(value, np.nextafter(self.program.limits.raise_at[instance], -np.inf))
            value = np.where(signals.ends_only[source], below, value)
        unknown = np.full(len(source), np.nan)
        low = unknown if signals.low is None else signals.low[source]
        high = unknown if signals.high is None else signals.high[source]
        return _Evaluations(instance, value, signals.row[source], low, high)

    def _seen(self, rule: int, batch: ReadingBatch, rows: Rows, signals: Signals) -> list[Seen]:
        """Signals that reach a limit, and all of passages that have a key: they may be a second measurement."""
        reached = np.zeros(len(signals.row), np.bool_)
        for limit in self.program.passages:
            if limit.rule == rule:
                reached |= signals.value * limit.sign >= limit.limit * limit.sign
        if batch.keys:
            reached |= np.isin(rows.arrival[signals.row], np.fromiter(batch.keys, np.intp))
        found = []
        for at in np.flatnonzero(reached).tolist():
            row = signals.row[at]
            found.append(
                Seen(
                    rule,
                    int(rows.series[row]),
                    batch.keys.get(int(rows.arrival[row])),
                    int(rows.time_ms[row]),
                    float(rows.value[row]),
                    float(signals.value[at]),
                    bool(rows.good[row]),
                )
            )
        return found

    def _switch(self, moving: Indexes, rows: Rows, changes: list[_Change]) -> Indexes:
        """Show all readings of some series to the instances that one reading decides; which were moved.

        What such an instance is after a reading is what the last decisive one said: at or past the raise limit, or good
        and past the clear limit. So a run of readings needs no step for each: the table of `lifecycle` with delays of
        zero comes to the same.

        Axes: R runs (the readings of one series), P pairs (a run at an instance), E evaluations.
        """
        program, limits = self.program, self.program.limits
        run_start = np.flatnonzero(rows.first[moving])  # (R,)
        run_length = np.diff(np.append(run_start, len(moving)))
        series = rows.series[moving[run_start]]
        run, position = expand(program.at_once.start[series], program.at_once.count[series])
        instance = program.at_once.instances[position]
        # Most limits of a series lie where none of its readings comes.
        value, sign = rows.value[moving], program.sign[instance]
        ends = np.minimum.reduceat(value, run_start)[run] * sign, np.maximum.reduceat(value, run_start)[run] * sign
        meets = np.where(
            self.state[instance] == FIRING,
            np.minimum(*ends) < limits.clear_below[instance],
            np.maximum(*ends) >= limits.raise_at[instance],
        )
        run, instance = run[meets], instance[meets]  # (P,)
        if not len(instance):
            return instance
        length = run_length[run]
        pair, at = expand(run_start[run], length)
        row = moving[at]  # (E,)
        value = rows.value[row] * program.sign[instance][pair]
        is_up = value >= limits.raise_at[instance][pair]
        decides = is_up | ((value < limits.clear_below[instance][pair]) & rows.good[row])
        number = np.arange(len(row))
        last = np.maximum.accumulate(np.where(decides, number, -1))
        begin = (np.cumsum(length) - length)[pair]
        was_firing = self.state[instance] == FIRING
        fires = np.where(last >= begin, is_up[last], was_firing[pair])
        before = np.where(number == begin, was_firing[pair], np.roll(fires, 1))
        switched = np.flatnonzero(fires != before)
        moved: Indexes = instance[pair[switched]]
        row = row[switched]
        # Of several switches of one instance the last write stays: they ascend in time.
        self.state[moved] = np.where(fires[switched], np.uint8(FIRING), np.uint8(NORMAL))
        self.since_ms[moved] = rows.time_ms[row]
        time_ms, unknown = rows.time_ms[row].tolist(), [np.nan] * len(row)
        changes += map(
            _Change,
            rows.arrival[row].tolist(),
            moved.tolist(),
            fires[switched].tolist(),
            time_ms,
            time_ms,
            rows.value[row].tolist(),
            unknown,
            unknown,
            ["limit-reached"] * len(row),
        )
        return moved

    def _advance(self, seen: _Evaluations, rows: Rows, changes: list[_Change]) -> Indexes:
        """Show evaluations to their instances, in order, and note which began or ceased to fire; which were moved."""
        limits = self.program.limits
        idle = changes_nothing(self.state[seen.instance], seen.value, limits.of(seen.instance))
        idle &= ~self._is_ahead(seen.instance, rows.time_ms[seen.row])
        if idle.all():
            return np.empty(0, np.intp)
        stirred = np.zeros(len(self.state), np.bool_)
        stirred[seen.instance[~idle]] = True
        taken = np.flatnonzero(stirred[seen.instance])
        for one_each in rounds(seen.instance[taken]):
            now = taken[one_each]  # at most one evaluation an instance
            instance, row = seen.instance[now], seen.row[now]
            self._catch_up_with_time(instance, row, rows, changes)
            state, since_ms = self.state[instance], self._since_ms(instance, row, rows)
            held = limits.of(instance)
            value, time_ms = seen.value[now], rows.time_ms[row]
            is_ahead = self._is_ahead(instance, time_ms)
            bar = np.where((state >= FIRING) & ~is_ahead, held.clear_below, held.raise_at)
            # A doubtful reading may help to raise; it is no evidence that anything is over.
            counts = rows.good[row] | (value >= bar)
            next_state, next_since_ms, ring = step(state, since_ms, self.ring[instance], value, time_ms, held)
            was_wrong = is_ahead & (value < held.raise_at)
            if was_wrong.any():
                next_state = np.where(was_wrong, np.uint8(NORMAL), next_state)
                next_since_ms, ring = (
                    np.where(was_wrong, time_ms, next_since_ms),
                    np.where(was_wrong, np.uint64(0), ring),
                )
            # What fired by time may be put back to waiting: until that moment it is remembered what breached.
            ring = np.where(is_ahead & ~was_wrong, breached_again(self.ring[instance], held), ring)
            self.state[instance] = np.where(counts, next_state, state)
            self.since_ms[instance] = np.where(counts, next_since_ms, since_ms)
            self.ring[instance] = np.where(counts, ring, self.ring[instance])
            shown = value * self.program.sign[instance]
            self.signal[instance] = np.where(counts, shown, self.signal[instance])
            self.signal_ms[instance] = np.where(counts, time_ms, self.signal_ms[instance])
            fired = state >= FIRING
            fires = self.state[instance] >= FIRING
            switched = np.flatnonzero(fired != fires)
            if len(switched):
                at = now[switched]
                onset_ms = np.where(state == PENDING, since_ms, time_ms)[switched]
                changes += map(
                    _Change,
                    rows.arrival[row[switched]].tolist(),
                    instance[switched].tolist(),
                    fires[switched].tolist(),
                    onset_ms.tolist(),
                    time_ms[switched].tolist(),
                    shown[switched].tolist(),
                    seen.low[at].tolist(),
                    seen.high[at].tolist(),
                    [RETRACTED if wrong else "limit-reached" for wrong in was_wrong[switched].tolist()],
                )
        return np.flatnonzero(stirred)

    # --- time -------------------------------------------------------------------------------------------------------

    def _catch_up_with_time(self, instance: Indexes, row: Indexes, rows: Rows, changes: list[_Change]) -> None:
        """Before a reading is shown: what had lasted its time by then has fired, whether or not a tick came to say so."""
        waiting = np.flatnonzero(self.state[instance] == PENDING)
        if not len(waiting):
            return
        instance, row = instance[waiting], row[waiting]
        series, first, before = rows.series[row], rows.first[row], row - 1
        due_ms = self._due_ms(instance, np.where(first, self.last_ms[series], rows.time_ms[before]))
        value = np.where(first, self.last_value[series], rows.value[before])
        for i in np.flatnonzero(due_ms < rows.time_ms[row]).tolist():
            one = slice(i, i + 1)
            self._fire_by_time(instance[one], due_ms[one], value[one], int(rows.arrival[row[i]]), changes)

    def _since_ms(self, instance: Indexes, row: Indexes, rows: Rows) -> Times:
        """Since when each has been in its state; what must last begins anew with the first reading after a long silence."""
        state, since_ms = self.state[instance], self.since_ms[instance]
        if not ((state == PENDING) | (state == CLEARING)).any():
            return since_ms
        series, time_ms, limits = rows.series[row], rows.time_ms[row], self.program.limits
        last_ms = np.where(rows.first[row], self.last_ms[series], rows.time_ms[row - 1])
        silent_ms = time_ms - self._seen_ms(instance, last_ms)
        paused = (state == PENDING) & (limits.raise_after_ms[instance] > 0)
        paused &= silent_ms > self.program.raise_pause_max_ms[instance]
        ends = (state == CLEARING) & (limits.clear_after_ms[instance] > 0)
        paused |= ends & (silent_ms > self.program.clear_pause_max_ms[instance])
        found: Times = np.where(paused, time_ms, since_ms)
        return found

    def _seen_ms(self, instance: Indexes, last_ms: Times) -> Times:
        """When instances last saw something: their series' last reading, or of a detector, which may have nothing to say of
        one, its last signal.
        """
        signal_ms = self.signal_ms[instance]
        found: Times = np.where(self._of_detector[instance] & (signal_ms != UNSET_MS), signal_ms, last_ms)
        return found

    def _is_ahead(self, instance: Indexes, time_ms: Times) -> Masks:
        """Which instances were made to fire by time, at a moment that these readings come before, or are from."""
        found: Masks = (self.state[instance] == FIRING) & (self.since_ms[instance] >= time_ms)
        return found

    def _due_ms(self, waiting: Indexes, last_ms: Times) -> Times:
        """When waiting instances fire if nothing else is heard; never, where what they saw last would be too old then."""
        last_ms, limits = self._seen_ms(waiting, last_ms), self.program.limits
        due_ms = self.since_ms[waiting] + limits.raise_after_ms[waiting]
        fires = due_ms - last_ms <= self.program.hold_max_ms[waiting]
        fires &= has_enough(self.ring[waiting], limits.of(waiting))
        found: Times = np.where(fires, due_ms, np.iinfo(np.int64).max)
        return found

    def _fire_by_time(
        self, instances: Indexes, due_ms: Times, value: Floats, arrival: int, changes: list[_Change]
    ) -> None:
        """Let instances fire whose time is up; `value` is that of their series' last reading."""
        value = np.where(self._of_detector[instances], self.signal[instances], value)
        onset_ms = self.since_ms[instances]
        self.state[instances] = FIRING
        self.since_ms[instances] = due_ms
        for number, instance in enumerate(instances.tolist()):
            found = int(onset_ms[number]), int(due_ms[number]), float(value[number])
            changes.append(_Change(arrival, instance, True, *found, reason="lasted"))

    # --- steps ------------------------------------------------------------------------------------------------------

    def _steps(self, changes: list[_Change]) -> list[Step]:
        """What began and ceased to fire, as one step a rule and moment."""
        changes.sort(key=_when)
        program = self.program
        instances = np.array([change.instance for change in changes], np.intp)
        where = list(zip(program.rule[instances].tolist(), program.series[instances].tolist(), strict=True))
        if program.alone[instances].all():
            # Rules of one level: what changed is all that there is to know.
            return [
                Step(
                    rule,
                    series,
                    c.instance if c.fires else None,
                    c.onset_ms if c.fires else None,
                    c.time_ms,
                    c.value,
                    c.low,
                    c.high,
                    c.reason,
                )
                for (rule, series), c in zip(where, changes, strict=True)
            ]
        # The state arrays already stand at the end of the batch; walk back to what fired before it.
        firing: dict[tuple[int, int], set[int]] = {}
        for change, at in zip(reversed(changes), reversed(where), strict=True):
            if at not in firing:
                firing[at] = self.firing(*at)
            (firing[at].discard if change.fires else firing[at].add)(change.instance)
        steps: list[Step] = []
        start = 0
        while start < len(changes):
            first, at = changes[start], where[start]
            end = start
            while (
                end < len(changes)
                and where[end] == at
                and (changes[end].arrival, changes[end].time_ms) == (first.arrival, first.time_ms)
            ):
                (firing[at].add if changes[end].fires else firing[at].discard)(changes[end].instance)
                end += 1
            steps.append(self._step(at, firing[at], changes[start:end]))
            start = end
        return steps

    def _step(self, at: tuple[int, int], firing: set[int], changes: Sequence[_Change]) -> Step:
        worst = max(firing, key=lambda i: (self.program.severity[i], i)) if firing else None
        onset_ms = min((change.onset_ms for change in changes if change.fires), default=None)
        last = changes[-1]
        return Step(*at, worst, onset_ms, last.time_ms, last.value, last.low, last.high, last.reason)


def _limits(program: Program, instance: int) -> tuple[float, ...]:
    """What an instance is held to."""
    limits = program.limits
    return float(limits.raise_at[instance]), float(limits.clear_below[instance]), float(program.sign[instance])
