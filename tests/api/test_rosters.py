"""A week of a roster has no hole and agrees with who is on duty at each instant; no address leaves the files."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts import duty
from alerts.duty import Roster, on_duty
from alerts.people import People, load_people
from alerts.store import Store
from alerts.worker import AlertWorker
from api.access import Role
from api.rosters import ENTRIES_MAX, PEOPLE_MAX, Rosters, document_of, monday_of, new_gaps, week
from telemetry.errors import BadConfiguration
from tests.alerts.test_people import PEOPLE, at
from tests.api.test_app import PASSWORD, World, ask

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


def test_a_week_costs_no_more_for_what_is_said_of_other_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every exception that there ever was stays on a roster, and each look laid all of them on every change of the week."""
    looked: list[date] = []
    original = duty.instant_ms

    def counted(day: date, *rest: Any) -> int:
        looked.append(day)
        return original(day, *rest)

    monkeypatch.setattr("api.rosters.instant_ms", counted)
    monkeypatch.setattr("alerts.duty.instant_ms", counted)
    elsewhere = [
        {"date": f"2025-{n % 12 + 1:02}-{n % 28 + 1:02}", "from": f"{n % 24:02}:{n % 60:02}", "people": ["li"]}
        for n in range(ENTRIES_MAX["overrides"])
    ]
    here = [
        {"date": f"2026-11-{23 + n % 7}", "from": f"{n % 24:02}:{n % 60:02}", "to": "23:59", "people": [f"p{n}"]}
        for n in range(200)
    ]
    of_all = [{"people": ["li"], "from": f"{n % 24:02}:{n % 60:02}"} for n in range(ENTRIES_MAX["shifts"])]
    for overrides, looks_max in ((elsewhere, 2_000), (here, 3_000)):
        looked.clear()
        week(Roster.model_validate({"id": "r", "shifts": of_all, "overrides": overrides}), _MONDAY)
        assert len(looked) <= looks_max


def test_any_day_names_its_week() -> None:
    assert {monday_of(date(2026, 11, day)) for day in range(23, 30)} == {_MONDAY}


@pytest.fixture
def on_file(world: World, tmp_path: Path) -> TestClient:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    app = world.client.app
    people = load_people(tmp_path / "people")
    parts = replace(app.state.parts, people=people, rosters=Rosters(world.database, people))  # type: ignore[attr-defined]
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


def changed(roster: Roster, **fields: object) -> dict[str, object]:
    return {**document_of(roster), **fields}


