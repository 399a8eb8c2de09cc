"""Who guards are: asked by the core for what was decided at a gateway's page, and written into the file that page goes by."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa
import yaml

from api.access import Role
from api.people.sessions import pins
from api.people.users import everybody
from gatehouse.pki import put
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadConfiguration

_HEAD = "# Written by `gatehouse user guards`; write it again when a guard or a PIN changes. Keep it from others.\n"


class Guards:
    """Who may decide at which site's gates. While the database is away, who last did."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._known: dict[str, frozenset[str | None]] = {}

    def is_guard(self, name: str, site: str) -> bool:
        """Whether somebody is a guard of a site now."""
        try:
            with self._database.connect() as db:
                users = everybody(db)
        except DATABASE_AWAY:
            pass  # readings must not wait for it
        else:
            self._known = {
                user.name: frozenset(grant.site for grant in user.grants if grant.role is Role.GUARD) for user in users
            }
        return bool(self._known.get(name, frozenset()) & {site, None})


def write_guards(database: sa.Engine, site: str, out: Path) -> list[str]:
    """Write the guards of a site who have a PIN, for its gateway; their names. Raises BadConfiguration."""
    with database.connect() as db:
        hashes = {row.user: row.pin for row in db.execute(sa.select(pins))}
        users = everybody(db)
    found = [user.name for user in users if user.name in hashes and Role.GUARD in user.roles_at(site)]
    entries = [{"name": name, "pin": hashes[name]} for name in found]
    text = _HEAD + yaml.safe_dump({"site": site, "guards": entries}, sort_keys=False, allow_unicode=True)
    try:
        put(out, text.encode(), 0o600)
    except OSError as error:
        raise BadConfiguration(f"{out}: {os.strerror(error.errno or 0)}") from error
    return found
