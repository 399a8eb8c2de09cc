"""What is let go when the disk budget is used up, and that it is said exactly."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import lane as lanes
from gateway.lane import Lane
from gateway.spool import Spool, SpoolFull
from gateway.thinning import BUCKETS_MS, REFUSED, THINNED, Thinner
from telemetry import frames
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.frames import Frame
from telemetry.quality import Quality
from telemetry.reading import Reading, SeriesGap, encode_readings
from tests.oracles import thinning as oracle

NOW_MS = 1_790_000_000_000 // 3_600_000 * 3_600_000
Series = tuple[str, str]


def decoded(columns: bytes) -> Frame:
    return frames.decode(frames.encode("g", "e", 1, 1, columns))


def readings_of(payloads: Iterable[bytes]) -> list[Reading]:
    found = []
    for frame in map(decoded, payloads):
        names = [line.split("/") for line in frame.names.split("\n")]
        for n, i in enumerate(frame.index):
            found.append(
                Reading(
                    names[i][0],
                    names[i][1],
                    frame.time_ms[n],
                    frame.value[n],
                    Quality(frame.quality[n]),
                    frame.keys.get(n),
                )
            )
    return found


def gaps_of(payloads: Iterable[bytes]) -> list[SeriesGap]:
    found = []
    for frame in map(decoded, payloads):
        names = [line.split("/") for line in frame.names.split("\n")]
        found += [SeriesGap(names[g.line][0], names[g.line][1], *g[1:]) for g in frame.gaps]
    return found


def thinned(payloads: Iterable[bytes], bucket_ms: int) -> list[bytes]:
    thinner = Thinner(bucket_ms)
    return [out for payload in payloads for out in thinner.take(payload)] + list(thinner.end())


def level(values: Iterable[float], device: str = "mh-1", every_ms: int = 1000) -> list[Reading]:
    return [Reading(device, "level", NOW_MS + n * every_ms, value) for n, value in enumerate(values)]


def test_of_a_bucket_the_first_last_smallest_and_largest_stay() -> None:
    (out,) = thinned([encode_readings(level([5, 6, 1, 7, 9, 9, 4, 5]))], 60_000)
    assert [r.value for r in readings_of([out])] == [5, 1, 9, 5]
    assert gaps_of([out]) == [SeriesGap("mh-1", "level", NOW_MS + 1000, NOW_MS + 6000, 4, THINNED)]


def test_passages_and_what_is_not_good_and_the_first_good_after_it_stay() -> None:
    passages = [Reading("gate", "t", NOW_MS + n, 36.5, key=f"p{n}") for n in range(20)]
    assert readings_of(thinned([encode_readings(passages)], 60_000)) == passages
    doubtful = [Reading("mh", "level", NOW_MS + n, 1.0, Quality(n // 3 % 3)) for n in range(30)]
    kept = readings_of(thinned([encode_readings(doubtful)], 60_000))
    assert [r for r in doubtful if r.quality] == [r for r in kept if r.quality]
    for before, after in itertools.pairwise(doubtful):
        assert before.quality == after.quality or after in kept


def test_memory_holds_four_readings_a_series_and_frames_stay_small() -> None:
    thinner = Thinner(3_600_000)
    for second in range(5000):
        frame = encode_readings([Reading("mh", "level", NOW_MS + second, float((second + 3) % 7))])
        assert not list(thinner.take(frame))
    assert not thinner._out and len(thinner._stretches) == 1
    (out,) = thinner.end()
    assert len(decoded(out)) == 4 and gaps_of([out])[0].missing == 4996
    many = [encode_readings([Reading("mh", "level", NOW_MS + n, 1.0, key=str(n)) for n in range(400)])] * 10
    assert all(len(decoded(out)) <= 500 for out in thinned(many, 60_000))


# Times from both sides of a bucket's edge, values that are equal, qualities that change, passages in between.
rows = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 1, 59_999, 60_000, 60_001, 119_999, 600_000, 3_600_000]),
    st.sampled_from([1.0, 2.0, 3.0, 3.0]),
    st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2]),
    st.sampled_from([None, None, None, None, None, None, "p"]),
)
histories = st.lists(st.lists(rows, min_size=1, max_size=20), min_size=1, max_size=12)


@given(histories, st.booleans())
def test_the_thinner_agrees_with_its_slow_twin_and_every_reading_is_accounted_for(
    history: list[list[tuple[str, int, float, int, str | None]]], twice: bool
) -> None:
    taken = [[Reading(d, "m", NOW_MS + t, v, Quality(q), k) for d, t, v, q, k in group] for group in history]
    out = thinned(map(encode_readings, taken), BUCKETS_MS[0])
    for device in ("a", "b"):
        of = [(r.time_ms, r.value, int(r.quality), r.key) for group in taken for r in group if r.device == device]
        kept, dropped = oracle.thinned(of, BUCKETS_MS[0])
        found = [r for r in readings_of(out) if r.device == device]
        assert [(r.time_ms, r.value, int(r.quality), r.key) for r in found] == kept
        gaps = [g for g in gaps_of(out) if g.device == device]
        assert sum(g.missing for g in gaps) == len(dropped)
        if dropped:
            assert min(g.first_ms for g in gaps) == min(t for t, *_ in dropped)
            assert max(g.last_ms for g in gaps) == max(t for t, *_ in dropped)
    if twice:
        again = thinned(out, BUCKETS_MS[1])
        assert accounted(again) == Counter((r.device, r.metric) for group in taken for r in group)


def accounted(payloads: Iterable[bytes]) -> Counter[Series]:
    """Readings kept plus what gaps count, a series."""
    payloads = list(payloads)
    count = Counter((r.device, r.metric) for r in readings_of(payloads))
    for gap in gaps_of(payloads):
        count[gap.device, gap.metric] += gap.missing
    return count


# In the spool


def filled(path: Path, clock: ManualClock, frame_count: int = 1000, size_max_bytes: int = 2_000_000) -> Spool:
    spool = Spool(path, clock, size_max_bytes)
    for _ in range(frame_count):
        clock.advance(1)
        spool.append(encode_readings([Reading("mh", f"m{n}", clock.now_ms(), float(n)) for n in range(20)]))
    return spool


def contents(spool: Spool) -> list[bytes]:
    return [stored.payload for lane in spool.lanes for stored in lane.read(0, 100_000, 10**9)]


def roomy(spool: Spool) -> int:
    """Thin as long as that does anything; how many lanes were."""
    count = 0
    while spool.make_room(lambda: False):
        count += 1
    return count


def test_a_spool_with_room_is_left_alone(tmp_path: Path) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS), 100)
    assert spool.make_room(lambda: False) is None


def test_a_spool_without_room_thins_the_oldest_once_before_any_twice(tmp_path: Path) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    before, names = contents(spool), [lane.epoch for lane in spool.lanes]
    orders = [lane.order for lane in spool.lanes]
    spool._size_max_bytes = spool.size_bytes()
    assert spool.make_room(lambda: False)
    assert [lane.thinness for lane in spool.lanes] == [1] + [0] * (len(names) - 1)
    assert spool.lanes[0].epoch != names[0] and [lane.epoch for lane in spool.lanes[1:]] == names[1:]
    roomy(spool)
    spool._size_max_bytes = 100_000
    assert roomy(spool) > len(names)
    assert {lane.thinness for lane in spool.lanes[:-1]} == {3}
    assert [lane.order for lane in spool.lanes] == orders and spool.live.thinness == 0
    assert accounted(contents(spool)) == accounted(before)
    assert accounted(contents(Spool(tmp_path, ManualClock(NOW_MS + 10**8)))) == accounted(before)


def test_a_lane_that_was_sent_from_is_never_thinned_also_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = filled(tmp_path, clock)
    spool.frames(spool.lanes[0], 0, 1, 1)
    sent = spool.lanes[0].epoch
    spool = Spool(tmp_path, clock, 100_000)
    roomy(spool)
    assert spool.lanes[0].epoch == sent and spool.lanes[0].thinness == 0
    assert all(lane.thinness == 3 for lane in spool.lanes[1:-1])


def test_nothing_goes_out_before_the_disk_knows_that_the_lane_is_sent_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(NOW_MS)
    spool = filled(tmp_path, clock)
    first = spool.lanes[0]

    def refuse(*_: object) -> None:
        raise Unavailable("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Lane, "note", refuse)
        with pytest.raises(Unavailable):
            spool.frames(first, 0, 1, 1)
    assert not first.is_sent
    assert spool.frames(first, 0, 1, 1)
    again = Spool(tmp_path, clock, 100_000)
    roomy(again)
    assert again.lanes[0].epoch == first.epoch and again.lanes[0].thinness == 0


def test_a_lane_that_is_sent_while_it_is_thinned_stays_as_it_was(tmp_path: Path) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    spool._size_max_bytes = spool.size_bytes()
    first = spool.lanes[0]

    def send() -> bool:
        spool.frames(first, 0, 1, 1)
        return False

    assert spool.make_room(send) is None
    assert spool.lanes[0] is first and spool.frames(first, 0, 1, 1)
    assert not list(tmp_path.glob("*.building"))


def test_a_lane_that_is_sent_from_at_the_last_moment_stays_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    spool._size_max_bytes = spool.size_bytes()
    first, copy = spool.lanes[0], spool._copy_thinner

    def copy_and_send(lane: Lane, builder: lanes.LaneBuilder, is_stopping: Callable[[], bool]) -> bool:
        is_whole = copy(lane, builder, is_stopping)
        spool.frames(lane, 0, 1, 1)
        return is_whole

    monkeypatch.setattr(spool, "_copy_thinner", copy_and_send)
    assert spool.make_room(lambda: False) is None
    assert spool.lanes[0] is first and first.folder.is_dir()


def test_a_damaged_lane_is_not_thinned_away_and_holds_no_other_up(tmp_path: Path) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    spool._size_max_bytes = spool.size_bytes()
    first, second = spool.lanes[:2]
    (file,) = first.folder.rglob("*.db")
    data = bytearray(file.read_bytes())
    data[data.index(b"mh/m7", len(data) // 2)] ^= 1
    file.write_bytes(data)
    with pytest.raises(Unavailable):
        spool.make_room(lambda: False)
    assert spool.make_room(lambda: False)
    assert second not in spool.lanes and not first.thinness
    assert spool.lanes[0] is first and first.count  # what stands before the damage is sent yet
    spool.release(first.epoch, first.last)
    spool.trim()
    assert spool.held().damaged == 1 and spool.put_aside()


def test_a_lane_that_cannot_be_read_keeps_no_other_from_being_thinned_and_is_set_aside_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(NOW_MS)
    spool = filled(tmp_path, clock)
    spool._size_max_bytes = spool.size_bytes()
    (first, *others, _), read = spool.lanes, Lane.read

    def refuse(lane: Lane, *arguments: int) -> object:
        if lane is first:
            raise Unavailable("disk I/O error")
        return read(lane, *arguments)

    monkeypatch.setattr(Lane, "read", refuse)
    with pytest.raises(Unavailable):
        spool.make_room(lambda: False)
    thinned = spool.make_room(lambda: False)
    assert thinned is not None and thinned.epoch == others[0].epoch
    spool._size_max_bytes = 1  # nothing else is left to be thinned
    clock.advance(600)
    with pytest.raises(Unavailable):
        while spool.make_room(lambda: False):
            pass
    assert first not in spool.lanes and spool.held().damaged == 1


def test_a_stop_breaks_the_thinning_off_and_leaves_nothing(tmp_path: Path) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    spool._size_max_bytes = spool.size_bytes()
    assert spool.make_room(lambda: True) is None
    assert not list(tmp_path.glob("*.building")) and {lane.thinness for lane in spool.lanes} == {0}


def test_a_crash_between_the_copy_and_the_end_of_the_old_lane_leaves_one_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path / "spool", ManualClock(NOW_MS))
    before = accounted(contents(spool))
    spool._size_max_bytes = spool.size_bytes()

    def refuse(_: Lane) -> None:
        raise Unavailable("the disk refuses")

    with monkeypatch.context() as patched:
        patched.setattr(Lane, "remove", refuse)
        assert spool.make_room(lambda: False)
    spool.close()
    assert len(list((tmp_path / "spool").iterdir())) == len(spool.lanes) + 1
    shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    again = Spool(tmp_path / "crashed", ManualClock(NOW_MS + 10**8))
    assert accounted(contents(again)) == before and again.lanes[0].thinness == 1
    assert len(list((tmp_path / "crashed").iterdir())) == len(again.lanes)
    spool.append(encode_readings(level([1.0])))
    spool.trim()
    spool._leave(spool.lanes[-2])  # what could not be deleted is tried again with the next
    assert len(list((tmp_path / "spool").iterdir())) == len(spool.lanes) - 1


def test_a_copy_that_could_not_take_its_lanes_place_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    spool._size_max_bytes = spool.size_bytes()

    def refuse(_: Path) -> None:
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.lane.sync_folder", refuse)
        with pytest.raises(Unavailable, match="I/O error"):
            spool.make_room(lambda: False)
    assert {folder.name for folder in tmp_path.iterdir()} == {lane.folder.name for lane in spool.lanes}


def test_a_lane_that_was_sent_from_is_kept_and_not_the_copy_that_a_crash_left(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = filled(tmp_path, clock)
    first = spool.lanes[0]
    builder = lanes.LaneBuilder(tmp_path, first.order)
    builder.append([stored.payload for stored in first.read(0, 10, 10**6)], 1)
    copy = builder.finish({**first.facts(), lanes.REPLACES: first.epoch.encode()})
    spool.frames(first, 0, 1, 1)
    spool.close()
    again = Spool(tmp_path, clock, 2_000_000)
    epochs = [lane.epoch for lane in again.lanes]
    assert first.epoch in epochs and copy.epoch not in epochs and not copy.folder.exists()


def test_a_lane_keeps_its_facts_when_it_is_thinned(tmp_path: Path) -> None:
    clock = ManualClock(5000)  # never set
    spool = filled(tmp_path, clock)
    spool._size_max_bytes = spool.size_bytes()
    first = spool.lanes[0]
    spool.make_room(lambda: False)
    copy = spool.lanes[0]
    assert (copy.run, copy.shift_ms, copy.is_unplaced, copy.order) == (first.run, None, True, first.order)
    assert not copy.is_ready and not spool.frames(copy, 0, 10, 10**6)
    clock.advance(3600)
    spool.go_live_first()
    spool.make_room(lambda: False)
    assert all(lane.is_backlog for lane in Spool(tmp_path, clock).lanes[:-1])


def test_what_is_no_frame_of_ours_passes_through_untouched(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ManualClock(NOW_MS), 400_000)
    for value in range(3):
        spool.append(encode_readings(level([value])))
        spool.append(b"nonsense" * 20_000)
    spool.make_room(lambda: False)
    assert [p for p in contents(spool) if p.startswith(b"nonsense")] == [b"nonsense" * 20_000] * 3


@dataclass
class Disk:
    """One that others fill."""

    free: int

    def disk_usage(self, _: Path) -> Disk:
        return self


def test_a_disk_that_others_fill_is_like_a_budget_that_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, disk = ManualClock(NOW_MS), Disk(10**9)
    monkeypatch.setattr("gateway.spool.shutil", disk)
    spool = filled(tmp_path, clock)
    before = accounted(contents(spool))
    assert spool.make_room(lambda: False) is None
    largest = max(lane.size_bytes for lane in spool.lanes[:-1])
    disk.free = spool._disk_margin_bytes + largest
    clock.advance(1)
    assert spool.make_room(lambda: False) is None
    disk.free -= 1
    clock.advance(1)
    assert roomy(spool)  # a copy has room, and soon would have none
    assert accounted(contents(spool)) == before
    disk.free = spool._disk_margin_bytes - 1
    clock.advance(1)
    with pytest.raises(SpoolFull, match="the disk of"):
        spool.append(encode_readings(level([1.0])))
    spool.refuse(level([1.0], "a"))
    spool.trim()
    assert spool.is_full and not refused(spool)
    disk.free = 10**9
    clock.advance(1)
    spool.trim()
    assert not spool.is_full and set(refused(spool)) == {"a"}


def test_on_a_disk_without_room_for_a_copy_nothing_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, ManualClock(NOW_MS))
    monkeypatch.setattr("gateway.spool.shutil", Disk(1000))
    monkeypatch.setattr("gateway.spool.LaneBuilder", None)
    spool._disk_looked_at_s = -1e9
    assert spool.make_room(lambda: False) is None


# Refused


def refused(spool: Spool) -> dict[str, tuple[int, int, int]]:
    gaps = [g for g in gaps_of(contents(spool)) if g.reason == REFUSED]
    assert len({g.device for g in gaps}) == len(gaps)
    return {g.device: (g.first_ms, g.last_ms, g.missing) for g in gaps}


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_refused_is_told_as_soon_as_there_is_room(tmp_path: Path, restarts: bool) -> None:
    clock = ManualClock(NOW_MS)
    spool = Spool(tmp_path, clock, 400_000)
    with pytest.raises(SpoolFull):
        while True:
            spool.append(encode_readings(level([1.0] * 500)))
    spool.refuse(level([1, 2, 3], "a"))
    spool.refuse(level([4], "a", 0) + level([5], "b"))
    spool.trim()
    assert not refused(spool)
    if restarts:
        spool.close()
        spool = Spool(tmp_path, clock, 400_000)
    first = spool.lanes[0]
    spool.release(first.epoch, first.last)
    spool.trim()
    assert refused(spool) == {"a": (NOW_MS, NOW_MS + 2000, 4), "b": (NOW_MS, NOW_MS, 1)}
    spool.trim()
    spool.append(encode_readings(level([1.0])))
    again = Spool(tmp_path, clock, 400_000)
    again.append(encode_readings(level([1.0])))
    assert sum(len(decoded(p).gaps) for p in contents(again)) == 2  # told once


def full(path: Path, clock: ManualClock) -> Spool:
    spool = Spool(path, clock, 300_000)
    with pytest.raises(SpoolFull):
        while True:
            spool.append(encode_readings(level([1.0] * 500)))
    return spool


def test_what_is_refused_costs_no_write_a_group_and_a_crash_forgets_ten_seconds_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(NOW_MS)
    spool = full(tmp_path, clock)
    notes, note = 0, Lane.note

    def counted(lane: Lane, state: dict[str, bytes | None]) -> None:
        nonlocal notes
        notes += 1
        note(lane, state)

    monkeypatch.setattr(Lane, "note", counted)
    for _ in range(200):  # 20 s
        spool.refuse(level([1.0], "a"))
        spool.trim()
        clock.advance(0.1)
    assert notes <= 3
    again = Spool(tmp_path, clock, 300_000)  # the power went
    for lane in again.lanes[:-1]:
        again.release(lane.epoch, lane.last)
    again.trim()
    (told,) = refused(again).values()
    assert 100 <= told[2] <= 200


def test_what_is_refused_for_days_does_not_fill_the_disk(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    spool = full(tmp_path, clock)
    spool.refuse(level([1.0], "early"))
    devices = [f"device-with-a-long-name-{number}" for number in range(50)]
    largest = 0
    for _ in range(200):
        for device in devices:
            spool.refuse(level([1.0], device))
        clock.advance(11)
        spool.trim()
        largest = max(largest, sum(file.stat().st_size for file in tmp_path.rglob("*.db")))
    assert largest < 700_000 and spool.size_bytes() < 600_000
    spool.close()
    sizes = [lane.size_bytes for lane in spool.lanes]
    again = Spool(tmp_path, clock, 300_000)
    assert sum(lane.size_bytes for lane in again.lanes[:-1]) >= 0.8 * sum(sizes)  # what facts take is known again
    for lane in again.lanes[:-1]:
        again.release(lane.epoch, lane.last)
    again.trim()
    told = {device: missing for device, (_, _, missing) in refused(again).items()}
    assert told == {"early": 1, **dict.fromkeys(devices, 200)}


def test_refused_readings_survive_being_thinned_twice(tmp_path: Path) -> None:
    gap = SeriesGap("a", "level", NOW_MS, NOW_MS + 5, 7, REFUSED)
    out = thinned(thinned([encode_readings([], [gap]), encode_readings(level([1] * 9, "a"))], 60_000), 600_000)
    assert sorted(g.missing for g in gaps_of(out)) == [7, 7] and gap in gaps_of(out)


def test_a_copy_that_is_hardly_smaller_is_not_put_in_the_lanes_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ManualClock(NOW_MS), 600_000)
    number = 0
    while len(spool.lanes) < 4:
        number += 1
        spool.append(
            encode_readings([Reading("gate", "t", NOW_MS + number, 36.5, key=f"p{number}-{n}") for n in range(300)])
        )
    epochs = [lane.epoch for lane in spool.lanes]
    spool._size_max_bytes = spool.size_bytes()
    roomy(spool)
    assert [lane.epoch for lane in spool.lanes] == epochs
    assert {lane.noted(lanes.THINNESS)[lanes.THINNESS] for lane in spool.lanes[:-1]} == {b"3"}
