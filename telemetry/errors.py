"""Errors, named by what the caller does next."""

from __future__ import annotations


class BadInput(ValueError):
    """A device or client sent something wrong: count it, quarantine it with this reason, acknowledge, go on.

    `reason` is a short code that counts and metrics are grouped by; `detail` says what to do about it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unavailable(RuntimeError):
    """A dependency is away: try again with jittered, capped back-off."""


class BadConfiguration(ValueError):
    """The operator has to change something: refuse to start, naming the setting and its value."""
