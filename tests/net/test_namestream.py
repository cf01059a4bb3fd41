"""Connections to name servers: many questions on one, answers in pieces and in any order, and their ends."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import World, worlds
from helpers.nameserver import FakeServer

from pyss.net import namestream
from pyss.net.namemessage import A, question
from pyss.net.namemessage import name_of as message_name
from pyss.net.namestream import Stream
from pyss.net.socket_options import NOTHING
from pyss.net.sockets import errno_text

Query = Any


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


# --- one for many --------------------------------------------------------------------------------
def test_questions_share_a_connection(world: World) -> None:
    server = world.server(*(f"n{number}.example 60 A 192.0.2.{number}" for number in range(5)))
    client = world.client(server.address("tcp"))
    askers = [world.ask(client, f"n{number}.example") for number in range(5)]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [asker.ips for asker in askers] == [[f"192.0.2.{number}"] for number in range(5)]
    assert world.answer(client, "www.example").ips == ["192.0.2.1"]
    assert len(server.connections) == 1
    assert {asked.over for asked in server.asked} == {"tcp"}


@pytest.mark.parametrize("piece", [1, 2, 3, 13, 100])
def test_answers_may_come_in_pieces(world: World, piece: int) -> None:
    server = world.server("two.example 60 A 192.0.2.2", "two.example 60 AAAA 2001:db8::2")
    server.piece = piece
    client = world.client(server.address("tcp"))
    askers = [world.ask(client, name) for name in ("www.example", "two.example", "none.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [len(asker.calls[0][0]) for asker in askers] == [1, 2, 0]


def test_answers_may_come_in_any_order_and_with_others_in_between(world: World) -> None:
    server = world.server("two.example 60 A 192.0.2.2")
    held: list[bytes] = []

    def script(query: Query, over: str) -> Iterable[bytes]:
        held.extend(server.honest(query, over))
        stranger = bytearray(held[-1])
        stranger[0] ^= 0x55
        return [bytes(stranger), *reversed(held)] if len(held) == 4 else []

    server.script = script
    client = world.client(server.address("tcp"))
    askers = [world.ask(client, name) for name in ("www.example", "two.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [asker.ips for asker in askers] == [["192.0.2.1"], ["192.0.2.2"]]


def test_ids_differ_on_one_connection_whatever_entropy_says(world: World) -> None:
    server = world.server()
    client = world.client(server.address("tcp"), entropy=lambda size: b"\xff" * size)
    askers = [world.ask(client, name) for name in ("www.example", "a.example", "b.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert sorted(asked.identity for asked in server.asked) == [0, 1, 2, 3, 4, 0xFFFF]


def test_an_answer_to_another_question_under_the_same_id_is_not_believed(world: World) -> None:
    server = world.server("two.example 60 A 6.6.6.6")
    queries: list[Query] = []

    def script(query: Query, over: str) -> Iterable[bytes]:
        queries.append(query)
        if len(queries) < 4:
            return []
        crossed = []
        for query, other in zip(queries, reversed(queries)):
            data = bytearray(b"".join(server.honest(other, over)))
            data[:2] = query.id.to_bytes(2, "big")
            crossed.append(bytes(data))
        return [*crossed, *(data for query in queries for data in server.honest(query, over))]

    server.script = script
    client = world.client(server.address("tcp"))
    askers = [world.ask(client, name) for name in ("www.example", "two.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert [asker.ips for asker in askers] == [["192.0.2.1"], ["6.6.6.6"]]


def test_a_fault_in_one_question_is_not_the_connections(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyss.net import namelookup

    read = namelookup.read

    def faulty(message: bytes, identity: int, name: Any, kind: int) -> Any:
        if name.to_text() == "bad.example.":
            raise RuntimeError("injected")
        return read(message, identity, name, kind)

    monkeypatch.setattr(namelookup, "read", faulty)
    server = world.server()
    client = world.client(server.address("tcp"))
    askers = [world.ask(client, name) for name in ("bad.example", "www.example")]
    world.turn(lambda: all(asker.calls for asker in askers))
    assert str(askers[0].error) == "bad.example: internal error"
    assert askers[1].ips == ["192.0.2.1"]
    assert len(server.connections) == 1
    assert [str(fault) for fault in world.faults] == ["injected", "injected"]
    world.faults.clear()


# --- an asker of its own -------------------------------------------------------------------------
class Listening:
    """Notes what it is called with; ends its exchange and raises when it hears something."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.exchange: Any = None

    def heard(self, message: bytes) -> None:
        self.calls.append("heard")
        self.exchange.end()
        raise RuntimeError("injected")

    def lost(self, why: str, *, used: bool) -> None:
        self.calls.append(why)

    def abort(self, error: BaseException) -> None:
        self.calls.append("abort")


def listening(world: World, server: FakeServer) -> tuple[Stream, Listening]:
    stream = Stream(world.loop, server.address("tcp"), None, 10.0, lambda stream: None, NOTHING)
    asker = Listening()
    asker.exchange = stream.ask(7, question(message_name("www.example"), A, 7, extended=False), asker)
    return stream, asker


def test_who_has_ended_a_question_hears_no_more_of_it(world: World) -> None:
    """Not even what was on its way to them."""
    stream, asker = listening(world, world.server())
    stream.fail("injected")
    asker.exchange.end()
    world.loop.tick(0)
    assert asker.calls == []
    stream, other = listening(world, world.server())
    stream.fail("injected")
    world.loop.tick(0)
    assert other.calls == ["injected"]


def test_an_end_is_told_once(world: World) -> None:
    stream, asker = listening(world, world.server())
    stream.fail("first")
    stream.fail("second")
    stream.abort(RuntimeError("injected"))
    world.loop.tick(0)
    assert asker.calls == ["first"]
    assert [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()


def test_a_fault_of_the_connection_is_told_to_all_who_wait(world: World) -> None:
    stream, asker = listening(world, world.server())
    stream.abort(RuntimeError("injected"))
    world.loop.tick(0)
    assert asker.calls == ["internal error"]
    assert stream.closed
    world.faults.clear()


def test_what_the_system_refuses_at_once_is_told_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namestream, "connect", lambda sock, where: errno.ENETUNREACH)
    stream, asker = listening(world, world.server())
    assert asker.calls == []
    world.turn(lambda: asker.calls)
    assert asker.calls == [errno_text(errno.ENETUNREACH)]
    assert stream.closed


def test_a_connection_that_breaks_while_sending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(socket.SocketType):
        def send(self, data: Any, flags: int = 0) -> int:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(namestream, "new_stream", lambda family, options: made(Broken, family))
    stream, asker = listening(world, world.server())
    world.turn(lambda: asker.calls)
    assert asker.calls == [os.strerror(errno.EPIPE)]
    assert stream.closed


def made(kind: Any, family: int) -> Any:
    sock = kind(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def test_a_connection_that_stands_after_all_have_left_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namestream, "KEPT", 0.02)
    server = world.server()
    stream, asker = listening(world, server)
    asker.exchange.end()
    world.turn(lambda: server.connections and server.connections[0].closed)
    assert stream.closed
    assert asker.calls == []


def test_a_fault_of_an_asker_that_has_ended_is_reported(world: World) -> None:
    stream, asker = listening(world, world.server())
    world.turn(lambda: world.faults)
    assert asker.calls == ["heard"]
    assert not stream.closed
    assert [str(fault) for fault in world.faults] == ["injected"]
    world.faults.clear()
    stream.close()
