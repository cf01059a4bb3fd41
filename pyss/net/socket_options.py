"""What may be asked of sockets besides the usual, and how each system is told.

                 clients ──► listening, accepted │ dialed, sending ──► servers and targets
    both ends    fast open, Multipath TCP, keep-alive, code point
    one end      IPv6 only, shared port, buffers │ own address, interface, mark, buffers

Whatever a system refuses is found at the start, see `socket_check`; once sessions run, an OSError here is one
connection's.  By default nothing is asked, and then nothing is called.

One of the few files that may look at `sys.platform`.  Numbers that the module `socket` does not know everywhere stand
here as the systems' headers have them.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from typing import Optional

Socket = socket.SocketType


@dataclass(frozen=True)
class SocketOptions:
    """Nothing by default.

    fast_open        data in the SYN (RFC 7413); of listeners, and of outgoing connections where the system has it
    mptcp            Multipath TCP (RFC 8684), of both
    keep_alive       seconds of silence until the peer is probed, and between two probes; 0 for never
    dscp             code point, 0 to 63 (RFC 2474 section 3), of every packet; None for the system's
    ipv6_only        whether an IPv6 listener leaves IPv4 clients to others
    reuse_port       whether other processes may listen on the same port
    bind_ipv4        own address of outgoing sockets of that family; "" for the system's choice
    bind_ipv6        the same
    interface        that outgoing sockets send through; "" for the system's choice
    mark             of outgoing packets, for routing rules; 0 for none

    Of TCP buffers in bytes, 0 for the system's choice:

    incoming_send, incoming_receive, outgoing_send, outgoing_receive
    """

    fast_open: bool = False
    mptcp: bool = False
    keep_alive: int = 0
    dscp: Optional[int] = None
    ipv6_only: bool = True
    reuse_port: bool = False
    bind_ipv4: str = ""
    bind_ipv6: str = ""
    interface: str = ""
    mark: int = 0
    incoming_send: int = 0
    incoming_receive: int = 0
    outgoing_send: int = 0
    outgoing_receive: int = 0


NOTHING = SocketOptions()

_TCP = int(socket.IPPROTO_TCP)
_AF_INET6 = int(socket.AF_INET6)

# MPTCP              IPPROTO_MPTCP
# FAST_OPEN          TCP_FASTOPEN, of listeners; FAST_OPEN_QUEUE handshakes under way, where it is no mere switch
# FAST_OPEN_CONNECT  TCP_FASTOPEN_CONNECT: connect() leaves the SYN to the first send()
# _IDLE, _INTERVAL   TCP_KEEPIDLE (macOS: TCP_KEEPALIVE), TCP_KEEPINTVL; seconds
MPTCP: Optional[int] = None
FAST_OPEN: Optional[int] = None
FAST_OPEN_QUEUE = 1
FAST_OPEN_CONNECT: Optional[int] = None
if sys.platform == "win32":
    FAST_OPEN = 15
    _IDLE, _INTERVAL = 3, 17
elif sys.platform == "darwin":
    FAST_OPEN = 0x105
    _IDLE, _INTERVAL = 0x10, 0x101
else:
    # -1 where there are none (OpenBSD): setting them fails then.
    _IDLE, _INTERVAL = int(getattr(socket, "TCP_KEEPIDLE", -1)), int(getattr(socket, "TCP_KEEPINTVL", -1))
    if sys.platform == "linux":
        MPTCP = 262
        FAST_OPEN = 23
        FAST_OPEN_QUEUE = 1024
        FAST_OPEN_CONNECT = 30
        # PyPy's module has no names for them; the numbers are those of all machines but a few old ones.
        _BIND_TO_DEVICE: int = getattr(socket, "SO_BINDTODEVICE", 25)
        _MARK: int = getattr(socket, "SO_MARK", 36)


# --- both ends -----------------------------------------------------------------------------------
def stream_protocol(options: SocketOptions) -> int:
    """The protocol of a new TCP socket.  Raises OSError."""
    if not options.mptcp:
        return 0
    if MPTCP is None:
        raise OSError("this system has none")
    return MPTCP


def set_keep_alive(sock: Socket, seconds: int) -> None:
    """Probe a peer that has been silent so long.  Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(_TCP, _IDLE, seconds)
    sock.setsockopt(_TCP, _INTERVAL, seconds)


def keep_alive_of(sock: Socket) -> int:
    """What `set_keep_alive` was given, 0 if it was not called.  Raises OSError."""
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
        return 0
    return sock.getsockopt(_TCP, _IDLE)


def _set_code_point(sock: Socket, family: int, code_point: int) -> None:
    """The upper six bits of a byte of which the lower two are for congestion."""
    if sys.platform == "win32":
        raise OSError("this system does not let programs do that")  # it takes IP_TOS, and does nothing
    if family == _AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, code_point << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, code_point << 2)


def _set_buffers(sock: Socket, send: int, receive: int) -> None:
    if send:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)


