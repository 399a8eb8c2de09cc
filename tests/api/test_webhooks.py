"""What a webhook channel really posts is what the catalogue (OpenAPI `webhooks`, docs/api/webhooks.md) says."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import sqlalchemy as sa

import alerts.notify.channels as channels
from alerts.notify.channels import WebhookChannel, WebhookSettings
from alerts.notify.heartbeat import Heartbeat, HeartbeatSettings
from alerts.notify.upkeep import _digest
from alerts.store import Notice, notices
from tests.api.described import COMMITTED, Described
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

PAGE = COMMITTED.parent / "webhooks.md"


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    class _Taken:
        is_success = True

    def post(_client: Any, _url: str, said: Any, _headers: Any = None) -> Any:
        found.append(json.loads(json.dumps(said)))
        return _Taken()

    monkeypatch.setattr(channels, "post", post)
    return found


def _channel() -> WebhookChannel:
    return WebhookChannel(WebhookSettings.model_validate({"url": "https://pager.example/hook"}))


def _check(name: str, message: Any) -> None:
    document = Described(json.loads(COMMITTED.read_text(encoding="utf-8"))).document
    schema = document["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.Draft202012Validator({"components": document["components"], **schema})
    assert not [str(error) for error in validator.iter_errors(message)]


def _rows(world: World) -> list[dict[str, Any]]:
    world.readings(("level-1/level", 1.5, 5))
    with world.database.connect() as db:
        rows = [dict(row) for row in db.execute(sa.select(notices)).mappings()]
    assert rows
    return rows


def _notice(row: dict[str, Any]) -> Notice:
    names = ("id", "key", "attempts", "created_ms", "body", "recipient", "title", "text", "sort")
    return Notice(**{name: row[name] for name in names if row[name] is not None})


def test_a_step_of_an_alarm_is_as_the_catalogue_says(world: World, posted: list[Any]) -> None:
    for row in _rows(world):
        _channel().deliver(_notice(row))
    assert {each["what"] for each in posted} == {"raised"}
    for each in posted:
        _check("alarm", each)
    with pytest.raises(AssertionError):
        _check("alarm", posted[0] | {"more": 1})


def test_a_digest_is_as_the_catalogue_says(world: World, posted: list[Any]) -> None:
    row = _rows(world)[0] | {"language": "en", "fallback": "", "recipient": "li"}
    _channel().deliver(_notice(row | _digest([row], 1)))
    assert posted[0]["what"] == "digest"
    _check("digest", posted[0])


def test_a_heartbeat_is_as_the_catalogue_says(world: World, posted: list[Any]) -> None:
    settings = HeartbeatSettings(device="level-1", metric="level")
    Heartbeat("pager", _channel(), settings, lambda: world.clock.now_ms() - 900, lambda: 0, world.clock).step()
    _check("heartbeat", posted[0])


def test_the_examples_of_the_page_fit_the_catalogue_and_none_is_missing() -> None:
    text = Path(PAGE).read_text(encoding="utf-8")
    shown = re.findall(r"^## `([\w-]+)`.*?```json\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in shown] == list(json.loads(COMMITTED.read_text(encoding="utf-8"))["webhooks"])
    for name, example in shown:
        _check(name, json.loads(example))
