"""The spool on a real disk: lanes, what frees them, what goes out first, and what a crash leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.lane import BACKLOG, DAMAGED, Lane
from gateway.spool import Release, Spool, SpoolFull
from telemetry import frames
from telemetry.clock import ManualClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.reading import Reading, encode_readings

NOW_MS = 1_790_000_000_000


def spool_with(path: Path, frame_count: int, clock: ManualClock | None = None) -> Spool:
    spool = Spool(path, clock or ManualClock())
    for number in range(1, frame_count + 1):
        assert spool.append(b"%d" % number) == number
    return spool


def payloads(spool: Spool, lane: Lane | None = None, after: int = 0) -> list[bytes]:
    return [stored.payload for stored in spool.frames(lane or spool.live, after, 100, 1_000_000)]


def everything(spool: Spool) -> list[bytes]:
    return [payload for lane in spool.lanes for payload in payloads(spool, lane)]


def freed(spool: Spool, lane: Lane) -> None:
    assert spool.release(lane.epoch, lane.last) is Release.FREED
    spool.trim()


def reopened(spool: Spool, clock: ManualClock | None = None) -> Spool:
    """The next start after a crash: the first spool was never closed."""
    return Spool(spool.path, clock or ManualClock())


# What frees


def test_a_frames_seq_is_its_place_in_the_lane(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert [stored.offset for stored in spool.frames(spool.live, 1, 10, 1000)] == [2, 3]
    assert (spool.live.last, spool.count) == (3, 3)


def test_only_a_receipt_of_its_own_epoch_frees(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert spool.release("0123456789abcdef", 2) is Release.OTHER_EPOCH
    assert payloads(spool) == [b"1", b"2", b"3"]
    assert spool.release(spool.epoch, 2) is Release.FREED
    assert payloads(spool) == [b"3"]
    assert (spool.live.released, spool.live.last, spool.count) == (2, 3, 1)


def test_a_receipt_beyond_the_last_frame_frees_nothing(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    assert spool.release(spool.epoch, 4) is Release.BEYOND_LAST
    assert spool.count == 3


def test_a_receipt_beyond_what_is_left_of_an_older_lane_frees_it(tmp_path: Path) -> None:
    """The core had more of it than this disk still holds: it was damaged since, or is from a copy."""
    spool = reopened(spool_with(tmp_path, 3))
    spool.append(b"new")
    old = spool.lanes[0]
    assert spool.release(old.epoch, 5) is Release.FREED
    assert spool.release(old.epoch, 5) is Release.REPEATED
    spool.trim()
    assert everything(spool) == [b"new"]


def test_an_older_receipt_takes_nothing_back(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    spool.release(spool.epoch, 3)
    assert spool.release(spool.epoch, 1) is Release.REPEATED
    assert spool.count == 0


def test_lanes_are_freed_in_any_order_and_a_late_receipt_of_one_that_is_gone_is_no_stranger(tmp_path: Path) -> None:
    spool = reopened(reopened(spool_with(tmp_path, 2)))
    spool.append(b"3")
    first, live = spool.lanes
    freed(spool, live)
    assert everything(spool) == [b"1", b"2"]
    freed(spool, first)
    assert spool.lanes == [spool.live] and not first.folder.exists()
    assert spool.release(first.epoch, 2) is Release.REPEATED


def test_a_crash_before_the_trim_only_means_sending_again(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 2)
    spool.release(spool.epoch, 2)
    assert everything(reopened(spool)) == [b"1", b"2"]


def test_how_far_a_lane_was_freed_is_known_after_a_restart(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 3)
    spool.release(spool.epoch, 1)
    spool.trim()
    again = reopened(spool)
    assert again.lanes[0].released == 1 and everything(again) == [b"2", b"3"]


# Runs and copies


def test_every_run_writes_a_lane_of_its_own_and_empty_ones_go(tmp_path: Path) -> None:
    spool = reopened(reopened(spool_with(tmp_path, 2)))
    assert len(spool.lanes) == 2
    assert spool.append(b"new") == 1
    assert everything(spool) == [b"1", b"2", b"new"]
    assert len({lane.epoch for lane in spool.lanes}) == 2 and len(spool.epoch) == 16


def test_a_spool_put_back_from_a_copy_gives_no_number_to_other_readings(tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 2)
    spool.close()
    shutil.copytree(tmp_path / "spool", tmp_path / "copy")
    sent: dict[tuple[str, int], bytes] = {}
    for path in (tmp_path / "spool", tmp_path / "copy"):
        again = Spool(path, ManualClock())
        again.append(str(path).encode())
        for lane in again.lanes:
            for stored in again.frames(lane, 0, 10, 1000):
                assert sent.setdefault((lane.epoch, stored.offset), stored.payload) == stored.payload
    assert len(sent) == 4


def test_a_large_lane_gives_way_to_a_new_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ManualClock(), size_max_bytes=3_200_000)
    for _ in range(50):
        spool.append(bytes(10_000))
    assert 2 <= len(spool.lanes) <= 5
    assert [lane.order for lane in spool.lanes] == sorted(lane.order for lane in spool.lanes)
    assert spool.count == 50 and all(lane.size_bytes < 300_000 for lane in spool.lanes)


def test_what_an_interrupted_start_or_end_of_a_lane_left_is_deleted(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 1)
    spool.close()
    for ending in (".building", ".drained"):
        shutil.copytree(spool.live.folder, tmp_path / f"00000009-0123456789abcdef{ending}")
    again = reopened(spool)
    assert everything(again) == [b"1"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_lane_whose_end_the_disk_did_not_confirm_is_deleted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool_with(tmp_path, 1)
    spool = reopened(spool_with(tmp_path, 1))
    first, second = spool.lanes[:2]

    def refuse(_: Path) -> None:
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.lane.sync_folder", refuse)
        freed(spool, first)
    freed(spool, second)
    assert [folder.name for folder in tmp_path.iterdir()] == [spool.live.folder.name]


def test_what_cannot_be_deleted_is_no_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_with(tmp_path, 1)
    spool.close()
    for ending in (".building", ".drained"):
        shutil.copytree(spool.live.folder, tmp_path / f"00000009-0123456789abcdef{ending}")
    monkeypatch.setattr("gateway.lane.shutil.rmtree", lambda *_, **__: None)
    assert everything(reopened(spool)) == [b"1"]


def test_a_lane_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, ManualClock(), size_max_bytes=1_600_000)
    while spool.live.size_bytes < 100_000:
        spool.append(bytes(10_000))

    def refuse(path: Path, **_: object) -> None:
        path.mkdir(parents=True)
        raise Unavailable("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.lane.Journal", refuse)
        for _ in range(3):
            with pytest.raises(Unavailable, match="I/O error"):
                spool.append(b"more")
    assert [folder.name for folder in tmp_path.iterdir()] == [spool.live.folder.name]
    spool.append(b"more")
    assert len(spool.lanes) == 2


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"an older spool")
    with pytest.raises(BadConfiguration, match="is a file"):
        Spool(tmp_path / "spool", ManualClock())


# In order, and live first


def test_lanes_go_out_one_after_the_other_while_nothing_has_waited_long(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = reopened(spool_with(tmp_path, 2, clock), clock)
    spool.append(b"3")
    clock.advance(59)
    assert not spool.go_live_first()
    first, live = spool.lanes
    assert spool.streams() == [first] and spool.behind(first, 1) == 0
    freed(spool, first)
    assert spool.streams() == [live]


def test_after_an_outage_what_is_new_goes_first_and_the_rest_is_counted_down(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = reopened(spool_with(tmp_path, 2, clock), clock)
    for _ in range(3):
        spool.append(b"x")
    clock.advance(61)
    assert spool.go_live_first()
    first, second, live = spool.lanes
    spool.append(b"new")
    assert [lane.is_backlog for lane in spool.lanes] == [True, True, False]
    assert spool.streams() == [live, first]
    assert spool.behind(live, 1) == 5
    assert [spool.behind(first, seq) for seq in (1, 2)] == [4, 3]
    assert [spool.behind(second, seq) for seq in (1, 2, 3)] == [2, 1, 0]
    spool.release(first.epoch, 1)
    assert spool.behind(live, 1) == 4 and spool.held().behind == 4
    freed(spool, first)
    assert spool.streams() == [live, second]
    assert not spool.go_live_first()


def after_an_outage(path: Path, clock: ManualClock) -> Spool:
    spool = spool_with(path, 1, clock)
    clock.advance(61)
    assert spool.go_live_first()
    return spool


def test_that_an_outage_is_over_is_told_once_in_a_frame_of_its_own(tmp_path: Path) -> None:
    spool = after_an_outage(tmp_path, ManualClock(NOW_MS))
    spool.trim()
    assert spool.live.count == 0  # the backlog is there still
    freed(spool, spool.lanes[0])
    spool.trim()
    assert payloads(spool) == [encode_readings([])] and spool.behind(spool.live, 1) == 0


@pytest.mark.parametrize("is_freed_before", [True, False])
def test_that_an_outage_is_over_is_told_after_a_restart_too(tmp_path: Path, is_freed_before: bool) -> None:
    clock = ManualClock(NOW_MS)
    spool = after_an_outage(tmp_path, clock)
    old = spool.lanes[0]
    if is_freed_before:
        spool.release(old.epoch, old.last)
        old.trim()  # and the power goes
    again = reopened(spool, clock)
    again.release(old.epoch, old.last)
    again.trim()
    assert payloads(again) == [encode_readings([])]
    last = reopened(again, clock)
    last.trim()
    assert last.live.count == 0


def test_a_lane_is_begun_for_what_is_new_only_when_the_current_one_holds_something_old(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = spool_with(tmp_path, 0, clock)
    clock.advance(1000)
    assert not spool.go_live_first() and len(spool.lanes) == 1
    spool.append(b"1")
    assert not spool.go_live_first() and len(spool.lanes) == 1


def test_a_second_outage_joins_the_backlog_of_the_first(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = spool_with(tmp_path, 1, clock)
    for _ in range(2):
        clock.advance(61)
        assert spool.go_live_first()
        spool.append(b"x")
    assert [lane.is_backlog for lane in spool.lanes] == [True, True, False]


def test_a_restart_keeps_the_backlog_and_adds_what_follows_it(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = spool_with(tmp_path, 1, clock)
    clock.advance(61)
    spool.go_live_first()
    spool.append(b"x")
    again = reopened(spool, clock)
    assert [lane.is_backlog for lane in again.lanes] == [True, True, False]
    assert again.lanes[1].noted(BACKLOG)


class WallClock(ManualClock):
    def step(self, milliseconds: int) -> None:
        self._now_ms += milliseconds


@pytest.mark.parametrize("step_ms", [10**9, -(10**9), 10**12, -(10**12), -3_600_000])
def test_a_clock_that_jumps_makes_nothing_wait_longer_or_shorter(tmp_path: Path, step_ms: int) -> None:
    clock = WallClock(NOW_MS)
    spool = spool_with(tmp_path, 1, clock)
    clock.step(step_ms)
    clock.advance(59)
    assert not spool.go_live_first()
    clock.advance(2)
    assert spool.go_live_first()


def test_what_an_earlier_run_kept_long_ago_is_backlog(tmp_path: Path) -> None:
    spool_with(tmp_path, 1, ManualClock(NOW_MS))
    again = Spool(tmp_path, ManualClock(NOW_MS + 61_000))
    assert again.go_live_first() and again.lanes[0].is_backlog


def test_what_is_held_is_told_live_first_then_from_the_oldest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.spool.LANES_SHOWN_MAX", 4)
    spool = spool_with(tmp_path, 1)
    for _ in range(6):
        spool = reopened(spool)
        spool.append(b"x")
    held = spool.held()
    assert held.frames == 7
    assert held.lanes == [spool.epoch, *(lane.epoch for lane in spool.lanes[:3])]


def test_the_oldest_is_the_oldest_still_held(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = Spool(tmp_path, clock)
    assert spool.held().oldest_ms is None
    spool.append(b"1")
    clock.advance(1)
    spool.append(b"2")
    assert spool.held().oldest_ms == NOW_MS
    spool.release(spool.epoch, 1)
    assert spool.held().oldest_ms == NOW_MS + 1000


# The budget


def test_a_full_budget_keeps_the_oldest_and_refuses_the_new_until_receipts_make_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ManualClock(), size_max_bytes=400_000)
    with pytest.raises(SpoolFull):
        for _ in range(100):
            spool.append(bytes(10_000))
    held = spool.count
    assert spool.is_full and held > 5
    first = spool.lanes[0]
    assert spool.frames(first, 0, 1, 1)[0].offset == 1
    freed(spool, first)
    assert not spool.is_full
    spool.append(bytes(10_000))


# Damage


def spoiled(lane: Lane) -> None:
    """Overwrite what a lane's journal holds."""
    lane.rest()
    for file in lane.folder.rglob("*"):
        if file.is_file():
            file.write_bytes(b"not what it was" * 100)


