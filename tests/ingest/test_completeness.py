from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from ingest import completeness
from ingest.completeness import CURSOR, CompletenessLoop
from ingest.group import Gap, Reject
from ingest.history import completeness as completeness_history
from ingest.history.completeness import Completeness, Counted, SeriesDay
from ingest.history.coverage import Tally, learned_interval_ms
from ingest.history.days import MINUTES_MAX, Days
from ingest.history.gateways import GatewayState, GatewayStates
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.database import metadata
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district
from tests.oracles.completeness import count

MIDNIGHT_MS = 1_792_879_200_000  # 25 October 2026 in Berlin: the day has 25 hours
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NOW_MS = MIDNIGHT_MS + 30 * HOUR_MS
DAYS = ("2026-10-24", "2026-10-25", "2026-10-26")
ZONES = {"east": "Europe/Berlin", "west": "Asia/Shanghai"}
INTERVALS_MS = {"level": 45_000, "power": 300_000}
LEVEL, SKIN, POWER = ("level-1", "level"), ("scanner", "skin_temperature"), ("meter", "power")
ROUTES = {"level-1": ("gw-east", "east"), "scanner": ("gw-east", "east"), "meter": ("gw-west", "west")}

Arrival = tuple[tuple[str, str], int, int, int, bool]  # series, time, known, quality, is backlog


