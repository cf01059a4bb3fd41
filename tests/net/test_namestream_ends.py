"""How connections to name servers end: idle, closed, broken, silent."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.looping import HOST, Wires
from helpers.nameserver import FakeServer, name_of

from pyss.errors import DialError, DialTimeout
from pyss.net import namestream
from pyss.net.names import NameServer

SHORT = replace(LIMITS, deadline=0.4, attempt=0.02, attempts=2)

Query = Any


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


# --- how long it is kept -------------------------------------------------------------------------
def test_a_connection_that_nobody_needs_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namestream, "KEPT", 0.02)
    server = world.server()
    client = world.client(server.address("tcp"))
    world.answer(client, "www.example")
    world.turn(lambda: server.connections[0].closed)
    world.answer(client, "other.example")
    assert len(server.connections) == 2


def test_a_connection_that_the_server_closed_is_made_anew(world: World) -> None:
    server = world.server()
    client = world.client(server.address("tcp"))
    world.answer(client, "www.example")
    server.connections[0].close()
    world.turn(lambda: client._peers[0]._stream is None)
    world.answer(client, "other.example")
    assert len(server.connections) == 2
    assert not world.reports


def close_without_an_answer(server: FakeServer, query: Query) -> Iterable[bytes]:
    server.connections[-1].close()
    return []


def test_a_question_that_crosses_the_close_is_asked_again(world: World) -> None:
    """The server has closed an idle connection, and does not know of the question yet."""
    server = world.server("two.example 60 A 192.0.2.2")
    server.script = lambda query, over: (
        close_without_an_answer(server, query)
        if name_of(query) == "two.example" and len(server.connections) == 1
        else server.honest(query, over)
    )
    client = world.client(server.address("tcp"))
    world.answer(client, "www.example")
    assert world.answer(client, "two.example").ips == ["192.0.2.2"]
    assert len(server.connections) == 2
    assert not world.reports


def test_a_server_that_closes_each_time_does_not_keep_us_busy(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: (
        close_without_an_answer(server, query) if name_of(query) == "two.example" else server.honest(query, over)
    )
    client = world.client(server.address("tcp"))
    world.answer(client, "www.example")
    error = world.answer(client, "two.example").error
    assert type(error) is DialError
    assert str(error).endswith(f"name server {server.address('tcp')} fails (the connection was closed)")
    assert len(server.connections) <= 1 + LIMITS.attempts


def test_a_connection_that_is_closed_before_any_answer_leads_to_the_next_server(world: World) -> None:
    bad, server = world.server(), world.server()
    bad.script = lambda query, over: close_without_an_answer(bad, query)
    client = world.client(bad.address("tcp"), server.address())
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    assert len(bad.connections) == 1
    assert len(world.reports) == 1


@pytest.mark.parametrize("garbage", [b"\0\0", b"\0\x0b" + bytes(11), b"\0\1x"])
def test_what_are_no_messages_leads_to_the_next_server(world: World, garbage: bytes) -> None:
    bad, server = world.server(), world.server()

    def script(query: Query, over: str) -> Iterable[bytes]:
        bad.connections[-1].send(garbage)
        return []

    bad.script = script
    assert world.answer(world.client(bad.address("tcp"), server.address()), "www.example").ips == ["192.0.2.1"]
    error = world.answer(world.client(bad.address("tcp")), "www.example").error
    assert "fails (it sends no messages of DNS)" in str(error)


def test_a_closed_port_leads_to_the_next_server(world: World) -> None:
    wires = Wires()
    closed = NameServer("tcp", HOST, wires.closed_port())
    server = world.server()
    try:
        assert world.answer(world.client(closed, server.address("tcp")), "www.example").ips == ["192.0.2.1"]
        assert type(world.answer(world.client(closed), "www.example").error) is DialError
    finally:
        wires.close()
    assert all(f"name server {closed} cannot be asked: " in text for _, text in world.reports)


def test_without_a_way_to_the_server(world: World) -> None:
    nowhere = NameServer("tcp", "fe80::1%no-such-interface", 53)
    error = world.answer(world.client(nowhere), "www.example").error
    assert type(error) is DialError
    assert "is on no link of this machine" in str(error)


def test_a_question_that_takes_longer_than_an_idle_connection_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namestream, "KEPT", 0.02)
    server = world.server()

    def script(query: Query, over: str) -> Iterable[bytes]:
        (answer,) = server.honest(query, over)
        framed = len(answer).to_bytes(2, "big") + answer
        world.loop.call_later(0.06, lambda: server.connections[-1].send(framed))
        return []

    server.script = script
    client = world.client(server.address("tcp"))
    asker = world.ask(client, "www.example")
    world.turn(lambda: len(server.asked) == 2)
    stream = client._peers[0]._stream
    assert stream is not None
    world.turn(lambda: asker.calls)
    assert client._peers[0]._stream is stream
    world.turn(lambda: stream.closed)


# --- silence -------------------------------------------------------------------------------------
def test_a_connection_that_was_silent_gets_no_new_questions(world: World) -> None:
    """It may be dead: then each question would wait in vain until the system finds out."""
    server = world.server("two.example 60 A 192.0.2.2")
    server.script = lambda query, over: server.honest(query, over) if len(server.connections) != 1 else ()
    client = world.client(server.address("tcp"))
    asker = world.ask(client, "www.example")
    world.turn(lambda: len(server.asked) == 2)
    world.late(client)
    world.turn(lambda: asker.calls)
    assert asker.ips == ["192.0.2.1"]
    assert len(server.connections) == 2
    world.turn(lambda: server.connections[0].closed)


def test_a_question_that_is_slow_among_others_does_not_end_the_connection(world: World) -> None:
    server = world.server()
    later: list[Query] = []

    def script(query: Query, over: str) -> Iterable[bytes]:
        if name_of(query) == "hung.example":
            later.append(query)
            return []
        return server.honest(query, over)

    server.script = script
    client = world.client(server.address("tcp"), limits=replace(LIMITS, attempts=1))
    hung = world.ask(client, "hung.example")
    world.turn(lambda: len(later) == 2)
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    world.late(client)
    world.turn(lambda: hung.calls)
    assert type(hung.error) is DialTimeout
    world.answer(client, "other.example")
    assert len(server.connections) == 1


def test_a_connection_that_never_stands_is_given_up(world: World) -> None:
    """TLS is begun, and nobody answers: it is closed in the end though nobody waits any more."""
    wires = Wires()
    try:
        listener = wires.listening()
        address = NameServer("tls", HOST, listener.getsockname()[1])
        client = world.client(address, limits=SHORT)
        error = world.answer(client, "www.example").error
        assert type(error) is DialTimeout
        far = wires.accept(listener)
        world.turn(lambda: client._peers[0]._stream is None)
        assert far.recv(1) == b"\x16"  # a handshake
        while far.recv(4096):
            pass
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):  # all attempts waited for the one connection
            listener.accept()
    finally:
        wires.close()


def test_what_does_not_leave_at_once_leaves_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short send: the rest goes when the socket is writable."""
    new_stream = namestream.new_stream

    class Narrow(socket.SocketType):
        def send(self, data: Any, flags: int = 0) -> int:
            if self.turns % 2:  # type: ignore[has-type]
                self.turns += 1
                raise BlockingIOError
            self.turns += 1
            return super().send(bytes(data[:5]))

    def narrow(family: int, options: Any = None) -> Any:
        plain = new_stream(family, options)
        sock = Narrow(family, socket.SOCK_STREAM, 0, plain.detach())
        sock.turns = 0
        sock.setblocking(False)
        return sock

    monkeypatch.setattr(namestream, "new_stream", narrow)
    server = world.server()
    assert world.answer(world.client(server.address("tcp")), "www.example").ips == ["192.0.2.1"]


def test_a_flood_of_messages_that_nobody_asked_for(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: (
        [bytes((number,)) * 40 for number in range(256)] + list(server.honest(query, over))
    )
    assert world.answer(world.client(server.address("tcp")), "www.example").ips == ["192.0.2.1"]
