"""The condition of every limit of every rule on every series, advanced by one observation at a time.

An instance is one limit (a level of a rule) on one series. It sees whether the value breaches the limit, and whether
what it sees has lasted long enough to act on ("held"): for `raise_after_ms` and `raise_count` readings before it fires,
for `clear_after_ms` before it is over. While it fires the bar to stay is the clear limit, not the raise limit
(hysteresis). An observation that is missing, bad, or doubtful and quiet is no observation: it is not shown to `step` at
all, so silence moves nothing. Severity is not in here: a rule with three levels is three instances, and its alarm is as
severe as the highest that fires.

The table is the semantics; `step` only computes which column applies. Axis: I instances. Source: reference/alarms.md
§3.3 (C1-C7), with the levels taken apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Floats, Masks, Times

States = NDArray[np.uint8]
Counts = NDArray[np.uint16]


class State(IntEnum):
    """Where an instance stands."""

    NORMAL = 0
    PENDING = 1  # breaching, but not yet for long enough to disturb anyone
    FIRING = 2
    CLEARING = 3  # back inside the limit, but not yet for long enough to trust it


class Signal(IntEnum):
    """What an observation says: 2 * breach + held."""

    QUIET = 0
    QUIET_HELD = 1
    BREACH = 2
    BREACH_HELD = 3


# Plain numbers: numpy meets an enumeration's member by asking it what it can do, which costs more than the comparison.
NORMAL, PENDING, FIRING, CLEARING = (int(state) for state in State)
STEP: States = np.array(
    [
        # QUIET    QUIET_HELD  BREACH   BREACH_HELD
        [NORMAL,   NORMAL,     PENDING, FIRING],  # NORMAL
        [NORMAL,   NORMAL,     PENDING, FIRING],  # PENDING
        [CLEARING, NORMAL,     FIRING,  FIRING],  # FIRING
        [CLEARING, NORMAL,     FIRING,  FIRING],  # CLEARING
    ],
    dtype=np.uint8,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What instances are held to, (I,). Values are turned so that higher is always worse."""

    raise_at: Floats  # breaches at or above
    clear_below: Floats  # is over below; at most raise_at
    raise_after_ms: Times
    raise_count: Counts
    clear_after_ms: Times

    def of(self, instances: NDArray[np.intp]) -> Limits:
        """The limits of some instances."""
        return Limits(
            self.raise_at[instances],
            self.clear_below[instances],
            self.raise_after_ms[instances],
            self.raise_count[instances],
            self.clear_after_ms[instances],
        )


def step(
    state: States, since_ms: Times, streak: Counts, value: Floats, time_ms: Times, limits: Limits
) -> tuple[States, Times, Counts]:
    """Advance instances by one observation each.

    Args:
        state: `State` codes, (I,).
        since_ms: When the current state began, (I,), epoch milliseconds, event time.
        streak: Breaching observations in a row, (I,).
        value: The observation, (I,), turned so that higher is worse; finite or infinite, never NaN.
        time_ms: Its event time, (I,).
        limits: (I,).

    Returns:
        The next state, since_ms and streak, (I,). The inputs are not modified.
    """
    alarmed = state >= FIRING
    breach = value >= np.where(alarmed, limits.clear_below, limits.raise_at)
    waits = (state == PENDING) | (state == CLEARING)
    elapsed_ms = np.where(waits, time_ms - since_ms, 0)
    next_streak = np.where(breach, np.minimum(streak, 65_534) + 1, 0).astype(np.uint16)
    raise_held = (elapsed_ms >= limits.raise_after_ms) & (next_streak >= limits.raise_count)
    # A state that is entered now has lasted no time: only a zero delay is held at once. For a breach that interrupts
    # clearing nothing needs to hold; the table keeps it firing either way.
    clear_held = np.where(state == CLEARING, elapsed_ms, 0) >= limits.clear_after_ms
    held = np.where(breach, raise_held, clear_held)

    next_state = STEP[state, 2 * breach + held]
    # An alarm that fires after PENDING began when PENDING began: its onset is kept. The engine reads it at that moment.
    return next_state, np.where(next_state == state, since_ms, time_ms), next_streak


def changes_nothing(state: States, value: Floats, limits: Limits) -> Masks:
    """Observations that leave an instance in NORMAL or FIRING exactly where it is, (I,): most of all there ever are."""
    rests = (state == NORMAL) & (value < limits.raise_at)
    fires_on = (state == FIRING) & (value >= limits.clear_below)
    idle: Masks = rests | fires_on
    return idle
