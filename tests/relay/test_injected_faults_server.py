"""A fault in any callback of a server ends the session that it is in, or nothing; others go on and new ones come."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Callable

import pytest
from helpers.forging import METHODS, Request, connect, exchange, port_of, read_answer
from helpers.relay import HOST, RunningRelay, SelectorFactory, relay
from helpers.traffic import LIMIT, Target, echo, target

from pyss.address import Address
from pyss.protocol.aead import Opener, Sealer
from pyss.relay.outbounds import Direct
from pyss.relay.service import Limits
from pyss.relay.session import Session

LIMITS = Limits(greeting=120.0, dial=0.2)


class Injected(Exception):
    """Nothing that pyss could expect."""


def broken(*arguments: object, **more: object) -> Any:
    raise Injected("on purpose")


@pytest.fixture
def echoing() -> Iterator[Target]:
    with target(echo) as server:
        yield server


def lookup(*arguments: object) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, 0))]


@contextmanager
def with_bystander(
    selector: SelectorFactory, method: str, echoing: Target, limits: Limits = LIMITS
) -> Iterator[RunningRelay]:
    """A server with a session that is open before and after whatever happens inside."""
    with relay(selector, method=method, with_local=False, lookup=lookup, limits=limits) as running:
        request = Request(method)
        with connect(running.server_port) as sock:
            sock.sendall(request.start(Address.of(HOST, echoing.port), b"before"))
            assert read_answer(sock, request)[0] == b"before"
            yield running
            running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 1)
            exchange(running.server_port, method, echoing.port)
            sock.sendall(request.chunk(b"after"))
            assert sock.recv(1) != b""
        faults, running.thread.faults[:] = list(running.thread.faults), []
        assert faults and all(type(fault) in (Injected, ValueError) for fault in faults)


def until_it_ends(sock: socket.socket) -> None:
    """FIN or RST, either is an end."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


# What breaks, of a running server: before a session streams, and while it does.
Place = Callable[[RunningRelay], tuple[Any, str]]
AT_THE_START: dict[str, Place] = {
    "inbound.script": lambda running: (running.server.inbound, "script"),  # type: ignore[union-attr]
    "inbound.greeted": lambda running: (running.server.inbound, "greeted"),  # type: ignore[union-attr]
    "keyring.session": lambda running: (type(running.server.inbound.keyring), "session"),  # type: ignore[union-attr]
    "transform.apply": lambda running: (Opener, "open"),
    "service.dialing": lambda running: (running.server, "dialing"),
    "outbound.route": lambda running: (Direct, "route"),
    "route.dial": lambda running: (Direct, "dial"),
    "permit": lambda running: (running.server.outbound.dialer, "permit"),  # type: ignore[union-attr]
    "names.resolve": lambda running: (running.server.outbound.dialer.names, "resolve"),  # type: ignore[union-attr]
    "sealer": lambda running: (Sealer, "apply"),
    "route.transforms": lambda running: (Direct, "transforms"),
    "session._dialed": lambda running: (Session, "_dialed"),
}
LATER: dict[str, Place] = {
    "opener.apply": lambda running: (Opener, "apply"),
    "opener.finish": lambda running: (Opener, "finish"),
    "session.direction_ended": lambda running: (Session, "direction_ended"),
    "service.account": lambda running: (running.server, "account"),
    "route.review": lambda running: (Direct, "review"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", AT_THE_START)
def test_a_fault_while_a_session_begins(
    selector: SelectorFactory, method: str, place: str, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_bystander(selector, method, echoing) as running, monkeypatch.context() as patch:
        start = Request(method).start(Address.of("name.test", echoing.port), b"hello")
        patch.setattr(*AT_THE_START[place](running), broken)
        with connect(running.server_port) as victim:
            victim.sendall(start)
            until_it_ends(victim)
        running.thread.until(lambda: bool(running.thread.faults))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", LATER)
def test_a_fault_while_a_session_streams(
    selector: SelectorFactory, method: str, place: str, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_bystander(selector, method, echoing) as running, monkeypatch.context() as patch:
        request = Request(method)
        with connect(running.server_port) as victim:
            victim.sendall(request.start(Address.of(HOST, echoing.port), b"hello"))
            read_answer(victim, request)
            more = request.chunk(b"more")
            patch.setattr(*LATER[place](running), broken)
            victim.sendall(more)
            with suppress(OSError):  # it may have been reset already
                victim.shutdown(socket.SHUT_WR)
            until_it_ends(victim)
        running.thread.until(lambda: bool(running.thread.faults))


@pytest.mark.parametrize("host", [HOST, "name.test"])
def test_a_policy_that_raises_something_else_refuses(
    selector: SelectorFactory, host: str, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(ip: str) -> None:
        raise ValueError(ip)

    with with_bystander(selector, METHODS[0], echoing) as running, monkeypatch.context() as patch:
        patch.setattr(running.server.outbound.dialer, "permit", check)  # type: ignore[union-attr]
        with connect(running.server_port) as victim:
            victim.sendall(Request(METHODS[0]).start(Address.of(host, echoing.port), b"hello"))
            with pytest.raises(ConnectionResetError):
                victim.recv(1)
    assert len(echoing.results) <= 2


@pytest.mark.parametrize("place", ["_deadline", "_on_time"])
def test_a_fault_when_time_is_up(
    selector: SelectorFactory, place: str, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_bystander(selector, METHODS[0], echoing) as running, socket.socket() as victim:
        victim.settimeout(LIMIT)
        victim.bind((HOST, 0))
        me, whole = port_of(victim), getattr(Session, place)

        def broken_for_one(session: Session) -> Any:
            return broken() if session.peer[1] == me else whole(session)

        monkeypatch.setattr(Session, place, broken_for_one)
        victim.connect((HOST, running.server_port))
        until_it_ends(victim)


@pytest.mark.parametrize("place", ["refused", "drain_deadline"])
def test_a_fault_while_a_prober_is_refused(
    selector: SelectorFactory, place: str, echoing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_bystander(selector, METHODS[0], echoing) as running, monkeypatch.context() as patch:
        patch.setattr(running.server.inbound, place, broken)  # type: ignore[union-attr]
        with connect(running.server_port) as victim:
            victim.sendall(bytes(200))
            until_it_ends(victim)
