"""The uplink's decisions, without a broker and without a clock."""

from __future__ import annotations

import random

import pytest

from gateway.window import Decision, Reason, SendWindow, WindowLimits

LIMITS = WindowLimits(frames_max=4, bytes_max=1000, resend_after_s=5, resend_max_s=30, stalled_after_s=60)


class Sender:
    """A window whose decisions are carried out at once; `broker_takes` acknowledges what is sent."""

    def __init__(self, receipted: int = 0, limits: WindowLimits = LIMITS) -> None:
        self.window = SendWindow(limits, receipted)
        self.broker_takes = True
        self.resent = 0

    def send(self, now_s: float, last: int, size: int = 10) -> list[int]:
        """Every seq that goes out now."""
        seqs: list[int] = []
        while (decision := self.window.decide(now_s, last)).reason.sends:
            for seq in range(decision.after_seq + 1, min(last, decision.after_seq + decision.count_max) + 1):
                self.resent += self.window.sent(seq, size, now_s)
                if self.broker_takes:
                    self.window.taken(now_s)
                seqs.append(seq)
        return seqs


def connected(receipted: int = 0, limits: WindowLimits = LIMITS) -> Sender:
    sender = Sender(receipted, limits)
    sender.window.connected(0)
    return sender


def test_nothing_is_sent_without_a_connection() -> None:
    assert Sender().window.decide(0, last=3) == Decision(Reason.DISCONNECTED)


def test_frames_go_out_in_order_up_to_the_window() -> None:
    sender = connected()
    assert sender.send(0, last=10) == [1, 2, 3, 4]
    assert sender.window.decide(0, last=10).reason is Reason.WINDOW_FULL


def test_a_receipt_opens_the_window_by_what_it_frees() -> None:
    sender = connected()
    sender.send(0, last=10)
    sender.window.receipt(3, 1)
    assert sender.send(1, last=10) == [5, 6, 7]


def test_the_window_is_bounded_in_bytes_too() -> None:
    sender = connected()
    decision = sender.window.decide(0, last=10)
    sender.window.sent(decision.after_seq + 1, 1000, 0)
    assert sender.window.decide(0, last=10).reason is Reason.WINDOW_FULL


def test_a_frame_larger_than_the_window_is_sent_alone() -> None:
    sender = connected()
    assert sender.window.decide(0, last=1).bytes_max == 1000
    sender.window.sent(1, 5000, 0)
    assert not sender.window.decide(0, last=2).reason.sends
    sender.window.receipt(1, 1)
    assert sender.send(1, last=2) == [2]


def test_a_lost_receipt_makes_everything_after_the_last_one_go_again() -> None:
    sender = connected()
    sender.send(0, last=3)
    sender.window.receipt(1, 1)
    assert sender.send(5.9, last=3) == []
    assert sender.send(6, last=3) == [2, 3]
    assert sender.resent == 2


def test_the_patience_doubles_up_to_its_limit_and_a_receipt_ends_that() -> None:
    sender = connected()
    sender.send(0, last=1)
    times = [now for now in range(1, 121) if sender.send(now, last=1)]
    assert times == [5, 15, 35, 65, 95]
    sender.window.receipt(1, 121)
    sender.send(121, last=2)
    assert sender.send(126, last=2) == [2]


def test_a_brokers_acknowledgement_frees_nothing() -> None:
    sender = connected()
    assert sender.send(0, last=10) == [1, 2, 3, 4]
    assert sender.send(4, last=10) == []
    assert sender.send(5, last=10) == [1, 2, 3, 4]


def test_a_reconnect_starts_again_after_the_last_receipt_at_once() -> None:
    sender = connected()
    sender.send(0, last=4)
    sender.window.receipt(2, 1)
    sender.window.disconnected()
    assert sender.send(2, last=4) == []
    sender.window.connected(3)
    assert sender.send(3, last=4) == [3, 4]


def test_what_is_still_on_its_way_to_the_broker_is_not_sent_again() -> None:
    sender = connected()
    sender.broker_takes = False
    sender.send(0, last=2)
    assert sender.send(30, last=2) == []
    sender.window.taken(31)
    assert sender.send(31, last=2) == []
    sender.window.taken(32)
    assert sender.send(32, last=2) == [1, 2]


def test_a_broker_that_takes_nothing_for_long_is_given_up() -> None:
    sender = connected()
    sender.broker_takes = False
    sender.send(0, last=2)
    assert sender.window.decide(59, last=2).reason is not Reason.STALLED
    assert sender.window.decide(60, last=2).reason is Reason.STALLED


def test_a_link_so_slow_that_it_only_creeps_is_not_given_up() -> None:
    sender = connected()
    sender.broker_takes = False
    sender.send(0, last=4)
    for now_s in (50, 100, 150):
        sender.window.taken(now_s)
        assert sender.window.decide(now_s + 40, last=4).reason is not Reason.STALLED


def test_an_old_receipt_changes_nothing() -> None:
    sender = connected(receipted=5)
    sender.send(0, last=8)
    sender.window.receipt(3, 4)
    assert sender.send(5, last=8) == [6, 7, 8]


def test_a_late_receipt_for_more_than_was_sent_since_the_reconnect_counts() -> None:
    sender = connected()
    sender.send(0, last=4)
    sender.window.connected(1)
    sender.window.receipt(4, 2)
    assert sender.send(2, last=4) == []
    assert sender.window.decide(2, last=4).reason is Reason.NOTHING_LEFT


@pytest.mark.parametrize("seed", range(50))
def test_everything_arrives_whatever_is_lost(seed: int) -> None:
    """A core that takes frames in order, a network that forgets: all is receipted in the end, within the window."""
    rng = random.Random(seed)
    loss = rng.choice([0.0, 0.1, 0.5])
    last = rng.randrange(1, 60)
    window = SendWindow(LIMITS, 0)
    core = receipted = 0
    now_s = 0.0
    window.connected(now_s)
    while receipted < last:
        now_s += rng.choice([0.1, 1.0, 6.0])
        assert now_s < 50_000, "no progress"
        if rng.random() < 0.05:
            window.disconnected()
            window.connected(now_s)
        while (decision := window.decide(now_s, last)).reason.sends:
            for seq in range(decision.after_seq + 1, min(last, decision.after_seq + decision.count_max) + 1):
                assert receipted < seq <= receipted + LIMITS.frames_max
                window.sent(seq, 10, now_s)
                window.taken(now_s)
                if seq == core + 1 and rng.random() >= loss:
                    core = seq
        if rng.random() >= loss and core > receipted:
            receipted = core
            window.receipt(receipted, now_s)
