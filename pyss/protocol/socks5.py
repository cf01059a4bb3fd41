"""SOCKS5, server side: RFC 1928, with user name and password by RFC 1929.

    client                                     server
    05 | count | methods                  ──►
                                          ◄──  05 | method (00 none, 02 password, FF no)
    [01 | len | name | len | password     ──►
                                          ◄──  01 | 00 yes, 01 no]
    05 | command | 00 | ATYP host port    ──►
                                          ◄──  05 | code | 00 | ATYP host port (bound address)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Optional, Union

from ..address import Address
from ..errors import (
    BadAddress,
    CredentialsRejected,
    ProtocolError,
    PyssError,
    UnsupportedCommand,
)
from .credentials import Credentials
from .dialogue import Dialogue, Script
from .request import AssociateRequest, Request

VERSION = 5
CONNECT, UDP_ASSOCIATE = 1, 3

NO_AUTHENTICATION = 0
USER_PASSWORD = 2
NO_ACCEPTABLE_METHOD = 0xFF

SUCCEEDED = 0
GENERAL_FAILURE = 1

# RFC 1928 section 6.  1 to 6 speak of the connection that pyss itself opens.
CODES = {
    "forbidden": 2,
    "loop": 2,
    "network-unreachable": 3,
    "host-unreachable": 4,
    "name-not-found": 4,
    "connection-refused": 5,
    "dial-timeout": 6,
    "unsupported-command": 7,
    "unsupported-address": 8,
}
_WITHOUT_AUTHENTICATION = bytes((VERSION, NO_AUTHENTICATION))
_NOWHERE = Address.of("0.0.0.0", 0).wire


def accepted(bound: tuple[Any, ...]) -> bytes:
    """The success reply with the address that the outgoing connection is bound to."""
    return _success(bound[0]) + int(bound[1]).to_bytes(2, "big")


@lru_cache(maxsize=64)  # a machine has few addresses
def _success(host: str) -> bytes:
    return bytes((VERSION, SUCCEEDED, 0)) + Address.of(host.partition("%")[0], 0).wire[:-2]


def refused(error: PyssError) -> bytes:
    return bytes((VERSION, CODES.get(error.status, GENERAL_FAILURE), 0)) + _NOWHERE


def socks5(io: Dialogue[Any], credentials: Credentials) -> Script[Union[Request, AssociateRequest]]:
    """Raises ProtocolError, after the reply that says so."""
    offered = yield from io.parse(_parse_greeting)
    if credentials:
        yield from _authenticate(io, offered, credentials)
    elif NO_AUTHENTICATION in offered:
        io.reply(_WITHOUT_AUTHENTICATION)
    else:
        io.reply(bytes((VERSION, NO_ACCEPTABLE_METHOD)))
        raise CredentialsRejected("the client insists on an authentication method that is not offered")
    try:
        command, target = yield from io.parse(_parse_request)
        if command not in (CONNECT, UDP_ASSOCIATE):
            raise UnsupportedCommand(f"SOCKS5 command {command} is not offered here")
    except (BadAddress, UnsupportedCommand) as error:
        io.reply(refused(error))
        raise
    if command == UDP_ASSOCIATE:
        return AssociateRequest(target, accepted, refused)
    return Request(target, io.rest(), accepted, refused)


def _parse_greeting(data: bytes) -> Optional[tuple[bytes, int]]:
    """The methods that the client offers."""
    if len(data) < 2:
        return None
    _check_version(data)
    end = 2 + data[1]
    return (data[2:end], end) if len(data) >= end else None


def _parse_request(data: bytes) -> Optional[tuple[tuple[int, Address], int]]:
    """Command and target."""
    if len(data) < 3:
        return None
    _check_version(data)
    found = Address.parse(data, 3)
    return ((data[1], found[0]), found[1]) if found is not None else None


def _check_version(data: bytes) -> None:
    if data[0] != VERSION:
        raise ProtocolError(f"version {data[0]} is not SOCKS5")


def _authenticate(io: Dialogue[Any], offered: bytes, credentials: Credentials) -> Script[None]:
    if USER_PASSWORD not in offered:
        io.reply(bytes((VERSION, NO_ACCEPTABLE_METHOD)))
        raise CredentialsRejected("the client does not offer a user name and password")
    io.reply(bytes((VERSION, USER_PASSWORD)))
    version, length = yield from io.take(2)
    name = yield from io.take(length)
    (length,) = yield from io.take(1)
    password = yield from io.take(length)
    if version != 1:  # RFC 1929 section 2
        raise ProtocolError(f"version {version} of the password exchange is not 1")
    if not credentials.allow(name, password):
        io.reply(b"\x01\x01")
        raise CredentialsRejected("user name or password is wrong")
    io.reply(b"\x01\x00")
