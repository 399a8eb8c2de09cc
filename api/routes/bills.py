"""Bills of dormitories: a month's draft, its issue, and the issued one with the corrections of those before."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Acting, Looking
from api.answers import Route
from api.documents.document import Language
from api.documents.pdf import as_pdf
from api.documents.xlsx import as_xlsx
from api.dormitories.bill import Bill, make_bill
from api.dormitories.bills import AlreadyIssued, Issued, Overtaken
from api.dormitories.building import Building, rooms_of
from api.dormitories.measure import measure
from api.dormitories.printed import printed
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.routes.dormitories import building_of, must_decide, name_of, today

router = APIRouter(route_class=Route)

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Month = Annotated[str, Path(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", description="like 2026-11")]


class BillAnswer(BaseModel):
    """A month's bill: as it was issued, or as it stands now."""

    state: Literal["draft", "issued"]
    is_over: bool  # the month; before, nothing can be issued
    bill: Bill
    issued_ms: int | None
    issued_by: str | None
    is_intact: bool | None  # of an issued one: it is what was written


class Months(BaseModel):
    """Which months have their bill, newest first."""

    items: list[str]
    next: None = None


class IssueWanted(BaseModel):
    """Issue the bill as it was seen."""

    model_config = ConfigDict(extra="forbid")

    inputs_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    fen: int = Field(ge=-(2**53), lt=2**53, description="the sum that was seen, with corrections")


@router.get("/bills/{building}")
def months(session: Looking, parts: PartsOf, building: str) -> Months:
    building_of(parts, session.user, building)
    return Months(items=parts.bills.months(building))


@router.get("/bills/{building}/{month}")
def bill(session: Looking, parts: PartsOf, building: str, month: Month) -> BillAnswer:
    declared, site = building_of(parts, session.user, building)
    return bill_of(parts, declared, site, month)


@router.get(
    "/bills/{building}/{month}/document",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}, _XLSX: {}}, "description": "The bill as a file"}},
)
def document(
    session: Looking,
    parts: PartsOf,
    building: str,
    month: Month,
    form: Literal["pdf", "xlsx"] = "pdf",
    language: Language = "zh",
) -> Response:
    declared, site = building_of(parts, session.user, building)
    made = bill_of(parts, declared, site, month)
    names = {place: name_of(parts, place) for place in (building, *(room.room for room in made.bill.rooms))}
    issued = None
    if made.issued_ms is not None and made.issued_by is not None:
        zone = ZoneInfo(parts.catalogue.site[site].timezone)
        issued = (f"{datetime.fromtimestamp(made.issued_ms / 1000, zone):%Y-%m-%d %H:%M %Z}", made.issued_by)
    told = printed(made.bill, language, names, issued)
    content = as_pdf(told) if form == "pdf" else as_xlsx(told)
    headers = {"Content-Disposition": f'attachment; filename="bill-{building}-{month}.{form}"'}
    return Response(content, media_type="application/pdf" if form == "pdf" else _XLSX, headers=headers)


@router.post("/bills/{building}/{month}/issue", responses=told(409), status_code=201)
def issue(session: Acting, parts: PartsOf, building: str, month: Month, body: IssueWanted) -> BillAnswer:
    declared, site = building_of(parts, session.user, building)
    user, subject = session.user, f"{building} {month}"
    must_decide(parts, user, site, "bill-issue", subject)
    known = parts.bills.months(building)
    made = bill_of(parts, declared, site, month, is_fresh=True)
    if made.state == "issued":
        raise _refused(parts, user.name, site, subject, "the month has its bill", "an issued bill stays as it is")
    if not made.is_over:
        raise _refused(
            parts, user.name, site, subject, "the month is not over", "issue it when its last day has passed"
        )
    if (made.bill.inputs_hash, with_corrections(made.bill)) != (body.inputs_hash, body.fen):
        raise _refused(
            parts, user.name, site, subject, "the bill has changed", "readings came meanwhile; look at it again"
        )
    try:
        issued = parts.bills.issue(made.bill, user.name, parts.clock.now_ms(), known)
    except AlreadyIssued as error:
        told = "an issued bill stays as it is"
        raise _refused(parts, user.name, site, subject, "the month has its bill", told) from error
    except Overtaken as error:
        raise _refused(
            parts, user.name, site, subject, "another month was issued meanwhile", "look at it again"
        ) from error
    parts.accounts.record(user.name, "bill-issue", subject, "done", site)
    return _answer(issued)


def bill_of(parts: Parts, building: Building, site: str, month: str, *, is_fresh: bool = False) -> BillAnswer:
    """The issued bill of a month, or its draft: as of now, or as it was read a few minutes ago."""
    first = date.fromisoformat(f"{month}-01")
    this_month = today(parts, site).replace(day=1)
    if first > this_month:
        raise Problem(422, "The request does not fit", "'month' is this month or an earlier one, like 2026-11")
    issued = parts.bills.issued(building.place, first)
    if issued is not None:
        return _answer(issued)

    rooms = rooms_of(parts.catalogue, building.place)

    def anew(of: date) -> Bill:
        measured = measure(parts.remembered, parts.catalogue, parts.dormitories, building, of)
        return make_bill(building, of, rooms, measured)

    corrections = parts.bills.corrections(building.place, first, anew)
    history = parts.history if is_fresh else parts.remembered
    measured = measure(history, parts.catalogue, parts.dormitories, building, first)
    made = make_bill(building, first, rooms, measured, corrections)
    is_over = first < this_month
    return BillAnswer(state="draft", is_over=is_over, bill=made, issued_ms=None, issued_by=None, is_intact=None)


def with_corrections(bill: Bill) -> int:
    """What a bill asks for altogether."""
    return bill.fen + sum(line.fen for line in bill.corrections)


def _answer(issued: Issued) -> BillAnswer:
    return BillAnswer(
        state="issued",
        is_over=True,
        bill=issued.bill,
        issued_ms=issued.issued_ms,
        issued_by=issued.issued_by,
        is_intact=issued.is_intact,
    )


def _refused(parts: Parts, name: str, site: str, subject: str, why: str, then: str) -> Problem:
    parts.accounts.record(name, "bill-issue", subject, f"refused: {why}", site)
    return Problem(409, "The bill cannot be issued", f"{why}; {then}")
