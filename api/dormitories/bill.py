"""A month's bill of a dormitory: for every room and bed, for common use and losses, and what earlier months lacked.

    registers ── used ──▶ digits by day ──▶ room: steps, fen ── shared by days ──▶ beds
    main meter − rooms − common use = difference: a line of its own, spread only where the tariff says so

**What adds up, always:** lines to their room's tariff, bed shares and what nobody pays to the room, all accounts to the bill;
and in quantity rooms, common use and difference to the main meter. Each day's use is shared by the beds that pay for that
day; on days without one the room is the house's. Nothing here reads a clock, a file or a store.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from api.contract import Named, named
from api.dormitories.building import Building, days_of
from api.dormitories.tariff import Tariff, Version, cost, priced, shared
from api.dormitories.use import Break, Use

Account = tuple[str, str | None, int | None]
"""(tariff, room, bed): bed None is what nobody pays of a room, room None the building's."""


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(_Shown):
    """A line of a room's tariff; money in fen, quantities and prices as decimals."""

    kind: Literal["allowance", "step", "hours"]
    number: int
    quantity: str
    price: str
    fen: int


class BreakLine(_Shown):
    """A step of a register that is not plain growth."""

    time_ms: int
    kind: str
    before: str
    after: str
    counted: str | None  # null: unknown, and counted as nothing


class Share(_Shown):
    """What an account pays of a room's tariff; bed null: days on which nobody paid."""

    bed: int | None
    days: int
    fen: int
    public_fen: int  # of common use and losses, where the tariff spreads them


class RoomUse(_Shown):
    """One tariff of one room."""

    tariff: str
    quantity: str
    estimated: str  # of the quantity: interpolated over a pause
    is_whole: bool  # readings reach from the first to the last moment of the month
    breaks: tuple[BreakLine, ...]
    lines: tuple[Line, ...]
    fen: int
    shares: tuple[Share, ...]


class BedTotal(_Shown):
    """What a bed owes; null: the house, for days on which nobody paid."""

    bed: int | None
    fen: int
    correction_fen: int
    due_fen: int


class RoomBill(_Shown):
    """One room."""

    room: str
    uses: tuple[RoomUse, ...]
    beds: tuple[BedTotal, ...]
    fen: int


class PublicUse(_Shown):
    """Common use and what the main meter counted beyond all others."""

    tariff: str
    main: str | None  # null: the building has no main meter of it
    rooms: str
    common: str
    difference: str | None  # main − rooms − common
    price: str
    fen: int  # of common use and difference
    spread: Literal["separate", "by-bed", "by-use"]
    spread_fen: int  # of `fen`, what beds pay
    is_whole: bool
    breaks: tuple[BreakLine, ...] = ()  # of main and common meters; older bills do not say


class CorrectionLine(_Shown):
    """What an account paid too little (or, below 0, too much) of a month whose bill was issued."""

    month: str
    tariff: str
    room: str | None
    bed: int | None
    fen: int


class TariffUsed(_Shown):
    """A tariff as it was in force."""

    id: str
    name: Named
    unit: str
    starts: str
    hours: tuple[Named, ...]


class Bill(_Shown):
    """One building's month."""

    building: str
    month: str
    tariffs: tuple[TariffUsed, ...]
    rooms: tuple[RoomBill, ...]
    public: tuple[PublicUse, ...]
    corrections: tuple[CorrectionLine, ...]
    fen: int  # of this month, without corrections
    inputs_hash: str  # of everything the amounts follow from


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch between two edges."""

    day: int  # of the month, from 0
    hour: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a tariff's meters counted, over the same slots."""

    tariff: Tariff
    slots: tuple[Slot, ...]
    rooms: Mapping[str, Sequence[Use]]  # by room; of each of its meters
    common: Sequence[Use]
    main: Sequence[Use]


def make_bill(
    building: Building,
    month: date,
    rooms: Sequence[str],
    measured: Sequence[Measured],
    corrections: Sequence[CorrectionLine] = (),
) -> Bill:
    """Put a month's bill together. Tariffs without a version in force are left out."""
    days = days_of(month)
    beds = {room: [building.beds_on(room, day) for day in days] for room in rooms}
    in_force = [(each, version) for each in measured if (version := each.tariff.version(month)) is not None]
    uses: dict[str, list[RoomUse]] = {room: [] for room in rooms}
    public = []
    for each, version in in_force:
        of_rooms = {room: _Counted.of(each.rooms.get(room, ()), each.slots, len(days), version) for room in rooms}
        made, spread = _public(each, version, len(days), of_rooms, beds)
        public.append(made)
        for room in rooms:
            uses[room].append(_room_use(each.tariff, version, of_rooms[room], beds[room], spread.get(room, {})))
    owed = _owed(corrections)
    shown = tuple(_room(room, uses[room], owed) for room in rooms)
    fen = sum(room.fen for room in shown) + sum(each.fen for each in public)
    return Bill(
        building=building.place,
        month=f"{month:%Y-%m}",
        tariffs=tuple(_tariff_used(each.tariff, version) for each, version in in_force),
        rooms=shown,
        public=tuple(public),
        corrections=tuple(corrections),
        fen=fen,
        inputs_hash=_hash(building, month, in_force, beds),
    )


