"""The local proxy as seen by HTTP clients: CONNECT, what it refuses and how it says so."""

from __future__ import annotations

import pytest
from helpers.relay import HOST, Limits, SelectorFactory, plain_http, relay
from helpers.traffic import echo, target
from helpers.wire import Head, Wire, answering, every_selector, refusing_port, request, talk


def refusal(wire: Wire, status: int) -> str:
    """The sentence of a refusal, which is complete and followed by FIN."""
    head, body = wire.message()
    assert head.status == status, (head, body)
    assert head.get(b"connection") == b"close"
    assert head.get(b"content-type") == b"text/plain; charset=utf-8"
    assert wire.rest() == b""
    assert body.startswith(b"pyss: ") and body.endswith(b"\n")
    return body[6:-1].decode()


# --- CONNECT -------------------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize("with_forward", [True, False], ids=["h11", "no h11"])
def test_connect_works_with_and_without_h11(selector: SelectorFactory, with_forward: bool) -> None:
    forward = plain_http() if with_forward else None
    with target(echo) as server, relay(selector, forward=forward) as running:
        with talk(running) as wire:
            wire.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nhello" % server.port)
            assert wire.head() == Head(b"HTTP/1.1 200 Connection established", [])
            assert wire.exactly(5) == b"hello"
            wire.end()
            assert wire.rest() == b""
        running.log.wait_for(f"-> {HOST}:{server.port} ok up 5 down 5 ", 2)


@every_selector
@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"CONNECT 127.0.0.1 HTTP/1.1", "has no port; write HOST:PORT"),
        (b"CONNECT :80 HTTP/1.1", "has no host"),
        (b"CONNECT 127.0.0.1:65536 HTTP/1.1", "'65536' is not a port number"),
        (b"CONNECT 127.0.0.1:x HTTP/1.1", "'x' is not a port number"),
        (b"CONNECT http://127.0.0.1:80/ HTTP/1.1", "write HOST:PORT"),
        (b"CONNECT a b:80 HTTP/1.1", "CONNECT HOST:PORT HTTP/1.1"),
        (b"CONNECT 127.0.0.1:80", "CONNECT HOST:PORT HTTP/1.1"),
        (b"CONNECT 127.0.0.1:80 SPDY/1", "CONNECT HOST:PORT HTTP/1.1"),
        (b"CONNECT \xff\xfe:80 HTTP/1.1", "neither ASCII nor UTF-8"),
        (b"CONNECT a:80 HTTP/1.1\r\nno colon", "a header line is malformed"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost : a", "a header line is malformed"),
    ],
)
def test_connect_that_cannot_be_understood(selector: SelectorFactory, head: bytes, words: str) -> None:
    with relay(selector) as running, talk(running) as wire:
        wire.send(head, b"\r\n\r\n")
        assert words in refusal(wire, 400)


@every_selector
def test_connect_with_a_head_without_end(selector: SelectorFactory) -> None:
    with relay(selector) as running, talk(running) as wire:
        wire.send(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n", b"X-Padding: 0123456789\r\n" * 6000)
        assert "no end after 65536 bytes" in refusal(wire, 400)


@every_selector
def test_the_refusal_is_read_whole_by_a_client_that_sends_megabytes_ahead(selector: SelectorFactory) -> None:
    with refusing_port() as port, relay(selector, direct=True) as running, talk(running) as wire:
        wire.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port, bytes(4 << 20))
        wire.end()
        assert f"{HOST}:{port}: " in refusal(wire, 502)


# --- plain HTTP that is refused --------------------------------------------------------------------
@every_selector
def test_plain_http_without_h11_says_what_to_install(selector: SelectorFactory) -> None:
    with relay(selector, forward=None) as running:
        with talk(running) as wire:
            wire.send(request(9))
            assert "pip install h11" in refusal(wire, 501)
        running.log.wait_for("-> - unsupported-command ")


@every_selector
@pytest.mark.parametrize("words", [b"GET / HTTP/1.1", b"GET /index.html HTTP/1.0", b"OPTIONS * HTTP/1.1"])
def test_a_request_that_is_meant_for_no_proxy(selector: SelectorFactory, words: bytes) -> None:
    with relay(selector, forward=plain_http()) as running:
        with talk(running) as wire:
            wire.send(words, b"\r\nHost: 127.0.0.1\r\n\r\n")
            assert refusal(wire, 400) == "this is a proxy: it takes http://HOST/PATH, or CONNECT HOST:PORT"
        running.log.wait_for("-> - bad-request up 0 down 0 ")


