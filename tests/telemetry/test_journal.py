import contextlib
import itertools
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import telemetry.journal
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Journal, Kind, Record
from telemetry.segment import Damage
from tests.sim.disk import Crash, Disk, Unsynced


def records(*payloads: bytes) -> list[Record]:
    return [Record(Kind.READINGS, 1000 + i, payload) for i, payload in enumerate(payloads)]


def test_records_come_back_in_order_with_offsets_that_count_from_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert journal.append(records(b"a", b"b")) == 2
    assert journal.append(records(b"c")) == 3
    assert [(r.offset, r.payload) for r in journal.read(0)] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert [r.offset for r in journal.read(1, count_max=1)] == [2]
    assert (journal.first, journal.last) == (1, 3)


def test_a_read_stops_at_about_the_bytes_it_may_take(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(records(*[b"x" * 100] * 10))
    assert len(journal.read(0, bytes_max=250)) == 3


def test_the_newest_records_in_memory_are_bounded_and_show_nowhere_in_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry.journal, "NEWEST_BYTES_MAX", 2_000)
    journal = Journal(tmp_path / "j", segment_bytes=3_000)
    for number in range(60):
        journal.append(records(*[b"%d" % number * (number + 1)] * (1 + number % 3)))
        assert sum(len(record.payload) + 190 for record in journal._newest) <= 2_000  # small ones are mostly objects
        assert journal._newest[-1].offset == journal.last
    monkeypatch.setattr(telemetry.journal, "NEWEST_BYTES_MAX", 0)
    from_disk = Journal(tmp_path / "j", segment_bytes=3_000)
    for after in range(journal.last + 1):
        for count, size in ((1, 10_000), (7, 10_000), (100, 150)):
            read, expected = journal.read(after, count, size), from_disk.read(after, count, size)
            assert read == expected[: len(read)]  # memory and disk are not read in one go
            assert bool(read) == bool(expected)


def test_offsets_are_never_used_again_also_after_everything_was_trimmed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_bytes=1)  # a segment for every append
    journal.append(records(b"a", b"b"))
    journal.append(records(b"c"))
    journal.trim(2)
    assert (journal.first, journal.last, [r.offset for r in journal.read(0)]) == (3, 3, [3])
    journal.close()
    again = Journal(tmp_path / "j", segment_bytes=1)
    assert again.append(records(b"d")) == 4
    again.trim(4)
    assert (again.first, [r.offset for r in again.read(0)]) == (4, [4])  # the newest segment stays


def test_cursors_and_state_survive_and_state_changes_with_its_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(records(b"a"), {"seen/gw": b"7"})
    journal.set_cursor("history", 1)
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.state("seen/") == {"seen/gw": b"7"}
    assert (again.cursor("history"), again.cursor("alerts")) == (1, 0)


def test_a_group_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path / "j", vfs=disk.name)

    def refuse(kind: str, path: str) -> None:
        raise apsw.FullError if kind == "write" else apsw.IOError

    disk.step = refuse
    with pytest.raises(Unavailable):
        journal.append(records(b"a"), {"seen": b"1"})
    with pytest.raises(Unavailable):
        journal.set_cursor("history", 1)
    assert (journal.last, journal.read(0), journal.state("seen"), journal.cursors()) == (0, [], {}, {})
    disk.step = lambda kind, path: None
    assert journal.append(records(b"c")) == 1


def test_a_disk_that_fails_while_the_journal_is_opened_or_closed_is_away_and_no_more(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path / "j", vfs=disk.name)
    journal.append(records(b"a"))

    def fail(kind: str, path: str) -> None:
        raise apsw.IOError

    disk.step = fail
    journal.close()
    with pytest.raises(Unavailable):
        Journal(tmp_path / "other", vfs=disk.name)
    disk.step = lambda kind, path: None
    assert [record.payload for record in Journal(tmp_path / "j", vfs=disk.name).read(0)] == [b"a"]


def test_a_journal_on_a_disk_that_is_full_is_opened_and_read_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path / "j", vfs=disk.name)
    journal.append(records(b"a", b"b"))

    def full(kind: str, path: str) -> None:
        if kind == "write":
            raise apsw.FullError

    disk.step = full
    journal.close()
    journal = Journal(tmp_path / "j", vfs=disk.name)
    assert [record.payload for record in journal.read(0)] == [b"a", b"b"]
    with pytest.raises(Unavailable, match="writing"):
        journal.append(records(b"c"))
    disk.step = lambda kind, path: None
    assert journal.append(records(b"c")) == 3


