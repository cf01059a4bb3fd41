"""How long answers of name servers are kept, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.nameserver import SOA, reply
from helpers.resolving import IPV4, Asker

from pyss.errors import DialError
from pyss.net.nameclient import FAILURE_KEPT, NameClient
from pyss.net.resolver import Resolver


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


# --- cache ---------------------------------------------------------------------------------------
def lifetime(world: World, client: NameClient, host: str) -> float:
    """Seconds until the name is asked for again; by halves of seconds."""
    server_asked = world._servers[0].asked
    world.answer(client, host)
    count, started = len(server_asked), world.clock.now
    while len(server_asked) == count:
        world.clock.now += 0.5
        assert world.clock.now - started < 1000
        world.answer(client, host)
    return world.clock.now - started


@pytest.mark.parametrize(("ttl", "kept"), [(60, 60.0), (0, 5.0), (4, 5.0), (2**31 - 1, 300.0)])
def test_an_answer_is_kept_as_long_as_the_server_says_within_bounds(world: World, ttl: int, kept: float) -> None:
    server = world.server(f"ttl.example {ttl} A 192.0.2.1")
    assert lifetime(world, world.client(server.address()), "ttl.example") == kept


def test_the_shortest_time_along_the_way_counts(world: World) -> None:
    server = world.server(
        "alias.example 50 CNAME next.example.",
        "next.example 20 CNAME last.example.",
        *("last.example 40 A 192.0.2.1", "last.example 60 AAAA 2001:db8::1"),
    )
    client = world.client(server.address())
    assert lifetime(world, client, "alias.example") == 20.0
    assert lifetime(world, client, "last.example") == 40.0


@pytest.mark.parametrize(("ttl", "minimum", "kept"), [(30, 20, 20.0), (10, 20, 10.0), (500, 400, 60.0), (0, 20, 0.5)])
@pytest.mark.parametrize("code", ["NXDOMAIN", "NOERROR"])
def test_a_denial_is_kept_as_its_soa_says(world: World, code: str, ttl: int, minimum: int, kept: float) -> None:
    server = world.server()
    server.script = lambda query, over: [reply(query, code=code, authority=[SOA.format(ttl, minimum)]).to_wire()]
    client = world.client(server.address())
    assert lifetime(world, client, "none.example") == kept
    assert client.known("none.example", 80) is None


@pytest.mark.parametrize("authority", [[], ["other. 30 IN SOA ns. admin. 1 2 3 4 20"]])
def test_a_denial_that_nobody_vouches_for_is_hardly_kept(world: World, authority: list[str]) -> None:
    server = world.server()
    lines = [line.replace(" IN ", " ") for line in authority]
    server.script = lambda query, over: [reply(query, code="NXDOMAIN", authority=lines).to_wire()]
    assert lifetime(world, world.client(server.address()), "none.example") == FAILURE_KEPT


def test_a_failure_is_hardly_kept(world: World) -> None:
    server = world.server()
    server.script = lambda query, over: [reply(query, code="SERVFAIL").to_wire()]
    client = world.client(server.address())
    assert lifetime(world, client, "bad.example") == FAILURE_KEPT
    assert isinstance(world.answer(client, "bad.example").error, DialError)


def test_the_cache_is_bounded(world: World) -> None:
    server = world.server(*(f"n{number}.example 60 A 192.0.2.1" for number in range(20)))
    client = world.client(server.address())
    for number in range(20):
        world.answer(client, f"n{number}.example")
        assert client.known("n0.example", 80)  # so this one stays
    assert len(client._cache) == LIMITS.names
    assert client.known("n1.example", 80) is None


def test_known_gives_a_list_of_ones_own(world: World) -> None:
    client = world.client(world.server().address())
    world.answer(client, "www.example")
    first = client.known("WWW.example.", 443)
    assert first == [(IPV4, ("192.0.2.1", 443))]
    first.clear()
    assert client.known("www.example", 443)


def test_the_resolver_of_the_system_knows_what_it_has_cached(world: World) -> None:
    def lookup(host: str, *_: Any) -> Any:
        if host != "www.example":
            raise OSError(2, "no")
        return [(IPV4, 1, 6, "", ("192.0.2.1", 0))]

    loop = world.loop
    resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, world.clock, lookup=lookup)
    try:
        for host in ("www.example", "bad.example"):
            assert resolver.known(host, 80) is None
            asker = Asker()
            resolver.resolve(host, 80, asker)
            world.turn(lambda asker=asker: asker.calls)
        assert resolver.known("WWW.example", 443) == [(IPV4, ("192.0.2.1", 443))]
        assert resolver.known("bad.example", 80) is None
    finally:
        resolver.close()
