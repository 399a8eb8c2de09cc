"""Drains: a network as it stands, its storms, and which pipes are to be cleaned first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel

from alerts.calendar import is_open, next_change_ms
from api.access import Looking, User
from api.answers import Route
from api.contract import Named, Severity, named
from api.drains.network import LEVEL, RAIN, Card, Foreseen, Network, Node, cards, foresee, networks
from api.drains.silt import AGE_DAYS_MAX, Nights, Rain, base_m, days_until, dry_nights, local_day, rise_m_per_30_days
from api.drains.storm_report import StormReport, StormShown, report, storms_between
from api.drains.storms import WET_MM_H
from api.parts import Parts, PartsOf
from api.problems import Problem
from ingest.history.history import Aggregate, Newest
from telemetry.catalogue import Device, Text

router = APIRouter(route_class=Route)

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_RAIN_STEP_MS, _RAIN_STEPS = 600_000, 24
_UNHEARD_MS = 15 * 60_000
"""A level that is older is none to rely on, whatever rules say of silence."""
_PAGE_MS = 31 * _DAY_MS
_STORMS_BACK_MS = 400 * _DAY_MS
_ALARMS_MAX = 500
Health = Literal["ok", "suspect", "faulty", "silent", "offline", "never", "none"]


class NetworkName(BaseModel):
    """A network that one may see."""

    id: str
    name: Named
    site: str


class NetworkNames(BaseModel):
    """All of them."""

    items: list[NetworkName]
    next: str | None


class LevelNow(BaseModel):
    """The newest level, metres above the invert."""

    time_ms: int
    value: float
    quality: int


class ForecastNow(BaseModel):
    """Minutes from `at_ms` until it overflows; `basis` says who foresaw it: an alarm, or the rule's detector just now."""

    minutes: float
    low: float | None
    high: float | None
    at_ms: int
    basis: Literal["alarm", "readings"]


class Manhole(BaseModel):
    """A manhole or outfall; heights in metres, levels above its own invert, `invert_m` above the site's datum."""

    id: str
    name: Named
    kind: str
    downstream: str | None
    invert_m: float
    crown_m: float
    depth_m: float
    device: str | None
    health: Health
    level: LevelNow | None
    forecast: ForecastNow | None


class RainNow(BaseModel):
    """The site's gauge: what it says now, and the rain of the last hours in steps; null where a step was not reported."""

    device: str
    health: Health
    rate_mm_h: float | None
    time_ms: int | None
    start_ms: int
    every_ms: int
    mm: list[float | None]
    hour_mm: float | None


class AlarmRef(BaseModel):
    """An open alarm, and for a consequence why it is one."""

    id: str
    seq: int
    rule: str
    rule_name: Named
    alarm_class: str
    place: str
    device: str
    severity: Severity
    onset_ms: int
    acknowledged_by: str | None
    why: Literal["rule", "same-place", "backs-up"] | None


class CauseCard(BaseModel):
    """A cause with what follows from it."""

    cause: AlarmRef
    consequences: list[AlarmRef]


class RuleName(BaseModel):
    """A rule by name."""

    id: str
    name: Named


class FloodSeason(BaseModel):
    """A schedule with seasons that rules of these drains name: only while it is on do these rules call people."""

    id: str
    name: Named
    is_on: bool
    changes_ms: int | None
    rules: list[RuleName]


class NetworkNow(BaseModel):
    """Manholes stand before the ones they run into."""

    id: str
    name: Named
    site: str
    timezone: str
    as_of_ms: int
    overflow_share: float
    manholes: list[Manhole]
    rain: RainNow | None
    cards: list[CauseCard]
    seasons: list[FloodSeason]


class StormPage(BaseModel):
    """Storms, the newest first; `next` may be set where a page holds none: the stretch before has not been looked at."""

    items: list[StormShown]
    next: str | None


class Pipe(BaseModel):
    """The pipe that leaves a manhole, as its dry nights tell; metres. `days_to_half`: until the base stands at half of it."""

    place: str
    name: Named
    crown_m: float
    base_m: float | None
    share: float | None
    rise_m_30d: float | None
    days_to_half: float | None
    nights: int
    last_cleaned_ms: int | None
    night_day: list[int]
    night_low_m: list[float]


class CleaningPlan(BaseModel):
    """Pipes, those that need cleaning first."""

    as_of_ms: int
    items: list[Pipe]
    next: str | None


