import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from pydantic import HttpUrl

from alerts.alarm import LATE_DATA, Alarm, Transition, What
from alerts.escalation import CHANNEL_FAILS
from alerts.notify.channels import MqttChannel, WebhookChannel, WebhookSettings
from alerts.notify.sender import GIVE_UP_AFTER_MS, Sender
from alerts.rule import Severity
from alerts.store import Notice, Store, alarms, commands, notices
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadInput, Unavailable

HERE = (ip_network("127.0.0.0/8"),)
NOW_MS = 1_795_000_000_000


@dataclass
class Outside:
    """A channel that does as it is told."""

    answers: list[Exception | None] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def deliver(self, notice: Notice) -> None:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append(notice.key)


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def alarm(**changes: object) -> Alarm:
    given = {
        "id": "a1", "rule": "r", "alarm_class": "drain", "site": "east", "place": "mh-1", "device": "level-1",
        "metric": "level", "key": None, "severity": Severity.HIGH, "severity_max": Severity.HIGH, "seq": 1,
        "onset_ms": NOW_MS, "raised_ms": NOW_MS, "value": 1.5, "limit": 1.4,
    }  # fmt: skip
    return Alarm(**(given | changes))  # type: ignore[arg-type]


def tell(
    store: Store,
    *steps: tuple[What, Severity, int],
    channels: tuple[str, ...] = ("pager",),
    reason: str = "r",
    first: int = 1,
) -> bool:
    """Transitions (what, severity, age in ms) of one alarm; whether there were new notices."""
    taken = [
        Transition("a1", number, what, severity, NOW_MS - age_ms, NOW_MS, reason)
        for number, (what, severity, age_ms) in enumerate(steps, first)
    ]
    document = {"id": "a1", "site": "east", "state": "open", "severity": "high"}
    return store.apply(1, taken, {"a1": alarm()}, {"a1": document}, {"a1": channels}, {})


def waiting(database: sa.Engine, channel: str) -> list[tuple[int, str, int]]:
    with database.connect() as db:
        query = sa.select(notices.c.seq, notices.c.state, notices.c.attempts).where(notices.c.channel == channel)
        return [tuple(row) for row in db.execute(query.order_by(notices.c.id))]


def test_a_raise_a_rise_and_the_end_are_told_a_comment_is_not(database: sa.Engine) -> None:
    steps = [(What.RAISED, 3), (What.COMMENTED, 3), (What.SEVERITY_UP, 4), (What.ACKNOWLEDGED, 4), (What.RETURNED, 4)]
    tell(Store(database), *[(what, Severity(severity), 0) for what, severity in steps])
    assert [seq for seq, _, _ in waiting(database, "pager")] == [1, 3, 5]
    assert [seq for seq, _, _ in waiting(database, "mqtt")] == [1, 2, 3, 4, 5]


def test_nobody_is_called_for_what_was_over_long_ago_and_then_its_end_is_not_told_either(database: sa.Engine) -> None:
    tell(Store(database), (What.RAISED, Severity.HIGH, 5 * 3_600_000), (What.RETURNED, Severity.HIGH, 0))
    assert waiting(database, "pager") == []


def test_nobody_is_called_for_what_was_over_before_it_was_known_but_systems_hear_of_it(database: sa.Engine) -> None:
    tell(Store(database), (What.RAISED, Severity.HIGH, 60_000), (What.RETURNED, Severity.HIGH, 0), reason=LATE_DATA)
    assert waiting(database, "pager") == []
    assert [seq for seq, _, _ in waiting(database, "mqtt")] == [1, 2]


def test_what_has_lasted_for_long_when_it_is_learned_of_is_told(database: sa.Engine) -> None:
    tell(Store(database), (What.RAISED, Severity.HIGH, 9 * 3_600_000), reason=LATE_DATA)
    assert [seq for seq, _, _ in waiting(database, "pager")] == [1]


def test_who_was_told_of_an_alarm_is_told_its_end_however_long_ago_it_was(database: sa.Engine) -> None:
    store = Store(database)
    tell(store, (What.RAISED, Severity.HIGH, 0))
    tell(store, (What.RETURNED, Severity.HIGH, 9 * 3_600_000), (What.REOPENED, Severity.HIGH, 0), first=2)
    for channel in ("pager", "mqtt"):
        assert [seq for seq, _, _ in waiting(database, channel)] == [1, 2, 3]


