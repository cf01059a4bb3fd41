"""Where redirected packets were going, and connections that were redirected; as far as it needs no rights and no rules.

Datagrams are in test_transparent_packets.py, the rest in test_redirection_netns.py and test_redirection_rights.py.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pytest
from helpers.relay import HOST, LIMITS, Log, LoopThread
from helpers.traffic import LIMIT, echo, receive_all, target
from hypothesis import given
from hypothesis import strategies as st

from pyss.address import Address
from pyss.errors import DialError, ProtocolError, ProxyLoop
from pyss.net.clock import monotonic
from pyss.net.dialer import Dialer
from pyss.net.resolver import Resolver
from pyss.relay import transparent
from pyss.relay.inbounds import Inbound
from pyss.relay.outbounds import Direct
from pyss.relay.service import Service
from pyss.relay.transparent import (
    Intercepted,
    Redirected,
    available,
    datagram_destination,
    original_destination,
    parse_socket_address,
    transparent_datagrams,
    transparent_listener,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="netfilter is of Linux")
FOUR, SIX = int(socket.AF_INET), int(socket.AF_INET6)
RECEIVED = {FOUR: (0, 20), SIX: (41, 74)}  # level and type of what comes beside a datagram


def packed(family: int, host: str, port: int, claimed: Optional[int] = None) -> bytes:
    """A sockaddr_in or sockaddr_in6 as Linux writes it."""
    head = struct.pack("=H", family if claimed is None else claimed) + struct.pack(">H", port)
    if family == FOUR:
        return head + socket.inet_pton(FOUR, host) + bytes(8)
    return head + bytes(4) + socket.inet_pton(SIX, host) + bytes(4)


def nowhere(ip: str) -> bool:
    return False


def everywhere(ip: str) -> bool:
    return True


# --- where packets were going --------------------------------------------------------------------
@given(st.ip_addresses(), st.integers(0, 65535))
def test_addresses_of_the_kernel_are_read(ip: Any, port: int) -> None:
    family = FOUR if ip.version == 4 else SIX
    assert parse_socket_address(family, packed(family, str(ip), port)) == Address.of(str(ip), port)


@pytest.mark.parametrize(("family", "host"), [(FOUR, "192.0.2.7"), (SIX, "2001:db8::7")], ids=["ipv4", "ipv6"])
def test_an_address_that_is_cut_off_is_refused(family: int, host: str) -> None:
    whole = packed(family, host, 443)
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            parse_socket_address(family, whole[:size])


@given(st.sampled_from([FOUR, SIX]), st.binary(max_size=40))
def test_garbage_is_refused_unless_it_is_an_address(family: int, data: bytes) -> None:
    try:
        address = parse_socket_address(family, data)
    except ProtocolError:
        assert len(data) < (16 if family == FOUR else 28) or data[:2] != struct.pack("=H", family)
    else:
        assert address.wire[-2:] == data[2:4]
        assert ipaddress.ip_address(address.host).packed == (data[4:8] if family == FOUR else data[8:24])


def test_an_address_of_the_other_family_is_refused() -> None:
    with pytest.raises(ProtocolError):
        parse_socket_address(FOUR, packed(FOUR, "192.0.2.7", 443, claimed=SIX))
    with pytest.raises(ProtocolError):
        parse_socket_address(SIX, packed(SIX, "2001:db8::7", 443, claimed=FOUR))


class Conntrack:
    """In place of an accepted socket: what the kernel says about it."""

    def __init__(self, family: int, answer: Any) -> None:
        self.family = family
        self.asked: Optional[tuple[int, int, int]] = None
        self._answer = answer

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        self.asked = (level, option, size)
        if isinstance(self._answer, OSError):
            raise self._answer
        return bytes(self._answer)


def test_the_kernel_is_asked_where_a_connection_was_going() -> None:
    sock: Any = Conntrack(FOUR, packed(FOUR, "192.0.2.7", 443))
    assert original_destination(sock) == Address.of("192.0.2.7", 443)
    assert sock.asked == (0, 80, 16)
    sock = Conntrack(SIX, packed(SIX, "2001:db8::7", 443))
    assert original_destination(sock) == Address.of("2001:db8::7", 443)
    assert sock.asked == (41, 80, 28)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOPROTOOPT, errno.EINVAL])
def test_a_connection_that_was_not_redirected(number: int) -> None:
    sock: Any = Conntrack(FOUR, OSError(number, "the kernel knows nothing"))
    with pytest.raises(ProtocolError, match=r"nothing redirected this connection.*redirection\.md.*knows nothing"):
        original_destination(sock)


@pytest.mark.parametrize(("family", "host"), [(FOUR, "192.0.2.7"), (SIX, "2001:db8::7")], ids=["ipv4", "ipv6"])
def test_where_a_datagram_was_going_stands_beside_it(family: int, host: str) -> None:
    level, kind = RECEIVED[family]
    data = packed(family, host, 53)
    others = [(level, kind + 1, data), (level + 1, kind, b"?"), (socket.SOL_SOCKET, 29, bytes(16))]
    assert datagram_destination([*others, (level, kind, data)]) == Address.of(host, 53)
    for ancillary in ([], others, [(level, kind, data[:-1])], [(level, kind, b"")]):
        with pytest.raises(ProtocolError):
            datagram_destination(ancillary)


# --- connections ---------------------------------------------------------------------------------
@contextmanager
def service(inbound: Inbound) -> Iterator[tuple[Service, Log]]:
    """Straight to the targets, on loopback."""
    thread, log = LoopThread(), Log()
    loop = thread.loop

    def start() -> tuple[Service, Resolver]:
        resolver = Resolver(loop.call_threadsafe, loop.call_soon, loop.call_later, monotonic)
        made = Service(loop, inbound, Direct(Dialer(loop, resolver)), log, LIMITS, verbose=True)
        made.listen(HOST, 0)
        return made, resolver

    made, resolver = thread.call(start)
    try:
        yield made, log
    finally:
        thread.call(made.shut_down)
        thread.call(resolver.close)
        thread.end()
        loop.close()
    assert not thread.faults, thread.faults
    assert not made.sessions


def port_of(made: Service) -> int:
    return int(made.listeners[0].address[1])


def end_of(port: int) -> type[BaseException]:
    """How a connection to that port ends."""
    try:
        with socket.create_connection((HOST, port), LIMIT) as sock:
            return EOFError if receive_all(sock) == b"" else AssertionError
    except ConnectionError as error:
        return type(error)


def test_a_redirected_connection_goes_where_it_was_going(monkeypatch: pytest.MonkeyPatch) -> None:
    with target(echo) as server, service(Redirected()) as (made, log):
        monkeypatch.setattr(transparent, "original_destination", lambda sock: Address.of(HOST, server.port))
        with socket.create_connection((HOST, port_of(made)), LIMIT) as sock:
            sock.sendall(b"as if directly")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"as if directly"
        log.wait_for(f"connecting {HOST}:{server.port} from")


def to_itself(sock: Any) -> Address:
    return Address.of(*sock.getsockname()[:2])


@pytest.mark.parametrize("inbound", [Redirected, Intercepted])
def test_a_connection_to_the_port_itself_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, inbound: Callable[[], Inbound]
) -> None:
    monkeypatch.setattr(transparent, "original_destination", to_itself)
    with service(inbound()) as (made, log):
        assert end_of(port_of(made)) is ConnectionResetError
        log.wait_for("info .* loop .*is this port itself")
        assert not log.matching("connecting")


def test_the_same_port_of_another_machine_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(Redirected(nowhere)) as (made, log):
        there = Address.of("127.0.0.5", port_of(made))
        monkeypatch.setattr(transparent, "original_destination", lambda sock: there)
        end_of(port_of(made))
        log.wait_for(f"connecting {there} from")


def test_a_connection_whose_address_cannot_be_judged_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(ip: str) -> bool:
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr(transparent, "original_destination", to_itself)
    with service(Redirected(exhausted)) as (made, log):
        assert end_of(port_of(made)) is ConnectionResetError
        log.wait_for(f"info .* {DialError.status} .*no descriptors")


@linux
def test_a_connection_that_rules_did_not_send_ends_at_once() -> None:
    """Whether the kernel knows of it depends on whether it follows connections here; it is refused in either case."""
    with service(Redirected()) as (made, log):
        assert end_of(port_of(made)) is ConnectionResetError
        log.wait_for(f"info .* ({ProtocolError.status}|{ProxyLoop.status}) ")
        assert not log.matching("connecting")


# --- rights --------------------------------------------------------------------------------------
class Unprivileged:
    """In place of a socket of somebody without rights."""

    family = FOUR

    def setsockopt(self, *option: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")


def test_what_a_transparent_socket_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    sock: Any = Unprivileged()
    with pytest.raises(PermissionError, match="root or the capability CAP_NET_ADMIN") as caught:
        transparent._make_transparent(sock)
    assert caught.value.errno == errno.EPERM


# --- other systems -------------------------------------------------------------------------------
def test_redirection_is_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert available() is None


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_other_systems_say_what_to_do_instead(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    sentence = available()
    assert sentence is not None and "needs Linux" in sentence and "pyss tunnel" in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="what Windows lacks on the way there fails first")
@pytest.mark.parametrize("host", [HOST, "::1"])
@pytest.mark.parametrize("make", [transparent_listener, transparent_datagrams])
def test_other_systems_have_no_transparent_sockets(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[str, int], socket.socket], host: str
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="needs Linux"):
        make(host, 0)
