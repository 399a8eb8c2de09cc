"""A ZKTeco terminal by its PUSH protocol: access control (3.x, `rtlog`) or attendance (2.x, `ATTLOG`).

A 3.x terminal that is told no RegistryCode asks again every 15 s and sends nothing. Before its clock is set it writes times
that are none. A temperature of 0 means "not measured"; `index` begins anew after a reset.

Source: reference/devices.md §4.3.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import httpx

from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.scanner import Pusher, Seen

Edition: TypeAlias = Literal[2, 3]

ASK_AGAIN_S = 15.0
_NEVER_SET = "1971--10--29 -23:-27:-54"
_MEMORY_MAX = 10_000
_ROWS_MAX = 50  # in one table
_FACE = 15


@dataclass(slots=True)
class ZktecoTerminal:
    """One terminal. `saw` makes a row; `run` pushes."""

    serial: str
    clock: MeterClock
    edition: Edition = 3
    poll_s: float = 10.0  # between two questions for commands
    retry_s: float = ASK_AGAIN_S
    has_fahrenheit: bool = False  # writes convtemperature alone
    sends_door_states: bool = True  # `rtstate`, which hold no measurement
    registrations: int = 0
    taken: int = 0  # rows

    _index: int = 0
    _rows: deque[str] = field(default_factory=lambda: deque(maxlen=_MEMORY_MAX))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waiting(self) -> int:
        """Rows that nobody has taken yet."""
        return len(self._rows)

    def saw(self, seen: Seen) -> None:
        """Somebody stands in front of it."""
        self._index += 1
        self._rows.append(self._row(seen))
        self._changed.set()

    def reset(self) -> None:
        """The index begins anew; what was not sent is gone."""
        self._index = 0
        self._rows.clear()

    async def run(self, url: str) -> None:
        """Push to a server until cancelled.

        Args:
            url: Of the server, without a path.
        """
        pusher = Pusher(url, lambda _: True)
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            while True:
                if not await self._registered(pusher, http):
                    await asyncio.sleep(self.retry_s)
                    continue
                while await self._told(pusher, http):
                    self._changed.clear()
                    if not self._rows:
                        await self._waited()
                    await pusher.ask(http, "GET", f"/iclock/getrequest?SN={self.serial}")
                await asyncio.sleep(self.retry_s)

    async def _waited(self) -> None:
        try:
            async with asyncio.timeout(self.poll_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _registered(self, pusher: Pusher, http: httpx.AsyncClient) -> bool:
        self.registrations += 1
        if self.edition == 2:
            asked = f"/iclock/cdata?SN={self.serial}&options=all&language=83&pushver=2.4.1"
            answer = await pusher.ask(http, "GET", asked)
            return answer is not None and answer.text.startswith(f"GET OPTION FROM: {self.serial}")
        about = f"DeviceType=acc,~DeviceName=SpeedFace,FirmVer=3.1,~SerialNumber={self.serial}".encode()
        answer = await pusher.ask(http, "POST", f"/iclock/registry?SN={self.serial}", about)
        if answer is None or not answer.text.startswith("RegistryCode="):
            return False
        return await pusher.ask(http, "POST", f"/iclock/push?SN={self.serial}", b"") is not None

    async def _told(self, pusher: Pusher, http: httpx.AsyncClient) -> bool:
        """Push what waits; False when it was not taken."""
        while self._rows:
            rows = list(self._rows)[:_ROWS_MAX]
            table = "rtlog" if self.edition == 3 else "ATTLOG"
            body = ("\r\n" if self.edition == 3 else "\n").join(rows).encode() + b"\n"
            path = f"/iclock/cdata?SN={self.serial}&table={table}" + ("&Stamp=9999" if self.edition == 2 else "")
            answer = await pusher.ask(http, "POST", path, body)
            if answer is None or answer.status_code != httpx.codes.OK or not answer.text.startswith("OK"):
                return False
            for _ in rows:
                self._rows.popleft()
            self.taken += len(rows)
            if self.sends_door_states and self.edition == 3:
                state = (
                    f"time={rows[-1].partition('time=')[2][:19]}\tsensor=00\trelay=00\talarm=0000000000000000".encode()
                )
                await pusher.ask(http, "POST", f"/iclock/cdata?SN={self.serial}&table=rtstate", state)
        return True

    def _row(self, seen: Seen) -> str:
        celsius = seen.skin_c or 0.0
        shown = "0" if not celsius or self.has_fahrenheit else f"{celsius:.1f}"
        converted = f"{celsius * 1.8 + 32:.1f}" if celsius else "0"
        mask = int(bool(seen.wears_mask))
        pin = seen.person or "0"
        if self.edition == 2:
            values = (pin, self._written(seen.time_ms), 0, _FACE, 0, 0, 0, mask, shown, converted)
            return "\t".join(str(value) for value in values)
        fields = {
            "time": self._written(seen.time_ms),
            "pin": pin,
            "cardno": "0",
            "eventaddr": "1",
            "event": "3" if seen.person else "27",
            "inoutstatus": "0",
            "verifytype": str(_FACE),
            "index": str(self._index),
            "sitecode": "0",
            "linkid": "0",
            "maskflag": str(mask),
            "temperature": shown,
            "convtemperature": converted,
        }
        return "\t".join(f"{name}={value}" for name, value in fields.items())

    def _written(self, time_ms: int) -> str:
        shown = self.clock.local(time_ms)
        return _NEVER_SET if shown.year < 2001 else f"{shown:%Y-%m-%d %H:%M:%S}"
