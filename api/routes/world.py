"""The catalogue with what is newest: sites, devices, kinds."""

from typing import Any

from fastapi import APIRouter

from api.access import Looking, User
from api.answers import Route
from api.contract import DevicePage, DeviceShown, Kinds, Sites, named
from api.events import gateway_state
from api.parts import Parts, PartsOf
from api.problems import Problem

router = APIRouter(route_class=Route)


@router.get("/sites", response_model=Sites)
def sites(session: Looking, parts: PartsOf) -> dict[str, Any]:
    silent = parts.alarms.silent_devices()
    found = []
    for site in parts.catalogue.sites:
        if not session.user.sees(site.id):
            continue
        places = [place for place in parts.catalogue.places if parts.catalogue.site_of_place(place.id) == site.id]
        here = {place.id for place in places}
        found.append(
            {
                "id": site.id,
                "name": named(site.name),
                "timezone": site.timezone,
                "places": [
                    {
                        "id": place.id,
                        "name": named(place.name),
                        "kind": place.kind,
                        "parent": place.parent,
                        "drain": place.drain.model_dump() if place.drain else None,
                    }
                    for place in places
                ],
                "devices": [
                    device_now(parts, device.id, silent) for device in parts.catalogue.devices if device.place in here
                ],
                "gateways": [
                    gateway_state(gateway.id, parts.events.gateways.get(gateway.id))
                    | {"name": named(gateway.name), "local_page": gateway.local_page}
                    for gateway in parts.catalogue.gateways
                    if gateway.site == site.id
                ],
            }
        )
    return {"sites": found}


def device_now(parts: Parts, device_id: str, silent: set[str]) -> dict[str, Any]:
    """A device and its last readings."""
    device = parts.catalogue.device[device_id]
    last = {}
    for metric in parts.catalogue.kind[device.kind].metrics:
        newest = parts.newest.get(device_id, metric.id)
        if newest is not None:
            last[metric.id] = newest._asdict()
    return {
        "id": device.id,
        "name": named(device.name or parts.catalogue.place[device.place].name),
        "kind": device.kind,
        "place": device.place,
        "gateway": device.gateway,
        "state": "silent" if device.id in silent else "ok" if last else "never",
        "last": last,
    }


@router.get("/devices", response_model=DevicePage)
def devices(session: Looking, parts: PartsOf) -> dict[str, Any]:
    silent = parts.alarms.silent_devices()
    seen = [device.id for device in parts.catalogue.devices if session.user.sees(parts.catalogue.site_of(device.id))]
    return {"items": [device_now(parts, name, silent) for name in seen], "next": None}


@router.get("/devices/{device}", response_model=DeviceShown)
def device(session: Looking, parts: PartsOf, device: str) -> dict[str, Any]:
    kind_of(parts, session.user, device)
    return device_now(parts, device, parts.alarms.silent_devices())


@router.get("/kinds", response_model=Kinds)
def kinds(_session: Looking, parts: PartsOf) -> dict[str, Any]:
    return {
        "kinds": [
            {
                "id": kind.id,
                "name": named(kind.name),
                "metrics": [metric.model_dump(mode="json") for metric in kind.metrics],
            }
            for kind in parts.catalogue.kinds
        ]
    }


def kind_of(parts: Parts, user: User, device: str) -> str:
    """The kind of a device that somebody may see."""
    known = parts.catalogue.device.get(device)
    if known is None or not user.sees(parts.catalogue.site_of(device)):
        raise Problem(404, "No such device", f"there is no device '{device}' that you may see: GET /api/v1/devices")
    return known.kind
