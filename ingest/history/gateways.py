"""What every gateway last said about itself, kept so that it outlives the core and reaches the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from telemetry.database import metadata

states = sa.Table(
    "gateway_state",
    metadata,
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("is_online", sa.Boolean, nullable=False),
    sa.Column("spooled", sa.BigInteger),
    sa.Column("oldest_ms", sa.BigInteger),
    sa.Column("behind", sa.BigInteger),
    sa.Column("is_full", sa.Boolean),
    sa.Column("damaged_lanes", sa.BigInteger),
    sa.Column("heard_ms", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A gateway's own words; None where it did not say."""

    is_online: bool
    spooled: int | None  # frames it still holds
    oldest_ms: int | None  # of the oldest reading in them
    behind: int | None  # frames of an outage among them
    is_full: bool | None  # its disk budget is used up
    damaged_lanes: int | None  # of its spool, set aside because they cannot be read
    heard_ms: int


class GatewayStates:
    """Writes and reads them."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def all(self) -> dict[str, GatewayState]:
        """By gateway."""
        columns = [states.c[name] for name in GatewayState.__slots__]
        with self._database.connect() as db:
            return {row.gateway: GatewayState(*row[1:]) for row in db.execute(sa.select(states.c.gateway, *columns))}

    def keep(self, changed: Mapping[str, GatewayState]) -> None:
        """Write these anew."""
        with self._database.begin() as db:
            for gateway, state in changed.items():
                values = {name: getattr(state, name) for name in GatewayState.__slots__}
                if not db.execute(states.update().where(states.c.gateway == gateway).values(values)).rowcount:
                    db.execute(states.insert().values(gateway=gateway, **values))
