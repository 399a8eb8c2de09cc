"""The door: every message is decoded, checked in columns and either becomes readings or a reject with a reason.

One bad row costs its neighbours nothing. A frame counts once, whatever the broker repeats; a frame that comes before an
earlier one is left to be sent again. Nothing here touches a disk or a socket: `Vetter.vet` turns messages into a `Group`
that is then committed whole. Axis: N readings of a group.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np

from ingest import events
from ingest.history.gateways import GatewayState
from ingest.local_alarms import Told, decode_local_alarms, told_locally
from ingest.local_decisions import IsGuard, decided_locally, nobody
from ingest.packets import Message
from ingest.recent import Recent, message_digest, row_hashes
from telemetry import frames
from telemetry.batch import Floats, ReadingBatch, SeriesIndexes, Times, concatenate, empty_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import TimeMs
from telemetry.decision import decode_decision
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.series import ONLINE, UNKNOWN, SeriesRegistry
from telemetry.topics import GatewayTopic, parse_gateway_topic

AHEAD_MAX_MS = 60_000  # a device clock further ahead than this is wrong
EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: a device clock before it was never set
EXCERPT_MAX = 200
_LEAVES = ("frames", "readings", "status")  # the topics that the core subscribes to end in these
_TIME_MAX_MS = 2**53  # past it, it is no time of ours, and JSON cannot carry it exactly
REJECTS_PER_MESSAGE_MAX = 50  # kinds of reject shown of one message; all are counted
REJECTS_MAX = 200  # shown of one read, so that who floods us with nonsense costs little; all are counted
_EPOCHS_KEPT_MAX = 256  # of lanes that a gateway says it no longer holds, so that a restored copy of one is still known
_EPOCHS_MAX = 4 * _EPOCHS_KEPT_MAX  # of a gateway that never says which it holds
_COUNT_MAX = 10**9  # frames that one jump may tell of: counts are added up, and what is added up must stay countable
_REASONS = ("thinned", "refused")  # why a gateway lets go of readings
_REMEMBERED_MAX = 2048  # topics and name tables remembered
_NAMES_MAX = 2**16  # in one table: a row's index has two bytes
_NAMES_CHARS_MAX = 8_000_000  # of all tables remembered; one character may be a name, which takes five bytes
_LINES_MAX = 512  # plain messages decoded at once: one that is out of the ordinary slows no more neighbours than these
_LINES_MIN = 8  # fewer are cheaper one by one

K = TypeVar("K")
V = TypeVar("V")


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

    readings: ReadingBatch
    backlog: ReadingBatch = field(default_factory=empty_batch)  # of an outage: newer ones of its series came before
    behind: dict[str, int] = field(default_factory=dict)  # gateway -> frames of backlog still to come, after `readings`
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


@dataclass(frozen=True, slots=True)
class _Arrived:
    """Readings before they are checked: plain rows with a topic each, or a frame with one for all."""

    topics: Sequence[str]
    rows: ReadingBatch | None
    frame: frames.Frame | None = None
    lines: SeriesIndexes = field(default_factory=lambda: np.empty(0, np.uint32))  # the series of its name table

    @property
    def readings(self) -> ReadingBatch:
        """By themselves."""
        if self.frame is not None:
            return _in_columns([self], [self.frame])
        assert self.rows is not None
        return self.rows


def _joined(arrived: Sequence[_Arrived]) -> ReadingBatch:
    """All readings, in order."""
    framed = [each.frame for each in arrived if each.frame is not None]
    if framed and len(framed) == len(arrived):
        return _in_columns(arrived, framed)
    return concatenate([each.readings for each in arrived])


def _in_columns(arrived: Sequence[_Arrived], framed: Sequence[frames.Frame]) -> ReadingBatch:
    """The readings of frames: their bytes are put together first, and looked at once."""
    tables: dict[int, tuple[SeriesIndexes, int]] = {}  # each once, with where it begins among all
    end = 0
    for each in arrived:
        if id(each.lines) not in tables:
            tables[id(each.lines)] = each.lines, end
            end += len(each.lines)
    index = np.frombuffer(b"".join([frame.index for frame in framed]), np.uint16)
    if len(tables) == 1:
        series = arrived[0].lines[index]
    else:
        starts = [tables[id(each.lines)][1] for each in arrived]
        table = np.concatenate([lines for lines, _ in tables.values()])
        series = table[index + np.repeat(starts, [len(frame) for frame in framed])]
    keys: dict[int, str] = {}
    if any(frame.keys for frame in framed):
        first = 0
        for frame in framed:
            keys.update((first + number, key) for number, key in frame.keys.items())
            first += len(frame)
    return ReadingBatch(
        series,
        np.frombuffer(b"".join([frame.time_ms for frame in framed]), np.int64),
        np.frombuffer(b"".join([frame.value for frame in framed]), np.float64),
        np.frombuffer(b"".join([frame.quality for frame in framed]), np.uint8),
        keys,
    )


class _Row(msgspec.Struct, gc=False):
    device: str
    metric: str
    value: float
    time: Annotated[datetime, msgspec.Meta(tz=True)] | int | None = None
    quality: Literal["good", "suspect", "bad"] = "good"
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


class _Envelope(msgspec.Struct, gc=False):
    readings: list[_Row] | None = None


class _RawEnvelope(msgspec.Struct, gc=False):
    readings: list[msgspec.Raw]


_LIST = b'"readings"'
_MANY = msgspec.json.Decoder(_Envelope)
_ONE = msgspec.json.Decoder(_Row)
_RAW_MANY = msgspec.json.Decoder(_RawEnvelope)
_STATUS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LANES = msgspec.json.Decoder(
    Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=100)]
)


_Count = Annotated[int, msgspec.Meta(ge=0, le=_TIME_MAX_MS)]


class _Figures(msgspec.Struct):
    spooled: _Count | None = None
    oldest_ms: TimeMs | None = None
    behind: _Count | None = None
    full: bool | None = None


_FIGURES = msgspec.json.Decoder(_Figures)
_QUALITY = {"good": 0, "suspect": 1, "bad": 2}


class _Rows:
    """Plain rows of a group, waiting to become columns."""

    def __init__(self) -> None:
        self.series: list[int] = []
        self.time_ms: list[int] = []
        self.value: list[float] = []
        self.quality: list[int] = []
        self.keys: dict[int, str] = {}
        self.topics: list[str] = []
        self.untimed: set[int] = set()  # numbers of those that say no time

    def batch(self) -> ReadingBatch:
        return ReadingBatch(
            np.array(self.series, np.uint32),
            np.array(self.time_ms, np.int64),
            np.array(self.value, np.float64),
            np.array(self.quality, np.uint8),
            self.keys,
        )


class Vetter:
    """Knows the catalogue and, for every gateway's epoch, how far its frames have come.

    Args:
        seen: "gateway/epoch" -> last seq that is durable, as the journal remembers it.
        recent: Plain readings that are durable.
        told: Local alarms of gateways that the engine was told of.
        gateways: What gateways said before this start.
        is_guard: Who may decide at the page of a site's gateway.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        registry: SeriesRegistry,
        seen: Mapping[str, int],
        recent: Recent | None = None,
        told: Told | None = None,
        gateways: Mapping[str, GatewayState] | None = None,
        is_guard: IsGuard = nobody,
    ) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._seen = dict(seen)
        self._epochs: dict[str, dict[str, None]] = {}  # of each gateway, those that `_seen` knows
        for source in seen:
            self._note_epoch(source)
        self._recent = recent or Recent()
        self._told = told or Told()
        self._is_guard = is_guard
        self.gateways: Mapping[str, GatewayState] = dict(gateways or {})
        self._topics: OrderedDict[str, GatewayTopic | BadInput] = OrderedDict()
        self._owners: dict[str, str] = {}  # topics of plain readings that were heard -> the gateway they are of
        self._names: OrderedDict[tuple[str, str], SeriesIndexes] = OrderedDict()
        self._names_chars = 0
        # Where nothing is declared every finite value is plausible.
        self._low = np.full(len(registry), -np.finfo(np.float64).max)
        self._high = np.full(len(registry), np.finfo(np.float64).max)
        self._owner: list[str] = [""] * (len(registry) + 1)  # the last is nobody's: -1, a series that there is not
        for (device, metric_id), metric in catalogue.metric.items():
            index = registry.index[device, metric_id]
            self._owner[index] = catalogue.device[device].gateway
            if metric.plausible is not None:
                self._low[index], self._high[index] = metric.plausible
        self._own_series = {
            gateway.id: {i for i, owner in enumerate(self._owner) if owner == gateway.id}
            for gateway in catalogue.gateways
        }

    def vet(self, messages: Sequence[Message], now_ms: int) -> Group:
        """Check what one read brought. Never raises for what a message holds."""
        group = Group(empty_batch())
        seen = dict[str, int]()
        rows = _Rows()
        arrived: list[_Arrived] = []
        backlog: list[_Arrived] = []
        group.packet_ids = [message.packet_id for message in messages if message.packet_id]
        for start in range(0, len(messages), _LINES_MAX):
            piece = messages[start : start + _LINES_MAX]
            for are_lines, run in self._runs(piece):
                if are_lines and self._lines(run, rows, now_ms):
                    continue
                for message in run:
                    self._message(message, rows, group, seen, arrived, backlog, now_ms)
        if rows.series:
            arrived.append(self._once(rows, group))
        if group.untimed:
            group.state |= self._recent.state(group.untimed)
        group.readings = self._vetted(arrived, now_ms, group)
        group.backlog = self._vetted(backlog, now_ms, group)
        # The journal has what is new before the backlog of the same read: at its place that is still to come.
        for gateway in group.behind.keys() & group.behind_backlog.keys():
            group.behind[gateway] = max(group.behind[gateway], 1)
        group.seen = seen
        group.rejects = _few(group.rejects)
        for gateway in {source.partition("/")[0] for source in seen}:
            # An epoch of this very group is not forgotten yet: it is no more than what one read holds.
            known = self._epochs.get(gateway, {})
            if len(known) > _EPOCHS_MAX:
                oldest = list(known)[: len(known) - _EPOCHS_MAX]
                group.forgotten += [f"{gateway}/{e}" for e in oldest if f"{gateway}/{e}" not in seen]
        return group

    def _message(
        self,
        message: Message,
        rows: _Rows,
        group: Group,
        seen: dict[str, int],
        arrived: list[_Arrived],
        backlog: list[_Arrived],
        now_ms: int,
    ) -> None:
        if message.topic not in self._topics and message.topic.rpartition("/")[2] not in _LEAVES:
            return  # nothing that was subscribed to; some brokers hand a returning client what others had asked for
        try:
            topic = self._topic(message.topic)
            if message.payload is None:
                raise BadInput("too-large", "the message is larger than a core accepts; send smaller batches")
            if topic.leaf == "status":
                self._status(topic, message, rows, group, now_ms)
            elif topic.leaf == "frames":
                self._frame(topic, message, group, seen, arrived, backlog)
            else:
                self._plain(topic, message, rows, group, now_ms)
        except BadInput as error:
            group.rejects.append(_reject(error, message.topic, message.payload, 1))
        except Exception as error:
            # A message that ended the core would come again at its next start, and again: it goes where people see it.
            events.message_unforeseen(message.topic)
            about = BadInput("unforeseen", f"{type(error).__name__} while it was read: please report it")
            group.rejects.append(_reject(about, message.topic, message.payload, 1))

    def _runs(self, piece: Sequence[Message]) -> Iterator[tuple[bool, Sequence[Message]]]:
        """Neighbours that may be plain messages of one reading each, and the others between them."""
        if len(piece) < _LINES_MIN:
            yield False, piece
            return
        owners = self._owners
        are_lines = [
            topic in owners and payload is not None and not (is_retained or is_duplicate)
            for topic, payload, _, is_retained, is_duplicate in piece
        ]
        if all(are_lines):
            yield True, piece
            return
        turns = (np.flatnonzero(np.diff(np.array(are_lines))) + 1).tolist()
        for start, stop in pairwise([0, *turns, len(piece)]):
            yield are_lines[start] and stop - start >= _LINES_MIN, piece[start:stop]

    def _lines(self, run: Sequence[Message], rows: _Rows, now_ms: int) -> bool:
        """Take the readings of plain messages all at once; False, and nothing taken, where any is not an ordinary one.

        What follows is what `_plain` would have done with each.
        """
        lines = b"".join([b"\n" + message.payload for message in run])  # type: ignore[operator]
        # A line break inside a message, or one message without a value beside one with two, would shift readings under
        # their neighbours' topics: each line begins an object, and there are as many lines, and objects, as messages.
        if not lines.count(b"\n") == lines.count(b"\n{") == len(run):
            return False
        try:
            found = _ONE.decode_lines(lines)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
            return False
        look_up, owners = self._registry.index.get, self._owners
        series = [look_up((row.device, row.metric), -1) for row in found]
        # As lists of different length too, where a line held more than its object.
        if [self._owner[each] for each in series] != [owners[message.topic] for message in run]:
            return False
        times = [row.time for row in found]
        if None in times:
            return False
        time_ms = [time if isinstance(time, int) else round(time.timestamp() * 1000) for time in times]  # type: ignore[union-attr]
        if min(time_ms) <= -_TIME_MAX_MS or max(time_ms) > now_ms + AHEAD_MAX_MS:
            return False
        first = len(rows.series)
        rows.keys.update((first + at, row.key) for at, row in enumerate(found) if row.key is not None)
        rows.series += series
        rows.time_ms += time_ms
        rows.value += [row.value for row in found]
        rows.quality += [_QUALITY[row.quality] for row in found]
        rows.topics += [message.topic for message in run]
        return True

    def accept(self, group: Group) -> None:
        """The group is durable: count what it holds as seen. Until then a repetition must be looked at again."""
        self._seen.update(group.seen)
        for source in group.seen:
            self._note_epoch(source)
        for source in group.forgotten:
            gateway, _, epoch = source.partition("/")
            self._seen.pop(source, None)
            self._epochs[gateway].pop(epoch, None)
        self._recent.accept(group.rows, group.untimed)
        for gateway, ids in group.told.items():
            self._told.accept(gateway, ids)
        if group.gateways:
            self.gateways = {**self.gateways, **group.gateways}  # a new one: other threads read it

    def _vetted(self, arrived: Sequence[_Arrived], now_ms: int, group: Group) -> ReadingBatch:
        whole = _joined(arrived)
        # One look at everything; only where something is wrong is each frame looked at by itself.
        if not self._is_clean(whole, now_ms):
            whole = concatenate([self._checked(batch, now_ms, group) for batch in arrived])
        return whole

    def _topic(self, topic: str) -> GatewayTopic:
        known = self._topics.get(topic)
        if known is None:
            try:
                known = parse_gateway_topic(topic)
                gateway = self._catalogue.gateway.get(known.gateway)
                if gateway is None:
                    known = BadInput(
                        "unknown-gateway",
                        f"gateway '{known.gateway}' is not in the catalogue: add it, or mend the topic",
                    )
                elif gateway.site != known.site:
                    known = BadInput("unknown-gateway", f"gateway '{gateway.id}' belongs to site '{gateway.site}'")
                elif known.leaf == "readings":
                    self._owners[topic] = known.gateway  # no more than there are gateways
            except BadInput as error:
                known = error
            _remember(self._topics, topic, known)
        if isinstance(known, BadInput):
            raise BadInput(known.reason, known.detail)
        return known

    def _note_epoch(self, source: str) -> None:
        gateway, _, epoch = source.partition("/")
        self._epochs.setdefault(gateway, {})[epoch] = None

    def _forget_epochs(self, gateway: str, lanes: Sequence[str], group: Group) -> None:
        """A gateway makes an epoch at each of its starts: of those that it no longer holds, the newest are enough."""
        gone = [epoch for epoch in self._epochs.get(gateway, ()) if epoch not in lanes]
        for epoch in gone[:-_EPOCHS_KEPT_MAX]:
            group.forgotten.append(f"{gateway}/{epoch}")

    def _status(self, topic: GatewayTopic, message: Message, rows: _Rows, group: Group, now_ms: int) -> None:
        assert message.payload is not None
        try:
            status = _STATUS.decode(message.payload)
            state = msgspec.json.decode(status.get("state", b"null"))
            lanes = _LANES.decode(status.get("lanes", b"[]"))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise BadInput("broken-json", f"a status is a JSON object: {error}") from error
        if state not in ("online", "offline"):
            raise BadInput("bad-value", 'a status says "state": "online" or "offline"')
        # What is durable already need not be sent again; a gateway without a clock of its own learns the time from it.
        for epoch in lanes if state == "online" else ():
            where = GatewayTopic(topic.site, topic.gateway, "receipt"), epoch
            group.receipts.setdefault(where, self._seen.get(f"{topic.gateway}/{epoch}", 0))
        if lanes:
            self._forget_epochs(topic.gateway, lanes, group)
        rows.untimed.add(len(rows.series))
        rows.series.append(self._registry.index[topic.gateway, ONLINE])
        rows.time_ms.append(now_ms)
        rows.value.append(float(state == "online"))
        rows.quality.append(Quality.GOOD)
        rows.topics.append(str(topic))
        self._heard(topic, message, state == "online", group, now_ms)
        self._told_locally(topic, bytes(status.get("local_alarms", b"[]")), group)

    def _heard(self, topic: GatewayTopic, message: Message, is_online: bool, group: Group, now_ms: int) -> None:
        """Keep what a gateway says about itself."""
        assert message.payload is not None
        try:
            figures = _FIGURES.decode(message.payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            group.rejects.append(_reject(BadInput("bad-value", f"a status: {error}"), str(topic), message.payload, 1))
            figures = _Figures()
        said = GatewayState(
            is_online, figures.spooled, figures.oldest_ms, figures.behind, figures.full, heard_ms=now_ms
        )
        before = group.gateways.get(topic.gateway, self.gateways.get(topic.gateway))
        if message.is_retained and before is not None and replace(before, heard_ms=now_ms) == said:
            return  # what the broker kept is no new word of the gateway
        group.gateways[topic.gateway] = said

    def _told_locally(self, topic: GatewayTopic, raw: bytes, group: Group) -> None:
        """Tell the engine of alarms that a gateway raised by itself."""
        alarms, errors = decode_local_alarms(raw)
        group.rejects += [_reject(error, str(topic), raw, 1) for error in errors]
        told = group.told.get(topic.gateway, [])
        new = [alarm for alarm in self._told.new(topic.gateway, alarms) if alarm.id not in told]
        if new:
            group.told[topic.gateway] = told + [alarm.id for alarm in new]
            group.commands += [told_locally(topic.gateway, alarm) for alarm in new]
            group.state |= self._told.state(topic.gateway, group.told[topic.gateway])

    def _frame(
        self,
        topic: GatewayTopic,
        message: Message,
        group: Group,
        seen: dict[str, int],
        arrived: list[_Arrived],
        backlog: list[_Arrived],
    ) -> None:
        assert message.payload is not None
        try:
            frame = frames.decode(message.payload)
            if frame.gateway != topic.gateway:
                raise BadInput("foreign-device", f"a frame of '{frame.gateway[:64]}' on the topic of '{topic.gateway}'")
            names = self._resolved(frame)
        except BadInput:
            # A frame that can be numbered but not read is quarantined whole, and its turn is over: if it were left to
            # be sent again, the gateway would send it for ever and nothing after it.
            header = frames.header(message.payload)
            if header is not None and header.gateway == topic.gateway:
                self._takes_turn(topic, header, group, seen)
            raise
        if not self._takes_turn(topic, frame, group, seen):
            return
        group.gaps += _gaps(frame.gaps, names)
        for text in frame.decisions:
            self._decided_locally(topic, text, group)
        if frame.is_backlog:
            group.behind_backlog[frame.gateway] = frame.behind
        else:
            group.behind[frame.gateway] = max(frame.behind, group.behind.get(frame.gateway, 0))
        if len(frame):
            (backlog if frame.is_backlog else arrived).append(_Arrived([message.topic], None, frame, names))

    def _decided_locally(self, topic: GatewayTopic, text: str, group: Group) -> None:
        """Tell the engine what a guard decided at the gateway's page, also of one who had no right to."""
        try:
            decision = decode_decision(text)
            index = self._registry.index.get((decision.device, decision.metric), -1)
            if index < 0 or self._owner[index] != topic.gateway:
                raise self._stranger(decision.device, decision.metric, topic.gateway)
        except BadInput as error:
            group.rejects.append(_reject(error, str(topic), text.encode(), 1))
            return
        is_guard = self._is_guard(decision.guard, topic.site)
        if not is_guard:
            said = f"'{decision.guard}' is no guard of {topic.site}: their decision does not count"
            group.rejects.append(_reject(BadInput("not-a-guard", said), str(topic), text.encode(), 1))
        group.commands.append(decided_locally(topic.gateway, decision, is_guard))

    def _takes_turn(
        self, topic: GatewayTopic, frame: frames.Header | frames.Frame, group: Group, seen: dict[str, int]
    ) -> bool:
        """Whether a frame is the next of its epoch: not durable already, not ahead of one that is still to come."""
        source = f"{frame.gateway}/{frame.epoch}"
        last = seen.get(source, self._seen.get(source, 0))
        is_next = frame.seq > last
        if frame.seq > max(last + 1, frame.base):
            events.frame_ahead(frame.gateway, frame.seq, last + 1)
            return False
        if frame.seq > last + 1:
            # The spool no longer holds what lies between: an earlier core gave a receipt for it and was lost since.
            detail = f"frames {last + 1} to {frame.seq - 1} are gone from the spool: restore this core's journal"
            group.rejects.append(Reject("gap", detail, str(topic), "", min(frame.seq - last - 1, _COUNT_MAX)))
        if is_next:
            seen[source] = last = frame.seq
        else:
            events.frame_repeated()
        group.receipts[GatewayTopic(topic.site, topic.gateway, "receipt"), frame.epoch] = last
        return is_next

    def _resolved(self, frame: frames.Frame) -> SeriesIndexes:
        """Series of each line of a frame's name table; UNKNOWN for another gateway's device too."""
        cached = self._names.get((frame.gateway, frame.names))
        if cached is None:
            if frame.names.count("\n") >= _NAMES_MAX:
                raise BadInput("bad-frame", f"more than {_NAMES_MAX:,} names, which is all that 'index' can point at")
            cached = self._registry.look_up(frame.names)
            own = self._own_series[frame.gateway]
            cached[[int(i) not in own for i in cached]] = UNKNOWN
            self._remember_names((frame.gateway, frame.names), cached)
        if len(frame) and np.frombuffer(frame.index, np.uint16).max() >= len(cached):
            raise BadInput("bad-frame", f"'index' points past the {len(cached)} names")
        return cached

    def _remember_names(self, table: tuple[str, str], series: SeriesIndexes) -> None:
        self._names[table] = series
        self._names_chars += len(table[1])
        while len(self._names) > _REMEMBERED_MAX or self._names_chars > _NAMES_CHARS_MAX:
            (_, names), _ = self._names.popitem(last=False)
            self._names_chars -= len(names)

    def _plain(self, topic: GatewayTopic, message: Message, rows: _Rows, group: Group, now_ms: int) -> None:
        assert message.payload is not None
        if message.is_duplicate and self._was_taken(message, group):
            events.message_repeated()
            return
        ahead_ms = now_ms + AHEAD_MAX_MS
        is_lasting = True  # what is stored says all that a row is known by
        for row in _plain_rows(message.payload, message.topic, group.rejects):
            index = self._registry.index.get((row.device, row.metric), -1)
            if index < 0 or self._owner[index] != topic.gateway:
                error = self._stranger(row.device, row.metric, topic.gateway)
                group.rejects.append(_reject(error, message.topic, msgspec.json.encode(row), 1))
                continue
            quality = _QUALITY[row.quality]
            if row.time is None and message.is_retained:
                # It comes again with every subscription, and each time it would be a new reading.
                error = BadInput("retained", "a retained reading needs a 'time' of its own, or no retain flag")
                group.rejects.append(_reject(error, str(topic), msgspec.json.encode(row), 1))
                continue
            if row.time is None:
                time_ms, quality = now_ms, max(quality, Quality.SUSPECT)
            elif isinstance(row.time, int):
                time_ms = row.time
            else:
                time_ms = round(row.time.timestamp() * 1000)
            if not -_TIME_MAX_MS < time_ms < _TIME_MAX_MS:
                error = BadInput("bad-value", f"{row.device}/{row.metric}: {time_ms} is no time in epoch milliseconds")
                group.rejects.append(_reject(error, str(topic), msgspec.json.encode(row), 1))
                continue
            if row.key is not None:
                rows.keys[len(rows.series)] = row.key
            if row.time is None:
                rows.untimed.add(len(rows.series))
                is_lasting = False
            elif time_ms > ahead_ms:  # stored with its arrival: after a restart only its message can be known again
                is_lasting = False
            rows.series.append(index)
            rows.time_ms.append(time_ms)
            rows.value.append(row.value)
            rows.quality.append(quality)
            rows.topics.append(message.topic)
        if message.packet_id and not is_lasting:
            group.untimed.append(message_digest(message))

    def _was_taken(self, message: Message, group: Group) -> bool:
        digest = message_digest(message)
        return self._recent.has_message(digest) or digest in group.untimed

    def _once(self, rows: _Rows, group: Group) -> _Arrived:
        """The plain rows that did not come before, neither in an earlier group nor in this one."""
        batch, topics = rows.batch(), rows.topics
        hashes = row_hashes(batch)
        group.rows = set(hashes)
        if not rows.untimed and len(group.rows) == len(hashes) and self._recent.is_new(group.rows):
            return _Arrived(topics, batch)
        repeated = self._recent.repeated(group.rows)
        keep = np.ones(len(batch), np.bool_)
        taken = set[int]()
        for number, each in enumerate(hashes):
            if number in rows.untimed:
                continue
            keep[number] = each not in repeated and each not in taken
            taken.add(each)
        group.rows = taken - repeated
        events.rows_repeated(len(batch) - int(keep.sum()))
        return _Arrived([topic for topic, kept in zip(topics, keep.tolist(), strict=True) if kept], _kept(batch, keep))

    def _stranger(self, device: str, metric: str, gateway: str) -> BadInput:
        """Why a series is not one that this gateway may publish."""
        known = self._catalogue.device.get(device)
        if known is None:
            return BadInput(
                "unknown-device", f"device '{device[:64]}' is not in the catalogue: add it, or mend the name"
            )
        if (device, metric) not in self._registry.index:
            return BadInput("unknown-metric", f"kind '{known.kind}' of '{device}' has no metric '{metric[:64]}'")
        return BadInput("foreign-device", f"device '{device}' belongs to gateway '{known.gateway}', not '{gateway}'")

    def _is_clean(self, batch: ReadingBatch, now_ms: int) -> bool:
        """Whether nothing in a batch is refused or doubted."""
        if not len(batch):
            return True
        series, time_ms, value = batch.series, batch.time_ms, batch.value
        return bool(
            series.max() < len(self._low)  # UNKNOWN is larger than any index
            and batch.quality.max() <= Quality.BAD
            and time_ms.min() >= EARLIEST_MS
            and time_ms.max() <= now_ms + AHEAD_MAX_MS
            and ((value >= self._low[series]) & (value <= self._high[series])).all()  # not so for NaN
        )

    def _checked(self, arrived: _Arrived, now_ms: int, group: Group) -> ReadingBatch:
        """Drop what cannot be a reading, lower the quality of what is doubtful."""
        batch, topics, frame = arrived.readings, arrived.topics, arrived.frame
        series, time_ms, value, quality = batch.series, batch.time_ms, batch.value, batch.quality
        stranger = series == UNKNOWN
        not_finite = ~np.isfinite(value)
        behind = time_ms < EARLIEST_MS
        wrong_quality = quality > Quality.BAD
        refused = stranger | not_finite | behind | wrong_quality
        if refused.any():
            lines = [] if frame is None else frame.names.split("\n")
            found: dict[tuple[str, str, str], int] = {}
            for row in np.flatnonzero(refused).tolist():
                topic = topics[row if len(topics) > 1 else 0]
                if stranger[row]:
                    assert frame is not None
                    device, _, metric = lines[frame.index[row]].partition("/")
                    error = self._stranger(device, metric, parse_gateway_topic(topic).gateway)
                elif not_finite[row]:
                    error = BadInput("bad-value", f"{self._shown(series[row])}: {value[row]} is not a number")
                elif behind[row]:
                    error = BadInput(
                        "time-behind", f"{self._shown(series[row])}: a time before 2020; set the clock of the device"
                    )
                else:
                    error = BadInput(
                        "bad-value", f"{self._shown(series[row])}: quality {quality[row]} is none of 0, 1, 2"
                    )
                found[error.reason, error.detail, topic] = found.get((error.reason, error.detail, topic), 0) + 1
            group.rejects += _summarised(found)
            batch = _kept(batch, ~refused)
            series, time_ms, value, quality = batch.series, batch.time_ms, batch.value, batch.quality
        ahead = time_ms > now_ms + AHEAD_MAX_MS
        outside = (value < self._low[series]) | (value > self._high[series])
        if not (ahead.any() or outside.any()):
            return batch
        # A clock that runs ahead must not hide a flood: the reading counts from its arrival, as a doubtful one.
        if ahead.any():
            events.repaired("time-ahead", int(ahead.sum()))
        if outside.any():
            events.repaired("implausible", int(outside.sum()))
        quality = np.maximum(quality, np.where(ahead, np.uint8(Quality.SUSPECT), np.uint8(Quality.GOOD)))
        quality = np.where(outside, np.uint8(Quality.BAD), quality)
        return ReadingBatch(series, np.where(ahead, now_ms, time_ms), value, quality, batch.keys)

    def _shown(self, series: int) -> str:
        return "/".join(self._registry.names[series])


def _plain_rows(payload: bytes, topic: str, rejects: list[Reject]) -> list[_Row]:
    """The rows of a plain message: all at once when all are well, else one by one so that the good ones are kept."""
    try:
        # One reading by itself is what most foreign devices send: it is read once, by the shape that it has.
        many = _MANY.decode(payload).readings if _LIST in payload else None
        return [_ONE.decode(payload)] if many is None else many
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        whole = error
    try:
        raw_rows = _RAW_MANY.decode(payload).readings
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _bad_json(whole if isinstance(error, msgspec.ValidationError) else error) from error
    rows, found = [], dict[tuple[str, str, str], int]()
    excerpts: dict[tuple[str, str, str], bytes] = {}
    for raw in raw_rows:
        try:
            rows.append(_ONE.decode(raw))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            bad = _bad_json(error)
            found[bad.reason, bad.detail, topic] = found.get((bad.reason, bad.detail, topic), 0) + 1
            excerpts.setdefault((bad.reason, bad.detail, topic), bytes(raw))
    for reject in _summarised(found):
        excerpt = excerpts.get((reject.reason, reject.detail, topic), b"")
        rejects.append(Reject(reject.reason, reject.detail, topic, _excerpt(excerpt), reject.count))
    return rows


def _bad_json(error: Exception) -> BadInput:
    if isinstance(error, msgspec.ValidationError):
        return BadInput("bad-value", f'{error}; a reading is {{"device", "metric", "time", "value"}}')
    return BadInput("broken-json", f"not JSON: {error}")


def _kept(batch: ReadingBatch, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> ReadingBatch:
    keys = {}
    if batch.keys:
        position = np.cumsum(keep) - 1
        keys = {int(position[number]): key for number, key in batch.keys.items() if keep[number]}
    time_ms: Times = batch.time_ms[keep]
    value: Floats = batch.value[keep]
    return ReadingBatch(batch.series[keep], time_ms, value, batch.quality[keep], keys)


def _summarised(found: Mapping[tuple[str, str, str], int]) -> list[Reject]:
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


def _few(rejects: list[Reject]) -> list[Reject]:
    """The first of a read, and how many more there were of each reason and topic."""
    rest: dict[tuple[str, str], int] = {}
    for reject in rejects[REJECTS_MAX:]:
        rest[reject.reason, reject.topic] = rest.get((reject.reason, reject.topic), 0) + reject.count
    said = "further ones like those before"
    return rejects[:REJECTS_MAX] + [Reject(reason, said, topic, "", n) for (reason, topic), n in rest.items()]


def _gaps(said: Sequence[frames.Gap], names: SeriesIndexes) -> list[Gap]:
    """What a frame says is missing of its gateway's own series, one of each and reason, however often it says so."""
    found: dict[tuple[int, str], Gap] = {}
    for gap in said:
        series = int(names[gap.line])
        if series == UNKNOWN:
            continue
        reason = gap.reason if gap.reason in _REASONS else "other"
        before = found.get((series, reason))
        new = Gap(series, gap.first_ms, gap.last_ms, gap.missing, reason)
        if before is not None:
            spanned = min(before.first_ms, new.first_ms), max(before.last_ms, new.last_ms)
            new = Gap(series, *spanned, before.missing + new.missing, reason)
        found[series, reason] = new
    return list(found.values())


def _reject(error: BadInput, topic: str, payload: bytes | None, count: int) -> Reject:
    return Reject(error.reason, error.detail[:500], topic[:300], _excerpt(payload or b""), count)


def _excerpt(payload: bytes) -> str:
    text = payload[:EXCERPT_MAX].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "·" for c in text)[:EXCERPT_MAX]


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)
