import json
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.group import Group
from ingest.history.gateways import GatewayState
from ingest.local_alarms import LISTED_MAX, TOLD_MAX, Told
from ingest.packets import Message
from ingest.vet import Vetter
from telemetry import frames
from telemetry.journal import Journal
from telemetry.reading import encode_readings
from telemetry.series import ONLINE
from tests import district

NOW_MS = 1_795_000_000_000
EAST, WEST = "gatehouse/v1/east/gw-east", "gatehouse/v1/west/gw-west"


@pytest.fixture
def vetter(tmp_path: Path) -> Vetter:
    catalogue, registry, _ = district.load(tmp_path)
    return Vetter(catalogue, registry, {})


def plain(vetter: Vetter, payload: object, topic: str = f"{EAST}/readings", retained: bool = False) -> Group:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return vetter.vet([Message(topic, body, 1, retained)], NOW_MS)


def row(**changes: object) -> dict[str, object]:
    return {"device": "level-1", "metric": "level", "time": NOW_MS, "value": 0.5} | changes


def reasons(group: Group) -> list[tuple[str, int]]:
    return [(reject.reason, reject.count) for reject in group.rejects]


def frame(
    seq: int, names: str = "level-1/level", value: float = 0.5, base: int = 1, gateway: str = "gw-east", **column: int
) -> bytes:
    count = len(names.split("\n"))
    columns = frames.encode_columns(
        names,
        array("H", [column.get("index", i) for i in range(count)]),
        array("q", [column.get("time_ms", NOW_MS)] * count),
        array("d", [value] * count),
        array("B", [column.get("quality", 0)] * count),
        {},
    )
    return frames.encode(gateway, "epoch", seq, base, columns)


def vet_frames(vetter: Vetter, *payloads: bytes, topic: str = f"{EAST}/frames", durable: bool = True) -> Group:
    group = vetter.vet([Message(topic, payload, i + 1, False) for i, payload in enumerate(payloads)], NOW_MS)
    if durable:
        vetter.accept(group)
    return group


def test_a_plain_reading_becomes_a_reading(vetter: Vetter) -> None:
    group = plain(vetter, {"readings": [row(time="2026-11-18T10:13:20.123+08:00", key="p1")]})
    batch = group.readings
    assert (batch.time_ms.tolist(), batch.value.tolist(), batch.quality.tolist()) == ([1_794_968_000_123], [0.5], [0])
    assert batch.keys == {0: "p1"}
    assert group.packet_ids == [1]
    assert not group.rejects


def test_one_object_serves_as_well_as_a_list(vetter: Vetter) -> None:
    assert len(plain(vetter, row()).readings) == 1


def test_a_reading_without_a_time_counts_from_its_arrival_and_is_suspect(vetter: Vetter) -> None:
    body = row()
    del body["time"]
    batch = plain(vetter, body).readings
    assert (batch.time_ms.tolist(), batch.quality.tolist()) == ([NOW_MS], [1])


BROKEN = [
    (b'{"readings":[', "broken-json", "not JSON"),
    (b"\xff\xfe", "broken-json", "not JSON"),
    (b"[" * 100_000, "bad-value", "a reading is"),
    (b'{"readings":' + b"[" * 100_000, "broken-json", "not JSON"),
    (b"", "broken-json", "not JSON"),
    (b"[]", "bad-value", "a reading is"),
    (b"7", "bad-value", "a reading is"),
    (row(value="38.6"), "bad-value", "got `str`"),
    (row(value=None), "bad-value", "got `null`"),
    (row(value=True), "bad-value", "got `bool`"),
    (json.dumps(row()).replace("0.5", "NaN").encode(), "broken-json", "not JSON"),
    (json.dumps(row()).replace("0.5", "1e999").encode(), "", ""),
    (row(time="2026-11-23T08:00:00"), "bad-value", "timezone"),
    (row(time="yesterday"), "bad-value", "RFC3339"),
    (row(time=0), "time-behind", "set the clock"),
    (row(time=10**15 * 100), "bad-value", "is no time"),
    (row(time=10**30), "bad-value", ""),
    (row(quality="fine"), "bad-value", "quality"),
    (row(key=""), "bad-value", "key"),
    (row(device="x"), "unknown-device", "add it, or mend the name"),
    (row(metric="x"), "unknown-metric", "has no metric 'x'"),
    (row(device="meter", metric="power"), "foreign-device", "belongs to gateway 'gw-west'"),
    ({"readings": row()}, "bad-value", "a reading is"),
]


