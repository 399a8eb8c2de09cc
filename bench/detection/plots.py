"""The plots of docs/detectors, for gates and drains: `python -m bench.detection.plots`.

Each shows drawn readings above and what the detector makes of them below, with the limit as a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from alerts.detectors.detector import Rows
from alerts.rules import DETECTORS, RuleFile
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.segments import group
from telemetry.series import SeriesRegistry

FOLDER = Path(__file__).parents[2] / "docs" / "detectors"
T0 = 1_735_516_800_000  # a Monday
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
METRICS = (("skin_temperature", "degC"), ("level", "m"), ("rain_rate", "mm/h"), ("volume", "L"))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A rule and readings for it: values by (device, metric), each with its times; the first is the one shown."""

    fields: dict[str, object]
    limit: float
    values: dict[tuple[str, str], tuple[Times, Floats]]
    since_ms: int = T0  # what is shown begins here


def _times(count: int, every_ms: float) -> Times:
    return T0 + np.round(np.arange(count) * every_ms).astype(np.int64)


def _people(rng: np.random.Generator, days: int, a_day: int) -> tuple[Times, Floats]:
    time_ms = np.concatenate([_times(a_day, 20_000) + day * DAY_MS for day in range(days)])
    return time_ms, rng.normal(36.4, 0.25, len(time_ms)).round(1)


def _fever(rng: np.random.Generator) -> Drawn:
    time_ms, value = _people(rng, 1, 400)
    value[150::50] = 38.2
    value[250:] -= 0.8
    return Drawn({"type": "fever"}, 37.3, {("a", "skin_temperature"): (time_ms, value)})


def _scanner(rng: np.random.Generator) -> Drawn:
    values = {}
    for device in "ab":
        time_ms, value = _people(rng, 6, 300)
        value += 0.02 * rng.normal(0, 1, len(value))
        value[5 * 300 :] += 0.5 * (device == "a")
        values[device, "skin_temperature"] = (time_ms, value)
    return Drawn({"type": "scanner-health"}, 0.3, values, T0 + 5 * DAY_MS)


def _cluster(rng: np.random.Generator) -> Drawn:
    time_ms, value = _people(rng, 1, 600)
    value[200:260:6] = 38.0
    value[450:] += 0.8
    return Drawn({"type": "fever-cluster"}, 3.0, {("a", "skin_temperature"): (time_ms, value)})


def _blockage(rng: np.random.Generator) -> Drawn:
    hours = np.arange(5 * 168 * 4) / 4
    level = 0.25 + 0.08 * np.sin(2 * np.pi * hours / 24) + rng.normal(0, 0.005, len(hours))
    rain = np.zeros(len(hours))
    wet = (hours > 4 * 168 + 30) & (hours < 4 * 168 + 36)
    rain[wet], level[wet] = 4.0, level[wet] + 0.4
    level[hours > 4 * 168 + 100] += 0.3
    time_ms = _times(len(hours), HOUR_MS / 4)
    return Drawn(
        {"type": "blockage"},
        1.0,
        {("a", "level"): (time_ms, level), ("gauge", "rain_rate"): (time_ms, rain)},
        T0 + 4 * 7 * DAY_MS,
    )


def _saturation(rng: np.random.Generator) -> Drawn:
    level = np.concatenate([np.full(40, 0.4), np.linspace(0.4, 2.0, 30), np.full(30, 2.0), np.linspace(2.0, 0.4, 30)])
    level = np.minimum(level + rng.normal(0, 0.01, len(level)) * (level < 2.0), 2.0)
    return Drawn(
        {"type": "saturation", "mode": "overflow", "top": 2.0},
        5.0,
        {("a", "level"): (_times(len(level), MINUTE_MS), level)},
    )


def _pair(rng: np.random.Generator) -> Drawn:
    steps = np.arange(900)
    down = 0.3 + 0.1 * np.sin(steps / 46) + rng.normal(0, 0.01, 900) + 0.5 * ((steps > 600) & (steps < 640))
    up = 0.1 + 0.8 * (down - 0.3) + rng.normal(0, 0.01, 900) + 0.3 * (steps > 800)
    time_ms = _times(900, 5 * MINUTE_MS)
    return Drawn({"type": "pair"}, 4.0, {("a", "level"): (time_ms + 1, up), ("b", "level"): (time_ms, down)})


