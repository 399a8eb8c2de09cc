"""What devices do wrong, by name. Faults of the wire stand in `line`; those of one protocol with its device.

Source: reference/devices.md §1.6, §2, §3.6. Seconds count from the start of the device.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from firmware_sim.devices.line import Answer, Device, Talker
from firmware_sim.devices.quantities import Quantities

_DAY_MS = 86_400_000
COUNTERS = frozenset({"energy", "energy_reverse", "volume", "rain_total"})
"""The quantities that only grow, which a reset sets to zero."""


class _Fault(BaseModel):
    """On from `from_s` until `until_s`, in this share of the exchanges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_s: NonNegativeFloat = 0.0
    until_s: PositiveFloat | None = None
    share: float = Field(default=1.0, gt=0, le=1)

    def is_on(self, elapsed_s: float) -> bool:
        return self.from_s <= elapsed_s and (self.until_s is None or elapsed_s < self.until_s)


class Silence(_Fault):
    """No answer: a meter that is dead, asleep, or whose battery is empty."""

    fault: Literal["silence"]


class Slow(_Fault):
    """The answer comes so much later, perhaps into the next exchange."""

    fault: Literal["slow"]
    by_s: PositiveFloat


class WrongChecksum(_Fault):
    """The checksum is not that of the bytes."""

    fault: Literal["wrong-checksum"]


class CutOff(_Fault):
    """The answer ends in its middle."""

    fault: Literal["cut-off"]


class Reboot(_Fault):
    """Silent from `from_s` for so long, and then without its clock: it begins at 2000-01-01 again."""

    fault: Literal["reboot"]
    for_s: PositiveFloat


class ClockDrift(_Fault):
    """The clock gains so many seconds a day; negative ones lose."""

    fault: Literal["clock-drift"]
    s_per_day: float


class Reset(_Fault):
    """At `from_s` the counters begin at zero: cleared, or another meter in the same place."""

    fault: Literal["reset"]


class Frozen(_Fault):
    """What it measures stays as it was at `from_s`, while its clock goes on."""

    fault: Literal["frozen"]


Fault: TypeAlias = Annotated[
    Silence | Slow | WrongChecksum | CutOff | Reboot | ClockDrift | Reset | Frozen, Field(discriminator="fault")
]


class Misdeeds:
    """What the faults do to what a device says. `injected` counts them."""

    def __init__(self, faults: Sequence[Fault], start_ms: int, seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self._faults = tuple(faults)
        self._start_ms = start_ms
        self._rng = random.Random(seed)

    def done_to(self, answer: Answer, now_ms: int) -> Answer | None:
        """What comes of it; None where nothing is said."""
        elapsed_s = (now_ms - self._start_ms) / 1000
        for fault in self._faults:
            if not fault.is_on(elapsed_s) or self._rng.random() >= fault.share:
                continue
            match fault:
                case Silence():
                    self.injected[fault.fault] += 1
                    return None
                case Reboot() if elapsed_s < fault.from_s + fault.for_s:
                    self.injected[fault.fault] += 1
                    return None
                case Slow():
                    answer = replace(answer, after_s=answer.after_s + fault.by_s)
                case WrongChecksum() if answer.checksum_at is not None and answer.checksum_at < len(answer.data):
                    data = bytearray(answer.data)
                    data[answer.checksum_at] ^= self._rng.randrange(1, 256)
                    answer = replace(answer, data=bytes(data))
                case CutOff() if len(answer.data) > 1:  # a single byte has no middle
                    answer = replace(answer, data=answer.data[: self._rng.randrange(1, len(answer.data))], then=None)
                case _:
                    continue  # a fault of what is measured: see `with_faults`
            self.injected[fault.fault] += 1
        return answer


class Misbehaving:
    """Implements `Device`: another one, with faults in how it answers. `injected` counts them."""

    def __init__(self, device: Device, faults: Sequence[Fault], start_ms: int, seed: int) -> None:
        self._device = device
        self._misdeeds = Misdeeds(faults, start_ms, seed)
        self.injected = self._misdeeds.injected

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        answer = self._device.hear(burst, now_ms)
        return None if answer is None else self._misdeeds.done_to(answer, now_ms)


class MisbehavingTalker:
    """Implements `Talker`: another one, with faults in what it says unasked. `injected` counts them."""

    def __init__(self, talker: Talker, faults: Sequence[Fault], start_ms: int, seed: int) -> None:
        self.every_s = talker.every_s
        self._talker = talker
        self._misdeeds = Misdeeds(faults, start_ms, seed)
        self.injected = self._misdeeds.injected

    def speak(self, now_ms: int) -> Answer | None:
        said = self._talker.speak(now_ms)
        return None if said is None else self._misdeeds.done_to(said, now_ms)


def with_faults(quantities: Quantities, faults: Sequence[Fault], start_ms: int) -> Quantities:
    """What a device believes to measure."""

    def at(now_ms: int) -> Mapping[str, float]:
        seen_ms = now_ms
        for fault in faults:
            if isinstance(fault, Frozen) and fault.is_on((now_ms - start_ms) / 1000):
                seen_ms = start_ms + round(fault.from_s * 1000)
        values = dict(quantities(seen_ms))
        resets_ms = [start_ms + round(f.from_s * 1000) for f in faults if isinstance(f, Reset)]
        if past_ms := [at_ms for at_ms in resets_ms if at_ms <= seen_ms]:
            before = quantities(max(past_ms))
            for name in COUNTERS & values.keys():
                values[name] -= before[name]
        return values

    return at


@dataclass(frozen=True, slots=True)
class MeterClock:
    """The clock in a meter, which shows local time without a zone."""

    start_ms: int
    faults: tuple[Fault, ...] = ()
    utc_offset_h: float = 8.0

    def local(self, now_ms: int) -> datetime:
        """What it shows."""
        elapsed_s = (now_ms - self.start_ms) / 1000
        shown_ms = float(now_ms)
        for fault in self.faults:
            if isinstance(fault, ClockDrift) and elapsed_s > fault.from_s:
                shown_ms += (elapsed_s - fault.from_s) * 1000 * fault.s_per_day * 1000 / _DAY_MS
        for fault in self.faults:
            if isinstance(fault, Reboot) and elapsed_s >= fault.from_s + fault.for_s:
                return datetime(2000, 1, 1) + timedelta(seconds=elapsed_s - fault.from_s - fault.for_s)
        whole = datetime.fromtimestamp(shown_ms / 1000, UTC) + timedelta(hours=self.utc_offset_h)
        return whole.replace(tzinfo=None)
