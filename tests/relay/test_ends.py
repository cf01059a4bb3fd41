"""How streams end: EOF without payload, without an answer, inside a chunk; clients that go while a target is dialed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.relay import HOST, SelectorFactory, relay
from helpers.streaming import (
    HandMadeClient,
    Mailbox,
    applied,
    by_hand,
    delivered,
    every_method,
    every_sealed_method,
    every_selector,
    receive_until_reset,
    reset,
    understood,
)
from helpers.traffic import LIMIT, receive_all, receive_exactly, socks5_connect, target

# Where the second chunk is cut, in bytes from its begin: inside its length, at its end, inside payload and tag.
CUTS = (1, 17, 18, 19, -17, -1)


# --- nothing was said ----------------------------------------------------------------------------
@every_selector
@every_method
def test_a_client_that_ends_without_a_word_still_reaches_its_target(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()

    def serve(sock: socket.socket) -> None:
        heard.put(receive_all(sock))
        sock.sendall(b"nothing?")

    with relay(selector, method=method) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.shutdown(socket.SHUT_WR)
            assert heard.get() == b""
            assert receive_all(client) == b"nothing?"
        running.until_idle()
        assert len(running.log.matching("^info .* ok up 0 down 8 bytes")) == 2


@every_selector
@every_method
def test_an_answer_without_a_byte_is_a_clean_eof(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()

    def serve(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)
        heard.put(receive_all(sock))

    with relay(selector, method=method) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.sendall(b"hello")
            assert receive_all(client) == b""
            client.shutdown(socket.SHUT_WR)
            assert heard.get() == b"hello"
        running.until_idle()
        assert len(running.log.matching("^info .* ok up 5 down 0 bytes")) == 2


@every_selector
@every_method
def test_an_answer_without_a_byte_is_nothing_but_fin_on_the_wire(selector: SelectorFactory, method: str) -> None:
    """SIP022: a response header would name a first chunk of 0 bytes, which peers do not agree on."""

    def serve(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)
        receive_all(sock)

    with by_hand(selector, method, serve) as (_, client):
        client.send(b"hello")
        assert client.sock.recv(65536) == b""


# --- cut off -------------------------------------------------------------------------------------
@pytest.mark.parametrize("cut", CUTS)
@every_selector
@every_sealed_method
def test_a_request_cut_inside_a_chunk_ends_in_rst(selector: SelectorFactory, method: str, cut: int) -> None:
    heard = Mailbox()
    with by_hand(selector, method, lambda sock: heard.put(receive_until_reset(sock))) as (running, client):
        client.send(b"good")
        client.sock.sendall(client.sealed(b"cut off")[:cut])
        client.sock.shutdown(socket.SHUT_WR)
        assert receive_until_reset(client.sock) == b""
        assert delivered(heard.get(), b"good")
    (line,) = running.log.matching("^info ")
    assert " truncated up 4 down 0 bytes" in line
    assert line.endswith("the stream ended inside a chunk")


@every_selector
@every_sealed_method
def test_a_request_that_ends_between_two_chunks_ends_in_fin(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()
    with by_hand(selector, method, lambda sock: heard.put(receive_all(sock))) as (_, client):
        client.send(b"good")
        client.send(b" and whole")
        client.sock.shutdown(socket.SHUT_WR)
        assert heard.get() == b"good and whole"
        assert client.sock.recv(1) == b""


@pytest.mark.parametrize("cut", CUTS)
@every_selector
@every_sealed_method
def test_an_answer_cut_inside_a_chunk_ends_in_rst(selector: SelectorFactory, method: str, cut: int) -> None:
    heard = Mailbox()

    def shadowsocks_server(sock: socket.socket) -> None:
        request = understood(method, sock.recv(65536))
        assert request is not None and request.downstream is not None
        sock.sendall(applied(request.downstream, b"good"))
        sock.sendall(applied(request.downstream, b"cut off")[:cut])
        sock.shutdown(socket.SHUT_WR)
        heard.put(receive_until_reset(sock))

    with target(shadowsocks_server) as server, relay(
        selector, method=method, with_server=False, server_at=(HOST, server.port)
    ) as running:
        with socks5_connect(running.local_port, 9, "example.com") as client:
            client.sendall(b"hello")
            assert delivered(receive_until_reset(client), b"good")
            assert heard.get() == b""
        running.until_idle()
        (line,) = running.log.matching("^info ")
        assert " truncated up 5 down 4 bytes" in line


# --- tampered with -------------------------------------------------------------------------------
@pytest.mark.parametrize("spoiled", [0, 17, 18, -1], ids=["length", "tag of length", "payload", "tag of payload"])
@every_selector
@every_sealed_method
def test_what_stood_before_a_bad_tag_is_delivered_then_rst(
    selector: SelectorFactory, method: str, spoiled: int
) -> None:
    good = os.urandom(3000)
    heard = Mailbox()
    with by_hand(selector, method, lambda sock: heard.put(receive_until_reset(sock))) as (running, client):
        first = client.sealed(good[:1000]) + client.sealed(good[1000:])
        bad = bytearray(client.sealed(b"spoiled"))
        bad[spoiled] ^= 1
        client.sock.sendall(first + bad + client.sealed(b"more"))
        assert receive_until_reset(client.sock) == b""
        assert delivered(heard.get(), good)
    (line,) = running.log.matching("^info ")
    assert " bad-tag up 3000 down 0 bytes" in line


# --- gone while the target is dialed -------------------------------------------------------------
class Hanging:
    """In place of getaddrinfo: does not answer before the test is over."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.released = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.asked.set()
        assert self.released.wait(LIMIT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, 9))]


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    lookup = Hanging()
    yield lookup
    lookup.released.set()


