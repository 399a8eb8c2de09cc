"""Instruments are replaced and calibrated; the place's series go on, what is due is told, and all of it is on record."""

from typing import Any

import pytest
import sqlalchemy as sa

__all__ = ["database_with_users", "world"]
from tests.api.test_app import World, database_with_users, world

TODAY = "2026-11-18"  # of the world's clock, at the site
DAY_MS = 86_400_000


def step(world: World, headers: dict[str, str], /, **body: object) -> Any:
    return world.client.post("/api/v1/devices/level-1/instrument", json=body, headers=headers)


def due(world: World) -> list[str]:
    return [each["device"] for each in world.client.get("/api/v1/calibrations").json()["items"]]


@pytest.mark.parametrize(
    ("due_on", "state", "days_left", "is_told"),
    [
        ("2027-06-01", "valid", 195, False),
        ("2026-12-19", "valid", 31, False),
        ("2026-12-18", "soon", 30, True),
        (TODAY, "soon", 0, True),
        ("2026-11-17", "overdue", -1, True),
    ],
)
def test_a_calibration_is_told_of_thirty_days_before_it_is_due(
    world: World, due_on: str, state: str, days_left: int, is_told: bool
) -> None:
    headers = world.log_in("engineer")
    made = step(world, headers, what="calibrated", calibrated_on="2025-11-18", due_on=due_on, certificate="C-1")
    assert made.status_code == 201, made.text
    stands = made.json()["calibration"]
    assert (stands["state"], stands["days_left"], stands["certificate"]) == (state, days_left, "C-1")
    assert due(world) == (["level-1"] if is_told else [])


def test_the_calibration_of_what_was_replaced_says_nothing_of_the_new_instrument(world: World) -> None:
    headers = world.log_in("engineer")
    now_ms = world.clock.now_ms()
    step(world, headers, what="fitted", serial="A", since=now_ms - 9 * DAY_MS)
    step(world, headers, what="calibrated", calibrated_on="2026-11-10", due_on="2027-11-10", since=now_ms - 8 * DAY_MS)
    made = step(world, headers, what="fitted", serial="B", note="A drowned").json()
    assert (made["calibration"]["serial"], made["calibration"]["state"]) == ("B", "unknown")
    assert [(each["what"], each["serial"]) for each in made["items"]] == [
        ("fitted", "B"),
        ("calibrated", None),
        ("fitted", "A"),
    ]
    # The device is still the same one: its series go on.
    assert world.client.get("/api/v1/devices/level-1").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"what": "fitted"}, "serial"),
        ({"what": "fitted", "serial": "A", "since": 2**52}, "since"),
        ({"what": "calibrated", "due_on": "2027-01-01"}, "calibrated_on"),
        ({"what": "calibrated", "calibrated_on": "2026-11-19", "due_on": "2027-01-01"}, "calibrated_on"),
        ({"what": "calibrated", "calibrated_on": "2026-11-01", "due_on": "2026-11-01"}, "due_on"),
        ({"what": "fitted", "serial": "A", "calibrated_on": "2026-11-01"}, "due_on"),
    ],
)
def test_what_does_not_fit_is_said_at_its_field(world: World, body: dict[str, object], field: str) -> None:
    answer = step(world, world.log_in("engineer"), **body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_only_who_keeps_the_devices_changes_them_and_it_is_audited(world: World) -> None:
    assert step(world, world.log_in("guard"), what="fitted", serial="A").status_code == 403
    assert step(world, world.log_in("engineer"), what="fitted", serial="A").status_code == 201
    with world.database.connect() as db:
        found = db.execute(sa.text("SELECT outcome FROM audit WHERE action = 'device-fitted'")).scalars().all()
    assert list(found) == ["A"]
