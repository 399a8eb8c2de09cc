"""What one read from the broker comes to: readings, what was refused and why, gaps, receipts; to be committed whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.history.gateways import GatewayState
from telemetry.batch import ReadingBatch, concatenate, empty_batch
from telemetry.errors import BadInput
from telemetry.topics import GatewayTopic

EXCERPT_MAX = 200
REJECTS_PER_MESSAGE_MAX = 50  # kinds of reject shown of one message; all are counted
REJECTS_MAX = 200  # shown of one read, so that who floods us with nonsense costs little; all are counted


@dataclass(frozen=True, slots=True)
class Reject:
    """Something refused: `count` readings (or one message) of one source for one reason."""

    reason: str
    detail: str
    topic: str
    excerpt: str
    count: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings of one series that were taken and never will arrive, as its gateway says."""

    series: int
    first_ms: int
    last_ms: int
    missing: int
    reason: str


@dataclass(slots=True)
class Group:
    """What one read from the broker comes to, to be committed whole."""

    framed: ReadingBatch = field(default_factory=empty_batch)
    plain: ReadingBatch = field(default_factory=empty_batch)  # on record by themselves: they are known by what they say
    backlog: ReadingBatch = field(default_factory=empty_batch)  # of an outage: newer ones of its series came before
    behind: dict[str, int] = field(default_factory=dict)  # gateway -> frames of backlog still to come, after `framed`
    behind_backlog: dict[str, int] = field(default_factory=dict)  # the same, after `backlog`
    rejects: list[Reject] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # "gateway/epoch" -> last seq, where it moved
    forgotten: list[str] = field(default_factory=list)  # "gateway/epoch" of lanes that are long gone
    receipts: dict[tuple[GatewayTopic, str], int] = field(default_factory=dict)  # (topic, epoch) -> newest seq
    packet_ids: list[int] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)  # hashes of its plain readings
    untimed: list[bytes] = field(default_factory=list)  # digests of its messages with rows without a time
    commands: list[dict[str, object]] = field(default_factory=list)  # what the engine is told of gateways
    told: dict[str, list[str]] = field(default_factory=dict)  # gateway -> local alarms among them
    gateways: dict[str, GatewayState] = field(default_factory=dict)  # those that were heard
    state: dict[str, bytes | None] = field(default_factory=dict)  # changes of the journal's state that belong to it

    @property
    def readings(self) -> ReadingBatch:
        """All but the backlog."""
        return concatenate([self.framed, self.plain])


def reject(error: BadInput, topic: str, payload: bytes | None, count: int) -> Reject:
    """Something that was refused, with as much of it as is good to show."""
    return Reject(error.reason, error.detail[:500], topic[:300], excerpt(payload or b""), count)


def excerpt(payload: bytes) -> str:
    """The beginning of a payload, harmless wherever it is shown."""
    text = payload[:EXCERPT_MAX].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "·" for c in text)[:EXCERPT_MAX]


def summarised(found: Mapping[tuple[str, str, str], int]) -> list[Reject]:
    """One reject a (reason, detail); past a screenful only the reasons are told apart, every reading still counted."""
    rejects: list[Reject] = []
    rest: dict[tuple[str, str], int] = {}
    for (reason, detail, topic), count in found.items():
        if len(rejects) < REJECTS_PER_MESSAGE_MAX:
            rejects.append(Reject(reason, detail, topic, "", count))
        else:
            rest[reason, topic] = rest.get((reason, topic), 0) + count
    return rejects + [
        Reject(reason, "further ones like those before", topic, "", n) for (reason, topic), n in rest.items()
    ]


def few(rejects: list[Reject]) -> list[Reject]:
    """The first of a read, and how many more there were of each reason and topic."""
    rest: dict[tuple[str, str], int] = {}
    for each in rejects[REJECTS_MAX:]:
        rest[each.reason, each.topic] = rest.get((each.reason, each.topic), 0) + each.count
    said = "further ones like those before"
    return rejects[:REJECTS_MAX] + [Reject(reason, said, topic, "", n) for (reason, topic), n in rest.items()]
