"""The HTTP application: routes, who may use them, and the screens."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import prometheus_client
import structlog
from fastapi import Cookie, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from alerts.masks import MAINTENANCE_MAX_MS, OUT_OF_SERVICE_MAX_MS, SHELF_MAX_MS
from alerts.outcome import Outcome
from alerts.rule import Severity
from alerts.rulebook import OUTDATED
from api import backtests, completeness, problems
from api.accounts import Accounts, Session, TooManyFailures, User
from api.alarms import Alarms, Filter, NoAnswer, Refused
from api.events import Events, TooManyClients, gateway_state
from api.masks import Masks
from api.problems import Problem
from api.rules import Rules
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayStates
from ingest.history.history import Aggregate, HistoryReader
from ingest.history.quarantine import Quarantine
from telemetry.catalogue import Catalogue, LocalText
from telemetry.clock import Clock
from telemetry.series import ONLINE

_log = structlog.get_logger("api")

SCREENS = Path(__file__).parent / "screens"
COOKIE = "gatehouse_session"
_NEWEST_WITHIN_MS = 2 * 86_400_000
_STEPS_MAX = 20_000
_BODY_MAX = 100_000

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class LogIn(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64)
    password: str = Field(max_length=200)


class Action(BaseModel):
    """What a person does to an alarm; `seq` is the step they saw."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1)
    note: str | None = Field(default=None, max_length=2000)
    disposition: Literal["admit", "refuse", "refer"] | None = None
    outcome: Outcome | None = None  # what the alarm was, when it is disposed of or closed


class Shelf(BaseModel):
    """For how long a person puts an alarm aside, and why."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1)
    until: int = Field(ge=0, lt=2**53, description="epoch ms")
    reason: str = Field(min_length=1, max_length=2000)
    one_shot: bool = False


class MaskWanted(BaseModel):
    """Nobody is called for alarms that agree with all of rule, device, metric, place and site that are given."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["maintenance", "out-of-service"]
    reason: str = Field(min_length=1, max_length=2000)
    until: int = Field(ge=0, lt=2**53, description="epoch ms")
    rule: str | None = Field(default=None, max_length=64)
    device: str | None = Field(default=None, max_length=64)
    metric: str | None = Field(default=None, max_length=64)
    place: str | None = Field(default=None, max_length=64)
    site: str | None = Field(default=None, max_length=64)


class RuleWanted(BaseModel):
    """A whole rule, the version it is based on (0 for a new one), and why."""

    model_config = ConfigDict(extra="forbid")

    rule: dict[str, Any]
    version: int = Field(ge=0)
    note: str = Field(min_length=1, max_length=2000)


