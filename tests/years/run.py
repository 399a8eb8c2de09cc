"""Months of a small district in one process on virtual time: the core and the API's upkeep as they run, power cuts included.

Four times a day the gateways send what they measured by the hour, as MQTT packets into the core's own session; then each
part takes its turn: alarms, counts, history, notices, housekeeping, purges, reports, bills. What stands around a server is
played: who renews certificates and makes backups by night, a pager that answers, a broker that keeps retained messages, and
once a disk that is nearly full. Nothing else is touched by hand; what would have to be is an alarm that stands at the end.

The district lives in Europe/Berlin, so that each year has a day of 23 and one of 25 hours.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, NamedTuple
from unittest.mock import patch
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import yaml

from api.access import Role
from api.parts import Parts
from api.register.upkeep import purge
from api.register.visit import Measured, Person, Source, State, Visit
from api.reports.keeping import Keeper
from api.routes.bills import bill_of
from gatehouse import core as core_module
from gatehouse.api import make_parts
from gatehouse.backup import backup
from gatehouse.core import Core
from gatehouse.identities import make, renew
from gatehouse.pki import CERTIFICATE_DAYS
from gatehouse.settings import Settings, load_settings
from ingest.packets import publish
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.journal import Journal
from tests import district, dormitory

ZONE = ZoneInfo("Europe/Berlin")
HOUR_S, HOUR_MS, DAY_MS = 3600, 3_600_000, 86_400_000
SEGMENT_BYTES = 300_000  # of the journal: of a small district a large one would never be full
KEEP_MB = 1
KEEP_RAW_DAYS = 60
_TIDIES = 60  # pieces of housekeeping of history each time; while nothing comes the core does one twice a second
_KEPT_BACKUPS = 4
_SHIPS_EVERY_H = 6  # a gateway at the end of a line that is dear
_CONNECTED = b"\x20\x02\x01\x00" + b"\x90\x05\x00\x01\x01\x01\x01"  # CONNACK, SUBACK
_RULES = """
schedules:
  - {id: night, timezone: Europe/Berlin, weekly: [{from: "22:00", to: "06:00"}]}
rules:
  - id: drain-level
    type: level
    class: drain
    name: Drain nearly full
    metric: level
    relative_to: depth
    levels: [{severity: high, at_least: 0.7}]
    clear_after_s: 60
    notify: [pager]
  - id: fever
    type: level
    class: fever
    name: Fever
    metric: skin_temperature
    per_passage: true
    levels: [{severity: high, at_least: 37.3}]
    notify: [pager]
  - id: heater
    type: level
    class: dormitory
    name: Heater
    metric: power
    levels: [{severity: high, at_least: 1000}]
    schedule: night
    notify: [pager]
