"""Which way a session takes: one of several servers by turns, and what becomes of those that cannot be reached."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Callable

import pytest
from helpers.relay import HOST, METHOD, PASSWORD, SELECTORS, LoopThread, RunningRelay, SelectorFactory, relay
from helpers.traffic import echo, receive_exactly, socks5_connect, target

from pyss.address import Address
from pyss.net import loop
from pyss.net.clock import wall
from pyss.net.dialer import Dialer
from pyss.protocol.keyring import Keyring
from pyss.protocol.transform import Plain
from pyss.relay.outbounds import PASS_OVER, Direct, Shadowsocks, ShadowsocksServer
from pyss.relay.service import Limits


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Turns the loops' clock on by so many seconds."""
    passed = [0.0]
    monkeypatch.setattr(loop, "monotonic", lambda: time.monotonic() + passed[0])

    def turn(seconds: float) -> None:
        passed[0] += seconds

    return turn


def unused_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def through(ports: Sequence[int], selector: SelectorFactory = SELECTORS["default"]) -> Iterator[RunningRelay]:
    """A local proxy that knows a server on each of these ports."""
    with relay(selector, with_server=False, server_at=(HOST, ports[0])) as running:
        servers = servers_of(running)
        dialer = servers[0]._dialer
        for port in ports[1:]:
            keyring = Keyring.of(METHOD, PASSWORD, wall)
            servers.append(ShadowsocksServer(dialer, Address.of(HOST, port), keyring, running.log))
        yield running


def servers_of(running: RunningRelay) -> list[ShadowsocksServer]:
    assert running.local is not None and isinstance(running.local.outbound, Shadowsocks)
    return running.local.outbound.servers


def ask(running: RunningRelay, port: int) -> None:
    with socks5_connect(running.local_port, port) as sock:
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"


def fail(running: RunningRelay) -> None:
    with pytest.raises(AssertionError, match="SOCKS5 reply 5"):  # connection refused
        socks5_connect(running.local_port, 9)


def sessions_of(servers: Sequence[RunningRelay]) -> list[int]:
    return [len(server.log.matching("^debug connecting ")) for server in servers]


def test_sessions_go_to_the_servers_turn_by_turn(selector: SelectorFactory) -> None:
    with ExitStack() as opened:
        servers = [opened.enter_context(relay(with_local=False)) for _ in range(3)]
        echoing = opened.enter_context(target(echo))
        running = opened.enter_context(through([server.server_port for server in servers], selector))
        for number in range(7):
            assert sessions_of(servers) == [(number + 2) // 3, (number + 1) // 3, number // 3]
            ask(running, echoing.port)


def test_a_server_that_refuses_is_passed_over_for_thirty_seconds(
    selector: SelectorFactory, later: Callable[[float], None]
) -> None:
    assert PASS_OVER == 30.0
    with ExitStack() as opened:
        servers = [opened.enter_context(relay(with_local=False)) for _ in range(2)]
        echoing = opened.enter_context(target(echo))
        ports = [servers[0].server_port, unused_port(), servers[1].server_port]
        running = opened.enter_context(through(ports, selector))
        ask(running, echoing.port)
        fail(running)
        for _ in range(4):
            ask(running, echoing.port)
        assert sessions_of(servers) == [3, 2]
        later(PASS_OVER - 5)
        for _ in range(4):
            ask(running, echoing.port)
        later(5)
        failed = 0
        for _ in range(3):  # once in three it is tried again, and passed over again
            try:
                ask(running, echoing.port)
            except AssertionError:
                failed += 1
        assert failed == 1
        for _ in range(4):
            ask(running, echoing.port)


def test_a_server_that_is_back_takes_its_turn_again(later: Callable[[float], None]) -> None:
    with ExitStack() as opened:
        servers = [opened.enter_context(relay(with_local=False)) for _ in range(2)]
        echoing = opened.enter_context(target(echo))
        running = opened.enter_context(through([unused_port(), servers[0].server_port]))
        fail(running)
        ask(running, echoing.port)
        back = Address.of(HOST, servers[1].server_port)
        running.thread.call(lambda: setattr(servers_of(running)[0], "address", back))
        later(PASS_OVER)
        for _ in range(6):
            ask(running, echoing.port)
        assert sessions_of(servers) == [4, 3]


def test_when_none_can_be_reached_they_are_tried_all_the_same(selector: SelectorFactory) -> None:
    with ExitStack() as opened:
        serving = opened.enter_context(relay(with_local=False))
        echoing = opened.enter_context(target(echo))
        running = opened.enter_context(through([unused_port(), unused_port(), unused_port()], selector))
        for _ in range(7):
            fail(running)
        assert all(server.failed > 0 for server in servers_of(running))
        back = Address.of(HOST, serving.server_port)
        running.thread.call(lambda: setattr(servers_of(running)[1], "address", back))
        tries = 0
        while not sessions_of([serving])[0]:
            tries += 1
            assert tries <= 3
            try:
                ask(running, echoing.port)
            except AssertionError as error:
                assert "SOCKS5 reply 5" in str(error)
        for _ in range(4):  # the only one that is not known to be gone
            ask(running, echoing.port)
        assert sessions_of([serving]) == [5]


def test_a_dial_that_was_given_up_says_nothing_of_the_server() -> None:
    """The client went away before it could succeed."""
    thread = LoopThread()
    try:
        dialer = Dialer(thread.loop, Silent())
        server = ShadowsocksServer(dialer, Address.of("server.test", 1), Keyring.of(METHOD, PASSWORD, wall), print)
        before = server.failed
        thread.call(lambda: server.dial(Address.of(HOST, 9), lambda channel, error: None).cancel())
        assert server.failed == before
    finally:
        thread.end()
        thread.loop.close()


class Silent:
    """A name server that never answers."""

    def resolve(self, host: str, port: int, done: object) -> Silent:
        return self

    def cancel(self) -> None:
        pass


def test_a_server_that_swallows_a_dial_is_passed_over_too() -> None:
    with relay(with_local=False) as serving, target(echo) as echoing, relay(
        with_server=False, server_at=("server.test", 1), names=Silent(), limits=Limits(dial=0.2)
    ) as running:
        servers = servers_of(running)
        good = Address.of(HOST, serving.server_port)
        servers.append(ShadowsocksServer(servers[0]._dialer, good, Keyring.of(METHOD, PASSWORD, wall), running.log))
        with pytest.raises(AssertionError, match="SOCKS5 reply 6"):
            socks5_connect(running.local_port, 9)
        for _ in range(3):
            ask(running, echoing.port)


def test_the_direct_way_is_plain() -> None:
    thread = LoopThread()
    try:
        direct = Direct(Dialer(thread.loop, Silent()))
        assert direct.route() is direct
        assert [type(half) for half in direct.transforms(Address.of(HOST, 9))] == [Plain, Plain]
    finally:
        thread.end()
        thread.loop.close()
