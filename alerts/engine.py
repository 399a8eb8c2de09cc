"""The alert core: a pure reader of the journal. Records in, transitions out; no clock, no disk, no network.

A batch goes through in five steps. (1) Readings are put in order per series: what is not newer than what was seen is
late; a bad one proves its device alive and nothing else. (2) Detectors turn readings into signals (the value itself, its
rate, the minutes to a limit). (3) Signals meet the instances they are for; most change nothing and are done. (4) The
rest advance one observation a round through the table of `lifecycle`. (5) What changed becomes transitions of alarms, in
the order of the readings, so that the way the stream was cut into batches cannot be seen in the outcome.

Time is the readings' own; a tick says what time it has become for those of which nothing was heard. Silence is counted
only while the core could hear (`ingest.committer` says so in each tick) and while the device's gateway is online: our
own downtime and a cut cable are not the sensor's silence. Silence clears nothing.

Axes: N readings, E evaluations (a reading at an instance), I instances, S series.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from alerts.alarm import Alarm, Forecast, Transition, What
from alerts.detectors.trend import minutes_until, trend
from alerts.detectors.windows import UNSET_MS, Windows
from alerts.lifecycle import FIRING, NORMAL, PENDING, Counts, States, changes_nothing, step
from alerts.program import Feed, Program, WindowPlan
from alerts.rules import LevelRule, Severity
from telemetry.batch import Floats, Indexes, Masks, ReadingBatch, Times, decode_batch
from telemetry.identity import alarm_id
from telemetry.journal import AWAY, Kind, Stored
from telemetry.quality import Quality
from telemetry.segments import expand, group, rank_within

TICK_MAX_MS = 2000  # more than this between two ticks is time in which the core was not there
_COMMANDS_REMEMBERED_MAX = 1000  # a command that a crash put into the journal twice is done once
SNAPSHOT_VERSION = 1
_PASSAGES_REMEMBERED_MAX = 20_000  # closed passage alarms that a repeated reading must not open again


@dataclass(slots=True)
class Effects:
    """What one record came to: transitions in order, and the alarms they belong to as they stand after them."""

    transitions: list[Transition] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)  # command id -> "" when done, else why not
    late: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asks for, as it stands in the journal."""

    id: str
    action: str  # acknowledge, comment, dispose or close
    alarm: str
    seq: int
    actor: str
    note: str | None = None
    disposition: str | None = None


@dataclass(frozen=True, slots=True)
class _Evaluations:
    """Signals at their instances, (E,)."""

    instance: Indexes
    value: Floats  # turned so that higher is worse
    time_ms: Times
    good: Masks
    arrival: Indexes  # number of the reading in its batch
    low: Floats  # band of a forecast; NaN elsewhere
    high: Floats


@dataclass(frozen=True, slots=True)
class _Change:
    """An instance began or ceased to fire."""

    arrival: int
    instance: int
    fires: bool
    onset_ms: int
    time_ms: int
    value: float
    low: float
    high: float


