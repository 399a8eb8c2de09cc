from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.duty import Roster, next_business_ms, on_duty
from alerts.people import NOBODY, People, load_people, mistakes_of
from alerts.rule import Severity
from alerts.rules import decode_rules, encode_rules
from telemetry.catalogue import Catalogue
from telemetry.declaration import Mistakes

PEOPLE = """
people:
  - {id: li, name: {en: Li Wei, zh: 李卫}, roles: [guard], addresses: {wecom: "13800000001", mail: li@example.org}}
  - {id: wang, name: Wang Fang, language: en, roles: [guard], addresses: {wecom: "13800000002"}}
  - {id: chen, name: Chen Jie, roles: [leader], addresses: {wecom: "13800000003", mail: chen@example.org}}
rosters:
  - id: guards
    shifts:
      - {days: [mon, tue, wed, thu, fri], from: "08:00", to: "20:00", people: [li]}
      - {days: [fri], from: "22:00", to: "06:00", people: [wang]}
    holidays: [2026-10-01]
    holiday_shifts: [{people: [chen]}]
    overrides: [{date: 2026-11-25, from: "08:00", to: "12:00", people: [chen]}]
routes:
  - {id: drains, duty: [guards], lead: [leader], channels: [wecom], fallback: [mail]}
  - id: gates
    high:
      steps:
        - {after_s: 0, to: [guard], channels: [wecom]}
        - {after_s: 15, to: [leader], channels: [wecom, mail]}
system_route: drains
"""


def loaded(tmp_path: Path, text: str = PEOPLE) -> People:
    (tmp_path / "people.yaml").write_text(text, encoding="utf-8")
    return load_people(tmp_path)


def at(text: str, zone: str = "Asia/Shanghai", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ("2026-11-23T07:59:59.999", ()),  # a Monday
        ("2026-11-23T08:00:00.000", ("li",)),
        ("2026-11-23T19:59:59.999", ("li",)),
        ("2026-11-23T20:00:00.000", ()),
        ("2026-11-27T21:59:59.999", ()),  # a Friday
        ("2026-11-27T22:00:00.000", ("wang",)),
        ("2026-11-28T00:00:00.000", ("wang",)),
        ("2026-11-28T02:00:00.000", ("wang",)),
        ("2026-11-28T05:59:59.999", ("wang",)),
        ("2026-11-28T06:00:00.000", ()),
        ("2026-11-29T02:00:00.000", ()),  # Saturday's night is nobody's
        ("2026-11-25T07:59:59.999", ()),  # the dated exception
        ("2026-11-25T08:00:00.000", ("chen",)),
        ("2026-11-25T12:00:00.000", ("li",)),
        ("2026-10-01T00:00:00.000", ("chen",)),  # the holiday, whole
        ("2026-10-01T23:59:59.999", ("chen",)),
        ("2026-10-02T00:00:00.000", ()),
    ],
)
def test_who_is_on_duty(tmp_path: Path, when: str, who: tuple[str, ...]) -> None:
    assert on_duty(loaded(tmp_path).roster["guards"], at(when)) == who


def night(start: str, end: str) -> Roster:
    shift = {"days": ["sat"], "from": start, "to": end, "people": ["li"]}
    return Roster.model_validate({"id": "n", "timezone": "Europe/Berlin", "shifts": [shift]})


@pytest.mark.parametrize(
    ("start", "end", "night_of", "hours"),
    [
        ("22:00", "06:00", "2026-03-28", 7.0),  # the clocks go on: an hour less
        ("22:00", "06:00", "2026-10-24", 9.0),  # and back: an hour more
        ("22:00", "06:00", "2026-06-06", 8.0),
        ("22:00", "02:30", "2026-03-28", 4.0),  # 02:30 does not exist; it ends as the clocks go on
    ],
)
def test_a_night_is_as_long_as_it_is(start: str, end: str, night_of: str, hours: float) -> None:
    roster, zone = night(start, end), "Europe/Berlin"
    begins_ms = at(f"{night_of}T{start}:00", zone)
    ends_ms = begins_ms + round(hours * 3_600_000)
    covered = [on_duty(roster, ms) for ms in (begins_ms - 1, begins_ms, ends_ms - 1, ends_ms)]
    assert covered == [(), ("li",), ("li",), ()]


