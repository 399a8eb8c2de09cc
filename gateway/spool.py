"""The gateway's own disk: every frame stays here until the core, and nobody else, says that it is durable.

A spool is a folder of lanes (`gateway.lane`), in order. Every run of the gateway begins a new one, the live lane, and
never writes to an older one. The live lane gives way to a new one when it is large, and when an outage is over:

    in order     no lane is backlog: lanes go out one after the other, the oldest first
    live first   what has waited too long is frozen and marked as backlog; what is taken from now on goes out first, and
                 the backlog behind it. What is backlog stays so, and so does every lane of an earlier run after it.
                 When all of it is gone, a frame without a reading is appended: the core may have had the last frame
                 of the backlog before it was any, and passes over what it has, whatever that says is left

When the disk budget is nearly used up, lanes that were never sent from are thinned (`gateway.thinning`), all of them
once before one of them twice, the oldest first. When all are as thin as they get, new readings are refused: what is
already promised stays. A disk that others have nearly filled counts like a budget that is nearly used up: what is left of it
is for the thinner copies, and for opening the spool after a power cut. Of both the spool says exactly how many of which
series are missing, from when to when. What a guard decides is never measured again: it has a small reserve beyond both.

`release` works in memory and `trim` on disk, so that a receipt costs no fsync of its own. What a crash leaves untrimmed
is sent again and counted once by the core. A lane that cannot be read is set aside and said so; the others go on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gateway import lane as facts
from gateway.lane import Lane, LaneBuilder, begin_lane, delete_remains, is_damaged
from gateway.thinning import BUCKETS_MS, REFUSED, Missing, Series, Thinner
from gateway.timekeeping import Timekeeper, is_placed
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.journal import Stored
from telemetry.reading import Reading, SeriesGap, encode_readings

LANES_SHOWN_MAX = 100
_LANES_A_BUDGET = 16
_LANE_BYTES_MIN = 100_000  # below, a lane costs more than it holds
_OPEN_TRIES = 3
_FAILS_MAX_S = 600.0  # of a lane alone: a disk that errs now and then is no reason to give up what it holds
_DRAINED_REMEMBERED = 100
_NEWEST_EVERY_MS = 60_000
_THIN_FROM = 14 / 16  # of the budget: a lane is thinned beside the one it replaces
_DISK_MARGIN_BYTES = 16_000_000  # an eighth of the budget if that is less
_RESERVE_BYTES = 2_000_000  # beyond both, for what people decide; a sixteenth of the budget if that is less
_DISK_LOOKED_AT_EVERY_S = 1.0
_REFUSED_NOTED_EVERY_S = 10.0
_WORTH_IT = 0.9  # a copy that is hardly smaller is not worth the writing

# Facts that are handed on from lane to lane: the live one has them.
_NEWEST_MS = "newest-ms"
_REFUSED = "refused/"  # and the series: readings that were refused and are not told of yet
_REMEMBERED = "remembered/"
_OUTAGE = "outage"  # there is backlog, or there was and no frame after it has been taken
_NOTHING: Mapping[str, bytes | None] = {}
_HANDED_ON = (_NEWEST_MS, _REFUSED, _REMEMBERED, _OUTAGE)


class SpoolFull(Unavailable):
    """The disk budget is used up: the reading is refused, tell whoever brought it to keep it."""


@dataclass(frozen=True, slots=True)
class Thinned:
    """A lane was made smaller."""

    epoch: str
    bytes_before: int
    bytes_after: int


class Release(Enum):
    """What became of a receipt."""

    FREED = "freed"
    REPEATED = "repeated"  # nothing new in it
    OTHER_EPOCH = "other-epoch"  # of a lane that is no longer, or of somebody else's
    BEYOND_LAST = "beyond-last"  # the core has more than we ever took: this lane is older than what was sent from it


@dataclass(frozen=True, slots=True)
class Held:
    """What a spool holds, for the status."""

    lanes: list[str]  # epochs: the live one, then from the oldest on
    frames: int
    behind: int  # frames of backlog
    oldest_ms: int | None
    is_full: bool
    damaged: int


class Spool:
    """Frames on disk. Raises Unavailable when the disk refuses. Any thread may call any method.

    Args:
        path: The folder.
        clock: The machine's; the spool knows how far it can be trusted, and `timekeeper` is the time to use.
        live_first_after_s: What has waited for so long goes out behind what is new.
        is_backed: As of `Timekeeper`.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        size_max_bytes: int = 2_000_000_000,
        live_first_after_s: float = 60.0,
        is_backed: Callable[[int], bool] = lambda wall_ms: True,
    ) -> None:
        self.path = path
        self._size_max_bytes = size_max_bytes
        self._lane_bytes_max = max(size_max_bytes // _LANES_A_BUDGET, _LANE_BYTES_MIN)
        self._disk_margin_bytes = min(_DISK_MARGIN_BYTES, size_max_bytes // 8)
        self._reserve_bytes = min(_RESERVE_BYTES, size_max_bytes // 16)
        self._disk_free_bytes = 0
        self._disk_looked_at_s = -math.inf
        self._live_first_after_ms = round(live_first_after_s * 1000)
        self._writing = (
            threading.RLock()
        )  # appends, and everything that changes which lanes there are; held over fsyncs
        self._lock = threading.Lock()  # the list of lanes and what was sent from; never held over an fsync
        self._drained: deque[str] = deque(maxlen=_DRAINED_REMEMBERED)
        self._failing_since_s: dict[str, float] = {}  # epoch -> since when nothing comes of reading it
        self._leaving: list[Lane] = []  # not deleted yet
        self._set_aside: list[str] = []  # since anybody last asked
        self._damaged_bytes = 0
        self._damaged = 0
        if path.exists() and not path.is_dir():
            raise BadConfiguration(f"spool.path: {path} is a file; a spool is a folder of its own, so name another")
        try:
            path.mkdir(parents=True, exist_ok=True)
            delete_remains(path)
        except OSError as error:
            raise Unavailable(f"opening {path}: {error}") from error
        self._lanes = self._found()
        self._run = secrets.token_hex(8)
        handed_on = self._lanes[-1].noted("") if self._lanes else {}
        self._handed_on = {name: value for name, value in handed_on.items() if name.startswith(_HANDED_ON)}
        self._newest_ms = int(self._handed_on.get(_NEWEST_MS, b"0"))
        self.timekeeper = Timekeeper(clock, self._newest_ms, is_backed)
        self._monotonic_s = clock.monotonic_s
        self._refused = {
            _series_of(name): self._read_refused(value)
            for name, value in self._handed_on.items()
            if name.startswith(_REFUSED)
        }
        self._refused_unwritten: set[Series] = set()
        self._refused_noted_s = -math.inf
        self._lanes.append(self._begun(self._lanes[-1].order + 1 if self._lanes else 1))
        for lane in self._lanes[:-1]:
            if lane.count == 0:
                self._end(lane)
            else:
                lane.rest()
        self._continue_backlog()
        self.place()
        self.is_full = bool(self._why_full())

    # Taking

    def append(self, columns: bytes) -> int:
        """Make a frame durable and return its seq. Raises SpoolFull, or Unavailable when the disk refuses."""
        with self._writing:
            if why := self._why_full():
                self.is_full = True
                raise SpoolFull(why)
            self.is_full = False
            return self._taken(columns)

    def append_decision(self, columns: bytes) -> tuple[str, int]:
        """The same for what a person has decided, for which there is room a little longer; (epoch, seq)."""
        with self._writing:
            if why := self._why_full(self._reserve_bytes):
                raise SpoolFull(why)
            seq = self._taken(columns)
            return self.epoch, seq

    def refuse(self, readings: Sequence[Reading]) -> None:
        """Count readings that were given up for want of room; told in a frame of their own as soon as there is some.

        The disk hears of them every 10 s, and when the spool is closed: a crash forgets what was refused since then.
        """
        with self._writing:
            for reading in readings:
                series, time_ms = (reading.device, reading.metric), reading.time_ms
                self._refused.setdefault(series, Missing(time_ms, time_ms, 0)).add(time_ms, time_ms, 1)
                self._refused_unwritten.add(series)
            self._note_refused_when_due()

    def tell_refused(self) -> None:
        """If there is room again, say in a frame what was refused meanwhile."""
        with self._writing:
            if self._refused and not self._why_full():
                self._append([])

    def tell_outage_over(self) -> None:
        """If the last of the backlog is gone, say so in a frame that the core has not had before."""
        with self._writing:
            if _OUTAGE in self._handed_on and not any(lane.is_backlog and lane.count for lane in self.lanes):
                self._append([encode_readings([])], {_OUTAGE: None})

    def make_room(self, is_stopping: Callable[[], bool]) -> Thinned | None:
        """When the room is nearly used up, thin one lane. None when there was nothing to do, or nothing could be done."""
        free_bytes = self._free_bytes()
        with self._lock:
            able = [x for x in self._lanes[:-1] if not x.is_sent and x.thinness < len(BUCKETS_MS) and x.count]
        # What is lost of a damaged one is told when the rest of it is gone: a copy would not know.
        able = [x for x in able if not x.damage]
        # A copy is written beside its lane: it must fit, and for the largest that does it must not become too late.
        able = [x for x in able if x.size_bytes <= free_bytes - self._disk_margin_bytes // 2]
        # One that cannot be read just now is tried again when no other is left.
        able = [x for x in able if x.epoch not in self._failing_since_s] or able
        is_disk_low = any(free_bytes < self._disk_margin_bytes + x.size_bytes for x in able)
        if self.size_bytes() < self._size_max_bytes * _THIN_FROM and not is_disk_low:
            return None
        lane = min(able, key=lambda lane: (lane.thinness, lane.order), default=None)
        if lane is None:
            return None
        builder = LaneBuilder(self.path, lane.order)
        try:
            if not self._copy_thinner(lane, builder, is_stopping):
                builder.abandon()
                return None
            return self._replace(lane, builder)
        except Unavailable:
            builder.abandon()
            raise

    def _copy_thinner(self, lane: Lane, builder: LaneBuilder, is_stopping: Callable[[], bool]) -> bool:
        """False when it was broken off."""
        thinner = Thinner(BUCKETS_MS[lane.thinness])
        after = run_ms = 0
        while found := self._read_to_thin(lane, after):
            out: list[bytes] = []
            for stored in found:
                after, run_ms = stored.offset, max(run_ms, stored.time_ms)
                try:
                    out += thinner.take(stored.payload)
                except BadInput:  # no frame of ours; whoever can read it may
                    out += [*thinner.end(), stored.payload]
            if out:
                builder.append(out, run_ms)
            if is_stopping() or lane.is_sent:
                return False
        if rest := list(thinner.end()):
            builder.append(rest, run_ms)
        return True

    def _read_to_thin(self, lane: Lane, after: int) -> list[Stored]:
        try:
            found = lane.read(after, 100, 1_000_000)
        except Unavailable as error:
            self._failed(lane, error)
            raise
        self._failing_since_s.pop(lane.epoch, None)
        return found

    def _replace(self, lane: Lane, builder: LaneBuilder) -> Thinned | None:
        """Put the thinner copy in the lane's place, unless it was sent from in the meantime."""
        with self._writing:
            with self._lock:
                if lane.is_sent or lane not in self._lanes:
                    builder.abandon()
                    return None
                lane.is_being_replaced = True
            try:
                facts_ = {**lane.facts(), facts.THINNESS: b"%d" % (lane.thinness + 1)}
                if builder.size_bytes() > lane.size_bytes * _WORTH_IT:
                    builder.abandon()
                    lane.note({facts.THINNESS: facts_[facts.THINNESS]})
                    lane.thinness += 1
                    return Thinned(lane.epoch, lane.size_bytes, lane.size_bytes)
                copy = builder.finish({**facts_, facts.REPLACES: lane.epoch.encode()})
                copy.rest()
                with self._lock:
                    self._lanes[self._lanes.index(lane)] = copy
            finally:
                lane.is_being_replaced = False
            self._leave(lane)
            return Thinned(lane.epoch, lane.size_bytes, copy.size_bytes)

    def _taken(self, columns: bytes) -> int:
        if self.live.size_bytes >= self._lane_bytes_max:
            self._begin_live()
        try:
            return self._append([columns])
        except Unavailable as error:
            if not is_damaged(error):
                raise
            damaged = self.live
            self._begin_live()
            if damaged.count == 0:
                self._put_aside(damaged, str(error))
            return self._append([columns])

    def _append(self, payloads: list[bytes], noted: Mapping[str, bytes | None] = _NOTHING) -> int:
        state = dict(noted)
        refused = self._refused
        if refused:
            gaps = [SeriesGap(*series, m.first_ms, m.last_ms, m.count, REFUSED) for series, m in refused.items()]
            payloads = [encode_readings([], gaps), *payloads]
            state |= dict.fromkeys(map(_refused_name, refused))
        now_ms = self.timekeeper.now_ms()
        if is_placed(now_ms) and abs(now_ms - self._newest_ms) >= _NEWEST_EVERY_MS:
            state[_NEWEST_MS] = b"%d" % now_ms
        seq = self.live.append(payloads, self.timekeeper.run_ms(), state)
        if _NEWEST_MS in state:
            self._newest_ms = now_ms
        if refused:
            self._refused = {}
            self._refused_unwritten.clear()
        self._hand_on(state)
        return seq

    def remember(self, name: str, value: bytes) -> None:
        """Keep a fact of somebody else over restarts."""
        with self._writing:
            self._note({_REMEMBERED + name: value})

    def _note_refused_when_due(self) -> None:
        if self._refused_unwritten and self._monotonic_s() - self._refused_noted_s >= _REFUSED_NOTED_EVERY_S:
            self._note_refused()

    def _note_refused(self) -> None:
        counts = {series: self._refused[series] for series in self._refused_unwritten}
        self._note(
            {
                _refused_name(series): json.dumps([m.first_ms, m.last_ms, m.count]).encode()
                for series, m in counts.items()
            }
        )
        self._refused_unwritten.clear()
        self._refused_noted_s = self._monotonic_s()

    def _note(self, state: Mapping[str, bytes | None]) -> None:
        """Make facts durable that are handed on. What they were before stays on disk as long as their lane does, so a
        lane that has grown by them gives way like one that has grown by frames, budget or not.
        """
        self.live.note(state)
        self._hand_on(state)
        if self.live.size_bytes >= max(self._lane_bytes_max, 2 * self._live_began_bytes):
            with contextlib.suppress(Unavailable):  # tried again with the next
                self._begin_live()

    def recalled(self, name: str) -> bytes:
        """What was remembered; nothing when nothing was."""
        return self._handed_on.get(_REMEMBERED + name) or b""

    # Sending

    def streams(self) -> list[Lane]:
        """The lanes to send from now, in the order of their claims: what is not backlog, then the backlog."""
        with self._lock:
            current = next((lane for lane in self._lanes if not lane.is_backlog and lane.count), self._lanes[-1])
            backlog = next((lane for lane in self._lanes if lane.is_backlog and lane.count), None)
        return [current] if backlog is None else [current, backlog]

    def frames(self, lane: Lane, after_seq: int, count_max: int, bytes_max: int) -> list[Stored]:
        """The next frames of a lane after a seq, as they are sent: at most `count_max` and about `bytes_max`.

        At least one, if there is one and the lane's times are known.
        """
        with self._lock:
            # Once this is set nobody puts a thinner copy in the lane's place.
            if lane not in self._lanes or not lane.is_ready:
                return []
            is_first = not lane.is_sent
            lane.is_sent = True
        try:
            if is_first:
                self._note_sent(lane)
            found = lane.read(after_seq, count_max, bytes_max)
        except Unavailable as error:
            self._failed(lane, error)
            raise
        self._failing_since_s.pop(lane.epoch, None)
        if not lane.is_unplaced:
            return found
        return [Stored(s.offset, s.kind, s.time_ms, lane.placed(s.payload)) for s in found]

    def _note_sent(self, lane: Lane) -> None:
        """Nothing of a lane goes out before the disk knows that it does: after a crash a thinner copy would send it again."""
        try:
            lane.note({facts.SENT: facts.YES})
        except Unavailable:
            with self._lock:
                lane.is_sent = False
            raise

    def behind(self, lane: Lane, seq: int) -> int:
        """How many frames of backlog are still to come after a frame."""
        with self._lock:
            waiting = sum(other.count for other in self._lanes if other.is_backlog and other.order > lane.order)
            if lane.is_backlog:
                return waiting + lane.last - seq
            return sum(other.count for other in self._lanes if other.is_backlog)

    def go_live_first(self) -> bool:
        """If what would go out next has waited too long, make all that is here backlog; tell whether."""
        with self._writing:
            current = [lane for lane in self.lanes if not lane.is_backlog and lane.count]
            if not current or not self._has_waited_too_long(current[0]):
                return False
            if current[-1] is self.live:
                self._begin_live()
            outage: dict[str, bytes | None] = {_OUTAGE: facts.YES}
            self.live.note(outage)
            self._hand_on(outage)
            # From the oldest on: should we die between two, the next start finds those that follow.
            for lane in current:
                lane.note({facts.BACKLOG: facts.YES})
                lane.is_backlog = True
            return True

    def release(self, epoch: str, seq: int) -> Release:
        """Let go of everything through `seq` of a lane. Only a receipt of the core may lead here."""
        with self._lock:
            lane = next((lane for lane in self._lanes if lane.epoch == epoch), None)
            if lane is None:
                return Release.REPEATED if epoch in self._drained else Release.OTHER_EPOCH
        if seq > lane.last:
            if lane is self.live:
                return Release.BEYOND_LAST
            # It is written to no more: what stood behind its end is at the core, and is damaged here or not in this copy.
            seq = lane.last
        if seq <= lane.released:
            return Release.REPEATED
        lane.release(seq)
        return Release.FREED

    def trim(self) -> None:
        """Give the disk back what was released."""
        with self._writing:
            in_use = [*self.streams(), self.live]
            for lane in self.lanes:
                if lane.count == 0 and lane is not self.live:
                    self._end(lane)
                    continue
                lane.trim()
                if lane not in in_use:
                    lane.rest()
            self.is_full = bool(self._why_full())
            self.tell_refused()
            self._note_refused_when_due()
            self.tell_outage_over()

    # Knowing

    @property
    def live(self) -> Lane:
        """The lane that is written to."""
        return self._lanes[-1]

    @property
    def lanes(self) -> list[Lane]:
        """All of them, the oldest first."""
        with self._lock:
            return list(self._lanes)

    @property
    def epoch(self) -> str:
        """The live lane's."""
        return self.live.epoch

    @property
    def count(self) -> int:
        """How many frames wait for their receipt."""
        return sum(lane.count for lane in self.lanes)

    def size_bytes(self) -> int:
        """Bytes in use, those of lanes that were set aside included."""
        return sum(lane.size_bytes for lane in self.lanes) + self._damaged_bytes

    def _why_full(self, reserve_bytes: int = 0) -> str:
        """Why nothing new is taken; empty when there is room."""
        if self.size_bytes() >= self._size_max_bytes + reserve_bytes:
            return f"{self.path} holds {self._size_max_bytes:,} bytes, its budget"
        if self._free_bytes() < self._disk_margin_bytes - reserve_bytes:
            return f"the disk of {self.path} has less than {self._disk_margin_bytes:,} bytes left"
        return ""

    def _free_bytes(self) -> int:
        """What is left of the disk, as it was a second ago at the most."""
        now_s = self._monotonic_s()
        if now_s - self._disk_looked_at_s >= _DISK_LOOKED_AT_EVERY_S:
            try:
                self._disk_free_bytes = shutil.disk_usage(self.path).free
            except OSError as error:
                raise Unavailable(f"asking what is left of the disk of {self.path}: {error}") from error
            self._disk_looked_at_s = now_s
        return self._disk_free_bytes

    def held(self) -> Held:
        """What there is."""
        lanes = self.lanes
        oldest = next((lane for lane in lanes if lane.count), None)
        return Held(
            [self.epoch, *(lane.epoch for lane in lanes[:-1])][:LANES_SHOWN_MAX],
            sum(lane.count for lane in lanes),
            sum(lane.count for lane in lanes if lane.is_backlog),
            None if oldest is None else self._written_ms(oldest),
            self.is_full,
            self._damaged,
        )

    def place(self) -> None:
        """Write down when the lanes' times were, as soon as that can be known. What is written down stays so."""
        shift_ms = self.timekeeper.placing_shift_ms
        if shift_ms is None or all(lane.shift_ms is not None for lane in self.lanes):
            return
        with self._writing:
            began_ms = shift_ms  # when the run after the one in hand began
            run, guess_ms = self._run, shift_ms
            for lane in reversed(self.lanes):
                if lane.run != run:
                    run = lane.run
                    # Nobody knows when this run was. It was over when the next one began, and it ended with its last frame.
                    if lane.shift_ms is None:
                        guess_ms = began_ms - 1 - self._last_run_ms(lane)
                if lane.shift_ms is None:
                    is_guess = lane.run != self._run and lane.is_unplaced
                    guessed = {facts.GUESSED: facts.YES} if is_guess else {}
                    lane.note({facts.SHIFT_MS: b"%d" % guess_ms, **guessed})
                    lane.is_guessed = is_guess
                    lane.shift_ms = guess_ms
                began_ms = guess_ms = lane.shift_ms

    def put_aside(self) -> list[str]:
        """The lanes that were set aside since this was last asked, each with why."""
        with self._lock:
            told, self._set_aside = self._set_aside, []
        return told

    def close(self) -> None:
        """Write what is not written yet and let go of the files. Other threads must have stopped using the spool."""
        if self._refused_unwritten:
            with self._writing, contextlib.suppress(Unavailable):
                self._note_refused()
        for lane in self.lanes:
            lane.rest()

    # Lanes come and go

    def _found(self) -> list[Lane]:
        """The lanes of earlier runs, oldest first; the one of two that a crash left beside its thinner copy is deleted."""
        lanes: list[Lane] = []
        for folder in sorted(self.path.iterdir()):
            if folder.name.endswith(facts.DAMAGED):
                self._damaged += 1
                self._damaged_bytes += _bytes_on_disk(folder)
            elif folder.name.endswith((facts.BUILDING, facts.DRAINED)):
                continue  # it could not be deleted, and is no lane all the same
            elif folder.is_dir() and folder.name.partition("-")[0].isdigit():
                lane = self._found_lane(folder)
                if lane is not None:
                    lanes.append(lane)
                    lane.rest()
        replaced = {lane.replaces for lane in lanes if lane.replaces}
        # Of one that was sent from since, the copy never took the place.
        sent = {lane.epoch for lane in lanes if lane.epoch in replaced and lane.is_sent}
        gone = [lane for lane in lanes if lane.epoch in replaced - sent or lane.replaces in sent]
        for lane in gone:
            lane.remove()
        return [lane for lane in lanes if lane not in gone]

    def _found_lane(self, folder: Path) -> Lane | None:
        """A lane of an earlier run; None when it was set aside. Raises Unavailable: a full disk, or none, is no damage."""
        for attempt in itertools.count(1):
            try:
                return Lane(folder)
            except Unavailable as error:
                if is_damaged(error):
                    renamed = folder.with_name(folder.name + facts.DAMAGED)
                    with contextlib.suppress(OSError):
                        folder.rename(renamed)
                    self._count_damaged(renamed, str(error))
                    return None
                if attempt == _OPEN_TRIES:
                    raise
                time.sleep(0.1)
        raise AssertionError("an endless count has ended")

    def _begun(self, order: int) -> Lane:
        shift_ms = self.timekeeper.shift_ms
        state: dict[str, bytes | None] = {facts.RUN: self._run.encode(), **self._handed_on}
        if not self.timekeeper.began_trusted:
            state[facts.UNPLACED] = facts.YES
            shift_ms = self.timekeeper.placing_shift_ms  # what is appended may have been stamped before
        if shift_ms is not None:
            state[facts.SHIFT_MS] = b"%d" % shift_ms
        lane = begin_lane(self.path, order, state)
        self._live_began_bytes = lane.size_bytes
        return lane

    def _begin_live(self) -> None:
        """Freeze the live lane and begin another. Only while writing."""
        lane = self._begun(self.live.order + 1)
        frozen = self.live
        with self._lock:
            self._lanes.append(lane)
        frozen.rest()

    def _end(self, lane: Lane) -> None:
        """Nothing of a lane waits any more. What is left of a damaged one is kept for whoever may be able to read it."""
        if lane.damage:
            self._put_aside(lane, lane.damage)
        else:
            self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        with self._lock:
            self._lanes.remove(lane)
            self._drained.append(lane.epoch)
        self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        """Delete a lane that is none of ours any more; if the disk refuses, later."""
        self._leaving.append(lane)
        for other in list(self._leaving):
            with contextlib.suppress(Unavailable):
                other.remove()
                self._leaving.remove(other)

    def _continue_backlog(self) -> None:
        """What follows a backlog was taken during the same outage, or while it was made good."""
        is_backlog = False
        for lane in self._lanes[:-1]:
            is_backlog = is_backlog or lane.is_backlog
            if is_backlog and not lane.is_backlog:
                lane.note({facts.BACKLOG: facts.YES})
                lane.is_backlog = True

    def _hand_on(self, state: Mapping[str, bytes | None]) -> None:
        """Facts of the live lane that the next one must know."""
        for name, value in state.items():
            if value:
                self._handed_on[name] = value
            else:
                self._handed_on.pop(name, None)

    # Time

    def _read_refused(self, value: bytes) -> Missing:
        """What an earlier run refused. A time of it that nobody can place any more is put where this run begins."""
        first_ms, last_ms, count = json.loads(value)
        now_ms = self.timekeeper.now_ms()
        first_ms, last_ms = sorted(time_ms if is_placed(time_ms) else now_ms for time_ms in (first_ms, last_ms))
        return Missing(first_ms, last_ms, count)

    def _has_waited_too_long(self, lane: Lane) -> bool:
        found = lane.read(lane.released, 1, 1)
        if not found:
            return False
        waited_ms = self.timekeeper.run_ms()
        if lane.run == self._run:
            waited_ms -= found[0].time_ms
        elif lane.shift_ms is not None:
            # A clock that went back since makes nothing younger than this run.
            waited_ms = max(waited_ms, self.timekeeper.now_ms() - lane.shift_ms - found[0].time_ms)
        return waited_ms > self._live_first_after_ms

    def _written_ms(self, lane: Lane) -> int | None:
        """When the oldest frame of a lane was written."""
        shift_ms = self.timekeeper.shift_ms if lane.run == self._run else lane.shift_ms
        found = lane.read(lane.released, 1, 1)
        return found[0].time_ms + shift_ms if found and shift_ms is not None else None

    def _last_run_ms(self, lane: Lane) -> int:
        """When, in its own run's count, a lane was last written to."""
        found = lane.read(lane.last - 1, 1, 1)
        return found[-1].time_ms if found else 0

    # Damage

    def _failed(self, lane: Lane, error: Unavailable) -> None:
        """A lane could not be read. Set it aside when trying again is no use and the disk as such is well."""
        since_s = self._failing_since_s.setdefault(lane.epoch, self._monotonic_s())
        if not is_damaged(error):
            if self._monotonic_s() - since_s < _FAILS_MAX_S:
                return
            try:
                self.live.note({"probe": b"1"})
            except Unavailable:
                return
        with self._writing:
            if lane is self.live:
                self._begin_live()
            if not (lane.damage and lane.count):  # what stands before the damage is sent yet
                self._put_aside(lane, str(error))

    def _put_aside(self, lane: Lane, why: str) -> None:
        with self._lock:
            if lane in self._lanes:
                self._lanes.remove(lane)
        self._failing_since_s.pop(lane.epoch, None)
        self._count_damaged(lane.set_aside(), why)

    def _count_damaged(self, folder: Path, why: str) -> None:
        self._damaged += 1
        self._damaged_bytes += _bytes_on_disk(folder)
        with self._lock:
            self._set_aside.append(f"{folder}: {why}")


def _refused_name(series: Series) -> str:
    return _REFUSED + "/".join(series)


def _series_of(name: str) -> Series:
    device, _, metric = name.removeprefix(_REFUSED).partition("/")
    return device, metric


def _bytes_on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
