"""What to ask and when, without I/O: points merged into requests, units taken in turn, dead ones asked rarely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.drivers.modbus_tcp.codec import Function, decode_value
from gateway.drivers.modbus_tcp.settings import Point


@dataclass(frozen=True, slots=True)
class Span:
    """Registers read with one request, and the points in them."""

    function: Function
    address: int
    count: int
    points: tuple[Point, ...]

    @property
    def has_gaps(self) -> bool:
        """Whether registers that nobody wants are read too."""
        wanted = {point.address + i for point in self.points for i in range(point.register_count)}
        return len(wanted) < self.count


def plan(points: Sequence[Point], gap_max: int, registers_max: int) -> tuple[Span, ...]:
    """The fewest requests in address order that skip at most `gap_max` registers and hold at most `registers_max`."""
    spans: list[Span] = []
    for function in (Function.HOLDING, Function.INPUT):
        members = sorted((p for p in points if Function[p.function.upper()] is function), key=lambda p: p.address)
        for point in members:
            end = point.address + point.register_count
            if spans and spans[-1].function is function:
                before = spans[-1]
                before_end = before.address + before.count
                count = max(before_end, end) - before.address
                if point.address - before_end <= gap_max and count <= registers_max:
                    spans[-1] = Span(function, before.address, count, (*before.points, point))
                    continue
            spans.append(Span(function, point.address, point.register_count, (point,)))
    return tuple(spans)


def measure(point: Point, span: Span, registers: Sequence[int]) -> float | None:
    """A point's value out of its span's registers; None when the device says that there is no measurement."""
    first = point.address - span.address
    words = registers[first : first + point.register_count]
    raw = decode_value(words, point.type, point.word_order == "low-first")
    if raw is None or raw in point.invalid:
        return None
    value = raw * point.scale + point.offset
    return value if math.isfinite(value) else None


class Schedule:
    """When each of U units is asked next. Units keep their rhythm; one that fails is asked ever more rarely."""

    def __init__(self, unit_count: int, every_s: float, backoff_max_s: float, start_s: float) -> None:
        self._every_s = every_s
        self._backoff_max_s = max(every_s, backoff_max_s)
        # Spread over the interval, so that a long line does not come in one burst.
        self._due_s = [start_s + every_s * i / unit_count for i in range(unit_count)]
        self._failures = [0] * unit_count

    def next(self, now_s: float) -> tuple[int, float]:
        """The unit to ask next and how long to wait for it [s]."""
        due_s, unit = min((due_s, unit) for unit, due_s in enumerate(self._due_s))
        return unit, max(0.0, due_s - now_s)

    def answered(self, unit: int, now_s: float) -> None:
        self._failures[unit] = 0
        behind = max(0.0, now_s - self._due_s[unit])
        self._due_s[unit] += self._every_s * (1 + math.floor(behind / self._every_s))  # missed turns are not made up

    def failed(self, unit: int, now_s: float) -> None:
        self._failures[unit] += 1
        pause_s = min(self._every_s * 2.0 ** min(self._failures[unit], 30), self._backoff_max_s)
        self._due_s[unit] = now_s + pause_s
