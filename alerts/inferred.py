"""Causes that no device reports: most meters of one bus fall silent together, so it is the bus.

When at least `at_least` and `share` of what hangs on a node (a gateway, a place) have an open alarm of the rules named in
`of`, and the newest of these came, or came back, within `within_s` of each other, the node gets an alarm of its own. It is
over when less than half of that many are left; one that a person has closed does not come again before that. Source:
reference/alarms.md §3.5 (inferred parent).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping

from alerts.alarm import PERSON, Alarm, Effects, What
from alerts.book import AlarmBook
from alerts.program import InferredPlan, Program


class Inferred:
    """What alarms of many come to together."""

    def __init__(self, program: Program, book: AlarmBook) -> None:
        self._book = book
        self._plans, self._rules = program.inferred, program.rules
        self._own = {program.rules[plan.rule].id for plan in self._plans}
        self._of = {program.rules[number].id for plan in self._plans for number in plan.of}

    def judge(self, now_ms: int, effects: Effects, put_aside: MutableMapping[str, list[str]]) -> None:
        """After alarms began or ended: does that make one of a node, or end it?

        Args:
            put_aside: Nodes whose alarm a person has closed while most are still out, by rule; kept up to date.
        """
        if not self._plans:
            return
        begun = (What.RAISED, What.REOPENED)
        changed = [effects.alarms[t.alarm] for t in effects.transitions if t.what in begun or t.what.is_end]
        for alarm in changed:
            if alarm.rule in self._own and alarm.closed_reason == PERSON and alarm.key is not None:
                put_aside.setdefault(alarm.rule, []).append(alarm.key)
        changed = [alarm for alarm in changed if alarm.rule in self._of]
        if not changed:
            return
        for plan in self._plans:
            for node in sorted({plan.node[s] for s in self._series(plan, changed)}):
                self._judge_node(plan, node, now_ms, effects, put_aside)

    def _series(self, plan: InferredPlan, alarms: Iterable[Alarm]) -> Iterable[int]:
        for alarm in alarms:
            series = plan.series.get((alarm.device, alarm.metric))
            if series is not None:
                yield series

    def _judge_node(
        self, plan: InferredPlan, node: str, now_ms: int, effects: Effects, put_aside: MutableMapping[str, list[str]]
    ) -> None:
        members = plan.members[node]
        down = [
            alarm
            for series in members
            for rule in plan.of
            if (alarm := self._book.open.get((rule, series, None))) is not None
        ]
        needed = max(plan.at_least, math.ceil(plan.share * len(members)))
        where = (plan.rule, members[0], node)
        known = self._book.open.get(where)
        if known is not None:
            if len(down) < needed / 2:
                self._book.close(known, What.RETURNED, now_ms, now_ms, "most-are-back", effects)
            return
        seen_to = put_aside.get(self._rules[plan.rule].id, [])
        if node in seen_to:
            if len(down) < needed / 2:
                seen_to.remove(node)
            return
        newest = sorted(down, key=_came_ms, reverse=True)[:needed]
        if len(newest) == needed and _came_ms(newest[0]) - _came_ms(newest[-1]) <= plan.within_ms:
            # The moment from which there were enough: some may have been out before, also in an alarm of it that is over.
            onset_ms = max(map(_began_ms, newest))
            self._book.raise_(
                where, plan.severity, onset_ms, now_ms, now_ms, float(len(down)), effects, reason="many-together"
            )


def _came_ms(alarm: Alarm) -> int:
    """When an alarm was raised, or came back."""
    return max(alarm.raised_ms, _began_ms(alarm))


def _began_ms(alarm: Alarm) -> int:
    return alarm.onset_ms if alarm.ended_before_ms is None else alarm.heights[-1][0]
