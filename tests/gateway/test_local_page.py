"""The gateway's own page: who gets in, what is kept before it is answered, and what of it survives a restart."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from argon2 import PasswordHasher

from gatehouse.pki import Authority
from gateway.events import Events
from gateway.local_alarms import LocalAlarms
from gateway.local_page.guards import Guards, TooManyTries
from gateway.local_page.page import _BODY_MAX, LocalPage
from gateway.local_page.settings import LocalPageSettings
from gateway.request import RequestError, parse_head
from gateway.settings import LocalAlarmSettings
from gateway.spool import Spool, SpoolFull
from gateway.thinning import Thinner
from telemetry import frames
from telemetry.clock import ManualClock, SystemClock
from telemetry.decision import LocalDecision, decode_decision
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from telemetry.identity import alarm_id
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.gateway.support import until

T0 = 1_795_000_000_000
FEVER = {"rule": "fever", "device": "scanner", "metric": "skin_temperature", "at_least": 37.3, "per_passage": True}
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("738291")


class CutOff:
    """An uplink without a connection."""

    cut_off_ms: int | None = T0

    def wake(self) -> None:
        pass


class Gate:
    """A page with what it stands on; no port is opened."""

    def __init__(
        self,
        folder: Path,
        size_max_bytes: int = 2_000_000_000,
        certificate: Path | None = None,
        now_ms: int = T0,
    ) -> None:
        self.clock = ManualClock(now_ms)
        self.spool = Spool(folder / "spool", self.clock, size_max_bytes)
        self.lamps: dict[str, bool] = {}
        events = Events(self.clock)
        entries = [LocalAlarmSettings.model_validate({"output": "lamp", **FEVER})]
        self.alarms = LocalAlarms(entries, self.spool, events, self.lamps.__setitem__, lambda: None)
        file = folder / "guards.yaml"
        write_guards(file, "li")
        settings = LocalPageSettings(host="127.0.0.1", port=0, guards=file, certificate=certificate)
        uplink: Any = CutOff()
        self.page = LocalPage(settings, "east", entries, self.alarms, self.spool, uplink, events)

    def passes(self, key: str, value: float, seconds: float = 0) -> None:
        reading = Reading("scanner", "skin_temperature", T0 + round(1000 * seconds), value, Quality.GOOD, key)
        self.alarms.judge([reading])
        self.page.take([reading])

    async def call(self, path: str, body: object = None, kind: str = "application/json") -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        line = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1"
        head = f"{line}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        response = await self.page._answer(parse_head(head.encode(), _BODY_MAX), data)
        found: dict[str, Any] = json.loads(response.body)
        return found

    async def refusal(self, path: str, body: object, kind: str = "application/json") -> int:
        with pytest.raises(RequestError) as refused:
            await self.call(path, body, kind)
        return int(refused.value.status)

    async def sign_in(self) -> str:
        return str((await self.call("/sign-in", {"guard": "li", "pin": "738291"}))["token"])

    async def stopped(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.call("/state"))["people"]
        return found

    def kept(self) -> list[LocalDecision]:
        stored = [each for lane in self.spool.lanes for each in lane.read(0, 100, 10**6)]
        decoded = [frames.decode(frames.encode("g", "e", 1, 1, each.payload)) for each in stored]
        return [decode_decision(text) for frame in decoded for text in frame.decisions]


def write_guards(file: Path, *names: str, site: str = "east") -> None:
    file.write_text(yaml.safe_dump({"site": site, "guards": [{"name": name, "pin": HASH} for name in names]}))


def test_a_decision_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.passes("p1", 38.6)
        (person,) = await gate.stopped()
        assert (person["id"], gate.lamps["lamp"]) == (
            alarm_id("fever", "scanner", "skin_temperature", "p1", T0),
            True,
        )
        token = await gate.sign_in()
        about = {"token": token, "alarm": person["id"]}
        gate.clock.advance(10)
        await gate.call("/ask", about)
        gate.passes("p1", 36.6, 20)  # normal, and a person decides all the same
        gate.clock.advance(20)
        assert [each["measured"] for each in await gate.stopped()] == [36.6]
        await gate.call("/decide", {**about, "disposition": "admit", "note": "normal"})
        (kept,) = gate.kept()
        assert (kept.guard, kept.disposition, kept.alarm, kept.decided_ms) == ("li", "admit", person["id"], T0 + 30_000)
        assert (kept.asked_ms, kept.value, kept.method, kept.measured_ms) == (
            T0 + 10_000,
            36.6,
            "same-passage",
            T0 + 20_000,
        )
        assert (await gate.stopped(), gate.lamps["lamp"]) == ([], False)
        assert await gate.refusal("/decide", {**about, "disposition": "refuse", "note": "no"}) == 409
        assert len(gate.kept()) == 1

    asyncio.run(play())


def test_a_guard_decides_also_when_there_is_no_room_for_readings(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path, size_max_bytes=2_000_000)
        with pytest.raises(SpoolFull):
            while True:
                gate.spool.append(bytes(10_000))
        token = await gate.sign_in()
        for number in range(5):
            gate.passes(f"p{number}", 38.6)
            (person,) = await gate.stopped()
            about = {"token": token, "alarm": person["id"], "disposition": "refuse", "note": "火" * 2000}
            await gate.call("/decide", about)
        assert gate.spool.is_full
        with pytest.raises(SpoolFull):
            gate.spool.append(b"a reading")
        gate.spool.close()
        again = Spool(tmp_path / "spool", gate.clock, 2_000_000)
        found = [each.payload for lane in again.lanes for each in lane.read(0, 1000, 10**7)]
        assert sum(b"refuse" in each for each in found) == 5
        again.close()

    asyncio.run(play())


def test_the_reserve_for_decisions_ends(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ManualClock(T0), size_max_bytes=400_000)
    with pytest.raises(SpoolFull):
        while True:
            spool.append_decision(bytes(10_000))
    assert 400_000 <= spool.size_bytes() < 500_000
    spool.close()


def test_what_the_disk_refuses_is_not_decided(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path, size_max_bytes=1)
        gate.passes("p1", 38.6)
        about = {"token": await gate.sign_in(), "alarm": (await gate.stopped())[0]["id"]}
        with pytest.raises(Unavailable):
            await gate.call("/decide", {**about, "disposition": "admit", "note": "normal"})
        assert len(await gate.stopped()) == 1
        assert (await gate.call("/state"))["decided"] == []

    asyncio.run(play())


def test_whoever_is_not_signed_in_or_gives_no_reason_decides_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.passes("p1", 38.6)
        alarm, token = (await gate.stopped())[0]["id"], await gate.sign_in()
        decision = {"token": token, "alarm": alarm, "disposition": "admit", "note": "normal"}
        assert await gate.refusal("/decide", decision | {"token": "x"}) == 401
        assert await gate.refusal("/decide", decision | {"note": " "}) == 400
        assert await gate.refusal("/decide", decision | {"disposition": "eat"}) == 400
        assert await gate.refusal("/decide", decision, "text/plain") == 415
        assert await gate.refusal("/measure", {"token": token, "alarm": alarm, "value": 366, "method": "ear"}) == 400
        assert await gate.refusal("/elsewhere", decision) == 404
        gate.clock.advance(901)
        assert await gate.refusal("/decide", decision) == 401
        assert gate.kept() == []

    asyncio.run(play())


def test_who_passed_and_nobody_decided_about_can_be_decided_on_for_an_hour(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.passes("p1", 38.6)
        gate.clock.advance(301)
        gate.alarms.tick()
        assert ([each["is_lit"] for each in await gate.stopped()], gate.lamps["lamp"]) == ([False], False)
        about = {"token": await gate.sign_in(), "alarm": (await gate.stopped())[0]["id"]}
        await gate.call("/decide", {**about, "disposition": "refer", "note": "went to the doctor"})
        assert (await gate.stopped(), len(gate.kept())) == ([], 1)
        gate.passes("p2", 38.6, 301)
        gate.clock.advance(301)
        gate.alarms.tick()
        gate.clock.advance(3601)
        assert await gate.stopped() == []

    asyncio.run(play())


def test_what_was_decided_is_shown_after_a_restart_and_kept_by_thinning(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.passes("p1", 38.6)
        about = {"token": await gate.sign_in(), "alarm": (await gate.stopped())[0]["id"]}
        await gate.call("/decide", {**about, "disposition": "refer", "note": "went to the doctor"})
        thinner = Thinner(60_000)
        (stored,) = gate.spool.live.read(0, 10, 10**6)
        (thinned,) = [*thinner.take(stored.payload), *thinner.end()]
        assert frames.decode(frames.encode("g", "e", 1, 1, thinned)).decisions
        gate.spool.close()
        again = Gate(tmp_path)
        (shown,) = (await again.call("/state"))["decided"]
        assert (shown["guard"], shown["disposition"], shown["is_sent"]) == ("li", "refer", False)
        (lane,) = [lane for lane in again.spool.lanes if lane.count]
        again.spool.release(lane.epoch, lane.last)
        assert (await again.call("/state"))["decided"][0]["is_sent"] is True

    asyncio.run(play())


def test_a_decision_gets_the_time_that_it_was_once_that_is_known() -> None:
    unplaced = LocalDecision(
        id="01234567",
        rule="fever",
        device="scanner",
        metric="skin_temperature",
        key="t5000",
        onset_ms=5000,
        guard="li",
        decided_ms=9000,
        disposition="admit",
    )
    placed = unplaced.placed(lambda time_ms: time_ms + T0)
    assert (placed.key, placed.onset_ms, placed.decided_ms, placed.asked_ms) == (
        f"t{T0 + 5000}",
        T0 + 5000,
        T0 + 9000,
        None,
    )


def test_whoever_tries_pins_waits_longer_and_longer(tmp_path: Path) -> None:
    async def play() -> None:
        clock, file = ManualClock(T0), tmp_path / "guards.yaml"
        write_guards(file, "li")
        guards = Guards(file, "east", clock)
        for name in ("li", "nobody"):
            for wait_s in (0, 0, 5, 10, 20):
                with pytest.raises(BadInput):
                    await guards.sign_in(name, "0000")
                if wait_s:
                    with pytest.raises(TooManyTries) as waits:
                        await guards.sign_in(name, "738291")
                    assert waits.value.wait_s == wait_s
                    clock.advance(wait_s)
        assert guards.signed_in(await guards.sign_in("li", "738291")) == "li"

    asyncio.run(play())


def test_whoever_tries_for_weeks_waits_a_quarter_of_an_hour_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        file, clock = tmp_path / "guards.yaml", ManualClock(T0)
        write_guards(file, "li")
        guards = Guards(file, "east", clock)
        monkeypatch.setattr(guards, "_is_right", lambda _kept, _pin: False)
        for _ in range(1100):
            with pytest.raises(BadInput):
                await guards.sign_in("li", "0000")
            clock.advance(900)

    asyncio.run(play())


def test_a_guard_who_left_is_gone_without_a_restart(tmp_path: Path) -> None:
    async def play() -> None:
        file = tmp_path / "guards.yaml"
        write_guards(file, "li", "chen")
        guards = Guards(file, "east", ManualClock(T0))
        token = await guards.sign_in("li", "738291")
        write_guards(file, "chen", "wang-and-more")
        assert guards.signed_in(token) is None
        with pytest.raises(BadInput):
            await guards.sign_in("li", "738291")
        write_guards(file, "li", site="another-site")
        with pytest.raises(BadConfiguration, match="another-site"):
            guards.names()
        file.unlink()
        with pytest.raises(BadConfiguration, match="gatehouse user guards"):
            guards.names()

    asyncio.run(play())


def test_the_page_is_served_over_tls_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def play() -> None:
        authority = Authority(tmp_path / "pki", SystemClock())
        authority.create("east")
        authority.issue("gw-east-page", ["127.0.0.1"])
        gate = Gate(tmp_path, certificate=tmp_path / "pki" / "gw-east-page.pem")
        serving = asyncio.create_task(gate.page.run())
        await until(lambda: gate.page.port != 0, "the page")
        context = ssl.create_default_context(cafile=tmp_path / "pki" / "ca.crt")
        size = 0
        for path in ("/", "/page.js"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.page.port, ssl=context)
            writer.write(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
            assert answer.startswith("HTTP/1.1 200 ") and "default-src 'none'" in answer
            assert "http://" not in answer and "https://" not in answer
            size += len(answer)
        assert size <= 40_000
        serving.cancel()
        await asyncio.wait([serving])

    asyncio.run(play())


def test_a_certificate_that_is_none_disables_the_page_and_nothing_else(tmp_path: Path) -> None:
    gate = Gate(tmp_path, certificate=tmp_path / "none.pem")
    with pytest.raises(BadConfiguration, match=r"local_page\.certificate"):
        asyncio.run(gate.page.run())


def test_a_list_of_another_version_does_not_keep_the_gateway_from_starting(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.spool.remember("local-page", b'[{"device": "scanner", "said": 1}]')
    gate.spool.close()
    again = Gate(tmp_path)
    assert asyncio.run(again.call("/state"))["decided"] == []


def test_a_decision_that_a_slow_disk_lets_nobody_wait_for_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.passes("p1", 38.6)
        about = {"token": await gate.sign_in(), "alarm": (await gate.stopped())[0]["id"], "note": "normal"}
        is_well, append = threading.Event(), gate.spool.append_decision

        def slow(columns: bytes) -> tuple[str, int]:
            is_well.wait(20)
            return append(columns)

        monkeypatch.setattr(gate.spool, "append_decision", slow)
        first = asyncio.create_task(gate.call("/decide", {**about, "disposition": "admit"}))
        await until(lambda: gate.page._deciding.locked(), "on its way to the disk")
        first.cancel()  # the listener has waited long enough
        second = asyncio.create_task(gate.refusal("/decide", {**about, "disposition": "refuse"}))
        await asyncio.gather(first, return_exceptions=True)
        is_well.set()
        assert await second == 409
        assert [kept.disposition for kept in gate.kept()] == ["admit"]

    asyncio.run(play())


def test_a_lane_shows_who_passed_last_and_not_what_its_scanner_tells_late(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path)
        gate.clock.advance(100)
        gate.passes("p2", 36.4, 90)
        gate.passes("p1", 36.9, 10)  # kept by the scanner while we were away
        (lane,) = (await gate.call("/state"))["lanes"]
        assert (lane["value"], lane["age_s"]) == (36.4, 10)

    asyncio.run(play())


def test_what_was_before_the_time_was_known_is_not_of_1970_after_it(tmp_path: Path) -> None:
    async def play() -> None:
        gate = Gate(tmp_path, now_ms=0)
        gate.page._uplink.cut_off_ms = 0
        gate.page.take([Reading("scanner", "skin_temperature", 0, 36.5)])
        gate.clock.advance(10)
        before = await gate.call("/state")
        assert (before["cut_off_s"], before["lanes"][0]["age_s"], before["is_placed"]) == (10, 10, False)
        gate.spool.timekeeper.heard(T0 + 10_000)
        gate.clock.advance(5)
        after = await gate.call("/state")
        assert (after["cut_off_s"], after["lanes"][0]["age_s"], after["cut_off_ms"]) == (15, 15, T0)

    asyncio.run(play())