class Engine:
    """The state of every rule on every series, and the alarms that are open."""

    def __init__(self, program: Program) -> None:
        self.program = program
        instance_count, series_count = len(program.rule), len(program.names)
        self._state: States = np.full(instance_count, NORMAL, np.uint8)
        self._since_ms: Times = np.zeros(instance_count, np.int64)
        self._streak: Counts = np.zeros(instance_count, np.uint16)
        self._last_ms: Times = np.full(series_count, UNSET_MS, np.int64)
        self._last_value: Floats = np.full(series_count, np.nan)
        self._heard_ms: Times = np.zeros(series_count, np.int64)  # on the listening clock
        self._listening_ms = 0  # time in which we could have heard
        self._tick_ms = 0
        self._windows = [Windows(len(plan.watched), plan.readings) for plan in program.windows]
        self._alarms: dict[tuple[int, int, str | None], Alarm] = {}  # open, by (rule, series, key)
        self._by_id: dict[str, tuple[int, int, str | None]] = {}
        self._passages: OrderedDict[str, None] = OrderedDict()  # passage alarms that were closed
        self._commands: OrderedDict[str, None] = OrderedDict()  # commands that were done

    @property
    def open_alarms(self) -> Iterable[Alarm]:
        return self._alarms.values()

    def apply(self, record: Stored) -> Effects:
        """Take one journal record and say what follows from it."""
        effects = Effects()
        if record.kind in (Kind.READINGS, Kind.BACKLOG):
            self._readings(decode_batch(record.payload), record.time_ms, effects)
        elif record.kind is Kind.TICK:
            self._tick(record.time_ms, record.payload != AWAY, effects)
        elif record.kind is Kind.COMMAND:
            self._command(decode_command(record.payload), record.time_ms, effects)
        return effects

    # --- readings ---------------------------------------------------------------------------------------------------

    def _readings(self, batch: ReadingBatch, known_ms: int, effects: Effects) -> None:
        series = batch.series.astype(np.intp)
        self._heard_ms[series] = self._listening_ms
        self._heard_again(batch, known_ms, effects)
        self._passages_of(batch, known_ms, effects)
        usable = np.flatnonzero(batch.quality < Quality.BAD)
        rows = self._in_order(series, batch.time_ms, usable)
        effects.late = len(usable) - len(rows)
        if not len(rows):
            return
        ordered_series, time_ms, value = series[rows], batch.time_ms[rows], batch.value[rows]
        good = batch.quality[rows] == Quality.GOOD
        parts = [self._evaluate(self.program.plain, ordered_series, value, time_ms, good, rows)]
        for plan, windows in zip(self.program.windows, self._windows, strict=True):
            part = self._evaluate_windows(plan, windows, ordered_series, time_ms, value, good, rows)
            if part is not None:
                parts.append(part)
        changes: list[_Change] = []
        for part in parts:
            self._advance(part, changes)
        # Within a series rows ascend in time, so the last write of each is its newest.
        self._last_ms[ordered_series] = time_ms
        self._last_value[ordered_series] = value
        self._settle(changes, known_ms, effects)

    def _in_order(self, series: Indexes, time_ms: Times, usable: Indexes) -> Indexes:
        """Readings that are newer than everything before them of their series, grouped by series. Indexes into the batch."""
        groups = group(series[usable])
        rows = usable[groups.order]
        if not len(rows):
            return rows
        times = time_ms[rows]
        first = np.zeros(len(rows), np.bool_)
        first[groups.start] = True
        before = np.where(first, self._last_ms[series[rows]], np.roll(times, 1))
        if (times > before).all():
            return rows
        keep = np.empty(len(rows), np.bool_)
        for start, end, key in zip(groups.start, groups.end, groups.key, strict=True):
            newest = np.maximum.accumulate(np.append(self._last_ms[key], times[start:end]))
            keep[start:end] = times[start:end] > newest[:-1]
        return rows[keep]

    def _evaluate(
        self, feed: Feed, series: Indexes, signal: Floats, time_ms: Times, good: Masks, arrival: Indexes
    ) -> _Evaluations:
        source, position = expand(feed.start[series], feed.count[series])
        instance = feed.instances[position]
        unknown = np.full(len(source), np.nan)
        value = signal[source] * self.program.sign[instance]
        return _Evaluations(instance, value, time_ms[source], good[source], arrival[source], unknown, unknown)

    def _evaluate_windows(
        self,
        plan: WindowPlan,
        windows: Windows,
        series: Indexes,
        time_ms: Times,
        value: Floats,
        good: Masks,
        arrival: Indexes,
    ) -> _Evaluations | None:
        watched = np.flatnonzero(plan.row[series] >= 0)
        if not len(watched):
            return None
        groups = group(plan.row[series[watched]])
        watched = watched[groups.order]
        times, values = windows.push(groups, time_ms[watched], value[watched])
        span_ms = np.where(times[:, 0] == UNSET_MS, -1, times[:, -1] - times[:, 0])
        whole = np.flatnonzero((span_ms >= plan.span_min_ms) & (span_ms <= plan.span_max_ms))
        if not len(whole):
            return None
        watched = watched[whole]
        trends = trend(times[whole], values[whole])
        signal, low, high = trends.slope, trends.slope_low, trends.slope_high
        if plan.target is not None:
            signal, low, high = minutes_until(trends, plan.target[series[watched]])
        found = self._evaluate(plan.feed, series[watched], signal, time_ms[watched], good[watched], arrival[watched])
        if plan.target is None:
            return found
        source, _ = expand(plan.feed.start[series[watched]], plan.feed.count[series[watched]])
        return replace(found, low=low[source], high=high[source])

    def _advance(self, seen: _Evaluations, changes: list[_Change]) -> None:
        """Show evaluations to their instances, in order, and note which began or ceased to fire."""
        limits = self.program.limits
        idle = changes_nothing(self._state[seen.instance], seen.value, limits.of(seen.instance))
        if idle.all():
            return
        stirred = np.zeros(len(self._state), np.bool_)
        stirred[seen.instance[~idle]] = True
        taken = np.flatnonzero(stirred[seen.instance])
        groups = group(seen.instance[taken])
        rank = rank_within(groups)
        taken = taken[groups.order][np.argsort(rank, kind="stable")]
        bounds = np.append(0, np.cumsum(np.bincount(rank)))
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            now = taken[start:end]  # at most one evaluation an instance
            instance = seen.instance[now]
            state, since_ms = self._state[instance], self._since_ms[instance]
            held = limits.of(instance)
            value, time_ms = seen.value[now], seen.time_ms[now]
            bar = np.where(state >= FIRING, held.clear_below, held.raise_at)
            # A doubtful reading may help to raise; it is no evidence that anything is over.
            counts = seen.good[now] | (value >= bar)
            next_state, next_since_ms, streak = step(state, since_ms, self._streak[instance], value, time_ms, held)
            self._state[instance] = np.where(counts, next_state, state)
            self._since_ms[instance] = np.where(counts, next_since_ms, since_ms)
            self._streak[instance] = np.where(counts, streak, self._streak[instance])
            fired = state >= FIRING
            fires = self._state[instance] >= FIRING
            for i in np.flatnonzero(fired != fires).tolist():
                onset_ms = since_ms[i] if state[i] == PENDING else time_ms[i]
                changes.append(
                    _Change(
                        int(seen.arrival[now[i]]),
                        int(instance[i]),
                        bool(fires[i]),
                        int(onset_ms),
                        int(time_ms[i]),
                        float(value[i] * self.program.sign[instance[i]]),
                        float(seen.low[now[i]]),
                        float(seen.high[now[i]]),
                    )
                )

    # --- alarms of levels -------------------------------------------------------------------------------------------

    def _settle(self, changes: list[_Change], known_ms: int, effects: Effects, reason: str = "limit-reached") -> None:
        """Turn what began and ceased to fire into transitions, one a rule and reading."""
        changes.sort(key=lambda change: (change.arrival, change.instance))
        program = self.program
        start = 0
        firing: dict[tuple[int, int], set[int]] = {}
        # The state arrays already stand at the end of the batch; walk back to what fired before it.
        for change in reversed(changes):
            where = (int(program.rule[change.instance]), int(program.series[change.instance]))
            if where not in firing:
                firing[where] = self._firing(*where)
            (firing[where].discard if change.fires else firing[where].add)(change.instance)
        while start < len(changes):
            first = changes[start]
            where = (int(program.rule[first.instance]), int(program.series[first.instance]))
            end = start
            while (
                end < len(changes)
                and changes[end].arrival == first.arrival
                and where
                == (
                    int(program.rule[changes[end].instance]),
                    int(program.series[changes[end].instance]),
                )
            ):
                change = changes[end]
                (firing[where].add if change.fires else firing[where].discard)(change.instance)
                end += 1
            self._set_firing(*where, firing[where], changes[start:end], known_ms, effects, reason)
            start = end

    def _firing(self, rule: int, series: int) -> set[int]:
        feed = self.program.by_series
        of_series = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        return {int(i) for i in of_series if self.program.rule[i] == rule and self._state[i] >= FIRING}

    def _set_firing(
        self,
        rule: int,
        series: int,
        firing: set[int],
        changes: list[_Change],
        known_ms: int,
        effects: Effects,
        reason: str,
    ) -> None:
        program = self.program
        alarm = self._alarms.get((rule, series, None))
        last = changes[-1]
        value = _finite(last.value)  # a forecast without an end is no number that anybody could show
        if not firing:
            if alarm is not None:
                self._close(alarm, What.RETURNED, last.time_ms, known_ms, "good-readings", effects, value=value)
            return
        worst = max(firing, key=lambda i: (program.severity[i], i))
        severity = Severity(int(program.severity[worst]))
        if alarm is None:
            if not any(change.fires for change in changes):
                return  # a person closed it; what is left of it is not a new alarm
            onset_ms = min(change.onset_ms for change in changes if change.fires)
            alarm = self._raise(rule, series, None, severity, onset_ms, last.time_ms, known_ms, value, effects, reason)
        elif severity > alarm.severity:
            alarm.severity, alarm.value = severity, value
            alarm.severity_max = max(alarm.severity_max, severity)
            alarm.acknowledged_by = None  # who acknowledged the lesser alarm has not seen this one
            self._note(alarm, What.SEVERITY_UP, last.time_ms, known_ms, reason, effects, value=value)
        elif severity < alarm.severity:
            alarm.severity, alarm.value = severity, value
            self._note(alarm, What.SEVERITY_DOWN, last.time_ms, known_ms, "good-readings", effects, value=value)
        alarm.limit = program.limit(worst)
        if not np.isnan(last.low):
            forecast = None if value is None else Forecast(value, _finite(last.low), _finite(last.high), last.time_ms)
            alarm.forecast = forecast
        effects.alarms[alarm.id] = alarm

    def _raise(
        self,
        rule: int,
        series: int,
        key: str | None,
        severity: Severity,
        onset_ms: int,
        event_ms: int,
        known_ms: int,
        value: float | None,
        effects: Effects,
        reason: str = "limit-reached",
    ) -> Alarm:
        program = self.program
        declared = program.rules[rule]
        device, metric = program.names[series]
        alarm = Alarm(
            id=alarm_id(declared.id, device, metric, key, onset_ms),
            rule=declared.id,
            alarm_class=declared.alarm_class,
            site=program.site[series],
            place=program.place[series],
            device=device,
            metric=metric,
            key=key,
            severity=severity,
            severity_max=severity,
            seq=0,
            onset_ms=onset_ms,
            raised_ms=known_ms,
            value=value,
            limit=None,
            limits=self._limits_of(rule, series),
        )
        self._alarms[rule, series, key] = alarm
        self._by_id[alarm.id] = (rule, series, key)
        self._note(alarm, What.RAISED, event_ms, known_ms, reason, effects, value=value)
        return alarm

    def _limits_of(self, rule: int, series: int) -> list[tuple[int, float]]:
        """The limits to draw across the chart of the metric itself; a rate's or forecast's are in another unit."""
        if not isinstance(self.program.rules[rule], LevelRule):
            return []
        feed = self.program.plain
        fed = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        found = [(int(self.program.severity[i]), self.program.limit(i)) for i in fed if self.program.rule[i] == rule]
        found += [(int(p.severity), p.limit) for p in self.program.passages if p.rule == rule]
        return found

    def _note(
        self,
        alarm: Alarm,
        what: What,
        event_ms: int,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        actor: str | None = None,
        note: str | None = None,
        value: float | None = None,
    ) -> None:
        alarm.seq += 1
        effects.transitions.append(
            Transition(alarm.id, alarm.seq, what, alarm.severity, event_ms, known_ms, reason, actor, note, value)
        )
        effects.alarms[alarm.id] = alarm

    def _close(
        self,
        alarm: Alarm,
        what: What,
        event_ms: int,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        actor: str | None = None,
        note: str | None = None,
        value: float | None = None,
    ) -> None:
        where = self._by_id.pop(alarm.id)
        del self._alarms[where]
        alarm.closed_ms, alarm.closed_reason = event_ms, reason
        if where[2] is not None:
            self._passages[alarm.id] = None
            while len(self._passages) > _PASSAGES_REMEMBERED_MAX:
                self._passages.popitem(last=False)
        self._note(alarm, what, event_ms, known_ms, reason, effects, actor=actor, note=note, value=value)

    # --- passages: one alarm a person -------------------------------------------------------------------------------

    def _passages_of(self, batch: ReadingBatch, known_ms: int, effects: Effects) -> None:
        """Judge each passage by itself, whatever its order: its alarm is about one person, not about the lane."""
        series = batch.series.astype(np.intp)
        reached: dict[int, list[tuple[int, int]]] = {}
        for number, limit in enumerate(self.program.passages):
            of_rule = np.isin(series, limit.series) & (batch.quality < Quality.BAD)
            for row in np.flatnonzero(of_rule & (batch.value * limit.sign >= limit.limit * limit.sign)).tolist():
                reached.setdefault(row, []).append((limit.rule, number))
        # A second measurement of a passage with an open alarm: found normal, it is the good reading that closes it.
        concerned = {(of, key) for _, of, key in self._alarms if key is not None}
        concerned |= {(int(series[row]), batch.keys[row]) for row in reached if row in batch.keys}
        again = [n for n, key in batch.keys.items() if n not in reached and (int(series[n]), key) in concerned]
        for row in sorted([*reached, *again]):
            key = batch.keys.get(row) or f"t{batch.time_ms[row]}"
            self._passage(int(series[row]), key, row, reached.get(row, []), batch, known_ms, effects)

    def _passage(
        self,
        series: int,
        key: str,
        row: int,
        reached: list[tuple[int, int]],
        batch: ReadingBatch,
        known_ms: int,
        effects: Effects,
    ) -> None:
        time_ms, value = int(batch.time_ms[row]), float(batch.value[row])
        declared = self.program.passages
        for rule in sorted({limit.rule for limit in declared}):
            levels = [declared[number] for of, number in reached if of == rule]
            alarm = self._alarms.get((rule, series, key))
            if levels:
                worst = max(levels, key=lambda level: level.severity)
                if alarm is None:
                    device, metric = self.program.names[series]
                    if alarm_id(self.program.rules[rule].id, device, metric, key, time_ms) in self._passages:
                        continue
                    alarm = self._raise(rule, series, key, worst.severity, time_ms, time_ms, known_ms, value, effects)
                    alarm.limit = worst.limit
                elif worst.severity > alarm.severity:
                    alarm.severity = alarm.severity_max = worst.severity
                    alarm.value, alarm.limit, alarm.acknowledged_by = value, worst.limit, None
                    self._note(alarm, What.SEVERITY_UP, time_ms, known_ms, "measured-again", effects, value=value)
            elif alarm is not None and batch.quality[row] == Quality.GOOD and time_ms > alarm.onset_ms:
                self._close(alarm, What.RETURNED, time_ms, known_ms, "measured-again", effects, value=value)

    # --- silence ----------------------------------------------------------------------------------------------------

    def _tick(self, now_ms: int, could_hear: bool, effects: Effects) -> None:
        passed_ms = now_ms - self._tick_ms if self._tick_ms else 0
        self._tick_ms = now_ms
        if could_hear and 0 < passed_ms <= TICK_MAX_MS:
            self._listening_ms += passed_ms
        self._raise_by_time(now_ms, effects)
        program = self.program
        online = program.gateway_online
        behind = np.flatnonzero(online >= 0)
        cut = behind[self._last_value[online[behind]] == 0.0]
        # A device behind a gateway that is offline gets its full time again once the gateway is back.
        self._heard_ms[cut] = self._listening_ms
        for plan in program.silences:
            silent = plan.series[self._listening_ms - self._heard_ms[plan.series] >= plan.after_ms]
            for series in silent.tolist():
                if (plan.rule, series, None) not in self._alarms:
                    self._raise_silence(plan.rule, series, now_ms, effects)

    def _raise_silence(self, rule: int, series: int, now_ms: int, effects: Effects) -> None:
        declared = self.program.rules[rule]
        assert declared.type == "silence"
        feed = self.program.by_series
        concerned = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        in_alarm = concerned[self._state[concerned] != NORMAL]
        severity = declared.severity
        reason = "silent"
        if len(in_alarm):
            # A sensor that dies while its level rises is the best witness of what it can no longer say.
            severity = max(severity, Severity.CRITICAL)
            reason = "silent-in-alarm"
        last_ms = int(self._last_ms[series])
        onset_ms = now_ms if last_ms == UNSET_MS else last_ms
        value = None if last_ms == UNSET_MS else float(self._last_value[series])
        self._raise(rule, series, None, severity, onset_ms, now_ms, now_ms, value, effects, reason)

    def _heard_again(self, batch: ReadingBatch, known_ms: int, effects: Effects) -> None:
        rules = {plan.rule for plan in self.program.silences}
        silent = [alarm_key for alarm_key in self._alarms if alarm_key[0] in rules]
        if not silent:
            return
        for where in silent:
            rows = np.flatnonzero(batch.series == where[1])
            alarm = self._alarms[where]
            # What a gateway had kept from before the silence began does not end it.
            newer = rows[batch.time_ms[rows] > alarm.onset_ms]
            if len(newer):
                time_ms, value = int(batch.time_ms[newer[0]]), float(batch.value[newer[0]])
                self._close(alarm, What.RETURNED, time_ms, known_ms, "heard-again", effects, value=value)

    def _raise_by_time(self, now_ms: int, effects: Effects) -> None:
        """A breach that has lasted its time fires even when no further reading says so, while its last one still counts."""
        limits = self.program.limits
        waiting = np.flatnonzero(self._state == PENDING)
        if not len(waiting):
            return
        due_ms = self._since_ms[waiting] + limits.raise_after_ms[waiting]
        fresh = now_ms - self._last_ms[self.program.series[waiting]] <= self.program.hold_max_ms[waiting]
        due = (due_ms <= now_ms) & fresh & (self._streak[waiting] >= limits.raise_count[waiting])
        changes = []
        for instance, time_ms in zip(waiting[due].tolist(), due_ms[due].tolist(), strict=True):
            onset_ms = int(self._since_ms[instance])
            self._state[instance] = FIRING
            self._since_ms[instance] = time_ms
            value = float(self._last_value[self.program.series[instance]])
            changes.append(_Change(0, instance, True, onset_ms, time_ms, value, np.nan, np.nan))
        # All of them fall due on the same tick; rule and series by rule and series.
        for number, change in enumerate(sorted(changes, key=lambda c: (c.time_ms, self.program.rule[c.instance]))):
            self._settle([replace(change, arrival=number)], now_ms, effects, reason="lasted")

    # --- people -----------------------------------------------------------------------------------------------------

    def _command(self, command: Command, known_ms: int, effects: Effects) -> None:
        if command.id in self._commands:
            return
        self._commands[command.id] = None
        while len(self._commands) > _COMMANDS_REMEMBERED_MAX:
            self._commands.popitem(last=False)
        where = self._by_id.get(command.alarm)
        if where is None:
            effects.answers[command.id] = "the alarm is closed"
            return
        alarm = self._alarms[where]
        if command.seq != alarm.seq and command.action != "comment":
            effects.answers[command.id] = (
                f"the alarm has changed: step {alarm.seq} is the latest, you saw {command.seq}"
            )
            return
        actor, note = command.actor, command.note
        if command.action == "acknowledge":
            if alarm.acknowledged_by is None:
                alarm.acknowledged_by = actor
                self._note(alarm, What.ACKNOWLEDGED, known_ms, known_ms, "person", effects, actor=actor, note=note)
        elif command.action == "comment":
            self._note(alarm, What.COMMENTED, known_ms, known_ms, "person", effects, actor=actor, note=note)
        elif command.action == "dispose":
            alarm.disposition = command.disposition
            self._close(alarm, What.DISPOSED, known_ms, known_ms, "person", effects, actor=actor, note=note)
        elif command.action == "close":
            self._close(alarm, What.CLOSED, known_ms, known_ms, "person", effects, actor=actor, note=note)
            self._rest(where)
        effects.answers[command.id] = ""

    def _rest(self, where: tuple[int, int, str | None]) -> None:
        """After a person closed an alarm it comes again only when its limit is reached anew."""
        # A firing instance without an alarm is just that: it must return to normal before it can raise again.
        if self.program.rules[where[0]].type == "silence":
            self._heard_ms[where[1]] = self._listening_ms

    # --- memory -----------------------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Everything the engine knows, to go on from. Instances and series go by name, so that numbers may change."""
        windows = {
            self._window_name(number): _Ring(
                [self._name(s) for s in plan.watched.tolist()], ring.time_ms.tobytes(), ring.value.tobytes()
            )
            for number, (plan, ring) in enumerate(zip(self.program.windows, self._windows, strict=True))
        }
        return _SNAPSHOT_OUT.encode(
            _Snapshot(
                SNAPSHOT_VERSION,
                self._listening_ms,
                self._tick_ms,
                "\n".join(self.program.keys),
                self._state.tobytes(),
                self._since_ms.tobytes(),
                self._streak.tobytes(),
                "\n".join(map(self._name, range(len(self.program.names)))),
                self._last_ms.tobytes(),
                self._last_value.tobytes(),
                self._heard_ms.tobytes(),
                windows,
                list(self._alarms.values()),
                list(self._passages),
                list(self._commands),
            )
        )

    def load(self, saved: bytes, now_ms: int) -> Effects:
        """Go on from what `save` wrote, by this or another set of rules.

        What is the same in both keeps its state; alarms of rules or series that are gone are closed as retired.
        """
        snapshot = _SNAPSHOT_IN.decode(saved)
        self._listening_ms, self._tick_ms = snapshot.listening_ms, snapshot.tick_ms
        mine, theirs = _matched(self.program.keys, snapshot.instances.split("\n"))
        self._state[mine] = np.frombuffer(snapshot.state, np.uint8)[theirs]
        self._since_ms[mine] = np.frombuffer(snapshot.since_ms, np.int64)[theirs]
        self._streak[mine] = np.frombuffer(snapshot.streak, np.uint16)[theirs]
        names = [self._name(s) for s in range(len(self.program.names))]
        mine, theirs = _matched(names, snapshot.series.split("\n"))
        self._last_ms[mine] = np.frombuffer(snapshot.last_ms, np.int64)[theirs]
        self._last_value[mine] = np.frombuffer(snapshot.last_value, np.float64)[theirs]
        self._heard_ms[:] = self._listening_ms
        self._heard_ms[mine] = np.frombuffer(snapshot.heard_ms, np.int64)[theirs]
        for number, (plan, windows) in enumerate(zip(self.program.windows, self._windows, strict=True)):
            ring = snapshot.windows.get(self._window_name(number))
            if ring is not None:
                mine, theirs = _matched([self._name(s) for s in plan.watched.tolist()], ring.series)
                shape = (len(ring.series), plan.readings)
                windows.time_ms[mine] = np.frombuffer(ring.time_ms, np.int64).reshape(shape)[theirs]
                windows.value[mine] = np.frombuffer(ring.value, np.float64).reshape(shape)[theirs]
        self._passages = OrderedDict.fromkeys(snapshot.passages)
        self._commands = OrderedDict.fromkeys(snapshot.commands)
        return self._adopt(snapshot.alarms, names, now_ms)

    def _adopt(self, alarms: Iterable[Alarm], names: list[str], now_ms: int) -> Effects:
        effects = Effects()
        rule_number = {rule.id: number for number, rule in enumerate(self.program.rules)}
        series_number = {name: number for number, name in enumerate(names)}
        for alarm in alarms:
            rule = rule_number.get(alarm.rule)
            series = series_number.get(f"{alarm.device}/{alarm.metric}")
            if rule is None or series is None or not self.program.site[series]:
                alarm.closed_ms, alarm.closed_reason = now_ms, "retired"
                self._note(alarm, What.CLOSED, now_ms, now_ms, "retired", effects)
                continue
            self._alarms[rule, series, alarm.key] = alarm
            self._by_id[alarm.id] = (rule, series, alarm.key)
        return effects

    def _name(self, series: int) -> str:
        return "/".join(self.program.names[series])

    def _window_name(self, number: int) -> str:
        # Two windows of one length on the same metric hold the same readings; their order among the rules tells them apart.
        plan = self.program.windows[number]
        same = [n for n, other in enumerate(self.program.windows) if other.readings == plan.readings]
        return f"{plan.readings}/{same.index(number)}"