@every_selector
@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        (b"https://127.0.0.1/", 400, "https goes through a proxy by CONNECT HOST:PORT"),
        (b"HTTPS://127.0.0.1/", 400, "https goes through a proxy by CONNECT HOST:PORT"),
        (b"ftp://127.0.0.1/", 400, "it takes http://HOST/PATH"),
        (b"http://someone:secret@127.0.0.1/", 400, "a user name has no place"),
        (b"http:///path", 400, "the host name is empty"),
        (b"http://:80/", 400, "no host"),
        (b"http://127.0.0.1:65536/", 400, "is not a port number"),
        (b"http://127.0.0.1:80:80/", 400, ""),
        (b"http://[::1/", 400, ""),
        (b"http://a%20b/", 400, "is not a host name"),
        (b"http://127.0.0.1/#fragment", 400, "it takes http://HOST/PATH"),
    ],
)
def test_targets_of_plain_http_that_cannot_be(selector: SelectorFactory, url: bytes, status: int, words: str) -> None:
    with relay(selector, forward=plain_http()) as running:
        with talk(running) as wire:
            wire.send(b"GET " + url + b" HTTP/1.1\r\nHost: whatever\r\n\r\n")
            assert words in refusal(wire, status)
        running.until_idle()
        assert not running.log.matching("secret|connecting")


@every_selector
@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost", b"LOCALHOST", b"[::1]", b"0.0.0.0"])
def test_the_proxy_itself_is_no_target_of_plain_http(selector: SelectorFactory, host: bytes) -> None:
    with relay(selector, forward=plain_http(), direct=True) as running:
        with talk(running) as wire:
            wire.send(b"GET http://%s:%d/ HTTP/1.1\r\nHost: a\r\n\r\n" % (host, running.local_port))
            assert "is this proxy itself" in refusal(wire, 508)
        running.log.wait_for("-> - loop up 0 down 0 ")
        assert not running.log.matching("connecting")


@every_selector
def test_a_later_request_must_not_name_the_proxy_either(selector: SelectorFactory) -> None:
    with target(answering()) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(request(server.port), request(running.local_port))
        assert wire.message()[1] == b"hello"
        assert "is this proxy itself" in refusal(wire, 508)


@every_selector
def test_connect_cannot_follow_plain_http(selector: SelectorFactory) -> None:
    with target(answering()) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(request(server.port), b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.message()[1] == b"hello"
        assert "CONNECT opens a connection of its own" in refusal(wire, 400)


@every_selector
@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", "Missing mandatory Host: header"),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Found multiple Host: headers"),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nCookie : secret\r\n\r\n", "illegal header line"),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nCookie: secret\0\r\n\r\n", "illegal header line"),
        (b"GET http://127.0.0.1/secret HTTP\r\nHost: a\r\n\r\n", "illegal request line"),
        (b"POST http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", "conflicting Content-Length"),
        (b"POST http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "bad Content-Length"),
        (b"POST http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is a proxy"),
        (b"SSH-2.0-client\r\n\r\n", "illegal request line"),
    ],
)
def test_what_is_not_http_is_refused_without_repeating_secrets(
    selector: SelectorFactory, head: bytes, words: str
) -> None:
    with relay(selector, forward=plain_http()) as running:
        with talk(running) as wire:
            wire.send(head)
            said = refusal(wire, 400)
            assert words in said and "secret" not in said
        running.until_idle()
        assert not running.log.matching("secret|connecting")


@every_selector
def test_a_head_that_is_too_long_is_refused(selector: SelectorFactory) -> None:
    with relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n", b"X-Padding: 0123456789\r\n" * 20000)
        wire.end()
        assert "Receive buffer too long" in refusal(wire, 400)


@pytest.mark.load  # for the time it waits
@every_selector
def test_a_client_that_says_half_a_request_and_then_nothing(selector: SelectorFactory) -> None:
    limits = Limits(greeting=0.2, dial=0.2, idle=0.2, linger=0.2)
    with relay(selector, forward=plain_http(), limits=limits) as running:
        for head in (b"GET http://127.0.0.1/ HTTP", b"GET", b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n"):
            with talk(running) as wire:
                wire.send(head)
                assert wire.rest() == b""
        running.until_idle()
        assert len(running.log.matching("-> - (timeout|ok) up 0 down 0 ")) == 3


@every_selector
def test_a_client_that_leaves_inside_its_request(selector: SelectorFactory) -> None:
    with relay(selector, forward=plain_http()) as running:
        for head in (b"GET http://127.0.0.1/ HTTP", b"GET", b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n"):
            with talk(running) as wire:
                wire.send(head)
                wire.end()
                assert wire.rest() == b""
        running.log.wait_for("-> - disconnected up 0 down 0 ", 3)