def test_a_journal_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path).close()
    (file,) = path.glob("*.db")
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(BadConfiguration, match="another version"):
        Journal(path)
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"something of somebody")
    with pytest.raises(BadConfiguration, match="a journal is a folder"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize("second", [records(b"b"), []], ids=["a record", "nothing"])
def test_who_appends_while_another_is_not_yet_through_counts_on_from_there(
    tmp_path: Path, second: list[Record]
) -> None:
    journal = Journal(tmp_path / "j")
    threads = [threading.Thread(target=journal.append, args=(made,)) for made in (records(b"a"), second)]
    with journal._grown:  # as any reader may for a moment
        for thread in threads:
            thread.start()
            thread.join(0.3)
    for thread in threads:
        thread.join(30)
    assert journal.append(records(b"c")) == 2 + len(second)
    assert [record.offset for record in journal.read(0)] == list(range(1, 3 + len(second)))


def test_a_reader_that_there_is_no_more_keeps_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(records(b"a"))
    journal.set_cursor("gone", 0)
    journal.set_cursor("there", 1)
    journal.forget_cursor("gone")
    assert journal.cursors() == {"there": 1}
    journal.close()
    assert Journal(tmp_path / "j").cursors() == {"there": 1}


def test_a_reader_is_woken_by_an_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
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
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "j")], capture_output=True, check=False)
    assert done.returncode == -9
    acknowledged = len(done.stdout.split())
    assert Journal(tmp_path / "j").last == acknowledged == 50


def test_trimming_to_a_size_forgets_the_oldest_and_never_what_a_reader_has_not_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_bytes=100_000)
    for _ in range(100):
        journal.append(records(b"x" * 10_000))
    assert journal.trim_to(10_000_000, seen=100)
    assert journal.first == 1
    assert not journal.trim_to(300_000, seen=25)  # the reader that is behind keeps more than was allowed
    assert 10 < journal.first <= 26
    assert journal.trim_to(300_000, seen=100)
    assert 60 < journal.first <= 100
    assert journal.size_bytes() <= 300_000
    assert (journal.last, journal.append(records(b"y"))) == (100, 101)


def test_what_was_trimmed_takes_no_room_on_behalf_of_a_thread_that_once_read_it(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path / "j", segment_bytes=1)
        journal.append(records(b"a"))
    got, goes_on = list[bytes](), threading.Event()

    def read() -> None:
        got.extend(record.payload for record in journal.read(0, 1))
        first_read.set()
        goes_on.wait()
        got.extend(record.payload for record in journal.read(0))

    first_read = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    first_read.wait()
    for _ in range(3):
        journal.append(records(b"b"))
    assert journal.trim_to(0, seen=4)
    held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not any(name.startswith(f"{tmp_path}/j/{1:015d}.") for name in held)
    goes_on.set()
    thread.join()
    assert got == [b"a", b"b"]
    journal.close()


def test_a_full_disk_takes_the_room_of_old_records_that_every_reader_has_seen(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path / "j", segment_bytes=1, vfs=disk.name)
    for name in b"abcdefghi":
        journal.append(records(bytes([name])))

    def full_until_freed(kind: str, path: str) -> None:
        if kind == "write" and len(list((tmp_path / "j").glob("*.db"))) > 9:
            raise apsw.FullError

    disk.step = full_until_freed
    with pytest.raises(Unavailable):
        journal.append(records(b"j"))
    journal.set_cursor("history", 5)
    assert journal.append(records(b"j")) == 10
    assert b"".join(r.payload for r in journal.read(0)) == b"bcdefghij"
    journal.append(records(b"k"))
    assert journal.first == 3

    def full(kind: str, path: str) -> None:
        raise apsw.FullError

    disk.step = full
    for _ in range(5):
        with pytest.raises(Unavailable):
            journal.append(records(b"l"))
    assert journal.first == 4  # the newest stay: what a broker hands out again is known by them


