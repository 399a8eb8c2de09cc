"""What the pages of docs/api show is run, word for word, against a core and an API."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import servers
from tests.integration.running import EAST, PASSWORD, running

pytestmark = pytest.mark.integration
PAGES = Path(__file__).parent.parent.parent / "docs" / "api"
SAID = {
    "pages": ('"next"', "open"),
    "readings": ("39.4", "39.4"),
    "stream": ("event: health", "open"),
    "errors": ("No such device", "404 No such device"),
}
"""What the shell's and the program's output hold."""


def test_the_examples_of_every_page_do_what_they_show(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as port, running(tmp_path, port) as run:
        now_ms = time.time_ns() // 1_000_000
        for key in ("one", "two"):
            row = {"device": "scanner", "metric": "skin_temperature", "value": 39.4, "key": key}
            run.publish(f"{EAST}/readings", {"readings": [row]})
        servers.wait_until(lambda: len(run.alarms()) > 1, what="alarms")
        wanted = {"name": "probe", "scopes": ["look"], "expires_ms": now_ms + 3_600_000, "password": PASSWORD}
        made = run.http.post("/api/v1/tokens", json=wanted)
        asked = {
            **os.environ,
            "GATEHOUSE": str(run.http.base_url).rstrip("/"),
            "GATEHOUSE_TOKEN": made.json()["token"],
            "DEVICE": "scanner",
            "METRIC": "skin_temperature",
            "START_MS": str(now_ms - 60_000),
            "END_MS": str(now_ms + 600_000),
        }
        query = {"device": "scanner", "metric": "skin_temperature", "start": asked["START_MS"], "end": asked["END_MS"]}
        servers.wait_until(
            lambda: len(run.http.get("/api/v1/readings", params=query).json()["value"]) > 1, what="history"
        )
        for page, (of_shell, of_program) in SAID.items():
            text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
            (shell,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
            (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
            for command, expected in ((["sh", "-ec", shell], of_shell), ([sys.executable, "-c", program], of_program)):
                done = subprocess.run(command, env=asked, check=True, capture_output=True, text=True, timeout=60)
                assert expected in done.stdout, (page, command[0], done.stdout, done.stderr)