def _siltation(rng: np.random.Generator) -> Drawn:
    hours = np.arange(60 * 48) / 2
    wet = (hours // 24) % 6 == 0
    level = 0.1 + 0.05 * (hours % 24 > 5) + rng.normal(0, 0.004, len(hours)) + 0.3 * wet
    level += 0.01 / 7 * np.maximum(hours / 24 - 20, 0)
    time_ms = _times(len(hours), HOUR_MS / 2)
    return Drawn(
        {"type": "siltation"},
        0.03,
        {("a", "level"): (time_ms, level), ("gauge", "rain_rate"): (time_ms, 5.0 * wet)},
    )


def _night(rng: np.random.Generator) -> Drawn:
    quarters = np.arange(25 * 96)
    use = rng.integers(0, 30, len(quarters)) * (quarters % 96 >= 24) + rng.integers(0, 2, len(quarters))
    use = use + 5 * (quarters > 21 * 96)
    volume = np.cumsum(use).astype(np.float64)
    return Drawn(
        {"type": "night-minimum", "least": 24, "last_digit": 1},
        100.0,
        {("a", "volume"): (_times(len(quarters), 15 * MINUTE_MS), volume)},
    )


PLOTS: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "fever": _fever,
    "scanner-health": _scanner,
    "fever-cluster": _cluster,
    "blockage": _blockage,
    "saturation": _saturation,
    "pair": _pair,
    "siltation": _siltation,
    "night-minimum": _night,
}


def main() -> None:
    """Draw all of them."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "gatehouse"
    from matplotlib import pyplot as plt

    for name, draw in PLOTS.items():
        drawn = draw(np.random.default_rng(7))
        (_, metric), (time_ms, value) = next(iter(drawn.values.items()))
        told_ms, signal = signals(drawn)
        unit_ms, unit = (DAY_MS, "days") if time_ms[-1] - drawn.since_ms > 2 * DAY_MS else (HOUR_MS, "hours")
        shown, told = time_ms >= drawn.since_ms, told_ms >= drawn.since_ms
        figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 3.2), sharex=True, layout="constrained")
        above.plot((time_ms[shown] - drawn.since_ms) / unit_ms, value[shown], linewidth=0.6, color="0.3")
        above.set_ylabel(metric)
        below.plot((told_ms[told] - drawn.since_ms) / unit_ms, signal[told], linewidth=0.8, color="C3")
        below.axhline(drawn.limit, linewidth=0.8, linestyle="--", color="0.5")
        below.set_ylabel("signal")
        below.set_xlabel(unit)
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def signals(drawn: Drawn) -> tuple[Times, Floats]:
    """(times, signals) of the first series."""
    names = list(drawn.values)
    metric = names[0][1]
    rule = {"id": "rule", "class": "x", "name": "Rule", "metric": metric, **drawn.fields}
    rule["levels"] = [{"severity": "low", "at_least": drawn.limit}]
    (made,) = RuleFile.model_validate({"rules": [rule]}).rules
    concerned = np.flatnonzero([one[1] == metric for one in names]) if made.type == "scanner-health" else np.array([0])
    detector = DETECTORS[type(made)](made, concerned, _world(names))  # type: ignore[index]
    rows = _rows([drawn.values[name] for name in names])
    said = detector.push(rows)
    of_first = rows.series[said.row] == 0
    value = said.value
    if said.ends_only is not None:  # as the limit sees it
        value = np.where(said.ends_only, np.minimum(value, np.nextafter(drawn.limit, -np.inf)), value)
    return rows.time_ms[said.row][of_first], value[of_first]


def _rows(of: list[tuple[Times, Floats]]) -> Rows:
    series: Indexes = np.repeat(np.arange(len(of)), [len(times) for times, _ in of])
    time_ms, value = (np.concatenate([one[n] for one in of]) for n in (0, 1))
    # Of one moment the others come first, as they would be known.
    arrived = np.lexsort([-series, time_ms])
    arrival = np.empty(len(series), np.intp)
    arrival[arrived] = np.arange(len(series))
    first = np.zeros(len(series), np.bool_)
    first[group(series).start] = True
    return Rows(
        series, time_ms.astype(np.int64), value.astype(np.float64), np.ones(len(series), np.bool_), arrival, first
    )


def _world(names: list[tuple[str, str]]) -> World:
    metrics = [{"id": name, "name": name, "unit": unit, "counter": name == "volume"} for name, unit in METRICS]
    drain = {"depth_m": 2.0, "crown_m": 0.5}
    file = CatalogueFile.model_validate(
        {
            "sites": [{"id": "site", "name": "Site", "timezone": "UTC"}],
            "kinds": [{"id": "device", "name": "Device", "metrics": metrics}],
            "gateways": [{"id": "gateway", "name": "Gateway", "site": "site"}],
            "places": [
                {"id": "gate", "name": "Gate", "kind": "gate", "site": "site"},
                {
                    "id": "at-a",
                    "name": "A",
                    "kind": "place",
                    "parent": "gate",
                    "drain": {**drain, "downstream": "at-b"},
                },
                {"id": "at-b", "name": "B", "kind": "place", "parent": "gate", "drain": drain},
                {"id": "at-gauge", "name": "Gauge", "kind": "place", "parent": "gate"},
            ],
            "devices": [
                {"id": one, "kind": "device", "place": f"at-{one}", "gateway": "gateway"}
                for one in sorted({device for device, _ in names})
            ],
        }
    )
    catalogue = Catalogue(**{part: getattr(file, part) for part in CatalogueFile.model_fields})
    return World(catalogue, SeriesRegistry(names))


if __name__ == "__main__":
    main()
