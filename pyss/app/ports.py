"""Ports that a configuration asks for: for connections, for datagrams, or for both under one number.

    TCP  127.0.0.1:53 ──► socket ─┐
                                  ├─ both, or neither and one sentence about it
    UDP  127.0.0.1:53 ──► socket ─┘

Where any number will do (port 0) the system chooses one for TCP; if UDP has it in use, another is tried.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import NamedTuple, Optional, Union

from ..address import join_host_port
from ..errors import ConfigError
from ..net.sockets import BindSocket

Options = tuple[str, str]  # for host and port, as a remedy names them

ATTEMPTS = 20  # numbers that are tried for port 0
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
    with ExitStack() as rejected:  # kept until the end, or the system might offer their numbers again
        while True:
            stream = None if connections is None else _listening(connections, host, port, options)
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
                    raise _refusal(error, f"{join_host_port(host, number)} (UDP)", number, options) from None


def _listening(bind: BindSocket, host: str, port: int, options: Options) -> socket.socket:
    try:
        return bind(host, port)
    except (OSError, UnicodeError) as error:
        raise _refusal(error, join_host_port(host, port), port, options) from None


def _refusal(error: Union[OSError, UnicodeError], where: str, port: int, options: Options) -> ConfigError:
    if isinstance(error, OSError):
        reason, name = error.strerror or str(error), name_of(error.errno)
        if isinstance(error, socket.gaierror):
            name = _NO_ADDRESS
    else:  # a label of more than 63 characters
        reason, name = "this is not a host name", _NO_ADDRESS
    remedy = _remedy(name, port, *options)
    problem = f"cannot listen on {where}: {reason}"
    return ConfigError(f"{problem}; {remedy}" if remedy else problem)


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
