"""Frames of 200 readings offered by a fixed plan, each made when it is due: what a core is fed with for minutes or hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import link, stream
from bench.report import steps

_LOT_S = 0.1  # frames are made and sent in lots of so much time


@dataclass(slots=True)
class Offered:
    """What was sent so far."""

    count: int = 0
    total_mm: int = 0  # sum of all values
    change_count: int = 0  # readings that changed a level: one rule each
    late_max_s: float = 0.0  # behind the plan


def feed(
    port: int,
    rate: float,
    seconds: float,
    series: int,
    change_share: float,
    look: Callable[[float], None],
    look_every_s: float,
    offered: Offered,
) -> None:
    """Offer `rate` readings a second of `series` in turn, for `seconds`; `offered` counts along, should ^C end it.

    Args:
        change_share: Of the readings, how many change a level.
        look: Called with the seconds that have passed.
    """
    levels, framer = stream.Levels(series, change_share), stream.Framer(series)
    number, look_at_s = 0, 0.0
    started_s, start_ms = time.monotonic(), time.time_ns() // 1_000_000
    every_s = series / rate  # a round: each series once
    with link.link(port, "bench-generator") as generator:
        for lot in steps(range(1, round(seconds / _LOT_S) + 1), "feeding the core"):
            packets: list[bytes] = []
            count, total_mm = 0, 0
            while number * every_s < lot * _LOT_S:
                row = levels.next_round()
                packets += framer.packets(row, start_ms + round(number * every_s * 1000))
                count += len(row)
                total_mm += stream.checksum_mm(row)
                number += 1
            wait_s = started_s + lot * _LOT_S - time.monotonic()
            time.sleep(max(0.0, wait_s))
            generator.publish_all(packets)
            offered.count += count
            offered.total_mm += total_mm
            offered.change_count = levels.change_count
            offered.late_max_s = max(offered.late_max_s, -wait_s)
            passed_s = time.monotonic() - started_s
            if passed_s >= look_at_s:
                look(passed_s)
                look_at_s += look_every_s
