"""Structured logs on standard error: readable lines on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Ends of lines, whatever moves a terminal's cursor or turns the direction of writing, and halves of characters.
_NOT_IN_LOGS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def configure_logs(is_verbose: bool = False) -> None:
    """Once, at the start of a process."""
    is_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            _one_line,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if is_terminal else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if is_verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What others sent looks like nothing but itself: no line of its own, no order to a terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _NOT_IN_LOGS.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
        elif not isinstance(value, int | float | BaseException | tuple | None):
            event[name] = _NOT_IN_LOGS.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))
    return event
