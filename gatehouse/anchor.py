"""Once a day the head of the audit goes out by a channel, to where nobody who can write to the database can write.

Whoever has the database could compute every hash anew. What somebody else holds shows it: `audit verify --anchor`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog
from pydantic import BaseModel, ConfigDict

from alerts.notify.channels import Channel
from alerts.notify.settings import AnyChannelSettings
from alerts.people import People
from alerts.store import Notice
from api.audit import Audit, Wanted
from telemetry.catalogue import Name
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadInput, Unavailable

ANCHOR = "audit-anchor"
_DAY_MS = 86_400_000
_LOOK_EVERY_S = 300.0
_log = structlog.get_logger("anchor")


class AnchorSettings(BaseModel):
    """By which channel, and to whom of those who have an address there; to nobody: to a system, as a webhook is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: str
    to: tuple[Name, ...] = ()


class AuditSettings(BaseModel):
    """What becomes of the audit beside being kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor: AnchorSettings | None = None


def mistakes_of_anchor(
    anchor: AnchorSettings | None, channels: Mapping[str, AnyChannelSettings], people: People
) -> list[str]:
    """What of it names nothing that there is."""
    if anchor is None:
        return []
    if anchor.channel not in channels:
        return [f"audit.anchor.channel: '{anchor.channel}' is not among 'channels'"]
    reached = {person.id for person in people.people if anchor.channel in person.addresses}
    found = [
        f"audit.anchor.to: '{each}' has no address at '{anchor.channel}'" for each in anchor.to if each not in reached
    ]
    if not anchor.to and getattr(channels[anchor.channel], "type", "") == "mail":
        found.append("audit.anchor.to: a mail goes to somebody: name a person")
    return found


class Anchoring:
    """Sends the head as it stands, once a day, and puts on record that it did."""

    def __init__(self, settings: AnchorSettings, channel: Channel, audit: Audit, clock: Clock) -> None:
        self._settings = settings
        self._channel = channel
        self._audit = audit
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while True:
            try:
                self.step()
            except (*DATABASE_AWAY, Unavailable) as error:
                _log.warning("the audit's anchor did not go out; it is tried again", error=str(error))
            if stop.wait(_LOOK_EVERY_S):
                return

    def step(self) -> bool:
        """Send it if a day has passed since the last one on record; whether it went. Raises Unavailable."""
        last = self._audit.page(Wanted(action=ANCHOR), 1, None)
        # One from the future was sent by a clock that stood ahead.
        if last and 0 <= self._clock.now_ms() - last[0]["time_ms"] < _DAY_MS:
            return False
        head = self._audit.head()
        if not head.id:
            return False
        faults = self._audit.faults()
        anchor = f"{head.id}:{head.hash}"
        reached, not_told = [], []
        away: Unavailable | None = None
        for recipient in self._settings.to or ("",):
            try:
                self._channel.deliver(self._notice(anchor, faults, recipient))
                reached.append(recipient)
            except BadInput as error:
                _log.warning("the audit's anchor is refused", recipient=recipient, error=str(error))
                not_told.append(f"refused: {error}")
            except Unavailable as error:
                _log.warning("the audit's anchor did not get through", recipient=recipient, error=str(error))
                not_told.append(f"not to {recipient}: {error}")
                away = error
        # Once somebody has it, it is where it must be: to try again would be to tell them every few minutes.
        if away is not None and not reached:
            raise away
        told = ", ".join(reached or self._settings.to) or "it"
        self._audit.record(
            "system", ANCHOR, f"{anchor} by {self._settings.channel} to {told}", "; ".join(not_told) or "sent"
        )
        return True

    def _notice(self, anchor: str, faults: list[str], recipient: str) -> Notice:
        number = anchor.partition(":")[0]
        body = {"what": ANCHOR, "anchor": anchor, "faults": faults[:20]}
        state = "完整 / whole" if not faults else f"有问题 / damaged: {faults[0]}"
        title = f"审计锚点 {number} / anchor of the audit" + ("" if not faults else " (!)")
        text = (
            f"{anchor}\n{state}\n\n请保留此消息。核对： / Keep this message. To check:\n"
            f"gatehouse audit verify --anchor {anchor} --config gatehouse.yaml"
        )
        return Notice(0, f"{ANCHOR}/{number}/{recipient}", 0, self._clock.now_ms(), body, recipient, title, text)
