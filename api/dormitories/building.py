"""Dormitories as data: whose rooms have which beds, who pays when, which meters are whose, and the tariffs.

A folder of YAML files, each with `tariffs` and `buildings`. People have no names here: a bed has a number.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.dormitories.tariff import Amount, Tariff
from telemetry.catalogue import Catalogue, Name
from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Occupied(_Declared):
    """Beds somebody pays for, from a day to a day, both included."""

    rooms: tuple[Name, ...] = Field(min_length=1)
    beds: tuple[int, ...] = Field(min_length=1, max_length=32)
    moved_in: date
    moved_out: date | None = None  # None: still there

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.moved_out is not None and self.moved_out < self.moved_in:
            raise ValueError("'moved_out' lies before 'moved_in'")
        return self

    def holds(self, day: date) -> bool:
        """Whether they pay for a day."""
        return self.moved_in <= day and (self.moved_out is None or day <= self.moved_out)


class Exchanged(_Declared):
    """A meter of the building was exchanged, with what its registers showed where somebody read them off."""

    device: Name
    time: AwareDatetime
    old_last: Amount | None = None
    new_first: Amount | None = None


class Building(_Declared):
    """One dormitory. Its rooms are the places of kind `room` in it."""

    place: Name
    tariffs: tuple[Name, ...] = ()
    main: tuple[Name, ...] = ()  # meters that everything in the building passes through
    common: tuple[Name, ...] = ()  # meters of stairs, washrooms and the like
    beds: int = Field(default=1, ge=1, le=32)  # of a room
    occupied: tuple[Occupied, ...] = ()
    exchanged: tuple[Exchanged, ...] = ()
    warning_days: int = Field(default=180, ge=1, le=3650)  # a second forbidden load within them is the second stage

    def beds_on(self, room: str, day: date) -> tuple[int, ...]:
        """Which beds of a room pay for a day."""
        return tuple(
            sorted({bed for each in self.occupied if room in each.rooms and each.holds(day) for bed in each.beds})
        )


class _File(_Declared):
    tariffs: tuple[Tariff, ...] = ()
    buildings: tuple[Building, ...] = ()


class Dormitories(_Declared):
    """All of them."""

    tariffs: tuple[Tariff, ...] = ()
    buildings: tuple[Building, ...] = ()

    def building(self, place: str) -> Building | None:
        return next((each for each in self.buildings if each.place == place), None)

    def tariff(self, name: str) -> Tariff:
        return next(each for each in self.tariffs if each.id == name)


def days_of(month: date) -> list[date]:
    """The days of a month that is named by its first."""
    return [month + timedelta(days=n) for n in range(calendar.monthrange(month.year, month.month)[1])]


def rooms_of(catalogue: Catalogue, building: str) -> list[str]:
    """The rooms in a building, in the catalogue's order."""
    return [
        place.id
        for place in catalogue.places
        if place.kind == "room" and any(around.id == building for around in catalogue.path_of(place.id))
    ]


def load_dormitories(folder: Path, catalogue: Catalogue) -> Dormitories:
    """What a folder's *.yaml declare; none where there is no folder. Raises Mistakes with all that is wrong."""
    mistakes: list[Mistake] = []
    parsed: list[tuple[Document, _File]] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(file)
            parsed.append((document, validate(document, _File)))
        except Mistakes as error:
            mistakes += error.mistakes
    made = Dormitories(
        tariffs=tuple(tariff for _, file in parsed for tariff in file.tariffs),
        buildings=tuple(building for _, file in parsed for building in file.buildings),
    )
    for document, declared in parsed:
        for number, building in enumerate(declared.buildings):
            mistakes += [
                document.mistake(("buildings", number, *where), told)
                for where, told in _wrong(building, made, catalogue)
            ]
        for number, tariff in enumerate(declared.tariffs):
            if sum(each.id == tariff.id for each in made.tariffs) > 1:
                mistakes.append(document.mistake(("tariffs", number, "id"), f"'{tariff.id}' stands twice"))
    if mistakes:
        raise Mistakes(mistakes)
    return made


def _wrong(building: Building, made: Dormitories, catalogue: Catalogue) -> Iterable[tuple[tuple[str | int, ...], str]]:
    """What a building names and there is not."""
    if building.place not in catalogue.place:
        yield ("place",), f"there is no place '{building.place}'"
        return
    if sum(each.place == building.place for each in made.buildings) > 1:
        yield ("place",), f"'{building.place}' stands twice"
    around = {place.id for place in catalogue.path_of(building.place)} - {building.place}
    for each in made.buildings:
        if each.place in around:
            yield ("place",), f"'{building.place}' lies in '{each.place}': its rooms would be billed twice"
    for tariff in _twice(building.tariffs):
        yield ("tariffs",), f"'{tariff}' stands twice"
    for device in _twice((*building.main, *building.common)):
        yield ("common" if device in building.common else "main",), f"'{device}' stands twice"
    for tariff in building.tariffs:
        if all(each.id != tariff for each in made.tariffs):
            yield ("tariffs",), f"there is no tariff '{tariff}'"
    rooms = set(rooms_of(catalogue, building.place))
    for part in ("main", "common"):
        for device in getattr(building, part):
            if device not in catalogue.device:
                yield (part,), f"there is no device '{device}'"
            elif catalogue.device[device].place in rooms:
                yield (part,), f"device '{device}' stands in a room"
            for each in made.buildings:
                if each.place != building.place and device in (*each.main, *each.common):
                    yield (part,), f"'{device}' is a meter of '{each.place}' too: each would be billed the other's use"
    for number, exchanged in enumerate(building.exchanged):
        if exchanged.device not in catalogue.device:
            yield ("exchanged", number, "device"), f"there is no device '{exchanged.device}'"
    for number, occupied in enumerate(building.occupied):
        for room in occupied.rooms:
            if room not in rooms:
                yield ("occupied", number, "rooms"), f"there is no room '{room}' in '{building.place}'"
        for bed in occupied.beds:
            if not 1 <= bed <= building.beds:
                yield ("occupied", number, "beds"), f"a room has beds 1 to {building.beds}, no bed {bed}"


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