@every_selector
@every_method
def test_a_shadowsocks_client_that_resets_while_its_target_is_dialed_is_noticed(
    selector: SelectorFactory, method: str, hanging: Hanging
) -> None:
    with relay(selector, method=method, with_local=False, lookup=hanging) as running:
        with HandMadeClient(method, running.server_port, 80, "slow.example") as client:
            client.send(b"hello")
            assert hanging.asked.wait(LIMIT)
            reset(client.sock)
        running.until_idle()  # long before the lookup ends
        assert not hanging.released.is_set()
        (line,) = running.log.matching("^info ")
        assert " slow.example:80 reset up 0 down 0 bytes" in line
        assert line.endswith("the client broke off while its target was dialed")
        hanging.released.set()


@every_selector
def test_a_proxys_client_that_resets_while_its_target_is_dialed_is_noticed(
    selector: SelectorFactory, hanging: Hanging
) -> None:
    with relay(selector, direct=True, with_server=False, lookup=hanging) as running:
        client = socket.create_connection((HOST, running.local_port), LIMIT)
        client.sendall(b"\x05\x01\x00")
        assert receive_exactly(client, 2) == b"\x05\x00"
        client.sendall(b"\x05\x01\x00\x03\x0cslow.example\x00\x50")
        assert hanging.asked.wait(LIMIT)
        reset(client)
        running.until_idle()
        assert not hanging.released.is_set()
        (line,) = running.log.matching("^info ")
        assert line.endswith("the client broke off while its target was dialed")
        hanging.released.set()


@every_selector
def test_a_client_that_only_ends_its_direction_while_its_target_is_dialed_is_served(selector: SelectorFactory) -> None:
    """FIN is no reset: whoever asks in one go and listens gets its answer."""
    heard = Mailbox()
    asked, released = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        asked.set()
        assert released.wait(LIMIT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, 0))]

    def serve(sock: socket.socket) -> None:
        heard.put(receive_all(sock))
        sock.sendall(b"answer")

    with by_hand(selector, "aes-256-gcm", serve, "slow.example", lookup=slow) as (running, client):
        assert running.server is not None
        sessions = running.server.sessions
        client.send(b"question")
        client.sock.shutdown(socket.SHUT_WR)
        assert asked.wait(LIMIT)
        running.thread.until(lambda: any(not session.client.events for session in sessions))  # FIN was seen
        released.set()
        assert heard.get() == b"question"
        assert client.receive(6) == b"answer"
