"""What a guard decided at a gateway's own page, as it travels in a frame. No numpy: gateways use it.

It says what the alarm is about and not its id, because a gateway that does not know the time yet knows no onset either:
its times are put right when the frame is sent, and the id follows from them (`telemetry.identity`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from telemetry.clock import TimeMs
from telemetry.errors import BadInput
from telemetry.identity import alarm_id

Disposition = Literal["admit", "refuse", "refer"]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LocalDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One person, one decision. Times are the gateway's, epoch milliseconds, UTC."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{8,32}$")]
    rule: _Name
    device: _Name
    metric: _Name
    key: Annotated[str, msgspec.Meta(max_length=100)]  # of the passage
    onset_ms: TimeMs
    guard: _Name
    decided_ms: TimeMs
    disposition: Disposition
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    asked_ms: TimeMs | None = None  # when the second measurement was asked for
    value: float | None = None  # what it was
    method: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    measured_ms: TimeMs | None = None

    @property
    def alarm(self) -> str:
        """The id of the alarm that it is about."""
        return alarm_id(self.rule, self.device, self.metric, self.key, self.onset_ms)

    def placed(self, place: Callable[[int], int]) -> LocalDecision:
        """The same with the times that they really were."""

        def moved(time_ms: int | None) -> int | None:
            return None if time_ms is None else place(time_ms)

        onset_ms = place(self.onset_ms)
        # A passage without a key is known by the moment of its reading.
        key = f"t{onset_ms}" if self.key == f"t{self.onset_ms}" else self.key
        return msgspec.structs.replace(
            self,
            key=key,
            onset_ms=onset_ms,
            decided_ms=place(self.decided_ms),
            asked_ms=moved(self.asked_ms),
            measured_ms=moved(self.measured_ms),
        )


_DECISION = msgspec.json.Decoder(LocalDecision)


def encode_decision(decision: LocalDecision) -> str:
    """As it stands in a frame."""
    return msgspec.json.encode(decision).decode()


def decode_decision(text: str) -> LocalDecision:
    """Read one back. Raises BadInput(bad-value)."""
    try:
        return _DECISION.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadInput("bad-value", f"a decision of a gateway's page: {error}") from error
