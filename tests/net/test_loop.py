"""The loop on every selector: watching, retiring, the order of a tick, resets."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from helpers.looping import Owner, Sleeps, Wires, read, turn

from pyss.net.channel import Channel, ignore
from pyss.net.loop import LONGEST_WAIT, READ, WRITE, Loop


class Recorder:
    """A channel that writes down its events, and reads what comes."""

    def __init__(self, sock: socket.socket) -> None:
        self.masks: list[int] = []
        self.data = b""
        self.channel = Channel(sock, self._ready, Owner())

    def _ready(self, channel: Channel, mask: int) -> None:
        self.masks.append(mask)
        if mask & READ:
            self.data += read(channel)


# --- watch ---------------------------------------------------------------------------------------
def test_a_channel_hears_of_what_it_watches(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    recorder = Recorder(near)
    loop.watch(recorder.channel, READ)
    loop.tick(0)
    assert recorder.masks == []
    far.sendall(b"hello")
    turn(loop, lambda: recorder.data == b"hello")
    assert set(recorder.masks) == {READ}
    loop.watch(recorder.channel, READ | WRITE)
    loop.tick(1)
    assert recorder.masks[-1] == WRITE
    far.sendall(b"!")
    turn(loop, lambda: READ | WRITE in recorder.masks)
    loop.watch(recorder.channel, WRITE)
    far.sendall(b"?")
    loop.tick(1)
    assert recorder.masks[-1] == WRITE
    assert recorder.data == b"hello!"


def test_watching_the_same_again_is_nothing(loop: Loop, wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(wires.pair()[0])
    loop.watch(recorder.channel, 0)
    loop.watch(recorder.channel, READ)
    for name in ("register", "modify", "unregister"):
        monkeypatch.setattr(loop._selector, name, None)
    loop.watch(recorder.channel, READ)


def test_watching_nothing_unregisters(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    recorder = Recorder(near)
    registered = len(loop._selector.get_map())
    loop.watch(recorder.channel, READ)
    assert len(loop._selector.get_map()) == registered + 1
    loop.watch(recorder.channel, 0)
    assert len(loop._selector.get_map()) == registered
    far.sendall(b"later")
    for _ in range(3):
        loop.tick(0)
    assert recorder.masks == []
    loop.watch(recorder.channel, READ)  # level-triggered: what came meanwhile is heard of now
    turn(loop, lambda: recorder.data == b"later")


# --- retire --------------------------------------------------------------------------------------
def test_a_stale_event_of_the_same_batch_is_ignored(loop: Loop, wires: Wires) -> None:
    """Of two ready channels the first to be called retires the other and opens a socket."""
    calls: list[Channel] = []
    channels: list[Channel] = []
    closed_in_batch: list[bool] = []
    newcomers: list[socket.socket] = []

    def ready(channel: Channel, mask: int) -> None:
        calls.append(channel)
        other = channels[channels[0] is channel]
        loop.retire(other)
        assert other.on_ready is ignore
        closed_in_batch.append(other.sock.fileno() == -1)
        newcomers.append(wires.keep(socket.socket()))
        loop.watch(channel, 0)

    for near, far in (wires.pair(), wires.pair()):
        channels.append(Channel(near, ready, Owner()))
        loop.watch(channels[-1], READ)
        far.sendall(b"x")
    loop.tick(1)
    assert len(calls) == 1
    (retired,) = (channel for channel in channels if channel is not calls[0])
    assert closed_in_batch == [False]
    assert newcomers[0].fileno() != retired.fd
    assert retired.sock.fileno() == -1  # but right after the batch it is closed


def test_a_number_that_is_used_again_belongs_to_the_newcomer(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    waiting, its_peer = wires.pair()
    first = Recorder(near)
    loop.watch(first.channel, READ)
    loop.retire(first.channel)
    loop.tick(0)
    copies = [wires.keep(waiting.dup()) for _ in range(8)]
    again = [sock for sock in copies if sock.fileno() == first.channel.fd]
    if not again:  # POSIX gives the lowest free number, others need not
        assert sys.platform == "win32"
        again = copies
    second = Recorder(again[0])
    loop.watch(second.channel, READ)
    its_peer.sendall(b"for me")
    turn(loop, lambda: second.data == b"for me")
    assert first.masks == []
    assert far.recv(1) == b""


def test_what_was_retired_stays_silent(loop: Loop, wires: Wires) -> None:
    for events in (0, READ, WRITE, READ | WRITE):
        near, far = wires.pair()
        recorder = Recorder(near)
        loop.watch(recorder.channel, events)
        far.sendall(b"x")
        loop.retire(recorder.channel)
        assert recorder.channel.events == 0
        loop.tick(0)
        assert near.fileno() == -1
        assert recorder.masks == []


@pytest.mark.parametrize("events", [0, READ], ids=["unwatched", "watched"])
def test_retiring_sends_fin(loop: Loop, wires: Wires, events: int) -> None:
    near, far = wires.pair()
    channel = Channel(near, ignore_nothing, Owner())
    loop.watch(channel, events)
    loop.retire(channel)
    loop.tick(0)
    assert far.recv(1) == b""


@pytest.mark.parametrize("events", [0, READ], ids=["unwatched", "watched"])
def test_retiring_with_reset_sends_rst(loop: Loop, wires: Wires, events: int) -> None:
    near, far = wires.pair()
    channel = Channel(near, ignore_nothing, Owner())
    loop.watch(channel, events)
    loop.retire(channel, reset=True)
    loop.tick(0)
    with pytest.raises(ConnectionResetError):
        far.recv(1)


def test_the_first_word_about_the_end_stands(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    channel = Channel(near, ignore_nothing, Owner())
    loop.watch(channel, READ)
    loop.retire(channel)
    loop.retire(channel, reset=True)
    loop.tick(0)
    assert far.recv(1) == b""


def ignore_nothing(channel: Channel, mask: int) -> None:
    raise AssertionError("nothing was to come")


def test_a_socket_that_cannot_be_closed_does_not_keep_the_others_open(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    channel = Channel(near, ignore_nothing, Owner())
    broken = Channel(wires.pair()[0], ignore_nothing, Owner())

    class Stubborn:
        def close(self) -> None:
            raise ConnectionResetError

    broken.sock = Stubborn()  # type: ignore[assignment]
    loop.retire(broken)
    loop.retire(channel)
    loop.tick(0)
    assert far.recv(1) == b""


# --- one tick ------------------------------------------------------------------------------------
def test_the_order_of_a_tick(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    order: list[str] = []

    def ready(channel: Channel, mask: int) -> None:
        order.append("ready")
        loop.call_soon(lambda: order.append("soon"))
        loop.call_threadsafe(lambda: order.append("thread"))
        loop.call_later(0, lambda: order.append(f"timer, {'closed' if near.fileno() == -1 else 'open'}"))
        loop.retire(channel)

    loop.watch(Channel(near, ready, Owner()), READ)
    far.sendall(b"x")
    loop.tick(1)
    assert order == ["ready", "timer, open", "soon"]
    assert near.fileno() == -1
    loop.tick(1)
    assert order[3:] == ["thread"]  # it has come with an event of its own


def test_calls_come_in_their_order_and_what_they_add_in_the_next_tick(loop: Loop, sleeps: Sleeps) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first")
        loop.call_soon(lambda: order.append("added"))

    loop.call_soon(first)
    loop.call_soon(lambda: order.append("second"))
    assert order == []
    loop.tick(0)
    assert order == ["first", "second"]
    loop.tick(5)
    assert order == ["first", "second", "added"]
    assert sleeps.timeouts[-1] == 0  # nobody sleeps while a call waits
    assert sleeps.next_timeout(loop) == LONGEST_WAIT


def test_a_call_that_adds_itself_again_does_not_hold_up_the_sockets(loop: Loop, wires: Wires) -> None:
    near, far = wires.pair()
    recorder = Recorder(near)
    loop.watch(recorder.channel, READ)
    far.sendall(b"x")

    def again() -> None:
        if not recorder.data:
            loop.call_soon(again)

    loop.call_soon(again)
    turn(loop, lambda: recorder.data)


def test_time_stands_still_within_a_tick(loop: Loop, wires: Wires) -> None:
    seen: list[float] = []

    def ready(channel: Channel, mask: int) -> None:
        seen.append(loop.now)
        loop.watch(channel, 0)

    for near, far in (wires.pair(), wires.pair()):
        loop.watch(Channel(near, ready, Owner()), READ)
        far.sendall(b"x")
    before = loop.now
    loop.call_later(0, lambda: seen.append(loop.now))
    loop.call_soon(lambda: seen.append(loop.now))
    loop.tick(1)
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert seen[0] >= before


# --- scratch and the end -------------------------------------------------------------------------
@pytest.mark.parametrize("debug", [True, False])
def test_debug_mode_spoils_what_was_kept_of_the_scratch(wires: Wires, debug: bool) -> None:
    loop = Loop(debug=debug)
    near, far = wires.pair()
    kept: list[Any] = []

    def ready(channel: Channel, mask: int) -> None:
        loop.rx[:4] = loop.tx[:4] = b"good"
        kept.extend((loop.rx[:4], loop.tx[:4]))
        read(channel)

    loop.watch(Channel(near, ready, Owner()), READ)
    far.sendall(b"x")
    turn(loop, lambda: kept)
    loop.tick(0)
    assert [bytes(view) for view in kept] == [b"\xdd" * 4 if debug else b"good"] * 2
    loop.close()


def test_closing_the_loop_runs_the_last_calls_and_closes_what_was_retired(loop: Loop, wires: Wires) -> None:
    other = Loop(type(loop._selector)())
    near, far = wires.pair()
    ran: list[bool] = []
    channel = Channel(near, ignore_nothing, Owner())
    other.watch(channel, READ)
    other.call_soon(lambda: ran.append(True))
    other.call_soon(lambda: other.retire(channel))
    other.close()
    assert ran == [True]
    assert far.recv(1) == b""
    other.wake()  # from a thread that comes too late
    other.call_threadsafe(lambda: ran.append(False))
    assert ran == [True]


def test_a_timer_that_is_due_again_at_once_waits_for_the_next_tick(loop: Loop) -> None:
    ran = []

    def again() -> None:
        ran.append(len(ran))
        if len(ran) < 100:
            loop.call_later(-1.0, again)

    loop.call_later(0, again)
    loop.tick(0)
    assert ran == [0]
    loop.tick()
    assert ran == [0, 1]
