"""What a proxy changes in messages of plain HTTP on their way through (RFC 9110, RFC 9112).

    GET http://example.org/page HTTP/1.1     ──►     GET /page HTTP/1.1
    Host: anything                                   Host: example.org
    Proxy-Connection: keep-alive

No `Via` is added, though section 7.6.3 of RFC 9110 wants one: it would tell every target that there is a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Optional

from ..address import Address, split_host_port
from ..errors import ProtocolError

Headers = list[tuple[bytes, bytes]]

# Of one connection only (RFC 9110 section 7.6.1), as is whatever the Connection header names.
_HOP_BY_HOP = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
    | {b"proxy-authenticate", b"proxy-authorization", b"proxy-authentication-info"}
)

_ABSOLUTE = re.compile(rb"(?i:(https?)://)([^/?#]*)([^#]*)")


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers without those that concern one connection only.

    Framing is left to whoever sends the message on, except for Content-Length, which goes along where it
    holds: Transfer-Encoding overrides it (RFC 9112 section 6.3), and both together are what smuggles requests.
    """
    headers = list(headers)
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.split(b",")
    }
    dropped = _HOP_BY_HOP | (named - {b"content-length", b"host"})
    if _has(headers, b"transfer-encoding"):
        dropped |= {b"content-length"}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def forwarded_request(
    target: bytes, headers: Iterable[tuple[bytes, bytes]], method: bytes = b"GET"
) -> tuple[Address, bytes, Headers]:
    """Where a request in absolute form goes, and its target and headers there.

    Raises ProtocolError for other forms, BadAddress.
    """
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise ProtocolError("this is a proxy: it takes http://HOST/PATH, or CONNECT HOST:PORT")
    scheme, authority, path = found.groups()
    if scheme.lower() == b"https":
        raise ProtocolError("https goes through a proxy by CONNECT HOST:PORT")
    if b"@" in authority:
        raise ProtocolError("a user name has no place in the target of a request")
    try:
        address = Address.of(*split_host_port(authority.decode(), 80))
    except UnicodeDecodeError:
        raise ProtocolError("the host name is neither ASCII nor UTF-8") from None
    if not path and method == b"OPTIONS":
        path = b"*"  # RFC 9112 section 3.2.4: about the server as a whole
    elif not path.startswith(b"/"):
        path = b"/" + path
    # RFC 9112 section 3.2.2: what the client wrote as Host is ignored.
    headers = list(headers)
    sent = [(b"Host", authority)]
    sent += [(name, value) for name, value in end_to_end(headers) if name.lower() != b"host"]
    if _has(headers, b"transfer-encoding"):
        sent.append((b"Transfer-Encoding", b"chunked"))
    return address, path, sent


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether something follows the head of a request (RFC 9112 section 6.3)."""
    return _has(headers, b"transfer-encoding") or _has(headers, b"content-length")


def _has(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    return any(name.lower() == wanted for name, _ in headers)


def authorization(headers: Iterable[tuple[bytes, bytes]]) -> Optional[bytes]:
    """The value of Proxy-Authorization."""
    for name, value in headers:
        if name.lower() == b"proxy-authorization":
            return value
    return None
