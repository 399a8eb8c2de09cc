"""What a device measures: a function of time. Physics is whoever's gives it; a file can declare the simplest.

Names and units are those of the catalogue: energy [kWh], power [W], voltage [V], current [A], volume [m³], level [m].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, PositiveFloat

Quantities: TypeAlias = Callable[[int], Mapping[str, float]]
"""The quantities by name at a time [epoch ms]."""

_HOUR_MS = 3_600_000


class Course(BaseModel):
    """How one quantity goes on from its value at the start; seconds count from there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    per_hour: float = 0.0
    swing: float = 0.0  # half of the way between the ends of a sine
    period_s: PositiveFloat = 86_400.0

    def at(self, elapsed_ms: int) -> float:
        """The value so long after the start."""
        wave = self.swing * math.sin(2 * math.pi * elapsed_ms / 1000 / self.period_s)
        return self.start + self.per_hour * elapsed_ms / _HOUR_MS + wave


def declared(courses: Mapping[str, Course | float], start_ms: int) -> Quantities:
    """Quantities that go on as they are declared from `start_ms` on; a bare number stays."""

    def at(now_ms: int) -> Mapping[str, float]:
        return {
            name: course.at(now_ms - start_ms) if isinstance(course, Course) else course
            for name, course in courses.items()
        }

    return at
