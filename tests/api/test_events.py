"""The stream of events: what a screen missed, and that it outlives no log-in."""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from fastapi import Request

from api.access import Grant, Permission, Role, is_still_in
from api.alarms import Alarms
from api.events import Events
from telemetry.clock import ManualClock
from telemetry.settings import BrokerSettings
from tests.api.test_app import World, database_with_users, world

__all__ = ["database_with_users", "world"]
LEVELS = ("level-1/level", "level-2/level", "scanner/skin_temperature")


def disable(world: World) -> None:
    world.accounts.change("admin", "guard", None, None, True)


def demote(world: World) -> None:
    world.accounts.change("admin", "guard", frozenset({Grant(Role.GUARD, "west")}), None, None)


def log_out(world: World) -> None:
    world.accounts.log_out(world.client.cookies["gatehouse_session"])


def leave_alone(world: World) -> None:
    world.clock.advance(3600)


def end_token(world: World) -> None:
    (token,) = world.accounts.tokens.page("guard", 2, "")
    world.accounts.tokens.end(token["id"], "guard")


def nothing(world: World) -> None:
    """Goes on."""


async def heard(events: Events, may_look: Callable[[], bool], user: Any, happens: Callable[[], None]) -> list[str]:
    """What comes through after something happened, looked at every ten seconds of a minute and a bit."""
    assert isinstance(events._clock, ManualClock)
    stream = events.stream(user, None, may_look)
    assert [(await anext(stream))[:5] for _ in range(2)] == ["retry", "event"]
    happens()
    found = []
    for number in range(8):
        events._tell("east", str(number))
        try:
            found.append(await anext(stream))
        except StopAsyncIteration:
            break
        events._clock.advance(10)
    return found


@pytest.mark.parametrize("with_token", [False, True])
@pytest.mark.parametrize("happens", [disable, demote, log_out, leave_alone, end_token, nothing])
def test_a_stream_ends_with_what_it_was_opened_with(
    world: World, with_token: bool, happens: Callable[[World], None]
) -> None:
    world.log_in("guard")
    headers = [(b"cookie", f"gatehouse_session={world.client.cookies['gatehouse_session']}".encode())]
    (guard,) = (user for user in world.accounts.users() if user.name == "guard")
    ends_ms = world.clock.now_ms() + 7_200_000
    token, _ = world.accounts.tokens.make(guard, "probe", frozenset({Permission.LOOK}), None, ends_ms)
    session = world.accounts.session(world.client.cookies["gatehouse_session"])
    if with_token:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        session = world.accounts.session_of_token(token)
    assert session is not None
    events = Events(BrokerSettings(port=9), "test", Alarms(world.database, world.clock), world.clock)
    request = Request({"type": "http", "app": world.client.app, "headers": headers})
    may_look = functools.partial(is_still_in, request, session)
    found = asyncio.run(heard(events, may_look, session.user, lambda: happens(world)))
    goes_on = {False: {nothing, end_token}, True: {nothing, log_out, leave_alone}}[with_token]
    assert (len(found) == 8) == (happens in goes_on)
    assert len(found) <= 6 or happens in goes_on
    assert events._clients == set() or happens in goes_on


def test_an_open_page_alone_keeps_no_log_in_alive(world: World) -> None:
    world.log_in("guard")
    token = world.client.cookies["gatehouse_session"]
    (before,) = world.accounts.sessions.of("guard")
    world.clock.advance(600)
    assert world.accounts.look_up(token) is not None
    assert world.accounts.sessions.of("guard") == [before]


def test_who_was_away_is_told_every_alarm_that_moved_however_many(world: World) -> None:
    world.readings(*((name, 39.9 if "skin" in name else 1.9, 10) for name in LEVELS))
    alarms = Alarms(world.database, world.clock)
    events = Events(BrokerSettings(port=9), "test", alarms, world.clock)
    (admin,) = (user for user in world.accounts.users() if user.name == "admin")
    told = [alarm["id"] for _, alarm in alarms.changed_since(0)]
    assert len(told) >= 3

    async def first(count: int) -> list[str]:
        stream = events.stream(admin, 0, lambda: True)
        return [await asyncio.wait_for(anext(stream), 5) for _ in range(count)]

    few = functools.partial(alarms.changed_since, limit=1)
    with mock.patch.object(alarms, "changed_since", few):
        found = asyncio.run(first(2 + len(told)))[2:]
    assert [json.loads(event.partition("data: ")[2])["id"] for event in found] == told
