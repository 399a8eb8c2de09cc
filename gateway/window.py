"""What to send next and when to send it again: a go-back-N window over the spool, without I/O and without a clock.

Frames go out in seq order. At most `frames_max` of them, and about `bytes_max`, may lie beyond the core's last receipt.
Only a receipt moves the window. A broker's acknowledgement means "it is with the broker", which brokers forget; here it
only says that the link is not clogged: while a frame is still on its way to the broker, sending it again helps nobody.

    connected ─▶ start again after the last receipt
    no receipt for `delay` and nothing on its way to the broker ─▶ start again, `delay` doubles up to `resend_max_s`
    something on its way and nothing heard for `stalled_after_s` ─▶ give the connection up
    a receipt that frees something ─▶ `delay` is short again

Liveness: without receipts the window fills, nothing new is sent, so what is on its way arrives or the link is dead.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """Why frames are sent, or are not."""

    NEW = "new"
    AGAIN = "again"  # these were sent before, no receipt came
    DISCONNECTED = "disconnected"
    NOTHING_LEFT = "nothing-left"
    WINDOW_FULL = "window-full"
    STALLED = "stalled"

    @property
    def sends(self) -> bool:
        return self in (Reason.NEW, Reason.AGAIN)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now."""

    reason: Reason
    after_seq: int = 0  # when sending: the frames after this one
    count_max: int = 0
    bytes_max: int = 0
    wait_s: float | None = None  # when not sending: ask again after this long, unless something happens before
    has_gone_back: bool = False  # this decision started the window again


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much may lie beyond the last receipt, and how patient we are."""

    frames_max: int = 32
    bytes_max: int = 1_000_000
    resend_after_s: float = 5.0
    resend_max_s: float = 30.0
    stalled_after_s: float = 60.0


class SendWindow:
    """The uplink's memory of one lane. `now_s` is monotonic. `limits` may change at any time.

    Args:
        receipted: Everything through this seq is durable at the core.
    """

    def __init__(self, limits: WindowLimits, receipted: int) -> None:
        self.limits = limits
        self._is_connected = False
        self._receipted = receipted
        self._sent = receipted  # the window reaches from `_receipted` (excluded) to here
        self._sent_ever = receipted
        self._sizes: deque[tuple[int, int]] = deque()  # (seq, bytes) of the window
        self._bytes = 0
        self._on_the_way = 0  # frames the broker has not acknowledged
        self._delay_s = limits.resend_after_s
        self._progress_s = 0.0  # when a receipt last freed something, or the window was last started
        self._heard_s = 0.0  # when the broker was last heard of

    def connected(self, now_s: float) -> None:
        """A connection stands: whatever was sent on an earlier one counts for nothing."""
        self._is_connected = True
        self._delay_s = self.limits.resend_after_s
        self._on_the_way = 0
        self._heard_s = now_s
        self._go_back(now_s)

    def disconnected(self) -> None:
        self._is_connected = False

    def decide(self, now_s: float, last: int) -> Decision:
        """What to do, given the newest seq of the spool."""
        limits = self.limits
        if not self._is_connected:
            return Decision(Reason.DISCONNECTED)
        has_gone_back = False
        if self._sizes and now_s - self._progress_s >= self._delay_s:
            if self._on_the_way == 0:
                self._go_back(now_s)
                self._delay_s = min(2 * self._delay_s, limits.resend_max_s)
                has_gone_back = True
            elif now_s - self._heard_s >= limits.stalled_after_s:
                return Decision(Reason.STALLED)
        if self._sent >= last:
            return Decision(Reason.NOTHING_LEFT, wait_s=self._wait_s(now_s))
        if len(self._sizes) >= limits.frames_max or self._bytes >= limits.bytes_max:
            return Decision(Reason.WINDOW_FULL, wait_s=self._wait_s(now_s))
        return Decision(
            Reason.AGAIN if self._sent < self._sent_ever else Reason.NEW,
            self._sent,
            limits.frames_max - len(self._sizes),
            limits.bytes_max - self._bytes,
            has_gone_back=has_gone_back,
        )

    def sent(self, seq: int, size: int, now_s: float) -> bool:
        """A frame was handed to the connection. True when it had been sent before."""
        if not self._sizes:
            self._progress_s = now_s
        if self._on_the_way == 0:
            self._heard_s = now_s
        was_sent_before = seq <= self._sent_ever
        self._sizes.append((seq, size))
        self._bytes += size
        self._on_the_way += 1
        self._sent = seq
        self._sent_ever = max(self._sent_ever, seq)
        return was_sent_before

    def taken(self, now_s: float) -> None:
        """The broker acknowledged one frame. It proves that the link lives and nothing else."""
        self._on_the_way = max(0, self._on_the_way - 1)
        self._heard_s = now_s

    def receipt(self, seq: int, now_s: float) -> None:
        """The core holds everything through `seq`."""
        self._heard_s = now_s
        if seq <= self._receipted:
            return
        self._receipted = seq
        self._sent = max(self._sent, seq)
        self._sent_ever = max(self._sent_ever, seq)
        while self._sizes and self._sizes[0][0] <= seq:
            self._bytes -= self._sizes.popleft()[1]
        self._delay_s = self.limits.resend_after_s
        self._progress_s = now_s

    def _go_back(self, now_s: float) -> None:
        self._sent = self._receipted
        self._sizes.clear()
        self._bytes = 0
        self._progress_s = now_s

    def _wait_s(self, now_s: float) -> float | None:
        if not self._sizes:
            return None
        until_resend_s = self._progress_s + self._delay_s - now_s
        until_stalled_s = self._heard_s + self.limits.stalled_after_s - now_s
        return max(until_resend_s, until_stalled_s if self._on_the_way else 0.0, 0.001)
