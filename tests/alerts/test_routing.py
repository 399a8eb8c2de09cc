"""Who is told of what: one path at a time, and then a sink that hears everything and must find it in order."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.alarm import LATE_DATA, Alarm, Transition, What
from alerts.notify.routing import Flood, Router, notice_key
from alerts.notify.sender import Sender
from alerts.notify.upkeep import Upkeep, Wanted
from alerts.notify.words import digest_words, words
from alerts.people import People
from alerts.rule import Severity
from alerts.store import Calling, Notice, Store, notices, transitions
from gatehouse.migrate import migrate
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadInput, Unavailable

T0 = 1_795_000_000_000  # a Wednesday, 19:06:40 in Shanghai
PEOPLE = People.model_validate(
    {
        "people": [
            {"id": "li", "name": "Li", "addresses": {"push": "1", "mail": "li@x"}},
            {"id": "wang", "name": "Wang", "language": "en", "addresses": {"push": "2"}},
            {"id": "chen", "name": "Chen", "addresses": {"push": "3", "mail": "chen@x"}},
        ],
        "rosters": [{"id": "nobody", "shifts": [{"from": "03:00", "to": "03:01", "people": ["li"]}]}],
        "routes": [
            {"id": "drains", "duty": ["li", "wang"], "lead": ["chen"], "channels": ["push"], "fallback": ["mail"]},
            {"id": "lonely", "duty": ["nobody"], "lead": ["chen"], "channels": ["push"]},
        ],
    }
)
DRAINS, LONELY = PEOPLE.route["drains"], PEOPLE.route["lonely"]


def document(name: str, severity: Severity, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "rule": "r", "class": "drain", "site": "east", "severity": severity.word, "unit": "m",
        "rule_name": {"en": "Drain full", "zh": "水位过高"}, "place_name": {"en": "Drains / MH 1", "zh": "管网 / 一号井"},
        "why": {"en": "1.5 m is above 1.4 m", "zh": "1.5 m，超过限值 1.4 m"}, "advice": {"en": "Look.", "zh": "查看。"},
        "severity_max": severity.word, "state": "open", "acknowledged": False, "onset_ms": T0, "device": "level-1",
        "value": 1.5, "limit": 1.4, "timezone": "Asia/Shanghai", "key": None,
    } | more  # fmt: skip


@cache
def _template() -> Path:
    """An empty database of this version; made once, copied for every world."""
    folder = Path(mkdtemp(prefix="notices-"))
    migrate(f"sqlite:///{folder}/g.db")
    with closing(open_database(f"sqlite:///{folder}/g.db").raw_connection()) as db:
        db.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "g.db"


class World:
    """A store, a clock, channels that may fail, and what they took."""

    def __init__(
        self, folder: Path, people: People = PEOPLE, route: str = "drains", database_url: str | None = None
    ) -> None:
        if database_url is None:
            shutil.copy(_template(), folder / "g.db")
            database_url = f"sqlite:///{folder}/g.db"
        self.database = open_database(database_url)
        self.clock = ManualClock(T0)
        self.people, self.route = people, people.route[route]
        self.cursor = 0
        self.seq: dict[str, int] = {}
        self.is_open: dict[str, bool] = {}
        self.severity: dict[str, Severity] = {}
        self.taken: list[Notice] = []
        self.answers: dict[str, list[Exception | None]] = {}
        self.restart()

    def restart(self) -> None:
        """What a crash leaves: the database."""
        self.store = Store(self.database)
        channels = ("mqtt", "push", "mail")
        self.senders = {name: Sender(name, _Channel(self, name), self.store, self.clock) for name in channels}
        wanted = Wanted(self.people, 0, lambda document: self.route, lambda rule: ())
        self.upkeep = Upkeep(self.database, self.clock, lambda: wanted, lambda: None)

    def step(
        self,
        what: What,
        *,
        alarm: str = "a1",
        severity: Severity | None = None,
        quiet: str | None = None,
        step: int | None = None,
        reason: str = "r",
        age_ms: int = 0,
        crash: bool = False,
        acknowledged: bool = False,
    ) -> None:
        severity = severity or self.severity.get(alarm, Severity.HIGH)
        self.severity[alarm] = severity
        self.is_open[alarm] = not what.is_end
        number = self.seq[alarm] = self.seq.get(alarm, 0) + 1
        now_ms = self.clock.now_ms()
        taken = Transition(alarm, number, what, severity, now_ms - age_ms, now_ms, reason, quiet=quiet, step=step)
        state = "open" if self.is_open[alarm] else "closed"
        shown = document(alarm, severity, state=state, acknowledged=acknowledged or what is What.ACKNOWLEDGED)
        row = Alarm(
            alarm, "r", "drain", "east", "p", "level-1", "level", None, severity, severity, number, T0, T0, 1.5, 1.4
        )
        row.closed_ms = now_ms if what.is_end else None
        self.cursor += 1
        channels: dict[str, tuple[str, ...]] = {alarm: ()}
        answers: dict[str, str] = {}
        given = ([taken], {alarm: row}, {alarm: shown}, channels, answers)
        self.store.apply(self.cursor, *given, Calling(self.people, {alarm: self.route}))
        if crash:  # between the commit and everything after it: the same is judged and stored again
            self.restart()
            self.store.apply(self.cursor, *given, Calling(self.people, {alarm: self.route}))

    def send(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            for sender in self.senders.values():
                sender.step()
            self.upkeep.step()
            self.clock.advance(1)

    def rows(self, **wanted: str) -> list[Any]:
        query = sa.select(notices).where(notices.c.recipient != "").order_by(notices.c.id)
        for name, value in wanted.items():
            query = query.where(notices.c[name] == value)
        with self.database.connect() as db:
            return list(db.execute(query))

    def told(self, **wanted: str) -> list[tuple[int, str, str]]:
        return [(row.seq, row.recipient, row.channel) for row in self.rows(**wanted)]


class _Channel:
    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    def deliver(self, notice: Notice) -> None:
        answers = self._world.answers.get(self._name)
        answer = answers.pop(0) if answers else None
        if answer is not None:
            raise answer
        self._world.taken.append(notice)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path, database_url=database_url)
    yield made
    made.database.dispose()


def test_who_is_on_duty_is_called_then_the_lead_and_all_of_them_hear_the_end_once(world: World) -> None:
    world.step(What.RAISED)
    world.step(What.ESCALATED, step=1)
    world.step(What.ACKNOWLEDGED)
    world.step(What.RETURNED)
    assert world.told() == [
        (1, "li", "push"), (1, "wang", "push"), (2, "chen", "push"),
        (4, "li", "push"), (4, "wang", "push"), (4, "chen", "push"),
    ]  # fmt: skip
    assert len({row.key for row in world.rows()}) == 6


def test_a_key_names_alarm_step_channel_recipient_and_step_of_the_ladder(world: World) -> None:
    world.step(What.RAISED)
    assert world.rows()[0].key == "a1/1/push/li/0"


def test_nobody_is_called_for_a_quiet_step_and_who_was_not_called_is_not_paged_the_end(world: World) -> None:
    world.step(What.RAISED, quiet="shelved")
    world.step(What.SEVERITY_UP, quiet="shelved")
    world.send(120)
    assert world.told() == []
    world.step(What.RETURNED)
    assert {(row.sort, row.state) for row in world.rows()} == {("line", "held")}
    world.send(61)
    assert [(n.sort, n.recipient) for n in world.taken if n.recipient] == [("digest", "li"), ("digest", "wang")]


def test_what_is_unmasked_is_told_with_its_true_onset(world: World) -> None:
    world.step(What.RAISED, quiet="maintenance")
    world.clock.advance(7200)
    world.step(What.UNMASKED)
    (row, *_) = world.rows()
    assert "2026-11-18 19:06:40" in row.text
    assert "屏蔽已解除" in row.text
    assert row.seq == 2


def test_what_is_taken_back_is_told_to_those_who_were_called(world: World) -> None:
    world.step(What.RAISED)
    world.step(What.RETURNED, reason="retracted-by-late-data")
    ends = world.rows(sort="end")
    assert [row.recipient for row in ends] == ["li", "wang"]
    assert "撤回" in ends[0].text
    assert "taken back" in ends[1].text


def test_after_it_was_reopened_its_end_is_told_again(world: World) -> None:
    for what in (What.RAISED, What.RETURNED, What.REOPENED, What.RETURNED):
        world.step(what)
    assert [row.seq for row in world.rows(recipient="li")] == [1, 2, 3, 4]


@pytest.mark.parametrize(("reason", "said"), [("again", "恢复后再次告警"), (LATE_DATA, "补传数据表明告警并未结束")])
def test_what_is_back_is_told_from_what_was_never_over(world: World, reason: str, said: str) -> None:
    for what in (What.RAISED, What.RETURNED):
        world.step(what)
    world.step(What.REOPENED, reason=reason)
    assert said in world.rows(recipient="li")[-1].text


def test_that_it_comes_and_goes_is_told_once_to_people_and_systems_and_put_back_where_it_is_missing(
    world: World,
) -> None:
    world.step(What.RAISED)
    world.step(What.FLAPPING, reason="comes-and-goes")
    calls = world.rows(sort="call")
    assert [(row.seq, row.recipient) for row in calls] == [(1, "li"), (1, "wang"), (2, "li"), (2, "wang")]
    assert "反复波动" in calls[2].text
    assert "comes and goes" in calls[3].text
    before = {row.key for row in world.rows()}
    with world.database.begin() as db:
        db.execute(notices.delete().where(notices.c.key == calls[2].key))
    assert world.upkeep.reconcile(world.clock.now_ms()) == 1
    assert {row.key for row in world.rows()} == before
    world.step(What.RETURNED)
    assert [(row.seq, row.recipient) for row in world.rows(sort="end")] == [(3, "li"), (3, "wang")]


def test_that_it_comes_and_goes_is_told_to_the_systems_of_its_rule() -> None:
    taken = Transition("a1", 2, What.FLAPPING, Severity.HIGH, T0, T0, "comes-and-goes")
    router = Router(PEOPLE, {}, {"a1": document("a1", Severity.HIGH)}, {"a1": ("pager",)}, {}, {})
    assert [row["channel"] for row in router.notices([taken])] == ["mqtt", "pager"]
    masked = msgspec.structs.replace(taken, quiet="maintenance")
    assert [row["channel"] for row in router.notices([masked])] == ["mqtt"]


def test_where_nobody_is_on_duty_the_next_step_is_called(tmp_path: Path) -> None:
    world = World(tmp_path, route="lonely")
    world.step(What.RAISED)
    assert world.told() == [(1, "chen", "push")]


def test_a_text_says_what_where_value_since_why_now_and_what_to_do_in_the_recipients_language(world: World) -> None:
    world.step(What.RAISED)
    chinese, english = world.rows()
    for part in ("[高] 水位过高", "一号井", "超过限值 1.4 m", "2026-11-", "新告警", "查看。", "1.5 m（0 秒前）"):
        assert part in chinese.text, part
    for part in ("[high] Drain full", "MH 1", "above 1.4 m", "2026-11-", "new alarm", "Look.", "1.5 m, 0 s old"):
        assert part in english.text, part


@pytest.mark.parametrize(
    ("rule_type", "unit", "said"),
    [("forecast", "m", "12 min, 0 s old"), ("rate", "m", "12 m/min, 0 s old"), ("stuck", "h", "12 h, 0 s old")],
)
def test_a_number_that_is_not_the_metrics_own_is_told_in_its_own_unit(rule_type: str, unit: str, said: str) -> None:
    taken = Transition("a1", 1, What.RAISED, Severity.HIGH, T0, T0, "r")
    shown = document("a1", Severity.HIGH, rule_type=rule_type, unit=unit, value=12.0)
    assert said in words(taken, shown, "en", {})[1]


@pytest.mark.parametrize("text", ["{nothing}", "{", "{0}", "{what.x}", "{what!z}"])
def test_a_template_that_fails_gives_the_plain_text(tmp_path: Path, text: str) -> None:
    # As they come out of a journal that another version wrote: at loading they are refused.
    templates = {"zh": {"title": "!", "text": text}, "en": {"title": "T {what}", "text": "{reason}"}}
    people = PEOPLE.model_copy(update={"templates": People.model_validate({"templates": templates}).templates})
    world = World(tmp_path, people)
    world.step(What.RAISED)
    chinese, english = world.rows()
    assert "新告警" in chinese.text
    assert (english.title, english.text) == ("T [high] Drain full", "new alarm")


def test_a_flood_begins_above_ten_in_ten_minutes_and_ends_below_five() -> None:
    flood = Flood()
    begins = [flood.call(second * 1000) for second in range(12)]
    assert begins == [False] * 10 + [True, False]
    assert not flood.call(300_000)
    assert flood.is_on
    flood.call(600_000 + 7_000)  # 8 to 11, 300: five are left
    assert flood.is_on
    flood.call(1_300_000)
    assert not flood.is_on


def test_in_a_flood_only_critical_alarms_are_told_one_by_one_and_nothing_is_dropped(world: World) -> None:
    for number in range(30):
        world.step(What.RAISED, alarm=f"a{number:02}")
    world.step(What.RAISED, alarm="worst", severity=Severity.CRITICAL)
    for number in range(30):
        world.step(What.RETURNED, alarm=f"a{number:02}")
    world.send(70)
    mine = [notice for notice in world.taken if notice.recipient == "li"]
    assert Counter(notice.sort for notice in mine) == {"call": 11, "flood": 1, "digest": 1}
    (digest,) = [notice for notice in mine if notice.sort == "digest"]
    assert len(digest.body["notices"]) == 20 + 30
    assert "管网 · 排水（50 条）" in digest.text
    assert digest.title == "告警汇总：50 条"
    assert all(row.state in ("delivered", "digested") for row in world.rows())


def test_a_flood_outlives_a_crash(world: World) -> None:
    for number in range(12):
        world.step(What.RAISED, alarm=f"a{number:02}", crash=number == 11)
    world.restart()
    world.step(What.RAISED, alarm="later")
    assert world.rows(alarm="later")[0].state == "held"
    assert len(world.rows(sort="flood")) == 2  # one for each recipient


def test_what_can_wait_comes_as_a_list_in_business_hours(world: World) -> None:
    world.step(What.RAISED, severity=Severity.LOW)
    world.send(5)
    assert world.taken == [n for n in world.taken if not n.recipient]
    (held, _) = world.rows()
    world.clock.advance((held.due_ms - world.clock.now_ms()) / 1000)
    assert (held.due_ms // 1000 + 8 * 3600) % 86_400 == 8 * 3600 + 1800
    world.send(2)
    assert [n.sort for n in world.taken if n.recipient] == ["digest", "digest"]


def test_what_is_stuck_goes_by_the_next_channel_too(world: World) -> None:
    world.answers["push"] = [Unavailable("down")] * 500
    world.step(What.RAISED, severity=Severity.CRITICAL)
    world.send(29)
    assert world.rows(channel="mail") == []
    world.send(3)
    assert [(n.recipient, n.body["of"]) for n in world.taken if n.recipient] == [("li", "a1/1/push/li/0")]


def test_what_is_refused_for_good_goes_by_the_next_channel_at_once_and_is_an_alarm(world: World) -> None:
    world.answers["push"] = [BadInput("notice-refused", "no such number")]
    world.step(What.RAISED)
    world.send(3)
    assert [n.recipient for n in world.taken if n.recipient] == ["wang", "li"]
    ((_, body),) = world.store.waiting_commands()
    assert (body["action"], body["alarm"]) == ("channel-fails", "push/li")


def test_a_channel_that_fails_for_long_says_so_once(world: World) -> None:
    world.answers["push"] = [Unavailable("down")] * 22
    world.step(What.RAISED)
    world.send(400)
    asked = [(body["action"], body["alarm"]) for _, body in world.store.waiting_commands()]
    assert asked == [("channel-fails", "push")]


def test_a_lost_row_heals_and_healing_twice_changes_nothing(world: World) -> None:
    world.step(What.RAISED)
    world.step(What.RAISED, alarm="a2")
    world.step(What.RETURNED, alarm="a2")
    before = {row.key for row in world.rows()}
    assert world.upkeep.reconcile(world.clock.now_ms()) == 0
    for key in sorted(before):
        if key.startswith("a2/1"):
            continue  # who has no call on record is owed no end
        with world.database.begin() as db:
            db.execute(notices.delete().where(notices.c.key == key))
        assert world.upkeep.reconcile(world.clock.now_ms()) == 1, key
        assert {row.key for row in world.rows()} == before
        assert world.upkeep.reconcile(world.clock.now_ms()) == 0


def test_a_flood_is_over_with_the_first_call_before_which_four_came_in_ten_minutes() -> None:
    for count, is_over in ((4, True), (5, False)):
        flood = Flood()
        for second in (*range(11), *range(300, 300 + count)):
            flood.call(second * 1000)
        assert flood.is_on
        flood.call(700_000)
        assert flood.is_on is not is_over


def test_an_alarm_that_was_seen_while_it_was_masked_calls_nobody_when_it_is_unmasked(world: World) -> None:
    world.step(What.RAISED, quiet="shelved")
    world.step(What.ACKNOWLEDGED)
    world.step(What.UNMASKED, acknowledged=True)
    assert world.told() == []


def test_what_was_over_before_it_was_known_is_a_line_and_no_call(world: World) -> None:
    taken = [
        Transition("a1", seq, what, Severity.HIGH, T0 - 60_000, T0, LATE_DATA)
        for seq, what in enumerate((What.RAISED, What.RETURNED), 1)
    ]
    row = Alarm(
        "a1", "r", "drain", "east", "p", "level-1", "level", None, Severity.HIGH, Severity.HIGH, 2, T0, T0, 1.5, 1.4
    )
    shown = document("a1", Severity.HIGH, state="closed")
    world.store.apply(1, taken, {"a1": row}, {"a1": shown}, {"a1": ()}, {}, Calling(PEOPLE, {"a1": DRAINS}))
    assert {row.sort for row in world.rows()} == {"line"}


def test_a_digest_is_in_the_language_of_whom_it_is_for_also_where_it_tells_of_ends_alone(world: World) -> None:
    for number in range(12):
        world.step(What.RAISED, alarm=f"a{number:02}")
    world.send(70)
    world.step(What.RETURNED, alarm="a00")
    world.send(70)
    last = {notice.recipient: notice for notice in world.taken if notice.sort == "digest"}
    assert last["wang"].title == "Alarms: 1 messages in one"
    assert "over: readings are good again" in last["wang"].text
    assert last["li"].title == "告警汇总：1 条"


def test_somebody_without_an_address_on_a_steps_channels_is_told_by_one_that_they_have(tmp_path: Path) -> None:
    routes = [{"id": "drains", "duty": ["wang"], "channels": ["mail"]}]
    people = PEOPLE.model_copy(update={"routes": People.model_validate({"routes": routes}).routes})
    people = People.model_construct(**{name: getattr(people, name) for name in People.model_fields})
    world = World(tmp_path, people)
    world.step(What.RAISED)
    assert world.told() == [(1, "wang", "push")]


def test_a_list_for_business_hours_waits_over_the_holidays_of_its_roster(tmp_path: Path) -> None:
    shifts = [{"people": ["li"]}]
    roster = {"id": "day", "shifts": shifts, "holidays": ["2026-11-19"], "holiday_shifts": shifts}
    given = {
        "people": [{"id": "li", "name": "Li", "addresses": {"push": "1"}}],
        "rosters": [roster],
        "routes": [{"id": "drains", "duty": ["day"], "channels": ["push"]}],
    }
    world = World(tmp_path, People.model_validate(given))
    world.step(What.RAISED, severity=Severity.LOW)
    (held,) = world.rows()
    assert (
        datetime.fromtimestamp(held.due_ms / 1000, ZoneInfo("Asia/Shanghai")).isoformat() == "2026-11-20T08:30:00+08:00"
    )


def test_a_key_is_short_enough_to_be_stored_and_no_two_are_one() -> None:
    keys = {notice_key("a" * 20, 1, "c" * 64, "p" * 63 + end, "0") for end in "xyz"}
    assert len(keys) == 3
    assert max(map(len, keys)) <= 120


def test_a_message_that_gets_through_nowhere_goes_by_each_channel_once(world: World) -> None:
    for channel in ("push", "mail"):
        world.answers[channel] = [Unavailable("down")] * 5000
    world.step(What.RAISED, severity=Severity.CRITICAL)
    world.send(200)
    assert world.told(recipient="li") == [(1, "li", "push"), (1, "li", "mail")]


def test_what_other_rules_decided_is_not_put_back(world: World) -> None:
    world.step(What.RAISED)
    with world.database.begin() as db:
        db.execute(notices.delete())
    wanted = Wanted(world.people, T0 + 1, lambda document: world.route, lambda rule: ())
    assert Upkeep(world.database, world.clock, lambda: wanted, lambda: None).reconcile(T0 + 2) == 0


def test_a_digest_of_forty_lines_is_whole_and_of_more_it_says_how_many() -> None:
    body = {"what": "raised", "reason": "r", "alarm": document("a1", Severity.HIGH)}
    assert "more" not in digest_words([body] * 40, "en")[1]
    assert digest_words([body] * 41, "en")[1].endswith("… and 1 more")


# --- the sink ---------------------------------------------------------------------------------------------------------


def judge(taken: Sequence[Notice]) -> None:
    """Every recipient hears, of every alarm, calls and then exactly one end; the same message under one key, or `of`."""
    unique: dict[str, tuple[str, str, str, int]] = {}
    for notice in taken:
        items: list[Mapping[str, Any]] = [notice.body]
        if notice.sort == "digest":
            items = notice.body["notices"]
        for item in items:
            if notice.sort == "flood" or not notice.recipient:
                continue
            key = item.get("of") or (item["key"] if notice.sort == "digest" else notice.key)
            sort = item["sort"] if notice.sort == "digest" else notice.sort
            said = (notice.recipient, item["alarm"]["id"], sort, int(key.split("/")[1]))
            assert unique.setdefault(key, said) == said, "one key, two messages"
    steps: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for recipient, alarm, sort, seq in unique.values():
        steps.setdefault((recipient, alarm), []).append((seq, sort))
    for who, heard in steps.items():
        sorts = [sort for _, sort in sorted(heard)]
        is_called = False
        for sort in sorts:
            if sort == "line":  # it came and went unseen; it may be reopened after that
                assert not is_called, (who, sorts)
                continue
            assert sort in ("call", "end"), (who, sorts)
            assert sort == "call" or is_called, f"{who}: an end without a call: {sorts}"
            is_called = sort == "call"
        assert not is_called, f"{who}: called, and never told that it is over: {sorts}"


MIDDLE = [
    What.SEVERITY_UP, What.SEVERITY_DOWN, What.ACKNOWLEDGED, What.COMMENTED, What.AMENDED, What.ASSIGNED,
    What.ESCALATED, What.REALARMED, What.REMINDED, What.EXHAUSTED, What.UNMASKED, What.RETURNED, What.FLAPPING,
]  # fmt: skip
EVENTS = st.tuples(
    st.integers(0, 3),  # which alarm
    st.sampled_from(MIDDLE),
    st.sampled_from([Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]),
    st.booleans(),  # a crash after it
    st.sampled_from([None, None, None, "shelved"]),
    st.sampled_from(["", "", "down", "refused", "lying"]),  # how the channels do
    st.sampled_from([0, 1, 40, 130]),  # seconds until the next
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=4, max_size=20), st.integers(0, 1000))
def test_every_raise_gets_exactly_one_end_for_each_recipient(events: list[Any], seed: int) -> None:
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for number, what, severity, crash, quiet, trouble, pause_s in events:
            alarm = f"a{number}"
            if not world.is_open.get(alarm):
                what = What.REOPENED if alarm in world.seq else What.RAISED
            if trouble == "down":
                world.answers["push"] = [Unavailable("down")] * rng.randint(1, 4)
            elif trouble == "refused":
                world.answers[rng.choice(["push", "mail"])] = [BadInput("notice-refused", "no")]
            elif trouble == "lying":  # takes it, and says that it has not
                world.answers["push"] = []
            world.step(what, alarm=alarm, severity=severity, quiet=quiet, step=rng.randint(0, 3), crash=crash)
            world.send(min(pause_s, 3))
            world.clock.advance(max(0, pause_s - 3))
        for alarm, is_open in list(world.is_open.items()):
            if is_open:
                world.step(What.RETURNED, alarm=alarm)
        world.answers.clear()
        for pause_s in (70, 70, 36 * 3600):  # the longest pause between two attempts; the next business day
            world.clock.advance(pause_s)
            world.send(3)
        assert {row.state for row in world.rows()} <= {"delivered", "digested", "failed"}
        refused = {row.key for row in world.rows(state="failed")}
        with world.database.connect() as db:
            assert len(set(db.execute(sa.select(transitions.c.alarm)).scalars())) == len(world.seq)
        # What a channel refused for good was said by it as far as anybody can: it counts as heard.
        heard = [*world.taken, *(_as_notice(row) for row in world.rows() if row.key in refused)]
        judge(heard)
        world.database.dispose()


def _as_notice(row: Any) -> Notice:
    return Notice(row.id, row.key, row.attempts, row.created_ms, row.body, row.recipient, "", "", row.sort)
