"""Issued bills as they are stored."""

import threading

import pytest
import sqlalchemy as sa

from api.dormitories.bill import Bill
from api.dormitories.bills import AlreadyIssued, Bills, Overtaken
from telemetry.database import DATABASE_AWAY


def bill(month: str) -> Bill:
    return Bill(
        building="dorm", month=month, tariffs=(), rooms=(), public=(), corrections=(), fen=0, inputs_hash="0" * 64
    )


def test_a_month_has_one_bill_and_each_is_of_when_the_others_were_known(database: sa.Engine) -> None:
    bills = Bills(database)
    bills.issue(bill("2026-09"), "li", 1, [])
    with pytest.raises(Overtaken):
        bills.issue(bill("2026-10"), "li", 2, [])
    bills.issue(bill("2026-10"), "li", 2, ["2026-09"])
    bills.issue(bill("2026-08"), "li", 2, ["2026-10", "2026-09"])
    with pytest.raises(AlreadyIssued):
        bills.issue(bill("2026-10"), "wang", 3, bills.months("dorm"))
    assert bills.months("dorm") == ["2026-10", "2026-09", "2026-08"]


def test_of_two_months_that_are_issued_at_once_one_is_looked_at_again(database: sa.Engine) -> None:
    """Each might carry the corrections of the months before them: nobody pays these twice."""
    both, refused = threading.Barrier(2), list[str]()

    def meanwhile(_db: object, _cursor: object, statement: str, *_: object) -> None:
        if "dormitory_bill" in statement:
            try:
                both.wait(1.0)
            except threading.BrokenBarrierError:
                pass  # the other waits until this one is done

    def issue(month: str) -> None:
        try:
            Bills(database).issue(bill(month), "li", 1, [])
        except (Overtaken, *DATABASE_AWAY):
            refused.append(month)

    sa.event.listen(database, "after_cursor_execute", meanwhile)
    threads = [threading.Thread(target=issue, args=(month,)) for month in ("2026-09", "2026-10")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert len(Bills(database).months("dorm")) == 1
