"""Two people at once: of what there can be one, one is made, the other is told, and nothing breaks."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from api.access import Grant, Role
from telemetry.database import alone
from telemetry.errors import BadInput
from tests.api.test_app import PASSWORD, World, database_kind, database_with_users, world

__all__ = ["database_kind", "database_with_users", "world"]
MANY = 8


def at_once(world: World, table: str, do: Callable[[int], Any]) -> list[Any]:
    """What each of many gets who has looked at the table before another of them writes to it, if that can be."""
    looked = threading.Barrier(MANY)

    def wait(_db: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("SELECT") and table in statement:
            try:
                looked.wait(0.3)
            except threading.BrokenBarrierError:
                pass  # they come one after the other

    def tried(number: int) -> Any:
        try:
            return do(number)
        except BadInput as error:
            return error.reason

    sa.event.listen(world.database, "after_cursor_execute", wait)
    try:
        with ThreadPoolExecutor(MANY) as threads:
            return list(threads.map(tried, range(MANY)))
    finally:
        sa.event.remove(world.database, "after_cursor_execute", wait)


def test_a_shift_is_handed_over_once(world: World) -> None:
    handovers: Any = world.client.app.state.parts.handovers  # type: ignore[attr-defined]
    now_ms = world.clock.now_ms()
    found = at_once(world, "handover", lambda number: handovers.sign("lane", 0, now_ms, f"guard-{number}", "", {}))
    assert found.count(True) == len(handovers.signed("lane")) == 1


def test_of_two_warnings_of_a_room_one_is_the_first(world: World) -> None:
    cases: Any = world.client.app.state.parts.cases  # type: ignore[attr-defined]
    at_once(world, "load_case", lambda number: cases.warn(f"a-{number}", "dorm", "room", "li", "seen", 1, 180))
    assert sorted(case["stage"] for case in cases.of("dorm")) == [1] + [2] * (MANY - 1)


def test_a_name_is_given_once(world: World) -> None:
    wanted = frozenset({Grant(Role.VIEWER)})
    found = at_once(world, "user_account", lambda _: world.accounts.add("admin", "li", PASSWORD, wanted))
    assert sorted(map(str, found)) == ["None"] + ["name-taken"] * (MANY - 1)


@pytest.mark.parametrize("what", ["removed", "disabled", "made viewers", "set at the server"])
def test_the_last_administrator_stays_also_when_all_go_at_once(world: World, what: str) -> None:
    for number in range(MANY):
        world.accounts.add("admin", f"chief-{number}", PASSWORD, frozenset({Grant(Role.ADMINISTRATOR)}))
    world.accounts.remove("system", "admin")
    do: dict[str, Callable[[str], object]] = {
        "removed": lambda name: world.accounts.remove("system", name),
        "disabled": lambda name: world.accounts.change("system", name, None, None, True),
        "made viewers": lambda name: world.accounts.change("system", name, frozenset({Grant(Role.VIEWER)}), None, None),
        "set at the server": lambda name: world.accounts.add_user(name, PASSWORD, [Role.VIEWER], None),
    }
    found = at_once(world, "user_grant", lambda number: do[what](f"chief-{number}"))
    assert sorted(map(str, found)) == ["None"] * (MANY - 1) + ["last-administrator"]


@pytest.mark.parametrize("what", ["seen", "pin", "second factor"])
def test_of_what_is_sent_twice_the_last_counts_and_none_breaks(world: World, what: str) -> None:
    (guard,) = (user for user in world.accounts.users() if user.name == "guard")
    visits: Any = world.client.app.state.parts.visits  # type: ignore[attr-defined]
    table, do = {
        "seen": ("last_visit", lambda _: visits.seen(guard)),
        "pin": ("pin", lambda _: world.accounts.sessions.set_pin(guard, "8264")),
        "second factor": ("second_factor", lambda _: world.accounts.second_factor.begin("guard") and None),
    }[what]
    assert at_once(world, table, do) == [None] * MANY


def test_a_transaction_alone_is_over_with_its_block_and_undone_with_an_error(world: World) -> None:
    handovers: Any = world.client.app.state.parts.handovers  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError), alone(world.database, "x") as db:
        db.execute(sa.text("UPDATE user_account SET disabled_ms = 1"))
        raise ZeroDivisionError
    with alone(world.database, "x") as db:
        assert db.execute(sa.text("SELECT count(*) FROM user_account WHERE disabled_ms = 1")).scalar_one() == 0
    assert handovers.sign("lane", 0, 1, "guard", "", {})


def test_no_shift_begins_in_the_future_or_years_ago(world: World) -> None:
    headers = world.log_in("guard")
    for ahead in (1, 2**40, -3 * 86_400_000, -world.clock.now_ms()):
        body = {"since": world.clock.now_ms() + ahead}
        assert world.client.post("/api/v1/gates/lane/handover", json=body, headers=headers).status_code == 422
