"""The door: every message is decoded, checked in columns and either becomes readings or a reject with a reason.

One bad row costs its neighbours nothing. A frame counts once, whatever the broker repeats; a frame that comes before an
earlier one is left to be sent again. Nothing here touches a disk or a socket: `Vetter.vet` turns messages into a `Group`
that is then committed whole. Axis: N readings of a group.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec
import numpy as np

from ingest import events
from ingest.checks import AHEAD_MAX_MS, Arrived, Checks, kept
from ingest.group import Gap, Group, Reject, few, reject
from ingest.history.gateways import GatewayState
from ingest.local_alarms import Told, decode_local_alarms, told_locally
from ingest.local_decisions import IsGuard, decided_locally, nobody
from ingest.packets import Message
from ingest.plain_rows import ONE, QUALITY, Rows, plain_rows
from ingest.recent import Recent, message_digest, row_hashes
from telemetry import frames
from telemetry.batch import SeriesIndexes
from telemetry.catalogue import Catalogue
from telemetry.clock import TimeMs
from telemetry.decision import decode_decision
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.series import ONLINE, UNKNOWN, SeriesRegistry
from telemetry.topics import GatewayTopic, parse_gateway_topic

_LEAVES = ("frames", "readings", "status")  # the topics that the core subscribes to end in these
_TIME_MAX_MS = 2**53  # past it, it is no time of ours, and JSON cannot carry it exactly
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
    damaged_lanes: _Count | None = None


_FIGURES = msgspec.json.Decoder(_Figures)


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
        self._checks = Checks(catalogue, registry)
        self._own_series = {
            gateway.id: {i for i, owner in enumerate(self._checks.owner) if owner == gateway.id}
            for gateway in catalogue.gateways
        }

    def vet(self, messages: Sequence[Message], now_ms: int) -> Group:
        """Check what one read brought. Never raises for what a message holds."""
        group = Group()
        seen = dict[str, int]()
        rows = Rows()
        arrived: list[Arrived] = []
        backlog: list[Arrived] = []
        group.packet_ids = [message.packet_id for message in messages if message.packet_id]
        for start in range(0, len(messages), _LINES_MAX):
            piece = messages[start : start + _LINES_MAX]
            for are_lines, run in self._runs(piece):
                if are_lines and self._lines(run, rows, now_ms):
                    continue
                for message in run:
                    self._message(message, rows, group, seen, arrived, backlog, now_ms)
        plain = [self._once(rows, group)] if rows.series else []
        if group.untimed:
            group.state |= self._recent.state(group.untimed)
        group.framed, refused = self._checks.vetted(arrived, now_ms)
        group.plain, refused_plain = self._checks.vetted(plain, now_ms)
        group.backlog, refused_late = self._checks.vetted(backlog, now_ms)
        group.rejects += refused + refused_plain + refused_late
        # The journal has what is new before the backlog of the same read: at its place that is still to come.
        for gateway in group.behind.keys() & group.behind_backlog.keys():
            group.behind[gateway] = max(group.behind[gateway], 1)
        group.seen = seen
        group.rejects = few(group.rejects)
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
        rows: Rows,
        group: Group,
        seen: dict[str, int],
        arrived: list[Arrived],
        backlog: list[Arrived],
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
            group.rejects.append(reject(error, message.topic, message.payload, 1))
        except Exception as error:
            # A message that ended the core would come again at its next start, and again: it goes where people see it.
            events.message_unforeseen(message.topic)
            about = BadInput("unforeseen", f"{type(error).__name__} while it was read: please report it")
            group.rejects.append(reject(about, message.topic, message.payload, 1))

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

    def _lines(self, run: Sequence[Message], rows: Rows, now_ms: int) -> bool:
        """Take the readings of plain messages all at once; False, and nothing taken, where any is not an ordinary one.

        What follows is what `_plain` would have done with each.
        """
        lines = b"".join([b"\n" + message.payload for message in run])  # type: ignore[operator]
        # A line break inside a message, or one message without a value beside one with two, would shift readings under
        # their neighbours' topics: each line begins an object, and there are as many lines, and objects, as messages.
        if not lines.count(b"\n") == lines.count(b"\n{") == len(run):
            return False
        try:
            found = ONE.decode_lines(lines)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
            return False
        look_up, owners = self._registry.index.get, self._owners
        series = [look_up((row.device, row.metric), -1) for row in found]
        # As lists of different length too, where a line held more than its object.
        if [self._checks.owner[each] for each in series] != [owners[message.topic] for message in run]:
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
        rows.quality += [QUALITY[row.quality] for row in found]
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

    def _status(self, topic: GatewayTopic, message: Message, rows: Rows, group: Group, now_ms: int) -> None:
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
            group.rejects.append(reject(BadInput("bad-value", f"a status: {error}"), str(topic), message.payload, 1))
            figures = _Figures()
        said = GatewayState(
            is_online,
            figures.spooled,
            figures.oldest_ms,
            figures.behind,
            figures.full,
            figures.damaged_lanes,
            heard_ms=now_ms,
        )
        before = group.gateways.get(topic.gateway, self.gateways.get(topic.gateway))
        if message.is_retained and before is not None and replace(before, heard_ms=now_ms) == said:
            return  # what the broker kept is no new word of the gateway
        group.gateways[topic.gateway] = said

    def _told_locally(self, topic: GatewayTopic, raw: bytes, group: Group) -> None:
        """Tell the engine of alarms that a gateway raised by itself."""
        alarms, errors = decode_local_alarms(raw)
        group.rejects += [reject(error, str(topic), raw, 1) for error in errors]
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
        arrived: list[Arrived],
        backlog: list[Arrived],
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
            (backlog if frame.is_backlog else arrived).append(Arrived([message.topic], None, frame, names))

    def _decided_locally(self, topic: GatewayTopic, text: str, group: Group) -> None:
        """Tell the engine what a guard decided at the gateway's page, also of one who had no right to."""
        try:
            decision = decode_decision(text)
            index = self._registry.index.get((decision.device, decision.metric), -1)
            if index < 0 or self._checks.owner[index] != topic.gateway:
                raise self._checks.stranger(decision.device, decision.metric, topic.gateway)
        except BadInput as error:
            group.rejects.append(reject(error, str(topic), text.encode(), 1))
            return
        is_guard = self._is_guard(decision.guard, topic.site)
        if not is_guard:
            said = f"'{decision.guard}' is no guard of {topic.site}: their decision does not count"
            group.rejects.append(reject(BadInput("not-a-guard", said), str(topic), text.encode(), 1))
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

    def _plain(self, topic: GatewayTopic, message: Message, rows: Rows, group: Group, now_ms: int) -> None:
        assert message.payload is not None
        if message.is_duplicate and self._was_taken(message, group):
            events.message_repeated()
            return
        ahead_ms = now_ms + AHEAD_MAX_MS
        is_lasting = True  # what is stored says all that a row is known by
        for row in plain_rows(message.payload, message.topic, group.rejects):
            index = self._registry.index.get((row.device, row.metric), -1)
            if index < 0 or self._checks.owner[index] != topic.gateway:
                error = self._checks.stranger(row.device, row.metric, topic.gateway)
                group.rejects.append(reject(error, message.topic, msgspec.json.encode(row), 1))
                continue
            quality = QUALITY[row.quality]
            if row.time is None and message.is_retained:
                # It comes again with every subscription, and each time it would be a new reading.
                error = BadInput("retained", "a retained reading needs a 'time' of its own, or no retain flag")
                group.rejects.append(reject(error, str(topic), msgspec.json.encode(row), 1))
                continue
            if row.time is None:
                time_ms, quality = now_ms, max(quality, Quality.SUSPECT)
            elif isinstance(row.time, int):
                time_ms = row.time
            else:
                time_ms = round(row.time.timestamp() * 1000)
            if not -_TIME_MAX_MS < time_ms < _TIME_MAX_MS:
                error = BadInput("bad-value", f"{row.device}/{row.metric}: {time_ms} is no time in epoch milliseconds")
                group.rejects.append(reject(error, str(topic), msgspec.json.encode(row), 1))
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

    def _once(self, rows: Rows, group: Group) -> Arrived:
        """The plain rows that did not come before, neither in an earlier group nor in this one."""
        batch, topics = rows.batch(), rows.topics
        hashes = row_hashes(batch)
        group.rows = set(hashes)
        if not rows.untimed and len(group.rows) == len(hashes) and self._recent.is_new(group.rows):
            return Arrived(topics, batch)
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
        return Arrived([topic for topic, kept in zip(topics, keep.tolist(), strict=True) if kept], kept(batch, keep))


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


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)
