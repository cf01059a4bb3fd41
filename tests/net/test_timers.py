"""Timers: their order, cancelling at any time, and a heap that forgets its dead."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Callable

import pytest
from helpers.looping import Owner, Sleeps, turn
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyss.net.loop import Loop
from pyss.net.timers import NEVER, Timer, Timers

OWNER = Owner()


def run_due(timers: Timers, now: float) -> None:
    """As the loop does it."""
    while (timer := timers.pop_due(now)) is not None:
        callback, timer.callback = timer.callback, None
        assert callback is not None
        callback()


class Sessions:
    """Callbacks that write down their name."""

    def __init__(self) -> None:
        self.ran: list[object] = []

    def callback(self, name: object) -> Callable[[], None]:
        return lambda: self.ran.append(name)


# --- order ---------------------------------------------------------------------------------------
def test_timers_run_when_they_are_due_and_once() -> None:
    timers, sessions = Timers(), Sessions()
    for deadline in (3.0, 1.0, 2.0):
        timers.arm(deadline, sessions.callback(deadline), OWNER)
    assert timers.due == 1.0
    run_due(timers, 0.9)
    assert sessions.ran == []
    run_due(timers, 1.0)  # exactly due is due
    assert sessions.ran == [1.0]
    run_due(timers, 10.0)
    run_due(timers, 10.0)
    assert sessions.ran == [1.0, 2.0, 3.0]
    assert timers.due == NEVER
    assert len(timers) == 0


def test_equal_deadlines_run_in_the_order_of_arming() -> None:
    timers, sessions = Timers(), Sessions()
    for name in range(200):
        timers.arm(5.0, sessions.callback(name), OWNER)
    run_due(timers, 5.0)
    assert sessions.ran == list(range(200))


class Model(RuleBasedStateMachine):
    """Against a plain list; few deadlines, so that many are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.timers, self.sessions = Timers(), Sessions()
        self.now = 0
        self.names = 0
        self.armed: dict[int, tuple[int, Timer]] = {}  # by name, which is their order
        self.old: list[Timer] = []

    @rule(delay=st.integers(0, 6), count=st.sampled_from([1, 1, 1, 100]))
    def arm(self, delay: int, count: int) -> None:
        for _ in range(count):
            self.names += 1
            timer = self.timers.arm(self.now + delay, self.sessions.callback(self.names), OWNER)
            self.armed[self.names] = self.now + delay, timer

    @rule(data=st.data(), share=st.sampled_from([0.05, 0.9]))
    def cancel(self, data: st.DataObject, share: float) -> None:
        names = sorted(self.armed)
        if names:
            first = data.draw(st.integers(0, len(names) - 1))
            for name in names[first : first + 1 + int(share * len(names))]:
                _, timer = self.armed.pop(name)
                timer.cancel()
                self.old.append(timer)

    @rule()
    def cancel_what_has_run_or_was_cancelled(self) -> None:
        for timer in self.old[-5:]:
            timer.cancel()

    @rule(seconds=st.integers(0, 4))
    def advance(self, seconds: int) -> None:
        self.now += seconds
        due = sorted((deadline, name) for name, (deadline, _) in self.armed.items() if deadline <= self.now)
        self.sessions.ran.clear()
        run_due(self.timers, self.now)
        assert self.sessions.ran == [name for _, name in due]
        for _, name in due:
            self.old.append(self.armed.pop(name)[1])
        # After a look it is known exactly: what was cancelled wakes nobody twice.
        assert self.timers.due == min((deadline for deadline, _ in self.armed.values()), default=NEVER)

    @invariant()
    def nobody_looks_too_late(self) -> None:
        assert self.timers.due <= min((deadline for deadline, _ in self.armed.values()), default=NEVER)

    @invariant()
    def the_heap_is_small(self) -> None:
        assert len(self.armed) <= len(self.timers) <= max(2 * len(self.armed), len(self.armed) + 64)
        assert self.timers.dead == len(self.timers) - len(self.armed)


