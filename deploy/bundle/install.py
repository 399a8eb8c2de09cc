"""Installs Gatehouse from an unpacked bundle, upgrades it, and goes back by one version. No network, nothing but Python.

    python3 install.py server      # core and API; the same with a newer bundle upgrades
    python3 install.py gateway     # on the box of a compound
    python3 install.py back        # to the version before

Each version has a folder of its own, /opt/gatehouse/VERSION; `current` and `previous` are links to two of them. What belongs
to the site, /etc/gatehouse and /var/lib/gatehouse, is no version's. A version is switched with the services stopped, after a
backup; gateways and the broker keep what is measured meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

USER = "gatehouse"
ROLES = {"server": ("gatehouse-core", "gatehouse-api"), "gateway": ("gatehouse-gateway",)}
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.asc"
_BACKUPS_KEPT = 2
_OWN_BACKUP = re.compile(r"\d{8}T\d{6}Z-(before|back-to)-.*")
_PATIENCE_S = 120.0


class Refused(Exception):
    """It is not done, and nothing was changed beyond what has been said; the text says why and what to do."""


@dataclass(frozen=True)
class Release:
    """What a bundle, or an installed version, is."""

    version: str
    schema: str  # of the database
    python: str  # "3.11": compiled parts fit one version of Python and one sort of machine
    machine: str

    @classmethod
    def of(cls, folder: Path) -> Release:
        try:
            return cls(**json.loads((folder / "release.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise Refused(f"{folder} is no release of Gatehouse: {error}") from error

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))


@dataclass(frozen=True)
class Places:
    """Where everything goes; another root than / for tests."""

    root: Path = Path("/")

    @property
    def versions(self) -> Path:
        return self.root / "opt/gatehouse"

    @property
    def current(self) -> Path:
        return self.versions / "current"

    @property
    def previous(self) -> Path:
        return self.versions / "previous"

    @property
    def settings(self) -> Path:
        return self.root / "etc/gatehouse"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/gatehouse"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def key(self) -> Path:
        """Of whoever signs the bundles."""
        return self.settings / "release.gpg"

    @property
    def command(self) -> Path:
        return self.root / "usr/local/bin/gatehouse"


class Machine:
    """What is done to the machine itself."""

    @property
    def has_systemd(self) -> bool:
        return Path("/run/systemd/system").is_dir()

    def make_user(self, home: Path) -> None:
        """The user that everything runs as, and the owner of its folder."""
        try:
            pwd.getpwnam(USER)
        except KeyError:
            run("useradd", "--system", "--user-group", "--home-dir", str(home), "--shell", "/usr/sbin/nologin", USER)

    def give(self, folder: Path, user: str, group: str, mode: int) -> None:
        """Raises Refused where it is a link that the services' user can have made: it would be given what that points to."""
        is_ours = folder.is_symlink() and folder.lstat().st_uid == os.geteuid()
        try:
            there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | (0 if is_ours else os.O_NOFOLLOW))
        except OSError as error:
            raise Refused(f"{folder} is no folder, or a link that is not root's: {error}") from error
        try:
            shutil.chown(there, user, group)
            os.fchmod(there, mode)
        finally:
            os.close(there)

    def run_as_user(self, *command: str | Path) -> None:
        run("runuser", "-u", USER, "--", *command)

    def systemctl(self, *arguments: str) -> None:
        if self.has_systemd:
            run("systemctl", *arguments)

    def is_active(self, unit: str) -> bool:
        return (
            self.has_systemd and not subprocess.run(["systemctl", "--quiet", "is-active", unit], check=False).returncode
        )

    def answers(self, places: Places, unit: str) -> bool:
        """Whether a server's process says that it lives; a gateway answers nobody."""
        part = {"gatehouse-core": "metrics", "gatehouse-api": "api"}.get(unit)
        if part is None:
            return True
        ask = (
            "import sys, pathlib; from gatehouse.settings import load_settings; "
            f"s = load_settings(pathlib.Path(sys.argv[1])).{part}; print(s.host, s.port)"
        )
        command = [str(places.current / "bin/python"), "-c", ask, str(places.settings / "gatehouse.yaml")]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            return False
        host, port = asked.stdout.split()
        if port == "0":
            return True
        try:
            urllib.request.urlopen(f"http://{_reached(host)}:{port}/health/live", timeout=3)
        except OSError:
            return False
        return True


def _reached(host: str) -> str:
    """Where somebody answers who listens at `host`, as it stands in a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def take_environment(places: Places) -> None:
    """Let the commands that we run see the settings that stand in the services' environment alone, as those do."""
    file = places.settings / "environment"
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        name, is_one, value = line.strip().partition("=")
        if is_one and name.startswith(("GATEHOUSE__", "GATEWAY__")):
            os.environ[name] = value.strip().strip("\"'")


