"""Plain HTTP through the local proxy: which connections carry which requests, and what changes on their way."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import pytest
from helpers.relay import HOST, Limits, SelectorFactory, plain_http, relay
from helpers.traffic import target
from helpers.wire import Head, Origin, Wire, answering, every_selector, request, response, talk

WAYS: dict[str, dict[str, Any]] = {
    "direct": {"direct": True},
    "aead": {"method": "aes-256-gcm"},
    "aead 2022": {"method": "2022-blake3-aes-256-gcm"},
}
CHUNKS = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def echoed(wire: Wire, head: Head, body: bytes) -> None:
    """Answers with what came."""
    wire.send(response(head.line + b"|" + body))


# --- connections ---------------------------------------------------------------------------------
@every_selector
@every_way
def test_three_requests_to_two_hosts_on_one_connection(selector: SelectorFactory, way: dict[str, Any]) -> None:
    """Those to one host share a connection; each connection to a host has its line in the log."""
    first, second = Origin(echoed), Origin(echoed)
    with ExitStack() as stack:
        one, other = stack.enter_context(target(first)), stack.enter_context(target(second))
        running = stack.enter_context(relay(selector, forward=plain_http(), **way))
        with talk(running) as wire:
            for port, path in ((one.port, b"/a"), (one.port, b"/b?c=d"), (other.port, b"/e")):
                wire.send(request(port, path))
                head, body = wire.message()
                assert head.status == 200
                assert body == b"GET " + path + b" HTTP/1.1|"
        running.until_idle()
    assert (first.connections, second.connections) == (1, 1)
    for server, origin in ((one, first), (other, second)):
        (line,) = running.log.matching(rf"^info {wire.name} -> {HOST}:{server.port} ")
        assert f" ok up {origin.heard} down {origin.said} bytes " in line
    assert len(running.log.matching(rf"^info {wire.name} ")) == 2


@every_selector
def test_pipelined_requests_are_answered_in_their_order(selector: SelectorFactory) -> None:
    first, second = Origin(echoed), Origin(echoed)
    with target(first) as one, target(second) as other, relay(selector, forward=plain_http()) as running:
        with talk(running) as wire:
            ports = [one.port, one.port, other.port, one.port, other.port]
            posted = request(other.port, b"/posted", b"Content-Length: 5", method=b"POST") + b"12345"
            wire.send(*(request(port, b"/%d" % number) for number, port in enumerate(ports)), posted)
            wire.end()
            for number in range(len(ports)):
                assert wire.message()[1] == b"GET /%d HTTP/1.1|" % number
            assert wire.message()[1] == b"POST /posted HTTP/1.1|12345"
            assert wire.rest() == b""
        running.until_idle()
        assert (first.connections, second.connections) == (2, 2)


@every_selector
def test_a_request_that_comes_byte_by_byte(selector: SelectorFactory) -> None:
    with target(Origin(echoed)) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        said = request(server.port, b"/", b"Transfer-Encoding: chunked", method=b"POST") + CHUNKS
        for at in range(len(said)):
            wire.send(said[at : at + 1])
        assert wire.message()[1] == b"POST / HTTP/1.1|abc"


@every_selector
def test_an_answer_that_comes_byte_by_byte(selector: SelectorFactory) -> None:
    said = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS

    def slowly(wire: Wire, head: Head, body: bytes) -> None:
        for at in range(len(said)):
            wire.send(said[at : at + 1])

    with target(Origin(slowly)) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(request(server.port))
            assert wire.head().status == 103
            assert wire.message()[1] == b"abc"


@every_selector
def test_a_client_that_asks_for_the_end_gets_it(selector: SelectorFactory) -> None:
    """At once: not when the proxy has waited long enough for the client's own end."""
    patient: dict[str, Any] = {"forward": plain_http(), "local_limits": Limits(linger=300)}
    with target(answering()) as server, relay(selector, **patient) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Connection: close"))
        head, body = wire.message()
        assert (head.get(b"connection"), body) == (b"close", b"hello")
        assert wire.rest() == b""


