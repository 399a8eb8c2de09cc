"""Dormitories: how their rooms stand, what a room did, and cases of forbidden loads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.access import Acting, Looking, User
from api.answers import Route
from api.asking import must_say_why
from api.contract import AlarmShown, Named, named
from api.dormitories.building import Building, rooms_of
from api.dormitories.cases import NotSo, Outcome
from api.dormitories.rooms import POWER, Leak, RoomNow, room_states
from api.dormitories.steps import power_steps
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from ingest.history.history import Aggregate
from telemetry.batch import Floats
from telemetry.quality import Quality

router = APIRouter(route_class=Route)

CLASS = "dormitory"
"""Class of the alarms that managers decide, and so of the cases made of them."""
_DAY_MS = 86_400_000
_STEPS_SHOWN = 50
_ALARMS_MAX = 500
_FACTOR = "power_factor"


class BuildingEntry(BaseModel):
    """A dormitory."""

    id: str
    name: Named
    site: str
    decides: bool  # whether who asks may issue bills and decide cases there


class BuildingList(BaseModel):
    """All dormitories that one may see."""

    items: list[BuildingEntry]
    next: None = None


class Floor(BaseModel):
    """A floor."""

    id: str
    name: Named


class CaseStep(BaseModel):
    """Who did what when, and why."""

    seq: int
    what: str
    actor: str
    time_ms: int
    reason: str


class Case(BaseModel):
    """A case of a forbidden load; `stage` 2: the room was warned before."""

    id: int
    alarm: str
    building: str
    room: str
    stage: int
    state: str
    seq: int
    steps: list[CaseStep]


class OpenLoad(BaseModel):
    """An alarm of a forbidden load that nobody has warned of yet."""

    alarm: str
    room: str
    onset_ms: int
    value: float | None
    unit: str | None
    is_open: bool


class DormitoryNow(BaseModel):
    """How a dormitory stands."""

    id: str
    name: Named
    site: str
    as_of_ms: int
    decides: bool
    floors: list[Floor]
    rooms: list[RoomNow]
    leaks: list[Leak]  # the dearest first
    loads: list[OpenLoad]  # the newest first
    cases: list[Case]  # the newest first


class Meter(BaseModel):
    """A device of a room with its metrics."""

    id: str
    kind: str
    silent: bool
    metrics: list[str]


class Step(BaseModel):
    """Something was switched on (watts above 0) or off."""

    time_ms: int
    watts: float
    before_w: float
    after_w: float
    factor: float | None


class Room(BaseModel):
    """One room as its page shows it."""

    room: RoomNow
    site: str
    meters: list[Meter]
    paying: list[int]  # the numbers of the beds
    steps: list[Step]  # of the last day, oldest first
    alarms: list[AlarmShown]  # the newest first
    cases: list[Case]


class Warned(BaseModel):
    """A manager warns a room because of an alarm."""

    model_config = ConfigDict(extra="forbid")

    alarm: str = Field(min_length=1, max_length=64)
    reason: str = Field(min_length=1, max_length=2000)


class Appealed(BaseModel):
    """The room objects; `seq` is the case's as it was seen."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    reason: str = Field(min_length=1, max_length=2000)


class Decided(Appealed):
    """A manager decides."""

    outcome: Outcome


CaseNumber = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("/dormitories")
def dormitories(session: Looking, parts: PartsOf) -> BuildingList:
    user = session.user
    found = []
    for building in parts.dormitories.buildings:
        site = parts.catalogue.site_of_place(building.place)
        if user.sees(site):
            name = name_of(parts, building.place)
            found.append(BuildingEntry(id=building.place, name=name, site=site, decides=user.acts_on(CLASS, site)))
    return BuildingList(items=found)


