import threading
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.history.history import SeriesPlace
from ingest.live import LiveValues
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record

SERIES = [SeriesPlace(f"d{i}", "level", "k", "p", "east" if i < 3 else "west") for i in range(4)]


class Once(threading.Event):
    """Lets a loop run so many rounds."""

    def __init__(self, rounds: int, between: Any) -> None:
        super().__init__()
        self.left, self.between = rounds, between

    def wait(self, timeout: float | None = None) -> bool:
        if not self.left:
            return True
        self.left -= 1
        self.between()
        return False


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=10), max_size=6))
def test_screens_are_told_the_newest_of_what_changed(tmp_path: Path, batches: list[list[tuple[int, int]]]) -> None:
    journal = Journal(tmp_path / f"{abs(hash(str(batches)))}-{threading.get_ident()}.db")
    said: dict[str, list[Any]] = {"east": [], "west": []}
    expected: dict[int, int] = {}

    def arrive() -> None:
        for rows in batches:
            batch = ReadingBatch(
                np.array([s for s, _ in rows], np.uint32),
                np.array([t for _, t in rows], np.int64),
                np.array([float(t) for _, t in rows]),
                np.zeros(len(rows), np.uint8),
            )
            journal.append([Record(Kind.READINGS, 1, encode_batch(batch))])

    def publish(topic: str, payload: bytes, retained: bool) -> None:
        said[topic.split("/")[2]].append(msgspec.json.decode(payload))

    live = LiveValues(journal, SERIES, publish, lambda: {"ready": True, "reasons": []})
    live.run(Once(1, arrive))
    journal.close()
    # The newest time counts; of what one batch says about a series only its last word is looked at.
    for rows in batches:
        for series in {s for s, _ in rows}:
            last = [t for s, t in rows if s == series][-1]
            expected[series] = max(expected.get(series, -1), last)
    told = {v[0]: v[2] for site in said.values() for message in site for v in message["values"]}
    assert told == {f"d{series}": time for series, time in expected.items()}
    assert all(len(messages) == 1 and messages[0]["core"]["ready"] for messages in said.values())


def test_a_journal_that_cannot_be_read_for_a_moment_is_read_the_next_second(tmp_path: Path) -> None:
    journal, said = Journal(tmp_path / "journal.db"), list[tuple[str, bytes]]()
    read, rounds = journal.read, 0

    def arrive() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            batch = ReadingBatch(np.zeros(1, np.uint32), np.array([7]), np.ones(1), np.zeros(1, np.uint8))
            journal.append([Record(Kind.READINGS, 1, encode_batch(batch))])

    def reading(*given: Any) -> Any:
        if rounds == 1:
            raise Unavailable("disk I/O error")
        return read(*given)

    live = LiveValues(journal, SERIES, lambda topic, payload, _: said.append((topic, payload)), lambda: {"ready": True})
    with mock.patch.object(journal, "read", reading):
        live.run(Once(2, arrive))
    assert [b"level" in payload for topic, payload in said if "east" in topic] == [False, True]
