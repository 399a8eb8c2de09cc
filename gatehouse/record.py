"""Users and the audit, opened for a command at the server."""

from __future__ import annotations

from api.accounts import Accounts
from api.audit import Audit
from gatehouse.migrate import migrate
from gatehouse.settings import Settings
from telemetry.clock import SystemClock
from telemetry.database import open_database


def open_accounts(settings: Settings) -> Accounts:
    """Users as they stand, in a database of this version."""
    migrate(settings.database.url)
    return Accounts(open_database(settings.database.url), SystemClock(), settings.api.session_hours)


def open_audit(settings: Settings) -> Audit:
    """The audit as it stands, in a database of this version."""
    return open_accounts(settings).audit
