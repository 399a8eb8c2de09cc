"""How complete the data are, as figures: what arrived of every series and day, what was late, what is missing and why.

Counts are kept by series and local day, with the readings by the minute, so that gaps close when late readings arrive, in
whatever order. The place in the journal moves in the transaction of the counts it speaks of: a crash loses none and doubles
none. Axes: N readings, G pairs of series and day, M minutes of a day.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ingest.history.coverage import MINUTE_MS, Counts, Coverage, Tally, cover, learned_interval_ms
from ingest.history.days import MINUTES_MAX, Days, aged_from
from telemetry.batch import Masks, Qualities, SeriesIndexes, Times
from telemetry.catalogue import Catalogue
from telemetry.database import metadata
from telemetry.segments import group

LOSSES_MAX = 100  # kept of one series and day: with twice as many the smaller ones become one that spans them
GAPS_MAX = 50  # shown of one series and day, the longest; the rest is counted
_AT_ONCE = 500  # pairs held in memory together, and parameters in one query
_COUNT_MAX = 1 << 53  # that JSON carries exactly
_MINUTE_BITS = 11  # of a local day's minute
_SORTED_FROM = 8  # so many times as many cells as readings, and sorting these costs less than adding up in place
_DAY = 1 << 32  # keys are series · _DAY + day

_Row = dict[str, object]  # of `days`

known = sa.Table(
    "completeness_series",
    metadata,
    sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("metric", sa.String(64), nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)
days = sa.Table(
    "completeness_day",
    metadata,
    sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("good", sa.BigInteger, nullable=False),
    sa.Column("suspect", sa.BigInteger, nullable=False),
    sa.Column("bad", sa.BigInteger, nullable=False),
    sa.Column("late", sa.BigInteger, nullable=False),
    sa.Column("minutes", sa.LargeBinary, nullable=False),
    sa.Index("completeness_by_day", "day"),
)
losses = sa.Table(
    "completeness_loss",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Index("completeness_loss_by_day", "day", "series"),
)
frames_lost = sa.Table(
    "completeness_frames_lost",
    metadata,
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
cursor = sa.Table(
    "completeness_cursor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("record", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Readings to be counted, or sums of such, (N,)."""

    series: SeriesIndexes
    day: NDArray[np.int64]  # local, as `date.toordinal`
    minute: NDArray[np.int64]  # of the local day
    quality: Qualities
    is_late: Masks
    count: NDArray[np.int64]


class Loss(NamedTuple):
    """Readings of one series that are gone for good, within one day."""

    series: int
    day: int
    first_ms: int
    last_ms: int
    missing: int
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesDay:
    """One series on one day, as shown."""

    device: str
    metric: str
    gateway: str
    site: str
    interval_ms: int | None
    is_learned: bool
    since_ms: int  # from when on readings were due
    counts: Counts | None  # None where nothing arrived
    coverage: Coverage
    losses: tuple[Loss, ...]

    @property
    def known_lost(self) -> int:
        return sum(loss.missing for loss in self.losses)

    def gaps(self) -> list[tuple[int, int, str]]:
        """(start, end, reason) of every gap, in order of time; "silent" where nobody knows why."""
        found = [(start, end, "silent") for start, end in self.coverage.silent]
        return sorted(found + [(loss.first_ms, loss.last_ms, loss.reason) for loss in self.losses])


@dataclass(frozen=True, slots=True)
class Total:
    """The figures of several series together; those of which nobody knows how often they are due are in `received` only."""

    expected: int
    received: int
    late: int
    missing: int
    known_lost: int

    @classmethod
    def of(cls, shown: Sequence[SeriesDay]) -> Total:
        """Add up."""
        counts = [each.counts for each in shown if each.counts is not None]
        return cls(
            sum(each.coverage.expected or 0 for each in shown),
            sum(each.received for each in counts),
            sum(each.late for each in counts),
            sum(each.coverage.missing or 0 for each in shown),
            sum(each.known_lost for each in shown),
        )

    @property
    def ratio(self) -> float:
        """The share of what was due that has arrived; 1 where nothing was."""
        return 1 - self.missing / self.expected if self.expected else 1.0


