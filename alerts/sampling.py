"""Devices that are wanted more often while something is going on there: from open alarms to what gateways are asked.

Which rules want that stands in the rules (`sample_every_s`). What is open stands in the database; nothing else is remembered,
so a core that starts again asks for the same. Source: reference/alarms.md §4.2, D8.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
import structlog

from alerts import events
from alerts.rule import AnyRule
from alerts.store import alarms
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.errors import Unavailable
from telemetry.sampling import Sampling, encode_sampling
from telemetry.topics import sampling_topic

_log = structlog.get_logger("alerts")

LOOK_EVERY_S = 5.0
LASTS_S = 900.0  # so long a gateway goes on when it hears no more of us

EveryS = dict[str, float]
"""Seconds between two readings that are wanted, by device."""


def wanted(rules: Mapping[str, AnyRule], opened: Iterable[tuple[str, str]], catalogue: Catalogue) -> dict[str, EveryS]:
    """What each gateway is to be asked: the fastest that any open alarm wants of a device.

    Args:
        opened: (rule, device) of the open alarms.

    Returns:
        By gateway; none that is to be asked nothing.
    """
    found: dict[str, EveryS] = {}
    for rule, device in opened:
        declared, known = rules.get(rule), catalogue.device.get(device)
        if declared is None or declared.sample_every_s is None or known is None:
            continue
        devices = found.setdefault(known.gateway, {})
        devices[device] = min(declared.sample_every_s, devices.get(device, declared.sample_every_s))
    return found


class SamplingLoop:
    """Asks gateways, retained at the broker; again before what was asked for ends.

    Args:
        force: The rules and the catalogue in force.
        publish: (topic, payload, retained); raises Unavailable.
    """

    def __init__(
        self,
        database: sa.Engine,
        force: Callable[[], tuple[Mapping[str, AnyRule], Catalogue]],
        publish: Callable[[str, bytes, bool], None],
        clock: Clock,
    ) -> None:
        self._database = database
        self._force = force
        self._publish = publish
        self._clock = clock
        self._asked: dict[str, tuple[EveryS, float]] = {}  # by gateway: what was asked, and when

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. What cannot be said now is said the next time."""
        while not stop.wait(LOOK_EVERY_S):
            try:
                self.step()
            except (*DATABASE_AWAY, Unavailable) as error:
                _log.warning("gateways could not be asked for sampling; it is tried again", error=str(error))

    def step(self) -> None:
        """Say what has changed, and again what would end. Raises Unavailable and DATABASE_AWAY."""
        rules, catalogue = self._force()
        now_s = self._clock.monotonic_s()
        new = wanted(rules, self._opened(rules), catalogue)
        events.sampled(sum(map(len, new.values())))
        for gateway in sorted(new.keys() | self._asked.keys()):
            every_s, (before, asked_s) = new.get(gateway, {}), self._asked.get(gateway, ({}, now_s))
            if every_s == before and (not every_s or now_s - asked_s < LASTS_S / 3):
                continue
            known = catalogue.gateway.get(gateway)
            if known is not None:
                word = Sampling(every_s, LASTS_S, self._clock.now_ms())
                self._publish(sampling_topic(known.site, gateway), encode_sampling(word), True)
            self._asked[gateway] = every_s, now_s
            if not every_s:
                del self._asked[gateway]

    def _opened(self, rules: Mapping[str, AnyRule]) -> list[tuple[str, str]]:
        wanting = [name for name, rule in rules.items() if rule.sample_every_s is not None]
        if not wanting:
            return []
        query = sa.select(alarms.c.rule, alarms.c.device).where(alarms.c.is_open, alarms.c.rule.in_(wanting))
        with self._database.connect() as db:
            return [(row.rule, row.device) for row in db.execute(query)]
