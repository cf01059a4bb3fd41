"""SOCKS4 and 4a, server side (the protocol notes of Ying-Da Lee; 4a lets the server resolve the name).

    04 | command | port(2) | address(4) | user id ... 00 [ | name ... 00 if the address is 0.0.0.x, x > 0 ]
    00 | 5A granted, 5B refused | port(2) | address(4)
"""

from __future__ import annotations

from typing import Any

from ..address import Address
from ..errors import BadAddress, CredentialsRejected, ProtocolError, PyssError, UnsupportedCommand
from .credentials import Credentials
from .dialogue import Dialogue, Script
from .request import Request

VERSION = 4
CONNECT = 1
GRANTED = 0x5A
REFUSED = 0x5B
_LONGEST_FIELD = 512  # user id and name, each with its final zero


def accepted(bound: tuple[Any, ...]) -> bytes:
    port = int(bound[1]).to_bytes(2, "big")
    address = bytes(4) if ":" in bound[0] else bytes(map(int, bound[0].split(".")))
    return bytes((0, GRANTED)) + port + address


def refused(error: PyssError) -> bytes:
    return bytes((0, REFUSED)) + bytes(6)


def socks4(io: Dialogue[Any], credentials: Credentials) -> Script[Request]:
    """Raises ProtocolError, after the reply that says so."""
    try:
        return (yield from _request(io, credentials))
    except PyssError as error:
        io.reply(refused(error))
        raise


def _request(io: Dialogue[Any], credentials: Credentials) -> Script[Request]:
    head = yield from io.take(8)
    if head[0] != VERSION:
        raise ProtocolError(f"version {head[0]} is not SOCKS4")
    yield from io.take_until(b"\0", _LONGEST_FIELD)
    port = int.from_bytes(head[2:4], "big")
    host = ".".join(map(str, head[4:]))
    if head[4:7] == bytes(3) and head[7]:
        name = yield from io.take_until(b"\0", _LONGEST_FIELD)
        try:
            host = name[:-1].decode()
        except UnicodeDecodeError:
            raise BadAddress("the host name is neither ASCII nor UTF-8") from None
    if credentials:
        raise CredentialsRejected("SOCKS4 has no passwords, and this proxy wants one")
    if head[1] != CONNECT:
        raise UnsupportedCommand(f"SOCKS4 command {head[1]} is not offered here")
    return Request(Address.of(host, port), io.rest(), accepted, refused)
