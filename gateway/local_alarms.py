"""Alarms that the gateway judges by itself, so that a lamp at the gate goes on whether or not there is a core.

They mirror the levels of the core's rules, one reading at a time, with the semantics of the core's `alerts/lifecycle.py`:
a level fires when the limit is reached (and, with `for_s`, has been for so long), and is over at the first good reading
strictly past the clear limit. A doubtful reading may help to raise, never to clear; a bad one does neither; one that is
not newer than the last of its series counts for nothing; silence moves nothing. Readings are judged before they are
durable, for the lamp must not wait for a disk that is full or fails. An alarm is one rule on one series (or,
per passage, on one person): it is open while any of its levels fires, and its id is the one that the core comes to.

A person's decision at the core does not reach the gateway. A passage's alarm is therefore over here when the passage is
measured again and found good, or after its entry's `passage_s`. What a guard does at the gateway's own page does reach it:
once they have asked for a second measurement no reading ends the alarm, as at the core, and their decision does. An alarm
that time alone has ended can still be decided there for an hour.

A passage that was judged and then refused may come again. With its old time it raises nothing twice. With a key and another
time, which the gateway gives a push that has none, its alarm gets the new time, for that is what the core will know.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.events import Events
from gateway.settings import LocalAlarmSettings
from gateway.spool import Spool
from gateway.timekeeping import is_placed
from telemetry.errors import Unavailable
from telemetry.identity import alarm_id
from telemetry.quality import Quality
from telemetry.reading import Reading

ENDED_SHOWN = 20
_HOLD_MAX_MS = 300_000  # as the core's rules: how long after a reading its value may still raise an alarm by time
_PAUSE_MAX_MS = 3_600_000  # as the core: through a longer silence nothing has lasted, unless it must last longer itself
_PASSAGES_OPEN_MAX = 200  # of all lanes; the oldest is over first
_PASSAGES_REMEMBERED = 1000
_TICK_S = 1.0
_AHEAD_MAX_MS = 60_000  # as the core: a clock further ahead than this is wrong
_ASKED_MS = 300_000  # so long the lamp stays on for somebody who is measured again: 180 s to measure, 120 s to decide
_UNDECIDED_MS = 3_600_000
_SAME_KEY = "same-passage"
_FACT = "alarms"

Series = tuple[str, str]  # device, metric


class _Condition(msgspec.Struct, frozen=True):
    """Where one level stands."""

    fires: bool = False
    pending_ms: int | None = None  # since when the limit is reached, not yet for long enough
    by_time_ms: int | None = None  # the moment at which time alone made it fire


_NORMAL = _Condition()


class _Alarm(msgspec.Struct):
    rule: str
    device: str
    metric: str
    key: str | None
    onset_ms: int
    raised_ms: int
    levels: list[str]  # those that fire
    cleared_ms: int | None = None
    until_ms: int | None = None  # a passage's is over then
    value: float | None = None  # the worst that was measured
    limit: float | None = None
    asked_ms: int | None = None  # when a guard asked for a second measurement
    measured: float | None = None  # what it was
    method: str | None = None
    measured_ms: int | None = None
    is_undecided: bool = False  # time alone has ended it
    is_refused: bool = False  # what raised it was not kept; it may come again, with another time

    @property
    def where(self) -> tuple[str, str, str, str | None]:
        return self.rule, self.device, self.metric, self.key

    @property
    def id(self) -> str:
        return alarm_id(self.rule, self.device, self.metric, self.key, self.onset_ms)


@dataclass(frozen=True, slots=True)
class Person:
    """A passage's alarm, for the guard at the gate."""

    id: str
    rule: str
    device: str
    metric: str
    key: str
    onset_ms: int
    value: float | None
    limit: float | None
    asked_ms: int | None
    measured: float | None
    method: str | None
    measured_ms: int | None
    is_lit: bool  # its lamp is on


class _Memory(msgspec.Struct):
    """What survives a restart."""

    conditions: dict[str, _Condition] = {}
    last_ms: dict[str, int] = {}  # "device/metric" -> the newest reading that counted
    open: list[_Alarm] = []
    ended: list[_Alarm] = []
    passages: list[str] = []  # ids of passages' alarms that ended: a repeated reading must not open them again


_MEMORY = msgspec.json.Decoder(_Memory)


