"""Names that several parts must come to by themselves, and to the same: a gateway names its local alarm as the core will."""

from __future__ import annotations

import hashlib


def alarm_id(rule: str, device: str, metric: str, key: str | None, onset_ms: int) -> str:
    """The same occurrence has the same id, whoever computes it and however often. 20 hex digits."""
    text = "\n".join((rule, device, metric, key or "", str(onset_ms)))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
