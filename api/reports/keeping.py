"""Makes what schedules want, tells whoever they name, and lets old files go, while the API runs.

What was due while nothing ran is made when something runs again. A report that cannot be made now (history is away) is tried
again in five minutes; one that concerns nothing any more (its gate has left the catalogue), or fails as nobody foresaw, in
six hours. Each is said in the log, and none is tried any more once it is as old as what an outage is made up for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, time
from zoneinfo import ZoneInfo

import structlog

from alerts.store import Notice
from api.drains.network import networks
from api.drains.storm_report import storms_between
from api.parts import Parts
from api.problems import Problem
from api.reports.made import RETRY_MAX_MS, RETRY_MS, Scheduled, Wanted
from api.reports.making import files_of, make, names_of
from api.reports.period import BY_CALENDAR, DAYS_BACK_MAX, Kind, Period, due
from api.reports.shift import signed_shifts
from telemetry.database import DATABASE_AWAY
from telemetry.errors import BadInput, Unavailable

_EVERY_S = 60.0
_STORMS_EVERY_MS = 600_000
_BACK_MS = DAYS_BACK_MAX * 86_400_000
_log = structlog.get_logger("reports")
_TITLES = {
    "en": {"shift": "Shift report", "day": "Daily report", "month": "Monthly report", "storm": "Storm report",
           "bill": "Dormitory bill"},
    "zh": {"shift": "交接班报告", "day": "日报", "month": "月报", "storm": "降雨过程报告", "bill": "宿舍水电费账单"},
}  # fmt: skip
_TEXTS = {
    "en": "It lies ready as PDF and Excel on the page “Reports”: #page=reports",
    "zh": "已生成 PDF 与 Excel，请在“报表”页面下载：#page=reports",
}


class Keeper:
    """One round at a time; it holds nothing that must not be lost."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._storms_looked_ms: dict[str, int] = {}

    def turn(self) -> None:
        """Make what is due, tell what was made, let go of what is too old or was left by a crash."""
        for schedule in self._parts.reports.schedules():
            known = self._parts.reports.known(schedule.id)
            now_ms = self._parts.clock.now_ms()
            for period in self._due(schedule, now_ms):
                state, due_ms = known.get(period.key, ("claimed", 0))
                if state == "claimed" and due_ms <= now_ms:
                    self._make(schedule, period)
        self._tell()
        self._parts.reports.let_go()
        self._parts.reports.sweep()

    def _due(self, schedule: Scheduled, now_ms: int) -> Iterable[Period]:
        wanted, parts = schedule.document, self._parts
        kind, site = Kind(wanted["kind"]), parts.catalogue.site.get(wanted["site"])
        if site is None:
            return ()
        since_ms = max(schedule.since_ms, now_ms - _BACK_MS)
        if kind in BY_CALENDAR:
            return due(kind, time.fromisoformat(wanted["at"]), ZoneInfo(site.timezone), schedule.since_ms, now_ms)
        if kind is Kind.SHIFT:
            return signed_shifts(parts.reports.database, wanted["subject"], since_ms)
        network = networks(parts.catalogue).get(wanted["subject"])
        if network is None or network.gauge is None:
            return ()
        if now_ms - self._storms_looked_ms.get(schedule.id, -_STORMS_EVERY_MS) < _STORMS_EVERY_MS:
            return ()  # to look for storms is to read a month of rain
        try:
            storms = storms_between(parts.history, network.gauge, since_ms, now_ms, now_ms)
        except Unavailable as error:
            _log.warning("storms could not be looked for; trying again", schedule=schedule.id, error=str(error))
            return ()
        self._storms_looked_ms[schedule.id] = now_ms
        return [
            Period(str(storm.start_ms), storm.start_ms, storm.end_ms)
            for storm in storms
            if storm.is_over and storm.end_ms > since_ms
        ]

    def _make(self, schedule: Scheduled, period: Period) -> None:
        parts, given = self._parts, schedule.document
        wanted = Wanted(Kind(given["kind"]), given["site"], given["subject"], period, given["language"])
        claim = parts.reports.claim(wanted, schedule.id)
        if claim is None:
            return
        why, retry_ms = "", RETRY_MS
        try:
            document = make(parts, wanted, parts.clock.now_ms())
            if document is None:
                why, retry_ms = f"there is no '{wanted.subject}' any more", RETRY_MAX_MS
            else:
                tell = [(each["channel"], each["person"]) for each in given["recipients"]]
                parts.reports.made(claim, files_of(document), "schedule", tell)
        except (Unavailable, OSError) as error:
            why = str(error)
        except Problem as problem:
            why = problem.detail
        except DATABASE_AWAY:
            raise
        except Exception as error:
            # One report that cannot be put together must not take the screens with it, at this start and each that follows.
            why, retry_ms = f"{type(error).__name__} while it was made: please report it", RETRY_MAX_MS
            _log.exception("a report could not be made, unforeseen", schedule=schedule.id, period=period.key)
        if why:
            parts.reports.not_made(claim, why, retry_ms)
            _log.warning("a report could not be made; trying again", schedule=schedule.id, period=period.key, error=why)

    def _tell(self) -> None:
        names = None
        for row in self._parts.reports.to_tell():
            names = names or names_of(self._parts)
            colon = "：" if row.language == "zh" else ": "
            name = names.get(row.subject, {}).get(row.language, row.subject)
            title = f"{_TITLES[row.language][row.kind]}{colon}{name}"
            notice = Notice(
                id=0,
                key=f"report-{row.report}-{row.channel}-{row.recipient}",
                attempts=row.attempts,
                created_ms=self._parts.clock.now_ms(),
                body={"report": {n: getattr(row, n) for n in ("report", "kind", "site", "subject", "period")}},
                recipient=row.recipient,
                title=f"{title} {self._when(row.kind, row.site, row.period)}",
                text=_TEXTS[row.language],
                sort="report",
            )
            channel = self._parts.channels.get(row.channel)
            try:
                if channel is None:
                    raise BadInput("notice-refused", f"there is no channel '{row.channel}' any more")
                channel.deliver(notice)
            except Unavailable as error:
                self._parts.reports.not_told(row, str(error), is_final=False)
            except BadInput as error:
                self._parts.reports.not_told(row, str(error), is_final=True)
            else:
                self._parts.reports.told(row)

    def _when(self, kind: str, site: str, period: str) -> str:
        """Of a day or month its name, of a shift when it was handed over, of a storm when it began."""
        if Kind(kind) in BY_CALENDAR:
            return period
        known = self._parts.catalogue.site.get(site)
        zone = ZoneInfo("UTC" if known is None else known.timezone)
        return f"{datetime.fromtimestamp(int(period) / 1000, zone):%Y-%m-%d %H:%M %Z}"


async def keep_made(parts: Parts) -> None:
    """Until cancelled; a database that is away is tried again."""
    keeper = Keeper(parts)
    while True:
        try:
            await asyncio.to_thread(keeper.turn)
        except (*DATABASE_AWAY, OSError) as error:
            _log.warning("reports could not be kept; trying again", error=str(error))
        await asyncio.sleep(_EVERY_S)
