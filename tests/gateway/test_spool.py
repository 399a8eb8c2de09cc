"""The spool on a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.spool import Release, Spool, SpoolFull
from telemetry.clock import ManualClock


def spool_with(path: Path, frame_count: int) -> Spool:
    spool = Spool(path / "spool.db", ManualClock())
    for number in range(1, frame_count + 1):
        assert spool.append(b"%d" % number) == number
    return spool


def payloads(spool: Spool, after: int = 0) -> list[bytes]:
    return [stored.payload for stored in spool.frames(after, 100, 1_000_000)]


def test_a_frames_seq_is_its_place_in_the_journal(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert [stored.offset for stored in spool.frames(1, 10, 1000)] == [2, 3]
    assert (spool.base, spool.last, spool.count) == (1, 3, 3)


def test_only_a_receipt_of_its_own_epoch_frees(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert spool.release("0123456789abcdef", 2) is Release.OTHER_EPOCH
    assert payloads(spool) == [b"1", b"2", b"3"]
    assert spool.release(spool.epoch, 2) is Release.FREED
    assert payloads(spool) == [b"3"]
    assert (spool.base, spool.last, spool.count) == (3, 3, 1)


def test_a_receipt_beyond_the_last_frame_frees_nothing(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert spool.release(spool.epoch, 4) is Release.BEYOND_LAST
    assert spool.count == 3


def test_an_older_receipt_takes_nothing_back(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    spool.release(spool.epoch, 3)
    assert spool.release(spool.epoch, 1) is Release.REPEATED
    assert spool.count == 0 and spool.base == 4


def test_reopening_keeps_frames_epoch_and_count(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    spool.release(spool.epoch, 1)
    spool.trim()
    again = Spool(tmp_path / "spool.db", ManualClock())  # the first one was never closed: a crash
    assert again.epoch == spool.epoch and len(again.epoch) == 16
    assert payloads(again) == [b"2", b"3"]
    assert again.append(b"4") == 4


def test_a_crash_before_the_trim_only_means_sending_again(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 2)
    spool.release(spool.epoch, 2)
    assert payloads(Spool(tmp_path / "spool.db", ManualClock())) == [b"1", b"2"]


def test_seqs_are_not_used_again_after_everything_was_freed(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 2)
    spool.release(spool.epoch, 2)
    spool.trim()
    spool.close()
    again = Spool(tmp_path / "spool.db", ManualClock())
    assert (again.base, again.last, again.count) == (3, 2, 0)
    assert again.append(b"x") == 3


def test_another_file_is_another_epoch(tmp_path: Path) -> None:
    assert spool_with(tmp_path / "a", 0).epoch != spool_with(tmp_path / "b", 0).epoch


def test_the_oldest_is_the_oldest_still_held(tmp_path: Path) -> None:
    clock = ManualClock(1000)
    spool = Spool(tmp_path / "spool.db", clock)
    assert spool.oldest_ms() is None
    spool.append(b"1")
    clock.advance(1)
    spool.append(b"2")
    assert spool.oldest_ms() == 1000
    spool.release(spool.epoch, 1)
    assert spool.oldest_ms() == 2000


def test_a_full_budget_keeps_the_oldest_and_refuses_the_new_until_receipts_make_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", ManualClock(), size_max_bytes=200_000)
    with pytest.raises(SpoolFull):
        for _ in range(100):
            spool.append(bytes(10_000))
    held = spool.count
    assert spool.is_full and held > 5
    assert spool.frames(0, 1, 1)[0].offset == 1
    spool.release(spool.epoch, 3)
    spool.trim()
    assert not spool.is_full
    assert spool.append(bytes(10_000)) == held + 1
