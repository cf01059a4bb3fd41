"""The loop and the world around its thread: calls from others, waking, signals, stopping."""

from __future__ import annotations

import signal
import sys
import threading

import pytest
from helpers.looping import PATIENT, Sleeps, turn

from pyss.net.loop import Loop


def test_calls_from_several_threads_wake_a_sleeping_loop(loop: Loop, sleeps: Sleeps) -> None:
    """Each thread waits for the loop to sleep before each of its calls, so each call has to wake it."""
    threads, calls = 4, 25
    heard: list[tuple[int, int]] = []
    asleep, over = sleeps.asleep, threading.Event()
    limit = loop.call_later(PATIENT, loop.stop)

    def hear(thread: int, number: int) -> None:
        heard.append((thread, number))
        if len(heard) == threads * calls:
            loop.stop()

    def work(thread: int) -> None:
        for number in range(calls):
            asleep.wait(PATIENT)
            if over.is_set():
                return
            asleep.clear()
            loop.call_threadsafe(lambda number=number: hear(thread, number))  # type: ignore[misc]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    loop.run()
    over.set()
    asleep.set()
    for worker in workers:
        worker.join(PATIENT)
    assert limit.callback is not None, "the loop slept on"
    limit.cancel()
    for thread in range(threads):  # those of one thread in its order
        assert [number for by, number in heard if by == thread] == list(range(calls))


def test_calls_run_on_the_thread_of_the_loop(loop: Loop) -> None:
    ran_on: list[threading.Thread] = []
    worker = threading.Thread(
        target=lambda: loop.call_threadsafe(lambda: ran_on.append(threading.current_thread())), daemon=True
    )
    worker.start()
    worker.join(PATIENT)
    assert ran_on == []
    turn(loop, lambda: ran_on)
    assert ran_on == [threading.current_thread()]


def test_a_call_of_a_call_from_a_thread_waits_for_the_next_tick(loop: Loop, sleeps: Sleeps) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first")
        loop.call_threadsafe(lambda: order.append("second"))

    loop.call_threadsafe(first)
    loop.tick(0)
    assert order == ["first"]
    loop.tick(5)
    assert order == ["first", "second"]  # it came with an event, so nobody slept


def test_waking_more_often_than_anybody_reads_is_nothing(loop: Loop) -> None:
    """The pair of sockets that wakes the loop is full long before that."""
    for _ in range(20_000):
        loop.wake()
    loop.tick(1)
    if sys.platform == "win32":  # where the pair is a TCP connection, of which some may still be under way
        turn(loop, lambda: loop._selector.select(0) == [])
    assert loop._selector.select(0) == []  # one turn takes all of it, so that the next one sleeps
    ran: list[bool] = []
    loop.call_threadsafe(lambda: ran.append(True))
    loop.tick(1)
    assert ran == [True]


def test_stop_ends_the_run_after_this_tick_and_the_loop_can_run_again(loop: Loop) -> None:
    order: list[str] = []
    for name in ("first run", "second run"):
        loop.call_soon(loop.stop)
        loop.call_soon(lambda name=name: order.append(name))  # type: ignore[misc]
        loop.call_soon(lambda: loop.call_soon(lambda: order.append("left for the next run")))
        loop.run()
    assert order == ["first run", "left for the next run", "second run"]
    loop.tick(0)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal can be sent to one thread there")
def test_a_signal_ends_the_wait(loop: Loop, sleeps: Sleeps) -> None:
    """Without `wakeup_fd` Python would run the handler and sleep on (PEP 475)."""
    asleep = sleeps.asleep
    limit = loop.call_later(PATIENT, loop.stop)
    receiver = threading.get_ident()

    def send() -> None:
        if asleep.wait(PATIENT):
            signal.pthread_kill(receiver, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    handler = signal.signal(signal.SIGUSR1, lambda number, frame: loop.stop())
    before = signal.set_wakeup_fd(loop.wakeup_fd)
    try:
        sender.start()
        loop.run()
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, handler)
        sender.join(PATIENT)
    assert limit.callback is not None, "the loop slept on"
    limit.cancel()
