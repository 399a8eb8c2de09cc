"""What is kept for long is forgotten by the days of work that have passed, and not for a clock that stands ahead."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from api.ages import old_before_ms
from api.audit import Audit
from api.drains.cleaning import KEPT_MS, CleaningJobs, State
from api.reports.made import Reports, Wanted
from api.reports.period import Kind, Period
from telemetry.clock import ManualClock

DAY_S = 86_400
DAY_MS = DAY_S * 1000
NOW = 1_795_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def work(database: sa.Engine, clock: ManualClock, days: int, every: int = 1) -> None:
    for _ in range(0, days, every):
        Audit(database, clock).record("li", "log-in", "li", "done")
        clock.advance(every * DAY_S)


def old_days(database: sa.Engine, clock: ManualClock, keep_days: int) -> float:
    """How many days ago that is, from which on something is too old."""
    with database.connect() as db:
        return (clock.now_ms() - old_before_ms(db, clock.now_ms(), keep_days * DAY_MS)) / DAY_MS


def test_where_people_work_age_is_counted_by_the_clock(database: sa.Engine, clock: ManualClock) -> None:
    assert old_days(database, clock, 400) == 400  # nothing on record at all
    work(database, clock, 600, every=20)
    assert [old_days(database, clock, keep) for keep in (100, 400, 900)] == [100, 400, 900]


def test_a_leap_of_the_clock_counts_as_a_month_or_as_a_quarter(database: sa.Engine, clock: ManualClock) -> None:
    work(database, clock, 40)
    clock.advance(4000 * DAY_S)
    since_last = 4001
    assert old_days(database, clock, 400) == since_last + 400 - 31
    assert old_days(database, clock, 20) == since_last + 20 - 5
    work(database, clock, 10)  # at work in the wrong year
    assert old_days(database, clock, 400) == since_last + 400 - 31
    clock.advance(-4000 * DAY_S)
    assert old_days(database, clock, 400) == 400


def test_no_file_of_a_report_goes_for_a_clock_that_leapt(
    database: sa.Engine, clock: ManualClock, tmp_path: Path
) -> None:
    reports = Reports(database, tmp_path, clock, keep_days=400)
    period = Period("2026-11", NOW - 30 * DAY_MS, NOW)
    claim = reports.claim(Wanted(Kind.MONTH, "east", "east", period, "zh"), None)
    assert claim is not None
    assert reports.made(claim, {"pdf": b"%PDF"}, "li")
    work(database, clock, 10)
    clock.advance(4000 * DAY_S)
    assert reports.let_go() == 0
    assert reports.path(claim.report, "pdf").exists()
    clock.advance(-4000 * DAY_S)
    work(database, clock, 392, every=28)
    assert reports.let_go() == 1


def test_no_cleaning_job_goes_for_a_clock_that_leapt(database: sa.Engine, clock: ManualClock) -> None:
    jobs = CleaningJobs(database, clock)
    job = jobs.plan("li", "storm", "p-1", "2026-11-30", "", "")
    assert job is not None
    assert jobs.step(job["id"], 1, State.CANCELLED, {})
    work(database, clock, 10)
    clock.advance(4000 * DAY_S)
    assert jobs.plan("li", "storm", "p-2", "2026-11-30", "", "")
    assert jobs.one(job["id"]) is not None
    clock.advance(-4000 * DAY_S)
    work(database, clock, KEPT_MS // DAY_MS, every=30)
    assert jobs.plan("li", "storm", "p-3", "2026-11-30", "", "")
    assert jobs.one(job["id"]) is None