@every_selector
def test_a_target_that_ends_each_connection_is_dialed_for_each_request(selector: SelectorFactory) -> None:
    origin = answering(b"hello", b"Connection: close")
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for number in range(3):
            wire.send(request(server.port))
            head, body = wire.message()
            assert (head.get(b"connection"), body) == (None, b"hello")  # its own connection goes on
            assert origin.connections == number + 1


@every_selector
def test_a_client_of_http_1_0(selector: SelectorFactory) -> None:
    with target(answering()) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(b"GET http://127.0.0.1:%d/ HTTP/1.0\r\n\r\n" % server.port)
        head, body = wire.message()
        assert (head.get(b"connection"), body) == (b"close", b"hello")
        assert wire.rest() == b""


# --- what changes on the way -----------------------------------------------------------------------
@every_selector
def test_what_concerns_one_connection_only_does_not_reach_the_origin(selector: SelectorFactory) -> None:
    origin = answering()
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(
            request(
                server.port,
                b"/",
                b"Connection: X-Named, keep-alive,X-Also-Named",
                b"Proxy-Connection: keep-alive",
                b"Keep-Alive: timeout=5",
                b"TE: trailers",
                b"Trailer: X-Checksum",
                b"Upgrade: websocket",
                b"Proxy-Authorization: Basic c2VjcmV0OnNlY3JldA==",
                b"x-named: 1",
                b"X-ALSO-NAMED: 2",
                b"X-Kept: 3",
                b"Cookie: a=b",
                b"Cookie: c=d",
            )
        )
        assert wire.message()[1] == b"hello"
        ((head, _),) = origin.requests
        assert head.line == b"GET / HTTP/1.1"
        assert head.headers == [
            (b"host", b"127.0.0.1:%d" % server.port),
            (b"x-kept", b"3"),
            (b"cookie", b"a=b"),
            (b"cookie", b"c=d"),
        ]


