"""Schedules: named times of the week, the seasons and the holidays in which a rule calls people.

A row belongs to the day on which it begins: Friday 22:00-06:00 covers Saturday 02:00, whatever Saturday is. It covers
its first instant and not its last, to the millisecond. Hours are laid on instants as `alerts.duty` does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from alerts.duty import ClockTime, Day, Weekday, instant_ms, known_zone, zone_of
from alerts.rule import Declared
from telemetry.batch import Masks, Times
from telemetry.catalogue import LocalText, Name

_LOOK_AHEAD_DAYS = 800
_CYCLE = date(2024, 1, 1), 28 * 366  # in so many days every date falls on every weekday


class Hours(Declared):
    """Open from one time to another on days of the week; up to a time that is not later means into the next day."""

    days: tuple[Day, ...] = tuple(Weekday)
    start: ClockTime = Field(default=time(0), alias="from")
    end: ClockTime = Field(default=time(0), alias="to")


def _month_day(value: str) -> str:
    try:
        date.fromisoformat(f"2024-{value}")
    except ValueError as error:
        raise ValueError("a day of the year is written like 04-15") from error
    return value


MonthDay = Annotated[str, AfterValidator(_month_day)]


class Season(Declared):
    """A part of every year, its last day included; it may go over New Year."""

    start: MonthDay = Field(alias="from")
    end: MonthDay = Field(alias="to")


class Schedule(Declared):
    """When it is open."""

    id: Name
    name: LocalText | None = None
    timezone: Annotated[str, AfterValidator(known_zone)] = "Asia/Shanghai"
    weekly: tuple[Hours, ...] = Field(min_length=1)
    seasons: tuple[Season, ...] = ()  # the whole year, when not given
    holidays: tuple[date, ...] = ()  # no row begins on these, but for `holiday_hours`
    holiday_hours: tuple[Hours, ...] = ()  # their `days` are not looked at
    workdays: tuple[date, ...] = ()  # worked to make up for a holiday: they go by Monday's rows

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        both = sorted(set(self.holidays) & set(self.workdays))
        if both:
            raise ValueError(f"{both[0]} is both a holiday and a workday")
        return self


def is_open(schedule: Schedule, now_ms: int) -> bool:
    """Whether an instant lies in a schedule."""
    today = _day(schedule, now_ms)
    spans = (span for day in (today - timedelta(days=1), today) for span in _begun_on(schedule, day))
    return any(start <= now_ms < end for start, end in spans)


def are_open(schedule: Schedule, time_ms: Times) -> Masks:
    """Which instants lie in a schedule, (N,)."""
    if not len(time_ms):
        return np.zeros(0, np.bool_)
    day, last = _day(schedule, int(time_ms.min())) - timedelta(days=1), _day(schedule, int(time_ms.max()))
    spans = [span for n in range((last - day).days + 1) for span in _begun_on(schedule, day + timedelta(days=n))]
    starts, ends = (np.sort(np.array([span[side] for span in spans], np.int64)) for side in (0, 1))
    begun, over = (np.searchsorted(edges, time_ms, side="right") for edges in (starts, ends))
    found: Masks = begun > over
    return found


def next_change_ms(schedule: Schedule, now_ms: int) -> int | None:
    """When a schedule opens or closes next; None when it does not within two years."""
    now_open, today = is_open(schedule, now_ms), _day(schedule, now_ms)
    until_ms = now_ms
    for n in range(-1, _LOOK_AHEAD_DAYS):
        spans = sorted(_begun_on(schedule, today + timedelta(days=n)))
        for start, end in spans:
            if not now_open and start > now_ms:
                return start
            if now_open and start <= until_ms < end:
                until_ms = end
        # What would go on from where it ends now begins today or tomorrow.
        if now_open and until_ms > now_ms and _day(schedule, until_ms) < today + timedelta(days=n):
            return until_ms
    return None


def opens_ever(schedule: Schedule) -> bool:
    """Whether a schedule is ever open."""
    day, count = _CYCLE
    return any(True for n in range(count) for _ in _begun_on(schedule, day + timedelta(days=n)))


def _begun_on(schedule: Schedule, day: date) -> Iterator[tuple[int, int]]:
    """The spans that begin on a day, not empty."""
    if schedule.seasons and not any(_is_in(season, day) for season in schedule.seasons):
        return
    zone = zone_of(schedule.timezone)
    is_holiday = day in schedule.holidays
    weekday = Weekday.MON if day in schedule.workdays else Weekday(day.weekday())
    for hours in schedule.holiday_hours if is_holiday else schedule.weekly:
        if is_holiday or weekday in hours.days:
            last = day if hours.end > hours.start else day + timedelta(days=1)
            start_ms, end_ms = instant_ms(day, hours.start, zone), instant_ms(last, hours.end, zone)
            if start_ms < end_ms:
                yield start_ms, end_ms


def _is_in(season: Season, day: date) -> bool:
    here = f"{day:%m-%d}"
    if season.start <= season.end:
        return season.start <= here <= season.end
    return here >= season.start or here <= season.end


def _day(schedule: Schedule, now_ms: int) -> date:
    # Whole seconds: a float of milliseconds would round 23:59:59.9996 into the next day.
    return datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(zone_of(schedule.timezone)).date()
