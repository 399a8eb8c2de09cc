"""Which alarm explains which: a gateway's loss explains that its devices are silent, a full manhole the one above it.

A rule names in `masked_by` the rules whose alarms explain its own, and along what they must be related. The catalogue says
what is related: which gateway reads a device, which place lies in which, where a manhole's water goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from alerts.alarm import Alarm
from alerts.rule import AnyRule, Cause
from telemetry.catalogue import Catalogue


class Causes:
    """The graph of rules, and what is related in one district."""

    def __init__(self, rules: Sequence[AnyRule], catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        known = {rule.id for rule in rules}
        self._of = {rule.id: tuple(c for c in rule.masked_by if c.rule in known) for rule in rules if rule.masked_by}
        self._children: dict[str, list[str]] = {}
        for child, causes in self._of.items():
            for cause in causes:
                self._children.setdefault(cause.rule, []).append(child)
        self.path = cache(self._path)
        self._downstream = cache(self._flows_through)

    def __bool__(self) -> bool:
        return bool(self._of)

    def parents(self, rule: str) -> list[str]:
        """Rules whose alarms may explain those of a rule."""
        return [cause.rule for cause in self._of.get(rule, ())]

    def children(self, rule: str) -> Sequence[str]:
        """Rules whose alarms those of a rule may explain."""
        return self._children.get(rule, ())

    def settle_ms(self, child: str, parent: str) -> int:
        """How long after the cause its effect gets to go away by itself."""
        return max(round(1000 * cause.settle_s) for cause in self._of[child] if cause.rule == parent)

    def explains(self, cause: Alarm, alarm: Alarm) -> bool:
        """Whether they are related as the rule asks."""
        return any(self._is_related(c, cause, alarm) for c in self._of.get(alarm.rule, ()) if c.rule == cause.rule)

    def _is_related(self, declared: Cause, cause: Alarm, alarm: Alarm) -> bool:
        if cause.site != alarm.site:
            return False
        match declared.along:
            case "site":
                return True
            case "gateway":
                return self._gateway(cause) == self._gateway(alarm)
            case "place":
                return (cause.key or cause.place) in self.path(alarm.place)
            case "downstream":
                return cause.place in self._downstream(alarm.place)

    def _gateway(self, alarm: Alarm) -> str:
        device = self._catalogue.device.get(alarm.device)
        return alarm.device if device is None else device.gateway

    def _path(self, place: str) -> frozenset[str]:
        """A place and everything around it."""
        known = place in self._catalogue.place
        return frozenset(step.id for step in self._catalogue.path_of(place)) if known else frozenset()

    def _flows_through(self, place: str) -> frozenset[str]:
        """Where the water of a place goes, all the way down."""
        found: set[str] = set()
        here = self._catalogue.place.get(place)
        while here is not None and here.drain is not None and here.drain.downstream is not None:
            if here.drain.downstream in found:
                break
            found.add(here.drain.downstream)
            here = self._catalogue.place.get(here.drain.downstream)
        return frozenset(found)


def find_cycle(rules: Sequence[AnyRule]) -> list[str]:
    """Rules that would explain each other in a circle, in its order; empty when there is none.

    A rule may explain itself downstream: water does not flow in circles, and the catalogue says where it goes.
    """
    of = {
        rule.id: [c.rule for c in rule.masked_by if not (c.rule == rule.id and c.along == "downstream")]
        for rule in rules
    }
    done: set[str] = set()
    for start in of:
        path: list[str] = []

        def visit(rule: str, path: list[str] = path) -> list[str]:
            if rule in path:
                return [*path[path.index(rule) :], rule]
            if rule in done:
                return []
            path.append(rule)
            for parent in of.get(rule, []):
                if found := visit(parent):
                    return found
            path.pop()
            done.add(rule)
            return []

        if found := visit(start):
            return found
    return []
