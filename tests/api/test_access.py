"""Every route has a rule, and the rule is what decides: each route × method × role, from the app's own table."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from api.access import EVERYWHERE, OF_VISITORS, PERMISSIONS, AtTablet, Grant, Needs, Permission, Role, User, anybody
from api.people.tokens import SCOPES, limited
from telemetry.errors import BadInput
from tests.api.test_app import PASSWORD, World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

TABLET = {("GET", "/api/v1/session/guards"), ("POST", "/api/v1/session/pin")}
"""What a tablet of a gate may without a log-in."""

OPEN = {
    ("POST", "/api/v1/session"),
    ("GET", "/api/v1/session/ways"),
    ("GET", "/api/v1/session/openid"),
    ("GET", "/api/v1/session/openid/back"),
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


def test_a_session_says_what_may_be_done_at_which_site(world: World) -> None:
    """Screens open a form by it: what may be done at one site only was offered everywhere, and refused when sent."""
    world.accounts.add_user("two", PASSWORD, [Role.ENGINEER], ["west"])
    grants = frozenset({Grant(Role.ENGINEER, "west"), Grant(Role.GUARD, "east")})
    world.accounts.change("admin", "two", grants, None, None)
    world.log_in("two")
    user = world.client.get("/api/v1/session").json()["user"]
    may = {each["site"]: each for each in user["may"]}
    assert set(may) == {None, "east", "west"}
    assert (may[None]["permissions"], may[None]["acts_on"]) == ([], [])
    for site, permission, is_given in (
        ("west", "mask", True),
        ("east", "mask", False),
        ("east", "guard", True),
        ("west", "guard", False),
        ("west", "change-rosters", False),  # of all sites, and so of none here
    ):
        assert (permission in may[site]["permissions"]) == is_given, (site, permission)
    assert "change-rosters" not in user["permissions"]
    assert ("drain" in may["west"]["acts_on"], "drain" in may["east"]["acts_on"]) == (True, False)
    assert ("fever" in may["west"]["acts_on"], "fever" in may["east"]["acts_on"]) == (False, True)
    world.log_in("admin")
    (everywhere,) = world.client.get("/api/v1/session").json()["user"]["may"]
    assert everywhere["site"] is None
    assert {"change-rosters", "mask", "sign-duties"} <= set(everywhere["permissions"])
    assert "system" in everywhere["acts_on"]


@pytest.mark.parametrize("sites", [None, ["east"]], ids=["everywhere", "east"])
@pytest.mark.parametrize(
    ("name", "grants"),
    [
        ("guard", {Grant(Role.GUARD, "east")}),
        ("viewer", {Grant(Role.VIEWER)}),
        ("engineer", {Grant(Role.ENGINEER, "east")}),
        ("admin", {Grant(Role.ADMINISTRATOR)}),
    ],
)
def test_a_token_reaches_exactly_what_its_owner_may_of_its_scopes(
    world: World, name: str, grants: set[Grant], sites: list[str] | None
) -> None:
    owner = User(name, frozenset(grants))
    end_ms = world.clock.now_ms() + 1_000_000
    routes = [(method, path, rule) for method, path, (rule,) in _routes(world) if isinstance(rule, Needs)]
    world.log_in("admin")  # a session beside it gives it nothing
    for scope in Permission:
        if scope not in SCOPES or not owner.may_somewhere(scope):
            with pytest.raises(BadInput):
                world.accounts.tokens.make(owner, "probe", frozenset({scope}), sites, end_ms)
            continue
        token, _ = world.accounts.tokens.make(owner, "probe", frozenset({scope}), sites, end_ms)
        for method, path, rule in routes:
            if path == "/api/v1/events":
                continue
            is_everywhere = rule.permission in EVERYWHERE
            may = owner.may(scope) and sites is None if is_everywhere else owner.may_somewhere(scope)
            answer = world.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
            if rule.in_person:
                assert (answer.status_code, answer.json()["title"]) == (403, "Not for tokens"), (method, path)
                continue
            is_refused = answer.status_code == 403 and "it needs the permission" in answer.json()["detail"]
            assert is_refused == (not (may and rule.permission == scope)), (method, path, answer.text)


def test_who_must_enrol_reaches_nothing_else(world: World) -> None:
    world.accounts._requires_second_factor = True
    headers = world.log_in("admin")
    reached = set()
    for method, path, (rule,) in _routes(world):
        if not isinstance(rule, Needs | AtTablet) or (method, path) == ("DELETE", "/api/v1/session"):
            continue
        answer = world.client.request(method, path, headers=headers)
        if isinstance(rule, AtTablet):
            assert answer.status_code == 401, (method, path)
        elif (answer.status_code, answer.json().get("title")) != (403, "Second factor needed"):
            reached.add((method, path.removeprefix("/api/v1/session")))
    assert reached == {
        ("GET", ""),
        ("PUT", "/password"),
        ("POST", "/second-factor"),
        ("POST", "/second-factor/confirm"),
        ("POST", "/second-factor/drop"),
    }


def test_what_makes_people_tokens_or_sessions_is_closed_to_tokens(world: World) -> None:
    for method, path, rules in _routes(world):
        is_own = path.startswith(("/api/v1/tokens", "/api/v1/users", "/api/v1/session/"))
        is_own |= (method, path) == ("DELETE", "/api/v1/session")
        if is_own and (method, path) not in TABLET | OPEN:
            assert rules[0].in_person, (method, path)


def test_a_token_is_its_owner_made_smaller() -> None:
    owner = User("li", frozenset({Grant(Role.ENGINEER), Grant(Role.GUARD, "west")}))
    token = limited(owner, frozenset({Permission.LOOK, Permission.ACT, Permission.MASK}), ["east"])
    assert token.sites == frozenset({"east"})
    assert token.acts_on("drain", "east")
    assert not token.acts_on("drain", "west")
    assert not token.acts_on("drain", None)
    assert not token.may(Permission.CHANGE_RULES, "east")
    assert not limited(owner, frozenset({Permission.LOOK}), None).acts_on("drain", "east")
    assert not limited(User("li", frozenset()), frozenset(Permission), ["east"]).sees("east")


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
