"""An alarm, from raise to close, and the steps in between: what is stored, sent and shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from alerts.rules import Severity


class What(StrEnum):
    """What a transition is."""

    RAISED = "raised"
    SEVERITY_UP = "severity-up"
    SEVERITY_DOWN = "severity-down"
    RETURNED = "returned"  # good readings say it is over: the alarm closes
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    DISPOSED = "disposed"  # a person decided: the alarm closes
    CLOSED = "closed"  # by a person, or because its rule is gone

    @property
    def is_end(self) -> bool:
        return self in (What.RETURNED, What.DISPOSED, What.CLOSED)


@dataclass(slots=True)
class Transition:
    """One step of an alarm. Bitemporal: when it was true in the field, and when we learned of it."""

    alarm: str
    seq: int
    what: What
    severity: Severity
    event_ms: int
    known_ms: int
    reason: str
    actor: str | None = None
    note: str | None = None
    value: float | None = None


@dataclass(slots=True)
class Forecast:
    """Minutes until the limit is reached, with a band; None where there is no end to the band."""

    minutes: float
    low: float | None
    high: float | None
    at_ms: int  # counted from then


@dataclass(slots=True)
class Alarm:
    """One occurrence. `seq` counts its transitions; whoever acts on it says which they saw."""

    id: str
    rule: str
    alarm_class: str
    site: str
    place: str
    device: str
    metric: str
    key: str | None
    severity: Severity
    severity_max: Severity
    seq: int
    onset_ms: int
    raised_ms: int
    value: float | None
    limit: float | None
    limits: list[tuple[int, float]] = field(default_factory=list)  # (severity, limit) of every level, for the chart
    forecast: Forecast | None = None
    acknowledged_by: str | None = None
    closed_ms: int | None = None
    closed_reason: str | None = None
    disposition: str | None = None

    @property
    def is_open(self) -> bool:
        return self.closed_ms is None
