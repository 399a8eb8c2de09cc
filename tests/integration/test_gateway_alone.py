"""The wheel, and the gateway installed from it by itself, as on a small box: its own requirements, nothing of the server."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.servers import ROOT, missing

pytestmark = pytest.mark.integration


def make_wheel(folder: Path, **environment: str) -> Path:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run([str(part) for part in build], check=True, env={**os.environ, **environment})
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("wheel"))


def test_a_gateway_runs_with_its_own_requirements_alone(tmp_path: Path, wheel: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check"]
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


def test_a_wheel_carries_the_screens_and_the_district(wheel: Path) -> None:
    if not (ROOT / "api" / "screens" / "index.html").exists():
        missing("the built screens", "make screens")
    names = zipfile.ZipFile(wheel).namelist()
    migrations = (ROOT / "gatehouse/migrations/versions").glob("*.py")
    for wanted in (
        "api/screens/index.html",
        "api/screens/licenses.md",
        "gatehouse/district/gatehouse.yaml",
        "firmware_sim/live.py",
        *(str(file.relative_to(ROOT)) for file in migrations),
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("web/", "tests/", "bench/", "deploy/"))]


def test_a_wheel_made_again_is_the_same_file(tmp_path: Path, wheel: Path) -> None:
    again = make_wheel(tmp_path, TZ="Asia/Shanghai", PYTHONHASHSEED="1")
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())
