"""A UDP port on all addresses answers from the one it was asked at."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.relay import PATIENT

from pyss.net.packet_info import AnsweringSocket, Client, _reply
from pyss.net.socket_options import SocketOptions
from pyss.net.sockets import datagram_socket

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system chooses the address")


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENT)
        yield sock


def exchange(port: Any, client: socket.socket, asked: str) -> tuple[Any, Any]:
    """Connected, so that an answer from elsewhere would never come."""
    client.connect((asked, port.getsockname()[1]))
    client.send(b"question")
    port.setblocking(True)
    room = memoryview(bytearray(100))
    size, address = port.recvfrom_into(room)
    assert room[:size] == b"question"
    assert port.sendto(b"answer", address) == 6
    assert client.recv(100) == b"answer"
    return address, client.getsockname()


@linux
@pytest.mark.parametrize("client", [socket.AF_INET], indirect=True, ids=["ipv4"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.9.9.9"])
def test_ipv4(client: socket.socket, asked: str) -> None:
    with datagram_socket("0.0.0.0", 0) as port:
        address, name = exchange(port, client, asked)
        assert address == name and hash(address) == hash(name)


@linux
@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
@pytest.mark.parametrize("client", [socket.AF_INET6], indirect=True, ids=["ipv6"])
def test_ipv6(client: socket.socket) -> None:
    with datagram_socket("::", 0) as port:
        exchange(port, client, "::1")


@linux
@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
@pytest.mark.parametrize("client", [socket.AF_INET], indirect=True, ids=["mapped"])
def test_ipv4_at_a_port_of_both_families(client: socket.socket) -> None:
    with datagram_socket("::", 0, SocketOptions(ipv6_only=False)) as port:
        address, _ = exchange(port, client, "127.0.0.3")
        assert address[0].startswith("::ffff:127.")


@linux
def test_a_plain_address_works_too() -> None:
    with datagram_socket("0.0.0.0", 0) as port, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(PATIENT)
        port.sendto(b"hello", client.getsockname())
        assert client.recv(100) == b"hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_one_address_needs_nothing(host: str) -> None:
    with datagram_socket(host, 0) as port:
        assert not isinstance(port, AnsweringSocket)


def test_what_a_reply_is_told() -> None:
    index, own, destination = b"\2\0\0\0", bytes((192, 0, 2, 7)), bytes((192, 0, 2, 255))
    assert _reply(0, 8, index + own + destination) == (0, 8, bytes(4) + own + bytes(4))
    own6 = bytes.fromhex("20010db8") + bytes(11) + b"\1"
    assert _reply(41, 50, own6 + index) == (41, 50, own6 + bytes(4))
    link_local = bytes.fromhex("fe80") + bytes(13) + b"\1"
    assert _reply(41, 50, link_local + index) == (41, 50, link_local + index)
    for level, kind, data in ((0, 8, bytes(11)), (41, 50, bytes(19)), (1, 29, bytes(16)), (0, 50, bytes(20))):
        assert _reply(level, kind, data) is None


def test_a_client_is_its_address() -> None:
    client = Client(("192.0.2.1", 7))
    client.control = []
    assert client == ("192.0.2.1", 7) and {client: 1}[("192.0.2.1", 7)] == 1  # type: ignore[index]
