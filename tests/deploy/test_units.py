"""The units as systemd reads them, where it is there to be asked."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.bundle.install import ROLES

UNITS = Path(__file__).parents[2] / "deploy/bundle/units"
NAMES = sorted(unit for units in ROLES.values() for unit in units)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    command = ["systemd-analyze", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_there_is_a_unit_for_each_that_is_installed() -> None:
    assert sorted(unit.stem for unit in UNITS.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    # The program is not installed here, and it is asked whether it is there.
    text = (UNITS / f"{name}.service").read_text().replace("/opt/gatehouse/current/bin/gatehouse", "/bin/true")
    (tmp_path / f"{name}.service").write_text(text)
    done = analyze("verify", "--man=no", tmp_path / f"{name}.service")
    assert [line for line in done.stderr.splitlines() if name in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_exposed_to_little(name: str) -> None:
    """On systemd's scale of 0 to 10; 9.6 is a service that says nothing. A gateway needs lines, and asks for the clock."""
    most = 22 if name == "gatehouse-gateway" else 20
    done = analyze("security", "--offline=yes", f"--threshold={most}", UNITS / f"{name}.service")
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize(
    ("name", "more"), [("gatehouse-core", {"PrivateUsers=yes", "PrivateDevices=yes"}), ("gatehouse-gateway", set())]
)
def test_who_asks_the_kernel_whether_the_clock_is_kept_right_may_do_so_and_may_not_set_it(
    name: str, more: set[str]
) -> None:
    """Both calls: which of them adjtimex(3) makes depends on the C library."""
    lines = (UNITS / f"{name}.service").read_text().splitlines()
    filters = [line.removeprefix("SystemCallFilter=") for line in lines if line.startswith("SystemCallFilter=")]
    assert filters[-1].split() == ["adjtimex", "clock_adjtime"]  # what is taken away after it is not given
    assert "ProtectClock=yes" not in lines
    assert {"CapabilityBoundingSet=", "AmbientCapabilities=", *more} <= set(lines)
