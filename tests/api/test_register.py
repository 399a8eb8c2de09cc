"""The visitor register over HTTP: a guard enters, a department announces, a registrar reads with a reason."""

import io
import zipfile
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import msgspec
import pytest
import sqlalchemy as sa

from api.access import Grant, Role
from api.audit import Audit
from api.register import store
from api.register.visit import State
from tests.api.test_app import World, database_with_users, world

__all__ = ["database_with_users", "world"]
SKIN = "scanner/skin_temperature"
BASE = "/api/v1/register"
NAME = "欧阳测试"
TOLD = {"visitor": NAME, "organisation": "水务公司", "purpose": "检修", "department": "后勤处", "phone": "13800001234"}
DUTY = {"reason": "on-duty"}
DAYS = {"first_day": "2026-11-01", "last_day": "2026-12-31"}


def key(number: int) -> str:
    return f"request-{number:012d}"


def post(world: World, path: str, headers: dict[str, str], request: int = 0, /, **body: Any) -> Any:
    return world.client.post(f"{BASE}/{path}", json=body, headers=headers | {"Idempotency-Key": key(request)})


def entered(world: World, headers: dict[str, str], request: int = 1, /, **changed: Any) -> Any:
    body = TOLD | {"gate": "lane", "temperature": {"value": 36.5}} | changed
    return post(world, "entries", headers, request, **body)