def test_a_lane_that_is_damaged_at_the_start_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    spool = reopened(spool_with(tmp_path, 1))
    spool.append(b"2")
    spool.close()
    spoiled(spool.lanes[0])
    again = reopened(spool)
    assert everything(again) == [b"2"]
    assert again.held().damaged == 1 and len(again.put_aside()) == 1 and again.put_aside() == []
    assert [folder.name for folder in tmp_path.iterdir() if folder.name.endswith(DAMAGED)]
    assert reopened(again).held().damaged == 1  # and is still told


def test_a_lane_that_is_damaged_while_it_is_sent_is_set_aside(tmp_path: Path) -> None:
    spool = reopened(spool_with(tmp_path, 1))
    spool.append(b"2")
    spoiled(spool.lanes[0])
    assert payloads(spool, spool.lanes[0]) == []
    spool.trim()
    assert everything(spool) == [b"2"] and spool.held().damaged == 1


def test_what_stands_before_the_damage_is_sent_and_then_the_rest_is_set_aside(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    for number in range(1, 6):
        spool.append(b"<%d>" % number * 50)
    spool.close()
    (file,) = spool.live.folder.rglob("*.db")
    data = bytearray(file.read_bytes())
    data[data.index(b"<4>")] ^= 1
    file.write_bytes(data)
    again = reopened(spool)
    again.append(b"new")
    old = again.lanes[0]
    assert [stored.offset for stored in again.frames(old, 0, 10, 10_000)] == [1, 2, 3]
    assert (old.last, old.count, again.count) == (3, 3, 4)
    assert again.release(old.epoch, 3) is Release.FREED
    again.trim()
    assert everything(again) == [b"new"] and again.held().damaged == 1
    assert "not what was written" in again.put_aside()[0]


def test_a_live_lane_that_is_damaged_gives_way_and_nothing_new_is_lost(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 1)
    spoiled(spool.live)
    spool.append(b"2")
    assert everything(spool) == [b"2"] and spool.held().damaged == 1


def test_a_full_disk_at_the_start_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_with(tmp_path, 2)
    spool.close()

    def full(*_: object, **__: object) -> None:
        raise Unavailable("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.lane.Journal", full)
        with pytest.raises(Unavailable, match="disk is full"):
            reopened(spool)
    assert not [folder for folder in tmp_path.iterdir() if folder.name.endswith(DAMAGED)]
    assert everything(reopened(spool)) == [b"1", b"2"]


def test_a_disk_that_refuses_for_a_moment_costs_no_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    spool = reopened(spool_with(tmp_path, 1), clock)

    def refuse(*_: object) -> None:
        raise Unavailable("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Lane, "read", refuse)
        for _ in range(590):
            clock.advance(1)
            with pytest.raises(Unavailable):
                payloads(spool, spool.lanes[0])
    assert everything(spool) == [b"1"]


def test_a_lane_that_cannot_be_noted_as_sent_for_a_moment_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = reopened(spool_with(tmp_path, 1))

    def refuse(*_: object) -> None:
        raise Unavailable("disk I/O error")

    first = spool.lanes[0]
    monkeypatch.setattr(first, "note", refuse)
    for _ in range(20):
        with pytest.raises(Unavailable):
            payloads(spool, first)
    monkeypatch.undo()
    assert everything(spool) == [b"1"]


def test_a_lane_that_never_can_be_read_while_the_disk_is_well_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    spool = reopened(spool_with(tmp_path, 1), clock)

    def refuse(*_: object) -> None:
        raise Unavailable("disk I/O error")

    monkeypatch.setattr(Lane, "read", refuse)
    for _ in range(2):
        with pytest.raises(Unavailable):
            payloads(spool, spool.lanes[0])
        clock.advance(600)
    assert spool.lanes == [spool.live] and spool.held().damaged == 1


# A clock that was never set


def stamped(spool: Spool, *devices_times: int) -> None:
    readings = [Reading("mh", "level", time_ms, float(n)) for n, time_ms in enumerate(devices_times)]
    spool.append(encode_readings(readings))


def sent(spool: Spool, lane: Lane) -> list[tuple[int, int]]:
    """Time and quality of what goes out of a lane."""
    decoded = [frames.decode(frames.encode("g", "e", 1, 1, payload)) for payload in payloads(spool, lane)]
    return [pair for frame in decoded for pair in zip(frame.time_ms, frame.quality, strict=True)]


def test_frames_without_a_time_wait_until_the_clock_is_set(tmp_path: Path) -> None:
    clock = WallClock(3_000)
    spool = Spool(tmp_path, clock)
    for _ in range(3):
        clock.advance(10)
        stamped(spool, spool.timekeeper.now_ms(), NOW_MS - 5)
    spool.place()
    assert payloads(spool) == [] and spool.held().oldest_ms is None
    clock.step(NOW_MS)
    spool.place()
    began_ms = NOW_MS + 3_000
    expected = [(t, 0) for n in (1, 2, 3) for t in (began_ms + n * 10_000, NOW_MS - 5)]
    assert sent(spool, spool.live) == expected
    assert spool.held().oldest_ms == began_ms + 10_000
    clock.step(400)  # set once more: what is written down stays
    stamped(spool, spool.timekeeper.now_ms())
    spool.place()
    assert sent(spool, spool.live) == [*expected, (began_ms + 30_400, 0)]
    again = Spool(tmp_path, clock)
    assert sent(again, again.lanes[0]) == [*expected, (began_ms + 30_400, 0)]


def test_what_runs_took_that_never_knew_the_time_ends_before_the_next_run_began_and_is_suspect(tmp_path: Path) -> None:
    for run in range(2):
        clock = WallClock(1_000)
        spool = Spool(tmp_path, clock)
        for _ in range(2):
            clock.advance(50)
            stamped(spool, spool.timekeeper.now_ms(), NOW_MS - 10**7 + run)
    clock = WallClock(1_000)
    spool = Spool(tmp_path, clock)
    clock.advance(5)
    stamped(spool, spool.timekeeper.now_ms())
    assert all(payloads(spool, lane) == [] for lane in spool.lanes)
    spool.timekeeper.heard(NOW_MS)
    clock.advance(3)
    spool.place()
    began_ms = NOW_MS - 5_000
    first, second, live = (sent(spool, lane) for lane in spool.lanes)
    assert live == [(NOW_MS, 0)]
    assert second == [
        (began_ms - 1 - 50_000, 1),
        (NOW_MS - 10**7 + 1, 0),
        (began_ms - 1, 1),
        (NOW_MS - 10**7 + 1, 0),
    ]
    second_began_ms = began_ms - 1 - 100_000
    assert [pair for pair in first if pair[1]] == [(second_began_ms - 1 - 50_000, 1), (second_began_ms - 1, 1)]
    again = Spool(tmp_path, WallClock(NOW_MS + 10**9))
    assert [sent(again, lane) for lane in again.lanes[:3]] == [first, second, live]


def test_lanes_of_one_run_without_a_clock_keep_their_distances(tmp_path: Path) -> None:
    clock = WallClock(0)
    spool = Spool(tmp_path, clock)
    for _ in range(3):
        clock.advance(100)
        stamped(spool, spool.timekeeper.now_ms())
        spool.go_live_first()
    assert len(spool.lanes) > 1
    spool = Spool(tmp_path, WallClock(NOW_MS))
    times = [time_ms for lane in spool.lanes for time_ms, _ in sent(spool, lane)]
    assert times == [NOW_MS - 200_001, NOW_MS - 100_001, NOW_MS - 1]


def test_a_clock_behind_what_the_spool_recorded_is_not_trusted_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = spool_with(tmp_path, 1, clock)
    freed(spool, spool.live)
    for _ in range(2):  # the knowledge is handed on though nothing is held any more
        spool = Spool(tmp_path, ManualClock(NOW_MS - 61_000))
        assert spool.timekeeper.shift_ms is None and len(spool.lanes) == 1
    assert Spool(tmp_path, ManualClock(NOW_MS - 59_000)).timekeeper.shift_ms is not None


def test_a_future_that_was_recorded_by_mistake_is_forgotten_once_the_core_has_told_the_time(tmp_path: Path) -> None:
    spool_with(tmp_path, 1, ManualClock(NOW_MS + 10**12))
    clock = ManualClock(NOW_MS)
    spool = Spool(tmp_path, clock)
    assert spool.timekeeper.shift_ms is None
    spool.timekeeper.heard(NOW_MS)
    spool.append(b"x")
    assert Spool(tmp_path, clock).timekeeper.shift_ms is not None


def test_what_is_no_frame_of_ours_goes_out_as_it_is(tmp_path: Path) -> None:
    clock = ManualClock(0)
    spool = spool_with(tmp_path, 0, clock)
    spool.append(b"\x61x, of another version")
    stamped(spool, 1000)
    spool.timekeeper.heard(NOW_MS)
    clock.advance(3)
    spool.place()
    first, second = payloads(spool)
    assert first == b"\x61x, of another version" and second


def test_a_gap_of_times_of_two_clocks_has_its_ends_in_order(tmp_path: Path) -> None:
    clock = ManualClock(0)
    spool = spool_with(tmp_path, 0, clock)
    # One was stamped by its device, which knows the time, the other by a box that does not.
    spool.refuse([Reading("mh", "level", NOW_MS - 60_000, 1.0), Reading("mh", "level", 1000, 2.0)])
    spool.tell_refused()
    spool.timekeeper.heard(NOW_MS)
    clock.advance(3)
    spool.place()
    (gap,) = frames.decode(frames.encode("g", "e", 1, 1, payloads(spool)[0])).gaps
    assert gap[1:4] == (NOW_MS - 60_000, NOW_MS + 1000, 2)


def test_a_gap_that_an_earlier_run_could_not_place_has_its_ends_in_order(tmp_path: Path) -> None:
    clock = ManualClock(0)
    spool = spool_with(tmp_path, 0, clock)
    spool.refuse([Reading("mh", "level", 1000, 2.0), Reading("mh", "level", NOW_MS - 60_000, 1.0)])
    spool.close()
    again = reopened(spool, ManualClock(NOW_MS))
    again.tell_refused()
    (gap,) = frames.decode(frames.encode("g", "e", 1, 1, payloads(again)[0])).gaps
    assert gap[1:4] == (NOW_MS - 60_000, NOW_MS, 2)
