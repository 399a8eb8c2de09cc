"""What the core tries at a broker, without one."""

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gatehouse import admission
from telemetry.errors import Unavailable
from telemetry.topics import PROBE_OWN


class Talkative:
    """A queue of events that is never empty, and never holds what is waited for."""

    def __init__(self, more: int) -> None:
        self.more = more

    def get(self, timeout: float) -> tuple[str, bytes]:
        self.more -= 1
        assert self.more > 0, "it was listened to for ever"
        return "somebody/elses", b"word"


def test_a_broker_that_talks_without_end_does_not_hold_the_core_up(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = admission._Visitor(paho.Client(CallbackAPIVersion.VERSION2))
    monkeypatch.setattr(visitor, "_events", Talkative(10_000_000))
    monkeypatch.setattr(admission, "_TALK_MAX_S", 0.01)
    # As one that cannot be tried now: taken for a refusal, it would pass for a closed broker.
    for attempt in (visitor.settled, lambda: visitor.subscribe(PROBE_OWN)):
        with pytest.raises(Unavailable, match="talks without end"):
            attempt()
