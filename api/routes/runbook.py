"""What to do about an alarm about ourselves, step by step, where there is no internet to look it up."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response

from alerts.escalation import OURS
from api.access import Looking
from api.answers import Route
from api.problems import Problem

router = APIRouter(route_class=Route)
PAGES = Path(__file__).parent.parent / "runbook"


@router.get(
    "/runbook/{name}",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def runbook(session: Looking, name: str, language: Literal["en", "zh"] = "en") -> Response:
    if name not in OURS:
        raise Problem(404, "No such page", f"there are {', '.join(sorted(OURS))}")
    file = PAGES / ("zh" if language == "zh" else "") / f"{name}.md"
    return Response(file.read_text(encoding="utf-8"), media_type="text/plain; charset=utf-8")
