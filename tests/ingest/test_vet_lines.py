"""Plain messages taken many at once come to what they come to one by one."""

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import vet
from ingest.group import Group
from ingest.packets import Message
from ingest.vet import Vetter
from tests import district

NOW_MS = 1_795_000_000_000
_SERIES = (("level-1", "level"), ("level-2", "level"), ("scanner", "skin_temperature"))
TOPIC = "gatehouse/v1/east/gw-east/readings"

_TIMES = (NOW_MS, NOW_MS - 1, "2026-11-18T11:06:40Z", "2026-11-18T11:06:39.9995Z", "2026-11-18T19:06:40.123+08:00")
_MORE: tuple[dict[str, str], ...] = ({}, {}, {}, {"quality": "suspect"}, {"quality": "bad"}, {"key": "a"}, {"key": "b"})


def _ordinary(random: Random) -> bytes:
    device, metric = random.choice(_SERIES)
    value = random.choice([36.6, 37.0, 1e9, -4, 0])
    row = {"device": device, "metric": metric, "time": random.choice(_TIMES), "value": value} | random.choice(_MORE)
    return json.dumps(row).encode()


ODD = [
    b"",
    b" ",
    b"\n",
    b"null",
    b"{",
    b'{"device":"x","metric":"y","value":1}',
    b'{"readings":[{"device":"d","metric":"m","value":1}]}',
    *(
        template.replace(b"DM", b'"device":"%s","metric":"%s"' % tuple(map(str.encode, _SERIES[0])))
        for template in (
            b'{DM,"time":%d,"value":1}\n{DM,"time":%d,"value":2}' % (NOW_MS, NOW_MS),
            b'{DM,"time":%d,"value":1} {DM,"time":%d,"value":2}' % (NOW_MS, NOW_MS),
            b'{DM,\n"time":%d,"value":1}' % NOW_MS,
            b'{DM,"value":3}',
            b'{DM,"time":%d,"value":3}' % (NOW_MS + 3_600_000),
            b'{DM,"time":%d,"value":3}' % 2**60,
            b'{DM,"time":%d,"value":3}' % -(2**60),
            b'{DM,"time":5,"value":3}',
            b'{DM,"time":%d,"value":"3"}' % NOW_MS,
            b'\xef\xbb\xbf{DM,"time":%d,"value":3}' % NOW_MS,
            b'{DM,"time":%d,"value":3,"key":"\xff"}' % NOW_MS,
        )
    ),
]
OTHER_TOPICS = ("gatehouse/v1/west/gw-west/readings", "gatehouse/v1/east/nobody/readings", "some/where/else")


def _told(groups: list[Group]) -> object:
    return (
        [
            (int(s), int(t), float(v), int(q), group.readings.keys.get(number))
            for group in groups
            for number, (s, t, v, q) in enumerate(
                zip(*(getattr(group.readings, name) for name in ("series", "time_ms", "value", "quality")), strict=True)
            )
        ],
        [packet for group in groups for packet in group.packet_ids],
        sorted((r.reason, r.detail, r.topic, r.excerpt, r.count) for group in groups for r in group.rejects),
        [digest for group in groups for digest in group.untimed],
        set().union(*(group.rows for group in groups)),
    )


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 70),
    st.randoms(use_true_random=True),
    st.lists(st.tuples(st.integers(0, 69), st.sampled_from(ODD)), max_size=3),
    st.lists(st.tuples(st.integers(0, 69), st.sampled_from(OTHER_TOPICS)), max_size=2),
    st.lists(st.integers(0, 69), max_size=2),
    st.sampled_from([8, 20, 512]),
)
def test_however_many_are_taken_at_once(
    count: int,
    random: Random,
    odd: list[tuple[int, bytes]],
    elsewhere: list[tuple[int, str]],
    flagged: list[int],
    at_once: int,
) -> None:
    payloads = {number: _ordinary(random) for number in range(count)} | dict(odd)
    topics = dict(elsewhere)
    messages = [
        Message(topics.get(number, TOPIC), payload, number % 7, number in flagged[:1], number in flagged[1:])
        for number, payload in sorted(payloads.items())
    ]
    _must_come_to_the_same(messages, at_once)


@pytest.mark.parametrize("odd", ODD)
def test_each_odd_message_among_ordinary_ones(odd: bytes) -> None:
    # The empty ones matter: a line more in one message and one less in another must not even out.
    for more in ([], [b""]):
        payloads = [_ordinary(Random(number)) for number in range(12)] + [odd, *more, _ordinary(Random(13))]
        _must_come_to_the_same([Message(TOPIC, payload, 1, False) for payload in payloads], 512)


def _must_come_to_the_same(messages: list[Message], at_once: int) -> None:
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        catalogue, registry, _ = district.load(Path(folder))
        for fewest in (8, 10_000):  # the second: each by itself
            patch.setattr(vet, "_LINES_MIN", fewest)
            patch.setattr(vet, "_LINES_MAX", at_once)
            vetter = Vetter(catalogue, registry, {})
            vetter.accept(vetter.vet([Message(TOPIC, b"{}", 1, False)], NOW_MS))
            outcomes.append(_told([vetter.vet(messages, NOW_MS)]))
    assert outcomes[0] == outcomes[1]


def test_one_odd_message_slows_only_its_piece(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    catalogue, registry, _ = district.load(tmp_path)
    vetter = Vetter(catalogue, registry, {})
    device, metric = _SERIES[0]
    good = [
        Message(
            TOPIC, json.dumps({"device": device, "metric": metric, "time": NOW_MS - n, "value": 1}).encode(), 1, False
        )
        for n in range(3 * vet._LINES_MAX)
    ]
    vetter.vet(good[:1], NOW_MS)
    walked: list[Message] = []
    before = Vetter._message

    def _walk(self: Vetter, message: Message, *rest: Any) -> None:
        walked.append(message)
        before(self, message, *rest)

    monkeypatch.setattr(Vetter, "_message", _walk)
    good[vet._LINES_MAX + 5] = Message(TOPIC, b"{", 1, False)
    group = vetter.vet(good, NOW_MS)
    assert len(group.readings) == len(good) - 1
    assert [reject.reason for reject in group.rejects] == ["broken-json"]
    assert len(walked) == vet._LINES_MAX