# --- incoming ------------------------------------------------------------------------------------
def prepare_port(sock: Socket, family: int, options: SocketOptions) -> None:
    """Of TCP or UDP, before it is bound.  Raises OSError."""
    if family == _AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, options.ipv6_only)
        if options.dscp is not None and not options.ipv6_only:
            _set_code_point(sock, int(socket.AF_INET), options.dscp)
    if options.dscp is not None:
        _set_code_point(sock, family, options.dscp)
    if options.reuse_port:
        if sys.platform == "win32":
            raise OSError("this system does not let programs do that")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def prepare_listener(sock: Socket, options: SocketOptions) -> None:
    """Of TCP, before it is bound; what is accepted inherits all of it on most systems.  Raises OSError."""
    # A receive buffer must be there before a handshake, for the window's scale is a part of that (RFC 7323).
    _set_buffers(sock, options.incoming_send, options.incoming_receive)
    if options.keep_alive:
        set_keep_alive(sock, options.keep_alive)


def open_fast(sock: Socket, options: SocketOptions) -> None:
    """Take data in SYNs; macOS wants a socket that listens already.  A system that refuses only costs time."""
    if options.fast_open:
        try:
            set_fast_open(sock, FAST_OPEN, FAST_OPEN_QUEUE)
        except OSError:
            pass


def set_fast_open(sock: Socket, name: Optional[int], value: int) -> None:
    """Raises OSError."""
    if name is None:
        raise OSError("this system has none")
    sock.setsockopt(_TCP, name, value)


def inherits(sock: Socket, keep_alive: int) -> bool:
    """Whether an accepted socket has what was set on the one that listens; see `keep_alive_of`."""
    return bool(sock.getsockopt(_TCP, socket.TCP_NODELAY)) and (not keep_alive or keep_alive_of(sock) == keep_alive)


def prepare_accepted(sock: Socket, keep_alive: int) -> None:
    """For one that does not inherit.  Raises OSError (macOS: EINVAL when the peer has reset it already)."""
    sock.setsockopt(_TCP, socket.TCP_NODELAY, 1)
    if keep_alive:
        set_keep_alive(sock, keep_alive)


# --- outgoing ------------------------------------------------------------------------------------
def prepare_outgoing(sock: Socket, family: int, options: SocketOptions) -> None:
    """Of TCP or UDP, before it is used.  Raises OSError."""
    if options.interface:
        bind_interface(sock, family, options.interface)
    if options.mark:
        set_mark(sock, options.mark)
    if options.dscp is not None:
        _set_code_point(sock, family, options.dscp)
    host = options.bind_ipv6 if family == _AF_INET6 else options.bind_ipv4
    if host:
        if sys.platform == "linux":
            # The port is then chosen by connect(), so that one port can serve for each target (since Linux 4.2).
            try:
                sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            except OSError:
                pass
        sock.bind((host, 0))


def prepare_dialing(sock: Socket, options: SocketOptions) -> None:
    """Of TCP, before it is connected.  Raises OSError."""
    _set_buffers(sock, options.outgoing_send, options.outgoing_receive)
    if options.keep_alive:
        set_keep_alive(sock, options.keep_alive)
    if options.fast_open:
        try:
            set_fast_open(sock, FAST_OPEN_CONNECT, 1)
        except OSError:  # switched off in this system: an ordinary connection then
            pass


def bind_interface(sock: Socket, family: int, name: str) -> None:
    """Send through this interface whatever the routes say.  Raises OSError."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _BIND_TO_DEVICE, name.encode() + b"\0")
    elif sys.platform == "darwin":
        index = _index_of(name)
        if family == _AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, 125, index)  # IPV6_BOUND_IF
        else:
            sock.setsockopt(socket.IPPROTO_IP, 25, index)  # IP_BOUND_IF
    elif sys.platform == "win32":
        # The index in the order of the network for IPv4, in that of the host for IPv6.
        index = int(name) if name.isdigit() else _index_of(name)
        if family == _AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, 31, struct.pack("@I", index))  # IPV6_UNICAST_IF
        else:
            sock.setsockopt(socket.IPPROTO_IP, 31, struct.pack("!I", index))  # IP_UNICAST_IF
    else:
        raise OSError("this system does not let programs do that")


def _index_of(name: str) -> int:
    if not hasattr(socket, "if_nametoindex"):
        raise OSError("this Python does not know its number")  # PyPy
    return socket.if_nametoindex(name)


def set_mark(sock: Socket, mark: int) -> None:
    """Raises OSError; PermissionError without the capability CAP_NET_ADMIN."""
    if sys.platform == "linux":
        # A number above 2**31 would not fit an int as Python writes it.
        sock.setsockopt(socket.SOL_SOCKET, _MARK, struct.pack("@I", mark))
    else:
        raise OSError("this system does not let programs do that")


# --- datagrams -----------------------------------------------------------------------------------
def ask_for_room(sock: Socket) -> None:
    """One socket has the packets of all clients, and what comes while the loop does something else must wait in it."""
    for size in (1 << 20, 1 << 19, 1 << 18):
        if size <= sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)  # Linux gives what it allows
            return
        except OSError:  # macOS: ENOBUFS for more than it allows
            pass


def hear_no_resets(sock: Socket) -> None:
    """Windows reports that an earlier packet could not be delivered as a failure to receive; it need not."""
    if sys.platform == "win32":
        import ctypes

        answer, unused = ctypes.c_ulong(0), ctypes.c_ulong()
        # SIO_UDP_CONNRESET, which socket.ioctl() does not take.  One that fails leaves what receivers cope with.
        ctypes.WinDLL("ws2_32").WSAIoctl(
            ctypes.c_size_t(sock.fileno()),
            ctypes.c_ulong(0x9800000C),
            ctypes.byref(answer),
            ctypes.sizeof(answer),
            None,
            0,
            ctypes.byref(unused),
            None,
            None,
        )
