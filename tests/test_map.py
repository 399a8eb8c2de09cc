"""Keeps the map true: who may import whom, and that our package names are ours."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "telemetry": ROOT / "telemetry",
    "gateway": ROOT / "gateway",
    "ingest": ROOT / "ingest",
    "ingest.history": ROOT / "ingest" / "history",
    "alerts": ROOT / "alerts",
    "api": ROOT / "api",
    "firmware_sim": ROOT / "firmware-sim" / "firmware_sim",
    "gatehouse": ROOT / "gatehouse",
}
TOP = {name.split(".")[0] for name in PACKAGES}


def allowed() -> dict[str, set[str]]:
    """The table of ARCHITECTURE.md: `package` | may import."""
    table = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"\| `([a-z_.]+)` \| (.*) \|", line)
        if match and match[1] in PACKAGES:
            table[match[1]] = set(re.findall(r"`([a-z_.]+)`", match[2]))
    return table


def imports(file: Path) -> set[str]:
    """Our own modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative imports hide where a thing comes from"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name for name in names if name.split(".")[0] in TOP}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_map_allows(package: str) -> None:
    table = allowed()
    assert set(table) == set(PACKAGES), "ARCHITECTURE.md must have a row for every package"
    permitted = {*table[package], package, "ingest" if package == "ingest.history" else package}
    for file in PACKAGES[package].rglob("*.py"):
        if package == "ingest" and PACKAGES["ingest.history"] in file.parents:
            continue
        for name in imports(file):
            assert any(name == p or name.startswith(f"{p}.") for p in permitted), f"{file} imports {name}"


def test_the_package_names_resolve_inside_this_project(tmp_path: Path) -> None:
    script = "import importlib, sys; print(*(importlib.import_module(n).__file__ for n in sys.argv[1:]), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script, *sorted(TOP)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for file in done.stdout.split():
        assert Path(file).is_relative_to(ROOT), file


def test_gateways_and_the_ground_floor_they_use_need_no_numpy() -> None:
    modules = [
        "gateway.__main__",
        "gatehouse.__main__",
        *(f"telemetry.{n}" for n in ("frames", "journal", "reading", "catalogue")),
    ]
    script = (
        "import sys\n"
        "for name in ('numpy', 'pyarrow', 'duckdb', 'fastapi', 'sqlalchemy', 'influxdb_client', 'prometheus_client'):\n"
        "    sys.modules[name] = None\n"
        f"import {', '.join(modules)}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_oracles_import_nothing_of_the_product() -> None:
    for file in (ROOT / "tests" / "oracles").glob("*.py"):
        assert not imports(file), file


def test_the_folders_that_the_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_./-]+/)`", text):
        assert (ROOT / name).is_dir(), f"ARCHITECTURE.md names {name}"
