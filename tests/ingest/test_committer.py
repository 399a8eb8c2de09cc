from pathlib import Path

import msgspec
import pytest

from alerts.book import Telling
from alerts.engine import decode_command
from ingest.committer import Committer, decode_rejects
from ingest.group import Group
from ingest.packets import Message
from ingest.vet import Vetter
from telemetry import frames
from telemetry.batch import decode_arrival, decode_batch
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.journal import AWAY, CONNECTED, Journal, Kind, Record
from telemetry.reading import encode_readings
from tests import district
from tests.ingest.test_vet import EAST, frame


class FailingJournal(Journal):
    """A disk that can be made to refuse."""

    refuses = False

    def append(self, records: list[Record], state: dict[str, bytes] | None = None) -> int:  # type: ignore[override]
        if self.refuses:
            raise Unavailable("no space left on device")
        return super().append(records, state)


@pytest.fixture
def journal(tmp_path: Path) -> FailingJournal:
    return FailingJournal(tmp_path / "journal.db")


def make_vetter(tmp_path: Path, committer: Committer) -> Vetter:
    catalogue, registry, _ = district.load(tmp_path)
    return Vetter(catalogue, registry, committer.seen())


def vet(vetter: Vetter, *payloads: bytes) -> Group:
    return vetter.vet([Message(f"{EAST}/frames", p, i + 1, False) for i, p in enumerate(payloads)], 1_795_000_000_000)


def test_a_group_is_one_transaction_with_its_tick(tmp_path: Path, journal: FailingJournal) -> None:
    committer = Committer(journal, ManualClock())
    group = vet(make_vetter(tmp_path, committer), frame(1), b"rubbish", frame(2))
    committer.commit(group, is_connected=True)
    kinds = [record.kind for record in journal.read(0)]
    assert kinds == [Kind.READINGS, Kind.REJECTS, Kind.TICK]
    assert len(decode_batch(journal.read(0)[0].payload)) == 2
    assert [reject.reason for reject in decode_rejects(journal.read(0)[1].payload)] == ["bad-frame"]
    assert committer.seen() == {"gw-east/epoch": 2}


def test_what_a_frame_without_a_reading_says_is_on_record(tmp_path: Path, journal: FailingJournal) -> None:
    committer = Committer(journal, ManualClock())
    columns = encode_readings([])
    old = frames.encode("gw-east", "old", 1, 1, columns, is_backlog=True, behind=1)
    group = vet(make_vetter(tmp_path, committer), old, frames.encode("gw-east", "new", 1, 1, columns))
    committer.commit(group, is_connected=True)
    live, backlog, _ = journal.read(0)
    assert (live.kind, backlog.kind) == (Kind.READINGS, Kind.BACKLOG)
    assert [decode_arrival(record.payload)[1] for record in (live, backlog)] == [{"gw-east": 1}, {"gw-east": 1}]


def test_a_local_alarm_becomes_a_command_that_is_remembered_with_it(tmp_path: Path, journal: FailingJournal) -> None:
    alarm = {"id": "a1", "rule": "r", "device": "level-1", "metric": "level", "onset_ms": 1, "raised_ms": 2}
    payload = msgspec.json.encode({"state": "online", "local_alarms": [alarm]})
    committer = Committer(journal, ManualClock())
    vetter = make_vetter(tmp_path, committer)
    committer.commit(vetter.vet([Message(f"{EAST}/status", payload, 1, True)], 1_795_000_000_000), is_connected=True)
    told = next(r.payload for r in journal.read(0) if r.kind is Kind.COMMAND)
    assert decode_command(told) == Telling("a1", raised_ms=2, rule="r", device="level-1", metric="level", onset_ms=1)
    assert journal.state("told/") == {"told/gw-east": b'["a1"]'}


def test_what_was_seen_survives_a_restart(tmp_path: Path, journal: FailingJournal) -> None:
    clock = ManualClock()
    committer = Committer(journal, clock)
    committer.commit(vet(make_vetter(tmp_path, committer), frame(1), frame(2)), is_connected=True)
    again = Committer(journal, clock)
    group = vet(make_vetter(tmp_path, again), frame(1), frame(2), frame(3))
    assert len(group.readings) == 1


def test_a_disk_that_refuses_keeps_nothing_and_the_frame_counts_when_it_is_sent_again(
    tmp_path: Path, journal: FailingJournal
) -> None:
    committer = Committer(journal, ManualClock())
    vetter = make_vetter(tmp_path, committer)
    group = vet(vetter, frame(1))
    journal.refuses = True
    with pytest.raises(Unavailable):
        committer.commit(group, is_connected=True)
    assert (journal.last, committer.seen()) == (0, {})
    journal.refuses = False
    committer.commit(vet(vetter, frame(1)), is_connected=True)
    assert committer.seen() == {"gw-east/epoch": 1}


def test_a_tick_a_second_says_whether_anything_could_be_heard(journal: FailingJournal) -> None:
    clock = ManualClock()
    committer = Committer(journal, clock)
    for connected in (True, True, False, False, True):
        committer.commit(Group(), is_connected=connected)
        clock.advance(0.5)
    assert [record.payload for record in journal.read(0)] == [CONNECTED, AWAY, CONNECTED]


def test_after_a_long_pause_there_is_one_tick_not_many(journal: FailingJournal) -> None:
    clock = ManualClock()
    committer = Committer(journal, clock)
    committer.commit(Group(), is_connected=True)
    clock.advance(3600)
    for _ in range(5):
        committer.commit(Group(), is_connected=True)
    assert journal.last == 2


def test_of_lanes_that_are_gone_only_the_newest_are_remembered(tmp_path: Path, journal: FailingJournal) -> None:
    seen = {f"seen/gw-east/{number:04d}": b"7" for number in range(300)}
    journal.set_state(seen)
    committer = Committer(journal, ManualClock())
    vetter = make_vetter(tmp_path, committer)
    status = msgspec.json.encode({"state": "online", "lanes": ["0000", "9999"]})
    committer.commit(
        group := vetter.vet([Message(f"{EAST}/status", status, 1, True)], 1_795_000_000_000), is_connected=True
    )
    vetter.accept(group)
    kept = [source.partition("/")[2] for source in committer.seen()]
    assert kept == ["0000", *(f"{number:04d}" for number in range(44, 300))]
