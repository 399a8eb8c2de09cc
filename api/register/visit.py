"""One visit: what is about the person, which is only ever stored sealed, and what is not."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Where a temperature is from."""

    PASSAGE = "passage"  # the scanner or thermometer of the gate, by itself
    TYPED = "typed"


class State(StrEnum):
    """How far a visit has come."""

    ANNOUNCED = "announced"
    IN = "in"
    OUT = "out"
    REFUSED = "refused"


class Measured(msgspec.Struct, frozen=True):
    """A temperature [degC]. Without the key of the passage: the register does not say which reading it was."""

    value: float
    time_ms: int
    source: Source
    device: str | None = None
    by: str | None = None


class Person(msgspec.Struct, frozen=True):
    """Who came, why, and how warm: everything that is sealed."""

    visitor: str
    organisation: str
    purpose: str
    department: str
    phone: str = ""
    remark: str = ""
    temperature: Measured | None = None
    recheck: Measured | None = None


class Visit(msgspec.Struct, frozen=True):
    """A row of the register. `person` is None when its key is lost or the row was tampered with."""

    id: str
    seq: int
    site: str
    gate: str
    day: str  # of the site's zone, YYYY-MM-DD: the one announced, or the one they came
    state: State
    announced_by: str | None
    created_ms: int
    in_ms: int | None
    in_by: str | None
    out_ms: int | None
    out_by: str | None
    person: Person | None

    def matches(self, text: str) -> bool:
        """Whether a text stands anywhere in what is written about the person; capital letters do not matter."""
        if self.person is None:
            return False
        told = self.person
        fields = (told.visitor, told.organisation, told.purpose, told.department, told.phone, told.remark)
        return any(text.casefold() in field.casefold() for field in fields)