@router.get("/drains")
def network_names(session: Looking, parts: PartsOf) -> NetworkNames:
    """The drain networks of the sites that one sees."""
    found = [network for network in networks(parts.catalogue).values() if session.user.sees(network.site)]
    items = [NetworkName(id=n.place.id, name=named(n.place.name), site=n.site) for n in found]
    return NetworkNames(items=items, next=None)


@router.get("/drains/{network}")
def network_now(session: Looking, parts: PartsOf, network: str) -> NetworkNow:
    """Water, forecast, rain, and what explains what."""
    found, now_ms = network_of(parts, session.user, network), parts.clock.now_ms()
    alarms = _open_alarms(parts, session.user, found)
    rules = parts.rules.in_force()
    manholes = [_manhole(parts, node, alarms, rules, now_ms) for node in found.nodes]
    level_m = {each.id: each.level.value for each in manholes if each.level is not None and each.health == "ok"}
    folded = cards(found, alarms, level_m)
    return NetworkNow(
        id=network,
        name=named(found.place.name),
        site=found.site,
        timezone=parts.catalogue.site[found.site].timezone,
        as_of_ms=now_ms,
        overflow_share=overflow_share_of(rules),
        manholes=manholes,
        rain=None if found.gauge is None else _rain(parts, found.gauge, alarms, now_ms),
        cards=[_card(card) for card in folded],
        seasons=_seasons(parts, found, rules, now_ms),
    )


@router.get("/drains/{network}/storms")
def storm_page(
    session: Looking,
    parts: PartsOf,
    network: str,
    cursor: Annotated[str | None, Query(pattern=r"^\d{1,16}$", description="the 'next' of the page before")] = None,
) -> StormPage:
    """Rain with at least six dry hours before and after, of 31 days, for 400 days back."""
    found, now_ms = network_of(parts, session.user, network), parts.clock.now_ms()
    if found.gauge is None:
        return StormPage(items=[], next=None)
    end_ms = min(int(cursor), now_ms) if cursor is not None else now_ms
    # Cut at whole days: rollups answer for these without reading every reading.
    start_ms = (end_ms - _PAGE_MS) // _DAY_MS * _DAY_MS
    items = storms_between(parts.history, found.gauge, start_ms, end_ms, now_ms)
    is_last = start_ms <= now_ms - _STORMS_BACK_MS
    return StormPage(items=items[::-1], next=None if is_last else str(start_ms))


@router.get("/drains/{network}/storms/{start}")
def storm(session: Looking, parts: PartsOf, network: str, start: int) -> StormReport:
    """What a storm did, manhole by manhole, and how fast people were."""
    found, now_ms = network_of(parts, session.user, network), parts.clock.now_ms()
    in_question = 0 <= start <= now_ms and found.gauge is not None
    told = report(parts, found, start, now_ms, overflow_share_of(parts.rules.in_force())) if in_question else None
    if told is None:
        raise Problem(404, "No such storm", f"no storm began at {start}: GET /api/v1/drains/{network}/storms")
    return told


@router.get("/drains/{network}/cleaning-plan")
def cleaning_plan(session: Looking, parts: PartsOf, network: str) -> CleaningPlan:
    """Pipes by when silt will fill half of them, from the lowest levels of dry nights since they were cleaned last."""
    found, now_ms = network_of(parts, session.user, network), parts.clock.now_ms()
    cleaned = parts.cleaning.last_done_ms(network)
    rain = rain_of(parts, found, now_ms - (AGE_DAYS_MAX + 2) * _DAY_MS, now_ms)
    items = [
        _pipe(parts, found, node, cleaned.get(node.place.id), rain, now_ms)
        for node in found.nodes
        if node.device is not None
    ]
    return CleaningPlan(as_of_ms=now_ms, items=sorted(items, key=_urgency), next=None)


def network_of(parts: Parts, user: User, network: str) -> Network:
    """A network that somebody may see."""
    found = networks(parts.catalogue).get(network)
    if found is None or not user.sees(found.site):
        raise Problem(404, "No such network", f"there are no drains '{network}' that you may see: GET /api/v1/drains")
    return found


