"""Requests made by schemathesis from the description of the API, sent as each role: nothing breaks or answers otherwise.

The client's hook (`described.py`) holds status, media type and body against the description. Names in addresses are those of
the district as often as not, so that a request reaches more than "no such thing". `make fuzz-api` makes more of them.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation

from tests.api.described import COMMITTED
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

EXAMPLES = int(os.environ.get("GATEHOUSE_FUZZ", "2"))
_BUSY = 503  # the core is asked for what only a running one answers, or no provider of log-ins is set up
_LEFT_OUT = {
    "live-live_events",  # never ends
    "session-log_out",
    "session-log_in",
    "session-change_guard",
    "session-become_wall",
    "session-change_password",
    "second_factor-confirm",
    "users-end_sessions_of",
}
"""What ends or changes the session that asks, or hashes passwords until it is told to wait."""
_KNOWN = {
    "device": "level-1",
    "building": "dorm",
    "gate": "gate-1",
    "place": "mh-1",
    "rule": "drain-level",
    "name": "viewer",
    "action": "comment",
    "month": "2026-10",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    operation: str
    method: str
    template: str
    parameters: dict[str, Any]
    query: dict[str, Any]
    body: Any
    is_wrong: bool  # the body is none that is described


def _plain(values: Any) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | int | float) else json.dumps(value)
        for name, value in (values or {}).items()
        if value is not None
    }


def _sent(body: Any) -> bytes | None:
    """As it goes over the wire: also what is no JSON, or JSON only in part."""
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def _cases() -> Iterator[Asked]:
    whole = json.loads(COMMITTED.read_text(encoding="utf-8"))
    found: Any
    for found in schemathesis.openapi.from_dict(whole).get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        if name in _LEFT_OUT:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            taken: list[Any] = []

            few = settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            drawn: Any = given(operation.as_strategy(generation_mode=mode))
            make: Any = seed(1)(few(drawn(_into(taken))))
            try:
                make()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, name  # of what takes any text there is nothing wrong to be made
            yield from (_asked(name, case) for case in taken)


def _into(taken: list[Any]) -> Callable[[Any], None]:
    def take(case: Any) -> None:
        taken.append(case)

    return take


def _asked(name: str, case: Any) -> Asked:
    of_body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    is_wrong = of_body is not None and of_body.mode is GenerationMode.NEGATIVE
    body = None if isinstance(case.body, NotSet) else case.body
    return Asked(name, case.method, case.path, dict(case.path_parameters or {}), _plain(case.query), body, is_wrong)


@pytest.fixture(scope="module")
def cases() -> list[Asked]:
    return list(_cases())


@pytest.mark.parametrize("role", ["admin", "guard", "manager", "viewer", "engineer", "registrar"])
def test_no_request_breaks_anything_or_is_answered_otherwise_than_described(
    world: World, cases: list[Asked], role: str
) -> None:
    world.readings(("level-1/level", 1.5, 5), ("scanner/skin_temperature", 39.5, 4))
    headers = world.log_in(role) | {"Content-Type": "application/json"}
    seen = [alarm["id"] for alarm in world.client.get("/api/v1/alarms").json()["items"]]
    known = _KNOWN | {"alarm": seen[0] if seen else "none-at-their-site"}
    assert len({case.operation for case in cases}) > 90
    stop = threading.Event()

    def core() -> None:
        while not stop.wait(0.01):
            world.work()

    thread = threading.Thread(target=core)
    thread.start()
    try:
        for number, case in enumerate(cases):
            names = case.parameters if number % 2 else case.parameters | known
            path = case.template
            for name, value in names.items():
                path = path.replace(f"{{{name}}}", quote(str(value), safe="") or "x")
            answer = world.client.request(
                case.method, path, params=case.query, headers=headers, content=_sent(case.body), follow_redirects=False
            )
            assert answer.status_code < 500 or answer.status_code == _BUSY, (case, answer.text)
            is_taken = case.is_wrong and answer.is_success
            assert not is_taken, ("a body that is none was taken", case, answer.text)
    finally:
        stop.set()
        thread.join()
