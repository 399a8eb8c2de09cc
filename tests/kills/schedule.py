"""What goes wrong and when, drawn from a seed: about one kill a second, a bad network and full disks in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence

from tests.kills.monitor import Monitor
from tests.kills.programs import Program
from tests.kills.proxy import Proxy, Trouble
from tests.kills.volume import Volume

KILL_SHARE = 0.7  # of the strikes; the others hold a process
QUIET_MAX_S = 15.0  # with the core mute for so long everything may recover: outages stay short
RECOVER_MAX_S = 45.0


class Schedule:
    """Strikes at programs, the network and the disk."""

    def __init__(
        self,
        rng: random.Random,
        victims: Sequence[Program],
        broker: Program,
        proxies: Mapping[str, Proxy],
        volume: Volume | None,
        monitor: Monitor,
    ) -> None:
        self._rng = rng
        self._victims = victims
        self._broker = broker
        self._proxies = proxies
        self._volume = volume
        self._monitor = monitor
        self._frees_s = 0.0  # when the disk is freed

    async def strike(self, kills: int, on_kill: Callable[[str], None]) -> None:
        """So many kills and holds; then `heal`."""
        rng = self._rng
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.2, 1.6))
            self._between()
            while not any(program.is_up for program in self._victims):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            if self._monitor.quiet_s(time.monotonic()) > QUIET_MAX_S:
                await self._recover()
            victim = rng.choice([program for program in self._victims if program.is_up])
            if rng.random() < KILL_SHARE:
                victim.kill(rng.uniform(0.0, 3.0))
                on_kill(f"{victim.name} killed")
            else:
                victim.hold(rng.uniform(0.2, 8.0))
                on_kill(f"{victim.name} held")
        await asyncio.sleep(rng.uniform(0.5, 2.0))

    def heal(self) -> None:
        """Nothing is in anybody's way any more."""
        for proxy in self._proxies.values():
            proxy.heal()
        for program in self._victims:
            program.let_go()
        if self._volume is not None:
            self._volume.free()

    def _between(self) -> None:
        rng, now_s = self._rng, time.monotonic()
        if rng.random() < 0.5:
            proxy = self._proxies[rng.choice(sorted(self._proxies))]
            proxy.strike(rng.choice(list(Trouble)), rng.uniform(0.2, 6.0))
        if rng.random() < 0.1:
            self._broker.save()  # as its autosave does, every half hour
        if self._volume is not None and now_s > self._frees_s and rng.random() < 0.3:
            full_s = rng.uniform(1.0, 6.0)
            self._frees_s = now_s + full_s + 2.0
            self._volume.fill()
            asyncio.get_running_loop().call_later(full_s, self._volume.free)

    async def _recover(self) -> None:
        self.heal()
        until_s = time.monotonic() + RECOVER_MAX_S
        while time.monotonic() < until_s and self._monitor.quiet_s(time.monotonic()) > 3.0:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