def test_the_same_effects_written_twice_are_told_once(database: sa.Engine) -> None:
    steps = ((What.RAISED, Severity.HIGH, 0), (What.SEVERITY_UP, Severity.CRITICAL, 0))
    assert [tell(Store(database), *steps) for _ in range(2)] == [True, False]  # whether senders are woken
    assert len(waiting(database, "pager")) == 2


def test_a_notice_is_tried_until_it_is_taken_with_the_same_key_and_in_order(database: sa.Engine) -> None:
    store, clock = Store(database), ManualClock(NOW_MS)
    tell(store, (What.RAISED, Severity.HIGH, 0), (What.SEVERITY_UP, Severity.CRITICAL, 0))
    outside = Outside([Unavailable("down"), Unavailable("down")])
    sender = Sender("pager", outside, store, clock)
    for _ in range(12):
        sender.step()
        clock.advance(1)
    assert outside.taken == ["a1/1/pager", "a1/2/pager"]
    assert waiting(database, "pager") == [(1, "delivered", 3), (2, "delivered", 1)]


def test_a_receiver_that_refuses_for_good_is_not_asked_again_and_holds_up_nobody(database: sa.Engine) -> None:
    store = Store(database)
    tell(store, (What.RAISED, Severity.HIGH, 0), (What.SEVERITY_UP, Severity.CRITICAL, 0))
    outside = Outside([BadInput("notice-refused", "HTTP 410")])
    Sender("pager", outside, store, ManualClock(NOW_MS)).step()
    assert outside.taken == ["a1/2/pager"]
    assert waiting(database, "pager")[0][1] == "failed"


def test_after_a_day_in_vain_a_notice_is_given_up_and_says_so(database: sa.Engine) -> None:
    store, clock = Store(database), ManualClock(NOW_MS)
    tell(store, (What.RAISED, Severity.HIGH, 0))
    sender = Sender("pager", Outside([Unavailable("down")] * 2), store, clock)
    sender.step()
    clock.advance(GIVE_UP_AFTER_MS / 1000 + 1)
    sender.step()
    assert waiting(database, "pager") == [(1, "failed", 2)]


def test_a_clock_that_is_set_ahead_while_a_channel_is_away_gives_nothing_up(database: sa.Engine) -> None:
    store = Store(database)
    tell(store, (What.RAISED, Severity.HIGH, 0))
    outside = Outside([Unavailable("down")])
    sender = Sender("pager", outside, store, ManualClock(NOW_MS + 50 * GIVE_UP_AFTER_MS))
    sender.step()
    assert waiting(database, "pager") == [(1, "waiting", 1)]


class Post:
    """A channel to people, of whom some can not be reached now."""

    def __init__(self, *away: str) -> None:
        self.away = set(away)
        self.taken: list[tuple[str, int]] = []

    def deliver(self, notice: Notice) -> None:
        if notice.recipient in self.away:
            raise Unavailable("452 mailbox full")
        self.taken.append((notice.recipient, notice.id))


def calls(database: sa.Engine, *recipients: str) -> None:
    """A waiting notice for each, of an alarm of its own."""
    tell(Store(database), (What.RAISED, Severity.HIGH, 0), channels=())
    row = {"channel": "post", "seq": 1, "sort": "call", "state": "waiting", "attempts": 0}
    row |= {"created_ms": NOW_MS, "due_ms": NOW_MS, "event_ms": NOW_MS, "body": {"what": "raised"}}
    with database.begin() as db:
        first = db.execute(sa.select(sa.func.count()).select_from(notices)).scalar_one()
        like = dict(db.execute(sa.select(alarms).where(alarms.c.id == "a1")).mappings().one())
        for number, recipient in enumerate(recipients, first):
            db.execute(alarms.insert().values(like | {"id": f"b{number}"}))
            told = {"alarm": f"b{number}", "recipient": recipient, "key": f"{recipient}/{number}"}
            db.execute(notices.insert().values(row | told))


def test_whoever_cannot_be_reached_holds_up_nobody_else_however_much_waits_for_them(database: sa.Engine) -> None:
    store, clock, post = Store(database), ManualClock(NOW_MS), Post("li", "wang")
    calls(database, *["li"] * 150, *["wang"] * 150)
    sender = Sender("post", post, store, clock)
    for _ in range(120):  # of seconds: everything that waits has been tried or is due
        sender.step()
        clock.advance(1)
    calls(database, "zhao", "qian", "zhao")
    for _ in range(4):
        sender.step()
        clock.advance(1)
    assert [recipient for recipient, _ in post.taken] == ["zhao", "qian", "zhao"]
    post.away.discard("wang")
    for _ in range(6):
        sender.step()
        clock.advance(1)
    assert len(post.taken) > 3 and {recipient for recipient, _ in post.taken[3:]} == {"wang"}


