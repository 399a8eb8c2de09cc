"""A real broker as `gatehouse broker-config` sets it up, a real core, one innocent gateway, and clients that mean harm.

The innocent gateway ships a frame of one reading every few milliseconds and takes the core's receipts. Who attacks has the
certificate of another gateway (`hostile.GATEWAY`), or none. `tests/integration/test_hostile_mqtt.py` asserts what must hold,
`bench/hostile.py` measures how long the innocent waits.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import subprocess
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from gatehouse.access import write_broker
from gatehouse.identities import make
from gatehouse.settings import load_settings
from ingest import packets
from ingest.packets import Connected, PacketReader, Subscribed
from telemetry import frames
from telemetry.clock import SystemClock
from telemetry.settings import TlsSettings
from telemetry.tls import client_context
from tests import district, hostile, servers

INNOCENT = "gw-east"
_FRAMES = f"gatehouse/v1/west/{hostile.GATEWAY}/frames"
_READINGS = f"gatehouse/v1/west/{hostile.GATEWAY}/readings"


@dataclass
class Siege:
    """What stands, and where to reach it."""

    folder: Path
    port: int
    metrics_port: int
    broker: subprocess.Popen[bytes]
    core: subprocess.Popen[bytes]

    def context(self, name: str) -> ssl.SSLContext:
        pki = self.folder / "pki"
        return client_context(TlsSettings(ca=pki / "ca.crt", certificate=pki / f"{name}.pem"), name)

    def link(self, name: str, clean: bool = True) -> Link:
        return Link(self.port, self.context(name), name, clean)

    def is_well(self) -> bool:
        return (
            self.broker.poll() is None
            and self.core.poll() is None
            and servers.answers(f"http://127.0.0.1:{self.metrics_port}/health/ready")
        )

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory of (broker, core)."""
        return _memory_mb(self.broker.pid), _memory_mb(self.core.pid)


@contextlib.contextmanager
def siege(folder: Path) -> Iterator[Siege]:
    """Broker and core, each a process."""
    config = district.write_district(folder)
    port, metrics_port = servers.free_port(), servers.free_port()
    tls = {"ca": str(folder / "pki" / "ca.crt"), "certificate": str(folder / "pki" / "{client_id}.pem")}
    config.write_text(
        yaml.safe_dump(
            {
                "broker": {"host": "localhost", "port": port, "tls": tls, "reconnect_delay_max_s": 1},
                "metrics": {"port": metrics_port},
                "channels": {"pager": {"url": "http://127.0.0.1:9/", "allow_networks": ["127.0.0.1/32"]}},
            }
        )
    )
    settings = load_settings(config, {})
    make(settings, folder / "pki", ["localhost"], SystemClock())
    write_broker(settings, folder / "pki", folder / "broker", folder / "broker", port, "127.0.0.1")
    with ExitStack() as stack:
        broker = stack.enter_context(servers.secure_mosquitto(folder / "broker", port))
        core = stack.enter_context(servers.process(servers.gatehouse("core", "--config", config), folder / "core.log"))
        made = Siege(folder, port, metrics_port, broker, core)
        servers.wait_until(made.is_well, 60, "the core")
        yield made


