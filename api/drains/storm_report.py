"""What a storm did: rain, and of every manhole the peak, the warning it gave, and how fast somebody answered.

Times of alarms are those at which they were raised, which is when somebody could know; a lead is what was left from there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel

from api.contract import Named, named
from api.drains.network import LEVEL, RAIN, Network, Node
from api.drains.storms import Reached, find_storms, is_over, reached
from api.parts import Parts
from ingest.history.history import Aggregate, HistoryReader
from telemetry.catalogue import Device

STEP_MS = 300_000
"""Rain is summed up by five minutes; the peak intensity is that of such a step."""
_AFTER_MS = 6 * 3_600_000
"""How long after the rain the water is still the storm's."""
_LONGEST_MS = 7 * 86_400_000
_LEVEL_STEP_MS = 60_000
_WORK_MS = 7 * 86_400_000
"""Cleaning that was done so long after a storm is shown beside it."""


class StormShown(BaseModel):
    """A storm; `heard` is the share of it that the gauge reported, `is_over` whether six dry hours have passed."""

    start_ms: int
    end_ms: int
    depth_mm: float
    peak_mm_h: float
    heard: float
    is_over: bool


class Done(BaseModel):
    """Something that people did."""

    time_ms: int
    what: str
    actor: str | None
    note: str | None


class ManholeInStorm(BaseModel):
    """Metres above the invert. `lead_peak_s` and `lead_overflow_s`: from the first alarm to the peak, to the overflow."""

    place: str
    name: Named
    device: str | None
    depth_m: float
    readings: int
    before_m: float | None
    peak_m: float | None
    peak_ms: int | None
    share: float | None
    overflow_ms: int | None
    alarm: str | None
    alarm_ms: int | None
    lead_peak_s: float | None
    lead_overflow_s: float | None
    acknowledged_ms: int | None
    acknowledged_by: str | None
    response_s: float | None
    work: list[Done]


class StormReport(BaseModel):
    """A storm with its manholes, in the order of the flow, and the rain step by step."""

    network: str
    name: Named
    site: str
    timezone: str
    storm: StormShown
    until_ms: int
    every_ms: int
    rain_ms: list[int]
    rain_mm: list[float]
    manholes: list[ManholeInStorm]


def storms_between(history: HistoryReader, gauge: Device, start_ms: int, end_ms: int, now_ms: int) -> list[StormShown]:
    """Storms that began in [start, end), in the order of time."""
    # What began before belongs to the stretch before, and is only known from the dry hours between.
    first_ms = (start_ms - _LONGEST_MS) // STEP_MS * STEP_MS
    last_ms = min(now_ms, end_ms + _LONGEST_MS)
    read = (gauge.kind, gauge.id, RAIN, first_ms, last_ms, STEP_MS)
    mean = history.read(*read, Aggregate.MEAN)
    found = find_storms(mean.time_ms, mean.value, STEP_MS)
    shown = []
    for start, end, depth, heard in zip(
        found.start_ms.tolist(), found.end_ms.tolist(), found.depth_mm.tolist(), found.heard.tolist(), strict=True
    ):
        if start_ms <= start < end_ms:
            during = (mean.time_ms >= start) & (mean.time_ms < end)
            shown.append(
                StormShown(
                    start_ms=start,
                    end_ms=min(end, now_ms),
                    depth_mm=depth,
                    peak_mm_h=float(mean.value[during].max()),
                    heard=min(heard, 1.0),
                    is_over=is_over(mean.time_ms, end, now_ms, STEP_MS),
                )
            )
    return shown