"""


class _Usage(NamedTuple):
    """As `shutil.disk_usage` says it."""

    total: int
    used: int
    free: int


class _Broker:
    """What the core publishes to: it keeps what is retained, as a broker does."""

    retained: ClassVar[dict[str, bytes]] = {}

    def __init__(self, *_: object) -> None:
        pass

    def publish(self, topic: str, payload: bytes, retained: bool) -> None:
        if retained:
            _Broker.retained.pop(topic, None)
            if payload:
                _Broker.retained[topic] = payload

    def close(self) -> None:
        pass


@dataclass
class Census:
    """What there is at one time: rows by table, files and bytes by folder, memory."""

    month: int
    rows: dict[str, int]
    files: dict[str, int]
    bytes: dict[str, int]
    memory_mb: float

    def figures(self) -> dict[str, float]:
        found: dict[str, float] = {f"rows of {name}": count for name, count in self.rows.items()}
        found |= {f"files of {name}": count for name, count in self.files.items()}
        return (
            found
            | {f"MB of {name}": size / 1e6 for name, size in self.bytes.items()}
            | {"MB of memory": self.memory_mb}
        )


@dataclass
class Outcome:
    """What came of it."""

    months: int
    censuses: list[Census]
    system_alarms: dict[str, list[bool]]  # "rule/subject" -> whether each that there was is still open
    nights: int  # on which a heater ran
    told_by_night: int  # times that the pager heard of a heater
    told_at_noon: int
    bills: list[str]
    day_hours: dict[
        str, tuple[int, int]
    ]  # readings (due, missing) of an hourly series on 29 February and where clocks change
    reports: dict[str, int]  # by kind, made in all
    renewed: int
    backups: int
    restarts: int
    trims: int  # of the journal
    readings: int
    raw_days: int  # of readings in history at the end, from the oldest to the newest
    took_s: float


class Years:
    """The district and the hours that it goes through."""

    def __init__(self, folder: Path, first: date, months: int, certificates_left_days: int) -> None:
        self._certificates_left_days = certificates_left_days
        self.folder = folder
        self.first = first
        self.months = months
        began = datetime(first.year, first.month, 1, tzinfo=ZONE)
        self.clock = ManualClock(round(began.timestamp() * 1000))
        self.config = folder / "gatehouse.yaml"
        self.notices: list[dict[str, Any]] = []
        self.free_percent = 60
        self.censuses: list[Census] = []
        self.renewed = self.backups = self.restarts = self.trims = self.readings = 0
        self.day_hours: dict[str, tuple[int, int]] = {}
        self.bills: list[str] = []
        self.nights = 0
        self._began_ms = self.clock.now_ms()
        self._gathered: list[bytes] = []  # what gateways have measured and not sent yet
        self._trimmed = 1  # the journal's first record

    # --- setting up -------------------------------------------------------------------------------------------------

    def write(self, pager_port: int) -> None:
        """The files of the district, and certificates that hold for a while yet."""
        district.write_district(self.folder)
        dormitory.write(self.folder)
        catalogue = self.folder / "catalogue" / "all.yaml"
        text = catalogue.read_text(encoding="utf-8")
        text = text.replace("{id: east, ", "{id: east, timezone: Europe/Berlin, ")
        text = text.replace("{id: west, ", "{id: west, timezone: Europe/Berlin, ")
        text = text.replace("{id: level, name: Level, unit: m,", "{id: level, name: Level, unit: m, interval_s: 3600,")
        catalogue.write_text(text, encoding="utf-8")
        (self.folder / "rules" / "all.yaml").write_text(_RULES, encoding="utf-8")
        pki = self.folder / "pki"
        tls = {"ca": str(pki / "ca.crt"), "certificate": str(pki / "{client_id}.pem")}
        url = f"http://127.0.0.1:{pager_port}/"
        settings: dict[str, Any] = {
            "broker": {"host": "localhost", "tls": tls},
            "channels": {"pager": {"url": url, "allow_networks": ["127.0.0.0/8"]}},
            "metrics": {"port": 0},
            "journal": {"keep_mb": KEEP_MB},
            "history": {"store": "parquet", "keep_raw_days": KEEP_RAW_DAYS, "keep_rollup_days": 150},
            "completeness": {"keep_days": 100},
            "reports": {"keep_days": 100},
            "register": {"keep_days": 30},
            "watch": {"pki": str(pki), "backups": str(self.folder / "backups"), "backup_hours": 200},
        }
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        age_days = CERTIFICATE_DAYS - self._certificates_left_days
        before = ManualClock(self.clock.now_ms() - age_days * DAY_MS)
        make(load_settings(self.config, {}), pki, ["localhost"], before)

    def start(self) -> None:
        """As after the power came back."""
        self.settings: Settings = load_settings(self.config, {})
        self.core = Core(self.settings, self.clock)
        self.session = self.core.subscriber._make_session()
        self.session.hello()
        self.session.feed(_CONNECTED)
        self.parts: Parts = make_parts(self.settings, self.clock)
        self.parts.register.check_key()
        self.keeper = Keeper(self.parts)

    def stop(self) -> None:
        """The power is gone: nothing is said, nothing is written any more."""
        self.core.journal.close()
        self.parts.register.close()

    # --- going on ---------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """All the months."""
        began_s = time.monotonic()
        self.start()
        self.parts.accounts.add_user("li", "a password of some length", [Role.ADMINISTRATOR], None)
        for kind, subject in (("day", "west"), ("month", "west"), ("bill", "dorm")):
            document = {
                "kind": kind,
                "site": "west",
                "subject": subject,
                "language": "en",
                "at": "06:00",
                "recipients": [],
            }
            self.parts.reports.begin(document, "li")
        end = _months_after(self.first, self.months)
        end_ms = round(datetime(end.year, end.month, 1, tzinfo=ZONE).timestamp() * 1000)
        self._back_up(self.first)
        local = self._local()
        while self.clock.now_ms() < end_ms:
            self._gathered += self._sent(local)
            if local.hour % _SHIPS_EVERY_H == 0:
                self._ship()
            self.clock.advance(HOUR_S - (self.clock.now_ms() % HOUR_MS) / 1000)
            before, local = local, self._local()
            if local.day != before.day:
                self._midnight(local)
        self._ship()
        return self._outcome(time.monotonic() - began_s)

    def _local(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, ZONE)

    def _ship(self) -> None:
        self.clock.advance(5)
        self.session.feed(b"".join(self._gathered))
        self._gathered = []
        self.trims += self.core.journal.first > self._trimmed
        self._trimmed = self.core.journal.first
        self._settle()

    def _settle(self) -> None:
        core = self.core
        for _ in range(2):
            self.clock.advance(6)
            while core.alerts.step():
                pass
            core._upkeep.step()
            for sender in core._senders.values():
                while sender.step():
                    pass
        while core.completeness.step():
            pass
        while core.history.step():
            pass
        for _ in range(_TIDIES):
            core.history.step()
        core.keep_house()
        self.keeper.turn()

    def _sent(self, local: datetime) -> Iterator[bytes]:
        """What the gateways send in this hour."""
        now_ms = self.clock.now_ms()
        number = (now_ms - self._began_ms) // HOUR_MS
        storm = local.day == 15 and 3 <= local.hour < 6
        east: list[dict[str, Any]] = [
            {"device": name, "metric": "level", "time": now_ms, "value": 1.6 if storm and name == "level-1" else 0.3}
            for name in ("level-1", "level-2")
        ]
        if local.hour == 8:
            fever = 38.0 if local.weekday() == 0 else 36.5
            east.append(
                {"device": "scanner", "metric": "skin_temperature", "time": now_ms, "value": fever, "key": f"p{number}"}
            )
        west: list[dict[str, Any]] = [
            {"device": name, "metric": "volume" if name[0] == "w" else "energy", "time": now_ms // HOUR_MS * HOUR_MS - 1000,
             "value": round(1000 + grows * number, 3)}
            for name, grows in dormitory.PER_HOUR.items()
        ]  # fmt: skip
        is_on = local.day == 10 and local.hour in (12, 23)  # once a month at noon, and once by night
        self.nights += is_on and local.hour == 23
        west.append({"device": "meter", "metric": "power", "time": now_ms, "value": 1500.0 if is_on else 20.0})
        for n, (site, gateway, readings) in enumerate((("east", "gw-east", east), ("west", "gw-west", west))):
            self.readings += len(readings)
            body = json.dumps({"readings": readings}).encode()
            yield publish(f"gatehouse/v1/{site}/{gateway}/readings", body, 1 + (2 * number + n) % 65_000)

    def _midnight(self, local: datetime) -> None:
        """What is done once a day, by the API and by the machine's own timers."""
        now_ms = self.clock.now_ms()
        today = local.date()
        parts = self.parts
        for n in range(3):
            parts.register.add(self._visit(today, n, now_ms), f"{today}-{n}")
        purge(parts.register, parts.accounts.audit, "system")
        parts.accounts.sessions.begin(parts.accounts.users()[0], "10.0.0.1")
        done = renew(self.folder / "pki", [], self.clock)
        self.renewed += sum("copy it" in line for line in done)
        if today.toordinal() % 7 == 0:
            self._back_up(today)
        days = (_months_after(self.first, self.months) - self.first).days
        self.free_percent = 4 if days // 3 <= (today - self.first).days < days // 3 + 3 else 60
        self._count_hours(today - timedelta(days=2))
        if today.day == 2 and today - timedelta(days=2) >= self.first:
            self._bill(_months_after(today.replace(day=1), -1))
        if today.day == 1:
            month = (today.year - self.first.year) * 12 + today.month - self.first.month
            self.stop()
            self.restarts += 1
            self.start()
            if 4 * month % self.months < 4:
                self.censuses.append(self._census(month))

    def _count_hours(self, day: date) -> None:
        """Readings due of an hourly series on days that are not like others; by then all of them have arrived."""
        hours = (_midnight_ms(day + timedelta(days=1)) - _midnight_ms(day)) // HOUR_MS
        if day >= self.first and (hours != 24 or (day.month, day.day) == (2, 29)):
            shown = self.parts.counts.day(self.parts.catalogue, ["east"], day, self.clock.now_ms())
            (level,) = [each for each in shown if each.device == "level-1"]
            self.day_hours[day.isoformat()] = (level.coverage.expected or 0, level.coverage.missing or 0)

    def _visit(self, day: date, n: int, now_ms: int) -> Visit:
        told = Person("Zhang", "Works", "Delivery", "Kitchen", temperature=Measured(36.5, now_ms, Source.TYPED))
        return Visit(
            id=f"v{day:%Y%m%d}{n}", seq=1, site="east", gate="lane", day=day.isoformat(), state=State.IN, announced_by=None,
            created_ms=now_ms, in_ms=now_ms, in_by="li", out_ms=None, out_by=None, person=told,
        )  # fmt: skip

    def _back_up(self, today: date) -> None:
        folder = self.folder / "backups"
        backup(self.config, folder / today.isoformat(), self.clock)
        self.backups += 1
        for old in sorted(folder.iterdir())[:-_KEPT_BACKUPS]:
            shutil.rmtree(old)

    def _bill(self, first: date) -> None:
        (building,) = self.parts.dormitories.buildings
        made = bill_of(self.parts, building, "west", f"{first:%Y-%m}", is_fresh=True)
        if made.state == "draft":
            self.parts.bills.issue(made.bill, "li", self.clock.now_ms(), self.parts.bills.months(building.place))
            self.bills.append(f"{first:%Y-%m}")

    # --- looking ----------------------------------------------------------------------------------------------------

    def _census(self, month: int) -> Census:
        rows: dict[str, int] = {}
        for url in (self.settings.database.url, self.settings.visitor_register.url):
            engine = open_database(url)
            with engine.connect() as db:
                for table in sa.inspect(engine).get_table_names():
                    rows[table] = db.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar_one()
            engine.dispose()
        data = self.folder / "data"
        places = {name: data / name for name in ("journal", "history", "reports")} | {
            "backups": self.folder / "backups"
        }
        places["certificates"] = self.folder / "pki"
        files = {name: [f for f in place.rglob("*") if f.is_file()] for name, place in places.items()}
        files["databases"] = list(data.glob("*.db*"))
        sizes = {name: sum(file.stat().st_size for file in found) for name, found in files.items()}
        rows["retained at the broker"] = len(_Broker.retained)
        memory_kb = int(Path("/proc/self/status").read_text(encoding="ascii").partition("VmRSS:")[2].split()[0])
        return Census(month, rows, {name: len(found) for name, found in files.items()}, sizes, memory_kb / 1000)

    def _raw_days(self) -> int:
        days = [
            date.fromisoformat(f.name.removeprefix("day=")) for f in (self.folder / "data").glob("history/kind=*/day=*")
        ]
        return (max(days) - min(days)).days + 1

    def _outcome(self, took_s: float) -> Outcome:
        engine = open_database(self.settings.database.url)
        with engine.connect() as db:
            system = db.exec_driver_sql("SELECT rule, device, is_open FROM alarm WHERE class = 'system'").all()
            kinds = db.exec_driver_sql("SELECT kind, count(*) FROM report WHERE state = 'made' GROUP BY kind").all()
        engine.dispose()
        alarms: dict[str, list[bool]] = {}
        for rule, device, is_open in system:
            alarms.setdefault(f"{rule}/{device}", []).append(bool(is_open))
        heard = [n for n in self.notices if n["rule"] == "heater" and n["what"] == "raised"]
        hours = [datetime.fromtimestamp(n["at_ms"] / 1000, ZONE).hour for n in heard]
        return Outcome(
            self.months, self.censuses, alarms, self.nights, sum(h in (22, 23, 0) for h in hours),
            sum(11 <= h <= 14 for h in hours), self.bills,
            self.day_hours, {row.kind: row[1] for row in kinds}, self.renewed, self.backups,
            self.restarts, self.trims, self.readings, self._raw_days(), took_s,
        )  # fmt: skip


def _midnight_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)


def _months_after(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


@contextmanager
def years(folder: Path, first: date, months: int, certificates_left_days: int = 395) -> Iterator[Years]:
    """A district that is ready to run, and what it needs of the world."""
    made = Years(folder, first, months, certificates_left_days)

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.notices.append(_heard(said, made.clock.now_ms()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pager)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def usage(_: object) -> _Usage:
        free = made.free_percent * 10_000_000_000
        return _Usage(1_000_000_000_000, 1_000_000_000_000 - free, free)

    _Broker.retained = {}
    try:
        with (
            patch.object(core_module, "Publisher", _Broker),
            patch.object(core_module, "Journal", partial(Journal, segment_bytes=SEGMENT_BYTES)),
            patch.object(shutil, "disk_usage", usage),
        ):
            made.write(server.server_port)
            yield made
            made.stop()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _heard(said: dict[str, Any], now_ms: int) -> dict[str, Any]:
    return {"rule": said["alarm"]["rule"], "what": said["what"], "at_ms": now_ms}
