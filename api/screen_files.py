"""The built screens over HTTP, compressed for whoever takes that: a first visit is mostly script, which shrinks to a third.

Each file is compressed once, when it is first asked for, and kept: there are about a hundred, which do not change while the
process runs. They hold no secret beside anything that a stranger could choose, so that their size tells nothing.

A file whose name has its contents' hash in it is kept for good. Of any other a browser asks whether it has changed: without a
word about it a page that was never changed for a year would be taken for good for another month, after an update too.
"""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Scope

_SHRINKS = frozenset({".js", ".css", ".html", ".svg", ".json", ".md"})
_BYTES_MIN = 1_000  # less fits into one packet anyway
_HASHED = "assets"  # the folder whose files have a hash in their names
_FOR_GOOD, _ASKED_FOR = "public, max-age=31536000, immutable", "no-cache"
_KEPT_HEADERS = ("etag", "last-modified", "vary", "cache-control")


class ScreenFiles(StaticFiles):
    """Files of a folder, plain or as gzip."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True)
        self._kept: dict[tuple[str, float], bytes] = {}
        self._lock = threading.Lock()

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        plain = super().file_response(full_path, stat_result, scope, status_code)
        plain.headers["cache-control"] = _FOR_GOOD if Path(full_path).parent.name == _HASHED else _ASKED_FOR
        if Path(full_path).suffix not in _SHRINKS or stat_result.st_size < _BYTES_MIN:
            return plain
        plain.headers["vary"] = "Accept-Encoding"
        asked = Headers(scope=scope)
        # A 304 has no body, and a range counts bytes of the plain file.
        if not isinstance(plain, FileResponse) or "range" in asked or not _takes_gzip(asked):
            return plain
        told = {name: plain.headers[name] for name in _KEPT_HEADERS if name in plain.headers}
        told["etag"] = f"W/{told['etag']}"  # the same file in other bytes
        told["content-encoding"] = "gzip"
        body = self._compressed(str(full_path), stat_result.st_mtime)
        return Response(body, status_code, told, plain.media_type)

    def _compressed(self, path: str, changed_s: float) -> bytes:
        with self._lock:
            found = self._kept.get((path, changed_s))
            if found is None:
                found = self._kept[path, changed_s] = gzip.compress(Path(path).read_bytes(), 9, mtime=0)
            return found


def _takes_gzip(asked: Headers) -> bool:
    for offer in asked.get("accept-encoding", "").split(","):
        name, _, more = offer.strip().partition(";")
        if name.strip() == "gzip":
            return more.replace(" ", "") not in ("q=0", "q=0.0")
    return False
