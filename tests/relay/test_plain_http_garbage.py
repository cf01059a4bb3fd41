"""Plain HTTP from clients and targets that say anything: an answer or an end, and nothing is left behind."""

from __future__ import annotations

import gc
import socket
import sys
from typing import Any

import pytest
from helpers.relay import RunningRelay, plain_http, relay
from helpers.traffic import target
from helpers.wire import Wire, answering, refusing_port, request, talk

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

WORDS = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\n\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n"),
    *(b"GET ", b"HEAD ", b"POST ", b"CONNECT a:9", b"http://127.0.0.1:PORT/", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    *(b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: x\r\n"),
    *(b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No\r\n", b"HTTP/1.0 304\r\n"),
)
PIECES = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(WORDS)), max_size=12)


def finish(wire: Wire) -> bytes:
    """What the proxy says until it ends the connection, which it must, one way or the other."""
    try:
        wire.end()
        return wire.rest()
    except OSError:  # it has broken off; behind a reset, even FIN is refused (ENOTCONN)
        return b""


def test_whatever_follows_a_request_line() -> None:
    origin = answering()
    with target(origin) as server, relay(forward=plain_http(), direct=True) as running:

        @settings(max_examples=150)
        @given(PIECES, st.integers(0, 200))
        def check(pieces: list[bytes], cut: int) -> None:
            port = b"%d" % server.port
            said = b"GET http://127.0.0.1:%s/ HTTP/1.1\r\n%s" % (port, b"".join(pieces).replace(b"PORT", port))
            with talk(running) as wire:
                wire.send(said[:cut])
                wire.send(said[cut:])
                answer = finish(wire)
            assert not answer or answer.startswith(b"HTTP/1.1 ")
            assert not running.thread.faults

        check()
        running.until_idle()
        with talk(running) as wire:
            wire.send(request(server.port))
            assert wire.message()[1] == b"hello"


def test_whatever_a_target_answers() -> None:
    answer: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        for piece in answer:
            wire.send(piece)
        wire.end()
        wire.rest()

    with target(serve) as server, relay(forward=plain_http()) as running:

        @settings(max_examples=100)
        @given(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b""]), PIECES, st.sampled_from([b"GET", b"HEAD", b"POST"]))
        def check(begin: bytes, pieces: list[bytes], method: bytes) -> None:
            answer[:] = [begin, *pieces]
            with talk(running) as wire:
                wire.send(request(server.port, b"/", b"Content-Length: 0", method=method))
                said = finish(wire)
            assert not said or said.startswith(b"HTTP/1.1 ")
            running.until_idle()
            assert not running.thread.faults

        check()


def one_of_each_kind(running: RunningRelay, port: int, closed: int) -> None:
    kinds = [
        request(port) * 2,
        request(port, b"/", b"Connection: close"),
        request(port, b"/", b"Content-Length: 5", method=b"POST") + b"hello",
        request(closed),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nno header\r\n\r\n",
        b"GET http://127.0.0.1/ HTTP",
        request(port, b"/garbage"),
        request(port, b"/close"),
        request(port, b"/half"),
    ]
    for said in kinds:
        with talk(running) as wire:
            wire.send(said)
            finish(wire)


@pytest.mark.load  # for the time it takes
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="other interpreters have no reference counts")
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "shadowsocks"])
def test_hundreds_of_sessions_leave_nothing_to_the_garbage_collector(direct: bool) -> None:
    """Cycles would keep sockets and buffers until the collector runs."""
    odd = {
        b"GET /garbage HTTP/1.1": b"garbage\r\n\r\n",
        b"GET /close HTTP/1.1": b"",
        b"GET /half HTTP/1.1": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    }

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        try:
            while True:
                line = wire.message()[0].line
                wire.send(odd.get(line, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
                if line in odd:
                    return
        except (EOFError, ConnectionError):
            pass

    def garbage() -> list[Any]:
        """Objects of pyss and h11 that only the collector found."""
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            found = [thing for thing in gc.garbage if type(thing).__module__.partition(".")[0] in ("pyss", "h11")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        return found

    with target(serve) as server, refusing_port() as closed, relay(forward=plain_http(), direct=direct) as running:
        one_of_each_kind(running, server.port, closed)
        running.until_idle()
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                one_of_each_kind(running, server.port, closed)
            running.until_idle()
            assert running.thread.call(garbage) == []
        finally:
            gc.enable()

