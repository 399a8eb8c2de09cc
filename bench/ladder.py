"""Where a reading's time goes: the CPU cost of each rung from the broker's bytes to the row on disk.

Frames of 200 readings, three level rules on each series; calm, and stormy with 4 % of readings changing a level. Rungs:
receive (packets out of 1 MB pieces of a byte stream), vet (decode, check, columns), journal (fsynced on disk), rules
(journal read included), history (journal read again, Parquet in batches as the history loop makes them, merges
included). Beside them, as no chain has them: InfluxDB in Parquet's place (the writer as the history loop calls it, a real
server, only what this process computes; where influxd is here), and alarms (transitions, alarms and notices of the rules
stored in SQL; Telegraf and InfluxDB have no such thing).

Non-goals: no network, no threads, no other process; what a broker and scheduling add is `drain`'s question. CPU seconds
(user + system of this process), never wall clock: fsyncs wait for the disk and are counted by what they compute.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from pydantic import SecretStr

from alerts.alarm import Effects, What
from alerts.engine import Engine
from alerts.program import Program, compile_rules
from alerts.store import Store
from alerts.texts import document
from bench import district, processes, stream
from bench.report import Cell, Goal, Report, Table, steps
from gatehouse.migrate import migrate
from ingest.committer import Committer
from ingest.history.history import HistoryWriter, series_places
from ingest.history.influx import InfluxWriter, connect
from ingest.history.influx_setup import set_up
from ingest.history.loop import ROWS_MAX
from ingest.history.parquet import ParquetWriter, parts_of
from ingest.history.settings import InfluxSettings
from ingest.packets import PacketReader
from ingest.vet import Vetter
from telemetry.batch import ReadingBatch, concatenate, decode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.journal import Journal, Kind
from telemetry.memory import keep_what_stands
from telemetry.series import SeriesRegistry

PIECE_BYTES = 1_000_000
RECORDS_MAX = 200  # journal records the alert worker reads and stores at once
GOALS = {"rules": 2_000_000, "history": 1_300_000, "InfluxDB": 1_000_000}  # readings per CPU second up to there, calm
GOAL_GROWTH = 1.5  # times the cost of a reading, the most series against the fewest, calm
CHAIN = ("receive", "vet", "journal", "rules", "history")
ALARMS, INFLUXDB = "alarms", "InfluxDB"
_END_MS = 1_795_000_000_000


@dataclass(slots=True)
class Stopwatch:
    """CPU and wall seconds of each rung."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def rung(self, name: str) -> Iterator[None]:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        yield
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - cpu_s
        self.wall_s[name] = self.wall_s.get(name, 0.0) + time.perf_counter() - wall_s


@dataclass(frozen=True, slots=True)
class Climb:
    """One climb of the ladder: what it cost and whether everything arrived."""

    reading_count: int
    watch: Stopwatch
    stored_count: int
    stored_mm: int
    raised_count: int
    kept_count: int  # readings whose alarms were stored

    def cost(self, rung: str) -> float:
        """CPU seconds per million readings."""
        return self.watch.cpu_s.get(rung, 0.0) * 1e6 / (self.kept_count if rung == ALARMS else self.reading_count)


