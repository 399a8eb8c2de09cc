"""Daily duties: due by weekday, time, site and role; signed once, by whom it is for; missed where nobody has.

The world's clock stands at Wednesday 2026-11-18, 19:06 of the site.
"""

from pathlib import Path
from typing import Any

import pytest

from alerts.alarm import Effects
from alerts.escalation import DUTY_MISSED, Escalation
from alerts.people import People
from alerts.store import Calling, Store
from alerts.texts import document
from api.access import Role
from api.duties import load_duties
from telemetry.declaration import Mistakes
from tests import district

__all__ = ["database_kind", "database_with_users", "world"]
from tests.api.test_app import PASSWORD, World, database_kind, database_with_users, world

WEDNESDAY = "2026-11-18"


def listed(world: World, site: str = "east") -> Any:
    answer = world.client.get(f"/api/v1/duties?site={site}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def states(world: World, site: str = "east") -> dict[str, str]:
    return {each["duty"]: each["state"] for each in listed(world, site)["items"]}


def sign(world: World, headers: dict[str, str], duty: str, day: str = WEDNESDAY, site: str = "east") -> Any:
    body = {"site": site, "day": day, "note": "all dry"}
    return world.client.post(f"/api/v1/duties/{duty}/sign", json=body, headers=headers)


def test_what_is_due_follows_from_weekday_time_and_site(world: World) -> None:
    world.log_in()
    assert states(world) == {"drains": "missed", "round": "open"}
    assert states(world, "west") == {"drains": "missed"}
    assert [(each["day"], each["duty"]) for each in listed(world)["missed"]] == [
        ("2026-11-16", "drains"),
        ("2026-11-16", "round"),
        ("2026-11-17", "round"),
    ]
    world.clock.advance(13 * 3600)  # Thursday 08:06
    world.log_in()
    assert states(world) == {"round": "open"}


def test_a_duty_is_later_then_open_then_missed_to_the_millisecond(world: World) -> None:
    world.log_in()
    parts = world.client.app.state.parts  # type: ignore[attr-defined]
    from datetime import date

    due = parts.duties.one("east", date(2026, 11, 18), "drains")
    at = [(due.opens_ms - 1, "later"), (due.opens_ms, "open"), (due.due_ms, "open"), (due.due_ms + 1, "missed")]
    assert [due.state(now_ms).value for now_ms, _ in at] == [state for _, state in at]
    assert due.due_ms - due.opens_ms == 2 * 3_600_000


def test_it_is_signed_once_by_whom_it_is_for_and_late_where_it_was_missed(world: World) -> None:
    guard = world.log_in("guard")
    assert sign(world, guard, "drains").status_code == 403
    made = sign(world, guard, "round").json()
    assert (made["state"], made["person"], made["note"]) == ("done", "guard", "all dry")
    again = sign(world, guard, "round")
    assert (again.status_code, "guard has signed it" in again.json()["detail"]) == (409, True)
    assert (again.json()["code"], again.json()["given"]) == ("signed", {"person": "guard"})
    assert sign(world, world.log_in("engineer"), "drains").json()["state"] == "late"
    assert states(world) == {"drains": "late", "round": "done"}


@pytest.mark.parametrize("role", [*Role])
def test_whoever_has_the_role_that_a_duty_is_for_signs_it_there_and_nowhere_else(world: World, role: Role) -> None:
    """A viewer and a registrar decide no alarm, and so could not sign what is theirs."""
    parts: Any = world.client.app.state.parts  # type: ignore[attr-defined]
    for duty in parts.duties._duties.values():
        object.__setattr__(duty, "role", role)
        object.__setattr__(duty, "sites", None)
    world.accounts.add_user("here", PASSWORD, [role], ["east"])
    headers = world.log_in("here")
    if role is Role.REGISTRAR:
        assert "act" not in world.client.get("/api/v1/session").json()["user"]["permissions"]
    assert [each["may_sign"] for each in listed(world)["items"]] == [True, True]
    assert sign(world, headers, "round").json()["person"] == "here"
    assert sign(world, headers, "round", site="west").status_code == 404
    other = Role.GUARD if role is not Role.GUARD else Role.VIEWER
    world.accounts.add_user("other", PASSWORD, [other], ["east"])
    headers = world.log_in("other")
    assert [each["may_sign"] for each in listed(world)["items"]] == [False, False]
    refused = sign(world, headers, "drains")
    assert (refused.status_code, refused.json()["code"]) == (403, "other-role")
    assert refused.json()["given"] == {"role": role.value}


@pytest.mark.parametrize(
    ("duty", "day", "site"),
    [
        ("drains", "2026-11-17", "east"),  # a Tuesday
        ("round", "2026-11-15", "east"),  # before it was a duty
        ("round", "2026-11-10", "east"),  # too long ago
        ("round", WEDNESDAY, "west"),
        ("nothing", WEDNESDAY, "east"),
    ],
)
def test_what_is_not_due_cannot_be_signed(world: World, duty: str, day: str, site: str) -> None:
    refused = sign(world, world.log_in(), duty, day, site)
    assert (refused.status_code, refused.json()["code"]) == (404, "not-due")


def test_nothing_is_signed_before_its_time(world: World) -> None:
    refused = sign(world, world.log_in(), "round", "2026-11-19")
    assert (refused.status_code, refused.json()["code"]) == (422, "too-early")


def test_a_site_of_others_is_not_there(world: World) -> None:
    headers = world.log_in("manager")  # of west
    assert world.client.get("/api/v1/duties?site=east").status_code == 404
    assert sign(world, headers, "round").status_code == 404


def test_the_month_tells_how_many_were_how(world: World) -> None:
    sign(world, world.log_in("guard"), "round")
    month = world.client.get("/api/v1/duties/history?site=east&month=2026-11").json()
    assert month["counts"] == {"later": 0, "open": 0, "done": 1, "late": 0, "missed": 4}
    assert next(item["day"] for item in month["items"]) == WEDNESDAY
    assert world.client.get("/api/v1/duties/history?site=east&month=2026-12").json()["items"] == []


def test_a_missed_duty_shows_whom_it_was_told_and_whether_that_arrived(world: World) -> None:
    database, now_ms = world.database, world.clock.now_ms()
    store = Store(database)
    people = People.model_validate(
        {
            "people": [{"id": "li", "name": "Li", "addresses": {"pager": "1"}}],
            "routes": [{"id": "duties", "duty": ["li"], "channels": ["pager"]}],
            "duty_route": "duties",
        }
    )
    effects = Effects()
    said = {"en": "nobody has signed", "zh": "无人签字"}
    Escalation(people, {}, lambda _: None).hear(
        DUTY_MISSED, f"east/drains/{WEDNESDAY}", 0, "core", None, now_ms, effects, said
    )
    (alarm,) = effects.alarms.values()
    shown = document(alarm, None, world.worker.engine.program.catalogue)
    calling = Calling(people, {alarm.id: people.route["duties"]})
    store.apply(0, effects.transitions, effects.alarms, {alarm.id: shown}, {alarm.id: ()}, {}, calling)
    world.log_in()
    told = {each["duty"]: (each["alarm"], each["told"]) for each in listed(world)["items"]}
    waiting = {"recipient": "li", "channel": "pager", "state": "waiting", "delivered_ms": None}
    assert told == {"drains": (alarm.id, [waiting]), "round": (None, [])}
    (notice,) = store.due_notices("pager", now_ms, 10)
    store.delivered([notice.id], now_ms + 5)
    month = world.client.get("/api/v1/duties/history?site=east&month=2026-11").json()["items"]
    (drains,) = (each for each in month if (each["duty"], each["day"]) == ("drains", WEDNESDAY))
    assert drains["told"] == [waiting | {"state": "delivered", "delivered_ms": now_ms + 5}]
    assert [each["told"] for each in listed(world, "west")["items"]] == [[]]


def test_every_mistake_in_the_files_is_named(tmp_path: Path) -> None:
    catalogue, _, _ = district.load(tmp_path)
    assert load_duties(tmp_path / "duties", catalogue) == ()
    district.write_duties(tmp_path)
    text = district.DUTIES.replace("sites: [east]", "sites: [north]").replace('by: "10:00"', 'by: "07:00"')
    (tmp_path / "duties" / "all.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Mistakes) as told:
        load_duties(tmp_path / "duties", catalogue)
    assert "there is no site 'north'" in str(told.value) and "lies after 'from'" in str(told.value)