@pytest.mark.parametrize(("payload", "reason", "said"), BROKEN)
def test_a_broken_message_is_counted_with_a_reason_a_person_understands(
    vetter: Vetter, payload: object, reason: str, said: str
) -> None:
    group = plain(vetter, payload)
    assert len(group.readings) == 0
    ((found, count),) = reasons(group)
    assert count == 1
    assert found == reason or (not reason and found in ("bad-value", "broken-json"))
    assert said in group.rejects[0].detail
    assert group.packet_ids == [1]  # acknowledged all the same, or the broker would send it for ever


@pytest.mark.parametrize("bad", [row(value="x"), row(device="x"), row(time="now"), 5, None, row(time=1)])
def test_a_bad_row_costs_its_neighbours_nothing(vetter: Vetter, bad: object) -> None:
    group = plain(vetter, {"readings": [row(value=1.0), bad, row(value=2.0)]})
    assert group.readings.value.tolist() == [1.0, 2.0]
    assert sum(count for _, count in reasons(group)) == 1


def test_the_keys_of_the_good_rows_stay_with_their_rows(vetter: Vetter) -> None:
    rows = [row(key="a"), row(time=1, key="b"), row(key="c")]
    assert plain(vetter, {"readings": rows}).readings.keys == {0: "a", 1: "c"}


def test_many_bad_rows_are_all_counted_and_a_screenful_shown(vetter: Vetter) -> None:
    group = plain(
        vetter, {"readings": [row(value=f"x{i}") for i in range(5)] + [row(device=f"d{i}") for i in range(300)]}
    )
    assert sum(count for _, count in reasons(group)) == 305


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("gatehouse/v1/east/gw-none/readings", "unknown-gateway"),
        ("gatehouse/v1/west/gw-east/readings", "unknown-gateway"),
        ("gatehouse/v1/EAST/gw-east/readings", "bad-topic"),
        ("gatehouse/v1/east/else/gw-east/readings", "bad-topic"),
    ],
)
def test_a_wrong_topic_is_refused(vetter: Vetter, topic: str, reason: str) -> None:
    assert reasons(plain(vetter, row(), topic)) == [(reason, 1)]


@pytest.mark.parametrize("topic", ["gatehouse/v1/east/gw-east/receipt", "gatehouse/v1/east/alarms/a1", "else", ""])
def test_what_was_never_subscribed_to_is_passed_over_and_acknowledged(vetter: Vetter, topic: str) -> None:
    group = plain(vetter, row(), topic)
    assert (len(group.readings), reasons(group), group.packet_ids) == (0, [], [1])


def test_a_message_too_large_to_keep_is_refused(vetter: Vetter) -> None:
    group = vetter.vet([Message(f"{EAST}/readings", None, 3, False)], NOW_MS)
    assert reasons(group) == [("too-large", 1)]
    assert group.packet_ids == [3]


def test_a_retained_reading_without_a_time_of_its_own_is_refused(vetter: Vetter) -> None:
    body = row()
    del body["time"]
    assert reasons(plain(vetter, body, retained=True)) == [("retained", 1)]
    # With one it is the same reading however often it comes, and some brokers mark what they had queued as retained.
    assert len(plain(vetter, row(), retained=True).readings) == 1


def test_a_value_outside_what_is_plausible_is_kept_as_bad(vetter: Vetter) -> None:
    batch = plain(vetter, row(value=99.0)).readings
    assert (batch.value.tolist(), batch.quality.tolist()) == ([99.0], [2])


def test_a_clock_that_runs_ahead_does_not_hide_its_reading(vetter: Vetter) -> None:
    batch = plain(vetter, row(time=NOW_MS + 86_400_000)).readings
    assert (batch.time_ms.tolist(), batch.quality.tolist()) == ([NOW_MS], [1])
    assert plain(vetter, row(time=NOW_MS + 59_000)).readings.quality.tolist() == [0]


