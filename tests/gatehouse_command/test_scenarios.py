"""Every scenario of the district meets what it states, gaps included."""

import json
from pathlib import Path

import pytest
from firmware_sim.district import District
from firmware_sim.story import Story
from typer.testing import CliRunner

from alerts.rules import Rule
from gatehouse.__main__ import app
from gatehouse.rehearsal import SCENARIOS, rehearse, scenario_rules, score_files
from telemetry.declaration import Mistakes
from telemetry.errors import BadConfiguration

FOLDER = Path(__file__).parents[2] / "gatehouse" / "district"
FILES = sorted((FOLDER / SCENARIOS).glob("*.yaml"))

BAD = """
title: bad
start: 2026-11-23T10:00:00+08:00
lasts_s: 10m
every_s: 10
sites: [compound-2]
metrics: [level]
timeline:
  - {at_s: 1m, do: blockage, place: mh-9-9, carries: 0}
  - {at_s: 20m, do: inflow, place: mh-2-1, litres_per_s: 1}
must:
  - {rule: drain-level, device: mh-2-1, from_s: 1m, by_s: 5m}
"""


@pytest.fixture(scope="session")
def district() -> District:
    return District.load(FOLDER)


@pytest.fixture(scope="session")
def rules(district: District) -> tuple[Rule, ...]:
    return scenario_rules(FOLDER, district)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_is_as_it_states(file: Path, district: District, rules: tuple[Rule, ...]) -> None:
    rehearsal = rehearse(district, rules, file.stem, Story.load(file, district))
    assert rehearsal.readings
    assert rehearsal.score.faults == []


def test_there_are_sixty_and_each_states_something(district: District) -> None:
    assert len(FILES) >= 60
    for file in FILES:
        story = Story.load(file, district)
        assert story.must or story.must_not, file


def test_mistakes_name_file_line_and_field(tmp_path: Path, district: District) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    with pytest.raises(Mistakes) as caught:
        Story.load(file, district)
    assert str(caught.value) == f"{file}:9: timeline[0].place: there is no place with a drain 'mh-9-9' for this"
    file.write_text(BAD.replace("mh-9-9", "mh-2-2"))
    with pytest.raises(Mistakes) as caught:
        Story.load(file, district)
    assert [str(mistake).removeprefix(f"{file}:") for mistake in caught.value.mistakes] == [
        "12: must[0].device: there is no device 'mh-2-1'",
        "10: timeline[1].at_s: the scenario is over before: see 'lasts_s'",
    ]
    file.write_text(BAD.replace("lasts_s: 10m", "lasts_s: ten"))
    with pytest.raises(Mistakes, match=r"bad.yaml:4: lasts_s: write seconds, or a time such as 90s"):
        Story.load(file, district)


def test_a_rule_that_there_is_not_is_refused(tmp_path: Path, district: District, rules: tuple[Rule, ...]) -> None:
    story = Story.load(FOLDER / SCENARIOS / "sensor-dies-dry.yaml", district)
    wrong = story.model_copy(update={"must": (story.must[0].model_copy(update={"rule": "drain-silnet"}),)})
    with pytest.raises(BadConfiguration, match="drain-silnet"):
        rehearse(district, rules, "wrong", wrong)


def test_what_is_written_scores_as_what_was_played(tmp_path: Path) -> None:
    name = "sensor-dies-dry"
    scenario = str(FOLDER / SCENARIOS / f"{name}.yaml")
    run = CliRunner().invoke(app, ["score", scenario, "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    truth, alarms = tmp_path / name / "truth.jsonl", tmp_path / name / "alarms.jsonl"
    readings = [json.loads(line) for line in (tmp_path / name / "readings.jsonl").read_text().splitlines()]
    states = [one for line in truth.read_text().splitlines() if (one := json.loads(line))["is"] == "state"]
    identity = ("device", "metric", "time_ms")
    assert [[r[f] for f in identity] for r in readings] == [[s[f] for f in identity] for s in states]
    # Between the two lie what a display rounds and the noise of the sensor.
    assert all(abs(r["value"] - s["true"]) <= 0.03 for r, s in zip(readings, states, strict=True))
    assert CliRunner().invoke(app, ["score", str(truth), str(alarms)]).exit_code == 0
    alarms.write_text("")
    missed = CliRunner().invoke(app, ["score", str(truth), str(alarms)])
    assert missed.exit_code == 1
    assert "missed: drain-silent on mh-2-2-level" in missed.output
    alarms.write_text('{"rule": "x"}\n')
    with pytest.raises(BadConfiguration, match=r"alarms.jsonl:1: cannot be read"):
        score_files(truth, alarms)
