"""Rosters from files and over HTTP: who wins, what is remembered, what is refused."""

from pathlib import Path

from alerts.rosterbook import RosterBook
from tests.alerts.test_people import PEOPLE, loaded


def body(people_on: str = "wang", seq: int = 1, roster: str = "guards") -> dict[str, object]:
    document = {"id": "guards", "shifts": [{"people": [people_on]}]}
    return {"roster_id": roster, "seq": seq, "document": document, "actor": "chief", "note": "why"}


def taken(book: RosterBook, command: str = "c", **more: object) -> RosterBook:
    new, why_not = book.take(command, body(**more))  # type: ignore[arg-type]
    assert new is not None, why_not
    return new


def test_what_is_changed_over_http_stays_until_its_declaration_changes(tmp_path: Path) -> None:
    files = loaded(tmp_path)
    book = RosterBook(files, None)
    assert [(each.version, each.origin) for each in book.changes] == [(1, "file")]
    book = taken(book)
    assert [(each.version, each.origin, each.actor) for each in book.changes] == [(2, "api", "chief")]
    again = RosterBook(files, book.kept())
    assert (again.changes, again.version("guards")) == ([], 2)
    assert again.people.roster["guards"].shifts[0].people == ("wang",)
    assert again.people.route == files.route
    declared = RosterBook(loaded(tmp_path, PEOPLE.replace("20:00", "21:00")), again.kept())
    assert [(each.version, each.origin) for each in declared.changes] == [(3, "file")]
    assert declared.people.roster["guards"].shifts[0].people == ("li",)


def test_a_change_that_was_done_is_known_and_one_of_an_older_version_refused(tmp_path: Path) -> None:
    book = taken(RosterBook(loaded(tmp_path), None), "c1")
    assert book.is_done("c1") and not book.is_done("c2")
    assert RosterBook(loaded(tmp_path), book.kept()).is_done("c1")
    new, why_not = book.take("c2", body(seq=1))
    assert (new, why_not) == (None, "the roster has changed: version 2 is in force, yours is based on 1")
    assert book.take("c2", body(roster="cooks"))[1] == "there is no roster 'cooks'"
    assert book.take("c2", body("zhao", seq=2))[1] == "shifts[0].people[0]: there is no person 'zhao'"
