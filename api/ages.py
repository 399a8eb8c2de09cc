"""From when on something that is kept long is too old: by the days on which anybody was at work, not by the clock alone.

A clock that stands years ahead, and a server that was off for years, look the same: a long stretch in which nothing is on
record. Such a stretch counts as a month, and of what is kept for less than four months as a quarter of that. What is about
visitors is kept shorter and to the day, and has its own way (`api/register/age.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from api.audit import audit

_DAY_MS = 86_400_000
_IDLE_MAX_MS = 31 * _DAY_MS


def old_before_ms(db: sa.Connection, now_ms: int, keep_ms: int) -> int:
    """What is from before that moment is older than `keep_ms`."""
    idle_max_ms = min(_IDLE_MAX_MS, keep_ms // 4)
    day = audit.c.time_ms // min(_DAY_MS, keep_ms // 16)  # of what is kept for days alone, a part of one
    days = sa.select(sa.func.max(audit.c.time_ms)).where(audit.c.time_ms < now_ms).group_by(day).order_by(day.desc())
    at_ms, left_ms = now_ms, keep_ms
    for time_ms in db.execute(days).scalars():
        counted_ms = min(at_ms - time_ms, idle_max_ms)
        if counted_ms > left_ms:
            break
        at_ms, left_ms = time_ms, left_ms - counted_ms
    return at_ms - left_ms
