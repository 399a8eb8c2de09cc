"""What docs/api/tokens.md shows is run, word for word, against a core and an API."""

import json
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
PAGE = Path(__file__).parent.parent.parent / "docs" / "api" / "tokens.md"


def test_the_examples_of_the_page_make_a_token_and_read_alarms_with_it(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (shell,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with servers.mosquitto(tmp_path) as port, running(tmp_path, port) as run:
        now_ms = time.time_ns() // 1_000_000
        row = {"device": "scanner", "metric": "skin_temperature", "value": 39.4, "key": "one"}
        run.publish(f"{EAST}/readings", {"readings": [row]})
        servers.wait_until(lambda: bool(run.alarms()), what="an alarm")
        cookies = tmp_path / "cookies"
        token = run.http.cookies["gatehouse_session"]
        cookies.write_text(f"127.0.0.1\tFALSE\t/\tFALSE\t0\tgatehouse_session\t{token}\n")
        asked = {
            **os.environ,
            "COOKIES": str(cookies),
            "CSRF": run.http.headers["X-CSRF-Token"],
            "END_MS": str(now_ms + 3_600_000),
            "PASSWORD": PASSWORD,
            "GATEHOUSE": str(run.http.base_url).rstrip("/"),
        }
        answer = subprocess.run(["sh", "-ec", shell], env=asked, check=True, capture_output=True, text=True)
        asked["GATEHOUSE_TOKEN"] = json.loads(answer.stdout)["token"]
        said = subprocess.run([sys.executable, "-c", program], env=asked, check=True, capture_output=True, text=True)
        assert run.alarms()[0]["id"] in said.stdout
