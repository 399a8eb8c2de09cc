"""How the rooms of a dormitory stand now: what is wrong, what they draw, what they used today, and where water runs away."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from api.contract import Named, named
from api.dormitories.building import Building, Dormitories
from api.dormitories.measure import grown
from api.dormitories.remembered import Remembered
from api.dormitories.tariff import rounded
from api.newest import NewestReadings
from ingest.history.history import HistoryReader
from telemetry.catalogue import Catalogue, Device

State = Literal["forbidden-load", "leak", "silent", "vacant-use", "vacant", "no-meter", "ok"]
STATES: tuple[State, ...] = ("forbidden-load", "leak", "silent", "vacant-use", "vacant", "no-meter", "ok")
"""What a room can be, what matters most first."""

LEAK_TYPES = frozenset({"continuous-flow", "burst", "night-minimum"})
"""Rules whose alarms on a water register are a leak."""
POWER = "power"
_HOUR_MS = 3_600_000
_AROUND_MS = 2 * _HOUR_MS  # before all hours that are looked at, a reading that they are counted from
_LEAK_HOURS = 24  # without one in which the register stands still: reference of the alarm rule `continuous-flow`
_LEAST_HOURS_READ = 20  # of these; with fewer nobody can know
_VACANT_USE = {"kWh": 0.5, "m3": 0.02}  # a day; below it a fridge's rest or a digit of the register


class Counted(BaseModel):
    """What a counter of a room counted since midnight."""

    device: str
    metric: str
    unit: str
    decimals: int
    quantity: float | None


class Leak(BaseModel):
    """Water that never rests."""

    room: str
    litres_per_day: float
    fen_per_day: int | None  # at the first step's price; null where no tariff is for it
    since_ms: int | None  # of the alarm, where there is one
    alarm: str | None


class RoomNow(BaseModel):
    """One room."""

    id: str
    name: Named
    floor: str
    states: list[State]  # all that hold, what matters most first
    power_w: float | None
    power_ms: int | None
    today: list[Counted]
    beds: int
    paying: int  # beds that somebody pays for today
    alarms: list[str]


def room_states(
    catalogue: Catalogue,
    history: HistoryReader | Remembered,
    dormitories: Dormitories,
    building: Building,
    rooms: Sequence[str],
    newest: NewestReadings,
    open_alarms: Sequence[Mapping[str, Any]],
    silent: set[str],
    now_ms: int,
) -> tuple[list[RoomNow], list[Leak]]:
    """Rooms in the order given, and leaks, the dearest first. Raises Unavailable."""
    zone = ZoneInfo(catalogue.site[catalogue.site_of_place(building.place)].timezone)
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    midnight_ms = round(datetime(today.year, today.month, today.day, tzinfo=zone).timestamp() * 1000)
    first = min(midnight_ms // _HOUR_MS, now_ms // _HOUR_MS - _LEAK_HOURS)
    # The same question for an hour, so that it is answered from memory.
    hours = [number * _HOUR_MS for number in range(first, now_ms // _HOUR_MS + 2)]
    of_room: dict[str, list[Device]] = {room: [] for room in rooms}
    for device in catalogue.devices:
        if device.place in of_room:
            of_room[device.place].append(device)
    counts = _grown(catalogue, history, dormitories, itertools.chain.from_iterable(of_room.values()), hours)
    found, leaks = [], []
    for room, devices in of_room.items():
        alarms = [alarm for alarm in open_alarms if alarm["place"] == room]
        counted: list[Counted] = []
        least_m3: float | None = None
        for device in devices:
            for metric in catalogue.kind[device.kind].metrics:
                if not metric.counter:
                    continue
                by_hour = counts[device.id, metric.id]
                since = [value for time_ms, value in by_hour.items() if time_ms >= midnight_ms]
                counted.append(
                    Counted(
                        device=device.id,
                        metric=metric.id,
                        unit=metric.unit,
                        decimals=metric.decimals,
                        quantity=math.fsum(since) if since else None,
                    )
                )
                if metric.unit == "m3":
                    least_m3 = _least(by_hour, now_ms, 10.0**-metric.decimals)
        leak = _leak(dormitories, building, room, alarms, least_m3, today)
        if leak is not None:
            leaks.append(leak)
        power = next((last for device in devices if (last := newest.get(device.id, POWER)) is not None), None)
        paying = len(building.beds_on(room, today))
        holds = {
            "forbidden-load": any(is_forbidden_load(alarm) for alarm in alarms),
            "leak": leak is not None,
            "silent": any(device.id in silent for device in devices),
            "vacant-use": not paying
            and any((each.quantity or 0) > _VACANT_USE.get(each.unit, 0.0) for each in counted),
            "vacant": not paying,
            "no-meter": not devices,
        }
        holds["vacant"] &= not holds["vacant-use"]
        path = catalogue.path_of(room)
        found.append(
            RoomNow(
                id=room,
                name=named(catalogue.place[room].name),
                floor=path[-2].id,
                states=[state for state in STATES if holds.get(state)] or ["ok"],
                power_w=None if power is None or not math.isfinite(power.value) else power.value,
                power_ms=None if power is None else power.time_ms,
                today=counted,
                beds=building.beds,
                paying=paying,
                alarms=[alarm["id"] for alarm in alarms],
            )
        )
    return found, sorted(leaks, key=lambda leak: (-(leak.fen_per_day or 0), -leak.litres_per_day, leak.room))


def _grown(
    catalogue: Catalogue,
    history: HistoryReader | Remembered,
    dormitories: Dormitories,
    devices: Iterable[Device],
    hours: Sequence[int],
) -> dict[tuple[str, str], dict[int, float]]:
    """What each counter grew by the hour in which it was read, by (device, metric)."""
    by_kind: dict[str, list[str]] = {}
    for device in devices:
        by_kind.setdefault(device.kind, []).append(device.id)
    found = {}
    for kind, names in by_kind.items():
        for metric in catalogue.kind[kind].metrics:
            if metric.counter:
                read = grown(history, catalogue, dormitories, metric, names, hours, _AROUND_MS)
                for device_id, use in read.items():
                    counted = zip(hours, use.digits, use.heard, strict=False)  # there is an edge more than stretches
                    found[device_id, metric.id] = {
                        hour: digits / 10**metric.decimals for hour, digits, is_heard in counted if is_heard
                    }
    return found


def is_forbidden_load(alarm: Mapping[str, Any]) -> bool:
    """Whether an alarm, open or closed, is about a load that is not allowed in a room."""
    return alarm.get("rule_type") == "forbidden-load" or (alarm["class"] == "dormitory" and alarm["metric"] == POWER)


def _least(by_hour: Mapping[int, float], now_ms: int, digit: float) -> float | None:
    """What a register counted at least in each whole hour of the last day; None where it stood still, or nobody knows."""
    whole = [now_ms // _HOUR_MS * _HOUR_MS - n * _HOUR_MS for n in range(1, _LEAK_HOURS + 1)]
    read = [by_hour[at] for at in whole if at in by_hour]
    if len(read) < _LEAST_HOURS_READ or min(read) < 1.5 * digit:
        return None
    return min(read)


def _leak(
    dormitories: Dormitories,
    building: Building,
    room: str,
    alarms: Sequence[Mapping[str, Any]],
    least_m3: float | None,
    today: date,
) -> Leak | None:
    told = next((alarm for alarm in alarms if alarm.get("rule_type") in LEAK_TYPES), None)
    by_alarm = None if told is None or told["value"] is None else float(told["value"])
    per_hour = max(least_m3 or 0.0, by_alarm or 0.0)
    if told is None and least_m3 is None:
        return None
    fen = None
    for name in building.tariffs:
        tariff = dormitories.tariff(name)
        version = tariff.version(today.replace(day=1))
        if tariff.unit == "m3" and version is not None:
            fen = rounded(Fraction(Decimal(per_hour)) * 24 * 100 * Fraction(version.steps[0].price), version.rounding)
    return Leak(
        room=room,
        litres_per_day=per_hour * 24_000,
        fen_per_day=fen,
        since_ms=None if told is None else told["onset_ms"],
        alarm=None if told is None else told["id"],
    )
