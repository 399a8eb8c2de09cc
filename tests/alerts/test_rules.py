"""The rules as data: what they say of themselves."""

from pathlib import Path

from alerts.people import NOBODY
from alerts.rule import Level
from alerts.rules import LevelRule, decode_rules, encode_rules, load_rules
from telemetry.catalogue import Catalogue
from tests import district

DEMO = Path(__file__).parent.parent.parent / "gatehouse" / "district"


def test_rules_and_catalogue_come_back_from_the_journal_as_they_went_in(tmp_path: Path) -> None:
    district.write_district(tmp_path)
    for folder in (tmp_path, DEMO):
        catalogue = Catalogue.load(folder / "catalogue")
        rules = load_rules(folder / "rules", catalogue)
        payload = encode_rules(rules, catalogue)
        assert decode_rules(payload) == (rules, catalogue, NOBODY)
        assert encode_rules(*decode_rules(payload)) == payload


def test_a_level_may_be_raised_by_its_gateway_too(tmp_path: Path) -> None:
    assert not Level.model_validate({"severity": "high", "at_least": 1}).local
    rules = district.RULES.replace("{severity: high, at_least: 1000}", "{severity: high, at_least: 1000, local: true}")
    district.write_district(tmp_path)
    (tmp_path / "rules" / "all.yaml").write_text(rules, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path / "catalogue")
    (heater,) = [rule for rule in load_rules(tmp_path / "rules", catalogue) if rule.id == "heater"]
    assert isinstance(heater, LevelRule)
    assert heater.levels[0].local
