"""A fault in any of the five kinds of entry ends its owner, and nothing else."""

from __future__ import annotations

import logging
import socket
from typing import Any, Callable, Optional

import pytest
from helpers.looping import Owner, Wires, read, turn

from pyss.net.channel import Channel, ignore
from pyss.net.loop import READ, Loop

FAULT = ZeroDivisionError("a fault that a test put there")
SECOND = LookupError("a fault of abort itself")

Arm = Callable[[Loop, Wires, Callable[[], None], Owner], None]


def as_event(loop: Loop, wires: Wires, callback: Callable[[], None], owner: Owner) -> None:
    near, far = wires.pair()

    def ready(channel: Channel, mask: int) -> None:
        loop.watch(channel, 0)
        callback()

    loop.watch(Channel(near, ready, owner), READ)
    far.sendall(b"x")


def as_timer(loop: Loop, wires: Wires, callback: Callable[[], None], owner: Owner) -> None:
    loop.call_later(0, callback, owner)


def as_call(loop: Loop, wires: Wires, callback: Callable[[], None], owner: Owner) -> None:
    loop.call_soon(callback, owner)


ENTRIES = pytest.mark.parametrize("arm", [as_event, as_timer, as_call])


class Work:
    """A callback that raises, between two that don't."""

    def __init__(self, loop: Loop, wires: Wires, arm: Arm, second: Optional[Exception] = None) -> None:
        self.ran: list[str] = []
        self.guilty, self.others = Owner(second), Owner()
        arm(loop, wires, lambda: self.ran.append("before"), self.others)
        arm(loop, wires, self.fail, self.guilty)
        arm(loop, wires, lambda: self.ran.append("after"), self.others)

    def fail(self) -> None:
        self.ran.append("fault")
        raise FAULT


@ENTRIES
def test_a_fault_ends_its_owner_only(loop: Loop, wires: Wires, arm: Arm) -> None:
    work = Work(loop, wires, arm)
    turn(loop, lambda: len(work.ran) == 3)
    assert sorted(work.ran) == ["after", "before", "fault"]
    assert work.guilty.errors == [FAULT]
    assert work.others.errors == []
    check_it_goes_on(loop, wires)


@ENTRIES
def test_a_fault_of_abort_itself_is_reported(
    loop: Loop, wires: Wires, faults: list[BaseException], arm: Arm
) -> None:
    work = Work(loop, wires, arm, SECOND)
    turn(loop, lambda: len(work.ran) == 3)
    assert work.guilty.errors == [FAULT]
    assert work.others.errors == []
    assert faults == [SECOND]
    faults.clear()
    check_it_goes_on(loop, wires)


def test_a_fault_of_a_call_from_a_thread_is_reported(
    loop: Loop, wires: Wires, faults: list[BaseException]
) -> None:
    def fail() -> None:
        raise FAULT

    ran: list[str] = []
    loop.call_threadsafe(lambda: ran.append("before"))
    loop.call_threadsafe(fail)
    loop.call_threadsafe(lambda: ran.append("after"))
    turn(loop, lambda: len(ran) == 2)
    assert faults == [FAULT]
    faults.clear()
    check_it_goes_on(loop, wires)


@pytest.mark.parametrize("kind", ["timer", "call"])
def test_a_fault_of_a_callback_without_an_owner_is_reported(
    loop: Loop, wires: Wires, faults: list[BaseException], kind: str
) -> None:
    def fail() -> None:
        raise FAULT

    if kind == "timer":
        loop.call_later(0, fail)
    else:
        loop.call_soon(fail)
    turn(loop, lambda: faults)
    assert faults == [FAULT]
    faults.clear()
    check_it_goes_on(loop, wires)


def test_the_owner_of_the_moment_dies(loop: Loop, wires: Wires) -> None:
    """A channel is handed over inside a callback: a fault after that is the new owner's."""
    near, far = wires.pair()
    old, new = Owner(), Owner()

    def ready(channel: Channel, mask: int) -> None:
        loop.watch(channel, 0)
        channel.owner = new
        raise FAULT

    loop.watch(Channel(near, ready, old), READ)
    far.sendall(b"x")
    turn(loop, lambda: new.errors)
    assert old.errors == []


def test_an_owner_may_retire_its_channel_in_abort(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()

    class Session:
        def abort(self, error: BaseException) -> None:
            loop.retire(channel, reset=True)

    def ready(channel: Channel, mask: int) -> None:
        raise FAULT

    channel = Channel(near, ready, Session())
    loop.watch(channel, READ)
    far.sendall(b"x")
    turn(loop, lambda: near.fileno() == -1)
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    check_it_goes_on(loop, wires)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_to_end_the_process_passes(loop: Loop, wires: Wires, error: type[BaseException]) -> None:
    def end() -> None:
        raise error

    owner = Owner()
    for arm in (as_event, as_timer, as_call):
        arm(loop, wires, end, owner)
        with pytest.raises(error):
            turn(loop, lambda: False)
    loop.call_threadsafe(end)
    with pytest.raises(error):
        turn(loop, lambda: False)
    assert owner.errors == []
    check_it_goes_on(loop, wires)


def test_faults_are_logged_with_their_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise FAULT

    loop = Loop()
    loop.call_soon(fail)
    loop.tick(0)
    loop.close()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "a fault that a test put there" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is FAULT


def check_it_goes_on(loop: Loop, wires: Wires) -> None:
    """Every kind of entry still works."""
    ran: list[Any] = []
    near, far = wires.pair()

    def ready(channel: Channel, mask: int) -> None:
        ran.append(read(channel))
        loop.retire(channel)

    loop.watch(Channel(near, ready, Owner()), READ)
    far.sendall(b"data")
    loop.call_later(0, lambda: ran.append("timer"))
    loop.call_soon(lambda: ran.append("soon"))
    loop.call_threadsafe(lambda: ran.append("thread"))
    turn(loop, lambda: len(ran) == 4)
    assert far.recv(1) == b""


def test_what_could_not_be_watched_is_not_taken_for_watched(loop: Loop) -> None:
    sock = socket.socket()
    channel = Channel(sock, ignore, loop)
    sock.close()
    channel.fd = -1  # no selector takes that
    with pytest.raises((OSError, ValueError)):
        loop.watch(channel, READ)
    assert channel.events == 0
