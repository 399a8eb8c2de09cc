"""The shapes of answers of `/api/v1`, where a route has none beside it: what OpenAPI and the screens' types come from.

They describe; nothing passes through them when a request is answered (`api/answers.py` says why). That answers are of these
shapes is what `tests/api/described.py` holds every answer of every test against.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from alerts.outcome import Outcome
from api.access import Permission, Role
from telemetry.catalogue import Text

TimeMs = Annotated[int, Field(description="epoch milliseconds, UTC", examples=[1_795_000_000_000])]
SiteName = Annotated[str, Field(description="a site's id", examples=["compound-1"])]
PlaceName = Annotated[str, Field(description="a place's id", examples=["mh-1"])]
DeviceName = Annotated[str, Field(description="a device's id", examples=["gate-1-lane-1-scanner"])]
MetricName = Annotated[str, Field(description="a metric's id", examples=["skin_temperature"])]
Unit = Annotated[str, Field(description="as in UCUM where it has a sign", examples=["degC"])]
Following = Annotated[str | None, Field(description="the 'cursor' of the next page; null on the last one")]
Severity = Literal["low", "medium", "high", "critical"]
Disposition = Literal["admit", "refuse", "refer"]
DeviceState = Literal["ok", "silent", "never"]
Quality = Annotated[int, Field(ge=0, le=2, description="0 good, 1 suspect, 2 bad")]


class Named(TypedDict):
    """A name, or a sentence, in both languages."""

    en: Annotated[str, Field(examples=["Gate 1"])]
    zh: Annotated[str, Field(examples=["1号门"])]


def named(text: Text) -> Named:
    """A name of the catalogue, as answers have it."""
    return {"en": text.en, "zh": text.zh}


class FieldError(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str
    code: str | None = None
    given: dict[str, Any] | None = Field(default=None, description="what fills in the words of the `code`")


class ProblemDetails(BaseModel):
    """Why a request was not answered, and what to do (RFC 9457); docs/api/errors.md lists them."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "No such device",
                    "status": 404,
                    "detail": "there is no device 'x' that you may see: GET /api/v1/devices",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    code: str | None = Field(default=None, description="of some: the cause, for programs")
    given: dict[str, Any] | None = Field(default=None, description="what fills in the words of the `code`")
    since: list[MissedStep] | None = Field(
        default=None, description="of a 409 about an alarm: the steps that were not seen"
    )
    code_needed: bool | None = Field(default=None, description="of a 401: a code of the second factor is needed too")


class MayAt(BaseModel):
    """What somebody may do at one site."""

    site: str | None = Field(description="null: at every site that has no line, and with what belongs to no site")
    permissions: list[Permission]
    acts_on: list[str] = Field(description="classes of alarms that they decide there", examples=[["fever"]])


class UserShown(BaseModel):
    """Somebody who is logged in."""

    name: str = Field(examples=["li"])
    roles: list[Role]
    sites: list[str] | None = Field(description="null: all sites")
    acts_on: list[str] = Field(
        description="classes of alarms that they decide, at one site at least", examples=[["fever"]]
    )
    permissions: list[Permission] = Field(description="at one site at least; what concerns all sites: at all of them")
    may: list[MayAt] = Field(description="the same, site by site")


class SecondFactorState(BaseModel):
    """How a person's second factor stands."""

    is_on: bool
    must_enrol: bool
    codes_left: int


class SessionShown(BaseModel):
    """A log-in."""

    user: UserShown
    csrf: str = Field(description="sent as X-CSRF-Token with whatever changes something")
    is_wall: bool = Field(description="a wall screen: it looks, and does nothing else")
    second_factor: SecondFactorState
    insecure: bool = Field(description="set up without encryption, for trying out; every screen says so")


class SessionWithCodes(SessionShown):
    """A log-in after the second factor was confirmed, with recovery codes that are shown once."""

    recovery_codes: list[str]


class Ways(BaseModel):
    """How one may log in beside by name and password."""

    openid: str | None = Field(description="what the button of the provider says; null: by nothing else")


class GuardName(BaseModel):
    """A guard who can take over."""

    name: str


class Guards(BaseModel):
    """Who may take over on a tablet."""

    sites: list[str] | None
    items: list[GuardName]


class SecretShown(BaseModel):
    """A second factor that waits for its first code."""

    secret: str
    uri: str
    qr: str = Field(description="a picture (SVG), as an address")


class SessionEntry(BaseModel):
    """A log-in somewhere, a kept tablet or a wall screen."""

    id: str
    kind: Literal["password", "pin", "tablet", "wall"]
    made_ms: TimeMs
    seen_ms: TimeMs
    expires_ms: TimeMs
    sites: list[str] | None = Field(description="null: all of theirs")
    address: str