def accounts(bill: Bill) -> dict[Account, int]:
    """Fen of this month by account; they add up to `bill.fen`."""
    found: dict[Account, int] = {}
    for room in bill.rooms:
        for use in room.uses:
            for share in use.shares:
                found[use.tariff, room.room, share.bed] = share.fen + share.public_fen
    for each in bill.public:
        found[each.tariff, None, None] = each.fen - each.spread_fen
    return found


def corrected(month: str, anew: Bill, charged: Mapping[Account, int]) -> list[CorrectionLine]:
    """What a month computed anew asks beyond what was charged for it so far, in bills and corrections."""
    now = accounts(anew)
    names = sorted({*now, *charged}, key=lambda name: (name[0], name[1] or "", name[2] or 0))
    lines = []
    for tariff, room, bed in names:
        fen = now.get((tariff, room, bed), 0) - charged.get((tariff, room, bed), 0)
        if fen:
            lines.append(CorrectionLine(month=month, tariff=tariff, room=room, bed=bed, fen=fen))
    return lines


def forgotten(issued: Bill, anew: Bill) -> frozenset[str]:
    """Tariffs of which less is known of a month than when it was issued: readings are gone since, or meters, or rooms."""
    lost = (_whole(issued) - _whole(anew)) | (_counted(issued) - _counted(anew) - _whole(anew))
    return frozenset(tariff for tariff, _ in lost)


def _whole(bill: Bill) -> set[tuple[str, str | None]]:
    """(tariff, room) that readings cover; room None: common use and the main meter."""
    rooms = {(use.tariff, room.room) for room in bill.rooms for use in room.uses if use.is_whole}
    return rooms | {(each.tariff, None) for each in bill.public if each.is_whole}


def _counted(bill: Bill) -> set[tuple[str, str | None]]:
    """(tariff, room) where anything was counted; room None: common use and the main meter."""
    rooms = {(use.tariff, room.room) for room in bill.rooms for use in room.uses if Decimal(use.quantity)}
    return rooms | {(each.tariff, None) for each in bill.public if Decimal(each.main or 0) or Decimal(each.common)}


@dataclass(frozen=True, slots=True)
class _Counted:
    """A room's or a building's meters of one tariff, taken together. Axes: D days, H hours of the tariff."""

    by_day: tuple[int, ...]
    by_hours: tuple[int, ...]
    estimated: int
    breaks: tuple[Break, ...]
    is_whole: bool

    @property
    def digits(self) -> int:
        return sum(self.by_day)

    @classmethod
    def of(cls, meters: Sequence[Use], slots: Sequence[Slot], days: int, version: Version) -> _Counted:
        by_day, by_hours = [0] * days, [0] * len(version.hours)
        for meter in meters:
            for slot, digits in zip(slots, meter.digits, strict=True):
                by_day[slot.day] += digits
                band = version.band(slot.hour)
                if band is not None:
                    by_hours[band] += digits
        return cls(
            tuple(by_day),
            tuple(by_hours),
            sum(sum(meter.estimated) for meter in meters),
            tuple(sorted((each for meter in meters for each in meter.breaks), key=lambda each: each.time_ms)),
            bool(meters) and all(meter.is_whole for meter in meters),
        )


def _weights(by_day: Sequence[int], beds: Sequence[Sequence[int]]) -> dict[int | None, Fraction]:
    """Each day's use to the beds that paid for it; None: to the house."""
    found: dict[int | None, Fraction] = defaultdict(Fraction)
    for digits, paying in zip(by_day, beds, strict=True):
        for bed in paying or (None,):
            found[bed] += Fraction(digits, len(paying) or 1)
    return found


def _days(beds: Sequence[Sequence[int]]) -> dict[int | None, int]:
    found: dict[int | None, int] = defaultdict(int)
    for paying in beds:
        for bed in paying or (None,):
            found[bed] += 1
    return found


def _shared_among(
    total: int, weights: Mapping[int | None, Fraction | int], days: Mapping[int | None, int]
) -> dict[int | None, int]:
    """By weight; where nothing weighs, by days."""
    chosen = weights if any(weights.values()) else days
    names = sorted(days, key=lambda bed: (bed is None, bed or 0))
    return dict(zip(names, shared(total, [chosen[name] for name in names]), strict=True))


def _room_use(
    tariff: Tariff, version: Version, counted: _Counted, beds: Sequence[Sequence[int]], public: Mapping[int | None, int]
) -> RoomUse:
    # A day on which nobody pays counts as one bed, so that steps of a bed are not steps of nobody.
    bed_months = Fraction(sum(max(len(paying), 1) for paying in beds), len(beds))
    lines = priced(version, counted.digits, counted.by_hours, bed_months, tariff.digits_per_unit)
    fen = sum(line.fen for line in lines)
    days = _days(beds)
    by_bed = _shared_among(fen, _weights(counted.by_day, beds), days)
    return RoomUse(
        tariff=tariff.id,
        quantity=tariff.shown(counted.digits),
        estimated=tariff.shown(counted.estimated),
        is_whole=counted.is_whole,
        breaks=tuple(_break_line(tariff, each) for each in counted.breaks),
        lines=tuple(
            Line(
                kind=line.kind,
                number=line.number,
                quantity=tariff.shown(line.digits),
                price=f"{line.price:f}",
                fen=line.fen,
            )
            for line in lines
        ),
        fen=fen,
        shares=tuple(
            Share(bed=bed, days=days[bed], fen=part, public_fen=public.get(bed, 0)) for bed, part in by_bed.items()
        ),
    )


