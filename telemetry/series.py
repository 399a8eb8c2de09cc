"""The dense index of every series: small integers that arrays are indexed by, the same after every restart.

An index is given once and never reused: a device that leaves the catalogue keeps its numbers, a new one gets the next.
The registry lives in the journal's state, beside the records that speak in its numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from telemetry.batch import SeriesIndexes
from telemetry.catalogue import Catalogue
from telemetry.journal import Journal

UNKNOWN = np.uint32(0xFFFF_FFFF)
ONLINE = "online"  # the metric the core itself keeps for every gateway
_PREFIX = "series/"


class SeriesRegistry:
    """(device, metric) ⇄ index. Axis: S series."""

    def __init__(self, names: Iterable[tuple[str, str]] = ()) -> None:
        self.names: list[tuple[str, str]] = list(names)
        self.index: dict[tuple[str, str], int] = {name: i for i, name in enumerate(self.names)}

    @classmethod
    def open(cls, journal: Journal, catalogue: Catalogue) -> SeriesRegistry:
        """The registry of a journal, grown by what the catalogue has new."""
        stored = sorted((int(k.removeprefix(_PREFIX)), v.decode()) for k, v in journal.state(_PREFIX).items())
        registry = cls(_split(line) for _, line in stored)
        wanted = list(catalogue.metric)
        wanted += [(gateway.id, ONLINE) for gateway in catalogue.gateways]
        new = [name for name in wanted if name not in registry.index]
        if new:
            start = len(registry.names)
            journal.set_state({f"{_PREFIX}{start + i:08d}": "/".join(name).encode() for i, name in enumerate(new)})
            registry = cls([*registry.names, *new])
        return registry

    def __len__(self) -> int:
        return len(self.names)

    def look_up(self, names: str) -> SeriesIndexes:
        """Indexes of "device/metric" lines; UNKNOWN where the registry has none."""
        get = self.index.get
        found = [get(_split(line)) for line in names.split("\n")]
        return np.array([UNKNOWN if i is None else i for i in found], np.uint32)


def _split(line: str) -> tuple[str, str]:
    device, _, metric = line.partition("/")
    return device, metric
