"""Empties one channel's part of the outbox: at least once, in order for each alarm, the same key on every attempt."""

from __future__ import annotations

import random
import threading

import sqlalchemy as sa

from alerts import events
from alerts.notify.channels import Channel
from alerts.store import Store
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable

GIVE_UP_AFTER_MS = 24 * 3_600_000
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
        self._random = random.Random()  # jitter only

    def wake(self) -> None:
        """There are new notices."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            self._woken.clear()
            try:
                has_more = self.step()
            except sa.exc.OperationalError as error:
                events.database_unavailable(str(error), is_first=True)
                has_more = False
            if not has_more:
                self._woken.wait(_LOOK_EVERY_S)

    def step(self) -> bool:
        """Send what is due, a hundred at most; True when there may be more at once."""
        due = self._store.due_notices(self._name, self._clock.now_ms(), limit=100)
        delivered = []
        for notice in due:
            now_ms = self._clock.now_ms()
            try:
                self._channel.deliver(notice)
                delivered.append(notice.id)
            except BadInput as error:
                self._store.not_delivered(notice.id, str(error), None)
                events.notice_not_delivered(self._name, str(error), is_final=True)
            except Unavailable as error:
                is_final = now_ms - notice.created_ms > GIVE_UP_AFTER_MS
                delay_ms = min(1000 * 2 ** min(notice.attempts, 10), _RETRY_MAX_MS) * self._random.uniform(0.5, 1.0)
                self._store.not_delivered(notice.id, str(error), None if is_final else now_ms + round(delay_ms))
                events.notice_not_delivered(self._name, str(error), is_final)
                break  # the ones behind it would most likely fail as well
        if delivered:
            self._store.delivered(delivered, self._clock.now_ms())
            events.notice_delivered(self._name, len(delivered))
        return len(delivered) == len(due) > 0