def _public(
    each: Measured,
    version: Version,
    days: int,
    rooms: Mapping[str, _Counted],
    beds: Mapping[str, Sequence[Sequence[int]]],
) -> tuple[PublicUse, dict[str, dict[int | None, int]]]:
    """Common use and difference; and what of it each room's beds pay."""
    tariff = each.tariff
    common = _Counted.of(each.common, each.slots, days, version)
    main = _Counted.of(each.main, each.slots, days, version) if each.main else None
    in_rooms = sum(room.digits for room in rooms.values())
    difference = None if main is None else main.digits - in_rooms - common.digits
    fen = cost(common.digits + (difference or 0), version.price_of_public, tariff.digits_per_unit, version.rounding)
    spread: dict[str, dict[int | None, int]] = {}
    # What meters lack beyond the main one is a fault of measuring, which no bed can owe or be owed.
    if version.public != "separate" and fen > 0:
        weights: dict[tuple[str, int | None], Fraction | int] = {}
        for room, counted in rooms.items():
            of_room = _weights(counted.by_day, beds[room]) if version.public == "by-use" else _days(beds[room])
            weights |= {(room, bed): weight for bed, weight in of_room.items() if bed is not None}
        if any(weights.values()):
            for (room, bed), part in zip(weights, shared(fen, list(weights.values())), strict=True):
                spread.setdefault(room, {})[bed] = part
    wholes = [common.is_whole] * bool(each.common) + ([main.is_whole] if main else [])
    return (
        PublicUse(
            tariff=tariff.id,
            main=None if main is None else tariff.shown(main.digits),
            rooms=tariff.shown(in_rooms),
            common=tariff.shown(common.digits),
            difference=None if difference is None else tariff.shown(difference),
            price=f"{version.price_of_public:f}",
            fen=fen,
            spread=version.public,
            spread_fen=sum(part for of_room in spread.values() for part in of_room.values()),
            is_whole=all(wholes),
            breaks=tuple(_break_line(tariff, step) for step in (*common.breaks, *(main.breaks if main else ()))),
        ),
        spread,
    )


def _room(room: str, uses: Sequence[RoomUse], owed: Mapping[tuple[str, int | None], int]) -> RoomBill:
    fen: dict[int | None, int] = defaultdict(int)
    for use in uses:
        for share in use.shares:
            fen[share.bed] += share.fen + share.public_fen
    names = sorted({*fen, *(bed for name, bed in owed if name == room)}, key=lambda bed: (bed is None, bed or 0))
    beds = [
        BedTotal(
            bed=bed, fen=fen[bed], correction_fen=owed.get((room, bed), 0), due_fen=fen[bed] + owed.get((room, bed), 0)
        )
        for bed in names
    ]
    return RoomBill(room=room, uses=tuple(uses), beds=tuple(beds), fen=sum(use.fen for use in uses))


def _owed(corrections: Sequence[CorrectionLine]) -> dict[tuple[str, int | None], int]:
    found: dict[tuple[str, int | None], int] = defaultdict(int)
    for line in corrections:
        if line.room is not None:
            found[line.room, line.bed] += line.fen
    return found


def _break_line(tariff: Tariff, each: Break) -> BreakLine:
    return BreakLine(
        time_ms=each.time_ms,
        kind=each.kind.name.lower(),
        before=tariff.shown(each.before),
        after=tariff.shown(each.after),
        counted=None if each.digits is None else tariff.shown(each.digits),
    )


def _tariff_used(tariff: Tariff, version: Version) -> TariffUsed:
    return TariffUsed(
        id=tariff.id,
        name=named(tariff.name),
        unit=tariff.unit,
        starts=version.starts.isoformat(),
        hours=tuple(named(each.name) for each in version.hours),
    )


def _hash(
    building: Building, month: date, in_force: Sequence[tuple[Measured, Version]], beds: Mapping[str, Any]
) -> str:
    """Of what the amounts follow from, whatever order it came in."""
    inputs: dict[str, Any] = {
        "building": building.place,
        "month": month.isoformat(),
        "beds": beds,
        "tariffs": [
            {
                "id": each.tariff.id,
                "decimals": each.tariff.decimals,
                "version": version.model_dump(mode="json"),
                "slots": [(slot.day, slot.hour) for slot in each.slots],
                "rooms": {room: [use.digits for use in meters] for room, meters in each.rooms.items()},
                "common": [use.digits for use in each.common],
                "main": [use.digits for use in each.main],
            }
            for each, version in in_force
        ],
    }
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()
