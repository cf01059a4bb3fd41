"""Through local and server, FIN passes on behind the last byte, and the other direction goes on."""

from __future__ import annotations

import hashlib
import os
import socket

import pytest
from helpers.relay import SelectorFactory, relay
from helpers.streaming import Mailbox, Shrink, every_method, every_selector, small_buffers
from helpers.traffic import Background, answer_after_eof, receive_all, receive_exactly, socks5_connect, target

QUICK = "chacha20-ietf-poly1305"  # also in Python alone
MUCH = 1024 * 1024  # more than all the small buffers between the two ends can hold


@every_selector
@every_method
def test_the_target_answers_only_after_the_clients_fin(selector: SelectorFactory, method: str) -> None:
    message = os.urandom(5000)
    with relay(selector, method=method) as running, target(answer_after_eof) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b"5000 " + hashlib.sha256(message).hexdigest().encode()
        running.until_idle()
    assert server.results == [message]


@every_selector
@every_method
def test_the_client_uploads_after_the_targets_fin(selector: SelectorFactory, method: str) -> None:
    message = os.urandom(50_000)
    heard = Mailbox()

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"all I have to say")
        sock.shutdown(socket.SHUT_WR)
        heard.put(receive_all(sock))

    with relay(selector, method=method) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            assert receive_all(client) == b"all I have to say"
            client.sendall(message[:100])
            client.sendall(message[100:])
            client.shutdown(socket.SHUT_WR)
            assert heard.get() == message
        running.until_idle()


@every_selector
def test_the_targets_fin_comes_behind_what_a_slow_client_has_not_read(
    selector: SelectorFactory, shrink: Shrink
) -> None:
    message = os.urandom(MUCH)

    def serve(sock: socket.socket) -> None:
        sock.sendall(message)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)

    with relay(selector, method=QUICK) as running, target(serve) as server:
        shrink(running)
        assert running.local is not None
        sessions = running.local.sessions
        with socks5_connect(running.local_port, server.port) as client:
            small_buffers(client)
            running.thread.until(lambda: any(s.down is not None and s.down.pending for s in sessions))
            assert receive_all(client) == message
        running.until_idle()


@every_selector
def test_the_clients_fin_comes_behind_what_a_slow_target_has_not_read(
    selector: SelectorFactory, shrink: Shrink
) -> None:
    message = os.urandom(MUCH)
    heard, go_on = Mailbox(), Mailbox()

    def serve(sock: socket.socket) -> None:
        small_buffers(sock)
        go_on.get()
        heard.put(receive_all(sock))
        sock.sendall(b"thanks")

    def upload(client: socket.socket) -> None:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)

    with relay(selector, method=QUICK) as running, target(serve) as server:
        shrink(running)
        assert running.server is not None
        sessions = running.server.sessions
        with socks5_connect(running.local_port, server.port) as client:
            sending = Background(lambda: upload(client))
            running.thread.until(lambda: any(s.up is not None and s.up.pending for s in sessions))
            go_on.put(None)
            assert heard.get() == message
            sending.result()
            assert receive_all(client) == b"thanks"
        running.until_idle()


@pytest.mark.parametrize("first", ["client", "target"])
@every_selector
def test_one_line_for_each_side_says_how_much_went_each_way(selector: SelectorFactory, first: str) -> None:
    def serve(sock: socket.socket) -> None:
        receive_exactly(sock, 1000)
        sock.sendall(bytes(2000))
        if first == "client":
            assert not receive_all(sock)

    with relay(selector) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.sendall(bytes(1000))
            receive_exactly(client, 2000)
            if first == "target":
                assert not receive_all(client)
        running.until_idle()
        lines = running.log.matching("^info .* ok up 1000 down 2000 bytes")
        assert len(lines) == len(running.log.matching("^info ")) == 2
    assert not server.errors
