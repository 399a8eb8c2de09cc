"""What can be wrong with the core's machine and with what comes in: looked at, never mended.

The core turns what is found here into alarms (`watch.py`); `gatehouse doctor` says it on a terminal. What stands already is
measured with a margin, so that a value at its limit is one alarm and not many.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from gatehouse.backup import newest_ms
from gatehouse.identities import gateway_identities, server_identities
from gatehouse.pki import BROKER, ends_ms
from gatehouse.settings import Settings
from ingest.history.gateways import GatewayState
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue
from telemetry.clock import is_synchronised
from telemetry.errors import BadConfiguration
from telemetry.tls import day, when_valid

DAY_MS = 86_400_000
_HOUR_S = 3600.0
_SHORTEST_TREND_S = 6 * _HOUR_S  # what a disk did for less time says nothing about its week
_MARGIN = 1.2  # what is low must have so much more than the limit to be low no longer


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `alarm` names it (`alerts.escalation.FAULTS`), `subject` which one of its sort."""

    alarm: str
    subject: str
    detail: str

    @property
    def name(self) -> str:
        return f"{self.alarm}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system that something of ours stands on, under the name of the first."""

    name: str
    path: Path
    free_bytes: int  # for us, who are not root
    total_bytes: int


def disks(settings: Settings) -> list[Disk]:
    """The file systems of journal, database and history, each once."""
    places = {"journal": settings.journal.path}
    url = sa.make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        places["database"] = Path(url.database)
    if isinstance(settings.history, ParquetSettings):
        places["history"] = settings.history.folder
    found: dict[int, Disk] = {}
    for name, path in places.items():
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        usage = shutil.disk_usage(there)
        found.setdefault(there.stat().st_dev, Disk(name, path, usage.free, usage.total))
    return list(found.values())


def days_left(samples: Sequence[tuple[float, int]]) -> float | None:
    """Days until a disk is full if it goes on filling so; None when it does not fill, or nobody can say yet.

    Args:
        samples: (monotonic seconds, free bytes), oldest first.
    """
    if len(samples) < 2:
        return None
    (began_s, free_then), (now_s, free_now) = samples[0], samples[-1]
    if now_s - began_s < _SHORTEST_TREND_S or free_now >= free_then:
        return None
    return free_now / ((free_then - free_now) / (now_s - began_s)) / 86_400


def disk_faults(
    settings: Settings, found: Sequence[Disk], left: Mapping[str, float | None], standing: Container[str] = ()
) -> list[Fault]:
    """Disks with little room.

    Args:
        left: `days_left` of each disk.
        standing: Names of faults that are known.
    """
    watch, faults = settings.watch, []
    for disk in found:
        margin = _MARGIN if f"disk-low/{disk.name}" in standing else 1.0
        if disk.total_bytes == 0:
            continue  # some file systems over a network do not say how large they are
        percent, days = 100 * disk.free_bytes / disk.total_bytes, left.get(disk.name)
        said = f"{disk.path}: {disk.free_bytes / 1e9:.1f} GB ({percent:.0f} %) free"
        if days is not None and days < watch.disk_days * margin:
            faults.append(Fault("disk-low", disk.name, f"{said}, full in about {days:.1f} days as it fills now"))
        elif percent < watch.disk_free_percent * margin:
            faults.append(Fault("disk-low", disk.name, said))
    return faults


def certificate_ends(settings: Settings, catalogue: Catalogue) -> dict[str, int]:
    """Until when each certificate that we know of is valid, epoch milliseconds, by identity; `ca` is the authority.

    Ours from the files in use, the broker's and the gateways' from `watch.pki`. Raises BadConfiguration.
    """
    found: dict[str, int] = {}
    if settings.watch.pki is not None:
        wanted = {BROKER, *gateway_identities(catalogue, settings.client_id)}
        found = {name: end for name, end in ends_ms(settings.watch.pki).items() if name in wanted}
    for name in server_identities(settings.client_id):
        try:
            for setting, (_, end) in when_valid(settings.broker, name).items():
                found["ca" if setting == "ca" else name] = end
        except BadConfiguration:
            if name != server_identities(settings.client_id)[3]:  # the API may have its file on a machine of its own
                raise
    return found


def certificate_faults(settings: Settings, ends: Mapping[str, int], now_ms: int) -> list[Fault]:
    """Certificates that have ended or end soon."""
    faults = []
    for name, end_ms in sorted(ends.items()):
        if end_ms < now_ms:
            faults.append(Fault("certificate-ends", name, f"{name} has ended on {day(end_ms)}"))
        elif end_ms < now_ms + settings.watch.certificate_days * DAY_MS:
            days = (end_ms - now_ms) // DAY_MS
            faults.append(Fault("certificate-ends", name, f"{name} ends on {day(end_ms)}, in {days} days"))
    return faults


def backup_faults(settings: Settings, now_ms: int) -> list[Fault]:
    """That the newest backup is too old; nothing where nobody said where backups are."""
    folder = settings.watch.backups
    if folder is None:
        return []
    made_ms = newest_ms(folder, now_ms)
    if made_ms is None:
        return [Fault("backup-old", folder.name[:64], f"there is no backup in {folder}")]
    hours = (now_ms - made_ms) / 3_600_000
    if hours <= settings.watch.backup_hours:
        return []
    return [Fault("backup-old", folder.name[:64], f"the newest backup in {folder} is {hours:.0f} hours old")]


def ntp_faults(settings: Settings) -> list[Fault]:
    """That nobody sets the machine's clock, where somebody should."""
    if not settings.watch.expects_ntp or is_synchronised() is not False:
        return []
    return [Fault("clock-wrong", "ntp", "nothing sets this machine's clock: NTP does not reach its server")]


def spool_faults(states: Mapping[str, GatewayState], standing: Collection[Fault] = ()) -> list[Fault]:
    """What gateways say of their own disks.

    Args:
        standing: Faults that are known; they go on as long as their gateway says nothing else, as when it is offline.
    """
    faults = []
    for gateway, state in sorted(states.items()):
        is_damaged = None if state.damaged_lanes is None else state.damaged_lanes > 0
        said = {
            "spool-full": (state.is_full, f"{gateway}: its disk budget is used up, {state.spooled or 0} frames wait"),
            "spool-damaged": (is_damaged, f"{gateway}: {state.damaged_lanes} lanes of its spool cannot be read"),
        }
        for alarm, (is_so, detail) in said.items():
            if is_so:
                faults.append(Fault(alarm, gateway, detail))
            elif is_so is None:
                faults += [fault for fault in standing if (fault.alarm, fault.subject) == (alarm, gateway)]
    return faults
