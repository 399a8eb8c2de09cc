import threading
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa

from gatehouse.migrate import migrate
from ingest.group import Reject
from ingest.history.history import Refused
from ingest.history.loop import CURSOR, HistoryLoop
from ingest.history.quarantine import Quarantine
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record


class Shelf:
    """A history that can be away, and takes its time."""

    def __init__(self, fails: int = 0, gather_s: float = 2.0) -> None:
        self.started: list[int] = []
        self.written: list[tuple[int, int, list[float]]] = []
        self.untidy = 0
        self.fails = fails
        self.gather_s = gather_s
        self.clock, self.takes_s = ManualClock(), 0.0

    def start(self, cursor: int) -> None:
        self.started.append(cursor)

    def write(self, batch: ReadingBatch, first: int, last: int) -> Sequence[Refused]:
        if self.fails:
            self.fails -= 1
            raise Unavailable("away")
        self.written.append((first, last, batch.value.tolist()))
        self.clock.advance(self.takes_s)
        return ()

    def tidy(self) -> bool:
        self.untidy -= 1
        return self.untidy > 0

    def warning(self) -> str:
        return ""


class Stop(threading.Event):
    """Never really waits."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.fixture
def database(tmp_path: Path) -> sa.Engine:
    migrate(f"sqlite:///{tmp_path}/g.db")
    return open_database(f"sqlite:///{tmp_path}/g.db")


def reading(value: float) -> Record:
    batch = ReadingBatch(np.zeros(1, np.uint32), np.ones(1, np.int64), np.array([value]), np.zeros(1, np.uint8))
    return Record(Kind.READINGS, 1, encode_batch(batch))


def run(journal: Journal, shelf: Shelf, database: sa.Engine, stopped: bool = True) -> None:
    """Once through everything that is there."""
    stop = Stop()
    if stopped:
        stop.set()
    HistoryLoop(journal, shelf, Quarantine(database), ManualClock()).run(stop)


def test_what_waits_is_written_together_when_the_core_stops(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf()
    journal.append([reading(1.0), Record(Kind.TICK, 2, b"connected"), reading(2.0)])
    run(journal, shelf, database)
    assert shelf.written == [(1, 3, [1.0, 2.0])]
    assert journal.cursor(CURSOR) == 3
    journal.append([reading(3.0)])
    run(journal, shelf, database)
    assert shelf.started == [0, 3]
    assert shelf.written[-1] == (4, 4, [3.0])


def test_what_is_to_be_tidied_is_tidied_before_the_loop_rests(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf, stop = Journal(tmp_path / "j.db"), Shelf(), threading.Event()
    journal.append([reading(1.0)])
    shelf.untidy = 1000
    rests: list[int] = []

    def rest(after: int, seconds: float) -> None:
        rests.append(shelf.untidy)
        stop.set()

    with mock.patch.object(journal, "wait", rest):
        HistoryLoop(journal, shelf, Quarantine(database), ManualClock()).run(stop)
    assert rests == [0]


def test_a_history_that_is_away_is_tried_again_and_the_cursor_waits(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf(fails=3)
    journal.append([reading(1.0)])
    # Stopped while history is away: nothing is claimed.
    run(journal, shelf, database)
    assert (shelf.written, journal.cursor(CURSOR)) == ([], 0)
    shelf.fails = 0
    run(journal, shelf, database)
    assert (shelf.written, journal.cursor(CURSOR)) == ([(1, 1, [1.0])], 1)


def test_refusals_are_shown_once_however_often_the_journal_is_read(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf(fails=99)
    rejects = [Reject("bad-value", "x", "t", "e", 2), Reject("bad-value", "y", "t", "e", 1)]
    journal.append([reading(1.0), Record(Kind.REJECTS, 5, msgspec.json.encode(rejects))])
    run(journal, shelf, database)
    run(journal, shelf, database)
    assert Quarantine(database).counts() == {"bad-value": 3}
    assert [entry.detail for entry in Quarantine(database).newest(10)] == ["y", "x"]


@pytest.mark.parametrize("gather_s", [0.0, 0.01])
def test_a_quick_store_gets_readings_at_once_and_a_slow_one_rests_most_of_the_time(
    tmp_path: Path, database: sa.Engine, gather_s: float
) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf(gather_s=gather_s)
    loop = HistoryLoop(journal, shelf, Quarantine(database), shelf.clock)

    def waited_s() -> float:
        """How long a reading waits that comes when the last write is done."""
        journal.append([reading(1.0)])
        count, began_s = len(shelf.written), shelf.clock.monotonic_s()
        while True:
            loop.step()
            if len(shelf.written) > count:
                return shelf.clock.monotonic_s() - began_s - shelf.takes_s
            shelf.clock.advance(0.005)

    assert waited_s() == pytest.approx(gather_s, abs=0.006)
    shelf.takes_s = 0.1
    assert waited_s() == pytest.approx(gather_s, abs=0.006)
    assert waited_s() == pytest.approx(0.3, abs=0.006)
    shelf.clock.advance(1.0)
    assert waited_s() == pytest.approx(gather_s, abs=0.006)
    shelf.takes_s = 3.0
    waited_s()
    shelf.takes_s = 0.0
    assert waited_s() == pytest.approx(2.0, abs=0.006)  # and no longer, however slow it was
    assert waited_s() == pytest.approx(gather_s, abs=0.006)


def test_the_cursor_is_noted_once_a_second_and_when_the_core_stops(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf(gather_s=0.0)
    loop = HistoryLoop(journal, shelf, Quarantine(database), shelf.clock)
    noted = []
    for _ in range(25):
        journal.append([reading(1.0)])
        loop.step()
        noted.append(journal.cursor(CURSOR))
        shelf.clock.advance(0.125)
    assert len(shelf.written) == 25
    assert sorted(set(noted)) == [1, 9, 17, 25]
    journal.append([reading(1.0)])
    loop.step()
    assert journal.cursor(CURSOR) == 25
    loop.step(is_stopping=True)
    assert journal.cursor(CURSOR) == 26


def test_what_is_read_and_waits_for_company_is_not_noted_as_written(tmp_path: Path, database: sa.Engine) -> None:
    journal, shelf = Journal(tmp_path / "j.db"), Shelf(gather_s=2.0)
    loop = HistoryLoop(journal, shelf, Quarantine(database), shelf.clock)
    for count in range(3):
        journal.append([reading(1.0)])
        for _ in range(2):  # a core that dies in between must read it again
            loop.step()
            assert (len(shelf.written), journal.cursor(CURSOR)) == (count, count)
            shelf.clock.advance(1.5)
        loop.step()
        assert (len(shelf.written), journal.cursor(CURSOR)) == (count + 1, count + 1)
