"""What the alert core has to tell: each notable event is one function that owns its log line and its counter."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from prometheus_client import Counter, Gauge

from alerts.alarm import Alarm, Transition

_log = structlog.get_logger("alerts")

_transitions = Counter("gatehouse_alarm_transitions_total", "Steps of alarms", ["rule", "what"])
_open = Gauge("gatehouse_alarms_open", "Alarms that are open")
_late = Counter("gatehouse_readings_late_total", "Readings that came after a newer one of their series")
_too_late = Counter("gatehouse_readings_too_late_total", "Late readings that were not judged; history only")
_lag = Gauge("gatehouse_alerts_lag_records", "Journal records that the alert core has not seen yet")
_incomplete = Counter("gatehouse_outages_incomplete_total", "Outages whose alarms could not be judged to the end")
_notices = Counter("gatehouse_notices_total", "Messages to people and systems", ["channel", "outcome"])
_templates_failed = Counter(
    "gatehouse_templates_failed_total", "Texts that could not be made from a template", ["language"]
)
_sampled = Gauge("gatehouse_devices_sampled", "Devices that gateways are asked to read more often than usual")
_heartbeats_failed = Counter("gatehouse_heartbeats_failed_total", "Heartbeats that a channel did not take", ["channel"])


def transition(alarm: Alarm, taken: Transition) -> None:
    _transitions.labels(alarm.rule, taken.what.value).inc()
    _log.info(
        "alarm",
        what=taken.what.value,
        alarm=alarm.id,
        rule=alarm.rule,
        device=alarm.device,
        severity=taken.severity.word,
        reason=taken.reason,
    )


def progressed(open_count: int, late_count: int, too_late_count: int) -> None:
    _open.set(open_count)
    _late.inc(late_count)
    _too_late.inc(too_late_count)


def sampled(device_count: int) -> None:
    _sampled.set(device_count)


def watch_lag(lag: Callable[[], int]) -> None:
    """Asked at every scrape: a figure that was set by who lags behind would lag behind with it."""
    _lag.set_function(lag)


def database_unavailable(error: str, is_first: bool) -> None:
    (_log.error if is_first else _log.debug)("alarms cannot be stored; trying again", error=error)


def snapshot_ignored(why: str) -> None:
    _log.warning("the alert core starts from the journal's beginning", why=why)


def outage_incomplete(gateway: str) -> None:
    _incomplete.inc()
    _log.error(
        "the journal no longer holds what came during a gateway's outage; alarms stay as they were judged then",
        gateway=gateway,
    )


def rules_switched(rule_count: int) -> None:
    _log.info("other rules hold from here on", rules=rule_count)


def channel_known(channel: str) -> None:
    """A counter that is not there before it is 1 does not rise for who watches it: the first failure would not show."""
    for outcome in ("delivered", "retried", "failed"):
        _notices.labels(channel, outcome)


def heartbeat_known(channel: str) -> None:
    _heartbeats_failed.labels(channel)


def notice_delivered(channel: str, count: int) -> None:
    _notices.labels(channel, "delivered").inc(count)


def notice_not_delivered(channel: str, error: str, is_final: bool) -> None:
    _notices.labels(channel, "failed" if is_final else "retried").inc()
    _log.warning("notice not delivered", channel=channel, error=error, gives_up=is_final)


def template_failed(language: str, error: str) -> None:
    _templates_failed.labels(language).inc()
    _log.error("a template cannot be filled in; the plain text is sent", language=language, error=error)


def notice_healed(count: int) -> None:
    _notices.labels("", "healed").inc(count)
    _log.error("notices that were owed and not on record; they are now", count=count)


def notices_fell_back(count: int) -> None:
    _notices.labels("", "fell-back").inc(count)
    _log.warning("notices that got stuck go by the next channel, too", count=count)


def heartbeat_not_sent(channel: str, error: str) -> None:
    _heartbeats_failed.labels(channel).inc()
    _log.warning("heartbeat not sent", channel=channel, error=error)
