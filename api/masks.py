"""Masks as the API reads them: what people shelved, put into maintenance or out of service."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alerts.store import masks
from api.access import User
from telemetry.catalogue import Catalogue

_PARTS = ("id", "kind", "owner", "reason", "from_ms", "until_ms", "ended_ms", "rule", "device", "metric", "key")


class Masks:
    """Reads the alert core's table of masks."""

    def __init__(self, database: sa.Engine, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    def page(
        self, user: User, state: str, limit: int, after: tuple[int, str] | None
    ) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """Newest first; state is in-force, ended or all."""
        query = sa.select(masks).order_by(masks.c.from_ms.desc(), masks.c.id)
        if state != "all":
            query = query.where(masks.c.ended_ms.is_(None) if state == "in-force" else masks.c.ended_ms.is_not(None))
        if after is not None:
            same = (masks.c.from_ms == after[0]) & (masks.c.id > after[1])
            query = query.where((masks.c.from_ms < after[0]) | same)
        # Which site a mask lies in is known by the catalogue alone, so what a user may not see is left out here.
        found: list[dict[str, Any]] = []
        with self._database.connect() as db:
            for row in db.execute(query):
                if self._is_seen(user, row, site := self.site_of(row.device, row.place, row.site)):
                    if len(found) == limit:
                        return found, (found[-1]["from_ms"], found[-1]["id"])
                    found.append(_shown(row, site))
        return found, None

    def one(self, user: User, mask: str) -> dict[str, Any] | None:
        """A mask, as far as a user may see it."""
        with self._database.connect() as db:
            row = db.execute(sa.select(masks).where(masks.c.id == mask)).first()
        if row is None or not self._is_seen(user, row, site := self.site_of(row.device, row.place, row.site)):
            return None
        return _shown(row, site)

    def site_of(self, device: str | None, place: str | None, site: str | None) -> str | None:
        """Where a mask applies; None for everywhere, or where what it names has left the catalogue."""
        if device in self._catalogue.device:
            return self._catalogue.site_of(str(device))
        if device in self._catalogue.gateway:
            return self._catalogue.gateway[str(device)].site
        if place in self._catalogue.place:
            return self._catalogue.site_of_place(str(place))
        return site

    def _is_seen(self, user: User, row: Any, site: str | None) -> bool:
        if site is not None:
            return user.sees(site)
        # What has left the catalogue was of one site, nobody knows of which; a mask that names no such thing is everybody's.
        return user.sites is None or (row.device is None and row.place is None)


def _shown(row: Any, site: str | None) -> dict[str, Any]:
    more = {"place": row.place, "site": site, "one_shot": row.one_shot}
    return {name: getattr(row, name) for name in _PARTS} | more
