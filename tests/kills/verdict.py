"""What is stored against what was promised, and the alarms and notices against those that follow from it."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import sqlalchemy as sa

from alerts.store import alarms, notices, transitions
from ingest.history.parquet_files import parts_of
from telemetry import journal_files
from telemetry.batch import decode_batch
from telemetry.database import open_database
from telemetry.identity import alarm_id
from telemetry.journal import Kind
from telemetry.reading import Reading
from tests.kills.district import DEVICES, PLANS
from tests.kills.load import Key, Ledger
from tests.oracles.occurrences import Occurrence, OneReading, occurrences

SHOWN_MAX = 5


@dataclass
class Verdict:
    """What rounds came to."""

    lost: int = 0  # promised and nowhere, or stored as something else
    twice: int = 0  # in the journal or in history more than once, or never measured
    missed: int = 0  # alarms that are not there, notices that reached nobody
    doubled: int = 0  # alarms and notices that there should not be
    readings: int = 0
    promised: int = 0
    alarms: int = 0
    notices: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.twice or self.missed or self.doubled)

    def add(self, other: Verdict) -> None:
        for name in ("lost", "twice", "missed", "doubled", "readings", "promised", "alarms", "notices"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.violations += other.violations


@dataclass(frozen=True)
class Stores:
    """Where a round left what it has."""

    journal: Path
    database_url: str
    parquet: Path | None
    influx: tuple[str, str] | None  # URL, token


def judge(stores: Stores, ledger: Ledger, owed: set[Key], taken: dict[str, dict[str, Any]]) -> Verdict:
    """Everything that must hold.

    Args:
        owed: Readings that must be stored; others that were offered may be.
        taken: What the pager took, by key.
    """
    verdict = Verdict(promised=len(owed))
    journalled = _journalled(stores.journal, verdict)
    history = Counter(_in_parquet(stores.parquet) if stores.parquet else _in_influx(*stores.influx or ("", "")))
    stored = {row[:2]: row for row in history}
    verdict.readings = len(stored)

    def wrong(what: str, found: set[Any] | list[Any]) -> int:
        if found:
            shown = ", ".join(str(one) for one in sorted(found, key=str)[:SHOWN_MAX])
            verdict.violations.append(f"{what}: {len(found)}: {shown}")
        return len(found)

    known = {(device, time_ms) for device, time_ms, *_ in journalled}
    verdict.lost += wrong("lost: promised and not in the journal", owed - known)
    verdict.lost += wrong("lost: in the journal and not in history", known - stored.keys())
    verdict.twice += wrong("twice in the journal", [key for key, count in journalled.items() if count > 1])
    verdict.twice += wrong("twice in history", [key for key, count in history.items() if count > 1])
    verdict.twice += wrong("stored what nobody measured", (stored.keys() | known) - ledger.offered.keys())
    other = []
    for key, (_, _, metric, value) in stored.items():
        offered = ledger.offered.get(key)
        if offered is not None and (offered.metric, offered.value) != (metric, value):
            other.append((key, metric, value, offered))
    verdict.lost += wrong("stored as something else", other)
    readings = [ledger.offered[key] for key in stored if key in ledger.offered]
    _judge_alarms(stores, verdict, readings, taken, wrong)
    return verdict


def _judge_alarms(
    stores: Stores, verdict: Verdict, readings: list[Reading], taken: dict[str, dict[str, Any]], wrong: Any
) -> None:
    by_series: dict[tuple[str, str], list[OneReading]] = {}
    for reading in readings:
        one = OneReading(reading.time_ms, reading.value, 0, reading.key)
        by_series.setdefault((reading.device, reading.metric), []).append(one)
    expected = occurrences(PLANS, by_series)
    database = open_database(stores.database_url)
    with database.connect() as db:
        rows = db.execute(sa.select(alarms)).all()
        steps = db.execute(sa.select(transitions).order_by(transitions.c.alarm, transitions.c.seq)).all()
        told = db.execute(sa.select(notices)).all()
    database.dispose()
    # That the pager was away for too long is about us, not about the field.
    ours = {row.id for row in rows if row.rule == "undelivered"}
    rows, steps = [row for row in rows if row.id not in ours], [step for step in steps if step.alarm not in ours]
    verdict.alarms, verdict.notices = len(rows), len(taken)
    worst: dict[str, int] = {}
    for step in steps:
        worst[step.alarm] = max(worst.get(step.alarm, 0), step.severity)
    found, strange = Counter[Occurrence](), []
    for row in rows:
        passage = row.document.get("key")
        found[Occurrence(row.rule, row.device, passage, row.onset_ms, worst.get(row.id, 0), row.closed_ms)] += 1
        if row.id != alarm_id(row.rule, row.device, row.document["metric"], passage, row.onset_ms):
            strange.append(row.id)
    verdict.missed += wrong("missed, or not as it was", expected - found.keys())
    verdict.doubled += wrong("extra, or not as it was", found.keys() - expected)
    verdict.doubled += wrong("two alarms for one", [one for one, count in found.items() if count > 1])
    verdict.doubled += wrong("an id that does not follow from the onset", strange)
    gapped = []
    for alarm, of_alarm in itertools.groupby(steps, lambda step: step.alarm):
        numbers = [step.seq for step in of_alarm]
        if numbers != list(range(1, len(numbers) + 1)):
            gapped.append((alarm, numbers))
    verdict.doubled += wrong("steps that do not count up", gapped)
    owed = {row.key for row in told if row.channel == "pager"}
    due = {f"{step.alarm}/{step.seq}/pager" for step in steps if step.what in ("raised", "severity-up")}
    verdict.missed += wrong("raised, and no notice on record", due - owed)
    verdict.missed += wrong("on record and never told", owed - taken.keys())
    verdict.doubled += wrong("told and not on record", taken.keys() - owed)
    keys = Counter(
        (alarm["rule"], alarm["device"], alarm["key"], alarm["onset_ms"], notice["what"])
        for notice in taken.values()
        for alarm in (notice["alarm"],)
        if notice["what"] != "severity-up"  # an alarm may get worse more than once
    )
    verdict.doubled += wrong("one step told under two keys", [step for step, count in keys.items() if count > 1])


def _journalled(folder: Path, verdict: Verdict) -> Counter[tuple[str, int, str]]:
    """(device, time, metric) of every reading of a device in the journal."""
    summary = journal_files.summary(folder)
    for damage in summary.damages:
        verdict.lost += 1
        verdict.violations.append(f"the journal calls records damaged: {damage}")
    prefix = "series/"
    names = {int(k.removeprefix(prefix)): v.decode() for k, v in summary.state.items() if k.startswith(prefix)}
    found = Counter[tuple[str, int, str]]()
    for record in journal_files.records_from(folder, 1):
        if record.kind in (Kind.READINGS, Kind.BACKLOG):
            batch = decode_batch(record.payload)
            for series, time_ms in zip(batch.series.tolist(), batch.time_ms.tolist(), strict=True):
                device, metric = names[series].split("/")
                if device not in DEVICES:
                    found[device, time_ms, metric] += 1
    return found


def _in_parquet(folder: Path) -> Iterator[tuple[str, int, str, float]]:
    """(device, time, metric, value) of every row."""
    for day in folder.glob("kind=*/day=*"):
        for part in parts_of(day):
            for row in pq.read_table(part.path, partitioning=None).to_pylist():
                if row["device"] not in DEVICES:
                    yield row["device"], row["time_ms"], row["metric"], row["value"]


def _in_influx(url: str, token: str) -> Iterator[tuple[str, int, str, float]]:
    """(device, time, metric, value) of every point."""
    flux = """
        from(bucket: "gatehouse") |> range(start: 0) |> filter(fn: (r) => not r._field =~ /_quality$/)
          |> map(fn: (r) => ({r with ns: int(v: r._time)})) |> group() |> keep(columns: ["device", "ns", "_field", "_value"])
    """
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/vnd.flux", "Accept": "application/csv"}
    answer = httpx2.post(f"{url}/api/v2/query?org=gatehouse", content=flux, headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    for row in csv.DictReader(io.StringIO(answer.text.strip())):
        if row.get("device") and row["device"] not in DEVICES:
            yield row["device"], int(row["ns"]) // 1_000_000, row["_field"], float(row["_value"])
