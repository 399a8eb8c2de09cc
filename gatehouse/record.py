"""Users and the audit, opened for a command at the server."""

from __future__ import annotations

import sqlalchemy as sa

from api.audit import Audit
from api.people.accounts import Accounts
from gatehouse.migrate import migrate
from gatehouse.settings import Settings
from telemetry.clock import Clock, SystemClock
from telemetry.database import open_database


def open_accounts(settings: Settings) -> Accounts:
    """Users as they stand, in a database of this version."""
    migrate(settings.database.url)
    return make_accounts(settings, open_database(settings.database.url))


def make_accounts(settings: Settings, database: sa.Engine, clock: Clock | None = None) -> Accounts:
    """Users as the settings want them."""
    return Accounts(
        database,
        clock or SystemClock(),
        settings.api.session_hours,
        idle_hours=settings.api.session_idle_hours,
        requires_second_factor=settings.requires_second_factor,
    )


def open_audit(settings: Settings) -> Audit:
    """The audit as it stands, in a database of this version."""
    return open_accounts(settings).audit
