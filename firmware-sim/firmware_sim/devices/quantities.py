"""What a device measures: a function of time, which the physics gives.

Names and units are those of the catalogue: energy [kWh], power [W], voltage [V], current [A], volume [m³], level [m].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Quantities: TypeAlias = Callable[[int], Mapping[str, float]]
"""The quantities by name at a time [epoch ms]."""
