"""Compares what a run stored and raised with what the simulator knows to be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from firmware_sim.truth import ExpectedAlarm
from rich.console import Console
from rich.table import Table

from alerts.escalation import DUTY_MISSED, FAULTS
from alerts.notify.routing import MQTT_CHANNEL
from alerts.store import alarms, notices, transitions
from ingest.history.history import GATEWAY_KIND
from ingest.history.parquet_reader import ParquetReader
from ingest.history.quarantine import Quarantine
from telemetry.catalogue import Catalogue

_DECIDED_BY_A_READING = ("limit-reached", "measured-again", "good-readings", "heard-again")

Reading = tuple[str, str, float]
"""(device, metric, value rounded to a millionth)."""


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """What the core raised."""

    id: str
    rule: str
    device: str
    key: str | None
    raised_ms: int  # event time
    closed_ms: int | None


@dataclass(slots=True)
class Verdict:
    """The table of `gatehouse demo --headless`."""

    generated: int
    stored: int
    lost: list[str]
    surplus: list[str]
    quarantined: dict[str, int]
    quarantine_expected: dict[str, int]
    alarms_expected: int
    alarms_raised: int
    missed: list[str]
    extra: list[str]
    notice_p50_ms: float | None
    notice_p99_ms: float | None
    notice_count: int
    restarts: dict[str, int] = field(default_factory=dict)
    past_readings: int = 0
    past_seconds: float | None = None

    @property
    def is_good(self) -> bool:
        """Nothing lost, nothing invented, nothing missed, nothing extra."""
        return not (self.lost or self.surplus or self.missed or self.extra) and (
            self.quarantined == self.quarantine_expected
        )

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "is_good": self.is_good}

    def show(self, console: Console) -> None:
        """For people."""
        table = Table(title="Gatehouse demo: what was generated against what came of it", show_header=False)
        table.add_row("readings generated", f"{self.generated:,}")
        table.add_row("readings stored", f"{self.stored:,}")
        table.add_row("lost / stored without being generated", f"{len(self.lost)} / {len(self.surplus)}")
        for reason in sorted({*self.quarantined, *self.quarantine_expected}):
            found, expected = self.quarantined.get(reason, 0), self.quarantine_expected.get(reason, 0)
            table.add_row(f"quarantined: {reason}", f"{found} (expected {expected})")
        table.add_row("alarms expected", str(self.alarms_expected))
        table.add_row("alarms raised", str(self.alarms_raised))
        table.add_row("missed / extra", f"{len(self.missed)} / {len(self.extra)}")
        if self.notice_p50_ms is not None:
            shown = f"p50 {self.notice_p50_ms:.0f} ms, p99 {self.notice_p99_ms:.0f} ms ({self.notice_count} notices)"
            table.add_row("publish to notice handed over", shown)
        if self.past_seconds is not None:
            table.add_row("two weeks of past", f"{self.past_readings:,} readings in {self.past_seconds:.1f} s")
        console.print(table)
        for title, lines in (
            ("lost", self.lost),
            ("not generated", self.surplus),
            ("missed", self.missed),
            ("extra", self.extra),
        ):
            for line in lines[:20]:
                console.print(f"{title}: {line}", markup=False, highlight=False)
        console.print("nothing lost, nothing missed, nothing extra" if self.is_good else "NOT as it should be")


def judge(
    *,
    catalogue: Catalogue,
    history: Path,
    database: sa.Engine,
    generated: Counter[Reading],
    broken: Mapping[str, int],
    expected: Sequence[ExpectedAlarm],
    live_from_ms: int,
) -> Verdict:
    """Look at what is stored, when everything has come to rest."""
    stored = _stored(catalogue, ParquetReader(history))
    raised = _raised(database)
    missed, extra = match(expected, raised)
    latencies = _latencies(database, live_from_ms)
    return Verdict(
        generated=generated.total(),
        stored=stored.total(),
        lost=_shown(generated - stored),
        surplus=_shown(stored - generated),
        quarantined=Quarantine(database).counts(),
        quarantine_expected=dict(broken),
        alarms_expected=sum(1 for entry in expected if entry.must),
        alarms_raised=len(raised),
        missed=missed,
        extra=extra,
        notice_p50_ms=_percentile(latencies, 0.5),
        notice_p99_ms=_percentile(latencies, 0.99),
        notice_count=len(latencies),
    )


def match(expected: Iterable[ExpectedAlarm], raised: Sequence[RaisedAlarm]) -> tuple[list[str], list[str]]:
    """(what should have been raised and was not, or closed too early; what was raised and nobody expected)."""
    missed: list[str] = []
    explained: set[str] = set()
    for entry in expected:
        found = [
            alarm
            for alarm in raised
            if alarm.rule == entry.rule
            and alarm.device == entry.device
            and (entry.key is None or alarm.key == entry.key)
            and alarm.raised_ms <= entry.by_ms
            and (alarm.raised_ms >= entry.from_ms or alarm.closed_ms is None or alarm.closed_ms > entry.from_ms)
        ]
        explained |= {alarm.id for alarm in found if alarm.raised_ms >= entry.from_ms}
        name = f"{entry.rule} on {entry.device}" + (f" ({entry.key})" if entry.key else "")
        if not found and entry.must:
            missed.append(f"{name}: {entry.note}, due {entry.from_ms}..{entry.by_ms}")
        elif found and entry.must and entry.stays_open_until_ms is not None:
            until = entry.stays_open_until_ms
            if all(alarm.closed_ms is not None and alarm.closed_ms < until for alarm in found):
                missed.append(f"{name}: closed at {found[-1].closed_ms}, should have stayed open until {until}")
    extra = [
        f"{alarm.rule} on {alarm.device}{f' ({alarm.key})' if alarm.key else ''} at {alarm.raised_ms}"
        for alarm in raised
        if alarm.id not in explained
    ]
    return missed, extra


def rounded(value: float) -> float:
    """Two ways to scale a register differ in the last bits; a millionth of a unit is nobody's measurement."""
    return round(value, 6)


