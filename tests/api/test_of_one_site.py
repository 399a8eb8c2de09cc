"""Who has roles at one site hears nothing of another: no name, no count, no alarm, on no route, in no event and no error.

Two things are held against every route of the app's own table: what is answered to who names nothing of another site has
none of its names in it; and what exists there is answered like what never existed.
"""

import asyncio
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from api.access import Grant, Needs, Role
from api.register.visit import Person, State, Visit
from tests.api.test_app import PASSWORD, World, ask, database_kind, database_with_users, world

__all__ = ["database_kind", "database_with_users", "world"]

THERE = {
    "device": "meter", "gateway": "gw-west", "site": "west",
    **dict.fromkeys(("place", "gate", "building", "room"), "room"),
}  # fmt: skip
NOBODY = {name: f"never-{value}" for name, value in THERE.items()}
# What only the site's own people may read. The name of a kind of device is everybody's.
NAMES = ("gw-west", '"meter"', '"room"', '"west"', "西院", "secret of the west", "chief-of-west", "Zhou")
ROLES = (Role.GUARD, Role.ENGINEER, Role.MANAGER, Role.VIEWER, Role.REGISTRAR, Role.ADMINISTRATOR)
SEQ = {"seq": 1, "note": "why"}
BODIES: dict[str, dict[str, Any]] = {
    "/alarms/{alarm}/measure": {"seq": 1, "value": 36.5, "method": "ear"},
    "/alarms/{alarm}/shelve": {"seq": 1, "until": 1_795_000_600_000, "reason": "why"},
    "/alarms/{alarm}/assign": {"seq": 1, "assignee": "guard"},
    "/devices/{device}/instrument": {"what": "fitted", "serial": "S"},
    "/gates/{place}/handover": {"since": 1_794_990_000_000},
    "/register/entries/{visit}/admit": {"seq": 1, "temperature": {"value": 36.5}},
    "/register/entries/{visit}/recheck": {"seq": 1, "temperature": {"value": 36.5}},
    "/register/entries/{visit}/leave": {"seq": 1},
    "/register/erase": {"reason": "incident", "visits": ["$visit"]},
    "/register/search": {"reason": "incident", "first_day": "2026-01-01", "last_day": "2027-01-01"},
    "/register/export": {"reason": "incident", "first_day": "2026-01-01", "last_day": "2027-01-01"},
    "/register/person": {"reason": "incident", "visitor": "Zhou"},
    "/register/entries": {
        "gate": "$gate", "visitor": "Li", "purpose": "x", "department": "y", "temperature": {"value": 36.5},
    },
    "/register/announcements": {
        "gate": "$gate", "visitor": "Li", "purpose": "x", "department": "y", "day": "2026-11-25",
    },
    "/masks": {"kind": "maintenance", "reason": "why", "until": 1_795_000_600_000, "device": "$device"},
    "/reports": {"kind": "day", "subject": "$site", "period": "2026-11-17"},
    "/reports/schedules": {"kind": "day", "subject": "$site"},
    "/reports/schedules/{name}": {"version": 1, "language": "zh", "at": "07:00", "recipients": []},
    "/duties/{duty}/sign": {"site": "$site", "day": "2026-11-18", "note": ""},
}  # fmt: skip


def _routes(world: World) -> Iterator[tuple[str, str, Dependant]]:
    app: Any = world.client.app
    for found in iter_route_contexts(app.routes):
        path = str(found.path)
        if isinstance(found.original_route, APIRoute) and path.startswith("/api/v1") and path != "/api/v1/events":
            for method in sorted(found.methods or ()):
                rules = [each.call for each in found.dependant.dependencies if isinstance(each.call, Needs)]
                if rules and not path.startswith(("/api/v1/session", "/api/v1/users", "/api/v1/tokens")):
                    yield method, path.removeprefix("/api/v1"), found.dependant


@pytest.fixture
def there(world: World) -> dict[str, str]:
    """Something of everything at the other site; what names it."""
    world.accounts.add_user("chief-of-west", PASSWORD, [Role.ADMINISTRATOR], ["west"])
    world.readings(("meter/power", 1500.0, 60), ("meter/power", 1500.0, 20), ("level-1/level", 1.9, 1))
    headers = world.log_in("admin")
    (alarm,) = world.client.get("/api/v1/alarms?class=dormitory").json()["items"]
    noted = {"seq": alarm["seq"], "note": "secret of the west"}
    assert ask(world, headers, "POST", f"alarms/{alarm['id']}/comment", **noted).status_code == 200
    now_ms = world.clock.now_ms()
    mask = {"kind": "maintenance", "reason": "secret of the west", "until": now_ms + 600_000, "device": "meter"}
    masked = ask(world, headers, "POST", "masks", **mask)
    assert masked.status_code == 201, masked.text
    rule = next(each for each in world.client.get("/api/v1/rules").json()["items"] if each["id"] == "heater")
    version = rule.pop("version")
    changed = {"rule": rule | {"devices": ["meter"]}, "version": version, "note": "secret of the west"}
    assert ask(world, headers, "PUT", "rules/heater", **changed).status_code == 200
    rule = next(each for each in world.client.get("/api/v1/rules").json()["items"] if each["id"] == "drain-level")
    version = rule.pop("version")
    exceptions = [
        {"devices": ["level-1", "meter"], "levels": rule["levels"]},
        {"devices": [], "places": ["room"], "levels": rule["levels"]},
    ]
    changed = {
        "rule": rule | {"overrides": exceptions, "devices": ["level-1", "meter"]},
        "version": version,
        "note": "x",
    }
    made = ask(world, headers, "PUT", "rules/drain-level", **changed)
    assert made.status_code == 200, made.text
    world.log_in("chief-of-west")
    headers = world.log_in("chief-of-west")
    report = world.client.post(
        "/api/v1/reports", json={"kind": "day", "subject": "west", "period": "2026-11-17"}, headers=headers
    )
    assert report.status_code == 201, report.text
    schedule = world.client.post("/api/v1/reports/schedules", json={"kind": "day", "subject": "west"}, headers=headers)
    assert schedule.status_code == 201, schedule.text
    visit = Visit(
        id="a" * 32, seq=1, site="west", gate="room", day="2026-11-18", state=State.IN, announced_by=None,
        created_ms=now_ms, in_ms=now_ms, in_by="chief-of-west", out_ms=None, out_by=None,
        person=Person("Zhou", "", "secret of the west", "x"),
    )  # fmt: skip
    world.register.add(visit, "k" * 16)
    return THERE | {
        "alarm": alarm["id"], "mask_id": masked.json()["id"], "report": report.json()["id"],
        "name": schedule.json()["id"], "visit": visit.id, "rule": "heater",
    }  # fmt: skip


