"""What the routes are put together from; one object, made in `gatehouse.api` and handed to `make_app`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from alerts.calendar import Schedule
from alerts.notify.channels import Channel
from alerts.people import NOBODY, People
from api.alarms import Alarms
from api.backtests import Backtests
from api.dormitories.bills import Bills
from api.dormitories.building import Dormitories
from api.dormitories.cases import Cases
from api.dormitories.remembered import Remembered
from api.drains.cleaning import CleaningJobs
from api.duties import Duties
from api.events import Events
from api.handovers import Handovers
from api.instruments import Instruments
from api.masks import Masks
from api.newest import NewestReadings
from api.people.accounts import Accounts
from api.people.openid import OpenId
from api.register.reads import Reads
from api.register.store import Register
from api.reports.made import Reports
from api.rosters import Rosters
from api.rules import Rules
from api.visits import Visits
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayStates
from ingest.history.history import HistoryReader
from ingest.history.quarantine import Quarantine
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a route may read from or leave a wish with."""

    catalogue: Catalogue
    rules: Rules
    rosters: Rosters
    history: HistoryReader
    newest: NewestReadings
    quarantine: Quarantine
    counts: Completeness
    gateway_states: GatewayStates
    accounts: Accounts
    alarms: Alarms
    masks: Masks
    visits: Visits
    cleaning: CleaningJobs
    handovers: Handovers
    dormitories: Dormitories
    bills: Bills
    cases: Cases
    remembered: Remembered
    instruments: Instruments
    duties: Duties
    register: Register
    reads: Reads
    reports: Reports
    events: Events
    clock: Clock
    schedules: tuple[Schedule, ...] = ()
    people: People = NOBODY
    channels: Mapping[str, Channel] = field(default_factory=dict)
    backtests: Backtests | None = None
    openid: OpenId | None = None
    is_behind_https: bool = False
    is_insecure: bool = False  # started without TLS to the broker; every screen says so


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_parts)]
