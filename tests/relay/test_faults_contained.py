"""A bug of pyss itself, injected where a session calls out: it ends that session or nothing, and is reported."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pytest
from helpers.relay import HOST, RunningRelay, SelectorFactory, relay
from helpers.streaming import every_selector, reset
from helpers.traffic import LIMIT, echo, receive_exactly, socks5_connect, target

from pyss.relay.session import Session


class Bug(Exception):
    """What nobody expects."""


class Faulty:
    """Anything, with one method that is another while `broken`, by default one that raises."""

    def __init__(self, real: Any, method: str, instead: Optional[Callable[..., Any]] = None) -> None:
        self.real = real
        self.method = method
        self.instead = instead or self._raise
        self.broken = True

    def __getattr__(self, name: str) -> Any:
        return self.instead if name == self.method and self.broken else getattr(self.real, name)

    def _raise(self, *arguments: Any) -> Any:
        raise Bug(self.method)


class FaultyRoutes:
    """An outbound whose routes hand out something faulty."""

    def __init__(self, real: Any, faulty: Callable[[Any], Any]) -> None:
        self.real = real
        self.faulty = faulty
        self.broken = True

    def route(self) -> Any:
        route = self.real.route()
        return self.faulty(route) if self.broken else route


class FaultyTransforms:
    def __init__(self, route: Any, method: str, way: int) -> None:
        self.route = route
        self.method = method
        self.way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self.route, name)

    def transforms(self, target: Any) -> Any:
        pair = list(self.route.transforms(target))
        pair[self.way] = Faulty(pair[self.way], self.method)
        return tuple(pair)


@contextmanager
def two_sessions(selector: SelectorFactory) -> Iterator[tuple[RunningRelay, Callable[[], socket.socket]]]:
    """A relay with one session that must survive whatever happens to those that the caller opens."""

    def talk(client: socket.socket) -> None:
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"

    with relay(selector) as running, target(echo) as server:
        with socks5_connect(running.local_port, server.port) as survivor:
            talk(survivor)
            yield running, lambda: socks5_connect(running.local_port, server.port)
            talk(survivor)
        with socks5_connect(running.local_port, server.port) as later:
            talk(later)
        running.until_idle()
        thread = running.thread
        faults = thread.call(lambda: [thread.faults.copy(), thread.faults.clear()])[0]
    assert faults
    assert all(isinstance(fault, Bug) for fault in faults), faults


def dies(running: RunningRelay, connect: Callable[[], socket.socket], at_end: bool = False) -> None:
    """The next session is ended for its client within the time limit of the socket, and leaves nothing behind."""
    assert running.local is not None
    before = running.sessions()
    with pytest.raises((ConnectionError, EOFError)), connect() as client:
        client.sendall(b"doomed")
        if at_end:
            client.shutdown(socket.SHUT_WR)
        receive_exactly(client, 6)
        if at_end:
            receive_exactly(client, 1)
    running.thread.until(
        lambda: sum(len(service.sessions) for service in (running.local, running.server) if service) == before
    )


@pytest.mark.parametrize("way", [0, 1], ids=["up", "down"])
@every_selector
def test_a_bug_in_a_transform_ends_that_session(selector: SelectorFactory, way: int) -> None:
    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        faulty = FaultyRoutes(running.local.outbound, lambda route: FaultyTransforms(route, "apply", way))
        running.local.outbound = faulty
        dies(running, connect)
        faulty.broken = False
        assert running.log.matching("^info .* error up .*: internal error$")


@every_selector
def test_a_bug_at_the_end_of_a_transform_ends_that_session(selector: SelectorFactory) -> None:
    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        faulty = FaultyRoutes(running.local.outbound, lambda route: FaultyTransforms(route, "finish", 0))
        running.local.outbound = faulty
        dies(running, connect, at_end=True)
        faulty.broken = False


@pytest.mark.parametrize("method", ["dial", "transforms"])
@every_selector
def test_a_bug_in_a_route_ends_that_session(selector: SelectorFactory, method: str) -> None:
    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        faulty = FaultyRoutes(running.local.outbound, lambda route: Faulty(route, method))
        running.local.outbound = faulty
        dies(running, connect)
        faulty.broken = False


@every_selector
def test_a_bug_in_an_outbound_ends_that_session(selector: SelectorFactory) -> None:
    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        running.local.outbound = faulty = Faulty(running.local.outbound, "route")
        dies(running, connect)
        faulty.broken = False


@pytest.mark.parametrize("method", ["accepted", "greeted"])
@every_selector
def test_a_bug_in_an_inbound_ends_that_session(selector: SelectorFactory, method: str) -> None:
    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        running.local.inbound = faulty = Faulty(running.local.inbound, method)
        dies(running, connect)
        faulty.broken = False


@every_selector
def test_a_bug_in_a_running_script_ends_that_session(selector: SelectorFactory) -> None:
    def script(io: Any) -> Any:
        yield from io.take(2)
        raise Bug("script")

    with two_sessions(selector) as (running, connect):
        assert running.local is not None
        inbound: Any = running.local.inbound
        sound, inbound.script = inbound.script, script
        dies(running, connect)
        inbound.script = sound


@pytest.mark.parametrize("method", ["refused", "drain_deadline"])
@every_selector
def test_a_bug_while_a_client_is_refused_ends_that_session(selector: SelectorFactory, method: str) -> None:
    with two_sessions(selector) as (running, _):
        assert running.local is not None
        running.local.inbound = faulty = Faulty(running.local.inbound, method)
        with socket.create_connection((HOST, running.local_port), LIMIT) as client:
            client.sendall(b"\x16\x03\x01\x00\x05hello")
            with pytest.raises((ConnectionError, EOFError)):
                receive_exactly(client, 64)
        running.thread.until(lambda: running.local is not None and len(running.local.sessions) == 1)
        faulty.broken = False


@pytest.mark.parametrize("ending", ["fin", "reset"])
@pytest.mark.parametrize("what", ["report", "ended", "review"])
@every_selector
def test_a_bug_while_a_session_is_accounted_for_harms_nobody(
    selector: SelectorFactory, what: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_sessions(selector) as (running, connect):
        local = running.local
        assert local is not None
        client = connect()
        client.sendall(b"hello")
        receive_exactly(client, 5)
        mended = local.report
        if what == "report":

            def report(level: str, text: str) -> None:
                if level == "info":
                    raise Bug("report")

            local.report = report
        elif what == "ended":
            ended = type(local).ended

            def raises(service: Any, session: Session) -> None:
                ended(service, session)
                raise Bug("ended")

            monkeypatch.setattr(type(local), "ended", raises)
        else:
            (session,) = (one for one in local.sessions if one.client_name.endswith(f":{client.getsockname()[1]}"))
            session.route = Faulty(session.route, "review")
        before = len(local.sessions)
        if ending == "fin":
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            client.close()
        else:
            reset(client)
        running.thread.until(lambda: len(local.sessions) == before - 1)
        running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 1)
        local.report = mended
        monkeypatch.undo()
