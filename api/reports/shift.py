"""What a shift at a gate was: who went through, who was measured again, what was decided, and what was left to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from alerts.alarm import What
from alerts.store import alarms
from api.handovers import handovers
from api.parts import Parts
from api.reports.period import Period
from api.reports.site import FEVER, Begun, begun_between, scanners, steps_of
from ingest.history.history import Aggregate

_HOUR_MS = 3_600_000
_OPEN_MAX = 200


@dataclass(frozen=True, slots=True)
class Lane:
    """How many people a scanner has measured."""

    place: str
    passages: int


@dataclass(frozen=True, slots=True)
class Fever:
    """An alarm about a person, without the person."""

    raised_ms: int
    device: str
    place: str
    value: float | None
    disposition: str | None
    decided_by: str | None
    note: str | None
    answer_s: float | None


@dataclass(frozen=True, slots=True)
class OpenItem:
    """What the shift left open."""

    place: str
    alarm_class: str


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """A shift; not signed yet: `guard` is None, and it ends with the present."""

    place: str
    site: str
    period: Period
    guard: str | None
    note: str
    lanes: tuple[Lane, ...]
    fevers: tuple[Fever, ...]
    rechecks: int
    left_open: tuple[OpenItem, ...]
    other_alarms: int


def signed_shifts(database: sa.Engine, place: str, since_ms: int, limit: int = 1000) -> list[Period]:
    """Shifts of a gate that were handed over after a time, the oldest first."""
    query = sa.select(handovers.c.since_ms, handovers.c.signed_ms).where(
        handovers.c.place == place, handovers.c.signed_ms > since_ms
    )
    with database.connect() as db:
        rows = db.execute(query.order_by(handovers.c.signed_ms).limit(limit))
        return [Period(str(row.signed_ms), row.since_ms, row.signed_ms) for row in rows]


def shift_report(parts: Parts, place: str, key: str | None, now_ms: int) -> ShiftReport | None:
    """The shift that was signed at `key`, or the one that is on; None where there is no such. Raises Unavailable."""
    devices = [device for device in parts.catalogue.devices if parts.catalogue.gate_of(device.place) == place]
    names = [device.id for device in devices]
    guard, note = None, ""
    if key is None:
        period = Period("now", parts.handovers.since_ms(place, now_ms), now_ms)
        left = [
            OpenItem(alarm["place"], alarm["class"]) for alarm in parts.handovers.open_alarms(names)
        ]  # as they stand
    else:
        query = sa.select(handovers).where(handovers.c.place == place, handovers.c.signed_ms == int(key))
        with parts.alarms.database.connect() as db:
            row = db.execute(query).first()
        if row is None:
            return None
        period, guard, note = Period(key, row.since_ms, row.signed_ms), row.guard, row.note
        left = [OpenItem(each["place"], each["class"]) for each in row.document.get("open", [])]
    begun = begun_between(parts, alarms.c.device.in_(names), period.start_ms, period.end_ms)
    fevers = [alarm for alarm in begun if alarm.alarm_class == FEVER]
    return ShiftReport(
        place=place,
        site=parts.catalogue.site_of_place(place),
        period=period,
        guard=guard,
        note=note,
        lanes=tuple(_lanes(parts, names, period)),
        fevers=tuple(_told(parts, fevers)),
        rechecks=steps_of(parts, fevers, What.RECHECK),
        left_open=tuple(left[:_OPEN_MAX]),
        other_alarms=len(begun) - len(fevers),
    )


def _lanes(parts: Parts, names: Iterable[str], period: Period) -> Iterable[Lane]:
    devices = [parts.catalogue.device[name] for name in names]
    for (kind, metric), of_kind in scanners(parts, devices).items():
        read = parts.history.read_many(kind, of_kind, metric, period.start_ms, period.end_ms, _HOUR_MS, Aggregate.COUNT)
        for name, curve in read.items():
            yield Lane(parts.catalogue.device[name].place, int(curve.value.sum()))


def _told(parts: Parts, fevers: Iterable[Begun]) -> Iterable[Fever]:
    by_id = {alarm.id: alarm for alarm in fevers}
    for told in parts.alarms.named(list(by_id)):
        alarm = by_id[told["id"]]
        decided = next((step for step in told["steps"] if step["what"] == What.DISPOSED.value), None)
        yield Fever(
            alarm.raised_ms,
            alarm.device,
            told["place"],
            told["value"],
            alarm.disposition,
            None if decided is None else decided["actor"],
            None if decided is None else decided["note"],
            alarm.answer_s,
        )
