"""The PAC file at /proxy.pac of the local proxy's port: who gets it, which proxy it names, and all else as ever."""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers.relay import HOST, Limits, RunningRelay, SelectorFactory, plain_http, relay
from helpers.streaming import reset, small_buffers
from helpers.traffic import LIMIT, echo, target
from helpers.wire import Wire, answering, every_selector, request, talk

from pyss.app.assembly import Assembly
from pyss.app.config import LocalConfig, Server
from pyss.net.loop import Loop
from pyss.protocol.credentials import Credentials
from pyss.protocol.pac import pac_script, pac_tables
from pyss.relay.inbounds import Mixed
from pyss.relay.pac import PacServer, reached
from pyss.relay.session import FORWARDING

TABLES = pac_tables([".example.org"])
LONG = pac_tables([f".{number}.example" for number in range(40_000)])  # more than any socket takes at once


@contextmanager
def serving(
    selector: SelectorFactory, tables: bytes = TABLES, accounts: Any = (), with_forward: bool = False, **options: Any
) -> Iterator[RunningRelay]:
    forward = plain_http() if with_forward else None
    with relay(selector, direct=True, forward=forward, **options) as running:
        assert running.local is not None
        pac = PacServer(lambda: tables, bool(accounts))
        running.local.inbound = Mixed(Credentials(accounts), forward, serve_pac=pac)
        yield running
        running.until_idle()


def ask(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line, *headers]) + b"\r\n\r\n"


def got(wire: Wire, script: bytes) -> None:
    """The whole answer, then FIN."""
    head, body = wire.message()
    assert head.line == b"HTTP/1.1 200 OK"
    assert head.get(b"content-type") == b"application/x-ns-proxy-autoconfig"
    assert head.get(b"cache-control") == b"no-store"
    assert head.get(b"x-content-type-options") == b"nosniff"
    assert head.get(b"connection") == b"close"
    assert body == script
    assert wire.rest() == b""


# --- who gets it ---------------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize("with_forward", [True, False], ids=["h11", "no h11"])
@pytest.mark.parametrize(
    "line", [b"GET /proxy.pac HTTP/1.1", b"GET /proxy.pac?time=1 HTTP/1.1", b"GET /proxy.pac HTTP/1.0"]
)
def test_it_is_served_with_and_without_h11(selector: SelectorFactory, with_forward: bool, line: bytes) -> None:
    with serving(selector, with_forward=with_forward) as running:
        with talk(running) as wire:
            wire.send(ask(line, b"Host: proxy.example:8000", b"User-Agent: a"))
            got(wire, pac_script(HOST, running.local_port, TABLES))
        running.log.wait_for("-> - ok up 0 down 0 ")


@every_selector
def test_byte_by_byte_and_with_more_behind_it(selector: SelectorFactory) -> None:
    with serving(selector) as running:
        for behind in (b"", b"GET /proxy.pac HTTP/1.1\r\n\r\n" * 3, bytes(100_000)):
            with talk(running) as wire:
                for byte in ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"):
                    wire.send(bytes([byte]))
                wire.send(behind)
                got(wire, pac_script(HOST, running.local_port, TABLES))


@every_selector
def test_head_is_told_how_long_it_is(selector: SelectorFactory) -> None:
    with serving(selector) as running, talk(running) as wire:
        wire.send(ask(b"HEAD /proxy.pac HTTP/1.1", b"Host: a"))
        head = wire.head()
        assert int(head.get(b"content-length") or 0) == len(pac_script(HOST, running.local_port, TABLES))
        assert wire.rest() == b""


