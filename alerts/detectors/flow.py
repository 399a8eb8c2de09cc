"""How fast a register runs: a leak that never rests, and a burst.

Both cut what a register adds into stretches of a given length or a little more. What is unknown (a reset, a replaced
meter) and a gap in which the register moved begin a new stretch, so that neither can raise an alarm; a gap in which it did
not move is a standstill like any other, because a register forgets nothing.

Axes: m readings of one round, V watched series, H hours kept. Source: reference/alarms.md §4.3, M4 and M5, after Kamstrup's
flowIQ (leak: no full hour without flow in 24 h) and AquaCUE (estimated readings neither raise nor clear).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.detector import UNSET_MS
from alerts.detectors.registers import HOUR_MS, RegisterRule, Registers
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times

_HOURS = 24  # stretches of which the least flow counts


class ContinuousFlowRule(RegisterRule):
    """Flow that never rests: limits are the least hourly flow since the last standstill, in the metric's unit an hour."""

    type: Literal["continuous-flow"]
    shown: ClassVar[Shown | None] = Shown(
        "It never stands still; least flow of an hour", "持续流量，小时最小流量", "{unit}/h", 3
    )
    window_s: float = Field(default=86_400.0, gt=0)  # how long without a standstill
    standstill_s: float = Field(default=3_000.0, gt=0)  # an hour, less what an hourly reading may come early
    still_digits: int = Field(default=1, ge=0)  # last digits that a register may grow by and still stand still
    gap_max_s: float = Field(default=7_200.0, gt=0)  # between readings, while the register moves


class BurstRule(RegisterRule):
    """A flow that is too high, in the metric's unit an hour; `raise_after_s` says for how long."""

    type: Literal["burst"]
    shown: ClassVar[Shown | None] = Shown("Flow", "流量", "{unit}/h", 3)
    over_s: float = Field(default=60.0, gt=0)  # flow is what was added over at least so long
    gap_max_s: float = Field(default=1_800.0, gt=0)  # between readings


def continuous_flow_detector(rule: ContinuousFlowRule, concerned: Indexes, world: World) -> ContinuousFlowDetector:
    """The least hourly flow of registers that never rest."""
    return ContinuousFlowDetector(rule, concerned, world)


def burst_detector(rule: BurstRule, concerned: Indexes, world: World) -> BurstDetector:
    """The flow of each register."""
    return BurstDetector(rule, concerned, world)


class Stretch:
    """What each register has added since the stretch it is in began."""

    def __init__(self, watched: int, name: str) -> None:
        self._name = name
        self.start_ms: Times = np.full(watched, UNSET_MS, np.int64)
        self.grown: Floats = np.zeros(watched)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {f"{self._name}_ms": self.start_ms, f"{self._name}_grown": self.grown}

    def begin(self, at: Indexes, time_ms: Times) -> None:
        """Begin anew with a reading."""
        self.start_ms[at], self.grown[at] = time_ms, 0.0


class BurstDetector(RoundsDetector):
    """Flow over the last stretch of at least `over_s`, where no gap and no reset lies in it."""

    good_only = True

    def __init__(self, rule: BurstRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._registers = Registers(rule, concerned, world)
        self._stretch = Stretch(len(concerned), "stretch")
        self._over_ms, self._gap_max_ms = round(rule.over_s * 1000), round(rule.gap_max_s * 1000)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {**self._registers.columns, **self._stretch.columns}

    def _step(self, now: Round) -> Floats:
        steps = self._registers.take(now)
        stretch, at = self._stretch, now.at
        broken = np.isnan(steps.amount) | (now.time_ms - steps.before_ms > self._gap_max_ms)
        grown = stretch.grown[at] + np.where(broken, 0.0, steps.amount)
        elapsed_ms = now.time_ms - np.where(broken, now.time_ms, stretch.start_ms[at])
        is_whole = ~broken & (elapsed_ms >= self._over_ms)
        flow = np.where(is_whole, grown * HOUR_MS / np.maximum(elapsed_ms, 1), np.nan)
        stretch.grown[at] = grown
        stretch.begin(at[broken | is_whole], now.time_ms[broken | is_whole])
        return flow


class ContinuousFlowDetector(RoundsDetector):
    """Whether each register has moved in every hour of `window_s`, and in which of them least.

    A standstill is a stretch from one reading to a later one, of `standstill_s` or more, in which the register grew by no
    more than `still_digits`. Its signal is 0, at every reading that finds one. Without one since `window_s` the signal is
    the least flow of the last 24 stretches of that length; before, there is none.
    """

    good_only = True

    def __init__(self, rule: ContinuousFlowRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._registers = Registers(rule, concerned, world)
        self._still, self._hour = Stretch(len(concerned), "still"), Stretch(len(concerned), "hour")
        self._moving_ms: Times = np.full(len(concerned), UNSET_MS, np.int64)  # since when it never rested
        self._least = np.full((len(concerned), _HOURS), np.inf, np.float32)  # oldest first
        self._window_ms, self._gap_max_ms = round(rule.window_s * 1000), round(rule.gap_max_s * 1000)
        self._standstill_ms = round(rule.standstill_s * 1000)
        self._still_most = (rule.still_digits + 0.5) * self._registers.last_digit

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {"moving_ms": self._moving_ms, "least": self._least}
        return {**self._registers.columns, **self._still.columns, **self._hour.columns, **own}

    def _step(self, now: Round) -> Floats:
        steps = self._registers.take(now)
        at = now.at
        gapped = now.time_ms - steps.before_ms > self._gap_max_ms
        broken = np.isnan(steps.amount) | (gapped & (steps.amount >= self._still_most[at]))
        self._begin(broken, now)
        amount = np.where(broken, 0.0, steps.amount)

        still = self._still
        still.grown[at] += amount
        moved = still.grown[at] >= self._still_most[at]
        still.begin(at[moved], now.time_ms[moved])
        rests = ~moved & (now.time_ms - still.start_ms[at] >= self._standstill_ms)

        hour = self._hour
        hour.grown[at] += amount
        elapsed_ms = now.time_ms - hour.start_ms[at]
        ends = ~rests & (elapsed_ms >= self._standstill_ms)
        ended = at[ends]
        self._least[ended, :-1] = self._least[ended, 1:]
        self._least[ended, -1] = hour.grown[ended] * HOUR_MS / elapsed_ms[ends]
        hour.begin(ended, now.time_ms[ends])

        resting = at[rests]
        self._moving_ms[resting], self._least[resting] = now.time_ms[rests], np.inf
        hour.begin(resting, now.time_ms[rests])
        never_rests = ~rests & (now.time_ms - self._moving_ms[at] >= self._window_ms)
        return np.select([rests, never_rests], [0.0, self._least[at].min(axis=1).astype(np.float64)], np.nan)

    def _begin(self, which: Masks, now: Round) -> None:
        at, time_ms = now.at[which], now.time_ms[which]
        self._still.begin(at, time_ms)
        self._hour.begin(at, time_ms)
        self._moving_ms[at], self._least[at] = time_ms, np.inf