@given(
    st.lists(_shifts, min_size=1, max_size=3),
    st.lists(_shifts, min_size=1, max_size=3),
    st.lists(_overrides, max_size=2),
    st.sampled_from([0, 7, 31]),
)
@settings(max_examples=30)
def test_a_gap_is_told_where_somebody_was_and_nobody_would_be(
    before: list[object], after: list[object], overrides: list[object], hours: int
) -> None:
    old = Roster.model_validate({"id": "r", "timezone": "Europe/Berlin", "shifts": before})
    new = Roster.model_validate({"id": "r", "timezone": "Europe/Berlin", "shifts": after, "overrides": overrides})
    now_ms = at("2026-11-23", "Europe/Berlin") + hours * _HOUR_MS + 1
    gaps = new_gaps(old, new, now_ms)
    # Everything begins at a quarter of an hour, so that one instant of each says it all.
    for instant_ms in range(at("2026-11-23", "Europe/Berlin"), at("2026-12-07", "Europe/Berlin"), _HOUR_MS // 4):
        look_ms = instant_ms + 60_000
        is_lost = look_ms >= now_ms and bool(on_duty(old, look_ms)) and not on_duty(new, look_ms)
        assert any(gap.start_ms <= look_ms < gap.end_ms for gap in gaps) == is_lost


def test_a_gap_stands_at_the_field_that_makes_it() -> None:
    old = Roster.model_validate({"id": "r", "shifts": [{"people": ["li"]}]})
    override = {"date": "2027-02-10", "from": "08:00", "to": "12:00", "people": []}
    filled = {"date": "2026-12-23", "from": "08:00", "to": "12:00", "people": ["wang"]}
    weekdays = {"days": ["mon", "tue", "wed", "thu", "fri"], "people": ["li"]}
    holiday = {"from": "08:00", "to": "20:00", "people": ["li"]}
    cases: list[tuple[dict[str, object], set[str]]] = [
        ({"overrides": [filled, override]}, {"overrides[1].people"}),  # months ahead, and found
        ({"shifts": [weekdays]}, {"shifts"}),
        ({"overrides": [filled]}, set()),
        ({"holidays": ["2026-11-25"], "holiday_shifts": [holiday]}, {"holiday_shifts"}),
        ({"holidays": ["2027-02-17"], "holiday_shifts": [holiday]}, {"holiday_shifts"}),
        ({"holidays": ["9999-12-31"], "holiday_shifts": [holiday]}, set()),  # nobody plans that far
    ]
    for fields, named in cases:
        found = new_gaps(old, Roster.model_validate(changed(old, **fields)), at("2026-11-23"))
        assert {gap.field for gap in found} == named, fields


def test_the_gap_of_a_night_months_ahead_goes_on_into_the_next_week() -> None:
    old = Roster.model_validate({"id": "r", "timezone": "Asia/Shanghai", "shifts": [{"people": ["li"]}]})
    sunday = {"date": "2027-02-14", "from": "20:00", "to": "08:00", "people": []}
    gaps = new_gaps(old, Roster.model_validate(changed(old, overrides=[sunday])), at("2026-11-23"))
    assert max(gap.end_ms for gap in gaps) - min(gap.start_ms for gap in gaps) == 12 * _HOUR_MS


@pytest.mark.parametrize("said", ["08:00Z", "08:00+00:00", "08:00:00-05:00"])
def test_a_time_with_an_offset_is_refused_at_its_field(said: str) -> None:
    """It could not be compared with one that has none: the first alarm would have ended the core, at each start."""
    with pytest.raises(ValidationError, match="no offset"):
        Roster.model_validate({"id": "r", "shifts": [{"from": said, "to": "20:00", "people": ["li"]}]})


@pytest.fixture
def on_duty_here(world: World, on_file: TestClient, tmp_path: Path) -> World:
    """The core has the people of the files, too."""
    made = replace(world, worker=worker_of(world, load_people(tmp_path / "people")))
    made.work()
    return made


def worker_of(world: World, people: People) -> AlertWorker:
    program, catalogue = world.worker.engine.program, world.worker._catalogue
    return AlertWorker(world.journal, program, catalogue, Store(world.database), world.clock, lambda: None, people)


def put(world: World, headers: dict[str, str], roster: object, version: int, **more: object) -> Any:
    body = {"roster": roster, "version": version, "note": "Li is ill", **more}
    return ask(world, headers, "PUT", "rosters/guards", **body)


def given_roster(world: World) -> Roster:
    return Roster.model_validate(world.client.get("/api/v1/rosters/guards").json()["roster"])


def test_a_roster_is_changed_and_the_change_decides_who_is_called(on_duty_here: World) -> None:
    world = on_duty_here
    headers = world.log_in()
    given = world.client.get("/api/v1/rosters/guards").json()
    assert given["version"] == 1
    assert [person["id"] for person in given["people"]] == ["li", "wang", "chen"]
    roster = given["roster"]
    roster["overrides"].append({"date": "2026-11-26", "from": "08:00", "to": "20:00", "people": ["wang"]})
    answer = put(world, headers, roster, 1)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 2
    thursday = at("2026-11-26T10:00")
    assert on_duty(world.worker.wanted().people.roster["guards"], thursday) == ("wang",)
    (shown,) = world.client.get("/api/v1/rosters?day=2026-11-26").json()["items"]
    assert [span["people"] for span in shown["spans"] if span["start_ms"] <= thursday < span["end_ms"]] == [["wang"]]
    newest, first = world.client.get("/api/v1/rosters/guards/versions").json()["items"]
    assert (newest["actor"], newest["origin"], newest["note"]) == ("admin", "api", "Li is ill")
    assert (first["origin"], first["actor"]) == ("file", None)
    assert {"field": "overrides[1].people[0]", "from": None, "to": "wang"} in newest["changes"]
    (entry,) = (e for e in world.client.get("/api/v1/audit").json()["items"] if e["action"] == "put-roster")
    assert (entry["actor"], entry["outcome"]) == ("admin", "done")
    assert "overrides[1].people[0] None -> wang" in entry["subject"]


def test_two_who_change_the_same_roster_do_not_undo_each_other(on_duty_here: World) -> None:
    world = on_duty_here
    headers = world.log_in()
    roster = given_roster(world)
    mine, theirs = (changed(roster, name={"en": name, "zh": name}) for name in ("Mine", "Theirs"))
    assert put(world, headers, theirs, 1).status_code == 200
    refused = put(world, headers, mine, 1)
    assert (refused.status_code, "version 2 is in force" in refused.json()["detail"]) == (409, True)
    # Also where both were read before either was written: the core decides.
    body = {"action": "change-roster", "roster_id": "guards", "seq": 1, "actor": "x", "note": "n", "document": mine}
    assert "version 2 is in force" in world.worker._change_roster("c1", body)
    assert put(world, headers, mine, 2).json()["version"] == 3


def test_what_does_not_fit_is_said_at_its_field_and_changes_nothing(on_duty_here: World) -> None:
    world = on_duty_here
    headers = world.log_in()
    roster = given_roster(world)
    shift = {"days": ["mon"], "from": "08:00", "to": "20:00", "people": ["nobody-here"]}
    somebody = shift | {"people": ["li"]}
    too_many = [{"date": "2026-11-26", "people": ["li"]}] * (ENTRIES_MAX["overrides"] + 1)
    for document, field, code in (
        (changed(roster, shifts=[shift]), "shifts[0].people[0]", "no-such-person"),
        (changed(roster, shifts=[shift | {"people": []}]), "shifts[0].people", "empty"),
        (changed(roster, shifts=[]), "shifts", "empty"),
        (changed(roster, shifts=[somebody | {"from": "8"}]), "shifts[0].from", "not-a-time"),
        (changed(roster, shifts=[somebody | {"to": "20:00Z"}]), "shifts[0].to", "offset"),
        (changed(roster, shifts=[somebody | {"days": ["someday"]}]), "shifts[0].days[0]", "not-a-day"),
        (changed(roster, timezone="Mars/Olympus"), "timezone", "not-a-time-zone"),
        (changed(roster, holidays=["2026-11-31"]), "holidays[0]", "not-a-date"),
        (changed(roster, holidays=["2026-11-30"], holiday_shifts=[]), "roster", "no-holiday-shifts"),
        (changed(roster, overrides=[{"date": "2026-13-01"}]), "overrides[0].date", "not-a-date"),
        (changed(roster, overrides=[{"people": ["li"]}]), "overrides[0].date", "missing"),
        (changed(roster, overrides=too_many), "overrides", "too-many"),
        (changed(roster, shifts=[shift | {"people": ["li"] * (PEOPLE_MAX + 1)}]), "shifts[0].people", "too-many"),
        (changed(roster, colour="red"), "colour", "unknown-field"),
        (changed(roster, id="others"), "id", "other-id"),
    ):
        answer = put(world, headers, document, 1)
        assert answer.status_code == 422, field
        assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [(field, code)]
    assert put(world, headers, changed(roster), 1, note="  ").status_code == 422
    assert world.client.get("/api/v1/rosters/guards").json()["version"] == 1
    assert world.client.get("/api/v1/rosters/cooks").status_code == 404
    assert world.client.get("/api/v1/rosters/cooks/versions").status_code == 404


def test_that_nobody_would_be_on_duty_is_said_at_the_field_and_may_be_on_purpose(on_duty_here: World) -> None:
    world = on_duty_here
    headers = world.log_in()
    override = {"date": "2026-11-26", "from": "08:00", "to": "12:00", "people": []}
    empty = changed(given_roster(world), overrides=[override])
    refused = put(world, headers, empty, 1)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {
            "field": "overrides[0].people",
            "message": "nobody is on duty from 2026-11-26 08:00 to 2026-11-26 12:00",
            "code": "nobody-on-duty",
        }
    ]
    assert refused.json()["gaps"][0]["start_ms"] == at("2026-11-26T08:00")
    assert put(world, headers, empty, 1, accepts_gaps=True).status_code == 200


