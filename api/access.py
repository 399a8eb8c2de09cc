"""Who may do what: permissions, which role has them, and the dependency that every route declares its rule with.

A route without a rule does not pass the tests (`tests/api/test_access.py`), so that none can be forgotten open.

A person comes with a session cookie, and sends the session's CSRF token with whatever changes something. A machine comes with
`Authorization: Bearer` and a token; what is a person's own (password, sessions, tokens) is closed to it. A wall screen comes
with a cookie too: it looks, and changes nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Header, Request

from api.problems import Problem

COOKIE = "gatehouse_session"
TABLET_COOKIE = "gatehouse_tablet"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What somebody is here for."""

    ADMINISTRATOR = "administrator"
    GUARD = "guard"
    ENGINEER = "engineer"
    MANAGER = "manager"
    VIEWER = "viewer"
    REGISTRAR = "registrar"


class Permission(StrEnum):
    """What a route is about, as far as it decides who may call it."""

    LOOK = "look"  # the sites one has a role at: what is there, readings, alarms
    ACT = "act"  # on alarms of the classes that one's role decides
    SIGN_DUTIES = "sign-duties"  # daily duties that are for a role which one has at the site
    GUARD = "guard"  # a gate: who comes in, and hand it over
    MASK = "mask"  # say that something is in maintenance or out of service
    CHANGE_RULES = "change-rules"
    CHANGE_ROSTERS = "change-rosters"  # who is on duty when
    TRY_RULES = "try-rules"
    CLEAN = "clean"  # plan, do and sign off the cleaning of drains
    SEE_REFUSED = "see-refused"  # input that was quarantined, which belongs to no site
    MANAGE_USERS = "manage-users"
    READ_AUDIT = "read-audit"
    SCHEDULE_REPORTS = "schedule-reports"  # of one's sites, and who is told of them
    REGISTER_WRITE = "register-write"  # put visitors on the register at a gate, and see who is in
    REGISTER_READ = "register-read"  # who came; with a reason, each time
    ANNOUNCE = "announce"  # visitors of one's own department


OF_VISITORS = frozenset({Permission.REGISTER_WRITE, Permission.REGISTER_READ, Permission.ANNOUNCE})
"""What is about visitors by name: whoever runs the system has no part in it (docs/register.md)."""

_EVERYBODY = frozenset({Permission.LOOK, Permission.SIGN_DUTIES})
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset(Permission) - OF_VISITORS,
    Role.GUARD: _EVERYBODY | {Permission.ACT, Permission.GUARD, Permission.SEE_REFUSED, Permission.REGISTER_WRITE},
    Role.ENGINEER: _EVERYBODY
    | {
        Permission.ACT,
        Permission.MASK,
        Permission.CLEAN,
        Permission.CHANGE_RULES,
        Permission.CHANGE_ROSTERS,
        Permission.TRY_RULES,
        Permission.SEE_REFUSED,
        Permission.SCHEDULE_REPORTS,
    },
    Role.MANAGER: _EVERYBODY
    | {
        Permission.ACT,
        Permission.CHANGE_ROSTERS,
        Permission.TRY_RULES,
        Permission.SEE_REFUSED,
        Permission.ANNOUNCE,
        Permission.SCHEDULE_REPORTS,
    },
    Role.VIEWER: _EVERYBODY | {Permission.SEE_REFUSED},
    Role.REGISTRAR: _EVERYBODY | OF_VISITORS,
}
"""What each role may do at the sites where somebody has it."""

EVERYWHERE = frozenset(
    {
        Permission.CHANGE_RULES,
        Permission.CHANGE_ROSTERS,
        Permission.TRY_RULES,
        Permission.SEE_REFUSED,
        Permission.MANAGE_USERS,
        Permission.READ_AUDIT,
    }
)
"""What concerns all sites at once, and so needs the role at all of them."""

SECOND_FACTOR_ROLES = frozenset({Role.ADMINISTRATOR, Role.REGISTRAR})
"""Who must have a second factor, where that is required."""

