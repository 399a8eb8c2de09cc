"""The MQTT topics, built and taken apart in one place. Every level is a name; anything else is refused.

gatehouse/v1/{site}/{gateway}/frames | readings | receipt | status | sampling
gatehouse/v1/{site}/alarms/{alarm}
gatehouse/v1/{site}/live
gatehouse/v1/heartbeat
gatehouse/v1/probe/own | unread
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemetry.errors import BadInput

ROOT = "gatehouse/v1"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

FRAMES_FILTER = f"{ROOT}/+/+/frames"
READINGS_FILTER = f"{ROOT}/+/+/readings"
STATUS_FILTER = f"{ROOT}/+/+/status"
ALARMS_FILTER = f"{ROOT}/+/alarms/+"
LIVE_FILTER = f"{ROOT}/+/live"
HEARTBEAT_TOPIC = f"{ROOT}/heartbeat"  # retained: that the core lives, and how fresh what it judges is

# What the core tries at start: it may write and read the first, write the second, and only read a gateway's.
PROBE_OWN = f"{ROOT}/probe/own"
PROBE_UNREAD = f"{ROOT}/probe/unread"
PROBE_FILTER = f"{ROOT}/+/+/probe"


@dataclass(frozen=True, slots=True)
class GatewayTopic:
    """One of the topics that belong to a gateway."""

    site: str
    gateway: str
    leaf: str  # frames, readings, receipt, status or sampling

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.gateway}/{self.leaf}"


def frames_topic(site: str, gateway: str) -> str:
    """Where a gateway publishes its frames."""
    return f"{ROOT}/{site}/{gateway}/frames"


def readings_topic(site: str, gateway: str) -> str:
    """Where anything that is not our gateway publishes plain JSON."""
    return f"{ROOT}/{site}/{gateway}/readings"


def receipt_topic(site: str, gateway: str) -> str:
    """Where the core tells a gateway how far its frames are durable."""
    return f"{ROOT}/{site}/{gateway}/receipt"


def status_topic(site: str, gateway: str) -> str:
    """Where a gateway's retained state stands; its last will says offline."""
    return f"{ROOT}/{site}/{gateway}/status"


def sampling_topic(site: str, gateway: str) -> str:
    """Where the core's word on how often a gateway is to read some devices is retained."""
    return f"{ROOT}/{site}/{gateway}/sampling"


def probe_topic(site: str, gateway: str) -> str:
    """Among a gateway's topics, where nobody may write: if something arrives there, anybody can speak for it."""
    return f"{ROOT}/{site}/{gateway}/probe"


def alarm_topic(site: str, alarm: str) -> str:
    """Where an open alarm is retained; emptied when it closes."""
    return f"{ROOT}/{site}/alarms/{alarm}"


def live_topic(site: str) -> str:
    """Where the newest values of a site appear, at most once a second."""
    return f"{ROOT}/{site}/live"


def parse_gateway_topic(topic: str) -> GatewayTopic:
    """Take a gateway's topic apart. Raises BadInput(bad-topic) for anything that is not one of ours."""
    levels = topic.split("/")
    if len(levels) != 5 or levels[0] != "gatehouse" or levels[1] != "v1":
        raise BadInput("bad-topic", f"'{_shown(topic)}' is not gatehouse/v1/SITE/GATEWAY/frames or …/readings")
    for level in levels[2:]:
        if not NAME.fullmatch(level):
            raise BadInput("bad-topic", f"'{_shown(level)}' is not a name: use a-z, 0-9 and '-', at most 63 characters")
    return GatewayTopic(*levels[2:])


def _shown(text: str) -> str:
    """Somebody else's text, short enough and harmless to print."""
    return "".join(c if c.isprintable() else "?" for c in text[:100])
