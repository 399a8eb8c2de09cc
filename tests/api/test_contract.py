"""What is committed of the API's description, and of the types made from it, is what the app says today."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from api.columns import MEDIA, Format
from gatehouse.openapi import seal, text
from tests.api.described import COMMITTED
from tests.api.test_app import World, act

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

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


def test_a_whole_answer_has_a_tag_and_is_not_sent_again_while_nothing_changed(world: World) -> None:
    world.log_in()
    first = world.client.get("/api/v1/sites")
    same = world.client.get("/api/v1/sites", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    world.readings(("level-1/level", 0.4, 10))
    changed = world.client.get("/api/v1/sites", headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"] == first.headers["etag"]) == (200, False)


def test_a_decision_sent_again_with_its_key_is_the_same_decision(world: World) -> None:
    world.readings(("level-1/level", 1.5, 5))
    headers = world.log_in() | {"Idempotency-Key": "0123456789abcdef"}
    (item,) = world.client.get("/api/v1/alarms").json()["items"]
    first = act(world, headers, item["id"], "comment", seq=1, note="on my way").json()
    again = act(world, headers, item["id"], "comment", seq=1, note="on my way").json()
    assert (first["seq"], again["seq"]) == (2, 2)
    assert len(again["transitions"]) == 2
    other = act(world, headers, item["id"], "comment", seq=2, note="something else")
    assert (other.status_code, other.json()["title"]) == (422, "The key was used")
    without = act(world, {"X-CSRF-Token": headers["X-CSRF-Token"]}, item["id"], "comment", seq=1, note="on my way")
    assert without.json()["seq"] == 3  # without the key it is another one


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
@pytest.mark.parametrize("is_named", [True, False])
def test_readings_are_the_same_in_every_format(world: World, form: str, is_named: bool) -> None:
    world.readings(("level-1/level", 0.4, 100), ("level-1/level", 0.6, 5))
    world.log_in()
    now_ms = world.clock.now_ms()
    query: dict[str, Any] = {"device": "level-1", "metric": "level", "start": now_ms - 200_000, "end": now_ms}
    columns = world.client.get("/api/v1/readings", params=query).json()
    asked = query | {"format": form} if is_named else query
    accept = {} if is_named else {"Accept": f"text/html, application/json;q=0.5, {MEDIA[Format(form)]}"}
    answer = world.client.get("/api/v1/readings", params=asked, headers=accept)
    assert answer.headers["content-type"].startswith(MEDIA[Format(form)])
    sink = io.BytesIO(answer.content)
    table = {
        "csv": pa_csv.read_csv,
        "arrow": lambda data: pa.ipc.open_stream(data).read_all(),
        "parquet": pq.read_table,
    }[form](sink)
    assert table["value"].to_pylist() == columns["value"] == [0.4, 0.6]
    assert table["quality"].to_pylist() == columns["quality"]
    assert [round(each.timestamp() * 1000) for each in table["time"].to_pylist()] == columns["time_ms"]


def test_temperatures_of_people_that_are_taken_along_are_on_record(world: World) -> None:
    world.readings(("scanner/skin_temperature", 36.4, 5), ("level-1/level", 0.6, 5))
    world.log_in("guard")
    now_ms = world.clock.now_ms()
    for device, metric in (("scanner", "skin_temperature"), ("scanner", "ambient_temperature"), ("level-1", "level")):
        for form in ("json", "csv"):
            query: dict[str, Any] = {
                "device": device,
                "metric": metric,
                "start": now_ms - 9_000,
                "end": now_ms,
                "format": form,
            }
            assert world.client.get("/api/v1/readings", params=query).status_code == 200
    (row,) = (row for row in world.accounts.audit.rows() if row["action"] == "readings-export")
    assert (row["actor"], row["subject"], row["site"]) == (
        "guard", f"scanner skin_temperature {now_ms - 9_000}..{now_ms} csv", "east",
    )  # fmt: skip


def test_what_takes_no_format_that_there_is_is_told_which_there_are(world: World) -> None:
    world.log_in()
    query: dict[str, Any] = {"device": "level-1", "metric": "level", "start": 0, "end": 1}
    answer = world.client.get("/api/v1/readings", params=query, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["detail"]
