"""How an answer leaves: what it is in OpenAPI, its bytes, and its tag.

A route declares the shape of its answer (`response_model`), and OpenAPI has it from there. FastAPI would also send every
answer through that shape, row by row and field by field, which makes a long list several times as dear as reading it from the
database. Here what a route returns is written as JSON in one pass; that it is of the declared shape is checked in the tests,
of every answer (`tests/api/described.py`).

Each whole answer to a GET carries an ETag of its bytes; with it in If-None-Match comes 304 and no body while nothing changed.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import StreamingResponse

JSON = "application/json"


class Route(APIRoute):
    """A route whose answer is described by its response model and written by `as_json`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, _written(endpoint, more.get("status_code")), **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if "GET" not in (self.methods or ()):
            return handler

        async def tagged(request: Request) -> Response:
            return with_tag(request, await handler(request))

        return tagged


def as_json(content: Any, status: int = 200) -> Response:
    """An answer of plain data, columns or models. What is no number (NaN) is null."""
    return Response(encoded(content), status, media_type=JSON)


def encoded(content: Any) -> bytes:
    """JSON."""
    if isinstance(content, BaseModel):
        return content.model_dump_json(by_alias=True).encode()
    return msgspec.json.encode(content, enc_hook=_plain)


def with_tag(request: Request, response: Response) -> Response:
    """The same with an ETag, or 304 where the caller has it already. A stream has no end to take a tag of."""
    if response.status_code != 200 or isinstance(response, StreamingResponse):
        return response
    kind = response.headers.get("content-type", "").encode()
    tag = f'"{hashlib.blake2b(kind + bytes(response.body), digest_size=16).hexdigest()}"'
    if tag in _known(request):
        response = Response(status_code=304)
    response.headers["ETag"] = tag
    return response


def _known(request: Request) -> set[str]:
    """Tags that the caller has answers of; a proxy on the way may have made them weak."""
    told = request.headers.get("if-none-match", "")
    return {each.strip().removeprefix("W/") for each in told.split(",")}


def _written(endpoint: Callable[..., Any], status: int | None) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(endpoint) or hasattr(endpoint, "writes_json"):
        return endpoint

    @functools.wraps(endpoint)
    def written(*args: Any, **named: Any) -> Response:
        content = endpoint(*args, **named)
        if isinstance(content, Response):
            return content
        return Response(status_code=204) if status == 204 else as_json(content, status or 200)

    written.writes_json = True  # type: ignore[attr-defined]  # a router that takes in another makes its routes anew
    return written


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise NotImplementedError(f"no JSON of {type(value)}")
