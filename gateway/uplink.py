"""Ships frames from the spool to the core, in order, again and again until the core says that it has them.

The broker may be away for days: nothing is queued meanwhile but on the spool's disk. Which lanes have something to send
is the spool's decision, what of it goes out now that of each lane's `SendWindow`; this file reads the spool, talks
through `Link` and keeps the retained status fresh. Backlog goes out only when nothing newer can, and through a small
window, so that what is new never queues behind much of it at the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from gateway.events import Events
from gateway.lane import Lane
from gateway.link import Link, Listener, PahoLink
from gateway.spool import Release, Spool
from gateway.window import Decision, Reason, SendWindow, WindowLimits
from telemetry import frames
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.topics import frames_topic, receipt_topic, sampling_topic, status_topic

T = TypeVar("T")

_BROKER = "broker"
_DISK = "spool (reading)"
_KEEP_EVERY_S = 1.0
_BACKLOG_FRAMES_MAX = 16
_BACKLOG_BYTES_MAX = 250_000
_DELAY_FIRST_S = 0.5
_DELAY_CALM_S = 30.0  # a connection that lasted this long ends the back-off


class _Receipt(msgspec.Struct):
    epoch: str
    seq: int
    time_ms: int | None = None  # the core's


_RECEIPT = msgspec.json.Decoder(_Receipt)


class Uplink:
    """The gateway's way out. All methods are for the event loop's thread.

    Args:
        facts: What the status says besides the spool: drivers, counters, readings still in memory.
        on_sampling: Told what the core says of how often devices are to be read.
        make_link: How a connection is made; simulations bring their own.
    """

    def __init__(
        self,
        clock: Clock,
        spool: Spool,
        events: Events,
        broker: BrokerSettings,
        site: str,
        gateway: str,
        limits: WindowLimits,
        status_every_s: float,
        facts: Callable[[], Mapping[str, Any]],
        on_sampling: Callable[[bytes], None],
        make_link: Callable[[BrokerSettings, str, Listener], Link] = PahoLink,
    ) -> None:
        self._clock = clock
        self._spool = spool
        self._events = events
        self._broker = broker
        self._gateway = gateway
        self._frames_topic = frames_topic(site, gateway)
        self._receipt_topic = receipt_topic(site, gateway)
        self._status_topic = status_topic(site, gateway)
        self._sampling_topic = sampling_topic(site, gateway)
        self._status_every_s = status_every_s
        self._facts = facts
        self._on_sampling = on_sampling
        self._make_link = make_link
        self._limits = limits
        self._backlog_limits = replace(
            limits,
            frames_max=min(limits.frames_max, _BACKLOG_FRAMES_MAX),
            bytes_max=min(limits.bytes_max, _BACKLOG_BYTES_MAX),
        )
        self._is_connected = False
        self.cut_off_ms: int | None = clock.now_ms()  # since when there is no connection; None when there is one
        self._windows: dict[str, SendWindow] = {}  # of the lanes that are being sent, by epoch
        self._on_the_way: dict[int, str] = {}  # message id of a frame -> epoch
        self._status_on_the_way: int | None = None
        self._status_s = 0.0
        self._status_shown: object = None
        self._lost: str | None = None
        self._wake = asyncio.Event()
        self._kept_s = 0.0  # when the spool was last seen to
        self._ordered_s = 0.0  # when it was last looked whether anything has waited too long
        self._is_core_heard = False  # since then
        self._stop_by_s: float | None = None
        self._random = random.Random()  # jitter only
        self._reader = ThreadPoolExecutor(1, "spool-reader")

    def wake(self) -> None:
        """There is something new in the spool, or in the status."""
        self._wake.set()

    def stop(self, drain_s: float) -> None:
        """End when the spool is empty, or after `drain_s`."""
        self._stop_by_s = self._clock.monotonic_s() + drain_s
        self._wake.set()

    async def run(self) -> None:
        """Connect, serve, reconnect, until stopped."""
        delay_s = _DELAY_FIRST_S
        try:
            while not self._is_over():
                started_s = self._clock.monotonic_s()
                try:
                    await self._session()
                except Unavailable as error:
                    self._events.unavailable(_BROKER, str(error))
                if self._clock.monotonic_s() - started_s > _DELAY_CALM_S:
                    delay_s = _DELAY_FIRST_S
                await self._pause(delay_s * self._random.uniform(0.5, 1.0))
                delay_s = min(2 * delay_s, self._broker.reconnect_delay_max_s)
            await self._keep_spool()
        finally:
            self._reader.shutdown()

    # Listener of the link

    def link_message(self, payload: bytes) -> None:
        """A receipt: the only thing that frees a frame."""
        try:
            receipt = _RECEIPT.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._events.receipt_refused(f"not a receipt: {error}")
            return
        held = self._spool.count
        released = self._spool.release(receipt.epoch, receipt.seq)
        if receipt.time_ms is not None and receipt.epoch == self._spool.epoch:
            # A lane of this run: the core cannot have said it before the run began.
            self._spool.timekeeper.heard(receipt.time_ms)
        match released:
            case Release.FREED:
                self._events.receipt_taken(held - self._spool.count)
            case Release.OTHER_EPOCH:
                self._events.receipt_refused(f"of epoch {receipt.epoch[:64]!r}, which this spool does not hold")
                return
            case Release.BEYOND_LAST:
                detail = f"through frame {receipt.seq} of {receipt.epoch}, which ends before"
                self._events.receipt_refused(f"{detail}: was the spool restored from a copy?")
                return
            case Release.REPEATED:
                pass
        self._is_core_heard = True
        if window := self._windows.get(receipt.epoch):
            window.receipt(receipt.seq, self._clock.monotonic_s())
        self._wake.set()

    def link_sampling(self, payload: bytes) -> None:
        self._on_sampling(payload)

    def link_taken(self, message_id: int) -> None:
        if message_id == self._status_on_the_way:
            self._status_on_the_way = None
        elif window := self._windows.get(self._on_the_way.pop(message_id, "")):
            window.taken(self._clock.monotonic_s())
        self._wake.set()

    def link_lost(self, why: str) -> None:
        self._lost = why
        self._wake.set()

    # One connection

    async def _session(self) -> None:
        """Raises Unavailable when the connection cannot be made or is lost; returns when stopped."""
        self._lost = None
        self._on_the_way.clear()
        self._status_on_the_way = None
        link = self._make_link(self._broker, self._gateway, self)
        topics = self._receipt_topic, self._sampling_topic, self._status_topic
        is_session_present = await link.open(*topics, self._offline())
        self._events.connected(self._broker.host, self._broker.port, is_session_present)
        self._is_connected = True
        self.cut_off_ms = None
        for window in self._windows.values():
            window.connected(self._clock.monotonic_s())
        self._is_core_heard = True  # what has waited too long while there was no connection is backlog from the start
        self._kept_s = self._ordered_s = float("-inf")
        self._status_shown = None
        try:
            while not self._is_over():
                self._wake.clear()
                if self._lost is not None:
                    raise Unavailable(f"connection lost: {self._lost}")
                await self._put_in_order()
                wait_s = min(await self._keep_spool(), await self._tell_status(link))
                lane, decision = self._decide()
                if decision.reason.sends:
                    await self._send(link, lane, decision)
                    continue
                if decision.reason is Reason.STALLED:
                    raise Unavailable("the broker takes nothing any more")
                await self._wait(min(wait_s, decision.wait_s or wait_s))
            link.publish(self._status_topic, self._offline(), retain=True)
            await link.close()
        finally:
            self._is_connected = False
            self.cut_off_ms = self._clock.now_ms()
            for window in self._windows.values():
                window.disconnected()
            await link.abort()

    def _decide(self) -> tuple[Lane, Decision]:
        """What to send now, and of which lane; when nothing, how long to wait."""
        now_s = self._clock.monotonic_s()
        lanes = self._spool.streams()
        decisions = []
        is_in_order = self._ordered_s > float("-inf")  # looked at over this connection: until then nothing goes out
        for lane in lanes:
            is_ready = lane.is_ready and is_in_order
            decision = self._window(lane).decide(now_s, lane.last if is_ready else lane.released)
            if decision.reason.sends or decision.reason is Reason.STALLED:
                return lane, decision
            decisions.append(decision)
        waits_s = [decision.wait_s for decision in decisions if decision.wait_s is not None]
        return lanes[0], replace(decisions[0], wait_s=min(waits_s, default=None))

    def _window(self, lane: Lane) -> SendWindow:
        window = self._windows.get(lane.epoch)
        if window is None:
            held = {other.epoch for other in self._spool.lanes}
            self._windows = {epoch: window for epoch, window in self._windows.items() if epoch in held}
            window = self._windows[lane.epoch] = SendWindow(self._limits, lane.released)
            if self._is_connected:
                window.connected(self._clock.monotonic_s())
        window.limits = self._backlog_limits if lane.is_backlog else self._limits
        return window

    async def _send(self, link: Link, lane: Lane, decision: Decision) -> None:
        if decision.has_gone_back:
            self._events.resending(decision.after_seq)
        try:
            records = await self._in_reader(
                lambda: self._spool.frames(lane, decision.after_seq, decision.count_max, decision.bytes_max)
            )
        except Unavailable as error:
            self._events.unavailable(_DISK, str(error))
            await self._wait(1.0)
            return
        self._events.available(_DISK)
        window = self._window(lane)
        sent_count = resent_count = 0
        for record in records:
            base = lane.released + 1
            if record.offset < base:  # its receipt came while it was read
                continue
            payload = frames.encode(
                self._gateway,
                lane.epoch,
                record.offset,
                base,
                record.payload,
                is_backlog=lane.is_backlog,
                behind=self._spool.behind(lane, record.offset),
            )
            message_id = link.publish(self._frames_topic, payload, retain=False)
            if message_id is None:
                await self._wait(1.0)  # the end of the connection is about to be reported
                break
            self._on_the_way[message_id] = lane.epoch
            resent_count += window.sent(record.offset, len(payload), self._clock.monotonic_s())
            sent_count += 1
        self._events.frames_sent(sent_count, resent_count)

    async def _tell_status(self, link: Link) -> float:
        """Publish the status when it is due or its essence changed; seconds until it is due again."""
        now_s = self._clock.monotonic_s()
        facts = self._facts()
        essence = (facts.get("drivers"), facts.get("local_alarms"), self._spool.is_full, self._spool.epoch)
        if self._status_shown == essence and now_s - self._status_s < self._status_every_s:
            return self._status_s + self._status_every_s - now_s
        if self._status_on_the_way is None:  # else the broker has not even taken the last one
            with contextlib.suppress(Unavailable):
                held = await self._in_reader(self._spool.held)
                status = {
                    "state": "online",
                    "epoch": held.lanes[0],
                    "lanes": held.lanes,
                    "spooled": held.frames,
                    "behind": held.behind,
                    "oldest_ms": held.oldest_ms,
                    "full": held.is_full,
                    "damaged_lanes": held.damaged,
                    **facts,
                }
                self._status_on_the_way = link.publish(self._status_topic, msgspec.json.encode(status), retain=True)
            self._status_shown = essence
        self._status_s = now_s
        return self._status_every_s

    def _offline(self) -> bytes:
        return msgspec.json.encode({"state": "offline", "epoch": self._spool.epoch, "spooled": self._spool.count})

    async def _put_in_order(self) -> None:
        """Make backlog of what has waited too long; only when the core is heard, else every minute would be a lane.

        Until the time is known nobody can say for how long what an earlier run left has waited: then it is looked at first.
        """
        now_s = self._clock.monotonic_s()
        is_due = self._is_core_heard and now_s - self._ordered_s >= _KEEP_EVERY_S
        if not is_due or self._spool.timekeeper.shift_ms is None:
            return
        self._ordered_s, self._is_core_heard = now_s, False
        try:
            if await self._in_reader(self._spool.go_live_first):
                self._events.live_first(self._spool.behind(self._spool.live, 0))
        except Unavailable as error:
            self._events.unavailable(_DISK, str(error))

    async def _keep_spool(self) -> float:
        """Give back to the disk what receipts freed and write down times that have become known, once a second at most.

        Returns the seconds until that is due again.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._kept_s >= _KEEP_EVERY_S or self._is_over():
            self._kept_s = now_s
            try:
                await self._in_reader(self._spool.trim)
                await self._in_reader(self._spool.place)
            except Unavailable as error:
                self._events.unavailable(_DISK, str(error))
            for lane in self._spool.put_aside():
                self._events.lane_damaged(lane)
        return max(0.001, self._kept_s + _KEEP_EVERY_S - now_s)

    def _is_over(self) -> bool:
        if self._stop_by_s is None:
            return False
        return self._spool.count == 0 or self._clock.monotonic_s() >= self._stop_by_s

    async def _pause(self, seconds: float) -> None:
        """Wait between two connections; a stop ends it."""
        until_s = self._clock.monotonic_s() + seconds
        while not self._is_over() and (left_s := until_s - self._clock.monotonic_s()) > 0:
            self._wake.clear()
            await self._wait(left_s)

    async def _wait(self, seconds: float) -> None:
        if self._stop_by_s is not None:
            seconds = min(seconds, max(0.001, self._stop_by_s - self._clock.monotonic_s()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _in_reader(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, call)
