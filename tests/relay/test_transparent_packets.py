"""Datagrams that TPROXY gave us, and the sockets that answers leave from; as far as it needs no rights and no rules.

The rest is in test_redirection_netns.py and test_redirection_rights.py.
"""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from helpers.relay import HOST, Log, LoopThread
from helpers.traffic import LIMIT

from pyss.address import Address
from pyss.errors import BadAddress, ProtocolError, ProxyLoop
from pyss.limits import PacketLimits
from pyss.relay import transparent
from pyss.relay.datagrams import Association, Associations, PacketPort
from pyss.relay.transparent import InterceptedPackets

linux = pytest.mark.skipif(sys.platform != "linux", reason="netfilter is of Linux")


def nowhere(ip: str) -> bool:
    return False


def everywhere(ip: str) -> bool:
    return True


# --- datagrams, in -------------------------------------------------------------------------------
@contextmanager
def observed(is_own: Callable[[str], bool], *, asked: bool = True) -> Iterator[tuple[Any, InterceptedPackets, Any]]:
    """A port on loopback that is told where datagrams were going, its reader, and a client."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        if asked:
            sock.setsockopt(0, 20, 1)  # SOL_IP, IP_RECVORIGDSTADDR
        sock.bind((HOST, 0))
        sock.settimeout(LIMIT)
        client.bind((HOST, 0))
        client.connect(sock.getsockname())
        yield sock, InterceptedPackets(sock.getsockname()[1], is_own), client


@linux
@pytest.mark.parametrize("payload", [b"", b"?", bytes(60_000)], ids=len)
def test_a_datagram_is_read_with_where_it_was_going(payload: bytes) -> None:
    with observed(nowhere) as (sock, packets, client):
        client.send(payload)
        rx = memoryview(bytearray(65536))
        key, where, wanted, read = packets.read(sock, rx)
        assert key == where == client.getsockname()
        assert wanted == Address.of(*sock.getsockname())
        assert bytes(read) == payload


@linux
def test_a_datagram_to_the_port_itself_is_dropped() -> None:
    with observed(everywhere) as (sock, packets, client):
        client.send(b"?")
        with pytest.raises(ProxyLoop):
            packets.read(sock, memoryview(bytearray(65536)))


@linux
def test_a_datagram_of_which_nothing_is_known_is_dropped() -> None:
    with observed(nowhere, asked=False) as (sock, packets, client):
        client.send(b"?")
        with pytest.raises(ProtocolError, match="nothing redirected this datagram"):
            packets.read(sock, memoryview(bytearray(65536)))


# --- datagrams, out ------------------------------------------------------------------------------
class Senders:
    """In place of transparent sockets: which were made, and which are open; `sent` is what left, and from where."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.open: set[str] = set()
        self.sent: list[tuple[str, bytes, Any]] = []

    def __call__(self, source: Address) -> Any:
        name = str(source)
        self.made.append(name)
        self.open.add(name)

        def send(payload: bytes, client: Any) -> None:
            assert name in self.open, "a closed socket"
            self.sent.append((name, payload, client))

        return SimpleNamespace(sendto=send, close=lambda: self.open.remove(name))


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> Senders:
    made = Senders()
    monkeypatch.setattr(transparent, "_sender", made)
    return made


CLIENT: Any = SimpleNamespace(client=("10.0.0.9", 4000))
CLIENT6: Any = SimpleNamespace(client=("fd00::9", 4000, 0, 0))
NO_SOCKET: Any = None  # the port's own is not needed for answers


def test_answers_come_from_where_they_are_from(senders: Senders) -> None:
    packets = InterceptedPackets(1081, nowhere)
    packets.write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", 53), b"one")
    packets.write(NO_SOCKET, CLIENT6, Address.of("2001:db8::1", 53), b"two")
    packets.write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", 53), b"three")
    packets.write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", 54), b"four")
    assert senders.sent == [
        ("192.0.2.1:53", b"one", CLIENT.client),
        ("[2001:db8::1]:53", b"two", CLIENT6.client),
        ("192.0.2.1:53", b"three", CLIENT.client),
        ("192.0.2.1:54", b"four", CLIENT.client),
    ]
    assert senders.made == ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.1:54"]
    packets.close()
    packets.close()
    assert not senders.open


