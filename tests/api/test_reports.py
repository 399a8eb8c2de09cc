"""Reports: the same numbers in every form, each period of a schedule once, and nothing in a name that runs."""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from alerts.notify.words import _SEVERITY_ZH
from alerts.people import People
from alerts.rule import Severity
from alerts.store import Notice, alarms
from api.documents.document import Cell, Document, shown
from api.documents.pdf import as_pdf
from api.documents.xlsx import as_xlsx
from api.reports.keeping import Keeper
from api.reports.made import CLAIM_MS, RETRY_MAX_MS, RETRY_MS, Wanted, deliveries, reports
from api.reports.making import make
from api.reports.period import Kind, Period, calendar_period, day_period, due, month_period
from api.reports.printed import Naming, shift_document, site_document
from api.reports.shift import Fever, Lane, OpenItem, ShiftReport, shift_report
from api.reports.site import Day, DutyDone, Gates, OfClass, OfRule, Peak, SiteReport, Use, site_report
from api.reports.words import WORDS
from api.routes.bills import bill_of
from telemetry.errors import Unavailable
from tests import dormitory
from tests.api import test_app
from tests.api.test_app import World, database_with_users
from tests.api.test_dormitories import keep

__all__ = ["database_with_users"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOSTILE = '=HYPERLINK("http://example.org","<b>open</b>")'


@pytest.fixture
def world(tmp_path: Path, database_with_users: Path) -> Iterator[World]:
    dormitory.write(tmp_path)
    yield from test_app.world.__wrapped__(tmp_path, database_with_users)  # type: ignore[attr-defined]


@dataclass
class Mailbox:
    """A channel that writes down what it was given, and refuses while it is told to."""

    keys: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    is_away: bool = False
    dies: bool = False

    def deliver(self, notice: Notice) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.keys.append(notice.key)
        self.titles.append(notice.title)
        if self.dies:
            raise KeyboardInterrupt


@dataclass
class Office:
    """An API process over the database: `again` is another, after a crash."""

    world: World
    mailbox: Mailbox

    def __post_init__(self) -> None:
        self.parts: Any = self.world.client.app.state.parts  # type: ignore[attr-defined]
        # Parts are frozen, and channels and people are what a district declares.
        object.__setattr__(self.parts, "channels", {"mail": self.mailbox})
        person = {"id": "li", "name": {"en": "Li", "zh": "李"}, "addresses": {"mail": "li@example.org"}}
        object.__setattr__(self.parts, "people", People.model_validate({"people": [person]}))
        self.again()

    def again(self) -> None:
        self.keeper = Keeper(self.parts)

    def made(self) -> list[tuple[str, str]]:
        with self.world.database.connect() as db:
            rows = db.execute(sa.select(reports.c.kind, reports.c.period).where(reports.c.state == "made"))
            return sorted((row.kind, row.period) for row in rows)

    def wait(self, ms: int) -> None:
        self.world.clock.advance(ms / 1000)


@pytest.fixture
def office(world: World) -> Office:
    return Office(world, Mailbox())


def local_ms(text: str, zone: ZoneInfo) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def keys(kind: Kind, since: str, now: str, zone: str = "Asia/Shanghai", at: time = time(7)) -> list[str]:
    info = ZoneInfo(zone)
    return [period.key for period in due(kind, at, info, local_ms(since, info), local_ms(now, info))]


def test_a_day_is_due_on_the_next_at_its_time_and_not_before() -> None:
    assert keys(Kind.DAY, "2026-11-19T12:00", "2026-11-20T06:59") == []
    assert keys(Kind.DAY, "2026-11-19T12:00", "2026-11-20T07:00") == ["2026-11-19"]
    assert keys(Kind.DAY, "2026-11-19T12:00", "2026-11-22T08:00") == ["2026-11-19", "2026-11-20", "2026-11-21"]


def test_a_month_ends_on_its_last_day_whichever_that_is() -> None:
    assert keys(Kind.MONTH, "2028-02-10T00:00", "2028-03-01T06:00") == []
    assert keys(Kind.MONTH, "2028-02-10T00:00", "2028-04-30T23:00") == ["2028-02", "2028-03"]
    assert keys(Kind.MONTH, "2026-12-31T23:59", "2027-02-01T07:00") == ["2026-12", "2027-01"]
    assert keys(Kind.DAY, "2028-02-28T12:00", "2028-03-01T07:00") == ["2028-02-28", "2028-02-29"]
    assert month_period(date(2028, 2, 1), SHANGHAI).end_ms == day_period(date(2028, 2, 29), SHANGHAI).end_ms


def test_days_where_clocks_change_are_whole_and_touch() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    short, long = day_period(date(2026, 3, 29), berlin), day_period(date(2026, 10, 25), berlin)
    assert [(each.end_ms - each.start_ms) // HOUR_MS for each in (short, long)] == [23, 25]
    assert day_period(date(2026, 3, 30), berlin).start_ms == short.end_ms
    # A time that this morning does not have is when the clock has jumped over it.
    assert keys(Kind.DAY, "2026-03-28T12:00", "2026-03-29T03:00", "Europe/Berlin", time(2, 30)) == ["2026-03-28"]
    assert calendar_period(Kind.DAY, "2026-03-29", berlin) == short


def test_an_outage_is_made_up_for_and_no_further_back_than_is_said() -> None:
    assert len(keys(Kind.DAY, "2026-01-01T00:00", "2026-11-20T08:00")) == 31
    assert len(keys(Kind.MONTH, "2020-01-01T00:00", "2026-11-20T08:00")) == 12


def schedule(office: Office, kind: Kind = Kind.DAY, subject: str = "west") -> Any:
    headers = office.world.log_in("manager")
    body = {"kind": kind, "subject": subject, "recipients": [{"person": "li", "channel": "mail"}]}
    answer = office.world.client.post("/api/v1/reports/schedules", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_each_period_is_made_and_told_once_and_an_outage_is_made_up_for(office: Office) -> None:
    schedule(office)
    office.keeper.turn()
    assert office.made() == []  # the day is not over
    office.wait(DAY_MS)
    for _ in range(3):
        office.keeper.turn()
        office.again()
    assert office.made() == [("day", "2026-11-18")]
    office.wait(3 * DAY_MS)
    office.keeper.turn()
    assert [period for _, period in office.made()] == ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"]
    assert len(office.mailbox.keys) == len(set(office.mailbox.keys)) == 4


def test_a_crash_while_it_is_made_makes_it_again_and_tells_once(office: Office) -> None:
    schedule(office)
    office.wait(DAY_MS)
    with mock.patch("api.reports.keeping.files_of", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        office.keeper.turn()
    office.again()
    office.keeper.turn()
    assert office.made() == []  # whoever claimed it may still be at it
    office.wait(CLAIM_MS)
    office.keeper.turn()
    office.keeper.turn()
    assert len(office.made()) == len(office.mailbox.keys) == 1


def test_a_crash_at_the_hand_over_is_handed_over_again_under_the_same_key(office: Office) -> None:
    schedule(office)
    office.wait(DAY_MS)
    office.mailbox.dies = True
    with pytest.raises(KeyboardInterrupt):
        office.keeper.turn()
    office.mailbox.dies = False
    office.again()
    office.keeper.turn()
    assert len(office.mailbox.keys) == 1
    office.wait(CLAIM_MS)
    office.keeper.turn()
    office.wait(CLAIM_MS)
    office.keeper.turn()
    assert len(office.mailbox.keys) == 2 and len(set(office.mailbox.keys)) == 1


def test_of_two_processes_one_makes_it_and_a_lapsed_claim_makes_nothing(office: Office) -> None:
    kept, clock = office.parts.reports, office.world.clock
    wanted = Wanted(Kind.DAY, "west", "west", day_period(date(2026, 11, 18), SHANGHAI), "en")
    first = kept.claim(wanted, "s")
    assert first is not None and kept.claim(wanted, "s") is None
    clock.advance(CLAIM_MS / 1000)
    second = kept.claim(wanted, "s")
    assert second is not None and second.report == first.report
    assert not kept.made(first, {"pdf": b"first"}, "schedule", [("mail", "li")])
    assert kept.made(second, {"pdf": b"second"}, "schedule", [("mail", "li")])
    assert not kept.made(second, {"pdf": b"second"}, "schedule", [("mail", "li")])
    assert kept.path(first.report, "pdf").read_bytes() == b"second"
    with office.world.database.connect() as db:
        assert len(db.execute(sa.select(deliveries)).all()) == 1


def test_what_cannot_be_made_or_told_now_is_tried_again(office: Office) -> None:
    schedule(office)
    office.wait(DAY_MS)
    with mock.patch("api.reports.keeping.make", side_effect=Unavailable("history is away")):
        office.keeper.turn()
    assert office.made() == []
    office.wait(RETRY_MS)
    office.mailbox.is_away = True
    office.keeper.turn()
    assert len(office.made()) == 1 and office.mailbox.keys == []
    office.mailbox.is_away = False
    office.wait(RETRY_MS)
    office.keeper.turn()
    assert len(office.mailbox.keys) == 1


@pytest.mark.parametrize(
    ("language", "title"), [("zh", "交接班报告：Lane 2026-11-18 1"), ("en", "Shift report: Lane 2026-11-18 1")]
)
def test_a_shift_report_is_told_with_when_the_shift_was_handed_over(office: Office, language: str, title: str) -> None:
    document = {"kind": "shift", "site": "east", "subject": "lane", "language": language, "at": "07:00",
                "recipients": [{"person": "li", "channel": "mail"}]}  # fmt: skip
    office.parts.reports.begin(document, "guard")
    now_ms = office.world.clock.now_ms()
    office.parts.handovers.sign("lane", now_ms - HOUR_MS, now_ms + 1, "guard", "", {})
    office.wait(HOUR_MS)
    office.keeper.turn()
    assert [each.startswith(title) and each.endswith(" CST") for each in office.mailbox.titles] == [True], (
        office.mailbox.titles
    )


def test_a_report_that_fails_as_nobody_foresaw_keeps_none_of_the_others(office: Office) -> None:
    schedule(office)
    office.wait(2 * DAY_MS)

    def broken(parts: Any, wanted: Wanted, now_ms: int) -> Any:
        if wanted.period.key == "2026-11-18":
            raise KeyError("what is not there")
        return make(parts, wanted, now_ms)

    with mock.patch("api.reports.keeping.make", side_effect=broken):
        office.keeper.turn()
    assert office.made() == [("day", "2026-11-19")]
    office.wait(RETRY_MAX_MS)
    office.keeper.turn()
    assert sorted(office.made()) == [("day", "2026-11-18"), ("day", "2026-11-19")]


@pytest.mark.parametrize(
    "happens",
    ["nothing", "falls by a digit", "reads nothing once", "leaps once", "rolls over", "is exchanged for a used one"],
)
def test_use_is_what_the_bill_says_whatever_registers_do(
    tmp_path: Path, database_with_users: Path, happens: str
) -> None:
    dormitory.write(tmp_path)
    october, november = dormitory.month_ms(2026, 10), dormitory.month_ms(2026, 11)
    noon_ms = october + 10 * DAY_MS + 12 * HOUR_MS
    rows = dormitory.registers(october - DAY_MS, november + DAY_MS)
    exchanged = happens == "is exchanged for a used one"
    (shown,) = (value for device, _, ms, value in rows if device == "e-1" and ms == noon_ms - 1000)
    if exchanged:
        with (tmp_path / "dormitories" / "dorm.yaml").open("a", encoding="utf-8") as file:
            file.write(
                f"    exchanged: [{{device: e-1, time: 2026-10-11T12:00:00+08:00, old_last: {shown}, new_first: 12000}}]\n"
            )

    declared = tmp_path / "dormitories" / "dorm.yaml"
    limits = f"    unit: kWh\n    max_rate_per_h: 20\n    modulus: {shown}\n"
    declared.write_text(declared.read_text(encoding="utf-8").replace("    unit: kWh\n", limits), encoding="utf-8")

    def told(device: str, ms: int, value: float) -> float:
        if device != "e-1" or ms < noon_ms - 1000:
            return value
        if happens == "rolls over":
            return round(value - shown, 2)
        if ms == noon_ms - 1000:
            once = {"falls by a digit": round(value - 0.26, 2), "reads nothing once": 0.0, "leaps once": value + 50_000}
            return once.get(happens, value)
        return round(12_000 + value - shown, 2) if exchanged else value

    for made in test_app.world.__wrapped__(tmp_path, database_with_users):  # type: ignore[attr-defined]
        keep(made, [(device, metric, ms, told(device, ms, value)) for device, metric, ms, value in rows])
        office = Office(made, Mailbox())
        period = month_period(date(2026, 10, 1), SHANGHAI)
        report = site_report(office.parts, "west", period, made.clock.now_ms())
        bill = bill_of(office.parts, office.parts.dormitories.building("dorm"), "west", "2026-10").bill
        (use,) = (each for each in report.use if each.metric == "energy" and not each.is_main)
        electricity = bill.public[0]
        assert use.total == pytest.approx(float(electricity.rooms) + float(electricity.common))
        assert sum(day.use["energy"] for day in report.days) == pytest.approx(use.total)
        assert use.total == pytest.approx(744 * (0.25 + 0.1 + 0.02 + 0.05), abs=0.6)
        assert (use.meters, use.silent) == (5, 1)  # the one of another building was never heard


@pytest.mark.parametrize("at", ["07:00Z", "07:00+08:00"])
def test_a_time_of_another_clock_than_the_sites_is_refused(office: Office, at: str) -> None:
    headers = office.world.log_in("admin")
    body = {"kind": "day", "subject": "west", "at": at}
    answer = office.world.client.post("/api/v1/reports/schedules", json=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "at"


def test_what_concerns_nothing_any_more_is_not_tried_every_few_minutes(office: Office) -> None:
    gone = {"kind": "bill", "site": "west", "subject": "gone", "language": "zh", "at": "07:00", "recipients": []}
    office.parts.reports.begin(gone, "manager")
    office.wait(40 * DAY_MS)
    for _ in range(3 * 60 // 5):
        office.keeper.turn()
        office.wait(RETRY_MS)
    with office.world.database.connect() as db:
        assert set(db.execute(sa.select(reports.c.attempts)).scalars()) == {1}
    office.wait(RETRY_MAX_MS)
    office.keeper.turn()
    with office.world.database.connect() as db:
        assert set(db.execute(sa.select(reports.c.attempts)).scalars()) == {2}


def test_a_schedule_whose_gate_has_left_the_catalogue_stops_no_other(office: Office) -> None:
    gone = {"kind": "shift", "site": "east", "subject": "gone", "language": "zh", "at": "07:00", "recipients": []}
    office.parts.reports.begin(gone, "guard")
    office.parts.handovers.sign("gone", 0, office.world.clock.now_ms() + 1, "guard", "", {})
    schedule(office)
    office.wait(DAY_MS)
    office.keeper.turn()
    assert office.made() == [("day", "2026-11-18")]


@pytest.mark.parametrize("form", ["pdf", "xlsx"])
def test_an_issued_bill_is_printed_also_where_a_room_has_left_the_catalogue(office: Office, form: str) -> None:
    building = office.parts.dormitories.building("dorm")
    made = bill_of(office.parts, building, "west", "2026-10").bill
    gone = made.model_copy(update={"rooms": (*made.rooms[:2], made.rooms[2].model_copy(update={"room": "room-9"}))})
    office.parts.bills.issue(gone, "manager", office.world.clock.now_ms(), [])
    headers = office.world.log_in("manager")
    body = {"kind": "bill", "subject": "dorm", "period": "2026-10"}
    answer = office.world.client.post("/api/v1/reports", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert office.world.client.get("/api/v1/bills/dorm/2026-10/document", params={"form": form}).status_code == 200


def test_old_files_go_and_are_not_made_again(office: Office) -> None:
    schedule(office)
    office.wait(DAY_MS)
    office.keeper.turn()
    office.parts.reports.keep_days = 1
    folder = office.parts.reports.path("x", "pdf").parent
    assert len(list(folder.iterdir())) == 2
    ended = office.parts.reports.schedules()[0]
    office.parts.reports.change(ended, None, "manager")
    for _ in range(12):
        office.wait(DAY_MS // 6)
        office.world.accounts.record("manager", "log-in", "here", "done")  # days on which people are at work
    office.keeper.turn()
    assert list(folder.iterdir()) == [] and office.made() == []


def test_what_a_crash_leaves_of_a_report_is_swept_when_its_claim_has_lapsed(office: Office) -> None:
    book = office.parts.reports
    folder = book.path("x", "pdf").parent
    period = day_period(date(2026, 11, 18), SHANGHAI)

    def dies_while_written(schedule: str | None) -> str:
        claim = book.claim(Wanted(Kind.DAY, "west", "west", period, "en"), schedule)
        with mock.patch("os.fsync", side_effect=[None, KeyboardInterrupt]), pytest.raises(KeyboardInterrupt):
            book.made(claim, {"pdf": b"1", "xlsx": b"2"}, "li")
        return str(claim.report)

    asked, due = dies_while_written(None), dies_while_written("s")
    assert len(list(folder.iterdir())) == 4
    (folder / "of-somebody-else.pdf.bak").touch()
    office.keeper.turn()
    assert len(list(folder.iterdir())) == 5  # it may be being made
    office.wait(CLAIM_MS)
    office.keeper.turn()
    assert sorted(each.name for each in folder.iterdir()) == sorted([f"{due}.pdf", "of-somebody-else.pdf.bak"])
    with office.world.database.connect() as db:
        assert db.execute(sa.select(reports.c.id)).scalars().all() == [due]
    assert book.made(book.claim(Wanted(Kind.DAY, "west", "west", period, "en"), "s"), {"pdf": b"1"}, "li")
    office.keeper.turn()
    assert book.path(due, "pdf").read_bytes() == b"1" and book.path(asked, "pdf").exists() is False


def test_a_report_that_only_half_fits_on_the_disk_leaves_nothing(office: Office) -> None:
    book = office.parts.reports
    claim = book.claim(Wanted(Kind.DAY, "west", "west", day_period(date(2026, 11, 18), SHANGHAI), "en"), None)
    with mock.patch("os.fsync", side_effect=[None, OSError]), pytest.raises(OSError):
        book.made(claim, {"pdf": b"1", "xlsx": b"2"}, "li")
    book.withdraw(claim)
    assert list(book.path("x", "pdf").parent.iterdir()) == []


def test_schedules_have_versions_and_belong_to_their_sites(office: Office) -> None:
    made = schedule(office)
    client, headers = office.world.client, office.world.log_in("manager")
    change = {"version": 1, "language": "en", "at": "06:30", "recipients": []}
    path = f"/api/v1/reports/schedules/{made['id']}"
    assert client.put(path, json=change, headers=headers).json()["version"] == 2
    assert client.put(path, json=change, headers=headers).status_code == 409
    stranger = {"version": 2, "recipients": [{"person": "nobody", "channel": "mail"}]}
    assert client.put(path, json=change | stranger, headers=headers).status_code == 422
    body = {"kind": "day", "subject": "east"}
    assert client.post("/api/v1/reports/schedules", json=body, headers=headers).status_code == 404  # not their site
    engineer = office.world.log_in("engineer")
    assert client.put(path, json=change | {"version": 2}, headers=engineer).status_code == 404
    assert client.get("/api/v1/reports/schedules").json()["items"] == []
    headers = office.world.log_in("manager")
    assert client.delete(path, params={"version": 2}, headers=headers).status_code == 204
    assert client.get("/api/v1/reports/schedules").json()["items"] == []
    with office.world.database.connect() as db:
        query = sa.text("SELECT outcome FROM audit WHERE action = 'report-schedule' ORDER BY id")
        assert db.execute(query).scalars().all() == ["begun", "changed", "ended"]


@pytest.mark.parametrize(
    ("kind", "subject", "period"),
    [("day", "west", "2026-11-18"), ("month", "west", "2026-11"), ("bill", "dorm", "2026-11")],
)
def test_one_is_made_now_listed_and_read_by_who_sees_its_site(
    office: Office, kind: str, subject: str, period: str
) -> None:
    client, headers = office.world.client, office.world.log_in("manager")
    body = {"kind": kind, "subject": subject, "period": period, "language": "en"}
    answer = client.post("/api/v1/reports", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    (item,) = client.get("/api/v1/reports").json()["items"]
    assert item == answer.json() | {"told": []}
    path = f"/api/v1/reports/{item['id']}/document"
    assert client.get(path).content.startswith(b"%PDF-")
    assert client.get(path, params={"form": "xlsx"}).content.startswith(b"PK")
    rows = [row for row in office.world.accounts.audit.rows() if row["action"] == "report-read"]
    of = f"{kind} {subject} {period}"
    assert [(row["actor"], row["subject"], row["site"]) for row in rows] == [
        ("manager", f"{of} pdf", "west"),
        ("manager", f"{of} xlsx", "west"),
    ]
    office.world.log_in("engineer")  # of the other site
    assert client.get(path).status_code == 404 and client.get("/api/v1/reports").json()["items"] == []


@pytest.mark.parametrize("period", ["2026-13", "x", "-1", "99999999999999999999", "2026-12-24", "1999-01-01", "²"])
def test_a_period_that_is_none_is_refused_and_leaves_nothing(office: Office, period: str) -> None:
    headers = office.world.log_in()
    for kind, subject in (("day", "west"), ("month", "west"), ("bill", "dorm")):
        body = {"kind": kind, "subject": subject, "period": period}
        assert office.world.client.post("/api/v1/reports", json=body, headers=headers).status_code == 422
    with office.world.database.connect() as db:
        assert db.execute(sa.select(reports)).all() == []


def site_told() -> SiteReport:
    days = tuple(Day(date(2026, 11, n), 1440, 1400 - n, 40 + n, n, 100 * n, {"energy": 12.345 * n}) for n in (1, 2, 3))
    return SiteReport(
        site="west",
        period=Period("2026-11", local_ms("2026-11-01", SHANGHAI), local_ms("2026-12-01", SHANGHAI)),
        as_of_ms=local_ms("2026-11-04", SHANGHAI),
        is_over=False,
        is_cut=False,
        classes=(
            OfClass("fever", Severity.HIGH, 7, 5, 61.5, 754.0, 2),
            OfClass("x", Severity.LOW, 1, 0, None, None, 1),
        ),
        rules=(OfRule("skin", 7, 4, 1, 2, 0.8),),
        gates=Gates(1234, 7, 3, {"admit": 4, "refuse": 1}, 2),
        storms=(),
        peaks=(Peak("mh-1", 2.5, 1.75, local_ms("2026-11-02T03:04", SHANGHAI)), Peak("mh-2", 2.0, None, None)),
        use=(Use("energy", {"en": HOSTILE, "zh": "用电量"}, "kWh", 2, False, 80, 1, 74.07),),
        days=days,
        duties=(DutyDone("round", {"en": "Round", "zh": "巡查"}, 2, 1, 3),),
    )


def shift_told() -> ShiftReport:
    period = Period("1", local_ms("2026-11-01", SHANGHAI), local_ms("2026-11-01T08:00", SHANGHAI))
    fever = Fever(period.start_ms, "scanner", "lane", 38.64, "refuse", HOSTILE, "<script>alert(1)</script>", 12.0)
    return ShiftReport(
        "gate", "west", period, HOSTILE, "+1+1", (Lane("lane", 321),), (fever,), 1, (OpenItem("lane", "fever"),), 4
    )


def documents(language: Any) -> list[Document]:
    naming = Naming({"gate": {"en": "Gate", "zh": "大门"}}, SHANGHAI)
    return [site_document(Kind.MONTH, site_told(), naming, language), shift_document(shift_told(), naming, language)]


def numbers(document: Document) -> list[Cell]:
    rows = (row for table in document.tables for row in (*table.rows, *([table.total] if table.total else [])))
    return [cell for row in rows for cell in row if isinstance(cell, int | float)]


def test_both_languages_say_the_same_numbers() -> None:
    for english, chinese in zip(documents("en"), documents("zh"), strict=True):
        assert numbers(english) == numbers(chinese) and len(numbers(english)) > 5


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_workbook_holds_the_numbers_and_runs_nothing(language: str) -> None:
    for document in documents(language):
        data = as_xlsx(document)
        with zipfile.ZipFile(io.BytesIO(data)) as files:
            sheets = [files.read(f"xl/worksheets/sheet{n + 1}.xml").decode() for n in range(len(document.tables))]
            assert as_xlsx(document) == data
        found = [
            float(value)
            for sheet in sheets
            for kind, value in re.findall(r'<c r="\w+" s="\d+"( t="s")?><v>([^<]*)</v>', sheet)
            if not kind
        ]
        assert found == [pytest.approx(number, rel=1e-14) for number in numbers(document)]
        assert not any("<f>" in sheet or "<hyperlink" in sheet for sheet in sheets)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_shows_every_number_as_its_column_says(language: str) -> None:
    from tests.api.test_documents import drawn

    for document in documents(language):
        page = drawn(as_pdf(document))
        for table in document.tables:
            for row in table.rows:
                for cell, column in zip(row, table.columns, strict=True):
                    if isinstance(cell, int | float):
                        assert f"({shown(cell, column.decimals)})".encode() in page, (table.title, cell)


def test_a_severity_is_called_the_same_in_a_report_in_a_notice_and_on_the_screens() -> None:
    screens = (Path(__file__).parents[2] / "web" / "src" / "i18n" / "zh.ts").read_text(encoding="utf-8")
    line = re.search(r"^  severity: \{(.*)\},$", screens, re.MULTILINE)
    assert line is not None
    shown = dict(re.findall(r'(\w+): "(\w+)"', line[1]))
    assert WORDS["zh"]["severities"] == _SEVERITY_ZH == shown


def begin_alarms(office: Office, count: int, onset_ms: int) -> None:
    """Fever alarms of the lane, all of which are learned of now."""
    now_ms = office.world.clock.now_ms()
    same = {
        "rule": "skin",
        "class": "fever",
        "site": "west",
        "device": "scanner",
        "severity": 3,
        "is_open": True,
        "seq": 1,
    }
    rows = [
        same | {"id": f"a{n}", "onset_ms": onset_ms + n, "raised_ms": now_ms + n,
                "document": {"id": f"a{n}", "onset_ms": onset_ms + n, "place": "lane", "class": "fever", "value": 38.5}}
        for n in range(count)
    ]  # fmt: skip
    with office.world.database.begin() as db:
        db.execute(alarms.insert(), rows)


@pytest.mark.parametrize(("count", "onset"), [(3, "of an outage of two days"), (700, "now")])
def test_every_fever_of_a_shift_is_in_its_report_however_many_and_however_late(
    office: Office, count: int, onset: str
) -> None:
    now_ms = office.world.clock.now_ms()
    begin_alarms(office, count, now_ms - 48 * HOUR_MS if onset.startswith("of") else now_ms)
    office.wait(HOUR_MS)
    told = shift_report(office.parts, "lane", None, office.world.clock.now_ms())
    assert told is not None and len(told.fevers) == count


@pytest.mark.parametrize(("count", "is_cut"), [(3, False), (4, True)])
def test_a_report_of_more_alarms_than_are_counted_says_so(office: Office, count: int, is_cut: bool) -> None:
    now_ms = office.world.clock.now_ms()
    begin_alarms(office, count, now_ms)
    office.wait(HOUR_MS)
    period = day_period(datetime.fromtimestamp(now_ms / 1000, SHANGHAI).date(), SHANGHAI)
    with mock.patch("api.reports.site.ALARMS_MAX", 3):
        told = site_report(office.parts, "west", period, office.world.clock.now_ms())
    assert sum(each.count for each in told.classes) == 3
    for language, said in (("en", "the first 3 only"), ("zh", "仅统计最早的 3 条")):
        about = site_document(Kind.DAY, told, Naming({}, SHANGHAI), language).about  # type: ignore[arg-type]
        assert any(said in line for line in about) is is_cut
