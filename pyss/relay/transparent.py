"""Clients that know of no proxy: netfilter of Linux gives us their connections and datagrams on the way.

                 what happens to a packet for T              how T is found
    REDIRECT     its destination becomes this machine's      the kernel has kept it, SO_ORIGINAL_DST; TCP alone
    TPROXY       nothing, it is merely given to our socket   TCP: the own address of the accepted socket
                                                             UDP: IP_RECVORIGDSTADDR, data beside each datagram

    client ──to T──► [rules] ──► listener or port ──► server ──► T
           ◄─from T──────────── UDP: a socket bound to T, an address that this machine does not have

A transparent socket (IP_TRANSPARENT) may be given packets for foreign addresses, and may be bound to one.  The kernel
does not tell the original destination of a UDP datagram that was redirected; so UDP is always by TPROXY.

The rules that send packets here are the user's, see docs/redirection.md.  One of the few files that may look at
`sys.platform`.  Numbers are from linux/in.h, in6.h and netfilter_ipv4.h; `socket` does not know them in every release.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Callable, Optional

from ..address import ATYP_IPV4, ATYP_IPV6, Address
from ..errors import BadAddress, DialError, ProtocolError, ProxyLoop, PyssError
from ..limits import MOST_SENDERS
from ..net.ownaddress import OwnAddresses
from ..net.socket_options import NOTHING, SocketOptions, open_fast, prepare_listener, prepare_port
from ..net.sockets import Socket, new_datagram
from ..protocol.request import Request
from .datagrams import Association, Buffer, Heard
from .inbounds import Wordless
from .packet_ways import source_of

if TYPE_CHECKING:
    from .session import Session

UDP_NEEDS_TPROXY = "the kernel tells where a redirected connection was going, but not a datagram: UDP needs TPROXY"

_NOT_REDIRECTED = "nothing redirected this {} here; docs/redirection.md has the rules for that"
_NOT_PERMITTED = "a transparent socket needs root or the capability CAP_NET_ADMIN"
_REMEDIES = {  # why a socket for answers cannot be had
    errno.EPERM: ", which must be kept when privileges are dropped",
    errno.EACCES: "; ports below 1024 need CAP_NET_BIND_SERVICE, which must be kept when privileges are dropped",
    errno.EADDRINUSE: "; another program has this port of all addresses, let it listen on those of this machine",
}

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
_LEVELS = {_AF_INET: 0, _AF_INET6: 41}  # SOL_IP, SOL_IPV6
_TRANSPARENT = {_AF_INET: 19, _AF_INET6: 75}  # IP_TRANSPARENT, IPV6_TRANSPARENT
_DESTINATION = {_AF_INET: 20, _AF_INET6: 74}  # IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR; the data has the same number
_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST
_SIZES = {_AF_INET: 16, _AF_INET6: 28}  # bytes of sockaddr_in, sockaddr_in6
_FAMILIES = {(_LEVELS[family], _DESTINATION[family]): family for family in _LEVELS}

_BROADCAST = ipaddress.ip_address("255.255.255.255")
_REUSE_PORT = int(getattr(socket, "SO_REUSEPORT", 0))
_ROOM_BESIDE = 64  # bytes of ancillary data: a sockaddr_in6 with what is around it
_ROOM_FOR_PORT = 1 << 20  # bytes that wait in it, as far as the system allows

IsOwn = Callable[[str], bool]  # whether an IP address is this machine's own; raises OSError


def available() -> Optional[str]:
    """Why there is no redirection here; None where there is."""
    if sys.platform == "linux":
        return None
    return "redirection needs Linux (netfilter); use `pyss local` as a proxy, or `pyss tunnel` for one target, instead"


# --- where packets were going --------------------------------------------------------------------
@lru_cache(maxsize=4096)
def parse_socket_address(family: int, data: bytes) -> Address:
    """The address in a sockaddr_in or sockaddr_in6 of the kernel.  Raises ProtocolError.

    | family 2, in this machine's order | port 2 | IPv4 4 | 0 8 |
    | family 2, in this machine's order | port 2 | flow 4 | IPv6 16 | scope 4 |
    """
    if len(data) < _SIZES[family] or int.from_bytes(data[:2], sys.byteorder) != family:
        raise ProtocolError("the original destination cannot be read")
    if family == _AF_INET:
        wire = bytes((ATYP_IPV4,)) + data[4:8] + data[2:4]
    else:
        wire = bytes((ATYP_IPV6,)) + data[8:24] + data[2:4]
    parsed = Address.parse(wire)
    assert parsed is not None
    return parsed[0]


def original_destination(sock: Socket) -> Address:
    """Where a connection was going before REDIRECT sent it here.  Raises ProtocolError.

    One that was not redirected was going to this machine, or is not in the kernel's table of connections.
    """
    family = int(sock.family)
    try:
        data = sock.getsockopt(_LEVELS[family], _ORIGINAL_DESTINATION, _SIZES[family])
    except OSError as error:
        raise ProtocolError(f"{_NOT_REDIRECTED.format('connection')} ({error.strerror})") from None
    return parse_socket_address(family, data)


def datagram_destination(ancillary: list[tuple[int, int, bytes]]) -> Address:
    """Where a datagram was going, from what came beside it: level, type, data.  Raises ProtocolError."""
    for level, kind, data in ancillary:
        family = _FAMILIES.get((level, kind))
        if family is not None:
            return parse_socket_address(family, data)
    raise ProtocolError(_NOT_REDIRECTED.format("datagram"))


def _refuse_loop(target: Address, is_own: IsOwn) -> None:
    """Raises ProxyLoop for this machine; `target` has the port that is listened on."""
    try:
        own = is_own(target.host)
    except OSError as error:
        raise DialError(f"whether {target} is this machine cannot be told now: {error.strerror}") from None
    if own:
        raise ProxyLoop(f"{target} is this port itself: it is for what rules send here, not to be connected to")


# --- TCP -----------------------------------------------------------------------------------------
class Redirected(Wordless):
    """Clients whose connections REDIRECT sent here."""

    def __init__(self, is_own: Optional[IsOwn] = None) -> None:
        self._is_own = is_own or OwnAddresses()

    def accepted(self, session: Session) -> None:
        try:
            target = self.target(session.client.sock)
            if target.port in session.service.ports:
                _refuse_loop(target, self._is_own)
        except PyssError as error:
            session.abort(error)
        else:
            session.dial_soon(Request(target))

    def target(self, sock: Socket) -> Address:
        """Raises ProtocolError."""
        return original_destination(sock)


class Intercepted(Redirected):
    """Clients whose connections TPROXY gave us: what they connected to is our socket's own address."""

    def target(self, sock: Socket) -> Address:
        host, port = sock.getsockname()[:2]
        return source_of(host, port)


