"""One reading, and how readings become the columns of a frame. No numpy: gateways use it. Axis: N readings."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from telemetry.frames import READINGS_MAX, encode_columns
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


def encode_readings(readings: Sequence[Reading]) -> bytes:
    """Readings as a frame's encoded columns, in their order.

    Args:
        readings: (N,), 1 to `READINGS_MAX` of them; their names hold neither "/" nor a line break.
    """
    assert 0 < len(readings) <= READINGS_MAX
    lines: dict[str, int] = {}
    index = array("H", [lines.setdefault(f"{r.device}/{r.metric}", len(lines)) for r in readings])
    return encode_columns(
        "\n".join(lines),
        index,
        array("q", [r.time_ms for r in readings]),
        array("d", [r.value for r in readings]),
        array("B", [r.quality for r in readings]),
        {number: r.key for number, r in enumerate(readings) if r.key is not None},
    )