@router.get("/dormitories/{building}")
def dormitory(session: Looking, parts: PartsOf, building: str) -> DormitoryNow:
    declared, site = building_of(parts, session.user, building)
    rooms = rooms_of(parts.catalogue, building)
    now_ms = parts.clock.now_ms()
    standing, leaks = _standing(parts, declared, rooms, now_ms)
    cases = parts.cases.of(building)
    known = parts.cases.loads(_devices(parts, rooms), now_ms - declared.warning_days * _DAY_MS, _ALARMS_MAX)
    with_case = parts.cases.warned([alarm["id"] for alarm in known])
    loads = [
        OpenLoad(
            alarm=alarm["id"],
            room=alarm["place"],
            onset_ms=alarm["onset_ms"],
            value=alarm["value"],
            unit=alarm["unit"],
            is_open=alarm["state"] == "open",
        )
        for alarm in known
        if alarm["id"] not in with_case
    ]
    floors = {room.floor: name_of(parts, room.floor) for room in standing}
    return DormitoryNow(
        id=building,
        name=name_of(parts, building),
        site=site,
        as_of_ms=now_ms,
        decides=session.user.acts_on(CLASS, site),
        floors=[Floor(id=floor, name=name) for floor, name in floors.items()],
        rooms=standing,
        leaks=leaks,
        loads=loads,
        cases=[Case.model_validate(case) for case in cases],
    )


@router.get("/dormitories/{building}/rooms/{room}")
def room(session: Looking, parts: PartsOf, building: str, room: str) -> Room:
    declared, site = building_of(parts, session.user, building)
    if room not in rooms_of(parts.catalogue, building):
        raise Problem(404, "No such room", f"there is no room '{room}' in it: GET /api/v1/dormitories/{building}")
    now_ms = parts.clock.now_ms()
    (standing,), _ = _standing(parts, declared, [room], now_ms)
    silent = parts.alarms.silent_devices()
    devices = [device for device in parts.catalogue.devices if device.place == room]
    steps = [step for device in devices for step in _steps(parts, device.kind, device.id, now_ms)]
    paying = declared.beds_on(room, today(parts, site))
    return Room(
        room=standing,
        site=site,
        meters=[
            Meter(
                id=device.id,
                kind=device.kind,
                silent=device.id in silent,
                metrics=[metric.id for metric in parts.catalogue.kind[device.kind].metrics],
            )
            for device in devices
        ],
        paying=list(paying),
        steps=sorted(steps, key=lambda step: step.time_ms),
        alarms=[AlarmShown.model_validate(each) for each in _alarms(parts, [room], now_ms - 90 * _DAY_MS, 50)],
        cases=[Case.model_validate(case) for case in parts.cases.of(building, room)],
    )


@router.post("/dormitories/{building}/cases", responses=told(409), status_code=201)
def warn(session: Acting, parts: PartsOf, building: str, body: Warned) -> Case:
    declared, site = building_of(parts, session.user, building)
    must_decide(parts, session.user, site, "case-warn", body.alarm)
    must_say_why(body.reason)
    now_ms = parts.clock.now_ms()
    rooms = rooms_of(parts.catalogue, building)
    since_ms = now_ms - declared.warning_days * _DAY_MS
    alarm = next(iter(parts.cases.loads(_devices(parts, rooms), since_ms, 1, body.alarm)), None)
    if alarm is None:
        raise Problem(404, "No such alarm", f"'{body.alarm}' is no alarm of a forbidden load in this building")
    name, days = session.user.name, declared.warning_days
    try:
        made = parts.cases.warn(body.alarm, building, alarm["place"], name, body.reason.strip(), now_ms, days)
    except NotSo as error:
        raise _overtaken(parts, session.user, building, "case-warn", body.alarm, error) from error
    parts.accounts.record(name, "case-warn", f"{building} {made}", "done", parts.catalogue.site_of_place(building))
    return _case(parts, building, made)


@router.post("/dormitories/{building}/cases/{case}/appeal", responses=told(409))
def appeal(session: Acting, parts: PartsOf, building: str, case: CaseNumber, body: Appealed) -> Case:
    return _step(parts, session.user, building, case, body, "appealed", "case-appeal")


@router.post("/dormitories/{building}/cases/{case}/decide", responses=told(409))
def decide(session: Acting, parts: PartsOf, building: str, case: CaseNumber, body: Decided) -> Case:
    return _step(parts, session.user, building, case, body, body.outcome, "case-decide")


def building_of(parts: Parts, user: User, building: str) -> tuple[Building, str]:
    """A dormitory that somebody may see, and its site."""
    declared = parts.dormitories.building(building)
    if declared is None or not user.sees(parts.catalogue.site_of_place(building)):
        told = f"there is no dormitory '{building}' that you may see: GET /api/v1/dormitories"
        raise Problem(404, "No such dormitory", told)
    return declared, parts.catalogue.site_of_place(building)


