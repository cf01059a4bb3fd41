"""Whether this system does what is asked of its sockets: tried at the start, on sockets that nobody uses.

    each option alone ──refused──► ConfigError: what, why, what to do
           │
    all of them together, as sessions will have them, for each family

Later would be too late: each connection would fail, or go out unmarked where a mark was to keep it from looping.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial
from typing import Callable, NamedTuple

from ..errors import ConfigError
from .socket_options import (
    FAST_OPEN,
    FAST_OPEN_CONNECT,
    FAST_OPEN_QUEUE,
    NOTHING,
    Socket,
    SocketOptions,
    prepare_port,
    set_fast_open,
)
from .sockets import listening_socket, new_datagram, new_stream

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)

# A family that this machine has not got is no fault of an option.
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, getattr(errno, "WSAEAFNOSUPPORT", errno.EAFNOSUPPORT)})
_NO_ADDRESS = frozenset({errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", errno.EADDRNOTAVAIL)})

_REMOVE = "remove it to start"


class Trial(NamedTuple):
    """What is tried, and what is said if the system refuses.

    problem  the beginning of a sentence; why comes behind it
    remedy   its end
    rights   its end where the system wants more rights
    """

    attempt: Callable[[], Socket]
    problem: str
    remedy: str = _REMOVE
    rights: str = _REMOVE


def check(options: SocketOptions) -> list[str]:
    """Returns notes.  Raises ConfigError with one sentence for what cannot be had."""
    if options == NOTHING:
        return []
    for attempt, problem, remedy, rights in _trials(options):
        try:
            attempt().close()
        except OSError as error:
            raise ConfigError(
                f"{problem}: {_reason(error)}; {rights if isinstance(error, PermissionError) else remedy}"
            ) from None
    notes = _fast_open(options) if options.fast_open else []
    _together(options)
    return notes


def _trials(options: SocketOptions) -> Iterator[Trial]:
    """Each option that a system may refuse, alone."""
    if options.mptcp:
        yield Trial(
            partial(new_stream, _AF_INET, SocketOptions(mptcp=True)),
            "Multipath TCP (mptcp) is not to be had",
            f"look whether the system has it switched off (Linux: sysctl net.mptcp.enabled), or {_REMOVE}",
        )
    if options.reuse_port:
        yield Trial(_shared_port, "a port cannot be shared between processes (reuse_port)")
    if options.dscp is not None:
        yield Trial(
            partial(new_datagram, _AF_INET, SocketOptions(dscp=options.dscp)),
            "packets cannot be given a code point (dscp)",
        )
    own = SocketOptions(bind_ipv4=options.bind_ipv4, bind_ipv6=options.bind_ipv6)
    for family, host in ((_AF_INET, own.bind_ipv4), (_AF_INET6, own.bind_ipv6)):
        if host:
            yield Trial(
                partial(new_stream, family, own),
                f"outgoing connections cannot come from {host} (outbound_bind_addr)",
                "give an address that this machine has",
            )
    if options.interface:
        yield Trial(
            partial(new_stream, _AF_INET, SocketOptions(interface=options.interface)),
            f"outgoing connections cannot leave by {options.interface} (outbound_bind_interface)",
            "name an interface that this machine has",
            "start it as root, or with the capability CAP_NET_RAW",
        )
    if options.mark:
        yield Trial(
            partial(new_stream, _AF_INET, SocketOptions(mark=options.mark)),
            "outgoing packets cannot be marked (outbound_fwmark)",
            rights="start it as root, or with the capability CAP_NET_ADMIN",
        )


def _shared_port() -> Socket:
    sock = socket.socket(_AF_INET, socket.SOCK_STREAM)
    try:
        prepare_port(sock, _AF_INET, SocketOptions(reuse_port=True))
    except BaseException:
        sock.close()
        raise
    return sock


def _fast_open(options: SocketOptions) -> list[str]:
    """It saves time and nothing relies on it: a note tells what has to go without."""
    lacking = []
    with listening_socket("127.0.0.1", 0) as listener:
        try:
            set_fast_open(listener, FAST_OPEN, FAST_OPEN_QUEUE)
        except OSError:
            lacking.append("incoming")
    outgoing = new_stream(_AF_INET)
    try:
        set_fast_open(outgoing, FAST_OPEN_CONNECT, 1)
    except OSError:
        lacking.append("outgoing")
    finally:
        outgoing.close()
    if len(lacking) > 1:
        raise ConfigError(f"TCP Fast Open (fast_open) is not to be had on this system; {_REMOVE}")
    return [
        f"fast_open: {which} connections go without TCP Fast Open; this system has none for them, or has it switched "
        "off (Linux: sysctl net.ipv4.tcp_fastopen=3 is for both ways)"
        for which in lacking
    ]


def _together(options: SocketOptions) -> None:
    """All of them, as sessions will have them."""
    for family, host in ((_AF_INET, "127.0.0.1"), (_AF_INET6, "::1")):
        attempts: tuple[Callable[[], Socket], ...] = (
            partial(new_stream, family, options),
            partial(new_datagram, family, options),
            partial(listening_socket, host, 0, options=options),
        )
        for attempt in attempts:
            try:
                attempt().close()
            except OSError as error:
                if error.errno in _NO_FAMILY or (error.errno in _NO_ADDRESS and family == _AF_INET6):
                    continue
                name = "IPv6" if family == _AF_INET6 else "IPv4"
                raise ConfigError(
                    f"what is asked of sockets does not go together for {name} on this system: {_reason(error)}; "
                    "ask for less (mptcp is compatible with the fewest others)"
                ) from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
