"""What rules may ask about the district when they are laid out: which series belong together, and where they are.

Axis: S series.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

import numpy as np

from alerts.rule import Level, LevelledRule
from telemetry.batch import Floats, Indexes
from telemetry.catalogue import Catalogue, Device, Metric, Place
from telemetry.errors import BadConfiguration
from telemetry.series import ONLINE, SeriesRegistry


class Scaled(Protocol):
    """A rule whose limits may be fractions of something."""

    @property
    def id(self) -> str: ...

    @property
    def relative_to(self) -> str | None: ...


class World:
    """The catalogue and the numbers of its series."""

    def __init__(self, catalogue: Catalogue, registry: SeriesRegistry) -> None:
        self.catalogue = catalogue
        self.registry = registry

    @property
    def series_count(self) -> int:
        """S."""
        return len(self.registry)

    def device(self, series: int) -> Device | None:
        """Whose series it is; None for a gateway's own or a device that the catalogue no longer has."""
        return self.catalogue.device.get(self.registry.names[series][0])

    def place(self, series: int) -> Place | None:
        """Where the device of a series stands."""
        device = self.device(series)
        return None if device is None else self.catalogue.place[device.place]

    def metric(self, series: int) -> Metric | None:
        """What is measured; None for a gateway's own or what the catalogue no longer has."""
        return self.catalogue.metric.get(self.registry.names[series])

    def levels(self, rule: LevelledRule, series: int) -> tuple[Level, ...]:
        """The limits that a rule has at a series."""
        device = self.device(series)
        return rule.levels if device is None else rule.levels_at(device.id, self.catalogue.path_of(device.place))

    def lowest_limits(self, rule: LevelledRule, concerned: Indexes) -> Floats:
        """The smallest limit that a rule has at each of some series, whichever way it points, (V,)."""
        found = [min(abs(level.limit) for level in self.levels(rule, series)) for series in concerned.tolist()]
        return np.array(found, np.float64)

    def zone(self, series: int) -> str:
        """The time zone of the site where it is measured; UTC where that is unknown."""
        device = self.device(series)
        return "UTC" if device is None else self.catalogue.site[self.catalogue.site_of(device.id)].timezone

    def peers(self, series: Indexes) -> list[Indexes]:
        """Of each, the others of these at the same site."""
        site = [None if d is None else self.catalogue.site_of(d.id) for d in map(self.device, series.tolist())]
        return [
            np.array([s for s, of in zip(series.tolist(), site, strict=True) if of == mine and s != one], np.intp)
            for one, mine in zip(series.tolist(), site, strict=True)
        ]

    def neighbours(self, series: Indexes) -> list[Indexes]:
        """Of each, the others of these whose places hang on the same place: the lanes of a gate."""
        # A place that hangs on none is a gate of its own.
        parent = [None if p is None else p.parent or p.id for p in map(self.place, series.tolist())]
        return [
            np.array([s for s, of in zip(series.tolist(), parent, strict=True) if of == mine and s != one], np.intp)
            for one, mine in zip(series.tolist(), parent, strict=True)
        ]

    def downstream(self, series: Indexes) -> Indexes:
        """The series of the same metric at the next place along the flow that has one, (V,); -1 where none has."""
        at_place: dict[tuple[str, str], int] = {}
        for device in self.catalogue.devices:
            for metric in self.catalogue.kind[device.kind].metrics:
                found = self.registry.index.get((device.id, metric.id))
                if found is not None:
                    at_place.setdefault((device.place, metric.id), found)
        return np.array([self._downstream(one, at_place) for one in series.tolist()], np.intp)

    def _downstream(self, series: int, at_place: Mapping[tuple[str, str], int]) -> int:
        here, metric = self.place(series), self.registry.names[series][1]
        while here is not None and here.drain is not None and here.drain.downstream is not None:
            here = self.catalogue.place[here.drain.downstream]
            if (here.id, metric) in at_place:
                return at_place[here.id, metric]
        return -1

    def beside(self, series: Indexes, metric: str) -> Indexes:
        """The series of another metric of the same devices, (V,); -1 where a device has none."""
        names, index = self.registry.names, self.registry.index
        return np.array([index.get((names[s][0], metric), -1) for s in series.tolist()], np.intp)

    def at_site(self, series: Indexes, metric: str) -> Indexes:
        """The first series of a metric at the site of each, (V,); -1 where the site has none."""
        first: dict[str, int] = {}
        for device in self.catalogue.devices:
            found = self.registry.index.get((device.id, metric))
            if found is not None:
                first.setdefault(self.catalogue.site_of(device.id), found)
        sites = [None if (d := self.device(s)) is None else self.catalogue.site_of(d.id) for s in series.tolist()]
        return np.array([-1 if site is None else first.get(site, -1) for site in sites], np.intp)

    @cached_property
    def depth(self) -> Floats:
        """(S,) depth of the manhole [m]; NaN where there is none."""
        found = np.full(self.series_count, np.nan)
        for series in range(self.series_count):
            place = self.place(series)
            if place is not None and place.drain is not None:
                found[series] = place.drain.depth_m
        return found

    @cached_property
    def crown_or_half(self) -> Floats:
        """(S,) the higher of the outgoing pipe's crown and half of the depth [m]; NaN where there is no manhole."""
        found = self.depth / 2
        for series in np.flatnonzero(~np.isnan(found)).tolist():
            place = self.place(series)
            if place is not None and place.drain is not None:
                found[series] = max(found[series], place.drain.crown_m)
        return found

    def scales(self, rule: Scaled, concerned: Indexes) -> Floats:
        """(S,) what a rule's limits are fractions of; 1 where they are not. Raises BadConfiguration where it is unknown."""
        if rule.relative_to is None:
            return np.ones(self.series_count)
        for series in concerned.tolist():
            if np.isnan(self.depth[series]):
                raise BadConfiguration(
                    f"rule '{rule.id}' is relative to the drain's depth, and the place of device "
                    f"'{self.registry.names[series][0]}' declares no 'drain': declare it, or narrow the rule with "
                    "'kinds' or 'devices'"
                )
        return self.crown_or_half if rule.relative_to == "crown-or-half" else self.depth

    @cached_property
    def gateway_online(self) -> Indexes:
        """(S,) the series that says whether the gateway of a series is online; -1 for none."""
        found = np.full(self.series_count, -1)
        for series in range(self.series_count):
            device = self.device(series)
            if device is not None:
                found[series] = self.registry.index[device.gateway, ONLINE]
        return found
