"""The first packet: salt, address and payload together, or alone after a moment for targets that speak first."""

from __future__ import annotations

import os
import socket

import pytest
from helpers.relay import HOST, PATIENT, SelectorFactory, relay
from helpers.streaming import Mailbox, every_method, every_selector, understood
from helpers.traffic import receive_all, receive_exactly, socks5_connect, target

from pyss.relay.service import Limits

# Longer than the whole test may take: whatever leaves has not been waited for.
NEVER_ALONE = Limits(join=10 * PATIENT)
PAYLOAD = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


@every_selector
@every_method
@pytest.mark.parametrize("size", [1, 1400, 16_000])
def test_salt_address_and_first_payload_leave_in_one_packet(
    selector: SelectorFactory, method: str, size: int
) -> None:
    payload = os.urandom(size)
    heard = Mailbox()
    with target(lambda sock: heard.put(sock.recv(65536))) as server, relay(
        selector, method=method, limits=NEVER_ALONE, with_server=False, server_at=(HOST, server.port)
    ) as running:
        with socks5_connect(running.local_port, 443, "example.com") as client:
            client.sendall(payload)
            request = understood(method, heard.get())
            assert request is not None
            assert str(request.target) == "example.com:443"
            assert request.payload == payload
        running.until_idle()


@every_selector
@every_method
def test_a_payload_that_came_with_the_request_leaves_in_one_packet(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()
    with target(lambda sock: heard.put(sock.recv(65536))) as server, relay(
        selector, method=method, limits=NEVER_ALONE, with_server=False, server_at=(HOST, server.port)
    ) as running:
        with socket.create_connection((HOST, running.local_port), PATIENT) as client:
            client.sendall(b"\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x01\xbb" + PAYLOAD)
            request = understood(method, heard.get())
            assert request is not None and request.payload == PAYLOAD
        running.until_idle()


@every_selector
@every_method
def test_a_banner_arrives_though_the_client_says_nothing(selector: SelectorFactory, method: str) -> None:
    """As with SMTP and SSH; then they talk, and nothing of the address is said twice."""

    def smtp(sock: socket.socket) -> bytes:
        sock.sendall(b"220 mail.example ESMTP\r\n")
        said = receive_exactly(sock, 6)
        sock.sendall(b"221 bye\r\n")
        return said + receive_all(sock)

    with relay(selector, method=method) as running, target(smtp) as server:
        with socks5_connect(running.local_port, server.port) as client:
            assert receive_exactly(client, 24) == b"220 mail.example ESMTP\r\n"
            client.sendall(b"QUIT\r\n")
            assert receive_exactly(client, 9) == b"221 bye\r\n"
        running.until_idle()
        assert len(running.log.matching("^info .* ok up 6 down 33 bytes")) == 2
    assert server.results == [b"QUIT\r\n"]


@every_selector
@every_method
def test_a_silent_clients_address_leaves_alone_and_once(selector: SelectorFactory, method: str) -> None:
    heard = Mailbox()

    def shadowsocks_server(sock: socket.socket) -> None:
        first = sock.recv(65536)
        heard.put(first)
        heard.put(receive_all(sock))

    with target(shadowsocks_server) as server, relay(
        selector, method=method, with_server=False, server_at=(HOST, server.port)
    ) as running:
        with socks5_connect(running.local_port, 25, "mail.example") as client:
            request = understood(method, heard.get())
            assert request is not None and str(request.target) == "mail.example:25" and request.payload == b""
            client.sendall(b"QUIT\r\n")
            client.shutdown(socket.SHUT_WR)
            rest = heard.get()
        if request.upstream is None:
            assert rest == b"QUIT\r\n"
        else:
            room = memoryview(bytearray(len(rest)))
            assert request.upstream.apply(memoryview(rest), len(rest), room) == b"QUIT\r\n"
        running.until_idle()


def test_by_default_the_wait_cannot_be_felt() -> None:
    assert 0 < Limits().join <= 0.02