class SessionEntries(BaseModel):
    """Newest first, at most 500."""

    items: list[SessionEntry]


class DrainShape(BaseModel):
    """Geometry of a manhole or outfall."""

    depth_m: float
    crown_m: float
    invert_m: float
    downstream: str | None


class PlaceShown(BaseModel):
    """A gate, manhole, building, floor, room …"""

    id: PlaceName
    name: Named
    kind: str = Field(examples=["manhole"])
    parent: str | None
    drain: DrainShape | None


class LastReading(BaseModel):
    """The newest reading of a series."""

    time_ms: TimeMs
    value: float | None = Field(examples=[36.6])
    quality: Quality


class DeviceShown(BaseModel):
    """A device with its newest readings by metric."""

    id: DeviceName
    name: Named
    kind: str
    place: PlaceName
    gateway: str | None
    state: DeviceState
    last: dict[str, LastReading]


class DevicePage(BaseModel):
    """Devices that one may see, by id."""

    items: list[DeviceShown]
    next: Following


class GatewayHealth(BaseModel):
    """A gateway as it last spoke of itself."""

    id: str
    online: bool | None
    spooled: int | None = Field(description="readings on its disk that the core has not got")
    oldest_ms: int | None
    last_ms: int | None


class GatewayOfSite(GatewayHealth):
    """A gateway of a site."""

    name: Named
    local_page: str | None = Field(
        description="where it serves a page of its own, for when we are away", examples=["https://192.168.10.5:8443/"]
    )


class SiteShown(BaseModel):
    """A compound with all that is in it."""

    id: SiteName
    name: Named
    timezone: str = Field(examples=["Asia/Shanghai"])
    places: list[PlaceShown]
    devices: list[DeviceShown]
    gateways: list[GatewayOfSite]


class Sites(BaseModel):
    """The sites that one may see."""

    sites: list[SiteShown]


class MetricShown(BaseModel):
    """One measured quantity of a kind."""

    id: MetricName
    name: Named
    unit: Unit
    plausible: tuple[float, float] | None
    decimals: int
    counter: bool = Field(description="a register that only grows")
    interval_s: float | None
    recheck: bool = Field(description="the second measurement of a person at a gate")


class KindShown(BaseModel):
    """What one sort of device measures."""

    id: str = Field(examples=["temperature-scanner"])
    name: Named
    metrics: list[MetricShown]


class Kinds(BaseModel):
    """All kinds."""

    kinds: list[KindShown]


class ReadingColumns(BaseModel):
    """Readings of one series as columns, ascending in time."""

    device: DeviceName
    metric: MetricName
    unit: Unit
    time_ms: list[TimeMs]
    value: list[float | None]
    quality: list[Quality]


class RefusedInput(BaseModel):
    """Input that could not be a reading."""

    time_ms: TimeMs
    reason: str = Field(examples=["unknown-device"])
    detail: str
    topic: str
    excerpt: str
    count: int


class QuarantineShown(BaseModel):
    """How much was refused for what reason, and the newest of it."""

    counts: dict[str, int]
    items: list[RefusedInput]


class _Counts(BaseModel):
    expected: int | None = Field(description="null: nobody knows how many were due")
    received: int
    late: int
    missing: int | None
    known_lost: int


class SeriesDayShown(_Counts):
    """What came of one series on a day."""

    device: DeviceName
    metric: MetricName
    place: PlaceName
    site: SiteName
    gateway: str
    interval_ms: int | None
    learned: bool = Field(description="the interval is from the readings, not from the catalogue")
    since_ms: TimeMs
    suspect: int
    bad: int
    gaps: list[tuple[int, int, str]] = Field(description="(start_ms, end_ms, reason): silent, thinned, refused")
    gaps_more: int


class SiteDay(_Counts):
    """What came of a site on a day."""

    site: SiteName
    start_ms: TimeMs
    end_ms: TimeMs
    ratio: float | None


class GatewayDay(_Counts):
    """What came through a gateway on a day."""

    gateway: str
    site: SiteName
    frames_lost: int
    ratio: float | None


class CompletenessPage(BaseModel):
    """Series by device and metric; the totals are of all pages."""

    day: str = Field(examples=["2026-11-23"])
    sites: list[SiteDay]
    gateways: list[GatewayDay]
    items: list[SeriesDayShown]
    next: Following


class GatewayStateShown(BaseModel):
    """What a gateway last said, on record."""

    id: str
    name: Named
    site: SiteName
    online: bool | None
    spooled: int | None
    oldest_ms: int | None
    behind: int | None
    full: bool | None
    damaged_lanes: int | None
    heard_ms: int | None


