"""How good the alarms are, counted as EEMUA 191 and ISA-18.2 (IEC 62682) do. Pure, over what is on record.

An annunciation is a step that calls somebody: of a site every unmasked one, of a role what was sent to it. Both standards
are sold, so the reference values here are those that published summaries of them give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alerts.load import FLOOD_MS, chatters, flood_ms, peak
from alerts.outcome import Outcome
from alerts.rule import Severity

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_TOP = 10
_ISA, _EEMUA = "ISA-18.2", "EEMUA 191"
_WORD = {Severity.LOW: "low", Severity.MEDIUM: "medium", Severity.HIGH: "high", Severity.CRITICAL: "high"}
_SPLIT = {"low": 80, "medium": 15, "high": 5}


@dataclass(frozen=True, slots=True)
class Annunciation:
    """One call of an operator: `role:NAME`, or `site:NAME` for all that a site told."""

    operator: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm of the time looked at, or still open."""

    id: str
    rule: str
    device: str
    severity: Severity  # the worst that it was
    onset_ms: int
    is_open: bool
    outcome: Outcome | None
    steps_ms: Sequence[int]  # when it was raised, over, back …


@dataclass(frozen=True, slots=True)
class Figure:
    """One number beside what it is held against."""

    what: str
    value: float
    unit: str
    reference: str
    source: str
    is_met: bool | None  # None: there is nothing to hold it against


@dataclass(frozen=True, slots=True)
class Share:
    """How much of all alarms one rule or instance makes."""

    what: str
    alarms: int
    share: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it."""

    start_ms: int
    end_ms: int
    operators: Mapping[str, list[Figure]]
    alarms: list[Figure]
    top_rules: list[Share]
    top_instances: list[Share]
    outcomes: Mapping[str, Mapping[str, float | None]]  # rule -> outcome -> count, and "precision"

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures(annunciations: Iterable[Annunciation], told: Sequence[Told], start_ms: int, end_ms: int) -> Figures:
    """Count [start_ms, end_ms)."""
    of_operator: dict[str, list[int]] = {}
    for one in annunciations:
        of_operator.setdefault(one.operator, []).append(one.time_ms)
    span_ms = max(1, end_ms - start_ms)
    raised = [alarm for alarm in told if start_ms <= alarm.onset_ms < end_ms]
    rules = Counter(alarm.rule for alarm in raised)
    instances = Counter(f"{alarm.rule} {alarm.device}" for alarm in raised)
    return Figures(
        start_ms,
        end_ms,
        {name: _operator(sorted(times), span_ms, end_ms) for name, times in sorted(of_operator.items())},
        _alarms(told, raised, rules, end_ms),
        _shares(rules),
        _shares(instances),
        _outcomes(raised),
    )


def _operator(times_ms: Sequence[int], span_ms: int, end_ms: int) -> list[Figure]:
    count = len(times_ms)
    ten, hour, day = (count * unit_ms / span_ms for unit_ms in (FLOOD_MS, _HOUR_MS, _DAY_MS))
    most, flood = peak(times_ms, FLOOD_MS), 100 * flood_ms(times_ms, end_ms) / span_ms
    return [
        Figure("annunciations in 10 minutes, mean", ten, "", "≤ 1, at most 2", _ISA, ten <= 1),
        Figure("annunciations an hour, mean", hour, "", "≤ 6, at most 12", _ISA, hour <= 6),
        Figure("annunciations a day, mean", day, "", "≤ 150, at most 300", _ISA, day <= 150),
        Figure("most in 10 minutes", most, "", "≤ 10", f"{_ISA}, {_EEMUA}", most <= 10),
        Figure("most in an hour", peak(times_ms, _HOUR_MS), "", "≤ 30", _ISA, peak(times_ms, _HOUR_MS) <= 30),
        Figure("time in flood", flood, "%", "< 1", _ISA, flood < 1),
    ]


def _alarms(told: Sequence[Told], raised: Sequence[Told], rules: Counter[str], end_ms: int) -> list[Figure]:
    chattering = sum(chatters(alarm.steps_ms) for alarm in raised)
    standing = [alarm for alarm in told if alarm.is_open]
    stale = sum(end_ms - alarm.onset_ms > _DAY_MS for alarm in standing)
    top = 100 * sum(count for _, count in rules.most_common(_TOP)) / max(1, len(raised))
    found = [
        Figure("alarms raised", len(raised), "", "–", "", None),
        Figure("standing now", len(standing), "", "< 10", _EEMUA, len(standing) < 10),
        Figure("stale: open for more than 24 h", stale, "", "< 5", _ISA, stale < 5),
        Figure("chattering: 3 steps within a minute", chattering, "", "0", _ISA, chattering == 0),
        # With few rules the ten largest are all there is; then the figure says nothing.
        Figure("the ten largest rules' share", top, "%", "< 5", _ISA, top < 5 if len(rules) > 2 * _TOP else None),
    ]
    split = Counter(_WORD[alarm.severity] for alarm in raised)
    for word, aim in _SPLIT.items():
        share = 100 * split[word] / max(1, len(raised))
        met = abs(share - aim) <= 10 if raised else None
        found.append(Figure(f"priority {word}", share, "%", f"≈ {aim}", f"{_ISA}, {_EEMUA}", met))
    return found


def _shares(counted: Counter[str]) -> list[Share]:
    total = max(1, counted.total())
    return [Share(what, count, count / total) for what, count in counted.most_common(_TOP)]


def _outcomes(raised: Iterable[Told]) -> dict[str, dict[str, float | None]]:
    counted: dict[str, Counter[Outcome]] = {}
    for alarm in raised:
        if alarm.outcome is not None:
            counted.setdefault(alarm.rule, Counter())[alarm.outcome] += 1
    found: dict[str, dict[str, float | None]] = {}
    for rule, of_rule in sorted(counted.items()):
        right, wrong = of_rule[Outcome.TRUE] + of_rule[Outcome.NO_ACTION], of_rule[Outcome.FALSE]
        precision = right / (right + wrong) if right + wrong else None
        counts: dict[str, float | None] = {outcome.value: float(of_rule[outcome]) for outcome in Outcome}
        found[rule] = counts | {"precision": precision}
    return found
