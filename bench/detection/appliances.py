"""Is a heater found in a room full of ordinary devices, within a minute, and how often is there an alarm without one?

Rooms are composed: real traces of ordinary devices (mean W per 10 s over a day) are summed; half of the rooms have a trace
of a heating appliance on top, whose own trace says exactly when it was on. A stretch of at least 30 s at 500 W or more is
an event. Vacuum cleaners, washing machines, dishwashers, dryers and printers are in neither part: whether those may be
used in a room is a policy. Non-goal: power factor, which the traces do not have.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.detection.data import datasets
from bench.detection.replay import Raised, Stream, program, replay, state_bytes
from bench.report import Cell, Goal, Report, Table
from telemetry.batch import Floats

STEP_MS = 10_000
T0 = 1_500_000_000_000
WITHIN_MS = 60_000
LEAST_STEPS = 3
METRICS = [{"id": "power", "name": "Power", "unit": "W"}]
SUITE = [
    {
        "id": "heater", "type": "forbidden-load", "class": "dormitory", "name": "Heater", "metric": "power",
        "levels": [{"severity": "medium", "at_least": 1}],
    },
]  # fmt: skip
HEATING = ("WaterKettle", "BeanToCupCoffeemaker", "Coffeemaker", "Toaster", "MicrowaveOven", "WaterBoiler", "Iron",
           "CookingStove", "Kettle", "Heater")  # fmt: skip
ORDINARY = (
    ("PC-Desktop", "PC-Laptop"),
    ("Monitor-TFT", "Monitor-CRT"),
    ("Lamp", "XmasLights"),
    ("Router", "EthernetSwitch"),
    ("TV-LCD", "TV", "Playstation3", "Multimediacenter"),
    ("Refrigerator",),
)


@dataclass(frozen=True, slots=True)
class Event:
    """A heating appliance was on."""

    room: int
    appliance: str
    on_ms: int
    off_ms: int
    power_w: float


def run(rooms: int = 400, seed: int = 1) -> Report:
    """Compose so many room-days and watch them."""
    report = Report("detection_appliances", "are heaters found among ordinary devices?", {"rooms": rooms, "seed": seed})
    power, events, heating = compose(rooms, seed)
    steps = power.shape[1]
    series = np.tile(np.arange(rooms), steps)
    time_ms = np.repeat(T0 + STEP_MS * np.arange(steps, dtype=np.int64), rooms)
    value = power.T.ravel()
    made = program([f"room-{number}" for number in range(rooms)], METRICS, SUITE)
    raised: list[list[Raised]] = [[] for _ in range(rooms)]
    for one in replay(made, Stream(series, time_ms, value)):
        raised[int(one.device.removeprefix("room-"))].append(one)
    found = [_is_found(event, raised[event.room]) for event in events]
    false = sum(not _has_cause(one, heating[room]) for room in range(rooms) for one in raised[room])
    rows: list[list[Cell]] = []
    for appliance in sorted({event.appliance for event in events}):
        of = [hit for event, hit in zip(events, found, strict=True) if event.appliance == appliance]
        rows.append([appliance, len(of), sum(of) / len(of)])
    shares = {}
    for name, least, most in (("≥ 700 W", 700.0, np.inf), ("500–700 W", 500.0, 700.0)):
        of = [hit for event, hit in zip(events, found, strict=True) if least <= event.power_w < most]
        shares[name] = sum(of) / max(len(of), 1)
        rows.append([name, len(of), shares[name]])
    rows.append(["room-days with false alarms counted", rooms, false])
    report.tables.append(Table("composed rooms", ("what", "of", "found"), rows))
    rate = false / rooms
    report.goals += [
        Goal("found within 60 s, ≥ 700 W", "≥ 0.97", shares["≥ 700 W"], shares["≥ 700 W"] >= 0.97),
        Goal("found within 60 s, 500–700 W", "≥ 0.90", shares["500–700 W"], shares["500–700 W"] >= 0.90),
        Goal("false alarms per room-day", "≤ 0.05", rate, rate <= 0.05),
        Goal("bytes of state per series", "", state_bytes(made), True),
    ]
    return report


def compose(rooms: int, seed: int) -> tuple[Floats, list[Event], list[list[tuple[int, int]]]]:
    """Room-days of summed traces.

    Returns:
        (power [W] (rooms, steps); events; of each room when its heater drew 300 W or more).
    """
    folder = datasets("appliances")
    with (folder / "index.csv").open() as lines:
        names: dict[str, list[str]] = {}
        for row in csv.DictReader(lines):
            names.setdefault(row["appliance"], []).append(row["trace"])
    traces = np.load(folder / "traces_10s.npz")
    rng = random.Random(seed)
    ordinary = [[trace for sort in sorts for trace in names.get(sort, [])] for sorts in ORDINARY]
    heaters = [(sort, trace) for sort in HEATING for trace in names.get(sort, [])]
    rng.shuffle(heaters)
    power: list[Floats] = []
    events: list[Event] = []
    heating: list[list[tuple[int, int]]] = []
    for room in range(rooms):
        total = sum(_trace(traces, rng.choice(of)) for of in ordinary if of)
        heating.append([])
        if room % 2 and heaters:
            sort, name = heaters[room // 2 % len(heaters)]
            heater = _trace(traces, name)
            total = total + heater
            heating[room] = [(start, end) for start, end, _ in _stretches(heater, 300.0, 1)]
            events += [Event(room, sort, *stretch) for stretch in _stretches(heater, 500.0, LEAST_STEPS)]
        power.append(np.asarray(total))
    return np.array(power), events, heating


def _trace(traces: np.lib.npyio.NpzFile, name: str) -> Floats:
    watts = traces[name].astype(np.float64)
    watts[watts < 0] = 0.0  # a plug that was not heard draws nothing here: a room has one meter, and no such holes
    return np.asarray(watts)


def _stretches(watts: Floats, least_w: float, least_steps: int) -> list[tuple[int, int, float]]:
    """(on, off, median power) of every stretch at or above a power."""
    on = np.concatenate([[False], watts >= least_w, [False]])
    edges = np.flatnonzero(on[1:] != on[:-1])
    return [
        (T0 + STEP_MS * int(start), T0 + STEP_MS * int(end), float(np.median(watts[start:end])))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if end - start >= least_steps
    ]


def _is_found(event: Event, raised: Sequence[Raised]) -> bool:
    """An alarm was open at some time while it was on, and no later than a minute after it was switched on."""
    return any(
        one.raised_ms <= event.on_ms + WITHIN_MS and (one.over_ms is None or one.over_ms > event.on_ms)
        for one in raised
    )


def _has_cause(one: Raised, heating: Sequence[tuple[int, int]]) -> bool:
    return any(one.onset_ms <= end + STEP_MS and start - STEP_MS <= one.raised_ms for start, end in heating)
