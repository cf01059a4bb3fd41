"""A server must keep silent about a wrong password, so the client's log says what may be wrong; and only then."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Callable

import pytest
from helpers.forging import METHOD_2017, METHOD_2022, METHODS, secret_of
from helpers.relay import HOST, RunningRelay, SelectorFactory, relay
from helpers.traffic import Target, echo, receive_all, receive_exactly, socks5_connect, target

from pyss.net import loop
from pyss.relay import outbounds
from pyss.relay.service import Limits

COMPLAINT = "^warning server .* took a request and has not answered"
OTHER_PASSWORD = {METHOD_2017: "another password", METHOD_2022: "//////////////////////////////////////////8="}
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Turns the loops' clock on by so many seconds."""
    passed = [0.0]
    monkeypatch.setattr(loop, "monotonic", lambda: time.monotonic() + passed[0])

    def turn(seconds: float) -> None:
        passed[0] += seconds

    return turn


@contextmanager
def local_of(server: int, method: str = METHOD_2017, **more: object) -> Iterator[RunningRelay]:
    """A local proxy in front of what listens on that port."""
    with relay(method=method, with_server=False, server_at=(HOST, server), **more) as running:  # type: ignore[arg-type]
        yield running


def ask_in_vain(running: RunningRelay) -> None:
    """One session that gets no answer, from its beginning to its record."""
    before = len(running.log.matching("^info .*:9 "))
    with socks5_connect(running.local_port, 9) as sock:
        sock.sendall(b"hello?")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    running.log.wait_for("^info .*:9 ", before + 1)


def mute(sock: socket.socket) -> bytes:
    return receive_all(sock)


# --- named ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_password_is_a_likely_cause(selector: SelectorFactory, method: str) -> None:
    with relay(selector, method=method, client_password=OTHER_PASSWORD[method]) as running:
        ask_in_vain(running)
        assert running.server is not None
        (line,) = running.log.wait_for(COMPLAINT)
        assert f"server 127.0.0.1:{running.server_port} " in line
        for cause in ("wrong password", f"wrong method (here {method})", "clock that is off by more than 30 s"):
            assert cause in line
        running.until_idle()
        assert len(running.log.matching("^error can not parse header when handling connection from 127")) == 1
        for secret in (secret_of(method), OTHER_PASSWORD[method], "hello"):
            assert not [line for line in running.log.lines if secret in line]


def test_a_wrong_method_is_named(selector: SelectorFactory) -> None:
    with relay(selector, method=METHOD_2022, with_local=False) as serving, local_of(serving.server_port) as running:
        ask_in_vain(running)
        assert f"wrong method (here {METHOD_2017})" in running.log.wait_for(COMPLAINT)[0]


@pytest.mark.parametrize("off, named", [(-31, True), (31, True), (-29, False), (29, False)])
def test_2022_a_wrong_clock_is_named(off: int, named: bool) -> None:
    with ExitStack() as opened:
        now = 1_800_000_000
        serving = opened.enter_context(relay(method=METHOD_2022, with_local=False, clock=lambda: now))
        running = opened.enter_context(local_of(serving.server_port, METHOD_2022, clock=lambda: now + off))
        echoing = opened.enter_context(target(echo))
        if named:
            ask_in_vain(running)
            running.log.wait_for(COMPLAINT)
        else:
            with socks5_connect(running.local_port, echoing.port) as sock:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
            running.until_idle()
            assert running.log.matching(COMPLAINT) == []


