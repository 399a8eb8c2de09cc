"""The description of the API for machines, OpenAPI 3.1: what FastAPI knows of the routes, and what holds for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from api.access import COOKIE, AtTablet, Needs
from api.contract import ProblemDetails
from api.problems import MEANING, MEDIA_TYPE
from api.webhooks import hooks, stream

_ABOUT = """Gatehouse watches the compounds of a district. Times are epoch milliseconds, UTC; values are in the metric's unit.

A machine comes with a token (`Authorization: Bearer gh_…`), a browser with the cookie of its log-in and, for whatever changes
something, the `csrf` of that log-in as `X-CSRF-Token`. Lists come in pages: `next` is the `cursor` of the page after, null on
the last. Answers to GET carry an ETag. Errors are problem details (RFC 9457) that say what to do. docs/api has the guides.
"""
_CHANGES = {"post", "put", "patch", "delete"}
_CSRF = {
    "name": "X-CSRF-Token",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "the 'csrf' of the log-in; not needed with a token",
}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "the ETag of an earlier answer",
}
_TAG = {"ETag": {"schema": {"type": "string"}, "description": "changes with the answer"}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes, webhooks=hooks.routes
    )
    parts = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    undeclared: dict[str, type[BaseModel]] = {"ProblemDetails": ProblemDetails, **stream}
    for name, model in undeclared.items():
        shape = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        parts["schemas"] |= {**shape.pop("$defs", {}), name: shape}
    for hook in document["webhooks"].values():
        hook["post"]["responses"].pop("422", None)
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "docs/api/tokens.md"},
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    }
    parts["parameters"] = {"Csrf": _CSRF, "Known": _KNOWN}
    parts["responses"] = {
        f"Problem{status}": {
            "description": meaning,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status, meaning in MEANING.items()
    }
    for method, path, rules in _operations(app):
        if path in document["paths"] and method in document["paths"][path]:
            _complete(document["paths"][path][method], method, path, rules)
    return _renamed(document)


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """Shapes of one name in two modules are told apart by the module's last name, not by its whole one."""
    text, names = json.dumps(document), document["components"]["schemas"]
    for name in names:
        module, _, last = name.rpartition("__")
        last = last.removesuffix("-Input") + ("Asked" if last.endswith("-Input") else "")
        short = "".join(part.title() for part in module.rpartition("__")[2].split("_")) + last
        if short != name:
            assert short not in names, short
            text = text.replace(f'"{name}": {{', f'"{short}": {{').replace(f'schemas/{name}"', f'schemas/{short}"')
    made: dict[str, Any] = json.loads(text)
    return made


def _operations(app: FastAPI) -> Iterator[tuple[str, str, list[Any]]]:
    for found in iter_route_contexts(app.routes):
        if isinstance(found.original_route, APIRoute):
            rules = [each.call for each in found.dependant.dependencies if isinstance(each.call, Needs | AtTablet)]
            for method in found.methods or ():
                yield method.lower(), str(found.path), rules


def _complete(operation: dict[str, Any], method: str, path: str, rules: list[Any]) -> None:
    """Who may call it, what it answers when it does not do what was asked, and how it is asked again."""
    answers, parameters = operation["responses"], operation.setdefault("parameters", [])
    statuses = {int(status) for status in answers if int(status) >= 400} | {422, 503}
    if "{" in path:
        statuses.add(404)
    if method in _CHANGES:
        statuses |= {411, 413}
        parameters += [{"$ref": "#/components/parameters/Csrf"}] if rules else []
    elif "200" in answers:
        parameters.append({"$ref": "#/components/parameters/Known"})
        answers["200"]["headers"] = _TAG
        answers["304"] = {"description": "Nothing has changed since the answer with that ETag"}
    for rule in rules:
        statuses.add(401)
        if isinstance(rule, Needs):
            statuses.add(403)
            by_token: list[dict[str, list[str]]] = [] if rule.in_person else [{"token": [rule.permission.value]}]
            operation["security"] = [*by_token, {"session": []}]
    for status in sorted(statuses):
        described = answers.get(str(status), {}).get("content", {})
        if MEDIA_TYPE not in described and "application/json" in described and status == 503 and not rules:
            continue  # readiness tells in its own shape
        answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = dict(sorted(answers.items()))
    if not parameters:
        del operation["parameters"]
