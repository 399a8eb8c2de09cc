"""That CI cannot pass by skipping."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SKIPPED = """
import pytest
@pytest.mark.integration
@pytest.mark.skipif(True, reason="by a mark")
def test_a(): pass
@pytest.mark.integration
def test_b(): pytest.skip("by itself")
def test_c(): pytest.skip("needs no server")
"""


@pytest.mark.parametrize(
    ("allowed", "status", "failed"), [(True, 0, "3 skipped"), (False, 1, "1 failed, 1 skipped, 1 error")]
)
def test_a_skipped_integration_test_is_a_failure_where_skipping_is_not_allowed(
    tmp_path: Path, allowed: bool, status: int, failed: str
) -> None:
    file = tmp_path / "test_skipped.py"
    file.write_text(SKIPPED)
    environment = {k: v for k, v in os.environ.items() if k != "GATEHOUSE_NO_SKIP"}
    if not allowed:
        environment["GATEHOUSE_NO_SKIP"] = "1"
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", str(file)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, failed in done.stdout) == (status, True), done.stdout
