"""Every code that an alarm's step or refused input can carry has its words on the screens, in both languages."""

import re
from pathlib import Path

import pytest

from alerts.alarm import What
from alerts.masks import MaskKind

ROOT = Path(__file__).parents[2]
GIVEN = re.compile(r'(?:known_ms|now_ms|due_ms|_ms),\s*"([a-z]+(?:-[a-z]+)*)",\s|reason="([a-z]+(?:-[a-z]+)*)"')
NAMED = re.compile(r'^(?:RETRACTED|RULE_CHANGED|LATE_DATA|PERSON|_UNSEEN|_DEVICE) = "([a-z-]+)"', re.MULTILINE)
REFUSED = re.compile(r'(?:BadInput|Reject)\(\s*"([a-z]+(?:-[a-z]+)*)"')


def spoken(language: str, table: str) -> set[str]:
    page = (ROOT / "web" / "src" / "i18n" / f"{language}.ts").read_text(encoding="utf-8")
    block = re.search(rf"^( *){table}: \{{\n(.*?)^\1\}},", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    return {quoted or plain for quoted, plain in re.findall(r'^ *(?:"([a-z-]+)"|([a-z]+)):', block[2], re.MULTILINE)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_step_and_every_reason_has_its_words(language: str) -> None:
    reasons = {kind.value for kind in MaskKind}
    for file in (ROOT / "alerts").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        reasons |= {one or other for one, other in GIVEN.findall(source)} | set(NAMED.findall(source))
    for file in (ROOT / "ingest").glob("*.py"):
        reasons |= set(REFUSED.findall(file.read_text(encoding="utf-8")))
    assert {"many-together", "acknowledged-long-ago", "retired", "unacknowledged", "gap", "lasted"} <= reasons
    assert reasons - spoken(language, "reasons") == set()
    assert {what.value for what in What} - spoken(language, "what") == set()
