"""A message a minute through every channel that asks for it, so that somebody outside can tell silence from calm.

It carries the age of the newest reading of one series that the engine has judged, best of a simulated device behind a
gateway: then a broken link anywhere from device to channel shows as an age that grows, or as no message at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from pydantic import BaseModel, ConfigDict, PositiveFloat

from alerts import events
from telemetry.catalogue import MetricName, Name
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable


class HeartbeatSettings(BaseModel):
    """Whose readings show that all is well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    metric: MetricName
    every_s: PositiveFloat = 60.0


class Beats(Protocol):
    """A channel that can say that the core lives."""

    def beat(self, message: Mapping[str, object]) -> None:
        """Raises Unavailable or BadInput."""


class Heartbeat:
    """One thread for one channel: a channel that hangs holds up no other's."""

    def __init__(
        self,
        name: str,
        channel: Beats,
        settings: HeartbeatSettings,
        judged_ms: Callable[[], int | None],
        lag: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._name = name
        self._channel = channel
        self._settings = settings
        self._judged_ms = judged_ms
        self._lag = lag
        self._clock = clock
        self._count = 0
        events.heartbeat_known(name)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.wait(self._settings.every_s):
            self.step()

    def step(self) -> None:
        """One beat. A beat that is not taken is not repeated: the next one says more."""
        now_ms, judged_ms = self._clock.now_ms(), self._judged_ms()
        self._count += 1
        message: dict[str, object] = {
            "what": "heartbeat",
            "time_ms": now_ms,
            "count": self._count,
            "device": self._settings.device,
            "metric": self._settings.metric,
            "reading_ms": judged_ms,
            "age_s": None if judged_ms is None else round((now_ms - judged_ms) / 1000, 1),
            "records_behind": self._lag(),
        }
        try:
            self._channel.beat(message)
        except (Unavailable, BadInput) as error:
            events.heartbeat_not_sent(self._name, str(error))
