"""`gatehouse backtest`: history or journal, rules and alarms put together; also what the API's background job runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from alerts.backtest import BacktestReport, Gathered, Labelled, Occurrence, backtest, make_report, unattended
from alerts.engine import Engine
from alerts.outcome import outcome_of
from alerts.program import compile_rules
from alerts.rules import Rule, RuleFile, load_rules
from alerts.store import alarms
from api.backtests import Wanted
from gatehouse.settings import Settings
from ingest.history.history import series_places
from ingest.history.settings import ParquetSettings
from ingest.history.stream import any_batches, parquet_batches
from telemetry import journal_files
from telemetry.batch import ReadingBatch
from telemetry.catalogue import Catalogue
from telemetry.database import open_database
from telemetry.declaration import read_document, validate
from telemetry.errors import BadConfiguration
from telemetry.journal import Kind, Stored
from telemetry.series import ONLINE, SeriesRegistry

_SERIES = "series/"
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rules, over which time."""

    rules: tuple[str, ...]
    start_ms: int
    end_ms: int
    tried: tuple[Rule, ...] = ()  # changed or new; what is not among them is tried as it holds
    over_journal: bool = False


def read_rules(file: Path) -> tuple[Rule, ...]:
    """The rules of one file. Raises Mistakes."""
    return validate(read_document(file), RuleFile).rules


def run(settings: Settings, asked: Asked, progress: Progress = lambda _: None) -> BacktestReport:
    """Judge the past. Raises BadConfiguration or Unavailable."""
    catalogue = Catalogue.load(settings.catalogue)
    holding = {rule.id: rule for rule in load_rules(settings.rules, catalogue)}
    changed = {rule.id: rule for rule in asked.tried}
    names = asked.rules or tuple(changed)
    for name in names:
        if name not in holding and name not in changed:
            raise BadConfiguration(f"there is no rule '{name}'; there are {', '.join(sorted(holding | changed))}")
    tried = [changed.get(name) or holding[name] for name in names]
    in_force = [holding[name] for name in names if name in holding]
    labels = labelled(settings, names, asked.start_ms, asked.end_ms)
    if asked.over_journal:
        new, count = _over_journal(settings, catalogue, tried, asked, progress)
        old: list[Occurrence] | None = new
        if tried != in_force:
            old = _over_journal(settings, catalogue, in_force, asked, progress)[0] if in_force else None
        return make_report(tried, catalogue, new, old, (0, 0), labels, count, asked.start_ms, asked.end_ms)
    registry = SeriesRegistry([*catalogue.metric, *((gateway.id, ONLINE) for gateway in catalogue.gateways)])
    batches = partial(_batches, settings, catalogue, registry, asked, progress)
    return backtest(tried, in_force, catalogue, registry, batches, labels, asked.start_ms, asked.end_ms)


def run_job(settings: Settings, wanted: Wanted) -> dict[str, Any]:
    """The same as data, for a process in the background."""
    return run(settings, Asked(wanted.rule, wanted.start, wanted.end, wanted.rules)).as_data()


def labelled(settings: Settings, names: Sequence[str], start_ms: int, end_ms: int) -> list[Labelled]:
    """Alarms of these rules that people said something of."""
    query = sa.select(alarms).where(alarms.c.rule.in_(names), alarms.c.onset_ms >= start_ms, alarms.c.onset_ms < end_ms)
    database = open_database(settings.database.url)
    if not sa.inspect(database).has_table("alarm"):
        return []
    found = []
    with database.connect() as db:
        for row in db.execute(query):
            said: Mapping[str, Any] = row.document
            outcome = outcome_of(said.get("disposition"))
            if outcome is not None:
                what = (row.rule, row.device, said["metric"], said.get("key"))
                found.append(Labelled(*what, row.onset_ms, row.closed_ms, outcome))
    return found


def show(report: BacktestReport, console: Console) -> None:
    """Print it."""
    days = max(1e-9, (report.end_ms - report.start_ms) / 86_400_000)
    table = Table(
        title=f"{', '.join(report.rules)}: {report.readings:,} readings of {days:.1f} days", title_justify="left"
    )
    for column in ("", "tried", "in force"):
        table.add_column(column, justify="left" if not column else "right")
    new, old = report.tried, report.in_force
    rows: list[tuple[str, Callable[[Any], str]]] = [
        ("alarms", lambda c: f"{c.alarms:,}"),
        ("a day", lambda c: f"{c.alarms / days:.2f}"),
        ("worst day", lambda c: f"{max(c.per_day.values(), default=0):,}"),
        *((f"shift {shift}", lambda c, shift=shift: f"{c.per_shift[shift]:,}") for shift in new.per_shift),
        ("longest", lambda c: f"{c.longest_ms / 3_600_000:.1f} h"),
        ("open at the end", lambda c: f"{c.open_at_end:,}"),
        ("chattering (≥ 3 steps a minute)", lambda c: f"{c.chattering:,}"),
        ("time in flood", lambda c: f"{c.flood_share:.2%}"),
    ]
    for title, shown in rows:
        table.add_row(title, shown(new), "–" if old is None else shown(old))
    console.print(table)
    if report.difference is not None:
        both, gone, come = report.difference.both, len(report.difference.only_old), len(report.difference.only_new)
        console.print(f"raised by both {both:,}, only by the version in force {gone:,}, only by the tried one {come:,}")
    for outcome, (had, hit) in sorted(report.outcomes.items()):
        console.print(f"of {had:,} alarms that people called '{outcome}', the tried rules raise {hit:,}")


def _batches(
    settings: Settings,
    catalogue: Catalogue,
    registry: SeriesRegistry,
    asked: Asked,
    progress: Progress,
    wanted: set[int],
    needs_order: bool,
) -> Iterable[ReadingBatch]:
    places = series_places(registry, catalogue)
    span = asked.start_ms, asked.end_ms
    if isinstance(settings.history, ParquetSettings):
        return parquet_batches(settings.history.folder, places, wanted, needs_order, *span, progress)
    from ingest.history.influx_reader import InfluxReader

    return any_batches(InfluxReader(settings.history), places, wanted, *span, progress)


def _over_journal(
    settings: Settings, catalogue: Catalogue, rules: Sequence[Rule], asked: Asked, progress: Progress
) -> tuple[list[Occurrence], int]:
    """The whole engine over the journal's records: with ticks, so that silence is judged; without what people did."""
    folder = settings.journal.path
    state = journal_files.summary(folder).state
    stored = sorted((key, value.decode()) for key, value in state.items() if key.startswith(_SERIES))
    registry = SeriesRegistry((line.partition("/")[0], line.partition("/")[2]) for _, line in stored)

    def reread(after: int, through: int) -> Iterable[Stored]:
        for record in journal_files.records_from(folder, after + 1):
            if record.offset > through:
                return
            yield record

    engine = Engine(compile_rules(unattended(rules), catalogue, registry), lambda a, t: iter(reread(a, t)))
    gathered, count = Gathered(), 0
    for record in journal_files.records_from(folder, 1):
        if record.time_ms >= asked.end_ms:
            break
        if record.time_ms >= asked.start_ms and record.kind in (Kind.READINGS, Kind.BACKLOG, Kind.TICK):
            gathered.take_effects(engine.apply(record))
            count += record.kind is not Kind.TICK
            if not record.offset % 1000:
                progress(record.time_ms)
    return gathered.occurrences(), count