def make_app(
    *,
    catalogue: Catalogue,
    rules: Rules,
    history: HistoryReader,
    quarantine: Quarantine,
    counts: Completeness,
    gateway_states: GatewayStates,
    accounts: Accounts,
    alarms: Alarms,
    masks: Masks,
    events: Events,
    clock: Clock,
    is_behind_https: bool,
    jobs: backtests.Backtests | None = None,
) -> FastAPI:
    """Put the application together."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(events.run(), name="events")
        task.add_done_callback(_must_not_end)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                await task

    app = FastAPI(
        title="Gatehouse",
        version="1",
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)

    @app.middleware("http")
    async def _guarded(request: Request, call_next: Any) -> Response:
        if "transfer-encoding" in request.headers:
            return problems.answer(411, "Length required", "say how long the body is: send Content-Length")
        if int(request.headers.get("content-length") or 0) > _BODY_MAX:
            return problems.answer(413, "Too large", f"a request's body holds at most {_BODY_MAX} bytes")
        response: Response = await call_next(request)
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def logged_in(gatehouse_session: Annotated[str | None, Cookie()] = None) -> Session:
        session = accounts.session(gatehouse_session) if gatehouse_session else None
        if session is None:
            raise Problem(401, "Not logged in", "log in with POST /api/v1/session")
        return session

    def changing(
        session: Annotated[Session, Depends(logged_in)], x_csrf_token: Annotated[str, Header()] = ""
    ) -> Session:
        if not secrets.compare_digest(session.csrf, x_csrf_token):
            raise Problem(403, "No CSRF token", "send the 'csrf' that the log-in gave as header X-CSRF-Token")
        return session

    Reading = Annotated[Session, Depends(logged_in)]  # noqa: N806
    Changing = Annotated[Session, Depends(changing)]  # noqa: N806

    # --- log-in -----------------------------------------------------------------------------------------------------

    @app.post("/api/v1/session")
    def log_in(body: LogIn, request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            made = accounts.log_in(body.name, body.password, address)
        except TooManyFailures as error:
            raise Problem(429, "Too many attempts", "wait a minute before the next attempt") from error
        if made is None:
            raise Problem(401, "Not logged in", "name or password is wrong")
        token, session = made
        response = JSONResponse(_session(session, set(rules.classes().values())))
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_behind_https, path="/")
        return response

    @app.get("/api/v1/session")
    def session_now(session: Reading) -> dict[str, Any]:
        return _session(session, set(rules.classes().values()))

    @app.delete("/api/v1/session", status_code=204)
    def log_out(session: Changing, gatehouse_session: Annotated[str, Cookie()]) -> Response:
        accounts.log_out(gatehouse_session)
        accounts.record(session.user.name, "log-out", "", "done")
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/")
        return response

    # --- the world --------------------------------------------------------------------------------------------------

    @app.get("/api/v1/sites")
    def sites(session: Reading) -> dict[str, Any]:
        newest = history.newest(clock.now_ms() - _NEWEST_WITHIN_MS)
        silent = alarms.silent_devices()
        found = []
        for site in catalogue.sites:
            if not session.user.sees(site.id):
                continue
            places = [place for place in catalogue.places if catalogue.site_of_place(place.id) == site.id]
            here = {place.id for place in places}
            found.append(
                {
                    "id": site.id,
                    "name": _text(site.name),
                    "timezone": site.timezone,
                    "places": [
                        {
                            "id": place.id,
                            "name": _text(place.name),
                            "kind": place.kind,
                            "parent": place.parent,
                            "drain": place.drain.model_dump() if place.drain else None,
                        }
                        for place in places
                    ],
                    "devices": [
                        _device(device.id, newest, silent) for device in catalogue.devices if device.place in here
                    ],
                    "gateways": [
                        gateway_state(gateway.id, events.gateways.get(gateway.id)) | {"name": _text(gateway.name)}
                        for gateway in catalogue.gateways
                        if gateway.site == site.id
                    ],
                }
            )
        return {"sites": found}

    def _device(device_id: str, newest: Any, silent: set[str]) -> dict[str, Any]:
        device = catalogue.device[device_id]
        last = {}
        for metric in catalogue.kind[device.kind].metrics:
            stored = newest.get((device_id, metric.id))
            live = events.newest.get((device_id, metric.id))
            best = max((x for x in (stored, live) if x is not None), key=lambda x: x[0], default=None)
            if best is not None:
                last[metric.id] = {"time_ms": best[0], "value": best[1], "quality": best[2]}
        return {
            "id": device.id,
            "name": _text(device.name or catalogue.place[device.place].name),
            "kind": device.kind,
            "place": device.place,
            "gateway": device.gateway,
            "state": "silent" if device.id in silent else "ok" if last else "never",
            "last": last,
        }

    @app.get("/api/v1/devices")
    def devices(session: Reading) -> dict[str, Any]:
        newest = history.newest(clock.now_ms() - _NEWEST_WITHIN_MS)
        silent = alarms.silent_devices()
        seen = [device.id for device in catalogue.devices if session.user.sees(catalogue.site_of(device.id))]
        return {"items": [_device(name, newest, silent) for name in seen], "next": None}

    @app.get("/api/v1/devices/{device}")
    def device(session: Reading, device: str) -> dict[str, Any]:
        _seen_device(session.user, device)
        newest = history.newest(clock.now_ms() - _NEWEST_WITHIN_MS)
        return _device(device, newest, alarms.silent_devices())

    @app.get("/api/v1/kinds")
    def kinds(_session: Reading) -> dict[str, Any]:
        return {
            "kinds": [
                {
                    "id": kind.id,
                    "name": _text(kind.name),
                    "metrics": [metric.model_dump(mode="json") for metric in kind.metrics],
                }
                for kind in catalogue.kinds
            ]
        }

    @app.get("/api/v1/rules")
    def all_rules(_session: Reading) -> dict[str, Any]:
        return {"items": rules.in_force(), "next": None}

    @app.get("/api/v1/rules/{rule}/versions")
    def rule_versions(_session: Reading, rule: str) -> dict[str, Any]:
        found = rules.versions(rule)
        if not found:
            raise Problem(404, "No such rule", f"there never was a rule '{rule}': GET /api/v1/rules")
        return {"items": found, "next": None}

    @app.put("/api/v1/rules/{rule}")
    def put_rule(session: Changing, rule: str, body: RuleWanted) -> dict[str, Any]:
        wanted = str(body.rule.get("class", ""))
        _may_change(session.user, "put-rule", rule, (wanted, rules.classes().get(rule, wanted)))
        _reason(body.note)
        _change(session.user, "put-rule", rule, body.version, body.note, body.rule)
        return next(each for each in rules.in_force() if each["id"] == rule)

    @app.delete("/api/v1/rules/{rule}", status_code=204)
    def retire_rule(
        session: Changing,
        rule: str,
        version: Annotated[int, Query(ge=1)],
        note: Annotated[str, Query(min_length=1, max_length=2000)],
    ) -> Response:
        classes = rules.classes()
        if rule not in classes:
            raise Problem(404, "No such rule", f"there is no rule '{rule}': GET /api/v1/rules")
        _may_change(session.user, "retire-rule", rule, (classes[rule],))
        _change(session.user, "retire-rule", rule, version, note, None)
        return Response(status_code=204)

    def _may_change(user: User, action: str, rule: str, classes: tuple[str, ...]) -> None:
        # Rules hold at all sites.
        if not user.keeps_facilities or user.sites is not None or not all(map(user.acts_on, classes)):
            accounts.record(user.name, action, rule, "refused: role")
            raise Problem(403, "Not for this user", "administrators, and engineers of all sites, change rules")

    def _change(user: User, action: str, rule: str, version: int, note: str, document: dict[str, Any] | None) -> None:
        details = {"rule_id": rule, "note": note, "document": document}
        try:
            alarms.ask(user, "change-rule", "", version, details)
        except Refused as error:
            accounts.record(user.name, action, rule, f"refused: {error}")
            if str(error).startswith(OUTDATED):
                raise Problem(409, "The rule is not as you saw it", f"{error}; look at it again") from error
            raise Problem(422, "The rule does not fit", str(error)) from error
        except NoAnswer as error:
            accounts.record(user.name, action, rule, "waiting")
            raise Problem(503, "The core does not answer", "your change is on record and follows") from error
        accounts.record(user.name, action, rule, "done")

    backtests.install(app, logged_in, changing, jobs, alarms.database, clock)

    def _seen_device(user: User, device: str) -> str:
        known = catalogue.device.get(device)
        if known is None or not user.sees(catalogue.site_of(device)):
            raise Problem(404, "No such device", f"there is no device '{device}' that you may see: GET /api/v1/devices")
        return known.kind

    @app.get("/api/v1/readings")
    def readings(
        session: Reading,
        device: str,
        metric: str,
        start: Annotated[int, Query(ge=0, lt=2**53, description="epoch ms, included")],
        end: Annotated[int, Query(ge=0, lt=2**53, description="epoch ms, not included")],
        every: Annotated[int | None, Query(ge=1000, description="one value each so many ms")] = None,
        aggregate: Aggregate = Aggregate.MEAN,
    ) -> dict[str, Any]:
        kind = _seen_device(session.user, device)
        known = catalogue.metric.get((device, metric))
        if known is None:
            raise Problem(404, "No such metric", f"kind '{kind}' has no metric '{metric}': GET /api/v1/kinds")
        if end <= start:
            raise Problem(422, "The request does not fit", "'end' must lie after 'start'")
        if every is not None and (end - start) // every > _STEPS_MAX:
            raise Problem(422, "The request does not fit", f"more than {_STEPS_MAX} steps: take a larger 'every'")
        curve = history.read(kind, device, metric, start, end, every, aggregate)
        return {
            "device": device,
            "metric": metric,
            "unit": known.unit,
            "time_ms": curve.time_ms.tolist(),
            "value": curve.value.tolist(),
            "quality": curve.quality.tolist(),
        }

    @app.get("/api/v1/quarantine")
    def refused(session: Reading, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        if session.user.sites is not None:
            raise Problem(403, "Not for this user", "refused input is shown to users of all sites only")
        items = [{name: getattr(entry, name) for name in type(entry).__slots__} for entry in quarantine.newest(limit)]
        return {"counts": quarantine.counts(), "items": items}

    @app.get("/api/v1/completeness")
    def complete(
        session: Reading,
        site: str | None = None,
        day: Annotated[date | None, Query(description="a day of the site, today when not given")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 200,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        wanted = [each.id for each in catalogue.sites if session.user.sees(each.id) and site in (None, each.id)]
        if site is not None and not wanted:
            raise Problem(404, "No such site", f"there is no site '{site}' that you may see: GET /api/v1/sites")
        after = None
        if cursor is not None:
            device, slash, metric = cursor.partition("/")
            if not slash:
                raise Problem(422, "The request does not fit", "'cursor' is the 'next' of the page before")
            after = (device, metric)
        now_ms = clock.now_ms()
        day = day or completeness.today(catalogue, wanted, now_ms)
        if not 1970 < day.year < 9999:
            raise Problem(422, "The request does not fit", "'day' is a day of these years, like 2026-11-23")
        return completeness.page(catalogue, counts, wanted, day, now_ms, limit, after)

    @app.get("/api/v1/gateways")
    def gateways(session: Reading) -> dict[str, Any]:
        return {"items": completeness.gateways(catalogue, session.user, gateway_states.all()), "next": None}

    # --- alarms -----------------------------------------------------------------------------------------------------

    @app.get("/api/v1/alarms")
    def alarm_page(
        session: Reading,
        state: Literal["open", "closed", "all"] = "all",
        alarm_class: Annotated[str | None, Query(alias="class")] = None,
        site: str | None = None,
        severity: Literal["low", "medium", "high", "critical"] | None = None,
        start: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
        end: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        after = None if cursor is None else _cursor(cursor)
        wanted = Filter(state, site, alarm_class, Severity[severity.upper()] if severity else None, start, end)
        items, following = alarms.page(session.user, wanted, limit, after)
        return {"items": items, "next": None if following is None else f"{following[0]}.{following[1]}"}

    def _alarm(user: User, alarm: str) -> dict[str, Any]:
        found = alarms.one(user, alarm)
        if found is None:
            raise Problem(404, "No such alarm", f"there is no alarm '{alarm}' that you may see: GET /api/v1/alarms")
        return found

    @app.get("/api/v1/alarms/{alarm}")
    def one_alarm(session: Reading, alarm: str) -> dict[str, Any]:
        return _alarm(session.user, alarm)

    def _ask(
        user: User,
        action: str,
        alarm: str,
        seq: int,
        details: dict[str, Any],
        subject: str = "",
        title: str = "The alarm is not as you saw it",
    ) -> str:
        """Let the core do it, and put on record what came of it."""
        subject = subject or alarm
        try:
            made = alarms.ask(user, action, alarm, seq, details)
        except Refused as error:
            accounts.record(user.name, action, subject, f"refused: {error}")
            raise Problem(409, title, f"{error}; look at it again") from error
        except NoAnswer as error:
            accounts.record(user.name, action, subject, "waiting")
            raise Problem(
                503, "The core does not answer", "your decision is on record and follows when it is back"
            ) from error
        accounts.record(user.name, action, subject, "done")
        return made

    def _decides(user: User, action: str, alarm: str) -> dict[str, Any]:
        found = _alarm(user, alarm)
        if not user.acts_on(found["class"]):
            accounts.record(user.name, action, alarm, "refused: role")
            raise Problem(403, "Not for this role", f"your role does not decide on alarms of class '{found['class']}'")
        return found

    @app.post("/api/v1/alarms/{alarm}/shelve")
    def shelve(session: Changing, alarm: str, body: Shelf) -> dict[str, Any]:
        found = _decides(session.user, "shelve", alarm)
        _reason(body.reason)
        _until(body.until, SHELF_MAX_MS[Severity[found["severity"].upper()]])
        details = {"note": body.reason, "until_ms": body.until, "one_shot": body.one_shot}
        _ask(session.user, "shelve", alarm, body.seq, details)
        return _alarm(session.user, alarm)

    @app.post("/api/v1/alarms/{alarm}/unshelve")
    def unshelve(session: Changing, alarm: str, body: Action) -> dict[str, Any]:
        _decides(session.user, "unshelve", alarm)
        _ask(session.user, "unshelve", alarm, body.seq, {"note": body.note})
        return _alarm(session.user, alarm)

    @app.post("/api/v1/alarms/{alarm}/{action}")
    def act(
        session: Changing, alarm: str, action: Literal["acknowledge", "comment", "dispose", "close"], body: Action
    ) -> dict[str, Any]:
        user = session.user
        _decides(user, action, alarm)
        if action == "dispose" and body.disposition is None and body.outcome is None:
            detail = f"'disposition' is one of admit, refuse, refer; or 'outcome' one of {', '.join(Outcome)}"
            raise Problem(422, "The request does not fit", detail)
        if (action in ("comment", "close") or body.disposition == "refuse") and not (body.note or "").strip():
            raise Problem(422, "The request does not fit", "'note' must say why")
        decided = body.disposition or body.outcome
        _ask(user, action, alarm, body.seq, {"note": body.note, "disposition": decided})
        return _alarm(user, alarm)

    # --- masks ------------------------------------------------------------------------------------------------------

    @app.get("/api/v1/masks")
    def mask_page(
        session: Reading,
        state: Literal["in-force", "ended", "all"] = "in-force",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        items, following = masks.page(session.user, state, limit, None if cursor is None else _cursor(cursor))
        return {"items": items, "next": None if following is None else f"{following[0]}.{following[1]}"}

    @app.post("/api/v1/masks", status_code=201)
    def mask(session: Changing, body: MaskWanted) -> dict[str, Any]:
        user = session.user
        covers = body.model_dump(exclude_none=True, include={"rule", "device", "metric", "place", "site"})
        subject = ", ".join(f"{part} {name}" for part, name in covers.items())
        _may_mask(user, "mask", subject, body.rule)
        if not covers:
            raise Problem(422, "The request does not fit", "say what it covers: rule, device, metric, place or site")
        known: dict[str, Any] = {
            "rule": rules.classes(),
            "device": {*catalogue.device, *catalogue.gateway},
            "metric": {metric.id for metric in catalogue.metric.values()} | {ONLINE},
            "place": catalogue.place,
            "site": catalogue.site,
        }
        site = masks.site_of(body.device, body.place, body.site)
        for part, name in covers.items():
            if name not in known[part] or (site is not None and not user.sees(site)):
                raise Problem(422, "The request does not fit", f"{part}: there is no {part} '{name}' that you may see")
        if site is None and user.sites is not None:
            accounts.record(user.name, "mask", subject, "refused: site")
            raise Problem(403, "Not for this user", "name a device, place or site of yours: it would cover all sites")
        _reason(body.reason)
        longest_ms = MAINTENANCE_MAX_MS if body.kind == "maintenance" else OUT_OF_SERVICE_MAX_MS
        _until(body.until, longest_ms)
        details = {"note": body.reason, "until_ms": body.until, "mask": {"kind": body.kind, **covers}}
        made = masks.one(user, _ask(user, "mask", "", 0, details, subject))
        assert made is not None
        return made

    @app.delete("/api/v1/masks/{mask_id}", status_code=204)
    def unmask(session: Changing, mask_id: str) -> Response:
        user = session.user
        found = masks.one(user, mask_id)
        if found is None:
            raise Problem(404, "No such mask", f"there is no mask '{mask_id}' that you may see: GET /api/v1/masks")
        if found["kind"] == "shelved":
            if not user.acts_on(rules.classes().get(found["rule"], "")):
                accounts.record(user.name, "unmask", mask_id, "refused: role")
                raise Problem(403, "Not for this role", "who may acknowledge the alarm may unshelve it")
        else:
            _may_mask(user, "unmask", mask_id, found["rule"])
            if found["site"] is None and user.sites is not None:
                accounts.record(user.name, "unmask", mask_id, "refused: site")
                raise Problem(403, "Not for this user", "this mask covers all sites")
        _ask(user, "unmask", "", 0, {"mask": {"id": mask_id}}, mask_id, title="The mask is not in force")
        return Response(status_code=204)

    def _may_mask(user: User, action: str, subject: str, rule: str | None) -> None:
        if not user.keeps_facilities or (rule is not None and not user.acts_on(rules.classes().get(rule, ""))):
            accounts.record(user.name, action, subject, "refused: role")
            raise Problem(403, "Not for this role", "engineers and administrators say what is in maintenance")

    def _reason(reason: str) -> None:
        if not reason.strip():
            raise Problem(422, "The request does not fit", "'reason' must say why")

    def _until(until_ms: int, longest_ms: int) -> None:
        left_ms = until_ms - clock.now_ms()
        if not 0 < left_ms <= longest_ms:
            told = f"'until' lies in the future, by {longest_ms // 3_600_000} h at most"
            raise Problem(422, "The request does not fit", told)

    # --- live and health --------------------------------------------------------------------------------------------

    @app.get("/api/v1/events")
    async def live_events(session: Reading, last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        last_seen = (
            int(last_event_id) if last_event_id and last_event_id.isdigit() and len(last_event_id) < 16 else None
        )
        stream = events.stream(session.user, last_seen)
        try:
            first = await anext(stream)
        except TooManyClients as error:
            raise Problem(503, "Too many screens", "close some and try again") from error

        async def whole() -> AsyncIterator[str]:
            yield first
            async for event in stream:
                yield event

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(whole(), media_type="text/event-stream", headers=headers)

    @app.get("/health/live")
    def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health/ready")
    def ready() -> JSONResponse:
        health = events.health()
        return JSONResponse(health, 200 if health["ready"] else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    if SCREENS.is_dir():
        app.mount("/", StaticFiles(directory=SCREENS, html=True), name="screens")
    return app


def _cursor(cursor: str) -> tuple[int, str]:
    time_ms, _, name = cursor.partition(".")
    if not time_ms.isdigit() or len(time_ms) > 16:
        raise Problem(422, "The request does not fit", "'cursor' is the 'next' of the page before")
    return int(time_ms), name


def _must_not_end(task: asyncio.Task[None]) -> None:
    """Screens that hear nothing are worse than none: when live events fail, the process ends and is started again."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("live events failed; stopping", error=repr(task.exception()))
        os.kill(os.getpid(), signal.SIGTERM)


def _session(session: Session, classes: set[str]) -> dict[str, Any]:
    user = session.user
    return {
        "user": {
            "name": user.name,
            "roles": sorted(role.value for role in user.roles),
            "sites": None if user.sites is None else sorted(user.sites),
            "acts_on": sorted(alarm_class for alarm_class in classes if user.acts_on(alarm_class)),
        },
        "csrf": session.csrf,
    }


def _text(text: LocalText) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}
