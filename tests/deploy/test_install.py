"""The installer in a root of its own, with a bundle whose pip installs nothing; `make bundle-test` tries the real ones."""

import ast
import grp
import hashlib
import json
import os
import platform
import pwd
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import deploy.bundle.install
from deploy.bundle.install import SUMS, Machine, Places, Refused, Release, back, install
from gatehouse.pki import Authority
from telemetry.clock import SystemClock

HERE = Release("0.1.0", "s1", f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine())
NEXT = replace(HERE, version="0.2.0", schema="s2")
UNITS = Path(__file__).parents[2] / "deploy/bundle/units"
# Stands for pip: it makes the command, which makes the folder of a backup and otherwise does nothing.
PIP = """
import pathlib, sys
gatehouse = pathlib.Path(sys.prefix) / "bin" / "gatehouse"
gatehouse.write_text('#!/bin/sh\\n[ "$1" != backup ] || mkdir "$2"\\n')
gatehouse.chmod(0o755)
"""


class Recorder(Machine):
    """A machine on which both services of the server run, and where nothing happens but what our commands do."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.did: list[str] = []
        self.refuses = ""

    def make_user(self, home: Path) -> None:
        pass

    def give(self, folder: Path, user: str, group: str, mode: int) -> None:
        folder.chmod(mode)

    def run_as_user(self, *command: str | Path) -> None:
        program, what = Path(command[0]), str(command[1])
        self.did.append(f"{program.parent.resolve().parent.name}: {' '.join(str(c) for c in command[1:3])}")
        if what == self.refuses:
            raise Refused(what)
        if what == "backup":
            Path(command[2]).mkdir()

    def systemctl(self, *arguments: str) -> None:
        current = self._places.current
        self.did.append(f"{' '.join(arguments)} ({current.readlink() if current.exists() else 'none'})")

    def is_active(self, unit: str) -> bool:
        return unit != "gatehouse-gateway" and self._places.current.exists()

    def answers(self, places: Places, unit: str) -> bool:
        return True


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "root")


def make(folder: Path, release: Release = HERE) -> Path:
    """A bundle."""
    bundle = folder / f"gatehouse-{release.version}"
    for name in ("wheels", "requirements", "config/catalogue", "config/rules"):
        (bundle / name).mkdir(parents=True)
    fields = {name: getattr(release, name) for name in ("version", "schema", "python", "machine")}
    (bundle / "release.json").write_text(json.dumps(fields))
    with zipfile.ZipFile(bundle / "wheels/pip-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", PIP)
    for name in ("requirements/server.txt", "requirements/gateway.txt", "config/gatehouse.yaml", "config/gateway.yaml"):
        (bundle / name).write_text(f"{name} of {release.version}")
    for name in ("install.py", "install.md"):
        (bundle / name).write_text("")
    shutil.copytree(UNITS, bundle / "units")
    seal(bundle)
    return bundle


def seal(bundle: Path) -> None:
    files = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(bundle)}\n" for path in files]
    (bundle / SUMS).write_text("".join(lines))


def test_a_first_installation_enables_and_starts_nothing_and_keeps_what_the_site_has(
    tmp_path: Path, places: Places
) -> None:
    places.settings.mkdir(parents=True)
    (places.settings / "gatehouse.yaml").write_text("the site's own")
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    assert places.current.readlink() == Path("0.1.0")
    assert (places.settings / "gatehouse.yaml").read_text() == "the site's own"
    assert (places.settings / "rules").is_dir()
    assert sorted(unit.name for unit in places.units.iterdir()) == ["gatehouse-api.service", "gatehouse-core.service"]
    assert machine.did == ["daemon-reload (0.1.0)"]


def test_an_upgrade_checks_with_the_new_version_backs_up_with_the_old_and_switches_what_has_stopped(
    tmp_path: Path, places: Places
) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    machine.did.clear()
    install(make(tmp_path, NEXT), places, machine, "server")
    (backup,) = (places.state / "backups").iterdir()
    assert (backup / "settings/gatehouse.yaml").exists()
    assert machine.did == [
        "0.2.0: check --config",
        f"0.1.0: backup {backup / 'district'}",
        "stop gatehouse-api (0.1.0)",
        "stop gatehouse-core (0.1.0)",
        "daemon-reload (0.2.0)",
        "start gatehouse-core (0.2.0)",
        "start gatehouse-api (0.2.0)",
    ]
    machine.did.clear()
    back(places, machine)
    assert [line for line in machine.did if "backup" not in line] == [
        "stop gatehouse-api (0.2.0)",
        "stop gatehouse-core (0.2.0)",
        "0.2.0: migrate --to",
        "daemon-reload (0.1.0)",
        "start gatehouse-core (0.1.0)",
        "start gatehouse-api (0.1.0)",
    ]
    assert machine.did[0].startswith("0.2.0: backup")
    with pytest.raises(Refused, match="no version before"):
        back(places, machine)


@pytest.mark.parametrize("what", ["check", "backup"])
def test_an_upgrade_that_cannot_be_well_stops_nothing(tmp_path: Path, places: Places, what: str) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    machine.did.clear()
    machine.refuses = what
    with pytest.raises(Refused):
        install(make(tmp_path, NEXT), places, machine, "server")
    assert places.current.readlink() == Path("0.1.0")
    assert not [line for line in machine.did if line.startswith("stop")]


def test_services_run_again_when_a_version_could_not_be_switched(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    install(make(tmp_path, NEXT), places, machine, "server")
    machine.did.clear()
    machine.refuses = "migrate"
    with pytest.raises(Refused):
        back(places, machine)
    assert places.current.readlink() == Path("0.2.0")
    assert machine.did[-2:] == ["start gatehouse-core (0.2.0)", "start gatehouse-api (0.2.0)"]


def test_a_version_that_is_neither_current_nor_previous_is_removed(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    for release in (HERE, NEXT, replace(NEXT, version="0.3.0")):
        install(make(tmp_path, release), places, machine, "server")
    assert sorted(path.name for path in places.versions.iterdir()) == ["0.2.0", "0.3.0", "current", "previous"]


def test_an_old_version_that_cannot_be_deleted_is_said_and_does_not_fail_the_upgrade(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Recorder(places)
    for release in (HERE, NEXT):
        install(make(tmp_path, release), places, machine, "server")
    bundle = make(tmp_path, replace(NEXT, version="0.3.0"))
    delete = shutil.rmtree

    def refused(folder: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise FileNotFoundError(2, "it is gone", str(folder))
        delete(folder, ignore_errors=True)

    monkeypatch.setattr(shutil, "rmtree", refused)
    install(bundle, places, machine, "server")
    said = capsys.readouterr()
    assert f"{places.versions / '0.1.0'}: not deleted: [Errno 2] it is gone" in said.out + said.err
    assert "upgraded from 0.2.0 to 0.3.0" in said.out + said.err


def test_a_machine_with_both_roles_is_upgraded_in_both(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    bundle = make(tmp_path)
    install(bundle, places, machine, "gateway")
    assert (places.current / "complete").read_text() == "gateway"
    install(bundle, places, machine, "server")
    assert (places.current / "complete").read_text() == "server"
    machine.did.clear()
    install(make(tmp_path, NEXT), places, machine, "gateway")
    assert {"0.2.0: check --config", "0.2.0: -m gateway"} <= set(machine.did)
    assert (places.versions / "0.2.0/complete").read_text() == "server"


def test_the_newest_backups_are_kept(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    older = places.state / "backups" / "20200101T000000Z-before-0.1.0"
    oldest = places.state / "backups" / "20190101T000000Z-before-0.0.9"
    for folder in (older, oldest):
        folder.mkdir(parents=True)
    install(make(tmp_path, NEXT), places, machine, "server")
    assert older.exists() and not oldest.exists()


def test_the_key_that_can_make_anybody_is_in_no_backup(
    tmp_path: Path, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    pki = places.settings / "pki"
    Authority(pki, SystemClock()).create("east")
    (pki / "gw-east.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (places.settings / "mail").mkdir()
    (places.settings / "mail/ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    install(make(tmp_path, NEXT), places, machine, "server")
    (backup,) = (places.state / "backups").iterdir()
    kept = {str(file.relative_to(backup / "settings")) for file in backup.rglob("*") if file.is_file()}
    assert "pki/ca.pem" not in kept
    assert {"pki/ca.crt", "pki/crl.pem", "pki/gw-east.pem", "mail/ca.pem", "gatehouse.yaml"} <= kept
    assert "without pki/ca.pem" in capsys.readouterr().out
    assert (pki / "ca.pem").exists()


def test_a_link_of_the_services_user_gives_it_no_other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc, link, me = tmp_path / "etc", tmp_path / "backups", pwd.getpwuid(os.geteuid()).pw_name
    etc.mkdir(mode=0o755)
    link.symlink_to(etc)
    group = grp.getgrgid(os.getegid()).gr_name
    monkeypatch.setattr(os, "geteuid", lambda: link.lstat().st_uid + 1)
    with pytest.raises(Refused, match="backups"):
        Machine().give(link, me, group, 0o700)
    assert etc.stat().st_mode & 0o777 == 0o755
    monkeypatch.undo()
    Machine().give(link, me, group, 0o700)  # of whoever installs: the site has another disk for it
    assert etc.stat().st_mode & 0o777 == 0o700


def test_a_backup_that_failed_is_gone_and_drives_out_none_that_is_whole(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    whole = places.state / "backups" / "20200101T000000Z-before-0.1.0"
    whole.mkdir(parents=True)
    bundle, machine.refuses = make(tmp_path, NEXT), "backup"
    with pytest.raises(Refused):
        install(bundle, places, machine, "server")
    assert [backup.name for backup in (places.state / "backups").iterdir()] == [whole.name]
    machine.refuses = ""
    install(bundle, places, machine, "server")
    assert whole.exists()


def test_an_upgrade_removes_no_backup_that_it_did_not_make(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    install(make(tmp_path), places, machine, "server")
    backups = places.state / "backups"
    nightly = [backups / f"2026010{day}" for day in range(1, 5)]
    for folder in nightly:
        folder.mkdir(parents=True)
    (backups / "0-register.key").touch()
    install(make(tmp_path, NEXT), places, machine, "server")
    assert all(folder.exists() for folder in nightly) and (backups / "0-register.key").exists()


def spoil(bundle: Path) -> None:
    (bundle / "config/gatehouse.yaml").write_text("other")


def add(bundle: Path) -> None:
    (bundle / "wheels/more.whl").write_text("more")


def lose(bundle: Path) -> None:
    (bundle / "install.md").unlink()


def other_python(bundle: Path) -> None:
    (bundle / "release.json").write_text(
        json.dumps({"version": "0.1.0", "schema": "s", "python": "2.7", "machine": "vax"})
    )
    seal(bundle)


def unsigned(bundle: Path) -> None:
    """Where the maker's key is known, a bundle without a signature is nobody's."""
    settings = Places(bundle.parent / "root").settings
    settings.mkdir(parents=True)
    (settings / "release.gpg").write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (spoil, "is not what SHA256SUMS says"),
        (add, "more.whl is not in SHA256SUMS"),
        (lose, "install.md is missing, but in SHA256SUMS"),
        (other_python, "for Python 2.7 on vax"),
        (unsigned, "SHA256SUMS.asc|neither gpgv nor sqv"),
    ],
)
def test_a_bundle_that_is_not_what_it_should_be_changes_nothing(
    tmp_path: Path, places: Places, change: Any, why: str
) -> None:
    bundle = make(tmp_path)
    change(bundle)
    with pytest.raises(Refused, match=why):
        install(bundle, places, Recorder(places), "server")
    assert not places.versions.exists()


def test_the_installer_needs_nothing_but_python() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(Path(deploy.bundle.install.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= set(sys.stdlib_module_names)


def test_an_older_bundle_is_refused(tmp_path: Path, places: Places) -> None:
    machine = Recorder(places)
    install(make(tmp_path, NEXT), places, machine, "server")
    with pytest.raises(Refused, match=r"newer than 0\.1\.0"):
        install(make(tmp_path), places, machine, "server")


@pytest.mark.parametrize(
    ("listens", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.0.0.1", "10.0.0.1")]
)
def test_a_service_is_asked_where_it_listens(
    places: Places, monkeypatch: pytest.MonkeyPatch, listens: str, asked: str
) -> None:
    python = places.current / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "{listens} 8099"\n')
    python.chmod(0o755)
    urls: list[str] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: urls.append(url))
    assert Machine().answers(places, "gatehouse-api")
    assert urls == [f"http://{asked}:8099/health/live"]


def test_a_service_whose_settings_cannot_be_read_does_not_answer(places: Places) -> None:
    python = places.current / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert not Machine().answers(places, "gatehouse-api")


def test_commands_see_the_settings_that_stand_in_the_services_environment_alone(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of another place would be backed up, and taken back, otherwise."""
    monkeypatch.setenv("GATEHOUSE__DATABASE__URL", "")  # put back afterwards
    monkeypatch.setenv("PATH", os.environ["PATH"])
    seen: list[tuple[str, str]] = []

    class Watching(Recorder):
        def run_as_user(self, *command: str | Path) -> None:
            super().run_as_user(*command)
            seen.append((str(command[1]), os.environ["GATEHOUSE__DATABASE__URL"]))

    machine = Watching(places)
    install(make(tmp_path), places, machine, "server")
    (places.settings / "environment").write_text("# ours\nPATH=/none\nGATEHOUSE__DATABASE__URL='postgresql://db/g'\n")
    install(make(tmp_path, NEXT), places, machine, "server")
    os.environ["GATEHOUSE__DATABASE__URL"] = ""
    back(places, machine)
    assert [what for what, _ in seen] == ["check", "backup", "backup", "migrate"]
    assert {url for _, url in seen} == {"postgresql://db/g"}
    assert os.environ["PATH"] != "/none"