def must_decide(parts: Parts, user: User, site: str, action: str, subject: str) -> None:
    """Bills and cases are for who decides alarms of dormitories."""
    if not user.acts_on(CLASS, site):
        parts.accounts.record(user.name, action, subject, "refused: role", site)
        raise Problem(403, "Not for this role", "managers and administrators decide about dormitories")


def _step(parts: Parts, user: User, building: str, case: int, body: Appealed, what: str, action: str) -> Case:
    _, site = building_of(parts, user, building)
    subject = f"{building} {case}"
    must_decide(parts, user, site, action, subject)
    must_say_why(body.reason)
    _case(parts, building, case)
    try:
        parts.cases.step(building, case, body.seq, what, user.name, body.reason.strip(), parts.clock.now_ms())
    except NotSo as error:
        raise _overtaken(parts, user, building, action, subject, error) from error
    parts.accounts.record(user.name, action, subject, f"done: {what}", site)
    return _case(parts, building, case)


def _case(parts: Parts, building: str, case: int) -> Case:
    found = parts.cases.one(building, case)
    if found is None:
        raise Problem(404, "No such case", f"there is no case {case}: GET /api/v1/dormitories/{building}")
    return Case.model_validate(found)


def _overtaken(parts: Parts, user: User, building: str, action: str, subject: str, error: NotSo) -> Problem:
    site = parts.catalogue.site_of_place(building)
    parts.accounts.record(user.name, action, subject, f"refused: {error}", site)
    return Problem(409, "The case is not as you saw it", f"{error}; look at it again")


def _standing(parts: Parts, building: Building, rooms: list[str], now_ms: int) -> tuple[list[RoomNow], list[Leak]]:
    return room_states(
        parts.catalogue,
        parts.remembered,
        parts.dormitories,
        building,
        rooms,
        parts.newest,
        _alarms(parts, rooms, 0, _ALARMS_MAX, only_open=True),
        parts.alarms.silent_devices(),
        now_ms,
    )


def _alarms(
    parts: Parts, rooms: Sequence[str], since_ms: int, limit: int, *, only_open: bool = False
) -> list[dict[str, Any]]:
    return parts.cases.alarms(_devices(parts, rooms), since_ms, limit, only_open=only_open)


def _devices(parts: Parts, rooms: Sequence[str]) -> list[str]:
    where = set(rooms)
    return [device.id for device in parts.catalogue.devices if device.place in where]


def _steps(parts: Parts, kind: str, device: str, now_ms: int) -> list[Step]:
    """What was switched in a room on the last day."""
    if (device, POWER) not in parts.catalogue.metric:
        return []
    start_ms = now_ms - _DAY_MS
    power = parts.history.read(kind, device, POWER, start_ms, now_ms, None, Aggregate.MEAN)
    good = (power.quality < Quality.BAD) & np.isfinite(power.value)
    time_ms, watts = power.time_ms[good], power.value[good]
    factor: Floats = np.full(len(time_ms), np.nan)
    if (device, _FACTOR) in parts.catalogue.metric:
        said = parts.history.read(kind, device, _FACTOR, start_ms, now_ms, None, Aggregate.MEAN)
        at = np.searchsorted(said.time_ms, time_ms)
        same = at < len(said.time_ms)
        same[same] = said.time_ms[at[same]] == time_ms[same]
        factor[same] = said.value[at[same]]
    return [
        Step(time_ms=each.time_ms, watts=each.watts, before_w=each.before_w, after_w=each.after_w, factor=each.factor)
        for each in power_steps(time_ms, watts, factor, _STEPS_SHOWN)
    ]


def today(parts: Parts, site: str) -> date:
    """The day at a site."""
    zone = ZoneInfo(parts.catalogue.site[site].timezone)
    return datetime.fromtimestamp(parts.clock.now_ms() / 1000, zone).date()


def name_of(parts: Parts, place: str) -> Named:
    """What a place is called, in both languages; its id where it has left the catalogue."""
    if place not in parts.catalogue.place:
        return {"en": place, "zh": place}
    return named(parts.catalogue.place[place].name)
