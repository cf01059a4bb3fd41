"""Large bodies of plain HTTP: they arrive whole, and nobody's slowness fills the memory of the relay."""

from __future__ import annotations

import hashlib
import socket
import threading
from typing import Any

import pytest
from helpers.relay import HOST, RunningRelay, SelectorFactory, plain_http, relay
from helpers.traffic import Background, blocks
from helpers.traffic import target as serving
from helpers.wire import Head, Origin, Wire, every_selector, request, response, talk, through

WAYS: dict[str, dict[str, Any]] = {
    "direct": {"direct": True},
    "aead": {"method": "chacha20-ietf-poly1305"},
    "aead 2022": {"method": "2022-blake3-chacha20-poly1305"},
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)

MIB = 1 << 20
BODY = b"".join(blocks(MIB, b"body"))


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def digested(wire: Wire, head: Head, body: bytes) -> None:
    wire.send(response(digest(body)))


def chunks(data: bytes, size: int) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# --- up ------------------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_posted_mebibyte_arrives_whole(selector: SelectorFactory, way: dict[str, Any]) -> None:
    origin = Origin(digested)
    with serving(origin) as server, relay(selector, forward=plain_http(), **way) as running:
        with talk(running) as wire:
            wire.send(request(server.port, b"/", b"Content-Length: %d" % MIB, method=b"POST"), BODY)
            assert wire.message()[1] == digest(BODY)
            for size in (999, 100_000):
                wire.send(request(server.port, b"/", b"Transfer-Encoding: chunked", method=b"POST"), chunks(BODY, size))
                assert wire.message()[1] == digest(BODY)
        running.until_idle()
        assert origin.connections == 1
    (line,) = running.log.matching(rf"^info {wire.name} -> {HOST}:{server.port} ")
    assert f" ok up {origin.heard} down {origin.said} bytes " in line


# --- down ----------------------------------------------------------------------------------------
def send_large(wire: Wire, size: int) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for block in blocks(size, b"down"):
        wire.send(block)


def check_large(wire: Wire, size: int) -> None:
    head = wire.head()
    assert head.get(b"content-length") == b"%d" % size
    for block in blocks(size, b"down"):
        assert wire.exactly(len(block)) == block


@every_selector
@every_way
def test_a_large_answer_arrives_whole(selector: SelectorFactory, way: dict[str, Any]) -> None:
    origin = Origin(lambda wire, head, body: send_large(wire, 8 * MIB))
    with serving(origin) as server, relay(selector, forward=plain_http(), **way) as running, talk(running) as wire:
        wire.send(request(server.port), request(server.port, b"/", method=b"HEAD")[:10])
        check_large(wire, 8 * MIB)


@every_selector
def test_an_answer_in_many_small_chunks_arrives_whole(selector: SelectorFactory) -> None:
    data = BODY[:30_000]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    origin = Origin(lambda wire, *came: wire.send(head, chunks(data, 3)))
    with serving(origin) as server, relay(selector, forward=plain_http()) as running, talk(running) as wire:
        wire.send(request(server.port))
        assert wire.message()[1] == data


# --- slowness ------------------------------------------------------------------------------------
class Stuffing:
    """Sends or receives without end; `stuck` is set when the other side has taken no more for a while."""

    def __init__(self) -> None:
        self.total = 0
        self.stuck = threading.Event()

    def stuff(self, wire: Wire) -> None:
        """Send until nothing has been taken for half a second."""
        wire.sock.settimeout(0.5)
        try:
            while True:
                self.total += wire.sock.send(bytes(65536))
        except (socket.timeout, ConnectionError):
            self.stuck.set()


def held(running: RunningRelay) -> int:
    """Bytes that the forwarding sessions hold in this moment."""

    def count() -> int:
        assert running.local is not None
        held = 0
        for session in running.local.sessions:
            forward = session.client.incoming
            for parser in (forward.client, forward.server):
                held += len(parser.trailing_data[0]) if parser is not None else 0
            for pump in (session.up, session.down):
                held += len(pump.pending) if pump is not None else 0
        return held

    return running.thread.call(count)


MOST_HELD = 512 * 1024