TestModel = Model.TestCase


# --- cancelling ----------------------------------------------------------------------------------
def test_fifty_thousand_short_sessions_leave_the_heap_small() -> None:
    timers = Timers()
    lasting = [timers.arm(60.0, OWNER.errors.clear, OWNER) for _ in range(100)]
    largest = 0
    for number in range(50_000):
        timers.arm(10.0 + number / 1000, OWNER.errors.clear, OWNER).cancel()
        largest = max(largest, len(timers))
    assert largest <= 2 * len(lasting) + 1
    for timer in lasting:
        timer.cancel()
    assert len(timers) <= 64
    assert timers.pop_due(0.0) is None
    assert timers.due == NEVER
    assert len(timers) == 0


class Kept:
    """Stands for a session, whose memory a dead timer must not hold."""

    def on_time(self) -> None:
        pass

    def abort(self, error: BaseException) -> None:
        pass


@pytest.mark.parametrize("end", ["cancelled", "run"])
def test_a_timer_that_has_ended_keeps_nothing_alive(loop: Loop, end: str) -> None:
    session = Kept()
    gone = weakref.ref(session)
    timer = loop.call_later(0 if end == "run" else 60, session.on_time, session)
    del session
    gc.collect()
    assert gone() is not None
    if end == "cancelled":
        timer.cancel()
    else:
        loop.tick(0)
    gc.collect()
    assert gone() is None
    assert len(loop.timers) == (end == "cancelled")  # the entry itself may stay for a while
    timer.cancel()


def test_timers_cancel_each_other_and_themselves(loop: Loop) -> None:
    ran: list[str] = []
    made: list[Timer] = []

    def first() -> None:
        ran.append("first")
        for timer in made:
            timer.cancel()

    made.append(loop.call_later(0, first))
    made.append(loop.call_later(0, lambda: ran.append("second")))
    loop.tick(0)
    assert ran == ["first"]  # both were due, the second no more
    loop.call_later(0, lambda: ran.append("third"))
    loop.tick(0)
    assert ran == ["first", "third"]
    assert loop.timers.dead == 0


def test_a_timer_that_arms_itself_again_runs_again(loop: Loop) -> None:
    ran: list[float] = []

    def on_time() -> None:
        ran.append(loop.now)
        loop.call_later(0.01, on_time)

    loop.call_later(0.01, on_time)
    turn(loop, lambda: len(ran) >= 3)
    assert ran[0] + 0.009 < ran[1]
    assert ran[1] + 0.009 < ran[2]


# --- under the loop ------------------------------------------------------------------------------
def test_the_loop_sleeps_until_a_timer_is_due(loop: Loop, sleeps: Sleeps) -> None:
    begun = time.monotonic()
    loop.tick(0)
    due = loop.call_later(0.2, loop.stop).deadline
    loop.call_later(60, loop.stop)
    sleeps.timeouts.clear()
    loop.run()
    assert loop.now >= due >= begun + 0.2
    assert len(sleeps.timeouts) <= 5  # one, and a few for clocks that are coarse


def test_a_cancelled_timer_wakes_the_loop_once_at_most(loop: Loop, sleeps: Sleeps) -> None:
    timer = loop.call_later(0.05, loop.stop)
    later = loop.call_later(60, loop.stop)
    timer.cancel()
    while loop.now < timer.deadline:
        loop.tick(0.05)
    timeout = sleeps.next_timeout(loop)
    assert timeout is not None
    assert 30 < timeout <= 60
    later.cancel()
    assert len(loop.timers) == 1


def test_a_timer_that_is_overdue_does_not_wait(loop: Loop, sleeps: Sleeps) -> None:
    loop.call_later(-5, loop.stop)
    loop.run()
    (timeout,) = sleeps.timeouts
    assert timeout is not None
    assert timeout <= 0
