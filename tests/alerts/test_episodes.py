"""Outages that are made up for: the outcome must be that of an undisturbed run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm import Alarm, Transition, What
from alerts.conditions import Conditions
from alerts.engine import Engine
from alerts.episodes import RETRACTED
from alerts.lifecycle import PENDING
from alerts.program import Program, compile_rules
from alerts.rules import RuleFile
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.identity import alarm_id
from telemetry.journal import Kind, Stored
from telemetry.series import ONLINE, SeriesRegistry

T0 = 1_795_000_000_000
GATEWAYS = {"a1": "gw-a", "a2": "gw-a", "b1": "gw-b"}

Row = tuple[str, float, int, int]
"""(device, value, seconds after T0, quality)."""


@cache
def program() -> Program:
    """Two levels with a dead band and an end that must last, a breach that must last, a rate, a forecast."""
    high, critical = {"severity": "high", "at_least": 10}, {"severity": "critical", "at_least": 20}
    soon = [{"severity": "medium", "at_most": 10}, {"severity": "high", "at_most": 3}]
    declared: dict[str, dict[str, object]] = {
        "level": {"type": "level", "levels": [high, critical], "deadband": 2, "clear_after_s": 20},
        "lasts": {"type": "level", "levels": [high, critical], "raise_after_s": 20, "hold_max_s": 30},
        "twice": {"type": "level", "levels": [high], "raise_after_s": 5, "raise_count": 2},
        "low": {"type": "level", "levels": [{"severity": "low", "at_most": 5, "clear": 8}]},
        "rate": {"type": "rate", "window_readings": 8, "levels": [high, critical], "raise_after_s": 10},
        "soon": {"type": "forecast", "window_readings": 8, "target": 40, "levels": soon},
    }
    common = {"class": "drain", "metric": "level"}
    rules = RuleFile.model_validate({"rules": [{"id": n, "name": n, **common, **rule} for n, rule in declared.items()]})
    catalogue = Catalogue.model_validate(
        CatalogueFile.model_validate(
            {
                "sites": [{"id": "east", "name": "East"}],
                "kinds": [{"id": "drain-level", "name": "L", "metrics": [{"id": "level", "name": "L", "unit": "m"}]}],
                "gateways": [{"id": g, "name": g, "site": "east"} for g in ("gw-a", "gw-b")],
                "places": [{"id": "drains", "name": "Drains", "kind": "drain", "site": "east"}],
                "devices": [
                    {"id": d, "kind": "drain-level", "place": "drains", "gateway": g} for d, g in GATEWAYS.items()
                ],
            }
        ).model_dump()
    )
    registry = SeriesRegistry([*catalogue.metric, ("gw-a", ONLINE), ("gw-b", ONLINE)])
    return compile_rules(rules.rules, catalogue, registry)


@dataclass
class World:
    """An engine and its journal."""

    journal: list[Stored] = field(default_factory=list)
    steps: list[Transition] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    held_from: int = 1  # what is before was trimmed away
    crash_at: int = 0

    def __post_init__(self) -> None:
        self.engine = Engine(program(), self.reread)

    def reread(self, after: int, through: int) -> Iterator[Stored]:
        return (r for r in self.journal if after < r.offset <= through and r.offset >= self.held_from)

    def take(self, kind: Kind, second: float, payload: bytes) -> None:
        record = Stored(len(self.journal) + 1, kind, T0 + round(second * 1000), payload)
        if record.offset == self.crash_at:
            saved = self.engine.save()
            self.engine = Engine(program(), self.reread)
            assert not self.engine.load(saved, T0).transitions
            # The alarms that people know of are the engine's own again.
            self.alarms |= {alarm.id: alarm for alarm in self.engine.open_alarms}
        self.journal.append(record)
        effects = self.engine.apply(record)
        self.steps += effects.transitions
        self.alarms |= effects.alarms
        self.incomplete += effects.incomplete

    def live(self, second: float, *rows: Row, **behind: int) -> None:
        self.take(Kind.READINGS, second, payload(rows, behind))

    def backlog(self, second: float, *rows: Row, **behind: int) -> None:
        self.take(Kind.BACKLOG, second, payload(rows, behind))

    def ticks(self, first: int, last: int) -> None:
        for second in range(first, last + 1):
            self.take(Kind.TICK, second, b"connected")

    def close(self, second: float, device: str, rule: str) -> None:
        alarm = self.open(rule, device)
        body = {"id": f"c{second}", "action": "close", "alarm": alarm.id, "seq": alarm.seq, "actor": "li"}
        self.take(Kind.COMMAND, second, json.dumps(body).encode())

    def open(self, rule: str, device: str = "a1") -> Alarm:
        (alarm,) = [a for a in self.engine.open_alarms if (a.rule, a.device) == (rule, device)]
        return alarm

    def of(self, rule: str, device: str = "a1") -> list[Alarm]:
        return sorted(
            (a for a in self.alarms.values() if (a.rule, a.device) == (rule, device)), key=lambda a: a.onset_ms
        )

    def said(self, alarm: Alarm) -> list[tuple[str, str]]:
        return [(step.what.value, step.reason) for step in self.steps if step.alarm == alarm.id]

    def occurrences(self) -> list[tuple[object, ...]]:
        """Everything that was, without what was taken back."""
        return sorted(
            (a.rule, a.device, (a.onset_ms - T0) // 1000, a.severity_max.word, str(_seconds(a.closed_ms)))
            for a in self.alarms.values()
            if a.closed_reason != RETRACTED
        )

    def state(self) -> list[Any]:
        now: Conditions = self.engine._conditions
        # A streak decides only while something waits; batches leave different ones behind elsewhere.
        streak = np.where(now.state == PENDING, now.streak, 0)
        arrays: list[Any] = [now.state, now.since_ms, streak, now.last_ms, np.nan_to_num(now.last_value, nan=-1.0)]
        for ring in now.windows:
            arrays += [ring.time_ms, ring.value]
        shown = sorted(
            (a.rule, a.device, a.severity, a.value, a.limit, str(a.forecast)) for a in self.engine.open_alarms
        )
        return [*(array.tolist() for array in arrays), shown]


def _seconds(time_ms: int | None) -> float | None:
    return None if time_ms is None else (time_ms - T0) / 1000


def payload(rows: Sequence[Row], behind: Mapping[str, int]) -> bytes:
    index = {name: number for number, (name, _) in enumerate(program().names)}
    batch = ReadingBatch(
        np.array([index[row[0]] for row in rows], np.uint32),
        np.array([T0 + row[2] * 1000 for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )
    return encode_batch(batch, {gateway.replace("_", "-"): left for gateway, left in behind.items()})


def level(value: float, second: int, device: str = "a1") -> Row:
    return (device, value, second, 0)


# --- the law --------------------------------------------------------------------------------------------------------

# Limits and their neighbours; ramps, because a rate and a forecast need a trend; what is doubtful, and what is broken.
VALUES = st.sampled_from([4.0, 5.0, 7.9, 8.0, 9.9, 10.0, 18.0, 20.0])
STEPS = st.one_of(VALUES.map(lambda v: ("at", v)), st.sampled_from([0.0, 1.5, 4.0]).map(lambda v: ("by", v)))
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a1", "a1", "a2", "b1"]),
        st.sampled_from([0, 1, 5, 5, 15, 20, 25, 31]),
        STEPS,
        st.sampled_from([0, 0, 0, 0, 1, 2]),
    ),
    min_size=20,
    max_size=60,
)
OUTAGES = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.booleans())


def history(drawn: Sequence[tuple[str, int, tuple[str, float], int]]) -> list[Row]:
    rows: list[Row] = []
    value: dict[str, float] = {}
    last: dict[str, int] = {}
    second = 0
    for device, gap, (how, amount), quality in drawn:
        second += gap
        value[device] = amount if how == "at" else value.get(device, 7.0) + amount
        if last.get(device) != second:
            last[device] = second
            rows.append((device, value[device], second, quality))
    return rows


def outages(rows: Sequence[Row], drawn: tuple[float, float, float, float, bool]) -> list[tuple[int, int]]:
    """One or two stretches in which nothing comes."""
    end = rows[-1][2] + 1
    a, b, c, d = sorted(int(part * end) for part in drawn[:4])
    return [(a, b), (c, d)] if drawn[4] else [(a, c)]


def moments(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """(second, next second) of the readings."""
    seconds = sorted({row[2] for row in rows})
    return list(zip(seconds, [*seconds[1:], seconds[-1] + 50], strict=True))


def undisturbed(rows: Sequence[Row]) -> World:
    world = World()
    for second, next_second in moments(rows):
        world.live(second, *[row for row in rows if row[2] == second])
        world.take(Kind.TICK, second, b"connected")
        world.take(Kind.TICK, (second + next_second) / 2, b"connected")
    world.take(Kind.TICK, rows[-1][2] + 60, b"connected")
    return world


def disturbed(
    rows: Sequence[Row], away: Mapping[str, list[tuple[int, int]]], chunks: Sequence[tuple[int, int]], crash_at: int
) -> World:
    """The same readings; what was taken while its gateway was away follows in pieces, between what is new."""
    world = World(crash_at=crash_at)
    kept: dict[str, list[Row]] = {gateway: [] for gateway in away}
    rhythm = iter([*chunks] * 20)

    def is_away(gateway: str, second: int) -> bool:
        return any(start <= second < end for start, end in away[gateway])

    def make_up(second: int, everything: bool) -> None:
        while True:
            piece, go_on = next(rhythm, (1000, 1))
            sent: list[Row] = []
            behind = {}
            for gateway, waiting in kept.items():
                count = len(waiting) if everything else piece
                if count and waiting and not is_away(gateway, second):
                    sent += waiting[:count]
                    del waiting[:count]
                    behind[gateway] = len(waiting)
            if sent:
                world.backlog(second, *sent, **behind)
            if not go_on or not sent:
                return

    for second, next_second in moments(rows):
        fresh: list[Row] = []
        for row in rows:
            gateway = GATEWAYS[row[0]]
            if row[2] == second:
                (kept[gateway] if is_away(gateway, second) else fresh).append(row)
        if fresh:
            behind = {GATEWAYS[row[0]]: len(kept[GATEWAYS[row[0]]]) for row in fresh}
            world.live(second, *fresh, **behind)
        world.take(Kind.TICK, second, b"connected")
        make_up(second, everything=False)
        world.take(Kind.TICK, (second + next_second) / 2, b"connected")
    away = {gateway: [] for gateway in away}
    make_up(rows[-1][2] + 50, everything=True)
    world.take(Kind.TICK, rows[-1][2] + 60, b"connected")
    return world


@settings(max_examples=300, deadline=None)
@given(
    ROWS,
    OUTAGES,
    OUTAGES,
    st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 5]), st.sampled_from([0, 0, 1])), min_size=1, max_size=12),
    st.integers(0, 120),
)
def test_what_comes_of_readings_does_not_depend_on_outages(
    drawn: list[tuple[str, int, tuple[str, float], int]],
    away_a: tuple[float, float, float, float, bool],
    away_b: tuple[float, float, float, float, bool],
    chunks: list[tuple[int, int]],
    crash_at: int,
) -> None:
    rows = history(drawn)
    calm = undisturbed(rows)
    world = disturbed(rows, {"gw-a": outages(rows, away_a), "gw-b": outages(rows, away_b)}, chunks, crash_at)
    assert world.engine.needed_after is None
    assert world.occurrences() == calm.occurrences()
    assert world.state() == calm.state()
    assert not world.incomplete
    amended = {step.alarm for step in world.steps if step.what is What.AMENDED}
    for alarm in world.alarms.values():
        if alarm.closed_reason != RETRACTED and alarm.id not in amended:
            assert alarm.id == alarm_id(alarm.rule, alarm.device, alarm.metric, None, alarm.onset_ms)
        said = [step for step in world.steps if step.alarm == alarm.id]
        assert [step.seq for step in said] == list(range(1, len(said) + 1))
        assert said[0].what is What.RAISED
        ends = sum(step.what.is_end for step in said) - sum(step.what is What.REOPENED for step in said)
        assert ends == (not alarm.is_open)
