"""What a client with a gateway's certificate may send to do harm: no part of a core ends by it, and nothing of it grows.

The core is whole but for its socket: every payload is vetted, made durable, judged, counted and written to history.
"""

from __future__ import annotations

import tracemalloc
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import cbor2
import pytest

from gatehouse.core import Core
from gatehouse.settings import load_settings
from ingest.group import REJECTS_MAX
from ingest.history.completeness import LOSSES_MAX
from ingest.packets import PacketReader, ProtocolError, connect, publish
from ingest.subscriber import PAYLOAD_MAX
from telemetry import frames
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadInput
from tests import district, hostile

TOPIC = f"gatehouse/v1/west/{hostile.GATEWAY}"
NOW_MS = ManualClock().now_ms()


class World:
    """A core on virtual time, moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.settings = load_settings(district.write_district(folder), {})
        self.core = Core(self.settings, self.clock)
        self.session = self.core.subscriber._make_session()
        self.session.feed(b"\x20\x02\x00\x00" + b"\x90\x05\x00\x01\x01\x01\x01")
        assert self.session.is_connected

    def hear(self, *messages: tuple[str, bytes]) -> None:
        """As they come from the broker; then every reader of the journal takes its turn."""
        self.session.feed(
            b"".join(publish(topic, payload, 1 + n % 65_535) for n, (topic, payload) in enumerate(messages))
        )
        for _ in range(3):
            self.clock.advance(2.0)
            while self.core.alerts.step():
                pass
            while self.core.completeness.step():
                pass
            self.core.history.step(is_stopping=True)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        engine = open_database(self.settings.database.url)
        with engine.connect() as db:
            found = [tuple(row) for row in db.exec_driver_sql(sql).all()]
        engine.dispose()
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.core.journal.close()


def innocent(number: int) -> tuple[str, bytes]:
    reading = f'{{"device":"level-1","metric":"level","value":0.5,"time":{NOW_MS + number}}}'
    return "gatehouse/v1/east/gw-east/readings", reading.encode()


def counted(world: World) -> object:
    return world.rows(
        "SELECT sum(good + suspect + bad) FROM completeness_day JOIN completeness_series USING (series)"
        " WHERE device = 'level-1'"
    )[0][0]


def test_no_payload_ends_a_part_of_the_core_and_the_neighbours_readings_are_all_taken(world: World) -> None:
    cases = hostile.published(NOW_MS)
    for number, (name, leaf, payload) in enumerate(cases):
        try:
            world.hear(innocent(2 * number), (f"{TOPIC}/{leaf}", payload), innocent(2 * number + 1))
        except Exception as error:
            raise AssertionError(name) from error
    world.clock.advance(10)
    while world.core.completeness.step():
        pass
    assert counted(world) == 2 * len(cases)
    refused = world.rows("SELECT sum(count) FROM quarantine_count")[0][0]
    assert isinstance(refused, int) and refused > len(cases) / 2
    assert world.rows("SELECT detail FROM quarantine WHERE reason = 'unforeseen'") == []


def test_what_is_nested_as_deep_as_can_be_is_refused_wherever_the_depth_runs_out(world: World) -> None:
    """The limit is of the whole stack: each decoder meets it at a depth of its own."""
    for depth in range(930, 1000):
        lists, objects = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
        world.hear(
            *(
                (f"{TOPIC}/{leaf}", before + nested + after)
                for nested in (lists, objects)
                for leaf, before, after in (
                    ("status", b'{"state":"online","x":', b"}"),
                    ("status", b'{"state":"online","local_alarms":', b"}"),
                    ("status", b'{"state":"online","local_alarms":[{"id":"a","x":', b"}]}"),
                    ("readings", b'{"readings":[', b"]}"),
                    ("frames", b"", b""),
                )
            )
        )
    assert world.rows("SELECT detail FROM quarantine WHERE reason = 'unforeseen'") == []


def test_what_nobody_has_foreseen_costs_its_own_message_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.core._vetter), "_status", lambda *_: 1 / 0)
    world.hear(innocent(0), (f"{TOPIC}/status", b"{}"), innocent(1))
    world.clock.advance(10)
    while world.core.completeness.step():
        pass
    assert counted(world) == 2
    ((detail,),) = world.rows("SELECT detail FROM quarantine WHERE reason = 'unforeseen'")
    assert detail == "ZeroDivisionError while it was read: please report it"


def test_tables_of_names_are_remembered_within_bounds(world: World) -> None:
    tracemalloc.start()
    try:
        for number in range(30):
            name = f"{number}" + "\n" * 60_000 + "x" * 900_000
            table = frames.encode_columns(
                name, array("H"), array("q"), array("d"), array("B"), {}, [frames.Gap(0, 1, 2, 3, "x")]
            )
            world.hear((f"{TOPIC}/frames", hostile.frame(table, f"t{number}")))
        assert tracemalloc.get_traced_memory()[0] < 20_000_000
    finally:
        tracemalloc.stop()


def test_every_frame_is_read_or_refused_with_a_reason_and_nothing_else() -> None:
    for name, _, payload in hostile.published(NOW_MS):
        try:
            frames.decode(payload)
        except BadInput as refused:
            assert len(str(refused)) < 2000, name
        frames.header(payload)


def test_what_a_payload_claims_is_not_made_room_for() -> None:
    claims = [payload for name, _, payload in hostile.published(NOW_MS) if name[0] == "2" or "double" in name]
    assert len(claims) > 30
    tracemalloc.start()
    try:
        for payload in claims:
            with pytest.raises(BadInput):
                frames.decode(payload)
            frames.header(payload)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_gateway_that_makes_epochs_without_end_is_remembered_within_bounds(world: World) -> None:
    well = hostile.columns(NOW_MS)
    sent: Sequence[tuple[str, bytes]] = [(f"{TOPIC}/frames", hostile.frame(well, f"e{n}")) for n in range(5_000)]
    for start in range(0, len(sent), 500):
        world.hear(*sent[start : start + 500])
    held = world.core.journal.state("seen/")
    assert len(held) <= 4 * 256 + 500
    assert f"seen/{hostile.GATEWAY}/e4999" in held
    world.hear(*sent[-10:])  # those that are remembered are taken once
    assert set(world.core.journal.state("seen/")) <= set(held)


def test_of_nonsense_without_end_a_few_are_shown_and_all_are_counted(world: World) -> None:
    world.hear(*[(f"{TOPIC}/readings", b"{"), (f"{TOPIC}/readings", b"[]")] * 2_500)
    assert world.rows("SELECT reason, count FROM quarantine_count ORDER BY reason") == [
        ("bad-value", 2_500),
        ("broken-json", 2_500),
    ]
    assert world.rows("SELECT count(*) FROM quarantine") == [(REJECTS_MAX + 2,)]


def test_gaps_without_end_are_added_up_within_bounds(world: World) -> None:
    one = [0, NOW_MS - 60_000, NOW_MS, 1, "thinned"]
    sent = []
    for number in range(900):
        gaps = [[0, NOW_MS - 60_000 + each, NOW_MS, 1, "thinned"] for each in range(20)] if number else [one]
        sent.append((f"{TOPIC}/frames", hostile.frame(hostile.columns(NOW_MS, gaps=gaps), seq=cbor2.dumps(number + 1))))
    for start in range(0, 900, 50):
        world.hear(*sent[start : start + 50])
    world.clock.advance(10)
    while world.core.completeness.step():
        pass
    rows = world.rows("SELECT day, count(*), sum(missing) FROM completeness_loss GROUP BY day")
    assert len(rows) == 1 and LOSSES_MAX <= int(str(rows[0][1])) <= 2 * LOSSES_MAX and rows[0][2] == 1 + 899 * 20


def test_a_gap_of_all_time_is_kept_for_the_days_that_are_kept(world: World) -> None:
    long = [[0, -(2**52), 2**52, 1000, "refused"]]
    frame = hostile.frame(hostile.columns(NOW_MS, gaps=long), seq=b"\x01")
    world.hear((f"{TOPIC}/frames", frame), (f"{TOPIC}/frames", hostile.frame(hostile.columns(NOW_MS), "other")))
    world.clock.advance(10)
    while world.core.completeness.step():
        pass
    rows = world.rows("SELECT count(*), count(DISTINCT day), sum(missing) FROM completeness_loss")
    assert rows in ([(401, 401, 1000)], [(402, 402, 1000)])


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x7f",  # five bytes of length
        b"\x30\x01\x00",
        b"\x30\x02\xff\xff",  # a topic longer than its packet
        b"\x32\x04\x00\x00\x00\x00",  # packet id 0
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        connect("x", 1, None, None),
    ],
)
def test_bytes_that_are_no_packet_end_the_connection_and_not_the_core(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        PacketReader(PAYLOAD_MAX).feed(data)