# --- UDP -----------------------------------------------------------------------------------------
class InterceptedPackets:
    """Datagrams that TPROXY gave us; a client is an association, whatever it sends to.

    port  that they are received on
    most  sockets for answers, one for each address that answers came from

    To be closed with the PacketPort that it serves.
    """

    def __init__(self, port: int, is_own: Optional[IsOwn] = None, most: int = MOST_SENDERS) -> None:
        self._port = port
        self._is_own = is_own or OwnAddresses()
        self._most = most
        self._senders: OrderedDict[bytes, Socket] = OrderedDict()  # by the address's wire form, the last used last

    def read(self, sock: Socket, rx: memoryview) -> Heard:
        if sys.platform != "linux":
            raise OSError(available())
        size, ancillary, _, client = sock.recvmsg_into([rx], _ROOM_BESIDE)
        target = datagram_destination(ancillary)
        if target.port == self._port:
            _refuse_loop(target, self._is_own)
        return client, client, target, rx[:size]

    def write(self, sock: Socket, association: Association, source: Address, payload: Buffer) -> None:
        client = association.client
        if source.wire[0] != (ATYP_IPV6 if ":" in client[0] else ATYP_IPV4):
            raise BadAddress(f"an answer from {source} is not of the family of the client, {client[0]}")
        sender = self._senders.get(source.wire)
        if sender is None:
            try:
                sender = self._open(source)
            except OSError as error:
                reason = f"{error.strerror}{_REMEDIES.get(error.errno or 0, '')}"
                raise DialError(f"no answer can be sent from {source}: {reason}") from None
        else:
            self._senders.move_to_end(source.wire)
        sender.sendto(payload, client)

    def close(self) -> None:
        while self._senders:
            self._senders.popitem()[1].close()

    def _open(self, source: Address) -> Socket:
        self._refuse_source(source)
        while len(self._senders) >= self._most:
            self._senders.popitem(last=False)[1].close()
        sender = self._senders[source.wire] = _sender(source)
        return sender

    def _refuse_source(self, source: Address) -> None:
        """Raises BadAddress for what nothing comes from; bound to it, a socket might take what is for others here."""
        ip = ipaddress.ip_address(source.host)
        if not source.port or ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip == _BROADCAST:
            raise BadAddress(f"an answer from {source}, which is no place on the Internet")
        if self._is_own(source.host):
            raise BadAddress(f"an answer from {source}, which is this machine")


# --- sockets -------------------------------------------------------------------------------------
def transparent_listener(host: str, port: int, backlog: int = 1024, options: SocketOptions = NOTHING) -> socket.socket:
    """A bound, listening, non-blocking TCP socket for what TPROXY gives it.  Raises OSError."""
    sock = socket.socket(_family(host), socket.SOCK_STREAM)
    with _closed_on_failure(sock):
        _prepare(sock, options)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prepare_listener(sock, options)
        sock.bind((host, port))
        sock.listen(backlog)
        open_fast(sock, options)
    return sock


def transparent_datagrams(host: str, port: int, options: SocketOptions = NOTHING) -> socket.socket:
    """A bound, non-blocking UDP socket for what TPROXY gives it, with where that was going.  Raises OSError."""
    family = _family(host)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    with _closed_on_failure(sock):
        _prepare(sock, options)
        sock.setsockopt(_LEVELS[family], _DESTINATION[family], 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM_FOR_PORT)
        sock.bind((host, port))
        # Asked for afterwards: another process gets no share of this port, but senders may have its number.
        sock.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
    return sock


def _sender(source: Address) -> Socket:
    """A UDP socket bound to an address of somebody else.  Raises OSError."""
    sock = new_datagram(_family(source.host))
    with _closed_on_failure(sock):
        _make_transparent(sock)
        # Who has this port of all addresses here must have asked for the same, the one or the other.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there is: nothing is read here
        sock.bind((source.host, source.port))
    return sock


@contextmanager
def _closed_on_failure(sock: Socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


def _family(host: str) -> int:
    return _AF_INET6 if ":" in host else _AF_INET


def _prepare(sock: socket.socket, options: SocketOptions) -> None:
    """Before it is bound; for one family whatever the options say."""
    sock.setblocking(False)
    prepare_port(sock, int(sock.family), options)
    if sock.family == _AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    _make_transparent(sock)


def _make_transparent(sock: Socket) -> None:
    """Raises OSError; PermissionError says what is missing."""
    missing = available()
    if missing is not None:
        raise OSError(missing)
    family = int(sock.family)
    try:
        sock.setsockopt(_LEVELS[family], _TRANSPARENT[family], 1)
    except PermissionError as error:
        raise PermissionError(error.errno, _NOT_PERMITTED) from None
