"""What holds for every request before anybody looks into it, and for every answer that leaves."""

from __future__ import annotations

import json
import re

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

_BODY_MAX = 100_000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_TRANSPORT_SECURITY = {"Strict-Transport-Security": "max-age=31536000"}
_UNKEPT = {"Cache-Control": "no-store"}


class Guard:
    """Refuses what is too large or no text, and says to browsers what a page of ours may do.

    Plain ASGI: Starlette's own base for this runs each answer through a task and a queue, a third of what a short one costs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(_SECURITY_HEADERS)
        if scope["app"].state.parts.is_behind_https:
            headers |= _TRANSPORT_SECURITY
        if scope["path"].startswith("/api/"):
            headers |= _UNKEPT

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in headers.items():
                    given.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        answer = _refused(request)
        body = None
        if answer is None and "content-length" in request.headers:
            try:
                body = await request.body()
            except ClientDisconnect:
                return
            answer = _unless_text(request, body)
        await (answer or self._app)(scope, receive if body is None else _again(body, receive), sent)


def _again(body: bytes, receive: Receive) -> Receive:
    """As if the body had not been read yet."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received


def _refused(request: Request) -> Response | None:
    """Nobody waits for more than a body may hold."""
    if "transfer-encoding" in request.headers:
        return problems.answer(411, "Length required", "say how long the body is: send Content-Length")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _BODY_MAX:
        return problems.answer(413, "Too large", f"a request's body holds at most {_BODY_MAX} bytes")
    return _unless_text(request, b"")


def _unless_text(request: Request, body: bytes) -> Response | None:
    """All that is said must be text that can be stored: JSON can spell what is none."""
    if "\0" not in request.url.path and b"%00" not in request.scope["query_string"] and _is_text(body):
        return None
    return problems.answer(422, "The request does not fit", "a text holds characters alone: no NUL, no half of one")


def _is_text(body: bytes) -> bool:
    if b"\\u" not in body:
        return True
    try:
        said = json.dumps(json.loads(body), ensure_ascii=False)
        said.encode()
    except UnicodeEncodeError:
        return False
    except (ValueError, RecursionError):
        return True  # whoever reads it says what is wrong
    return _NUL.search(said) is None
