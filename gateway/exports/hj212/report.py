"""What an authority is told, without I/O: readings in; reports of now, of minutes and of hours out; requests answered.

A report of a span is made once, when the span and `_GRACE_MS` are over: least, mean and greatest of the good readings, whose
own time decides. A factor without a good reading in the span is told by its flag alone: D when its device gave values that
cannot be trusted, B when it was silent.

Source: HJ 212-2017, §6.6 and tables of §6.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.export import AHEAD_MAX_MS, is_newer
from gateway.exports.hj212.settings import Hj212ExportSettings, Hj212Series
from gateway.hj212.codec import SEGMENT_MAX_BYTES, Command, Flag, Packet
from gateway.timekeeping import is_placed
from telemetry.quality import Quality
from telemetry.reading import Reading

HEARTBEAT = "9015"
_GRACE_MS = 20_000  # readings of a span that are still on their way
_HOUR_MS = 3_600_000
_ASKED_AGAIN_MAX = 500  # packets of one answer
_HEAD_MAX_BYTES = 140  # QN, ST, CN, PW, MN, Flag, PNUM, PNO at their longest
_READY, _REFUSED, _WRONG_PASSWORD, _WRONG_STATION, _WRONG_COMMAND = "1", "2", "3", "4", "8"
_DONE, _NO_DATA = "1", "100"
_OF_NOW = "Rtd"
_VALUE_MAX = 1e12  # either side of 0; beyond it is no measurement, and too long for a packet
_ANSWERED = Flag.VERSION_2017 | Flag.WANTS_ANSWER


@dataclass(slots=True)
class _Sum:
    """Of one factor in one span."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    doubted: int = 0

    def add(self, reading: Reading) -> None:
        if reading.quality is not Quality.GOOD:
            self.doubted += 1
            return
        self.least = min(self.least, reading.value) if self.count else reading.value
        self.greatest = max(self.greatest, reading.value) if self.count else reading.value
        self.count += 1
        self.total += reading.value


@dataclass(frozen=True, slots=True)
class Report:
    """A report of a span, as often as it must be sent."""

    command: Command
    begin_ms: int
    packets: tuple[Packet, ...]


