"""The part of HTTP/1.1 that pushing devices need, without I/O: a request's head in, a response out. The rest is refused."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from telemetry.errors import BadInput

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class RequestError(BadInput):
    """What is wrong with a request as HTTP. Nothing after it on the connection can be trusted: close it."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(f"http-{status.value}", detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and the headers that matter."""

    method: str
    path: str
    query: Mapping[str, str]  # of a field that stands twice, the last
    content_type: str
    content_length: int
    keeps_alive: bool
    expects_continue: bool


def parse_head(data: bytes, body_max_bytes: int) -> Head:
    """Read a head, through its empty line. Raises RequestError."""
    try:
        lines = data.decode("ascii").split("\r\n")
    except UnicodeDecodeError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the head is not ASCII") from error
    request = lines[0].split(" ")
    if len(request) != 3 or not _TOKEN.fullmatch(request[0]) or not request[1].startswith("/"):
        raise RequestError(HTTPStatus.BAD_REQUEST, "not a request line: METHOD /path HTTP/1.1")
    method, target, version = request
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this listener speaks HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise RequestError(HTTPStatus.BAD_REQUEST, "a header line is not 'Name: value'")
        key = name.lower()
        if key in ("content-length", "transfer-encoding") and key in headers:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} stands twice")
        headers[key] = value.strip(" \t")
    if "transfer-encoding" in headers:
        raise RequestError(HTTPStatus.LENGTH_REQUIRED, "send Content-Length instead of Transfer-Encoding")
    length = headers.get("content-length")
    if length is None and method in ("POST", "PUT", "PATCH"):
        raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
    if length is not None and not re.fullmatch(r"[0-9]{1,15}", length):
        raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    content_length = int(length or 0)
    if content_length > body_max_bytes:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{content_length} bytes; at most {body_max_bytes} are taken: switch pictures off in the scanner",
        )
    connection = headers.get("connection", "").lower()
    path, _, query = target.partition("?")
    return Head(
        method,
        path,
        _fields(query),
        headers.get("content-type", ""),
        content_length,
        keeps_alive=connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive"),
        expects_continue=headers.get("expect", "").lower() == "100-continue",
    )


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()  # more of them


def problem(status: HTTPStatus, detail: str) -> Response:
    """A refusal that says what to do (RFC 9457)."""
    body = msgspec.json.encode({"title": status.phrase, "status": status.value, "detail": detail})
    return Response(status, "application/problem+json", body)


def encode_response(response: Response, keeps_alive: bool) -> bytes:
    """A response as it goes over the wire."""
    status = response.status
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nConnection: {'keep-alive' if keeps_alive else 'close'}\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        head += "Retry-After: 10\r\n"
    return head.encode("ascii") + b"\r\n" + response.body


def _fields(query: str) -> Mapping[str, str]:
    try:
        return dict(urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the query has more than 50 fields") from error