class World:
    """A journal, a database that can be made to refuse, and the reader between them, which can be killed."""

    def __init__(self, folder: Path, since_ms: int = MIDNIGHT_MS - DAY_MS) -> None:
        district.write_district(folder)
        text = district.CATALOGUE.replace("name: East}", "name: East, timezone: Europe/Berlin}")
        text = text.replace("unit: m,", "unit: m, interval_s: 45,").replace("unit: W}", "unit: W, interval_s: 300}")
        (folder / "catalogue" / "all.yaml").write_text(text, encoding="utf-8")
        self.catalogue = Catalogue.load(folder / "catalogue")
        self.journal = Journal(folder / "journal.db")
        self.registry = SeriesRegistry.open(self.journal, self.catalogue)
        self.database = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        metadata.create_all(self.database)
        self.clock = ManualClock(since_ms)
        self.store = Completeness(self.database)
        self.heard: dict[str, GatewayState] = {}
        self.refused: list[int] = []  # numbers of the commits that will be refused, counted from now
        sa.event.listen(self.database, "commit", self._refuse)
        self.start()
        self.clock.advance((NOW_MS - since_ms) / 1000)

    def start(self) -> None:
        self.loop = CompletenessLoop(
            self.journal,
            self.store,
            GatewayStates(self.database),
            self.catalogue,
            self.registry,
            self.clock,
            lambda: self.heard,
            keep_days=30,
        )

    def finish(self) -> None:
        """Until nothing is left to do."""
        for _ in range(5):
            while self.loop.step():
                pass
            self.clock.advance(60)

    def shown(self, day: str, now_ms: int = NOW_MS) -> dict[tuple[str, str], SeriesDay]:
        found = self.store.day(self.catalogue, ZONES, date.fromisoformat(day), now_ms)
        return {(each.device, each.metric): each for each in found}

    def journal_readings(self, *arrivals: Arrival) -> None:
        self.journal.append([self.record(arrivals)])

    def record(self, arrivals: Sequence[Arrival]) -> Record:
        """One record of arrivals that were learned of together."""
        _, _, known_ms, _, is_backlog = arrivals[0]
        batch = ReadingBatch(
            np.array([self.registry.index[a[0]] for a in arrivals], np.uint32),
            np.array([a[1] for a in arrivals], np.int64),
            np.ones(len(arrivals)),
            np.array([a[3] for a in arrivals], np.uint8),
        )
        return Record(Kind.BACKLOG if is_backlog else Kind.READINGS, known_ms, encode_batch(batch))

    def _refuse(self, _connection: sa.Connection) -> None:
        is_refused = 0 in self.refused
        self.refused = [number - 1 for number in self.refused if number > 0]
        if is_refused:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("disk full"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def every(series: tuple[str, str], step_ms: int, start_ms: int, end_ms: int, is_backlog: bool = False) -> list[Arrival]:
    return [(series, time_ms, time_ms + 500, 0, is_backlog) for time_ms in range(start_ms, end_ms, step_ms)]


def silent(world: World, day: str = DAYS[1]) -> list[tuple[int, int]]:
    """Hours since midnight."""
    found = world.shown(day)[LEVEL].coverage.silent
    return [((a - MIDNIGHT_MS) // HOUR_MS, (b - MIDNIGHT_MS) // HOUR_MS) for a, b in found]


def feed(world: World, arrivals: Sequence[Arrival]) -> None:
    world.journal_readings(*arrivals)
    world.finish()


def test_a_full_day_lacks_nothing_also_when_it_has_25_hours(world: World) -> None:
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + 25 * HOUR_MS))
    shown = world.shown(DAYS[1])[LEVEL]
    assert (shown.coverage.expected, shown.coverage.missing, shown.coverage.silent) == (2000, 0, ())
    assert shown.counts is not None and (shown.counts.good, shown.counts.received) == (2000, 2000)


def test_a_gap_is_shown_and_closes_when_the_backlog_arrives_in_whatever_order(world: World) -> None:
    hours = [MIDNIGHT_MS + n * HOUR_MS for n in range(26)]
    feed(world, every(LEVEL, 45_000, hours[0], hours[5]) + every(LEVEL, 45_000, hours[9], hours[25]))
    assert silent(world) == [(5, 9)]
    assert world.shown(DAYS[1])[LEVEL].coverage.missing == 320
    feed(world, every(LEVEL, 45_000, hours[7], hours[8], is_backlog=True))
    assert silent(world) == [(5, 7), (8, 9)]
    feed(world, every(LEVEL, 45_000, hours[8], hours[9], is_backlog=True))
    feed(world, every(LEVEL, 45_000, hours[5], hours[7], is_backlog=True))
    assert silent(world) == []
    shown = world.shown(DAYS[1])[LEVEL]
    assert shown.counts is not None and (shown.coverage.missing, shown.counts.late) == (0, 320)


def test_nothing_is_due_of_what_comes_when_it_comes(world: World) -> None:
    feed(world, [(SKIN, MIDNIGHT_MS + n * n * 1000, MIDNIGHT_MS + n * n * 1000, 0, False) for n in range(200)])
    shown = world.shown(DAYS[1])[SKIN]
    assert (shown.interval_ms, shown.coverage.expected, shown.coverage.missing, shown.gaps()) == (None, None, None, [])
    assert shown.counts is not None and shown.counts.received == 200


def test_series_that_are_looked_at_some_at_a_time_are_shown_alike(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(world, [*every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS), (SKIN, MIDNIGHT_MS, MIDNIGHT_MS, 0, False)])
    at_once = world.shown(DAYS[1])
    assert len(at_once) > 2
    monkeypatch.setattr("ingest.history.completeness._AT_ONCE", 1)
    assert world.shown(DAYS[1]) == at_once


def test_a_series_is_due_from_when_it_was_known_of(tmp_path: Path) -> None:
    world = World(tmp_path, since_ms=NOW_MS)
    assert world.shown(DAYS[1]) == {}
    feed(world, every(LEVEL, 45_000, NOW_MS, NOW_MS + HOUR_MS))
    later = world.shown(DAYS[2], now_ms=NOW_MS + 2 * HOUR_MS)[LEVEL].coverage
    assert (later.expected, later.missing) == (7140 // 45, 7140 // 45 - 80)
    assert later.silent == ((NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS - MINUTE_MS),)
    # What it had measured before was not due, but is counted.
    feed(world, every(LEVEL, 45_000, NOW_MS - HOUR_MS, NOW_MS, is_backlog=True))
    shown = world.shown(DAYS[2], now_ms=NOW_MS + 2 * HOUR_MS)[LEVEL]
    assert shown.coverage == later and shown.counts is not None and shown.counts.received == 160


def test_at_its_first_start_it_counts_what_the_journal_still_holds(tmp_path: Path) -> None:
    world = World(tmp_path, since_ms=NOW_MS)
    world.journal_readings(*every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS))
    with world.database.begin() as db:
        db.execute(sa.text("DELETE FROM completeness_series"))
    world.start()
    world.finish()
    coverage = world.shown(DAYS[1])[LEVEL].coverage
    assert coverage.expected == (25 * HOUR_MS - MINUTE_MS) // 45_000


def test_what_a_gateway_says_is_gone_is_kept_with_its_reason_and_cut_at_midnight(world: World) -> None:
    level = world.registry.index[LEVEL]
    gaps = [
        Gap(level, MIDNIGHT_MS - HOUR_MS, MIDNIGHT_MS + 3 * HOUR_MS - 1, 400, "thinned"),
        Gap(level, MIDNIGHT_MS + 9 * HOUR_MS, MIDNIGHT_MS + 9 * HOUR_MS, 1, "refused"),
        Gap(level, 0, MIDNIGHT_MS - 29 * DAY_MS, 7, "refused"),
    ]
    rejects = [Reject("gap", "", "gatehouse/v1/east/gw-east/frames", "", 12), Reject("gap", "", "rubbish", "", 5)]
    world.journal.append(
        [
            Record(Kind.GAPS, MIDNIGHT_MS, msgspec.json.encode(gaps)),
            Record(Kind.REJECTS, MIDNIGHT_MS, msgspec.json.encode(rejects)),
            Record(Kind.REJECTS, MIDNIGHT_MS, msgspec.json.encode(rejects)),
        ]
    )
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS - HOUR_MS, NOW_MS))
    before, after = world.shown(DAYS[0])[LEVEL], world.shown(DAYS[1])[LEVEL]
    assert (before.known_lost, after.known_lost) == (100, 301)
    assert [gap[2] for gap in after.gaps()] == ["thinned", "refused"]
    assert world.store.frames_lost(date.fromisoformat(DAYS[1])) == {"gw-east": 24}


