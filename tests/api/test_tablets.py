"""Guards change on a shared tablet by PIN; who tries PINs waits, and nobody else."""

import threading

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.access import Role
from api.people.sessions import TooManyFailures
from telemetry.errors import BadInput
from tests.api.test_app import PASSWORD, World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world


@pytest.fixture
def gate(world: World) -> World:
    """Two guards of the east and one of the west, each with a PIN."""
    for name, site in (("li", "east"), ("wang", "east"), ("zhao", "west")):
        world.accounts.add_user(name, PASSWORD, [Role.GUARD], [site])
    by_name = {user.name: user for user in world.accounts.users()}
    for name, pin in (("li", "4071"), ("wang", "902713"), ("zhao", "5150")):
        world.accounts.sessions.set_pin(by_name[name], pin)
    return world


def _change(client: TestClient, name: str, pin: str) -> int:
    return client.post("/api/v1/session/pin", json={"name": name, "pin": pin}).status_code


def _who(client: TestClient) -> str:
    answer = client.get("/api/v1/session")
    return str(answer.json()["user"]["name"]) if answer.status_code == 200 else ""


def _names(client: TestClient) -> list[str]:
    return [each["name"] for each in client.get("/api/v1/session/guards").json()["items"]]


def test_guards_change_by_name_and_pin_and_the_tablet_stays_kept_when_a_shift_is_over(gate: World) -> None:
    gate.log_in("engineer")
    assert _names(gate.client) == ["li", "wang"]  # not 'guard', who has no PIN; not 'zhao', who guards elsewhere
    assert (_change(gate.client, "li", "4071"), _who(gate.client)) == (200, "li")
    assert (_change(gate.client, "wang", "902713"), _who(gate.client)) == (200, "wang")
    gate.clock.advance(13 * 3600)
    assert _who(gate.client) == ""
    assert _names(gate.client) == ["li", "wang"]
    assert (_change(gate.client, "li", "4071"), _who(gate.client)) == (200, "li")
    gate.clock.advance(91 * 86_400)
    assert _change(gate.client, "li", "4071") == 401


def test_a_browser_that_nobody_logged_in_on_can_try_no_pin(gate: World) -> None:
    assert _change(gate.client, "li", "4071") == 401
    assert gate.client.get("/api/v1/session/guards").status_code == 401


def test_the_session_before_is_over_and_so_is_the_keepers(gate: World) -> None:
    gate.log_in("engineer")
    keepers = gate.client.cookies["gatehouse_session"]
    _change(gate.client, "li", "4071")
    lis = gate.client.cookies["gatehouse_session"]
    _change(gate.client, "wang", "902713")
    assert gate.accounts.session(keepers) is None
    assert gate.accounts.session(lis) is None
    assert gate.accounts.session(gate.client.cookies["gatehouse_tablet"]) is None  # a tablet opens nothing by itself


def test_a_pin_gives_the_role_of_a_guard_at_the_tablets_sites_and_nothing_more(gate: World) -> None:
    gate.accounts.add_user("chief", PASSWORD, [Role.GUARD, Role.ADMINISTRATOR], None)
    (chief,) = (user for user in gate.accounts.users() if user.name == "chief")
    gate.accounts.sessions.set_pin(chief, "8264")
    gate.log_in("engineer")
    assert _change(gate.client, "chief", "8264") == 200
    found = gate.client.get("/api/v1/session").json()["user"]
    assert (found["roles"], found["sites"]) == (["guard"], ["east"])


def test_who_is_granted_no_site_is_granted_nothing(gate: World) -> None:
    gate.accounts.add_user("nobody", PASSWORD, [Role.ADMINISTRATOR], [])
    assert next(user for user in gate.accounts.users() if user.name == "nobody").grants == frozenset()


def test_a_guard_of_elsewhere_is_not_let_in_with_the_right_pin(gate: World) -> None:
    gate.log_in("engineer")
    assert _change(gate.client, "zhao", "5150") == 401


