"""Plain HTTP when something goes wrong: the client gets the answer that there is, and can tell when it is not whole."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any, Callable

import pytest
from helpers.relay import HOST, Limits, RunningRelay, SelectorFactory, plain_http, relay
from helpers.traffic import Background, target
from helpers.wire import (
    Head,
    Origin,
    Wire,
    answering,
    every_selector,
    hanging_port,
    refusing_port,
    request,
    reset,
    response,
    socks5_reply,
    socks5_request,
    talk,
)

every_way = pytest.mark.parametrize("direct", [True, False], ids=["direct", "shadowsocks"])

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"


def through(selector: SelectorFactory, direct: bool, **options: Any) -> AbstractContextManager[RunningRelay]:
    return relay(selector, forward=plain_http(), direct=direct, **options)


def refused(wire: Wire, status: int, words: str) -> None:
    """One complete answer, then FIN."""
    head, body = wire.message()
    assert head.status == status, (head, body)
    assert words in body.decode()
    assert head.get(b"connection") == b"close"
    assert wire.rest() == b""


# --- no connection -------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_refused_connection(selector: SelectorFactory, direct: bool) -> None:
    with refusing_port() as port, relay(
        selector, forward=plain_http(), direct=direct, server_at=(HOST, port)
    ) as running:
        with talk(running) as wire:
            wire.send(request(port))
            refused(wire, 502, f"{HOST}:{port}: ")
        running.log.wait_for(f"-> {HOST}:{port} connection-refused up 0 down 0 ")


@every_selector
@every_way
def test_a_connection_that_does_not_stand_in_time(selector: SelectorFactory, direct: bool) -> None:
    limits = Limits(dial=0.1)
    with hanging_port() as port, relay(
        selector, forward=plain_http(), direct=direct, server_at=(HOST, port), local_limits=limits
    ) as running:
        with talk(running) as wire:
            wire.send(request(port))
            refused(wire, 504, "no connection within 0.1 s")
        running.log.wait_for(f"-> {HOST}:{port} dial-timeout up 0 down 0 ")


@every_selector
def test_a_target_that_the_policy_forbids(selector: SelectorFactory) -> None:
    with relay(selector, forward=plain_http(), direct=True, forbidden=["127.0.0.0/8"]) as running:
        with talk(running) as wire:
            wire.send(request(9))
            refused(wire, 403, "127.0.0.1")
        running.log.wait_for(f"-> {HOST}:9 forbidden up 0 down 0 ")


@every_selector
def test_the_second_target_cannot_be_reached(selector: SelectorFactory) -> None:
    with refusing_port() as port, target(answering()) as server, through(selector, True) as running:
        with talk(running) as wire:
            wire.send(request(server.port), request(port), request(server.port))
            assert wire.message()[1] == b"hello"
            refused(wire, 502, f"{HOST}:{port}: ")
        running.log.wait_for(f"-> {HOST}:{port} connection-refused up 0 down 0 ")
        (line,) = running.log.matching(f"^info .*-> {HOST}:{server.port} ")
        assert " ok up " in line


@every_selector
def test_a_refused_head_request_has_no_body(selector: SelectorFactory) -> None:
    with refusing_port() as port, relay(selector, forward=plain_http(), direct=True) as running, talk(running) as wire:
        wire.send(request(port, method=b"HEAD"))
        assert wire.head().status == 502
        assert wire.rest() == b""


@every_selector
def test_the_refusal_is_read_whole_by_a_client_that_sends_megabytes_ahead(selector: SelectorFactory) -> None:
    with refusing_port() as port, relay(selector, forward=plain_http(), direct=True) as running, talk(running) as wire:
        wire.send(request(port, b"/", b"Content-Length: %d" % (4 << 20), method=b"POST"), bytes(4 << 20))
        wire.end()
        refused(wire, 502, f"{HOST}:{port}: ")


# --- no answer -----------------------------------------------------------------------------------
def closes(sock: socket.socket) -> None:
    Wire(sock).head()


def resets(sock: socket.socket) -> None:
    Wire(sock).head()
    reset(sock)


def sends(data: bytes) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(data)
        wire.end()
        wire.rest()  # until the proxy hangs up

    return serve


NO_ANSWER = {
    "closes": (closes, "the target closed without an answer"),
    "resets": (resets, "the connection broke"),
    "garbage": (sends(b"\x00\xff garbage \r\n\r\n"), "the target's answer is not HTTP"),
    "ssh": (sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "the target's answer is not HTTP"),
    "half a head": (sends(b"HTTP/1.1 200 OK\r\nContent-"), "the target's answer is not HTTP"),
    "closes behind 100": (sends(b"HTTP/1.1 100 Continue\r\n\r\n"), "the target closed without an answer"),
    "switches unasked": (sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "not HTTP"),
    "two lengths": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), "not HTTP"),
    "a head without end": (sends(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: 0123456789\r\n" * 9000), "not HTTP"),
}


@every_selector
@every_way
@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_target_that_does_not_answer(selector: SelectorFactory, direct: bool, name: str) -> None:
    serve, words = NO_ANSWER[name]
    if name == "resets" and not direct:
        words = ""  # whether as FIN or as RST depends on what the server has sent before
    with target(serve) as server, through(selector, direct) as running:
        for method in (b"GET", b"POST"):
            with talk(running) as wire:
                wire.send(request(server.port, b"/", b"Content-Length: 0", method=method))
                if name == "closes behind 100":
                    assert wire.head().status == 100
                refused(wire, 502, words)
        running.until_idle()
        local = running.log.matching(f"^info .*-> {HOST}:{server.port} (dial-failed|reset) up [1-9]")
        assert len(local) >= 2


@every_selector
@every_way
@pytest.mark.parametrize("expected", [b"", b"Expect: 100-continue"], ids=["", "100-continue"])
def test_a_target_that_closes_while_the_body_is_awaited(
    selector: SelectorFactory, direct: bool, expected: bytes
) -> None:
    """The client has nothing to say before it hears: it must not wait for the silence limit."""
    serve = sends(b"HTTP/1.1 100 Continue\r\n\r\n")
    with target(serve) as server, through(selector, direct) as running, talk(running) as wire:
        headers = [b"Content-Length: 5"] + [expected] * bool(expected)
        wire.send(request(server.port, b"/", *headers, method=b"POST"))
        assert wire.head().status == 100
        refused(wire, 502, "the target closed without an answer")


# --- half an answer ------------------------------------------------------------------------------
def sends_and_resets(data: bytes) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(data)
        wire.until(b"go on")  # the client has got the beginning
        reset(sock)

    return serve


@every_selector
@every_way
@pytest.mark.parametrize("data", [SHORT, CHUNKED + b"5\r\n12345\r\n", CHUNKED + b"9\r\n12345"])
def test_a_target_that_closes_inside_the_body(selector: SelectorFactory, direct: bool, data: bytes) -> None:
    """The client must be able to tell, whatever it believes about lengths: no FIN."""
    with target(sends(data)) as server, through(selector, direct) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            with pytest.raises(ConnectionResetError):
                while wire.rest():
                    pass
                pytest.fail("FIN, not RST")
        running.log.wait_for(f"-> {HOST}:{server.port} dial-failed up .*closed")


@every_selector
@every_way
def test_a_reset_does_not_end_an_answer_without_length(selector: SelectorFactory, direct: bool) -> None:
    """FIN is what ends it; after a reset something is missing."""
    data = b"HTTP/1.1 200 OK\r\n\r\n12345"
    with target(sends_and_resets(data)) as server, through(selector, direct) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Content-Length: 100", method=b"POST"))
        assert wire.head().get(b"transfer-encoding") == b"chunked"
        assert wire.exactly(10) == b"5\r\n12345\r\n"
        wire.send(b"go on")
        with pytest.raises(ConnectionResetError):
            wire.rest()


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

    with target(serve) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
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

    with target(serve) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
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


# --- the client ----------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_client_that_has_ended_its_direction_gets_its_answer(selector: SelectorFactory, direct: bool) -> None:
    ended = threading.Event()

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        assert ended.wait(30)
        wire.send(response(b"late"))
        assert wire.rest() == b""

    with target(serve) as server, through(selector, direct) as running, talk(running) as wire:
        wire.send(request(server.port))
        wire.end()
        ended.set()
        assert wire.message()[1] == b"late"
        assert wire.rest() == b""
        running.until_idle()
    assert not server.errors


@every_selector
@every_way
def test_a_client_that_leaves_amid_the_answer_ends_the_way_to_the_target(
    selector: SelectorFactory, direct: bool
) -> None:
    def serve(sock: socket.socket) -> str:
        wire = Wire(sock)
        wire.head()
        wire.send(CHUNKED)
        try:
            while True:
                wire.send(b"1000\r\n", bytes(4096), b"\r\n")
        except ConnectionError:
            return "gone"

    for leave in (socket.socket.close, reset):
        with target(serve) as server, through(selector, direct) as running:
            with talk(running) as wire:
                wire.send(request(server.port))
                wire.until(b"1000\r\n")
                leave(wire.sock)
            running.until_idle()
            running.log.wait_for(f"-> {HOST}:{server.port} reset up ")
        assert server.results == ["gone"]


@every_selector
def test_a_client_that_leaves_inside_its_upload(selector: SelectorFactory) -> None:
    """The target must not take what it has got for the whole."""

    def serve(sock: socket.socket) -> bytes:
        wire = Wire(sock)
        wire.head()
        began.set()
        return wire.rest()

    for header, body in ((b"Content-Length: 9", b"12345"), (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n")):
        began = threading.Event()
        with target(serve) as server, relay(selector, forward=plain_http()) as running:
            with talk(running) as wire:
                wire.send(request(server.port, b"/", header, method=b"POST"), body)
                assert began.wait(30)
                wire.end()
                assert wire.rest() == b""
            running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} disconnected ")
        assert server.results == [body]


@every_selector
def test_garbage_in_the_body_is_refused(selector: SelectorFactory) -> None:
    with target(closes) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Transfer-Encoding: chunked", method=b"POST"), b"secret\r\n")
        head, body = wire.message()
        assert head.status == 400
        assert b"illegal chunk header" in body and b"secret" not in body
        assert wire.rest() == b""


# --- silence -------------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_target_that_is_silent_for_too_long(selector: SelectorFactory, direct: bool) -> None:
    limits = Limits(greeting=0.2, idle=0.2)
    with target(lambda sock: Wire(sock).rest()) as server, through(selector, direct, local_limits=limits) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            refused(wire, 504, "nothing moved for too long")
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} timeout up ")


@every_selector
def test_a_target_that_falls_silent_amid_its_answer(selector: SelectorFactory) -> None:
    limits = Limits(greeting=0.2, idle=0.2)

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(SHORT)
        try:
            wire.rest()
        except ConnectionError:
            pass

    with target(serve) as server, relay(selector, forward=plain_http(), local_limits=limits) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            with pytest.raises(ConnectionResetError):
                wire.rest()
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} timeout up ")


@every_selector
def test_a_client_that_is_silent_between_requests_is_left_with_fin(selector: SelectorFactory) -> None:
    limits = Limits(greeting=0.2, idle=0.2)
    with target(answering()) as server, relay(selector, forward=plain_http(), local_limits=limits) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            assert wire.message()[1] == b"hello"
            assert wire.rest() == b""
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} ok up ")


# --- the server's keys ---------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_a_server_whose_answer_is_forged(selector: SelectorFactory, method: str) -> None:
    def forge(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(bytes(500))

    with target(forge) as forger, through(selector, False, method=method, server_at=(HOST, forger.port)) as running:
        with talk(running) as wire:
            wire.send(request(9))
            refused(wire, 502, "")
        running.log.wait_for(f"-> {HOST}:9 (bad-tag|bad-header) up ")


def test_socks_is_not_disturbed_by_plain_http_on_the_same_port() -> None:
    origin = Origin(lambda wire, head, body: wire.send(response(head.line)))
    with target(origin) as server, relay(forward=plain_http()) as running, talk(running) as one, talk(running) as two:
        one.send(request(server.port))
        two.send(b"\x05\x01\x00", socks5_request(HOST, server.port), b"GET /socks HTTP/1.1\r\n\r\n")
        assert one.message() == (Head(b"HTTP/1.1 200 OK", [(b"content-length", b"14")]), b"GET / HTTP/1.1")
        assert two.exactly(2) == b"\x05\x00"
        assert socks5_reply(two)[0] == 0
        assert two.message()[1] == b"GET /socks HTTP/1.1"
