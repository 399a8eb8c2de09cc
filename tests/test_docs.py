"""Reads the docs: what they name exists."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from firmware_sim.__main__ import app as sim_app

from alerts.rule import AnyRule
from alerts.rules import Rule
from deploy import reference
from gatehouse.__main__ import app
from gateway.drivers import DRIVERS
from gateway.exports import EXPORTS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("gateway/**/README.md"), ROOT / "web/README.md"]
_FILES = (".py", ".yaml", ".json", ".md", ".conf", ".txt", ".db", ".pem", ".crt", ".log")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> str:
    """A page without what stands in it as code."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?m)^    .*$", "", text)) if page.suffix == ".md" else text


@cache
def _anchors(page: Path) -> set[str]:
    """What the headings of a page can be led to by, as GitHub and the site make it."""
    found: set[str] = set()
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def _commands_shown(page: Path) -> Iterator[tuple[str, bool]]:
    """Every `gatehouse …` of a page, and whether it is whole: one in a block is, one within a sentence may leave out."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    start = r"(?:\S*bin/|sudo |runuser -u gatehouse -- |docker compose (?:run|exec)[^\n]*? )?"
    for line in re.findall(rf"^(?:    )?{start}(gatehouse [a-z].*)$", text, re.MULTILINE):
        yield re.split(r" [|>&]|;", line)[0], True
    for line in re.findall(r"`(?:\S*bin/)?(gatehouse [a-z][^`]*)`", text.replace("\n", " ")):
        yield line.split(" | ")[0], False


@cache
def _tree() -> tuple[Any, Any]:
    """The commands as typer makes them, which takes its time: of `gatehouse`, and of `gatehouse sim`."""
    return typer.main.get_command(app), typer.main.get_command(sim_app)


def _refusal(line: str, is_whole: bool) -> str | None:
    """Why the command would not take a line; None: it would."""
    words = shlex.split(line, comments=True)[1:]
    here, of_sim = _tree()
    while words and (words[0] == "sim" or getattr(here, "commands", None)):
        if words[0] == "sim":
            here, words = of_sim, words[1:]
            continue
        if words[0].startswith("-") and getattr(here, "invoke_without_command", False):
            break
        if words[0] not in here.commands:
            return f"no command '{words[0]}'"
        here, words = here.commands[words[0]], words[1:]
    options = {name: param for param in here.params for name in param.opts if name.startswith("-")}
    places = [param for param in here.params if not param.opts[0].startswith("-")]
    given: set[str] = set()
    count = 0
    while words:
        word = words.pop(0)
        if word == "--help":
            return None
        if word.startswith("--"):
            name = word.split("=")[0]
            if name not in options:
                return f"no option {name}"
            given.add(name)
            if not options[name].is_flag and "=" not in word:
                if not words:
                    return f"{name} wants a value"
                words.pop(0)
        elif word not in ("…", "...", "|"):
            count += 1
            if count > len(places) and not any(param.nargs == -1 for param in places):
                return f"'{word}' is one too many"
    if not is_whole:
        return None
    missing = [name for name, param in options.items() if param.required and name not in given]
    missing += [str(param.name) for param in places[count:] if param.required]
    return f"{missing[0]} must be given" if missing else None


@cache
def _settings() -> tuple[list[reference.Setting], ...]:
    return reference.every_setting()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_and_anchor_resolves(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(((?!\w+:)[^)#\s]*)(?:#([^)\s]+))?\)", _prose(page)):
        there = page.parent / target if target else page
        assert there.exists(), f"{page} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{page} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_that_is_shown_would_be_taken(page: Path) -> None:
    for line, is_whole in _commands_shown(page):
        assert (wrong := _refusal(line, is_whole)) is None, f"{page}: {line}: {wrong}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gatehouse sevre --config x", "no command"),
        ("gatehouse check --confg x", "no option --confg"),
        ("gatehouse check", "--config must be given"),
        ("gatehouse user add --role guard --config x", "name must be given"),
        ("gatehouse backup a b --config x", "'b' is one too many"),
        ("gatehouse sim run x.yaml --speeed 60", "no option --speeed"),
        ("gatehouse gateway prob dlt645", "no command"),
        ("gatehouse gateway --config x", None),
        ("gatehouse sim run x.yaml --speed 60", None),
    ],
)
def test_a_wrong_command_is_found(line: str, said: str | None) -> None:
    assert _refusal(line, is_whole=True) == said if said is None else said in str(_refusal(line, is_whole=True))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_target_of_make_that_is_shown_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert name in targets, f"{page}: make {name}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {setting.name for settings in _settings() for setting in settings}
    known |= {".".join(name.split(".")[:n]) for name in known for n in range(1, name.count(".") + 1)}
    sections = {name.split(".")[0] for name in known if "." in name}
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", page.read_text(encoding="utf-8")):
        is_module = (ROOT / name.replace(".", "/")).with_suffix(".py").exists()
        if name.split(".")[0] in sections and not is_module and not name.endswith(_FILES):
            assert name in known, f"{page} names the setting {name}"


def test_users_pages_are_there_in_both_languages() -> None:
    chinese = {page.relative_to(DOCS / "zh") for page in (DOCS / "zh").rglob("*.md")}
    english = {page.relative_to(DOCS) for page in (DOCS / "guide").rglob("*.md")}
    english |= {Path(f"{name}.md") for name in ("index", "hardware", "capacity", "privacy", "differs")}
    assert chinese == english
    for page in english:
        here, there = DOCS / page, DOCS / "zh" / page
        up = "../" * (len(page.parts) - 1)
        assert f"(../{up}{page.as_posix()})" in there.read_text(encoding="utf-8"), (
            f"zh/{page} leads to its English page"
        )
        assert f"({up}zh/{page.as_posix()})" in here.read_text(encoding="utf-8"), f"{page} leads to its Chinese page"
        shape = [re.findall(r"^(#+ |!\[)", each.read_text(encoding="utf-8"), re.MULTILINE) for each in (here, there)]
        assert shape[0] == shape[1], f"{page}: the same headings and pictures in both"


def test_what_chinese_guides_quote_stands_on_the_screens() -> None:
    said = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "web/src").rglob("*.ts"))
    said += "".join(file.read_text(encoding="utf-8") for file in (ROOT / "gatehouse/district/rules").glob("*.yaml"))
    for page in (DOCS / "zh/guide").glob("*.md"):
        for words in re.findall(r"“([^”]+)”", page.read_text(encoding="utf-8")):
            assert words in said, f"{page}: no page says “{words}”"


def test_the_pages_that_are_made_are_what_the_code_says() -> None:
    for page, text in reference.pages().items():
        assert page.read_text(encoding="utf-8") == text, f"{page.relative_to(ROOT)} is stale: make reference"


def test_the_site_shows_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    entries = re.findall(r"- (?:[^:\n]+: )?(\S+)$", nav, re.MULTILINE)
    shown = {DOCS / entry for entry in entries if entry.endswith(".md")}
    for folder in (entry for entry in entries if entry.endswith("/")):
        shown |= set((DOCS / folder).glob("*.md"))
    assert shown == set(DOCS.rglob("*.md"))


def test_pictures_are_small_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (DOCS / "screenshots").iterdir():
        assert picture.stat().st_size <= 150_000, picture
        assert f"screenshots/{picture.name})" in text, f"nobody shows {picture.name}"


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