def run(
    readings: int = 4_000_000,
    series: Sequence[int] = (1_000, 10_000, 100_000),
    rounds: int = 3,
    alarm_readings: int = 400_000,
    seed: int = 1,
) -> Report:
    """Climb calm and stormy for each number of series, `rounds` times; the median round counts.

    Args:
        alarm_readings: The rung of alarms in SQL is climbed by the first so many readings only: it takes long.
    """
    given: dict[str, Cell] = {"readings": readings, "series": str(list(series)), "rounds": rounds}
    given |= {"alarm_readings": alarm_readings, "seed": seed}
    report = Report("ladder", "what does each rung cost a reading?", given)
    cases = list(itertools.product(series, (False, True)))
    climbs: dict[tuple[int, bool], list[Climb]] = {case: [] for case in cases}
    work = [case for number in range(rounds) for case in (cases if number % 2 == 0 else cases[::-1])]
    with contextlib.ExitStack() as stack:
        with_influxdb = processes.influxdb_program() is not None
        server = (
            stack.enter_context(processes.influxdb(Path(stack.enter_context(TemporaryDirectory()))))
            if with_influxdb
            else None
        )
        with TemporaryDirectory() as folder:  # the first use of every library is nobody's cost a reading
            climb(stream.generate(4_000, 1_000, _END_MS, stream.STORM_SHARE), Path(folder), alarm_readings, server)
        keep_what_stands()  # as the core does
        for case in steps(work, "climbing"):
            series_count, is_stormy = case
            share = stream.STORM_SHARE if is_stormy else 0.0
            made = stream.generate(readings, series_count, _END_MS, share, seed)
            with TemporaryDirectory() as folder:
                climbs[case].append(climb(made, Path(folder), alarm_readings, server))
            _check(climbs[case][-1], made)
    # Whole rounds are ranked, so that rungs and their sum are of one and the same round.
    middle = {case: sorted(found, key=_chain_cost)[len(found) // 2] for case, found in climbs.items()}
    names = [f"{series_count:,} {'stormy' if is_stormy else 'calm'}" for series_count, is_stormy in cases]
    costs: list[list[Cell]] = [[rung, *(middle[case].cost(rung) for case in cases)] for rung in CHAIN]
    costs.append(["the chain to history", *(_chain_cost(middle[case]) for case in cases)])
    paths = {rung: CHAIN[: number + 1] for number, rung in enumerate(CHAIN)} | {ALARMS: (*CHAIN, ALARMS)}
    costs.append([ALARMS, *(middle[case].cost(ALARMS) for case in cases)])
    if with_influxdb:
        costs.append([INFLUXDB, *(middle[case].cost(INFLUXDB) for case in cases)])
        paths[INFLUXDB] = (*CHAIN[:-1], INFLUXDB)
    rates = {rung: [1e6 / sum(middle[case].cost(r) for r in path) for case in cases] for rung, path in paths.items()}
    sums: list[list[Cell]] = [[f"to {rung}", *found] for rung, found in rates.items()]
    checks: list[list[Cell]] = [
        ["rows in Parquet", *(middle[case].stored_count for case in cases)],
        ["their sum, mm", *(middle[case].stored_mm for case in cases)],
        ["alarms raised", *(middle[case].raised_count for case in cases)],
    ]
    report.tables = [
        Table("CPU seconds per million readings; series × weather", ("rung", *names), costs),
        Table("readings per CPU second, all rungs up to this one", ("", *names), sums),
        Table("what came out, the same as went in", ("", *names), checks),
    ]
    for case, name in zip(cases, names, strict=True):
        report.samples[name] = [1e6 / _chain_cost(found) for found in climbs[case]]
    for rung, goal in GOALS.items():
        for (_, is_stormy), name, rate in zip(cases, names, rates.get(rung, ()), strict=False):
            if not is_stormy:
                report.goals.append(Goal(f"to {rung}, {name}", f"≥ {goal:,} readings/CPU s", rate, rate >= goal))
    calm = [_chain_cost(middle[count, False]) for count in series]
    growth, what = calm[-1] / calm[0], f"a reading of {series[-1]:,} series against one of {series[0]:,}, the chain, ×"
    report.goals.append(Goal(what, f"≤ {GOAL_GROWTH:g}", growth, growth <= GOAL_GROWTH))
    if not with_influxdb:
        report.notes.append("InfluxDB is not here: deploy/influxdb/build.sh builds it")
    report.notes.append(
        f"alarms: stored in SQL for the first {alarm_readings:,} readings only; not in the chain that the goal is about"
    )
    return report


def climb(made: stream.Stream, folder: Path, alarm_readings: int, server: processes.InfluxDb | None = None) -> Climb:
    """Take a stream through all rungs, one batch at a time as the core's threads would."""
    catalogue = district.catalogue(made.value.shape[1])
    rules = district.rules()
    clock = ManualClock(made.end_ms)
    journal = Journal(folder / "journal.db")
    registry = SeriesRegistry.open(journal, catalogue)
    committer = Committer(journal, clock)
    vetter = Vetter(catalogue, registry, committer.seen())
    program = compile_rules(rules, catalogue, registry)
    places = series_places(registry, catalogue)
    writer = ParquetWriter(folder / "history", places)
    writer.start(0)
    keeper = _AlarmKeeper(folder, program, catalogue)
    data = b"".join(stream.frame_packets(made))
    watch = Stopwatch()
    _ingest(data, vetter, committer, clock, watch)
    raised_count, kept_count = _judge(journal, Engine(program), keeper, alarm_readings, watch)
    _keep_history(journal, writer, "history", watch)
    if server is not None:
        settings = InfluxSettings(url=server.url, token=SecretStr(server.token), bucket=folder.name, timeout_ms=60_000)
        set_up(settings)
        _keep_history(journal, InfluxWriter(settings, places), INFLUXDB, watch)
        _check_influxdb(settings, made)
    journal.close()
    keeper.close()
    stored_count, stored_mm = read_back(folder / "history")
    return Climb(len(made), watch, stored_count, stored_mm, raised_count, kept_count)


def read_back(folder: Path) -> tuple[int, int]:
    """(rows, sum in millimetres) of what Parquet holds."""
    count, total_mm = 0, 0
    for day in folder.glob("kind=*/day=*"):
        for part in parts_of(day):
            value = pq.read_table(part.path, columns=["value"])["value"].to_numpy()
            count += len(value)
            total_mm += stream.checksum_mm(value)
    return count, total_mm


def _ingest(data: bytes, vetter: Vetter, committer: Committer, clock: ManualClock, watch: Stopwatch) -> None:
    reader = PacketReader(payload_max=1_000_000)
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        with watch.rung("receive"):
            received = reader.feed(piece)
        with watch.rung("vet"):
            group = vetter.vet(received.messages, clock.now_ms())
        assert not group.rejects, group.rejects[0]
        with watch.rung("journal"):
            committer.commit(group, is_connected=True)
            vetter.accept(group)


def _judge(
    journal: Journal, engine: Engine, keeper: _AlarmKeeper, alarm_readings: int, watch: Stopwatch
) -> tuple[int, int]:
    """(alarms raised, readings whose alarms were stored)."""
    position, raised_count, kept_count = 0, 0, 0
    while True:
        merged = Effects()
        with watch.rung("rules"):
            records = journal.read(position, RECORDS_MAX)
            for record in records:
                effects = engine.apply(record)
                merged.transitions += effects.transitions
                merged.alarms |= effects.alarms
                position = record.offset
        if not records:
            return raised_count, kept_count
        raised_count += sum(taken.what is What.RAISED for taken in merged.transitions)
        if kept_count < alarm_readings:
            kept_count += sum(len(decode_batch(r.payload)) for r in records if r.kind is Kind.READINGS)
            with watch.rung(ALARMS):
                keeper.keep(merged, position)


class _AlarmKeeper:
    """What the alert worker does with transitions: documents, alarms, notices, one transaction."""

    def __init__(self, folder: Path, program: Program, catalogue: Catalogue) -> None:
        url = f"sqlite:///{folder / 'gatehouse.db'}"
        migrate(url)
        self._database = open_database(url)
        self._store = Store(self._database)
        self._rules = {rule.id: rule for rule in program.rules}
        self._catalogue = catalogue

    def keep(self, effects: Effects, cursor: int) -> None:
        if not effects.transitions:
            return
        alarms = effects.alarms
        documents = {a.id: document(a, self._rules[a.rule], self._catalogue) for a in alarms.values()}
        self._store.apply(cursor, effects.transitions, alarms, documents, dict.fromkeys(alarms, ()), {})

    def close(self) -> None:
        self._database.dispose()


def _keep_history(journal: Journal, writer: HistoryWriter, rung: str, watch: Stopwatch) -> None:
    position, written, row_count = 0, 0, 0
    batches: list[ReadingBatch] = []
    while True:
        with watch.rung(rung):
            records = journal.read(position)
            for record in records:
                position = record.offset
                if record.kind is Kind.READINGS:
                    batches.append(decode_batch(record.payload))
                    row_count += len(batches[-1])
            if batches and (row_count >= ROWS_MAX or not records):
                refused = writer.write(concatenate(batches), written + 1, position)
                assert not refused, refused[0]
                journal.set_cursor(rung, position)
                batches, row_count, written = [], 0, position
                writer.tidy()
        if not records and not batches:
            return


def _chain_cost(found: Climb) -> float:
    """CPU seconds per million readings from bytes to history."""
    return sum(found.cost(rung) for rung in CHAIN)


def _check_influxdb(settings: InfluxSettings, made: stream.Stream) -> None:
    """No figure without integrity: all rows, the right sum."""
    asked = f'from(bucket: "{settings.bucket}") |> range(start: -100y, stop: 100y) |> group()'
    with connect(settings) as client:
        count, total = (
            sum(
                record.get_value()
                for table in client.query_api().query(f"{asked} |> {how}()")
                for record in table.records
            )
            for how in ("count", "sum")
        )
    assert (count, round(1000 * total)) == (len(made), made.checksum_mm), "InfluxDB holds something else"


def _check(found: Climb, made: stream.Stream) -> None:
    """No figure without integrity."""
    assert (found.stored_count, found.stored_mm) == (len(made), made.checksum_mm), "Parquet holds something else"
    assert found.raised_count == stream.expected_steps(made)[0], "the rules raised something else"