class Link:
    """One MQTT connection over TLS, by hand. Raises OSError when the broker ends it."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str, clean: bool = True) -> None:
        raw = socket.create_connection(("127.0.0.1", port), 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname="localhost")
        except OSError:
            raw.close()
            raise
        hello = bytearray(packets.connect(name, 60, None, None))
        if clean:
            hello[9] |= 0x02
        self.socket.sendall(hello)
        self._reader = PacketReader(1_000_000)
        self._others: list[Connected | Subscribed] = []
        try:
            while not self._others:
                self.messages()
        except OSError:
            self.socket.close()
            raise

    def subscribe(self, *filters: str) -> None:
        self._others.clear()
        self.socket.sendall(packets.subscribe(1, filters))
        while not self._others:
            self.messages()

    def messages(self) -> list[packets.Message]:
        """What has arrived, acknowledged."""
        data = self.socket.recv(1_000_000)
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        found = self._reader.feed(data)
        self._others += found.others
        if acknowledged := packets.acknowledge(m.packet_id for m in found.messages if m.packet_id):
            self.socket.sendall(acknowledged)
        return found.messages

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(packets.DISCONNECT)
        self.socket.close()


class Innocent:
    """The gateway that does nothing wrong; its receipts are what is waited for."""

    def __init__(self, siege: Siege, every_s: float = 0.02, patience_s: float = 60.0) -> None:
        self._siege = siege
        self._every_s = every_s
        self._patience_s = patience_s  # for the last receipts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="innocent")
        self.epoch = f"innocent{time.time_ns()}"
        self.due_s: list[float] = []  # when each frame was to leave, monotonic
        self.receipt_s: dict[int, float] = {}  # seq -> when its receipt came
        self.failure: BaseException | None = None

    def __enter__(self) -> Innocent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._siege.link(INNOCENT, clean=False)) as link:
                link.subscribe(f"gatehouse/v1/east/{INNOCENT}/receipt")
                began_s = time.monotonic()
                while not self._stop.is_set() or len(self.receipt_s) < len(self.due_s):
                    due_s = began_s + len(self.due_s) * self._every_s
                    if not self._stop.is_set() and time.monotonic() >= due_s:
                        self.due_s.append(due_s)
                        link.socket.sendall(self._frame(len(self.due_s)))
                    elif self._stop.is_set() and time.monotonic() > self.due_s[-1] + self._patience_s:
                        raise TimeoutError(f"{len(self.receipt_s)} of {len(self.due_s)} receipts came")
                    if link.socket.pending() or select.select([link.socket], [], [], 0.002)[0]:
                        self._take(link)
        except BaseException as error:
            self.failure = error

    def _frame(self, seq: int) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        one = array("H", [0]), array("q", [now_ms]), array("d", [0.5]), array("B", [0])
        body = frames.encode(INNOCENT, self.epoch, seq, 1, frames.encode_columns("level-1/level", *one, {}))
        return packets.publish(f"gatehouse/v1/east/{INNOCENT}/frames", body, 1 + seq % 60_000)

    def _take(self, link: Link) -> None:
        messages, now_s = link.messages(), time.monotonic()
        for message in messages:
            said = json.loads(message.payload or b"{}")
            if said.get("epoch") == self.epoch:
                for seq in range(len(self.receipt_s) + 1, said["seq"] + 1):
                    self.receipt_s[seq] = now_s

    def waited_ms(self, since_s: float = 0.0) -> list[float]:
        """From when each frame was due to its receipt, of those due since."""
        found = [(due, self.receipt_s[n + 1]) for n, due in enumerate(self.due_s) if due >= since_s]
        return [1000 * (came - due) for due, came in found]


def _patiently(attempt: Callable[[], None]) -> None:
    """What the broker ends, it ends: that is its right."""
    with contextlib.suppress(OSError):
        attempt()


def payloads(siege: Siege) -> None:
    """All that `hostile` has, with QoS 1."""
    for number, (_, leaf, payload) in enumerate(hostile.published(time.time_ns() // 1_000_000)):

        def send(leaf: str = leaf, payload: bytes = payload, number: int = number) -> None:
            with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
                topic = f"gatehouse/v1/west/{hostile.GATEWAY}/{leaf}"
                link.socket.sendall(packets.publish(topic, payload, 1 + number))
                link.subscribe("done")  # answered after it

        _patiently(send)


def over_the_limit(siege: Siege) -> None:
    """Payloads that the broker refuses, and a length that is never filled."""
    for size in (2_000_001, 20_000_000):

        def send(size: int = size) -> None:
            with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
                link.socket.sendall(packets.publish(_FRAMES, b"x" * size, 1))
                link.subscribe("done")

        _patiently(send)

    def never() -> None:
        with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
            link.socket.sendall(b"\x32\xff\xff\xff\x7f\x00\x01a")

    _patiently(never)


def malformed(siege: Siege) -> None:
    """Bytes that are no MQTT, before and after TLS."""
    junk = [
        b"\x00" * 100,
        b"\x10\xff\xff\xff\xff\xff",
        b"\xf0\x00",
        b"\x82\x02\x00\x01",
        b"\x30\x01\x00",
        b"\x36\x03\x00\x01a",
    ]
    junk += [b"\x10\x00", b"\x20\x02\x00\x00", b"\x32\x05\x00\x01a\x00\x00", b"\x62\x02\x00\x01", b"\xa2\x02\x00\x01"]
    for data in junk:

        def plain(data: bytes = data) -> None:
            with socket.create_connection(("127.0.0.1", siege.port), 10) as link:
                link.sendall(data)
                link.settimeout(2)
                link.recv(100)

        def secure(data: bytes = data) -> None:
            with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
                link.socket.sendall(data)
                link.socket.settimeout(1)
                link.socket.recv(100)

        _patiently(plain)
        _patiently(secure)


def odd_topics(siege: Siege) -> None:
    """Topics that cannot be, or that look like ones that may."""
    own = f"gatehouse/v1/west/{hostile.GATEWAY}"
    for topic in (
        f"{own}/frames/", f"{own}//frames", f"/{own}/frames", f"{own}/frames\x00", f"{own}/+", f"{own}/#", "#", "$SYS/x",
        f"{own}/frames\n", f"{own}/../gw-east/frames", "gatehouse/v1/east/gw-east/frames", f"{own}/FRAMES", "x" * 65_000,
        "/" * 5_000, f"{own}/frames\u202e", "\U0001f600/" * 1000, "$share/g/" + own,
    ):  # fmt: skip

        def send(topic: str = topic) -> None:
            with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
                link.socket.sendall(packets.publish(topic, b"{}", 1))
                link.subscribe("done")

        _patiently(send)

    # No UTF-8, which `packets.publish` cannot write.
    def wrong() -> None:
        with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
            link.socket.sendall(b"\x30\x06\x00\x02\xff\xfe{}")

    _patiently(wrong)


def retained(siege: Siege) -> None:
    """Retained messages, as many as it may and as many as it may not."""

    def send() -> None:
        with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
            for number in range(2_000):
                topic = (
                    f"gatehouse/v1/west/{hostile.GATEWAY}/{('frames', 'readings', 'status', f'x{number}')[number % 4]}"
                )
                packet = bytearray(packets.publish(topic, b'{"x":"' + b"y" * 1000 + b'"}', 1 + number))
                packet[0] |= 1
                link.socket.sendall(packet)
            link.subscribe("done")

    _patiently(send)


def slow_reader(siege: Siege, count: int = 3_000) -> None:
    """Asks for receipts without end and reads none of them."""

    def send() -> None:
        with contextlib.closing(siege.link(hostile.GATEWAY, clean=False)) as link:
            link.subscribe(f"gatehouse/v1/west/{hostile.GATEWAY}/receipt")
            link.socket.settimeout(20)
            status = json.dumps({"state": "online", "lanes": [f"lane-{n}" for n in range(100)]}).encode()
            topic = f"gatehouse/v1/west/{hostile.GATEWAY}/status"
            for number in range(count // 100):  # each is answered with a hundred
                link.socket.sendall(packets.publish(topic, status, 1 + number))
            time.sleep(2)

    _patiently(send)


def crowd(siege: Siege, count: int = 300, seconds: float = 5.0) -> None:
    """Connections that say nothing, from somebody without a certificate, and one that comes again and again."""
    held = []
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", siege.port), 2))
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            _patiently(lambda: siege.link(hostile.GATEWAY).close())
            time.sleep(0.05)
    finally:
        for link in held:
            link.close()


def flood(siege: Siege, count: int = 20_000) -> None:
    """Its own topics, as fast as the broker takes it: junk, strangers, frames of ever new epochs."""

    def send() -> None:
        with contextlib.closing(siege.link(hostile.GATEWAY)) as link:
            link.socket.settimeout(60)
            well = hostile.columns(time.time_ns() // 1_000_000)
            for start in range(0, count, 100):
                lot = []
                for number in range(start, start + 100):
                    kind = number % 3
                    if kind == 0:
                        lot.append(packets.publish(_FRAMES, hostile.frame(well, f"e{number}"), 1 + number % 60_000))
                    elif kind == 1:
                        lot.append(
                            packets.publish(
                                _READINGS, b'{"device":"nobody","metric":"x","value":1}', 1 + number % 60_000
                            )
                        )
                    else:
                        lot.append(packets.publish(_READINGS, b"{", 1 + number % 60_000))
                link.socket.sendall(b"".join(lot))
                while select.select([link.socket], [], [], 0)[0]:
                    link.socket.recv(65_536)
            link.subscribe("done")

    _patiently(send)


ATTACKS: dict[str, Callable[[Siege], None]] = {
    "payloads": payloads,
    "over the limit": over_the_limit,
    "malformed": malformed,
    "odd topics": odd_topics,
    "retained": retained,
    "slow reader": slow_reader,
    "crowd": crowd,
    "flood": flood,
}


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
