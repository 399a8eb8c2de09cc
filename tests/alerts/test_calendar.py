"""Schedules against a slow twin that looks at the clock on the wall, minute by minute."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.calendar import Schedule, are_open, is_open, next_change_ms, opens_ever

NIGHT: dict[str, Any] = {"id": "night", "weekly": [{"days": ["fri"], "from": "22:00", "to": "06:00"}]}
FLOOD: dict[str, Any] = {
    "id": "flood",
    "timezone": "Europe/Berlin",
    "weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "22:00", "to": "06:30"}],
    "seasons": [{"from": "03-10", "to": "10-28"}],
    "holidays": ["2026-05-01"],
    "workdays": ["2026-05-09"],
}


def ms(text: str, zone: str = "Asia/Shanghai") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T21:59:59.999", False),
        ("2026-11-27T22:00:00.000", True),
        ("2026-11-28T00:00:00.000", True),
        ("2026-11-28T02:00:00", True),
        ("2026-11-28T05:59:59.999", True),
        ("2026-11-28T06:00:00.000", False),
        ("2026-11-28T22:00:00", False),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(text: str, expected: bool) -> None:
    assert is_open(Schedule.model_validate(NIGHT), ms(text)) is expected


def begins_on(day: date) -> bool:
    if not "03-10" <= f"{day:%m-%d}" <= "10-28" or day == date(2026, 5, 1):
        return False
    return day == date(2026, 5, 9) or day.weekday() < 5


def slow(at: datetime) -> bool:
    """By the clock on the wall: from 22:00 on a day that begins, to 06:30 after it."""
    clock, yesterday = f"{at:%H:%M}", at.date() - timedelta(days=1)
    return (clock >= "22:00" and begins_on(at.date())) or (clock < "06:30" and begins_on(yesterday))


def test_every_minute_of_a_year_in_a_zone_whose_clocks_change_is_as_the_wall_says() -> None:
    schedule, zone = Schedule.model_validate(FLOOD), ZoneInfo("Europe/Berlin")
    first = datetime(2026, 1, 1, tzinfo=UTC)
    minutes = np.arange(366 * 1440, dtype=np.int64) * 60_000 + round(first.timestamp() * 1000)
    expected = np.array([slow(datetime.fromtimestamp(t // 1000, zone)) for t in minutes.tolist()])
    found = are_open(schedule, minutes)
    assert (found == expected).all()
    assert [is_open(schedule, t) for t in minutes[::997].tolist()] == expected[::997].tolist()
    changes = minutes[1:][expected[1:] != expected[:-1]].tolist()
    at, walked = int(minutes[0]), []
    while (following := next_change_ms(schedule, at)) is not None and following <= minutes[-1]:
        walked.append(at := following)
    assert walked == changes


def test_what_is_always_open_never_changes_and_what_never_opens_is_found() -> None:
    always = Schedule.model_validate({"id": "always", "weekly": [{}]})
    assert is_open(always, 0) and next_change_ms(always, 0) is None and opens_ever(always)
    assert not opens_ever(Schedule.model_validate({"id": "never", "weekly": [{"days": []}]}))


def test_a_day_that_is_worked_to_make_up_for_a_holiday_goes_by_mondays_hours() -> None:
    weekly = [
        {"days": ["mon"], "from": "08:00", "to": "09:00"},
        {"days": ["tue", "wed", "thu", "fri", "sat", "sun"], "from": "20:00", "to": "21:00"},
    ]
    schedule = Schedule.model_validate({"id": "x", "weekly": weekly, "workdays": ["2026-05-09"]})
    opened = [is_open(schedule, ms(f"2026-05-{day}:30")) for day in ("09T08", "09T20", "16T08", "16T20")]
    assert opened == [True, False, False, True]  # both are Saturdays