def test_a_role_decides_who_may_change_a_roster(on_duty_here: World) -> None:
    world = on_duty_here
    world.accounts.add_user("chief", PASSWORD, [Role.ENGINEER], None)
    for name, status in (("guard", 403), ("viewer", 403), ("engineer", 403), ("chief", 200)):  # engineer: of one site
        headers = world.log_in(name)
        given = world.client.get("/api/v1/rosters/guards").json()
        assert put(world, headers, given["roster"], given["version"]).status_code == status, name


def test_a_changed_roster_survives_a_restart_until_the_files_say_otherwise(on_duty_here: World, tmp_path: Path) -> None:
    world = on_duty_here
    headers = world.log_in()
    override = {"date": "2026-11-26", "people": ["wang"]}
    assert put(world, headers, changed(given_roster(world), overrides=[override]), 1).status_code == 200
    again = worker_of(world, load_people(tmp_path / "people"))
    assert [each.date for each in again.wanted().people.roster["guards"].overrides] == [date(2026, 11, 26)]
    text = PEOPLE.replace("people: [li]}", "people: [chen]}")
    (tmp_path / "people" / "all.yaml").write_text(text, encoding="utf-8")
    declared = replace(world, worker=worker_of(world, load_people(tmp_path / "people")))
    declared.work()
    assert world.client.get("/api/v1/rosters/guards").json()["version"] == 3
    assert [each.date for each in given_roster(world).overrides] == [date(2026, 11, 25)]


def test_a_core_refuses_to_start_where_a_change_named_somebody_who_is_gone(on_duty_here: World, tmp_path: Path) -> None:
    world = on_duty_here
    headers = world.log_in()
    override = {"date": "2026-11-26", "people": ["wang"]}
    assert put(world, headers, changed(given_roster(world), overrides=[override]), 1).status_code == 200
    files = load_people(tmp_path / "people")
    # The declared roster is as it was; somebody whom only the change names has left.
    gone = files.model_copy(update={"people": tuple(person for person in files.people if person.id != "wang")})
    with pytest.raises(BadConfiguration, match="there is no person 'wang'"):
        worker_of(world, People.model_construct(**{name: getattr(gone, name) for name in People.model_fields}))
