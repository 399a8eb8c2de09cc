"""A wish to the core, its answer, and the record of both; and what every wish must say."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header

from api.access import User
from api.alarms import NoAnswer, Refused
from api.parts import Parts
from api.problems import Problem
from telemetry.errors import BadInput

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9-]{16,64}$",
        description="chosen by the caller for this decision; sent again with it, it is the same decision",
    ),
]


def ask(
    parts: Parts,
    user: User,
    action: str,
    alarm: str,
    seq: int,
    details: dict[str, Any],
    subject: str = "",
    title: str = "The alarm is not as you saw it",
    site: str | None = None,
    key: str = "",
) -> str:
    """Let the core do it, and put on record what came of it. The command's id."""
    subject = subject or alarm
    try:
        made = parts.alarms.ask(user, action, alarm, seq, details, key)
    except BadInput as error:
        raise Problem(422, "The key was used", f"{error.detail}: take a new one for a new decision") from error
    except Refused as error:
        parts.accounts.record(user.name, action, subject, f"refused: {error}", site)
        since = parts.alarms.done_since(alarm, seq) if alarm else []
        raise Problem(409, title, f"{error}; look at it again", since=since) from error
    except NoAnswer as error:
        parts.accounts.record(user.name, action, subject, "waiting", site)
        told = "your decision is on record and follows when it is back"
        raise Problem(503, "The core does not answer", told) from error
    parts.accounts.record(user.name, action, subject, "done", site)
    return made


def must_say_why(reason: str) -> None:
    """Blanks are no reason."""
    if not reason.strip():
        raise Problem(422, "The request does not fit", "'reason' must say why")


def must_end_soon(parts: Parts, until_ms: int, longest_ms: int) -> None:
    """Nothing is put aside for good."""
    left_ms = until_ms - parts.clock.now_ms()
    if not 0 < left_ms <= longest_ms:
        told = f"'until' lies in the future, by {longest_ms // 3_600_000} h at most"
        raise Problem(422, "The request does not fit", told)


def at_cursor(cursor: str) -> tuple[int, str]:
    """(time, id) after which a page begins, as the page before said."""
    time_ms, _, name = cursor.partition(".")
    if not time_ms.isdecimal() or len(time_ms) > 16:
        raise Problem(422, "The request does not fit", "'cursor' is the 'next' of the page before")
    return int(time_ms), name
