"""A wall screen looks at its sites for months without anybody touching it, and can do nothing else."""

from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tests.api.test_app import PASSWORD, World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

_DAY_S = 86_400


def _hang(world: World, name: str = "admin", **body: object) -> Any:
    headers = world.log_in(name)
    return world.client.post("/api/v1/session/wall", json={"password": PASSWORD, **body}, headers=headers)


def _come_with(world: World, cookie: str) -> None:
    world.client.cookies.clear()
    world.client.cookies.set("gatehouse_session", cookie)


def test_a_wall_sees_its_sites_only_and_nobody_has_to_touch_it(world: World) -> None:
    before = world.log_in()
    cookie = world.client.cookies["gatehouse_session"]
    made = world.client.post("/api/v1/session/wall", json={"password": PASSWORD, "sites": ["east"]}, headers=before)
    assert made.status_code == 200, made.text
    assert made.json()["is_wall"]
    assert made.json()["user"] == {
        "name": "admin",
        "roles": ["administrator"],
        "sites": ["east"],
        "acts_on": [],
        "permissions": ["look"],
        "may": [
            {"site": None, "permissions": [], "acts_on": []},
            {"site": "east", "permissions": ["look"], "acts_on": []},
        ],
    }
    wall = world.client.cookies["gatehouse_session"]
    _come_with(world, cookie)
    assert world.client.get("/api/v1/session").status_code == 401  # the log-in that became the wall is gone
    _come_with(world, wall)
    world.clock.advance(200 * _DAY_S)
    assert [site["id"] for site in world.client.get("/api/v1/sites").json()["sites"]] == ["east"]
    world.clock.advance(201 * _DAY_S)
    assert world.client.get("/api/v1/sites").status_code == 401


FOR_ANYBODY = {f"/api/v1/session{rest}" for rest in ("", "/guards", "/pin", "/ways")}


def test_a_wall_changes_nothing_and_reaches_nothing_of_a_person(world: World) -> None:
    headers = {"X-CSRF-Token": _hang(world).json()["csrf"]}
    app: Any = world.client.app
    refused = let_in = 0
    for found in iter_route_contexts(app.routes):
        path = str(found.path)
        if not isinstance(found.original_route, APIRoute) or not path.startswith("/api/v1/"):
            continue
        for method in sorted(found.methods or ()):
            if path == "/api/v1/events" or path.startswith("/api/v1/session/openid") or path in FOR_ANYBODY:
                continue
            answer = world.client.request(method, path, headers=headers)
            is_own = path.startswith(("/api/v1/tokens", "/api/v1/users", "/api/v1/session/", "/api/v1/register"))
            if method != "GET" or is_own:
                assert (answer.status_code, answer.json()["title"]) == (403, "Not at a wall screen"), (method, path)
                refused += 1
            else:
                let_in += answer.status_code == 200
    assert refused > 40
    assert let_in > 5
    assert world.client.put("/api/v1/session/pin", json={"password": PASSWORD, "pin": "4071"}).status_code == 403
    assert world.client.get("/api/v1/session/guards").status_code == 401
    assert world.client.delete("/api/v1/session", headers=headers).status_code == 204  # taken down
    assert world.client.get("/api/v1/session").status_code == 401


@pytest.mark.parametrize("body", [{"sites": ["west"]}, {"sites": []}])
def test_a_wall_never_sees_more_than_who_hangs_it(world: World, body: dict[str, object]) -> None:
    assert _hang(world, "guard", **body).status_code == 422
    assert world.client.get("/api/v1/session").json()["is_wall"] is False


def test_a_wall_needs_the_password_is_listed_and_ends_from_elsewhere(world: World) -> None:
    headers = world.log_in()
    wrong = world.client.post("/api/v1/session/wall", json={"password": "not mine"}, headers=headers)
    assert wrong.status_code == 403
    _hang(world)
    wall = world.client.cookies["gatehouse_session"]
    headers = world.log_in()
    (listed,) = (
        each for each in world.client.get("/api/v1/users/admin/sessions").json()["items"] if each["kind"] == "wall"
    )
    ended = world.client.delete(f"/api/v1/users/admin/sessions/{listed['id']}", headers=headers)
    assert ended.status_code == 204
    _come_with(world, wall)
    assert world.client.get("/api/v1/sites").status_code == 401