class GatewayPage(BaseModel):
    """Gateways that one may see."""

    items: list[GatewayStateShown]
    next: Following


class Forecast(BaseModel):
    """When a limit will be reached, by the trend."""

    minutes: float = Field(description="from `at_ms`, not from now")
    low: float | None
    high: float | None
    at_ms: TimeMs


class RecheckShown(BaseModel):
    """A person at a gate is measured again."""

    asked_ms: TimeMs
    asked_by: str
    due_ms: int = Field(description="of the second measurement; when there is one, of the decision")
    value: float | None
    method: str | None = Field(description="how, or by which device")
    measured_ms: int | None
    measured_by: str | None = Field(description="who typed it in; null: it came by itself")
    is_overdue: bool


class AlarmMask(BaseModel):
    """Why nobody is called for an alarm now."""

    id: str = Field(description="of a `cause` the alarm that explains this one; else of the mask")
    kind: str
    owner: str | None
    reason: str
    until_ms: int | None


class LimitOfLevel(BaseModel):
    """A limit; `severity` by number, 1 low to 4 critical."""

    severity: int
    value: float


class AlarmShown(BaseModel):
    """An alarm, from raise to close; the same in answers, in live events, at the broker and in webhooks."""

    id: str = Field(examples=["3f2b8f0c6f1d4a6e"])
    rule: str = Field(examples=["drain-level"])
    rule_name: Named
    alarm_class: str = Field(alias="class", examples=["drain"])
    site: SiteName
    timezone: str = Field(examples=["Asia/Shanghai"])
    place: str | None
    place_name: Named
    device: str | None
    metric: str | None
    unit: str | None
    key: str | None = Field(description="of one passage of one person")
    severity: Severity
    severity_max: Severity
    state: Literal["open", "closed"]
    acknowledged: bool
    acknowledged_by: str | None
    assigned_to: str | None
    seq: int = Field(description="the step it is at; a change names the one that was seen")
    onset_ms: TimeMs
    raised_ms: TimeMs
    closed_ms: int | None
    closed_reason: str | None
    disposition: str | None
    value: float | None = Field(description="of the metric, per minute, or minutes, as `rule_type` says")
    limit: float | None
    rule_type: str | None = Field(examples=["level"])
    recheck: RecheckShown | None
    masks: list[AlarmMask]
    latched: bool
    flapping: bool
    limits: list[LimitOfLevel]
    forecast: Forecast | None
    why: Named
    advice: Named
    runbook: str | None = Field(description="of an alarm about ourselves: where the steps are, as text")


class TransitionShown(BaseModel):
    """One step of an alarm."""

    seq: int
    what: str = Field(examples=["raised"])
    severity: Severity
    event_ms: TimeMs
    known_ms: TimeMs
    reason: str | None
    actor: str | None
    note: str | None
    value: float | None


class MissedStep(TransitionShown):
    """A step that the person had not seen."""

    disposition: str | None


class NoticeShown(BaseModel):
    """One message about an alarm."""

    channel: str
    recipient: str
    seq: int
    state: str = Field(examples=["delivered"])
    attempts: int
    event_ms: int | None
    delivered_ms: int | None
    error: str | None


class EvidenceLimit(BaseModel):
    """A limit in the curve."""

    severity: Severity
    value: float


class Evidence(BaseModel):
    """The stretch of readings to look at."""

    device: DeviceName
    metric: MetricName
    start_ms: TimeMs
    end_ms: TimeMs
    limits: list[EvidenceLimit]


class AlarmDetail(AlarmShown):
    """An alarm with all that happened to it."""

    rule_version: int | None = Field(description="that judged it; null of rules that were never on record")
    transitions: list[TransitionShown]
    notices: list[NoticeShown]
    evidence: Evidence


class AlarmPage(BaseModel):
    """Newest first."""

    items: list[AlarmShown]
    next: Following


class Missed(BaseModel):
    """Alarms raised or closed since somebody last looked; `items` are the first of them."""

    since_ms: int | None = Field(description="null: they never looked before")
    raised: int
    closed: int
    items: list[AlarmShown]


class NamesPage(BaseModel):
    """Names of users."""

    items: list[str]
    next: Following


class LiveEvent(BaseModel):
    """Data of an event `live`: (device, metric, time_ms, value, quality) of what changed at a site."""

    time_ms: TimeMs
    values: list[tuple[str, str, int, float | None, int]]


