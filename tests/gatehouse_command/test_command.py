import socket
import subprocess
from pathlib import Path

import pytest
import typer

from gatehouse.__main__ import _seconds
from gatehouse.demo import _begin_anew
from tests import district
from tests.servers import free_port, gatehouse


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(part) for part in gatehouse(*arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("text", "seconds"), [("180s", 180), ("3m", 180), ("1h", 3600), ("90", 90)])
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="180s"):
        _seconds("soon")


def test_check_names_every_mistake_and_exits_with_1(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    assert run("check", "--config", file, folder=tmp_path).returncode == 0
    (tmp_path / "catalogue" / "more.yaml").write_text("devices:\n  - {id: x, kind: y, place: z, gateway: w}\n")
    done = run("check", "--config", file, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("more.yaml:2:") == 3


def test_check_names_schedules_that_are_wrong_and_says_what_rules_concern(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    told = run("check", "--config", file, folder=tmp_path).stdout
    assert "heater: 1 series" in told
    assert "no rule looks at 2 series: scanner/ambient_temperature, meter/energy" in told
    wrong = "schedules:\n  - {id: never, weekly: [{days: []}]}\n"
    (tmp_path / "rules" / "more.yaml").write_text(wrong, encoding="utf-8")
    rules = district.RULES.replace("    raise_after_s: 20", "    schedule: nights")
    (tmp_path / "rules" / "all.yaml").write_text(rules, encoding="utf-8")
    said = run("check", "--config", file, folder=tmp_path).stderr
    assert "more.yaml:2: schedules[0].weekly: it never opens" in said
    assert "schedule: there is no schedule 'nights'" in said


def test_a_wrong_configuration_is_a_message_not_a_traceback(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    file.write_text("brokr: {}\n")
    done = run("core", "--config", file, folder=tmp_path)
    assert done.returncode == 2
    assert "gatehouse.yaml:1: brokr: unknown field" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_whose_port_is_taken_says_so_at_once(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("demo", "--port", str(port), "--data", tmp_path / "demo", folder=tmp_path)
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_demo_deletes_no_folder_that_it_did_not_make(tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "letter.txt").write_text("dear")
    done = run("demo", "--port", str(free_port()), "--for", "0s", "--data", letters, folder=tmp_path)
    assert done.returncode == 2
    assert "letters is not empty and no demonstration's" in done.stderr
    assert (letters / "letter.txt").read_text() == "dear"


def test_a_demo_begins_anew_where_its_first_start_was_broken_off(tmp_path: Path) -> None:
    half = tmp_path / "half"
    _begin_anew(half)
    (half / "rules" / "gates.yaml").unlink()
    _begin_anew(half)
    assert (half / "rules" / "gates.yaml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "/proc/nowhere/backup"),
        ("backup", "/proc/backup"),
        ("register", "copy", "/proc/nowhere/copy.db"),
        ("user", "guards", "east", "--out", "/proc/nowhere/guards.yaml"),
    ],
    ids=" ".join,
)
def test_a_place_that_cannot_be_written_is_a_message_not_a_traceback(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    file = district.write_district(tmp_path)
    run("migrate", "--config", file, folder=tmp_path)
    done = run(*arguments, "--config", file, folder=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("gatehouse: ")
    assert "/proc" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("anchor", ["²:9f3c", "1" * 30 + ":9f3c", "812", ":9f3c"])
def test_an_anchor_that_is_none_is_said(anchor: str, tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    done = run("audit", "verify", "--config", file, "--anchor", anchor, folder=tmp_path)
    assert done.returncode == 2
    assert "--anchor is a row's id and hash" in done.stderr
