"""Who is on duty at an instant: shifts by weekday and hour, some of them overnight, with holidays and dated exceptions.

A shift belongs to the day on which it begins: Friday 22:00–06:00 covers Saturday 02:00. It covers its first instant and not
its last. Hours are those of the roster's zone, laid on instants, so that a night in which the clocks change is as long as
it is: 02:30 that does not exist is the instant at which the clocks go on; 02:30 that comes twice counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from alerts.rule import Declared
from telemetry.catalogue import LocalText, Name


class Weekday(IntEnum):
    """As `date.weekday` counts."""

    MON = 0
    TUE = 1
    WED = 2
    THU = 3
    FRI = 4
    SAT = 5
    SUN = 6


def _weekday(value: Any) -> Any:
    if isinstance(value, str) and value.upper() in Weekday.__members__:
        return Weekday[value.upper()]
    if isinstance(value, Weekday):
        return value
    raise ValueError("a day is one of mon, tue, wed, thu, fri, sat, sun")


def _clock_time(value: Any) -> Any:
    # YAML reads an unquoted 08:00 as text but 22:00 as the number 1320: sixties, as for angles.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    return value


def _of_no_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a time of the day has no offset of its own: write 08:00, and the time zone beside it")
    return value


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is not a time zone; write one like Asia/Shanghai") from error
    return name


Day = Annotated[Weekday, BeforeValidator(_weekday), PlainSerializer(lambda day: day.name.lower(), return_type=str)]
ClockTime = Annotated[time, BeforeValidator(_clock_time), AfterValidator(_of_no_zone)]


class Shift(Declared):
    """So long somebody is on duty; up to a time that is not later than its beginning means into the next day."""

    days: tuple[Day, ...] = tuple(Weekday)
    start: ClockTime = Field(default=time(0), alias="from")
    end: ClockTime = Field(default=time(0), alias="to")
    people: tuple[Name, ...] = Field(min_length=1)


class Override(Declared):
    """On one date others are on duty: instead of the shifts that cover the same instants."""

    date: date
    start: ClockTime = Field(default=time(0), alias="from")
    end: ClockTime = Field(default=time(0), alias="to")
    people: tuple[Name, ...] = ()  # nobody, when empty


class Roster(Declared):
    id: Name
    name: LocalText | None = None
    timezone: Annotated[str, AfterValidator(known_zone)] = "Asia/Shanghai"
    shifts: tuple[Shift, ...] = Field(min_length=1)
    holidays: tuple[date, ...] = ()
    holiday_shifts: tuple[Shift, ...] = ()  # on holidays, instead of `shifts`; their `days` are not looked at
    overrides: tuple[Override, ...] = ()

    @model_validator(mode="after")
    def _holidays_are_covered(self) -> Self:
        if self.holidays and not self.holiday_shifts:
            raise ValueError("'holidays' need 'holiday_shifts': say who is on duty then")
        return self


def on_duty(roster: Roster, now_ms: int) -> tuple[str, ...]:
    """Who is on duty, in the order of the roster, each once."""
    zone = zone_of(roster.timezone)
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    # Whatever covers this instant began today or yesterday.
    days = (today - timedelta(days=1), today)
    overriding = [
        override.people
        for override in roster.overrides
        if override.date in days and _covers(override.date, override.start, override.end, zone, now_ms)
    ]
    if overriding:
        return tuple(dict.fromkeys(person for people in overriding for person in people))
    found: list[str] = []
    for day in days:
        is_holiday = day in roster.holidays
        for shift in roster.holiday_shifts if is_holiday else roster.shifts:
            if (is_holiday or day.weekday() in shift.days) and _covers(day, shift.start, shift.end, zone, now_ms):
                found += shift.people
    return tuple(dict.fromkeys(found))


_BUSINESS_FROM, _BUSINESS_TO = time(8, 30), time(17, 30)


def next_business_ms(now_ms: int, timezone: str, holidays: Iterable[date] = ()) -> int:
    """This instant where it lies in business hours (Monday to Friday, 08:30 to 17:30), else their next beginning."""
    zone, off = zone_of(timezone), set(holidays)
    day = datetime.fromtimestamp(now_ms / 1000, zone).date()
    while True:
        if day.weekday() < Weekday.SAT and day not in off:
            if _covers(day, _BUSINESS_FROM, _BUSINESS_TO, zone, now_ms):
                return now_ms
            begins_ms = instant_ms(day, _BUSINESS_FROM, zone)
            if begins_ms > now_ms:
                return begins_ms
        day += timedelta(days=1)


def _covers(day: date, start: time, end: time, zone: ZoneInfo, now_ms: int) -> bool:
    last_day = day if end > start else day + timedelta(days=1)
    return instant_ms(day, start, zone) <= now_ms < instant_ms(last_day, end, zone)


def instant_ms(day: date, at: time, zone: ZoneInfo) -> int:
    """When a clock on the wall shows this for the first time; where it never does, when it jumps over it."""
    local = datetime.combine(day, at, zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        # The jump lies between the readings of this time by the offsets before and after it.
        low, high = sorted((local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)))
        before = low.astimezone(zone).utcoffset()
        while high - low > timedelta(milliseconds=1):
            middle = low + (high - low) / 2
            if middle.astimezone(zone).utcoffset() == before:
                low = middle
            else:
                high = middle
        instant = high
    return round(instant.timestamp() * 1000)


@lru_cache
def zone_of(name: str) -> ZoneInfo:
    """A time zone by name."""
    return ZoneInfo(name)