class HealthReason(BaseModel):
    """Why it is not ready."""

    code: str = Field(examples=["core-silent"])
    detail: str
    behind: int | None = Field(default=None, description="of `catching-up`: records behind")
    seconds: float | None = Field(
        default=None, description="of `catching-up`: about how long; null while nothing moves"
    )


class Health(BaseModel):
    """Whether everything behind the API does its work."""

    ready: bool
    reasons: list[HealthReason]


class HealthEvent(Health):
    """Data of an event `health`."""

    gateways: list[GatewayHealth]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class LevelLimits(BaseModel):
    """A level of a rule."""

    severity: Severity
    at_least: float | None
    at_most: float | None


class LaneFigures(BaseModel):
    """What a rule that compares people with each other does it by."""

    mode: str | None = None
    normal_c: float | None = None
    people: int | None = None
    people_min: int | None = None


class LaneLimit(BaseModel):
    """A limit in force on a scanner, and where it comes from."""

    rule: str
    name: Named
    type: str
    version: int
    levels: list[LevelLimits]
    figures: LaneFigures | None


class LaneHour(BaseModel):
    """Passages of the last hour, by step."""

    start_ms: TimeMs
    every_ms: int
    count: int
    counts: list[int]


class Lane(BaseModel):
    """A lane with its scanner."""

    place: PlaceName
    name: Named
    device: DeviceName
    metric: MetricName
    state: DeviceState
    last: LastReading | None
    ambient: LastReading | None
    limits: list[LaneLimit]
    scanner: list[AlarmShown]
    hour: LaneHour


class GateName(BaseModel):
    """A gate."""

    id: PlaceName
    name: Named
    site: SiteName


class GatePage(BaseModel):
    """Gates that one may see."""

    items: list[GateName]
    next: Following


class Gate(GateName):
    """A gate as its guard sees it."""

    as_of_ms: TimeMs
    lanes: list[Lane]
    thermometers: list[str]
    alarms: list[AlarmShown]


class Decision(BaseModel):
    """What was decided about a person."""

    alarm: str
    time_ms: TimeMs
    guard: str | None
    disposition: str | None
    note: str | None
    place: PlaceName
    value: float | None
    recheck: RecheckShown | None


class LaneCount(BaseModel):
    """Passages of a lane."""

    place: PlaceName
    count: int


class OpenAtHandover(BaseModel):
    """An alarm that was open when a gate was handed over."""

    alarm: str
    place: str | None
    alarm_class: str = Field(alias="class")


class HandoverDocument(BaseModel):
    """What was signed."""

    passages: list[LaneCount]
    decisions: int
    open: list[OpenAtHandover]


class Handover(BaseModel):
    """A shift that was handed over."""

    id: int
    signed_ms: TimeMs
    since_ms: TimeMs
    guard: str
    note: str
    document: HandoverDocument


class Shift(BaseModel):
    """The shift at a gate, and the last ones that were handed over."""

    place: PlaceName
    since_ms: TimeMs
    as_of_ms: TimeMs
    open: list[AlarmShown]
    decisions: list[Decision]
    passages: list[LaneCount]
    signed: list[Handover]