def rain_of(parts: Parts, network: Network, start_ms: int, end_ms: int) -> Rain:
    """What the network's gauge said hour by hour."""
    if network.gauge is None:
        return Rain(np.empty(0, np.int64), None)
    gauge = network.gauge
    curve = parts.history.read(
        gauge.kind, gauge.id, RAIN, start_ms // _HOUR_MS * _HOUR_MS, end_ms, _HOUR_MS, Aggregate.MAX
    )
    return Rain(curve.time_ms[curve.value > WET_MM_H], curve.time_ms)


def nights_of(
    parts: Parts,
    network: Network,
    device: Device,
    rain: Rain,
    start_ms: int,
    end_ms: int,
) -> Nights:
    """The dry nights of a level."""
    start_ms = start_ms // _HOUR_MS * _HOUR_MS
    curve = parts.history.read(device.kind, device.id, LEVEL, start_ms, end_ms, _HOUR_MS, Aggregate.MIN)
    return dry_nights(curve.time_ms, curve.value, rain, parts.catalogue.site[network.site].timezone)


def _pipe(
    parts: Parts,
    network: Network,
    node: Node,
    cleaned_ms: int | None,
    rain: Rain,
    now_ms: int,
) -> Pipe:
    assert node.device is not None
    nights = nights_of(parts, network, node.device, rain, now_ms - AGE_DAYS_MAX * _DAY_MS, now_ms)
    if cleaned_ms is not None:
        nights = nights.between(local_day(cleaned_ms, parts.catalogue.site[network.site].timezone) + 1, 2**40)
    base, rise = base_m(nights), rise_m_per_30_days(nights)
    crown = node.drain.crown_m
    return Pipe(
        place=node.place.id,
        name=named(node.place.name),
        crown_m=crown,
        base_m=base,
        share=None if base is None else base / crown,
        rise_m_30d=rise,
        days_to_half=days_until(base, rise, crown / 2),
        nights=len(nights),
        last_cleaned_ms=cleaned_ms,
        night_day=nights.day.tolist(),
        night_low_m=nights.low_m.tolist(),
    )


def _urgency(pipe: Pipe) -> tuple[float, float]:
    """Soonest at half first; where that is never, the fullest first."""
    return pipe.days_to_half if pipe.days_to_half is not None else np.inf, -(pipe.share or -1.0)


def _open_alarms(parts: Parts, user: User, network: Network) -> list[dict[str, Any]]:
    devices = {node.device for node in network.nodes if node.device is not None}
    names = {device.id for device in devices} | {device.gateway for device in devices}
    if network.gauge is not None:
        names.add(network.gauge.id)
    return parts.alarms.open_of(user, sorted(names), _ALARMS_MAX)


def _health(parts: Parts, device: Device, last: Newest | None, alarms: list[dict[str, Any]], now_ms: int) -> Health:
    """What its level is worth: what is not heard, or said to be faulty, is never fine."""
    if last is None:
        return "never"
    own = [alarm for alarm in alarms if alarm["device"] == device.id]
    gateway = parts.events.gateways.get(device.gateway)
    if gateway is not None and gateway.get("online") is False:
        return "offline"
    if any(alarm["rule_type"] == "silence" for alarm in own) or now_ms - last.time_ms > _UNHEARD_MS:
        return "silent"
    if last.quality >= 2 or any(alarm["class"] == "sensor" for alarm in own):
        return "faulty"
    return "suspect" if last.quality == 1 else "ok"


def _manhole(
    parts: Parts, node: Node, alarms: list[dict[str, Any]], rules: list[dict[str, Any]], now_ms: int
) -> Manhole:
    device = node.device
    last = None if device is None else parts.newest.get(device.id, LEVEL)
    health: Health = "none" if device is None else _health(parts, device, last, alarms, now_ms)
    forecast = None
    if device is not None:
        # An alarm's forecast is as old as its last step, and the alarm stays for a while when the water falls: what the
        # newest readings say counts, also that nothing overflows. The alarm's is for when they are too few or not heard.
        seen = _foreseen(parts, node, device, rules, now_ms) if health in ("ok", "suspect") else None
        forecast = _told_forecast(device, alarms, now_ms) if seen is None else _shown_forecast(seen)
    return Manhole(
        id=node.place.id,
        name=named(node.place.name),
        kind=node.place.kind,
        downstream=node.drain.downstream,
        invert_m=node.drain.invert_m,
        crown_m=node.drain.crown_m,
        depth_m=node.drain.depth_m,
        device=None if device is None else device.id,
        health=health,
        level=None if last is None else LevelNow(time_ms=last.time_ms, value=last.value, quality=last.quality),
        forecast=forecast,
    )


