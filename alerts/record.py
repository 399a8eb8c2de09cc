"""What `figures` counts, read from the SQL database."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from alerts.alarm import COMES_AND_GOES, What
from alerts.figures import Annunciation, Figures, Told, figures
from alerts.outcome import outcome_of
from alerts.rule import Severity
from alerts.store import alarms, notices, transitions

_TELLS = [
    what.value for what in (What.RAISED, What.SEVERITY_UP, What.REOPENED, What.FLAPPING, What.UNMASKED, What.REALARMED)
]


def figures_of(database: sa.Engine, start_ms: int, end_ms: int, sites: Iterable[str] | None = None) -> Figures:
    """The figures of a time, of some sites or all."""
    seen = sa.true() if sites is None else alarms.c.site.in_(sorted(sites))
    within = (transitions.c.known_ms >= start_ms) & (transitions.c.known_ms < end_ms)
    joined = transitions.join(alarms, alarms.c.id == transitions.c.alarm)
    told_site = (
        sa.select(alarms.c.site, transitions.c.known_ms)
        .select_from(joined)
        .where(within, seen, transitions.c.what.in_(_TELLS), transitions.c.quiet.is_(None))
    )
    told_role = (
        sa.select(notices.c.role, sa.func.min(notices.c.created_ms).label("at_ms"))
        .select_from(notices.join(alarms, alarms.c.id == notices.c.alarm))
        .where(notices.c.sort == "call", notices.c.created_ms >= start_ms, notices.c.created_ms < end_ms, seen)
        .group_by(notices.c.role, notices.c.alarm, notices.c.seq)
    )
    of_time = (alarms.c.onset_ms >= start_ms) & (alarms.c.onset_ms < end_ms)
    steps = (
        sa.select(transitions.c.alarm, transitions.c.event_ms)
        .select_from(joined)
        .where(of_time, seen, transitions.c.what.in_([what.value for what in COMES_AND_GOES]))
    )
    with database.connect() as db:
        calls = [Annunciation(f"site:{row.site}", row.known_ms) for row in db.execute(told_site)]
        calls += [Annunciation(f"role:{row.role}", row.at_ms) for row in db.execute(told_role)]
        times: dict[str, list[int]] = {}
        for row in db.execute(steps):
            times.setdefault(row.alarm, []).append(row.event_ms)
        query = sa.select(alarms).where(seen, of_time | (alarms.c.is_open & (alarms.c.onset_ms < end_ms)))
        told = [
            Told(
                row.id,
                row.rule,
                row.device,
                Severity[row.document["severity_max"].upper()],  # it leaves by its lesser ones
                row.onset_ms,
                row.is_open,
                outcome_of(row.document.get("disposition")),
                times.get(row.id, ()),
            )
            for row in db.execute(query)
        ]
    return figures(calls, told, start_ms, end_ms)