class RuleDocument(BaseModel):
    """A whole rule: which fields it has depends on its type."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str = Field(examples=["level"])
    version: int


class Occurrence(BaseModel):
    """An alarm as a back-test raised it."""

    rule: str
    site: str
    device: str
    metric: str
    key: str | None
    onset_ms: TimeMs
    end_ms: int | None
    severity: Severity
    chatters: bool


class BacktestJob(BaseModel):
    """A back-test, and when it is done what came of it."""

    id: str
    state: Literal["waiting", "running", "done", "failed"]
    result: BacktestResult | None
    error: str | None


class BacktestCount(BaseModel):
    """What rules raised over the time."""

    model_config = ConfigDict(extra="allow")

    alarms: int
    per_day: dict[str, int]
    longest_ms: int
    open_at_end: int
    chattering: int
    flood_share: float


class BacktestDifference(BaseModel):
    """What the tried rules raise that those in force do not, and the other way round."""

    model_config = ConfigDict(extra="allow")

    both: int
    only_old: list[Occurrence]
    only_new: list[Occurrence]


class BacktestResult(BaseModel):
    """What a back-test found."""

    model_config = ConfigDict(extra="allow")

    start_ms: TimeMs
    end_ms: TimeMs
    readings: int
    tried: BacktestCount
    in_force: BacktestCount | None = Field(description="null: there is no such rule yet")
    difference: BacktestDifference | None


class Figure(BaseModel):
    """One number beside what it is held against."""

    what: str
    value: float
    unit: str
    reference: str
    source: str
    is_met: bool | None = Field(description="null: there is nothing to hold it against")


class AlarmShare(BaseModel):
    """How much of all alarms one rule or instance makes."""

    what: str
    alarms: int
    share: float


class AlarmFigures(BaseModel):
    """How good the alarms are."""

    start_ms: TimeMs
    end_ms: TimeMs
    operators: dict[str, list[Figure]] = Field(description="by `site:…` and `role:…`")
    alarms: list[Figure]
    top_rules: list[AlarmShare]
    top_instances: list[AlarmShare]
    outcomes: dict[str, dict[str, float | None]] = Field(
        description=f"by rule: how many were labelled {', '.join(Outcome)}, and `precision`"
    )


class MaskShown(BaseModel):
    """Nobody is called for what agrees with all of rule, device, metric, key, place and site that are given."""

    id: str
    kind: Literal["shelved", "maintenance", "out-of-service"]
    owner: str
    reason: str
    from_ms: TimeMs
    until_ms: int | None
    ended_ms: int | None
    rule: str | None
    device: str | None
    metric: str | None
    key: str | None
    place: str | None
    site: str | None
    one_shot: bool | None


class MaskPage(BaseModel):
    """Newest first."""

    items: list[MaskShown]
    next: Following


class GrantShown(BaseModel):
    """A role."""

    role: Role
    site: str | None = Field(description="null: at all sites")


class AccountShown(BaseModel):
    """Somebody who may log in."""

    name: str
    grants: list[GrantShown]
    created_ms: TimeMs
    disabled_ms: int | None


class AccountDetail(AccountShown):
    """With what they log in by."""

    has_pin: bool
    has_second_factor: bool


class AccountPage(BaseModel):
    """By name."""

    items: list[AccountShown]
    next: Following


class TokenShown(BaseModel):
    """A token of a machine, without the token itself."""

    id: str
    name: str = Field(examples=["backup"])
    user: str
    scopes: list[Permission]
    sites: list[str] | None
    made_ms: TimeMs
    used_ms: int | None
    expires_ms: TimeMs


class TokenMade(TokenShown):
    """The token itself is in this answer and nowhere after it."""

    token: str


class TokenPage(BaseModel):
    """By id."""

    items: list[TokenShown]
    next: Following


class AuditRow(BaseModel):
    """Who did what."""

    model_config = ConfigDict(extra="allow")

    id: int
    time_ms: TimeMs
    actor: str
    action: str
    subject: str
    outcome: str


class AuditPage(BaseModel):
    """Newest first."""

    items: list[AuditRow]
    next: int | None = Field(description="the 'cursor' of the next page; null on the last one")


class AuditHead(BaseModel):
    """The newest row."""

    id: int
    hash: str


class AuditVerdict(BaseModel):
    """Whether the record is whole."""

    is_whole: bool
    faults: list[str]
    head: AuditHead


class NamedPerson(BaseModel):
    """Somebody who can be called."""

    id: str
    name: Named


class RosterSpan(BaseModel):
    """So long the same people are on duty; nobody, when `people` is empty."""

    start_ms: TimeMs
    end_ms: TimeMs
    people: list[str]


class RosterWeek(BaseModel):
    """A week of a duty roster, in its own zone."""

    id: str
    version: int
    name: Named | None
    timezone: str
    monday: str = Field(examples=["2026-11-23"])
    start_ms: TimeMs
    end_ms: TimeMs
    spans: list[RosterSpan]
    now: list[NamedPerson]
    people: list[NamedPerson]


class RosterPage(BaseModel):
    """Every roster."""

    as_of_ms: TimeMs
    items: list[RosterWeek]
    next: Following


class Called(NamedPerson):
    """Who a step would call now, and by which channels they can be reached."""

    role: str
    channels: list[str]


class CallStep(BaseModel):
    """A step of a ladder."""

    after_s: float
    to: list[str]
    channels: list[str]
    called: list[Called]


class CallLadder(BaseModel):
    """Who is called for one severity."""

    severity: Severity
    loops: int
    wait_s: float | None
    repeat_s: float | None
    fallback: list[str]
    is_digest: bool
    steps: list[CallStep]


class CallRoute(BaseModel):
    """How alarms find people."""

    id: str
    name: Named | None
    is_system: bool
    ladders: list[CallLadder]


class CallRule(BaseModel):
    """Which route a rule takes."""

    id: str
    name: Named | None
    alarm_class: str = Field(alias="class")
    severities: list[Severity]
    route: str | None
    notify: list[str]


class Calls(BaseModel):
    """Every route with who would be called now."""

    as_of_ms: TimeMs
    routes: list[CallRoute]
    rules: list[CallRule]


BacktestJob.model_rebuild()
ProblemDetails.model_rebuild()