def _stored(catalogue: Catalogue, reader: ParquetReader) -> Counter[Reading]:
    found: Counter[Reading] = Counter()
    for kind in catalogue.kinds:
        assert kind.id != GATEWAY_KIND
        table = reader.identities(kind.id, 0, 2**42)
        columns = (table[name].to_pylist() for name in ("device", "metric", "value"))
        found.update((d, m, rounded(v)) for d, m, v in zip(*columns, strict=True))
    return found


def _raised(database: sa.Engine) -> list[RaisedAlarm]:
    query = (
        sa.select(
            alarms.c.id, alarms.c.rule, alarms.c.device, alarms.c.document, transitions.c.event_ms, alarms.c.closed_ms
        )
        .join(transitions, (transitions.c.alarm == alarms.c.id) & (transitions.c.seq == 1))
        .where(alarms.c.rule.not_in((*FAULTS, DUTY_MISSED)))  # of the machine that the demo runs on, and of its date
        .order_by(transitions.c.event_ms)
    )
    with database.connect() as db:
        return [
            RaisedAlarm(row.id, row.rule, row.device, row.document["key"], row.event_ms, row.closed_ms)
            for row in db.execute(query)
        ]


def _latencies(database: sa.Engine, live_from_ms: int) -> list[float]:
    """Milliseconds from the reading that decided to the notice being handed over; what a timer decided has no reading."""
    query = (
        sa.select(notices.c.delivered_ms - notices.c.event_ms)
        .join(transitions, (transitions.c.alarm == notices.c.alarm) & (transitions.c.seq == notices.c.seq))
        .where(
            notices.c.channel == MQTT_CHANNEL,
            notices.c.state == "delivered",
            notices.c.event_ms >= live_from_ms,
            transitions.c.reason.in_(_DECIDED_BY_A_READING),
        )
    )
    with database.connect() as db:
        return sorted(float(latency) for latency in db.execute(query).scalars())


def _percentile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _shown(readings: Counter[Reading]) -> list[str]:
    return [f"{device}/{metric} = {value} ({count}×)" for (device, metric, value), count in sorted(readings.items())]
