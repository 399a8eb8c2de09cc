"""Empties one channel's part of the outbox: at least once, in order for each alarm, the same key on every attempt."""

from __future__ import annotations

import math
import random
import threading

from alerts import events
from alerts.escalation import CHANNEL_FAILS, CHANNEL_WORKS
from alerts.notify.channels import Channel
from alerts.store import Notice, Store
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadInput, Unavailable

GIVE_UP_AFTER_MS = 24 * 3_600_000
GIVE_UP_TRIED_S = 3600.0  # and not before: a clock that was set ahead makes nothing a day old
FAILS_AFTER_MS = 120_000  # so long in vain, and the channel is an alarm of its own
_REPORT_EVERY_S = 30.0
_RETRY_MAX_MS = 60_000
_LOOK_EVERY_S = 1.0  # also without being woken, so that a lost wake-up heals


class Sender:
    """One thread for one channel."""

    def __init__(self, name: str, channel: Channel, store: Store, clock: Clock) -> None:
        self._name = name
        self._channel = channel
        self._store = store
        self._clock = clock
        self._woken = threading.Event()
        # On the monotonic clock: since when in vain, by recipient; when somebody last took something.
        self._in_vain_since_s: dict[str, float] = {}
        self._worked_s = -math.inf
        self._passed_over: set[str] = set()  # who did not take theirs now: everybody else's turn comes first
        self._random = random.Random()  # jitter only
        # What is in the way, by channel or channel/recipient, and what is known to work, since this process began.
        self._fails: dict[str, str] = {}
        self._works: set[str] = set()
        self._reported_s = clock.monotonic_s() - _REPORT_EVERY_S
        events.channel_known(name)

    def wake(self) -> None:
        """There are new notices."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            self._woken.clear()
            try:
                has_more = self.step()
            except DATABASE_AWAY as error:
                events.database_unavailable(str(error), is_first=True)
                has_more = False
            if not has_more:
                self._woken.wait(_LOOK_EVERY_S)

    def step(self) -> bool:
        """Send what is due, a hundred at most; True when there may be more at once."""
        due = self._store.due_notices(self._name, self._clock.now_ms(), 100, self._passed_over)
        if not due:
            self._passed_over.clear()
        delivered = []
        for notice in due:
            now_ms = self._clock.now_ms()
            try:
                self._channel.deliver(notice)
                delivered.append(notice.id)
                self._went_well(notice)
            except BadInput as error:
                self._store.not_delivered(notice.id, str(error), None, now_ms)
                events.notice_not_delivered(self._name, str(error), is_final=True)
                self._went_wrong(self._subject(notice), str(error))
            except Unavailable as error:
                tried_s = self._tried_s(notice.recipient)
                is_final = now_ms - notice.created_ms > GIVE_UP_AFTER_MS and tried_s > GIVE_UP_TRIED_S
                delay_ms = min(1000 * 2 ** min(notice.attempts, 10), _RETRY_MAX_MS) * self._random.uniform(0.5, 1.0)
                self._store.not_delivered(notice.id, str(error), None if is_final else now_ms + round(delay_ms), now_ms)
                events.notice_not_delivered(self._name, str(error), is_final)
                if now_ms - notice.created_ms > FAILS_AFTER_MS:
                    # Where others have taken theirs meanwhile, it is not the channel.
                    is_theirs = self._worked_s >= self._in_vain_since_s[notice.recipient]
                    self._went_wrong(self._subject(notice) if is_theirs else self._name, str(error))
                if notice.recipient:
                    self._passed_over.add(notice.recipient)
                break  # the ones behind it would most likely fail as well
        if delivered:
            self._store.delivered(delivered, self._clock.now_ms())
            events.notice_delivered(self._name, len(delivered))
        if due:
            self._report()
        return len(delivered) == len(due) > 0

    def _tried_s(self, recipient: str) -> float:
        """For how long a recipient has taken nothing, as far as this process has seen."""
        now_s = self._clock.monotonic_s()
        return now_s - self._in_vain_since_s.setdefault(recipient, now_s)

    def _subject(self, notice: Notice) -> str:
        return f"{self._name}/{notice.recipient}" if notice.recipient else self._name

    def _went_well(self, notice: Notice) -> None:
        self._in_vain_since_s.pop(notice.recipient, None)
        self._worked_s = self._clock.monotonic_s()
        for subject in {self._name, self._subject(notice)}:
            self._works.add(subject)
            if self._fails.pop(subject, None) is not None:
                self._reported_s -= _REPORT_EVERY_S

    def _went_wrong(self, subject: str, error: str) -> None:
        self._works.discard(subject)
        if subject not in self._fails:
            self._reported_s -= _REPORT_EVERY_S
        self._fails[subject] = error

    def _report(self) -> None:
        """See that what is on record about this channel is so: at every change, and now and then in case it was lost."""
        if self._clock.monotonic_s() - self._reported_s < _REPORT_EVERY_S:
            return
        self._reported_s = self._clock.monotonic_s()
        on_record, now_ms = self._store.failing(self._name), self._clock.now_ms()
        for subject in sorted(self._fails.keys() - on_record):
            self._store.report(CHANNEL_FAILS, subject, self._fails[subject], now_ms)
        for subject in sorted(on_record & self._works):
            self._store.report(CHANNEL_WORKS, subject, "", now_ms)
