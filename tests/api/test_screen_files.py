"""The screens leave compressed for whoever takes that, and are the same files for everybody."""

import gzip
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import SCREENS
from api.screen_files import ScreenFiles

SCRIPT = b"export const words = 'the same words again';\n" * 200


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "index.html").write_text("<p>short")
    (tmp_path / "a.js").write_bytes(SCRIPT)
    (tmp_path / "a.png").write_bytes(b"p" * 5_000)
    app = FastAPI()
    app.mount("/", ScreenFiles(tmp_path))
    return TestClient(app)


@pytest.mark.parametrize(
    ("file", "takes", "is_compressed"),
    [
        ("a.js", "gzip, deflate, br", True),
        ("a.js", "br;q=1.0, gzip;q=0.5", True),
        ("a.js", "gzip;q=0", False),
        ("a.js", "", False),
        ("a.png", "gzip", False),
        ("", "gzip", False),  # too small to gain anything
    ],
)
def test_what_shrinks_is_compressed_for_whoever_takes_it(
    client: TestClient, tmp_path: Path, file: str, takes: str, is_compressed: bool
) -> None:
    for _ in range(2):
        answer = client.get(f"/{file}", headers={"accept-encoding": takes})
        assert ("content-encoding" in answer.headers) is is_compressed
        assert answer.content == (tmp_path / (file or "index.html")).read_bytes()
    if file == "a.js":
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert (int(answer.headers["content-length"]) < len(SCRIPT) / 10) is is_compressed


def test_what_is_known_already_is_not_sent_again_and_a_range_is_of_the_plain_file(client: TestClient) -> None:
    first = client.get("/a.js", headers={"accept-encoding": "gzip"})
    again = client.get("/a.js", headers={"accept-encoding": "gzip", "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = client.get("/a.js", headers={"accept-encoding": "gzip", "range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, SCRIPT[:10])


def test_a_file_that_was_changed_is_compressed_anew(client: TestClient, tmp_path: Path) -> None:
    client.get("/a.js", headers={"accept-encoding": "gzip"})
    (tmp_path / "a.js").write_bytes(SCRIPT.upper())
    assert client.get("/a.js", headers={"accept-encoding": "gzip"}).content == SCRIPT.upper()


def test_the_script_that_the_page_itself_names_is_small() -> None:
    """350 kB compressed is what a first screen may need; what it names is loaded before anything else."""
    if not (SCREENS / "index.html").exists():
        pytest.skip("the screens are not built: make screens")
    page = (SCREENS / "index.html").read_text(encoding="utf-8")
    named = [each for each in (SCREENS / "assets").glob("*.js") if each.name in page]
    assert named
    assert sum(len(gzip.compress(each.read_bytes(), 9)) for each in named) <= 350_000


@pytest.mark.parametrize("takes", ["gzip", ""])
def test_a_browser_asks_for_the_page_each_time_and_for_a_file_of_a_hash_never_again(
    client: TestClient, tmp_path: Path, takes: str
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a-1f2e3d.js").write_bytes(SCRIPT)
    headers = {"accept-encoding": takes}
    page, script, hashed = (client.get(path, headers=headers) for path in ("/", "/a.js", "/assets/a-1f2e3d.js"))
    assert [each.headers["cache-control"] for each in (page, script)] == ["no-cache", "no-cache"]
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = client.get("/", headers=headers | {"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