class _Ring(msgspec.Struct):
    series: list[str]
    time_ms: bytes
    value: bytes


class _Snapshot(msgspec.Struct):
    version: int
    listening_ms: int
    tick_ms: int
    instances: str
    state: bytes
    since_ms: bytes
    streak: bytes
    series: str
    last_ms: bytes
    last_value: bytes
    heard_ms: bytes
    windows: dict[str, _Ring]
    alarms: list[Alarm]
    passages: list[str]
    commands: list[str]


_SNAPSHOT_OUT = msgspec.msgpack.Encoder()
_SNAPSHOT_IN = msgspec.msgpack.Decoder(_Snapshot)
_COMMAND = msgspec.json.Decoder(Command)


def decode_command(payload: bytes) -> Command:
    """Read a command from its journal record."""
    return _COMMAND.decode(payload)


def snapshot_version(saved: bytes) -> int:
    """Which version of the engine wrote a snapshot; another one's is rebuilt by replay."""
    return int(msgspec.msgpack.decode(saved)["version"])


def _matched(mine: list[str], theirs: list[str]) -> tuple[Indexes, Indexes]:
    """Positions of the names that both lists have."""
    at = {name: number for number, name in enumerate(theirs)}
    pairs = [(number, at[name]) for number, name in enumerate(mine) if name in at]
    return np.array([p[0] for p in pairs], np.intp), np.array([p[1] for p in pairs], np.intp)


def _finite(minutes: float) -> float | None:
    return minutes if np.isfinite(minutes) else None