@every_selector
def test_what_concerns_one_connection_only_does_not_reach_the_client(selector: SelectorFactory) -> None:
    origin = answering(
        b"hello",
        b"Connection: X-Named",
        b"X-Named: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"Set-Cookie: a=b",
        b"Set-Cookie: c=d",
    )
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(request(server.port))
        head, body = wire.message()
        assert body == b"hello"
        assert head.line == b"HTTP/1.1 200 OK"
        assert head.headers == [(b"content-length", b"5"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]


@every_selector
def test_the_host_header_says_what_the_target_of_the_request_says(selector: SelectorFactory) -> None:
    origin = answering()
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(b"GET http://127.0.0.1:%d HTTP/1.1\r\nHost: another.example\r\n\r\n" % server.port)
        assert wire.message()[1] == b"hello"
        wire.send(b"GET http://127.0.0.1:%d?query HTTP/1.1\r\nHost: another.example\r\n\r\n" % server.port)
        assert wire.message()[1] == b"hello"
        wire.send(b"OPTIONS http://127.0.0.1:%d HTTP/1.1\r\nHost: another.example\r\n\r\n" % server.port)
        assert wire.message()[1] == b"hello"
        assert origin.lines == [b"GET / HTTP/1.1", b"GET /?query HTTP/1.1", b"OPTIONS * HTTP/1.1"]
        assert {head.get(b"host") for head, _ in origin.requests} == {b"127.0.0.1:%d" % server.port}


# --- framing -------------------------------------------------------------------------------------
@every_selector
def test_a_request_with_two_lengths_reaches_the_origin_with_one(selector: SelectorFactory) -> None:
    """Who believes the other length sees another request in the rest."""
    origin = Origin(echoed)
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(
            request(server.port, b"/", b"Content-Length: 3", b"Transfer-Encoding: chunked", method=b"POST"),
            b"5\r\nabcde\r\n0\r\n\r\n",
        )
        assert wire.message()[1] == b"POST / HTTP/1.1|abcde"
        ((head, _),) = origin.requests
        assert (head.get(b"content-length"), head.get(b"transfer-encoding")) == (None, b"chunked")


@every_selector
def test_an_answer_with_two_lengths_reaches_the_client_with_one(selector: SelectorFactory) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    origin = Origin(lambda wire, head, body: wire.send(said))
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(request(server.port))
            head, body = wire.message()
            assert (head.get(b"content-length"), body) == (None, b"abcde")


@every_selector
def test_trailers_of_a_chunked_body_are_dropped(selector: SelectorFactory) -> None:
    origin = Origin(echoed)
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(
                request(server.port, b"/", b"Transfer-Encoding: chunked", method=b"POST"),
                b"1;extension=x\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n",
            )
            assert wire.message()[1] == b"POST / HTTP/1.1|a"


@every_selector
def test_head_answers_have_a_length_and_no_body(selector: SelectorFactory) -> None:
    origin = Origin(lambda wire, head, body: wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"))
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(request(server.port, method=b"HEAD"))
            assert wire.head().get(b"content-length") == b"12345"
        assert origin.connections == 1


@every_selector
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body(selector: SelectorFactory, status: bytes) -> None:
    origin = Origin(lambda wire, head, body: wire.send(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"))
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(request(server.port))
            assert wire.head() == Head(b"HTTP/1.1 " + status, [(b"etag", b"x")])
        assert origin.connections == 1


@every_selector
def test_an_unchanged_page_may_say_how_long_it_would_be(selector: SelectorFactory) -> None:
    origin = Origin(lambda wire, head, body: wire.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"))
    with target(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        for _ in range(2):
            wire.send(request(server.port))
            assert wire.head().status == 304


def until_close(wire: Wire, head: Head, body: bytes) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nServer: old\r\n\r\nhello")
    wire.send(b" and goodbye")
    wire.end()


@every_selector
@every_way
def test_an_answer_without_length_comes_in_chunks(selector: SelectorFactory, way: dict[str, Any]) -> None:
    origin = Origin(until_close)
    with target(origin) as server, relay(selector, forward=plain_http(), **way) as running, talk(running) as wire:
        for number in range(2):
            wire.send(request(server.port))
            head, body = wire.message()
            assert head.get(b"transfer-encoding") == b"chunked"
            assert body == b"hello and goodbye"
            assert origin.connections == number + 1


@every_selector
def test_an_answer_without_length_ends_the_connection_of_a_client_of_http_1_0(selector: SelectorFactory) -> None:
    with target(Origin(until_close)) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(b"GET http://127.0.0.1:%d/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % server.port)
        head = wire.head()
        assert head.get(b"transfer-encoding") is None
        assert head.get(b"connection") == b"close"
        assert wire.rest() == b"hello and goodbye"


# --- 1xx -----------------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_body_that_waits_for_100_continue(selector: SelectorFactory, way: dict[str, Any]) -> None:
    asked = threading.Event()

    def serve(sock: Any) -> bytes:
        wire = Wire(sock)
        head = wire.head()
        assert head.get(b"expect") == b"100-continue"
        asked.set()
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = wire.exactly(4)
        wire.send(response(b"thanks"))
        return body

    with target(serve) as server, relay(selector, forward=plain_http(), **way) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
        assert asked.wait(30)  # the head does not wait for the body
        assert wire.head() == Head(b"HTTP/1.1 100 Continue", [])
        wire.send(b"body")
        assert wire.message()[1] == b"thanks"
    assert server.results == [b"body"]


@every_selector
def test_a_refusal_in_place_of_100_continue(selector: SelectorFactory) -> None:
    origin_says = response(b"no", status=b"417 Expectation Failed")

    def serve(sock: Any) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(origin_says)
        wire.rest()

    with target(serve) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.sock.settimeout(10)  # less than the target waits
        wire.send(request(server.port, b"/", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
        head, body = wire.message()
        assert (head.status, body) == (417, b"no")
        assert wire.rest() == b""  # the body that never came would be taken for the next request


@every_selector
def test_a_client_of_http_1_0_is_spared_1xx(selector: SelectorFactory) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    origin = Origin(lambda wire, head, body: wire.send(early, early, response(b"hello")))
    with target(origin) as server, relay(selector, forward=plain_http()) as running:
        with talk(running) as wire:
            wire.send(b"GET http://127.0.0.1:%d/ HTTP/1.0\r\n\r\n" % server.port)
            assert wire.message()[1] == b"hello"
        with talk(running) as wire:
            wire.send(request(server.port))
            assert [wire.head().status, wire.head().status] == [103, 103]
            assert wire.message()[1] == b"hello"
