"""The plots of docs/detectors, for dormitory and general detectors: `python -m bench.detection.plots_dormitory`.

Each shows drawn readings above and what the detector makes of them below, with the lowest limit as a line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from alerts.detectors.detector import Rows
from bench.detection.replay import program
from telemetry.batch import Floats
from telemetry.segments import group

FOLDER = Path(__file__).parents[2] / "docs" / "detectors"
T0 = 1_735_516_800_000  # a Monday
METRICS: list[dict[str, Any]] = [
    {"id": "power", "name": "Power", "unit": "W"},
    {"id": "volume", "name": "Volume", "unit": "L", "decimals": 0, "counter": True},
]
Drawn = tuple[dict[str, Any], float, dict[str, Floats], float]  # rule, minutes a reading, values, limit


def _counter(_: np.random.Generator) -> Drawn:
    value = np.cumsum(np.full(60, 3.0)) + 9000
    value[30:] -= 8000
    return {"type": "counter"}, 60, {"volume": value}, 1


def _flow(rng: np.random.Generator) -> Drawn:
    use = rng.integers(0, 40, 96) * (rng.random(96) < 0.5)
    use[30:80] += 6
    return {"type": "continuous-flow"}, 60, {"volume": np.cumsum(use).astype(float)}, 1


def _burst(rng: np.random.Generator) -> Drawn:
    use = rng.integers(0, 10, 120).astype(float)
    use[60:95] += 25
    return {"type": "burst"}, 1, {"volume": np.cumsum(use)}, 900


def _load(rng: np.random.Generator) -> Drawn:
    power = 120 + rng.normal(0, 5, 120)
    power[20] += 600
    power[50:80] += 1500
    return {"type": "forbidden-load"}, 1 / 6, {"power": power}, 1


def _baseline(rng: np.random.Generator) -> Drawn:
    hour = np.arange(24 * 42)
    power = 200 + 150 * np.sin(2 * np.pi * hour / 24) + rng.normal(0, 12, len(hour))
    power[24 * 38 : 24 * 38 + 4] += 250
    return {"type": "baseline", "least": 5}, 60, {"power": power}, 5


def _flatline(rng: np.random.Generator) -> Drawn:
    power = 100 + np.cumsum(rng.normal(0, 1, 120))
    power[50:90] = power[50]
    return {"type": "flatline"}, 15, {"power": power}, 240


def _spike(rng: np.random.Generator) -> Drawn:
    power = 100 + np.cumsum(rng.normal(0, 1, 120))
    power[60] += 15
    power[90:93] -= 18
    return {"type": "spike", "least": 0.5, "back_readings": 4}, 15, {"power": power}, 8


def _robust(rng: np.random.Generator) -> Drawn:
    power = 100 + rng.normal(0, 2, 250)
    power[150:154] += 20
    power[200:] += 12
    return {"type": "robust-z", "least": 0.5}, 15, {"power": power}, 5


def _drift(rng: np.random.Generator) -> Drawn:
    power = 100 + rng.normal(0, 2, 250)
    power[150:] += np.linspace(0, 5, 100)
    return {"type": "drift", "least": 0.5}, 15, {"power": power}, 5


def _stuck(_: np.random.Generator) -> Drawn:
    use = np.full(96, 2.0)
    use[30:80] = 0
    return (
        {"type": "stuck", "while_metric": "power", "above": 20},
        60,
        {"power": np.full(96, 300.0), "volume": np.cumsum(use)},
        24,
    )


PLOTS: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "counter": _counter,
    "continuous-flow": _flow,
    "burst": _burst,
    "forbidden-load": _load,
    "baseline": _baseline,
    "flatline": _flatline,
    "spike": _spike,
    "robust-z": _robust,
    "drift": _drift,
    "stuck": _stuck,
}


def main() -> None:
    """Draw all of them."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "gatehouse"
    from matplotlib import pyplot as plt

    for name, draw in PLOTS.items():
        fields, minutes, values, limit = draw(np.random.default_rng(7))
        metric = "volume" if "volume" in values else "power"
        rule = {"id": "rule", "class": "x", "name": "Rule", "metric": metric, **fields}
        rule["levels"] = [{"severity": "low", "at_least": limit}]
        made = program(["device"], METRICS, [rule])
        hours, signal = _signals(made.detectors[0].make().push, minutes, values)
        figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 3.2), sharex=True, layout="constrained")
        above.plot(np.arange(len(values[metric])) * minutes / 60, values[metric], linewidth=0.8, color="0.3")
        above.set_ylabel(metric)
        below.plot(hours, signal, linewidth=1.0, color="C3", marker=".", markersize=2)
        below.axhline(limit, linewidth=0.8, linestyle="--", color="0.5")
        below.set_ylabel("signal")
        below.set_xlabel("hours")
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _signals(push: Callable[[Rows], Any], minutes: float, values: dict[str, Floats]) -> tuple[Floats, Floats]:
    number = {"power": 0, "volume": 1}
    series = np.array([number[name] for at in range(len(next(iter(values.values())))) for name in sorted(values)])
    ticks = np.repeat(np.arange(len(next(iter(values.values())))), len(values))
    value = np.array([values[name][at] for at in range(len(next(iter(values.values())))) for name in sorted(values)])
    groups = group(series)
    order = groups.order
    first = np.zeros(len(order), np.bool_)
    first[groups.start] = True
    time_ms = T0 + (ticks[order] * minutes * 60_000).astype(np.int64)
    signals = push(Rows(series[order], time_ms, value[order], np.ones(len(order), np.bool_), order, first))
    return (time_ms[signals.row] - T0) / 3_600_000, signals.value


if __name__ == "__main__":
    main()