@every_selector
def test_a_proxy_with_credentials_serves_it_to_whoever_can_connect(selector: SelectorFactory) -> None:
    with serving(selector, accounts=[("me", "secret")]) as running:
        with talk(running) as wire:
            wire.send(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
            script = pac_script(HOST, running.local_port, TABLES, credentials=True)
            assert b"SOCKS" not in script and b"secret" not in script
            got(wire, script)
        with talk(running) as wire:
            wire.send(ask(b"CONNECT 127.0.0.1:9 HTTP/1.1"))
            assert wire.head().status == 407


@every_selector
def test_a_script_of_a_megabyte_comes_whole_to_a_slow_reader(selector: SelectorFactory) -> None:
    with serving(selector, LONG) as running:
        assert running.local is not None
        small_buffers(running.local.listeners[0]._channel.sock)
        with socket.create_connection((HOST, running.local_port), LIMIT) as sock:
            small_buffers(sock)
            wire = Wire(sock)
            wire.send(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
            running.thread.until(lambda: any(s.state == FORWARDING for s in running.local.sessions))  # type: ignore[union-attr]
            with target(echo) as server, talk(running) as other:  # others are served meanwhile
                other.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nhello" % server.port)
                assert other.head().status == 200 and other.exactly(5) == b"hello"
            got(wire, pac_script(HOST, running.local_port, LONG))


@every_selector
def test_a_client_that_leaves_or_breaks_off_in_the_middle(selector: SelectorFactory) -> None:
    with serving(selector, LONG) as running:
        assert running.local is not None
        small_buffers(running.local.listeners[0]._channel.sock)
        for end in (reset, socket.socket.close):
            sock = socket.create_connection((HOST, running.local_port), LIMIT)
            small_buffers(sock)
            sock.sendall(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
            end(sock)
        running.log.wait_for("-> - reset up 0 down 0 ", 2)


@pytest.mark.load  # for the time it waits
def test_a_client_that_does_not_read_is_ended() -> None:
    limits = Limits(idle=0.2)
    with serving(selectors.DefaultSelector, LONG, limits=limits) as running:
        assert running.local is not None
        small_buffers(running.local.listeners[0]._channel.sock)
        with socket.create_connection((HOST, running.local_port), LIMIT) as sock:
            small_buffers(sock)
            sock.sendall(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
            running.log.wait_for("-> - timeout up 0 down 0 .*does not read its PAC file")


# --- what is none of it --------------------------------------------------------------------------
@every_selector
@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /proxy.pacx HTTP/1.1", b"GET /proxy HTTP/1.1", b"GET /proxy.pac/ HTTP/1.1", b"GET /Proxy.pac HTTP/1.1"),
        *(b"POST /proxy.pac HTTP/1.1", b"GET /pro HTTP/1.0", b"HEAD /pr HTTP/1.0", b"OPTIONS /proxy.pac HTTP/1.1"),
    ],
)
def test_other_requests_in_origin_form_are_refused_as_ever(selector: SelectorFactory, line: bytes) -> None:
    with serving(selector, with_forward=True) as running, talk(running) as wire:
        wire.send(ask(line, b"Host: a"))
        said = wire.rest()
        assert said.startswith(b"HTTP/1.1 400 ") and (b"it takes http://HOST/PATH" in said or line.startswith(b"HEAD"))


@every_selector
def test_through_the_proxy_it_is_the_path_of_some_other_host(selector: SelectorFactory) -> None:
    with target(answering()) as server, serving(selector, with_forward=True) as running:
        with talk(running) as wire:
            wire.send(request(server.port, b"/proxy.pac"))
            assert wire.message()[1] == b"hello"
        with talk(running) as wire:
            wire.send(request(running.local_port, b"/proxy.pac"))
            assert wire.head().status == 508


@every_selector
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([b"GET /proxy.pac HTTP/1.1"], b"a request has one Host header"),
        ([b"GET /proxy.pac HTTP/1.1", b"Host: a", b"Host: b"], b"a request has one Host header"),
        ([b"GET /proxy.pac HTTP/2", b"Host: a"], b"the request line is not GET /proxy.pac HTTP/1.1"),
        ([b"GET /proxy.pac ", b"Host: a"], b"the request line is not"),
        ([b"GET /proxy.pac HTTP/1.1", b"Host : a"], b"a header line is malformed"),
        ([b"GET /proxy.pac HTTP/1.1", b"Host: a", b"X: " + b"x" * 70_000], b"no end after 65536 bytes"),
    ],
)
def test_a_request_that_is_not_http(selector: SelectorFactory, lines: list[bytes], words: bytes) -> None:
    with serving(selector) as running, talk(running) as wire:
        wire.send(ask(*lines))
        said = wire.rest()
        assert said.startswith(b"HTTP/1.1 400 ") and words in said


def test_without_a_pac_file_nothing_is_different() -> None:
    with relay(direct=True) as running, talk(running) as wire:
        wire.send(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
        assert wire.head().status == 501


# --- which proxy it names ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "named"),
    [
        (b"127.0.0.1:1080", ("127.0.0.1", 1080)),
        (b"192.0.2.9:9999", ("192.0.2.9", 9999)),
        (b"LocalHost:1080", ("localhost", 1080)),
        (b"[::1]:1080", ("::1", 1080)),
        (b"[2001:DB8::1]", ("2001:db8::1", 80)),
        (b"127.0.0.1", ("127.0.0.1", 80)),
        *((host, ("192.0.2.1", 1080)) for host in (None, b"", b"proxy.example:1080", b"evil; DIRECT", b"127.0.0.1:0")),
        *((host, ("192.0.2.1", 1080)) for host in (b"127.0.0.1:x", b"[::1", b"\xff", b'1.2.3.4"', b"localhost.evil:1")),
    ],
)
def test_the_proxy_is_where_the_client_has_reached_it(host: bytes, named: tuple[str, int]) -> None:
    assert reached(host, ("192.0.2.1", 1080)) == named


@pytest.mark.parametrize(
    ("own", "named"),
    [
        (("::1", 1080, 0, 0), ("::1", 1080)),
        (("fe80::1%eth0", 1080, 0, 2), ("fe80::1", 1080)),
        (("::ffff:192.0.2.7", 1080, 0, 0), ("192.0.2.7", 1080)),
    ],
)
def test_the_own_address_as_others_can_use_it(own: tuple[Any, ...], named: tuple[str, int]) -> None:
    assert reached(b"proxy.example", own) == named


def test_a_local_proxy_has_one() -> None:
    """As `pyss local` puts it together."""
    loop = Loop()
    assembly = Assembly(loop)
    try:
        server = Server("127.0.0.1", 1, "none", "")
        (service,) = assembly.local(LocalConfig((("127.0.0.1", 0),), (server,), (("me", "x"),)))
        port = service.listeners[0].address[1]
        with socket.create_connection((HOST, port), LIMIT) as sock:
            sock.sendall(ask(b"GET /proxy.pac HTTP/1.1", b"Host: a"))
            sock.setblocking(False)
            said = b""
            while not said.endswith(b"return digits;\n}\n"):
                loop.tick(1.0)
                try:
                    said += sock.recv(65536)
                except BlockingIOError:
                    pass
        assert re.search(rb'var proxy = "PROXY 127\.0\.0\.1:%d";' % port, said)
    finally:
        assembly.close()
