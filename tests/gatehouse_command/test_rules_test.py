from pathlib import Path
from textwrap import indent

import pytest

from alerts.rule_tests import read_notation, report, seconds
from gatehouse.rule_tests import run_file
from telemetry.errors import BadConfiguration
from telemetry.quality import Quality
from tests.alerts.stage import MANHOLES
from tests.gatehouse_command.test_command import run

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "gatehouse" / "district" / "rules" / "tests").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_districts_rules_pass_their_tests(file: Path) -> None:
    assert [failure for outcome in run_file(file) for failure in outcome.failures] == []


def test_the_example_of_the_page_is_the_file_that_is_played() -> None:
    page = (ROOT / "docs" / "rule-tests.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    assert example in (ROOT / "gatehouse/district/rules/tests/drains.yaml").read_text(encoding="utf-8")


def test_a_failed_test_says_what_was_expected_where_and_what_happened(tmp_path: Path) -> None:
    text = FILES[0].read_text(encoding="utf-8").replace("severity: high}], told", "severity: low}], told")
    file = tmp_path / "tests" / "drains.yaml"
    file.parent.mkdir()
    file.write_text(text)
    (tmp_path / "drains.yaml").write_text((FILES[0].parent.parent / "drains.yaml").read_text(encoding="utf-8"))
    done = run("rules", "test", file, folder=tmp_path)
    assert done.returncode == 1
    assert "at 11m: expected open: drain-level low; found drain-level level-1 high" in done.stdout
    assert "0:10:00  drain-level level-1 raised (high) at 1.5" in done.stdout
    assert "3 tests, 1 failed" in done.stdout


def test_the_notation_knows_runs_gaps_ramps_and_quality() -> None:
    good, suspect, bad = Quality.GOOD, Quality.SUSPECT, Quality.BAD
    assert read_notation("0.5x2 _x2 1.9? -1!") == [(0.5, good), (0.5, good), None, None, (1.9, suspect), (-1.0, bad)]
    assert read_notation("1+0.5x3") == [(1.0, good), (1.5, good), (2.0, good)]


@pytest.mark.parametrize("text", ["abc", "0.5y10", "0.5x", "x5"])
def test_what_is_no_reading_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BadConfiguration, match="no reading"):
        read_notation(text)


def test_times_are_read_as_people_write_them() -> None:
    assert seconds("1h30m") == 5400
    with pytest.raises(BadConfiguration, match="1h30m"):
        seconds("soon")


def test_a_test_that_passes_is_one_line() -> None:
    assert next(report(run_file(FILES[0]))).startswith("ok ")


RULE = """
rules:
  - {id: full, type: level, class: drain, name: Full, metric: level, levels: [{severity: high, at_least: 1}], schedule: day}
"""
SCHEDULE = """
schedules: [{id: day, weekly: [{from: "08:05", to: "20:00"}]}]
"""
TESTS = """
tests:
  - name: called when the day begins
    readings: {low/level: "1.2x10"}
    expect:
      - {at: 2m, open: [{rule: full}], told: [], quiet: ["full raised: schedule"]}
      - {at: 6m, told: [full unmasked]}
"""


@pytest.mark.parametrize("is_in_place", [False, True])
def test_a_rule_that_calls_by_a_schedule_is_played_by_it(tmp_path: Path, is_in_place: bool) -> None:
    (tmp_path / "rules.yaml").write_text(RULE + SCHEDULE, encoding="utf-8")
    given = RULE + SCHEDULE if is_in_place else "rules: rules.yaml\n"
    file = tmp_path / "test.yaml"
    file.write_text(given + "catalogue:\n" + indent(MANHOLES, "  ") + TESTS, encoding="utf-8")
    assert [outcome.failures for outcome in run_file(file)] == [[]]


def test_a_schedule_that_there_is_not_is_said(tmp_path: Path) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(RULE + "catalogue:\n" + indent(MANHOLES, "  ") + TESTS, encoding="utf-8")
    with pytest.raises(BadConfiguration, match="rule 'full' calls people by schedule 'day', and there is none"):
        run_file(file)


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        ("open: []", "at 2m: expected nothing else open; found full low high"),
        ("open: [{rule: full, severity: low}]", "at 2m: expected open: full low; found full low high"),
        ("open: [{rule: full, device: high}]", "at 2m: expected open: full high; found full low high"),
        ("closed: [full]", "at 2m: expected closed: full; found it is open"),
        ("told: []", "at 2m: expected told: nothing; found full raised"),
        ("told: [full raised, full reopened]", "at 2m: expected told: full raised, full reopened; found full raised"),
        ('quiet: ["full raised: shelved"]', "at 2m: expected quiet: full raised: shelved; found nothing"),
    ],
)
def test_what_is_otherwise_than_expected_fails(tmp_path: Path, expected: str, failure: str) -> None:
    file = tmp_path / "test.yaml"
    case = f'tests: [{{name: x, readings: {{low/level: "1.2x3"}}, expect: [{{at: 2m, {expected}}}]}}]\n'
    given = RULE.replace(", schedule: day", "") + "catalogue:\n" + indent(MANHOLES, "  ") + case
    file.write_text(given, encoding="utf-8")
    (outcome,) = run_file(file)
    assert failure in outcome.failures
