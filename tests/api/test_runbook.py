"""Every alarm about ourselves has a page that says what to do, every page an alarm, and the screens a link between them."""

import re
from pathlib import Path

import pytest

from alerts.alarm import Effects
from alerts.escalation import (
    CHANNEL_FAILS,
    DAMAGED,
    DUTY_MISSED,
    FAULT,
    FAULTS,
    OURS,
    UNDELIVERED,
    UNSTORED,
    Escalation,
)
from alerts.people import People
from alerts.texts import document

__all__ = ["database_with_users", "world"]
from tests.api.test_app import World, database_with_users, world

SAID = [
    (CHANNEL_FAILS, "push", UNDELIVERED),
    (DAMAGED, "5-9", DAMAGED),
    (UNSTORED, "influxdb", UNSTORED),
    (DUTY_MISSED, "east/drains/2026-11-18", DUTY_MISSED),
    *((FAULT, f"{name}/thing", name) for name in FAULTS),
]
"""What the engine is told, and the alarm that comes of it; UNANSWERED comes of no command."""
SAID_BY = {DUTY_MISSED: {"en": "drains: nobody has signed it off", "zh": "drains：无人签字"}}
FOLDER = Path(__file__).parent.parent.parent / "docs" / "runbook"


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "zh"], ids=["en", "zh"])
def test_every_system_alarm_has_a_page_and_every_page_an_alarm(folder: Path) -> None:
    assert {page.stem for page in folder.glob("*.md")} == OURS


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_page_says_what_still_works_what_to_do_and_how_one_knows(name: str) -> None:
    for page, signs in (
        (FOLDER / f"{name}.md", ("**What still works.**", "**What to do.**", "**How you know that it is over.**")),
        (FOLDER / "zh" / f"{name}.md", ("**仍然正常：**", "**操作：**", "**恢复标志：**")),
    ):
        text = page.read_text(encoding="utf-8")
        assert f"`{name}`" in text
        assert [sign for sign in signs if sign not in text] == [], page


def test_every_setting_that_a_page_names_exists() -> None:
    configuration = (FOLDER.parent / "configuration.md").read_text(encoding="utf-8")
    for page in FOLDER.glob("**/*.md"):
        for name in re.findall(r"`((?:watch|journal|history)\.[a-z_]+)`", page.read_text(encoding="utf-8")):
            assert f"`{name}`" in configuration, f"{page} names {name}"


def test_an_alarm_about_ourselves_says_what_is_wrong_and_leads_to_its_page(world: World) -> None:
    world.log_in()
    for action, subject, rule in SAID:
        effects = Effects()
        Escalation(People(), {}, lambda _: None).hear(
            action, subject, 0, "core", "note", 0, effects, SAID_BY.get(action)
        )
        (alarm,) = effects.alarms.values()
        shown = document(alarm, None, world.worker.engine.program.catalogue)
        assert alarm.device in shown["why"]["en"] and alarm.device in shown["why"]["zh"]
        assert f"docs/runbook/{rule}.md" in shown["advice"]["en"]
        for language in ("en", "zh"):
            answer = world.client.get(shown["runbook"], params={"language": language})
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.text.startswith(f"# {shown['rule_name'][language]}\n"), rule


def test_there_is_no_page_for_anything_else(world: World) -> None:
    world.log_in()
    for name in ("drain-level", "..%2F..%2Fgatehouse.yaml", "README"):
        assert world.client.get(f"/api/v1/runbook/{name}").status_code == 404


def test_who_acts_at_all_sites_may_see_to_an_alarm_about_ourselves(world: World) -> None:
    for name, may in (("admin", True), ("guard", False)):
        world.log_in(name)
        assert ("system" in world.client.get("/api/v1/session").json()["user"]["acts_on"]) is may, name


def test_the_screens_have_words_for_the_reason_of_every_alarm_about_ourselves() -> None:
    for language in ("en", "zh"):
        text = (FOLDER.parent.parent / "web" / "src" / "i18n" / f"{language}.ts").read_text(encoding="utf-8")
        words = text[text.index("\n  reasons: {") :]
        for name in (*OURS, "mended"):
            assert re.search(rf'^    "?{name}"?: "', words, re.MULTILINE), name
