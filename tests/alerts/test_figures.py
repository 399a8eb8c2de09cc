from alerts.alarm import Alarm, Transition, What
from alerts.figures import Annunciation, Figures, Told, figures
from alerts.outcome import Outcome
from alerts.people import People
from alerts.record import figures_of
from alerts.rule import Severity
from alerts.store import Calling, Store
from telemetry.database import open_database

DAY = 86_400_000
T0 = 1_795_000_000_000


def told(number: int, onset_ms: int, *, is_open: bool = False, outcome: Outcome | None = None, rule: str = "r") -> Told:
    return Told(f"a{number}", rule, "d", Severity.LOW, onset_ms, is_open, outcome, (onset_ms,))


def value(found: Figures, what: str, operator: str | None = None) -> float:
    rows = found.alarms if operator is None else found.operators[operator]
    return next(figure.value for figure in rows if figure.what == what)


def test_annunciations_are_counted_by_operator() -> None:
    calls = [Annunciation("role:guard", n * 1000) for n in range(12)] + [Annunciation("site:east", 0)]
    found = figures(calls, [], 0, DAY)
    assert value(found, "annunciations a day, mean", "role:guard") == 12
    assert value(found, "most in 10 minutes", "role:guard") == 12
    assert value(found, "time in flood", "role:guard") > 0
    assert value(found, "time in flood", "site:east") == 0


def test_what_stands_for_more_than_a_day_is_stale_whenever_it_was_raised() -> None:
    found = figures([], [told(1, -2 * DAY, is_open=True), told(2, DAY // 2, is_open=True)], 0, DAY)
    assert value(found, "standing now") == 2
    assert value(found, "stale: open for more than 24 h") == 1
    assert value(found, "alarms raised") == 1


def test_precision_is_of_those_that_were_called_true_or_false() -> None:
    said = [Outcome.TRUE, Outcome.TRUE, Outcome.NO_ACTION, Outcome.FALSE, Outcome.TEST, None]
    found = figures([], [told(n, n, outcome=outcome) for n, outcome in enumerate(said)], 0, DAY)
    assert found.outcomes["r"]["precision"] == 0.75
    assert found.outcomes["r"]["test"] == 1


def test_the_most_frequent_come_first_with_their_share() -> None:
    found = figures([], [told(1, 1), told(2, 2), told(3, 3, rule="other")], 0, DAY)
    assert [(share.what, share.alarms) for share in found.top_rules] == [("r", 2), ("other", 1)]


def test_an_alarm_counts_by_the_worst_that_it_was(database_url: str) -> None:
    database = open_database(database_url)
    about = ("a1", "full", "drain", "east", "mh-1", "level-1", "level", None)
    alarm = Alarm(*about, Severity.LOW, Severity.CRITICAL, 3, T0, T0, 0.2, 1.4, closed_ms=T0 + 3000)
    steps = [(What.RAISED, Severity.CRITICAL), (What.SEVERITY_DOWN, Severity.LOW), (What.RETURNED, Severity.LOW)]
    taken = [
        Transition("a1", seq, what, severity, T0 + 1000 * seq, T0 + 1000 * seq, "r")
        for seq, (what, severity) in enumerate(steps, 1)
    ]
    document = {"id": "a1", "site": "east", "state": "closed", "severity": "low", "severity_max": "critical"}
    Store(database).apply(1, taken, {"a1": alarm}, {"a1": document}, {"a1": ()}, {})
    found = figures_of(database, T0, T0 + DAY)
    database.dispose()
    assert value(found, "priority high") == 100


def test_what_stands_for_a_day_is_not_stale_and_for_longer_it_is() -> None:
    for hours, stale in ((24, 0), (25, 1)):
        found = figures([], [told(1, 2 * DAY - hours * DAY // 24, is_open=True)], 0, 2 * DAY)
        assert value(found, "stale: open for more than 24 h") == stale


def test_whom_nobody_was_called_for_is_no_annunciation(database_url: str) -> None:
    database = open_database(database_url)
    for number, quiet in enumerate((None, "shelved")):
        name = f"a{number}"
        about = (name, "full", "drain", "east", "mh-1", "level-1", "level", None)
        alarm = Alarm(*about, Severity.HIGH, Severity.HIGH, 1, T0, T0, 1.5, 1.4)
        raised = Transition(name, 1, What.RAISED, Severity.HIGH, T0, T0, "r", quiet=quiet)
        document = {"id": name, "site": "east", "state": "open", "severity": "high", "severity_max": "high"}
        Store(database).apply(number + 1, [raised], {name: alarm}, {name: document}, {name: ()}, {})
    found = figures_of(database, T0, T0 + DAY)
    database.dispose()
    assert value(found, "annunciations a day, mean", "site:east") == 1


def test_what_a_role_was_called_for_at_another_site_is_not_counted(database_url: str) -> None:
    people = People.model_validate(
        {
            "people": [{"id": "li", "name": "Li", "addresses": {"push": "1"}}],
            "routes": [{"id": "drains", "duty": ["li"], "channels": ["push"]}],
        }
    )
    database = open_database(database_url)
    for number, site in enumerate(("east", "west", "west")):
        name = f"a{number}"
        about = (name, "full", "drain", site, "mh-1", "level-1", "level", None)
        alarm = Alarm(*about, Severity.HIGH, Severity.HIGH, 1, T0, T0, 1.5, 1.4)
        raised = Transition(name, 1, What.RAISED, Severity.HIGH, T0, T0, "r")
        document = {
            "id": name,
            "rule": "full",
            "site": site,
            "state": "open",
            "severity": "high",
            "severity_max": "high",
        }
        calling = Calling(people, {name: people.route["drains"]})
        Store(database).apply(number + 1, [raised], {name: alarm}, {name: document}, {name: ()}, {}, calling)
    for sites, count in ((["east"], 1), (None, 3)):
        found = figures_of(database, T0, T0 + DAY, sites)
        assert value(found, "annunciations a day, mean", "role:li") == count
    database.dispose()
