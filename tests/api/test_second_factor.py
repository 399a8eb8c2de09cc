"""The second factor: enrolled with a first code, asked for at the log-in, each code once, nobody kept out."""

from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.access import Permission, Role
from api.people.second_factor import RECOVERY_CODES
from tests.api.test_app import PASSWORD, World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

FACTOR = "/api/v1/session/second-factor"


def _enrol(world: World, name: str = "admin") -> tuple[pyotp.TOTP, list[str], dict[str, str]]:
    headers = world.log_in(name)
    begun = world.client.post(FACTOR, json={"password": PASSWORD}, headers=headers)
    assert begun.status_code == 200, begun.text
    machine = pyotp.TOTP(begun.json()["secret"])
    done = world.client.post(f"{FACTOR}/confirm", json={"code": _code(world, machine)}, headers=headers)
    assert done.status_code == 200, done.text
    return machine, done.json()["recovery_codes"], {"X-CSRF-Token": done.json()["csrf"]}


def _code(world: World, machine: pyotp.TOTP, steps: int = 0) -> str:
    return machine.generate_otp(world.clock.now_ms() // 30_000 + steps)


def _log_in(world: World, code: str = "", name: str = "admin") -> Any:
    body = {"name": name, "password": PASSWORD, "code": code}
    return TestClient(world.client.app).post("/api/v1/session", json=body)


def test_who_enrolled_needs_a_code_and_every_code_is_good_once(world: World) -> None:
    machine, _, _ = _enrol(world)
    answer = _log_in(world)
    assert (answer.status_code, answer.json()["code_needed"]) == (401, True)
    assert _log_in(world, _code(world, machine)).status_code == 401  # it was the one of the enrolment
    world.clock.advance(60)
    code = _code(world, machine)
    assert _log_in(world, code).status_code == 200
    assert _log_in(world, code).status_code == 401
    assert _log_in(world, _code(world, machine, -1)).status_code == 401  # nor an older one behind it
    with world.database.connect() as db:
        rows = db.execute(sa.text("SELECT outcome FROM audit WHERE action = 'log-in'")).scalars().all()
    assert rows.count("refused: code") == 3


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
def test_clocks_may_differ_by_one_step(world: World, steps: int, status: int) -> None:
    machine, _, _ = _enrol(world)
    world.clock.advance(300)
    assert _log_in(world, _code(world, machine, steps)).status_code == status


def test_a_recovery_code_is_good_once_and_works_while_codes_wait(world: World) -> None:
    machine, codes, _ = _enrol(world)
    assert len(set(codes)) == RECOVERY_CODES
    world.clock.advance(300)
    right = _code(world, machine)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    tried = [_log_in(world, wrong).status_code for _ in range(6)]
    assert tried == [401] * 5 + [429]
    assert _log_in(world, right).status_code == 429  # the right one waits too: nothing is learned by trying
    assert _log_in(world, codes[3].upper().replace("-", " ")).status_code == 200
    assert _log_in(world, codes[3]).status_code == 401
    world.clock.advance(31)
    assert _log_in(world, _code(world, machine)).status_code == 200
    with world.database.connect() as db:
        kept = repr(db.execute(sa.text("SELECT * FROM recovery_code")).all())
    assert codes[0] not in kept and codes[0].replace("-", "") not in kept


def test_a_wrong_password_says_nothing_of_a_second_factor(world: World) -> None:
    _, codes, _ = _enrol(world)
    body = {"name": "admin", "password": "something else", "code": codes[0]}
    answer = TestClient(world.client.app).post("/api/v1/session", json=body)
    assert (answer.status_code, "code_needed" in answer.json()) == (401, False)
    assert _log_in(world, codes[0]).status_code == 200  # and the code was not used up


def test_enrolling_needs_the_password_and_the_first_code(world: World) -> None:
    headers = world.log_in()
    assert world.client.post(FACTOR, json={"password": "something else"}, headers=headers).status_code == 403
    assert world.client.post(f"{FACTOR}/confirm", json={"code": "123456"}, headers=headers).status_code == 422
    begun = world.client.post(FACTOR, json={"password": PASSWORD}, headers=headers).json()
    assert begun["qr"].startswith("data:image/svg+xml")
    assert begun["uri"].startswith("otpauth://totp/Gatehouse:admin?secret=" + begun["secret"])
    wrong = f"{(int(_code(world, pyotp.TOTP(begun['secret']))) + 1) % 1_000_000:06}"
    assert world.client.post(f"{FACTOR}/confirm", json={"code": wrong}, headers=headers).status_code == 422
    assert _log_in(world).status_code == 200  # what was only begun is not asked for


def test_confirming_ends_the_other_sessions_and_changes_the_own(world: World) -> None:
    other = _log_in(world).cookies["gatehouse_session"]
    world.log_in()
    before = world.client.cookies["gatehouse_session"]
    _, _, headers = _enrol(world)
    after = world.client.cookies["gatehouse_session"]
    assert world.client.get("/api/v1/session").json()["second_factor"] == {
        "is_on": True,
        "must_enrol": False,
        "codes_left": RECOVERY_CODES,
    }
    for token in (other, before):
        assert world.accounts.session(token) is None
    assert world.accounts.session(after) is not None
    again = world.client.post(FACTOR, json={"password": PASSWORD}, headers=headers)
    assert again.status_code == 409  # a stolen browser cannot put another in its place


def test_it_is_taken_away_with_a_code_or_by_an_administrator(world: World) -> None:
    _, codes, headers = _enrol(world)
    for code, status in (("000000", 403), (codes[0], 204)):
        body = {"password": PASSWORD, "code": code}
        assert world.client.post(f"{FACTOR}/drop", json=body, headers=headers).status_code == status
    assert _log_in(world).status_code == 200
    _enrol(world, "viewer")
    headers = world.log_in()
    assert world.client.delete("/api/v1/users/viewer/second-factor", headers=headers).status_code == 204
    assert world.client.delete("/api/v1/users/viewer/second-factor", headers=headers).status_code == 404
    assert _log_in(world, name="viewer").status_code == 200
    _enrol(world, "viewer")
    world.accounts.add_user("viewer", PASSWORD, [Role.VIEWER], None)  # at the server, with a new password
    assert _log_in(world, name="viewer").status_code == 200


def test_a_token_of_who_must_enrol_waits_with_them(world: World) -> None:
    owner = next(user for user in world.accounts.users() if user.name == "admin")
    end_ms = world.clock.now_ms() + 3_600_000
    token, _ = world.accounts.tokens.make(owner, "x", frozenset({Permission.LOOK}), None, end_ms)
    world.accounts._requires_second_factor = True
    bearer = {"Authorization": f"Bearer {token}"}
    assert TestClient(world.client.app).get("/api/v1/sites", headers=bearer).status_code == 403
    _enrol(world)
    assert TestClient(world.client.app).get("/api/v1/sites", headers=bearer).status_code == 200
    world.log_in("viewer")  # others are not asked
    assert world.client.get("/api/v1/sites").status_code == 200


def test_a_pin_and_the_password_do_not_lead_past_the_second_factor(world: World) -> None:
    world.accounts.add_user("chief", PASSWORD, [Role.GUARD, Role.REGISTRAR], ["east"])
    _enrol(world, "chief")
    (chief,) = (user for user in world.accounts.users() if user.name == "chief")
    world.accounts.sessions.set_pin(chief, "8264")
    world.log_in("guard")
    at_tablet = world.client.post("/api/v1/session/pin", json={"name": "chief", "pin": "8264"}).json()
    assert at_tablet["user"]["roles"] == ["guard"]
    headers = {"X-CSRF-Token": at_tablet["csrf"]}
    ends_ms = world.clock.now_ms() + 86_400_000
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "session/password", {"old": PASSWORD, "new": "another horse"}),
        ("PUT", "session/pin", {"password": PASSWORD, "pin": "9035"}),
        ("POST", "session/wall", {"password": PASSWORD}),
        ("POST", "tokens", {"password": PASSWORD, "name": "x", "scopes": ["look"], "expires_ms": ends_ms}),
    ]
    for method, path, body in wanted:
        answer = world.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (403, "Second factor needed"), path
    assert world.client.get("/api/v1/session").json()["user"]["roles"] == ["guard"]


def test_a_guard_without_a_second_factor_changes_their_pin_at_the_tablet(world: World) -> None:
    (guard,) = (user for user in world.accounts.users() if user.name == "guard")
    world.accounts.sessions.set_pin(guard, "8264")
    world.log_in("guard")
    headers = {
        "X-CSRF-Token": world.client.post("/api/v1/session/pin", json={"name": "guard", "pin": "8264"}).json()["csrf"]
    }
    body = {"password": PASSWORD, "pin": "9035"}
    assert world.client.put("/api/v1/session/pin", json=body, headers=headers).status_code == 204
