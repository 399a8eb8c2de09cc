"""Machines come in with tokens: made by a person, shown once, never more than their owner, over with their owner."""

from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.access import Permission, Role
from api.people.tokens import DAYS_MAX
from tests.api.test_app import PASSWORD, World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

DAY_MS = 86_400_000


def _make(world: World, headers: dict[str, str], **other: object) -> Any:
    body = {
        "name": "backup",
        "scopes": ["look"],
        "expires_ms": world.clock.now_ms() + 30 * DAY_MS,
        "password": PASSWORD,
        **other,
    }
    return world.client.post("/api/v1/tokens", json=body, headers=headers)


def _status(world: World, token: str, path: str = "sites") -> int:
    machine = TestClient(world.client.app)  # without the cookies of who made it
    return machine.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_shown_once_listed_without_itself_used_and_ended(world: World) -> None:
    headers = world.log_in("engineer")
    made = _make(world, headers)
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("gh_")
    assert _status(world, token) == 200
    listed = world.client.get("/api/v1/tokens")
    (shown,) = listed.json()["items"]
    assert (shown["name"], shown["scopes"], shown["used_ms"]) == ("backup", ["look"], world.clock.now_ms())
    with world.database.connect() as db:
        kept = repr(db.execute(sa.text("SELECT * FROM api_token")).all())
    assert token not in listed.text + kept
    assert world.client.delete(f"/api/v1/tokens/{shown['id']}", headers=headers).status_code == 204
    assert world.client.delete(f"/api/v1/tokens/{shown['id']}", headers=headers).status_code == 404
    assert _status(world, token) == 401


def test_what_a_token_cannot_be_is_refused(world: World) -> None:
    headers, now_ms = world.log_in("engineer"), world.clock.now_ms()
    wrongs: list[dict[str, object]] = [
        {"expires_ms": now_ms},
        {"expires_ms": now_ms + DAYS_MAX * DAY_MS + 1},
        {"scopes": []},
        {"scopes": ["look", "guard"]},
        {"scopes": ["manage-users"]},
        {"scopes": ["all"]},
        {"sites": ["west"]},
        {"sites": []},
        {"name": ""},
    ]
    for wrong in wrongs:
        assert _make(world, headers, **wrong).status_code == 422, wrong
    assert _make(world, headers, expires_ms=now_ms + DAYS_MAX * DAY_MS).status_code == 201
    refused = _make(world, headers, password="something else")
    assert (refused.status_code, refused.json()["title"]) == (403, "Not your password")


def test_a_token_ends_with_its_time_and_shrinks_and_ends_with_its_owner(world: World) -> None:
    headers = world.log_in("admin")
    token = _make(world, headers, scopes=["read-audit", "look"]).json()["token"]
    assert _status(world, token, "audit") == 200
    users = world.accounts
    users.add("system", "second", PASSWORD, users.users()[0].grants)
    viewer = next(user.grants for user in users.users() if user.name == "viewer")
    users.change("second", "admin", viewer, None, None)
    assert (_status(world, token, "audit"), _status(world, token)) == (403, 200)
    users.change("second", "admin", None, None, True)
    assert _status(world, token) == 401
    users.change("second", "admin", None, None, False)
    assert _status(world, token) == 401  # who is let in again makes new ones
    token = users.tokens.make(users.users()[0], "x", frozenset({Permission.LOOK}), None, world.clock.now_ms() + DAY_MS)[
        0
    ]
    assert _status(world, token) == 200
    world.clock.advance(86_401)
    assert _status(world, token) == 401


@pytest.mark.parametrize("way", ["change", "add_user"])
def test_a_password_that_somebody_else_sets_leaves_no_way_in(world: World, way: str) -> None:
    headers, users = world.log_in("guard"), world.accounts
    token = _make(world, headers).json()["token"]
    users.change_pin("admin", "guard", "4071")
    users.change_password("guard", PASSWORD)
    assert (_status(world, token), users.sessions.has_pin("guard")) == (200, True)  # their own stays theirs
    if way == "change":
        users.change("admin", "guard", None, PASSWORD, None)
    else:
        users.add_user("guard", PASSWORD, [Role.GUARD], None)
    assert (_status(world, token), users.sessions.has_pin("guard"), users.sessions.of("guard")) == (401, False, [])


def test_everybody_sees_their_own_tokens_and_administrators_all(world: World) -> None:
    made = [_make(world, world.log_in(name)).json()["id"] for name in ("engineer", "viewer")]
    headers = world.log_in("viewer")
    assert [each["id"] for each in world.client.get("/api/v1/tokens").json()["items"]] == made[1:]
    assert world.client.delete(f"/api/v1/tokens/{made[0]}", headers=headers).status_code == 404
    headers = world.log_in("admin")
    first = world.client.get("/api/v1/tokens?limit=1").json()
    second = world.client.get(f"/api/v1/tokens?limit=1&cursor={first['next']}").json()
    assert sorted(made) == [first["items"][0]["id"], second["items"][0]["id"]]
    assert world.client.delete(f"/api/v1/tokens/{made[0]}", headers=headers).status_code == 204


def test_what_a_token_changes_needs_no_csrf_token_and_is_on_record_with_its_id(world: World) -> None:
    made = _make(world, world.log_in("engineer"), scopes=["look", "mask"]).json()
    machine = TestClient(world.client.app)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert machine.post("/api/v1/masks", json={}, headers=bearer).status_code == 422
    assert machine.post("/api/v1/rules", json={}, headers=bearer).status_code in (403, 404, 405)
    with world.database.connect() as db:
        row = db.execute(sa.text("SELECT actor, subject FROM audit WHERE action = 'token' ORDER BY id")).first()
    assert row is not None and tuple(row) == ("engineer", f"{made['id']} POST /api/v1/masks")


def test_nonsense_is_no_token(world: World) -> None:
    world.log_in()
    for wrong in ("Bearer", "Bearer ", "Bearer gh_", "Bearer gh_x", "Basic YTpi", "gh_x", "Bearer gh_" + "x" * 5000):
        answer = world.client.get("/api/v1/sites", headers={"Authorization": wrong})
        assert answer.status_code == 401, wrong


def test_an_owner_has_a_bounded_number_of_tokens(world: World) -> None:
    owner, end_ms = world.accounts.users()[0], world.clock.now_ms() + DAY_MS
    for _ in range(50):
        world.accounts.tokens.make(owner, "x", frozenset({Permission.LOOK}), None, end_ms)
    headers = world.log_in(owner.name)
    answer = _make(world, headers)
    assert (answer.status_code, "50 tokens" in answer.json()["detail"]) == (422, True)
    world.clock.advance(86_401)  # what has ended does not count
    assert _make(world, world.log_in(owner.name)).status_code == 201
