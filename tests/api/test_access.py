"""Every route has a rule, and the rule is what decides: each route × method × role, from the app's own table."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from api.access import EVERYWHERE, OF_VISITORS, PERMISSIONS, AtTablet, Grant, Needs, Permission, Role, User, anybody
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

TABLET = {("GET", "/api/v1/session/guards"), ("POST", "/api/v1/session/pin")}
"""What a tablet of a gate may without a log-in."""

OPEN = {
    ("POST", "/api/v1/session"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
}
"""What needs no log-in; anything else that is open is a mistake."""


def _routes(world: World) -> Iterator[tuple[str, str, list[Any]]]:
    app: Any = world.client.app
    for found in iter_route_contexts(app.routes):
        if isinstance(found.original_route, APIRoute):
            for method in sorted(found.methods or ()):
                yield method, str(found.path), _rules(found.dependant)


def _rules(dependant: Dependant) -> list[Any]:
    calls = [each.call for each in dependant.dependencies]
    return [call for call in calls if isinstance(call, Needs | AtTablet) or call is anybody]


def test_every_route_has_exactly_one_rule_and_only_the_named_ones_are_open(world: World) -> None:
    rules = {(method, path): found for method, path, found in _routes(world)}
    assert len(rules) > 20
    assert {where for where, found in rules.items() if len(found) != 1} == set()
    assert {where for where, found in rules.items() if found == [anybody]} == OPEN
    assert {where for where, (rule,) in rules.items() if isinstance(rule, AtTablet)} == TABLET


def test_without_a_log_in_every_other_route_is_closed(world: World) -> None:
    for method, path, _ in _routes(world):
        if (method, path) not in OPEN:
            assert world.client.request(method, path).status_code == 401, (method, path)


@pytest.mark.parametrize(
    ("name", "grants"),
    [
        ("guard", {Grant(Role.GUARD, "east")}),
        ("manager", {Grant(Role.MANAGER, "west")}),
        ("viewer", {Grant(Role.VIEWER)}),
        ("engineer", {Grant(Role.ENGINEER, "east")}),
        ("registrar", {Grant(Role.REGISTRAR, "east")}),
        ("admin", {Grant(Role.ADMINISTRATOR)}),
    ],
)
def test_a_role_reaches_exactly_what_its_permissions_say(world: World, name: str, grants: set[Grant]) -> None:
    headers = world.log_in(name)
    user = User(name, frozenset(grants))
    for method, path, (rule,) in _routes(world):
        if not isinstance(rule, Needs) or path == "/api/v1/events" or (method, path) == ("DELETE", "/api/v1/session"):
            continue
        permission = rule.permission
        may = user.may(permission) if permission in EVERYWHERE else user.may_somewhere(permission)
        answer = world.client.request(method, path, headers=headers)
        # Whoever may come in is told that the body is missing or that there is no such thing; nobody else is.
        is_refused = answer.status_code == 403 and "it needs the permission" in answer.json()["detail"]
        assert is_refused == (not may), (method, path, answer.text)


def test_changing_needs_the_token_of_the_session(world: World) -> None:
    world.log_in("admin")
    for method, path, (rule,) in _routes(world):
        if isinstance(rule, Needs) and method not in ("GET", "HEAD"):
            for wrong in ({}, {"X-CSRF-Token": "wrong"}):
                answer = world.client.request(method, path, headers=wrong)
                assert (answer.status_code, answer.json()["title"]) == (403, "No CSRF token"), (method, path)


def test_a_role_at_one_site_is_none_at_another() -> None:
    user = User("li", frozenset({Grant(Role.GUARD, "east"), Grant(Role.VIEWER, "west")}))
    assert user.acts_on("fever", "east")
    assert not user.acts_on("fever", "west")
    assert not user.acts_on("fever", None)
    assert user.sites == frozenset({"east", "west"})
    assert user.may_somewhere(Permission.ACT)
    assert not user.may(Permission.ACT, "west")
    assert not user.sees("north")


def test_an_administrator_may_all_that_any_role_may_except_read_about_visitors() -> None:
    for found in PERMISSIONS.values():
        assert found - OF_VISITORS <= PERMISSIONS[Role.ADMINISTRATOR]
    assert not OF_VISITORS & PERMISSIONS[Role.ADMINISTRATOR]
    assert {role for role, found in PERMISSIONS.items() if Permission.REGISTER_READ in found} == {Role.REGISTRAR}
