"""What became of an alarm, in the five words that its quality is counted by."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What a person says that an alarm was."""

    TRUE = "true"
    FALSE = "false"
    TEST = "test"
    DUPLICATE = "duplicate"
    NO_ACTION = "no-action"  # true, and there was nothing to do


# A guard decides about a person, and says with it what the scanner's alarm was worth.
_DECIDED = {"admit": Outcome.FALSE, "refuse": Outcome.TRUE, "refer": Outcome.TRUE}


def outcome_of(disposition: str | None) -> Outcome | None:
    """What a stored disposition says about its alarm; None where it says nothing."""
    if disposition in _DECIDED:
        return _DECIDED[disposition]
    return Outcome(disposition) if disposition in set(Outcome) else None
