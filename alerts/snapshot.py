"""What the engine knows, as bytes, to go on from: by this or another set of rules.

Instances, series, rules and gateways go by name, so that numbers may change: what is the same in both keeps its state.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from alerts.alarm import PERSON, Alarm, Where
from alerts.book import Telling
from alerts.conditions import RETRACTED, Conditions
from alerts.detectors.detector import Detector
from alerts.episodes import Episodes
from alerts.escalation import Kept as KeptEscalation
from alerts.local_decisions import Taken
from alerts.masks import MaskState
from alerts.passages import Ended
from alerts.past import Decision
from alerts.program import Program
from telemetry.batch import Indexes

SNAPSHOT_VERSION = 4


class KeptDetector(msgspec.Struct):
    """What a rule's detector remembers."""

    series: list[str]
    columns: dict[str, tuple[str, list[int], bytes]]  # name -> (dtype, shape, contents)


class KeptConditions(msgspec.Struct):
    """Columns of `Conditions`, in the order of the snapshot's instances and series."""

    state: bytes
    since_ms: bytes
    ring: bytes
    last_ms: bytes
    last_value: bytes
    detectors: dict[str, KeptDetector]  # by rule
    last_good: bytes = b""
    signal: bytes = b""
    signal_ms: bytes = b""


class KeptEpisodes(msgspec.Struct):
    """Gateways that are catching up. Alarms carry their rule and series by name."""

    past: KeptConditions
    after: dict[str, int]
    gapped: list[str]
    next_live_ms: bytes
    open: list[Alarm]
    changes: list[tuple[str, str, list[int]]]
    over: list[Alarm]
    closed: list[Alarm]
    decisions: list[tuple[int, str, str]]  # (when, rule, series)
    arriving: list[str] = []


class KeptMoment(msgspec.Struct):
    """What was known at a checkpoint, by the same rules and series as now."""

    conditions: KeptConditions
    open: list[Alarm]
    recent: list[Alarm]
    over: list[Alarm]  # what truly was over then, though people learned it later
    changes: list[tuple[str, str, list[int]]]


class Checkpoint(msgspec.Struct):
    """What was known when record `offset` had been judged: an encoded `KeptMoment`, in the end compressed."""

    offset: int
    at_ms: int
    moment: bytes
    is_compressed: bool = False
    provisional: bytes = b""  # (S,) bits: series whose past an outage had in hand; none where it is empty


class KeptLateness(msgspec.Struct):
    """What late readings may need."""

    checkpoints: list[Checkpoint]
    waiting: dict[str, int]
    noted_ms: int
    ended: list[
        tuple[int, int, Alarm]
    ]  # (offset of the record that closed it, of the last checkpoint that knew it, alarm)


class Snapshot(msgspec.Struct):
    """Everything."""

    listening_ms: int
    tick_ms: int
    instances: str  # names, one a line
    series: str
    conditions: KeptConditions
    heard_ms: bytes
    observed_ms: bytes
    alarms: list[Alarm]
    recent: list[Alarm]
    changes: list[tuple[str, str, list[int]]]  # (rule, series, when)
    passages: list[str]
    commands: list[str]
    tellings: list[Telling]
    episodes: KeptEpisodes | None
    masks: MaskState
    escalation: KeptEscalation | None = None
    lateness: KeptLateness | None = None
    ended: list[Ended] = []  # passages, the newest of `passages`
    local_decisions: list[Taken] = []  # that wait for their alarm


_OUT = msgspec.msgpack.Encoder()
_IN = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """As it is stored."""
    return _OUT.encode(snapshot)


def decode(saved: bytes) -> Snapshot:
    """Read back what `encode` wrote."""
    return _IN.decode(saved)


class Names:
    """A program's names, and where each stands in a snapshot."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.series = ["/".join(name) for name in program.names]
        self.series_number = {name: number for number, name in enumerate(self.series)}
        self.rule_number = {rule.id: number for number, rule in enumerate(program.rules)}
        self._watched: dict[int, list[str]] = {}

    def watched(self, rule: int, detector: Detector) -> list[str]:
        """The series that a rule's detector remembers something of."""
        if rule not in self._watched:
            self._watched[rule] = [self.series[s] for s in detector.watched.tolist()]
        return self._watched[rule]

    def rule(self, number: int) -> str:
        """A rule by name."""
        return self.program.rules[number].id

    def where(self, alarm: Alarm) -> Where | None:
        """What an alarm is about; None where its rule or series is gone."""
        at = self.at(alarm.rule, f"{alarm.device}/{alarm.metric}")
        return None if at is None else (*at, alarm.key)

    def at(self, rule: str, series: str) -> tuple[int, int] | None:
        """(rule, series) by number; None where one of them is gone."""
        r, s = self.rule_number.get(rule), self.series_number.get(series)
        return None if r is None or s is None or not self.program.site[s] else (r, s)

    def placed(self, alarms: Iterable[Alarm]) -> list[tuple[Where, Alarm]]:
        """Alarms with what they are about, without those whose rule or series is gone."""
        found = ((self.where(alarm), alarm) for alarm in alarms)
        return [(where, alarm) for where, alarm in found if where is not None]


