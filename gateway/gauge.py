"""From what a level sensor says to the level of the water, and how far that can be trusted. No I/O, no device's protocol."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeFloat, PositiveFloat

from telemetry.catalogue import MetricName
from telemetry.quality import Quality

# NAMUR NE 43: a transmitter keeps within 3.8 to 20.5 mA while it measures, and goes to 3.6 or 21 mA when it fails.
_LOOP_MEASURES_MA = (3.8, 20.5)
_LOOP_FAILS_MA = (3.6, 21.0)


class Mount(BaseModel):
    """How a sensor that looks down on the water hangs. Level = height - distance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height_m: PositiveFloat  # of the sensor's face above the zero of the level
    blind_m: NonNegativeFloat = 0.25  # nearer than this it cannot measure: it repeats this distance, or says anything
    range_m: PositiveFloat = 10.0  # farther than this is an echo lost, which looks like an empty drain

    def level_m(self, distance_m: float) -> tuple[float, Quality]:
        """The level [m] for a distance [m].

        In the blind zone the level is suspect and not bad: the water may well have risen into it, and an alarm must not
        be lost to that. Beyond the range it is bad.
        """
        if distance_m >= self.range_m:
            return self.height_m - distance_m, Quality.BAD
        quality = Quality.SUSPECT if distance_m <= self.blind_m else Quality.GOOD
        return self.height_m - distance_m, quality


class CurrentLoop(BaseModel):
    """A 4-20 mA transmitter: what it measures at either end of its range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_4_ma: FiniteFloat
    at_20_ma: FiniteFloat

    def value(self, current_ma: float) -> tuple[float, Quality]:
        """What a current [mA] means, in the unit of the ends. Source: NAMUR NE 43.

        Between the limits of measuring and of failing the transmitter is saturated: its end, suspect. From the limits of
        failing on (a cut cable is 0 mA) the value is bad.
        """
        value = self.at_4_ma + (current_ma - 4.0) / 16.0 * (self.at_20_ma - self.at_4_ma)
        if not _LOOP_FAILS_MA[0] < current_ma < _LOOP_FAILS_MA[1]:
            return value, Quality.BAD
        if not _LOOP_MEASURES_MA[0] <= current_ma <= _LOOP_MEASURES_MA[1]:
            return value, Quality.SUSPECT
        return value, Quality.GOOD


def judge(value: float, loop: CurrentLoop | None, mount: Mount | None) -> tuple[float, Quality] | None:
    """What a value means out of a current loop and as the sensor hangs; the worse quality wins.

    Returns:
        None for a value beyond all numbers.
    """
    quality = Quality.GOOD
    if loop is not None:
        value, quality = loop.value(value)
    if mount is not None:
        value, of_mount = mount.level_m(value)
        quality = max(quality, of_mount)
    return (value, quality) if math.isfinite(value) else None


class Quantity(BaseModel):
    """How a raw value becomes a reading: value = raw * scale + offset, then out of a current loop, then hung."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: MetricName
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    invalid: tuple[float, ...] = ()  # raw values that mean "no measurement"
    mount: Mount | None = None  # of a distance; after scaling, in metres
    loop: CurrentLoop | None = None  # of a current; after scaling, in milliamperes

    def measure(self, raw: float) -> tuple[float, Quality] | None:
        """Value and quality; None when the device says that there is no measurement, or one beyond all numbers."""
        return None if raw in self.invalid else judge(raw * self.scale + self.offset, self.loop, self.mount)
