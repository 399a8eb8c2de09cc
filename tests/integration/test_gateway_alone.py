"""The gateway installed by itself, as on a small box: its own requirements, nothing of the server."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.servers import ROOT

pytestmark = pytest.mark.integration


def test_a_gateway_runs_with_its_own_requirements_alone(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check"]
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "--no-build-isolation", "-w", wheels, ROOT]
    subprocess.run([str(part) for part in build], check=True)
    (wheel,) = wheels.iterdir()
    for arguments in (["--require-hashes", "-r", str(ROOT / "requirements/gateway.txt")], ["--no-deps", str(wheel)]):
        subprocess.run([str(python), "-m", "pip", "install", *quiet, *arguments], check=True)
    installed = subprocess.run([str(python), "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    for unwanted in ("numpy", "pyarrow", "duckdb", "fastapi", "sqlalchemy"):
        assert unwanted not in installed.lower()
    config = ROOT / "gatehouse" / "district" / "gateways" / "gw-compound-1.yaml"
    done = subprocess.run(
        [str(python), "-m", "gateway", "--config", str(config), "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 drivers" in done.stdout


def test_a_wheel_carries_the_screens_and_the_district(tmp_path: Path) -> None:
    if not (ROOT / "api" / "screens" / "index.html").exists():
        from tests.servers import missing

        missing("the built screens", "make screens")
    import zipfile

    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run([str(part) for part in build], check=True)
    (wheel,) = tmp_path.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "api/screens/index.html",
        "gatehouse/district/gatehouse.yaml",
        "gatehouse/migrations/versions/0001_first_schema.py",
        "firmware_sim/live.py",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("web/", "tests/", "bench/"))]