def test_the_sender_not_used_for_longest_is_closed_for_another(senders: Senders) -> None:
    packets = InterceptedPackets(1081, nowhere, most=3)
    one, two, three, four, five = (Address.of(f"192.0.2.{number}", 53) for number in range(1, 6))
    for source in (one, two, three, one, four):
        packets.write(NO_SOCKET, CLIENT, source, b"")
        assert len(senders.open) <= 3
    assert senders.open == {str(three), str(one), str(four)}
    for source in (three, five, two):
        packets.write(NO_SOCKET, CLIENT, source, b"")
    assert senders.open == {str(three), str(five), str(two)}
    packets.close()
    assert not senders.open


def test_senders_are_few_however_many_answer(senders: Senders) -> None:
    packets = InterceptedPackets(1081, nowhere)
    for port in range(1, transparent.MOST_SENDERS + 10):
        packets.write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", port), b"")
    assert len(senders.open) == transparent.MOST_SENDERS
    packets.close()


@pytest.mark.parametrize(
    ("client", "source"),
    [
        (CLIENT, "2001:db8::1"),
        (CLIENT6, "192.0.2.1"),
        (CLIENT, "::ffff:192.0.2.1"),
        (CLIENT, "name.example"),
        (CLIENT6, "name.example"),
        (CLIENT, "0.0.0.0"),
        (CLIENT6, "::"),
        (CLIENT, "224.0.0.251"),
        (CLIENT6, "ff02::fb"),
        (CLIENT, "169.254.1.1"),
        (CLIENT6, "fe80::1"),
        (CLIENT, "255.255.255.255"),
    ],
)
def test_what_cannot_have_been_asked_does_not_answer(senders: Senders, client: Any, source: str) -> None:
    with pytest.raises(BadAddress):
        InterceptedPackets(1081, nowhere).write(NO_SOCKET, client, Address.of(source, 53), b"")
    assert not senders.made


def test_no_answer_comes_from_port_0(senders: Senders) -> None:
    with pytest.raises(BadAddress):
        InterceptedPackets(1081, nowhere).write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", 0), b"")


def test_no_answer_comes_from_this_machine(senders: Senders) -> None:
    """A server could otherwise make us take what is sent to a service on the router itself."""
    packets = InterceptedPackets(1081, lambda ip: ip == "192.0.2.1")
    with pytest.raises(BadAddress, match="is this machine"):
        packets.write(NO_SOCKET, CLIENT, Address.of("192.0.2.1", 53), b"")
    with pytest.raises(BadAddress, match="is this machine"):
        InterceptedPackets(1081).write(NO_SOCKET, CLIENT, Address.of("127.0.0.1", 53), b"")
    assert not senders.made


# --- what the system refuses ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EPERM, "must be kept when privileges are dropped"),
        (errno.EACCES, "CAP_NET_BIND_SERVICE, which must be kept"),
        (errno.EADDRINUSE, "another program has this port"),
        (errno.EMFILE, "$"),
    ],
    ids=["EPERM", "EACCES", "EADDRINUSE", "EMFILE"],
)
def test_answers_that_cannot_leave_are_dropped_and_explained_once(
    monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refused(source: Address) -> Any:
        raise OSError(number, "as the system puts it")

    monkeypatch.setattr(transparent, "_sender", refused)
    thread, log = LoopThread(), Log()
    source = Address.of("192.0.2.1", 53)

    def answer() -> int:
        table = Associations(thread.loop, log, PacketLimits())
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((HOST, 0))
        outbound: Any = None
        port = PacketPort(table, sock, InterceptedPackets(1081, nowhere), outbound, "redirection")
        association = Association(port, "key", ("10.0.0.9", 4000), thread.loop.now)
        port.answer(association, source, b"?")
        port.answer(association, source, b"?")
        port.close()
        return table.statistics.dropped["dial-failed"]

    try:
        assert thread.call(answer) == 2
    finally:
        thread.end()
        thread.loop.close()
    (line,) = log.matching("^warning")
    assert re.search(rf"no answer can be sent from 192\.0\.2\.1:53: as the system puts it.*{said}", line)