def report(parts: Parts, network: Network, start_ms: int, now_ms: int, overflow_share: float) -> StormReport | None:
    """The report of the storm that began then; None where none did."""
    assert network.gauge is not None
    found = storms_between(parts.history, network.gauge, start_ms, start_ms + 1, now_ms)
    if not found:
        return None
    storm = found[0]
    until_ms = min(storm.end_ms + _AFTER_MS, now_ms)
    gauge = network.gauge
    rain = parts.history.read(gauge.kind, gauge.id, RAIN, start_ms, storm.end_ms, STEP_MS, Aggregate.MEAN)
    devices = [node.device.id for node in network.nodes if node.device is not None]
    alarms = parts.alarms.begun_between(devices, start_ms, until_ms)
    jobs = parts.cleaning.done_between(network.place.id, start_ms, until_ms + _WORK_MS)
    name = network.place.name
    return StormReport(
        network=network.place.id,
        name=named(name),
        site=network.site,
        timezone=parts.catalogue.site[network.site].timezone,
        storm=storm,
        until_ms=until_ms,
        every_ms=STEP_MS,
        rain_ms=rain.time_ms.tolist(),
        rain_mm=(rain.value * STEP_MS / 3_600_000).tolist(),
        manholes=[
            _manhole(
                parts,
                node,
                [a for a in alarms if node.device is not None and a["device"] == node.device.id],
                [j for j in jobs if j["place"] == node.place.id],
                (start_ms, until_ms),
                overflow_share,
            )
            for node in network.nodes
        ],
    )


def _manhole(
    parts: Parts,
    node: Node,
    alarms: list[dict[str, Any]],
    jobs: list[dict[str, Any]],
    span: tuple[int, int],
    overflow_share: float,
) -> ManholeInStorm:
    device, depth_m = node.device, node.drain.depth_m
    seen = reached_by(parts.history, device, span, overflow_share * depth_m)
    about_water = [alarm for alarm in alarms if alarm["class"] != "sensor"]
    first = min(about_water, key=lambda alarm: alarm["raised_ms"], default=None)
    answered = min(
        (step for alarm in about_water for step in alarm["steps"] if step["what"] == "acknowledged"),
        key=lambda step: step["known_ms"],
        default=None,
    )
    peak_ms, overflow_ms = seen[1].peak_ms, seen[1].overflow_ms
    raised_ms = None if first is None else int(first["raised_ms"])
    work = [
        Done(time_ms=step["known_ms"], what=step["what"], actor=step["actor"], note=step["note"])
        for alarm in alarms
        for step in alarm["steps"]
        if step["actor"] is not None and (step["note"] or step["what"] in ("acknowledged", "assigned"))
    ]
    work += [
        Done(time_ms=job["done_ms"], what="cleaned", actor=job["done_by"], note=job["done_note"] or None)
        for job in jobs
    ]

    def since_alarm_s(time_ms: int | None) -> float | None:
        return None if raised_ms is None or time_ms is None else (time_ms - raised_ms) / 1000

    return ManholeInStorm(
        place=node.place.id,
        name=named(node.place.name),
        device=None if device is None else device.id,
        depth_m=depth_m,
        readings=seen[0],
        before_m=seen[1].before_m,
        peak_m=seen[1].peak_m,
        peak_ms=peak_ms,
        share=None if seen[1].peak_m is None else seen[1].peak_m / depth_m,
        overflow_ms=overflow_ms,
        alarm=None if first is None else first["id"],
        alarm_ms=raised_ms,
        lead_peak_s=since_alarm_s(peak_ms),
        lead_overflow_s=since_alarm_s(overflow_ms),
        acknowledged_ms=None if answered is None else answered["known_ms"],
        acknowledged_by=None if answered is None else answered["actor"],
        response_s=None if answered is None else since_alarm_s(answered["known_ms"]),
        work=sorted(work, key=lambda done: done.time_ms),
    )


def reached_by(
    history: HistoryReader, device: Device | None, span: tuple[int, int], limit_m: float
) -> tuple[int, Reached]:
    """(how many minutes were heard, what the level came to) within a stretch of time."""
    if device is None or span[1] <= span[0]:
        return 0, reached(np.empty(0, np.int64), np.empty(0), limit_m)
    curve = history.read(device.kind, device.id, LEVEL, *span, _LEVEL_STEP_MS, Aggregate.MAX)
    return len(curve.time_ms), reached(curve.time_ms, curve.value, limit_m)
