"""The last readings in memory, over a history that counts how often it is asked."""

from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from api.newest import NewestReadings
from ingest.history.history import Lately, Newest
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable

LEVEL = ("level-1", "level")


class _History:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rows: list[tuple[tuple[str, str], Newest]] = []
        self.asked_s: list[int] = []  # how far back
        self.known: list[Set[str]] = []
        self.is_away = False
        self.error: Exception | None = None

    def keep(self, ago_s: float, value: float, name: tuple[str, str] = LEVEL) -> None:
        self.rows.append((name, Newest(self.clock.now_ms() - round(ago_s * 1000), value, 0)))

    def newest(self, since_ms: int, known: Set[str] = frozenset()) -> Lately:
        self.known.append(known)
        self.asked_s.append((self.clock.now_ms() - since_ms) // 1000)
        if self.is_away:
            raise Unavailable("no history")
        if self.error is not None:
            raise self.error
        found: dict[tuple[str, str], Newest] = {}
        for name, last in self.rows:
            if last.time_ms >= since_ms and (name not in found or last.time_ms >= found[name].time_ms):
                found[name] = last
        return Lately(found, {str(len(self.rows))})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def history(clock: ManualClock) -> _History:
    return _History(clock)


def made(history: _History, heard: dict[tuple[str, str], tuple[int, float, int]] | None = None) -> NewestReadings:
    return NewestReadings(history, heard or {}, history.clock)  # type: ignore[arg-type]


def value(newest: NewestReadings, name: tuple[str, str] = LEVEL) -> float | None:
    last = newest.get(*name)
    return None if last is None else last.value


def waited(newest: NewestReadings) -> None:
    """What was begun in the background is done."""
    newest._reader.submit(lambda: None).result()


def test_two_days_are_read_once_and_then_what_came_lately(history: _History, clock: ManualClock) -> None:
    history.keep(40 * 3600, 1.0)
    newest = made(history)
    assert [value(newest) for _ in range(100)] == [1.0] * 100
    assert history.asked_s == [2 * 86_400]

    history.keep(0, 2.0)
    clock.advance(5)
    assert value(newest) == 1.0  # nobody waits
    waited(newest)
    assert [value(newest) for _ in range(100)] == [2.0] * 100
    assert history.asked_s == [2 * 86_400, 15 * 60 + 5]
    assert history.known == [frozenset(), {"1"}]  # what was seen is handed back


def test_after_nobody_asked_for_long_the_first_who_asks_waits_for_what_is_true(
    history: _History, clock: ManualClock
) -> None:
    history.keep(0, 1.0)
    newest = made(history)
    assert value(newest) == 1.0
    clock.advance(7200)
    history.keep(0, 2.0)
    assert value(newest) == 2.0


def test_many_who_ask_at_once_at_the_start_all_wait(history: _History) -> None:
    history.keep(0, 1.0)
    for _ in range(100):
        newest = made(history)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _, newest=newest: value(newest), range(8))) == [1.0] * 8


def test_whatever_goes_wrong_with_history_is_logged_and_asked_again(history: _History, clock: ManualClock) -> None:
    history.keep(0, 1.0)
    newest = made(history)
    assert value(newest) == 1.0
    history.error = RuntimeError("a file that is none")
    clock.advance(5)
    with capture_logs() as logs:
        assert value(newest) == 1.0
        waited(newest)
    assert [line["event"] for line in logs] == ["history does not say what is newest"]
    history.error = None
    history.keep(0, 2.0)
    clock.advance(5)
    assert value(newest) == 1.0
    waited(newest)
    assert value(newest) == 2.0


def test_after_nobody_asked_for_long_nothing_is_skipped(history: _History, clock: ManualClock) -> None:
    newest = made(history)
    assert value(newest) is None
    clock.advance(1000)
    history.keep(900, 3.0)
    clock.advance(2500)
    newest.refresh()
    assert value(newest) == 3.0


def test_a_late_reading_is_not_newer(history: _History, clock: ManualClock) -> None:
    history.keep(0, 2.0)
    newest = made(history)
    assert value(newest) == 2.0
    clock.advance(20 * 60)
    history.keep(25 * 60, 1.0)
    newest.refresh()
    assert value(newest) == 2.0


def test_a_backlog_that_nobody_told_of_is_found_within_the_hour_and_the_old_is_left_out(
    history: _History, clock: ManualClock
) -> None:
    history.keep(47.5 * 3600, 9.0, ("old", "level"))
    newest = made(history)
    assert value(newest, ("old", "level")) == 9.0
    history.keep(3 * 3600, 4.0)
    clock.advance(60)
    newest.refresh()
    assert value(newest) is None
    clock.advance(3600)
    newest.refresh()
    assert value(newest) == 4.0
    assert value(newest, ("old", "level")) is None


def test_what_the_broker_tells_counts_where_it_is_newer(history: _History, clock: ManualClock) -> None:
    now_ms = clock.now_ms()
    history.keep(10, 1.0)
    heard = {LEVEL: (now_ms - 11_000, 0.5, 0), ("lane-1", "skin"): (now_ms, 36.6, 1)}
    newest = made(history, heard)
    assert value(newest) == 1.0
    assert newest.get("lane-1", "skin") == Newest(now_ms, 36.6, 1)
    heard[LEVEL] = (now_ms - 9_000, 1.5, 0)
    assert value(newest) == 1.5


def test_while_history_is_away_the_last_that_was_known_stays(history: _History, clock: ManualClock) -> None:
    history.is_away = True
    newest = made(history)
    for _ in range(3):
        with pytest.raises(Unavailable):
            newest.get(*LEVEL)
    assert len(history.asked_s) == 1  # one who hangs is not asked by everybody
    history.is_away = False
    history.keep(0, 1.0)
    clock.advance(5)
    assert value(newest) == 1.0
    history.is_away = True
    clock.advance(5)
    assert value(newest) == 1.0
    waited(newest)
    assert value(newest) == 1.0
