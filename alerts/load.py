"""How alarms come over time: what is counted the same of a back-test and of what was told. Pure. Axis: N times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

FLOOD_ABOVE, FLOOD_BELOW, FLOOD_MS = 10, 5, 600_000  # ISA-18.2: more than 10 in 10 minutes, until fewer than 5
CHATTER_COUNT, CHATTER_MS = 3, 60_000


def flood_ms(times_ms: Sequence[int], end_ms: int) -> int:
    """How long it was a flood, of ascending times until `end_ms`."""
    inside: deque[int] = deque()
    total, begun_ms = 0, -1
    for now_ms in times_ms:
        begun_ms, total = _drain(inside, now_ms, begun_ms, total)
        inside.append(now_ms)
        if begun_ms < 0 and len(inside) > FLOOD_ABOVE:
            begun_ms = now_ms
    begun_ms, total = _drain(inside, end_ms, begun_ms, total)
    return total + (end_ms - begun_ms if begun_ms >= 0 else 0)


def peak(times_ms: Sequence[int], window_ms: int) -> int:
    """The most of them within any window, of ascending times."""
    inside: deque[int] = deque()
    most = 0
    for now_ms in times_ms:
        inside.append(now_ms)
        while inside[0] <= now_ms - window_ms:
            inside.popleft()
        most = max(most, len(inside))
    return most


def chatters(times_ms: Iterable[int]) -> bool:
    """Whether there are three steps within a minute."""
    ascending = sorted(times_ms)
    return any(b - a < CHATTER_MS for a, b in zip(ascending, ascending[CHATTER_COUNT - 1 :], strict=False))


def _drain(inside: deque[int], now_ms: int, begun_ms: int, total: int) -> tuple[int, int]:
    """Let go of what is more than ten minutes ago; a flood ends at the moment when fewer than five are left."""
    while inside and inside[0] <= now_ms - FLOOD_MS:
        gone_ms = inside.popleft() + FLOOD_MS
        if begun_ms >= 0 and len(inside) < FLOOD_BELOW:
            total += gone_ms - begun_ms
            begun_ms = -1
    return begun_ms, total