def run(*command: str | Path) -> None:
    """Raises Refused with what the command said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}".rstrip())


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def install(bundle: Path, places: Places, machine: Machine, role: str) -> None:
    """Install this bundle's version for a role, or upgrade to it. Raises Refused."""
    release = Release.of(bundle)
    check_bundle(bundle, release, places)
    take_environment(places)
    before = Release.of(places.current) if places.current.exists() else None
    if before is not None and release.number < before.number:
        raise Refused(f"{before.version} is installed, which is newer than {release.version}: see 'install.py back'")
    roles = sorted({role} | {name for name, units in ROLES.items() if _unit(places, units[0]).exists()})
    make_environment(bundle, places.versions / release.version, "server" if "server" in roles else "gateway")
    say(f"{places.versions / release.version}: installed")
    machine.make_user(places.state)
    _make_site(bundle, places, machine, role)
    if before is not None and before != release:
        _upgrade(places, machine, before, release, roles)
        return
    _link(places.current, release.version)
    _put_units(places, machine, roles)
    say(f"{places.current} -> {release.version}; next: /opt/gatehouse/current/install.md, “The first start”")


def back(places: Places, machine: Machine) -> None:
    """To the version before, with every reading, alarm and setting that it knows. Raises Refused."""
    if not places.previous.exists():
        raise Refused("there is no version before this one here")
    take_environment(places)
    now, older = Release.of(places.current), Release.of(places.previous)
    roles = [name for name, units in ROLES.items() if _unit(places, units[0]).exists()]
    _back_up(places, machine, roles, f"back-to-{older.version}")
    with _stopped(places, machine, roles):
        if "server" in roles:
            # The version that made a schema is the one that can take it back.
            machine.run_as_user(*_gatehouse(places, "migrate", "--to", older.schema))
        _link(places.current, older.version)
        places.previous.unlink()
        _put_units(places, machine, roles)
    say(f"back from {now.version} to {older.version}")


def check_bundle(bundle: Path, release: Release, places: Places) -> None:
    """Whether it is whole, by whom, and for this machine. Raises Refused."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine()
    if here != (release.python, release.machine):
        raise Refused(
            f"this bundle is for Python {release.python} on {release.machine}; here is Python {here[0]} on {here[1]}"
        )
    if places.key.exists():
        # Debian 12 has gpgv in every installation, Debian 13 sqv: apt itself needs it.
        verify = shutil.which("gpgv") or shutil.which("sqv")
        if verify is None:
            raise Refused("neither gpgv nor sqv is here, with which the signature is looked at")
        run(verify, "--keyring", places.key, bundle / SIGNATURE, bundle / SUMS)
        say("signature: good")
    else:
        say(f"signature: not looked at, for {places.key} is missing; see “Whose bundle it is” in install.md")
    listed = {}
    for line in (bundle / SUMS).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        listed[name] = digest
    there = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} - {SUMS, SIGNATURE}
    for name in sorted(there ^ set(listed)):
        raise Refused(f"{bundle / name} is {'not in' if name in there else 'missing, but in'} {SUMS}")
    for name, digest in listed.items():
        with (bundle / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Refused(f"{bundle / name} is not what {SUMS} says: copy the bundle anew")


def make_environment(bundle: Path, target: Path, requirements: str) -> None:
    """The version's folder: an environment with what `requirements` names, each wheel with the hash that stands there."""
    complete = target / "complete"
    if complete.exists() and complete.read_text() in (requirements, "server"):
        return
    if not complete.exists():  # what was broken off is begun anew; a gateway's grows into a server's as it runs
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        run(sys.executable, "-m", "venv", "--without-pip", target)
    (pip,) = (bundle / "wheels").glob("pip-*.whl")
    offline = ["--isolated", "--no-index", "--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore"]
    wheels = ["--require-hashes", "--no-deps", "--find-links", str(bundle / "wheels")]
    wanted = bundle / "requirements" / f"{requirements}.txt"
    run(target / "bin/python", pip / "pip", "install", *offline, *wheels, "--requirement", wanted)
    for name in ("install.py", "install.md", "release.json", "units"):
        source = bundle / name
        shutil.copytree(source, target / name, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
    complete.write_text(requirements)


def _make_site(bundle: Path, places: Places, machine: Machine, role: str) -> None:
    """The site's own folders; what stands there is never touched."""
    places.settings.mkdir(parents=True, exist_ok=True)
    places.state.mkdir(parents=True, exist_ok=True)
    examples = {"server": ("gatehouse.yaml", "catalogue", "rules"), "gateway": ("gateway.yaml",)}
    for name in examples[role]:
        source, target = bundle / "config" / name, places.settings / name
        if not target.exists():
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            say(f"{target}: written, to be made the site's own")
    machine.give(places.settings, "root", USER, 0o750)
    machine.give(places.state, USER, USER, 0o750)
    places.command.parent.mkdir(parents=True, exist_ok=True)
    _link(places.command, "/opt/gatehouse/current/bin/gatehouse")


def _upgrade(places: Places, machine: Machine, before: Release, release: Release, roles: Sequence[str]) -> None:
    newer = places.versions / release.version / "bin"
    if "server" in roles:
        machine.run_as_user(newer / "gatehouse", "check", "--config", places.settings / "gatehouse.yaml")
    if "gateway" in roles:
        gateway = places.settings / "gateway.yaml"
        machine.run_as_user(newer / "python", "-m", "gateway", "--config", gateway, "--check")
    _back_up(places, machine, roles, f"before-{release.version}")
    with _stopped(places, machine, roles):
        _link(places.previous, before.version)
        _link(places.current, release.version)
        _put_units(places, machine, roles)
    for folder in places.versions.iterdir():
        if not folder.is_symlink() and folder.name not in (before.version, release.version):
            _remove(folder)
    say(f"upgraded from {before.version} to {release.version}")


def _back_up(places: Places, machine: Machine, roles: Sequence[str], name: str) -> None:
    """The district and its settings as they stand, by the version that runs; the newest few are kept."""
    backups = places.state / "backups"
    backups.mkdir(exist_ok=True)
    machine.give(backups, USER, USER, 0o700)
    made = backups / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    made.mkdir()
    machine.give(made, USER, USER, 0o700)
    try:
        if "server" in roles:
            machine.run_as_user(*_gatehouse(places, "backup", made / "district"))
        keys = _authority_keys(places.settings)
        shutil.copytree(
            places.settings,
            made / "settings",
            symlinks=True,
            ignore=lambda folder, names: [name for name in names if Path(folder, name) in keys],
        )
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)  # it would count as one of the newest
        raise
    left = "".join(f", without {key.relative_to(places.settings)}: keep that off this machine" for key in keys)
    say(f"{made}: backup made{left}")
    # What else stands there, nightly backups for instance, is the site's.
    for old in sorted(there for there in backups.iterdir() if _OWN_BACKUP.fullmatch(there.name))[:-_BACKUPS_KEPT]:
        _remove(old)


