"""The reader of the journal that counts: what arrived of every series and day, and what gateways say of themselves.

Readings are gathered for a few seconds, summed up by series, minute and quality, and then kept together, so that one
transaction covers many and costs by series and not by reading. A crash between two of them costs nothing: what was gathered
is read from the journal again. Axis: N readings.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

import numpy as np

from ingest import events
from ingest.committer import decode_gaps, decode_rejects
from ingest.history.completeness import Completeness, Counted, Loss, Total, minute_of, split_by_day, summed_up
from ingest.history.days import IDLE_MAX_MS, Days, aged_from
from ingest.history.gateways import GatewayState, GatewayStates
from telemetry.batch import ReadingBatch, concatenate, decode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadInput, Unavailable
from telemetry.journal import Journal, Kind, Stored
from telemetry.series import SeriesRegistry
from telemetry.topics import parse_gateway_topic

CURSOR = "completeness"
ROWS_MAX = 200_000  # gathered before they are summed up
CELLS_MAX = 1_000_000  # sums held before they are kept
LOST_MAX = 50_000  # losses held before they are kept: one gap of a gateway is one for each day that it spans
KEEP_EVERY_S = 5.0  # or less often where keeping takes long:
_KEEP_SHARE = 20  # it takes no more than one part in so many of the time
MEASURE_EVERY_S = 60.0  # the metrics
_MOVE_EVERY_S = 60.0  # of the cursor, while there is nothing but ticks
_FORGET_EVERY_S = 3600.0
_RECORDS_AT_ONCE = 500
_GATHER_S = 0.5  # between two looks while less than that is waiting
_DAY_MS = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class CompletenessLoop:
    """Carries counts from the journal into the database, one bounded step at a time.

    Args:
        gateways: What gateways said last; asked every few seconds.
        late_after_s: A reading that is learned of later than this after its own time is late.
        keep_days: Days kept; what is older than that when it arrives is not counted.
    """

    def __init__(
        self,
        journal: Journal,
        store: Completeness,
        states: GatewayStates,
        catalogue: Catalogue,
        registry: SeriesRegistry,
        clock: Clock,
        gateways: Callable[[], Mapping[str, GatewayState]],
        late_after_s: int = 60,
        keep_days: int = 400,
    ) -> None:
        self._journal = journal
        self._store = store
        self._states = states
        self._catalogue = catalogue
        self._clock = clock
        self._gateways = gateways
        self._late_after_ms = late_after_s * 1000
        self._keep_days = keep_days
        self._zones = {site.id: Days(site.timezone) for site in catalogue.sites}
        # Number of each series' site; -1 for the core's own series of gateways and for what left the catalogue.
        sites = [site.id for site in catalogue.sites]
        self._site_of = np.array(
            [sites.index(catalogue.site_of(n[0])) if n in catalogue.metric else -1 for n in registry.names], np.int64
        )
        # The first time, what the journal still holds is counted too: series were known since then.
        oldest = journal.read(0, 1) if not store.cursor() else []
        self._store.know(registry.names, min([clock.now_ms(), *(record.time_ms for record in oldest)]))
        # A journal that begins anew must not be waited for to reach the old one's numbers.
        self._kept = self._read = min(store.cursor(), journal.last)
        self._gathered: list[Counted] = []
        self._row_count = self._cell_count = 0
        self._keep_took_s = 0.0
        self._lost: list[Loss] = []
        self._frames: dict[tuple[str, int], int] = {}
        newest = store.newest()
        # The newest reading that was not ahead of when it came; 0 before there was any.
        self._newest_ms = 0 if newest is None else (newest.toordinal() - _EPOCH_DAY) * _DAY_MS
        self._states_kept = states.all()
        self._is_away = False
        now_s = clock.monotonic_s()
        self._kept_s = now_s
        self._told_s = self._measured_s = self._forgot_s = -math.inf

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then once more so that nothing waits uncounted."""
        while not stop.is_set():
            if not self.step() or self._journal.last - self._read < _RECORDS_AT_ONCE:
                stop.wait(_GATHER_S)  # many records are counted at the price of one
        self._patiently(self._keep)

    def step(self) -> bool:
        """One bounded piece of what is to be done; False when there is nothing just now."""
        now_s = self._clock.monotonic_s()
        due_s = _MOVE_EVERY_S
        if self._gathered or self._lost or self._frames:
            due_s = max(KEEP_EVERY_S, _KEEP_SHARE * self._keep_took_s)
        is_full = self._cell_count >= CELLS_MAX or len(self._lost) >= LOST_MAX
        if self._read > self._kept and (is_full or now_s - self._kept_s >= due_s):
            return self._patiently(self._keep)
        if now_s - self._told_s >= KEEP_EVERY_S:
            self._told_s = now_s
            self._patiently(self._tell)
        try:
            records = self._journal.read(self._read, _RECORDS_AT_ONCE)
        except Unavailable as error:
            events.completeness_unavailable(str(error), is_first=not self._is_away)
            self._is_away = True
            return False
        batches: list[tuple[Stored, ReadingBatch]] = []
        row_count = 0
        for record in records:
            if record.kind in (Kind.READINGS, Kind.BACKLOG):
                batches.append((record, decode_batch(record.payload)))
                row_count += len(batches[-1][1])
                if row_count >= ROWS_MAX:
                    self._gather(batches)
                    batches, row_count = [], 0
            else:
                self._take(record)
            self._read = record.offset
            if len(self._lost) >= LOST_MAX:
                break
        self._gather(batches)
        return bool(records)

    def _take(self, record: Stored) -> None:
        if record.kind is Kind.GAPS:
            for gap in decode_gaps(record.payload):
                site = self._site_of[gap.series]
                # A gateway's clock may say anything: no more days are looked at than are kept.
                first_ms = max(gap.first_ms, self._kept_from_ms(record.time_ms))
                last_ms = min(gap.last_ms, record.time_ms + _DAY_MS)
                if site >= 0 and first_ms <= last_ms:
                    zone = self._zones[self._catalogue.sites[site].id]
                    self._lost += split_by_day(zone, gap.series, first_ms, last_ms, gap.missing, gap.reason)
        elif record.kind is Kind.REJECTS:
            for reject in decode_rejects(record.payload):
                if reject.reason == "gap":
                    self._lose_frames(reject.topic, reject.count, record.time_ms)

    def _gather(self, batches: Sequence[tuple[Stored, ReadingBatch]]) -> None:
        if not batches:
            return
        lengths = [len(batch) for _, batch in batches]
        known_ms = np.repeat([record.time_ms for record, _ in batches], lengths)
        is_backlog = np.repeat([record.kind is Kind.BACKLOG for record, _ in batches], lengths)
        whole = concatenate([batch for _, batch in batches])
        if not len(whole):
            return
        site = self._site_of[whole.series]
        is_late = is_backlog | (whole.time_ms < known_ms - self._late_after_ms)
        latest_ms = int(known_ms.max())
        measured_ms = whole.time_ms[site >= 0]  # of gateways' own series the times are the core's
        self._newest_ms = max(self._newest_ms, min(int(measured_ms.max(initial=0)), latest_ms))
        is_kept = whole.time_ms >= self._kept_from_ms(latest_ms)
        for number in np.unique(site).tolist():
            if number < 0:
                continue
            zone = self._zones[self._catalogue.sites[number].id]
            rows = np.flatnonzero((site == number) & is_kept)
            time_ms = whole.time_ms[rows]
            day = zone.of(time_ms)
            minute = minute_of(time_ms, day, zone)
            one = np.ones(len(rows), np.int64)
            self._gathered.append(Counted(whole.series[rows], day, minute, whole.quality[rows], is_late[rows], one))
            self._row_count += len(rows)
        if self._row_count >= ROWS_MAX:
            summed = summed_up(self._gathered)
            self._gathered, self._row_count, self._cell_count = [summed], 0, len(summed.count)

    def _kept_from_ms(self, known_ms: int) -> int:
        return aged_from(known_ms, self._newest_ms or known_ms, IDLE_MAX_MS) - self._keep_days * _DAY_MS

    def _lose_frames(self, topic: str, count: int, time_ms: int) -> None:
        try:
            known = parse_gateway_topic(topic)
        except BadInput:
            return  # a reject may quote any topic
        if known.site in self._zones:
            key = known.gateway, self._zones[known.site].day(time_ms)
            self._frames[key] = self._frames.get(key, 0) + count

    def _keep(self) -> None:
        """Count what was gathered, and let the journal know."""
        began_s = self._clock.monotonic_s()
        self._store.add(summed_up(self._gathered), self._lost, self._frames, self._read)
        self._gathered, self._row_count, self._cell_count, self._lost, self._frames = [], 0, 0, [], {}
        self._kept, self._kept_s = self._read, self._clock.monotonic_s()
        self._keep_took_s = self._kept_s - began_s
        self._journal.set_cursor(CURSOR, self._read)

    def _tell(self) -> None:
        """Keep what gateways say, bring the metrics up to date, forget old days; each when it is due."""
        now_ms = self._clock.now_ms()
        heard = self._gateways()
        changed = {gateway: state for gateway, state in heard.items() if self._states_kept.get(gateway) != state}
        if changed:
            self._states.keep(changed)
            self._states_kept = dict(heard)
        for gateway, state in heard.items():
            if gateway in self._catalogue.gateway:
                oldest_s = 0.0 if state.oldest_ms is None else max(0, now_ms - state.oldest_ms) / 1000
                site = self._catalogue.gateway[gateway].site
                events.gateway_holds(site, gateway, state.spooled or 0, oldest_s)
        now_s = self._clock.monotonic_s()
        if now_s - self._measured_s >= MEASURE_EVERY_S:
            self._measured_s = now_s
            self._measure(now_ms)
        if now_s - self._forgot_s >= _FORGET_EVERY_S:
            self._forgot_s = now_s
            self._store.forget(datetime.fromtimestamp(now_ms / 1000, UTC).date(), self._keep_days)

    def _measure(self, now_ms: int) -> None:
        # Sites that share a calendar day are looked up together.
        sites_of: dict[int, list[str]] = {}
        for site, zone in self._zones.items():
            sites_of.setdefault(zone.day(now_ms), []).append(site)
        for today, sites in sites_of.items():
            for name, day in (("today", today), ("yesterday", today - 1)):
                shown = self._store.day(self._catalogue, sites, date.fromordinal(day), now_ms)
                for site in sites:
                    total = Total.of([each for each in shown if each.site == site])
                    events.complete(site, name, total.ratio, total.missing, total.late)

    def _patiently(self, attempt: Callable[[], None]) -> bool:
        """Try once; False when the database or the journal does not take it, and it is to be tried again."""
        try:
            attempt()
        except (*DATABASE_AWAY, Unavailable) as error:
            events.completeness_unavailable(str(error), is_first=not self._is_away)
            self._is_away = True
            return False
        self._is_away = False
        return True
