"""What was taken in lately, so that a plain reading that comes again is not stored again.

Frames are numbered; plain rows are not, and a broker or a device may repeat them. A row that carries its own time is known
again by what it says: series, time, value and passage key. A row that does not is another one each time it is said, so its
whole message is remembered, and counts as repeated only where the broker itself marks it so (the DUP flag).

Memory is bounded: the newest rows, `ROWS_MAX` of them or up to half fewer, and the last `MESSAGES_MAX` messages. The rows
are found again at start, those that lie within the last `READ_MAX` readings of the journal; the messages stand in the
journal's state, written with the group they came in.
Axis: N readings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from ingest.packets import Message
from telemetry.batch import ReadingBatch, decode_arrival
from telemetry.journal import Journal, Kind

ROWS_MAX = 200_000
READ_MAX = 10 * ROWS_MAX  # readings that a start looks through for them: where gateways send much, plain ones are few
BLOCKS, BLOCK = 256, 16  # digests are kept in blocks, a key of the journal's state each
MESSAGES_MAX = BLOCKS * BLOCK
_PREFIX = "untimed/"
_DIGEST_BYTES = 16
_RECORDS_AT_ONCE = 2_000
_MIX = (np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xBF58_476D_1CE4_E5B9), np.uint64(0x94D0_49BB_1331_11EB))


class Recent:
    """The memory. Nothing is in it before `accept`: what did not become durable must be taken when it comes again."""

    def __init__(self, state: Mapping[str, bytes] | None = None) -> None:
        # Forgetting by halves costs nothing a row: the older half goes when the newer one is full.
        self._rows: set[int] = set()
        self._older_rows: set[int] = set()
        self._digests: dict[int, bytes] = {}  # number, counted from the first message ever -> digest
        for value in (state or {}).values():
            first = int.from_bytes(value[:8], "little") * BLOCK
            for start in range(8, len(value), _DIGEST_BYTES):
                self._digests[first + start // _DIGEST_BYTES] = value[start : start + _DIGEST_BYTES]
        self._next = max(self._digests, default=-1) + 1
        self._known = set(self._digests.values())

    @classmethod
    def open(cls, journal: Journal) -> Recent:
        """The memory as it was when the journal's last record was written."""
        recent = cls(journal.state(_PREFIX))
        for hashes in reversed(_newest_rows(journal)):
            recent._remember(hashes)
        return recent

    def is_new(self, hashes: Set[int]) -> bool:
        """Whether none of the hashes was there before."""
        return self._rows.isdisjoint(hashes) and self._older_rows.isdisjoint(hashes)

    def repeated(self, hashes: Set[int]) -> Set[int]:
        """Those of the hashes that were there before."""
        return hashes & self._rows | hashes & self._older_rows

    def has_message(self, digest: bytes) -> bool:
        """Whether a message with rows without a time was taken."""
        return digest in self._known

    def state(self, digests: Sequence[bytes]) -> dict[str, bytes]:
        """What the journal's state must say once these messages are durable."""
        end = self._next + len(digests)
        blocks = {}
        for block in range(max(self._next // BLOCK, (end - 1) // BLOCK - BLOCKS + 1), (end - 1) // BLOCK + 1):
            numbers = range(block * BLOCK, min(end, (block + 1) * BLOCK))
            held = [self._digests[n] if n < self._next else digests[n - self._next] for n in numbers]
            blocks[f"{_PREFIX}{block % BLOCKS}"] = block.to_bytes(8, "little") + b"".join(held)
        return blocks

    def accept(self, hashes: Set[int], digests: Sequence[bytes]) -> None:
        """A group is durable: remember its rows and messages."""
        self._remember(hashes)
        if not digests:
            return
        for digest in digests:
            self._digests[self._next] = digest
            self._known.add(digest)
            self._next += 1
        # By whole blocks, as the state forgets them when a key is written anew.
        oldest = ((self._next - 1) // BLOCK - BLOCKS + 1) * BLOCK
        if min(self._digests, default=oldest) < oldest:
            self._digests = {number: digest for number, digest in self._digests.items() if number >= oldest}
            self._known = set(self._digests.values())

    def _remember(self, hashes: Set[int]) -> None:
        if len(self._rows) >= ROWS_MAX // 2:
            self._rows, self._older_rows = set(), self._rows
        self._rows |= hashes


def message_digest(message: Message) -> bytes:
    """What a message is known by when the broker sends it again: its packet id, topic and payload."""
    assert message.payload is not None
    topic = message.topic.encode()
    head = message.packet_id.to_bytes(2, "big") + len(topic).to_bytes(4, "big") + topic
    return hashlib.blake2b(head + message.payload, digest_size=_DIGEST_BYTES).digest()


def row_hashes(batch: ReadingBatch) -> list[int]:
    """64 bits of series, time, value and key of every reading, (N,). Keys hash differently in every process."""
    hashes: NDArray[np.uint64] = _mixed(batch.series.astype(np.uint64) * _MIX[0] ^ batch.time_ms.view(np.uint64))
    hashes = _mixed(hashes ^ batch.value.view(np.uint64))
    if batch.keys:
        # A row is known by itself: whether its neighbours have keys must not show in it.
        keyed = np.fromiter(batch.keys, np.intp)
        keys = np.array([hash(key) & 0xFFFF_FFFF_FFFF_FFFF for key in batch.keys.values()], np.uint64)
        hashes[keyed] = _mixed(hashes[keyed] ^ _mixed(keys))
    return hashes.tolist()  # type: ignore[no-any-return]


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all others. Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[1]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[2]
    return bits ^ (bits >> np.uint64(31))


def _newest_rows(journal: Journal) -> list[Set[int]]:
    """Hashes of the newest plain readings, a set a record, newest record first; about `ROWS_MAX` of them.

    Frames are on record with what is still to come behind them, and plain readings by themselves.
    """
    found: list[Set[int]] = []
    count, looked_at, end, first = 0, 0, journal.last, journal.first
    while end >= first and count < ROWS_MAX and looked_at < READ_MAX:
        start = max(end - _RECORDS_AT_ONCE, first - 1)
        after, block = start, list[Set[int]]()
        while after < end and (records := journal.read(after, end - after)):
            after = records[-1].offset
            read = [decode_arrival(record.payload) for record in records if record.kind is Kind.READINGS]
            block += [set(row_hashes(batch)) for batch, behind in read if not behind]
            looked_at += sum(len(batch) for batch, _ in read)
        found += reversed(block)
        count += sum(map(len, block))
        end = start
    return found
