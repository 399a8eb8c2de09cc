"""Which stretch of time a report is about, and when it is due. Pure: time is an argument.

    shift    from one signed hand-over of a gate to the next; due when it is signed
    day      a day of the site's calendar; due on the next day, at the schedule's time
    month    a month of the site's calendar; due on the first day of the next, at the schedule's time
    storm    from its first rain to its end; due when six dry hours have passed
    bill     a month of a building; due as a month is

A period has a key of its own, so that each is made once for a schedule, whatever happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from alerts.duty import instant_ms

DAYS_BACK_MAX = 31
MONTHS_BACK_MAX = 12
"""What an outage kept from being made is made up for so far back."""


class Kind(StrEnum):
    """What a report is about."""

    SHIFT = "shift"
    DAY = "day"
    MONTH = "month"
    STORM = "storm"
    BILL = "bill"


BY_CALENDAR = frozenset({Kind.DAY, Kind.MONTH, Kind.BILL})


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) by name: a day as 2026-11-23, a month as 2026-11, a shift by when it ended, a storm by its begin."""

    key: str
    start_ms: int
    end_ms: int


def day_period(day: date, zone: ZoneInfo) -> Period:
    """A local day; it may have 23 or 25 hours."""
    return Period(day.isoformat(), _midnight_ms(day, zone), _midnight_ms(day + timedelta(days=1), zone))


def month_period(first: date, zone: ZoneInfo) -> Period:
    """A local month, from its first day."""
    return Period(f"{first:%Y-%m}", _midnight_ms(first, zone), _midnight_ms(month_after(first), zone))


def month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def month_before(first: date) -> date:
    return (first - timedelta(days=1)).replace(day=1)


def calendar_period(kind: Kind, key: str, zone: ZoneInfo) -> Period:
    """A period by its key. Raises ValueError."""
    return day_period(date.fromisoformat(key), zone) if kind is Kind.DAY else month_period(_first_of(key), zone)


def due(kind: Kind, at: time, zone: ZoneInfo, since_ms: int, now_ms: int) -> list[Period]:
    """Periods of the calendar that are due by now and end after `since_ms`, the oldest first."""
    found: list[Period] = []
    for period, following in _ended(kind, datetime.fromtimestamp(now_ms / 1000, zone).date(), zone):
        if period.end_ms > since_ms and instant_ms(following, at, zone) <= now_ms:
            found.append(period)
    return found[::-1]


def _ended(kind: Kind, today: date, zone: ZoneInfo) -> Iterator[tuple[Period, date]]:
    """What has ended, the newest first, each with the day after it."""
    if kind is Kind.DAY:
        for back in range(DAYS_BACK_MAX):
            following = today - timedelta(days=back)
            yield day_period(following - timedelta(days=1), zone), following
        return
    following = today.replace(day=1)
    for _ in range(MONTHS_BACK_MAX):
        first = month_before(following)
        yield month_period(first, zone), following
        following = first


def _first_of(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return instant_ms(day, time(0), zone)
