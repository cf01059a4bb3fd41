"""SOCKS5, SOCKS4 and HTTP on one port, told apart by the first byte."""

from __future__ import annotations

from typing import Any, Union

from ..errors import ProtocolError
from . import http, socks4, socks5
from .credentials import Credentials
from .dialogue import Dialogue, Script
from .http import PlainHttp
from .request import AssociateRequest, Request


def mixed(io: Dialogue[Any], credentials: Credentials) -> Script[Union[Request, AssociateRequest, PlainHttp]]:
    """The script for what the client has begun to speak.  Raises ProtocolError."""
    first = io.here[0]
    if first == socks5.VERSION:
        return socks5.socks5(io, credentials)
    if first == socks4.VERSION:
        return socks4.socks4(io, credentials)
    if 0x41 <= first <= 0x7A:  # a letter: the method of an HTTP request
        return http.http(io, credentials)
    raise ProtocolError(f"byte 0x{first:02x} begins neither SOCKS nor HTTP")
