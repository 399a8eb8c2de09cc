"""The instrument at a device's place: fitted, calibrated, due."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.access import Looking, Masking, Permission, User
from api.answers import Route
from api.instruments import Calibration, Change, Due, Step
from api.parts import Parts, PartsOf
from api.problems import Problem
from api.routes.world import kind_of

router = APIRouter(route_class=Route)

_AHEAD_MAX_MS = 60_000  # of a screen's clock


class StepWanted(BaseModel):
    """A new instrument, or the calibration of the one that is there."""

    model_config = ConfigDict(extra="forbid")

    what: Step
    since: int | None = Field(default=None, ge=0, lt=2**53, description="epoch ms; now when not given")
    serial: str | None = Field(default=None, max_length=64, description="of the instrument; needed when fitted")
    certificate: str | None = Field(default=None, max_length=100)
    calibrated_on: date | None = Field(default=None, description="needed when calibrated")
    due_on: date | None = Field(default=None, description="needed when calibrated")
    note: str = Field(default="", max_length=500)


class StepShown(BaseModel):
    """A step on record."""

    id: int
    what: Step
    since_ms: int
    serial: str | None
    certificate: str | None
    calibrated_on: date | None
    due_on: date | None
    note: str
    actor: str
    made_ms: int


class CalibrationShown(BaseModel):
    """How the calibration stands: `soon` within 30 days of its due date."""

    serial: str | None
    since_ms: int | None
    certificate: str | None
    calibrated_on: date | None
    due_on: date | None
    state: Due
    days_left: int | None


class InstrumentShown(BaseModel):
    """The instrument that stands there now, and every step, the newest first."""

    device: str
    calibration: CalibrationShown
    items: list[StepShown]


class DueDevice(CalibrationShown):
    """A device whose calibration is due."""

    device: str
    site: str


class DueDevices(BaseModel):
    """The longest overdue first."""

    items: list[DueDevice]
    next: str | None = None


@router.get("/devices/{device}/instrument", response_model=InstrumentShown)
def instrument(session: Looking, parts: PartsOf, device: str) -> InstrumentShown:
    kind_of(parts, session.user, device)
    return _shown(parts, device)


@router.post("/devices/{device}/instrument", status_code=201, response_model=InstrumentShown)
def step_instrument(session: Masking, parts: PartsOf, device: str, body: StepWanted) -> InstrumentShown:
    kind_of(parts, session.user, device)
    _must_keep(parts, session.user, device)
    now_ms = parts.clock.now_ms()
    since_ms = now_ms if body.since is None else body.since
    serial = (body.serial or "").strip() or None
    errors = []
    if since_ms > now_ms + _AHEAD_MAX_MS:
        errors.append(("since", "does not lie in the future"))
    if body.what is Step.FITTED and serial is None:
        errors.append(("serial", "say which instrument it is"))
    if body.what is Step.CALIBRATED:
        missing = [name for name in ("calibrated_on", "due_on") if getattr(body, name) is None]
        errors += [(name, "give a day, like 2026-11-23") for name in missing]
    if (body.calibrated_on is None) != (body.due_on is None) and body.what is Step.FITTED:
        errors.append(("due_on", "give both days of the calibration, or neither"))
    if body.calibrated_on is not None and body.calibrated_on > _today(parts, device):
        errors.append(("calibrated_on", "does not lie in the future"))
    if body.calibrated_on is not None and body.due_on is not None and body.due_on <= body.calibrated_on:
        errors.append(("due_on", "lies after the calibration"))
    if errors:
        told = [{"field": field, "message": message} for field, message in errors]
        raise Problem(422, "The request does not fit", "; ".join(f"{f}: {m}" for f, m in errors), errors=told)
    change = Change(
        device,
        body.what,
        since_ms,
        serial,
        (body.certificate or "").strip() or None,
        body.calibrated_on,
        body.due_on,
        body.note.strip(),
    )
    parts.instruments.add(change, session.user.name, now_ms)
    action, site = f"device-{body.what.value}", parts.catalogue.site_of(device)
    parts.accounts.record(session.user.name, action, device, serial or str(body.due_on), site)
    return _shown(parts, device)


@router.get("/calibrations", response_model=DueDevices)
def due_calibrations(session: Looking, parts: PartsOf) -> DueDevices:
    """Devices whose calibration is due within 30 days, or overdue."""
    found = []
    for site in parts.catalogue.sites:
        if not session.user.sees(site.id):
            continue
        here = [each.id for each in parts.catalogue.devices if parts.catalogue.site_of(each.id) == site.id]
        today = datetime.fromtimestamp(parts.clock.now_ms() / 1000, ZoneInfo(site.timezone)).date()
        for device, stands in parts.instruments.calibrations(here, today).items():
            if stands.state in (Due.SOON, Due.OVERDUE):
                found.append(DueDevice(device=device, site=site.id, **asdict(stands)))
    return DueDevices(items=sorted(found, key=lambda each: (each.due_on or date.max, each.device)))


def _must_keep(parts: Parts, user: User, device: str) -> None:
    site = parts.catalogue.site_of(device)
    if not user.may(Permission.MASK, site):
        parts.accounts.record(user.name, "device-change", device, "refused: site", site)
        raise Problem(403, "Not for this user", "engineers and administrators of the site keep its devices")


def _today(parts: Parts, device: str) -> date:
    zone = ZoneInfo(parts.catalogue.site[parts.catalogue.site_of(device)].timezone)
    return datetime.fromtimestamp(parts.clock.now_ms() / 1000, UTC).astimezone(zone).date()


def _shown(parts: Parts, device: str) -> InstrumentShown:
    stands: Calibration = parts.instruments.calibrations([device], _today(parts, device))[device]
    steps = [
        StepShown(**{name: row[name] for name in StepShown.model_fields}) for row in parts.instruments.history(device)
    ]
    return InstrumentShown(device=device, calibration=CalibrationShown(**asdict(stands)), items=steps)