def test_the_cursor_follows_in_the_journal_so_that_it_can_be_trimmed(world: World) -> None:
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS))
    world.journal.append([Record(Kind.TICK, NOW_MS, b"connected")])
    world.finish()
    assert world.journal.cursor(CURSOR) == world.store.cursor() == 2


def test_keeping_that_takes_long_is_done_less_often_and_memory_stays_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    add = world.store.add

    def _slow(*args: object) -> None:
        kept.append(world.clock.monotonic_s())
        world.clock.advance(3.0)
        add(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "add", _slow)
    for number in range(200):
        world.journal_readings((LEVEL, NOW_MS + number * 1000, NOW_MS + number * 1000, 0, False))
        world.loop.step()
        world.clock.advance(1.0)
    assert len(kept) == 4  # after five seconds, and then every minute: a twentieth of the time
    monkeypatch.setattr(completeness, "ROWS_MAX", 1)
    monkeypatch.setattr(completeness, "CELLS_MAX", 3)
    for minute in range(6):  # more sums than may be held: kept at once
        world.journal_readings((LEVEL, NOW_MS + minute * MINUTE_MS, NOW_MS + minute * MINUTE_MS, 0, False))
    for _ in range(8):
        world.loop.step()
    assert len(kept) == 5


def test_a_database_that_refuses_is_tried_again_and_nothing_counts_twice(world: World) -> None:
    world.refused = [0, 1, 3]
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS))
    counts = world.shown(DAYS[1])[LEVEL].counts
    assert counts is not None and counts.received == 80


def test_a_journal_that_cannot_be_read_for_a_while_is_counted_later(world: World) -> None:
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS // 2))
    with mock.patch.object(world.journal, "read", side_effect=Unavailable("disk I/O error")):
        assert not world.loop.step()
    feed(world, every(LEVEL, 45_000, MIDNIGHT_MS + HOUR_MS // 2, MIDNIGHT_MS + HOUR_MS))
    counts = world.shown(DAYS[1])[LEVEL].counts
    assert counts is not None and counts.received == 80


def counted_days(world: World) -> int | None:
    with world.database.connect() as db:
        return db.execute(sa.text("SELECT count(*) FROM completeness_day")).scalar()


def test_what_is_older_than_the_days_kept_is_not_counted_and_forgotten(world: World) -> None:
    feed(world, [(LEVEL, NOW_MS - age * DAY_MS, NOW_MS, 0, False) for age in (0, 31, 29)])
    assert counted_days(world) == 2
    world.clock.advance(3 * 86_400)
    world.finish()
    assert counted_days(world) == 1


def test_a_clock_that_is_years_ahead_forgets_nothing_and_leaves_nothing_uncounted(world: World) -> None:
    feed(world, [(LEVEL, NOW_MS - age * DAY_MS, NOW_MS, 0, False) for age in (0, 1)])
    world.clock.advance(50 * 366 * 86_400)
    world.start()
    feed(world, [(LEVEL, NOW_MS + 1000, world.clock.now_ms(), 0, False)])
    world.finish()
    counts = world.shown(DAYS[-1])[LEVEL].counts
    assert counted_days(world) == 2 and counts is not None and counts.received == 2


def test_the_metrics_tell_how_complete_each_site_is_and_what_gateways_hold(world: World) -> None:
    world.heard["gw-east"] = GatewayState(True, 12, NOW_MS - 90_000, 10, False, 0, NOW_MS)
    world.journal_readings(*every(LEVEL, 90_000, MIDNIGHT_MS, MIDNIGHT_MS + 25 * HOUR_MS))
    world.finish()

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    assert value("gatehouse_completeness_ratio", site="east", day="yesterday") == pytest.approx(0.25)
    assert (
        value("gatehouse_missing_readings", site="east", day="yesterday") == 1000 + 2000
    )  # of two sensors, one silent
    assert value("gatehouse_gateway_spooled_frames", site="east", gateway="gw-east") == 12
    assert (value("gatehouse_gateway_oldest_seconds", site="east", gateway="gw-east") or 0) >= 90
    assert GatewayStates(world.database).all() == world.heard


# Readings on both sides of everything: midnights, minutes, what is late, what is due.
TIMES = st.builds(
    lambda base, offset: MIDNIGHT_MS + base + offset,
    st.sampled_from([0, 25 * HOUR_MS, -8 * HOUR_MS, 16 * HOUR_MS, 17 * HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS]),
    st.sampled_from([-MINUTE_MS, -1, 0, 1, 59_999, MINUTE_MS, 3 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS]),
)
ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([LEVEL, SKIN, POWER]),
        TIMES,
        st.sampled_from([0, 59_999, 60_000, 60_001, HOUR_MS]),
        st.sampled_from([0, 0, 1, 2]),
        st.booleans(),
    ),
    min_size=4,
    max_size=30,
)
LOSSES = st.lists(st.tuples(TIMES, st.sampled_from([0, 1, HOUR_MS, DAY_MS]), st.integers(1, 5)), max_size=3)
SINCES = st.sampled_from([MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS + 30_001, MIDNIGHT_MS + 26 * HOUR_MS + 1])
WHENS = st.lists(st.sampled_from(["step", "step", "pause", "pause", "crash", "refuse", "refuse-next"]), max_size=25)


