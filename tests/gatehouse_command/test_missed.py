"""A missed duty is told to people once, in their language, whatever restarts in between; and ends when it is signed late.

The clock begins on Wednesday 2026-11-18 at 09:00 of the sites; the drain check is due there by 10:00.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerts.store import alarms, commands, notices, transitions
from gatehouse.core import Core
from gatehouse.settings import load_settings
from telemetry.clock import ManualClock
from telemetry.database import open_database
from tests import district

PEOPLE = """
people:
  - {id: li, name: {en: Li Wei, zh: 李卫}, addresses: {pager: "1"}}
  - {id: wang, name: Wang Fang, language: en, addresses: {pager: "2"}}
routes:
  - {id: duties, duty: [li, wang], channels: [pager]}
  - {id: machine, duty: [li], channels: [pager]}
system_route: machine
duty_route: duties
"""
WEDNESDAY = date(2026, 11, 18)
HOUR_S = 3600


@dataclass
class Site:
    """A core that keeps house when told to, over one folder."""

    folder: Path
    clock: ManualClock
    core: Core = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.settings = load_settings(self.folder / "gatehouse.yaml", {})
        self.core = Core(self.settings, self.clock)
        self.database = open_database(self.settings.database.url)

    def restart(self) -> None:
        self.core.journal.close()
        self.start()

    def settle(self) -> None:
        for _ in range(3):
            self.clock.advance(1)
            self.core.alerts.step()

    def look(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            self.clock.advance(60)
            self.core._tell_of_duties()
            self.settle()

    def alarms(self) -> dict[str, str]:
        with self.database.connect() as db:
            rows = db.execute(sa.select(alarms).order_by(alarms.c.raised_ms, alarms.c.site)).all()
        return {f"{row.site}/{row.device}/{row.document['key']}": row.document["state"] for row in rows}

    def sent(self, sort: str = "call") -> list[Any]:
        mine = (notices.c.recipient != "") & (notices.c.sort == sort)
        with self.database.connect() as db:
            return list(db.execute(sa.select(notices).where(mine).order_by(notices.c.id)))

    def sign(self, day: date, site: str = "east", duty: str = "drains") -> None:
        due = self.core._missed._duties.one(site, day, duty)
        assert due is not None
        assert self.core._missed._duties.sign(due, "engineer", self.clock.now_ms(), "")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    district.write_district(tmp_path)
    (tmp_path / "duties").mkdir()
    only_drains = district.DUTIES.replace("  - {id: round", "  # {id: round")
    (tmp_path / "duties" / "all.yaml").write_text(only_drains.replace("since: 2026-11-16", "since: 2026-11-17"))
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    started = Site(tmp_path, ManualClock(at("2026-11-18T09:00")))
    yield started
    started.core.journal.close()


def at(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}:00+08:00").timestamp() * 1000)


BOTH = {"east/drains/2026-11-18": "open", "west/drains/2026-11-18": "open"}


def test_a_missed_duty_is_told_at_once_to_each_in_their_language_with_what_to_do(site: Site) -> None:
    site.look(50)
    assert site.alarms() == {}
    site.look(15)
    assert site.alarms() == BOTH
    told = site.sent()
    assert [(row.recipient, row.state, row.body["alarm"]["site"]) for row in told] == [
        ("li", "waiting", "east"),
        ("wang", "waiting", "east"),
        ("li", "waiting", "west"),
        ("wang", "waiting", "west"),
    ]
    assert "West" in told[3].text and "西院" in told[2].text
    for row, parts in zip(
        told,
        (
            ("日常任务漏办", "排水检查（2026-11-18）：截至 10:00 无人签字", "补签", "docs/runbook/duty-missed.md"),
            ("A daily duty was missed", "Drain check of 2026-11-18", "by 10:00", "sign it off as late"),
        ),
        strict=False,
    ):
        assert [part for part in parts if part not in row.text] == [], row.text
    assert told[0].body["alarm"]["runbook"] == "/api/v1/runbook/duty-missed"


def test_nobody_hears_of_it_again_whatever_restarts_and_however_long_it_stands(site: Site) -> None:
    site.clock.advance(HOUR_S)
    site.look()
    site.restart()
    site.look(3)
    assert site.alarms() == BOTH
    for _ in range(40):  # past every reminder and step that an alarm of this severity has
        site.clock.advance(HOUR_S / 2)
        site.look()
        site.core._upkeep.reconcile(site.clock.now_ms())
    assert len(site.sent()) == 4
    assert {row.what for row in steps(site)} == {"raised"}


def test_a_core_that_dies_between_the_wish_and_the_journal_tells_once(site: Site) -> None:
    site.clock.advance(HOUR_S + 60)
    site.core._tell_of_duties()
    site.core._tell_of_duties()
    with site.database.connect() as db:
        assert [row.state for row in db.execute(sa.select(commands))] == ["waiting", "waiting"]
    site.restart()
    site.look(2)
    assert site.alarms() == BOTH
    assert len(site.sent()) == 4


def test_what_is_missed_while_the_core_is_down_is_told_when_it_is_back(site: Site) -> None:
    site.clock.advance(2 * 24 * HOUR_S)  # Friday 09:00
    site.restart()
    site.look()
    assert site.alarms() == BOTH
    assert len(site.sent()) == 4


def test_what_was_missed_long_ago_is_no_news(site: Site) -> None:
    site.clock.advance(5 * 24 * HOUR_S + 2 * HOUR_S)  # Monday 11:00: Wednesday's is older than a weekend
    site.look()
    assert set(site.alarms()) == {"east/drains/2026-11-23", "west/drains/2026-11-23"}


def test_who_was_told_hears_once_that_it_was_signed_late(site: Site) -> None:
    site.clock.advance(HOUR_S)
    site.look(2)
    site.sign(WEDNESDAY)
    site.look(3)
    assert site.alarms() == BOTH | {"east/drains/2026-11-18": "closed"}
    ends = site.sent("end")
    assert [row.recipient for row in ends] == ["li", "wang"]
    assert "已补签" in ends[0].title and "signed it off, late" in ends[1].title
    assert len(site.sent()) == 4


def test_what_is_signed_in_time_is_never_told(site: Site) -> None:
    site.sign(WEDNESDAY)
    site.clock.advance(HOUR_S)
    site.look(2)
    assert set(site.alarms()) == {"west/drains/2026-11-18"}


def test_what_cannot_be_signed_any_more_ends_and_says_so(site: Site) -> None:
    site.clock.advance(HOUR_S)
    site.look()
    site.clock.advance(8 * 24 * HOUR_S)
    site.look()
    found = site.alarms()
    assert found["east/drains/2026-11-18"] == found["west/drains/2026-11-18"] == "closed"
    assert "记为漏办" in site.sent("end")[0].title


def test_who_closes_it_by_hand_hears_nothing_more_of_it(site: Site) -> None:
    site.clock.advance(HOUR_S)
    site.look()
    with site.database.begin() as db:
        (name,) = db.execute(sa.select(alarms.c.id).where(alarms.c.site == "east")).scalars()
        body = {"action": "close", "alarm": name, "seq": 1, "actor": "admin", "note": "holiday"}
        db.execute(commands.insert().values(id="c" * 32, created_ms=0, body=body, state="waiting"))
    site.settle()
    site.restart()
    site.look(3)
    assert site.alarms() == BOTH | {"east/drains/2026-11-18": "closed"}
    assert len(site.sent()) == 4


def test_a_duty_that_is_in_no_file_any_more_is_over(site: Site) -> None:
    site.clock.advance(HOUR_S)
    site.look()
    (site.folder / "duties" / "all.yaml").write_text("duties: []\n")
    site.restart()
    site.look()
    assert set(site.alarms().values()) == {"closed"}


def test_without_a_route_of_their_own_duties_are_told_as_what_is_about_ourselves(site: Site) -> None:
    people = site.folder / "people" / "all.yaml"
    people.write_text(PEOPLE.replace("duty_route: duties\n", ""), encoding="utf-8")
    site.restart()
    site.clock.advance(HOUR_S)
    site.look()
    assert [row.recipient for row in site.sent()] == ["li", "li"]


def steps(site: Site) -> list[Any]:
    with site.database.connect() as db:
        return list(db.execute(sa.select(transitions)))
