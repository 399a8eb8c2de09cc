import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Journal, Kind, Record


def records(*payloads: bytes) -> list[Record]:
    return [Record(Kind.READINGS, 1000 + i, payload) for i, payload in enumerate(payloads)]


def test_records_come_back_in_order_with_offsets_that_count_from_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    assert journal.append(records(b"a", b"b")) == 2
    assert journal.append(records(b"c")) == 3
    assert [(r.offset, r.payload) for r in journal.read(0)] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert [r.offset for r in journal.read(1, count_max=1)] == [2]
    assert (journal.first, journal.last) == (1, 3)


def test_a_read_stops_at_about_the_bytes_it_may_take(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append(records(*[b"x" * 100] * 10))
    assert len(journal.read(0, bytes_max=250)) == 3


def test_offsets_are_never_used_again_also_after_everything_was_trimmed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append(records(b"a", b"b"))
    journal.trim(2)
    assert (journal.first, journal.last, journal.read(0)) == (3, 2, [])
    journal.close()
    again = Journal(tmp_path / "j.db")
    assert again.append(records(b"c")) == 3


def test_cursors_and_state_survive_and_state_changes_with_its_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append(records(b"a"), {"seen/gw": b"7"})
    journal.set_cursor("history", 1)
    journal.close()
    again = Journal(tmp_path / "j.db")
    assert again.state("seen/") == {"seen/gw": b"7"}
    assert (again.cursor("history"), again.cursor("alerts")) == (1, 0)


def test_a_group_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    bad = [Record(Kind.READINGS, 1, b"a"), Record(Kind.READINGS, None, b"b")]  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        journal.append(bad, {"seen": b"1"})
    assert (journal.last, journal.read(0), journal.state("seen")) == (0, [], {})
    assert journal.append(records(b"c")) == 1


def test_a_journal_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(BadConfiguration, match="another version"):
        Journal(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_reader_is_woken_by_an_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    woken = []
    reader = threading.Thread(target=lambda: woken.append(journal.wait(0, 30)))
    reader.start()
    journal.append(records(b"a"))
    reader.join(30)
    assert woken == [True]
    assert not journal.wait(1, 0.0)


def test_what_append_returned_for_is_there_after_a_kill(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from telemetry.journal import Journal, Kind, Record
        journal = Journal(Path(sys.argv[1]))
        for i in range(50):
            journal.append([Record(Kind.READINGS, i, b"x" * 5000)])
            print(i, flush=True)
        os.kill(os.getpid(), 9)
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "j.db")], capture_output=True, check=False)
    assert done.returncode == -9
    acknowledged = len(done.stdout.split())
    assert Journal(tmp_path / "j.db").last == acknowledged == 50


def test_trimming_to_a_size_forgets_the_oldest_and_never_what_a_reader_has_not_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for _ in range(100):
        journal.append(records(b"x" * 10_000))
    journal.trim_to(10_000_000, seen=100)
    assert journal.first == 1
    journal.trim_to(300_000, seen=20)
    assert journal.first == 21
    for _ in range(5):
        journal.trim_to(300_000, seen=100)
    assert 60 < journal.first <= 100
    assert journal.size_bytes() <= 400_000
    assert (journal.last, journal.append(records(b"y"))) == (100, 101)
