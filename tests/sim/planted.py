"""Bugs that a system like this could have, each as a patch. A simulation that does not find them proves nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any
from unittest import mock

import apsw

import ingest.vet
from alerts.book import AlarmBook
from alerts.notify.sender import Sender
from alerts.worker import AlertWorker
from gateway.collector import Collector
from gateway.local_alarms import LocalAlarms
from gateway.spool import Spool
from gateway.thinning import Thinner
from gateway.uplink import Uplink
from ingest.committer import Committer
from ingest.group import Group
from ingest.history.completeness import Completeness, Counted
from ingest.history.loop import CURSOR as HISTORY_CURSOR
from ingest.history.loop import HistoryLoop
from ingest.recent import Recent
from ingest.vet import Vetter
from telemetry import segment
from telemetry.batch import concatenate
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind
from tests.sim.world import run


@contextlib.contextmanager
def acknowledge_before_durable() -> Iterator[None]:
    """The core answers at once and writes its journal every other second."""
    commit = Committer.commit

    def later(self: Any, group: Group, is_connected: bool) -> None:
        waiting = self.__dict__.setdefault("waiting", [])
        waiting.append(group)
        if self._clock.monotonic_s() - self.__dict__.get("written_s", 0.0) >= 2.0:
            self.__dict__["written_s"] = self._clock.monotonic_s()
            while waiting:
                commit(self, waiting[0], is_connected)
                waiting.pop(0)

    with mock.patch.object(Committer, "commit", later):
        yield


@contextlib.contextmanager
def cursor_before_effect() -> Iterator[None]:
    """History notes its place, then writes."""

    def keep(self: Any) -> None:
        first, last, batch = self._written + 1, self._read, concatenate(self._batches)
        self._journal.set_cursor(HISTORY_CURSOR, last)
        self._batches, self._row_count, self._written = [], 0, last
        list(self._writer.write(batch, first, last))

    with mock.patch.object(HistoryLoop, "_keep", keep):
        yield


@contextlib.contextmanager
def duplicates_known_in_memory_only() -> Iterator[None]:
    """Which frames were durable is forgotten when the core stops."""
    with mock.patch.object(Committer, "seen", lambda self: {}):
        yield


@contextlib.contextmanager
def spool_trusts_the_broker() -> Iterator[None]:
    """What the broker acknowledged is let go."""
    taken = Uplink.link_taken

    def release(self: Any, message_id: int) -> None:
        epoch = self._on_the_way.get(message_id)
        taken(self, message_id)
        for lane in self._spool.lanes:
            if lane.epoch == epoch and epoch is not None:
                self._spool.release(epoch, min(lane.last, lane.released + 1))
                self._windows[epoch].receipt(lane.released, self._clock.monotonic_s())

    with mock.patch.object(Uplink, "link_taken", release):
        yield


@contextlib.contextmanager
def gateway_promises_before_its_disk() -> Iterator[None]:
    """A device is told that its reading is kept when it is in memory."""

    async def keep(self: Any, readings: Any) -> None:
        await self.offer(readings)

    with mock.patch.object(Collector, "keep", keep):
        yield


@contextlib.contextmanager
def no_sync() -> Iterator[None]:
    """The journal leaves it to the system when its writes reach the disk."""
    connect = segment.connect

    def unsynced(path: Any, vfs: str | None = None) -> apsw.Connection:
        connection = connect(path, vfs)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    with mock.patch.object(segment, "connect", unsynced):
        yield


@contextlib.contextmanager
def facts_after_records() -> Iterator[None]:
    """Which frames are durable is written down in a transaction of its own, after the readings."""
    append = Journal.append

    def twice(self: Any, records: Any, state: Mapping[str, bytes | None] | None = None) -> int:
        last = append(self, records)
        if state:
            self.set_state(state)
        return last

    with mock.patch.object(Journal, "append", twice):
        yield


@contextlib.contextmanager
def delivered_before_it_is() -> Iterator[None]:
    """A notice is marked as delivered, then handed over."""

    def step(self: Any) -> bool:
        for notice in self._store.due_notices(self._name, self._clock.now_ms(), limit=100):
            self._store.delivered([notice.id], self._clock.now_ms())
            with contextlib.suppress(Unavailable):
                self._channel.deliver(notice)
        return False

    with mock.patch.object(Sender, "step", step):
        yield


@contextlib.contextmanager
def frames_out_of_turn() -> Iterator[None]:
    """A frame that overtook an earlier one is taken; the earlier one then counts as a repetition."""
    takes_turn = Vetter._takes_turn

    def any_turn(self: Any, topic: Any, frame: Any, group: Group, seen: dict[str, int]) -> bool:
        source = f"{frame.gateway}/{frame.epoch}"
        last = seen.get(source, self._seen.get(source, 0))
        if frame.seq > last + 1:
            seen[source] = frame.seq - 1
        return takes_turn(self, topic, frame, group, seen)

    with mock.patch.object(Vetter, "_takes_turn", any_turn):
        yield


@contextlib.contextmanager
def plain_readings_are_never_remembered() -> Iterator[None]:
    """What a broker hands out again is taken again."""
    with mock.patch.object(ingest.vet, "Recent", Recent), mock.patch.object(Recent, "accept", lambda *given: None):
        yield


@contextlib.contextmanager
def backlog_is_not_judged() -> Iterator[None]:
    """What happened during an outage goes to history and raises no alarm."""
    from alerts.engine import Engine

    apply = Engine.apply

    def without(self: Any, record: Any, *given: Any) -> Any:
        if record.kind is Kind.BACKLOG:
            record = type(record)(record.offset, Kind.GAPS, record.time_ms, b"[]")
        return apply(self, record, *given)

    with mock.patch.object(Engine, "apply", without):
        yield


@contextlib.contextmanager
def alarms_forgotten_over_a_restart() -> Iterator[None]:
    """The engine begins anew where it had stopped, without its memory."""

    def resume(self: Any, *given: Any) -> None:
        self._stored, self.position, _ = self._store.memory()
        self.position = max(self.position, self._stored)

    with mock.patch.object(AlertWorker, "_resume", resume):
        yield


@contextlib.contextmanager
def told_only_while_it_is_open() -> Iterator[None]:
    """What a gateway raised by itself is not looked for among alarms that were over when it could be heard."""
    hear = AlarmBook.hear_locally

    def deaf(self: Any, telling: Any, over: Any, *given: Any) -> None:
        hear(self, telling, (), *given)

    with mock.patch.object(AlarmBook, "hear_locally", deaf):
        yield


@contextlib.contextmanager
def local_alarms_forgotten_over_a_cut() -> Iterator[None]:
    """The gateway says what it raised to whoever listens, and is glad to have said it."""
    told = LocalAlarms.told

    def once(self: Any) -> Any:
        said = self.__dict__.setdefault("said", set())
        found = [alarm for alarm in told(self) if alarm["id"] not in said]
        said.update(alarm["id"] for alarm in found)
        return found

    with mock.patch.object(LocalAlarms, "told", once):
        yield


@contextlib.contextmanager
def thinned_without_a_word() -> Iterator[None]:
    """What a gateway gives up for want of room is told of no more than half the time."""
    miss = Thinner._miss

    def forgetful(self: Any, series: Any, reason: str, gone: Any) -> None:
        if self._place % 2:
            miss(self, series, reason, gone)

    with mock.patch.object(Thinner, "_miss", forgetful):
        yield


@contextlib.contextmanager
def persons_are_thinned() -> Iterator[None]:
    """A reading with a passage key is given up like any other."""
    take = Thinner._reading

    def anybody(self: Any, reading: Any) -> None:
        take(self, replace(reading, key=None))

    with mock.patch.object(Thinner, "_reading", anybody):
        yield


@contextlib.contextmanager
def thinned_after_it_was_sent() -> Iterator[None]:
    """Nothing is written down of which lanes were sent from: after a crash a thinner copy takes the numbers of a lane that
    the core has in part."""
    with mock.patch.object(Spool, "_note_sent", lambda self, lane: None):
        yield


@contextlib.contextmanager
def counted_before_its_cursor() -> Iterator[None]:
    """What has arrived is counted in one transaction, and how far in another."""
    add = Completeness.add

    def twice(self: Any, counted: Any, lost: Any, frames: Any, last: int) -> None:
        add(self, counted, lost, frames, self.cursor())
        columns = (getattr(counted, field.name)[:0] for field in fields(Counted))
        add(self, Counted(*columns), [], {}, last)

    with mock.patch.object(Completeness, "add", twice):
        yield


BUGS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    made.__name__: made
    for made in (
        acknowledge_before_durable,
        cursor_before_effect,
        duplicates_known_in_memory_only,
        spool_trusts_the_broker,
        gateway_promises_before_its_disk,
        no_sync,
        facts_after_records,
        delivered_before_it_is,
        frames_out_of_turn,
        plain_readings_are_never_remembered,
        backlog_is_not_judged,
        alarms_forgotten_over_a_restart,
        told_only_while_it_is_open,
        local_alarms_forgotten_over_a_cut,
        thinned_without_a_word,
        persons_are_thinned,
        thinned_after_it_was_sent,
        counted_before_its_cursor,
    )
}


def _search() -> None:
    """Say for each bug the first seed that finds it."""
    for name, plant in BUGS.items():
        for seed in range(1, 100):
            with plant():
                if not run(seed).is_good:
                    print(f'    "{name}": {seed},')
                    break
        else:
            print(f"    {name}: NOT FOUND")


if __name__ == "__main__":
    _search()
