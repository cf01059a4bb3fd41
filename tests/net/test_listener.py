"""Accepting: what a listener hands out, when it pauses, and that it survives every fault."""

from __future__ import annotations

import gc
import selectors
import socket
import sys
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest
from helpers.looping import HOST, Sleeps, Wires, turn

from pyss.net import listener as module
from pyss.net.listener import Listener
from pyss.net.loop import Loop
from pyss.net.sockets import MORE_SOCKETS, Socket, SocketAddress, listening_socket


class Port:
    """A listener and what came of it."""

    def __init__(self, loop: Loop, sock: Optional[socket.socket] = None) -> None:
        self.loop = loop
        self.accepted: list[Socket] = []
        self.peers: list[SocketAddress] = []
        self.complaints: list[str] = []
        self.room = 1000
        self.asked = 0
        self.fail: Callable[[], None] = lambda: None
        self.listener = Listener(
            loop,
            sock or listening_socket(HOST, 0),
            self._take,
            has_room=self._has_room,
            complain=self.complaints.append,
        )

    @property
    def number(self) -> int:
        return int(self.listener.address[1])

    def _take(self, sock: Socket, peer: SocketAddress) -> None:
        self.accepted.append(sock)
        self.peers.append(peer)
        self.fail()

    def _has_room(self) -> bool:
        self.asked += 1
        return len(self.accepted) < self.room

    def end(self) -> None:
        self.listener.close()
        self.loop.tick(0)
        for sock in self.accepted:
            sock.close()


@pytest.fixture
def port(loop: Loop) -> Iterator[Port]:
    port = Port(loop)
    yield port
    port.end()


# --- accepting -----------------------------------------------------------------------------------
def test_connections_are_handed_out(loop: Loop, wires: Wires, port: Port) -> None:
    clients = [wires.connect(port.number) for _ in range(5)]
    turn(loop, lambda: len(port.accepted) == 5)
    assert port.peers == [client.getsockname() for client in clients]
    for sock in port.accepted:
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_ipv6_too(loop: Loop) -> None:
    port = Port(loop, listening_socket("::1", 0))
    assert port.listener.address[:2] == ("::1", port.number)
    with socket.create_connection(("::1", port.number), 20):
        turn(loop, lambda: port.accepted)
    assert port.accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    port.end()


def test_nodelay_where_it_is_not_inherited(loop: Loop, wires: Wires) -> None:
    """Linux hands the option of the listening socket down; where that is not so each one gets its own."""
    listening = wires.listening()
    listening.setblocking(False)
    assert not listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    port = Port(loop, listening)
    for _ in range(2):
        wires.connect(port.number)
    turn(loop, lambda: len(port.accepted) == 2)
    assert all(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in port.accepted)
    port.end()


def test_a_connection_that_somebody_else_took_is_nothing(loop: Loop, wires: Wires, port: Port) -> None:
    """As with several workers on one socket: it was readable, and is not any more."""
    client = wires.connect(port.number)
    listening = port.listener._channel.sock
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        assert selector.select(20)
    port.listener._on_ready(port.listener._channel, selectors.EVENT_READ)
    port.listener._on_ready(port.listener._channel, selectors.EVENT_READ)
    assert port.peers == [client.getsockname()]


