"""Plain HTTP as its clients see it: targets that cannot be reached, silence, and clients that leave."""

from __future__ import annotations

import socket
import threading

import pytest
from helpers.relay import HOST, Limits, SelectorFactory
from helpers.traffic import target
from helpers.wire import (
    Wire,
    answering,
    every_selector,
    every_way,
    hanging_port,
    refused,
    refusing_port,
    request,
    reset,
    response,
    talk,
    through,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"


# --- no connection -------------------------------------------------------------------------------
@every_selector
@every_way
def test_a_refused_connection(selector: SelectorFactory, direct: bool) -> None:
    with refusing_port() as port, through(
        selector, direct, server_at=(HOST, port)
    ) as running:
        with talk(running) as wire:
            wire.send(request(port))
            refused(wire, 502, f"{HOST}:{port}: ")
        running.log.wait_for(f"-> {HOST}:{port} connection-refused up 0 down 0 ")


@every_selector
@every_way
def test_a_connection_that_does_not_stand_in_time(selector: SelectorFactory, direct: bool) -> None:
    limits = Limits(dial=0.1)
    with hanging_port() as port, through(
        selector, direct, server_at=(HOST, port), local_limits=limits
    ) as running:
        with talk(running) as wire:
            wire.send(request(port))
            refused(wire, 504, "no connection within 0.1 s")
        running.log.wait_for(f"-> {HOST}:{port} dial-timeout up 0 down 0 ")


@every_selector
def test_a_target_that_the_policy_forbids(selector: SelectorFactory) -> None:
    with through(selector, True, forbidden=["127.0.0.0/8"]) as running:
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
    with refusing_port() as port, through(selector, True) as running, talk(running) as wire:
        wire.send(request(port, method=b"HEAD"))
        assert wire.head().status == 502
        assert wire.rest() == b""


@every_selector
def test_the_refusal_is_read_whole_by_a_client_that_sends_megabytes_ahead(selector: SelectorFactory) -> None:
    with refusing_port() as port, through(selector, True) as running, talk(running) as wire:
        wire.send(request(port, b"/", b"Content-Length: %d" % (4 << 20), method=b"POST"), bytes(4 << 20))
        wire.end()
        refused(wire, 502, f"{HOST}:{port}: ")


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
        with target(serve) as server, through(selector, False) as running:
            with talk(running) as wire:
                wire.send(request(server.port, b"/", header, method=b"POST"), body)
                assert began.wait(30)
                wire.end()
                assert wire.rest() == b""
            running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} disconnected ")
            running.until_idle()  # the server's end of it, too: what still runs is reset when the relay ends
        assert server.results == [body]


@every_selector
@every_way
def test_a_client_that_breaks_off_before_its_answer(selector: SelectorFactory, direct: bool) -> None:
    """Noticed at once, though there is nothing to be said to it."""
    asked = threading.Event()

    def serve(sock: socket.socket) -> str:
        wire = Wire(sock)
        wire.head()
        asked.set()
        try:
            return "FIN" if wire.rest() == b"" else "more"
        except ConnectionResetError:
            return "RST"

    with target(serve) as server, through(selector, direct) as running, talk(running) as wire:
        wire.send(request(server.port))
        assert asked.wait(30)
        reset(wire.sock)
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} reset up ")
        running.until_idle()
    assert server.results == ["RST"]


@every_selector
def test_garbage_in_the_body_is_refused(selector: SelectorFactory) -> None:
    def serve(sock: socket.socket) -> None:
        Wire(sock).rest()

    with target(serve) as server, through(selector, False) as running, talk(running) as wire:
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

    with target(serve) as server, through(selector, False, local_limits=limits) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            with pytest.raises(ConnectionResetError):
                wire.rest()
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} timeout up ")


@every_selector
def test_a_client_that_is_silent_between_requests_is_left_with_fin(selector: SelectorFactory) -> None:
    limits = Limits(greeting=0.2, idle=0.2)
    with target(answering()) as server, through(selector, False, local_limits=limits) as running:
        with talk(running) as wire:
            wire.send(request(server.port))
            assert wire.message()[1] == b"hello"
            assert wire.rest() == b""
        running.log.wait_for(f"^info {wire.name} -> {HOST}:{server.port} ok up ")
