"""Plain HTTP and targets that do not answer, or not to the end: the client can tell, whatever it believes."""

from __future__ import annotations

import socket
from typing import Callable

import pytest
from helpers.relay import HOST, SELECTORS, SelectorFactory
from helpers.traffic import target
from helpers.wire import (
    Head,
    Origin,
    Wire,
    every_selector,
    every_way,
    refused,
    request,
    reset,
    response,
    sends,
    socks5_reply,
    socks5_request,
    talk,
    through,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"


# --- no answer -----------------------------------------------------------------------------------
def closes(sock: socket.socket) -> None:
    Wire(sock).head()


def resets(sock: socket.socket) -> None:
    Wire(sock).head()
    reset(sock)


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
    relaying = through(SELECTORS["default"], False)
    with target(origin) as server, relaying as running, talk(running) as one, talk(running) as two:
        one.send(request(server.port))
        two.send(b"\x05\x01\x00", socks5_request(HOST, server.port), b"GET /socks HTTP/1.1\r\n\r\n")
        assert one.message() == (Head(b"HTTP/1.1 200 OK", [(b"content-length", b"14")]), b"GET / HTTP/1.1")
        assert two.exactly(2) == b"\x05\x00"
        assert socks5_reply(two)[0] == 0
        assert two.message()[1] == b"GET /socks HTTP/1.1"
