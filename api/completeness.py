"""Completeness as the API shows it: by series, with totals by site and by gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.access import User
from api.contract import named
from ingest.history.completeness import GAPS_MAX, Completeness, SeriesDay, Total
from ingest.history.days import Days
from ingest.history.gateways import GatewayState
from telemetry.catalogue import Catalogue


def today(catalogue: Catalogue, sites: Sequence[str], now_ms: int) -> date:
    """The day that has begun at the first of these sites."""
    zone = ZoneInfo(catalogue.site[sites[0]].timezone) if sites else UTC
    return datetime.fromtimestamp(now_ms / 1000, zone).date()


def page(
    catalogue: Catalogue,
    store: Completeness,
    sites: Sequence[str],
    day: date,
    now_ms: int,
    limit: int,
    after: tuple[str, str] | None,
) -> dict[str, Any]:
    """One page of series, by device and metric, and the totals of all of them."""
    shown = sorted(store.day(catalogue, sites, day, now_ms), key=lambda each: (each.device, each.metric))
    frames_lost = store.frames_lost(day)
    rest = [each for each in shown if after is None or (each.device, each.metric) > after]
    last = rest[limit - 1] if len(rest) > limit else None
    return {
        "day": day.isoformat(),
        "sites": [
            {"site": site} | _bounds(catalogue, site, day) | _total([each for each in shown if each.site == site])
            for site in sites
        ],
        "gateways": [
            {"gateway": gateway.id, "site": gateway.site, "frames_lost": frames_lost.get(gateway.id, 0)}
            | _total([each for each in shown if each.gateway == gateway.id])
            for gateway in catalogue.gateways
            if gateway.site in sites
        ],
        "items": [_series(catalogue, each) for each in rest[:limit]],
        "next": None if last is None else f"{last.device}/{last.metric}",
    }


def gateways(catalogue: Catalogue, user: User, states: Mapping[str, GatewayState]) -> list[dict[str, Any]]:
    """Every gateway that somebody may see, with what it last said."""
    items = []
    for gateway in catalogue.gateways:
        if not user.sees(gateway.site):
            continue
        state = states.get(gateway.id)
        items.append(
            {
                "id": gateway.id,
                "name": named(gateway.name),
                "site": gateway.site,
                "online": None if state is None else state.is_online,
                "spooled": state and state.spooled,
                "oldest_ms": state and state.oldest_ms,
                "behind": state and state.behind,
                "full": state and state.is_full,
                "damaged_lanes": state and state.damaged_lanes,
                "heard_ms": state and state.heard_ms,
            }
        )
    return items


def _bounds(catalogue: Catalogue, site: str, day: date) -> dict[str, int]:
    zone, number = Days(catalogue.site[site].timezone), day.toordinal()
    return {"start_ms": zone.start_ms(number), "end_ms": zone.start_ms(number + 1)}


def _total(shown: Sequence[SeriesDay]) -> dict[str, Any]:
    total = Total.of(shown)
    return {
        "expected": total.expected,
        "received": total.received,
        "late": total.late,
        "missing": total.missing,
        "known_lost": total.known_lost,
        "ratio": total.ratio if total.expected else None,
    }


def _series(catalogue: Catalogue, each: SeriesDay) -> dict[str, Any]:
    counts = each.counts
    gaps = each.gaps()
    longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[:GAPS_MAX]
    return {
        "device": each.device,
        "metric": each.metric,
        "place": catalogue.device[each.device].place,
        "site": each.site,
        "gateway": each.gateway,
        "interval_ms": each.interval_ms,
        "learned": each.is_learned,
        "since_ms": each.since_ms,
        "expected": each.coverage.expected,
        "received": 0 if counts is None else counts.received,
        "suspect": 0 if counts is None else counts.suspect,
        "bad": 0 if counts is None else counts.bad,
        "late": 0 if counts is None else counts.late,
        "missing": each.coverage.missing,
        "known_lost": each.known_lost,
        "gaps": [list(gap) for gap in sorted(longest)],
        "gaps_more": len(gaps) - len(longest),
    }
