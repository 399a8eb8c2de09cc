"""`gatehouse journal`, as an administrator uses it, beside a running core and on a damaged disk."""

import json
import subprocess
from pathlib import Path

import pytest

from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district
from tests.alerts.test_engine import T0
from tests.alerts.test_worker import records
from tests.servers import gatehouse


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*gatehouse("journal", *arguments), "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return district.write_district(tmp_path)


def filled(config: Path) -> Journal:
    journal = Journal(config.parent / "data" / "journal", segment_bytes=4_000)
    catalogue, _, _ = district.load(config.parent / "again")
    SeriesRegistry.open(journal, catalogue)
    for record in records():
        journal.append([record])
    journal.append([Record(Kind.REJECTS, T0, b'[{"reason": "broken-json"}]')])
    journal.set_cursor("history", 100)
    return journal


def test_a_whole_journal_is_called_whole_while_it_is_open(config: Path) -> None:
    journal = filled(config)
    done = run(config, "verify")
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert f"{journal.last:,} records in" in done.stdout and "whole" in done.stdout
    shown = run(config, "stat").stdout
    assert f"records 1 to {journal.last}" in shown
    assert f"history  100       {journal.last - 100}" in shown


def test_damage_is_named_by_segment_and_record_and_ends_with_1(config: Path) -> None:
    journal = filled(config)
    journal.close()
    files = sorted(journal.path.glob("*.db"))
    data = bytearray(files[1].read_bytes())
    data[data.rindex(b"connected")] ^= 1
    files[1].write_bytes(data)
    files[2].unlink()
    done = run(config, "verify")
    assert done.returncode == 1
    assert f"{files[1].name}: damaged from record" in done.stdout
    assert "are missing before it" in done.stdout
    assert "DAMAGED" in done.stdout


def test_records_are_shown_as_json_with_names(config: Path) -> None:
    journal = filled(config)
    lines = [json.loads(line) for line in run(config, "dump", "--from", "11", "--count", "2").stdout.splitlines()]
    assert [(line["offset"], line["kind"]) for line in lines] == [(11, "readings"), (12, "tick")]
    assert lines[0]["readings"][0][0] == "level-1/level"
    assert lines[1]["content"] == "connected"
    (last,) = run(config, "dump", "--from", str(journal.last)).stdout.splitlines()
    assert json.loads(last)["content"] == [{"reason": "broken-json"}]


def test_where_there_is_no_journal_it_says_so(config: Path) -> None:
    done = run(config, "verify")
    assert done.returncode == 2
    assert "holds no journal" in done.stderr
