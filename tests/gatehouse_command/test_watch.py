"""What is wrong with the core's machine becomes an alarm that ends by itself; each case with the thing really so."""

import json
import shutil
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import sqlalchemy as sa

from alerts.store import alarms, commands
from gatehouse import faults
from gatehouse.backup import backup
from gatehouse.core import Core
from gatehouse.faults import Disk, days_left
from gatehouse.identities import make, renew, server_identities
from gatehouse.settings import Settings, load_settings
from ingest import events
from ingest.packets import Message
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import ManualClock, is_synchronised
from telemetry.database import open_database
from telemetry.errors import Unavailable
from telemetry.journal import Kind, Record
from tests import district

DAY_S = 86_400
Usage = namedtuple("Usage", "total used free")


@dataclass
class Machine:
    """A core that looks at itself when told to."""

    core: Core
    clock: ManualClock
    settings: Settings

    def minutes(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(60)
            self.core._watch.look()
            self.core._tell_of_faults()
            for _ in range(3):
                self.clock.advance(1)  # commands are looked for now and then
                self.core.alerts.step()

    def alarms(self) -> dict[str, str]:
        with open_database(self.settings.database.url).connect() as db:
            rows = db.execute(sa.select(alarms).order_by(alarms.c.raised_ms)).all()
        return {f"{row.rule}/{row.device}": row.document["state"] for row in rows}

    def take(self, device_series: int, age_ms: int) -> None:
        now_ms = self.core._clock.now_ms()
        batch = ReadingBatch(
            np.array([device_series], np.uint32), np.array([now_ms - age_ms]), np.ones(1), np.zeros(1, np.uint8)
        )
        self.core.journal.append([Record(Kind.READINGS, now_ms, encode_batch(batch))])


def started(folder: Path, more: str = "", clock: ManualClock | None = None) -> Machine:
    config = folder / "gatehouse.yaml"
    if not config.exists():
        district.write_district(folder)
    with config.open("a") as file:
        file.write(more)
    clock = clock or ManualClock()
    settings = load_settings(config, {})
    return Machine(Core(settings, clock), clock, settings)


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The free bytes of every disk, of 1000."""
    free = [500]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 1000 - free[0], free[0]))
    yield free


def test_a_disk_that_fills_is_told_once_and_ends_only_with_room_to_spare(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    machine.minutes()
    assert machine.alarms() == {}
    usage[0] = 99
    machine.minutes(2)
    assert machine.alarms() == {"disk-low/journal": "open"}
    warnings = machine.core.readiness()["warnings"]
    assert isinstance(warnings, list)
    assert "10 %" in warnings[-1]["detail"] and warnings[-1]["code"] == "disk-low"
    usage[0] = 105  # over the limit, but not by much
    machine.minutes()
    assert machine.alarms() == {"disk-low/journal": "open"}
    usage[0] = 130
    machine.minutes()
    assert machine.alarms() == {"disk-low/journal": "closed"}
    machine.core.journal.close()


def test_a_core_that_starts_again_does_not_tell_anew_and_ends_what_is_over(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    usage[0] = 50
    machine.minutes()
    machine.core.journal.close()
    again = started(tmp_path, clock=machine.clock)
    again.minutes()
    with open_database(again.settings.database.url).connect() as db:
        assert len(db.execute(sa.select(alarms)).all()) == 1
    usage[0] = 500
    again.minutes()
    assert again.alarms() == {"disk-low/journal": "closed"}
    again.core.journal.close()


def test_what_was_mended_while_the_core_was_away_is_over_when_it_is_back(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    usage[0] = 50
    machine.minutes()
    machine.core.journal.close()
    usage[0] = 500
    again = started(tmp_path, clock=machine.clock)
    again.minutes()
    assert again.alarms() == {"disk-low/journal": "closed"}
    again.core.journal.close()


def test_what_comes_again_while_the_core_was_away_is_told_again(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    for free in (50, 500):
        usage[0] = free
        machine.minutes()
    machine.core.journal.close()
    usage[0] = 50
    again = started(tmp_path, clock=machine.clock)
    again.minutes()
    assert list(again.alarms().values()) == ["open"]  # the newer of the two
    again.core.journal.close()


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full")),
        sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_takes_nothing_more_leaves_it_to_readiness_and_is_told_later(
    tmp_path: Path, usage: list[int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    machine = started(tmp_path)
    usage[0] = 0

    def full(*_: object) -> bool:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(machine.core._store, "report", full)
        machine.minutes(2)
        assert machine.alarms() == {}
        warnings = machine.core.readiness()["warnings"]
        assert isinstance(warnings, list) and warnings[-1]["code"] == "disk-low"
    machine.minutes()
    assert machine.alarms() == {"disk-low/journal": "open"}
    machine.core.journal.close()


def test_a_core_whose_journal_takes_nothing_is_not_ready_and_goes_on_looking(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    usage[0] = 0
    machine.core.subscriber.refused = "database or disk is full"
    machine.core.journal.append([Record(Kind.TICK, machine.clock.now_ms(), b"connected")])
    with mock.patch.object(machine.core.journal, "read", side_effect=Unavailable("disk I/O error")):
        assert "disk-low" in {fault.alarm for fault in machine.core._watch.look()}
    readiness = machine.core.readiness()
    reasons = readiness["reasons"]
    assert isinstance(reasons, list) and "journal-refuses" in [reason["code"] for reason in reasons]
    assert not readiness["ready"]
    machine.core.journal.close()


def test_a_store_that_was_configured_once_keeps_nothing_in_the_journal(tmp_path: Path) -> None:
    machine = started(tmp_path)
    machine.core.journal.set_cursor("history-rollups", 1)
    machine.core.journal.close()
    again = started(tmp_path)
    assert "history-rollups" not in again.core.journal.cursors()
    again.core.journal.close()


def test_what_somebody_closed_is_not_raised_again_while_it_lasts(tmp_path: Path, usage: list[int]) -> None:
    machine = started(tmp_path)
    usage[0] = 50
    machine.minutes()
    with open_database(machine.settings.database.url).begin() as db:
        alarm = db.execute(sa.select(alarms)).one()
        body = {"action": "close", "alarm": alarm.id, "seq": alarm.seq, "actor": "li", "note": None}
        db.execute(commands.insert().values(id="c", created_ms=0, body=body, state="waiting"))
    machine.minutes(2)
    assert machine.alarms() == {"disk-low/journal": "closed"}
    usage[0] = 500
    machine.minutes()
    usage[0] = 50
    machine.minutes()
    assert list(machine.alarms().values()) == ["open"]
    machine.core.journal.close()


@pytest.mark.parametrize(
    ("samples", "left"),
    [
        ([], None),
        ([(0, 900)], None),
        ([(0, 900), (3600, 0)], None),  # too short to say
        ([(0, 900), (DAY_S, 900)], None),
        ([(0, 900), (DAY_S, 950)], None),
        ([(0, 900), (DAY_S, 600)], 2.0),
        ([(0, 900), (DAY_S / 2, 100), (2 * DAY_S, 500)], 2.5),
    ],
)
def test_days_left_come_from_what_the_disk_did_lately(samples: list[tuple[float, int]], left: float | None) -> None:
    assert days_left(samples) == left


def test_a_disk_with_room_that_fills_fast_is_low(tmp_path: Path) -> None:
    settings = load_settings(district.write_district(tmp_path), {})
    disk = Disk("journal", tmp_path, 500, 1000)
    assert faults.disk_faults(settings, [disk], {"journal": 8.0}) == []
    (fault,) = faults.disk_faults(settings, [disk], {"journal": 6.5})
    assert "full in about 6.5 days" in fault.detail
    assert faults.disk_faults(settings, [disk], {"journal": 8.0}, {"disk-low/journal"})


def test_a_disk_that_does_not_say_how_large_it_is_is_not_judged(tmp_path: Path) -> None:
    settings = load_settings(district.write_district(tmp_path), {})
    assert faults.disk_faults(settings, [Disk("backup", tmp_path, 0, 0)], {"backup": None}) == []


def test_certificates_of_ours_and_of_gateways_are_told_of_a_month_ahead_and_renewing_ends_it(tmp_path: Path) -> None:
    clock = ManualClock(1_700_000_000_000)
    file = district.write_district(tmp_path)
    settings = load_settings(file, {})
    make(settings, tmp_path / "pki", ["localhost"], clock)
    tls = "{ca: pki/ca.crt, certificate: 'pki/{client_id}.pem'}"
    machine = started(tmp_path, f"broker: {{host: localhost, tls: {tls}}}\nwatch: {{pki: pki}}\n", clock)
    clock.advance(699 * DAY_S)
    machine.minutes()
    assert machine.alarms() == {}
    clock.advance(3 * DAY_S)
    machine.minutes()
    names = ["broker", "gw-east", "gw-west", *server_identities("gatehouse-core")]
    assert machine.alarms() == {f"certificate-ends/{name}": "open" for name in sorted(names)}
    for name in ("gw-east", "gatehouse-core-api"):
        renew(tmp_path / "pki", [name], clock)
    machine.minutes()
    closed = [name for name, state in machine.alarms().items() if state == "closed"]
    assert sorted(closed) == ["certificate-ends/gatehouse-core-api", "certificate-ends/gw-east"]
    machine.core.journal.close()


def test_a_certificate_that_cannot_be_read_mends_nothing(tmp_path: Path) -> None:
    clock = ManualClock(1_700_000_000_000)
    make(load_settings(district.write_district(tmp_path), {}), tmp_path / "pki", ["localhost"], clock)
    tls = "{ca: pki/ca.crt, certificate: 'pki/{client_id}.pem'}"
    machine = started(tmp_path, f"broker: {{host: localhost, tls: {tls}}}\n", clock)
    clock.advance(710 * DAY_S)
    machine.minutes()
    (tmp_path / "pki" / "gatehouse-core.pem").write_text("no certificate")
    machine.minutes()
    assert set(machine.alarms().values()) == {"open"}
    machine.core.journal.close()


def test_what_a_gateway_says_of_its_disk_is_told_and_stands_while_it_cannot_be_heard(tmp_path: Path) -> None:
    machine = started(tmp_path)

    def says(**status: object) -> None:
        topic = "gatehouse/v1/east/gw-east/status"
        message = Message(topic, json.dumps(status).encode(), 1, False)
        machine.core._vetter.accept(machine.core._vetter.vet([message], machine.clock.now_ms()))
        machine.minutes()

    says(state="online", spooled=7, full=False, damaged_lanes=0)
    assert machine.alarms() == {}
    says(state="online", spooled=9000, full=True, damaged_lanes=1)
    assert machine.alarms() == {"spool-full/gw-east": "open", "spool-damaged/gw-east": "open"}
    (full, damaged) = machine.core._watch.faults
    assert "9000 frames wait" in full.detail and "1 lanes" in damaged.detail
    says(state="offline", spooled=9000)  # the broker says it for a gateway that is gone
    assert set(machine.alarms().values()) == {"open"}
    says(state="online", spooled=0, full=False, damaged_lanes=1)
    assert machine.alarms() == {"spool-full/gw-east": "closed", "spool-damaged/gw-east": "open"}
    says(state="online", spooled=0, full=False, damaged_lanes=0)
    assert set(machine.alarms().values()) == {"closed"}
    machine.core.journal.close()


def test_a_backup_that_is_missing_or_old_is_told_and_a_new_one_ends_it(tmp_path: Path) -> None:
    clock = ManualClock(time.time_ns() // 1_000_000)  # a backup says when it was made by the machine's clock
    machine = started(tmp_path, "watch: {backups: copies}\n", clock)
    machine.minutes()
    assert machine.alarms() == {"backup-old/copies": "open"}
    machine.core.history.step(is_stopping=True)
    backup(tmp_path / "gatehouse.yaml", tmp_path / "copies" / "today")
    machine.minutes()
    assert machine.alarms() == {"backup-old/copies": "closed"}
    (tmp_path / "copies" / "today" / "manifest.json").write_text("{}")  # being deleted
    machine.minutes()
    assert "open" in machine.alarms().values()
    machine.core.journal.close()


def test_a_backup_is_old_after_the_hours_that_were_set(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    with file.open("a") as opened:
        opened.write("watch: {backups: copies, backup_hours: 50}\n")
    made = tmp_path / "copies" / "one"
    made.mkdir(parents=True)
    manifest = {"format": 1, "made": "2026-01-01T08:00:00+08:00", "history": "parquet", "files": {}}
    (made / "manifest.json").write_text(json.dumps(manifest))
    settings, midnight_ms = load_settings(file, {}), 1_767_225_600_000
    assert faults.backup_faults(settings, midnight_ms + 50 * 3_600_000) == []
    ahead = tmp_path / "copies" / "made-by-a-clock-that-stood-ahead"
    ahead.mkdir()
    (ahead / "manifest.json").write_text(json.dumps(manifest | {"made": "2027-01-01T08:00:00+08:00"}))
    (fault,) = faults.backup_faults(settings, midnight_ms + 51 * 3_600_000)
    assert "51 hours old" in fault.detail


def test_a_machine_whose_clock_was_set_back_is_told_of(tmp_path: Path) -> None:
    machine = started(tmp_path)
    machine.minutes()
    machine.clock._now_ms -= DAY_S * 1000
    machine.core._clock.now_ms()  # as everybody asks all the time
    machine.minutes()
    assert machine.alarms() == {"clock-wrong/machine": "open"}
    machine.minutes(11)  # the new time stays: it is right
    assert machine.alarms() == {"clock-wrong/machine": "closed"}
    machine.core.journal.close()


def test_a_gateway_whose_live_readings_stay_old_has_another_clock(tmp_path: Path) -> None:
    machine = started(tmp_path)
    names = machine.core._watch._registry.names
    east, west = names.index(("level-1", "level")), names.index(("meter", "power"))
    for _ in range(9):
        machine.take(east, 400_000)
        machine.take(west, 1_000)
        machine.minutes()
    assert "clock-wrong/gw-east" not in machine.alarms()
    machine.take(east, 400_000)
    machine.minutes()
    assert machine.alarms()["clock-wrong/gw-east"] == "open"
    machine.minutes(3)  # nothing heard: nothing is known to be well
    assert machine.alarms()["clock-wrong/gw-east"] == "open"
    machine.take(east, 1_000)
    machine.minutes()
    assert machine.alarms()["clock-wrong/gw-east"] == "closed"
    assert "clock-wrong/gw-west" not in machine.alarms()
    machine.core.journal.close()


def test_readings_from_the_future_say_that_our_clock_is_behind(tmp_path: Path) -> None:
    machine = started(tmp_path)
    for _ in range(10):
        events.committed(10, 0.001)
        events.repaired("time-ahead", 6)
        machine.minutes()
    assert machine.alarms()["clock-wrong/core"] == "open"
    events.committed(10, 0.001)
    events.repaired("time-ahead", 1)
    machine.minutes()
    assert machine.alarms()["clock-wrong/core"] == "closed"
    machine.core.journal.close()


def test_a_clock_that_nobody_sets_is_told_of_where_somebody_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "is_synchronised", lambda: False)
    settings = load_settings(district.write_district(tmp_path), {})
    assert faults.ntp_faults(settings) == []
    expecting = settings.model_copy(update={"watch": settings.watch.model_copy(update={"expects_ntp": True})})
    (fault,) = faults.ntp_faults(expecting)
    assert fault.name == "clock-wrong/ntp"
    monkeypatch.setattr(faults, "is_synchronised", lambda: None)
    assert faults.ntp_faults(expecting) == []


def test_the_kernel_can_be_asked_whether_its_clock_is_kept_right() -> None:
    assert is_synchronised() in (True, False, None)


def test_yesterday_is_told_of_where_too_much_is_missing(tmp_path: Path) -> None:
    district.write_district(tmp_path)
    catalogue = tmp_path / "catalogue" / "all.yaml"
    catalogue.write_text(catalogue.read_text().replace("unit: m, plausible", "unit: m, interval_s: 60, plausible"))
    machine = started(tmp_path)
    machine.minutes()
    assert machine.alarms() == {}  # nobody knew of any series yesterday
    machine.clock.advance(2 * DAY_S)
    machine.minutes()
    assert machine.alarms()["incomplete/east"] == "open"
    assert "incomplete/west" not in machine.alarms()  # where nothing is due
    machine.core.journal.close()