@settings(deadline=None, max_examples=120)
@given(ARRIVALS, LOSSES, SINCES, st.data(), WHENS)
def test_any_order_any_cut_and_any_crash_give_the_figures_of_the_oracle(
    drawn: list[tuple[tuple[str, str], int, int, int, bool]],
    lost: list[tuple[int, int, int]],
    since_ms: int,
    data: st.DataObject,
    whens: list[str],
) -> None:
    arrivals: list[Arrival] = [(series, t, t + delay, quality, old) for series, t, delay, quality, old in drawn]
    gaps = [(first_ms, first_ms + length_ms, missing) for first_ms, length_ms, missing in lost]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(completeness, "_RECORDS_AT_ONCE", data.draw(st.integers(1, 4)))
        patch.setattr(completeness, "ROWS_MAX", data.draw(st.sampled_from([1, 5, 1000])))
        patch.setattr(completeness, "CELLS_MAX", data.draw(st.sampled_from([1, 7, 1000])))
        world = World(Path(folder), since_ms)
        level = world.registry.index[LEVEL]
        records = [
            Record(Kind.GAPS, NOW_MS, msgspec.json.encode([Gap(level, first_ms, last_ms, missing, "thinned")]))
            for first_ms, last_ms, missing in gaps
        ]
        # What was learned of together may still come in one record or in several.
        together: dict[tuple[int, bool], list[Arrival]] = {}
        for arrival in arrivals:
            together.setdefault((arrival[2], arrival[4]), []).append(arrival)
        for group in together.values():
            cut = data.draw(st.integers(0, len(group)))
            records += [world.record(part) for part in (group[:cut], group[cut:]) if part]
        world.journal.append(data.draw(st.permutations(records)))
        for when in whens:
            if when == "step":
                world.loop.step()
            elif when == "pause":
                world.clock.advance(5)
            elif when == "crash":
                world.refused = []
                world.start()
            else:
                world.refused = [0] if when == "refuse" else [1]
        world.refused = []
        world.finish()
        for day in DAYS:
            shown = world.shown(day)
            for series in (LEVEL, SKIN, POWER):
                due = count(
                    [(t, known_ms, q, old) for name, t, known_ms, q, old in arrivals if name == series],
                    gaps if series == LEVEL else [],
                    ZONES[ROUTES[series[0]][1]],
                    day,
                    INTERVALS_MS.get(series[1]),
                    since_ms,
                    NOW_MS,
                    60_000,
                )
                assert figures(shown.get(series)) == due, (day, series)
        world.journal.close()
        world.database.dispose()


