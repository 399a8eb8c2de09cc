"""The demo's telephone takes a notice as the webhook channel sends it, and refuses what is none."""

import json
from pathlib import Path

import httpx
import pytest

from alerts.notify.channels import WebhookChannel, WebhookSettings
from alerts.people import load_people, mistakes_of
from alerts.rules import load_rule_files
from alerts.store import Notice
from gatehouse.telephone import Telephone
from telemetry.catalogue import Catalogue

DISTRICT = Path(__file__).parent.parent.parent / "gatehouse" / "district"


def test_what_somebody_is_told_stands_in_the_file(tmp_path: Path) -> None:
    telephone = Telephone(tmp_path / "messages.jsonl")
    try:
        settings = WebhookSettings.model_validate({"url": telephone.url, "allow_networks": ["127.0.0.0/8"]})
        body = {"what": "raised", "reason": "limit-reached", "alarm": {}}
        WebhookChannel(settings).deliver(Notice(1, "k", 0, 0, body, "li-wei", "发热", "请复测", "call"))
        (line,) = (tmp_path / "messages.jsonl").read_text(encoding="utf-8").splitlines()
        told = {"recipient": "li-wei", "title": "发热", "text": "请复测", "what": "raised", "key": "k"}
        assert json.loads(line) == told
        assert httpx.post(telephone.url, content=b"{").status_code == 400
    finally:
        telephone.hang_up()


@pytest.mark.parametrize("alarm_class", ["fever", "drain", "dormitory", "gateway", "sensor", "cold-store"])
def test_every_alarm_of_the_demo_finds_somebody(alarm_class: str) -> None:
    people = load_people(DISTRICT / "people")
    rules = load_rule_files(DISTRICT / "rules", Catalogue.load(DISTRICT / "catalogue")).rules
    assert alarm_class in {rule.alarm_class for rule in rules}
    assert mistakes_of(people, [(rule.id, rule.route) for rule in rules], ["phone"]) == []
    route = people.route[people.route_of_class[alarm_class]]
    assert all(ladder.steps for ladder in route.ladders.values())
