"""Alarms: a page of them, one with everything, and what people do about them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.masks import SHELF_MAX_MS
from alerts.outcome import Outcome
from alerts.rule import Severity
from api.access import Acting, Looking, User
from api.alarms import Filter
from api.asking import ask, at_cursor, must_end_soon, must_say_why
from api.parts import Parts, PartsOf
from api.problems import Problem

router = APIRouter()


class Action(BaseModel):
    """What a person does to an alarm; `seq` is the step they saw."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1)
    note: str | None = Field(default=None, max_length=2000)
    disposition: Literal["admit", "refuse", "refer"] | None = None
    outcome: Outcome | None = None  # what the alarm was, when it is disposed of or closed


class Shelf(BaseModel):
    """For how long a person puts an alarm aside, and why."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1)
    until: int = Field(ge=0, lt=2**53, description="epoch ms")
    reason: str = Field(min_length=1, max_length=2000)
    one_shot: bool = False


@router.get("/alarms")
def alarm_page(
    session: Looking,
    parts: PartsOf,
    state: Literal["open", "closed", "all"] = "all",
    alarm_class: Annotated[str | None, Query(alias="class")] = None,
    site: str | None = None,
    severity: Literal["low", "medium", "high", "critical"] | None = None,
    start: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    end: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> dict[str, Any]:
    after = None if cursor is None else at_cursor(cursor)
    wanted = Filter(state, site, alarm_class, Severity[severity.upper()] if severity else None, start, end)
    items, following = parts.alarms.page(session.user, wanted, limit, after)
    return {"items": items, "next": None if following is None else f"{following[0]}.{following[1]}"}


def _alarm(parts: Parts, user: User, alarm: str) -> dict[str, Any]:
    found = parts.alarms.one(user, alarm)
    if found is None:
        raise Problem(404, "No such alarm", f"there is no alarm '{alarm}' that you may see: GET /api/v1/alarms")
    return found


@router.get("/alarms/{alarm}")
def one_alarm(session: Looking, parts: PartsOf, alarm: str) -> dict[str, Any]:
    return _alarm(parts, session.user, alarm)


def _decides(parts: Parts, user: User, action: str, alarm: str) -> dict[str, Any]:
    found = _alarm(parts, user, alarm)
    if not user.acts_on(found["class"], found["site"]):
        parts.accounts.record(user.name, action, alarm, "refused: role")
        raise Problem(403, "Not for this role", f"your role does not decide on alarms of class '{found['class']}'")
    return found


@router.post("/alarms/{alarm}/shelve")
def shelve(session: Acting, parts: PartsOf, alarm: str, body: Shelf) -> dict[str, Any]:
    found = _decides(parts, session.user, "shelve", alarm)
    must_say_why(body.reason)
    must_end_soon(parts, body.until, SHELF_MAX_MS[Severity[found["severity"].upper()]])
    details = {"note": body.reason, "until_ms": body.until, "one_shot": body.one_shot}
    ask(parts, session.user, "shelve", alarm, body.seq, details)
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/unshelve")
def unshelve(session: Acting, parts: PartsOf, alarm: str, body: Action) -> dict[str, Any]:
    _decides(parts, session.user, "unshelve", alarm)
    ask(parts, session.user, "unshelve", alarm, body.seq, {"note": body.note})
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/{action}")
def act(
    session: Acting,
    parts: PartsOf,
    alarm: str,
    action: Literal["acknowledge", "comment", "dispose", "close"],
    body: Action,
) -> dict[str, Any]:
    user = session.user
    _decides(parts, user, action, alarm)
    if action == "dispose" and body.disposition is None and body.outcome is None:
        detail = f"'disposition' is one of admit, refuse, refer; or 'outcome' one of {', '.join(Outcome)}"
        raise Problem(422, "The request does not fit", detail)
    if (action in ("comment", "close") or body.disposition == "refuse") and not (body.note or "").strip():
        raise Problem(422, "The request does not fit", "'note' must say why")
    decided = body.disposition or body.outcome
    ask(parts, user, action, alarm, body.seq, {"note": body.note, "disposition": decided})
    return _alarm(parts, user, alarm)