_CLAIMED: dict[str, frozenset[Role]] = {
    "fever": frozenset({Role.GUARD}),
    "drain": frozenset({Role.ENGINEER}),
    "dormitory": frozenset({Role.MANAGER}),
    "sensor": frozenset({Role.ENGINEER, Role.MANAGER}),
    "gateway": frozenset({Role.ENGINEER}),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, at one site or at all of them."""

    role: Role
    site: str | None = None  # None: all


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is logged in."""

    name: str
    grants: frozenset[Grant]
    scopes: frozenset[Permission] | None = None  # of the token they come with; None: no token, all that the grants give

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset(grant.role for grant in self.grants)

    @property
    def sites(self) -> frozenset[str] | None:
        """Where they have any role; None for all sites."""
        sites = {grant.site for grant in self.grants}
        return None if None in sites else frozenset(site for site in sites if site is not None)

    def sees(self, site: str) -> bool:
        """Whether anything of a site may be shown to them."""
        return bool(self.roles_at(site))

    def roles_at(self, site: str | None) -> frozenset[Role]:
        """Roles that hold at a site; for None those that hold at all sites."""
        return frozenset(grant.role for grant in self.grants if grant.site is None or grant.site == site)

    def may(self, permission: Permission, site: str | None = None) -> bool:
        """Whether a role of theirs at the site has the permission; for None a role at all sites."""
        return any(self._gives(role, permission) for role in self.roles_at(site))

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether there is a site where they may."""
        return any(self._gives(grant.role, permission) for grant in self.grants)

    def may_at_all(self, permission: Permission) -> bool:
        """Whether a route that needs the permission lets them in: what concerns all sites needs the role at all of them."""
        return self.may(permission) if permission in EVERYWHERE else self.may_somewhere(permission)

    def acts_on(self, alarm_class: str, site: str | None) -> bool:
        """Whether they may acknowledge and decide alarms of a class at a site (None: at all sites).

        An administrator decides all classes; a class that no role claims is everybody's who acts.
        """
        acting = {role for role in self.roles_at(site) if self._gives(role, Permission.ACT)}
        return Role.ADMINISTRATOR in acting or bool(acting & _CLAIMED.get(alarm_class, acting))

    def _gives(self, role: Role, permission: Permission) -> bool:
        return permission in PERMISSIONS[role] and (self.scopes is None or permission in self.scopes)


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in, or a token."""

    user: User
    csrf: str
    token: str = ""  # the id of the token; empty: a person in a browser
    must_enrol: bool = False  # a second factor is required of them, and they have none yet
    is_wall: bool = False  # nobody sits there
    is_by_pin: bool = False  # of a guard at a tablet, who gave no password


@dataclass(frozen=True, slots=True)
class Tablet:
    """A browser that is kept at a gate, where guards change by PIN."""

    token_hash: str
    keeper: str
    sites: tuple[str, ...] | None  # None: all
    made_ms: int
    is_kept: bool  # not yet, while somebody is logged in there with a password

    def guard(self, user: User) -> User:
        """What is left of somebody here: their grants as a guard at the tablet's sites; perhaps none."""
        held = {grant.site for grant in user.grants if grant.role is Role.GUARD}
        kept: set[str | None] = held
        if self.sites is not None:
            kept = set(self.sites) if None in held else held & set(self.sites)
        return User(user.name, frozenset(Grant(Role.GUARD, site) for site in kept))


def cookie_name(request: Request, name: str) -> str:
    """As a cookie is called: behind HTTPS so that a browser takes it from this very host alone, and over HTTPS alone."""
    return f"__Host-{name}" if request.app.state.parts.is_behind_https else name


def cookie_of(request: Request, name: str) -> str | None:
    """What a browser sent back of what it was given."""
    return request.cookies.get(cookie_name(request, name))


def is_still_in(request: Request, session: Session) -> bool:
    """Whether who came in with a request that goes on may still, with all that they might then."""
    accounts = request.app.state.parts.accounts
    now: Session | None
    if session.token:
        now = accounts.session_of_token(request.headers.get("authorization", "").partition(" ")[2].strip())
    else:
        now = accounts.look_up(cookie_of(request, COOKIE) or "")
    return now is not None and now.user == session.user and not now.must_enrol


class Needs:
    """The rule of a route: called by somebody who is logged in and has the permission, at least at one site.

    What the route then shows or changes of which site is for the route to check, with `User.may` and `User.sees`.
    """

    def __init__(
        self,
        permission: Permission,
        *,
        in_person: bool = False,
        before_second_factor: bool = False,
        at_wall: bool = False,
    ) -> None:
        self.permission = permission
        self.in_person = in_person
        self.before_second_factor = before_second_factor  # open also to who still has to enrol
        self.at_wall = at_wall  # open also to a wall screen, although it is in person

    def __call__(
        self,
        request: Request,
        x_csrf_token: Annotated[str, Header(include_in_schema=False)] = "",
        authorization: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Session:
        accounts = request.app.state.parts.accounts
        session: Session | None = None
        if authorization:
            kind, _, token = authorization.partition(" ")
            session = accounts.session_of_token(token.strip()) if kind.lower() == "bearer" else None
            if session is None:
                raise Problem(401, "Not a token", "it is no token, has ended, or its owner may not come in any more")
        elif cookie := cookie_of(request, COOKIE):
            session = accounts.session(cookie)
        if session is None:
            raise Problem(401, "Not logged in", "log in with POST /api/v1/session")
        user = session.user
        is_change = request.method not in _READING
        if session.token and self.in_person:
            accounts.record(user.name, "token", f"{session.token} {request.url.path}", "refused: in person only")
            raise Problem(403, "Not for tokens", "it is for a person who has logged in with their password")
        if session.is_wall and (is_change or self.in_person) and not self.at_wall:
            accounts.record(
                user.name, "wall", f"{request.method} {request.url.path}", "refused: a wall screen looks only"
            )
            raise Problem(403, "Not at a wall screen", "a wall screen looks only: end it and log in")
        if not session.token and is_change and not _is_same(session.csrf, x_csrf_token):
            accounts.record(user.name, self.permission, request.url.path, "refused: no CSRF token")
            raise Problem(403, "No CSRF token", "send the 'csrf' that the log-in gave as header X-CSRF-Token")
        if session.must_enrol and not self.before_second_factor:
            raise Problem(403, "Second factor needed", "your role needs one: POST /api/v1/session/second-factor")
        if not user.may_at_all(self.permission):
            why = f"refused: token {session.token}" if session.token else "refused: role"
            accounts.record(user.name, self.permission, request.url.path, why)
            where = "at all sites" if self.permission in EVERYWHERE else "at any site"
            raise Problem(403, "Not for this user", f"it needs the permission '{self.permission}' {where}")
        if session.token and is_change:
            accounts.record(user.name, "token", f"{session.token} {request.method} {request.url.path}", "let in")
        return session


def _is_same(secret: str, sent: str) -> bool:
    """Compared as bytes: what is sent may be no ASCII."""
    return secrets.compare_digest(secret.encode(), sent.encode())


class AtTablet:
    """The rule of a route for a browser that is kept at a gate, or whose session lets it be: it gives no other right."""

    def __call__(self, request: Request) -> Tablet:
        accounts = request.app.state.parts.accounts
        kept, cookie = cookie_of(request, TABLET_COOKIE), cookie_of(request, COOKIE)
        tablet: Tablet | None = accounts.sessions.tablet(kept) if kept else None
        if tablet is None and cookie:
            session: Session | None = accounts.session(cookie)
            if session is not None and not session.must_enrol:
                tablet = accounts.sessions.tablet_of_session(cookie)
        if tablet is None:
            raise Problem(401, "Not a tablet of a gate", "log in on it with POST /api/v1/session first")
        return tablet


async def anybody() -> None:
    """The rule of a route that needs no log-in."""


Anybody = Depends(anybody)
OnTablet = Annotated[Tablet, Depends(AtTablet())]
Arrived = Annotated[Session, Depends(Needs(Permission.LOOK, before_second_factor=True))]
Enrolling = Annotated[Session, Depends(Needs(Permission.LOOK, in_person=True, before_second_factor=True))]
Leaving = Annotated[Session, Depends(Needs(Permission.LOOK, in_person=True, before_second_factor=True, at_wall=True))]
InPerson = Annotated[Session, Depends(Needs(Permission.LOOK, in_person=True))]
Looking = Annotated[Session, Depends(Needs(Permission.LOOK))]
Acting = Annotated[Session, Depends(Needs(Permission.ACT))]
SigningDuties = Annotated[Session, Depends(Needs(Permission.SIGN_DUTIES))]
Cleaning = Annotated[Session, Depends(Needs(Permission.CLEAN))]
Guarding = Annotated[Session, Depends(Needs(Permission.GUARD))]
Masking = Annotated[Session, Depends(Needs(Permission.MASK))]
ChangingRules = Annotated[Session, Depends(Needs(Permission.CHANGE_RULES))]
ChangingRosters = Annotated[Session, Depends(Needs(Permission.CHANGE_ROSTERS))]
TryingRules = Annotated[Session, Depends(Needs(Permission.TRY_RULES))]
SeeingRefused = Annotated[Session, Depends(Needs(Permission.SEE_REFUSED))]
ManagingUsers = Annotated[Session, Depends(Needs(Permission.MANAGE_USERS, in_person=True))]
ReadingAudit = Annotated[Session, Depends(Needs(Permission.READ_AUDIT))]
SchedulingReports = Annotated[Session, Depends(Needs(Permission.SCHEDULE_REPORTS))]
Registering = Annotated[Session, Depends(Needs(Permission.REGISTER_WRITE, in_person=True))]
ReadingRegister = Annotated[Session, Depends(Needs(Permission.REGISTER_READ, in_person=True))]
Announcing = Annotated[Session, Depends(Needs(Permission.ANNOUNCE, in_person=True))]
