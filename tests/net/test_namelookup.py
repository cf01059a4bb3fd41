"""Who is asked when, and what is believed: servers by turns, lies, truncation, aliases."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.looping import HOST
from helpers.nameserver import SOA, Script, kind_of, name_of, reply

from pyss.errors import DialError, DialTimeout, NameNotFound
from pyss.net.names import NameServer

SHORT = replace(LIMITS, attempt=0.03)  # for servers that are silent
HONEST = ["192.0.2.1"]

Query = Any


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


def silent(query: Query, over: str) -> Iterable[bytes]:
    return []


def says(code: str) -> Script:
    return lambda query, over: [reply(query, code=code).to_wire()]


# --- servers by turns ----------------------------------------------------------------------------
def test_silent_servers_are_asked_by_turns(world: World) -> None:
    servers = [world.server(), world.server()]
    order: list[int] = []
    for number, server in enumerate(servers):
        server.script = lambda query, over, number=number: [] if kind_of(query) != "A" else order.append(number) or []
    client = world.client(*(server.address() for server in servers), limits=SHORT)
    error = world.answer(client, "www.example").error
    assert type(error) is DialTimeout
    assert order == [0, 1, 0]
    for server in servers:
        assert f"name server {server.address()} is silent" in str(error)


def test_the_next_server_answers_in_place_of_a_silent_one(world: World) -> None:
    dead, server = world.server(), world.server()
    dead.script = silent
    client = world.client(dead.address(), server.address())
    asker = world.ask(client, "www.example")
    world.turn(lambda: len(dead.asked) == 2)
    world.late(client)
    world.turn(lambda: asker.calls)
    assert asker.ips == HONEST
    assert world.answer(client, "other.example").error  # which rests now, and is asked last
    assert dead.names() == ["www.example"]
    assert server.names() == ["www.example", "other.example"]


def test_the_same_server_is_asked_again_when_a_packet_was_lost(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: server.honest(query, over) if len(server.asked) > 2 else ()
    client = world.client(server.address())
    asker = world.ask(client, "www.example")
    world.turn(lambda: len(server.asked) == 2)
    world.late(client)
    world.turn(lambda: asker.calls)
    assert asker.ips == HONEST
    assert len({asked.identity for asked in server.asked}) > 2  # each time with an id of its own


GARBAGE: dict[str, Script] = {
    "SERVFAIL": says("SERVFAIL"),
    "REFUSED": says("REFUSED"),
    "NOTIMP": says("NOTIMP"),
    "FORMERR": says("FORMERR"),
    "YXDOMAIN": says("YXDOMAIN"),
    "a body that was cut off": lambda query, over: [reply(query, "www.example. 60 A 6.6.6.6").to_wire()[:-14]],
    "records of the wrong size": lambda query, over: [
        reply(query, "www.example. 60 A 6.6.6.6").to_wire()[:-13].replace(b"\0\4\6\6\6\6", b"\0\3\6\6\6")
    ],
}


@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize("story", list(GARBAGE))
def test_after_a_failure_the_next_is_asked_at_once(world: World, story: str, over: str) -> None:
    """At once: the test would take ten seconds else, and the server would be asked again."""
    bad, server = world.server(), world.server()
    bad.script = GARBAGE[story]
    client = world.client(bad.address(over), server.address())
    started = world.loop.now
    assert world.answer(client, "www.example").ips == HONEST
    assert world.loop.now - started < LIMITS.attempt
    assert server.names() == ["www.example"]
    assert len({asked.payload for asked in bad.asked}) == len(bad.names())  # FORMERR, NOTIMP: without EDNS too


@pytest.mark.parametrize("story", list(GARBAGE))
def test_when_all_fail_the_sentence_says_so(world: World, story: str) -> None:
    server = world.server()
    server.script = GARBAGE[story]
    error = world.answer(world.client(server.address()), "www.example").error
    assert type(error) is DialError
    why = f"says {story}" if story.isupper() else "answers what is unreadable (FormError)"
    assert str(error) == f"www.example: not resolved, name server {server.address()} {why}"


@pytest.mark.skipif(sys.platform == "win32", reason="there a datagram to a closed port is lost without a word")
def test_a_closed_port_leads_to_the_next_at_once(world: World) -> None:
    server = world.server()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
    closed = NameServer("udp", HOST, port)
    assert world.answer(world.client(closed, server.address()), "www.example").ips == HONEST
    error = world.answer(world.client(closed), "www.example").error
    assert type(error) is DialError
    assert f"name server {closed} fails (" in str(error)
    assert [level for level, _ in world.reports] == ["warning", "warning"]  # once for each client, not each question
    assert f"name server {closed} cannot be asked: " in world.reports[0][1]


def test_a_server_without_a_way_to_it(world: World) -> None:
    nowhere = NameServer("udp", "fe80::1%no-such-interface", 53)
    server = world.server()
    assert world.answer(world.client(nowhere, server.address()), "www.example").ips == HONEST
    error = world.answer(world.client(nowhere), "www.example").error
    assert "is on no link of this machine" in str(error)


def test_a_fault_inside_fails_that_name_alone(world: World) -> None:
    server = world.server()
    client = world.client(server.address(), entropy=lambda size: b"" if len(server.asked) else 1 / 0)  # type: ignore
    error = world.answer(client, "www.example").error
    assert type(error) is DialError
    assert str(error) == "www.example: internal error"
    assert [type(fault) for fault in world.faults] == [ZeroDivisionError, ZeroDivisionError]
    world.faults.clear()


# --- EDNS0 and truncation ------------------------------------------------------------------------
@pytest.mark.parametrize("code", ["FORMERR", "NOTIMP"])
def test_a_server_that_does_not_know_edns_is_asked_without(world: World, code: str) -> None:
    server = world.server()
    server.script = lambda query, over: (
        [query.to_wire()[:2] + (b"\x80\1" if code == "FORMERR" else b"\x80\4") + bytes(8)]
        if query.edns >= 0
        else server.honest(query, over)
    )
    client = world.client(server.address())
    assert world.answer(client, "www.example").ips == HONEST
    assert [asked.payload for asked in server.asked if asked.kind == "A"] == [1232, 0]
    world.answer(client, "other.example")
    assert [asked.payload for asked in server.asked if asked.name == "other.example"] == [0, 0]  # which is remembered


def test_a_truncated_answer_is_asked_for_over_tcp(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: (
        [reply(query, "www.example. 60 A 6.6.6.6", flags=0x0200).to_wire()]
        if over == "udp"
        else server.honest(query, over)
    )
    client = world.client(server.address())
    assert world.answer(client, "www.example").ips == HONEST
    assert [asked.over for asked in server.asked if asked.kind == "A"] == ["udp", "tcp"]
    assert len(server.connections) == 1


def test_what_is_truncated_over_tcp_too_is_a_failure(world: World) -> None:
    bad, server = world.server(), world.server()
    bad.script = lambda query, over: [reply(query, flags=0x0200).to_wire()]
    assert world.answer(world.client(bad.address(), server.address()), "www.example").ips == HONEST
    error = world.answer(world.client(bad.address()), "www.example").error
    assert "answers only in part" in str(error)


# --- aliases -------------------------------------------------------------------------------------


def chained(*records: str) -> Script:
    """All these records answer every question, whatever it is for."""

    def script(query: Query, over: str) -> Iterable[bytes]:
        of_kind = [record for record in records if record.split()[2] in ("CNAME", kind_of(query))]
        return [reply(query, *of_kind).to_wire()]

    return script


def test_aliases_are_followed_in_one_answer_in_any_order(world: World) -> None:
    server = world.server()
    server.script = chained(
        "b.example. 30 A 192.0.2.7",
        "a.example. 40 CNAME b.example.",
        "WWW.example. 50 CNAME A.example.",
        "c.example. 50 A 6.6.6.6",
    )
    client = world.client(server.address())
    assert world.answer(client, "www.example").ips == ["192.0.2.7"]
    assert server.names()[:1] == ["www.example"]
    assert len(server.names()) == 1


@pytest.mark.parametrize(
    "records",
    [
        ["www.example. 60 CNAME www.example."],
        ["www.example. 60 CNAME a.example.", "a.example. 60 CNAME b.example.", "b.example. 60 CNAME a.example."],
    ],
)
def test_aliases_in_a_circle_are_no_name(world: World, records: list[str]) -> None:
    server = world.server()
    server.script = chained(*records)
    error = world.answer(world.client(server.address()), "www.example").error
    assert type(error) is NameNotFound
    assert str(error) == "www.example: its aliases lead in a circle"
    assert len(server.asked) == 2


def test_aliases_in_a_circle_over_several_answers(world: World) -> None:
    server = world.server(
        "a.example 60 CNAME b.example.", "b.example 60 CNAME c.example.", "c.example 60 CNAME a.example."
    )
    error = world.answer(world.client(server.address()), "a.example").error
    assert str(error) == "a.example: its aliases lead in a circle"
    assert server.names() == ["a.example", "b.example", "c.example"]


@pytest.mark.parametrize("count", [LIMITS.aliases, LIMITS.aliases + 1])
@pytest.mark.parametrize("together", [True, False])
def test_so_many_aliases_and_no_more(world: World, count: int, together: bool) -> None:
    links = [f"n{number}.example" for number in range(count + 1)]
    records = [f"{here} 60 CNAME {there}." for here, there in zip(links, links[1:])]
    records.append(f"{links[-1]} 60 A 192.0.2.5")
    server = world.server(*records)
    if together:
        server.script = chained(*(record.replace(" ", ". ", 1) for record in records))
    asker = world.answer(world.client(server.address()), "n0.example")
    if count == LIMITS.aliases:
        assert asker.ips == ["192.0.2.5"]
    else:
        assert type(asker.error) is NameNotFound
        assert str(asker.error) == f"n0.example: it leads through more than {LIMITS.aliases} aliases"
    assert len(server.names()) == (1 if together else LIMITS.aliases + 1)


def test_an_alias_alone_leads_to_a_question_for_its_target(world: World) -> None:
    server = world.server("a.example 60 CNAME www.example.")
    assert world.answer(world.client(server.address()), "a.example").ips == HONEST
    assert server.names() == ["a.example", "www.example"]


def test_the_target_of_an_alias_has_as_many_attempts(world: World) -> None:
    """Every second question is lost: with all attempts together it would be one too few."""
    server = world.server("a.example 60 CNAME b.example.", "b.example 60 CNAME www.example.")
    seen: set[tuple[str, str]] = set()

    def script(query: Query, over: str) -> Iterable[bytes]:
        asked = name_of(query), kind_of(query)
        if asked not in seen:
            seen.add(asked)
            return []
        return server.honest(query, over)

    server.script = script
    client = world.client(server.address(), limits=replace(LIMITS, attempts=2))
    asker = world.ask(client, "a.example")
    for count in (2, 6, 10):  # of both families: asked in vain, asked again, and so on for the next name
        world.turn(lambda count=count: len(server.asked) == count)
        world.late(client)
    world.turn(lambda: asker.calls)
    assert asker.ips == HONEST


def test_an_alias_whose_target_is_denied_is_not_asked_again(world: World) -> None:
    """The SOA says that the target has no such record (RFC 2308 section 2.2)."""
    server = world.server()
    server.script = lambda query, over: [
        reply(query, "a.example. 60 CNAME www.example.", authority=[SOA.format(30, 20)]).to_wire()
    ]
    error = world.answer(world.client(server.address()), "a.example").error
    assert type(error) is NameNotFound
    assert str(error) == "a.example: the name has neither an IPv4 nor an IPv6 address"
    assert server.names() == ["a.example"]


def test_an_alias_to_a_name_that_does_not_exist(world: World) -> None:
    server = world.server("a.example 60 CNAME nowhere.example.")
    error = world.answer(world.client(server.address()), "a.example").error
    assert str(error) == "a.example: there is no such name"
