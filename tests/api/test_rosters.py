"""A week of a roster has no hole and agrees with who is on duty at each instant; no address leaves the files."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from alerts.duty import Roster, on_duty
from alerts.people import load_people
from api.rosters import monday_of, week
from tests.alerts.test_people import PEOPLE, at
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
import itertools

from tests.api.test_app import database_with_users, world

_HOUR_MS = 3_600_000
_MONDAY = date(2026, 11, 23)
_times = st.sampled_from(["00:00", "06:00", "08:00", "22:00", "02:30"])
_shifts = st.fixed_dictionaries(
    {
        "days": st.lists(st.sampled_from(["mon", "fri", "sat", "sun"]), min_size=1, max_size=3, unique=True),
        "from": _times,
        "to": _times,
        "people": st.lists(st.sampled_from(["li", "wang"]), min_size=1, max_size=2, unique=True),
    }
)
# Others than those of the shifts, so that only they bound their time.
_odd_times = st.sampled_from(["07:15", "12:00", "23:30"])
_overrides = st.fixed_dictionaries(
    {"date": st.sampled_from(["2026-11-22", "2026-11-25", "2026-11-29"]), "from": _odd_times, "to": _odd_times}
)


@given(st.lists(_shifts, min_size=1, max_size=4), st.lists(_overrides, max_size=2), st.booleans())
def test_a_week_says_of_each_instant_who_is_on_duty(shifts: list[object], overrides: list[object], off: bool) -> None:
    document = {"id": "r", "timezone": "Europe/Berlin", "shifts": shifts, "overrides": overrides}
    if off:
        document |= {
            "holidays": ["2026-11-27"],
            "holiday_shifts": [{"people": ["chen"], "from": "06:00", "to": "02:30"}],
        }
    roster = Roster.model_validate(document)
    spans = week(roster, _MONDAY)
    assert (spans[0].start_ms, spans[-1].end_ms) == (
        at("2026-11-23", "Europe/Berlin"),
        at("2026-11-30", "Europe/Berlin"),
    )
    for span, following in itertools.pairwise(spans):
        assert span.end_ms == following.start_ms
        assert span.people != following.people
    for span in spans:
        for instant_ms in (span.start_ms, span.end_ms - 1, *range(span.start_ms, span.end_ms, _HOUR_MS)):
            assert on_duty(roster, instant_ms) == span.people


def test_a_week_in_which_the_clocks_change_is_as_long_as_it_is() -> None:
    shift = {"days": ["sat", "sun"], "from": "22:00", "to": "06:00", "people": ["li"]}
    roster = Roster.model_validate({"id": "n", "timezone": "Europe/Berlin", "shifts": [shift]})
    spans = week(roster, date(2026, 10, 19))  # summer time ends on its Sunday
    assert spans[-1].end_ms - spans[0].start_ms == (7 * 24 + 1) * _HOUR_MS
    # The night of the change is an hour longer; the first and the last are cut off by the week.
    assert [(span.end_ms - span.start_ms) // _HOUR_MS for span in spans if span.people] == [6, 9, 2]


def test_any_day_names_its_week() -> None:
    assert {monday_of(date(2026, 11, day)) for day in range(23, 30)} == {_MONDAY}


@pytest.fixture
def on_file(world: World, tmp_path: Path) -> TestClient:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    app = world.client.app
    parts = replace(app.state.parts, people=load_people(tmp_path / "people"))  # type: ignore[attr-defined]
    app.state.parts = parts  # type: ignore[attr-defined]
    return world.client


def test_rosters_and_calls_are_shown_to_who_looks_without_any_address(world: World, on_file: TestClient) -> None:
    world.log_in("viewer")
    answer = on_file.get("/api/v1/rosters?day=2026-11-27")
    (roster,) = answer.json()["items"]
    assert (roster["id"], roster["monday"], roster["timezone"]) == ("guards", "2026-11-23", "Asia/Shanghai")
    wednesday = [span["people"] for span in roster["spans"] if span["start_ms"] == at("2026-11-25T08:00")]
    assert wednesday == [["chen"]]  # the dated exception
    assert {person["id"] for person in roster["people"]} == {"li", "wang", "chen"}
    called = on_file.get("/api/v1/calls")
    for text in (answer.text, called.text):
        assert "1380000" not in text
        assert "example.org" not in text


def test_each_step_says_who_would_be_called_now_and_by_which_of_its_channels(world: World, on_file: TestClient) -> None:
    world.clock.advance(at("2026-11-23T09:00") / 1000 - world.clock.now_ms() / 1000)
    world.log_in("viewer")
    found = on_file.get("/api/v1/calls").json()
    drains, gates = found["routes"]
    assert (drains["is_system"], gates["is_system"]) == (True, False)
    critical = drains["ladders"][0]
    assert (critical["severity"], critical["loops"], critical["is_digest"]) == ("critical", 3, False)
    assert [person["id"] for person in critical["steps"][0]["called"]] == ["li"]
    assert drains["ladders"][-1]["is_digest"]
    second = gates["ladders"][0]["steps"][1]
    assert second["called"] == [
        {"role": "leader", "id": "chen", "name": {"en": "Chen Jie", "zh": "Chen Jie"}, "channels": ["wecom", "mail"]}
    ]
    rules = {rule["id"]: rule for rule in found["rules"]}
    assert rules["drain-level"]["severities"] == ["critical", "high"]
    assert rules["drain-silent"]["severities"] == ["medium"]
    assert (rules["drain-level"]["route"], rules["drain-level"]["notify"]) == (None, ["pager"])
    # At night nobody is on that roster, and the page must be able to say so.
    world.clock.advance(12 * 3600)
    world.log_in("viewer")
    night = on_file.get("/api/v1/calls").json()["routes"][0]["ladders"][0]["steps"][0]
    assert night["called"] == []


def test_a_day_that_is_none_is_refused(world: World) -> None:
    world.log_in("viewer")
    assert world.client.get("/api/v1/rosters?day=0001-01-01").status_code == 422
    assert world.client.get("/api/v1/rosters").json()["items"] == []