def test_who_tries_pins_waits_longer_and_longer_and_nobody_else_does(gate: World) -> None:
    gate.log_in("engineer")
    assert _change(gate.client, "wang", "902713") == 200
    assert [_change(gate.client, "li", "0007") for _ in range(4)] == [401, 401, 401, 429]
    assert _change(gate.client, "li", "4071") == 429  # the right one has to wait, too
    gate.clock.advance(6)
    assert [_change(gate.client, "li", "0007") for _ in range(2)] == [401, 429]
    gate.clock.advance(6)
    assert _change(gate.client, "li", "4071") == 429
    assert _change(gate.client, "wang", "902713") == 200  # the tablet is open to others
    gate.client.cookies.clear()
    gate.log_in("li")  # the password lets in meanwhile
    gate.client.cookies.clear()
    gate.log_in("guard")
    assert _change(gate.client, "li", "4071") == 200  # the name is open on another tablet
    gate.client.cookies.clear()
    gate.log_in("engineer")
    assert _change(gate.client, "li", "4071") == 429  # but a new log-in of who tried is no new start
    gate.clock.advance(20)
    assert _change(gate.client, "li", "4071") == 200


def test_the_pause_has_an_end(gate: World) -> None:
    gate.log_in("engineer")
    _change(gate.client, "wang", "902713")
    for _ in range(12):
        _change(gate.client, "li", "0007")
        gate.clock.advance(901)
    assert _change(gate.client, "li", "4071") == 200


def test_many_pins_at_once_are_no_more_tries_than_one_after_the_other(gate: World) -> None:
    gate.log_in("engineer")
    tablet = gate.accounts.sessions.tablet_of_session(gate.client.cookies["gatehouse_session"])
    assert tablet is not None
    looked_at = []

    def attempt(pin: str) -> None:
        try:
            gate.accounts.sessions.change_guard(tablet, "li", pin, "")
            looked_at.append(pin)
        except TooManyFailures:
            return

    threads = [threading.Thread(target=attempt, args=(f"{number:04}",)) for number in range(100, 112)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked_at) <= 3


def test_a_pin_is_set_with_the_password_and_kept_as_a_hash(gate: World) -> None:
    headers = gate.log_in("guard")
    put = {"password": "wrong", "pin": "70143"}
    assert gate.client.put("/api/v1/session/pin", json=put, headers=headers).status_code == 403
    put["password"] = PASSWORD
    assert gate.client.put("/api/v1/session/pin", json=put, headers=headers).status_code == 204
    assert "guard" in _names(gate.client)
    with gate.database.connect() as db:
        assert "70143" not in str(db.execute(sa.text("SELECT * FROM pin")).all())
    headers = gate.log_in("engineer")
    assert gate.client.put("/api/v1/session/pin", json=put, headers=headers).status_code == 422


@pytest.mark.parametrize("actor", ["admin", "li"])
def test_a_new_pin_ends_what_was_begun_with_the_old_one(gate: World, actor: str) -> None:
    gate.log_in("engineer")
    assert (_change(gate.client, "li", "4071"), _who(gate.client)) == (200, "li")
    gate.accounts.change_pin("admin", "wang", "8264")
    assert _who(gate.client) == "li"
    gate.accounts.change_pin(actor, "li", "8264")
    assert _who(gate.client) == ""
    assert _change(gate.client, "li", "4071") == 401
    assert (_change(gate.client, "li", "8264"), _who(gate.client)) == (200, "li")


@pytest.mark.parametrize("pin", ["", "123", "123456789", "1234", "9876", "0000", "7777777", "12a4", "１２９４", "8901"])
def test_a_pin_that_anybody_would_try_first_is_refused(gate: World, pin: str) -> None:
    (li,) = (user for user in gate.accounts.users() if user.name == "li")
    with pytest.raises(BadInput):
        gate.accounts.sessions.set_pin(li, pin)


def test_changes_of_guard_are_on_record_without_the_pin(gate: World) -> None:
    gate.log_in("engineer")
    _change(gate.client, "li", "0007")
    _change(gate.client, "li", "4071")
    with gate.database.connect() as db:
        rows = db.execute(sa.text("SELECT actor, outcome FROM audit WHERE action = 'change-guard'")).all()
        everything = str(db.execute(sa.text("SELECT * FROM audit")).all())
    assert [tuple(row) for row in rows] == [("li", "refused: PIN"), ("li", "done")]
    assert "4071" not in everything
