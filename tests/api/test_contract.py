"""What is committed of the API's description, and of the types made from it, is what the app says today."""

import json
from pathlib import Path
from typing import Any

import pytest

from gatehouse.openapi import seal, text
from tests.api.described import COMMITTED

SCHEMA = COMMITTED.parent.parent.parent / "web" / "src" / "api" / "schema.ts"


@pytest.fixture(scope="module")
def document() -> str:
    return text()


def test_the_committed_description_is_the_apps(document: str) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == document, "run `make types`"


def test_the_types_of_the_screens_were_generated_from_it(document: str) -> None:
    *generated, last = SCHEMA.read_text(encoding="utf-8").splitlines(keepends=True)
    assert seal(document, "".join(generated)) == last, "run `make types`"


def _operations(document: str) -> list[tuple[str, dict[str, Any]]]:
    paths = json.loads(document)["paths"]
    return [(f"{method} {path}", each) for path, item in paths.items() for method, each in item.items()]


def test_every_operation_says_what_it_answers(document: str) -> None:
    for where, operation in _operations(document):
        good = [answer for status, answer in operation["responses"].items() if status[0] in "23"]
        assert good, where
        for answer in good:
            for media, content in answer.get("content", {}).items():
                assert media != "application/json" or content["schema"], where


def test_names_of_operations_and_shapes_are_short_and_there_once(document: str) -> None:
    names = [operation["operationId"] for _, operation in _operations(document)]
    assert len(names) == len(set(names))
    assert not [name for name in json.loads(document)["components"]["schemas"] if "__" in name or "-" in name]


def test_the_screens_have_no_types_of_their_own_for_what_is_described() -> None:
    written = Path(SCHEMA.parent, "contract.ts").read_text(encoding="utf-8")
    assert written.count("interface ") <= 2
