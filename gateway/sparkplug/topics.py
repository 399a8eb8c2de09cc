"""Topics of Sparkplug B: spBv1.0/{group}/{message}/{node}[/{device}], and names of metrics with a meaning of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from telemetry.errors import BadInput

NAMESPACE = "spBv1.0"
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"


class Message(Enum):
    """What is said."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    DCMD = "DCMD"

    @property
    def is_of_device(self) -> bool:
        return self.value.startswith("D")


@dataclass(frozen=True, slots=True)
class Topic:
    """Where a message goes. `device` is None for those of the node itself."""

    group: str
    message: Message
    node: str
    device: str | None = None

    def __str__(self) -> str:
        parts = [NAMESPACE, self.group, self.message.value, self.node]
        return "/".join(parts if self.device is None else [*parts, self.device])


def parse_topic(topic: str) -> Topic | None:
    """Read a topic; None for the state of a host application. Raises BadInput."""
    parts = topic.split("/")
    if parts[:2] == [NAMESPACE, "STATE"]:
        return None
    try:
        message = Message(parts[2])
    except (IndexError, ValueError) as error:
        raise BadInput("bad-topic", "not a topic of Sparkplug B") from error
    if parts[0] != NAMESPACE or len(parts) != (5 if message.is_of_device else 4) or not all(parts):
        raise BadInput("bad-topic", "not a topic of Sparkplug B")
    return Topic(parts[1], message, parts[3], parts[4] if message.is_of_device else None)


def state_topic(host: str) -> str:
    """Where a host application says whether it is there, retained."""
    return f"{NAMESPACE}/STATE/{host}"
