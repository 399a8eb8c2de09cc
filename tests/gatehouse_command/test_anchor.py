"""Once a day the audit's head goes where nobody who can write to the database can write."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from alerts.notify.settings import AnyChannelSettings
from alerts.people import People
from alerts.store import Notice
from api.audit import Anchor, Audit, Wanted, audit
from gatehouse.anchor import Anchoring, AnchorSettings, mistakes_of_anchor
from gatehouse.settings import Settings
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import BadInput, Unavailable

PEOPLE = People.model_validate(
    {
        "people": [
            {"id": "li", "name": "Li", "addresses": {"mail": "li@x"}},
            {"id": "wang", "name": "Wang", "addresses": {"push": "1"}},
        ]
    }
)


class Outside:
    def __init__(self) -> None:
        self.answers: list[Exception | None] = []
        self.taken: list[Notice] = []

    def deliver(self, notice: Notice) -> None:
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer
        self.taken.append(notice)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    made = open_database(database_url)
    yield made
    made.dispose()


def test_it_goes_once_a_day_also_over_restarts_and_what_was_sent_verifies(engine: sa.Engine) -> None:
    clock, outside = ManualClock(1_795_000_000_000), Outside()
    record = Audit(engine, clock)

    def step() -> bool:  # each time as after a restart
        return Anchoring(AnchorSettings(channel="mail", to=("li",)), outside, record, clock).step()

    assert not step()  # there is nothing to anchor yet
    record.record("li", "mask", "level-1", "done", "east")
    outside.answers = [Unavailable("down"), None]
    with pytest.raises(Unavailable):
        step()
    assert [step(), step()] == [True, False]
    clock.advance(86_399)
    assert not step()
    clock.advance(2)
    assert step()
    first, second = outside.taken
    assert (first.recipient, first.body["faults"]) == ("li", [])
    for notice in (first, second):
        number, _, sealed = notice.body["anchor"].partition(":")
        assert record.faults(Anchor(int(number), sealed)) == []
        assert notice.body["anchor"] in notice.text
    assert [row["action"] for row in record.rows()] == ["mask", "audit-anchor", "audit-anchor"]


def test_a_damaged_record_is_said_to_be_and_a_refusal_is_on_record(engine: sa.Engine) -> None:
    clock, outside = ManualClock(1_795_000_000_000), Outside()
    record = Audit(engine, clock)
    for number in range(3):
        record.record("li", "mask", str(number), "done")
    with engine.begin() as db:
        db.execute(sa.text("DROP TRIGGER audit_unchanged" + (" ON audit" if db.dialect.name == "postgresql" else "")))
        db.execute(audit.update().where(audit.c.id == 2).values(subject="x"))
    outside.answers = [BadInput("notice-refused", "550"), None]
    assert Anchoring(AnchorSettings(channel="mail", to=("li", "chen")), outside, record, clock).step()
    assert outside.taken[0].body["faults"] == ["row 2 was changed"]
    assert "(!)" in outside.taken[0].title
    assert "refused" in record.page(Wanted(), 1, None)[0]["outcome"]


def test_who_has_it_does_not_get_it_again_because_somebody_else_cannot_be_reached(engine: sa.Engine) -> None:
    clock, outside = ManualClock(1_795_000_000_000), Outside()
    record = Audit(engine, clock)
    record.record("li", "mask", "level-1", "done")
    anchoring = Anchoring(AnchorSettings(channel="mail", to=("li", "wang", "chen")), outside, record, clock)
    outside.answers = [None, Unavailable("452 mailbox full"), None]
    assert [anchoring.step(), anchoring.step()] == [True, False]
    assert [notice.recipient for notice in outside.taken] == ["li", "chen"]
    (last,) = record.page(Wanted(action="audit-anchor"), 1, None)
    assert last["outcome"] == "not to wang: 452 mailbox full"
    assert "to li, chen" in last["subject"]


def test_a_clock_that_stood_ahead_for_a_while_keeps_no_anchor_back(engine: sa.Engine) -> None:
    outside, ahead, right = Outside(), ManualClock(1_895_000_000_000), ManualClock(1_795_000_000_000)
    Audit(engine, ahead).record("li", "mask", "level-1", "done")
    settings = AnchorSettings(channel="mail", to=("li",))
    assert Anchoring(settings, outside, Audit(engine, ahead), ahead).step()
    anchoring = Anchoring(settings, outside, Audit(engine, right), right)
    assert [anchoring.step(), anchoring.step()] == [True, False]


def test_what_names_nothing_is_said_before_anything_starts() -> None:
    given = {"channels": {"mail": {"type": "mail", "host": "x", "from": "a@b"}}}
    channels: dict[str, AnyChannelSettings] = dict(Settings.model_validate(given).channels)

    def said(**anchor: object) -> list[str]:
        return mistakes_of_anchor(AnchorSettings.model_validate(anchor), channels, PEOPLE)

    assert said(channel="mail", to=["li"]) == []
    assert "not among" in said(channel="post")[0]
    assert "no address" in said(channel="mail", to=["wang"])[0]
    assert "name a person" in said(channel="mail")[0]
