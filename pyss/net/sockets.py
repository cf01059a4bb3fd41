"""What differs between the socket layers of Linux, macOS and Windows, and the errno tables.

One of the few files that may look at `sys.platform`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from dataclasses import replace
from typing import Any, Callable, Optional

from ..errors import ConnectionRefused, DialError, DialTimeout, HostUnreachable, NetworkUnreachable
from .fast_open import FastStream
from .packet_info import AnsweringSocket, ask_for_packet_info
from .socket_options import (
    FAST_OPEN_CONNECT,
    NOTHING,
    SocketOptions,
    ask_for_room,
    hear_no_resets,
    open_fast,
    prepare_dialing,
    prepare_listener,
    prepare_outgoing,
    prepare_port,
    stream_protocol,
)

# The C class: `socket.socket` adds a Python __init__, __slots__ and close() to each of them.
Socket = socket.SocketType
SocketAddress = tuple[Any, ...]
BindSocket = Callable[[str, int], socket.socket]  # host and port; raises OSError

WOULD_BLOCK = (BlockingIOError, InterruptedError)

# Set with SO_LINGER, close() sends RST: "on" and zero seconds.
if sys.platform == "win32":
    _RESET_ON_CLOSE = struct.pack("HH", 1, 0)
else:
    _RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# Bytes of one read.  Linux gains up to half a MiB; Windows slows down when one send is given more
# than 128 KiB, and what is read in one go is sent in one go.
READ_SIZE = 96 * 1024 if sys.platform == "win32" else 512 * 1024

# Windows has numbers of its own for sockets (winsock2.h), 10000 and more.  They are nobody else's, so they stand in the
# same tables on every system, where the tests of every run look at them.
_WINSOCK = 10000
_WSAEINTR, _WSAEWOULDBLOCK, _WSAEINPROGRESS, _WSAEALREADY = 10004, 10035, 10036, 10037
_WSAEMFILE, _WSAENOBUFS = 10024, 10055

_CONNECTING = frozenset(
    {
        *(0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR),
        *(_WSAEWOULDBLOCK, _WSAEINPROGRESS, _WSAEALREADY, _WSAEINTR),
    }
)

# An accept() that failed for want of something the whole process or machine is short of, and what helps then.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, _WSAEMFILE, _WSAENOBUFS})
if sys.platform == "win32":
    MORE_SOCKETS = "Windows lets one process wait for so many; a second one, at another port, takes as many again"
else:
    MORE_SOCKETS = "raise the limit of open files (ulimit -n)"

_DIAL_ERRORS: dict[int, type[DialError]] = {
    errno.ECONNREFUSED: ConnectionRefused,
    errno.ENETUNREACH: NetworkUnreachable,
    errno.ENETDOWN: NetworkUnreachable,
    errno.EHOSTUNREACH: HostUnreachable,
    errno.EHOSTDOWN: HostUnreachable,
    errno.ETIMEDOUT: DialTimeout,
    10061: ConnectionRefused,  # WSAECONNREFUSED
    10051: NetworkUnreachable,  # WSAENETUNREACH
    10050: NetworkUnreachable,  # WSAENETDOWN
    10065: HostUnreachable,  # WSAEHOSTUNREACH
    10064: HostUnreachable,  # WSAEHOSTDOWN
    10060: DialTimeout,  # WSAETIMEDOUT
}


def dial_error(number: int, where: str) -> DialError:
    """The DialError for an errno of connect()."""
    return _DIAL_ERRORS.get(number, DialError)(f"{where}: {errno_text(number)}")


def errno_text(number: int) -> str:
    """What the system calls that error."""
    if sys.platform == "win32" and number >= _WINSOCK:  # which strerror() does not know
        return socket.errorTab.get(number, f"Windows Error {number}").rstrip(".")
    return os.strerror(number)


# Plain numbers: those of the module `socket` are members of enumerations, slower in every call.
_STREAM = int(socket.SOCK_STREAM)
_NEW_STREAM = _STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_DATAGRAM = int(socket.SOCK_DGRAM)
_NEW_DATAGRAM = _DATAGRAM | getattr(socket, "SOCK_NONBLOCK", 0)
_TCP = int(socket.IPPROTO_TCP)
_NODELAY = int(socket.TCP_NODELAY)


def new_stream(family: int, options: Optional[SocketOptions] = None) -> Socket:
    """A non-blocking TCP socket with TCP_NODELAY, to connect.  Raises OSError (EMFILE, EAFNOSUPPORT).

    options  None where nothing is asked, for speed
    """
    if options is None:
        sock = Socket(family, _NEW_STREAM)
    elif options.fast_open and FAST_OPEN_CONNECT is not None:
        sock = FastStream(family, _NEW_STREAM, stream_protocol(options))
    else:
        sock = Socket(family, _NEW_STREAM, stream_protocol(options))
    if _NEW_STREAM == _STREAM:
        sock.setblocking(False)
    sock.setsockopt(_TCP, _NODELAY, 1)
    if options is not None:
        try:
            prepare_outgoing(sock, family, options)
            prepare_dialing(sock, options)
        except BaseException:
            sock.close()
            raise
    return sock


def new_datagram(family: int, options: SocketOptions = NOTHING) -> Socket:
    """A non-blocking UDP socket for packets to targets and servers.  Raises OSError (EMFILE, EAFNOSUPPORT)."""
    sock = Socket(family, _NEW_DATAGRAM)
    try:
        if _NEW_DATAGRAM == _DATAGRAM:
            sock.setblocking(False)
        if options is not NOTHING:
            prepare_outgoing(sock, family, options)
        hear_no_resets(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(sock: Socket, address: SocketAddress) -> int:
    """Start a connection.  0 while it is under way or already stands, else the errno of the failure."""
    number = sock.connect_ex(address)
    return 0 if number in _CONNECTING else number


def connected(sock: Socket) -> bool:
    """Whether the connection stands already, as one over loopback does right after connect()."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def pending_error(sock: Socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def reset_on_close(sock: Socket) -> None:
    """Make the coming close() send RST instead of FIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError:  # macOS: EINVAL when the peer has reset the connection already
        pass


def is_broken(sock: Socket) -> bool:
    """Whether the peer has reset the connection; reads nothing."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except WOULD_BLOCK:
        return False
    except OSError:
        return True
    return False