def never(there: dict[str, str]) -> dict[str, str]:
    """Names of nothing, of the same form."""
    return {name: NOBODY.get(name) or "".join(reversed(value[:-1] + "7")) for name, value in there.items()}


def _filled(path: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "x"), path)


def _body(path: str, names: dict[str, str]) -> dict[str, Any] | None:
    text = json.dumps(BODIES.get(path, SEQ))
    body: dict[str, Any] = json.loads(re.sub(r"\$(\w+)", lambda found: names[found[1]], text))
    return body


def _query(method: str, dependant: Dependant, names: dict[str, str]) -> dict[str, str]:
    found = {
        "start": "1794000000000", "end": "1795000000000", "first_day": "2026-01-01", "last_day": "2027-01-01",
        "month": "2026-11", "reason": "on-duty", "metric": "power", "version": "1", "note": "why",
    }  # fmt: skip
    wanted = {each.alias for each in dependant.query_params}
    return {name: value for name, value in (found | names).items() if name in wanted}


def _asked(
    world: World, headers: dict[str, str], method: str, path: str, dependant: Dependant, names: dict[str, str]
) -> Any:
    body = None if method in ("GET", "DELETE") else _body(path, names)
    headers = headers | {"Idempotency-Key": "request-0123456789"}
    return world.client.request(
        method, "/api/v1" + _filled(path, names), params=_query(method, dependant, names), json=body, headers=headers
    )


def _text(answer: Any) -> str:
    """What is said, also in a workbook; without the second in which that was made."""
    if not answer.content.startswith(b"PK"):
        return str(answer.text)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        return re.sub(r"T\d\d:\d\d:\d\dZ", "", "".join(book.read(name).decode() for name in sorted(book.namelist())))


@pytest.mark.parametrize("role", ROLES)
def test_what_is_of_another_site_is_in_no_answer(world: World, there: dict[str, str], role: Role) -> None:
    world.accounts.add_user("li", PASSWORD, [role], ["east"])
    headers = world.log_in("li")
    here = {
        "device": "scanner", "gateway": "gw-east", "place": "lane", "gate": "lane", "site": "east",
        "rule": "drain-level",
    }  # fmt: skip
    leaks = set()
    for method, path, dependant in _routes(world):
        if method != "GET" and path not in ("/register/search", "/register/export", "/register/person"):
            continue
        for names in ({}, here):
            answer = _asked(world, headers, method, path, dependant, names)
            told = _text(answer) + (str(msgspec.to_builtins(dict(answer.headers))))
            leaks |= {(method, path, name) for name in (*NAMES, there["alarm"], there["visit"]) if name in told}
    assert leaks == set()


@pytest.mark.parametrize("role", ROLES)
def test_what_is_of_another_site_is_answered_like_what_never_was(
    world: World, there: dict[str, str], role: Role
) -> None:
    world.accounts.add_user("li", PASSWORD, [role], ["east"])
    headers = world.log_in("li")
    nothing = never(there)
    told_apart = []
    for method, path, dependant in _routes(world):
        answers = []
        for names in (there, nothing):
            answer = _asked(world, headers, method, path, dependant, names)
            text = _text(answer)
            for name, value in names.items():
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", f"<{name}>", text)
            answers.append((answer.status_code, re.sub(r"\"as_of_ms\":\d+", "", text)))
        if answers[0] != answers[1]:
            told_apart.append((method, path, *answers))
    assert [each[:2] for each in told_apart] == [], told_apart


def test_nothing_of_another_site_is_in_the_stream(world: World, there: dict[str, str]) -> None:
    parts: Any = world.client.app.state.parts  # type: ignore[attr-defined]
    world.accounts.add_user("li", PASSWORD, [Role.ADMINISTRATOR], ["east"])
    events, user = parts.events, world.accounts.one("li").user  # type: ignore[union-attr]
    assert user.grants == {Grant(Role.ADMINISTRATOR, "east")}
    events._take("gatehouse/v1/west/gw-west/status", b'{"state": "online"}')
    assert "gw-west" not in events._health_event(user)
    stream = events.stream(user, 0, lambda: True)

    async def first(count: int) -> str:
        told = "".join([await anext(stream) for _ in range(count)])
        await stream.aclose()
        return told

    told = asyncio.run(first(3))
    assert "level-1" in told
    assert all(name not in told for name in NAMES)
