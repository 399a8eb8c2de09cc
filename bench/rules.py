"""How many rule evaluations a CPU second makes: ten level rules on each of 10,000 series.

Wide batches (one reading a series) and tall ones (a backlog: 200 readings of one series at a time), calm and stormy (4 %
of readings change one level). Three rungs: the conditions alone; the engine (journal record in, transitions out); the
scalar twin of `tests/oracles` on a part of the same stream, whose outcome must be the same.

Non-goals: no journal on disk, no SQL (that is `ladder`'s question). CPU seconds of this process.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.alarm import What
from alerts.conditions import Conditions
from alerts.engine import Engine
from alerts.program import Program, compile_rules
from alerts.rules import RuleFile
from bench import district
from bench.report import Cell, Goal, Report, Table, steps
from telemetry.batch import Floats, ReadingBatch, encode_batch
from telemetry.journal import Kind, Stored
from telemetry.memory import keep_what_stands
from telemetry.series import ONLINE, SeriesRegistry
from tests.oracles.lifecycle import Condition

RULES = 10
STORM_SHARE = 0.04
TALL = 200
GOALS = {"wide calm": 15.0, "wide stormy": 5.0, "tall calm": 10.0, "tall stormy": 10.0}
_START_MS = 1_795_000_000_000
_SPACING = 0.1
_DEADBAND = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """One stream, as batches. `value` is (T rounds, S series)."""

    name: str
    value: Floats
    batches: Sequence[ReadingBatch]

    @property
    def evaluations(self) -> int:
        return int(self.value.size) * RULES


def program(series_count: int) -> Program:
    """Ten rules of one level each, a tenth apart."""
    catalogue = district.catalogue(series_count)
    common = {"type": "level", "class": "drain", "metric": district.METRIC, "deadband": _DEADBAND}
    common |= {"reopen_within_s": 0, "flap_slot_s": 0.001}  # every crossing is an alarm of its own
    rules = [
        {"id": f"r{n}", "name": f"r{n}", **common, "levels": [{"severity": "high", "at_least": 1 + _SPACING * n}]}
        for n in range(RULES)
    ]
    registry = SeriesRegistry([*catalogue.metric, *((gateway.id, ONLINE) for gateway in catalogue.gateways)])
    return compile_rules(RuleFile.model_validate({"rules": rules}).rules, catalogue, registry)


def values(rounds: int, series_count: int, share: float, seed: int) -> Floats:
    """Levels in the middle of one of eleven bands; so many of a hundred move to a neighbouring one."""
    random = np.random.default_rng(seed)
    band = np.zeros(series_count, np.int64)  # nothing breaches at first
    found = np.empty((rounds, series_count))
    for number in range(rounds):
        moves = random.random(series_count) < share
        way = np.where(random.random(series_count) < 0.5, -1, 1)
        way = np.where(band == 0, 1, np.where(band == RULES, -1, way))
        band = band + moves * way
        found[number] = 1 - _SPACING / 2 + _SPACING * band + random.normal(0, 0.004, series_count)
    return found


def run(
    series: int = 10_000, rounds: int = 100, tall_rounds: int = TALL, twin_series: int = 100, seed: int = 1
) -> Report:
    """Measure every case."""
    given: dict[str, Cell] = {
        "series": series,
        "rules": RULES,
        "rounds": rounds,
        "twin_series": twin_series,
        "seed": seed,
    }
    report = Report("rules", "how many rule evaluations does a CPU second make?", given)
    ready = program(series)
    keep_what_stands()  # as the core does
    rows: list[list[Cell]] = []
    cases = [(shape, weather) for shape in ("wide", "tall") for weather in ("calm", "stormy")]
    _warm_up(ready)
    for shape, weather in steps(cases, "judging"):
        share = STORM_SHARE if weather == "stormy" else 0.0
        made = values(rounds if shape == "wide" else tall_rounds, series, share, seed)
        case = Case(f"{shape} {weather}", made, list((_wide if shape == "wide" else _tall)(ready, made)))
        alone_s, step_count = _conditions(ready, case)
        engine_s, raised = _engine(ready, case)
        twin_s, twin_raised, same = _twin(ready, case, twin_series)
        rates = [case.evaluations / seconds / 1e6 for seconds in (alone_s, engine_s)]
        twin_rate = twin_series * len(made) * RULES / twin_s / 1e6
        rows.append([case.name, *rates, twin_rate, rates[0] / twin_rate, step_count, raised, f"{twin_raised}: {same}"])
        report.goals.append(
            Goal(
                f"{case.name}, engine",
                f"≥ {GOALS[case.name]:.0f} M/CPU s",
                rates[1],
                rates[1] >= GOALS[case.name],
            )
        )
        report.goals.append(
            Goal(f"{case.name}, against the twin", "≥ 50 ×", rates[0] / twin_rate, rates[0] / twin_rate >= 50)
        )
    columns = ("case", "conditions", "engine", "scalar twin", "conditions ÷ twin", "steps", "raised", "twin raised")
    report.tables = [Table("million rule evaluations per CPU second", columns, rows)]
    bytes_each = _memory(series)
    report.goals.append(Goal("memory per rule instance", "≤ 400 bytes", bytes_each, bytes_each <= 400))
    return report


def _levels(ready: Program) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array([s for s, (_, metric) in enumerate(ready.names) if metric == district.METRIC], np.uint32)


def _wide(ready: Program, value: Floats) -> Iterator[ReadingBatch]:
    series = _levels(ready)
    for number, row in enumerate(value):
        times = np.full(len(series), _START_MS + 1000 * number, np.int64)
        yield ReadingBatch(series.copy(), times, row.copy(), np.zeros(len(series), np.uint8))


def _tall(ready: Program, value: Floats) -> Iterator[ReadingBatch]:
    """Fifty series at a time, as a gateway's backlog comes: each with all of its rounds."""
    series, rounds = _levels(ready), len(value)
    times = _START_MS + 1000 * np.arange(rounds, dtype=np.int64)
    for start in range(0, len(series), 50):
        some = series[start : start + 50]
        column = value[:, start : start + 50].T.ravel()
        yield ReadingBatch(np.repeat(some, rounds), np.tile(times, len(some)), column, np.zeros(len(column), np.uint8))


