"""Group commit: what one read from the broker held becomes durable in one transaction, and only then is acknowledged.

Invariant: `commit` returning is the only way to a receipt or a PUBACK.
"""

from __future__ import annotations

import time

import msgspec

from ingest import events
from ingest.group import Gap, Group, Reject
from telemetry.batch import encode_batch
from telemetry.clock import Clock
from telemetry.journal import AWAY, CONNECTED, Journal, Kind, Record

TICK_EVERY_S = 1.0
_SEEN_PREFIX = "seen/"


class Committer:
    """Writes groups and ticks into the journal."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._ticked_s = clock.monotonic_s() - TICK_EVERY_S

    def seen(self) -> dict[str, int]:
        """How far the frames of every gateway's epoch are durable."""
        return {k.removeprefix(_SEEN_PREFIX): int(v) for k, v in self._journal.state(_SEEN_PREFIX).items()}

    def commit(self, group: Group, is_connected: bool) -> None:
        """Make a group durable, with the tick that is due. Raises Unavailable when the disk refuses; nothing is kept."""
        now_ms = self._clock.now_ms()
        records = []
        # A frame without a reading, or none that is good, may still say that nothing of an outage is left to come.
        if len(group.framed) or group.behind:
            records.append(Record(Kind.READINGS, now_ms, encode_batch(group.framed, group.behind)))
        if len(group.plain):
            records.append(Record(Kind.READINGS, now_ms, encode_batch(group.plain)))
        if len(group.backlog) or group.behind_backlog:
            records.append(Record(Kind.BACKLOG, now_ms, encode_batch(group.backlog, group.behind_backlog)))
        if group.rejects:
            records.append(Record(Kind.REJECTS, now_ms, msgspec.json.encode(group.rejects)))
        if group.gaps:
            records.append(Record(Kind.GAPS, now_ms, msgspec.json.encode(group.gaps)))
        records += [Record(Kind.COMMAND, now_ms, msgspec.json.encode(command)) for command in group.commands]
        elapsed_s = self._clock.monotonic_s() - self._ticked_s
        if elapsed_s >= TICK_EVERY_S:
            records.append(Record(Kind.TICK, now_ms, CONNECTED if is_connected else AWAY))
        state: dict[str, bytes | None] = {_SEEN_PREFIX + s: str(seq).encode() for s, seq in group.seen.items()}
        state |= group.state | dict.fromkeys(_SEEN_PREFIX + source for source in group.forgotten)
        if not records and not state:
            return
        started = time.perf_counter()
        self._journal.append(records, state)
        if elapsed_s >= TICK_EVERY_S:
            self._ticked_s += elapsed_s if elapsed_s >= 2 * TICK_EVERY_S else TICK_EVERY_S
        events.committed(len(group.framed) + len(group.plain) + len(group.backlog), time.perf_counter() - started)
        for reject in group.rejects:
            events.rejected(reject.reason, reject.count, reject.topic, reject.detail)


def decode_gaps(payload: bytes) -> list[Gap]:
    """Read back the gaps of a journal record."""
    return _GAPS.decode(payload)


def decode_rejects(payload: bytes) -> list[Reject]:
    """Read back the rejects of a journal record."""
    return _REJECTS.decode(payload)


_GAPS = msgspec.json.Decoder(list[Gap])
_REJECTS = msgspec.json.Decoder(list[Reject])