# --- room ----------------------------------------------------------------------------------------
def test_a_full_service_pauses_and_resumes(
    loop: Loop, wires: Wires, port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER", 60)
    port.room = 2
    clients = [wires.connect(port.number) for _ in range(4)]
    turn(loop, lambda: port.complaints)
    assert len(port.accepted) == 2
    asked = port.asked
    for _ in range(20):
        loop.tick(0)
        assert port.asked == asked  # the waiting ones do not wake it
    port.listener.resume()  # a session ended, but others took its place: asked once, in vain
    assert port.listener._channel.events == 0
    for _ in range(3):
        loop.tick(0)
    assert port.asked == asked + 1
    monkeypatch.setattr(module, "RETRY_AFTER", 0.05)
    port.room = 3
    port.listener.resume()
    turn(loop, lambda: len(port.accepted) == 3 and port.listener._retry is not None)
    port.room = 4
    turn(loop, lambda: len(port.accepted) == 4)  # without `resume`: it looks again by itself
    assert port.peers == [client.getsockname() for client in clients]


def test_a_pause_is_told_once_a_minute(
    loop: Loop, wires: Wires, port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER", 0.001)
    port.room = 0
    wires.connect(port.number)
    turn(loop, lambda: port.asked >= 10)
    (complaint,) = port.complaints
    assert complaint.startswith("accepting pauses until sessions end: as many sessions as")
    assert complaint.endswith(MORE_SOCKETS)
    assert ("ulimit -n" in complaint) == (sys.platform != "win32")
    port.listener._complained -= module.COMPLAIN_EVERY  # as if a minute had passed
    turn(loop, lambda: len(port.complaints) == 2)


def test_a_paused_listener_lets_the_loop_sleep(loop: Loop, wires: Wires, port: Port, sleeps: Sleeps) -> None:
    port.room = 0
    wires.connect(port.number)
    turn(loop, lambda: port.complaints)
    timeout = sleeps.next_timeout(loop)
    assert timeout is not None
    assert 0 < timeout <= module.RETRY_AFTER


# --- the end -------------------------------------------------------------------------------------
@pytest.mark.parametrize("paused", [False, True])
def test_a_closed_listener_refuses(
    loop: Loop, wires: Wires, port: Port, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    if paused:
        monkeypatch.setattr(module, "RETRY_AFTER", 0.02)
        port.room = 0
        wires.connect(port.number)
        turn(loop, lambda: port.complaints)
    port.listener.close()
    loop.tick(0)
    with pytest.raises(ConnectionRefusedError):
        wires.connect(port.number)
    port.room = 10
    port.listener.resume()  # a session that ends later
    port.listener.close()
    for _ in range(4):
        loop.tick(0.01)  # it does not look again by itself either
    assert port.accepted == []
    assert len(loop.timers) == 0


# --- faults --------------------------------------------------------------------------------------
def test_a_fault_ends_one_connection_and_the_port_stays_open(
    loop: Loop, wires: Wires, port: Port, faults: list[BaseException]
) -> None:
    def fail() -> None:
        if len(port.accepted) == 2:
            raise ZeroDivisionError

    port.fail = fail
    clients = [wires.connect(port.number) for _ in range(3)]
    turn(loop, lambda: len(port.accepted) == 3)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    assert clients[1].recv(1) == b""  # closed, and not when the garbage is collected: `accepted` still holds it
    assert port.accepted[1].fileno() == -1
    for near, far in ((port.accepted[0], clients[0]), (port.accepted[2], clients[2])):
        near.send(b"alive")
        assert far.recv(5) == b"alive"
    faults.clear()


def test_a_fault_of_has_room_leaves_the_port_open(
    loop: Loop, wires: Wires, faults: list[BaseException]
) -> None:
    answers: list[Any] = [ZeroDivisionError, True]
    accepted: list[Socket] = []

    def has_room() -> bool:
        answer = answers.pop(0)
        if answer is not True:
            raise answer
        return True

    listener = Listener(loop, listening_socket(HOST, 0), lambda sock, peer: accepted.append(sock), has_room=has_room)
    wires.connect(listener.address[1])
    turn(loop, lambda: accepted)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    faults.clear()
    accepted[0].close()
    listener.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs AF_UNIX, whose sockets refuse TCP_NODELAY")
def test_a_connection_whose_options_cannot_be_set_is_closed(loop: Loop, tmp_path: Any) -> None:
    """On macOS TCP_NODELAY fails on what the peer has reset already: no fault of pyss."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.setblocking(False)
        accepted: list[Socket] = []
        listener = Listener(loop, listening, lambda sock, peer: accepted.append(sock))
        client.settimeout(20)
        client.connect(str(tmp_path / "s"))
        loop.tick(1)
        gc.collect()
        assert client.recv(1) == b""
        assert accepted == []
        listener.close()
        loop.tick(0)
