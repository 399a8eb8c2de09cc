"""The API process: FastAPI under uvicorn, over the database, the history and the broker. It never touches the journal."""

from __future__ import annotations

from functools import partial

import uvicorn
from fastapi import FastAPI

from alerts.notify.settings import make_channel
from alerts.people import load_people
from alerts.rules import load_rule_files
from api.alarms import Alarms
from api.app import make_app
from api.backtests import Backtests
from api.dormitories.bills import Bills
from api.dormitories.building import load_dormitories
from api.dormitories.cases import Cases
from api.dormitories.remembered import Remembered
from api.drains.cleaning import CleaningJobs
from api.duties import Duties, load_duties
from api.events import Events
from api.handovers import Handovers
from api.instruments import Instruments
from api.masks import Masks
from api.newest import NewestReadings
from api.parts import Parts
from api.people.openid import OpenId
from api.register.reads import Reads
from api.register.store import open_register
from api.reports.made import Reports
from api.rosters import Rosters
from api.rules import Rules
from api.visits import Visits
from gatehouse.admission import check_transport
from gatehouse.backtest import run_job
from gatehouse.identities import server_identities
from gatehouse.migrate import migrate
from gatehouse.record import make_accounts
from gatehouse.settings import ApiSettings, Settings
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayStates
from ingest.history.history import HistoryReader
from ingest.history.parquet_reader import ParquetReader
from ingest.history.quarantine import Quarantine
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock, SystemClock
from telemetry.database import open_database
from telemetry.memory import keep_what_stands

_CONNECTIONS_MAX = 2_000  # a screen has two; who comes after the last is told to try again


def run_api(settings: Settings) -> None:
    """Serve until stopped."""
    clock = SystemClock()
    check_transport(settings, server_identities(settings.client_id)[3:], clock)
    server = uvicorn.Server(server_config(make_app(make_parts(settings, clock)), settings.api))
    keep_what_stands()
    server.run()


def make_parts(settings: Settings, clock: Clock) -> Parts:
    """What the routes work with, the tables brought up to date. Raises BadConfiguration or Unavailable."""
    catalogue = Catalogue.load(settings.catalogue)
    migrate(settings.database.url)
    database = open_database(settings.database.url)
    alarms = Alarms(database, clock)
    history = _history_reader(settings)
    declared = load_rule_files(settings.rules, catalogue)
    accounts = make_accounts(settings, database, clock)
    people = load_people(settings.people)
    register = open_register(settings.visitor_register, clock)
    events = Events(settings.broker, f"{settings.client_id}-api", alarms, clock)
    return Parts(
        catalogue=catalogue,
        rules=Rules(database, declared.rules),
        rosters=Rosters(database, people),
        history=history,
        newest=NewestReadings(history, events.newest, clock),
        quarantine=Quarantine(database),
        counts=Completeness(database),
        gateway_states=GatewayStates(database),
        accounts=accounts,
        alarms=alarms,
        masks=Masks(database, catalogue),
        visits=Visits(database, clock),
        cleaning=CleaningJobs(database, clock),
        handovers=Handovers(database),
        dormitories=load_dormitories(settings.dormitories, catalogue),
        bills=Bills(database),
        cases=Cases(database),
        remembered=Remembered(history, clock),
        instruments=Instruments(database),
        duties=Duties(database, catalogue, load_duties(settings.duties, catalogue)),
        register=register,
        reads=Reads(register, accounts.audit, clock),
        reports=Reports(database, settings.reports.folder, clock, settings.reports.keep_days),
        events=events,
        clock=clock,
        schedules=declared.schedules,
        people=people,
        channels={name: make_channel(name, given, people, clock.now_ms) for name, given in settings.channels.items()},
        backtests=Backtests(partial(run_job, settings)),
        openid=None if settings.api.openid is None else OpenId(settings.api.openid, clock),
        is_behind_https=settings.api.is_behind_https,
        is_insecure=settings.insecure,
    )


def server_config(app: FastAPI, settings: ApiSettings) -> uvicorn.Config:
    """How the application is served, also to those who mean it harm."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="h11",  # it refuses what is ambiguous, where a proxy before us might have read it otherwise
        h11_max_incomplete_event_size=32_768,  # of a request's head
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=5,
        # A screen keeps its event stream open for hours; a stop must not wait for it.
        timeout_graceful_shutdown=2,
        log_level="warning",
        access_log=False,
    )


def _history_reader(settings: Settings) -> HistoryReader:
    if isinstance(settings.history, ParquetSettings):
        return ParquetReader(settings.history.folder)
    from ingest.history.influx_reader import InfluxReader

    return InfluxReader(settings.history)
