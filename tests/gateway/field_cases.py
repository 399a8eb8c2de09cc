"""Payloads as seen in the field: a file a case, in `cases/<protocol>/`, named after what happened.

A case holds what came, and either `expected` (some attributes of what was read) or `error` (the reason of the refusal).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from telemetry.errors import BadInput

FOLDER = Path(__file__).parent / "cases"


def files(protocol: str) -> list[Path]:
    found = sorted((FOLDER / protocol).glob("*.json"))
    assert found, f"no cases of {protocol}"
    return found


def check(file: Path, read: Callable[[Any], object], attributes: Callable[[Any], Mapping[str, Any]]) -> None:
    """Run one case: `read` decodes its payload, `attributes` lays open what was read."""
    case = json.loads(file.read_text(encoding="utf-8"))
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            read(case["payload"])
        assert caught.value.reason == case["error"]
        return
    told = attributes(read(case["payload"]))
    assert {name: told[name] for name in case["expected"]} == case["expected"]
