"""Decisions from a gateway's page at the door: who may take them, and what becomes of the others."""

from array import array
from pathlib import Path

import pytest

from ingest.group import Group
from ingest.packets import Message
from ingest.vet import Vetter
from telemetry import frames
from telemetry.decision import LocalDecision, encode_decision
from tests import district

DECISION = LocalDecision(
    id="0123456789abcdef",
    rule="fever",
    device="scanner",
    metric="skin_temperature",
    key="p1",
    onset_ms=1_795_000_000_000,
    guard="li",
    decided_ms=1_795_000_040_000,
    disposition="admit",
)


def vet(folder: Path, *texts: str) -> Group:
    catalogue, registry, _ = district.load(folder)
    vetter = Vetter(catalogue, registry, {}, is_guard=lambda name, site: (name, site) == ("li", "east"))
    nothing = (array("H"), array("q"), array("d"), array("B"))
    payload = frames.encode("gw-east", "epoch", 1, 1, frames.encode_columns("", *nothing, {}, (), texts))
    return vetter.vet([Message("gatehouse/v1/east/gw-east/frames", payload, 1, False)], DECISION.decided_ms)


def test_a_guards_decision_is_a_command_and_its_frame_is_receipted(tmp_path: Path) -> None:
    group = vet(tmp_path, encode_decision(DECISION))
    (command,) = group.commands
    assert (command["id"], command["action"], command["is_guard"]) == (
        "decision/gw-east/0123456789abcdef",
        "decided-locally",
        True,
    )
    assert list(group.receipts.values()) == [1]
    assert group.rejects == []


def test_who_is_no_guard_of_the_site_is_kept_out_and_told_of(tmp_path: Path) -> None:
    group = vet(tmp_path, encode_decision(DECISION).replace('"li"', '"mallory"'))
    assert [reject.reason for reject in group.rejects] == ["not-a-guard"]
    assert [command["is_guard"] for command in group.commands] == [False]


@pytest.mark.parametrize("text", ["", "{}", '{"id": 1}', encode_decision(DECISION).replace("scanner", "nowhere")])
def test_what_is_no_decision_costs_the_frame_nothing(tmp_path: Path, text: str) -> None:
    group = vet(tmp_path, text)
    assert group.commands == []
    assert group.rejects[0].reason in ("bad-value", "unknown-device")
    assert list(group.receipts.values()) == [1]