def test_what_one_person_does_not_take_for_a_day_is_given_up_while_others_are_reached(database: sa.Engine) -> None:
    store, clock, post = Store(database), ManualClock(NOW_MS), Post("li")
    calls(database, "li")
    sender = Sender("post", post, store, clock)
    for _ in range(26):
        calls(database, "zhao")
        for _ in range(4):
            sender.step()
        clock.advance(3600)
    assert waiting(database, "post")[0][1] == "failed"
    assert len(post.taken) == 26


def test_what_fails_for_one_person_alone_is_said_of_that_person_not_of_the_channel(database: sa.Engine) -> None:
    store, clock, post = Store(database), ManualClock(NOW_MS), Post("li", "zhao")
    sender = Sender("post", post, store, clock)

    def said() -> set[tuple[str, str]]:
        """(what, of whom) the engine has been told since it was asked last."""
        with database.begin() as db:
            bodies = db.execute(sa.select(commands.c.body).order_by(commands.c.created_ms)).scalars().all()
            db.execute(commands.delete())
        return {(body["action"], body["alarm"]) for body in bodies}

    def wait(minutes: int) -> None:
        for _ in range(2 * minutes):
            for _ in range(4):
                sender.step()
                clock.advance(7.5)

    calls(database, "li", "zhao")
    wait(4)
    assert (CHANNEL_FAILS, "post") in said()  # as far as anybody can tell
    post.away.discard("zhao")
    wait(4)
    said()
    for _ in range(5):
        calls(database, "zhao")
        wait(3)
    assert said() == {(CHANNEL_FAILS, "post/li")}


def notice(state: str) -> Notice:
    body = {"what": "raised", "reason": "r", "alarm": {"id": "a1", "site": "east", "state": state}}
    return Notice(1, "a1/1/mqtt", 0, NOW_MS, body)


def test_an_open_alarm_is_retained_on_mqtt_and_a_closed_one_removed() -> None:
    said: list[tuple[str, bytes, bool]] = []
    channel = MqttChannel(lambda topic, payload, retained: said.append((topic, payload, retained)))
    channel.deliver(notice("open"))
    channel.deliver(notice("closed"))
    assert [(topic, retained) for topic, _, retained in said] == [("gatehouse/v1/east/alarms/a1", True)] * 2
    assert json.loads(said[0][1])["id"] == "a1"
    assert said[1][1] == b""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[int], list[tuple[str, dict[str, object]]]]]:
    """An HTTP server on the loopback that answers with the statuses it is given."""
    statuses: list[int] = []
    got: list[tuple[str, dict[str, object]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["Idempotency-Key"], body))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", statuses, got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_the_alarm_with_its_key(
    receiver: tuple[str, list[int], list[tuple[str, dict[str, object]]]],
) -> None:
    url, _, got = receiver
    WebhookChannel(WebhookSettings(url=url, allow_networks=HERE)).deliver(notice("open"))  # type: ignore[arg-type]
    ((key, body),) = got
    assert (key, body["key"], body["what"]) == ("a1/1/mqtt", "a1/1/mqtt", "raised")


@pytest.mark.parametrize(
    ("status", "error"), [(500, Unavailable), (429, Unavailable), (404, BadInput), (302, Unavailable)]
)
def test_what_a_webhook_answers_decides_whether_it_is_asked_again(
    receiver: tuple[str, list[int], list[tuple[str, dict[str, object]]]], status: int, error: type[Exception]
) -> None:
    url, statuses, _ = receiver
    statuses.append(status)
    with pytest.raises(error):
        WebhookChannel(WebhookSettings(url=url, allow_networks=HERE)).deliver(notice("open"))  # type: ignore[arg-type]


def test_a_webhook_that_is_away_is_asked_again() -> None:
    with pytest.raises(Unavailable):
        WebhookChannel(WebhookSettings(url=HttpUrl("http://127.0.0.1:9/"), allow_networks=HERE)).deliver(notice("open"))


def test_a_channels_failures_are_counted_from_nought_so_that_the_first_one_shows(database: sa.Engine) -> None:
    Sender("never-tried", Outside([]), Store(database), ManualClock(NOW_MS))
    for outcome in ("delivered", "retried", "failed"):
        labels = {"channel": "never-tried", "outcome": outcome}
        assert REGISTRY.get_sample_value("gatehouse_notices_total", labels) == 0