@pytest.mark.load
@every_selector
def test_a_client_that_does_not_read_stops_the_target(selector: SelectorFactory) -> None:
    stuffing = Stuffing()

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock)
        wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        stuffing.stuff(wire)

    with serving(serve) as server, relay(selector, forward=plain_http(), direct=True) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            assert stuffing.stuck.wait(60)
            assert 0 < held(running) < MOST_HELD
            head = wire.head()
            assert head.status == 200
        running.until_idle()


@pytest.mark.load
@every_selector
def test_a_target_that_does_not_read_stops_the_client(selector: SelectorFactory) -> None:
    stuffing, done = Stuffing(), threading.Event()

    def serve(sock: socket.socket) -> None:
        assert done.wait(60)

    with serving(serve) as server, relay(selector, forward=plain_http(), direct=True) as running:
        with talk(running) as wire:
            wire.send(request(server.port, b"/", b"Content-Length: %d" % (1 << 40), method=b"POST"))
            stuffing.stuff(wire)
            assert 0 < held(running) < MOST_HELD
        done.set()
        running.until_idle()


@pytest.mark.load  # for the time it waits
@every_selector
def test_what_a_client_sends_ahead_stays_in_its_kernel(selector: SelectorFactory) -> None:
    """Megabytes of pipelined requests wait for their turn outside the relay."""
    asked, go_on = threading.Event(), threading.Event()
    count = 1500

    def serve(wire: Wire, head: Head, body: bytes) -> None:
        asked.set()
        assert go_on.wait(60)
        wire.send(response(head.line))

    with serving(Origin(serve)) as server, through(selector, True) as running, talk(running) as wire:
        padding = b"X-Padding: " + bytes(1000).replace(b"\0", b".")
        sending = Background(
            lambda: wire.send(b"".join(request(server.port, b"/%d" % number, padding) for number in range(count)))
        )
        assert asked.wait(30)
        # With each call the loop turns once, and could read 64 KiB.
        assert max(held(running) for _ in range(50)) < MOST_HELD
        go_on.set()
        for number in range(count):
            assert wire.message()[1] == b"GET /%d HTTP/1.1" % number
        sending.result()


@every_selector
@every_way
def test_an_upload_goes_on_behind_the_end_of_its_answer(selector: SelectorFactory, way: dict[str, Any]) -> None:
    """As long as the target listens: to cut it off would lose what the client has sent already."""
    heard, whole = threading.Event(), threading.Event()

    def serve(sock: socket.socket) -> bool:
        wire = Wire(sock)
        wire.head()
        wire.send(response(b"at once"))
        assert heard.wait(30)
        same = wire.exactly(MIB) == BODY
        nothing_more = wire.rest() == b""
        whole.set()
        return same and nothing_more

    with serving(serve) as server, relay(selector, forward=plain_http(), **way) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Content-Length: %d" % MIB, method=b"POST"), BODY[:1000])
        assert wire.message()[1] == b"at once"
        sending = Background(lambda: wire.send(BODY[1000:]))
        heard.set()
        sending.result()
        assert wire.rest() == b""
        assert whole.wait(30)
    assert server.results == [True], server.errors


@every_selector
@every_way
def test_both_directions_at_once(selector: SelectorFactory, way: dict[str, Any]) -> None:
    """An answer that begins before its request has ended, and a client that reads only when it has said all."""
    size = 24 * MIB if "direct" in way else 2 * MIB  # direct: more than all buffers of the kernel take
    whole = threading.Event()

    def serve(sock: socket.socket) -> bool:
        wire = Wire(sock)
        wire.head()
        answering = Background(lambda: send_large(wire, size))
        same = all(wire.exactly(len(block)) == block for block in blocks(size, b"up"))
        answering.result()
        whole.set()
        return same

    with serving(serve) as server, relay(selector, forward=plain_http(), **way) as running, talk(running) as wire:
        wire.send(request(server.port, b"/", b"Content-Length: %d" % size, b"Connection: close", method=b"POST"))
        for block in blocks(size, b"up"):
            wire.send(block)
        check_large(wire, size)
        assert wire.rest() == b""  # not before all of the request has left
        assert whole.wait(30), server.errors
    assert server.results == [True], server.errors
