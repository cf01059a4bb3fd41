"""Ports that a configuration asks for: for connections, for datagrams, or for both under one number.

    TCP  127.0.0.1:53 ──► socket ─┐
                                  ├─ both, or neither and one sentence about it
    UDP  127.0.0.1:53 ──► socket ─┘

Where any number will do (port 0) the system chooses one for TCP; if UDP has it in use, another is tried.  Where a
number was asked for that Windows has set apart (it reserves ranges of ports, for Hyper-V among others, and tells
nobody), the sentence says how to see these and which number is free.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple, Optional, Union

from ..address import join_host_port
from ..errors import ConfigError
from ..net.sockets import BindSocket

Options = tuple[str, str]  # for host and port, as a remedy names them

ATTEMPTS = 20  # numbers that are tried for port 0
SEARCHED = 2000  # numbers above one that Windows reserves; it reserves them by hundreds
_RESERVED = 10013  # WSAEACCES
# Windows keeps ranges of UDP ports for itself, and says EACCES about them.
_TAKEN = ("EADDRINUSE", "EACCES")
_NO_ADDRESS = "no address"  # of a host name; no errno says that


class Ports(NamedTuple):
    """Bound sockets; None for what was not asked for."""

    connections: Optional[socket.socket]
    datagrams: Optional[socket.socket]


def open_ports(
    host: str, port: int, connections: Optional[BindSocket], datagrams: Optional[BindSocket], options: Options
) -> Ports:
    """Bind what is not None to host:port.  Raises ConfigError, with a remedy; then nothing stays open."""
    attempts = ATTEMPTS
    binds = [bind for bind in (connections, datagrams) if bind is not None]
    with ExitStack() as rejected:  # kept until the end, or the system might offer their numbers again
        while True:
            stream = None if connections is None else _listening(connections, host, port, binds, options)
            if datagrams is None:
                return Ports(stream, None)
            number = port if stream is None else int(stream.getsockname()[1])
            try:
                return Ports(stream, datagrams(host, number))
            except (OSError, UnicodeError) as error:
                attempts -= 1
                if stream is not None:
                    rejected.callback(stream.close)
                if port or stream is None or name_of(getattr(error, "errno", 0)) not in _TAKEN or not attempts:
                    problem = f"cannot listen on {join_host_port(host, number)} (UDP)"
                    if _is_reserved(error):
                        raise ConfigError(f"{problem}: {_reserved('udp', host, number, binds, options)}") from None
                    raise _refusal(error, problem, number, options) from None


def _listening(
    bind: BindSocket, host: str, port: int, binds: Sequence[BindSocket], options: Options
) -> socket.socket:
    try:
        return bind(host, port)
    except (OSError, UnicodeError) as error:
        problem = f"cannot listen on {join_host_port(host, port)}"
        if _is_reserved(error):
            raise ConfigError(f"{problem}: {_reserved('tcp', host, port, binds, options)}") from None
        raise _refusal(error, problem, port, options) from None


def _refusal(error: Union[OSError, UnicodeError], problem: str, port: int, options: Options) -> ConfigError:
    if isinstance(error, OSError):
        reason, name = error.strerror or str(error), name_of(error.errno)
        if isinstance(error, socket.gaierror):
            name = _NO_ADDRESS
    else:  # a label of more than 63 characters
        reason, name = "this is not a host name", _NO_ADDRESS
    remedy = _remedy(name, port, *options)
    return ConfigError(f"{problem}: {reason}; {remedy}" if remedy else f"{problem}: {reason}")


# --- ports that Windows reserves -------------------------------------------------------------------
def _is_reserved(error: Exception) -> bool:
    return getattr(error, "winerror", None) == _RESERVED


def _reserved(protocol: str, host: str, port: int, binds: Sequence[BindSocket], options: Options) -> str:
    """Windows says the same where a service of its own holds a port for itself alone."""
    free = _next_free(host, port, binds)
    offer = f"take a free one ({options[1].split()[0]} {free})" if free else f"choose another one ({options[1]})"
    command = f"netsh interface ipv4 show excludedportrange protocol={protocol}"
    return f"this port is reserved by Windows or one of its services (10013); {offer}, or see what it keeps: {command}"


def _next_free(host: str, port: int, binds: Sequence[BindSocket]) -> int:
    """The next number that all of `binds` can have; 0 if there is none nearby."""
    for number in range(port + 1, min(port + 1 + SEARCHED, 65536)):
        with ExitStack() as opened:
            try:
                for bind in binds:
                    opened.callback(bind(host, number).close)
            except OSError:
                continue
            return number
    return 0


def _remedy(name: str, port: int, host_option: str, port_option: str) -> str:
    """What to do about the error `name` when a port is opened."""
    if name == "EADDRINUSE":
        return f"another program has this port; end it, or choose another one ({port_option})"
    if name == "EACCES" and port < 1024:
        return f"ports below 1024 want more rights; choose another one ({port_option})"
    if name == "EACCES":
        return f"the system keeps this port for something else; choose another one ({port_option})"
    if name in (_NO_ADDRESS, "EADDRNOTAVAIL", "EAFNOSUPPORT"):
        return f"give an address that this machine has ({host_option}), or 0.0.0.0 for all that it has"
    return ""


def name_of(number: Optional[int]) -> str:
    """As POSIX calls it; "" for what is no errno."""
    name = errno.errorcode.get(number or 0, "")
    return name[3:] if name.startswith("WSA") else name
