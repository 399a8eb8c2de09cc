import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import recent
from ingest.committer import Committer
from ingest.packets import Message
from ingest.recent import Recent, message_digest
from ingest.vet import Vetter
from telemetry.batch import ReadingBatch, decode_batch
from telemetry.clock import ManualClock
from telemetry.journal import Journal, Kind
from tests import district
from tests.ingest.test_vet import EAST, frame

START_MS = 1_795_000_000_000


class Core:
    """The door and its journal; it can be killed at any moment, and its disk can refuse."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = ManualClock(START_MS)
        self.journal = Journal(folder / "journal.db")
        self.restart()

    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self._folder / "journal.db")
        catalogue, registry, _ = district.load(self._folder)
        self._committer = Committer(self.journal, self._clock)
        self.vetter = Vetter(catalogue, registry, self._committer.seen(), Recent.open(self.journal))

    def take(self, *messages: Message, is_durable: bool = True) -> None:
        """`is_durable` False: the disk refuses, and the core gives the connection up."""
        self._clock.advance(1)
        group = self.vetter.vet(messages, self._clock.now_ms())
        if is_durable:
            self._committer.commit(group, is_connected=True)
            self.vetter.accept(group)

    def values(self) -> Counter[float]:
        records, after = [], 0
        while some := self.journal.read(after):
            records += some
            after = some[-1].offset
        return Counter(v for r in records if r.kind is Kind.READINGS for v in decode_batch(r.payload).value.tolist())


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    made = Core(tmp_path)
    yield made
    made.journal.close()


def message(*rows: dict[str, object], packet_id: int = 1, is_duplicate: bool = False) -> Message:
    payload = json.dumps({"readings": [{"device": "level-1", "metric": "level"} | row for row in rows]}).encode()
    return Message(f"{EAST}/readings", payload, packet_id, False, is_duplicate)


def timed(value: float, **more: object) -> dict[str, object]:
    return {"value": value, "time": START_MS} | more


def test_a_row_that_comes_again_is_stored_once(core: Core) -> None:
    core.take(message(timed(1.0), timed(2.0)))
    core.take(message(timed(2.0), timed(3.0)), message(timed(3.0)))
    assert core.values() == {1.0: 1, 2.0: 1, 3.0: 1}


def test_a_row_twice_in_one_message_is_stored_once(core: Core) -> None:
    core.take(message(timed(1.0), timed(1.0), timed(2.0)))
    assert core.values() == {1.0: 1, 2.0: 1}


def test_rows_that_differ_in_anything_are_different(core: Core) -> None:
    core.take(message(timed(1.0), timed(1.0, key="a"), timed(1.0, key="b"), timed(1.0, time=START_MS + 1)))
    core.take(message(timed(1.0, key="c"), timed(1.0, device="level-2")))
    assert core.values() == {1.0: 6}


def test_a_row_is_known_again_after_a_restart(core: Core) -> None:
    core.take(message(timed(1.0), timed(2.0, key="p")))
    core.restart()
    core.take(message(timed(1.0), timed(2.0, key="p"), timed(2.0, key="q")))
    assert core.values() == {1.0: 1, 2.0: 2}


def test_what_did_not_become_durable_is_taken_when_it_comes_again(core: Core) -> None:
    core.take(message(timed(1.0), {"value": 2.0}), is_durable=False)
    assert core.values() == {}
    core.take(message(timed(1.0), {"value": 2.0}, is_duplicate=True))
    assert core.values() == {1.0: 1, 2.0: 1}


def test_rows_without_a_time_are_new_unless_the_broker_says_that_it_repeats_them(core: Core) -> None:
    core.take(message({"value": 1.0}), message({"value": 1.0}, packet_id=2))
    core.take(message({"value": 1.0}))
    assert core.values() == {1.0: 3}
    core.take(message({"value": 1.0}, is_duplicate=True))
    core.restart()
    core.take(
        message({"value": 1.0}, packet_id=2, is_duplicate=True), message({"value": 1.0}, packet_id=3, is_duplicate=True)
    )
    assert core.values() == {1.0: 4}


def test_a_row_whose_clock_runs_ahead_is_known_again_after_a_restart(core: Core) -> None:
    ahead = timed(1.0, time=START_MS + 10**9)
    core.take(message(ahead))
    core.take(message(ahead, packet_id=2))
    core.restart()
    core.take(message(ahead, is_duplicate=True))
    assert core.values() == {1.0: 1}


def test_what_gateways_send_leaves_no_less_room_for_plain_rows_after_a_restart(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "ROWS_MAX", 20)
    core.take(message(timed(1.0)), Message(f"{EAST}/frames", frame(1), 2, False))
    for seq in range(2, 60):
        core.take(Message(f"{EAST}/frames", frame(seq, value=seq / 100), seq, False))  # no two of them alike
    core.restart()
    core.take(message(timed(1.0)))
    assert core.values()[1.0] == 1


def test_only_the_newest_are_remembered(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ROWS_MAX", 6)
    monkeypatch.setattr(recent, "_RECORDS_AT_ONCE", 2)
    for number in range(8):
        core.take(message(timed(float(number))))
    core.restart()
    for value in (5.0, 6.0, 7.0):
        core.take(message(timed(value)))
    assert core.values() == Counter(map(float, range(8)))
    core.take(message(timed(0.0)))
    assert core.values()[0.0] == 2


def test_the_journals_state_stays_small_however_many_messages_there_were() -> None:
    memory, state = Recent(), dict[str, bytes]()
    digests = [message_digest(message({"value": 1.0}, packet_id=number)) for number in range(1, 10_000)]
    for start in range(0, len(digests), 7):
        state |= memory.state(digests[start : start + 7])
        memory.accept(set(), digests[start : start + 7])
    assert len(state) == recent.BLOCKS
    for known in (memory, Recent(state)):
        held = [known.has_message(digest) for digest in digests]
        assert all(held[-recent.MESSAGES_MAX + recent.BLOCK :])
        assert sum(held) <= recent.MESSAGES_MAX


# Each message has rows of values of its own; `None` is a row without a time. A step delivers some of the messages.
ROWS = st.lists(st.sampled_from([0, 1, 2, 61_000_000, None]), min_size=1, max_size=3)
STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=4, unique=True), st.sampled_from(["kept", "kept", "lost", "restart"])
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROWS, min_size=1, max_size=6), STEPS)
def test_any_pattern_of_redelivery_stores_each_row_once(
    sent: list[list[int | None]], steps: list[tuple[list[int], str]]
) -> None:
    def build(number: int, is_duplicate: bool) -> Message:
        rows: list[dict[str, object]] = [
            {"value": float(number * 10 + i), **({} if ago is None else {"time": START_MS + ago})}
            for i, ago in enumerate(sent[number])
        ]
        # A row may also stand in two messages: devices repeat what they think was lost.
        again = [timed(0.25)] if number % 2 else []
        return message(*rows, *again, packet_id=number + 1, is_duplicate=is_duplicate)

    with TemporaryDirectory() as folder:
        core = Core(Path(folder))
        delivered = set[int]()
        for numbers, how in [*steps, (list(range(len(sent))), "kept"), (list(range(len(sent))), "restart")]:
            numbers = [number for number in numbers if number < len(sent)]
            core.take(*[build(number, number in delivered) for number in numbers], is_durable=how != "lost")
            delivered |= set(numbers)
            if how == "restart":
                core.restart()
        expected = {float(n * 10 + i): 1 for n, rows in enumerate(sent) for i in range(len(rows))}
        assert core.values() == expected | ({0.25: 1} if len(sent) > 1 else {})
        core.journal.close()


def test_a_row_is_known_again_whatever_company_it_had() -> None:
    def batch(*rows: tuple[int, int, float, str | None]) -> ReadingBatch:
        keys = {number: key for number, (*_, key) in enumerate(rows) if key is not None}
        columns = list(zip(*rows, strict=True))
        return ReadingBatch(
            np.array(columns[0], np.uint32),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.float64),
            np.zeros(len(rows), np.uint8),
            keys,
        )

    rows = [(1, 5, 0.5, None), (2, 5, 36.6, "p1"), (1, 6, 0.5, None), (2, 5, 36.6, "p2")]
    alone = [recent.row_hashes(batch(row))[0] for row in rows]
    assert recent.row_hashes(batch(*rows)) == alone
    assert len(set(alone)) == 4
