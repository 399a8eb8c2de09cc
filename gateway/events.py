"""What a gateway has to tell: each notable event is one function that owns its log line and its counter.

The counts travel in the retained status, so they belong to a gateway and not to the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import structlog

from gateway.spool import Thinned
from telemetry.clock import Clock
from telemetry.errors import BadInput
from telemetry.reading import Reading

REPEAT_AFTER_S = 60.0  # a refusal that goes on is said once a minute
DEVICES_SHOWN_MAX = 200  # per-device counts are left out of the status of a gateway with more devices

_ALWAYS_SHOWN = ("invalid", "frames_sent", "frames_resent", "frames_receipted")

_log = structlog.get_logger("gateway")


class DriverState(Enum):
    """How a driver is doing, as the status says it."""

    STARTING = "starting"
    RUNNING = "running"
    AWAY = "away"
    DISABLED = "disabled"


class Events:
    """The log lines and counters of one gateway. Only for the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count: Counter[str] = Counter(dict.fromkeys(_ALWAYS_SHOWN, 0))
        self._readings: Counter[str] = Counter()
        self._away: set[str] = set()
        self._said_s: dict[str, float] = {}
        self.drivers: dict[str, DriverState] = {}

    def counters(self) -> Mapping[str, Any]:
        """All counts since the start, small enough for a status."""
        devices = {"devices": dict(self._readings)} if len(self._readings) <= DEVICES_SHOWN_MAX else {}
        return {"readings": self._readings.total(), **self._count, **devices}

    # Outages: one warning when it begins, one line when it ends, the attempts between for those who debug.

    def unavailable(self, what: str, error: str) -> None:
        """Something we depend on is away: the broker, the spool's disk, a driver's peer, a device."""
        is_first = what not in self._away
        self._away.add(what)
        if what in self.drivers:
            self.drivers[what] = DriverState.AWAY
        if is_first:
            self._count["outages"] += 1
        (_log.warning if is_first else _log.debug)("away; trying again", what=what, error=error)

    def available(self, what: str) -> None:
        if what in self.drivers:
            self.drivers[what] = DriverState.RUNNING
        if what in self._away:
            self._away.discard(what)
            _log.info("back again", what=what)
        else:
            _log.debug("available", what=what)

    # Drivers

    def driver_added(self, driver: str) -> None:
        self.drivers[driver] = DriverState.STARTING

    def driver_removed(self, driver: str) -> None:
        del self.drivers[driver]
        self._away.discard(driver)

    def configuration_taken(self, ended: Sequence[str], begun: Sequence[str], is_rest_new: bool) -> None:
        _log.info("configuration read again", ended=ended, begun=begun)
        if is_rest_new:
            _log.warning("of the configuration only the drivers were taken up; start the gateway again for the rest")

    def configuration_refused(self, error: str) -> None:
        self._count["refused_configurations"] += 1
        _log.error("the changed configuration is wrong, and was not taken up", error=error)

    def driver_disabled(self, driver: str, error: str) -> None:
        self.drivers[driver] = DriverState.DISABLED
        _log.error("driver disabled; mend its configuration and start the gateway again", driver=driver, error=error)

    def driver_crashed(self, driver: str, error: Exception) -> None:
        self.drivers[driver] = DriverState.AWAY
        self._count["driver_crashes"] += 1
        _log.error("driver failed by a fault of ours; starting it again", driver=driver, exc_info=error)

    def value_invalid(self, device: str, metric: str) -> None:
        """The device answered, with a value that its profile says is none."""
        self._count["invalid"] += 1
        _log.debug("no measurement", device=device, metric=metric)

    def answer_refused(self, device: str, error: str) -> None:
        self._count["refused_answers"] += 1
        if self._is_time_to_say(f"answer {device}"):
            _log.warning("the device refuses or answers nonsense", device=device, error=error)

    def noise_skipped(self, driver: str, byte_count: int) -> None:
        self._count["noise_bytes"] += byte_count
        if self._is_time_to_say(f"noise {driver}"):
            _log.warning("bytes that belong to no answer were skipped", driver=driver, bytes=byte_count)

    def push_refused(self, driver: str, status: int, detail: str) -> None:
        self._count["refused_pushes"] += 1
        if self._is_time_to_say(f"push {driver} {status}"):
            _log.warning("push refused", driver=driver, status=status, detail=detail)

    def push_repeated(self, device: str) -> None:
        self._count["duplicates"] += 1
        _log.debug("push repeated", device=device)

    def message_refused(self, driver: str, error: BadInput) -> None:
        """What came over MQTT or a line can be no reading; what it was is counted by its reason."""
        self._count["refused_messages"] += 1
        self._count[f"refused_messages_{error.reason}"] += 1
        if self._is_time_to_say(f"message {driver} {error.reason}"):
            _log.warning("message refused", driver=driver, reason=error.reason, detail=error.detail)

    # Exports

    def export_dropped(self, export: str) -> None:
        """Somebody besides the core could not be told in time; the core is."""
        self._count["export_dropped"] += 1
        if self._is_time_to_say(f"export {export}"):
            _log.warning("too much waits to be told; the oldest is dropped", export=export)

    # Spool

    def readings_kept(self, readings: Sequence[Reading]) -> None:
        self._readings.update(r.device for r in readings)

    def readings_refused(self, count: int, error: str) -> None:
        """The disk budget is used up: the oldest are kept, these are gone."""
        self._count["refused"] += count
        if self._is_time_to_say("refused"):
            _log.error("the spool is full; new readings are refused", total=self._count["refused"], error=error)

    def readings_lost(self, count: int, error: str) -> None:
        """The gateway stops while the disk still refuses."""
        self._count["lost"] += count
        _log.error("stopped before these readings could be written", count=count, error=error)

    def lane_thinned(self, thinned: Thinned) -> None:
        """The disk budget is nearly used up: what alarms do not need went, and the frames say how much."""
        self._count["lanes_thinned"] += 1
        _log.warning(
            "the spool is nearly full; an old lane was thinned",
            lane=thinned.epoch,
            bytes_before=thinned.bytes_before,
            bytes_after=thinned.bytes_after,
        )

    def lane_damaged(self, lane: str) -> None:
        """A part of the spool cannot be read any more; it was set aside so that the rest goes on."""
        self._count["damaged_lanes"] += 1
        _log.error("a lane of the spool cannot be read; it was set aside, see whether it can be saved", lane=lane)

    def live_first(self, behind: int) -> None:
        """An outage is over."""
        self._count["outages_made_good"] += 1
        _log.info("what is new goes out first, what was kept meanwhile follows", frames=behind)

    # Uplink

    def frames_sent(self, count: int, resent_count: int) -> None:
        self._count["frames_sent"] += count
        self._count["frames_resent"] += resent_count

    def receipt_taken(self, frame_count: int) -> None:
        self._count["frames_receipted"] += frame_count

    def receipt_refused(self, detail: str) -> None:
        self._count["receipts_refused"] += 1
        if self._is_time_to_say("receipt"):
            _log.warning("receipt ignored", detail=detail)

    def sampling_asked(self, every_s: Mapping[str, float]) -> None:
        """The core wants these devices to be read so often, and all others in their own rhythm."""
        _log.info("the core asks for sampling", every_s=dict(every_s))

    def sampling_refused(self, detail: str) -> None:
        self._count["sampling_refused"] += 1
        if self._is_time_to_say("sampling"):
            _log.warning("what the core asks for is not understood; devices keep their rhythm", detail=detail)

    def resending(self, after_seq: int) -> None:
        """No receipt came in time; the core may have been away or a frame lost on the way."""
        self._count["resends"] += 1
        _log.debug("no receipt in time; sending again", after_seq=after_seq)

    def connected(self, host: str, port: int, session_present: bool) -> None:
        self._away.discard("broker")
        _log.info("connected to the broker", host=host, port=port, session_present=session_present)

    # Local alarms

    def local_alarm_raised(self, rule: str, device: str) -> None:
        self._count["local_alarms"] += 1
        _log.warning("local alarm", rule=rule, device=device)

    def output_failed(self, output: str, error: str) -> None:
        self._count["output_failures"] += 1
        self.unavailable(f"output {output}", error)

    # The process

    def started(self, gateway: str, epoch: str, spooled: int) -> None:
        _log.info("gateway started", gateway=gateway, epoch=epoch, spooled=spooled)

    def stopped(self, gateway: str, spooled: int) -> None:
        _log.info("gateway stopped", gateway=gateway, spooled=spooled)

    def _is_time_to_say(self, topic: str) -> bool:
        now_s = self._clock.monotonic_s()
        is_due = now_s - self._said_s.get(topic, float("-inf")) >= REPEAT_AFTER_S
        if is_due:
            self._said_s[topic] = now_s
        return is_due