def _remove(folder: Path) -> None:
    """Delete what is not needed any more; where that fails all else has been done, and the next upgrade tries again."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        say(f"{folder}: not deleted: {error}")


def _authority_keys(settings: Path) -> list[Path]:
    """The files that can make anybody a certificate. A `ca.pem` without a key is another's, and a setting like any other."""
    return [file for file in sorted(settings.rglob("ca.pem")) if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]


def _gatehouse(places: Places, *arguments: str | Path) -> list[str | Path]:
    return [places.current / "bin/gatehouse", *arguments, "--config", places.settings / "gatehouse.yaml"]


@contextlib.contextmanager
def _stopped(places: Places, machine: Machine, roles: Sequence[str]) -> Iterator[None]:
    """With our services stopped. Those that ran run again afterwards, whatever happened meanwhile, as the current version."""
    active = [unit for role in roles for unit in ROLES[role] if machine.is_active(unit)]
    try:
        for unit in reversed(active):
            machine.systemctl("stop", unit)
        yield
    finally:
        for unit in active:
            machine.systemctl("start", unit)
    until = time.monotonic() + _PATIENCE_S
    for unit in active:
        while not (machine.is_active(unit) and machine.answers(places, unit)):
            if time.monotonic() > until:
                raise Refused(
                    f"{unit} does not come up: see 'journalctl -u {unit}'; 'install.py back' goes to the version before"
                )
            time.sleep(0.5)


def _put_units(places: Places, machine: Machine, roles: Sequence[str]) -> None:
    """The units of the current version. What a site changes in them stands in drop-ins, which stay."""
    places.units.mkdir(parents=True, exist_ok=True)
    for role in roles:
        for unit in ROLES[role]:
            shutil.copy(places.current / "units" / f"{unit}.service", _unit(places, unit))
    machine.systemctl("daemon-reload")


def _unit(places: Places, unit: str) -> Path:
    return places.units / f"{unit}.service"


def _link(link: Path, target: str) -> None:
    """Make a link point elsewhere in one step: a crash leaves the one or the other."""
    new = link.with_name(f".{link.name}-new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Install Gatehouse, upgrade it, or go back by one version.")
    parser.add_argument("what", choices=[*ROLES, "back"])
    what = parser.parse_args().what
    places, machine = Places(), Machine()
    os.umask(0o022)  # an administrator's may be stricter, and the services' user must read what is installed
    try:
        if os.geteuid() != 0:
            raise Refused("run this as root")
        if what == "back":
            back(places, machine)
        else:
            install(Path(__file__).resolve().parent, places, machine, what)
    except Refused as refusal:
        sys.exit(f"install.py: {refusal}")


if __name__ == "__main__":
    main()
