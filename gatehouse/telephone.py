"""The demo's telephone: takes what people are told, as a gateway to SMS would, and keeps a line of each in a file."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BODY_MAX = 1_000_000
_KEPT = ("recipient", "title", "text", "what", "key")


class Telephone:
    """Listens on the loopback from the moment it is made.

    Args:
        messages: Where each message becomes a line of JSON: recipient, title, text, what, key.
    """

    def __init__(self, messages: Path) -> None:
        self._messages = messages
        self._lock = threading.Lock()
        telephone = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                try:
                    said = json.loads(self.rfile.read(size)) if 0 < size <= _BODY_MAX else None
                except ValueError:
                    said = None
                if isinstance(said, dict):
                    telephone._keep(said)
                self.send_response(204 if isinstance(said, dict) else 400)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """What was said stands in the file."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/messages"
        threading.Thread(target=self._server.serve_forever, name="telephone", daemon=True).start()

    def _keep(self, said: dict[str, object]) -> None:
        line = json.dumps({name: said.get(name) for name in _KEPT}, ensure_ascii=False)
        with self._lock, self._messages.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def hang_up(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