def test_segments_follow_each_other_unseen(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_bytes=400)
    for number in range(1, 31):
        journal.append(records(b"%d" % number * 40), {"n": b"%d" % number, "old": b"x" if number == 1 else None})
        journal.set_cursor("history", number)
    assert len(list((tmp_path / "j").glob("*.db"))) > 3
    for again in (journal, Journal(tmp_path / "j")):
        assert [r.offset for r in again.read(0)] == list(range(1, 31))
        assert [r.offset for r in again.read(7, count_max=5)] == [8, 9, 10, 11, 12]
        assert (again.state(""), again.cursors(), again.last) == ({"n": b"30"}, {"history": 30}, 30)


@pytest.mark.parametrize("unsynced", Unsynced)
def test_every_crash_point_of_a_short_run_leaves_all_that_was_promised_and_nothing_twice(
    ram_path: Path, unsynced: Unsynced
) -> None:
    for crash_at in itertools.count(1):
        folder = ram_path / str(crash_at)
        steps = itertools.count(1)

        def step(kind: str, path: str, steps: Iterator[int] = steps, crash_at: int = crash_at) -> None:
            if next(steps) == crash_at:
                raise Crash

        disk = Disk(step)
        promised = 0
        journal = None
        with contextlib.suppress(Unavailable):
            journal = Journal(folder, segment_bytes=1500, vfs=disk.name)
            for number in range(1, 11):
                promised = journal.append(records(b"x" * 400), {"seen": b"%d" % number})
                journal.set_cursor("reader", number)
        has_crashed = disk.is_dead
        disk.over()
        if journal is not None:
            journal.close()
        disk.end(unsynced, random.Random(crash_at))
        after = Journal(folder, segment_bytes=1500)
        found = [record.offset for record in after.read(0)]
        assert found == list(range(1, len(found) + 1))
        assert promised <= len(found) <= promised + 1  # the last may have landed before it could be promised
        assert after.state("") == ({"seen": b"%d" % len(found)} if found else {})
        assert after.cursor("reader") <= len(found)
        assert not after.damages()
        assert after.append(records(b"y")) == len(found) + 1
        after.close()
        if not has_crashed:
            assert promised == 10
            break


def closed_journal(path: Path, count: int, segment_bytes: int = 64_000_000) -> Path:
    """The newest segment's file of a journal with `count` records, each with its own number as a fact."""
    journal = Journal(path, segment_bytes)
    for number in range(1, count + 1):
        journal.append(records(b"<%04d>" % number * 30), {"seen": b"%d" % number})
    journal.close()
    return max(path.glob("*.db"))


def test_every_byte_of_the_last_record_is_watched_over(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 10)
    whole = file.read_bytes()
    start = whole.index(b"<0010>")
    for position in range(start, start + 180):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x20
        again = restored(tmp_path / f"at-{position}", file.name, bytes(spoiled))
        assert [record.offset for record in again.read(0)] == list(range(1, 10)), position
        assert again.state("") == {"seen": b"9"}  # whoever still holds the tenth may send it again
        ((damage),) = again.damages()
        assert (damage.first, damage.last) == (10, 10)
        assert again.append(records(b"new")) == 11
        assert [record.offset for record in again.read(8)] == [9, 11]
        again.close()


