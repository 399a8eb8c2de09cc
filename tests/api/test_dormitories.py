"""Dormitories over HTTP: rooms as they stand, a month's bill and its issue, cases of forbidden loads."""

import io
import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import sqlalchemy as sa

from api.dormitories import measure
from api.dormitories.building import load_dormitories
from api.dormitories.measure import _register
from api.dormitories.remembered import KEPT_MS
from api.dormitories.steps import power_steps
from api.routes import bills
from api.routes.bills import bill_of
from ingest.history.history import Curve
from telemetry.batch import ReadingBatch
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration
from tests import district, dormitory
from tests.api import test_app
from tests.api.test_app import World, database_with_users

__all__ = ["database_with_users"]

NOW_MS = 1_795_000_000_000  # 19 November 2026
OCTOBER, NOVEMBER = dormitory.month_ms(2026, 10), dormitory.month_ms(2026, 11)


@pytest.fixture
def world(tmp_path: Path, database_with_users: Path) -> Iterator[World]:
    dormitory.write(tmp_path)
    yield from test_app.world.__wrapped__(tmp_path, database_with_users)  # type: ignore[attr-defined]


def keep(world: World, rows: list[tuple[str, str, int, float]]) -> None:
    """Into history alone, as a week's backlog would be."""
    index = {name: number for number, name in enumerate(world.worker.engine.program.names)}
    batch = ReadingBatch(
        np.array([index[device, metric] for device, metric, _, _ in rows], np.uint32),
        np.array([time_ms for _, _, time_ms, _ in rows], np.int64),
        np.array([value for _, _, _, value in rows]),
        np.zeros(len(rows), np.uint8),
    )
    last = world.history.write(batch, keep.record, keep.record)  # type: ignore[attr-defined]
    assert list(last) == []
    keep.record += 1  # type: ignore[attr-defined]
    world.look_into_history()


keep.record = 1  # type: ignore[attr-defined]


def get(world: World, path: str) -> Any:
    answer = world.client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def issue(world: World, headers: dict[str, str], month: str, seen: Any) -> Any:
    fen = seen["bill"]["fen"] + sum(line["fen"] for line in seen["bill"]["corrections"])
    body = {"inputs_hash": seen["bill"]["inputs_hash"], "fen": fen}
    return world.client.post(f"/api/v1/bills/dorm/{month}/issue", json=body, headers=headers)


@pytest.mark.parametrize("minute", [0, 20, 59])
@pytest.mark.parametrize("away_minutes", [1, 30, 50, 180])
@pytest.mark.parametrize("every_minutes", [5, 60])
def test_a_meter_that_is_exchanged_is_billed_what_both_counted(
    tmp_path: Path, database_with_users: Path, minute: int, away_minutes: int, every_minutes: int
) -> None:
    """Whatever the hour in which it was, how often it is read and how long the new one was not heard."""
    dormitory.write(tmp_path)
    exchanged_ms = OCTOBER + (8 * 24 + 10) * dormitory.HOUR_MS + minute * 60_000
    with (tmp_path / "dormitories" / "dorm.yaml").open("a", encoding="utf-8") as file:
        file.write(
            f"    exchanged: [{{device: e-1, time: 2026-10-09T10:{minute:02}:00+08:00,"
            f" old_last: {_counted(exchanged_ms)}, new_first: 5}}]\n"
        )
    rows = []
    for ms in range(OCTOBER - dormitory.HOUR_MS + 180_000, NOVEMBER + dormitory.HOUR_MS, every_minutes * 60_000):
        if ms < exchanged_ms:
            rows.append(("e-1", "energy", ms, _counted(ms)))
        elif ms >= exchanged_ms + away_minutes * 60_000:
            rows.append(("e-1", "energy", ms, round(5 + _counted(ms) - _counted(exchanged_ms), 2)))
    for world in test_app.world.__wrapped__(tmp_path, database_with_users):  # type: ignore[attr-defined]
        keep(world, rows)
        world.log_in("manager")
        (electricity, _) = get(world, "bills/dorm/2026-10")["bill"]["rooms"][0]["uses"]
        assert abs(Decimal(electricity["quantity"]) - 186) <= Decimal("0.5")
        assert [step["kind"] for step in electricity["breaks"]] == ["replaced"]