class _Level:
    """One entry, turned so that higher is worse."""

    def __init__(self, entry: LocalAlarmSettings) -> None:
        self.entry = entry
        self._sign = 1.0 if entry.at_least is not None else -1.0
        self._raise_at = self._sign * entry.limit
        self._clear_below = self._sign * (entry.limit if entry.clear is None else entry.clear)
        self._for_ms = round(entry.for_s * 1000)
        # A changed limit is another condition: it must not go on from where the old one stood.
        self.name = entry.model_dump_json()
        self.condition = _NORMAL

    def reaches(self, value: float) -> bool:
        return self._sign * value >= self._raise_at

    def is_worse(self, value: float, than: float | None) -> bool:
        return than is None or self._sign * value > self._sign * than

    def observe(self, reading: Reading, time_ms: int, last_ms: int) -> int | None:
        """Advance by one usable reading; `last_ms` is of the one before. The onset, if the level begins to fire with it.

        A condition is replaced and never changed, so that whoever looks can tell.
        """
        if self.condition.pending_ms is not None and time_ms - last_ms > max(_PAUSE_MAX_MS, self._for_ms):
            self.condition = _Condition(pending_ms=time_ms)
        condition = self.condition
        # A reading from before the moment at which time made it fire, or from that moment, knows better.
        is_ahead = condition.by_time_ms is not None and time_ms <= condition.by_time_ms
        is_held = condition.fires and not is_ahead
        is_breach = self._sign * reading.value >= (self._clear_below if is_held else self._raise_at)
        if not is_breach:
            if reading.quality == Quality.GOOD and condition != _NORMAL:
                self.condition = _NORMAL
            return None
        if condition.fires:
            return None
        onset_ms = time_ms if condition.pending_ms is None else condition.pending_ms
        if time_ms - onset_ms >= self._for_ms:
            self.condition = _Condition(fires=True)
            return onset_ms
        if condition.pending_ms is None:
            self.condition = _Condition(pending_ms=onset_ms)
        return None

    def due_ms(self, last_ms: int) -> int | None:
        """When the level fires though no reading says so; None when its last reading would be too old by then."""
        if self.condition.pending_ms is None:
            return None
        due_ms = self.condition.pending_ms + self._for_ms
        return due_ms if due_ms - last_ms <= _HOLD_MAX_MS else None

    def fire(self) -> int:
        """Its time is over; returns the onset."""
        onset_ms = self.condition.pending_ms
        assert onset_ms is not None
        self.condition = _Condition(fires=True, by_time_ms=onset_ms + self._for_ms)
        return onset_ms


