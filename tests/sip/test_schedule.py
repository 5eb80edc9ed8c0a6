"""Timers in the order they are due, and nobody kept who waits for nothing."""

from __future__ import annotations

import gc
import random
import weakref

from offhook.sip.schedule import Schedule


class Waiting:
    """Somebody with a timer, or without one."""

    def __init__(self, due: float | None = None) -> None:
        self.due = due


def test_whoever_no_longer_waits_is_let_go_though_its_time_is_far_off() -> None:
    schedule: Schedule[Waiting] = Schedule()
    left: weakref.WeakSet[Waiting] = weakref.WeakSet()
    for _ in range(5_000):
        call = Waiting(900.0)  # a session timer, as of a call that lasts a second
        left.add(call)
        schedule.watch(call)
        call.due = None
        schedule.watch(call)
        del call
    gc.collect()
    assert len(left) == 0
    assert schedule.next_due() is None


def test_whoever_puts_its_timer_off_again_and_again_waits_once() -> None:
    schedule: Schedule[Waiting] = Schedule()
    call, early = Waiting(), Waiting(500.0)
    schedule.watch(early)
    for number in range(5_000):
        call.due = 1_000.0 + number  # a caller that refreshes its call without end
        schedule.watch(call)
    assert len(schedule) <= 4
    assert list(schedule.take_due(499.0)) == []
    assert list(schedule.take_due(500.0)) == [early]
    assert list(schedule.take_due(5_998.0)) == []
    assert list(schedule.take_due(5_999.0)) == [call]


def test_all_fire_in_order_whatever_was_put_off_or_dropped() -> None:
    dice = random.Random(7)
    schedule: Schedule[Waiting] = Schedule()
    owners = [Waiting() for _ in range(300)]
    for _ in range(20_000):
        owner = dice.choice(owners)
        owner.due = dice.uniform(0, 1_000) if dice.random() < 0.5 else None
        schedule.watch(owner)
    fired = list(schedule.take_due(1_000.0))
    assert fired == sorted((owner for owner in owners if owner.due is not None), key=lambda owner: owner.due or 0.0)
    assert schedule.next_due() is None
