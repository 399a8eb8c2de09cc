"""Administrators make and change users; nobody locks the district or themselves out; all of it is on record."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.access import Permission, Role
from api.app import make_app
from api.people.accounts import Accounts
from telemetry.errors import BadInput
from tests.api.test_app import PASSWORD, World

__all__ = ["database_kind", "database_with_users", "world"]
from tests.api.test_app import database_kind, database_with_users, world

NEW = {"name": "chen", "password": "a long password", "grants": [{"role": "guard", "site": "east"}]}


def _actions(world: World) -> list[str]:
    with world.database.connect() as db:
        return list(db.execute(sa.text("SELECT action || ' ' || subject FROM audit ORDER BY id")).scalars())


def _change(world: World, headers: dict[str, str], name: str, **body: object) -> tuple[int, str]:
    answer = world.client.patch(f"/api/v1/users/{name}", json=body, headers=headers)
    return answer.status_code, answer.text


def test_a_user_is_made_listed_changed_and_disabled_and_all_is_on_record(world: World) -> None:
    headers = world.log_in()
    made = world.client.post("/api/v1/users", json=NEW, headers=headers)
    assert (made.status_code, made.json()["grants"]) == (201, [{"role": "guard", "site": "east"}])
    assert world.client.post("/api/v1/users", json=NEW, headers=headers).status_code == 422
    assert _change(world, headers, "chen", grants=[{"role": "viewer"}])[0] == 200
    assert _change(world, headers, "chen", pin="4071")[0] == 422  # a guard no more
    assert _change(world, headers, "chen", disabled=True)[0] == 200
    first = world.client.get("/api/v1/users?limit=4").json()
    second = world.client.get(f"/api/v1/users?limit=4&cursor={first['next']}").json()
    names = [user["name"] for page in (first, second) for user in page["items"]]
    assert names == ["admin", "chen", "engineer", "guard", "manager", "registrar", "viewer"]
    assert second["next"] is None
    entered = {"name": "chen", "password": NEW["password"]}
    assert world.client.post("/api/v1/session", json=entered).status_code == 401
    told = [action for action in _actions(world) if action.endswith(" chen")]
    assert told == ["user-add chen", "user-grants chen", "user-change chen", "user-disable chen"]


def test_a_refusal_names_its_field_and_a_code_that_screens_have_words_for(world: World) -> None:
    headers = world.log_in()
    wrong = [
        ({"name": "\n"}, "name", "bad-name"),
        ({"name": "li/chen"}, "name", "bad-name"),
        ({"name": "viewer"}, "name", "name-taken"),
        ({"password": "short"}, "password", "weak-password"),
        ({"password": "gatehouse 1234"}, "password", "known-password"),
    ]
    for change, field, code in wrong:
        (found,) = world.client.post("/api/v1/users", json=NEW | change, headers=headers).json()["errors"]
        assert (found["field"], found["code"]) == (field, code)
    changes: list[tuple[str, dict[str, object], str, str]] = [
        ("guard", {"pin": "1234"}, "pin", "weak-pin"),
        ("guard", {"pin": "12"}, "pin", "bad-pin"),
        ("viewer", {"pin": "4071"}, "pin", "no-guard"),
        ("admin", {"grants": []}, "grants", "last-administrator"),
    ]
    for name, body, field, code in changes:
        answer = world.client.patch(f"/api/v1/users/{name}", json=body, headers=headers)
        (found,) = answer.json()["errors"]
        assert (found["field"], found["code"]) == (field, code)


@pytest.mark.parametrize(
    ("roles", "pin"), [(["guard", "viewer"], "1234"), (["guard", "viewer"], "x"), (["viewer"], "4071")]
)
def test_a_change_with_a_pin_that_is_refused_changes_nothing(world: World, roles: list[str], pin: str) -> None:
    before, begun = world.accounts.one("guard"), _actions(world)
    guard = TestClient(world.client.app)
    assert guard.post("/api/v1/session", json={"name": "guard", "password": PASSWORD}).status_code == 200
    headers = world.log_in()
    grants = [{"role": role} for role in roles]
    changed = {"grants": grants, "password": "another long one", "disabled": True, "pin": pin}
    assert _change(world, headers, "guard", **changed)[0] == 422
    assert world.accounts.one("guard") == before and guard.get("/api/v1/session").status_code == 200
    told = [action for action in _actions(world)[len(begun) :] if not action.startswith("log-in")]
    assert told == ["user-change guard"]


def test_who_is_made_a_guard_gets_a_password_and_a_pin_at_once(world: World) -> None:
    changed = {"grants": [{"role": "guard"}], "password": "another long one", "pin": "4071"}
    assert _change(world, world.log_in(), "viewer", **changed)[0] == 200
    assert world.accounts.sessions.has_pin("viewer")
    assert _change(world, world.log_in(), "viewer", pin="")[0] == 200
    assert not world.accounts.sessions.has_pin("viewer")


def test_one_user_is_shown_with_what_they_come_in_by(world: World) -> None:
    headers = world.log_in()
    assert not world.client.get("/api/v1/users/guard").json()["has_pin"]
    assert _change(world, headers, "guard", pin="4071")[0] == 200
    shown = world.client.get("/api/v1/users/guard").json()
    assert (shown["name"], shown["has_pin"], shown["has_second_factor"]) == ("guard", True, False)
    assert world.client.get("/api/v1/users/nobody").status_code == 404
    # Their tokens, and nobody else's.
    end_ms = world.clock.now_ms() + 1_000_000
    for user in world.accounts.users():
        if user.name in ("guard", "viewer"):
            world.accounts.tokens.make(user, "probe", frozenset({Permission.LOOK}), None, end_ms)
    (token,) = world.client.get("/api/v1/tokens?user=guard").json()["items"]
    assert token["user"] == "guard"
    world.log_in("viewer")
    (token,) = world.client.get("/api/v1/tokens?user=guard").json()["items"]
    assert token["user"] == "viewer"


def test_nobody_takes_the_last_administrator_or_locks_themselves_out(world: World) -> None:
    headers = world.log_in()
    bodies: list[dict[str, object]] = [
        {"grants": []},
        {"disabled": True},
        {"grants": [{"role": "administrator", "site": "east"}]},
    ]
    for body in bodies:
        status, text = _change(world, headers, "admin", **body)
        assert (status, "nobody could manage users" in text) == (422, True)
    world.accounts.add_user("second", PASSWORD, [Role.ADMINISTRATOR], None)
    status, text = _change(world, headers, "admin", disabled=True)
    assert (status, "lock yourself out" in text) == (422, True)
    assert world.client.get("/api/v1/session").json()["user"]["name"] == "admin"
    assert _change(world, headers, "second", disabled=True)[0] == 200


def test_what_was_granted_or_taken_holds_from_the_next_request_on(world: World) -> None:
    world.log_in("guard")
    guards = world.client.cookies["gatehouse_session"]
    headers = world.log_in()
    assert _change(world, headers, "guard", grants=[])[0] == 200
    assert world.accounts.session(guards) is None


def test_grants_name_sites_that_exist(world: World) -> None:
    headers = world.log_in()
    status, text = _change(world, headers, "guard", grants=[{"role": "guard", "site": "nowhere"}])
    assert (status, "no site 'nowhere'" in text) == (422, True)


def test_a_password_is_changed_with_the_old_one_and_ends_every_session(world: World) -> None:
    world.log_in("guard")
    elsewhere = world.client.cookies["gatehouse_session"]
    headers = world.log_in("guard")
    wanted = {"old": "wrong", "new": "another password"}
    assert world.client.put("/api/v1/session/password", json=wanted, headers=headers).status_code == 403
    wanted["old"] = PASSWORD
    assert world.client.put("/api/v1/session/password", json=wanted, headers=headers).status_code == 200
    assert world.accounts.session(elsewhere) is None
    assert world.client.get("/api/v1/session").json()["user"]["name"] == "guard"
    assert world.client.post("/api/v1/session", json={"name": "guard", "password": PASSWORD}).status_code == 401


def test_sessions_are_listed_and_ended_by_whose_they_are_and_by_an_administrator(world: World) -> None:
    world.log_in("guard")
    first = world.client.cookies["gatehouse_session"]
    world.clock.advance(1)
    headers = world.log_in("guard")
    newest, oldest = world.client.get("/api/v1/session/all").json()["items"]
    assert newest["made_ms"] > oldest["made_ms"]
    assert world.client.delete(f"/api/v1/session/all/{oldest['id']}", headers=headers).status_code == 204
    assert world.accounts.session(first) is None
    theirs = world.client.cookies["gatehouse_session"]
    headers = world.log_in("engineer")
    assert world.client.delete(f"/api/v1/session/all/{newest['id']}", headers=headers).status_code == 404
    headers = world.log_in()
    (left,) = world.client.get("/api/v1/users/guard/sessions").json()["items"]
    assert left["id"] == newest["id"]
    assert world.client.delete("/api/v1/users/guard/sessions", headers=headers).status_code == 204
    assert world.accounts.session(theirs) is None


def test_the_audit_is_read_by_administrators_in_pages_and_by_who_and_what(world: World) -> None:
    headers = world.log_in("guard")
    assert world.client.get("/api/v1/audit").status_code == 403
    world.client.delete("/api/v1/session", headers=headers)
    world.log_in()
    guards = world.client.get("/api/v1/audit?actor=guard").json()["items"]
    assert [(row["action"], row["outcome"][:7]) for row in guards][:2] == [
        ("log-out", "done"),
        ("read-audit", "refused"),
    ]
    seen, cursor = [], ""
    while cursor is not None:
        page = world.client.get(f"/api/v1/audit?limit=3{cursor and f'&cursor={cursor}'}").json()
        seen += [row["id"] for row in page["items"]]
        cursor = page["next"]
    assert seen == list(range(seen[0], 0, -1))
    assert {row["action"] for row in world.client.get("/api/v1/audit?action=log-in").json()["items"]} == {"log-in"}
    world.accounts.record("guard", "hand-over", "gate-1", "done", "east")
    assert [row["subject"] for row in world.client.get("/api/v1/audit?site=east").json()["items"]] == ["gate-1"]
    assert world.client.get("/api/v1/audit?site=west").json()["items"] == []
    assert world.accounts.audit.faults() == []


def test_answers_are_not_kept_by_a_browser_and_ask_for_https_behind_https(world: World) -> None:
    world.log_in()
    answer = world.client.get("/api/v1/session")
    assert answer.headers["cache-control"] == "no-store"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "strict-transport-security" not in answer.headers
    parts = replace(world.client.app.state.parts, is_behind_https=True)  # type: ignore[attr-defined]
    behind = TestClient(make_app(parts), base_url="https://gatehouse.site")
    assert "max-age" in behind.get("/health/live").headers["strict-transport-security"]


def test_behind_https_a_cookie_is_this_hosts_alone_and_one_without_that_name_is_nobodys(world: World) -> None:
    parts = replace(world.client.app.state.parts, is_behind_https=True)  # type: ignore[attr-defined]
    behind = TestClient(make_app(parts), base_url="https://gatehouse.site")
    answer = behind.post("/api/v1/session", json={"name": "guard", "password": PASSWORD})
    cookie, csrf = answer.headers["set-cookie"], answer.json()["csrf"]
    assert cookie.startswith("__Host-gatehouse_session=")
    for part in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert behind.get("/api/v1/session").status_code == 200
    token = behind.cookies["__Host-gatehouse_session"]
    # What a neighbouring host, or somebody on the way without TLS, could set in a browser.
    tossed = TestClient(make_app(parts), base_url="https://gatehouse.site", cookies={"gatehouse_session": token})
    assert tossed.get("/api/v1/session").status_code == 401
    gone = behind.delete("/api/v1/session", headers={"X-CSRF-Token": csrf})
    assert gone.headers["set-cookie"].startswith('__Host-gatehouse_session="";')
    assert "Secure" in gone.headers["set-cookie"]
    assert world.accounts.session(token) is None


def test_a_change_without_the_token_is_on_record(world: World) -> None:
    world.log_in()
    assert world.client.post("/api/v1/users", json=NEW).status_code == 403
    assert _actions(world)[-1] == "manage-users /api/v1/users"


def test_no_command_takes_the_last_administrator_and_who_is_removed_is_gone_with_all_that_is_theirs(
    world: World,
) -> None:
    accounts = world.accounts
    with pytest.raises(BadInput, match="nobody could manage users"):
        accounts.remove("system", "admin")
    with pytest.raises(BadInput, match="nobody could manage users"):
        accounts.add_user("admin", PASSWORD, [Role.VIEWER], None)
    world.log_in("admin")  # and the refused ones changed nothing
    world.log_in("viewer")
    accounts.remove("system", "viewer")
    assert world.client.get("/api/v1/session").status_code == 401
    assert accounts.one("viewer") is None
    with pytest.raises(BadInput, match="no user"):
        accounts.remove("system", "viewer")
    assert _actions(world)[-1] == "user-remove viewer"


def test_a_session_that_asks_for_nothing_ends_before_its_time(world: World) -> None:
    accounts = Accounts(world.database, world.clock, session_hours=12, idle_hours=8)
    token = accounts.begin("viewer", "")[0]
    for hours, is_there in ((5, True), (6, True), (2, False)):  # used after 5 and 11 hours; over after 12
        world.clock.advance(hours * 3600)
        assert (accounts.session(token) is not None) == is_there, hours
    token = accounts.begin("viewer", "")[0]
    world.clock.advance(8 * 3600 + 61)
    assert accounts.session(token) is None


@pytest.mark.parametrize(
    "password",
    [
        "changeme-now",
        "Password2026",
        "P.a.s.s.w.o.r.d!",
        "administrator",
        "Gatehouse-2026",
        "chen-ist-hier",
        "1234567890",
    ],
)
def test_what_is_tried_first_is_no_password(world: World, password: str) -> None:
    with pytest.raises(BadInput, match="tried first"):
        world.accounts.add("admin", "chen", password, frozenset())
    with pytest.raises(BadInput, match="tried first"):
        world.accounts.change("admin", "guard", None, password.replace("chen", "guard"), None)
    assert world.accounts.one("chen") is None
