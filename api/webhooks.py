"""What Gatehouse sends to a system's address (a channel of type `webhook`, docs/api/webhooks.md): the catalogue in OpenAPI.

The core sends, and knows nothing of this; `tests/api/test_webhooks.py` holds what a channel really posts against it.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.alarm import What
from api.contract import AlarmShown, HealthEvent, LiveEvent, Named, Severity, TimeMs

KEY = Field(description="the same when it is sent again; also as header Idempotency-Key")


class _ToSomebody(BaseModel):
    recipient: str | None = Field(default=None, description="where it is for a person")
    title: str | None = None
    text: str | None = None
    of: str | None = Field(default=None, description="the key of a message that this one stands in for")


class AlarmNotice(_ToSomebody):
    """A step of an alarm."""

    model_config = ConfigDict(title="AlarmNotice")

    key: str = KEY
    what: What = Field(description="the step", examples=["raised"])
    reason: str | None
    alarm: AlarmShown = Field(description="as it stood with that step")


class DigestAlarm(BaseModel):
    """An alarm in a digest."""

    id: str
    rule: str
    rule_name: Named
    place_name: Named | None
    alarm_class: str = Field(alias="class")
    site: str
    severity: Severity
    onset_ms: TimeMs
    timezone: str | None
    state: Literal["open", "closed"]


class DigestItem(BaseModel):
    """A message that a digest holds."""

    key: str
    what: str
    reason: str | None
    sort: str
    alarm: DigestAlarm


class DigestNotice(_ToSomebody):
    """Many messages in one, where a route gathers them."""

    key: str = KEY
    what: Literal["digest"]
    reason: Literal["digest"]
    alarm: AlarmShown = Field(description="that of the first message")
    notices: list[DigestItem]


class AnchorNotice(_ToSomebody):
    """The head of the audit, once a day, for safe keeping elsewhere."""

    key: str = KEY
    what: Literal["audit-anchor"]
    anchor: str = Field(description="ID:HASH, for `gatehouse audit verify --anchor`", pattern=r"^\d+:[0-9a-f]{64}$")
    faults: list[str]


class HeartbeatMessage(BaseModel):
    """Every minute: the core lives. A beat that is not taken is not repeated."""

    what: Literal["heartbeat"]
    time_ms: TimeMs
    count: int
    device: str
    metric: str
    reading_ms: int | None
    age_s: float | None
    records_behind: int


hooks = APIRouter()
stream: dict[str, type[BaseModel]] = {"LiveEvent": LiveEvent, "HealthEvent": HealthEvent}
"""Data of events at `GET /api/v1/events`, which no answer of a route has; of an `alarm` it is an `AlarmShown`."""
_ANSWERS = {
    "2XX": {"description": "Taken"},
    "4XX": {"description": "Refused for good, other than 408, 425 and 429"},
    "default": {"description": "Sent again later, less and less often"},
}


@hooks.post("alarm", responses=_ANSWERS, response_class=Response)  # type: ignore[arg-type]
def alarm(body: AlarmNotice) -> None:
    """A step of an alarm."""


@hooks.post("digest", responses=_ANSWERS, response_class=Response)  # type: ignore[arg-type]
def digest(body: DigestNotice) -> None:
    """Many messages in one."""


@hooks.post("audit-anchor", responses=_ANSWERS, response_class=Response)  # type: ignore[arg-type]
def audit_anchor(body: AnchorNotice) -> None:
    """The head of the audit."""


@hooks.post("heartbeat", responses=_ANSWERS, response_class=Response)  # type: ignore[arg-type]
def heartbeat(body: HeartbeatMessage) -> None:
    """The core lives."""