def figures(shown: SeriesDay | None) -> dict[str, object] | None:
    if shown is None:
        return None
    counts, coverage = shown.counts, shown.coverage
    return {
        "good": counts.good if counts else 0,
        "suspect": counts.suspect if counts else 0,
        "bad": counts.bad if counts else 0,
        "late": counts.late if counts else 0,
        "expected": coverage.expected,
        "missing": coverage.missing,
        "silent": list(coverage.silent),
        "known_lost": shown.known_lost,
    }


def by_minute(times_s: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.bincount([int(t // 60) for t in times_s], minlength=MINUTES_MAX).astype(np.uint16)


@given(st.sampled_from([1, 2, 5, 7, 11, 30, 45, 60, 300, 900]), st.integers(0, 2**32), st.booleans())
@settings(deadline=None)
def test_an_interval_is_learned_from_what_comes_like_a_clock_also_with_holes(
    interval_s: int, seed: int, has_holes: bool
) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(0, 5 * 3600, interval_s) + rng.uniform(0, 0.05 * interval_s)
    if has_holes:
        times = times[(times < 6000) | (times > 7300)]
    learned_ms = learned_interval_ms(by_minute(times.tolist()))
    assert learned_ms == pytest.approx(interval_s * 1000, rel=0.02)


@given(st.sampled_from([0.02, 0.1, 0.5, 1, 2, 3, 5, 8, 20]), st.integers(0, 2**32))
@settings(deadline=None)
def test_nothing_is_learned_from_people_who_come_when_they_come(per_minute: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(60 / per_minute, 3000))
    assert learned_interval_ms(by_minute(times[times < 18 * 3600].tolist())) is None


def test_too_little_teaches_nothing() -> None:
    assert learned_interval_ms(np.zeros(MINUTES_MAX, np.uint16)) is None
    assert learned_interval_ms(by_minute(list(range(0, 1000, 2)))) is None


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_every_time_lies_in_its_day(zone: str) -> None:
    days = Days(zone)
    times = np.arange(1_790_000_000_000, 1_800_000_000_000, 7_123_457)
    for time_ms, day in zip(times.tolist(), days.of(times).tolist(), strict=True):
        assert days.start_ms(day) <= time_ms < days.start_ms(day + 1)
        assert days.start_ms(day + 1) - days.start_ms(day) <= MINUTES_MAX * MINUTE_MS


def test_while_it_adds_up_others_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = sa.create_engine(f"sqlite:///{tmp_path}/gatehouse.db", connect_args={"timeout": 0})
    metadata.create_all(database)
    store = Completeness(database)
    series = 2 * completeness_history._AT_ONCE
    one = np.ones(series, np.int64)
    day = one * date(2026, 10, 25).toordinal()
    counted = Counted(
        np.arange(series, dtype=np.uint32), day, one, one.astype(np.uint8), one.astype(np.bool_), one.astype(np.int64)
    )
    held = completeness_history._held
    written: list[int] = []

    def held_and_written(db: sa.Connection, keys: NDArray[np.int64]) -> dict[int, Tally]:
        found = held(db, keys)
        GatewayStates(database).keep({f"gw-{len(written)}": GatewayState(True, 0, None, 0, False, 0, 0)})
        written.append(len(keys))
        return found

    monkeypatch.setattr(completeness_history, "_held", held_and_written)
    for last in (1, 2):
        store.add(counted, [], {}, last)
    assert len(written) == 4
    with database.connect() as db:
        assert db.execute(sa.select(completeness_history.days.c.suspect)).scalars().all() == [2] * series


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from([739_914, 739_915]),
            st.integers(0, MINUTES_MAX - 1),
            st.integers(0, 2),
            st.booleans(),
            st.integers(1, 9),
        ),
        max_size=60,
    )
)
def test_sums_are_the_same_whichever_way_they_are_made(rows: list[tuple[int, int, int, int, bool, int]]) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * 6
    dtypes = (np.uint32, np.int64, np.int64, np.uint8, np.bool_, np.int64)
    counted = Counted(*(np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)))
    expected: dict[tuple[int, ...], int] = {}
    for *cell, number in rows:
        expected[tuple(cell)] = expected.get(tuple(cell), 0) + number
    for sorted_from in (0, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(completeness_history, "_SORTED_FROM", sorted_from)
            found = completeness_history.summed_up([counted])
        columns_found = [getattr(found, name) for name in Counted.__slots__]
        assert [column.dtype for column in columns_found] == [np.dtype(dtype) for dtype in dtypes]
        assert [(*cell,) for cell in zip(*(column.tolist() for column in columns_found), strict=True)] == [
            (*cell, number) for cell, number in sorted(expected.items())
        ]
