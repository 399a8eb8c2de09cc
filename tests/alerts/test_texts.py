from pathlib import Path
from typing import Any

import pytest

from alerts.alarm import Alarm, Forecast
from alerts.rule import Severity
from alerts.rules import load_rules
from alerts.texts import document
from telemetry.catalogue import Catalogue
from tests import district

AT_MS = 1_795_000_000_000  # 2026-11-18 19:06:40 in Shanghai


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    district.write_district(tmp_path)
    return Catalogue.load(tmp_path / "catalogue")


def shown(tmp_path: Path, catalogue: Catalogue, rule: str, **changes: object) -> dict[str, Any]:
    given = {
        "id": "a1", "rule": rule, "alarm_class": "drain", "site": "east", "place": "mh-1", "device": "level-1",
        "metric": "level", "key": None, "severity": Severity.HIGH, "severity_max": Severity.HIGH, "seq": 1,
        "onset_ms": AT_MS, "raised_ms": AT_MS, "value": 1.5, "limit": 1.4,
    }  # fmt: skip
    rules = {r.id: r for r in load_rules(tmp_path / "rules", catalogue)}
    return document(Alarm(**(given | changes)), rules.get(rule), catalogue)  # type: ignore[arg-type]


def why(tmp_path: Path, catalogue: Catalogue, rule: str, **changes: object) -> dict[str, str]:
    made: dict[str, str] = shown(tmp_path, catalogue, rule, **changes)["why"]
    return made


def declare(tmp_path: Path, *rules: str) -> None:
    """Add rules to those of the district."""
    file = tmp_path / "rules" / "all.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "".join(f"\n  - {rule}\n" for rule in rules), encoding="utf-8")


def test_a_level_says_value_limit_and_share_of_the_depth(tmp_path: Path, catalogue: Catalogue) -> None:
    said = why(tmp_path, catalogue, "drain-level")
    assert said["en"] == "1.500 m is at or above 1.400 m (70% of the depth)"
    assert said["zh"] == "1.500 m，达到或超过限值 1.400 m（井深的 70%）"


def test_a_forecast_says_a_clock_time_that_stays_true(tmp_path: Path, catalogue: Catalogue) -> None:
    said = why(
        tmp_path, catalogue, "drain-forecast", value=12.0, limit=30.0, forecast=Forecast(12.0, 10.0, 15.0, AT_MS)
    )
    assert said["en"] == "At the rise seen at 19:06 the limit is reached at about 19:18 (between 19:16 and 19:21)"
    assert said["zh"].endswith("（19:16 至 19:21 之间）")


def test_a_rise_is_told_in_centimetres_a_minute(tmp_path: Path, catalogue: Catalogue) -> None:
    assert why(tmp_path, catalogue, "drain-rise", value=0.054, limit=0.02)["en"] == (
        "5.4 cm/min is at or above 2.0 cm/min"
    )


def test_silence_says_the_last_value_and_whether_it_came_in_alarm(tmp_path: Path, catalogue: Catalogue) -> None:
    assert why(tmp_path, catalogue, "drain-silent", limit=None, severity_max=Severity.MEDIUM)["en"] == (
        "No usable reading any more; last value 1.500 m"
    )
    said = why(tmp_path, catalogue, "drain-silent", limit=None, severity_max=Severity.CRITICAL)["en"]
    assert "silent while in alarm" in said
    assert why(tmp_path, catalogue, "drain-silent", limit=None, value=None, severity_max=Severity.MEDIUM)["en"] == (
        "No usable reading has ever arrived"
    )


def test_an_alarm_whose_rule_is_gone_can_still_be_shown(tmp_path: Path, catalogue: Catalogue) -> None:
    assert why(tmp_path, catalogue, "no-such-rule", device="gone", place="", site="nowhere")["en"]


@pytest.mark.parametrize("forecast", [None, Forecast(1e9, 1e8, None, AT_MS)])
def test_a_forecast_without_an_end_in_sight_says_so(
    tmp_path: Path, catalogue: Catalogue, forecast: Forecast | None
) -> None:
    said = why(tmp_path, catalogue, "drain-forecast", value=None, limit=30.0, forecast=forecast)
    assert said["en"].startswith("The rise has slowed")
    distant = Forecast(12.0, 10.0, 1e9, AT_MS)
    said = why(tmp_path, catalogue, "drain-forecast", value=12.0, limit=30.0, forecast=distant)
    assert said["en"].endswith("at about 19:18")


@pytest.mark.parametrize(("value", "limit", "word"), [(12.0, 10.0, "at or above"), (1.0, 2.0, "at or below")])
def test_a_band_says_which_way_it_was_left(
    tmp_path: Path, catalogue: Catalogue, value: float, limit: float, word: str
) -> None:
    levels = "[{severity: high, at_least: 10}, {severity: high, at_most: 2}]"
    declare(tmp_path, f"{{id: band, type: level, class: x, name: B, metric: level, levels: {levels}}}")
    assert word in why(tmp_path, catalogue, "band", value=value, limit=limit)["en"]


def test_a_value_is_in_the_unit_of_what_its_rule_is_about(tmp_path: Path, catalogue: Catalogue) -> None:
    still = (
        "{id: still, type: flatline, class: sensor, name: S, metric: level, levels: [{severity: low, at_least: 60}]}"
    )
    lost = "{id: lost, type: inferred, class: gateway, name: L, metric: level, of: [drain-silent], along: gateway}"
    declare(tmp_path, still, lost)
    for rule, unit in (("drain-level", "m"), ("still", "min"), ("lost", "1"), ("drain-silent", "m")):
        assert shown(tmp_path, catalogue, rule)["unit"] == unit


def test_a_person_who_stands_out_is_told_by_what_was_shown_and_not_as_if_that_were_a_fever(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    level = "levels: [{severity: high, at_least: 37.3}]"
    declare(tmp_path, f"{{id: stands-out, type: fever, class: fever, name: F, metric: skin_temperature, {level}}}")
    about = {
        "device": "scanner",
        "metric": "skin_temperature",
        "place": "lane",
        "key": "p",
        "value": 36.2,
        "limit": 37.3,
    }
    said = why(tmp_path, catalogue, "stands-out", **about)
    assert said["en"] == "36.2 °C was shown; judged as body temperature it is at or above 37.3 °C"
    assert said["zh"] == "显示 36.2 °C；折算体温达到或超过限值 37.3 °C"
    assert shown(tmp_path, catalogue, "stands-out", **about)["unit"] == "degC"
