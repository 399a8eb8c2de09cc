"""Which alarms a stream of readings comes to, one series at a time, in plain ifs; written from reference/alarms.md §3."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.oracles.lifecycle import Condition

HOLD_MAX_MS = 300_000  # how long after a reading its value may still raise an alarm


@dataclass(frozen=True)
class OneReading:
    """A reading as the oracle sees it."""

    time_ms: int
    value: float
    quality: int = 0
    key: str | None = None


@dataclass(frozen=True)
class LevelPlan:
    """A rule of levels on one metric: (severity, limit), the dead band below each, and its times."""

    rule: str
    metric: str
    levels: Sequence[tuple[int, float]]
    deadband: float = 0.0
    raise_count: int = 1
    raise_after_ms: int = 0
    clear_after_ms: int = 0
    per_passage: bool = False


@dataclass(frozen=True)
class Occurrence:
    """One alarm from its beginning to its end."""

    rule: str
    device: str
    key: str | None
    onset_ms: int
    severity_max: int
    closed_ms: int | None


def occurrences(
    plans: Iterable[LevelPlan], readings: Mapping[tuple[str, str], Sequence[OneReading]]
) -> set[Occurrence]:
    """Every occurrence; `readings` by (device, metric), in any order."""
    found: set[Occurrence] = set()
    for plan in plans:
        for (device, metric), unordered in readings.items():
            if metric == plan.metric:
                in_order = sorted(unordered, key=lambda reading: reading.time_ms)
                found |= _passages(plan, device, in_order) if plan.per_passage else _levels(plan, device, in_order)
    return found


def _passages(plan: LevelPlan, device: str, readings: Sequence[OneReading]) -> set[Occurrence]:
    found = set()
    for reading in readings:
        reached = [severity for severity, limit in plan.levels if reading.value >= limit]
        if reached and reading.quality < 2:
            key = reading.key or f"t{reading.time_ms}"
            found.add(Occurrence(plan.rule, device, key, reading.time_ms, max(reached), None))
    return found


def _levels(plan: LevelPlan, device: str, readings: Sequence[OneReading]) -> set[Occurrence]:
    found = set()
    conditions = [
        (severity, Condition(limit, limit - plan.deadband, plan.raise_after_ms, plan.raise_count, plan.clear_after_ms))
        for severity, limit in plan.levels
    ]
    newest_ms = None
    onset_ms, worst = 0, 0
    for reading in readings:
        if reading.quality == 2 or (newest_ms is not None and reading.time_ms <= newest_ms):
            continue
        onset_ms, worst = _lasted(plan, conditions, newest_ms, reading.time_ms, onset_ms, worst)
        for _, condition in conditions:
            condition.pause(reading.time_ms, newest_ms)
        newest_ms = reading.time_ms
        was_open = any(condition.state in ("firing", "clearing") for _, condition in conditions)
        began = []
        for _, condition in conditions:
            is_firing = condition.state in ("firing", "clearing")
            bar = condition.clear_below if is_firing else condition.raise_at
            if reading.quality == 1 and reading.value < bar:
                continue  # a doubtful reading may help to raise; it is no evidence that anything is over
            pending_ms = condition.since_ms if condition.state == "pending" else reading.time_ms
            condition.observe(reading.value, reading.time_ms)
            if not is_firing and condition.state == "firing":
                began.append(pending_ms)
        firing = [severity for severity, condition in conditions if condition.state in ("firing", "clearing")]
        if firing and not was_open:
            onset_ms, worst = min(began), max(firing)
        elif firing:
            worst = max(worst, *firing)
        elif was_open:
            found.add(Occurrence(plan.rule, device, None, onset_ms, worst, reading.time_ms))
    onset_ms, worst = _lasted(plan, conditions, newest_ms, None, onset_ms, worst)
    if any(condition.state in ("firing", "clearing") for _, condition in conditions):
        found.add(Occurrence(plan.rule, device, None, onset_ms, worst, None))
    return found


def _lasted(
    plan: LevelPlan,
    conditions: Sequence[tuple[int, Condition]],
    newest_ms: int | None,
    until_ms: int | None,
    onset_ms: int,
    worst: int,
) -> tuple[int, int]:
    """A breach whose time is up before the next reading fires by itself, if its last reading still counts by then."""
    for severity, condition in conditions:
        due_ms = condition.since_ms + plan.raise_after_ms
        if condition.state != "pending" or newest_ms is None or not (condition.has_enough and condition.breached[-1]):
            continue
        if due_ms - newest_ms > HOLD_MAX_MS or (until_ms is not None and due_ms >= until_ms):
            continue
        was_open = any(other.state in ("firing", "clearing") for _, other in conditions)
        onset_ms, worst = (onset_ms, max(worst, severity)) if was_open else (condition.since_ms, severity)
        condition.state, condition.since_ms = "firing", due_ms
    return onset_ms, worst
