"""The core's eye on itself: every minute it looks, and tells of what is wrong as alarms that end by themselves.

What is found becomes a command in the journal (`alerts.escalation.FAULT`), so that it is raised, escalated and told like any
other alarm and stands after a restart. Each is said once: whoever closes it by hand hears of it again only after it was over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import date

import prometheus_client
import structlog
from prometheus_client import Gauge

from alerts.escalation import FAULT, FAULTS, MENDED
from alerts.store import Store
from gatehouse import faults
from gatehouse.backup import newest_ms
from gatehouse.faults import DAY_MS, Fault
from gatehouse.settings import Settings
from ingest.history.completeness import Completeness, Total
from ingest.history.days import Days
from ingest.history.gateways import GatewayState
from telemetry.batch import decode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import SteadyClock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Journal, Kind
from telemetry.series import SeriesRegistry

_SAMPLE_EVERY_S = 3600.0
_SAMPLES_MAX = 7 * 24
_COUNT_EVERY_S = 600.0
_RECORDS_MAX = 500  # of the newest; clocks do not change in between
_AGE_MAX_MS = 300_000  # a live reading that is older says that two clocks differ
_DOUBTS_MAX = 10  # looks in a row: some devices send what they gathered a while ago
_AHEAD_SHARE = 0.5

_log = structlog.get_logger("watch")
_free = Gauge("gatehouse_disk_free_bytes", "Room left on the disk that holds this", ["holds"])
_size = Gauge("gatehouse_disk_size_bytes", "Size of the disk that holds this", ["holds"])
_ends = Gauge("gatehouse_identity_end_seconds", "Until when an identity has a certificate, epoch seconds", ["identity"])
_backup = Gauge("gatehouse_backup_made_seconds", "When the newest backup was made, epoch seconds; 0 for never")
_standing = Gauge("gatehouse_faults", "What the core finds wrong with its machine, by alarm", ["alarm"])
_looked = Gauge("gatehouse_watch_looked_seconds", "When the core last looked at itself, epoch seconds")


class Watch:
    """Looks and tells. Only for the thread that keeps house."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        completeness: Completeness,
        journal: Journal,
        catalogue: Catalogue,
        registry: SeriesRegistry,
        clock: SteadyClock,
        gateways: Callable[[], Mapping[str, GatewayState]],
        is_behind: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._store = store
        self._completeness = completeness
        self._journal = journal
        self._catalogue = catalogue
        self._registry = registry
        self._clock = clock
        self._gateways = gateways
        self._is_behind = is_behind
        self._samples: dict[str, deque[tuple[float, int]]] = {}
        self._seen = journal.last
        self._doubts: dict[str, int] = {}  # whose clock -> looks in a row at which it seemed off
        self._counted = (0.0, 0.0)  # readings so far, and those from the future
        self._counted_s: float | None = None
        self._incomplete: list[Fault] = []
        self._told: set[str] | None = None  # names of faults that people know of
        self.faults: list[Fault] = []

    def look(self) -> list[Fault]:
        """All that is wrong now; also kept in `faults`."""
        found: list[Fault] = []
        for part in (self._disks, self._certificates, self._backups, self._clocks, self._yesterday, self._spools):
            try:
                found += part()
            except (BadConfiguration, OSError, Unavailable, *DATABASE_AWAY) as error:
                _log.warning("a look at ourselves failed; it is repeated", at=part.__name__, error=str(error))
                # Not seen is not well: what stands goes on standing.
                found += [fault for fault in self.faults if fault.alarm in _ALARMS[part.__name__]]
        self.faults = found
        for alarm in FAULTS:
            _standing.labels(alarm).set(sum(fault.alarm == alarm for fault in found))
        _looked.set(self._clock.now_ms() / 1000)
        return found

    def tell(self) -> None:
        """Say what is new and what is over. Raises DATABASE_AWAY; it is then told the next time."""
        if self._told is None:
            self._told = self._store.faults()
        standing = {fault.name: fault.detail for fault in self.faults}
        now_ms = self._clock.now_ms()
        for name in sorted(standing.keys() - self._told):
            if self._store.report(FAULT, name, standing[name], now_ms):
                self._told.add(name)
                _log.warning("something is wrong with the core's machine", fault=name, detail=standing[name])
        for name in sorted(self._told - standing.keys()):
            if self._store.report(MENDED, name, "", now_ms):
                self._told.discard(name)
                _log.info("mended", fault=name)

    def _disks(self) -> list[Fault]:
        found = faults.disks(self._settings)
        now_s, left = self._clock.monotonic_s(), {}
        for disk in found:
            _free.labels(disk.name).set(disk.free_bytes)
            _size.labels(disk.name).set(disk.total_bytes)
            samples = self._samples.setdefault(disk.name, deque(maxlen=_SAMPLES_MAX))
            if not samples or now_s - samples[-1][0] >= _SAMPLE_EVERY_S:
                samples.append((now_s, disk.free_bytes))
            left[disk.name] = faults.days_left([*samples, (now_s, disk.free_bytes)])
        return faults.disk_faults(self._settings, found, left, {fault.name for fault in self.faults})

    def _certificates(self) -> list[Fault]:
        ends = faults.certificate_ends(self._settings, self._catalogue)
        for name, end_ms in ends.items():
            _ends.labels(name).set(end_ms / 1000)
        return faults.certificate_faults(self._settings, ends, self._clock.now_ms())

    def _backups(self) -> list[Fault]:
        folder = self._settings.watch.backups
        if folder is not None:
            _backup.set((newest_ms(folder, self._clock.now_ms()) or 0) / 1000)
        return faults.backup_faults(self._settings, self._clock.now_ms())

    def _clocks(self) -> list[Fault]:
        found = faults.ntp_faults(self._settings)
        if self._clock.is_doubted:
            found.append(
                Fault("clock-wrong", "machine", "this machine's clock has jumped, or stands before the journal")
            )
        before, self._counted = self._counted, _counts()
        came, ahead = (now - then for now, then in zip(self._counted, before, strict=True))
        if came:
            self._doubt("core", ahead >= _AHEAD_SHARE * came)
        if self._is_behind():
            self._seen = self._journal.last  # what waited is old for that reason
        for gateway, age_ms in self._ages():
            self._doubt(gateway, age_ms > _AGE_MAX_MS)
        for whose, looks in sorted(self._doubts.items()):
            if looks >= _DOUBTS_MAX:
                said = "most readings come from the future: our clock is behind"
                if whose != "core":
                    said = "its newest live readings are minutes old: its clock is behind, or ours ahead"
                found.append(Fault("clock-wrong", whose, said))
        return found

    def _doubt(self, whose: str, is_off: bool) -> None:
        """One more look at a clock that seems off; one at which it does not makes good for all."""
        self._doubts[whose] = self._doubts.get(whose, 0) + 1 if is_off else 0

    def _ages(self) -> Iterator[tuple[str, int]]:
        """(gateway, age in milliseconds of its newest reading when that came), since the last look."""
        after = max(self._seen, self._journal.last - _RECORDS_MAX)
        youngest: dict[str, int] = {}
        for record in self._journal.read(after, _RECORDS_MAX):
            self._seen = record.offset
            if record.kind is not Kind.READINGS:
                continue
            batch = decode_batch(record.payload)
            if not len(batch):
                continue
            newest = int(batch.time_ms.argmax())
            device, _ = self._registry.names[int(batch.series[newest])]
            if device in self._catalogue.device:
                gateway, age_ms = self._catalogue.device[device].gateway, record.time_ms - int(batch.time_ms[newest])
                youngest[gateway] = min(youngest.get(gateway, age_ms), age_ms)
        yield from youngest.items()

    def _spools(self) -> list[Fault]:
        known = self._catalogue.gateway
        states = {gateway: state for gateway, state in self._gateways().items() if gateway in known}
        return faults.spool_faults(states, self.faults)

    def _yesterday(self) -> list[Fault]:
        now_s = self._clock.monotonic_s()
        if self._counted_s is not None and now_s - self._counted_s < _COUNT_EVERY_S:
            return self._incomplete
        now_ms, least = self._clock.now_ms(), self._settings.watch.complete_from
        found = []
        for site in self._catalogue.sites:
            yesterday = date.fromordinal(Days(site.timezone).day(now_ms - DAY_MS))
            total = Total.of(self._completeness.day(self._catalogue, [site.id], yesterday, now_ms))
            if total.ratio < least:
                said = f"{yesterday}: {total.missing} of {total.expected} readings have not arrived ({total.ratio:.1%} have)"
                found.append(Fault("incomplete", site.id, said))
        self._incomplete, self._counted_s = found, now_s
        return found


_ALARMS = {
    "_disks": ("disk-low",),
    "_certificates": ("certificate-ends",),
    "_backups": ("backup-old",),
    "_clocks": ("clock-wrong",),
    "_yesterday": ("incomplete",),
    "_spools": ("spool-full", "spool-damaged"),
}


def _counts() -> tuple[float, float]:
    """(readings made durable, those of them that claimed to be from the future), since this process began."""
    read = prometheus_client.REGISTRY.get_sample_value
    ahead = read("gatehouse_repaired_total", {"reason": "time-ahead"})
    return read("gatehouse_readings_total") or 0.0, ahead or 0.0
