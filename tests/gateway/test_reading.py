"""Readings become the columns of a frame."""

from __future__ import annotations

from telemetry import frames
from telemetry.quality import Quality
from telemetry.reading import Reading, encode_readings


def test_readings_come_back_from_a_frame_as_they_were() -> None:
    readings = [
        Reading("gate-1", "skin_temperature", 1_700_000_000_123, 36.5, Quality.GOOD, "p1"),
        Reading("mh-1", "level", 1_700_000_000_124, -0.25, Quality.SUSPECT),
        Reading("gate-1", "skin_temperature", 1_700_000_000_125, 37.5, Quality.GOOD, "p2"),
    ]
    frame = frames.decode(frames.encode("gw-1", "e", 7, 3, encode_readings(readings)))
    lines = frame.names.split("\n")
    assert len(lines) == 2
    names = [lines[i].split("/") for i in frame.index]
    decoded = [
        Reading(device, metric, time_ms, value, Quality(quality), frame.keys.get(number))
        for number, ((device, metric), time_ms, value, quality) in enumerate(
            zip(names, frame.time_ms, frame.value, frame.quality, strict=True)
        )
    ]
    assert decoded == readings
    assert (frame.gateway, frame.epoch, frame.seq, frame.base) == ("gw-1", "e", 7, 3)
