"""Old visits leave by themselves, while the API runs."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
import structlog

from api.audit import Audit
from api.register.store import Register

_EVERY_S = 3600.0
_log = structlog.get_logger("register")


def purge(register: Register, audit: Audit, actor: str) -> int:
    """Take out what is too old, and put it on record when there was something."""
    count = register.purge()
    if count:
        audit.record(actor, "register-purge", f"{count} visits older than {register.keep_days} days", "done")
    return count


async def keep_purged(register: Register, audit: Audit) -> None:
    """Purge until cancelled; a database that is away is tried again."""
    while True:
        try:
            await asyncio.to_thread(purge, register, audit, "system")
        except sa.exc.OperationalError as error:
            _log.warning("old visits could not be purged; trying again in an hour", error=str(error.orig))
        await asyncio.sleep(_EVERY_S)
