"""How far a reading can be trusted, with QARTOD's meaning. Missing is the absence of a reading, not a code."""

from __future__ import annotations

from enum import IntEnum


class Quality(IntEnum):
    """0 good, 1 suspect, 2 bad. Only good readings clear an alarm; suspect ones may help to raise; bad ones do neither."""

    GOOD = 0
    SUSPECT = 1
    BAD = 2