class LocalAlarms:
    """The alarms of one gateway. For the event loop's thread.

    Args:
        switch: Told of every output whether it is on, at the start and whenever that changes.
        changed: Called when the status has something new to say.
    """

    def __init__(
        self,
        entries: Sequence[LocalAlarmSettings],
        spool: Spool,
        events: Events,
        switch: Callable[[str, bool], None],
        changed: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._time = spool.timekeeper
        self._events = events
        self._switch = switch
        self._changed = changed
        self._levels: dict[Series, dict[str, list[_Level]]] = {}  # by rule
        self._passages: dict[Series, dict[str, list[_Level]]] = {}
        for entry in entries:
            kind = self._passages if entry.per_passage else self._levels
            kind.setdefault((entry.device, entry.metric), {}).setdefault(entry.rule, []).append(_Level(entry))
        self._output = {level.name: level.entry.output for level in self._each(self._levels, self._passages)}
        self._lit: dict[str, bool] = {}
        self._wake = asyncio.Event()
        self._is_unwritten = False
        self._is_placed = self._time.placing_shift_ms is not None
        self._last_ms: dict[str, int] = {}
        self._heard_s: dict[str, float] = {}  # when that was, on the monotonic clock; of this run
        self._began_s = self._time.monotonic_s()
        self._open: dict[tuple[str, str, str, str | None], _Alarm] = {}
        self._ended: deque[_Alarm] = deque(maxlen=ENDED_SHOWN)
        self._passages_ended: deque[str] = deque(maxlen=_PASSAGES_REMEMBERED)
        self._recall(spool.recalled(_FACT))
        self._light()

    def judge(self, readings: Sequence[Reading]) -> None:
        """Look at readings as they come, in their order; they need not be durable yet, and may never be."""
        if not self._output:
            return
        self._place()
        for reading in readings:
            series = reading.device, reading.metric
            if reading.quality == Quality.BAD:
                continue
            time_ms = self._placed(reading.time_ms)
            for rule, levels in self._passages.get(series, {}).items():
                self._judge_passage(rule, levels, reading, time_ms)
            if series not in self._levels:
                continue
            name = "/".join(series)
            if self._is_ahead(self._last_ms.get(name, -1)):
                self._set_back(series, name)
            if self._is_ahead(time_ms):  # as the core does: it counts from its arrival, and clears nothing
                time_ms, reading = self._time.now_ms(), replace(reading, quality=Quality.SUSPECT)
            if self._is_newer(name, time_ms):
                self._fire_by_time(series, time_ms - 1)
                last_ms = self._last_ms.get(name, time_ms)
                self._last_ms[name], self._heard_s[name] = time_ms, self._time.monotonic_s()
                for rule, levels in self._levels[series].items():
                    before = [level.condition for level in levels]
                    onsets = [
                        onset for level in levels if (onset := level.observe(reading, time_ms, last_ms)) is not None
                    ]
                    if any(level.condition is not was for level, was in zip(levels, before, strict=True)):
                        self._settle(rule, series, levels, onsets, time_ms)
        self._light()

    def _is_ahead(self, time_ms: int) -> bool:
        """Whether a time cannot be: of a device whose clock is wrong, or from before ours was set back."""
        now_ms = self._time.now_ms()
        return is_placed(now_ms) and time_ms > now_ms + _AHEAD_MAX_MS

    def _is_newer(self, name: str, time_ms: int) -> bool:
        """Whether a reading counts. To a run that does not know the time yet all that an earlier one took is over."""
        last_ms = self._last_ms.get(name, -1)
        return time_ms > last_ms or (is_placed(last_ms) and not is_placed(time_ms))

    def _set_back(self, series: Series, name: str) -> None:
        """Our clock was: what a series waits for since then would never come."""
        del self._last_ms[name]
        for levels in self._levels[series].values():
            for level in levels:
                if level.condition.pending_ms is not None and self._is_ahead(level.condition.pending_ms):
                    level.condition = _NORMAL

    def refused(self, readings: Sequence[Reading]) -> None:
        """Some that were judged were not kept, and whoever brought them was told so."""
        for reading in readings:
            for rule in self._passages.get((reading.device, reading.metric), {}):
                alarm = self._open.get((rule, reading.device, reading.metric, reading.key))
                if alarm is not None and alarm.onset_ms == self._placed(reading.time_ms):
                    alarm.is_refused = True
                    self._stir()

    def tick(self) -> None:
        """Time has passed."""
        self._place()
        now_ms = self._time.now_ms()
        for series in self._levels:
            # A clock that is set ahead makes nothing last, nor does our own absence.
            name = "/".join(series)
            listened_s = self._time.monotonic_s() - self._heard_s.get(name, self._began_s)
            self._fire_by_time(series, min(now_ms, self._last_ms.get(name, 0) + round(1000 * listened_s)))
        for alarm in [a for a in self._open.values() if a.until_ms is not None and a.until_ms <= now_ms]:
            alarm.is_undecided = True
            self._end(alarm, now_ms)
        self._light()

    def told(self) -> list[dict[str, Any]]:
        """What the status says: what is open, and the last that ended. An alarm without a time yet has no id yet."""
        return [
            {
                "id": alarm.id,
                "rule": alarm.rule,
                "device": alarm.device,
                "metric": alarm.metric,
                "key": alarm.key,
                "severity": None,
                "onset_ms": alarm.onset_ms,
                "raised_ms": alarm.raised_ms,
                "cleared_ms": alarm.cleared_ms,
            }
            for alarm in [*self._open.values(), *self._ended]
            if is_placed(alarm.onset_ms)
        ]

    # At the gateway's own page

    def people(self) -> list[Person]:
        """Passages that a guard can decide on, the newest first."""
        since_ms = self._time.now_ms() - _UNDECIDED_MS
        undecided = [a for a in self._ended if a.is_undecided and (a.cleared_ms or 0) >= since_ms]
        found = [alarm for alarm in [*self._open.values(), *undecided] if alarm.key is not None]
        return [
            Person(
                alarm.id,
                alarm.rule,
                alarm.device,
                alarm.metric,
                alarm.key or "",
                alarm.onset_ms,
                alarm.value,
                alarm.limit,
                alarm.asked_ms,
                alarm.measured,
                alarm.method,
                alarm.measured_ms,
                alarm.cleared_ms is None,
            )
            for alarm in sorted(found, key=lambda alarm: -alarm.onset_ms)
        ]

    def others(self) -> list[tuple[str, str, int]]:
        """Open alarms that are about no person: (rule, device, onset)."""
        return [(alarm.rule, alarm.device, alarm.onset_ms) for alarm in self._open.values() if alarm.key is None]

    def ask(self, name: str) -> None:
        """A guard measures the person again."""
        for alarm in self._named(name):
            alarm.asked_ms = now_ms = self._time.now_ms()
            self._prolong(alarm, now_ms)

    def measured(self, name: str, value: float, method: str) -> None:
        """A guard typed in the second measurement."""
        for alarm in self._named(name):
            self._measure(alarm, value, method, self._time.now_ms())

    def decided(self, name: str) -> None:
        """A guard has decided: over, and the lamp off."""
        for alarm in self._named(name):
            alarm.is_undecided = False
            if alarm.where in self._open:
                self._end(alarm, self._time.now_ms())
            self._stir()
        self._light()

    def _named(self, name: str) -> list[_Alarm]:
        return [a for a in [*self._open.values(), *self._ended] if a.key is not None and a.id == name]

    def _measure(self, alarm: _Alarm, value: float, method: str, time_ms: int) -> None:
        alarm.asked_ms = time_ms if alarm.asked_ms is None else alarm.asked_ms
        alarm.measured, alarm.method, alarm.measured_ms = value, method, time_ms
        self._prolong(alarm, self._time.now_ms())

    def _prolong(self, alarm: _Alarm, now_ms: int) -> None:
        if alarm.until_ms is not None:
            alarm.until_ms = max(alarm.until_ms, now_ms + _ASKED_MS)
        self._stir()

    async def run(self) -> None:
        """Let time pass and keep what is known on disk, until cancelled."""
        while True:
            self.tick()
            if self._is_unwritten:
                self._is_unwritten = False
                try:
                    await asyncio.to_thread(self._spool.remember, _FACT, self._memory())
                except Unavailable as error:
                    self._is_unwritten = True
                    self._events.unavailable("spool (local alarms)", str(error))
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()

    def _judge_passage(self, rule: str, levels: list[_Level], reading: Reading, time_ms: int) -> None:
        key = reading.key or f"t{time_ms}"
        where = (rule, reading.device, reading.metric, key)
        over = [level for level in levels if level.reaches(reading.value)]
        reached = [level.name for level in over]
        alarm = self._open.get(where)
        if reached and alarm is None:
            now_ms = self._time.now_ms()
            until_ms = now_ms + round(1000 * max(level.entry.passage_s for level in levels))
            limit = over[-1].entry.limit
            alarm = _Alarm(*where, time_ms, now_ms, reached, until_ms=until_ms, value=reading.value, limit=limit)
            if alarm.id not in self._passages_ended:
                self._raise(alarm)
                passages = [a for a in self._open.values() if a.until_ms is not None]
                if len(passages) > _PASSAGES_OPEN_MAX:
                    self._end(passages[0], time_ms)
        elif reached and alarm is not None:
            if alarm.is_refused:
                alarm.onset_ms, alarm.is_refused = time_ms, False
                self._stir()
            self._take_again(alarm, reading, time_ms)
            if alarm.asked_ms is None and over[-1].is_worse(reading.value, alarm.value):
                alarm.value, alarm.limit = reading.value, over[-1].entry.limit
                self._stir()
            if added := [name for name in reached if name not in alarm.levels]:
                alarm.levels += added
                self._stir()
        elif alarm is not None and alarm.asked_ms is not None:
            self._take_again(alarm, reading, time_ms)
        elif alarm is not None and reading.quality == Quality.GOOD and time_ms > alarm.onset_ms:
            self._end(alarm, time_ms)

    def _take_again(self, alarm: _Alarm, reading: Reading, time_ms: int) -> None:
        """The passage is measured again; where a guard has asked for it, it is what they decide by."""
        if alarm.asked_ms is not None and time_ms > alarm.onset_ms:
            self._measure(alarm, reading.value, _SAME_KEY, time_ms)

    def _fire_by_time(self, series: Series, until_ms: int) -> None:
        """What had lasted its time by then fires at the moment its time was up, whoever notices: a tick, or a reading."""
        last_ms = self._last_ms.get("/".join(series), 0)
        for rule, levels in self._levels[series].items():
            dues = {level.due_ms(last_ms) for level in levels}
            for due_ms in sorted(due for due in dues if due is not None and due <= until_ms):
                onsets = [level.fire() for level in levels if level.due_ms(last_ms) == due_ms]
                self._settle(rule, series, levels, onsets, due_ms)

    def _settle(self, rule: str, series: Series, levels: list[_Level], onsets: list[int], time_ms: int) -> None:
        """Bring an alarm in line with its levels, of which one has changed."""
        where = (rule, *series, None)
        firing = [level.name for level in levels if level.condition.fires]
        alarm = self._open.get(where)
        if alarm is None:
            if onsets:
                self._raise(_Alarm(*where, min(onsets), self._time.now_ms(), firing))
        elif not firing:
            self._end(alarm, time_ms)
        else:
            alarm.levels = firing
        self._stir()

    def _raise(self, alarm: _Alarm) -> None:
        self._open[alarm.where] = alarm
        self._events.local_alarm_raised(alarm.rule, alarm.device)
        self._stir()

    def _end(self, alarm: _Alarm, time_ms: int) -> None:
        del self._open[alarm.where]
        alarm.cleared_ms, alarm.levels = time_ms, []
        self._ended.append(alarm)
        if alarm.key is not None:
            self._passages_ended.append(alarm.id)
        self._stir()

    def _stir(self) -> None:
        self._is_unwritten = True
        self._wake.set()
        self._changed()

    def _light(self) -> None:
        lit = dict.fromkeys(self._output.values(), False)
        for alarm in self._open.values():
            for name in alarm.levels:
                lit[self._output[name]] = True
        for output, is_on in lit.items():
            if self._lit.get(output) is not is_on:
                self._switch(output, is_on)
        self._lit = lit

    # Time that becomes known while we run

    def _placed(self, time_ms: int) -> int:
        shift_ms = self._time.placing_shift_ms
        return time_ms if is_placed(time_ms) or shift_ms is None else time_ms + shift_ms

    def _place(self) -> None:
        """Once it is known when this run began, everything that was counted from there gets its time."""
        if self._is_placed or self._time.placing_shift_ms is None:
            return
        self._is_placed = True
        for level in self._each(self._levels):
            condition = level.condition
            if condition.pending_ms is not None:
                level.condition = _Condition(pending_ms=self._placed(condition.pending_ms))
            elif condition.by_time_ms is not None:
                level.condition = _Condition(fires=True, by_time_ms=self._placed(condition.by_time_ms))
        self._last_ms = {series: self._placed(time_ms) for series, time_ms in self._last_ms.items()}
        for alarm in [*self._open.values(), *self._ended]:
            if alarm.key == f"t{alarm.onset_ms}":
                alarm.key = f"t{self._placed(alarm.onset_ms)}"
            alarm.onset_ms, alarm.raised_ms = self._placed(alarm.onset_ms), self._placed(alarm.raised_ms)
            if alarm.cleared_ms is not None:
                alarm.cleared_ms = self._placed(alarm.cleared_ms)
            if alarm.until_ms is not None:
                alarm.until_ms = self._placed(alarm.until_ms)
            if alarm.asked_ms is not None:
                alarm.asked_ms = self._placed(alarm.asked_ms)
            if alarm.measured_ms is not None:
                alarm.measured_ms = self._placed(alarm.measured_ms)
        self._open = {alarm.where: alarm for alarm in self._open.values()}
        self._stir()

    # Memory

    def _memory(self) -> bytes:
        conditions = {level.name: level.condition for level in self._each(self._levels)}
        return msgspec.json.encode(
            _Memory(
                {name: c for name, c in conditions.items() if c.fires or c.pending_ms is not None},
                self._last_ms,
                list(self._open.values()),
                list(self._ended),
                list(self._passages_ended),
            )
        )

    def _recall(self, written: bytes) -> None:
        """Go on from what an earlier run knew, as far as the entries are still the same."""
        memory = _Memory()
        with contextlib.suppress(msgspec.DecodeError):
            memory = _MEMORY.decode(written or b"{}")
        now_ms = self._time.now_ms()
        self._last_ms = {series: time_ms for series, time_ms in memory.last_ms.items() if is_placed(time_ms)}
        for level in self._each(self._levels):
            known = memory.conditions.get(level.name, level.condition)
            # How long ago is unknown where that run had no clock, or this one has none: waiting begins anew.
            if known.fires:
                level.condition = known if self._is_placed else _Condition(fires=True)
            elif self._is_placed and is_placed(known.pending_ms or 0):
                level.condition = known
        self._ended.extend(alarm for alarm in memory.ended if is_placed(alarm.onset_ms))
        self._passages_ended.extend(memory.passages)
        for alarm in memory.open:
            if not is_placed(alarm.onset_ms):
                alarm.onset_ms = alarm.raised_ms = now_ms
                alarm.until_ms = None if alarm.until_ms is None else now_ms
            elif alarm.until_ms is not None and not self._is_placed:
                alarm.until_ms = now_ms + _ASKED_MS  # how much of its time is left nobody knows
            alarm.levels = [name for name in alarm.levels if name in self._output]
            self._open[alarm.where] = alarm
            if not alarm.levels:  # its entry is gone or was changed
                self._end(alarm, now_ms)

    @staticmethod
    def _each(*kinds: dict[Series, dict[str, list[_Level]]]) -> list[_Level]:
        return [level for kind in kinds for rules in kind.values() for levels in rules.values() for level in levels]