def test_a_frame_becomes_readings_and_is_owed_a_receipt(vetter: Vetter) -> None:
    group = vet_frames(vetter, frame(1, "level-1/level\nlevel-2/level"))
    assert len(group.readings) == 2
    assert {(str(topic), epoch): seq for (topic, epoch), seq in group.receipts.items()} == {
        (f"{EAST}/receipt", "epoch"): 1
    }
    assert group.seen == {"gw-east/epoch": 1}


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 1), min_size=1, max_size=5), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_frames_of_one_read_are_what_each_is_by_itself(
    drawn: list[tuple[bool, list[int], bool, bool]],
) -> None:
    with TemporaryDirectory() as name:
        catalogue, registry, _ = district.load(Path(name))
    messages = []
    for seq, (is_west, index, is_turned, has_keys) in enumerate(drawn, 1):
        gateway, lines = ("gw-west", ["meter/power"]) if is_west else ("gw-east", ["level-1/level", "level-2/level"])
        lines = lines[::-1] if is_turned else lines
        count = len(index)
        columns = frames.encode_columns(
            "\n".join(lines),
            array("H", [min(each, len(lines) - 1) for each in index]),
            array("q", [NOW_MS - 1000 * seq - each for each in range(count)]),
            array("d", [seq + each / 10 for each in range(count)]),
            array("B", [seq % 3] * count),
            {count - 1: f"p{seq}"} if has_keys else {},
        )
        topic = WEST if is_west else EAST
        messages.append(Message(f"{topic}/frames", frames.encode(gateway, f"e{seq}", 1, 1, columns), seq, False))
    together = Vetter(catalogue, registry, {}).vet(messages, NOW_MS)
    alone = [Vetter(catalogue, registry, {}).vet([message], NOW_MS).readings for message in messages]
    assert not together.rejects
    for column in ("series", "time_ms", "value", "quality"):
        expected = [each for batch in alone for each in getattr(batch, column).tolist()]
        assert getattr(together.readings, column).tolist() == expected
    keys: dict[int, str] = {}
    first = 0
    for batch in alone:
        keys |= {first + number: key for number, key in batch.keys.items()}
        first += len(batch)
    assert together.readings.keys == keys


def test_a_frame_counts_once_and_its_repetition_gets_its_receipt_again(vetter: Vetter) -> None:
    vet_frames(vetter, frame(1), frame(2))
    again = vet_frames(vetter, frame(1), frame(2))
    assert len(again.readings) == 0
    assert list(again.receipts.values()) == [2]


def test_a_frame_twice_in_one_group_counts_once(vetter: Vetter) -> None:
    assert len(vet_frames(vetter, frame(1), frame(1), frame(2)).readings) == 2


def test_a_frame_that_did_not_become_durable_counts_when_it_comes_again(vetter: Vetter) -> None:
    vet_frames(vetter, frame(1), durable=False)
    assert len(vet_frames(vetter, frame(1)).readings) == 1


def test_a_frame_ahead_of_its_turn_waits_to_be_sent_again(vetter: Vetter) -> None:
    group = vet_frames(vetter, frame(1), frame(3))
    assert len(group.readings) == 1
    assert list(group.receipts.values()) == [1]
    assert len(vet_frames(vetter, frame(2), frame(3)).readings) == 2


def test_a_core_that_lost_its_memory_takes_what_the_spool_still_holds_and_says_what_is_gone(vetter: Vetter) -> None:
    group = vet_frames(vetter, frame(11, base=11), frame(12, base=11))
    assert len(group.readings) == 2
    assert reasons(group) == [("gap", 10)]


def test_a_frame_that_can_be_numbered_but_not_read_does_not_block_the_ones_behind_it(vetter: Vetter) -> None:
    group = vet_frames(vetter, frame(1, index=7), frame(2))
    assert reasons(group) == [("bad-frame", 1)]
    assert len(group.readings) == 1
    assert list(group.receipts.values()) == [2]


def test_a_gateway_cannot_speak_for_another(vetter: Vetter) -> None:
    assert reasons(vet_frames(vetter, frame(1, gateway="gw-west"))) == [("foreign-device", 1)]
    group = vet_frames(vetter, frame(1, "level-1/level\nmeter/power"))
    assert len(group.readings) == 1
    assert reasons(group) == [("foreign-device", 1)]


