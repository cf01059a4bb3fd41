"""RST is passed on as RST, never as FIN: from both ends, through local and server, in every phase."""

from __future__ import annotations

import socket

import pytest
from helpers.relay import HOST, RunningRelay, SelectorFactory, relay
from helpers.streaming import (
    HandMadeClient,
    Mailbox,
    every_method,
    every_selector,
    receive_until_reset,
    reset,
)
from helpers.traffic import receive_all, receive_exactly, socks5_connect, target


def one_line_each(running: RunningRelay, status: str) -> None:
    """Local and server have written one line, both with this status."""
    running.until_idle()
    lines = running.log.matching("^info ")
    assert len(lines) == 2, lines
    assert all(f" {status} up " in line for line in lines), lines


@every_selector
@every_method
def test_the_clients_reset_reaches_the_target(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()

    def serve(sock: socket.socket) -> None:
        sock.sendall(receive_exactly(sock, 5))
        heard.put(receive_until_reset(sock))

    with relay(selector, method=method) as running, target(serve) as server:
        client = socks5_connect(running.local_port, server.port)
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"
        reset(client)
        assert heard.get() == b""
        one_line_each(running, "reset")
    assert not server.errors


@every_selector
@every_method
def test_the_targets_reset_reaches_the_client(selector: SelectorFactory, method: str) -> None:
    def serve(sock: socket.socket) -> None:
        receive_exactly(sock, 5)
        reset(sock)

    with relay(selector, method=method) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.sendall(b"hello")
            assert receive_until_reset(client) == b""
        one_line_each(running, "reset")


@every_selector
def test_after_the_clients_fin_the_targets_reset_is_one(selector: SelectorFactory) -> None:
    def serve(sock: socket.socket) -> None:
        assert receive_all(sock) == b"hello"
        reset(sock)

    with relay(selector) as running, target(serve) as server:
        with socks5_connect(running.local_port, server.port) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert receive_until_reset(client) == b""
        one_line_each(running, "reset")
    assert not server.errors


@every_selector
def test_after_the_targets_fin_the_clients_reset_is_one(selector: SelectorFactory) -> None:
    heard = Mailbox()

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"goodbye")
        sock.shutdown(socket.SHUT_WR)
        heard.put(receive_until_reset(sock))

    with relay(selector) as running, target(serve) as server:
        client = socks5_connect(running.local_port, server.port)
        assert receive_all(client) == b"goodbye"
        reset(client)
        assert heard.get() == b""
        one_line_each(running, "reset")


@every_selector
@every_method
def test_a_target_that_cannot_be_reached_is_a_reset_for_a_shadowsocks_client(
    selector: SelectorFactory, method: str
) -> None:
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind((HOST, 0))
        with relay(selector, method=method, with_local=False) as running:
            with HandMadeClient(method, running.server_port, unused.getsockname()[1]) as client:
                client.send(b"hello")
                assert receive_until_reset(client.sock) == b""
            running.until_idle()
            (line,) = running.log.matching("^info ")
            assert " connection-refused up 0 down 0 bytes" in line


@pytest.mark.parametrize("end", ["client", "target"])
@every_selector
def test_others_do_not_notice(selector: SelectorFactory, end: str) -> None:
    def serve(sock: socket.socket) -> None:
        asked = receive_exactly(sock, 1)
        if asked == b"r":
            reset(sock)
            return
        sock.sendall(asked + receive_all(sock))

    with relay(selector) as running, target(serve) as server, socks5_connect(
        running.local_port, server.port
    ) as other:
        other.sendall(b"1")
        client = socks5_connect(running.local_port, server.port)
        if end == "client":
            reset(client)
        else:
            with client:
                client.sendall(b"r")
                receive_until_reset(client)
        running.log.wait_for(" reset up ", 2)
        other.sendall(b"2")
        other.shutdown(socket.SHUT_WR)
        assert receive_all(other) == b"12"
