"""`python -m deploy.bundle [--sign KEY]` makes the bundle below dist/; docs/install.md says what is in it.

It is for the Python and the sort of machine that it is made on. Made again from the same commit it is the same byte for byte,
but for the signature.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.bundle.install import SIGNATURE, SUMS, Release, make_environment
from deploy.licences import ROOT, of_screens, of_wheels, table
from gatehouse.migrate import newest_schema

HERE = Path(__file__).parent
DIST = ROOT / "dist"
# Of the demonstration's, what any district starts from: its kinds of devices, and the rules about those.
_CATALOGUE = ("kinds.yaml",)
_RULES = ("dormitory.yaml", "drains.yaml", "gates.yaml", "system.yaml")


def make_bundle(key: str | None) -> Path:
    """The bundle's file; signed with the key of that name, or not at all."""
    made_at = _made_at()
    os.environ["SOURCE_DATE_EPOCH"] = str(made_at)
    release = Release(
        _version(), newest_schema(), f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine()
    )
    folder = DIST / f"gatehouse-{release.version}"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("wheels", "requirements", "config/catalogue", "config/rules", "sbom"):
        (folder / name).mkdir(parents=True)
    fields = {
        "version": release.version,
        "schema": release.schema,
        "python": release.python,
        "machine": release.machine,
    }
    (folder / "release.json").write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
    _put_wheels(folder)
    _put_files(folder)
    environment = DIST / "environment"
    shutil.rmtree(environment, ignore_errors=True)
    make_environment(folder, environment, "server")
    _put_boms(folder, environment, made_at)
    _put_licences(folder)
    sums = [f"{_digest(path)}  {path.relative_to(folder)}\n" for path in sorted(folder.rglob("*")) if path.is_file()]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    if key is not None:
        signing = ["gpg", "--batch", "--yes", "--armor", "--local-user", key, "--output", str(folder / SIGNATURE)]
        _run(*signing, "--detach-sign", folder / SUMS)
    target = DIST / f"{folder.name}-py{release.python}-{release.machine}.tar.gz"
    _pack(folder, target, made_at)
    return target


def make_wheel(folder: Path) -> Path:
    """Our own wheel. It depends on nothing but the sources and the screens: not on the time, the place or who makes it."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run(*pip, "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("gatehouse-*.whl")
    return wheel


def _put_wheels(folder: Path) -> None:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    for name in ("server", "pip"):
        lock = ROOT / "requirements" / f"{name}.txt"
        _run(*download, "--no-deps", "--only-binary", ":all:", "--dest", folder / "wheels", "--requirement", lock)
    wheel = make_wheel(folder / "wheels")
    for name in ("server", "gateway"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        ours = f"gatehouse=={_version()} --hash=sha256:{_digest(wheel)}\n"
        (folder / "requirements" / f"{name}.txt").write_text(text + ours, encoding="utf-8")


def _put_files(folder: Path) -> None:
    shutil.copy(HERE / "install.py", folder)
    shutil.copy(ROOT / "docs/install.md", folder)
    shutil.copy(ROOT / "LICENSE", folder)
    shutil.copytree(HERE / "units", folder / "units")
    for name in ("gatehouse.yaml", "gateway.yaml"):
        shutil.copy(HERE / "config" / name, folder / "config")
    district = ROOT / "gatehouse/district"
    for part, names in (("catalogue", _CATALOGUE), ("rules", _RULES)):
        for name in names:
            shutil.copy(district / part / name, folder / "config" / part)


def _put_boms(folder: Path, environment: Path, made_at: int) -> None:
    """What is in it, for machines (CycloneDX): of Python as it installs from here, of the screens as they were built."""
    python = folder / "sbom/python.cdx.json"
    maker = [
        str(ROOT / ".release/bin/cyclonedx-py"),
        "environment",
        "--output-reproducible",
        "--mc-type",
        "application",
    ]
    _run(*maker, "--pyproject", ROOT / "pyproject.toml", "--output-file", python, environment / "bin/python")
    command = ["npm", "sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--omit", "dev"]
    said = subprocess.run(
        [*command, "--package-lock-only"], cwd=ROOT / "web", check=True, capture_output=True, text=True
    )
    screens: dict[str, Any] = json.loads(said.stdout)
    # A number drawn by chance and the time of day: the rest is the same whenever it is made.
    del screens["serialNumber"]
    screens["metadata"]["timestamp"] = datetime.fromtimestamp(made_at, UTC).isoformat()
    (folder / "sbom/screens.cdx.json").write_text(json.dumps(screens, indent=2) + "\n", encoding="utf-8")


def _put_licences(folder: Path) -> None:
    metadata = []
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as opened:
            (name,) = (
                name for name in opened.namelist() if name.count("/") == 1 and name.endswith("dist-info/METADATA")
            )
            metadata.append(opened.read(name).decode())
    shipped = [*of_wheels(metadata), *of_screens()]
    for one in shipped:
        if not one.is_allowed:
            raise SystemExit(f"{one.name} {one.version}: {one.licence} is not among those that may be shipped")
    (folder / "licences.md").write_text(table(shipped), encoding="utf-8")


def _pack(folder: Path, target: Path, made_at: int) -> None:
    """Sorted, with one owner, one time and plain rights, so that the same content is the same file."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = made_at
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    # Wheels are compressed already.
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=made_at) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted([folder, *folder.rglob("*")]):
            tar.add(path, path.relative_to(folder.parent), recursive=False, filter=plain)


def _made_at() -> int:
    """The time of the commit [s]: everything that is made of it bears that time."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said is None:
        command = ["git", "log", "-1", "--format=%ct"]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return int(said)


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the offline bundle.")
    parser.add_argument("--sign", help="a secret key of gpg's, by its name; without one the bundle is not signed")
    name = parser.parse_args().sign
    made = make_bundle(name)
    signed = "not signed: say SIGN=KEY" if name is None else f"signed with {name}"
    print(f"{made}: {made.stat().st_size / 1e6:.0f} MB, {signed}")  # noqa: T201
