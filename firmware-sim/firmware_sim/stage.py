"""The live district without its sockets: the world, the script, the devices' answers, and the truth about all of it.

Time is an argument. Whatever `advance` returns has to be sent by someone; what `answer` returns has been served.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

import numpy as np

from firmware_sim.district import DAY_MS, MINUTE_MS, SECOND_MS, District, Meter, Register
from firmware_sim.gates import Passage
from firmware_sim.modbus import READ_HOLDING, READ_INPUT, Request, decode, encode, reply
from firmware_sim.scenario import (
    Action,
    CanteenSends,
    CutGateway,
    Fault,
    HeaterOn,
    Person,
    Scenario,
    SensorDies,
)
from firmware_sim.truth import (
    DRAIN_SILENT_MS,
    HEATER_HOLD_MS,
    OFFLINE_MS,
    ExpectedAlarm,
    LevelTrack,
    Truth,
    drain_alarms,
    fever_alarms,
    silence_alarm,
)
from firmware_sim.world import WorldState

CANTEEN_EVERY_MS = 2 * SECOND_MS
SLACK_MS = 20 * SECOND_MS
"""How long after it is certain an alarm may come: a polling interval, the way to the core, two evaluations."""
_SILENT_MS = 60 * SECOND_MS
_GAP_MAX_MS = 5 * MINUTE_MS
_TRACK_MAX = 50_000  # a day and more of two-second readings
_FUNCTION = {"holding": READ_HOLDING, "input": READ_INPUT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Push:
    """What a scanner posts, and the readings in it: (device, metric, time, value, key)."""

    gateway: str
    scanner: str
    body: bytes
    readings: tuple[tuple[str, str, int, float, str | None], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What the canteen publishes, and the good readings in it."""

    payload: bytes
    readings: tuple[tuple[str, str, int, float, str | None], ...]


@dataclass(slots=True)
class Moment:
    """What has happened since the last look."""

    pushes: list[Push] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)


