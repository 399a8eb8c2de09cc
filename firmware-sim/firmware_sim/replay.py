"""Recorded data of the real world, published as if it were measured now.

`rows` reads a data set and says which device would report what, how many seconds after the start; it neither waits nor
sends. `replay` does, over MQTT at QoS 1. The data sets are described in ../shared/datasets/README.md; their values are
passed on as recorded, faults included: a sensor does not know that it is wrong.
"""

from __future__ import annotations

import csv
import gzip
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO

from firmware_sim.publisher import Publisher
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration
from telemetry.topics import readings_topic

_LANES = ("gate-1-lane-1-scanner", "gate-1-lane-2-scanner")
_LEVEL, _RAIN = "mh-1-6-level", "rain-1"
_ROOMS = 40  # as many as the dormitory has; further households have no meter to speak for
_FLOOD_SITE = "2"  # one of the four sites of Herbert River
_PASSAGE_EVERY_S = 2.0
_HALF_HOUR_AS_S = 1.0  # time-lapse of the river data: a day in 48 seconds
_HOUR_AS_S = 1.0  # time-lapse of the water registers


@dataclass(frozen=True, slots=True)
class Row:
    """One reading to be published, `at_s` seconds after the start."""

    at_s: float
    device: str
    metric: str
    value: float
    key: str | None = None


def rows(dataset: str, folder: Path) -> Iterator[Row]:
    """The readings of a data set, in order of time.

    Args:
        dataset: A name of `DATASETS`.
        folder: Where the data sets lie, each in a folder of its own name.

    Raises:
        BadConfiguration: The data set is unknown or not there.
    """
    if dataset not in DATASETS:
        raise BadConfiguration(f"there is no data set '{dataset}': choose one of {', '.join(DATASETS)}")
    if not (folder / dataset).is_dir():
        raise BadConfiguration(f"data set '{dataset}' is not at {folder / dataset}")
    return DATASETS[dataset](folder / dataset)


def replay(
    rows: Iterable[Row],
    catalogue: Catalogue,
    publisher: Publisher,
    clock: Clock,
    *,
    give_up: threading.Event,
    progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Publish rows at their time, one message a device and instant; returns how many readings went out.

    Args:
        rows: In order of time.
        catalogue: Says for which gateway a device's readings count.
        publisher: Started.
        clock: Whose present becomes the time of the first row.
        give_up: Set it to end early; it also cuts the waiting short.
        progress: Called with the number of readings sent so far.
    """
    start_ms, start_s = clock.now_ms(), clock.monotonic_s()
    sent = 0
    for (at_s, device), together in groupby(rows, key=lambda row: (row.at_s, row.device)):
        if give_up.wait(max(0.0, start_s + at_s - clock.monotonic_s())):
            break
        batch = [_reading(row, start_ms) for row in together]
        gateway = catalogue.device[device].gateway
        topic = readings_topic(catalogue.gateway[gateway].site, gateway)
        payload = json.dumps({"readings": batch}).encode()
        if not publisher.publish(topic, payload, lambda: None, give_up):
            break
        sent += len(batch)
        progress(sent)
    return sent


def _reading(row: Row, start_ms: int) -> dict[str, object]:
    reading: dict[str, object] = {
        "device": row.device,
        "metric": row.metric,
        "time": start_ms + round(row.at_s * 1000),
        "value": row.value,
    }
    if row.key is not None:
        reading["key"] = row.key
    return reading


def _fever(folder: Path) -> Iterator[Row]:
    """One passage a subject: the full face's maximum of round 1, corrected by its blackbody offset (PhysioNet, CC0)."""
    with _text(folder / "FLIR_group1.csv") as file:
        for _ in range(2):
            next(file)  # group headings and symbols above the line of column names
        subjects = [row for row in csv.DictReader(file) if row["T_Max1"] and row["T_offset1"]]
    subjects.sort(key=lambda row: (row["Date"], row["Time"].zfill(8)))
    for number, row in enumerate(subjects):
        at_s, lane = number * _PASSAGE_EVERY_S, _LANES[number % len(_LANES)]
        key = f"replay-fever-{row['SubjectID']}"
        yield Row(at_s, lane, "skin_temperature", round(float(row["T_Max1"]) + float(row["T_offset1"]), 2), key)
        if row["T_atm"]:
            yield Row(at_s, lane, "ambient_temperature", float(row["T_atm"]), key)


def _flood_river(folder: Path) -> Iterator[Row]:
    """One site of Herbert River: level in metres to a manhole; rain, recorded as mm in half an hour, to the gauge."""
    with _text(folder / "level_rain.csv") as file:
        start: datetime | None = None
        for row in csv.DictReader(file):
            if row["locID"] != _FLOOD_SITE or not row["date_time"]:
                continue
            at = datetime.fromisoformat(row["date_time"])
            start = start or at
            at_s = (at - start).total_seconds() / 1800 * _HALF_HOUR_AS_S
            if row["lev"]:
                yield Row(at_s, _LEVEL, "level", float(row["lev"]))
            if row["prec"]:
                yield Row(at_s, _RAIN, "rain_rate", 2 * float(row["prec"]))


def _river_sensors(folder: Path) -> Iterator[Row]:
    """Stage of a mountain stream (Logan River Observatory): centimetres to metres of a manhole; -9999 is missing."""
    with _text(folder / "BlackSmithFork2015.csv") as file:
        start: datetime | None = None
        for row in csv.DictReader(file):
            if row["stage"] in ("", "NULL", "-9999"):
                continue
            at = datetime.fromisoformat(row["datetime"])
            start = start or at
            at_s = (at - start).total_seconds() / 1800 * _HALF_HOUR_AS_S
            yield Row(at_s, _LEVEL, "level", round(float(row["stage"]) / 100, 4))


def _water_meters(folder: Path) -> Iterator[Row]:
    """Household registers (DAIAD), hourly, litres to cubic metres, real resets kept; one household a dormitory room."""
    rooms: dict[str, str] = {}
    readings: list[tuple[datetime, str, float]] = []
    with _text(folder / "registers.csv") as file:
        for row in csv.DictReader(file, delimiter=";"):
            user = row["user key"]
            if user not in rooms:
                if len(rooms) == _ROOMS:
                    continue
                floor, room = divmod(len(rooms), 10)
                rooms[user] = f"room-{floor + 1}{room + 1:02d}-water"
            at = datetime.strptime(row["datetime"], "%d/%m/%Y %H:%M:%S")
            readings.append((at, rooms[user], float(row["meter reading"])))
    readings.sort()
    for at, device, litres in readings:
        yield Row((at - readings[0][0]).total_seconds() / 3600 * _HOUR_AS_S, device, "volume", litres / 1000)


def _text(path: Path) -> TextIO:
    """A CSV file, as it is or compressed beside that name."""
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        return path.open(encoding="utf-8-sig", newline="")
    if packed.exists():
        return gzip.open(packed, "rt", encoding="utf-8-sig", newline="")
    raise BadConfiguration(f"neither {path} nor {packed.name} is there")


DATASETS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    "fever": _fever,
    "flood-river": _flood_river,
    "river-sensors": _river_sensors,
    "water-meters": _water_meters,
}
