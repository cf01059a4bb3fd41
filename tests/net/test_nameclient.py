"""Names asked of servers of one's choice: answers, the cache, one flight for each name, the queue, cancelling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.asking import LIMITS, World, worlds
from helpers.nameserver import FakeServer, kind_of, name_of, reply
from helpers.processes import ROOT
from helpers.resolving import IPV4, IPV6

from pyss.errors import DialTimeout, NameNotFound
from pyss.net import namestream, namewire
from pyss.net.dialer import Names
from pyss.net.loop import Loop
from pyss.net.nameclient import DELAY
from pyss.net.resolver import Endpoint
from pyss.net.socket_options import SocketOptions

SHORT = replace(LIMITS, deadline=0.2, attempt=0.05)
BOTH = ("both.example 60 A 192.0.2.1", "both.example 90 AAAA 2001:db8::1", "both.example 60 A 192.0.2.2")

Query = Any


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with worlds(tmp_path) as world:
        yield world


def without(kind: str, server: FakeServer) -> None:
    """Questions of this kind are never answered."""
    server.script = lambda query, over: [] if kind_of(query) == kind else server.honest(query, over)


def hang(server: FakeServer, *names: str) -> None:
    server.script = lambda query, over: [] if name_of(query) in names else server.honest(query, over)


# --- answers -------------------------------------------------------------------------------------
def test_on_every_selector(loop: Loop, tmp_path: Path) -> None:
    with worlds(tmp_path, loop) as world:
        server = world.server(*BOTH)
        for transport in ("udp", "tcp"):
            asker = world.answer(world.client(server.address(transport)), "both.example", 443)
            assert asker.calls[0][0] == [
                (IPV4, ("192.0.2.1", 443)),
                (IPV6, ("2001:db8::1", 443, 0, 0)),
                (IPV4, ("192.0.2.2", 443)),
            ]


def test_families_take_turns_beginning_with_the_preferred_one(world: World) -> None:
    client = world.client(world.server(*BOTH).address(), prefer_ipv6=True)
    assert world.answer(client, "both.example").ips == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]


def test_both_families_are_asked_for_at_once(world: World) -> None:
    server = world.server()
    world.ask(world.client(server.address()), "www.example")
    world.turn(lambda: len(server.asked) == 2)
    assert {asked.kind for asked in server.asked} == {"A", "AAAA"}


@pytest.mark.parametrize(("missing", "ips"), [("AAAA", ["192.0.2.1", "192.0.2.2"]), ("A", ["2001:db8::1"])])
def test_a_family_that_is_late_is_not_waited_for(world: World, missing: str, ips: list[str]) -> None:
    server = world.server(*BOTH)
    without(missing, server)
    client = world.client(server.address())
    started = world.loop.now
    assert world.answer(client, "both.example").ips == ips
    assert world.loop.now - started + 0.01 >= DELAY
    assert world.loop.now - started < LIMITS.attempt
    later = world.answer(client, "both.example")  # nothing is asked a second time
    assert not client._flight_of
    assert later.ips == ips
    assert len(server.asked) == 2


def test_a_family_that_comes_later_still_is_for_those_who_ask_next(world: World) -> None:
    server = world.server(*BOTH)
    held: list[tuple[Query, int]] = []

    def script(query: Query, over: str) -> Iterable[bytes]:
        if kind_of(query) == "A":
            return server.honest(query, over)
        held.append((query, server.asked[-1].port))
        return []

    server.script = script
    client = world.client(server.address())
    assert world.answer(client, "both.example").ips == ["192.0.2.1", "192.0.2.2"]
    ((query, port),) = held
    server._udp.sendto(b"".join(server.honest(query, "udp")), ("127.0.0.1", port))
    world.turn(lambda: client.known("both.example", 80))
    assert world.answer(client, "both.example").ips == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]


@pytest.mark.parametrize("code", ["SERVFAIL", "NXDOMAIN", "NOERROR"])
def test_a_family_that_fails_does_not_spoil_the_other(world: World, code: str) -> None:
    server = world.server(*BOTH)
    server.script = lambda query, over: (
        [reply(query, code=code).to_wire()] if kind_of(query) == "AAAA" else server.honest(query, over)
    )
    client = world.client(server.address())
    assert world.answer(client, "both.example").ips == ["192.0.2.1", "192.0.2.2"]
    world.clock.now += LIMITS.least_ttl
    assert (client.known("both.example", 80) is None) == (code == "SERVFAIL")  # it may be back soon


@pytest.mark.parametrize("silent", ["A", "AAAA"])
def test_a_denial_of_one_family_and_silence_about_the_other_is_no_denial(world: World, silent: str) -> None:
    server = world.server("half.example 60 TXT text")
    without(silent, server)
    error = world.answer(world.client(server.address(), limits=SHORT), "half.example").error
    assert type(error) is DialTimeout


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ((), "none.example: there is no such name"),
        (("none.example 60 TXT text",), "none.example: the name has neither an IPv4 nor an IPv6 address"),
    ],
)
def test_names_without_an_address(world: World, records: tuple[str, ...], words: str) -> None:
    client = world.client(world.server(*records).address())
    error = world.answer(client, "none.example").error
    assert type(error) is NameNotFound
    assert str(error) == words


def test_a_silent_server_is_named(world: World) -> None:
    server = world.server()
    hang(server, "hung.example")
    error = world.answer(world.client(server.address(), limits=SHORT), "hung.example").error
    assert type(error) is DialTimeout
    assert str(error) == f"hung.example: not resolved, name server {server.address()} is silent"


def test_the_whole_has_a_deadline(world: World) -> None:
    server = world.server()
    hang(server, "hung.example")
    client = world.client(server.address(), limits=replace(LIMITS, deadline=0.1, attempt=0.04, attempts=1000))
    error = world.answer(client, "hung.example").error
    assert type(error) is DialTimeout
    assert f"name server {server.address()} is silent" in str(error)
    assert len(server.names()) < 10


def test_without_a_server_there_is_no_client(world: World) -> None:
    with pytest.raises(ValueError, match="no name server"):
        world.client()


def test_it_stands_in_for_the_resolver(world: World) -> None:
    names: Names = world.client(world.server().address())
    assert callable(names.resolve)
    assert callable(names.known)


def test_socket_options_hold_for_every_way_to_a_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packets are redirected to this process, the mark keeps its own questions out."""
    seen: list[Any] = []

    def noting(new: Any) -> Any:
        def note(family: int, options: Any) -> Any:
            seen.append(options)
            return new(family, options)

        return note

    monkeypatch.setattr(namewire, "new_datagram", noting(namewire.new_datagram))
    monkeypatch.setattr(namestream, "new_stream", noting(namestream.new_stream))
    options = SocketOptions(dscp=10)
    server = world.server()
    for transport in ("udp", "tcp"):
        world.answer(world.client(server.address(transport), options=options), "www.example")
    assert seen == [options] * 3  # two datagrams, one connection


