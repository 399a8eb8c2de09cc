"""Rules: in force, every version, changed and retired."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts.rulebook import OUTDATED
from alerts.rules import RULE
from api.access import ChangingRules, Looking, User
from api.alarms import NoAnswer, Refused
from api.answers import Route
from api.asking import must_say_why
from api.contract import RuleDocument
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.rules import as_seen, changes_as_seen
from telemetry.declaration import field_name

router = APIRouter(route_class=Route)

# The core tells all that is wrong in one line, "field: what; field: what"; what is told may hold a semicolon itself.
_NEXT_MISTAKE = re.compile(r"; (?=[a-z_][\w.\[\]]*: )")


class RuleWanted(BaseModel):
    """A whole rule, the version it is based on (0 for a new one), and why."""

    model_config = ConfigDict(extra="forbid")

    rule: dict[str, Any]
    version: int = Field(ge=0, lt=2**31)
    note: str = Field(min_length=1, max_length=2000)


class ChangedField(BaseModel):
    """A field that a version changed; null where it is not there."""

    field: str
    before: Any = Field(serialization_alias="from", validation_alias="from")
    after: Any = Field(serialization_alias="to", validation_alias="to")


class RuleVersion(BaseModel):
    """One version of a rule, by whom and why."""

    version: int
    actor: str | None
    time_ms: int
    note: str | None
    origin: str
    retired: bool
    changes: list[ChangedField]


class RuleVersions(BaseModel):
    """Newest first."""

    items: list[RuleVersion]
    next: str | None


class RuleList(BaseModel):
    """Rules in force: the fields depend on the type; `version` is what a change is based on."""

    items: list[dict[str, Any]]
    next: str | None


@router.get("/rules", response_model=RuleList)
def all_rules(session: Looking, parts: PartsOf) -> dict[str, Any]:
    # What they name of sites that the caller does not see is left out.
    seen = (as_seen(rule, parts.catalogue, session.user) for rule in parts.rules.in_force())
    return {"items": [rule for rule in seen if rule is not None], "next": None}


@router.get("/rules/{rule}/versions", response_model=RuleVersions)
def rule_versions(session: Looking, parts: PartsOf, rule: str) -> dict[str, Any]:
    found = parts.rules.versions(rule)
    now = next((each for each in parts.rules.in_force() if each["id"] == rule), None)
    is_elsewhere = now is not None and as_seen(now, parts.catalogue, session.user) is None
    if not found or is_elsewhere:
        raise Problem(404, "No such rule", f"there never was a rule '{rule}': GET /api/v1/rules")
    for version in found:
        version["changes"] = changes_as_seen(version["changes"], parts.catalogue, session.user)
    return {"items": found, "next": None}


@router.put("/rules/{rule}", responses=told(409), response_model=RuleDocument)
def put_rule(session: ChangingRules, parts: PartsOf, rule: str, body: RuleWanted) -> dict[str, Any]:
    wanted = str(body.rule.get("class", ""))
    _decides(parts, session.user, "put-rule", rule, (wanted, parts.rules.classes().get(rule, wanted)))
    must_say_why(body.note)
    _must_be_a_rule(body.rule)
    _change(parts, session.user, "put-rule", rule, body.version, body.note, body.rule)
    made = next((each for each in parts.rules.in_force() if each["id"] == rule), None)
    if made is None:
        raise Problem(
            409, "The rule is not as you saw it", "it was changed as you wanted, and retired since by another"
        )
    return made


@router.delete("/rules/{rule}", responses=told(409), status_code=204)
def retire_rule(
    session: ChangingRules,
    parts: PartsOf,
    rule: str,
    version: Annotated[int, Query(ge=1, lt=2**31)],
    note: Annotated[str, Query(min_length=1, max_length=2000)],
) -> Response:
    classes = parts.rules.classes()
    if rule not in classes:
        raise Problem(404, "No such rule", f"there is no rule '{rule}': GET /api/v1/rules")
    _decides(parts, session.user, "retire-rule", rule, (classes[rule],))
    must_say_why(note)
    _change(parts, session.user, "retire-rule", rule, version, note, None)
    return Response(status_code=204)


def _decides(parts: Parts, user: User, action: str, rule: str, classes: tuple[str, ...]) -> None:
    # Rules hold at all sites.
    if not all(user.acts_on(each, None) for each in classes):
        parts.accounts.record(user.name, action, rule, "refused: role")
        raise Problem(403, "Not for this user", "your role does not decide on alarms of this class")


def _must_be_a_rule(document: dict[str, Any]) -> None:
    """Say at which fields it is none, before the core is asked."""
    try:
        RULE.validate_python(document)
    except ValidationError as error:
        errors = []
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            # The first step is the type whose fields were looked at; without one, the type itself is wrong.
            name = field_name(tuple(found["loc"][1:])) or "type"
            errors.append({"field": name, "message": found["msg"].removeprefix("Value error, ")})
        detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors)
        raise Problem(422, "The rule does not fit", detail, errors=errors) from error


def _fields(told: str) -> list[dict[str, str]]:
    parts = (part.partition(": ") for part in _NEXT_MISTAKE.split(told))
    return [{"field": field, "message": message} for field, _, message in parts if message]


def _change(
    parts: Parts, user: User, action: str, rule: str, version: int, note: str, document: dict[str, Any] | None
) -> None:
    details = {"rule_id": rule, "note": note, "document": document}
    try:
        parts.alarms.ask(user, "change-rule", "", version, details)
    except Refused as error:
        parts.accounts.record(user.name, action, rule, f"refused: {error}")
        if str(error).startswith(OUTDATED):
            raise Problem(409, "The rule is not as you saw it", f"{error}; look at it again") from error
        raise Problem(422, "The rule does not fit", str(error), errors=_fields(str(error))) from error
    except NoAnswer as error:
        parts.accounts.record(user.name, action, rule, "waiting")
        raise Problem(503, "The core does not answer", "your change is on record and follows") from error
    parts.accounts.record(user.name, action, rule, "done")
