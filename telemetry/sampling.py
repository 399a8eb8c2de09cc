"""How often devices are to be read for a while: what the core asks of a gateway while something is going on there.

The word is retained at the broker, so that a gateway that comes back hears it, and ends by itself: a core that is gone for
good must not leave batteries to run down.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from telemetry.clock import TimeMs
from telemetry.errors import BadInput

FASTEST_S = 1.0
LASTS_MAX_S = 3600.0


class Sampling(msgspec.Struct, frozen=True):
    """Devices that are wanted more often than in their own rhythm; all others go by that again."""

    every_s: Mapping[str, float]  # by device
    for_s: float  # from `time_ms` on
    time_ms: TimeMs  # the core's

    def left_s(self, now_ms: int) -> float:
        """For how much longer it holds, at most as long as it was said for: a clock that is behind adds nothing."""
        return min(max(0.0, self.for_s - max(0, now_ms - self.time_ms) / 1000), LASTS_MAX_S)


_IN = msgspec.json.Decoder(Sampling)


def encode_sampling(sampling: Sampling) -> bytes:
    """As it is published."""
    return msgspec.json.encode(sampling)


def decode_sampling(payload: bytes) -> Sampling:
    """Read it back. Raises BadInput(bad-sampling)."""
    try:
        sampling = _IN.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("bad-sampling", f"not a word about sampling: {str(error)[:200]}") from error
    if wrong := [device for device, every_s in sampling.every_s.items() if not every_s >= FASTEST_S]:
        raise BadInput("bad-sampling", f"'{wrong[0][:64]}' more often than once in {FASTEST_S:g} s")
    return sampling
