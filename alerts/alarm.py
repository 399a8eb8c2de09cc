"""An alarm, from raise to close, and the steps in between: what is stored, sent and shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from alerts.rule import Severity

LATE_DATA = "late-data"
"""Reason of what is said about an outage after it."""

PERSON = "person"
"""Reason of what a person did."""


class What(StrEnum):
    """What a transition is."""

    RAISED = "raised"
    SEVERITY_UP = "severity-up"
    SEVERITY_DOWN = "severity-down"
    RETURNED = "returned"  # good readings say it is over: the alarm closes
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    ASSIGNED = "assigned"  # to the person that its note names; without one to nobody any more
    DISPOSED = "disposed"  # a person decided: the alarm closes
    CLOSED = "closed"  # by a person, because its rule is gone, or because it never was
    AMENDED = "amended"  # late readings say that it began, peaked or ended otherwise
    REOPENED = "reopened"  # late readings say that it never was over
    TOLD_LOCALLY = "told-locally"  # its gateway had raised it by itself
    LATCHED = "latched"  # good readings say it is over; it stays open until a person has seen it
    MASKED = "masked"  # nobody is called for it any more: shelved, a cause is known, maintenance, or out of service
    UNMASKED = "unmasked"  # people are called for it again
    FLAPPING = "flapping"  # it comes and goes: told once, held open
    STEADY = "steady"  # it has ceased to come and go
    ESCALATED = "escalated"  # nobody has acknowledged it in time: the next ones are called
    EXHAUSTED = "exhausted"  # everybody was called and nobody has acknowledged
    REALARMED = "realarmed"  # acknowledged long ago and still there: it counts as unseen again
    REMINDED = "reminded"  # still there
    RECHECK = "recheck"  # a guard measures the person again: the clock runs
    MEASURED = "measured"  # the second measurement, by a device or as a person typed it in

    @property
    def is_end(self) -> bool:
        return self in _ENDS


_ENDS = frozenset((What.RETURNED, What.DISPOSED, What.CLOSED))

COMES_AND_GOES = frozenset((What.RAISED, What.RETURNED, What.REOPENED, What.LATCHED))
"""Of these steps three within a minute are chattering; that an alarm gets worse or better is not."""


# Structs, which are made several times as fast as dataclasses; and never part of a cycle, so that storms of them do not keep
# the garbage collector busy.
class Transition(msgspec.Struct, gc=False):
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
    quiet: str | None = None  # why nobody is called for this step, though it is of a sort that people are called for
    step: int | None = None  # of the route's ladder: whom this transition calls; all that come with a raise when None


class Forecast(msgspec.Struct, gc=False):
    """Minutes until the limit is reached, with a band; None where there is no end to the band."""

    minutes: float
    low: float | None
    high: float | None
    at_ms: int  # counted from then


class Masked(msgspec.Struct, gc=False):
    """Why nobody is called for an alarm now."""

    id: str
    kind: str
    owner: str | None  # None: nobody's decision, a cause is known
    reason: str
    until_ms: int | None  # None: while the cause is open


class Recheck(msgspec.Struct, gc=False):
    """A person at a gate is measured again: by when, and what came of it."""

    asked_ms: int
    asked_by: str
    due_ms: int  # of the second measurement; when there is one, of the decision
    value: float | None = None
    method: str | None = None  # how it was measured, or by which device
    measured_ms: int | None = None
    measured_by: str | None = None  # who typed it in; None: it came by itself
    is_overdue: bool = False  # nothing came by then, and people were called again


class Alarm(msgspec.Struct, gc=False):
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
    limits: list[tuple[int, float]] = msgspec.field(
        default_factory=list
    )  # (severity, limit) of every level, for the chart
    forecast: Forecast | None = None
    acknowledged_by: str | None = None
    closed_ms: int | None = None
    closed_reason: str | None = None
    disposition: str | None = None
    told_locally_ms: int | None = None
    ended_before_ms: int | None = None  # when it was over before it last came back
    over_ms: int | None = None  # good readings say it is over since then, and it is held open: latched or flapping
    flapping: bool = False
    masks: list[Masked] = msgspec.field(default_factory=list)
    heights: list[tuple[int, Severity]] = msgspec.field(
        default_factory=list
    )  # (event time, severity) of each new severity_max
    recheck: Recheck | None = None  # of a passage
    assigned_to: str | None = None  # who is to see to it
    said: dict[str, str] | None = None  # why, by language, where whoever told of it knows that and nobody here does

    @property
    def is_open(self) -> bool:
        return self.closed_ms is None


Where = tuple[int, int, str | None]
"""What an alarm is about: (rule, series, key of a passage)."""


@dataclass(slots=True)
class Effects:
    """What one record came to: transitions in order, and the alarms they belong to as they stand after them."""

    transitions: list[Transition] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    ended: list[tuple[Where, Alarm]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)  # command id -> "" when done, else why not
    masks: dict[str, Any] = field(default_factory=dict)  # what people declared or took back, by id
    rules: list[Any] = field(default_factory=list)  # (change, document, when): rules that have another version now
    rosters: list[Any] = field(default_factory=list)  # the same of duty rosters
    late: int = 0  # readings that a newer one of their series had overtaken
    too_late: int = 0  # of these, what could not be judged in its own place any more
    incomplete: list[str] = field(default_factory=list)  # gateways whose outage could not be judged to its end
