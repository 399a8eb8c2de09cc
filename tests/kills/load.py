"""What devices measure, and what they were told of it: offered, promised, of unknown outcome."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from telemetry.reading import Reading
from telemetry.topics import readings_topic
from tests.kills.district import DEVICES, PLAIN, SITES, VALUES, WEST, Ports

ANSWER_MAX_S = 30.0  # longer than any hold, so that a device's readings stay in their order

Key = tuple[str, int]  # device, time_ms


class Ledger:
    """Every reading of a round. No two of a device have the same time."""

    def __init__(self) -> None:
        self.offered: dict[Key, Reading] = {}
        self.promised: set[Key] = set()  # pushed and answered 200
        self.refused: set[Key] = set()  # pushed and answered otherwise; it may be stored all the same
        self.plain: dict[Key, tuple[float, bool]] = {}  # published at (monotonic), and whether the broker has taken it

    def offer(self, reading: Reading) -> Key:
        key = reading.device, reading.time_ms
        assert key not in self.offered
        self.offered[key] = reading
        return key


class Device:
    """Measures values around the limits, which stay low or high for a while."""

    def __init__(self, device: str, metric: str, rng: random.Random) -> None:
        self._device = device
        self._metric = metric
        self._rng = rng
        self._is_high = False
        self._time_ms = 0
        self._count = 0

    def measure(self) -> Reading:
        if self._rng.random() < (0.3 if self._is_high else 0.06):
            self._is_high = not self._is_high
        self._count += 1
        self._time_ms = max(self._time_ms + 1, time.time_ns() // 1_000_000)
        value = self._rng.choice(VALUES[self._metric][self._is_high])
        key = f"p{self._count}" if self._metric == "skin_temperature" else None
        return Reading(self._device, self._metric, self._time_ms, value, key=key)


class Load:
    """All devices of the district, at work until told otherwise."""

    def __init__(self, ports: Ports, rng: random.Random) -> None:
        self.ledger = Ledger()
        self._ports = ports
        self._rngs = (random.Random(rng.randrange(1 << 30)) for _ in range(100))
        self._is_over = False
        self._plain = paho.Client(CallbackAPIVersion.VERSION2, client_id="plain-1", clean_session=False)
        self._plain.reconnect_delay_set(1, 1)
        # What a message's own `is_published` says is of no use: where the connection ends as the message is handed over, it
        # says for ever that there is none, though the message is sent with the next one.
        self._taken: set[int] = set()
        self._plain.on_publish = lambda _client, _data, mid, _reason, _properties: self._taken.add(mid)

    async def run(self) -> None:
        """Until `end`; returns when each has had its last answer."""
        pushers = [self._push(gateway, *device, next(self._rngs)) for gateway, device in _devices()]
        await asyncio.gather(*pushers, self._publish(next(self._rngs)))

    def end(self) -> None:
        self._is_over = True

    def close(self) -> None:
        self._plain.disconnect()
        self._plain.loop_stop()

    async def _push(self, gateway: str, device: str, metric: str, per_s: float, rng: random.Random) -> None:
        measuring = Device(device, metric, rng)
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._is_over:
            await asyncio.sleep(rng.uniform(0.5, 1.5) / per_s)
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._ports.push[gateway])
            except OSError:
                continue  # nobody is there: it measures nothing that it could not tell anyhow
            reading = measuring.measure()
            key = self.ledger.offer(reading)
            try:
                async with asyncio.timeout(ANSWER_MAX_S):
                    status, keeps_alive = await _post(*connection, reading)
            except (OSError, TimeoutError, EOFError):
                status, keeps_alive = 0, False
            if status == 200:
                self.ledger.promised.add(key)
            elif status:
                self.ledger.refused.add(key)
            if not keeps_alive:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _publish(self, rng: random.Random) -> None:
        """A device that speaks MQTT by itself: QoS 1, the next one only when the broker has taken the last."""
        measuring = Device(*PLAIN, rng)
        topic = readings_topic(SITES[WEST], WEST)
        self._plain.connect_async("127.0.0.1", self._ports.broker)
        self._plain.loop_start()
        while not self._is_over:
            await asyncio.sleep(rng.uniform(0.1, 0.3))
            if not self._plain.is_connected():
                continue
            reading = measuring.measure()
            key = self.ledger.offer(reading)
            row = {"device": PLAIN[0], "metric": PLAIN[1], "time": reading.time_ms, "value": reading.value}
            self.ledger.plain[key] = time.monotonic(), False
            sent = self._plain.publish(topic, json.dumps({"readings": [row]}), qos=1)
            while sent.mid not in self._taken:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            self._taken.clear()
            self.ledger.plain[key] = self.ledger.plain[key][0], True


def _devices() -> Iterator[tuple[str, tuple[str, str, float]]]:
    return ((gateway, device) for gateway, devices in DEVICES.items() for device in devices)


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reading: Reading) -> tuple[int, bool]:
    """Push one reading: the status, and whether the connection may be used again. Raises EOFError when it was closed."""
    body = {"serial": reading.device, "time": reading.time_ms, reading.metric: reading.value}
    if reading.key is not None:
        body["passage"] = reading.key
    data = json.dumps(body).encode()
    writer.write(b"POST /push HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    await reader.readexactly(int(head.lower().split("content-length:")[1].split("\r\n")[0]))
    return int(head.split(" ")[1]), "keep-alive" in head