class Completeness:
    """Writes and reads the figures."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def cursor(self) -> int:
        """The last journal record that is in here."""
        with self._database.connect() as db:
            return db.execute(sa.select(cursor.c.record)).scalar() or 0

    def know(self, names: Sequence[tuple[str, str]], now_ms: int) -> None:
        """Remember from when on each series was expected to be heard; what is known already keeps its time."""
        with self._database.begin() as db:
            held = set(db.execute(sa.select(known.c.series)).scalars())
            new = [
                {"series": series, "device": device, "metric": metric, "since_ms": now_ms}
                for series, (device, metric) in enumerate(names)
                if series not in held
            ]
            if new:
                db.execute(known.insert(), new)

    def add(self, counted: Counted, lost: Sequence[Loss], frames: Mapping[tuple[str, int], int], last: int) -> None:
        """Count what the journal says up to record `last`, in one transaction."""
        changed, new = self._sums_now(counted)  # before anything is written: whoever writes keeps others waiting
        with self._database.begin() as db:
            if changed:
                here = (days.c.series == sa.bindparam("of_series")) & (days.c.day == sa.bindparam("of_day"))
                db.execute(days.update().where(here), changed)
            if new:
                db.execute(days.insert().values(series=sa.bindparam("of_series"), day=sa.bindparam("of_day")), new)
            if lost:
                db.execute(losses.insert(), [loss._asdict() | {"day": date.fromordinal(loss.day)} for loss in lost])
                _merge_losses(db, {date.fromordinal(loss.day) for loss in lost})
            for (gateway, day), count in frames.items():
                here = (frames_lost.c.gateway == gateway) & (frames_lost.c.day == date.fromordinal(day))
                more = {"count": frames_lost.c.count + count}
                if not db.execute(frames_lost.update().where(here).values(more)).rowcount:
                    db.execute(frames_lost.insert().values(gateway=gateway, day=date.fromordinal(day), count=count))
            if not db.execute(cursor.update().values(record=last)).rowcount:
                db.execute(cursor.insert().values(id=1, record=last))

    def _sums_now(self, counted: Counted) -> tuple[list[_Row], list[_Row]]:
        """Rows as they will stand: (those that are there already, new ones). Nobody else writes them."""
        changed: list[_Row] = []
        new: list[_Row] = []
        keys = counted.series.astype(np.int64) * _DAY + counted.day
        pairs = group(keys)
        with self._database.connect() as db:
            for start in range(0, len(pairs.key), _AT_ONCE):
                chunk = slice(start, start + _AT_ONCE)
                rows = pairs.order[pairs.start[chunk][0] : pairs.end[chunk][-1]]
                held = _held(db, pairs.key[chunk])
                _add_pairs(
                    counted, pairs.key[chunk], rows, np.searchsorted(pairs.key[chunk], keys[rows]), held, changed, new
                )
        return changed, new

    def newest(self) -> date | None:
        """The last day of which anything is counted."""
        with self._database.connect() as db:
            return db.execute(sa.select(sa.func.max(days.c.day))).scalar()

    def forget(self, today: date, keep_days: int) -> None:
        """Drop the days that are older than is kept (`days.aged_from`)."""
        newest = self.newest() or today
        before = date.fromordinal(aged_from(today.toordinal(), newest.toordinal()) - keep_days)
        with self._database.begin() as db:
            for table in (days, losses, frames_lost):
                db.execute(table.delete().where(table.c.day < before))

    def day(self, catalogue: Catalogue, sites: Iterable[str], day: date, now_ms: int) -> list[SeriesDay]:
        """Every series of these sites on one day, by site, device and metric; none that was not known of then."""
        wanted = set(sites)
        zones = {site.id: Days(site.timezone) for site in catalogue.sites if site.id in wanted}
        before = date.fromordinal(day.toordinal() - 1)
        found = []
        with self._database.connect() as db:
            lost: dict[int, list[Loss]] = {}
            for row in db.execute(sa.select(losses).where(losses.c.day == day).order_by(losses.c.first_ms)):
                loss = Loss(row.series, day.toordinal(), row.first_ms, row.last_ms, row.missing, row.reason)
                lost.setdefault(row.series, []).append(loss)
            wanted_series = [
                (row, site)
                for row in db.execute(sa.select(known)).all()
                if (row.device, row.metric) in catalogue.metric and (site := catalogue.site_of(row.device)) in zones
            ]
            # Some at a time: the minutes of a day are three kilobytes a series, and are not shown.
            for start in range(0, len(wanted_series), _AT_ONCE):
                some = wanted_series[start : start + _AT_ONCE]
                here = days.c.series.in_([row.series for row, _ in some])
                rows = db.execute(sa.select(days).where(days.c.day.in_([before, day]), here))
                tallies = {(row.series, row.day): _tally(row) for row in rows}
                for (series, device, metric, since_ms), site in some:
                    start_ms, end_ms = (zones[site].start_ms(day.toordinal() + n) for n in (0, 1))
                    tally, earlier = tallies.get((series, day)), tallies.get((series, before))
                    if tally is None and (since_ms >= end_ms or start_ms > now_ms):
                        continue
                    interval_ms, is_learned = _interval_ms(catalogue, (device, metric), tally, earlier)
                    coverage = cover(tally, start_ms, end_ms, since_ms, now_ms, interval_ms)
                    gateway = catalogue.device[device].gateway
                    counts = None if tally is None else tally.counts
                    shown = (device, metric, gateway, site, interval_ms, is_learned, since_ms, counts, coverage)
                    found.append(SeriesDay(*shown, tuple(lost.get(series, ()))))
        return sorted(found, key=lambda shown: (shown.site, shown.device, shown.metric))

    def frames_lost(self, day: date) -> dict[str, int]:
        """Frames that were gone from a gateway's spool before this core had them, by gateway."""
        query = sa.select(frames_lost.c.gateway, frames_lost.c["count"]).where(frames_lost.c.day == day)
        with self._database.connect() as db:
            return {gateway: count for gateway, count in db.execute(query).all()}  # noqa: C416


