"""Who may do what: permissions, which role has them, and the dependency that every route declares its rule with.

A route without a rule does not pass the tests (`tests/api/test_access.py`), so that none can be forgotten open.

A person comes with a session cookie, and sends the session's CSRF token with whatever changes something.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Cookie, Depends, Header, Request

from api.problems import Problem

COOKIE = "gatehouse_session"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What somebody is here for."""

    ADMINISTRATOR = "administrator"
    GUARD = "guard"
    ENGINEER = "engineer"
    MANAGER = "manager"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a route is about, as far as it decides who may call it."""

    LOOK = "look"  # the sites one has a role at: what is there, readings, alarms
    ACT = "act"  # on alarms of the classes that one's role decides
    MASK = "mask"  # say that something is in maintenance or out of service
    CHANGE_RULES = "change-rules"
    TRY_RULES = "try-rules"
    CLEAN = "clean"  # plan, do and sign off the cleaning of drains
    SEE_REFUSED = "see-refused"  # input that was quarantined, which belongs to no site


_EVERYBODY = frozenset({Permission.LOOK})
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.GUARD: _EVERYBODY | {Permission.ACT, Permission.SEE_REFUSED},
    Role.ENGINEER: _EVERYBODY
    | {
        Permission.ACT,
        Permission.MASK,
        Permission.CLEAN,
        Permission.CHANGE_RULES,
        Permission.TRY_RULES,
        Permission.SEE_REFUSED,
    },
    Role.MANAGER: _EVERYBODY | {Permission.ACT, Permission.TRY_RULES, Permission.SEE_REFUSED},
    Role.VIEWER: _EVERYBODY | {Permission.SEE_REFUSED},
}
"""What each role may do at the sites where somebody has it."""

EVERYWHERE = frozenset({Permission.CHANGE_RULES, Permission.TRY_RULES, Permission.SEE_REFUSED})
"""What concerns all sites at once, and so needs the role at all of them."""

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
        return any(permission in PERMISSIONS[role] for role in self.roles_at(site))

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether there is a site where they may."""
        return any(permission in PERMISSIONS[grant.role] for grant in self.grants)

    def acts_on(self, alarm_class: str, site: str | None) -> bool:
        """Whether they may acknowledge and decide alarms of a class at a site (None: at all sites).

        An administrator decides all classes; a class that no role claims is everybody's who acts.
        """
        acting = {role for role in self.roles_at(site) if Permission.ACT in PERMISSIONS[role]}
        return Role.ADMINISTRATOR in acting or bool(acting & _CLAIMED.get(alarm_class, acting))


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in."""

    user: User
    csrf: str


class Needs:
    """The rule of a route: called by somebody who is logged in and has the permission, at least at one site.

    What the route then shows or changes of which site is for the route to check, with `User.may` and `User.sees`.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(
        self,
        request: Request,
        gatehouse_session: Annotated[str | None, Cookie(include_in_schema=False)] = None,
        x_csrf_token: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Session:
        accounts = request.app.state.parts.accounts
        session: Session | None = accounts.session(gatehouse_session) if gatehouse_session else None
        if session is None:
            raise Problem(401, "Not logged in", "log in with POST /api/v1/session")
        if request.method not in _READING and not secrets.compare_digest(session.csrf, x_csrf_token):
            raise Problem(403, "No CSRF token", "send the 'csrf' that the log-in gave as header X-CSRF-Token")
        user = session.user
        is_allowed = user.may(self.permission) if self.permission in EVERYWHERE else user.may_somewhere(self.permission)
        if not is_allowed:
            accounts.record(user.name, self.permission, request.url.path, "refused: role")
            where = "at all sites" if self.permission in EVERYWHERE else "at any site"
            raise Problem(403, "Not for this user", f"it needs the permission '{self.permission}' {where}")
        return session


def anybody() -> None:
    """The rule of a route that needs no log-in."""


Anybody = Depends(anybody)
Looking = Annotated[Session, Depends(Needs(Permission.LOOK))]
Acting = Annotated[Session, Depends(Needs(Permission.ACT))]
Cleaning = Annotated[Session, Depends(Needs(Permission.CLEAN))]
Masking = Annotated[Session, Depends(Needs(Permission.MASK))]
ChangingRules = Annotated[Session, Depends(Needs(Permission.CHANGE_RULES))]
TryingRules = Annotated[Session, Depends(Needs(Permission.TRY_RULES))]
SeeingRefused = Annotated[Session, Depends(Needs(Permission.SEE_REFUSED))]
