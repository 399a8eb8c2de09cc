"""What a host application knows of edge nodes, without I/O: messages in, values and the wish for a new birth out.

Only a birth says what a node's aliases mean, and every message of a node has the next number of 256. Whoever misses a
birth or a number asks for a new birth; a number that is only late gets `reorder_s` to come. Values that can be understood
are given out at once, whatever is missing before them. A death counts only for the birth with its bdSeq: that of an
earlier connection may come after the next birth. What a birth said ends with its node's death, and with a birth that cannot
be read.

Source: Sparkplug 3.0.0 specification, §4.2, 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.sparkplug.payload import Metric, Value, decode, metric_named, signed
from gateway.sparkplug.topics import BD_SEQ, Message, Topic
from telemetry.errors import BadInput

_SEQ_COUNT = 256
_NODES_MAX = 1_000
_ASKED_AGAIN_S = 30.0
_ALIASES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class HeardValue:
    """One value of a node or device."""

    device: str | None
    name: str
    value: Value
    time_ms: int | None
    is_historical: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What one message said."""

    values: tuple[HeardValue, ...] = ()
    dead: bool = False  # of the whole node, or of the topic's device
    refused: tuple[BadInput, ...] = ()  # metrics that could not be understood; their neighbours could


@dataclass(slots=True)
class _Alias:
    device: str | None
    name: str
    datatype: int | None


@dataclass(slots=True)
class _Node:
    bd_seq: int | None = None
    next_seq: int | None = None
    is_born: bool = False
    aliases: dict[int, _Alias] = field(default_factory=dict)
    types: dict[tuple[str | None, str], int | None] = field(default_factory=dict)
    missing: dict[int, float] = field(default_factory=dict)  # seq -> until when it may still come
    wants_rebirth: bool = False
    asked_s: float | None = None  # when it was last asked for a birth

    def forget(self) -> None:
        """Whatever the last birth said holds no longer."""
        self.is_born = False
        self.next_seq = None
        self.aliases.clear()
        self.types.clear()
        self.missing.clear()


class Host:
    """All nodes that one subscription hears.

    Args:
        reorder_s: How long a number may be late.
    """

    def __init__(self, reorder_s: float) -> None:
        self._reorder_s = reorder_s
        self._nodes: dict[tuple[str, str], _Node] = {}

    def hear(self, topic: Topic, payload: bytes, now_s: float) -> Heard:
        """Take a message. Raises BadInput for what is no payload, or comes from one node too many."""
        key = (topic.group, topic.node)
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= _NODES_MAX:
                raise BadInput("too-many-nodes", f"more than {_NODES_MAX} nodes are published here")
            node = self._nodes[key] = _Node()
        try:
            said = decode(payload)
        except BadInput:
            if topic.message in (Message.NBIRTH, Message.DBIRTH):
                node.forget()
            raise
        match topic.message:
            case Message.NBIRTH:
                return self._born(node, said.metrics, said.seq)
            case Message.NDEATH:
                return self._died(node, said.metrics)
            case Message.DBIRTH:
                self._count(node, said.seq, now_s)
                return self._values(node, topic.device, said.metrics, is_birth=True)
            case Message.DDEATH:
                self._count(node, said.seq, now_s)
                return Heard(dead=True)
            case Message.NDATA | Message.DDATA:
                self._count(node, said.seq, now_s)
                return self._values(node, topic.device, said.metrics, is_birth=False)
            case Message.NCMD | Message.DCMD:
                return Heard()

    def rebirths(self, now_s: float) -> list[tuple[str, str]]:
        """The (group, node) that must be asked for a new birth now; again after a while, until it is born."""
        due = []
        for key, node in self._nodes.items():
            if any(until_s <= now_s for until_s in node.missing.values()):
                node.missing.clear()
                node.wants_rebirth = True
            if node.wants_rebirth and (node.asked_s is None or now_s - node.asked_s >= _ASKED_AGAIN_S):
                node.asked_s = now_s
                due.append(key)
        return due

    def _born(self, node: _Node, metrics: tuple[Metric, ...], seq: int | None) -> Heard:
        bd_seq = metric_named(metrics, BD_SEQ)
        node.bd_seq = bd_seq.value if bd_seq is not None and isinstance(bd_seq.value, int) else None
        node.forget()
        node.next_seq = ((seq or 0) + 1) % _SEQ_COUNT
        node.is_born = True
        node.wants_rebirth, node.asked_s = False, None
        return self._values(node, None, metrics, is_birth=True)

    def _died(self, node: _Node, metrics: tuple[Metric, ...]) -> Heard:
        bd_seq = metric_named(metrics, BD_SEQ)
        if bd_seq is not None and bd_seq.value != node.bd_seq:
            return Heard()  # of an earlier connection
        node.forget()
        return Heard(dead=True)

    def _count(self, node: _Node, seq: int | None, now_s: float) -> None:
        """Keep account of the numbers of a node's messages."""
        if not node.is_born or node.next_seq is None:
            node.wants_rebirth = True
            return
        if seq is None:
            return
        if seq in node.missing:
            del node.missing[seq]
            return
        ahead = (seq - node.next_seq) % _SEQ_COUNT
        for skipped in range(ahead):
            node.missing[(node.next_seq + skipped) % _SEQ_COUNT] = now_s + self._reorder_s
        node.next_seq = (seq + 1) % _SEQ_COUNT

    def _values(self, node: _Node, device: str | None, metrics: tuple[Metric, ...], *, is_birth: bool) -> Heard:
        values: list[HeardValue] = []
        refused: list[BadInput] = []
        for metric in metrics:
            if is_birth:
                self._learn(node, device, metric)
            try:
                values.append(self._value(node, device, metric))
            except BadInput as error:
                refused.append(error)
        return Heard(tuple(values), refused=tuple(refused))

    def _learn(self, node: _Node, device: str | None, metric: Metric) -> None:
        if metric.name is None or len(node.types) >= _ALIASES_MAX:
            return
        node.types[device, metric.name] = metric.datatype
        if metric.alias is not None:
            node.aliases[metric.alias] = _Alias(device, metric.name, metric.datatype)

    def _value(self, node: _Node, device: str | None, metric: Metric) -> HeardValue:
        name, datatype = metric.name, metric.datatype
        if name is None:
            known = None if metric.alias is None else node.aliases.get(metric.alias)
            if known is None or known.device != device:
                node.wants_rebirth = True
                raise BadInput("unknown-alias", f"alias {metric.alias} was in no birth that was heard")
            name, datatype = known.name, datatype or known.datatype
        elif datatype is None:
            datatype = node.types.get((device, name))
        if datatype is None and isinstance(metric.value, int) and not isinstance(metric.value, bool):
            # The same bits are -1 and 4294967295.
            node.wants_rebirth = node.wants_rebirth or (device, name) not in node.types
            raise BadInput("unknown-type", f"'{name[:60]}' is a whole number whose type was in no birth that was heard")
        value = None if metric.is_null else signed(metric.value, datatype)
        return HeardValue(device, name, value, metric.time_ms, metric.is_historical)
