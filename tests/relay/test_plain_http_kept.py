"""Plain HTTP on kept connections: those that have died, what nobody has asked for, and answers that come early."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Callable

import pytest
from helpers.relay import SelectorFactory
from helpers.traffic import Background, target
from helpers.wire import (
    Wire,
    every_selector,
    every_way,
    refused,
    request,
    reset,
    response,
    talk,
    through,
)


# --- a kept connection that has died ---------------------------------------------------------------
class Forgetful:
    """Answers one request of each connection; when the next one comes, `end` is called."""

    def __init__(self, end: Callable[[Wire], None]) -> None:
        self.end = end
        self.requests: list[bytes] = []

    def __call__(self, sock: socket.socket) -> None:
        wire = Wire(sock)
        self.requests.append(wire.message()[0].line)
        wire.send(response(b"hello"))
        try:
            self.requests.append(wire.message()[0].line)
        except EOFError:
            return
        self.end(wire)


@every_selector
@every_way
@pytest.mark.parametrize("end", [lambda wire: None, lambda wire: reset(wire.sock)], ids=["close", "reset"])
def test_what_is_safe_is_asked_again_when_a_kept_connection_dies(
    selector: SelectorFactory, direct: bool, end: Callable[[Wire], None]
) -> None:
    forgetful = Forgetful(end)
    with target(forgetful) as server, through(selector, direct) as running, talk(running) as wire:
        for path in (b"/1", b"/2", b"/3"):
            wire.send(request(server.port, path))
            assert wire.message()[1] == b"hello"
    lines = [b"GET /%d HTTP/1.1" % number for number in (1, 2, 2, 3, 3)]
    assert forgetful.requests == lines


@every_selector
@every_way
@pytest.mark.parametrize(
    ("method", "header", "body"),
    [
        (b"POST", b"Content-Length: 0", b""),
        (b"PUT", b"Content-Length: 3", b"abc"),
        (b"GET", b"Content-Length: 3", b"abc"),
        (b"GET", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    ],
)
def test_what_has_a_body_or_an_effect_is_not_asked_again(
    selector: SelectorFactory, direct: bool, method: bytes, header: bytes, body: bytes
) -> None:
    forgetful = Forgetful(lambda wire: None)
    with target(forgetful) as server, through(selector, direct) as running, talk(running) as wire:
        wire.send(request(server.port))
        assert wire.message()[1] == b"hello"
        wire.send(request(server.port, b"/once", header, method=method), body)
        refused(wire, 502, "the target closed without an answer")
    assert forgetful.requests == [b"GET / HTTP/1.1", method + b" /once HTTP/1.1"]


@every_selector
@pytest.mark.parametrize(
    "extra",
    [b"\r\n", b"x", response(b"more"), b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"],
    ids=["line end", "garbage", "answer", "408"],
)
@pytest.mark.parametrize("headers", [[], [b"Connection: close"]], ids=["kept", "closed"])
def test_what_the_target_says_unasked_is_nobodys_answer(
    selector: SelectorFactory, extra: bytes, headers: list[bytes]
) -> None:
    """Neither passed on at once, nor taken for the answer to the next request."""

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        line = wire.head().line
        wire.send(response(line, *headers), extra)
        wire.rest()

    with target(serve) as server, through(selector, False) as running, talk(running) as wire:
        for path in (b"/1", b"/2", b"/3"):
            wire.send(request(server.port, path))
            head, body = wire.message()
            assert (head.status, body) == (200, b"GET " + path + b" HTTP/1.1")
        wire.end()
        assert wire.rest() == b""


@every_selector
def test_a_target_that_says_408_while_nothing_is_asked(selector: SelectorFactory) -> None:
    timed_out, gone = threading.Event(), threading.Event()

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(response(b"hello"))
        assert timed_out.wait(30)
        wire.send(response(b"too late", b"Connection: close", status=b"408 Request Timeout"))
        wire.end()
        wire.rest()
        gone.set()

    with target(serve) as server, through(selector, False) as running, talk(running) as wire:
        wire.send(request(server.port))
        assert wire.message()[1] == b"hello"
        timed_out.set()
        assert gone.wait(30)  # the proxy has hung up
        assert wire.silent()
        wire.send(request(server.port))
        assert wire.message()[1] == b"hello"
        wire.end()
        assert wire.rest() == b""


# --- early answers -------------------------------------------------------------------------------
TOO_LARGE = response(b"too large", b"Connection: close", status=b"413 Content Too Large")


def upload(wire: Wire) -> None:
    """Much more than any buffer takes, until the other side has enough."""
    try:
        for _ in range(512):
            wire.send(bytes(65536))
    except ConnectionError:
        pass


@every_selector
@every_way
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_an_answer_during_the_upload_reaches_the_client(selector: SelectorFactory, direct: bool, leaves: bool) -> None:
    if leaves and (sys.platform != "linux" or not direct):
        pytest.skip("a reset may throw away what was received before, but not on Linux, on one connection")
    heard = threading.Event()

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.exactly(100_000)
        wire.send(TOO_LARGE)  # and reads no further
        if not leaves:
            assert heard.wait(30)

    with target(serve) as server, through(selector, direct) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Content-Length: %d" % (32 << 20), method=b"POST"))
        sending = Background(lambda: upload(wire))
        head, body = wire.message()
        assert (head.status, head.get(b"connection"), body) == (413, b"close", b"too large")
        if leaves:
            assert wire.rest() == b""
        wire.sock.shutdown(socket.SHUT_RDWR)
        sending.result()
        heard.set()
