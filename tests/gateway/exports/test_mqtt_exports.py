"""Home Assistant and Sparkplug B: what is said, and to whom over a real broker."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from gateway.drivers.sparkplug.host import HeardValue, Host
from gateway.events import Events
from gateway.export import Export, Outbox
from gateway.exports.home_assistant.discovery import discovery, state
from gateway.exports.home_assistant.export import HomeAssistantExport
from gateway.exports.home_assistant.settings import HomeAssistantSettings
from gateway.exports.sparkplug.export import SparkplugExport
from gateway.exports.sparkplug.node import Node
from gateway.exports.sparkplug.settings import SparkplugExportSettings
from gateway.sparkplug.topics import parse_topic
from telemetry.clock import ManualClock
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.gateway.support import until
from tests.gateway.test_sparkplug import GOOGLE

NOW_MS = 1_795_392_000_000


def level(value: float, at_ms: int = NOW_MS, quality: Quality = Quality.GOOD, key: str | None = None) -> Reading:
    return Reading("mh-1", "level", at_ms, value, quality, key)


def home(port: int = 1) -> HomeAssistantSettings:
    series = {"device": "mh-1", "metric": "level", "name": "Water level", "unit": "m", "device_class": "distance"}
    broker = {"host": "127.0.0.1", "port": port}
    entry = {
        "export": "home-assistant",
        "broker": broker,
        "client_id": "gw-1-home",
        "every_s": 0.05,
        "series": [series],
    }
    return HomeAssistantSettings.model_validate(entry)


def node_settings(port: int = 1, **rest: Any) -> SparkplugExportSettings:
    series = [{"device": "mh-1", "metric": "level", "name": "Level/1"}, {"device": "mh-2", "metric": "level"}]
    broker = {"host": "127.0.0.1", "port": port}
    entry = {
        "export": "sparkplug",
        "broker": broker,
        "client_id": "n",
        "group": "G",
        "node": "E",
        "series": series,
        **rest,
    }
    return SparkplugExportSettings.model_validate(entry)


def test_a_device_discovers_itself_with_what_home_assistant_requires() -> None:
    topic, payload = discovery(home(), "mh-1")
    assert topic == "homeassistant/device/gw-1-home-mh-1/config"
    said = json.loads(payload)
    assert said["o"]["name"] and said["dev"]["ids"] == ["gw-1-home-mh-1"]
    assert said["stat_t"] == "gatehouse-home/gw-1-home/mh-1/state"
    assert said["cmps"]["level"] == {
        "p": "sensor",
        "unique_id": "gw-1-home-mh-1-level",
        "name": "Water level",
        "val_tpl": "{{ value_json.level }}",
        "unit_of_meas": "m",
        "dev_cla": "distance",
    }


def test_a_bad_reading_is_no_value_and_a_passage_key_is_never_told() -> None:
    assert json.loads(state({"level": level(1.5, key="secret")})) == {"level": 1.5}
    assert json.loads(state({"level": level(1.5, quality=Quality.BAD)})) == {"level": None}


def test_one_reading_from_years_ahead_keeps_no_other_out() -> None:
    ahead, late, now = level(9.0, NOW_MS + 10**10), level(1.0, NOW_MS - 1_000), level(2.0)
    export, node = HomeAssistantExport(home(), ManualClock(NOW_MS), Events(ManualClock())), Node(node_settings())
    for reading in (ahead, now, late):
        export.take([reading])
        node.data([reading], NOW_MS)
    assert export._newest["mh-1"]["level"] == now
    _, (_, birth), _ = node.births(NOW_MS)
    assert [metric.double_value for metric in GOOGLE.FromString(birth).metrics] == [2.0]


def test_an_outbox_drops_the_oldest_and_counts_it() -> None:
    events = Events(ManualClock())
    outbox: Outbox[int] = Outbox("x", 2, events)
    for number in range(5):
        outbox.put(number)
    assert asyncio.run(asyncio.wait_for(outbox.take(), 1)) == [3, 4]
    assert events.counters()["export_dropped"] == 3


def test_a_nodes_messages_are_what_the_specification_asks_for() -> None:
    node = Node(node_settings())
    topic, payload = node.death()
    will = GOOGLE.FromString(payload)
    assert topic == "spBv1.0/G/NDEATH/E" and not will.HasField("seq")
    assert [(m.name, m.long_value, m.datatype) for m in will.metrics] == [("bdSeq", 0, 8)]
    births = [(topic, GOOGLE.FromString(payload)) for topic, payload in node.births(NOW_MS)]
    assert [topic for topic, _ in births] == [
        "spBv1.0/G/NBIRTH/E",
        "spBv1.0/G/DBIRTH/E/mh-1",
        "spBv1.0/G/DBIRTH/E/mh-2",
    ]
    assert [birth.seq for _, birth in births] == [0, 1, 2]
    assert {m.name: m.long_value for m in births[0][1].metrics}["bdSeq"] == 0
    assert {m.name: m.boolean_value for m in births[0][1].metrics}["Node Control/Rebirth"] is False
    (metric,) = births[1][1].metrics
    assert (metric.name, metric.alias, metric.datatype, metric.is_null) == ("Level/1", 1, 10, True)
    ((topic, payload),) = node.data([level(0.305, NOW_MS + 1), level(0.2, NOW_MS - 5)], NOW_MS + 2)
    data = GOOGLE.FromString(payload)
    assert (topic, data.seq) == ("spBv1.0/G/DDATA/E/mh-1", 3)
    assert [(m.alias, m.double_value, m.is_historical, m.HasField("name")) for m in data.metrics] == [
        (1, 0.305, False, False),
        (1, 0.2, True, False),
    ]
    rebirth = GOOGLE.FromString(node.births(NOW_MS + 9)[1][1]).metrics[0]
    assert (rebirth.double_value, rebirth.timestamp) == (0.305, NOW_MS + 1)
    assert [m.long_value for m in GOOGLE.FromString(node.death()[1]).metrics] == [1]


def test_the_numbers_of_a_node_go_round_and_a_host_misses_none() -> None:
    node, host = Node(node_settings()), Host(2.0)
    node.death()
    messages = [*node.births(NOW_MS)]
    for number in range(600):
        messages += node.data([level(float(number), NOW_MS + number)], NOW_MS + number)
    heard: list[HeardValue] = []
    for topic, payload in messages:
        parsed = parse_topic(topic)
        assert parsed is not None
        heard += host.hear(parsed, payload, 0.0).values
    assert host.rebirths(99.0) == []
    assert [value.value for value in heard if value.name == "Level/1"][1:] == [float(n) for n in range(600)]


class Watcher:
    """Somebody at the broker who hears all and says what a test wants."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, "watcher")
        self.client.on_message = self._on_message
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(topic, 1) for topic in topics])
        self.client.loop_start()
        assert subscribed.wait(10)

    def of(self, topic: str) -> list[bytes]:
        return [payload for heard, payload in self.heard if heard == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client.on_message = None

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def check(
    port: int,
    export: Callable[[ManualClock, Events], Export],
    scenario: Callable[[Any, Export, Events], Awaitable[None]],
    *topics: str,
) -> None:
    async def run() -> None:
        clock = ManualClock(NOW_MS)
        events = Events(clock)
        watcher = Watcher(port, *topics)
        try:
            await scenario(watcher, export(clock, events), events)
        finally:
            watcher.close()

    asyncio.run(run())


@pytest.mark.integration
def test_home_assistant_hears_of_devices_their_values_and_that_we_went(mosquitto_port: int) -> None:
    state_topic, there = "gatehouse-home/gw-1-home/mh-1/state", "gatehouse-home/gw-1-home/availability"

    async def scenario(watcher: Watcher, export: Export, _events: Events) -> None:
        export.take([level(1.0)])
        task = asyncio.create_task(export.run())
        await until(lambda: bool(watcher.of(state_topic)), "the first value")
        assert len(watcher.of("homeassistant/device/gw-1-home-mh-1/config")) == 1
        assert watcher.of(there) == [b"online"]
        export.take([level(2.0, NOW_MS + 1), level(1.5, NOW_MS - 1), Reading("mh-9", "level", NOW_MS, 9.0)])
        await until(lambda: json.loads(watcher.of(state_topic)[-1]) == {"level": 2.0}, "the second value")
        await ended(task)
        await until(lambda: watcher.of(there)[-1] == b"offline", "our going")

    check(
        mosquitto_port,
        lambda clock, events: HomeAssistantExport(home(mosquitto_port), clock, events),
        scenario,
        "homeassistant/#",
        "gatehouse-home/#",
    )


@pytest.mark.integration
def test_a_host_hears_birth_data_a_new_birth_on_demand_and_the_death(mosquitto_port: int) -> None:
    async def scenario(watcher: Watcher, export: Export, events: Events) -> None:
        task = asyncio.create_task(export.run())
        await until(lambda: bool(watcher.of("spBv1.0/G/DBIRTH/E/mh-2")), "the births")
        export.take([level(0.305, NOW_MS + 1), Reading("mh-9", "level", NOW_MS, 9.0)])
        await until(lambda: bool(watcher.of("spBv1.0/G/DDATA/E/mh-1")), "data")
        command = GOOGLE()
        command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
        watcher.client.publish("spBv1.0/G/NCMD/E", b"\xff")
        watcher.client.publish("spBv1.0/G/NCMD/E", command.SerializeToString())
        await until(lambda: len(watcher.of("spBv1.0/G/NBIRTH/E")) == 2, "a new birth")
        assert events.counters()["refused_messages"] == 1
        await ended(task)
        await until(lambda: bool(watcher.of("spBv1.0/G/NDEATH/E")), "the death")

    check(
        mosquitto_port,
        lambda clock, events: SparkplugExport(node_settings(mosquitto_port), clock, events),
        scenario,
        "spBv1.0/#",
    )


@pytest.mark.integration
def test_with_a_host_named_nothing_is_told_before_it_is_there_and_what_waited_is_historical(
    mosquitto_port: int,
) -> None:
    async def scenario(watcher: Watcher, export: Export, _events: Events) -> None:
        task = asyncio.create_task(export.run())
        export.take([level(0.305, NOW_MS - 60_000)])
        watcher.client.publish("spBv1.0/STATE/scada1", b'{"online":false,"timestamp":1}', 1, True)
        await until(lambda: bool(watcher.of("spBv1.0/STATE/scada1")), "the state")
        assert watcher.of("spBv1.0/G/NBIRTH/E") == []
        watcher.client.publish("spBv1.0/STATE/scada1", b'{"online":true,"timestamp":2}', 1, True)
        await until(lambda: bool(watcher.of("spBv1.0/G/DDATA/E/mh-1")), "data")
        data = GOOGLE.FromString(watcher.of("spBv1.0/G/DDATA/E/mh-1")[0])
        assert [m.is_historical for m in data.metrics] == [True]
        watcher.client.publish("spBv1.0/STATE/scada1", b'{"online":false,"timestamp":3}', 1, True)
        await until(lambda: bool(watcher.of("spBv1.0/G/NDEATH/E")) and task.done(), "our death")
        await asyncio.gather(task, return_exceptions=True)

    check(
        mosquitto_port,
        lambda clock, events: SparkplugExport(node_settings(mosquitto_port, host="scada1"), clock, events),
        scenario,
        "spBv1.0/#",
    )
