"""What ingest has to tell: each notable event is one function that owns its log line and its counter."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge, Histogram

from telemetry.segment import Damage

_log = structlog.get_logger("ingest")

_readings = Counter("gatehouse_readings_total", "Readings made durable in the journal")
_rejected = Counter("gatehouse_rejected_total", "Readings or messages refused, by reason", ["reason"])
_repaired = Counter("gatehouse_repaired_total", "Readings kept with a lower quality, by reason", ["reason"])
_duplicates = Counter("gatehouse_duplicate_frames_total", "Frames that were durable already")
_repeated = Counter("gatehouse_repeated_rows_total", "Plain readings that had come before and were not stored again")
_repeated_messages = Counter(
    "gatehouse_repeated_messages_total", "Messages with readings without a time that the broker sent again"
)
_waiting = Counter(
    "gatehouse_frames_ahead_total", "Frames that came before an earlier one; the gateway sends them again"
)
_commits = Histogram(
    "gatehouse_commit_seconds", "Time one group commit takes", buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)
)
_connected = Gauge("gatehouse_broker_connected", "1 while the core's connection to the broker stands")
_certificate_end = Gauge(
    "gatehouse_certificate_end_seconds", "Until when a certificate of ours is valid, epoch seconds", ["certificate"]
)
_damaged = Counter("gatehouse_journal_damaged_records_total", "Journal records found damaged and passed over")
_torn = Counter("gatehouse_journal_torn_pages_total", "Pages of a write that a crash left unfinished, cut off on start")
_history_rows = Counter("gatehouse_history_rows_total", "Readings written to history")
_history_lag = Gauge("gatehouse_history_lag_records", "Journal records that history has not got yet")

_completeness = Gauge("gatehouse_completeness_ratio", "Share of the readings due that have arrived", ["site", "day"])
_missing = Gauge("gatehouse_missing_readings", "Readings due that have not arrived", ["site", "day"])
_late = Gauge("gatehouse_late_readings", "Readings that arrived late", ["site", "day"])
_spooled = Gauge("gatehouse_gateway_spooled_frames", "Frames that a gateway says it still holds", ["site", "gateway"])
_oldest = Gauge(
    "gatehouse_gateway_oldest_seconds", "Age of the oldest reading that a gateway still holds", ["site", "gateway"]
)


def committed(reading_count: int, seconds: float) -> None:
    _readings.inc(reading_count)
    _commits.observe(seconds)


def rejected(reason: str, count: int, topic: str, detail: str) -> None:
    _rejected.labels(reason).inc(count)
    _log.info("rejected", reason=reason, count=count, topic=topic, detail=detail)


def repaired(reason: str, count: int) -> None:
    _repaired.labels(reason).inc(count)


def frame_repeated() -> None:
    _duplicates.inc()


def rows_repeated(count: int) -> None:
    _repeated.inc(count)


def message_repeated() -> None:
    _repeated_messages.inc()


def frame_ahead(gateway: str, seq: int, expected: int) -> None:
    _waiting.inc()
    _log.debug("frame ahead of its turn", gateway=gateway, seq=seq, expected=expected)


def connected(host: str, port: int, session_present: bool) -> None:
    _connected.set(1)
    _log.info("connected to the broker", host=host, port=port, session_present=session_present)


def disconnected(error: str, is_first: bool) -> None:
    """One warning an outage; the attempts after it are for those who debug."""
    _connected.set(0)
    (_log.warning if is_first else _log.debug)("no connection to the broker; trying again", error=error)


def certificate_ends(certificate: str, end_s: float) -> None:
    """When a certificate was looked at."""
    _certificate_end.labels(certificate).set(end_s)


def disk_refused(error: str, is_first: bool) -> None:
    (_log.error if is_first else _log.debug)("the journal cannot be written; readings wait at the broker", error=error)


def journal_opened(torn_pages: int, damages: Sequence[Damage]) -> None:
    _torn.inc(torn_pages)
    if torn_pages:
        _log.info("what a crash left half written was cut off; none of it had been acknowledged", pages=torn_pages)
    for damage in damages:
        _log.warning("part of the journal is damaged", first=damage.first, last=damage.last, detail=damage.detail)


def journal_damaged(damage: Damage) -> None:
    """Records that were promised to be kept are not what was written: the disk, or somebody's hand."""
    _damaged.inc(damage.last - damage.first + 1)
    _log.critical(
        "the journal is damaged; reading goes on after it, and gateways send again what they still hold",
        first=damage.first,
        last=damage.last,
        detail=damage.detail,
    )


def message_unforeseen(topic: str) -> None:
    """Called where the error is handled."""
    _log.exception("a message could not be vetted; please report it", topic=topic)


def history_written(row_count: int, lag_records: int) -> None:
    _history_rows.inc(row_count)
    _history_lag.set(lag_records)


def complete(site: str, day: str, ratio: float, missing: int, late: int) -> None:
    """`day` is "today" or "yesterday" of the site."""
    _completeness.labels(site, day).set(ratio)
    _missing.labels(site, day).set(missing)
    _late.labels(site, day).set(late)


def gateway_holds(site: str, gateway: str, spooled: int, oldest_s: float) -> None:
    _spooled.labels(site, gateway).set(spooled)
    _oldest.labels(site, gateway).set(oldest_s)


def completeness_unavailable(error: str, is_first: bool) -> None:
    (_log.warning if is_first else _log.debug)("completeness cannot be written; the journal holds it", error=error)


def history_unavailable(error: str, is_first: bool) -> None:
    (_log.warning if is_first else _log.debug)("history cannot be written; the journal holds it", error=error)


def history_let_go(what: str, why: str) -> None:
    _log.warning("history was let go of to keep within its limits", what=what, why=why)


def history_untidy(error: str) -> None:
    _log.warning("housekeeping of history failed; it is tried again", error=error)
