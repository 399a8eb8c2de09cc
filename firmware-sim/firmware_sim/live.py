"""The live district on real sockets: Modbus servers, scanners that push, the canteen's publisher, and a clock.

Everything that decides is in `stage`; here bytes are moved. Queues between the stage and the senders are bounded (a day
of passages); when one is full the whole stage waits, and catches up afterwards.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog

from firmware_sim.district import District
from firmware_sim.modbus import NotModbusError, RequestReader
from firmware_sim.publisher import Publisher
from firmware_sim.scenario import Action, Scenario
from firmware_sim.stage import Message, Push, Stage
from firmware_sim.truth import ExpectedAlarm, Truth
from firmware_sim.world import WorldState
from telemetry.clock import Clock, SystemClock
from telemetry.topics import readings_topic

ActionHandler = Callable[[Action], Awaitable[None]]
"""Told of every action of the script as it happens; the stage waits for it, so it must not take long."""

_TICK_S = 0.5
_QUEUE_MAX = 5_000
_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 3.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the field meets its gateways, by gateway id. A Modbus port of 0 takes any free one: see `modbus_port`."""

    modbus_port: Mapping[str, int]
    push_url: Mapping[str, str]
    broker_host: str = "127.0.0.1"
    broker_port: int = 1883
    broker_username: str | None = None
    broker_password: str | None = None
    listen_host: str = "127.0.0.1"

    @classmethod
    def declared(cls, district: District) -> Endpoints:
        """As the gateway files say."""
        modbus = {name: driver.port for name, gateway in district.gateways.items() for driver in gateway.modbus}
        push = {
            name: f"http://{driver.host}:{driver.port}/push"
            for name, gateway in district.gateways.items()
            for driver in gateway.drivers
            if driver.driver == "http-push"
        }
        broker = next(iter(district.gateways.values())).broker
        return cls(modbus, push, broker.host, broker.port)


class LiveDistrict:
    """A district that goes on from where its past ended. `run` it; `truth` tells what it did."""

    def __init__(
        self,
        district: District,
        scenario: Scenario,
        seed: int,
        world_state: WorldState,
        endpoints: Endpoints,
        *,
        on_action: ActionHandler | None = None,
        clock: Clock | None = None,
        drain_s: float = 10.0,
    ) -> None:
        self.on_action = on_action
        self.modbus_port: dict[str, int] = {}  # filled when `run` listens
        self.listening = asyncio.Event()
        self._district = district
        self._endpoints = endpoints
        self._clock = clock or SystemClock()
        self.start_ms = max(self._clock.now_ms(), world_state.world.time_ms)
        self._stage = Stage(district, scenario, world_state, self.start_ms)
        self.truth: Truth = self._stage.truth
        self._seed = seed
        self._drain_s = drain_s
        scanners = [scanner.device for gateway in district.gateways.values() for scanner in gateway.scanners]
        self._pushes = {scanner: asyncio.Queue[Push](_QUEUE_MAX) for scanner in scanners}
        self._messages = asyncio.Queue[Message](_QUEUE_MAX)
        self._connections: set[asyncio.StreamWriter] = set()

    def expected_alarms(self) -> list[ExpectedAlarm]:
        """What should, and what may, have been raised so far."""
        return self._stage.expected_alarms()

    def write_truth(self, path: Path) -> None:
        """The truth about the run up to now, as JSON."""
        self.truth.write(path, self.expected_alarms())

    async def run(self, stop: asyncio.Event) -> None:
        """Live until `stop` is set, then let the senders finish (at most `drain_s`) and close."""
        servers = [await self._listen(gateway) for gateway in self._endpoints.modbus_port]
        self.listening.set()
        give_up = threading.Event()
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http, asyncio.TaskGroup() as group:
                senders = [
                    group.create_task(self._push(http, queue), name=f"scanner {scanner}")
                    for scanner, queue in self._pushes.items()
                ]
                senders.append(group.create_task(self._publish(give_up), name="canteen"))
                ticker = group.create_task(self._tick(), name="stage")
                await stop.wait()
                ticker.cancel()
                await self._drained()
                give_up.set()
                for sender in senders:
                    sender.cancel()
        finally:
            give_up.set()
            for server in servers:
                server.close()
            for writer in self._connections:
                writer.close()
            self.listening.clear()

    async def _tick(self) -> None:
        while True:
            moment = self._stage.advance(self._clock.now_ms())
            for push in moment.pushes:
                await self._pushes[push.scanner].put(push)
            for message in moment.messages:
                await self._messages.put(message)
            for action in moment.actions:
                _log.info("scenario", action=action.do, at_s=action.at_s)
                if self.on_action is not None:
                    await self.on_action(action)
            await asyncio.sleep(_TICK_S)

    async def _drained(self) -> None:
        queues: list[asyncio.Queue[Message] | asyncio.Queue[Push]] = [self._messages, *self._pushes.values()]
        try:
            async with asyncio.timeout(self._drain_s):
                for queue in queues:
                    await queue.join()
        except TimeoutError:
            left = len(self.truth.pushed) - self.truth.confirmed.total()
            _log.warning("field devices stop before everything was taken from them", readings=left)

    async def _listen(self, gateway: str) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(gateway, reader, writer)

        server = await asyncio.start_server(serve, self._endpoints.listen_host, self._endpoints.modbus_port[gateway])
        self.modbus_port[gateway] = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, gateway: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a gateway: answer in order, keep quiet for units that are not there."""
        requests = RequestReader()
        self._connections.add(writer)
        try:
            while data := await reader.read(4096):
                for request in requests.feed(data):
                    if writer.is_closing():
                        return  # an answer that nobody can be sent has not been served
                    answer = self._stage.answer(gateway, request, self._clock.now_ms())
                    if answer is not None:
                        writer.write(answer)
                await writer.drain()
        except (NotModbusError, OSError) as error:
            _log.warning("Modbus connection closed", gateway=gateway, error=str(error))
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _push(self, http: httpx.AsyncClient, queue: asyncio.Queue[Push]) -> None:
        """One scanner: post in order, the same passage with the same time until the gateway says 200."""
        while True:
            push = await queue.get()
            delay_s = _RETRY_MIN_S
            while not await self._posted(http, push):
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)
            for device, metric, *_ in push.readings:
                self.truth.confirm(device, metric)
            queue.task_done()

    async def _posted(self, http: httpx.AsyncClient, push: Push) -> bool:
        url = self._endpoints.push_url[push.gateway]
        try:
            response = await http.post(url, content=push.body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK

    async def _publish(self, give_up: threading.Event) -> None:
        """The canteen: publish in order at QoS 1; paho repeats what the broker has not acknowledged."""
        names, where = self._district.world.canteen, self._endpoints
        topic = readings_topic(names.site, names.gateway)
        publisher = Publisher(
            where.broker_host,
            where.broker_port,
            f"{names.gateway}-{self._seed}",
            username=where.broker_username,
            password=where.broker_password,
        )
        loop = asyncio.get_running_loop()
        publisher.start()
        try:
            while True:
                message = await self._messages.get()

                def settle(message: Message = message) -> None:
                    for device, metric, *_ in message.readings:
                        self.truth.confirm(device, metric)
                    self._messages.task_done()

                def on_durable(settle: Callable[[], None] = settle) -> None:
                    if not loop.is_closed():
                        loop.call_soon_threadsafe(settle)

                await asyncio.to_thread(publisher.publish, topic, message.payload, on_durable, give_up)
        finally:
            publisher.stop()
