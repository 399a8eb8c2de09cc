"""A drain network as it stands: what runs into what, how high the water is, when it overflows, what explains what.

Levels are metres above each manhole's own invert, as measured; inverts are metres above the site's datum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alerts.detectors.trend import minutes_until, trend
from ingest.history.history import Aggregate, HistoryReader
from telemetry.catalogue import Catalogue, Device, Drain, Place

LEVEL, RAIN = "level", "rain_rate"
"""The metrics that a drain is about: metres above the invert, and mm/h."""
OVERFLOW = 0.97
"""Share of the depth from which water stands in the road (reference: drain rule D1)."""
_SENSOR = "sensor"


@dataclass(frozen=True, slots=True)
class Node:
    """A manhole or outfall, with the device that measures its level, if there is one."""

    place: Place
    drain: Drain
    device: Device | None


@dataclass(frozen=True, slots=True)
class Network:
    """Nodes in the order of the flow: each stands before the one it runs into."""

    place: Place
    site: str
    nodes: tuple[Node, ...]
    gauge: Device | None  # the site's first rain gauge


def networks(catalogue: Catalogue) -> dict[str, Network]:
    """Every place below which there are drains, by id."""
    level = {device.place: device for device in catalogue.devices if (device.id, LEVEL) in catalogue.metric}
    gauges: dict[str, Device] = {}
    for device in catalogue.devices:
        if (device.id, RAIN) in catalogue.metric:
            gauges.setdefault(catalogue.site_of(device.id), device)
    of: dict[str, list[Node]] = {}
    for place in catalogue.places:
        if place.drain is not None and place.parent is not None:
            of.setdefault(place.parent, []).append(Node(place, place.drain, level.get(place.id)))
    found = {}
    for name, nodes in of.items():
        site = catalogue.site_of_place(name)
        found[name] = Network(catalogue.place[name], site, _in_order(nodes), gauges.get(site))
    return found


def _in_order(nodes: Sequence[Node]) -> tuple[Node, ...]:
    by_id = {node.place.id: node for node in nodes}

    def steps_to_end(node: Node) -> int:
        steps, here = 0, node.drain.downstream
        while here in by_id:
            steps, here = steps + 1, by_id[here].drain.downstream
        return steps

    return tuple(sorted(nodes, key=lambda node: -steps_to_end(node)))


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Minutes from `at_ms` until a level reaches its limit, with a band; None where there is no end to the band.

    Infinitely many where it does not rise, or so slowly that no clock time could be told.
    """

    minutes: float
    low: float | None
    high: float | None
    at_ms: int


def foresee(
    history: HistoryReader, device: Device, rule: dict[str, Any], depth_m: float, now_ms: int
) -> Foreseen | None:
    """What the forecast rule's own detector says of the newest readings; None while they are too few to say anything.

    Args:
        rule: A forecast rule as it is in force. Raises Unavailable.
    """
    span_min_ms, span_max_ms = 1000 * float(rule["span_min_s"]), 1000 * float(rule["span_max_s"])
    curve = history.read(device.kind, device.id, LEVEL, now_ms - round(span_max_ms), now_ms + 1, None, Aggregate.MEAN)
    usable = curve.quality < 2
    time_ms, value = curve.time_ms[usable], curve.value[usable]
    n = int(rule["window_readings"])
    if len(time_ms) < n or not span_min_ms <= time_ms[-1] - time_ms[-n] <= span_max_ms:
        return None
    target = float(rule["target"]) * (depth_m if rule["relative_to"] == "depth" else 1.0)
    seen = trend(time_ms[None, -n:], value[None, -n:])
    minutes, low, high = (float(each[0]) for each in minutes_until(seen, np.array([target])))
    if not minutes <= FORESEEN_MAX_MIN:
        return Foreseen(np.inf, None, None, int(time_ms[-1]))
    return Foreseen(minutes, low, high if np.isfinite(high) else None, int(time_ms[-1]))


@dataclass(frozen=True, slots=True)
class Card:
    """An alarm that nothing explains, and what it explains."""

    cause: dict[str, Any]
    consequences: tuple[tuple[dict[str, Any], str], ...]  # each with why: rule, same-place or backs-up


def cards(network: Network, alarms: Sequence[dict[str, Any]], level_m: dict[str, float]) -> list[Card]:
    """One card a cause, the worst first, with its consequences folded under it.

    An alarm is a consequence where the rules say so (it is masked by its cause); else of the worst about water at the same
    manhole; and that again of the manhole downstream, while the water there stands as high as the bottom here, so that the
    one backs up into the other. A sensor's fault is never folded under water: it says that we do not see.

    Args:
        alarms: Open ones, as they are shown.
        level_m: By place, where it is known.
    """
    ranked = sorted(alarms, key=lambda alarm: (-_RANK[alarm["severity"]], alarm["onset_ms"], alarm["id"]))
    by_id = {alarm["id"]: alarm for alarm in ranked}
    parent: dict[str, tuple[str, str]] = {}
    for alarm in ranked:
        told = [mask["id"] for mask in alarm["masks"] if mask["kind"] == "cause" and mask["id"] in by_id]
        if told:
            parent[alarm["id"]] = told[0], "rule"
    worst: dict[str, str] = {}  # of a place, what is about water and not explained yet
    for alarm in ranked:
        if alarm["class"] == _SENSOR or alarm["device"] not in _measuring(network) or alarm["id"] in parent:
            continue
        if alarm["place"] in worst:
            parent[alarm["id"]] = worst[alarm["place"]], "same-place"
        else:
            worst[alarm["place"]] = alarm["id"]
    for node in network.nodes:
        below = node.drain.downstream
        if node.place.id in worst and below in worst and _backs_up(network, node, level_m):
            parent[worst[node.place.id]] = worst[below], "backs-up"
    found: dict[str, list[tuple[dict[str, Any], str]]] = {
        alarm["id"]: [] for alarm in ranked if alarm["id"] not in parent
    }
    for alarm in ranked:
        if alarm["id"] not in parent:
            continue
        root, seen = alarm["id"], set[str]()
        while root in parent and root not in seen:
            seen.add(root)
            root = parent[root][0]
        found.setdefault(root, []).append((alarm, parent[alarm["id"]][1]))
    made = [Card(by_id[name], tuple(folded)) for name, folded in found.items()]
    return sorted(made, key=lambda card: -max(_RANK[each["severity"]] for each in _all(card)))


_RANK = {"low": 0, "medium": 1, "high": 2, "critical": 3}
FORESEEN_MAX_MIN = 24 * 60.0
"""A rise that needs longer is none that a clock time could be told for."""


def _all(card: Card) -> list[dict[str, Any]]:
    return [card.cause, *(alarm for alarm, _ in card.consequences)]


def _measuring(network: Network) -> set[str]:
    return {node.device.id for node in network.nodes if node.device is not None}


def _backs_up(network: Network, node: Node, level_m: dict[str, float]) -> bool:
    below = next((each for each in network.nodes if each.place.id == node.drain.downstream), None)
    if below is None or below.place.id not in level_m:
        return False
    return below.drain.invert_m + level_m[below.place.id] >= node.drain.invert_m
