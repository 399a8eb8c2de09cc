"""Alarms that a gateway raised by itself, with lamp or siren, while it could not ask: each is told to the engine once.

A gateway repeats them in its retained status for as long as it thinks that they matter; told is what the journal's state
says was told. Memory is bounded: the newest `TOLD_MAX` of each gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from telemetry.clock import TimeMs
from telemetry.errors import BadInput
from telemetry.journal import Journal

TOLD_MAX = 500
LISTED_MAX = 200  # of one status; fewer than are remembered, else it would be told again and again
_PREFIX = "told/"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LocalAlarm(msgspec.Struct, frozen=True):
    """One entry of a status."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    rule: _Name
    device: _Name
    metric: _Name
    onset_ms: TimeMs
    raised_ms: TimeMs
    cleared_ms: TimeMs | None = None
    key: Annotated[str, msgspec.Meta(max_length=100)] | None = None


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ALARM = msgspec.json.Decoder(LocalAlarm)
_IDS = msgspec.json.Decoder(list[str])


def decode_local_alarms(raw: bytes) -> tuple[list[LocalAlarm], list[BadInput]]:
    """The alarms of a status, and what is wrong with the entries that are none."""
    try:
        entries = _LIST.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        return [], [BadInput("bad-value", f"'local_alarms': {error}")]
    alarms, errors = [], []
    for entry in entries[:LISTED_MAX]:
        try:
            alarms.append(_ALARM.decode(entry))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            errors.append(BadInput("bad-value", f"'local_alarms': {error}"))
    if len(entries) > LISTED_MAX:
        errors.append(BadInput("bad-value", f"'local_alarms' holds more than {LISTED_MAX}"))
    return alarms, errors


class Told:
    """Which local alarms the engine was told of, by gateway, oldest first."""

    def __init__(self, told: Mapping[str, Sequence[str]] | None = None) -> None:
        self._told = {gateway: list(ids) for gateway, ids in (told or {}).items()}

    @classmethod
    def open(cls, journal: Journal) -> Told:
        """What the journal's state remembers."""
        return cls({key.removeprefix(_PREFIX): _IDS.decode(ids) for key, ids in journal.state(_PREFIX).items()})

    def new(self, gateway: str, alarms: Sequence[LocalAlarm]) -> list[LocalAlarm]:
        """Those that were not told, each once."""
        known = set(self._told.get(gateway, ()))
        return list({alarm.id: alarm for alarm in alarms if alarm.id not in known}.values())

    def state(self, gateway: str, ids: Sequence[str]) -> dict[str, bytes]:
        """What the journal's state must say once these were told."""
        return {f"{_PREFIX}{gateway}": msgspec.json.encode(self._with(gateway, ids))}

    def accept(self, gateway: str, ids: Sequence[str]) -> None:
        """They were told."""
        self._told[gateway] = self._with(gateway, ids)

    def _with(self, gateway: str, ids: Sequence[str]) -> list[str]:
        return [*self._told.get(gateway, ()), *ids][-TOLD_MAX:]


def told_locally(gateway: str, alarm: LocalAlarm) -> dict[str, object]:
    """The command that tells the engine."""
    return {
        "id": f"local/{gateway}/{alarm.id}",
        "action": "told-locally",
        "alarm": alarm.id,
        "seq": 0,
        "actor": gateway,
        "note": None,
        "rule": alarm.rule,
        "device": alarm.device,
        "metric": alarm.metric,
        "onset_ms": alarm.onset_ms,
        "raised_ms": alarm.raised_ms,
    }
