"""The benches at tiny numbers on every run, so that they never rot. Their figures mean nothing here."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from bench import drain, ladder, latency, memory, processes, stream
from bench.report import Report
from tests import servers

T0 = 1_795_000_000_000


def check(report: Report, folder: Path) -> None:
    """A report can be printed and read back, and holds a figure for every goal."""
    console = Console(record=True, width=200, quiet=True)
    report.show(console)
    kept = json.loads(report.save(folder).read_text())
    assert kept["name"] == report.name
    assert kept["machine"]["cores"] >= 1
    assert report.tables
    assert report.goals
    assert all(goal.figure == goal.figure for goal in report.goals)  # not NaN


def needs_mosquitto() -> None:
    if processes.broker_program() is None:
        servers.missing("mosquitto", "apt-get install mosquitto")


def test_the_ladder_stores_and_raises_what_was_generated(tmp_path: Path) -> None:
    report = ladder.run(readings=4_000, series=(40, 1_200), rounds=1, alarm_readings=400)
    check(report, tmp_path)
    assert len(report.goals) == 4


def test_a_calm_stream_raises_nothing() -> None:
    assert stream.expected_steps(stream.generate(10_000, 100, T0)) == (0, 0)


def test_in_a_storm_four_in_a_hundred_readings_change_one_rule() -> None:
    made = stream.generate(100_000, 100, T0, stream.STORM_SHARE)
    # As many alarms as steps upwards: about half of the changes, a little more because each level starts at the bottom.
    assert 0.018 < stream.expected_steps(made)[0] / len(made) < 0.024


def test_one_alarm_a_step_upwards() -> None:
    made = stream.generate(40_000, 10, T0, stream.STORM_SHARE)
    bands = made.value.astype(int)
    assert (bands[0] <= 1).all()
    upwards = (bands[1:] > bands[:-1]).sum() + bands[0].sum()
    downwards = (bands[1:] < bands[:-1]).sum()
    assert stream.expected_steps(made) == (upwards, downwards)


@pytest.mark.integration
def test_the_drain_takes_in_every_reading(tmp_path: Path) -> None:
    needs_mosquitto()
    if shutil.which("mosquitto_sub") is None:
        servers.missing("mosquitto_sub", "apt-get install mosquitto-clients")
    check(drain.run(readings=600, rounds=1, frame_messages=10, frame_rounds=1), tmp_path)


@pytest.mark.integration
def test_every_fever_comes_back_as_an_alarm(tmp_path: Path) -> None:
    needs_mosquitto()
    check(latency.run(rates=(200,), seconds=0.5, series=20), tmp_path)


@pytest.mark.integration
def test_the_memory_of_a_fed_core_is_seen(tmp_path: Path) -> None:
    needs_mosquitto()
    check(memory.run(series=20, rate=400, seconds=2.0), tmp_path)
