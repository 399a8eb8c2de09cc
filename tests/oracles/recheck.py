"""The clock of a second measurement at the gate, from its page: one person, one event after another, whole seconds."""

from dataclasses import dataclass, field


@dataclass
class Stand:
    """What is known of the one person."""

    asked_s: int | None = None
    due_s: int | None = None
    has_measurement: bool = False
    was_called: bool = False
    is_answered: bool = False
    calls: list[int] = field(default_factory=list)  # when each call was due


def follow(stand: Stand, event: str, second: int) -> None:
    """Somebody asks, somebody types in, the gate's thermometer speaks, or time passes."""
    if event == "recheck":
        stand.asked_s, stand.due_s = second, second + 180
        stand.has_measurement = stand.was_called = False
        stand.is_answered = True
    elif event == "measure":
        if stand.asked_s is None:
            return
        stand.is_answered = True
        _measured(stand, second)
    elif event == "ear":
        if stand.asked_s is not None and stand.asked_s <= second <= stand.asked_s + 180:
            _measured(stand, second)
    elif event == "tick" and stand.due_s is not None and second >= stand.due_s and not stand.was_called:
        stand.was_called = True
        stand.is_answered = False
        stand.calls.append(stand.due_s)


def _measured(stand: Stand, second: int) -> None:
    if not stand.has_measurement:
        stand.has_measurement = True
        stand.due_s = second + 120
        stand.was_called = False