class Reporter:
    """All that is known of one station. Times are those of the readings; `now_ms` comes from outside."""

    def __init__(self, settings: Hj212ExportSettings, now_ms: int) -> None:
        self._settings = settings
        self._zone = ZoneInfo(settings.zone)
        self._series = {(series.device, series.metric): series for series in settings.series}
        self._newest: dict[str, Reading] = {}
        self._spans: dict[tuple[Command, int], dict[str, _Sum]] = {}
        self._made: deque[Report] = deque(maxlen=settings.kept_max)
        self._last_number_ms = 0
        self._minutes = settings.minutes
        self._real_time_every_ms = settings.real_time_every_s * 1000
        self._is_real_time_on = True
        self._real_time_ms = now_ms
        self._closed_ms = {
            Command.MINUTES: now_ms,
            Command.HOUR: now_ms,
        }  # spans that began before were told, or are not ours

    def take(self, reading: Reading, now_ms: int) -> None:
        """Count a reading in. One of a span that was told already, from the future or of no known time changes nothing."""
        series = self._series.get((reading.device, reading.metric))
        if series is None or reading.time_ms > now_ms + AHEAD_MAX_MS or not is_placed(reading.time_ms):
            return
        if abs(reading.value) > _VALUE_MAX:
            reading = replace(reading, value=0.0, quality=Quality.BAD)
        if is_newer(reading, self._newest.get(series.factor), now_ms):
            self._newest[series.factor] = reading
        for command in (Command.MINUTES, Command.HOUR):
            begin_ms = reading.time_ms - reading.time_ms % self._length_ms(command)
            if begin_ms + self._length_ms(command) > self._closed_ms[command]:
                self._spans.setdefault((command, begin_ms), {}).setdefault(series.factor, _Sum()).add(reading)

    def of_now(self, now_ms: int) -> Report | None:
        """The report of the newest values, when it is due."""
        if now_ms < self._real_time_ms:
            self._real_time_ms = now_ms  # the clock was set back
        is_due = now_ms - self._real_time_ms >= self._real_time_every_ms and is_placed(now_ms)
        if not self._is_real_time_on or not is_due:
            return None
        self._real_time_ms = now_ms - (now_ms - self._real_time_ms) % self._real_time_every_ms
        return self._of_now(now_ms)

    def of_spans(self, now_ms: int) -> Sequence[Report]:
        """The reports of the spans that are over."""
        reports: list[Report] = []
        if not is_placed(now_ms):
            return reports
        for command in (Command.MINUTES, Command.HOUR):
            length_ms = self._length_ms(command)
            end_ms = (now_ms - _GRACE_MS) // length_ms * length_ms
            if end_ms > self._closed_ms[command]:
                begins = sorted(begin for of, begin in self._spans if of is command and begin + length_ms <= end_ms)
                for begin_ms in begins or [end_ms - length_ms]:
                    report = self._of_span(command, begin_ms, now_ms, self._spans.pop((command, begin_ms), {}))
                    self._made.append(report)
                    reports.append(report)
                self._closed_ms[command] = end_ms
        return reports

    def heartbeat(self, now_ms: int) -> Packet:
        """A sign of life."""
        return self._packet(HEARTBEAT, now_ms, (), Flag.VERSION_2017)

    def answer(self, request: Packet, now_ms: int) -> list[Packet]:
        """What a request of the centre is answered with, in order; what it asks for is done."""
        answer: list[Packet] = []
        is_known = request.command in _REQUESTS
        code = _READY
        if request.station != self._settings.station:
            code = _WRONG_STATION
        elif request.password != self._settings.password:
            code = _WRONG_PASSWORD
        elif not is_known:
            code = _WRONG_COMMAND
        elif request.command == str(int(Command.SET_TIME)):
            code = _REFUSED  # our clock is set by time servers
        if request.wants_answer:
            answer.append(self._reply(request, Command.REQUEST_ANSWER, {"QnRtn": code}))
        if code == _READY:
            result = self._execute(request, now_ms, answer)
            answer.append(self._reply(request, Command.RESULT, {"ExeRtn": result}))
        return answer

    def _execute(self, request: Packet, now_ms: int, answer: list[Packet]) -> str:
        """Do what is asked; the code of the result."""
        match Command(int(request.command)):
            case Command.GET_TIME:
                answer.append(self._reply(request, Command.GET_TIME, {"SystemTime": self._written(now_ms)}))
            case Command.GET_RTD_INTERVAL:
                told = {"RtdInterval": str(self._real_time_every_ms // 1000)}
                answer.append(self._reply(request, Command.GET_RTD_INTERVAL, told))
            case Command.SET_RTD_INTERVAL:
                seconds = _whole(request.item("RtdInterval"), 30, 3600)
                if seconds is None:
                    return "2"
                self._real_time_every_ms = seconds * 1000
            case Command.GET_MIN_INTERVAL:
                answer.append(self._reply(request, Command.GET_MIN_INTERVAL, {"MinInterval": str(self._minutes)}))
            case Command.SET_MIN_INTERVAL:
                minutes = _whole(request.item("MinInterval"), 1, 60)
                if minutes is None or 60 % minutes:
                    return "2"
                self._minutes = minutes
                self._spans = {key: span for key, span in self._spans.items() if key[0] is not Command.MINUTES}
            case Command.REAL_TIME:
                self._is_real_time_on = True
                self._real_time_ms = now_ms
                answer += self._of_now(now_ms).packets
            case Command.STOP_REAL_TIME:
                self._is_real_time_on = False
            case (Command.MINUTES | Command.HOUR) as command:
                found = [packet for report in self._made_between(command, request) for packet in report.packets]
                answer += found[:_ASKED_AGAIN_MAX]
                if not found:
                    return _NO_DATA
            case _:
                return "2"
        return _DONE

    def _made_between(self, command: Command, request: Packet) -> Iterator[Report]:
        begin_ms, end_ms = (self._time_ms(request.item(name)) for name in ("BeginTime", "EndTime"))
        for report in self._made:
            if report.command is command and begin_ms <= report.begin_ms <= end_ms:
                yield report

    def _of_now(self, now_ms: int) -> Report:
        factors = []
        for series in self._settings.series:
            newest = self._newest.get(series.factor)
            if newest is None or now_ms - newest.time_ms > 2 * self._real_time_every_ms + _GRACE_MS:
                factors.append({f"{series.factor}-Flag": "B"})
            else:
                flag = "N" if newest.quality is Quality.GOOD else "D"
                value = f"{newest.value:.{series.decimals}f}"
                factors.append({f"{series.factor}-{_OF_NOW}": value, f"{series.factor}-Flag": flag})
        # Sent once: no answer is waited for.
        return Report(
            Command.REAL_TIME,
            now_ms,
            self._packets(Command.REAL_TIME, now_ms, now_ms, factors, Flag.VERSION_2017),
        )

    def _of_span(self, command: Command, begin_ms: int, now_ms: int, sums: Mapping[str, _Sum]) -> Report:
        factors = [self._summed(series, sums.get(series.factor)) for series in self._settings.series]
        return Report(command, begin_ms, self._packets(command, begin_ms, now_ms, factors, _ANSWERED))

    def _summed(self, series: Hj212Series, found: _Sum | None) -> Mapping[str, str]:
        if found is None or not found.count:
            return {f"{series.factor}-Flag": "D" if found is not None and found.doubted else "B"}
        values = {"Min": found.least, "Avg": found.total / found.count, "Max": found.greatest}
        return {
            **{f"{series.factor}-{aspect}": f"{value:.{series.decimals}f}" for aspect, value in values.items()},
            f"{series.factor}-Flag": "N",
        }

    def _packets(
        self, command: Command, data_ms: int, now_ms: int, factors: Sequence[Mapping[str, str]], flag: int
    ) -> tuple[Packet, ...]:
        """As few packets as the length of a segment allows, each with the time of the data."""
        time = {"DataTime": self._written(data_ms)}
        number = str(int(command))
        parts: list[list[Mapping[str, str]]] = [[]]
        for factor in factors:
            if parts[-1] and _HEAD_MAX_BYTES + _data_bytes((time, *parts[-1], factor)) > SEGMENT_MAX_BYTES:
                parts.append([])
            parts[-1].append(factor)
        if len(parts) == 1:
            return (self._packet(number, now_ms, (time, *parts[0]), flag),)
        count = len(parts)
        return tuple(
            self._packet(number, now_ms, (time, *part), flag, packets=(count, at)) for at, part in enumerate(parts, 1)
        )

    def _packet(
        self,
        command: str,
        now_ms: int,
        data: tuple[Mapping[str, str], ...],
        flag: int,
        packets: tuple[int, int] | None = None,
    ) -> Packet:
        if packets is not None:
            flag |= Flag.HAS_PACKETS
        number_ms = self._last_number_ms = max(now_ms, self._last_number_ms + 1)  # no two packets have one number
        settings = self._settings
        number = self._written(number_ms) + f"{number_ms % 1000:03}"
        return Packet(number, settings.system, command, settings.password, settings.station, flag, data, packets)

    def _reply(self, request: Packet, command: Command, items: Mapping[str, str]) -> Packet:
        """Under the request's number; answers are system 91, data our own."""
        is_answer = command in (Command.REQUEST_ANSWER, Command.RESULT)
        system = "91" if is_answer else self._settings.system
        return Packet(
            request.number,
            system,
            str(int(command)),
            self._settings.password,
            self._settings.station,
            Flag.VERSION_2017,
            (items,),
        )

    def _length_ms(self, command: Command) -> int:
        return _HOUR_MS if command is Command.HOUR else self._minutes * 60_000

    def _written(self, time_ms: int) -> str:
        return datetime.fromtimestamp(time_ms // 1000, self._zone).strftime("%Y%m%d%H%M%S")

    def _time_ms(self, text: str | None) -> int:
        try:
            time = datetime.strptime(text or "", "%Y%m%d%H%M%S").replace(tzinfo=self._zone)
            return round(time.timestamp() * 1000)
        except (ValueError, OverflowError):
            return 0


_REQUESTS = frozenset(
    str(int(command)) for command in Command if command < Command.REQUEST_ANSWER and command is not Command.DAY
)


def _data_bytes(factors: Sequence[Mapping[str, str]]) -> int:
    return sum(len(name) + len(value) + 2 for items in factors for name, value in items.items())


def _whole(text: str | None, lowest: int, highest: int) -> int | None:
    if text is None or not re.fullmatch(r"[0-9]{1,6}", text):
        return None
    return int(text) if lowest <= int(text) <= highest else None
