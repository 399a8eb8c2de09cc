"""Tariffs as data, and what a quantity costs by one: exact, in whole digits of the register and whole fen.

A quantity is a number of *digits*, the register's smallest steps; a price is decimal yuan for a unit; an amount is fen. What
lies between is a fraction, rounded once for each line of a bill, so that the printed lines add up to the printed sum.

    quantity ── allowance, free ──▶ steps, each with its price ──▶ surcharge for the hours of the day it fell into
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from telemetry.catalogue import LocalText, MetricName, Name

Yuan = Annotated[Decimal, Field(ge=-1000, le=1000, max_digits=12, decimal_places=8)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=6)]
Rounding = Literal["half-up", "half-even", "down"]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Declared):
    """A stretch of the month's quantity with its price."""

    up_to: Amount | None = None  # of the month, in the tariff's unit; None: without end
    price: Annotated[Yuan, Field(ge=0)]


class Hours(_Declared):
    """Hours of the day in which a unit costs more, or less."""

    name: LocalText
    begin: int = Field(ge=0, le=23)  # hour of the site's clock
    end: int = Field(ge=0, le=24)  # not included; before `begin`: past midnight
    surcharge: Yuan

    def holds(self, hour: int) -> bool:
        """Whether an hour of the day is among them."""
        if self.begin < self.end:
            return self.begin <= hour < self.end
        return hour >= self.begin or hour < self.end


class Version(_Declared):
    """A tariff as it is from one month on."""

    starts: date  # the first of a month
    steps: tuple[Step, ...] = Field(min_length=1, max_length=10)
    per: Literal["room", "bed"] = "room"  # whose the step limits are
    allowance: Amount = Decimal(0)  # free for each bed and month
    hours: tuple[Hours, ...] = Field(default=(), max_length=6)
    rounding: Rounding = "half-up"
    public: Literal["separate", "by-bed", "by-use"] = "separate"  # who pays for common use and losses
    public_price: Annotated[Yuan, Field(ge=0)] | None = None  # of them; of the first step when not given

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.starts.day != 1:
            raise ValueError("'starts' is the first day of a month: a month has one tariff")
        limits = [step.up_to for step in self.steps]
        if limits[-1] is not None or None in limits[:-1]:
            raise ValueError("only the last of 'steps' has no 'up_to'")
        known = [limit for limit in limits if limit is not None]
        if any(after <= before for before, after in pairwise(known)) or 0 in known:
            raise ValueError("'up_to' must grow from step to step")
        for hour in range(24):
            if sum(each.holds(hour) for each in self.hours) > 1:
                raise ValueError(f"two of 'hours' hold at {hour}:00")
        return self

    @property
    def price_of_public(self) -> Decimal:
        return self.steps[0].price if self.public_price is None else self.public_price

    def band(self, hour: int) -> int | None:
        """Which of `hours` an hour of the day falls into."""
        return next((number for number, each in enumerate(self.hours) if each.holds(hour)), None)


class Tariff(_Declared):
    """What one counter's quantity costs, and how its registers behave."""

    id: Name
    name: LocalText
    metric: MetricName
    unit: str = Field(min_length=1, max_length=16)
    decimals: int = Field(default=2, ge=0, le=6)  # of the register
    modulus: Annotated[Amount, Field(gt=0)] | None = None  # where it begins at zero again
    max_rate_per_h: Annotated[Amount, Field(gt=0)] | None = None  # no meter of these can run faster
    versions: tuple[Version, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        starts = [version.starts for version in self.versions]
        if any(after <= before for before, after in pairwise(starts)):
            raise ValueError("'versions' stand in the order of 'starts', each with its own")
        if self.modulus is not None and self.max_rate_per_h is None:
            raise ValueError("only 'max_rate_per_h' tells a rollover at 'modulus' from a reset: give both")
        return self

    @property
    def digits_per_unit(self) -> int:
        return int(10**self.decimals)

    def version(self, month: date) -> Version | None:
        """In force in a month; None before the first."""
        return next((each for each in reversed(self.versions) if each.starts <= month), None)

    def shown(self, digits: int) -> str:
        """A quantity in the unit, with all its digits."""
        return f"{Decimal(digits).scaleb(-self.decimals):.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Priced:
    """One line of a bill."""

    kind: Literal["allowance", "step", "hours"]
    number: int  # of the step or of the hours, from 1; 0 for the allowance
    digits: int
    price: Decimal
    fen: int


def rounded(amount: Fraction, how: Rounding) -> int:
    """A whole number; halves of negative amounts are rounded like those of positive ones."""
    sign = -1 if amount < 0 else 1
    whole, rest = divmod(abs(amount), 1)
    if how == "half-up":
        whole += rest >= Fraction(1, 2)
    elif how == "half-even":
        whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
    return sign * int(whole)


def cost(digits: int, price: Decimal, digits_per_unit: int, how: Rounding) -> int:
    """Fen for a quantity at one price."""
    return rounded(Fraction(price) * 100 * digits / digits_per_unit, how)


def priced(
    version: Version, digits: int, in_hours: Sequence[int], bed_months: Fraction, digits_per_unit: int
) -> tuple[Priced, ...]:
    """What a room's month costs, line by line.

    Args:
        digits: Used in the month, at least 0.
        in_hours: What of it fell into each of `version.hours`.
        bed_months: Beds that paid, as a share of the month: by it grow the allowance and limits that are a bed's.
    """
    lines = []
    free = min(digits, int(Fraction(version.allowance) * digits_per_unit * bed_months))
    if version.allowance:
        lines.append(Priced("allowance", 0, free, Decimal(0), 0))
    rest, below = digits - free, 0
    scale = bed_months if version.per == "bed" else Fraction(1)
    for number, step in enumerate(version.steps, start=1):
        limit = None if step.up_to is None else int(Fraction(step.up_to) * digits_per_unit * scale)
        taken = rest if limit is None else min(rest, limit - below)
        fen = cost(taken, step.price, digits_per_unit, version.rounding)
        lines.append(Priced("step", number, taken, step.price, fen))
        rest -= taken
        below = limit if limit is not None else below
        if not rest:
            break
    for number, (hours, inside) in enumerate(zip(version.hours, in_hours, strict=True), start=1):
        fen = cost(inside, hours.surcharge, digits_per_unit, version.rounding)
        lines.append(Priced("hours", number, inside, hours.surcharge, fen))
    return tuple(lines)


def shared(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """A whole number shared out so that the parts add up to it: by largest remainder, the first of equal ones first.

    Args:
        weights: None below 0, not all 0.
    """
    sign, whole = (-1, -total) if total < 0 else (1, total)
    sum_of_weights = Fraction(sum(weights))
    exact = [whole * Fraction(weight) / sum_of_weights for weight in weights]
    parts = [int(part) for part in exact]
    by_rest = sorted(range(len(parts)), key=lambda at: parts[at] - exact[at])
    for at in by_rest[: whole - sum(parts)]:
        parts[at] += 1
    return [sign * part for part in parts]
