"""An edge node's own account, without I/O: births, data and deaths with their numbers and aliases.

The will of a connection and its birth carry one bdSeq; every message of a birth's life counts on from 0, round at 256. A
birth names every metric with its type, its alias and its value; data carries aliases alone.

Source: Sparkplug 3.0.0 specification, §5, 6.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.export import is_newer
from gateway.exports.sparkplug.settings import SparkplugExportSettings
from gateway.sparkplug.payload import DataType, Metric, Payload, decode, encode, metric_named
from gateway.sparkplug.topics import BD_SEQ, REBIRTH, Message, Topic
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading

_SEQ_COUNT = 256


class Node:
    """One node over all of its connections."""

    def __init__(self, settings: SparkplugExportSettings) -> None:
        self._settings = settings
        self._aliases = {(s.device, s.metric): number for number, s in enumerate(settings.series, 1)}
        self._newest: dict[tuple[str, str], Reading] = {}
        self._bd_seq = -1
        self._seq = 0
        self._born_ms = 0

    def death(self) -> tuple[str, bytes]:
        """The will of the connection that begins now; its birth must follow."""
        self._bd_seq = (self._bd_seq + 1) % _SEQ_COUNT
        metric = Metric(BD_SEQ, datatype=DataType.UINT64, value=self._bd_seq)
        return self._topic(Message.NDEATH), encode(Payload(metrics=(metric,)))

    def births(self, now_ms: int) -> Sequence[tuple[str, bytes]]:
        """The node's birth and those of its devices, in order."""
        self._seq, self._born_ms = 0, now_ms
        metrics = (
            Metric(BD_SEQ, time_ms=now_ms, datatype=DataType.UINT64, value=self._bd_seq),
            Metric(REBIRTH, time_ms=now_ms, datatype=DataType.BOOLEAN, value=False),
        )
        messages = [self._message(Message.NBIRTH, None, now_ms, metrics)]
        for device in self._settings.device_names():
            members = [series for series in self._settings.series if series.device == device]
            born = tuple(self._born(s.device, s.metric, s.sparkplug_name, now_ms) for s in members)
            messages.append(self._message(Message.DBIRTH, device, now_ms, born))
        return messages

    def data(self, readings: Sequence[Reading], now_ms: int) -> Sequence[tuple[str, bytes]]:
        """A message a device. Values from before the birth are historical."""
        messages = []
        for device in self._settings.device_names():
            members = [r for r in readings if r.device == device and (device, r.metric) in self._aliases]
            if members:
                for reading in members:
                    if is_newer(reading, self._newest.get((device, reading.metric)), now_ms):
                        self._newest[device, reading.metric] = reading
                metrics = tuple(
                    Metric(
                        alias=self._aliases[device, reading.metric],
                        time_ms=max(0, reading.time_ms),
                        is_historical=reading.time_ms < self._born_ms,
                        is_null=reading.quality is Quality.BAD,
                        value=reading.value,
                    )
                    for reading in members
                )
                messages.append(self._message(Message.DDATA, device, now_ms, metrics))
        return messages

    def wants(self, reading: Reading) -> bool:
        """Whether a reading is told here."""
        return (reading.device, reading.metric) in self._aliases

    def is_rebirth(self, topic: str, payload: bytes) -> bool:
        """Whether a message asks us for a new birth. Raises BadInput for a command that is no payload."""
        if topic != self._topic(Message.NCMD):
            return False
        rebirth = metric_named(decode(payload).metrics, REBIRTH)
        if rebirth is None:
            raise BadInput("unknown-command", f"this node takes no command but '{REBIRTH}'")
        return rebirth.value is True

    @property
    def commands(self) -> str:
        """The topic of commands to this node."""
        return self._topic(Message.NCMD)

    def _born(self, device: str, metric: str, name: str, now_ms: int) -> Metric:
        newest = self._newest.get((device, metric))
        is_null = newest is None or newest.quality is Quality.BAD
        return Metric(
            name,
            self._aliases[device, metric],
            now_ms if newest is None else max(0, newest.time_ms),
            DataType.DOUBLE,
            is_null=is_null,
            value=None if newest is None or is_null else newest.value,
        )

    def _message(
        self, message: Message, device: str | None, now_ms: int, metrics: tuple[Metric, ...]
    ) -> tuple[str, bytes]:
        payload = encode(Payload(now_ms, metrics, self._seq))
        self._seq = (self._seq + 1) % _SEQ_COUNT
        return self._topic(message, device), payload

    def _topic(self, message: Message, device: str | None = None) -> str:
        return str(Topic(self._settings.group, message, self._settings.node, device))
