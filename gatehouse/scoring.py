"""Alarms compared with what a scenario states: found, missed, extra, how long after the cause, how long before the harm.

Pure. Times in epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

_EVER_MS = 2**62


class Claim(StrEnum):
    """What is stated of an alarm."""

    MUST = "must"
    MAY = "may"
    MUST_NOT = "must-not"


@dataclass(frozen=True, slots=True)
class Stated:
    """One line of a scenario's expectations."""

    claim: Claim
    rule: str
    device: str | None  # None: any
    from_ms: int
    until_ms: int  # of a must: by when
    open_until_ms: int | None = None
    before: str | None = None
    gap: str | None = None

    def covers(self, alarm: Raised) -> bool:
        """Whether this is about an alarm."""
        about = self.rule == alarm.rule and self.device in (None, alarm.device)
        return about and self.from_ms <= alarm.raised_ms <= self.until_ms

    def __str__(self) -> str:
        return f"{self.rule} on {self.device or 'any device'}"


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm that there was."""

    rule: str
    device: str
    raised_ms: int
    closed_ms: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Harmed:
    """When what an alarm should warn of came about."""

    what: str
    device: str
    time_ms: int


@dataclass(slots=True)
class RuleScore:
    """What one rule came to. Seconds."""

    found: int = 0
    missed: int = 0
    extra: int = 0
    gaps: int = 0  # stated ones, that are still there
    delays_s: list[float] = field(default_factory=list)  # from the cause to the alarm
    leads_s: list[float] = field(default_factory=list)  # from the alarm to the harm

    def add(self, other: RuleScore) -> None:
        """Count another scenario's."""
        self.found, self.missed = self.found + other.found, self.missed + other.missed
        self.extra, self.gaps = self.extra + other.extra, self.gaps + other.gaps
        self.delays_s += other.delays_s
        self.leads_s += other.leads_s

    @property
    def delay_s(self) -> float | None:
        """The median; None where nothing was found."""
        return median(self.delays_s) if self.delays_s else None

    @property
    def lead_s(self) -> float | None:
        """The shortest; None where nothing warned of a harm."""
        return min(self.leads_s, default=None)


@dataclass(slots=True)
class Score:
    """What a run came to: counts by rule, and in words what is not as stated."""

    rules: dict[str, RuleScore] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Everything is as stated, gaps included."""
        return not self.faults

    def of(self, rule: str) -> RuleScore:
        """The counts of a rule, made when there are none."""
        return self.rules.setdefault(rule, RuleScore())


def score(stated: Sequence[Stated], raised: Sequence[Raised], harms: Sequence[Harmed] = ()) -> Score:
    """Compare alarms with statements.

    A must is found when an alarm is raised in its time, stays open as long as it has to and comes before the harm it
    names. An alarm is extra when a must-not covers it, or nothing else does. A gap is the opposite of its statement, and
    a fault as soon as it is none any more.
    """
    result = Score()
    for one in stated:
        if one.claim is Claim.MUST:
            _found(one, raised, harms, result)
    for one in stated:
        if one.claim is Claim.MUST_NOT and one.gap is not None:
            if any(one.covers(alarm) for alarm in raised):
                result.of(one.rule).gaps += 1
            else:
                result.faults.append(f"gap closed: {one} is no longer raised; take '{one.gap}' out")
    for alarm in raised:
        about = [one for one in stated if one.covers(alarm)]
        forbidden = [one for one in about if one.claim is Claim.MUST_NOT]
        if all(one.gap is not None for one in forbidden) if forbidden else about:
            continue
        result.of(alarm.rule).extra += 1
        key = "" if alarm.key is None else f" ({alarm.key})"
        result.faults.append(f"extra: {alarm.rule} on {alarm.device}{key}, raised at {alarm.raised_ms}")
    return result


def _found(one: Stated, raised: Iterable[Raised], harms: Sequence[Harmed], result: Score) -> None:
    counts = result.of(one.rule)
    harm_ms = None
    if one.before is not None:
        of_kind = (h.time_ms for h in harms if (h.what, h.device) == (one.before, one.device))
        harm_ms = next((at_ms for at_ms in of_kind if at_ms >= one.from_ms), None)
        if harm_ms is None:
            result.faults.append(f"no harm: {one} is to come before {one.before}, and there was none")
    good = min((alarm.raised_ms for alarm in _good(one, raised, harm_ms)), default=None)
    if one.gap is not None:
        counts.gaps += good is None
        if good is not None:
            result.faults.append(f"gap closed: {one} is found now; take '{one.gap}' out")
    elif good is None:
        counts.missed += 1
        result.faults.append(f"missed: {one}, due {one.from_ms}..{one.until_ms}")
    else:
        counts.found += 1
        counts.delays_s.append((good - one.from_ms) / 1000)
        if harm_ms is not None:
            counts.leads_s.append((harm_ms - good) / 1000)


def _good(one: Stated, raised: Iterable[Raised], harm_ms: int | None) -> Iterator[Raised]:
    for alarm in raised:
        stays = one.open_until_ms is None or alarm.closed_ms is None or alarm.closed_ms >= one.open_until_ms
        if one.covers(alarm) and stays and (harm_ms is None or alarm.raised_ms < harm_ms):
            yield alarm