# --- what needs no server ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "endpoints"),
    [
        ("192.0.2.9", [(IPV4, ("192.0.2.9", 80))]),
        ("2001:db8::9", [(IPV6, ("2001:db8::9", 80, 0, 0))]),
        ("localhost", [(IPV4, ("127.0.0.1", 80)), (IPV6, ("::1", 80, 0, 0))]),
        ("Any.LOCALHOST.", [(IPV4, ("127.0.0.1", 80)), (IPV6, ("::1", 80, 0, 0))]),
        ("Listed.example", [(IPV4, ("192.0.2.4", 80)), (IPV6, ("2001:db8::4", 80, 0, 0)), (IPV4, ("192.0.2.5", 80))]),
    ],
)
def test_what_is_known_without_asking(world: World, host: str, endpoints: list[Endpoint]) -> None:
    world.hosts_file.write_text("192.0.2.4 listed.example\n192.0.2.5 listed.example\n2001:db8::4 listed.example\n")
    server = world.server()
    client = world.client(server.address())
    assert client.known(host, 80) == endpoints
    assert world.answer(client, host).calls == [(endpoints, None)]
    assert not server.asked


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64 + ".example", "a." * 127 + "b", "a b", "é" * 200])
def test_what_is_no_name_is_refused_without_asking(world: World, host: str) -> None:
    server = world.server()
    client = world.client(server.address())
    asker = world.ask(client, host)
    world.loop.tick(0)
    assert type(asker.error) is NameNotFound
    assert client.known(host, 80) is None
    assert not server.asked


def test_names_of_all_scripts(world: World) -> None:
    server = world.server("xn--bcher-kva.example 60 A 192.0.2.6")
    assert world.answer(world.client(server.address()), "Bücher.example").ips == ["192.0.2.6"]


# --- the package ---------------------------------------------------------------------------------
def test_without_the_package_the_import_fails_as_imports_do() -> None:
    code = (
        "import sys; sys.modules['dns'] = None\n"
        "try: import pyss.net.nameclient\n"
        "except ImportError: print('ImportError')\n"
        "import pyss.net.names"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "ImportError"), done.stderr
