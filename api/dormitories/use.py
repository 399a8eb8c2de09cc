"""What a register counted in each stretch of time, in whole digits.

Growth is spread evenly over the time from one reading to the next and summed up to the edges of the stretches, so that what
two neighbours get always adds up to what the register grew. Over a longer pause the part is marked as estimated. Steps are of
the kinds that the alarms' ledger knows (`alerts.detectors.registers`); here two kinds more are known:

    REPLACED   with the last register of the old meter and the first of the new one: what both counted
    RETURNED   back where it was before a fall: what it grew beyond

LEAP and UNEXPLAINED, and REPLACED without registers, add nothing: they are listed, for a person to decide.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from alerts.detectors.registers import Growth

PAUSE_MS = 2 * 3_600_000  # readings further apart say nothing of when between them it was
_JITTER = 2  # last digits that a register may fall by and has not moved
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A meter was exchanged; registers in digits, where somebody read them off."""

    time_ms: int
    old_last: int | None = None
    new_first: int | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """How a register behaves, in digits."""

    modulus: int | None = None
    most_per_h: Fraction | None = None
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """A step that is not plain growth."""

    time_ms: int
    kind: Growth
    before: int
    after: int
    digits: int | None  # what it was counted as; None where nobody can know, and nothing is


@dataclass(frozen=True, slots=True)
class Use:
    """What was counted between the edges. Axis: one entry for each stretch."""

    digits: tuple[int, ...]
    estimated: tuple[int, ...]  # of `digits`
    breaks: tuple[Break, ...]
    is_whole: bool  # readings reach to the first and to the last edge
    heard: tuple[bool, ...]  # whether there is a reading in the stretch


def used(readings: Iterable[tuple[int, int]], edges: Sequence[int], register: Register) -> Use:
    """What a register counted.

    Args:
        readings: (epoch ms, digits) in any order; of several at one instant the highest counts.
        edges: Epoch ms, ascending; the stretches lie between them.
    """
    ordered = sorted(dict(sorted(readings)).items())
    digits, estimated = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    breaks: list[Break] = []
    fell_from: int | None = None
    for (start_ms, before), (end_ms, after) in _steps(ordered):
        kind, grown = _judge(before, after, fell_from, start_ms, end_ms, register)
        if kind is Growth.UNEXPLAINED:
            fell_from = before if fell_from is None else max(before, fell_from)
        elif kind is not Growth.JITTER and not (kind is Growth.NORMAL and after - before <= _JITTER):
            fell_from = None
        is_inside = edges[0] < end_ms and start_ms < edges[-1]
        if kind not in (Growth.NORMAL, Growth.JITTER) and is_inside:
            breaks.append(Break(end_ms, kind, before, after, grown))
        if grown and is_inside:
            _spread(grown, start_ms, end_ms, edges, digits, estimated)
    is_whole = bool(ordered) and ordered[0][0] <= edges[0] and ordered[-1][0] >= edges[-1]
    heard = [False] * len(digits)
    for time_ms, _ in ordered:
        if edges[0] < time_ms <= edges[-1]:
            heard[bisect_left(edges, time_ms) - 1] = True
    return Use(tuple(digits), tuple(estimated), tuple(breaks), is_whole, tuple(heard))


def _steps(ordered: Sequence[tuple[int, int]]) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Each reading with the one that it is counted from: of a register that jitters downwards its highest."""
    before: tuple[int, int] | None = None
    for time_ms, value in ordered:
        if before is None:
            before = (time_ms, value)
            continue
        yield before, (time_ms, value)
        before = (time_ms, before[1] if before[1] - _JITTER <= value < before[1] else value)


def _judge(
    before: int, after: int, fell_from: int | None, start_ms: int, end_ms: int, register: Register
) -> tuple[Growth, int | None]:
    """What a step is, and what it adds; None where that is unknown."""
    most = None if register.most_per_h is None else _most(register.most_per_h, end_ms - start_ms)
    fits = most is None or after - before <= most
    exchanged = [each for each in register.exchanges if start_ms < each.time_ms <= end_ms]
    if exchanged:
        counted = _over_exchanges(before, after, exchanged)
        return Growth.REPLACED, counted if counted is None or most is None or counted <= most else None
    if fell_from is not None and after - before > _JITTER and after >= fell_from - _JITTER:
        beyond = max(after - fell_from, 0)
        return Growth.RETURNED, beyond if most is None or beyond <= most else None
    if after >= before:
        return (Growth.NORMAL, after - before) if fits else (Growth.LEAP, None)
    if before - after <= _JITTER:
        return Growth.JITTER, 0
    if register.modulus is not None and most is not None:
        through_zero = after + register.modulus - before
        if 10 * before > 9 * register.modulus and 0 <= through_zero <= most:
            return Growth.ROLLOVER, through_zero
    return Growth.UNEXPLAINED, None


def _most(per_h: Fraction, time_ms: int) -> int:
    """Digits that fit into a time, rounded; in whole numbers, for a fraction at each step is most of a month's cost."""
    return (2 * per_h.numerator * time_ms + per_h.denominator * _HOUR_MS) // (2 * per_h.denominator * _HOUR_MS)


def _over_exchanges(before: int, after: int, exchanges: Sequence[Exchange]) -> int | None:
    """What all meters counted together; None where one of them was not read off, or shows less than it had."""
    grown = 0
    for exchange in sorted(exchanges, key=lambda each: each.time_ms):
        if exchange.old_last is None or exchange.new_first is None or exchange.old_last < before:
            return None
        grown += exchange.old_last - before
        before = exchange.new_first
    return grown + after - before if after >= before else None


def _spread(
    grown: int, start_ms: int, end_ms: int, edges: Sequence[int], digits: list[int], estimated: list[int]
) -> None:
    """Put a step's growth into the stretches that it lies in."""
    is_pause = end_ms - start_ms > PAUSE_MS

    def by(edge: int) -> int:
        return grown * (min(max(edge, start_ms), end_ms) - start_ms) // (end_ms - start_ms)

    at = max(bisect_left(edges, start_ms) - 1, 0)
    while at < len(digits) and edges[at] < end_ms:
        part = by(edges[at + 1]) - by(edges[at])
        digits[at] += part
        estimated[at] += part if is_pause else 0
        at += 1