def test_it_is_named_while_the_client_still_waits(
    selector: SelectorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user looks at the log while the page does not come."""
    monkeypatch.setattr(outbounds, "SUSPECT_AFTER", 0.1)
    limits = Limits(dial=0.3)  # when a session is looked at first
    with relay(selector, client_password="wrong", local_limits=limits) as running, socks5_connect(
        running.local_port, 9
    ) as sock:
        sock.sendall(b"hello?")
        running.log.wait_for(COMPLAINT)
        assert running.sessions() == 2


def test_it_is_named_once_a_minute(later: Callable[[float], None]) -> None:
    with target(mute) as server, local_of(server.port) as running:
        for seconds, complaints in ((0, 1), (0, 1), (59, 1), (1.1, 2), (0, 2), (61, 3)):
            later(seconds)
            ask_in_vain(running)
            assert len(running.log.matching(COMPLAINT)) == complaints, seconds


# --- not named -----------------------------------------------------------------------------------
@contextmanager
def pair(selector: SelectorFactory) -> Iterator[tuple[RunningRelay, Target, Target]]:
    """A relay with the right password, a target that answers and one that does not."""
    with relay(selector) as running, target(echo) as echoing, target(mute) as silent:
        yield running, echoing, silent


def ask(running: RunningRelay, port: int) -> socket.socket:
    sock = socks5_connect(running.local_port, port)
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"
    return sock


def end_in_vain(running: RunningRelay, sock: socket.socket, port: int) -> None:
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""
    running.log.wait_for(f"^info .* -> 127.0.0.1:{port} ok ", 2)


@pytest.mark.parametrize("goes_on", [False, True])
def test_not_when_another_session_got_an_answer_meanwhile(selector: SelectorFactory, goes_on: bool) -> None:
    with pair(selector) as (running, echoing, silent):
        with socks5_connect(running.local_port, silent.port) as sock:
            sock.sendall(b"hello?")
            running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 1)
            with ask(running, echoing.port) as other:
                if not goes_on:
                    other.close()
                    running.log.wait_for(f"^info .* -> 127.0.0.1:{echoing.port} ok ", 2)
                end_in_vain(running, sock, silent.port)
        assert running.log.matching(COMPLAINT) == []


def test_an_answer_of_yesterday_says_nothing_of_today(
    selector: SelectorFactory, later: Callable[[float], None]
) -> None:
    """Another session is open, but nothing moved in it since this one began; and one has ended before."""
    with pair(selector) as (running, echoing, silent):
        ask(running, echoing.port).close()
        with ask(running, echoing.port):
            running.log.wait_for(f"^info .* -> 127.0.0.1:{echoing.port} ok ", 2)
            later(1)
            with socks5_connect(running.local_port, silent.port) as sock:
                sock.sendall(b"hello?")
                running.thread.until(lambda: running.server is not None and len(running.server.sessions) == 2)
                end_in_vain(running, sock, silent.port)
            running.log.wait_for(COMPLAINT)


def test_not_when_the_server_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbounds, "SUSPECT_AFTER", 0.0)

    def reset(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    with target(reset) as server, local_of(server.port) as running:
        with socks5_connect(running.local_port, 9) as sock:
            sock.sendall(b"hello?")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        running.log.wait_for("^info .* reset up 6 down 0 ")
        assert running.log.matching(COMPLAINT) == []


def test_not_when_the_client_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbounds, "SUSPECT_AFTER", 0.0)
    with target(mute) as server, local_of(server.port) as running:
        with socks5_connect(running.local_port, 9) as sock:
            sock.sendall(b"hello?")
            running.thread.until(lambda: next(iter(running.local.sessions)).up.count == 6)  # type: ignore
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        running.log.wait_for("^info .* reset up 6 down 0 ")
        assert running.log.matching(COMPLAINT) == []


def test_not_when_the_client_asked_nothing() -> None:
    with target(mute) as server, local_of(server.port) as running:
        with socks5_connect(running.local_port, 9) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        running.log.wait_for("^info .* ok up 0 down 0 ")
        assert running.log.matching(COMPLAINT) == []


def test_not_before_some_time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbounds, "SUSPECT_AFTER", 100.0)
    with target(mute) as server, local_of(server.port) as running, socks5_connect(running.local_port, 9) as sock:
        sock.sendall(b"hello?")
        assert running.local is not None
        (session,) = running.thread.call(lambda: list(running.local.sessions))  # type: ignore[union-attr]
        running.thread.until(lambda: session.up is not None and session.up.count == 6)
        running.thread.call(lambda: session.route.review(session))
        assert running.log.matching(COMPLAINT) == []
        monkeypatch.setattr(outbounds, "SUSPECT_AFTER", 0.0)
        running.thread.call(lambda: session.route.review(session))
        assert len(running.log.matching(COMPLAINT)) == 1