class Stage:
    """A scenario played on a world, from `start_ms` on."""

    def __init__(self, district: District, scenario: Scenario, state: WorldState, start_ms: int) -> None:
        self.truth = Truth()
        self._district = district
        self._world = state.world
        self._start_ms = start_ms
        self._script = deque(sorted(scenario.timeline, key=lambda action: action.at_s))
        self._zone = {site.id: ZoneInfo(site.timezone) for site in district.catalogue.sites}
        self._meters: dict[str, dict[int, tuple[Meter, tuple[Register, ...]]]] = {
            name: {m.unit: (m, driver.profiles[m.profile]) for driver in gateway.modbus for m in driver.devices}
            for name, gateway in district.gateways.items()
        }
        self._poll_ms = {
            m.device: round(driver.every_s * SECOND_MS)
            for gateway in district.gateways.values()
            for driver in gateway.modbus
            for m in driver.devices
        }
        self._fields = {
            scanner.device: (name, driver.fields)
            for name, gateway in district.gateways.items()
            for driver in gateway.drivers
            if driver.driver == "http-push"
            for scanner in driver.devices
        }
        self._last_answer_ms: dict[str, int] = {}
        self._died: dict[str, int] = {}
        self._levels = {
            device: deque(zip(times.tolist(), levels.tolist(), strict=True), maxlen=_TRACK_MAX)
            for device, (times, levels) in state.recent.items()
        }
        self._canteen_next_ms = start_ms + CANTEEN_EVERY_MS
        self._faults: deque[Fault] = deque()
        # What an earlier run of a script has left behind is over; a world may be taken up again after days.
        self._world.rooms.unplug_heaters()
        self._world.gates.false_positive_probability = self._world.gates.passages_per_lane_per_min = 0.0
        gap_ms = start_ms - self._world.time_ms
        passed = self._world.advance(start_ms)
        # Scanners keep the people of a few minutes; of a longer time nobody was measured.
        self._warm_up = self._moment(passed if gap_ms <= _GAP_MAX_MS else [])
        self._world.gates.passages_per_lane_per_min = scenario.passages_per_lane_per_min
        self._world.gates.false_positive_probability = scenario.false_positive_probability

    def advance(self, now_ms: int) -> Moment:
        """Let the world, and the script in it, move on to `now_ms`."""
        moment, self._warm_up = self._warm_up, Moment()
        while self._script and self._start_ms + round(self._script[0].at_s * SECOND_MS) <= now_ms:
            action = self._script.popleft()
            self._play(self._start_ms + round(action.at_s * SECOND_MS), moment)
            self._act(action, moment)
        self._play(now_ms, moment)
        return moment

    def answer(self, gateway: str, request: Request, now_ms: int) -> bytes | None:
        """What the units behind a gateway's Modbus address reply; None where nobody does."""
        meter, profile = self._meters[gateway].get(request.unit, (None, ()))
        if meter is None or meter.device in self._died:
            return None
        words: dict[int, dict[int, int]] = {}
        for register in profile:
            value = self._world.value(meter.device, register.metric)
            if value is None:
                return None
            raw = (value - register.offset) / register.scale
            at = words.setdefault(_FUNCTION[register.function], {})
            at.update(enumerate(encode(raw, register.type, register.word_order), register.address))
        answer = reply(request, words)
        if answer[7] < 0x80 and request.span is not None:
            self._record(meter, profile, request, words[request.function], now_ms)
        return answer

    def expected_alarms(self) -> list[ExpectedAlarm]:
        """What should have been raised since the start, and what may have been, as far as the run has come."""
        expected = list(self.truth.alarms)
        catalogue = self._district.catalogue
        for device, samples in self._levels.items():
            if samples:
                time_ms, level = zip(*samples, strict=True)
                drain = self._district.drains[catalogue.device[device].place]
                times, levels = np.array(time_ms, np.int64), np.array(level, np.float64)
                track = LevelTrack(device, drain, times, levels, device in self._died)
                expected += [alarm for alarm in drain_alarms(track, SLACK_MS) if alarm.by_ms >= self._start_ms]
        for device, died_ms in self._died.items():
            last_ms = self._last_answer_ms.get(device, died_ms)
            rule, after_ms = ("drain-silent", DRAIN_SILENT_MS) if device in self._levels else ("silent", _SILENT_MS)
            expected.append(silence_alarm(rule, device, last_ms, after_ms, SLACK_MS, last_ms + DAY_MS))
        return sorted(expected, key=lambda alarm: (alarm.from_ms, alarm.rule, alarm.device))

    def true_level_m(self, device: str) -> float:
        """The water at a sensor now, whether it still says so or not."""
        return self._world.true_level_m(device)

    def _play(self, now_ms: int, moment: Moment) -> None:
        """Move on without the script, stopping where the canteen is due."""
        while self._canteen_next_ms <= now_ms:
            self._gather(moment, self._world.advance(self._canteen_next_ms))
            moment.messages += self._canteen(self._canteen_next_ms)
            self._canteen_next_ms += CANTEEN_EVERY_MS
        self._gather(moment, self._world.advance(now_ms))

    def _act(self, action: Action, moment: Moment) -> None:
        now_ms = self._world.time_ms
        moment.actions.append(action)
        self.truth.actions.append((now_ms, action.model_dump_json()))
        self._world.act(action)
        match action:
            case Person():
                self._gather(moment, [self._world.gates.person(action.scanner, now_ms, action.temperature)])
            case HeaterOn():
                by_ms = now_ms + HEATER_HOLD_MS + 2 * self._poll_ms[action.device] + SLACK_MS
                note = f"heater of {action.watts:.0f} W"
                self._expect("forbidden-heater", action.device, now_ms, by_ms, now_ms + DAY_MS, note)
            case SensorDies():
                self._died[action.device] = now_ms
            case CutGateway():
                by_ms = now_ms + OFFLINE_MS + SLACK_MS
                self._expect("gateway-offline", action.gateway, now_ms, by_ms, None, "cut off from its broker")
            case CanteenSends():
                self._faults.append(action.fault)
            case _:
                pass

    def _expect(self, rule: str, device: str, from_ms: int, by_ms: int, until_ms: int | None, note: str) -> None:
        self.truth.alarms.append(ExpectedAlarm(rule, device, None, from_ms, by_ms, True, until_ms, note))

    def _moment(self, passages: list[Passage]) -> Moment:
        moment = Moment()
        self._gather(moment, passages)
        return moment

    def _gather(self, moment: Moment, passages: list[Passage]) -> None:
        """Turn passages into what their scanners will post."""
        passages = [seen for passage in passages if (seen := self._world.seen(passage)) is not None]
        for passage in passages:
            gateway, fields = self._fields[passage.scanner]
            measured = {"temperature": passage.skin_c, "ambient": passage.ambient_c}
            readings = tuple(
                (passage.scanner, metric, passage.time_ms, measured[name], passage.key)
                for name, metric in fields.items()
            )
            body = {"serial": passage.serial, "passage": passage.key, "time": self._local_time(passage), **measured}
            moment.pushes.append(Push(gateway, passage.scanner, json.dumps(body).encode(), readings))
            for reading in readings:
                self.truth.push(*reading)
        # Nobody is obliged to act on a false positive: the recheck is normal. A fever stays until a person decides.
        self.truth.alarms += fever_alarms(passages, SLACK_MS, open_until_ms=self._world.time_ms + DAY_MS)

    def _canteen(self, now_ms: int) -> list[Message]:
        """The canteen's regular message, and a broken one before it when the script says so."""
        names = self._district.world.canteen
        time = self._rfc3339(names.site, now_ms)
        room = self._world.cold_room
        air, door = room.shown_c(), float(room.is_door_open)

        def row(device: str, metric: str, value: float | str) -> dict[str, object]:
            return {"device": device, "metric": metric, "time": time, "value": value}

        air_row, door_row = row(names.device, names.temperature, air), row(names.device, names.door, door)
        air_reading = (names.device, names.temperature, now_ms, air, None)
        door_reading = (names.device, names.door, now_ms, door, None)
        if not self._faults:
            return [self._message([air_row, door_row], (air_reading, door_reading))]
        fault = self._faults.popleft()
        self.truth.broken[fault.value] += 1
        match fault:
            case Fault.BROKEN_JSON:
                # The box notices that it was cut off and sends the same once more, whole.
                whole = self._message([air_row, door_row], (air_reading, door_reading))
                return [Message(whole.payload[:-25], ()), whole]
            case Fault.BAD_VALUE:
                bad = row(names.device, names.door, "open" if door else "closed")
                return [self._message([air_row, bad], (air_reading,))]
            case Fault.UNKNOWN_METRIC:
                bad = row(names.device, "defrost_hours", 3.0)
                return [self._message([air_row, bad, door_row], (air_reading, door_reading))]
            case Fault.UNKNOWN_DEVICE:
                bad = row(f"{names.device}-old", names.temperature, air)
                return [self._message([bad, air_row, door_row], (air_reading, door_reading))]
            case _:
                assert_never(fault)

    def _message(
        self, rows: list[dict[str, object]], readings: tuple[tuple[str, str, int, float, str | None], ...]
    ) -> Message:
        for reading in readings:
            self.truth.push(*reading)
        return Message(json.dumps({"readings": rows}).encode(), readings)

    def _record(
        self, meter: Meter, profile: tuple[Register, ...], request: Request, words: dict[int, int], now_ms: int
    ) -> None:
        """Note what a reader gets out of a good answer."""
        assert request.span is not None
        first, count = request.span
        for register in profile:
            width = 2 if register.type in ("uint32", "int32", "float32") else 1
            own_function = _FUNCTION[register.function] == request.function
            if not own_function or register.address < first or register.address + width > first + count:
                continue
            raw = decode(
                tuple(words[at] for at in range(register.address, register.address + width)),
                register.type,
                register.word_order,
            )
            if raw not in register.invalid:
                self.truth.serve(meter.device, register.metric, raw * register.scale + register.offset)
                self._last_answer_ms[meter.device] = now_ms
                track = self._levels.get(meter.device)
                if track is not None and (not track or track[-1][0] < now_ms):
                    track.append((now_ms, self._world.true_level_m(meter.device)))

    def _local_time(self, passage: Passage) -> str:
        return self._rfc3339(self._district.catalogue.site_of(passage.scanner), passage.time_ms)

    def _rfc3339(self, site: str, time_ms: int) -> str:
        at = (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(self._zone[site])
        return at.isoformat(timespec="milliseconds")
