"""The gateway's page: what it shows and what guards do there, over HTTP.

    GET  /          the page itself (page.html, page.js; they load nothing from anywhere else)
    GET  /state     lanes, people who are stopped, other local alarms, the connection, what was decided here
    POST /sign-in   {"guard", "pin"} -> {"token"}
    POST /ask       {"token", "alarm"}: the person is measured again
    POST /measure   {"token", "alarm", "value", "method"}: typed in
    POST /decide    {"token", "alarm", "disposition", "note"}: answered when it is on the disk, on its way to the core

Nothing about a person is shown or kept but a temperature and a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from importlib import resources
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.events import Events
from gateway.export import is_newer
from gateway.listener import Listener, ListenerSettings
from gateway.local_alarms import LocalAlarms, Person
from gateway.local_page.guards import Guards, TooManyTries
from gateway.local_page.settings import LocalPageSettings
from gateway.request import Head, RequestError, Response
from gateway.settings import LocalAlarmSettings
from gateway.spool import Spool
from gateway.timekeeping import is_placed
from gateway.uplink import Uplink
from telemetry.decision import Disposition, LocalDecision, encode_decision
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.reading import Reading, encode_readings

METHODS = ("ear", "forehead", "armpit", "mouth", "other")
_DECIDED_SHOWN = 10
_BODY_MAX = 16_384  # a reason of 2,000 signs, each spelt as \uXXXX
_FACT = "local-page"
_POLICY = (
    "default-src 'none'; img-src data:; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = (("Content-Security-Policy", _POLICY), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
_FILES = {"/": ("page.html", "text/html; charset=utf-8"), "/page.js": ("page.js", "text/javascript; charset=utf-8")}

Body = TypeVar("Body")


class _SignIn(msgspec.Struct):
    guard: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    pin: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class _Ask(msgspec.Struct):
    token: str
    alarm: str


class _Measure(msgspec.Struct):
    token: str
    alarm: str
    value: Annotated[float, msgspec.Meta(ge=30, le=45)]
    method: Annotated[str, msgspec.Meta(max_length=16)]


class _Decide(msgspec.Struct):
    token: str
    alarm: str
    disposition: Disposition
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class _Decided(msgspec.Struct):
    """One decision, as the page shows it afterwards."""

    device: str
    value: float | None
    disposition: str
    guard: str
    decided_ms: int
    epoch: str
    seq: int
    is_sent: bool = False


_MEMORY = msgspec.json.Decoder(list[_Decided])


class LocalPage:
    """Serves the page. For the event loop's thread."""

    name = "local page"

    def __init__(
        self,
        settings: LocalPageSettings,
        site: str,
        entries: Sequence[LocalAlarmSettings],
        alarms: LocalAlarms,
        spool: Spool,
        uplink: Uplink,
        events: Events,
    ) -> None:
        self._settings = settings
        self._site = site
        self._alarms = alarms
        self._spool = spool
        self._uplink = uplink
        self._events = events
        self._time = spool.timekeeper
        self._limits: dict[tuple[str, str], list[float]] = {}
        for entry in entries:
            if entry.per_passage:
                self._limits.setdefault((entry.device, entry.metric), []).append(entry.limit)
        self._last: dict[tuple[str, str], Reading] = {}
        self._kept_readings = 0  # since the connection was cut
        self._guards = Guards(settings.guards, site, self._time)
        self._deciding = asyncio.Lock()
        self._decided: deque[_Decided] = deque(maxlen=_DECIDED_SHOWN)
        with contextlib.suppress(msgspec.DecodeError):  # another version's: the list begins anew
            self._decided.extend(_MEMORY.decode(spool.recalled(_FACT) or b"[]"))
        folder = resources.files("gateway.local_page")
        self._files = {
            path: Response(HTTPStatus.OK, kind, (folder / name).read_bytes(), _HEADERS)
            for path, (name, kind) in _FILES.items()
        }
        self._actions: dict[str, Callable[[bytes], Any]] = {
            "/sign-in": self._sign_in,
            "/ask": self._ask,
            "/measure": self._measure,
            "/decide": self._decide,
        }
        listening = ListenerSettings(
            driver=self.name, host=settings.host, port=settings.port, body_max_bytes=_BODY_MAX, answer_within_s=8.0
        )
        self._listener = Listener(listening, events, self._answer, self._context)

    @property
    def port(self) -> int:
        """Where it really listens, once it does."""
        return self._listener.port

    async def run(self) -> None:
        """Serve until cancelled. Raises BadConfiguration or Unavailable."""
        try:
            self._guards.names()
        except BadConfiguration as error:  # lanes and alarms are shown all the same; the file is looked for again
            self._events.unavailable("guards of the local page", str(error))
        await self._listener.run()

    def take(self, readings: Sequence[Reading]) -> None:
        """Readings that are durable now."""
        if self._uplink.cut_off_ms is None:
            self._kept_readings = 0
        else:
            self._kept_readings += len(readings)
        now_ms = self._time.now_ms()
        for reading in readings:
            series = reading.device, reading.metric
            if series in self._limits and is_newer(reading, self._last.get(series), now_ms):
                self._last[series] = reading

    def _context(self) -> ssl.SSLContext | None:
        if self._settings.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._settings.certificate)
        except (OSError, ssl.SSLError) as error:
            said = "it must be readable and PEM, with its key"
            raise BadConfiguration(f"local_page.certificate {self._settings.certificate}: {error}; {said}") from error
        return context

    async def _answer(self, head: Head, body: bytes) -> Response:
        if head.method == "GET" and head.path in self._files:
            return self._files[head.path]
        if head.method == "GET" and head.path == "/state":
            return _json(self._state())
        action = self._actions.get(head.path)
        if action is None or head.method != "POST":
            raise RequestError(HTTPStatus.NOT_FOUND, "not here: /, /state")
        # No page of anybody else can send this without asking us first, which nothing here answers.
        if head.content_type.partition(";")[0].strip().lower() != "application/json":
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        try:
            return _json(await action(body))
        except BadConfiguration as error:
            raise Unavailable(str(error)) from error

    # What is shown

    def _state(self) -> dict[str, Any]:
        now_ms, cut_off_ms = self._time.now_ms(), self._uplink.cut_off_ms
        cut_off_ms = None if cut_off_ms is None else self._placed(cut_off_ms)
        try:
            guards = self._guards.names()
        except BadConfiguration:
            guards = []
        self._see_what_was_sent()
        return {
            "site": self._site,
            "language": self._settings.language,
            "names": self._settings.lanes,
            "now_ms": now_ms,
            "is_placed": is_placed(now_ms),
            "cut_off_ms": cut_off_ms,
            "cut_off_s": None if cut_off_ms is None else (now_ms - cut_off_ms) // 1000,
            "readings_kept": 0 if cut_off_ms is None else self._kept_readings,
            "guards": guards,
            "methods": METHODS,
            "lanes": [self._lane(*series) for series in self._limits],
            "people": [_person(person, now_ms) for person in self._alarms.people()],
            "alarms": [
                {"rule": rule, "device": device, "since_s": (now_ms - onset_ms) // 1000}
                for rule, device, onset_ms in self._alarms.others()
            ],
            "decided": [
                {name: getattr(each, name) for name in ("device", "value", "disposition", "guard", "is_sent")}
                | {"ago_s": (now_ms - self._placed(each.decided_ms)) // 1000, "decided_ms": each.decided_ms}
                for each in reversed(self._decided)
            ],
        }

    def _lane(self, device: str, metric: str) -> dict[str, Any]:
        last = self._last.get((device, metric))
        return {
            "device": device,
            "limit": min(self._limits[device, metric]),
            "value": None if last is None else last.value,
            "is_good": last is not None and last.quality == 0,
            "age_s": None if last is None else max(0, (self._time.now_ms() - self._placed(last.time_ms)) // 1000),
        }

    def _placed(self, time_ms: int) -> int:
        """A time of this run that was taken down before the time was known."""
        shift_ms = self._time.placing_shift_ms
        return time_ms if is_placed(time_ms) or shift_ms is None else time_ms + shift_ms

    def _see_what_was_sent(self) -> None:
        lanes = {lane.epoch: lane.released for lane in self._spool.lanes}
        is_empty = self._spool.count == 0
        for each in self._decided:
            # A lane that was thinned goes by another name: what it held is sent when nothing waits any more.
            each.is_sent = each.is_sent or is_empty or lanes.get(each.epoch, 0) >= each.seq

    # What guards do

    async def _sign_in(self, body: bytes) -> dict[str, Any]:
        asked = _decoded(body, _SignIn)
        try:
            token = await self._guards.sign_in(asked.guard, asked.pin)
        except BadInput as error:
            raise RequestError(HTTPStatus.UNAUTHORIZED, error.detail) from error
        except TooManyTries as error:
            raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, f"wait {error.wait_s} s") from error
        return {"token": token, "guard": asked.guard}

    async def _ask(self, body: bytes) -> dict[str, Any]:
        asked = _decoded(body, _Ask)
        self._guard(asked.token)
        self._alarms.ask(self._person(asked.alarm).id)
        return {"ok": True}

    async def _measure(self, body: bytes) -> dict[str, Any]:
        asked = _decoded(body, _Measure)
        self._guard(asked.token)
        if asked.method not in METHODS:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"'method' is one of {', '.join(METHODS)}")
        self._alarms.measured(self._person(asked.alarm).id, asked.value, asked.method)
        return {"ok": True}

    async def _decide(self, body: bytes) -> dict[str, Any]:
        asked = _decoded(body, _Decide)
        guard = self._guard(asked.token)
        if not asked.note.strip():
            raise RequestError(HTTPStatus.BAD_REQUEST, "a decision has a reason")
        # Who hangs up now has decided all the same: the decision is on its way to the disk.
        return await asyncio.shield(self._kept(asked, guard))

    async def _kept(self, asked: _Decide, guard: str) -> dict[str, Any]:
        async with self._deciding:  # also while a slow disk lets nobody wait for it: the next finds it decided
            person = self._person(asked.alarm)
            decision = LocalDecision(
                id=secrets.token_hex(8),
                rule=person.rule,
                device=person.device,
                metric=person.metric,
                key=person.key,
                onset_ms=person.onset_ms,
                guard=guard,
                decided_ms=self._time.now_ms(),
                disposition=asked.disposition,
                note=asked.note.strip(),
                asked_ms=person.asked_ms,
                value=person.measured,
                method=person.method,
                measured_ms=person.measured_ms,
            )
            return await self._keep(person, decision)

    async def _keep(self, person: Person, decision: LocalDecision) -> dict[str, Any]:
        """Raises Unavailable, and the alarm stays open: the decision is not on the disk."""
        epoch, seq = await asyncio.to_thread(self._write, decision)
        self._alarms.decided(person.id)
        shown = person.device, person.value, decision.disposition, decision.guard, decision.decided_ms
        self._decided.append(_Decided(*shown, epoch, seq))
        self._uplink.wake()
        try:
            await asyncio.to_thread(self._spool.remember, _FACT, msgspec.json.encode(list(self._decided)))
        except Unavailable:
            pass  # the decision itself is kept; only the list below it will be shorter after a restart
        return {"ok": True}

    def _write(self, decision: LocalDecision) -> tuple[str, int]:
        return self._spool.append_decision(encode_readings([], (), [encode_decision(decision)]))

    def _guard(self, token: str) -> str:
        guard = self._guards.signed_in(token)
        if guard is None:
            raise RequestError(HTTPStatus.UNAUTHORIZED, "sign in again")
        return guard

    def _person(self, alarm: str) -> Person:
        for person in self._alarms.people():
            if person.id == alarm:
                return person
        raise RequestError(HTTPStatus.CONFLICT, "somebody has decided already, or it is over")


def _person(person: Person, now_ms: int) -> dict[str, Any]:
    return {
        "id": person.id,
        "device": person.device,
        "value": person.value,
        "limit": person.limit,
        "since_s": max(0, (now_ms - person.onset_ms) // 1000),
        "asked_s": None if person.asked_ms is None else (now_ms - person.asked_ms) // 1000,
        "measured": person.measured,
        "method": person.method,
        "is_lit": person.is_lit,
    }


def _decoded(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from error


def _json(body: dict[str, Any]) -> Response:
    return Response(HTTPStatus.OK, "application/json", msgspec.json.encode(body), _HEADERS)