def _conditions(ready: Program, case: Case) -> tuple[float, int]:
    conditions = Conditions(ready)
    gc.collect()
    began_s, found = time.process_time(), 0
    for batch in case.batches:
        found += len(conditions.readings(batch).steps)
    return time.process_time() - began_s, found


def _engine(ready: Program, case: Case) -> tuple[float, int]:
    engine = Engine(ready)
    records = [
        Stored(number + 1, Kind.READINGS, int(batch.time_ms[-1]), encode_batch(batch))
        for number, batch in enumerate(case.batches)
    ]
    gc.collect()
    began_s, raised = time.process_time(), 0
    for record in records:
        effects = engine.apply(record)
        raised += sum(taken.what is What.RAISED for taken in effects.transitions)
    return time.process_time() - began_s, raised


def _twin(ready: Program, case: Case, series_count: int) -> tuple[float, int, str]:
    """The same readings of some series through plain ifs, and whether the outcome is the same."""
    columns = [column.tolist() for column in case.value[:, :series_count].T]
    limits = [1 + _SPACING * n for n in range(RULES)]
    began_s, raised = time.process_time(), 0
    for column in columns:
        conditions = [Condition(limit, limit - _DEADBAND, 0, 1, 0) for limit in limits]
        for number, value in enumerate(column):
            for condition in conditions:
                was = condition.state
                condition.observe(value, _START_MS + 1000 * number)
                raised += condition.state == "firing" and was == "normal"
    seconds = time.process_time() - began_s
    some = replace(case, value=case.value[:, :series_count], batches=list(_wide_of(ready, case.value, series_count)))
    _, ours = _engine(ready, some)
    return seconds, raised, "the same" if ours == raised else f"DIFFERENT, {ours}"


def _wide_of(ready: Program, value: Floats, series_count: int) -> Iterator[ReadingBatch]:
    series = _levels(ready)[:series_count]
    for number, row in enumerate(value[:, :series_count]):
        times = np.full(series_count, _START_MS + 1000 * number, np.int64)
        yield ReadingBatch(series.copy(), times, row.copy(), np.zeros(series_count, np.uint8))


def _warm_up(ready: Program) -> None:
    made = values(3, len(_levels(ready)), STORM_SHARE, 0)
    _engine(ready, Case("", made, list(_wide(ready, made))))


def _memory(series: int) -> float:
    """Bytes that one rule instance takes, of the program and its state together."""

    def taken(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        ready = program(count)
        engine = Engine(ready)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del engine
        return size

    few = max(1, series // 10)
    return (taken(series) - taken(few)) / (RULES * (series - few))