def keep_conditions(conditions: Conditions, names: Names) -> KeptConditions:
    """Conditions as bytes."""
    program = conditions.program
    detectors = zip(program.detectors, conditions.detectors, strict=True)
    return KeptConditions(
        conditions.state.tobytes(),
        conditions.since_ms.tobytes(),
        conditions.ring.tobytes(),
        conditions.last_ms.tobytes(),
        conditions.last_value.tobytes(),
        {
            program.rules[plan.rule].id: KeptDetector(
                names.watched(plan.rule, detector),
                {name: (c.dtype.str, list(c.shape), c.tobytes()) for name, c in detector.columns.items()},
            )
            for plan, detector in detectors
        },
        conditions.last_good.tobytes(),
        conditions.signal.tobytes(),
        conditions.signal_ms.tobytes(),
    )


def restore_conditions(
    kept: KeptConditions, instances: list[str], series: list[str], conditions: Conditions, names: Names
) -> None:
    """Write what was kept over fresh conditions.

    Args:
        instances: What its columns are about, in their order; `series` likewise.
    """
    mine, theirs = matched(conditions.program.keys, instances)
    conditions.state[mine] = np.frombuffer(kept.state, np.uint8)[theirs]
    conditions.since_ms[mine] = np.frombuffer(kept.since_ms, np.int64)[theirs]
    conditions.ring[mine] = np.frombuffer(kept.ring, np.uint64)[theirs]
    if kept.signal:
        conditions.signal[mine] = np.frombuffer(kept.signal, np.float64)[theirs]
        conditions.signal_ms[mine] = np.frombuffer(kept.signal_ms, np.int64)[theirs]
    mine, theirs = matched(names.series, series)
    conditions.last_ms[mine] = np.frombuffer(kept.last_ms, np.int64)[theirs]
    conditions.last_value[mine] = np.frombuffer(kept.last_value, np.float64)[theirs]
    if kept.last_good:
        conditions.last_good[mine] = np.frombuffer(kept.last_good, np.bool_)[theirs]
    for plan, detector in zip(conditions.program.detectors, conditions.detectors, strict=True):
        found = kept.detectors.get(conditions.program.rules[plan.rule].id)
        if found is not None:
            _restore_detector(found, detector, names)
    conditions.find_bands(np.arange(len(names.series)))


def _restore_detector(kept: KeptDetector, detector: Detector, names: Names) -> None:
    mine, theirs = matched([names.series[s] for s in detector.watched.tolist()], kept.series)
    columns = detector.columns
    fits = kept.columns.keys() == columns.keys() and all(
        (dtype, shape[1:]) == (columns[name].dtype.str, list(columns[name].shape[1:]))
        for name, (dtype, shape, _) in kept.columns.items()
    )
    if not fits:
        return  # a window of another length remembers other things: it begins anew
    for name, (dtype, shape, contents) in kept.columns.items():
        columns[name][mine] = np.frombuffer(contents, dtype).reshape(shape)[theirs]


def keep_episodes(episodes: Episodes, names: Names) -> KeptEpisodes | None:
    """Episodes as bytes; None when there are none."""
    past = episodes.past
    if past is None:
        return None
    program = names.program
    return KeptEpisodes(
        keep_conditions(past.conditions, names),
        {program.names[number][0]: after for number, after in episodes.after.items()},
        [program.names[number][0] for number in sorted(episodes.gapped)],
        episodes.next_live_ms.tobytes(),
        list(past.book.open.values()),
        [(names.rule(r), names.series[s], changes) for (r, s, _), changes in past.book.changes.items()],
        [alarm for _, alarm in past.over],
        [alarm for _, alarm in past.closed],
        [(d.known_ms, program.rules[d.rule].id, names.series[d.series]) for d in past.decisions],
        [program.names[number][0] for number in sorted(episodes.arriving)],
    )


def restore_episodes(kept: KeptEpisodes, snapshot: Snapshot, episodes: Episodes, names: Names) -> None:
    """Go on with episodes, as far as their gateways, rules and series are still there."""
    for gateway, after in kept.after.items():
        episodes.begin(episodes.known([gateway]), after + 1)
    past = episodes.past
    if past is None:
        return
    restore_conditions(kept.past, snapshot.instances.split("\n"), snapshot.series.split("\n"), past.conditions, names)
    episodes.gapped = episodes.known(kept.gapped)
    episodes.arriving = episodes.known(kept.arriving) & episodes.after.keys()
    mine, theirs = matched(names.series, snapshot.series.split("\n"))
    episodes.next_live_ms[mine] = np.frombuffer(kept.next_live_ms, np.int64)[theirs]
    for where, alarm in names.placed(kept.open):
        past.book.enter(where, alarm)
    # One object an alarm: what was over may have come back since, and may have been over more than once.
    truly, said = ({alarm.id: alarm for alarm in alarms} for alarms in (kept.open, snapshot.alarms))
    past.over = [(where, truly.setdefault(alarm.id, alarm)) for where, alarm in names.placed(kept.over)]
    past.closed = [(where, said.setdefault(alarm.id, alarm)) for where, alarm in names.placed(kept.closed)]
    for where, alarm in past.over:
        if where not in past.book.open and alarm.closed_reason not in (PERSON, RETRACTED):
            past.book.recent[where] = alarm
    for rule, series, changes in kept.changes:
        at = names.at(rule, series)
        if at is not None:
            past.book.changes[*at, None] = changes
    for known_ms, rule, series in kept.decisions:
        at = names.at(rule, series)
        if at is not None:
            past.decisions.append(Decision(known_ms, *at))


def matched(mine: list[str], theirs: list[str]) -> tuple[Indexes, Indexes]:
    """Positions of the names that both lists have."""
    at = {name: number for number, name in enumerate(theirs)}
    pairs = [(number, at[name]) for number, name in enumerate(mine) if name in at]
    return np.array([p[0] for p in pairs], np.intp), np.array([p[1] for p in pairs], np.intp)
