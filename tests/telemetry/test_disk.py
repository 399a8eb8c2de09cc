"""One process alone in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from gatehouse.settings import load_settings
from telemetry.disk import alone_in
from telemetry.errors import Unavailable
from tests import district


def test_who_is_in_a_folder_keeps_others_out_until_it_leaves(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "by the first"
    with alone_in(folder, "x.path: another one"):
        said = r"x.path: another one is at work in .*by the first; stop it"
        with pytest.raises(Unavailable, match=said), alone_in(folder, "x.path: another one"):
            pass
    with alone_in(folder, "x.path: another one"):
        pass


def test_a_file_in_its_place_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with alone_in(file, "x.path: another one"):
        assert file.is_file()


def test_a_second_core_keeps_its_hands_off_the_journal_of_the_first(tmp_path: Path) -> None:
    config = district.write_district(tmp_path)
    with alone_in(load_settings(config).journal.path, "the first"):
        command = [sys.executable, "-m", "gatehouse", "core", "--config", str(config)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert "journal.path: another core is at work in" in run.stdout + run.stderr