def test_hours_agree_with_a_scan_of_every_minute_over_both_changes_of_the_clock() -> None:
    roster, zone = night("22:00", "06:00"), ZoneInfo("Europe/Berlin")
    for first in ("2026-03-28T12:00:00", "2026-10-24T12:00:00"):
        begins_ms = at(first, "Europe/Berlin")
        for minute in range(30 * 60):
            now_ms = begins_ms + minute * 60_000
            local = datetime.fromtimestamp(now_ms / 1000, zone)
            expected = (local.weekday() == 5 and local.hour >= 22) or (local.weekday() == 6 and local.hour < 6)
            assert (on_duty(roster, now_ms) == ("li",)) is expected, local


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-24T10:00:00", "2026-11-24T10:00:00"),
        ("2026-11-24T17:30:00", "2026-11-25T08:30:00"),
        ("2026-11-27T18:00:00", "2026-11-30T08:30:00"),  # Friday evening to Monday morning
        ("2026-11-24T08:29:59", "2026-11-24T08:30:00"),
    ],
)
def test_business_hours(now: str, then: str) -> None:
    assert next_business_ms(at(now), "Asia/Shanghai") == at(then)


def test_a_step_calls_people_roles_and_rosters_each_person_once(tmp_path: Path) -> None:
    people = loaded(tmp_path)
    called = people.called(("guards", "guard", "li"), at("2026-11-23T09:00:00"))
    assert [(role, person.id) for role, person in called] == [("guards", "li"), ("guard", "wang")]


def test_the_usual_ladders_hold_where_a_route_gives_none(tmp_path: Path) -> None:
    route = loaded(tmp_path).route["drains"]
    critical, high, low = (route.ladder(severity) for severity in (Severity.CRITICAL, Severity.HIGH, Severity.LOW))
    assert critical and high and low
    assert [step.after_s for step in critical.steps] == [0, 60, 180, 600]
    assert (critical.loops, critical.fallback_after_s, critical.ack_timeout_s) == (3, 30, 900)
    assert [(step.after_s, step.to) for step in high.steps] == [
        (0, ("guards",)),
        (300, ("leader",)),
        (900, ("leader",)),
    ]
    assert low.digest == "business-hours"
    assert loaded(tmp_path).route["gates"].ladder(Severity.LOW) is None


def test_addresses_do_not_go_into_the_journal(tmp_path: Path) -> None:
    people = loaded(tmp_path)
    payload = encode_rules((), Catalogue(), people)
    assert b"13800000001" not in payload
    assert b"example.org" not in payload
    _, _, again = decode_rules(payload)
    assert again.person["li"].addresses.keys() == {"wecom", "mail"}
    assert again.routes == people.routes
    assert again.rosters == people.rosters
    assert encode_rules((), Catalogue(), again) == payload
    assert "13800000001" not in repr(people)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lead: [leader]", "lead: [leder]", "people.yaml:15: routes[0].lead[0]: there is no person, role or roster 'leder'"),
        ("people: [wang]", "people: [wong]", "people.yaml:10: rosters[0].shifts[1].people[0]: there is no person 'wong'"),
        ("system_route: drains", "system_route: drain", "there is no route 'drain'"),
        ('"08:00", to: "20:00"', '"25:00", to: "20:00"', "rosters[0].shifts[0].from"),
        ("days: [fri]", "days: [friday]", "a day is one of mon"),
        ("after_s: 15", "after_s: -1", "after_s"),
        ("id: wang", "id: li", "'li' is taken"),
        ("id: guards", "id: guard", "'guard' is a role of somebody"),
        ("holiday_shifts: [{people: [chen]}]", "", "'holidays' need 'holiday_shifts'"),
        ("system_route: drains", "templates: {en: {title: '{whit}', text: x}}", "templates.en.title: cannot be filled in"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(Mistakes) as found:
        loaded(tmp_path, PEOPLE.replace(old, new))
    assert said in str(found.value)


def test_what_is_missing_in_the_settings_is_named(tmp_path: Path) -> None:
    people = loaded(tmp_path)
    assert mistakes_of(people, [("drain-level", "drains")], ["wecom", "mail"]) == []
    found = mistakes_of(people, [("drain-level", "nowhere")], ["wecom"])
    assert "rule 'drain-level': route: there is no route 'nowhere'" in found
    assert any("person 'chen'" in line for line in found)
    assert any(line.startswith("route 'gates': high: 'mail'") for line in found)


def test_without_a_folder_there_is_nobody(tmp_path: Path) -> None:
    assert load_people(tmp_path / "none") == NOBODY