@pytest.mark.parametrize("month", ["0000-01", "1999-12", "٢٠٢٦-11", "2026-13", "2027-01"])
def test_a_month_that_is_none_has_no_bill(world: World, month: str) -> None:
    world.log_in("manager")
    assert world.client.get(f"/api/v1/bills/dorm/{month}").status_code == 422


def _counted(ms: int) -> float:
    """What a meter shows that counts a quarter of a kWh an hour."""
    return round(10_000 + 0.25 * (ms - OCTOBER) / dormitory.HOUR_MS, 2)


def test_a_months_bill_follows_the_registers_and_adds_up_to_the_main_meter(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOW_MS))
    world.log_in("manager")
    made = get(world, "bills/dorm/2026-10")
    assert (made["state"], made["is_over"]) == ("draft", True)
    room, _, empty = made["bill"]["rooms"]
    electricity, water = room["uses"]
    assert (electricity["quantity"], water["quantity"]) == ("186.00", "8.928")  # 744 hours
    assert [(line["quantity"], line["fen"]) for line in electricity["lines"]] == [("100.00", 4883), ("86.00", 4629)]
    assert [share["fen"] for share in electricity["shares"]] == [3171, 3171, 3170]
    assert [bed["bed"] for bed in empty["beds"]] == [None]
    public = made["bill"]["public"][0]
    assert (public["main"], public["common"], public["difference"]) == ("334.80", "37.20", "22.32")
    assert Decimal(public["rooms"]) + Decimal("37.20") + Decimal("22.32") == Decimal("334.80")


@pytest.mark.parametrize("heard_again", [4, 14])
def test_a_meter_that_was_not_heard_around_the_end_of_a_month_is_billed_all_the_same(
    world: World, heard_again: int
) -> None:
    """From 20 October to a day in November: what it counted meanwhile is in one of the two months."""
    silent = (OCTOBER + 19 * 24 * dormitory.HOUR_MS, NOVEMBER + (heard_again - 1) * 24 * dormitory.HOUR_MS)
    rows = [
        row for row in dormitory.registers(OCTOBER, NOW_MS) if row[0] != "e-1" or not silent[0] < row[2] < silent[1]
    ]
    keep(world, rows)
    world.log_in("manager")
    used = [
        Decimal(get(world, f"bills/dorm/2026-{month}")["bill"]["rooms"][0]["uses"][0]["quantity"]) for month in (10, 11)
    ]
    hours = (NOW_MS - OCTOBER) // dormitory.HOUR_MS + 1
    assert used[0] == 186
    assert abs(sum(used) - Decimal("0.25") * hours) <= Decimal("0.25")