def _told_forecast(device: Device, alarms: list[dict[str, Any]], now_ms: int) -> ForecastNow | None:
    """The newest forecast that an open alarm carries, while its time is not over."""
    told = [a["forecast"] for a in alarms if a["device"] == device.id and a["forecast"] is not None]
    newest = max(told, key=lambda forecast: forecast["at_ms"], default=None)
    if newest is None or newest["at_ms"] + 60_000 * newest["minutes"] < now_ms:
        return None
    return ForecastNow(**newest, basis="alarm")


def _foreseen(parts: Parts, node: Node, device: Device, rules: list[dict[str, Any]], now_ms: int) -> Foreseen | None:
    rule = next((rule for rule in rules if rule["type"] == "forecast" and _concerns(rule, device)), None)
    return None if rule is None else foresee(parts.history, device, rule, node.drain.depth_m, now_ms)


def _shown_forecast(seen: Foreseen) -> ForecastNow | None:
    if np.isinf(seen.minutes):
        return None
    return ForecastNow(minutes=seen.minutes, low=seen.low, high=seen.high, at_ms=seen.at_ms, basis="readings")


def _concerns(rule: dict[str, Any], device: Device) -> bool:
    return (
        rule.get("metric") == LEVEL
        and (rule.get("kinds") is None or device.kind in rule["kinds"])
        and (rule.get("devices") is None or device.id in rule["devices"])
    )


def overflow_share_of(rules: list[dict[str, Any]]) -> float:
    """What the forecast rule counts as an overflow."""
    shares = [rule["target"] for rule in rules if rule["type"] == "forecast" and rule["relative_to"] == "depth"]
    return float(shares[0]) if shares else 0.97


def _rain(parts: Parts, gauge: Device, alarms: list[dict[str, Any]], now_ms: int) -> RainNow:
    last = parts.newest.get(gauge.id, RAIN)
    start_ms = (now_ms // _RAIN_STEP_MS + 1 - _RAIN_STEPS) * _RAIN_STEP_MS
    curve = parts.history.read(
        gauge.kind, gauge.id, RAIN, start_ms, start_ms + _RAIN_STEPS * _RAIN_STEP_MS, _RAIN_STEP_MS, Aggregate.MEAN
    )
    mm: list[float | None] = [None] * _RAIN_STEPS
    for time_ms, rate in zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True):
        mm[(time_ms - start_ms) // _RAIN_STEP_MS] = rate * _RAIN_STEP_MS / _HOUR_MS
    hour = [each for each in mm[-_HOUR_MS // _RAIN_STEP_MS :] if each is not None]
    return RainNow(
        device=gauge.id,
        health=_health(parts, gauge, last, alarms, now_ms),
        rate_mm_h=None if last is None else last.value,
        time_ms=None if last is None else last.time_ms,
        start_ms=start_ms,
        every_ms=_RAIN_STEP_MS,
        mm=mm,
        hour_mm=sum(hour) if hour else None,
    )


def _card(card: Card) -> CauseCard:
    return CauseCard(cause=_ref(card.cause, None), consequences=[_ref(alarm, why) for alarm, why in card.consequences])


def _ref(alarm: dict[str, Any], why: Any) -> AlarmRef:
    names = ("id", "seq", "rule", "rule_name", "place", "device", "severity", "onset_ms", "acknowledged_by")
    return AlarmRef(**{name: alarm[name] for name in names}, alarm_class=alarm["class"], why=why)


def _seasons(parts: Parts, network: Network, rules: list[dict[str, Any]], now_ms: int) -> list[FloodSeason]:
    devices = [node.device for node in network.nodes if node.device is not None]
    found = []
    for schedule in parts.schedules:
        if not schedule.seasons:
            continue
        of = [r for r in rules if r.get("schedule") == schedule.id and any(_concerns(r, each) for each in devices)]
        if of:
            found.append(
                FloodSeason(
                    id=schedule.id,
                    name=named(schedule.name or Text(en=schedule.id, zh=schedule.id)),
                    is_on=is_open(schedule, now_ms),
                    changes_ms=next_change_ms(schedule, now_ms),
                    rules=[RuleName(id=rule["id"], name=rule["name"]) for rule in of],
                )
            )
    return found
