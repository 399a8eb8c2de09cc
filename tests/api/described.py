"""Every answer that a test gets is held against what OpenAPI says of it: status, media type, and each field of the body.

No field may be there that is not described: a client whose types were generated would not know of it.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs

COMMITTED = Path(__file__).parent.parent.parent / "docs" / "api" / "openapi.json"
"""The document as it is committed, which `tests/api/test_contract.py` holds to be the app's: it takes seconds to make."""
_JSON = ("application/json", "application/problem+json")


def checker() -> Callable[[Any], None]:
    """A hook for a client's answers; it raises AssertionError where one is not as the app describes it."""
    if not _KEPT:
        _KEPT.append(Described(json.loads(COMMITTED.read_text(encoding="utf-8"))))
    described = _KEPT[0]

    def check(answer: Any) -> None:
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            return
        described.check(answer.request.method, answer.request.url.path, answer.status_code, kind, answer.read())

    return check


class Described:
    """The document, closed: a field that is not described is a fault."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = copy.deepcopy(document)
        for shape in self.document["components"]["schemas"].values():
            if "properties" in shape:
                shape.setdefault("additionalProperties", False)
        # Where addresses overlap the one with fewer parameters is meant, as in the app.
        paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        self._paths = [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]
        self._validators: dict[tuple[str, ...], Any] = {}

    def check(self, method: str, path: str, status: int, kind: str, body: bytes) -> None:
        """Nothing is said of what is no operation: it has no description."""
        template = next((each for pattern, each in self._paths if pattern.fullmatch(path)), None)
        operation = self.document["paths"].get(template, {}).get(method.lower())
        if template is None or operation is None:
            return
        where = f"{method} {template} {status}"
        described = operation["responses"].get(str(status))
        assert described is not None, f"{where}: no such status is described: {body[:300]!r}"
        if "$ref" in described:
            described = self.document["components"]["responses"][described["$ref"].rpartition("/")[2]]
        content = described.get("content", {})
        media = kind.partition(";")[0]
        assert media in content or not body, f"{where}: {media} is not described"
        if media in _JSON and body:
            validator = self._validator((template, method.lower(), str(status), media), content[media]["schema"])
            for error in validator.iter_errors(json.loads(body)):
                raise AssertionError(f"{where}: {error}")

    def _validator(self, key: tuple[str, ...], schema: dict[str, Any]) -> Any:
        if key not in self._validators:
            whole = {"components": self.document["components"], **schema}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[key]


_KEPT: list[Described] = []
