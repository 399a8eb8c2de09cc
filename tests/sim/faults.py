"""What goes wrong in a run, drawn from its seed: a list, so that a failing run can be made smaller by leaving things out."""

from __future__ import annotations

import random
from dataclasses import dataclass

FAULTS_UNTIL_S = 150.0
CORE, EAST, WEST = "core", "gw-east", "gw-west"
NODES = (CORE, EAST, WEST)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    at_s: float
    kind: str
    where: str
    lasts_s: float
    number: int = 0  # what it means depends on the kind

    def __str__(self) -> str:
        return f"{self.at_s:6.1f} s  {self.kind} {self.where}, {self.lasts_s:.1f} s, {self.number}"


def draw(rng: random.Random) -> list[Fault]:
    """The faults of one run: first which kinds there are at all, then how many of each, when and how long."""
    kinds = rng.sample(sorted(_KINDS), rng.randint(1, 6))
    faults = []
    for kind in kinds:
        where, count_max, lasts = _KINDS[kind]
        for _ in range(rng.randint(1, count_max)):
            long = rng.random() < 0.15
            lasts_s = rng.uniform(70, 150) if long and lasts > 20 else rng.uniform(0.1, lasts)
            faults.append(
                Fault(
                    round(rng.uniform(2, FAULTS_UNTIL_S), 3),
                    kind,
                    rng.choice(where),
                    round(lasts_s, 3),
                    rng.randrange(1 << 30),
                )
            )
    return sorted(faults, key=lambda fault: fault.at_s)


_GATEWAYS = (EAST, WEST)
_BROKER = ("broker",)
# kind -> where it can strike, how often at most, how many seconds it lasts at most
_KINDS: dict[str, tuple[tuple[str, ...], int, float]] = {
    "crash-at-write": (
        NODES,
        6,
        20.0,
    ),  # the power goes at the n-th step of the disk; unsynced writes kept, lost or torn
    "kill": (NODES, 6, 20.0),
    "pause": ((CORE,), 3, 25.0),  # stopped and continued
    "cut": (NODES, 6, 30.0),
    "half-open": (NODES, 2, 30.0),
    "broker-crash": (_BROKER, 3, 15.0),
    "lose": (_BROKER, 2, 20.0),
    "repeat": (_BROKER, 2, 40.0),
    "reorder": (_BROKER, 2, 40.0),
    "slow-network": (_BROKER, 2, 40.0),
    "disk-full": (NODES, 3, 20.0),
    "disk-fails": (NODES, 3, 15.0),
    "disk-slow": (_GATEWAYS, 2, 20.0),
    "outage-fills-disk": (_GATEWAYS, 3, 60.0),  # cut off, and little is left of the disk: what waits is thinned
    "disk-without-room": (_GATEWAYS, 2, 20.0),  # nothing new is taken; thinned as long as a copy fits
    "history-away": (("history",), 4, 40.0),
    "history-partial": (("history",), 3, 40.0),
    "history-hangs": (("history",), 2, 40.0),
    "database-away": ((CORE,), 3, 15.0),
    "crash-at-commit": ((CORE,), 4, 10.0),  # of the SQL database: before it, or right after it
    "channel-refuses": (("channel",), 3, 30.0),
    "clock-steps": (NODES, 3, 40.0),
}
