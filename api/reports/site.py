"""What a day or a month of a site was: alarms and how fast people were, fevers, drains, use of water and electricity, duties.

Plain data, in numbers that nobody has rounded: `printed` makes a document of it, the same in every language and form.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa

from alerts.alarm import What
from alerts.outcome import Outcome, outcome_of
from alerts.rule import Severity
from alerts.store import alarms, transitions
from api.dormitories.measure import grown
from api.drains.network import LEVEL, networks
from api.drains.storm_report import StormShown, storms_between
from api.duties import State
from api.parts import Parts
from api.reports.period import Period, day_period
from ingest.history.completeness import Total
from ingest.history.history import Aggregate, Curve
from telemetry.catalogue import Device

FEVER = "fever"
_HOUR_MS, _QUARTER_MS = 3_600_000, 900_000
_AROUND_MS = 24 * _HOUR_MS  # how far beyond the days a reading may lie that a counter is counted from
ALARMS_MAX = 100_000
_IN_MAX = 500
_ANSWERS = (What.ACKNOWLEDGED.value, What.DISPOSED.value)


@dataclass(frozen=True, slots=True)
class Begun:
    """An alarm that began in the time looked at."""

    id: str
    rule: str
    alarm_class: str
    severity: Severity
    device: str
    raised_ms: int
    is_open: bool
    disposition: str | None
    answer_s: float | None  # from the raise until a person acknowledged or decided it; None: nobody did


@dataclass(frozen=True, slots=True)
class OfClass:
    """Alarms of one class and severity; seconds are from the raise until a person answered."""

    alarm_class: str
    severity: Severity
    count: int
    answered: int
    median_s: float | None
    longest_s: float | None
    still_open: int


@dataclass(frozen=True, slots=True)
class OfRule:
    """Alarms of one rule, and what people said of them; `precision`: of those that were true or false, the share of true."""

    rule: str
    count: int
    true: int
    false: int
    unsaid: int
    precision: float | None


@dataclass(frozen=True, slots=True)
class Gates:
    """Everything that went through the site's gates."""

    passages: int
    fevers: int
    rechecks: int
    decided: Mapping[str, int]  # disposition -> alarms
    undecided: int


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest that water stood in a manhole; None where nothing was heard."""

    place: str
    depth_m: float
    peak_m: float | None
    peak_ms: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """What meters of one metric counted altogether, main meters apart: they count again what others have counted."""

    metric: str
    name: Mapping[str, str]
    unit: str
    decimals: int
    is_main: bool
    meters: int
    silent: int  # of them, without a reading
    total: float


@dataclass(frozen=True, slots=True)
class Day:
    """One day: readings due and come, alarms begun, passages, and use by (metric) without main meters."""

    day: date
    expected: int
    received: int
    missing: int
    alarms: int
    passages: int
    use: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DutyDone:
    """A duty over the time looked at."""

    duty: str
    name: Mapping[str, str]
    done: int
    late: int
    missed: int


@dataclass(frozen=True, slots=True)
class SiteReport:
    """All of it."""

    site: str
    period: Period
    as_of_ms: int
    is_over: bool
    is_cut: bool  # there were more alarms than ALARMS_MAX: those after them are in no figure
    classes: tuple[OfClass, ...]
    rules: tuple[OfRule, ...]
    gates: Gates | None  # None: there is no gate
    storms: tuple[StormShown, ...]
    peaks: tuple[Peak, ...]
    use: tuple[Use, ...]
    days: tuple[Day, ...]
    duties: tuple[DutyDone, ...]


def site_report(parts: Parts, site: str, period: Period, now_ms: int) -> SiteReport:
    """Gather it. Raises Unavailable."""
    zone = ZoneInfo(parts.catalogue.site[site].timezone)
    until_ms = min(period.end_ms, now_ms)
    days = list(_days(period, until_ms, zone))
    devices = [device for device in parts.catalogue.devices if parts.catalogue.site_of(device.id) == site]
    found = begun_between(parts, alarms.c.site == site, period.start_ms, until_ms)
    begun = found[:ALARMS_MAX]
    scanned, passages = _passages(parts, devices, days)
    use, use_of_days = _use(parts, devices, days)
    found_networks = [network for network in networks(parts.catalogue).values() if network.site == site]
    return SiteReport(
        site=site,
        period=period,
        as_of_ms=now_ms,
        is_over=period.end_ms <= now_ms,
        is_cut=len(found) > ALARMS_MAX,
        classes=tuple(_classes(begun)),
        rules=tuple(_rules(begun)),
        gates=_gates(parts, begun, sum(passages)) if scanned else None,
        storms=tuple(
            storm
            for network in found_networks
            if network.gauge is not None
            for storm in storms_between(parts.history, network.gauge, period.start_ms, until_ms, now_ms)
        ),
        peaks=tuple(_peaks(parts, found_networks, period.start_ms, until_ms)),
        use=tuple(use),
        days=tuple(_by_day(parts, site, days, begun, passages, use_of_days, now_ms)),
        duties=tuple(_duties(parts, site, days, now_ms)),
    )


def begun_between(parts: Parts, of: sa.ColumnElement[bool], start_ms: int, end_ms: int) -> list[Begun]:
    """Alarms that were raised in [start, end), in the order of time, each with how fast a person answered.

    One more than ALARMS_MAX at most: whoever gets that many says that there are more.
    """
    disposition = alarms.c.document["disposition"].as_string().label("disposition")
    columns = [alarms.c[name] for name in ("id", "rule", "class", "severity", "device", "raised_ms", "is_open")]
    query = sa.select(*columns, disposition).where(of, alarms.c.raised_ms >= start_ms, alarms.c.raised_ms < end_ms)
    found = []
    with parts.alarms.database.connect() as db:
        rows = db.execute(query.order_by(alarms.c.raised_ms, alarms.c.id).limit(ALARMS_MAX + 1)).all()
        answered_ms: dict[str, int] = {}
        for at in range(0, len(rows), _IN_MAX):
            names = [row.id for row in rows[at : at + _IN_MAX]]
            first = sa.func.min(transitions.c.known_ms).label("known_ms")
            answers = sa.select(transitions.c.alarm, first).where(
                transitions.c.alarm.in_(names), transitions.c.what.in_(_ANSWERS), transitions.c.actor.is_not(None)
            )
            answered_ms |= {row.alarm: row.known_ms for row in db.execute(answers.group_by(transitions.c.alarm))}
    for row in rows:
        answer_ms = answered_ms.get(row.id)
        found.append(
            Begun(
                id=row.id,
                rule=row.rule,
                alarm_class=row[2],
                severity=Severity(row.severity),
                device=row.device,
                raised_ms=row.raised_ms,
                is_open=row.is_open,
                disposition=row.disposition,
                answer_s=None if answer_ms is None else max(0, answer_ms - row.raised_ms) / 1000,
            )
        )
    return found


def steps_of(parts: Parts, begun: Iterable[Begun], what: What) -> int:
    """How many steps of a sort these alarms had."""
    names = [alarm.id for alarm in begun]
    count = 0
    with parts.alarms.database.connect() as db:
        for at in range(0, len(names), _IN_MAX):
            query = sa.select(sa.func.count()).where(
                transitions.c.alarm.in_(names[at : at + _IN_MAX]), transitions.c.what == what.value
            )
            count += db.execute(query).scalar_one()
    return count


def _classes(begun: Sequence[Begun]) -> Iterable[OfClass]:
    by: dict[tuple[str, int], list[Begun]] = {}
    for alarm in begun:
        by.setdefault((alarm.alarm_class, -alarm.severity), []).append(alarm)
    for (alarm_class, severity), some in sorted(by.items()):
        answers = [alarm.answer_s for alarm in some if alarm.answer_s is not None]
        yield OfClass(
            alarm_class,
            Severity(-severity),
            len(some),
            len(answers),
            statistics.median(answers) if answers else None,
            max(answers, default=None),
            sum(alarm.is_open for alarm in some),
        )


def _rules(begun: Sequence[Begun]) -> Iterable[OfRule]:
    by: dict[str, list[Outcome | None]] = {}
    for alarm in begun:
        by.setdefault(alarm.rule, []).append(outcome_of(alarm.disposition))
    for rule, outcomes in sorted(by.items(), key=lambda each: (-len(each[1]), each[0])):
        true = sum(outcome in (Outcome.TRUE, Outcome.NO_ACTION) for outcome in outcomes)
        false = sum(outcome is Outcome.FALSE for outcome in outcomes)
        precision = true / (true + false) if true + false else None
        yield OfRule(rule, len(outcomes), true, false, sum(outcome is None for outcome in outcomes), precision)


def _gates(parts: Parts, begun: Sequence[Begun], passages: int) -> Gates:
    fevers = [alarm for alarm in begun if alarm.alarm_class == FEVER]
    decided = Counter(alarm.disposition for alarm in fevers if alarm.disposition is not None)
    return Gates(
        passages, len(fevers), steps_of(parts, fevers, What.RECHECK), dict(decided), len(fevers) - decided.total()
    )


def scanners(parts: Parts, devices: Iterable[Device]) -> dict[tuple[str, str], list[str]]:
    """Devices by which people are judged, by (kind, metric)."""
    judged = {rule["metric"] for rule in parts.rules.in_force() if rule["class"] == FEVER and "levels" in rule}
    found: dict[tuple[str, str], list[str]] = {}
    for device in devices:
        for metric in parts.catalogue.kind[device.kind].metrics:
            if metric.id in judged and not metric.recheck:
                found.setdefault((device.kind, metric.id), []).append(device.id)
    return found


def _passages(parts: Parts, devices: Iterable[Device], days: Sequence[Period]) -> tuple[bool, list[int]]:
    """Whether anybody is measured here, and how many people on each day."""
    counts = np.zeros(len(days))
    found = scanners(parts, devices)
    if days:
        for (kind, metric), names in found.items():
            read = parts.history.read_many(
                kind, names, metric, days[0].start_ms, days[-1].end_ms, _step_ms(days), Aggregate.COUNT
            )
            for curve in read.values():
                counts += _by_days(curve, days)
    return bool(found), [int(count) for count in counts]


def _use(parts: Parts, devices: Sequence[Device], days: Sequence[Period]) -> tuple[list[Use], list[dict[str, float]]]:
    """What meters counted altogether, and by metric on each day without main meters."""
    mains = {name for building in parts.dormitories.buildings for name in building.main}
    edges = [*(day.start_ms for day in days), days[-1].end_ms]
    by: dict[tuple[str, str, bool], list[str]] = {}
    for device in devices:
        for metric in parts.catalogue.kind[device.kind].metrics:
            if metric.counter:
                by.setdefault((metric.id, device.kind, device.id in mains), []).append(device.id)
    totals: dict[tuple[str, bool], Use] = {}
    of_days: list[dict[str, float]] = [{} for _ in days]
    for (metric_id, kind, is_main), names in sorted(by.items()):
        metric = next(each for each in parts.catalogue.kind[kind].metrics if each.id == metric_id)
        read = grown(parts.history, parts.catalogue, parts.dormitories, metric, names, edges, _AROUND_MS)
        counted = {name: np.array(use.digits) / 10**metric.decimals for name, use in read.items()}
        silent = sum(not any(use.heard) for use in read.values())
        before = totals.get((metric_id, is_main))
        totals[metric_id, is_main] = Use(
            metric_id,
            {"en": metric.name.en, "zh": metric.name.zh},
            metric.unit,
            metric.decimals,
            is_main,
            len(names) + (before.meters if before else 0),
            silent + (before.silent if before else 0),
            math.fsum([*(float(each.sum()) for each in counted.values()), before.total if before else 0.0]),
        )
        if not is_main:
            for number, of_day in enumerate(of_days):
                of_day[metric_id] = of_day.get(metric_id, 0.0) + math.fsum(
                    float(each[number]) for each in counted.values()
                )
    return list(totals.values()), of_days


def _peaks(parts: Parts, found: Iterable[Any], start_ms: int, until_ms: int) -> Iterable[Peak]:
    for network in found:
        kinds: dict[str, list[str]] = {}
        for node in network.nodes:
            if node.device is not None:
                kinds.setdefault(node.device.kind, []).append(node.device.id)
        curves: dict[str, Curve] = {}
        for kind, names in kinds.items():
            curves |= parts.history.read_many(kind, names, LEVEL, start_ms, until_ms, _QUARTER_MS, Aggregate.MAX)
        for node in network.nodes:
            if node.device is None:
                continue
            curve = curves[node.device.id]
            at = int(curve.value.argmax()) if len(curve.value) else None
            yield Peak(
                node.place.id,
                node.drain.depth_m,
                None if at is None else float(curve.value[at]),
                None if at is None else int(curve.time_ms[at]),
            )


def _by_day(
    parts: Parts,
    site: str,
    days: Sequence[Period],
    begun: Sequence[Begun],
    passages: Sequence[int],
    use: Sequence[Mapping[str, float]],
    now_ms: int,
) -> Iterable[Day]:
    for number, period in enumerate(days):
        day = date.fromisoformat(period.key)
        total = Total.of(parts.counts.day(parts.catalogue, [site], day, now_ms))
        count = sum(period.start_ms <= alarm.raised_ms < period.end_ms for alarm in begun)
        yield Day(day, total.expected, total.received, total.missing, count, passages[number], use[number])


def _duties(parts: Parts, site: str, days: Sequence[Period], now_ms: int) -> Iterable[DutyDone]:
    if not days:
        return
    counts: dict[str, Counter[State]] = {}
    names = {}
    first, last = (date.fromisoformat(days[at].key) for at in (0, -1))
    for each in parts.duties.of_days(site, first, last):
        counts.setdefault(each.duty.id, Counter())[each.state(now_ms)] += 1
        names[each.duty.id] = {"en": each.duty.name.en, "zh": each.duty.name.zh}
    for duty, states in sorted(counts.items()):
        yield DutyDone(duty, names[duty], states[State.DONE], states[State.LATE], states[State.MISSED])


def _days(period: Period, until_ms: int, zone: ZoneInfo) -> Iterable[Period]:
    """The days of a period that have begun."""
    day = datetime.fromtimestamp(period.start_ms / 1000, zone).date()
    while (each := day_period(day, zone)).start_ms < until_ms:
        yield each
        day += timedelta(days=1)


def _step_ms(days: Sequence[Period]) -> int:
    """The widest step at which all these days begin."""
    return _HOUR_MS if all(day.start_ms % _HOUR_MS == 0 for day in days) else _QUARTER_MS


def _by_days(curve: Curve, days: Sequence[Period]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The sum of the steps that begin on each day, (D,)."""
    edges = np.array([*(day.start_ms for day in days), days[-1].end_ms])
    at = np.searchsorted(curve.time_ms, edges)
    sums = np.concatenate(([0.0], np.cumsum(curve.value)))
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = np.diff(sums[at])
    return found
