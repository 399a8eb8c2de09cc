"""Reads the docs: what they name exists."""

import re
from pathlib import Path
from typing import get_args

import pytest

from alerts.rule import AnyRule
from alerts.rules import Rule
from gatehouse import __main__ as command
from gateway.drivers import DRIVERS
from gateway.exports import EXPORTS

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("gateway/**/README.md"), ROOT / "web/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_project_resolves(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    commands = {c.name or c.callback.__name__ for c in command.app.registered_commands if c.callback}
    commands |= {group.name for group in command.app.registered_groups if group.name}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?:^    |`|bin/)gatehouse ([a-z]+)", text, re.MULTILINE):
        assert name in commands, f"{page}: gatehouse {name}"
    for name in re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE):
        assert name in targets, f"{page}: make {name}"


def test_every_driver_has_its_page() -> None:
    for name in DRIVERS:
        folder = ROOT / "gateway" / "drivers" / name.replace("-", "_")
        assert name in (folder / "README.md").read_text(encoding="utf-8")


def test_every_export_has_its_page() -> None:
    for name in EXPORTS:
        folder = ROOT / "gateway" / "exports" / name.replace("-", "_")
        assert name in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", get_args(get_args(Rule)[0]), ids=lambda rule: rule.__name__)
def test_every_field_of_a_rule_is_documented(rule: type[AnyRule]) -> None:
    (type_name,) = get_args(rule.model_fields["type"].annotation)
    pages = [ROOT / "docs" / "configuration.md", ROOT / "docs" / "detectors" / f"{type_name}.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages if page.exists())
    named = {"alarm_class": "class"}
    assert [f for f in sorted(rule.model_fields) if named.get(f, f) not in text] == []


def test_no_page_speaks_of_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(/root|/home/|/work)/", page.read_text(encoding="utf-8")), page