def board(world: World) -> Any:
    answer = world.client.get(f"{BASE}/gates/lane", params=DUTY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def on_record(world: World, action: str) -> list[tuple[str, str]]:
    return [(row["subject"], row["outcome"]) for row in world.accounts.audit.rows() if row["action"] == action]


def test_the_temperature_comes_from_the_passage_by_itself_and_from_no_old_one(world: World) -> None:
    headers = world.log_in("guard")
    world.readings((SKIN, 36.4, 90))
    assert board(world)["lanes"][0]["passage"] is None
    stale = entered(world, headers, temperature={"device": "scanner"})
    assert (stale.status_code, stale.json()["reason"]) == (409, "no-passage")
    world.readings((SKIN, 36.6, 20))
    assert board(world)["lanes"][0]["passage"] == {
        "value": 36.6,
        "time_ms": world.clock.now_ms() - 20_000,
        "is_taken": False,
    }
    made = entered(world, headers, temperature={"device": "scanner"})
    assert made.status_code == 201
    person = made.json()["person"]
    assert (person["temperature"]["value"], person["temperature"]["source"]) == (36.6, "passage")
    assert (made.json()["in_by"], made.json()["state"], made.json()["day"]) == ("guard", "in", board(world)["day"])
    assert board(world)["lanes"][0]["passage"]["is_taken"]
    second = entered(world, headers, 2, visitor="Li", temperature={"device": "scanner"})
    assert (second.status_code, second.json()["reason"]) == (409, "passage-taken")


def test_the_passage_that_was_seen_is_the_one_that_is_written_down(world: World) -> None:
    headers = world.log_in("guard")
    world.readings((SKIN, 38.2, 20))
    seen = board(world)["lanes"][0]["passage"]["time_ms"]
    # While the guard writes, the next person walks through the lane.
    world.readings((SKIN, 36.3, 1))
    other = entered(world, headers, temperature={"device": "scanner", "passage_ms": seen})
    assert (other.status_code, other.json()["reason"]) == (409, "other-passage")
    now = board(world)["lanes"][0]["passage"]["time_ms"]
    made = entered(world, headers, temperature={"device": "scanner", "passage_ms": now})
    assert made.json()["person"]["temperature"]["value"] == 36.3
    typed = entered(world, headers, 2, temperature={"value": 36.5, "passage_ms": now})
    assert typed.status_code == 422


def test_a_repeated_entry_is_one_also_when_its_passage_has_grown_old(world: World) -> None:
    headers = world.log_in("guard")
    world.readings((SKIN, 36.6, 5))
    first = entered(world, headers, temperature={"device": "scanner"}).json()
    world.clock.advance(300)
    again = entered(world, headers, temperature={"device": "scanner"})
    assert (again.status_code, again.json()) == (201, first)
    assert len(board(world)["here"]) == 1
    assert entered(world, headers, visitor="Li").status_code == 422


def test_announced_admitted_measured_again_and_gone(world: World) -> None:
    headers = world.log_in("registrar")
    day = board(world)["day"]
    announced = post(world, "announcements", headers, 1, **TOLD, gate="lane", day=day)
    assert announced.status_code == 201, announced.text
    headers = world.log_in("guard")
    (expected,) = board(world)["expected"]
    seen = expected["seq"]
    here = post(world, f"entries/{expected['id']}/admit", headers, 2, seq=seen, temperature={"value": 37.6}).json()
    assert (here["state"], here["in_by"], here["announced_by"]) == ("in", "guard", "registrar")
    late = post(world, f"entries/{here['id']}/admit", headers, 3, seq=seen, temperature={"value": 36.6})
    assert (late.status_code, late.json()["visit"]["seq"]) == (409, here["seq"])
    again = post(
        world, f"entries/{here['id']}/recheck", headers, 4, seq=here["seq"], temperature={"value": 36.7}
    ).json()
    assert (again["person"]["temperature"]["value"], again["person"]["recheck"]["value"]) == (37.6, 36.7)
    for _ in range(2):
        gone = post(world, f"entries/{here['id']}/leave", headers, 5, seq=again["seq"]).json()
    assert (gone["state"], gone["out_by"], gone["seq"]) == ("out", "guard", 4)
    assert [len(board(world)[name]) for name in ("expected", "here", "gone")] == [0, 0, 1]


def test_a_visitor_of_a_site_that_has_left_the_catalogue_is_not_admitted_and_may_leave(world: World) -> None:
    made = entered(world, world.log_in("guard")).json()
    visit = world.register.one(made["id"])
    assert visit is not None
    for number, state in ((8, State.ANNOUNCED), (9, State.IN)):
        gone = msgspec.structs.replace(visit, id=str(number) * 32, site="gone", gate="gone", state=state)
        world.register.add(gone, key(number))
    world.accounts.change("admin", "guard", frozenset({Grant(Role.GUARD)}), None, None)
    headers = world.log_in("guard")
    admitted = post(world, f"entries/{'8' * 32}/admit", headers, 2, seq=1, temperature={"value": 36.6})
    assert (admitted.status_code, "left the catalogue" in admitted.json()["detail"]) == (404, True)
    assert post(world, f"entries/{'9' * 32}/leave", headers, 3, seq=1).json()["state"] == "out"


def test_of_a_visit_whose_key_is_lost_it_is_said_and_its_end_can_be_noted(world: World) -> None:
    headers = world.log_in("registrar")
    announced = post(world, "announcements", headers, 1, **TOLD, gate="lane", day=board(world)["day"]).json()
    here = entered(world, headers, 2).json()
    rechecked = post(world, f"entries/{here['id']}/recheck", headers, 3, seq=1, temperature={"value": 36.6}).json()
    world.register.keys.file.unlink()
    world.register.begin_anew()
    for visit, action in ((announced, "admit"), (rechecked, "recheck")):
        path, temperature = f"entries/{visit['id']}/{action}", {"value": 36.6}
        lost = post(world, path, headers, 4, seq=visit["seq"], temperature=temperature)
        assert (lost.status_code, lost.json()["reason"]) == (409, "key-lost")
        assert "enter the visitor anew" in lost.json()["detail"]
    assert entered(world, headers, 2).json()["id"] == here["id"]  # sent again it is the same entry
    assert entered(world, headers, 2, gate="nowhere").status_code == 404
    gone = post(world, f"entries/{here['id']}/leave", headers, 5, seq=2).json()
    assert (gone["state"], gone["out_by"], gone["person"]) == ("out", "registrar", None)
    (day,) = world.client.get(f"{BASE}/counts", params=DAYS).json()["items"]
    assert (day["visitors"], day["rechecked"]) == (1, 1)


def test_a_visitor_is_written_down_as_a_chinese_keyboard_writes_them(world: World) -> None:
    written = {"visitor": "王　明", "organisation": "水务公司\u00a0二部", "phone": "１３８００００１２３４"}
    made = entered(world, world.log_in("guard"), **written)
    assert made.status_code == 201, made.text
    assert [made.json()["person"][name] for name in written] == ["王 明", "水务公司 二部", "13800001234"]
    headers = world.log_in("registrar")
    asked = {"reason": "person-asked", "visitor": "王　明", "phone": "１３８００００１２３４"}
    assert len(post(world, "person", headers, **asked).json()["items"]) == 1
    assert len(post(world, "search", headers, **DAYS, **DUTY, text="王　明").json()["items"]) == 1


def test_nobody_is_refused_without_a_reason(world: World) -> None:
    headers = world.log_in("guard")
    assert entered(world, headers, decision="refuse").status_code == 422
    refused = entered(world, headers, decision="refuse", remark="37.9, sent to the clinic").json()
    assert refused["state"] == "refused"


@pytest.mark.parametrize(
    "change",
    [
        {"visitor": " "},
        {"visitor": "a\nb"},
        {"visitor": "x" * 101},
        {"temperature": {}},
        {"temperature": {"value": 366}},
        {"temperature": {"value": 36.6, "device": "scanner"}},
        {"phone": "=1+1"},
        {"more": 1},
    ],
)
def test_what_does_not_fit_is_told_by_field_and_not_kept(world: World, change: dict[str, Any]) -> None:
    headers = world.log_in("guard")
    answer = entered(world, headers, **change)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert board(world)["here"] == []


def test_every_read_needs_a_reason_and_is_on_record_without_a_name(world: World) -> None:
    entered(world, world.log_in("guard"))
    headers = world.log_in("registrar")
    for path, body in (("search", DAYS), ("export", DAYS), ("person", {"visitor": NAME}), ("erase", {"visits": []})):
        assert post(world, path, headers, **body).status_code == 422
        assert post(world, path, headers, **body, reason="other").status_code == 422
    asked = {"reason": "contact-tracing", "words": f"{NAME} 的同行人"}
    for use in ("read", "print"):
        found = post(world, "search", headers, **DAYS, **asked, text="欧阳", use=use).json()
        assert [item["person"]["visitor"] for item in found["items"]] == [NAME]
    assert post(world, "search", headers, **DAYS, **asked, text="nobody").json()["items"] == []
    assert [outcome for _, outcome in on_record(world, "register-read")] == [
        "contact-tracing: 1 shown",
        "contact-tracing: 0 shown",
    ]
    ((subject, _),) = on_record(world, "register-print")
    kept = world.register.note(subject.split()[-1])
    assert kept is not None and NAME in kept and found["items"][0]["id"] in kept
    assert NAME not in str(list(world.accounts.audit.rows()))
    assert world.accounts.audit.faults() == []


def test_a_guard_sees_the_gate_of_the_shift_and_an_administrator_nothing(world: World) -> None:
    headers = world.log_in("guard")
    entered(world, headers)
    post(world, "entries", headers, 7, **TOLD | {"visitor": "Li", "gate": "mh-1", "temperature": {"value": 36.5}})
    for _ in range(5):
        assert len(board(world)["here"]) == 1
    assert on_record(world, "register-look") == [("lane", "on-duty")]
    world.clock.advance(3600 - 1)
    world.log_in("guard")
    board(world)
    assert len(on_record(world, "register-look")) == 2
    for name in ("admin", "engineer", "viewer"):
        headers = world.log_in(name)
        for path, body in (("search", DAYS | DUTY), ("entries", {}), ("person", DUTY | {"visitor": NAME})):
            assert post(world, path, headers, **body).status_code == 403, (name, path)
        assert world.client.get(f"{BASE}/gates/lane", params=DUTY).status_code == 403


def test_a_manager_of_another_site_announces_nobody_here(world: World) -> None:
    headers = world.log_in("manager")
    assert post(world, "announcements", headers, **TOLD, gate="lane", day="2026-11-26").status_code == 404


def test_who_announced_sees_and_takes_back_their_own_only(world: World) -> None:
    headers = world.log_in("registrar")
    day = board(world)["day"]
    made = post(world, "announcements", headers, 1, **TOLD, gate="lane", day=day).json()
    assert post(world, "announcements", headers, 2, **TOLD, gate="lane", day="2026-01-01").status_code == 422
    (own,) = world.client.get(f"{BASE}/announcements").json()["items"]
    assert own["id"] == made["id"]
    other = world.log_in("manager")
    assert world.client.get(f"{BASE}/announcements").json()["items"] == []
    assert world.client.delete(f"{BASE}/announcements/{own['id']}", headers=other).status_code == 404
    headers = world.log_in("registrar")
    assert world.client.delete(f"{BASE}/announcements/{own['id']}", headers=headers).status_code == 204
    assert board(world)["expected"] == []


def test_a_name_that_is_a_formula_or_html_is_text_in_the_sheet(world: World) -> None:
    headers = world.log_in("guard")
    names = ('=HYPERLINK("http://x","y")', "<script>alert(1)</script>", "+1+1", "@SUM(A1)", "http://x.example/")
    for number, name in enumerate(names):
        assert entered(world, headers, number, visitor=name).status_code == 201
    headers = world.log_in("registrar")
    sheet = post(world, "export", headers, **DAYS, **DUTY)
    assert sheet.status_code == 200
    with zipfile.ZipFile(io.BytesIO(sheet.content)) as book:
        cells = book.read("xl/worksheets/sheet1.xml").decode()
        texts = book.read("xl/sharedStrings.xml").decode()
        assert not any("hyperlink" in part.lower() for part in book.namelist())
    assert "<f>" not in cells and "<hyperlink" not in cells
    assert "=HYPERLINK(" in texts and "&lt;script&gt;" in texts and "来访人员体温登记表" in texts
    assert on_record(world, "register-export")[0][1] == "on-duty: 5 shown"


def test_the_sheet_holds_visits_of_a_site_that_has_left_the_catalogue(world: World) -> None:
    made = entered(world, world.log_in("guard")).json()
    visit = world.register.one(made["id"])
    assert visit is not None
    world.register.add(msgspec.structs.replace(visit, id="0" * 32, site="gone"), key(2))
    world.accounts.change("admin", "registrar", frozenset({Grant(Role.REGISTRAR)}), None, None)
    sheet = post(world, "export", world.log_in("registrar"), **DAYS, **DUTY, text=NAME, language="en")
    assert sheet.status_code == 200
    with zipfile.ZipFile(io.BytesIO(sheet.content)) as book:
        texts = book.read("xl/sharedStrings.xml").decode()
    assert f"{datetime.fromtimestamp(made['in_ms'] / 1000, UTC):%H:%M} UTC</t>" in texts
    assert on_record(world, "register-export")[0][1] == "on-duty: 2 shown"


def test_temperatures_in_the_sheet_are_numbers_and_a_sheet_that_is_cut_says_so(world: World) -> None:
    headers = world.log_in("guard")
    for number, value in enumerate((36.5, 37.3), 1):
        assert entered(world, headers, number, temperature={"value": value}).status_code == 201
    for language, said in (("zh", "仅最近 1 条"), ("en", "the newest 1 only")):
        with mock.patch("api.routes.register._SHEET_MAX", 1):
            sheet = post(world, "export", world.log_in("registrar"), **DAYS, **DUTY, language=language)
        with zipfile.ZipFile(io.BytesIO(sheet.content)) as book:
            cells = book.read("xl/worksheets/sheet1.xml").decode()
            assert said in book.read("xl/sharedStrings.xml").decode()
        assert "<v>37.3</v>" in cells and "<v>36.5</v>" not in cells


def test_one_person_is_handed_over_and_erased_and_only_the_count_stays(world: World) -> None:
    headers = world.log_in("guard")
    entered(world, headers, 1)
    entered(world, headers, 2, visitor="Li")
    headers = world.log_in("registrar")
    asked = {"reason": "person-asked", "words": "in writing"}
    theirs = post(world, "person", headers, **asked, visitor=NAME, phone=TOLD["phone"]).json()["items"]
    assert [visit["person"]["visitor"] for visit in theirs] == [NAME]
    assert post(world, "person", headers, **asked, visitor="欧阳").json()["items"] == []
    erased = post(world, "erase", headers, **asked, visits=[visit["id"] for visit in theirs]).json()
    assert erased == {"count": 1}
    (begun, reason), (ended, done) = on_record(world, "register-erase")
    assert (begun, reason, done) == (ended, "person-asked: asked", "done")
    kept = world.register.note(begun.split()[-1])
    assert kept is not None and theirs[0]["id"] in kept and "in writing" in kept
    assert post(world, "person", headers, **asked, visitor=NAME).json()["items"] == []
    (count,) = world.client.get(f"{BASE}/counts", params=DAYS).json()["items"]
    assert (count["visitors"], count["gate"]) == (2, "lane")


def test_a_lost_key_says_what_still_works_and_the_gate_goes_on(world: World) -> None:
    headers = world.log_in("guard")
    entered(world, headers)
    world.register.keys.file.unlink()
    answer = entered(world, headers, 2)
    assert answer.status_code == 503
    assert "put the file back" in answer.json()["detail"] and "alarms" in answer.json()["detail"]
    assert world.client.get("/api/v1/gates/lane").status_code == 200
    world.log_in("registrar")
    assert world.client.get(f"{BASE}/counts", params=DAYS).json()["items"][0]["visitors"] == 1


@pytest.mark.parametrize("gate", [NAME, "room", "east"])
@pytest.mark.parametrize("path", ["search", "export"])
def test_what_is_no_gate_of_theirs_is_told_and_not_written_down(world: World, path: str, gate: str) -> None:
    headers = world.log_in("registrar")
    assert post(world, path, headers, **DAYS, **DUTY, gate=gate).status_code == 404
    assert all(
        gate not in row["subject"] for row in world.accounts.audit.rows() if row["action"].startswith("register")
    )


@pytest.mark.parametrize("fails", ["the key is lost", "the record cannot be written"])
def test_nothing_is_erased_that_is_not_on_record_before(world: World, fails: str) -> None:
    visit = entered(world, world.log_in("guard")).json()["id"]
    headers = world.log_in("registrar")
    away = sa.exc.OperationalError("INSERT", None, Exception())
    wanted = {"reason": "person-asked", "visits": [visit]}
    if fails == "the key is lost":
        world.register.keys.file.rename(world.register.keys.file.with_suffix(".lost"))
        assert post(world, "erase", headers, **wanted).status_code == 503
        world.register.keys.file.with_suffix(".lost").rename(world.register.keys.file)
    else:
        with mock.patch.object(Audit, "_append", side_effect=away):
            assert post(world, "erase", headers, **wanted).status_code == 503
    assert world.register.one(visit) is not None


def test_counts_of_more_days_than_an_answer_holds_are_refused_and_never_cut(world: World) -> None:
    for number in range(2):
        entered(world, world.log_in("guard"), number)
        world.clock.advance(86_400)
    world.log_in("registrar")
    with mock.patch.object(store, "_COUNTS_MAX", 1):
        assert world.client.get(f"{BASE}/counts", params=DAYS).status_code == 422
    with mock.patch.object(store, "_COUNTS_MAX", 2):
        assert len(world.client.get(f"{BASE}/counts", params=DAYS).json()["items"]) == 2
