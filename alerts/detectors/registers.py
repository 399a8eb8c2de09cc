"""Meter registers: how much a reading adds to the one before it, or that nobody can know.

A register only grows, but for what meters really do. Every step from one good reading to the next is one of:

    FIRST        nothing before it                                                           amount unknown
    NORMAL       it grew, no faster than `max_rate_per_h` allows                             the growth
    JITTER       it fell by at most `jitter_digits` of its last digits: it stands still        0
    ROLLOVER     it was past nine tenths of `modulus`, and growth through zero is possible   the growth through zero
    REPLACED     a replacement of the meter is declared between the two                      amount unknown
    RETURNED     it is back where it was before an unexplained fall                          amount unknown
    LEAP         it grew faster than `max_rate_per_h` allows                                 amount unknown
    UNEXPLAINED  it fell otherwise                                                           amount unknown

What is unknown is never guessed: it is NaN, and rules that count consumption begin anew. Readings that are not good are
not taken, because an estimated register proves nothing in either direction.

Axes: m readings of one round, V watched series, K corrections kept a series. Source: reference/alarms.md §4.3, M1 and M2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from alerts.detectors.detector import UNSET_MS
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import Declared, LevelledRule, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.catalogue import Name
from telemetry.errors import BadConfiguration

HOUR_MS = 3_600_000
_KEPT = 4  # corrections a series
_NEARLY_FULL = 0.9  # of the modulus


class Growth(IntEnum):
    """What a step of a register is."""

    FIRST = 0
    NORMAL = 1
    JITTER = 2
    ROLLOVER = 3
    REPLACED = 4
    RETURNED = 5
    LEAP = 6
    UNEXPLAINED = 7


FIRST, NORMAL, JITTER, ROLLOVER, REPLACED, RETURNED, LEAP, UNEXPLAINED = (int(growth) for growth in Growth)


class Replacement(Declared):
    """A meter was exchanged: the register before says nothing about the one after."""

    device: Name
    time: AwareDatetime


class RegisterRule(LevelledRule):
    """What all rules over registers may be told of them."""

    last_digit: float | None = Field(default=None, gt=0)  # of the register; of the metric's decimals when not given
    jitter_digits: int = Field(default=2, ge=0)  # last digits that it may fall by and has not moved
    modulus: float | None = Field(default=None, gt=0)  # where it begins at zero again
    max_rate_per_h: float | None = Field(default=None, gt=0)  # no meter of these can run faster
    replaced: tuple[Replacement, ...] = ()

    @model_validator(mode="after")
    def _rollover_has_a_rate(self) -> Self:
        if self.modulus is not None and self.max_rate_per_h is None:
            raise ValueError("only 'max_rate_per_h' tells a rollover at 'modulus' from a reset: give both")
        return self


@dataclass(frozen=True, slots=True)
class Steps:
    """What one reading of each register adds, (m,)."""

    amount: Floats  # in the metric's unit; NaN where unknown
    kind: NDArray[np.uint8]  # `Growth`
    before_ms: Times  # of the reading before; UNSET_MS for the first
    before: Floats


def classify(
    before: Floats,
    fell_from: Floats,
    after: Floats,
    elapsed_h: Floats,
    was_replaced: Masks,
    last_digit: Floats,
    jitter: Floats,
    modulus: float,
    max_rate_per_h: float,
) -> tuple[Floats, NDArray[np.uint8]]:
    """What each step of a register is, and how much it adds.

    Args:
        before: The register before, (m,); NaN where there is none.
        fell_from: Where it stood before an unexplained fall since which it has not moved, (m,); NaN elsewhere.
        after: The register now, (m,).
        elapsed_h: Hours between, (m,), above 0.
        was_replaced: Whether a replacement is declared between, (m,).
        last_digit: Smallest step of the register, (m,).
        jitter: A fall below this is none, (m,).
        modulus, max_rate_per_h: Infinite where not declared.

    Returns:
        (amount, kind), (m,): the amount is NaN where it is unknown.
    """
    change = after - before
    most = max_rate_per_h * elapsed_h + 0.5 * last_digit
    moves = change >= jitter
    through_zero = after + modulus - before
    kind = np.select(
        [
            np.isnan(before),
            was_replaced,
            moves & (after > fell_from - jitter),
            (change >= 0) & (change <= most),
            change >= 0,
            -change < jitter,
            (before > _NEARLY_FULL * modulus) & (through_zero >= 0) & (through_zero <= most),
        ],
        [FIRST, REPLACED, RETURNED, NORMAL, LEAP, JITTER, ROLLOVER],
        UNEXPLAINED,
    ).astype(np.uint8)
    amount = np.select([kind == NORMAL, kind == JITTER, kind == ROLLOVER], [change, 0.0, through_zero], np.nan)
    return amount, kind


class Registers:
    """The last reading of every register.

    Args:
        rows: How many rows its columns have: more than registers, where a detector looks at other series too.
    """

    def __init__(self, rule: RegisterRule, watched: Indexes, world: World, rows: int | None = None) -> None:
        rows = len(watched) if rows is None else rows
        self.time_ms: Times = np.full(rows, UNSET_MS, np.int64)
        self.value: Floats = np.full(rows, np.nan)
        self.fell_from: Floats = np.full(rows, np.nan)
        self.last_digit = last_digits(rule, watched, world)
        # Half a digit more, so that no rounding of floats decides.
        self._jitter = (rule.jitter_digits + 0.5) * self.last_digit
        self._modulus = rule.modulus if rule.modulus is not None else np.inf
        self._max_rate_per_h = rule.max_rate_per_h if rule.max_rate_per_h is not None else np.inf
        self._replaced_ms = _replacements(rule, watched, world)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"register_ms": self.time_ms, "register": self.value, "fell_from": self.fell_from}

    def take(self, now: Round) -> Steps:
        """Take one good reading of each."""
        at = now.at
        before, before_ms = self.value[at], self.time_ms[at]
        is_first = before_ms == UNSET_MS
        elapsed_h = np.where(is_first, HOUR_MS, now.time_ms - before_ms) / HOUR_MS
        was_replaced = np.zeros(len(at), np.bool_)
        for times in self._replaced_ms.T:
            was_replaced |= ~is_first & (times[at] > before_ms) & (times[at] <= now.time_ms)
        jitter = self._jitter[at]
        amount, kind = classify(
            before,
            self.fell_from[at],
            now.value,
            elapsed_h,
            was_replaced,
            self.last_digit[at],
            jitter,
            self._modulus,
            self._max_rate_per_h,
        )
        # A register that jitters downwards has not moved: measured from its highest, so that its way back is no use.
        self.value[at] = np.where(kind == JITTER, before, now.value)
        self.time_ms[at] = now.time_ms
        stays = ((kind == NORMAL) & (now.value - before < jitter)) | (kind == JITTER)
        fell_from = np.where(np.isnan(self.fell_from[at]), before, np.fmax(before, self.fell_from[at]))
        self.fell_from[at] = np.select([kind == UNEXPLAINED, stays], [fell_from, self.fell_from[at]], np.nan)
        return Steps(amount, kind, before_ms, before)


def last_digits(rule: RegisterRule, watched: Indexes, world: World) -> Floats:
    """Smallest step of every register, (V,). Raises BadConfiguration where a metric is no register."""
    found = np.empty(len(watched))
    for position, series in enumerate(watched.tolist()):
        metric = world.metric(series)
        if metric is None or not metric.counter:
            device, name = world.registry.names[series]
            raise BadConfiguration(
                f"rule '{rule.id}' counts what a register adds, and '{name}' of device '{device}' is none: declare the "
                "metric with 'counter: true', or name a metric that is"
            )
        found[position] = rule.last_digit if rule.last_digit is not None else 10.0**-metric.decimals
    return found


def _replacements(rule: RegisterRule, watched: Indexes, world: World) -> Times:
    """(V, most of one series) times of declared replacements, ever later than all readings where there are fewer."""
    times: dict[str, list[int]] = {}
    for one in rule.replaced:
        if one.device not in world.catalogue.device:
            raise BadConfiguration(
                f"rule '{rule.id}' declares device '{one.device}' replaced, and there is none: correct 'replaced'"
            )
        times.setdefault(one.device, []).append(round(one.time.timestamp() * 1000))
    most = max((len(of) for of in times.values()), default=0)
    found = np.full((len(watched), most), np.iinfo(np.int64).max, np.int64)
    for position, series in enumerate(watched.tolist()):
        of = times.get(world.registry.names[series][0], [])
        found[position, : len(of)] = of
    return found


# --- the rule about the register itself ----------------------------------------------------------------------------


class CounterRule(RegisterRule):
    """A register that does what registers do not: limits are how many such steps it made within `window_s`."""

    type: Literal["counter"]
    shown: ClassVar[Shown | None] = Shown("Unexplained steps of the register", "读数异常跳变次数", "", 0)
    counts: Literal["unexplained", "falls"] = "unexplained"  # falls and leaps, or falls alone (a meter that runs back)
    window_s: float = Field(default=86_400.0, gt=0)


@dataclass(frozen=True, slots=True)
class Correction:
    """A step of a register that is not plain growth."""

    series: int
    time_ms: int
    from_value: float
    to_value: float
    kind: Growth


def counter_detector(rule: CounterRule, concerned: Indexes, world: World) -> CounterDetector:
    """How many steps of each register nothing explains."""
    return CounterDetector(rule, concerned, world)


class CounterDetector(RoundsDetector):
    """Counts steps that nothing explains, and keeps the last corrections of each register."""

    good_only = True

    def __init__(self, rule: CounterRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._registers = Registers(rule, concerned, world)
        self._window_ms = round(rule.window_s * 1000)
        self._counted = [UNEXPLAINED] if rule.counts == "falls" else [UNEXPLAINED, LEAP]
        shape = (len(concerned), _KEPT)
        self._time_ms = np.full(shape, UNSET_MS, np.int64)  # oldest first
        self._from, self._to = np.full(shape, np.nan), np.full(shape, np.nan)
        self._kind = np.zeros(shape, np.uint8)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        ledger = {"time_ms": self._time_ms, "from": self._from, "to": self._to, "kind": self._kind}
        return {**self._registers.columns, **ledger}

    def ledger(self) -> list[Correction]:
        """The last corrections of every register, in order of time."""
        found = [
            Correction(
                int(self.watched[v]),
                int(self._time_ms[v, k]),
                float(self._from[v, k]),
                float(self._to[v, k]),
                Growth(self._kind[v, k]),
            )
            for v, k in zip(*np.nonzero(self._time_ms != UNSET_MS), strict=True)
        ]
        return sorted(found, key=lambda one: (one.time_ms, one.series))

    def _step(self, now: Round) -> Floats:
        steps = self._registers.take(now)
        corrected = steps.kind > NORMAL
        at = now.at[corrected]
        for column, new in (
            (self._time_ms, now.time_ms),
            (self._from, steps.before),
            (self._to, now.value),
            (self._kind, steps.kind),
        ):
            column[at, :-1] = column[at, 1:]
            column[at, -1] = new[corrected]
        recent = self._time_ms[now.at] > (now.time_ms - self._window_ms)[:, None]  # (m, K)
        counted = recent & np.isin(self._kind[now.at], self._counted)
        count: Floats = counted.sum(axis=1).astype(np.float64)
        return count