def test_an_issued_bill_is_frozen_and_what_changes_is_a_correction_on_the_next(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    headers = world.log_in("manager")
    seen = get(world, "bills/dorm/2026-10")
    assert issue(world, headers, "2026-10", seen).status_code == 201
    # 25 kWh more of room 1 become known for the last hour of October.
    keep(world, [("e-1", "energy", NOVEMBER - 500, 1211.0), ("e-1", "energy", NOVEMBER + 1000, 1211.0)])
    world.clock.advance(KEPT_MS // 1000)
    again = get(world, "bills/dorm/2026-10")
    assert (again["state"], again["bill"], again["is_intact"]) == ("issued", seen["bill"], True)
    lines = get(world, "bills/dorm/2026-11")["bill"]["corrections"]
    by_room = {(line["room"], line["bed"]): line["fen"] for line in lines if line["tariff"] == "electricity"}
    assert sum(fen for (room, _), fen in by_room.items() if room == "room-1") == 1621  # 14 at 0.5383, 11 at 0.7883
    assert by_room[None, None] < 0  # the difference to the main meter is smaller by it
    assert issue(world, headers, "2026-10", seen).json()["detail"].startswith("the month has its bill")


@pytest.mark.parametrize("gone", ["history", "room", "meter"])
def test_what_is_not_known_any_more_of_an_issued_month_is_not_given_back(world: World, gone: str) -> None:
    parts: Any = world.client.app.state.parts  # type: ignore[attr-defined]
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    headers = world.log_in("manager")
    seen = get(world, "bills/dorm/2026-10")
    assert issue(world, headers, "2026-10", seen).status_code == 201
    nothing = Curve(np.array([], np.int64), np.array([]), np.array([], np.uint8))
    read_many = parts.remembered.read_many

    def left(kind: str, devices: list[str], *asked: Any) -> dict[str, Curve]:
        lost = set(devices) if gone == "history" else {"e-1"} if gone == "meter" else set()
        return {name: nothing if name in lost else curve for name, curve in read_many(kind, devices, *asked).items()}

    rooms = ["room-2", "room-3"] if gone == "room" else ["room-1", "room-2", "room-3"]
    with (
        mock.patch.object(parts.remembered, "read_many", left),
        mock.patch.object(bills, "rooms_of", lambda *_: rooms),
        mock.patch.object(measure, "rooms_of", lambda *_: rooms),
    ):
        lines = get(world, "bills/dorm/2026-11")["bill"]["corrections"]
    assert lines == []


def test_a_building_without_rooms_has_a_bill_of_its_common_use(world: World) -> None:
    parts: Any = world.client.app.state.parts  # type: ignore[attr-defined]
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    world.log_in("manager")
    with mock.patch.object(bills, "rooms_of", lambda *_: []), mock.patch.object(measure, "rooms_of", lambda *_: []):
        made = bill_of(parts, parts.dormitories.building("dorm"), "west", "2026-10").bill
    assert (made.public[0].main, made.public[0].rooms, made.rooms) == ("334.80", "0.00", ())


def test_a_month_that_another_one_overtakes_is_looked_at_again(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOW_MS))
    headers = world.log_in("manager")
    seen = get(world, "bills/dorm/2026-10")
    kept: Any = world.client.app.state.parts.bills  # type: ignore[attr-defined]

    def overtaken(*asked: Any, **more: Any) -> bills.BillAnswer:
        made = bill_of(*asked, **more)
        kept.issue(made.bill.model_copy(update={"month": "2026-09"}), "another", NOW_MS, [])
        return made

    with mock.patch.object(bills, "bill_of", overtaken):
        refused = issue(world, headers, "2026-10", seen)
    assert (refused.status_code, refused.json()["title"]) == (409, "The bill cannot be issued")
    assert get(world, "bills/dorm")["items"] == ["2026-09"]


def test_a_bill_that_was_tampered_with_says_so(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    headers = world.log_in("manager")
    issue(world, headers, "2026-10", get(world, "bills/dorm/2026-10"))
    with world.database.begin() as db:
        db.execute(sa.text("UPDATE dormitory_bill SET document = json_set(document, '$.fen', 1)"))
    assert get(world, "bills/dorm/2026-10")["is_intact"] is False


def test_a_bill_is_issued_as_it_was_seen_by_a_manager_and_when_the_month_is_over(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOW_MS))
    headers = world.log_in("manager")
    seen = get(world, "bills/dorm/2026-10")
    keep(world, [("e-1", "energy", NOVEMBER - 500, 1190.0)])
    refused = issue(world, headers, "2026-10", seen)
    assert (refused.status_code, refused.json()["title"]) == (409, "The bill cannot be issued")
    assert "not over" in issue(world, headers, "2026-11", get(world, "bills/dorm/2026-11")).json()["detail"]
    assert world.client.get("/api/v1/bills/dorm/2027-01").status_code == 422
    headers = world.log_in("viewer")
    seen = get(world, "bills/dorm/2026-10")
    assert issue(world, headers, "2026-10", seen).status_code == 403
    headers = world.log_in("guard")  # of another site
    assert world.client.get("/api/v1/bills/dorm/2026-10").status_code == 404
    assert world.client.get("/api/v1/dormitories").json()["items"] == []


def test_rooms_say_what_is_wrong_and_leaks_what_they_cost(world: World) -> None:
    keep(world, dormitory.registers(NOW_MS - 3 * 24 * dormitory.HOUR_MS, NOW_MS))
    world.log_in("viewer")
    now = get(world, "dormitories/dorm")
    rooms = {room["id"]: room for room in now["rooms"]}
    assert rooms["room-1"]["states"] == ["leak"]
    assert rooms["room-2"]["states"] == ["ok"]
    assert rooms["room-3"]["states"] in (["vacant-use"], ["vacant"])
    assert [floor["id"] for floor in now["floors"]] == ["dorm-1", "dorm-2"]
    (leak,) = now["leaks"]
    assert (leak["room"], round(leak["litres_per_day"]), leak["fen_per_day"]) == ("room-1", 288, 144)
    assert now["decides"] is False


def test_a_bill_comes_as_pdf_and_excel_in_both_languages(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    world.log_in("viewer")
    for language in ("zh", "en"):
        for form, begins in (("pdf", b"%PDF"), ("xlsx", b"PK")):
            path = f"/api/v1/bills/dorm/2026-10/document?form={form}&language={language}"
            answer = world.client.get(path)
            assert (answer.status_code, answer.content.startswith(begins)) == (200, True), answer.text
            assert answer.headers["content-disposition"].endswith(f'"bill-dorm-2026-10.{form}"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        inside = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
    for expected in ("Room 101", "<v>95.12</v>", "100.00 × 0.4883 + 86.00 × 0.5383", "22.32"):
        assert expected in inside
    assert "<f>" not in inside


def test_a_draft_is_remembered_for_a_while_and_no_longer(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOVEMBER))
    world.log_in("viewer")
    seen = get(world, "bills/dorm/2026-10")
    keep(world, [("e-1", "energy", NOVEMBER - 500, 1190.0)])
    assert get(world, "bills/dorm/2026-10") == seen
    world.clock.advance(KEPT_MS // 1000)
    assert get(world, "bills/dorm/2026-10")["bill"]["inputs_hash"] != seen["bill"]["inputs_hash"]


def heat(world: World, device: str) -> str:
    """A heater is on for a minute; the alarm's id."""
    world.readings(*((f"{device}/power", 1800.0, ago) for ago in range(60, 0, -5)))
    world.clock.advance(1)
    return str(get(world, f"alarms?class=dormitory&limit=1&device={device}")["items"][0]["id"])


@pytest.mark.parametrize("shows", [1000.0 - 0.01, 0.0])
def test_a_register_that_falls_a_moment_is_no_use_of_today(world: World, shows: float) -> None:
    hours = [NOW_MS // dormitory.HOUR_MS * dormitory.HOUR_MS - 1000 - n * dormitory.HOUR_MS for n in range(30, -1, -1)]
    keep(world, [("e-3", "energy", ms, shows if n == 29 else 1000.0) for n, ms in enumerate(hours)])
    world.log_in("manager")
    room = get(world, "dormitories/dorm")["rooms"][2]
    assert (room["id"], next(each["quantity"] for each in room["today"])) == ("room-3", 0.0)
    assert "vacant-use" not in room["states"]


def test_a_case_goes_from_warning_over_appeal_to_decision_and_the_second_is_of_stage_two(world: World) -> None:
    headers = world.log_in("manager")
    alarm = heat(world, "e-2")
    now = get(world, "dormitories/dorm")
    assert [(load["alarm"], load["room"]) for load in now["loads"]] == [(alarm, "room-2")]
    assert now["rooms"][1]["states"][0] == "forbidden-load"

    def post(path: str, **body: object) -> Any:
        return world.client.post(f"/api/v1/dormitories/dorm/cases{path}", json=body, headers=headers)

    assert post("", alarm=alarm, reason="   ").status_code == 422
    case = post("", alarm=alarm, reason="heater seen").json()
    assert (case["stage"], case["state"], case["seq"]) == (1, "warned", 1)
    assert post("", alarm=alarm, reason="again").status_code == 409
    where = f"/{case['id']}"
    assert post(f"{where}/appeal", seq=1, reason="it was a hair dryer").json()["state"] == "appealed"
    assert post(f"{where}/decide", seq=1, reason="late", outcome="upheld").status_code == 409
    decided = post(f"{where}/decide", seq=2, reason="power factor 1", outcome="upheld").json()
    assert [(step["what"], step["actor"]) for step in decided["steps"]] == [
        ("warned", "manager"), ("appealed", "manager"), ("upheld", "manager")
    ]  # fmt: skip
    assert post(f"{where}/decide", seq=3, reason="changed my mind", outcome="withdrawn").status_code == 409
    with world.database.connect() as db:
        said = db.execute(sa.text("SELECT action, outcome FROM audit WHERE action LIKE 'case-%'")).all()
    assert ("case-decide", "done: upheld") in said

    world.clock.advance(3600)
    world.readings(*(("e-2/power", 20.0, ago) for ago in range(600, 300, -5)))
    headers = world.log_in("viewer")
    assert post("", alarm=alarm, reason="x").status_code == 403


def test_a_case_and_a_load_are_found_however_many_came_after_them(world: World) -> None:
    for device in ("e-1", "e-2"):
        world.clock.advance(600)
        world.readings(*((f"{device}/power", 1500.0, ago) for ago in range(600, 0, -5)))
    headers = world.log_in("manager")
    client = world.client
    newer, older = (load["alarm"] for load in get(world, "dormitories/dorm")["loads"])
    where = "/api/v1/dormitories/dorm/cases"
    with mock.patch("api.routes.dormitories._ALARMS_MAX", 1), mock.patch("api.dormitories.cases.SHOWN_MAX", 1):
        made = [
            client.post(where, json={"alarm": alarm, "reason": "seen"}, headers=headers) for alarm in (older, newer)
        ]
        assert [answer.status_code for answer in made] == [201, 201]
        assert get(world, "dormitories/dorm")["loads"] == []
        first = made[0].json()["id"]
        assert [case["id"] for case in get(world, "dormitories/dorm")["cases"]] != [first]
        body = {"seq": 1, "reason": "it was not them", "outcome": "withdrawn"}
        assert client.post(f"{where}/{first}/decide", json=body, headers=headers).json()["state"] == "withdrawn"
    with mock.patch("api.dormitories.cases.SHOWN_MAX", 1):
        assert get(world, "dormitories/dorm")["loads"] == []  # not offered to be warned of again


def test_a_second_warning_within_the_time_is_of_stage_two_unless_the_first_was_withdrawn(world: World) -> None:
    cases = world.client.app.state.parts.cases  # type: ignore[attr-defined]
    day = 86_400_000
    first = cases.warn("a", "dorm", "room-1", "li", "seen", 0, 180)
    cases.warn("b", "dorm", "room-1", "li", "seen", 180 * day - 1, 180)
    cases.warn("c", "dorm", "room-2", "li", "seen", 0, 180)
    cases.step("dorm", first, 1, "withdrawn", "li", "it was not them", 1)
    stages = {case["alarm"]: case["stage"] for case in cases.of("dorm")}
    assert stages == {"a": 1, "b": 2, "c": 1}
    withdrawn = cases.warn("d", "dorm", "room-3", "li", "seen", 0, 180)
    cases.step("dorm", withdrawn, 1, "withdrawn", "li", "it was not them", 1)
    cases.warn("e", "dorm", "room-3", "li", "seen", 2, 180)
    assert cases.of("dorm", "room-3")[0]["stage"] == 1


def test_a_room_shows_its_steps_with_their_own_power_factor(world: World) -> None:
    rows = []
    for second in range(0, 120, 5):
        is_on = second >= 60
        watts, factor = (1830.0, (30.0 + 1800) / (60 + 1800)) if is_on else (30.0, 0.5)
        at = NOW_MS - 600_000 + second * 1000
        rows += [("e-1", "power", at, watts), ("e-1", "power_factor", at, factor)]
    keep(world, rows)
    world.log_in("viewer")
    shown = get(world, "dormitories/dorm/rooms/room-1")
    (step,) = shown["steps"]
    assert (step["watts"], round(step["factor"], 3)) == (1800.0, 1.0)
    assert step["time_ms"] == NOW_MS - 600_000 + 60_000
    assert shown["paying"] == [1, 2, 3]
    assert world.client.get("/api/v1/dormitories/dorm/rooms/lane").status_code == 404


def test_a_step_that_falls_into_two_readings_is_one() -> None:
    watts = np.array([30.0] * 5 + [900.0] + [1830.0] * 5 + [30.0] * 5)
    steps = power_steps(np.arange(len(watts)) * 5000, watts, np.full(len(watts), np.nan), 10)
    assert [(step.time_ms, step.watts, step.factor) for step in steps] == [
        (25_000, 1800.0, None),
        (55_000, -1800.0, None),
    ]


def test_every_mistake_in_a_dormitory_is_named(tmp_path: Path) -> None:
    district.write_district(tmp_path)
    dormitory.write(tmp_path)
    file = tmp_path / "dormitories" / "dorm.yaml"
    for before, after, told in (
        ("tariffs: [electricity, water]", "tariffs: [gas]", "there is no tariff 'gas'"),
        ("main: [e-main]", "main: [e-1]", "device 'e-1' stands in a room"),
        ("rooms: [room-2]", "rooms: [lane]", "there is no room 'lane'"),
        ("beds: [1, 2, 3]", "beds: [5]", "no bed 5"),
        ("place: dorm", "place: nowhere", "there is no place 'nowhere'"),
        ("tariffs: [electricity, water]", "tariffs: [water, water]", "'water' stands twice"),
        ("main: [e-main]", "main: [e-main, e-main]", "'e-main' stands twice"),
        ("common: [e-stairs]", "common: [e-stairs, e-main]", "'e-main' stands twice"),
        ("buildings:", "buildings:\n  - {place: gate, main: [e-main]}", "'e-main' is a meter of 'gate' too"),
        ("buildings:", "buildings:\n  - {place: dorm-1}", "lies in 'dorm'"),
        ("starts: 2026-01-01\n", "starts: 2026-01-02\n", "first day of a month"),
    ):
        file.write_text(dormitory.DORMITORIES.replace(before, after), encoding="utf-8")
        with pytest.raises(BadConfiguration, match=told):
            load_dormitories(tmp_path / "dormitories", Catalogue.load(tmp_path / "catalogue"))


def test_a_main_meter_may_run_as_fast_as_everything_behind_it_and_a_rooms_only_as_fast_as_a_room(
    tmp_path: Path,
) -> None:
    district.write_district(tmp_path)
    (tmp_path / "catalogue" / "dormitory.yaml").write_text(dormitory.CATALOGUE, encoding="utf-8")
    text = dormitory.DORMITORIES.replace("    unit: kWh\n", "    unit: kWh\n    max_rate_per_h: 0.3\n")
    (tmp_path / "dormitories").mkdir()
    (tmp_path / "dormitories" / "all.yaml").write_text(text, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path / "catalogue")
    houses = load_dormitories(tmp_path / "dormitories", catalogue)
    (building,) = houses.buildings
    tariff = houses.tariff("electricity")
    assert _register(tariff, building.exchanged, "e-1", 1).most_per_h == 30
    assert _register(tariff, building.exchanged, "e-main", 4).most_per_h == 120


def test_quantities_of_a_bill_are_numbers_in_its_workbook(world: World) -> None:
    keep(world, dormitory.registers(OCTOBER, NOW_MS))
    world.log_in("manager")
    answer = world.client.get("/api/v1/bills/dorm/2026-10/document?form=xlsx")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        power, water, public = (book.read(f"xl/worksheets/sheet{number}.xml").decode() for number in (2, 3, 4))
        looks, texts = (book.read(f"xl/{name}.xml").decode() for name in ("styles", "sharedStrings"))
    assert "<v>186</v>" in power and re.search(r"<v>8\.9280*1?</v>", water)  # of room 101, as the bill says
    assert public.count("<v>") > 10
    assert '"#,##0.00"' in looks.replace("&quot;", '"') and '"#,##0.000"' in looks.replace("&quot;", '"')
    assert ">186.00<" not in texts and ">8.928<" not in texts
