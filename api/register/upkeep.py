"""Old visits leave by themselves, while the API runs."""

from __future__ import annotations

import asyncio

import structlog

from api.audit import Audit
from api.register.store import Register
from telemetry.database import DATABASE_AWAY

_EVERY_S = 3600.0
_log = structlog.get_logger("register")


def purge(register: Register, audit: Audit, actor: str) -> int:
    """Take out what is too old, and put it on record when there was something, or when the clock is not believed."""
    belief = register.look_at_clock()
    if belief.doubted_ms is not None and belief.doubted_ms == belief.seen_ms:
        _log.warning(
            "the clock stands days away from where it was; no visit goes for that until it has stood there for three days",
            believed_ms=belief.believed_ms,
            clock_ms=belief.seen_ms,
        )
        audit.record(actor, "register-purge", f"visits older than {register.keep_days} days", "refused: clock")
    count = register.purge()
    if count:
        audit.record(actor, "register-purge", f"{count} visits older than {register.keep_days} days", "done")
    return count


async def keep_purged(register: Register, audit: Audit) -> None:
    """Purge until cancelled; a database that is away is tried again."""
    while True:
        try:
            await asyncio.to_thread(purge, register, audit, "system")
        except DATABASE_AWAY as error:
            _log.warning("old visits could not be purged; trying again in an hour", error=str(error))
        await asyncio.sleep(_EVERY_S)
