"""One reading, and how readings become the columns of a frame. No numpy: gateways use it. Axis: N readings."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from telemetry.frames import READINGS_MAX, Gap, encode_columns
from telemetry.quality import Quality


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device said about one metric at one time."""

    device: str
    metric: str
    time_ms: int  # device clock, epoch milliseconds, UTC; the gateway's where the device has none
    value: float  # in the metric's unit, finite
    quality: Quality = Quality.GOOD
    key: str | None = None  # one passage of one person, so that a repeated scan is the same event


class SeriesGap(NamedTuple):
    """Readings of one series that were taken and are gone."""

    device: str
    metric: str
    first_ms: int
    last_ms: int
    missing: int
    reason: str


def encode_readings(
    readings: Sequence[Reading], gaps: Sequence[SeriesGap] = (), decisions: Sequence[str] = ()
) -> bytes:
    """Readings as a frame's encoded columns, in their order.

    Args:
        readings: (N,), at most `READINGS_MAX`; their names hold neither "/" nor a line break.
        gaps: What is missing for good.
        decisions: What guards decided at the gateway's own page, encoded (`telemetry.decision`).
    """
    assert len(readings) <= READINGS_MAX
    lines: dict[str, int] = {}
    index = array("H", [lines.setdefault(f"{r.device}/{r.metric}", len(lines)) for r in readings])
    named_gaps = [Gap(lines.setdefault(f"{gap.device}/{gap.metric}", len(lines)), *gap[2:]) for gap in gaps]
    return encode_columns(
        "\n".join(lines),
        index,
        array("q", [r.time_ms for r in readings]),
        array("d", [r.value for r in readings]),
        array("B", [r.quality for r in readings]),
        {number: r.key for number, r in enumerate(readings) if r.key is not None},
        named_gaps,
        decisions,
    )