def _interval_ms(
    catalogue: Catalogue, name: tuple[str, str], tally: Tally | None, earlier: Tally | None
) -> tuple[int | None, bool]:
    """How often a reading is due, and whether that was learned: of this day, and while it is young of the one before."""
    declared_s = catalogue.metric[name].interval_s
    if declared_s is not None:
        return round(declared_s * 1000), False
    for seen in (tally, earlier):
        learned_ms = None if seen is None else learned_interval_ms(seen.minutes)
        if learned_ms is not None:
            return learned_ms, True
    return None, False


def _add_pairs(
    counted: Counted,
    keys: NDArray[np.int64],
    rows: NDArray[np.intp],
    pair: NDArray[np.intp],
    held: Mapping[int, Tally],
    changed: list[_Row],
    new: list[_Row],
) -> None:
    """Count `rows` of the readings into the pairs they belong to, `pair` of `keys` each, on top of what is `held`."""
    count = len(keys)
    weight, is_late = counted.count[rows], counted.is_late[rows]
    quality = _sums(pair * 3 + counted.quality[rows], weight, 3 * count).reshape(count, 3).tolist()
    late = _sums(pair[is_late], weight[is_late], count).tolist()
    cells, cell = np.unique(pair * MINUTES_MAX + counted.minute[rows], return_inverse=True)
    cell_counts = _sums(cell, weight, len(cells))
    edges = np.searchsorted(cells, np.arange(count + 1) * MINUTES_MAX)
    for number, key in enumerate(keys.tolist()):
        before = held.get(key)
        counts = Counts(0, 0, 0, 0) if before is None else before.counts
        minutes = np.zeros(MINUTES_MAX, np.int64) if before is None else before.minutes.astype(np.int64)
        of_pair = slice(edges[number], edges[number + 1])
        minutes[cells[of_pair] - number * MINUTES_MAX] += cell_counts[of_pair]
        good, suspect, bad = quality[number]
        row: _Row = {
            "good": good + counts.good,
            "suspect": suspect + counts.suspect,
            "bad": bad + counts.bad,
            "late": late[number] + counts.late,
            "minutes": zlib.compress(np.minimum(minutes, 0xFFFF).astype("<u2").tobytes(), 1),
        }
        place = {"of_series": key // _DAY, "of_day": date.fromordinal(key % _DAY)}
        (changed if before else new).append(row | place)


def _merge_losses(db: sa.Connection, days_: Iterable[date]) -> None:
    """Hold the losses of each series and day within bounds, their total as it is."""
    wanted = list(days_)
    for start in range(0, len(wanted), _AT_ONCE):
        many = sa.select(losses.c.series, losses.c.day).where(losses.c.day.in_(wanted[start : start + _AT_ONCE]))
        many = many.group_by(losses.c.series, losses.c.day).having(sa.func.count() > 2 * LOSSES_MAX)
        for series, day in db.execute(many).all():
            here = (losses.c.series == series) & (losses.c.day == day)
            rows = db.execute(sa.select(losses).where(here).order_by(losses.c.missing, losses.c.id.desc())).all()
            small = rows[: len(rows) - LOSSES_MAX + 1]
            for first in range(0, len(small), _AT_ONCE):
                db.execute(losses.delete().where(losses.c.id.in_([row.id for row in small[first : first + _AT_ONCE]])))
            first_ms, last_ms = min(row.first_ms for row in small), max(row.last_ms for row in small)
            missing = min(sum(row.missing for row in small), _COUNT_MAX)
            reasons = {row.reason for row in small}
            reason = reasons.pop() if len(reasons) == 1 else "other"
            one = {"first_ms": first_ms, "last_ms": last_ms, "missing": missing, "reason": reason}
            db.execute(losses.insert().values(series=series, day=day, **one))


def _sums(index: NDArray[np.int64], weight: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """`weight` added up by `index`, (length,)."""
    # In float64, which counts exactly up to 2**53.
    return np.bincount(index, weight, length).astype(np.int64)


def _held(db: sa.Connection, keys: NDArray[np.int64]) -> dict[int, Tally]:
    """What is counted already of these pairs."""
    series, ordinals = keys // _DAY, keys % _DAY
    found = {}
    for ordinal in np.unique(ordinals).tolist():
        here = days.c.series.in_(series[ordinals == ordinal].tolist())
        for row in db.execute(sa.select(days).where(days.c.day == date.fromordinal(ordinal), here)):
            found[row.series * _DAY + ordinal] = _tally(row)
    return found


def _tally(row: sa.Row[tuple[int, ...]]) -> Tally:
    minutes = np.frombuffer(zlib.decompress(row.minutes), "<u2")
    return Tally(Counts(row.good, row.suspect, row.bad, row.late), minutes)


def split_by_day(zone: Days, series: int, first_ms: int, last_ms: int, missing: int, reason: str) -> list[Loss]:
    """A loss cut at midnight, its count shared out by time."""
    found: list[Loss] = []
    shared, length_ms = 0, last_ms - first_ms + 1
    for day in range(zone.day(first_ms), zone.day(last_ms) + 1):
        start_ms, end_ms = max(first_ms, zone.start_ms(day)), min(last_ms, zone.start_ms(day + 1) - 1)
        share = missing * (end_ms - first_ms + 1) // length_ms - shared
        shared += share
        found.append(Loss(series, day, start_ms, end_ms, share, reason))
    return found


def summed_up(counted: Sequence[Counted]) -> Counted:
    """The same counts, those of one series, minute, quality and lateness together."""
    dtypes = (np.uint32, np.int64, np.int64, np.uint8, np.bool_, np.int64)
    series, day, minute, quality, is_late, count = (
        np.concatenate([np.empty(0, dtype), *(getattr(each, name) for each in counted)])
        for name, dtype in zip(Counted.__slots__, dtypes, strict=True)
    )
    if not len(series):
        return Counted(series, day, minute, quality, is_late, count)
    # One number a cell: series, then minutes from the earliest on, then 2 bits of quality and 1 of lateness.
    moment = day << _MINUTE_BITS | minute
    first = int(moment.min())
    span = int(moment.max()) - first + 1
    code = (series.astype(np.int64) * span + (moment - first)) << 3 | quality << 1 | is_late
    size = (int(series.max()) + 1) * span << 3
    if size <= _SORTED_FROM * len(code):
        sums = _sums(code, count, size)
        cells = np.flatnonzero(sums)
        sums = sums[cells]
    else:
        cells, cell = np.unique(code, return_inverse=True)
        sums = _sums(cell, count, len(cells))
    which, moment = np.divmod(cells >> 3, span)
    moment += first
    return Counted(
        which.astype(np.uint32),
        moment >> _MINUTE_BITS,
        moment & ((1 << _MINUTE_BITS) - 1),
        (cells >> 1 & 3).astype(np.uint8),
        (cells & 1).astype(np.bool_),
        sums,
    )


def minute_of(time_ms: Times, day: NDArray[np.int64], zone: Days) -> NDArray[np.int64]:
    """The minute of its local day of each time, (N,)."""
    starts = {number: zone.start_ms(number) for number in np.unique(day).tolist()}
    numbers = np.array(list(starts))
    at = np.array(list(starts.values()), np.int64)[np.searchsorted(numbers, day)]
    return (time_ms - at) // MINUTE_MS
