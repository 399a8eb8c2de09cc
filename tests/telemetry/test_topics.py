import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import topics
from telemetry.errors import BadInput

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@given(NAMES, NAMES)
def test_a_topic_that_was_built_is_taken_apart_again(site: str, gateway: str) -> None:
    for build, leaf in (
        (topics.frames_topic, "frames"),
        (topics.readings_topic, "readings"),
        (topics.receipt_topic, "receipt"),
        (topics.status_topic, "status"),
    ):
        built = build(site, gateway)
        parsed = topics.parse_gateway_topic(built)
        assert (parsed.site, parsed.gateway, parsed.leaf, str(parsed)) == (site, gateway, leaf, built)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "gatehouse/v1/east/gw",
        "gatehouse/v1/east/gw/frames/more",
        "gatehouse/v2/east/gw/frames",
        "gatehouse/v1/East/gw/frames",
        "gatehouse/v1/-east/gw/frames",
        "gatehouse/v1//gw/frames",
        "gatehouse/v1/east/gw\n/frames",
        "gatehouse/v1/east/g\u0000w/frames",
        "gatehouse/v1/east/" + "x" * 64 + "/frames",
        "gatehouse/v1/+/gw/frames",
        "$SYS/v1/east/gw/frames",
    ],
)
def test_any_other_topic_is_refused(topic: str) -> None:
    with pytest.raises(BadInput) as refused:
        topics.parse_gateway_topic(topic)
    assert refused.value.reason == "bad-topic"
    assert refused.value.detail.isprintable()