def finish_writing(sock: Socket) -> None:
    """Send FIN.  A connection that is gone needs none."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def listening_socket(host: str, port: int, backlog: int = 1024, options: SocketOptions = NOTHING) -> socket.socket:
    """A bound, listening, non-blocking TCP socket.  Raises OSError.

    IPv6 sockets are for IPv6 only unless asked otherwise, so that `::` and `0.0.0.0` can both be listed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, stream_protocol(options))
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR means "let anybody take my port" there.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prepare_port(sock, family, _of_port(port, options))
        prepare_listener(sock, options)
        sock.bind((host, port))
        sock.listen(backlog)
        open_fast(sock, options)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def datagram_socket(host: str, port: int, options: SocketOptions = NOTHING) -> socket.socket:
    """A bound, non-blocking UDP socket that clients send to.  Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    on_all = sys.platform == "linux" and host in ("0.0.0.0", "::")
    sock = (AnsweringSocket if on_all else socket.socket)(family, socket.SOCK_DGRAM)
    try:
        if isinstance(sock, AnsweringSocket):
            ask_for_packet_info(sock, family)
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        # Nothing elsewhere: SO_REUSEADDR would let a second process take a UDP port that is in use.
        prepare_port(sock, family, _of_port(port, options))
        ask_for_room(sock)
        hear_no_resets(sock)
        sock.bind((host, port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _of_port(port: int, options: SocketOptions) -> SocketOptions:
    """A port that the system chooses is nobody else's; asked to share it, it might choose one that is shared."""
    return replace(options, reuse_port=False) if options.reuse_port and not port else options


def acceptor(listener: socket.socket) -> Callable[[], tuple[Socket, SocketAddress]]:
    """What takes the next connection, non-blocking.  It raises BlockingIOError, or OSError (see EXHAUSTED)."""
    take = getattr(listener, "_accept", None)  # CPython's C half of accept(); PyPy has it too
    if take is None:

        def accept() -> tuple[Socket, SocketAddress]:
            sock, peer = listener.accept()
            sock.setblocking(False)
            return sock, peer

    else:
        family = int(listener.family)

        def accept() -> tuple[Socket, SocketAddress]:
            fd, peer = take()
            sock = Socket(family, _STREAM, 0, fd)
            sock.setblocking(False)
            return sock, peer

    return accept


def hosts_file() -> str:
    """Where this system keeps the names that need no name server."""
    if sys.platform == "win32":
        return os.path.join(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "drivers", "etc", "hosts")
    else:
        return "/etc/hosts"


def raise_descriptor_limit() -> int:
    """Lift the soft limit of open files to the hard one; returns how many sockets may be open."""
    if sys.platform == "win32":
        from . import wsapoll

        return wsapoll.SOCKETS if wsapoll.usable() else 512  # what select() takes there
    else:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65536)
        if sys.platform == "darwin":
            wanted = min(wanted, 10240)  # OPEN_MAX: more is refused
        if soft == resource.RLIM_INFINITY or wanted <= soft:
            return 1 << 20 if soft == resource.RLIM_INFINITY else soft
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
