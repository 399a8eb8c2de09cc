from firmware_sim.truth import ExpectedAlarm

from gatehouse.verdict import RaisedAlarm, match


def expected(**changes: object) -> ExpectedAlarm:
    given = {"rule": "r", "device": "d", "key": None, "from_ms": 100, "by_ms": 200, "must": True}
    return ExpectedAlarm(**(given | {"stays_open_until_ms": None, "note": "n"} | changes))  # type: ignore[arg-type]


def raised(at: int, closed: int | None = None, **changes: str) -> RaisedAlarm:
    given = {"id": f"{at}", "rule": "r", "device": "d", "key": None} | changes
    return RaisedAlarm(**given, raised_ms=at, closed_ms=closed)  # type: ignore[arg-type]


def test_an_alarm_in_its_window_is_neither_missed_nor_extra() -> None:
    assert match([expected()], [raised(150)]) == ([], [])


def test_what_was_due_and_never_came_is_missed() -> None:
    missed, extra = match([expected()], [raised(250)])
    assert (len(missed), len(extra)) == (1, 1)
    assert len(match([expected()], [raised(150, device="e")])[0]) == 1
    assert len(match([expected(key="k")], [raised(150)])[0]) == 1


def test_what_may_come_need_not_and_is_not_extra() -> None:
    assert match([expected(must=False)], []) == ([], [])
    assert match([expected(must=False)], [raised(150)]) == ([], [])


def test_an_alarm_that_closed_too_early_is_missed() -> None:
    entry = expected(stays_open_until_ms=1000)
    assert match([entry], [raised(150)]) == ([], [])
    assert len(match([entry], [raised(150, closed=900)])[0]) == 1


def test_one_still_open_from_before_counts() -> None:
    early = expected(from_ms=0, by_ms=60, must=False)
    assert match([early, expected()], [raised(50)]) == ([], [])
    assert len(match([early, expected()], [raised(50, closed=80)])[0]) == 1
