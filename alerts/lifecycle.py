"""The condition of every limit of every rule on every series, advanced by one observation at a time.

An instance is one limit (a level of a rule) on one series. It sees whether the value breaches the limit, and whether
what it sees has lasted long enough to act on ("held"): for `raise_after_ms` and m of the last n readings before it fires,
for `clear_after_ms` and so many quiet readings in a row before it is over. While it fires the bar to stay is the clear
limit, not the raise limit (hysteresis). A quiet reading ends the waiting of a breach, unless m of n is asked for: then it
goes on as long as one of the last n readings breached. An observation that is missing, bad, or doubtful and quiet is no
observation: it is not shown to `step` at all, so silence moves nothing. Severity is not in here: a rule with three levels
is three instances, and its alarm is as severe as the highest that fires.

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
Counts = NDArray[np.uint8]
Rings = NDArray[np.uint64]

READINGS_MAX = 64  # that an instance can look back on: one bit each


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
        [NORMAL,   PENDING,    PENDING, FIRING],  # PENDING; quiet and held: m of n can still come
        [CLEARING, NORMAL,     FIRING,  FIRING],  # FIRING
        [CLEARING, NORMAL,     FIRING,  FIRING],  # CLEARING
    ],
    dtype=np.uint8,
)  # fmt: skip


_NONE, _ONE, _ALL, _WIDTH = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1), np.uint64(READINGS_MAX)


@dataclass(frozen=True, slots=True)
class Limits:
    """What instances are held to, (I,). Values are turned so that higher is always worse."""

    raise_at: Floats  # breaches at or above
    clear_below: Floats  # is over below; at most raise_at
    raise_after_ms: Times
    raise_count: Counts  # m readings that breach …
    raise_of: Counts  # … of the last n; in a row where both are the same
    clear_after_ms: Times
    clear_count: Counts  # quiet readings in a row

    def of(self, instances: NDArray[np.intp]) -> Limits:
        """The limits of some instances."""
        return Limits(
            self.raise_at[instances],
            self.clear_below[instances],
            self.raise_after_ms[instances],
            self.raise_count[instances],
            self.raise_of[instances],
            self.clear_after_ms[instances],
            self.clear_count[instances],
        )


def step(
    state: States, since_ms: Times, ring: Rings, value: Floats, time_ms: Times, limits: Limits
) -> tuple[States, Times, Rings]:
    """Advance instances by one observation each.

    Args:
        state: `State` codes, (I,).
        since_ms: When the current state began, (I,), epoch milliseconds, event time.
        ring: The last observations as bits, newest lowest, (I,): while PENDING, which breached; while CLEARING, the quiet
            ones since. Nothing in other states.
        value: The observation, (I,), turned so that higher is worse; finite or infinite, never NaN.
        time_ms: Its event time, (I,).
        limits: (I,).

    Returns:
        The next state, since_ms and ring, (I,). The inputs are not modified.
    """
    alarmed = state >= FIRING
    breach = value >= np.where(alarmed, limits.clear_below, limits.raise_at)
    waits = (state == PENDING) | (state == CLEARING)
    elapsed_ms = np.where(waits, time_ms - since_ms, 0)
    bits = (np.where(waits, ring, _NONE) << _ONE) | np.where(breach != alarmed, _ONE, _NONE)
    breaches = bits & (_ALL >> (_WIDTH - limits.raise_of))
    raise_held = (elapsed_ms >= limits.raise_after_ms) & (np.bitwise_count(breaches) >= limits.raise_count)
    may_come = (limits.raise_of > limits.raise_count) & (breaches != _NONE)
    # A state that is entered now has lasted no time: only a zero delay is held at once. For a breach that interrupts
    # clearing nothing needs to hold; the table keeps it firing either way.
    clear_held = (np.where(state == CLEARING, elapsed_ms, 0) >= limits.clear_after_ms) & (
        np.bitwise_count(bits) >= limits.clear_count
    )
    held = np.where(breach, raise_held, np.where(alarmed, clear_held, may_come))

    next_state = STEP[state, 2 * breach + held]
    next_ring = np.where(alarmed, bits, breaches)
    next_ring[(next_state == NORMAL) | (alarmed & breach)] = _NONE
    # An alarm that fires after PENDING began when PENDING began: its onset is kept. The engine reads it at that moment.
    return next_state, np.where(next_state == state, since_ms, time_ms), next_ring


def has_enough(ring: Rings, limits: Limits) -> Masks:
    """Waiting instances that have breached often enough, the last time included: only time is still to pass, (I,)."""
    breaches = ring & (_ALL >> (_WIDTH - limits.raise_of))
    found: Masks = (np.bitwise_count(breaches) >= limits.raise_count) & ((ring & _ONE) != _NONE)
    return found


def breached_again(ring: Rings, limits: Limits) -> Rings:
    """One more breach among the last observations of instances that wait, (I,)."""
    found: Rings = ((ring << _ONE) | _ONE) & (_ALL >> (_WIDTH - limits.raise_of))
    return found


def changes_nothing(state: States, value: Floats, limits: Limits) -> Masks:
    """Observations that leave an instance in NORMAL or FIRING exactly where it is, (I,): most of all there ever are."""
    rests = (state == NORMAL) & (value < limits.raise_at)
    fires_on = (state == FIRING) & (value >= limits.clear_below)
    idle: Masks = rests | fires_on
    return idle
