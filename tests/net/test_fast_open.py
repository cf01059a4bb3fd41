"""TCP Fast Open as Linux makes it: first data in the SYN, and nothing lost for those who have none or say FIN at once.

Each test has a network of its own, in which both ways are switched on and no cookie is known.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Optional

import pytest
from helpers.apart import in_new_network, why_not
from helpers.dialing import Names
from helpers.looping import HOST, PATIENT, turn

from pyss.address import Address
from pyss.errors import PyssError
from pyss.net.channel import Channel
from pyss.net.dialer import Dialer
from pyss.net.fast_open import FastStream
from pyss.net.loop import Loop
from pyss.net.socket_options import SocketOptions
from pyss.net.sockets import listening_socket

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

FAST = SocketOptions(fast_open=True)
MULTIPATH = SocketOptions(fast_open=True, mptcp=True)


def counter(name: str) -> int:
    """Of this network: a column of the TcpExt lines."""
    with open("/proc/thread-self/net/netstat") as file:
        names, values = (line.split() for line in file if line.startswith("TcpExt:"))
    return int(values[names.index(name)])


class Place:
    """A loop, a dialer, and a port to connect to."""

    def __init__(self, options: SocketOptions, stack: ExitStack, host: str = HOST) -> None:
        self.loop = Loop()
        self.faults: list[BaseException] = []
        self.loop.on_fault = self.faults.append
        stack.callback(self.loop.close)
        self.dialer = Dialer(self.loop, Names(), options=options)
        self.listening = stack.enter_context(listening_socket(host, 0, options=options))
        self.listening.settimeout(PATIENT)
        self.stack = stack

    def dial(self, where: Optional[Any] = None) -> Any:
        results: list[tuple[Optional[Channel], Optional[PyssError]]] = []
        target = Address.of(*(where or self.listening.getsockname())[:2])
        self.dialer.dial(target, lambda *found: results.append(found))
        turn(self.loop, lambda: results)
        ((channel, error),) = results
        assert channel is not None, error
        self.stack.callback(channel.sock.close)
        self.loop.watch(channel, 0)
        return channel.sock

    def accept(self) -> socket.socket:
        """While the loop turns: it may be its timer that lets the SYN leave."""
        taken: list[socket.socket] = []
        self.listening.setblocking(False)

        def accepted() -> bool:
            try:
                taken.append(self.stack.enter_context(self.listening.accept()[0]))
            except BlockingIOError:
                return False
            return True

        turn(self.loop, accepted)
        taken[0].settimeout(PATIENT)
        return taken[0]

    def hear(self, sock: Any) -> bytes:
        """The next bytes, b"" for FIN; the loop turns meanwhile."""
        heard: list[bytes] = []

        def read() -> bool:
            try:
                heard.append(sock.recv(100))
            except BlockingIOError:
                return False
            return True

        sock.setblocking(False)
        turn(self.loop, read)
        return heard[0]

    def learn_the_cookie(self) -> None:
        """The first connection is an ordinary one, and brings it."""
        sock = self.dial()
        sock.send(b"first")
        peer = self.accept()
        assert peer.recv(100) == b"first"
        assert counter("TCPFastOpenActive") == 0
        sock.close()
        peer.close()


def apart(options: SocketOptions, test: Callable[[Place], None], host: str = HOST, fast_open: int = 3) -> None:
    def run() -> None:
        with ExitStack() as stack:
            try:
                place = Place(options, stack, host)
            except OSError as error:
                pytest.skip(f"this kernel has no such sockets: {error}")
            test(place)
            assert not place.faults

    in_new_network(run, fast_open)


every_way = pytest.mark.parametrize(
    ("options", "host"), [(FAST, HOST), (FAST, "::1"), (MULTIPATH, HOST)], ids=["IPv4", "IPv6", "multipath"]
)


@every_way
def test_the_second_connection_brings_its_data_in_the_syn(options: SocketOptions, host: str) -> None:
    def test(place: Place) -> None:
        place.learn_the_cookie()
        sock = place.dial()
        assert sock.opening  # dialed, and no packet has left
        assert sock.send(b"salt, address, payload") == 22
        peer = place.accept()
        assert peer.recv(100) == b"salt, address, payload"
        assert counter("TCPFastOpenActive") == counter("TCPFastOpenPassive") == 1
        peer.sendall(b"answer")
        assert place.hear(sock) == b"answer"

    apart(options, test, host)


@every_way
def test_a_client_that_has_nothing_to_say_is_connected_all_the_same(options: SocketOptions, host: str) -> None:
    """SSH, SMTP: the server speaks first."""

    def test(place: Place) -> None:
        place.learn_the_cookie()
        sock = place.dial()
        assert sock.opening
        peer = place.accept()
        peer.sendall(b"220 hello")
        assert place.hear(sock) == b"220 hello"
        sock.send(b"EHLO")
        assert place.hear(peer) == b"EHLO"

    apart(options, test, host)


@every_way
@pytest.mark.parametrize("first", [b"", b"all of it"])
def test_fin_before_the_handshake_comes_behind_the_data(options: SocketOptions, host: str, first: bytes) -> None:
    """Linux would give the connection up."""

    def test(place: Place) -> None:
        place.learn_the_cookie()
        sock = place.dial()
        assert sock.opening
        sock.shutdown(socket.SHUT_WR)
        if first:
            sock.send(first)
        peer = place.accept()
        if first:
            assert place.hear(peer) == first
        assert place.hear(peer) == b""
        peer.send(b"late answer")
        assert place.hear(sock) == b"late answer"
        peer.shutdown(socket.SHUT_WR)
        assert place.hear(sock) == b""

    apart(options, test, host)


def test_fin_waits_as_long_as_nobody_answers() -> None:
    def test(place: Place) -> None:
        sock: Any = FastStream(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
        place.stack.callback(sock.close)
        full = place.stack.enter_context(socket.socket())
        full.bind((HOST, 0))
        full.listen(0)  # room for one; further SYNs are dropped
        for _ in range(2):
            other = place.stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        assert sock.connect_ex(full.getsockname()) != 0
        assert sock.opening
        sock.shutdown(socket.SHUT_WR)
        assert not sock.settled() and sock.opening and sock.fin_waits

    apart(FAST, test)


def test_an_ordinary_connection_is_shut_at_once() -> None:
    def test(place: Place) -> None:
        sock = place.dial()
        assert isinstance(sock, FastStream) and not sock.opening and sock.settled()
        sock.shutdown(socket.SHUT_WR)
        assert place.hear(place.accept()) == b""

    apart(FAST, test)


def test_a_port_that_refuses_shows_with_the_first_data() -> None:
    def test(place: Place) -> None:
        place.learn_the_cookie()
        where = place.listening.getsockname()
        place.listening.close()
        sock = place.dial(where)  # it cannot be known yet
        sock.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            place.hear(sock)
        sock.close()

    apart(FAST, test)


def test_looking_takes_no_error_from_who_reads() -> None:
    """A refused connection must not look like one that has ended."""

    def test(place: Place) -> None:
        place.learn_the_cookie()
        where = place.listening.getsockname()
        place.listening.close()
        sock = place.dial(where)
        turn(place.loop, lambda: not sock.opening)  # the timer has let the SYN leave
        assert sock.settled()
        with pytest.raises(ConnectionRefusedError):
            place.hear(sock)

    apart(FAST, test)


def test_a_closed_connection_is_settled() -> None:
    def test(place: Place) -> None:
        place.learn_the_cookie()
        sock = place.dial()
        assert sock.opening
        sock.close()
        assert not sock.opening and sock.settled()
        place.loop.tick(0)

    apart(FAST, test)


@pytest.mark.parametrize("switched", [0, 1, 2])
def test_where_the_system_has_it_switched_off_connections_are_ordinary(switched: int) -> None:
    def test(place: Place) -> None:
        for number in (1, 2):
            sock = place.dial()
            sock.send(b"data")
            assert place.hear(place.accept()) == b"data", number
        assert counter("TCPFastOpenPassive") == 0

    apart(FAST, test, fast_open=switched)


def test_the_counters_are_those_of_the_kernel() -> None:
    """So that a misspelled one is not taken for zero."""
    with open("/proc/thread-self/net/netstat") as file:
        assert re.search(r"\bTCPFastOpenActive\b.*\bTCPFastOpenPassive\b", file.read(), re.DOTALL)