def test_any_changed_byte_of_a_segment_is_refused_or_without_effect(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 10)
    whole = file.read_bytes()
    original = Journal(tmp_path / "j")
    expected = {record.offset: record for record in original.read(0)}
    rng = random.Random(4)
    for number in range(300):
        spoiled = bytearray(whole)
        spoiled[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        try:
            again = restored(tmp_path / f"n-{number}", file.name, bytes(spoiled))
        except (BadConfiguration, Unavailable):
            continue
        for record in again.read(0):
            assert expected[record.offset] == record
        offset = again.append(records(b"new"))
        assert offset > 10
        again.close()


def restored(folder: Path, name: str, content: bytes) -> Journal:
    folder.mkdir()
    (folder / name).write_bytes(content)
    return Journal(folder)


def test_what_an_unfinished_transaction_left_is_cut_off_and_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(records(b"a"))
    journal.append(records(b"b" * 50_000))
    (wal,) = (tmp_path / "j").glob("*-wal")
    (main,) = (tmp_path / "j").glob("*.db")
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(main, folder / main.name)
    torn = bytearray(wal.read_bytes())
    torn[-100] ^= 1  # in the last page of the second transaction
    (folder / wal.name).write_bytes(torn)
    again = Journal(folder)
    assert [record.payload for record in again.read(0)] == [b"a"]
    assert again.torn > 1 and not again.damages()
    assert again.append(records(b"c")) == 2


def test_a_damaged_middle_stops_its_segment_and_no_other(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j", 30, segment_bytes=2000)
    files = sorted((tmp_path / "j").glob("*.db"))
    spoil(files[1], b"<%04d>" % (int(files[1].stem) + 2))
    found: list[Damage] = []
    again = Journal(tmp_path / "j", on_damage=found.append)
    assert not found  # only the newest is read on start
    offsets = [record.offset for record in again.read(0)]
    assert len(found) == 1
    gap = range(found[0].first, found[0].last + 1)
    assert offsets == [n for n in range(1, 31) if n not in gap]
    assert found[0].last == int(files[2].stem) - 1
    assert again.state("") == {"seen": b"30"}
    assert [record.offset for record in again.read(0)] == offsets and len(found) == 1  # told once
    again.close()
    assert [d.first for d in Journal(tmp_path / "j").damages()] == [found[0].first]  # and remembered


def spoil(file: Path, text: bytes) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(text)] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(("reads_again", "left"), [(True, [2, 3, 4]), (False, [])])
def test_where_readers_had_come_to_is_lost_with_the_newest_segment(
    tmp_path: Path, reads_again: bool, left: list[int]
) -> None:
    journal = Journal(tmp_path / "j", segment_bytes=1)
    journal.append(records(b"a"))
    journal.set_cursor("reader", 1)
    for _ in range(4):
        journal.append(records(b"b"))
    journal.close()
    newest = max((tmp_path / "j").glob("*.db"))
    newest.write_bytes(b"not what it was" * 100)
    newest.with_name(f"{newest.name}-wal").write_bytes(b"the last that was written")
    again = Journal(tmp_path / "j", reads_again=reads_again)
    assert [record.offset for record in again.read(again.cursor("reader"))] == left
    assert newest.with_name(f"{newest.stem}.damaged-wal").read_bytes() == b"the last that was written"


def test_after_damage_facts_are_set_back_no_further_than_the_furthest_reader(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for number in range(1, 11):
        journal.append(records(b"<%04d>" % number * 30), {"seen": b"%d" % number})
    journal.set_cursor("history", 7)
    journal.close()
    spoil(max((tmp_path / "j").glob("*.db")), b"<0005>")
    again = Journal(tmp_path / "j")
    assert [record.offset for record in again.read(0)] == [1, 2, 3, 4]
    assert again.state("") == {"seen": b"7"}  # records 5 to 7 are in history: they must not come twice
    assert again.append(records(b"new")) == 11


def test_damage_inside_a_transaction_takes_the_whole_of_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(records(b"<0001>" * 30), {"seen": b"1"})
    journal.append(records(b"<0002>" * 30, b"<0003>" * 30, b"<0004>" * 30), {"seen": b"4"})
    journal.close()
    spoil(max((tmp_path / "j").glob("*.db")), b"<0003>")
    again = Journal(tmp_path / "j")
    assert [record.offset for record in again.read(0)] == [1]
    assert again.state("") == {"seen": b"1"}


def test_an_unreadable_newest_segment_is_set_aside_and_the_log_goes_on_past_it(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 30, segment_bytes=2000)
    file.write_bytes(b"\xff" * file.stat().st_size)
    again = Journal(tmp_path / "j")
    assert [record.offset for record in again.read(0)][-1] == int(file.stem) - 1
    assert again.state("") == {"seen": b"%d" % (int(file.stem) - 1)}
    assert len(again.damages()) == 1
    assert file.with_suffix(".damaged").exists()
    assert again.append(records(b"new")) > 30
    assert again.read(0)[-1].payload == b"new"


def test_readers_in_other_threads_follow_while_segments_come_and_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_bytes=2000)
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        at = 0
        while at < 400:
            journal.wait(at, 10)
            for record in journal.read(at, count_max=7):
                seen.append(record.offset)
                at = record.offset
        done.set()

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(400):
        journal.append(records(b"x" * 200))
        if number % 10 == 0 and seen:
            journal.trim(seen[-1])
    assert done.wait(30)
    thread.join()
    assert seen == list(range(1, 401))