def test_strangers_in_a_frame_are_named_and_their_neighbours_kept(vetter: Vetter) -> None:
    group = vet_frames(vetter, frame(1, "x/level\nlevel-1/level\nlevel-1/depth"))
    assert len(group.readings) == 1
    assert reasons(group) == [("unknown-device", 1), ("unknown-metric", 1)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(vetter: Vetter, value: float) -> None:
    group = vet_frames(vetter, frame(1, value=value))
    assert reasons(group) == [("bad-value", 1)]
    assert "is not a number" in group.rejects[0].detail


def test_a_quality_that_does_not_exist_is_refused(vetter: Vetter) -> None:
    assert reasons(vet_frames(vetter, frame(1, quality=3))) == [("bad-value", 1)]


def test_a_status_becomes_the_gateways_own_reading(vetter: Vetter) -> None:
    group = plain(vetter, {"state": "offline", "spooled": 3}, f"{EAST}/status", retained=True)
    registry_index = vetter._registry.index["gw-east", ONLINE]
    assert (group.readings.series.tolist(), group.readings.value.tolist()) == ([registry_index], [0.0])
    assert reasons(plain(vetter, {"state": 7}, f"{EAST}/status")) == [("bad-value", 1)]
    assert reasons(plain(vetter, b"{", f"{EAST}/status")) == [("broken-json", 1)]


def test_hostile_text_is_shown_harmless(vetter: Vetter) -> None:
    group = plain(vetter, b'{"device":"\x1b[2J\n","metric":"x","value":1}')
    assert all(c.isprintable() for c in group.rejects[0].excerpt)


def test_a_backlog_frame_is_told_apart_and_both_say_what_is_still_to_come(vetter: Vetter) -> None:
    columns = frames.encode_columns(
        "level-1/level", array("H", [0]), array("q", [NOW_MS]), array("d", [0.5]), array("B", [0]), {}
    )
    live = frames.encode("gw-east", "new", 1, 1, columns, behind=2)
    old = [frames.encode("gw-east", "old", n, 1, columns, is_backlog=True, behind=2 - n) for n in (1, 2)]
    group = vet_frames(vetter, old[0], live, old[1])
    assert (len(group.readings), len(group.backlog)) == (1, 2)
    assert (group.behind, group.behind_backlog) == ({"gw-east": 2}, {"gw-east": 0})
    assert {epoch: seq for (_, epoch), seq in group.receipts.items()} == {"new": 1, "old": 2}


@pytest.mark.parametrize("is_backlog", [True, False])
def test_a_frame_without_a_reading_says_what_is_still_to_come_too(vetter: Vetter, is_backlog: bool) -> None:
    group = vet_frames(vetter, frames.encode("gw-east", "e", 1, 1, encode_readings([]), is_backlog=is_backlog))
    assert not group.rejects and not len(group.readings) and not len(group.backlog)
    assert (group.behind_backlog if is_backlog else group.behind) == {"gw-east": 0}


def test_what_is_new_never_says_the_backlog_is_over_that_the_same_read_brought(vetter: Vetter) -> None:
    columns = frames.encode_columns(
        "level-1/level", array("H", [0]), array("q", [NOW_MS]), array("d", [0.5]), array("B", [0]), {}
    )
    old = frames.encode("gw-east", "old", 1, 1, columns, is_backlog=True, behind=0)
    live = [frames.encode("gw-east", "new", n, 1, columns, behind=0) for n in (1, 2)]
    group = vet_frames(vetter, old, *live)
    # The journal has the readings of a read before its backlog.
    assert (group.behind, group.behind_backlog) == ({"gw-east": 1}, {"gw-east": 0})


def test_a_gateway_that_says_which_lanes_it_holds_is_told_what_of_them_is_durable(vetter: Vetter) -> None:
    vet_frames(vetter, frame(1), frame(2))
    status = json.dumps({"state": "online", "lanes": ["epoch", "other"]}).encode()
    group = vetter.vet([Message(f"{EAST}/status", status, 1, True)], NOW_MS)
    assert {epoch: seq for (_, epoch), seq in group.receipts.items()} == {"epoch": 2, "other": 0}
    offline = json.dumps({"state": "offline", "lanes": ["epoch"]}).encode()
    assert not vetter.vet([Message(f"{EAST}/status", offline, 1, True)], NOW_MS).receipts


def test_a_gap_of_the_gateways_own_series_is_kept_and_a_foreign_one_is_not(vetter: Vetter) -> None:
    nothing = (array("H"), array("q"), array("d"), array("B"))
    gaps = [frames.Gap(0, 5, 9, 3, "thinned"), frames.Gap(1, 5, 9, 3, "thinned")]
    columns = frames.encode_columns("level-1/level\nnobody/level", *nothing, {}, gaps)
    group = vet_frames(vetter, frames.encode("gw-east", "epoch", 1, 1, columns))
    assert [(gap.first_ms, gap.last_ms, gap.missing, gap.reason) for gap in group.gaps] == [(5, 9, 3, "thinned")]
    assert not len(group.readings) and group.seen == {"gw-east/epoch": 1}


ALARM = {"id": "a1", "rule": "fever", "device": "scanner", "metric": "skin_temperature", "key": "p1"} | {
    "onset_ms": NOW_MS - 5000,
    "raised_ms": NOW_MS - 4000,
    "cleared_ms": None,
}


def status(vetter: Vetter, retained: bool = False, **more: object) -> Group:
    group = plain(vetter, {"state": "online"} | more, f"{EAST}/status", retained)
    vetter.accept(group)
    return group


def test_a_status_says_what_the_gateway_still_holds(vetter: Vetter) -> None:
    status(vetter, spooled=12, oldest_ms=NOW_MS - 9000, behind=3, full=False, damaged_lanes=2)
    assert vetter.gateways == {"gw-east": GatewayState(True, 12, NOW_MS - 9000, 3, False, 2, NOW_MS)}
    group = status(vetter, spooled="many")
    assert (len(group.readings), reasons(group)) == (1, [("bad-value", 1)])
    assert vetter.gateways["gw-east"].spooled is None


def test_a_status_that_the_broker_kept_is_no_new_word(vetter: Vetter) -> None:
    status(vetter, spooled=12)
    later = vetter.vet([Message(f"{EAST}/status", b'{"state":"online","spooled":12}', 1, True)], NOW_MS + 60_000)
    assert later.gateways == {}
    changed = vetter.vet([Message(f"{EAST}/status", b'{"state":"offline","spooled":12}', 1, True)], NOW_MS + 60_000)
    assert changed.gateways == {"gw-east": GatewayState(False, 12, None, None, None, None, NOW_MS + 60_000)}


def test_two_statuses_of_one_moment_are_two_readings(vetter: Vetter) -> None:
    message = Message(f"{EAST}/status", b'{"state":"online"}', 1, False)
    assert len(vetter.vet([message, message], NOW_MS).readings) == 2


def test_a_local_alarm_is_told_once_however_often_its_gateway_says_it(tmp_path: Path) -> None:
    catalogue, registry, _ = district.load(tmp_path)
    vetter = Vetter(catalogue, registry, {})
    # Not durable: it must be told again.
    plain(vetter, {"state": "online", "local_alarms": [ALARM]}, f"{EAST}/status")
    group = status(vetter, local_alarms=[ALARM, ALARM, ALARM | {"id": "a2"}])
    assert [command["id"] for command in group.commands] == ["local/gw-east/a1", "local/gw-east/a2"]
    assert group.commands[0] == {
        "id": "local/gw-east/a1",
        "action": "told-locally",
        "alarm": "a1",
        "seq": 0,
        "actor": "gw-east",
        "note": None,
        "rule": ALARM["rule"],
        "device": ALARM["device"],
        "metric": ALARM["metric"],
        "onset_ms": ALARM["onset_ms"],
        "raised_ms": NOW_MS - 4000,
    }
    assert not status(vetter, local_alarms=[ALARM]).commands
    journal = Journal(tmp_path / "journal.db")
    journal.set_state(group.state)
    again = Vetter(catalogue, registry, {}, told=Told.open(journal))
    journal.close()
    assert not status(again, retained=True, local_alarms=[ALARM, ALARM | {"id": "a2"}]).commands
    assert len(status(again, local_alarms=[ALARM | {"id": "a3"}]).commands) == 1


def test_local_alarms_that_are_none_cost_the_rest_of_the_status_nothing(vetter: Vetter) -> None:
    group = status(vetter, spooled=1, local_alarms=[7, {"id": "a1"}, ALARM | {"raised_ms": "now"}, ALARM])
    assert (len(group.readings), len(group.commands), reasons(group)) == (1, 1, [("bad-value", 1)] * 3)
    assert vetter.gateways["gw-east"].spooled == 1
    assert reasons(status(vetter, local_alarms={"id": 1})) == [("bad-value", 1)]


def test_what_is_remembered_of_local_alarms_is_bounded(vetter: Vetter) -> None:
    state: dict[str, bytes | None] = {}
    for start in range(0, 2000, 100):
        state |= status(vetter, local_alarms=[ALARM | {"id": f"a{start + n}"} for n in range(100)]).state
    assert list(state) == ["told/gw-east"]
    assert len(json.loads(state["told/gw-east"] or b"")) == TOLD_MAX
    many = [ALARM | {"id": f"b{n}"} for n in range(LISTED_MAX + 5)]
    group = status(vetter, local_alarms=many)
    assert (len(group.commands), reasons(group)) == (LISTED_MAX, [("bad-value", 1)])
    assert not status(vetter, local_alarms=many).commands
