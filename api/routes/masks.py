"""Masks: what is in maintenance or out of service, and what people shelved."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.masks import MAINTENANCE_MAX_MS, OUT_OF_SERVICE_MAX_MS
from api.access import Acting, Looking, Masking, Permission, User
from api.answers import Route
from api.asking import Key, ask, at_cursor, must_end_soon, must_say_why
from api.contract import MaskPage, MaskShown
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from telemetry.series import ONLINE

router = APIRouter(route_class=Route)


class MaskWanted(BaseModel):
    """Nobody is called for alarms that agree with all of rule, device, metric, place and site that are given."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["maintenance", "out-of-service"]
    reason: str = Field(min_length=1, max_length=2000)
    until: int = Field(ge=0, lt=2**53, description="epoch ms")
    rule: str | None = Field(default=None, max_length=64)
    device: str | None = Field(default=None, max_length=64)
    metric: str | None = Field(default=None, max_length=64)
    place: str | None = Field(default=None, max_length=64)
    site: str | None = Field(default=None, max_length=64)


@router.get("/masks", response_model=MaskPage)
def mask_page(
    session: Looking,
    parts: PartsOf,
    state: Literal["in-force", "ended", "all"] = "in-force",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> dict[str, Any]:
    items, following = parts.masks.page(session.user, state, limit, None if cursor is None else at_cursor(cursor))
    return {"items": items, "next": None if following is None else f"{following[0]}.{following[1]}"}


@router.post("/masks", responses=told(409), response_model=MaskShown, status_code=201)
def mask(session: Masking, parts: PartsOf, body: MaskWanted, key: Key = "") -> dict[str, Any]:
    user = session.user
    covers = body.model_dump(exclude_none=True, include={"rule", "device", "metric", "place", "site"})
    subject = ", ".join(f"{part} {name}" for part, name in covers.items())
    if not covers:
        raise Problem(422, "The request does not fit", "say what it covers: rule, device, metric, place or site")
    known: dict[str, Any] = {
        "rule": parts.rules.classes(),
        "device": {*parts.catalogue.device, *parts.catalogue.gateway},
        "metric": {metric.id for metric in parts.catalogue.metric.values()} | {ONLINE},
        "place": parts.catalogue.place,
        "site": parts.catalogue.site,
    }
    site = parts.masks.site_of(body.device, body.place, body.site)
    for part, name in covers.items():
        if name not in known[part] or (site is not None and not user.sees(site)):
            raise Problem(422, "The request does not fit", f"{part}: there is no {part} '{name}' that you may see")
    _may_mask(parts, user, "mask", subject, body.rule, site)
    must_say_why(body.reason)
    longest_ms = MAINTENANCE_MAX_MS if body.kind == "maintenance" else OUT_OF_SERVICE_MAX_MS
    must_end_soon(parts, body.until, longest_ms)
    details = {"note": body.reason, "until_ms": body.until, "mask": {"kind": body.kind, **covers}}
    made = parts.masks.one(user, ask(parts, user, "mask", "", 0, details, subject, site=site, key=key))
    assert made is not None
    return made


@router.delete("/masks/{mask_id}", responses=told(409), status_code=204)
def unmask(session: Acting, parts: PartsOf, mask_id: str) -> Response:
    user = session.user
    found = parts.masks.one(user, mask_id)
    if found is None:
        raise Problem(404, "No such mask", f"there is no mask '{mask_id}' that you may see: GET /api/v1/masks")
    if found["kind"] == "shelved":
        if not user.acts_on(parts.rules.classes().get(found["rule"], ""), found["site"]):
            parts.accounts.record(user.name, "unmask", mask_id, "refused: role", found["site"])
            raise Problem(403, "Not for this role", "who may acknowledge the alarm may unshelve it")
    else:
        _may_mask(parts, user, "unmask", mask_id, found["rule"], found["site"])
    ask(parts, user, "unmask", "", 0, {"mask": {"id": mask_id}}, mask_id, "The mask is not in force", found["site"])
    return Response(status_code=204)


def _may_mask(parts: Parts, user: User, action: str, subject: str, rule: str | None, site: str | None) -> None:
    """For a mask at a site; None: it covers all sites."""
    may_decide = rule is None or user.acts_on(parts.rules.classes().get(rule, ""), site)
    if user.may(Permission.MASK, site) and may_decide:
        return
    if site is None and user.may_somewhere(Permission.MASK):
        parts.accounts.record(user.name, action, subject, "refused: site")
        raise Problem(403, "Not for this user", "name a device, place or site of yours: it would cover all sites")
    parts.accounts.record(user.name, action, subject, "refused: role", site)
    raise Problem(403, "Not for this role", "engineers and administrators say what is in maintenance")
