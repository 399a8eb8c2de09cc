"""A gate as its guard sees it: the lanes, who waits, and the shift that is handed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.access import Guarding, Looking, Permission, User
from api.answers import Route
from api.contract import Gate, GatePage, Shift, named
from api.handovers import SHIFT_MAX_MS
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.routes.world import device_now
from ingest.history.history import Aggregate
from telemetry.catalogue import Device

router = APIRouter(route_class=Route)

FEVER = "fever"
"""Class of the alarms that are about people."""
_HOUR_MS = 3_600_000
_CROWD_STEP_MS = 300_000
_AMBIENT = "ambient_temperature"


class ShiftSigned(BaseModel):
    """A guard hands the gate over. `since` is the beginning of the shift as it was shown."""

    model_config = ConfigDict(extra="forbid")

    since: int = Field(ge=0, lt=2**53, description="epoch ms")
    note: str = Field(default="", max_length=2000)


@router.get("/gates", response_model=GatePage)
def gates(session: Looking, parts: PartsOf) -> dict[str, Any]:
    catalogue, metrics = parts.catalogue, scanned_metrics(parts)
    found: dict[str, None] = {}
    for device in catalogue.devices:
        if device.kind in metrics and session.user.sees(catalogue.site_of(device.id)):
            found[catalogue.gate_of(device.place)] = None
    return {
        "items": [
            {"id": gate, "name": named(catalogue.place[gate].name), "site": catalogue.site_of_place(gate)}
            for gate in found
        ],
        "next": None,
    }


@router.get("/gates/{place}", response_model=Gate)
def gate(session: Looking, parts: PartsOf, place: str) -> dict[str, Any]:
    devices = devices_of_gate(parts, session.user, place)
    catalogue, now_ms = parts.catalogue, parts.clock.now_ms()
    rules, metrics = fever_rules(parts), scanned_metrics(parts)
    silent = parts.alarms.silent_devices()
    open_alarms = parts.handovers.open_alarms([device.id for device in devices])
    lanes = []
    for device in devices:
        if device.kind not in metrics:
            continue
        metric, now = metrics[device.kind], device_now(parts, device.id, silent)
        lanes.append(
            {
                "place": device.place,
                "name": named(catalogue.place[device.place].name),
                "device": device.id,
                "metric": metric,
                "state": now["state"],
                "last": now["last"].get(metric),
                "ambient": now["last"].get(_AMBIENT),
                "limits": _limits(rules, device, metric),
                "scanner": [alarm for alarm in open_alarms if alarm["device"] == device.id and alarm["class"] != FEVER],
                "hour": _crowd(parts, device, metric, now_ms),
            }
        )
    return {
        "id": place,
        "name": named(catalogue.place[place].name),
        "site": catalogue.site_of_place(place),
        "as_of_ms": now_ms,
        "lanes": lanes,
        "thermometers": [device.id for device in devices if is_thermometer(parts, device)],
        "alarms": [alarm for alarm in open_alarms if alarm["class"] == FEVER],
    }


@router.get("/gates/{place}/handover", response_model=Shift)
def shift(session: Looking, parts: PartsOf, place: str) -> dict[str, Any]:
    devices = devices_of_gate(parts, session.user, place)
    now_ms = parts.clock.now_ms()
    since_ms = parts.handovers.since_ms(place, now_ms)
    return _shift(parts, devices, since_ms, now_ms) | {"place": place, "signed": parts.handovers.signed(place)}


@router.post("/gates/{place}/handover", responses=told(409), response_model=Shift)
def sign(session: Guarding, parts: PartsOf, place: str, body: ShiftSigned) -> dict[str, Any]:
    devices, user = devices_of_gate(parts, session.user, place), session.user
    if not user.may(Permission.GUARD, parts.catalogue.site_of_place(place)):
        parts.accounts.record(user.name, "hand-over", place, "refused: role", parts.catalogue.site_of_place(place))
        raise Problem(403, "Not for this role", "a gate is handed over by its guards")
    now_ms = parts.clock.now_ms()
    # A page may have stood open for a day. Nobody hands over years, and counting them would take as long.
    if not now_ms - 2 * SHIFT_MAX_MS <= body.since <= now_ms:
        raise Problem(422, "The request does not fit", "'since' is the beginning of the shift as it was shown")
    left = _shift(parts, devices, body.since, now_ms)
    document = {
        "passages": left["passages"],
        "decisions": len(left["decisions"]),
        "open": [{"alarm": a["id"], "place": a["place"], "class": a["class"]} for a in left["open"]],
    }
    if not parts.handovers.sign(place, body.since, now_ms, user.name, body.note, document):
        signed = parts.handovers.signed(place)[0]
        told = f"{signed['guard']} has signed it already; look at it again"
        raise Problem(409, "The shift was handed over", told, signed=signed)
    parts.accounts.record(user.name, "hand-over", place, "done", parts.catalogue.site_of_place(place))
    return shift(session, parts, place)


def _shift(parts: Parts, devices: Sequence[Device], since_ms: int, now_ms: int) -> dict[str, Any]:
    names, metrics = [device.id for device in devices], scanned_metrics(parts)
    lanes = [
        {"place": device.place, "count": _count(parts, device, metrics[device.kind], since_ms, now_ms)}
        for device in devices
        if device.kind in metrics
    ]
    return {
        "since_ms": since_ms,
        "as_of_ms": now_ms,
        "open": parts.handovers.open_alarms(names),
        "decisions": parts.handovers.decisions(names, since_ms),
        "passages": lanes,
    }


def devices_of_gate(parts: Parts, user: User, gate: str) -> list[Device]:
    """Everything that stands at a gate that somebody may see."""
    catalogue = parts.catalogue
    found = [device for device in catalogue.devices if catalogue.gate_of(device.place) == gate]
    if not found or not user.sees(catalogue.site_of_place(gate)):
        raise Problem(404, "No such gate", f"there is no gate '{gate}' that you may see: GET /api/v1/gates")
    return found


def fever_rules(parts: Parts) -> list[dict[str, Any]]:
    return [rule for rule in parts.rules.in_force() if rule["class"] == FEVER and "levels" in rule]


def scanned_metrics(parts: Parts) -> dict[str, str]:
    """The metric by which people are judged, by kind of device."""
    metrics = {rule["metric"] for rule in fever_rules(parts)}
    return {kind.id: metric.id for kind in parts.catalogue.kinds for metric in kind.metrics if metric.id in metrics}


def _limits(rules: Sequence[dict[str, Any]], device: Device, metric: str) -> list[dict[str, Any]]:
    """Limits in force on a scanner and where they come from; `figures` where a rule compares people with each other."""
    found = []
    for rule in rules:
        concerns = (rule.get("kinds") is None or device.kind in rule["kinds"]) and (
            rule.get("devices") is None or device.id in rule["devices"]
        )
        if rule["metric"] == metric and concerns:
            figures = {name: rule[name] for name in ("mode", "normal_c", "people", "people_min") if name in rule}
            levels = [
                {"severity": level["severity"], "at_least": level["at_least"], "at_most": level["at_most"]}
                for level in rule["levels"]
            ]
            told = {"rule": rule["id"], "name": rule["name"], "type": rule["type"], "version": rule["version"]}
            found.append(told | {"levels": levels, "figures": figures or None})
    return found


def _crowd(parts: Parts, device: Device, metric: str, now_ms: int) -> dict[str, Any]:
    """Passages of the last hour, in steps of five minutes; the last step is the one that is under way."""
    start_ms = (now_ms // _CROWD_STEP_MS + 1) * _CROWD_STEP_MS - _HOUR_MS
    curve = parts.history.read(
        device.kind, device.id, metric, start_ms, start_ms + _HOUR_MS, _CROWD_STEP_MS, Aggregate.COUNT
    )
    counts = [0] * (_HOUR_MS // _CROWD_STEP_MS)
    for time_ms, value in zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True):
        counts[(time_ms - start_ms) // _CROWD_STEP_MS] += int(value)
    return {"start_ms": start_ms, "every_ms": _CROWD_STEP_MS, "count": sum(counts), "counts": counts}


def _count(parts: Parts, device: Device, metric: str, start_ms: int, end_ms: int) -> int:
    if end_ms <= start_ms:
        return 0
    curve = parts.history.read(device.kind, device.id, metric, start_ms, end_ms, _HOUR_MS, Aggregate.COUNT)
    return int(curve.value.sum())


def is_thermometer(parts: Parts, device: Device) -> bool:
    return any(metric.recheck for metric in parts.catalogue.kind[device.kind].metrics)
