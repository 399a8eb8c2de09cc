"""One reading of a passage, as one rule sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """`signal` is what the rule's limits are about: the value, or what a detector makes of it."""

    rule: int
    series: int
    key: str | None
    time_ms: int
    value: float
    signal: float
    is_good: bool
