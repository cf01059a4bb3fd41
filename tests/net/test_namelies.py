"""Lies: what a name server, or somebody in its place, may send without being believed."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.looping import HOST
from helpers.nameserver import Script, dns, kind_of, reply

from pyss.errors import DialTimeout

SHORT = replace(LIMITS, attempt=0.03)  # for servers that are silent
HONEST = ["192.0.2.1"]

Query = Any


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


def forged(name: str, kind: str) -> str:
    """A record of an address that nobody should ever be told."""
    return f"{name}. 60 {kind} " + ("::6" if kind == "AAAA" else "6.6.6.6")


# --- lies ----------------------------------------------------------------------------------------
def lie(change: Callable[[bytearray], object], *, name: str = "www.example") -> Script:
    """A good answer but for one thing."""

    def script(query: Query, over: str) -> Iterable[bytes]:
        asked = dns.message.make_query(name, kind_of(query), id=query.id)
        data = bytearray(reply(asked, forged(name, kind_of(query))).to_wire())
        change(data)
        return [bytes(data)]

    return script


def flip(position: int, mask: int) -> Callable[[bytearray], object]:
    def change(data: bytearray) -> None:
        data[position] ^= mask

    return change


UNBELIEVED = {
    "another id": lie(flip(1, 1)),
    "a question, not an answer": lie(flip(2, 0x80)),
    "another opcode": lie(flip(2, 0x08)),
    "another name": lie(lambda data: None, name="wwx.example"),
    "another type": lie(flip(12 + 13 + 1, 0x10)),
    "another class": lie(flip(12 + 13 + 3, 0x02)),
    "a header that was cut off": lambda query, over: [query.to_wire()[:11]],
    "nothing at all": lambda query, over: [b""],
    "rubbish": lambda query, over: [b"\xff" * 512],
    "the question itself": lambda query, over: [query.to_wire()],
}


def stories() -> Iterator[tuple[str, str]]:
    for story in UNBELIEVED:
        yield story, "udp"
        if story not in ("a header that was cut off", "nothing at all"):  # which end a connection
            yield story, "tcp"


@pytest.mark.parametrize(("story", "over"), list(stories()))
def test_what_does_not_fit_is_waited_on(world: World, story: str, over: str) -> None:
    """The lie comes first, the truth right after it; one question is enough."""
    server = world.server()
    server.script = lambda query, way: [*UNBELIEVED[story](query, way), *server.honest(query, way)]
    client = world.client(server.address(over))
    assert world.answer(client, "www.example").ips == HONEST
    assert server.names() == ["www.example"]


def test_what_comes_from_elsewhere_is_never_seen(world: World) -> None:
    server = world.server()
    forger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def script(query: Query, over: str) -> Iterable[bytes]:
        message = reply(query, forged("www.example", kind_of(query)))
        forger.sendto(message.to_wire(), (HOST, server.asked[-1].port))
        return server.honest(query, over)

    with forger:
        server.script = script
        assert world.answer(world.client(server.address()), "www.example").ips == HONEST


def test_each_question_has_an_id_and_a_port_of_its_own(world: World) -> None:
    server = world.server()
    ids = iter(range(1, 100))
    client = world.client(server.address(), entropy=lambda size: (next(ids) * 257).to_bytes(size, "big"))
    for name in ("a.example", "b.example", "c.example"):
        world.answer(client, name)
    assert [asked.identity for asked in server.asked] == [257 * number for number in range(1, 7)]
    assert len({asked.port for asked in server.asked}) > 1  # the system's choice; it may choose one again


def test_records_of_other_names_are_passed_over(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: [
        reply(query, "evil.example. 60 A 6.6.6.6", *server.zone["www.example"], "evil.example. 60 A 6.6.6.6").to_wire()
        if kind_of(query) == "A"
        else reply(query, "evil.example. 60 AAAA ::6").to_wire()
    ]
    client = world.client(server.address())
    assert world.answer(client, "www.example").ips == HONEST
    assert client.known("evil.example", 80) is None


def test_an_answer_after_its_time_goes_nowhere(world: World) -> None:
    server = world.server()
    late: list[Query] = []
    server.script = lambda query, over: late.append(query) or ()  # type: ignore[func-returns-value]
    client = world.client(server.address(), limits=replace(SHORT, attempts=1))
    assert isinstance(world.answer(client, "www.example").error, DialTimeout)
    for query, asked in zip(late, server.asked):
        data = reply(query, "www.example. 60 A 6.6.6.6").to_wire()
        server._udp.sendto(data, (HOST, asked.port))
    for _ in range(3):
        world.loop.tick(0)
    assert client.known("www.example", 80) is None


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_thousands_of_addresses_are_cut_short(world: World, over: str) -> None:
    count = 3000 if over == "tcp" else 80
    server = world.server(*(f"many.example 60 A 10.0.{number >> 8}.{number & 255}" for number in range(count)))
    client = world.client(server.address(over))
    assert world.answer(client, "many.example").ips == [f"10.0.0.{number}" for number in range(LIMITS.addresses)]
