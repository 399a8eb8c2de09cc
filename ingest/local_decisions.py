"""Decisions that guards took at a gateway's own page: each becomes a command for the engine.

Whether its guard is one is asked when it comes and goes into the journal with it, so that the journal read again says the
same. A decision of somebody who is none is kept out with a reason, and told to the engine as what it is.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from telemetry.decision import LocalDecision

IsGuard = Callable[[str, str], bool]
"""(name, site) -> whether they may decide at the gates of the site."""


def nobody(_name: str, _site: str) -> bool:
    """Where nobody says who guards are there are none."""
    return False


def decided_locally(gateway: str, decision: LocalDecision, is_guard: bool) -> dict[str, object]:
    """The command that tells the engine."""
    return {
        "id": f"decision/{gateway}/{decision.id}",
        "action": "decided-locally",
        "gateway": gateway,
        "decision": msgspec.to_builtins(decision),
        "is_guard": is_guard,
    }
