"""What is shipped: its locks, its licences, and how it is asked after."""

import json
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from deploy.audit import Answer, of_npm_audit, of_pip_audit, status
from deploy.licences import Licensed, of_lock, of_screens, of_wheels

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pins(name: str) -> set[str]:
    return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_hashes_and_no_lock_an_address(lock: Path) -> None:
    text = lock.read_text()
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert not re.match(r"\S+==", entry) or "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_a_gateway_runs_what_the_server_was_tried_with() -> None:
    assert pins("gateway") <= pins("server") <= pins("dev")


def test_everything_shipped_may_be() -> None:
    shipped = [*of_lock(ROOT / "requirements/server.txt"), *of_screens()]
    assert len(shipped) > 100
    assert [one for one in shipped if not one.is_allowed] == []


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(Apache-2.0 OR BSD-3-Clause) AND 0BSD", True),
        ("none said", False),
    ],
)
def test_of_licences_that_hold_together_each_must_be_allowed_and_of_a_choice_one(licence: str, allowed: bool) -> None:
    assert Licensed("a", "1", licence).is_allowed is allowed


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ("License-Expression: ISC\nLicense: whatever", "ISC"),
        ("License: MIT License", "MIT"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", None),
        ("Classifier: Topic :: Home", None),
    ],
)
def test_a_licence_is_found_in_each_of_the_ways_it_is_said(said: str, licence: str | None) -> None:
    (one,) = of_wheels([f"Metadata-Version: 2.1\nName: a\nVersion: 1\n{said}\n\n"])
    assert (one.licence if one.is_allowed else None) == licence


def test_the_texts_of_the_licences_travel_with_the_packages() -> None:
    """Those whose licence asks for it; where a wheel has none, its metadata says whose it is."""
    for name in ("reportlab", "xlsxwriter", "pyotp", "segno"):
        assert any("LICEN" in str(file).upper() for file in distribution(name).files or []), name


def test_what_was_not_looked_at_is_never_called_well() -> None:
    skipped = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
    clean = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
    found = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}
    screens = json.dumps({"vulnerabilities": {}, "metadata": {"dependencies": {"prod": 3}}})
    refused = '{"message": "405 Method Not Allowed", "error": {}}'
    worse = json.dumps({"vulnerabilities": {"b": {"severity": "high"}}, "metadata": {"dependencies": {"prod": 3}}})
    well = of_npm_audit(screens)
    assert status([of_pip_audit(json.dumps(clean)), well], []) == 0
    assert status([of_pip_audit(json.dumps(clean)), well], ["c 1: GPL"]) == 1
    for said in (json.dumps(skipped), "", '{"dependencies": []}'):
        assert status([of_pip_audit(said), well], []) == 2
    assert of_npm_audit(refused).unknown == ["405 Method Not Allowed"]
    assert status([of_pip_audit(json.dumps(clean)), of_npm_audit(refused)], []) == 2
    assert of_pip_audit(json.dumps(found)).found == ["a 1: X-1, mended in 2"]
    assert status([of_pip_audit(json.dumps(found)), Answer("x", unknown=["away"])], []) == 1
    assert of_npm_audit(worse).found == ["b: high"]
