"""A driver's session with a real broker: bounded, acknowledged by hand, over without hanging."""

from __future__ import annotations

import asyncio
import threading

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.subscription import Message, Subscription, Will
from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from tests.gateway.support import free_port, until

SIZE = 1_000_000
COUNT = 24


def publisher(port: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, "publisher")
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


async def opened(port: int, client_id: str = "gw", **rest: object) -> Subscription:
    broker = BrokerSettings(host="127.0.0.1", port=port)
    return await Subscription.open(broker, client_id, ["t/#"], **rest)  # type: ignore[arg-type]


async def taken(subscription: Subscription, count: int) -> list[Message]:
    found: list[Message] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for message in await subscription.messages():
                subscription.acknowledge(message)
                found.append(message)
    return found


def test_a_broker_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="connecting to"):
        asyncio.run(opened(free_port()))


@pytest.mark.integration
def test_what_waits_is_bounded_and_nothing_of_it_is_lost(mosquitto_port: int) -> None:
    async def run() -> None:
        subscription = await opened(mosquitto_port)
        client = publisher(mosquitto_port)
        sent = [client.publish(f"t/{number}", bytes(SIZE), 1) for number in range(COUNT)]
        await asyncio.to_thread(sent[-1].wait_for_publish, 20)
        await until(lambda: subscription._waiting_bytes > 7 * SIZE, "a full queue")
        assert subscription._waiting_bytes <= 8_000_000
        assert [message.topic for message in await taken(subscription, COUNT)] == [f"t/{n}" for n in range(COUNT)]
        assert subscription._waiting_bytes == 0
        client.disconnect()
        client.loop_stop()
        await subscription.close()

    asyncio.run(run())


@pytest.mark.integration
def test_ending_while_the_queue_is_full_does_not_hang_and_what_was_not_acknowledged_comes_again(
    mosquitto_port: int,
) -> None:
    async def run() -> None:
        subscription = await opened(mosquitto_port)
        client = publisher(mosquitto_port)
        sent = [client.publish(f"t/{number}", bytes(SIZE), 1) for number in range(COUNT)]
        await asyncio.to_thread(sent[-1].wait_for_publish, 20)
        await until(lambda: subscription._waiting_bytes > 7 * SIZE, "a full queue")
        async with asyncio.timeout(10):
            await subscription.abort()
        again = await opened(mosquitto_port)
        assert {message.topic for message in await taken(again, COUNT)} == {f"t/{n}" for n in range(COUNT)}
        await again.close()
        client.disconnect()
        client.loop_stop()

    asyncio.run(run())


@pytest.mark.integration
def test_a_lost_connection_is_told_and_the_will_is_spoken(mosquitto_port: int) -> None:
    async def run() -> None:
        heard: list[bytes] = []
        subscribed = threading.Event()
        watcher = Client(CallbackAPIVersion.VERSION2, "watcher")
        watcher.on_message = lambda _client, _userdata, message: heard.append(bytes(message.payload))
        watcher.on_subscribe = lambda *_: subscribed.set()
        watcher.connect("127.0.0.1", mosquitto_port)
        watcher.subscribe("will", 1)
        watcher.loop_start()
        await asyncio.to_thread(subscribed.wait, 10)
        subscription = await opened(mosquitto_port, will=Will("will", b"gone"), keeps_session=False)
        other = await opened(mosquitto_port)  # the same client: the broker throws the first one out
        with pytest.raises(Unavailable, match="lost"):
            async with asyncio.timeout(10):
                await subscription.lost()
        await until(lambda: heard == [b"gone"], "the will")
        with pytest.raises(Unavailable):
            subscription.publish("t/x", b"")
        await subscription.abort()
        await other.close()
        watcher.disconnect()
        watcher.loop_stop()

    asyncio.run(run())
