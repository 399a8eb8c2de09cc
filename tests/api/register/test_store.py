"""The register as it is stored: nothing of a person in clear, one entry a request, only counts after the days it is kept."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from api.register.settings import RegisterSettings
from api.register.store import DAY_MS, Register, Stale, Wanted, open_register
from api.register.visit import Measured, Person, Source, State, Visit
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable

NOW = 1_795_000_000_000
NAME = "欧阳测试"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def settings(tmp_path: Path, empty_url: str) -> RegisterSettings:
    return RegisterSettings(url=empty_url, key_file=tmp_path / "keys" / "register.key")


@pytest.fixture
def filed(tmp_path: Path, clock: ManualClock) -> Iterator[Register]:
    """One whose files a test looks into."""
    kept = RegisterSettings(url=f"sqlite:///{tmp_path}/register.db", key_file=tmp_path / "keys" / "register.key")
    made = open_register(kept, clock)
    yield made
    made.close()


@pytest.fixture
def register(settings: RegisterSettings, clock: ManualClock) -> Iterator[Register]:
    made = open_register(settings, clock)
    yield made
    made.close()


def day(days_ago: int = 0) -> str:
    return (datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(days=days_ago)).date().isoformat()


def visit(name_of_row: str, name: str = NAME, days_ago: int = 0, **changed: object) -> Visit:
    person = Person(visitor=name, organisation="水务公司", purpose="检修", department="后勤处", phone="13800001234")
    made = Visit(
        id=name_of_row, seq=1, site="east", gate="gate", day=day(days_ago), state=State.IN, announced_by=None,
        created_ms=NOW, in_ms=NOW - days_ago * DAY_MS, in_by="li", out_ms=None, out_by=None, person=person,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changed)


def everything(register: Register, **more: object) -> list[Visit]:
    wanted = Wanted(None, None, "0000-00-00", "9999-99-99", **more)  # type: ignore[arg-type]
    return register.find(wanted, None, 1000).visits


def in_files(folder: Path, needle: str) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and needle.encode() in file.read_bytes()]


def test_nothing_about_a_person_is_in_the_files_in_clear(filed: Register, tmp_path: Path) -> None:
    filed.add(visit("a"), "r1")
    note = filed.keep_note(f"asked by {NAME}")
    assert filed.note(note) == f"asked by {NAME}"
    assert [each.person for each in everything(filed)] == [visit("a").person]
    for needle in (NAME, "水务公司", "检修", "后勤处", "13800001234"):
        assert in_files(tmp_path, needle) == []
    assert in_files(tmp_path, "gate") != []  # the search can find something


def test_a_request_that_comes_twice_is_one_entry_and_another_under_its_key_is_refused(register: Register) -> None:
    first = register.add(visit("a"), "r1")
    assert register.add(visit("b"), "r1") == first
    assert len(everything(register)) == 1
    with pytest.raises(BadInput, match="another entry"):
        register.add(visit("c", name="Li"), "r1")


def test_who_changes_what_has_moved_on_is_told_and_a_repeated_change_is_one(register: Register) -> None:
    register.add(visit("a"), "r1")

    def left(now: Visit) -> Visit:
        return msgspec.structs.replace(now, state=State.OUT, out_ms=NOW)

    assert register.change("a", 1, "r2", left).seq == 2
    assert register.change("a", 1, "r2", left).seq == 2
    with pytest.raises(Stale) as told:
        register.change("a", 1, "r3", left)
    assert told.value.now.state is State.OUT
    with pytest.raises(BadInput):
        register.change("nobody", 1, "r4", left)


def test_of_two_processes_that_change_a_visit_at_once_the_second_is_told(
    register: Register, settings: RegisterSettings, clock: ManualClock
) -> None:
    other = open_register(settings, clock)
    register.add(visit("a", state=State.ANNOUNCED), "r1")

    def refused(now: Visit) -> Visit:
        other.change("a", 1, "r2", lambda now: msgspec.structs.replace(now, state=State.IN))
        return msgspec.structs.replace(now, state=State.REFUSED)

    with pytest.raises(Stale) as told:
        register.change("a", 1, "r3", refused)
    assert told.value.now.state is State.IN
    assert [each.state for each in everything(register)] == [State.IN]

    def forgotten(now: Visit) -> Visit:
        other.erase(["a"], None)
        return msgspec.structs.replace(now, state=State.OUT)

    with pytest.raises(BadInput, match="no such visit"):
        register.change("a", 2, "r4", forgotten)
    other.close()


def test_of_two_first_visitors_at_once_one_makes_the_key_and_both_are_entered(
    register: Register, settings: RegisterSettings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_register(settings, clock)

    def is_used() -> bool:
        other.add(visit("b", name="Li"), "r2")  # between the look and the making
        return False

    monkeypatch.setattr(register, "_is_used", is_used)
    register.add(visit("a"), "r1")
    assert {each.person.visitor for each in everything(register) if each.person is not None} == {NAME, "Li"}
    assert len(register.keys.all()) == 1
    other.close()


def test_a_passage_is_written_down_for_one_person(register: Register) -> None:
    measured = Measured(36.5, NOW, Source.PASSAGE, "scanner")
    warm = msgspec.structs.replace(visit("a").person or Person("", "", "", ""), temperature=measured)
    register.add(visit("a", person=warm), "r1")
    with pytest.raises(BadInput, match="somebody else"):
        register.add(visit("b", person=warm), "r2")
    typed = msgspec.structs.replace(warm, temperature=msgspec.structs.replace(measured, source=Source.TYPED))
    register.add(visit("c", person=typed), "r3")


def test_a_passage_just_before_midnight_is_no_second_persons_after_it(register: Register) -> None:
    measured = Measured(36.5, NOW, Source.PASSAGE, "scanner")
    warm = msgspec.structs.replace(visit("a").person or Person("", "", "", ""), temperature=measured)
    register.add(visit("a", days_ago=1, person=warm), "r1")
    with pytest.raises(BadInput, match="somebody else"):
        register.add(visit("b", person=warm), "r2")


def test_who_came_in_before_midnight_is_inside_for_the_shift_after_it_and_not_for_ever(
    register: Register, clock: ManualClock
) -> None:
    register.add(visit("a", in_ms=NOW - 600_000), "r1")
    clock.advance(3600)
    handed_over_ms, tomorrow = NOW + 1_800_000, day(-1)
    assert [each.id for each in register.board("gate", tomorrow, handed_over_ms)] == ["a"]
    clock.advance(86_400)
    assert register.board("gate", tomorrow, handed_over_ms) == []


def test_pages_hold_every_visit_once_also_when_only_some_match(register: Register) -> None:
    for number in range(23):
        register.add(visit(f"v{number}", f"Visitor {number % 3}", days_ago=number % 4), f"r{number}")
    for text, count in (("", 23), ("visitor 1", 8), ("1380000", 23), ("nobody", 0)):
        wanted = Wanted(frozenset({"east"}), "gate", day(9), day(), text)
        found, cursor = [], None
        while True:
            page = register.find(wanted, cursor, 4)
            found += page.visits
            cursor = page.next
            if cursor is None:
                break
        assert len(found) == len({each.id for each in found}) == count
        assert [each.day for each in found] == sorted((each.day for each in found), reverse=True)
    assert register.find(Wanted(frozenset({"west"}), None, day(9), day()), None, 9).visits == []
    with pytest.raises(BadInput, match="cursor"):
        register.find(Wanted(None, None, day(9), day()), "x", 9)


def test_after_the_days_it_is_kept_only_counts_remain(register: Register, clock: ManualClock, tmp_path: Path) -> None:
    for number, ago in enumerate((32, 31, 31, 30, 0)):
        register.add(visit(f"v{number}", days_ago=ago), f"r{number}")
    register.add(visit("late", days_ago=31, state=State.ANNOUNCED, in_ms=None), "r9")
    note = register.keep_note("why")
    before = register.counted(None, day(99), day())
    assert register.purge() == 4
    assert sorted(each.id for each in everything(register)) == ["v3", "v4"]
    assert register.counted(None, day(99), day()) == before
    assert [(one["visitors"], one["not_come"]) for one in before] == [(1, 0), (1, 0), (2, 1), (1, 0)]
    assert register.purge() == 0
    assert sum(hourly_purges(register, clock, 40)) == 2
    assert register.note(note) is None
    assert register.counted(None, day(99), day()) == before


def hourly_purges(register: Register, clock: ManualClock, days: int) -> list[int]:
    """Visits that go, each hour."""
    gone = []
    for _ in range(days * 24):
        clock.advance(3600)
        gone.append(register.purge())
    return gone


def test_a_clock_that_stands_years_ahead_takes_no_visit(
    register: Register, settings: RegisterSettings, clock: ManualClock
) -> None:
    for number in range(31):
        register.add(visit(f"v{number}", days_ago=number), f"r{number}")
    note = register.keep_note("why")
    clock.advance(4000 * 86_400)
    # The first look ever, as after an update: nobody had looked at the clock before.
    started = open_register(settings, clock)
    assert started.purge() == 0
    assert sum(hourly_purges(started, clock, 1)) == 1  # a day has passed all the same
    assert started.note(note) == "why"
    clock.advance((NOW + 2 * DAY_MS - clock.now_ms()) / 1000)  # it is set right
    assert started.purge() == 1
    assert len(everything(started)) == 29
    started.close()


def test_a_server_that_was_off_for_months_forgets_after_some_days_or_when_somebody_says_that_its_clock_is_right(
    register: Register, clock: ManualClock
) -> None:
    for number in range(5):
        register.add(visit(f"v{number}", days_ago=number), f"r{number}")
    register.purge()
    clock.advance(60 * 86_400)
    assert sum(hourly_purges(register, clock, 2)) == 0
    assert sum(hourly_purges(register, clock, 2)) == 5
    register.add(visit("late", days_ago=-64), "r9")
    clock.advance(60 * 86_400)
    assert register.purge() == 0
    register.believe_clock()
    assert register.purge() == 1


def test_what_was_entered_while_the_clock_stood_ahead_is_forgotten_in_time(
    register: Register, clock: ManualClock
) -> None:
    register.purge()
    clock.advance(4000 * 86_400)
    register.purge()
    ahead = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date().isoformat()
    register.add(visit("a", day=ahead, created_ms=clock.now_ms(), in_ms=clock.now_ms()), "r1")
    note = register.keep_note("why")
    clock.advance((NOW + 3_600_000 - clock.now_ms()) / 1000)  # it is set right
    register.add(visit("soon", day=day(-20), state=State.ANNOUNCED, in_ms=None), "r2")
    assert register.purge() == 0
    assert {each.id: each.day for each in everything(register)} == {"a": day(), "soon": day(-20)}
    assert sum(hourly_purges(register, clock, 32)) == 1
    assert register.note(note) is None


def test_a_visitor_who_was_refused_is_not_counted_as_one_who_came_in(register: Register) -> None:
    for number, state in enumerate((State.IN, State.OUT, State.REFUSED, State.REFUSED)):
        register.add(visit(f"v{number}", days_ago=31, state=state), f"r{number}")
    for _ in range(2):  # before they are forgotten, and after
        (one,) = register.counted(None, day(99), day())
        assert (one["visitors"], one["refused"]) == (2, 2)
        register.purge()


def test_the_password_of_the_registers_database_is_not_told(tmp_path: Path, clock: ManualClock) -> None:
    url = "postgresql+psycopg://register:geheim@127.0.0.1:1/register"
    with pytest.raises(Unavailable) as told:
        open_register(RegisterSettings(url=url, key_file=tmp_path / "k"), clock)
    assert "127.0.0.1" in str(told.value)
    assert "geheim" not in str(told.value)


def test_what_is_erased_is_not_in_the_file_any_more(filed: Register, tmp_path: Path) -> None:
    filed.add(visit("a"), "r1")
    filed.add(visit("b", "Li"), "r2")
    raw = _sealed_bytes(filed)
    filed.erase(["a"], frozenset({"west"}))
    assert len(everything(filed)) == 2
    assert filed.erase(["a"], frozenset({"east"})) == 1
    left = b"".join(path.read_bytes() for path in tmp_path.glob("register.db*"))
    assert raw["a"] not in left
    assert raw["b"] in left
    assert filed.counted(None, day(1), day())[0]["visitors"] == 2


def test_nothing_of_what_is_taken_back_or_forgotten_is_in_the_files(
    filed: Register, tmp_path: Path, clock: ManualClock
) -> None:
    filed.add(visit("a", state=State.ANNOUNCED, in_ms=None, announced_by="li"), "r1")
    filed.keep_note("why")
    with filed._database.connect() as db:
        note = db.exec_driver_sql("SELECT sealed FROM register_note").scalar_one()
    raw = _sealed_bytes(filed)["a"]
    assert filed.withdraw("a", "li")
    assert raw not in b"".join(path.read_bytes() for path in tmp_path.glob("register.db*"))
    clock.advance(40 * 86_400)
    filed.believe_clock()
    assert filed.purge() == 0
    assert note not in b"".join(path.read_bytes() for path in tmp_path.glob("register.db*"))


def test_what_two_processes_purge_at_once_is_counted_once(
    settings: RegisterSettings, register: Register, clock: ManualClock
) -> None:
    for number in range(3):
        register.add(visit(f"v{number}", days_ago=40), f"r{number}")
    other = open_register(settings, clock)
    purging = threading.Thread(target=other.purge)

    def meanwhile(_db: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "count(*)" in statement and not purging.ident:
            purging.start()
            purging.join(1.0)  # it waits, or is done: the first has counted and not deleted yet

    sa.event.listen(register._database, "after_cursor_execute", meanwhile)
    register.purge()
    purging.join()
    other.close()
    assert everything(register) == []
    assert [one["visitors"] for one in register.counted(None, day(99), day())] == [3]


def _sealed_bytes(register: Register) -> dict[str, bytes]:
    with register._database.connect() as db:
        return {row.id: row.sealed for row in db.exec_driver_sql("SELECT id, sealed FROM register_visit")}


def test_a_rotation_seals_anew_and_lets_an_old_key_go_when_no_backup_needs_it(
    register: Register, clock: ManualClock
) -> None:
    register.add(visit("a"), "r1")
    assert register.rotate() == (1, 0)
    assert len(register.keys.all()) == 2
    assert everything(register)[0].person == visit("a").person
    register.look_at_clock()
    clock.advance(32 * 86_400)
    assert register.rotate() == (1, 0)  # the clock alone says that it is that old
    register.believe_clock()
    assert register.rotate()[1] == 1
    assert len(register.keys.all()) == 3
    assert everything(register)[0].person == visit("a").person


def test_with_the_key_lost_nothing_is_sealed_with_another_and_counts_and_purge_go_on(
    register: Register, settings: RegisterSettings, clock: ManualClock
) -> None:
    register.add(visit("a", days_ago=20), "r1")
    register.keys.file.unlink()
    again = open_register(settings, clock)
    with pytest.raises(Unavailable, match="put the file back"):
        again.add(visit("b"), "r2")
    with pytest.raises(Unavailable, match="alarms and the counts per day work"):
        everything(again)
    assert not settings.key_file.exists()
    assert again.counted(None, day(99), day())[0]["visitors"] == 1
    again.begin_anew()
    again.add(visit("b"), "r2")
    assert [each.person is None for each in everything(again)] == [False, True]
    clock.advance(12 * 86_400)
    again.believe_clock()
    assert again.purge() == 1
    again.close()


def test_a_copy_is_sealed_and_whole(filed: Register, tmp_path: Path, clock: ManualClock) -> None:
    filed.add(visit("a"), "r1")
    filed.copy_to(str(tmp_path / "copy.db"))
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0  # as the register itself
    copy = open_register(RegisterSettings(url=f"sqlite:///{tmp_path}/copy.db", key_file=filed.keys.file), clock)
    assert everything(copy) == everything(filed)
    copy.close()
