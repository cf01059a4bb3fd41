"""HTTP proxying, server side: the CONNECT dialogue (RFC 9110 section 9.3.6), and what all of it shares.

Requests of plain HTTP do not fit "one dialogue, one target": a connection carries several, to different
hosts.  The script recognises them and hands everything over, unread, as `PlainHttp`.

    CONNECT example.org:443 HTTP/1.1          Request
    GET http://example.org/ HTTP/1.1          PlainHttp
    GET /proxy.pac HTTP/1.1                   PacRequest: for the proxy itself, in origin form (RFC 9112 section 3.2.1)
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Optional, Union

from ..address import Address, split_host_port
from ..errors import BadAddress, CredentialsRejected, ProtocolError, PyssError
from .credentials import Credentials
from .dialogue import Dialogue, Script
from .request import Request

LONGEST_HEAD = 64 * 1024  # bytes of request line and headers

# What a client is told; the default is 502: the way to the target failed.
STATUS = {
    "bad-address": (400, "Bad Request"),
    "bad-request": (400, "Bad Request"),
    "credentials": (407, "Proxy Authentication Required"),
    "forbidden": (403, "Forbidden"),
    "dial-timeout": (504, "Gateway Timeout"),
    "timeout": (504, "Gateway Timeout"),
    "loop": (508, "Loop Detected"),
    "unsupported-address": (400, "Bad Request"),
    "unsupported-command": (501, "Not Implemented"),
}
_BAD_GATEWAY = (502, "Bad Gateway")
CHALLENGE = 'Basic realm="pyss", charset="UTF-8"'

PAC_PATH = b"/proxy.pac"
_PAC_REQUESTS = (b"GET " + PAC_PATH, b"HEAD " + PAC_PATH)


class PlainHttp:
    """The client speaks plain HTTP; `data` is all that it has said."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class PacRequest(PlainHttp):
    """The client wants the proxy's own PAC file.

    host       what the client calls the proxy: the value of Host, None without one
    head_only  whether it wants no more than the headers
    """

    __slots__ = ("head_only", "host")

    def __init__(self, data: bytes, host: Optional[bytes], head_only: bool) -> None:
        super().__init__(data)
        self.host = host
        self.head_only = head_only


def accepted(bound: tuple[Any, ...]) -> bytes:
    return b"HTTP/1.1 200 Connection established\r\n\r\n"


def refusal(error: PyssError) -> tuple[int, str, list[tuple[str, str]], bytes]:
    """Status code, reason, headers and body that tell a person what went wrong."""
    code, reason = STATUS.get(error.status, _BAD_GATEWAY)
    body = f"pyss: {error}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if code == 407:
        headers.append(("Proxy-Authenticate", CHALLENGE))
    headers.append(("Connection", "close"))
    return code, reason, headers, body


def refused(error: PyssError) -> bytes:
    code, reason, headers, body = refusal(error)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {code} {reason}\r\n{head}\r\n".encode() + body


def check_authorization(value: Optional[bytes], credentials: Credentials) -> None:
    """`value` of Proxy-Authorization (RFC 7617).  Raises CredentialsRejected."""
    if not credentials:
        return
    scheme, _, token = (value or b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        raise CredentialsRejected("this proxy wants a user name and password")
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        raise CredentialsRejected("Proxy-Authorization is not readable") from None
    if not colon or not credentials.allow(name, password):
        raise CredentialsRejected("user name or password is wrong")


def http(io: Dialogue[Any], credentials: Credentials) -> Script[Union[Request, PlainHttp]]:
    """Raises ProtocolError, after the reply that says so."""
    method = yield from io.peek(8)
    of_pac = any(wanted.startswith(method) for wanted in _PAC_REQUESTS)
    if of_pac:
        start = yield from io.peek(len(_PAC_REQUESTS[1]) + 1)  # the shortest request has more
        of_pac = any(start.startswith((wanted + b" ", wanted + b"?")) for wanted in _PAC_REQUESTS)
    if method != b"CONNECT " and not of_pac:
        return PlainHttp(io.rest())
    try:
        head = yield from io.take_until(b"\r\n\r\n", LONGEST_HEAD)
        if of_pac:
            return _parse_pac(head, io.rest())
        target = _parse_connect(head, credentials)
    except PyssError as error:
        io.reply(refused(error))
        raise
    return Request(target, io.rest(), accepted, refused)


def _parse_head(head: bytes, form: str) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """The three words of the request line, and the headers, with their names in lower case."""
    request_line, *lines = head[:-4].split(b"\r\n")
    words = request_line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise ProtocolError(f"the request line is not {form} HTTP/1.1")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise ProtocolError("a header line is malformed")
        headers.append((name.lower(), value.strip()))
    return words, headers


def _parse_pac(head: bytes, behind: bytes) -> PacRequest:
    """Whoever can connect may have it: browsers have no password for a PAC file, and it holds none."""
    words, headers = _parse_head(head, "GET /proxy.pac")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and words[2] != b"HTTP/1.0"):  # RFC 9112 section 3.2
        raise ProtocolError("a request has one Host header")
    return PacRequest(head + behind, hosts[0] if hosts else None, words[0] == b"HEAD")


def _parse_connect(head: bytes, credentials: Credentials) -> Address:
    words, headers = _parse_head(head, "CONNECT HOST:PORT")
    authorization = None
    for name, value in headers:
        if name == b"proxy-authorization":
            authorization = value
    check_authorization(authorization, credentials)
    try:
        return Address.of(*split_host_port(words[1].decode()))
    except UnicodeDecodeError:
        raise BadAddress("the host name is neither ASCII nor UTF-8") from None
